//! What each file must show.

use std::path::Path;

use super::flight::{self, Near};
use super::made;
use super::running::{Ended, Run, check, port, text};
use crate::bundled::{FRAMES, recording};

/// Frames with a fix that a live stream is waited for.
const FIXES: usize = 2;

pub fn gstreamer(file: &str) {
    // Three of the file's pictures. Heading and height are told, for to search for them takes long.
    let launch = "videotestsrc num-buffers=3 ! video/x-raw,width=1280,height=720,framerate=10/1";
    let ended = Run::start(file, &[("source.launch", text(launch)), ("telemetry.heading", text("0±5"))], &[]).end();
    assert_eq!(ended.results()["frames"], 3);
    assert_code_of_fixes(&ended);
}

pub fn test(file: &str) {
    let mut run = Run::start(file, &[], &["--for", "60"]);
    run.wait_for_lines(|lines| !lines.is_empty());
    run.interrupt();
    let ended = run.end();
    assert!(ended.results()["frames"].as_u64() >= Some(1));
    assert_code_of_fixes(&ended);
}

pub fn v4l2(file: &str) {
    let overrides = [("source.device", text("/dev/video-none")), ("telemetry.mavlink", text(format!("127.0.0.1:{}", port())))];
    let ended = Run::start(file, &overrides, &[]).end();
    ended.assert_code(1);
    assert!(ended.errors.contains("skyfix: /dev/video-none: cannot be opened: No such file"), "{}", ended.errors);
    // And before anything is started.
    let (code, errors) = check(file, &overrides);
    assert!(code == Some(1) && errors.contains("/dev/video-none is not there"), "{errors}");
}

pub fn photos(file: &str) {
    let folder = tempfile::tempdir().unwrap();
    made::photos(folder.path(), 3);
    let ended = Run::start(file, &[("source.path", text(folder.path()))], &[]).end();
    ended.assert_code(0);
    assert_eq!(ended.results()["frames"], 3);
    assert_on_the_flight(&ended);
}

pub fn replay(file: &str) {
    let ended = Run::start(file, &[("source.path", text(recording())), ("sinks.rrd", "true".into())], &[]).end();
    ended.assert_code(0);
    assert_eq!(ended.results()["frames"], FRAMES);
    assert_eq!(ended.out.join("flight.rrd").exists(), cfg!(feature = "viz"));
    assert_on_the_flight(&ended);
}

pub fn video_sidecars(file: &str) {
    // One frame in 20 s of the file's own video.
    let ended = Run::start(file, &[("source.frame_rate", "0.05".into())], &[]).end();
    ended.assert_code(0);
    assert_eq!(ended.results()["frames"], 6);
    assert_on_the_flight(&ended);
}

pub fn video_srt(file: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (video, subtitles) = made::dji_video(folder.path(), 10);
    let overrides = [
        ("source.path", text(&video)),
        ("source.frame_rate", "1.0".into()),
        ("telemetry.srt", text(&subtitles)),
        // They hold it, and a search for it takes long.
        ("telemetry.heading", text("sensor")),
    ];
    let ended = Run::start(file, &overrides, &[]).end();
    ended.assert_code(0);
    assert_eq!(ended.results()["frames"], 2);
    assert_on_the_flight(&ended);
}

pub fn mpeg_ts(file: &str) {
    let to = port();
    // Nothing beside the video tells the heading, and a search for it takes long: that of the flight's first leg.
    let overrides = [("source.listen", text(format!("127.0.0.1:{to}"))), ("telemetry.heading", text("126±5"))];
    let mut run = Run::start(file, &overrides, &[]);
    run.wait_until_live();
    let sender = flight::send_mpeg_ts(to);
    wait_for_fixes(&mut run);
    run.interrupt();
    let ended = run.end();
    drop(sender);
    ended.assert_code(0);
    ended.results();
    assert_on_the_flight(&ended);
}

pub fn rtp_h264(file: &str) {
    let (to, telemetry_to) = (port(), port());
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("recorded");
    let overrides = [
        ("source.listen", text(format!("127.0.0.1:{to}"))),
        ("telemetry.mavlink", text(format!("127.0.0.1:{telemetry_to}"))),
        ("sinks.record", text(&recorded)),
    ];
    let mut run = Run::start(file, &overrides, &[]);
    run.wait_until_live();
    let senders = flight::send_rtp(to, telemetry_to);
    wait_for_fixes(&mut run);
    run.interrupt();
    let ended = run.end();
    drop(senders);
    ended.assert_code(0);
    ended.results();
    assert_on_the_flight(&ended);
    assert_mavlink_reached_the_frames(&ended, &recorded);
}

pub fn rtsp(file: &str) {
    let telemetry_to = port();
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("recorded");
    let server = flight::serve_rtsp(telemetry_to);
    let overrides = [
        ("source.url", text(format!("rtsp://pilot:secret@{}/stream", server.address))),
        ("telemetry.mavlink", text(format!("127.0.0.1:{telemetry_to}"))),
        ("sinks.record", text(&recorded)),
    ];
    let mut run = Run::start(file, &overrides, &[]);
    wait_for_fixes(&mut run);
    run.interrupt();
    let ended = run.end();
    drop(server);
    ended.assert_code(0);
    assert!(!ended.errors.contains("secret"), "{}", ended.errors);
    ended.results();
    assert_on_the_flight(&ended);
    assert_mavlink_reached_the_frames(&ended, &recorded);
}

/// A test picture is on no map; against one indexed as coarsely as here something may yet be found in it.
fn assert_code_of_fixes(ended: &Ended) {
    ended.assert_code(if ended.results()["fixes"] == 0 { 3 } else { 0 });
}

fn wait_for_fixes(run: &mut Run) {
    run.wait_for_lines(|lines| lines.iter().filter(|l| l["fix"]["outcome"] == "fix").count() >= FIXES);
}

/// At least one frame is where the flight was, and seen to be there.
fn assert_on_the_flight(ended: &Ended) {
    let near = Near::read();
    let visual = |l: &&serde_json::Value| l["frame"].is_string() && (l["source"] == "visual" || l["source"] == "unconfirmed");
    let on_it = ended.lines.iter().filter(visual).filter(|l| near.contains(&l["track"])).count();
    assert!(on_it > 0, "{:#?}\n{}", ended.lines, ended.errors);
}

/// The file gives neither heading nor height: frames with a fix had those of MAVLink, and of their own time, for the pictures say the
/// same.
fn assert_mavlink_reached_the_frames(ended: &Ended, recorded: &Path) {
    let known = flight::known_of_frames(recorded);
    let fixes = ended.lines.iter().filter(|l| l["fix"]["outcome"] == "fix");
    let mut told = 0;
    for fix in fixes {
        let number = |of: &str| fix["fix"][of].as_f64().unwrap();
        let Some((heading_deg, height_m)) = known[fix["frame"].as_str().unwrap()] else { continue };
        let turned = (number("heading_deg") - heading_deg + 180.0).rem_euclid(360.0) - 180.0;
        let scale = number("height_agl_m") / height_m;
        assert!(turned.abs() < 10.0 && (scale - 1.0).abs() < 0.1, "{heading_deg} {height_m} {fix:#}");
        told += 1;
    }
    assert!(told > 0, "{known:?}\n{}", ended.errors);
    for name in ["imu.csv", "attitude.csv", "heading.csv", "height.csv"] {
        assert!(csv::Reader::from_path(recorded.join(name)).unwrap().records().map(Result::unwrap).count() > 0, "{name}");
    }
}
