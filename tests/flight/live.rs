//! A live stream through the command: what is served, what is dropped, and what a recording of it replays to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::bundled::command;
use super::{map, recording, root};

#[path = "../support/senders.rs"]
mod senders;

/// Frames of the bundled video that are sent: the first seconds of the flight.
const SENT_FRAMES: u32 = 40;
const PATIENCE: Duration = Duration::from_secs(300);

/// A pipeline file for a stream of the bundled video with its telemetry.
fn pipeline(folder: &Path, source: &str) -> std::path::PathBuf {
    let path = folder.join("live.toml");
    let text = format!(
        r#"
[source]
{source}
first_stamp_s = 1.0
[source.camera]
hfov_deg = 68.9542
[telemetry]
sidecars = "{sidecars}"
height = "119±6"
[map]
path = "{map}"
[filter.start]
lat_deg = 47.800469
lon_deg = 10.902443
sigma_m = 200.0
[sinks]
out = "{out}"
rrd = false
jsonl = ["stdout"]
record = "{record}"
"#,
        sidecars = root().join("recordings/demo-video").display(),
        map = map(),
        out = folder.join("live").display(),
        record = folder.join("recorded").display(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn start(pipeline: &Path) -> Child {
    command().arg("run").arg(pipeline).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends the first frames of the bundled video at their own pace.
fn send(port: u16) {
    gst::init().unwrap();
    let video = root().join("recordings/demo-video/video.mkv");
    let sender = gst::parse::launch(&format!(
        "filesrc location=\"{}\" ! matroskademux ! h264parse config-interval=-1 ! identity eos-after={SENT_FRAMES} ! rtph264pay mtu=1200 ! \
         udpsink host=127.0.0.1 port={port} sync=true",
        video.display()
    ))
    .unwrap();
    sender.set_state(gst::State::Playing).unwrap();
    let bus = sender.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(300), &kinds).expect("the sender ends");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    sender.set_state(gst::State::Null).unwrap();
}

/// Waits for a line of the child's standard error.
fn wait_for(child: &mut Child, line: &str) -> BufReader<std::process::ChildStderr> {
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    loop {
        let before = text.len();
        assert!(reader.read_line(&mut text).unwrap() > 0, "ended without '{line}':\n{text}");
        if text[before..].contains(line) {
            return reader;
        }
    }
}

fn object(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

/// Rows of a table by their first column, without the stamp.
fn rows(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let fields = |r: csv::StringRecord| (r[0].to_string(), r.iter().skip(2).map(String::from).collect());
    reader.records().map(|r| fields(r.unwrap())).collect()
}

fn stamps(path: &Path) -> Vec<i64> {
    csv::Reader::from_path(path).unwrap().records().map(|r| r.unwrap()[1].parse().unwrap()).collect()
}

/// The first line in which two tables differ, as far as both go.
fn first_difference<'a>(a: &'a str, b: &'a str) -> Option<(&'a str, &'a str)> {
    a.split_inclusive('\n').zip(b.split_inclusive('\n')).find(|(a, b)| a != b)
}

/// The replay of what was recorded beside a live flight, which is told nothing but where the recording is, gives the live fixes, and the
/// track at the frames, byte for byte. Returns both whole tracks.
fn assert_replays_the_same(folder: &Path) -> [String; 2] {
    let (live, again) = (folder.join("live"), folder.join("again"));
    let (source, to) = (folder.join("recorded").display().to_string(), again.display().to_string());
    let arguments = ["replay", &source, "--out", &to, "--no-viewer", "-w", "1", "--track-rate", "5"];
    let output = super::skyfix(&arguments, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let both = |name: &str| [&live, &again].map(|out| std::fs::read_to_string(out.join(name)).unwrap());
    let [here, there] = both("fixes.csv");
    assert_eq!(first_difference(&here, &there), None, "fixes.csv differs");
    assert_eq!(here.len(), there.len());
    // During an outage the live track may have gone past a frame that came late; where it was at the frames is the same.
    let at_frames = |track: String| track.lines().filter(|row| !row.starts_with(',')).collect::<Vec<_>>().join("\n");
    let [here, there] = both("track.csv").map(at_frames);
    assert_eq!(first_difference(&here, &there), None, "track.csv differs");
    assert_eq!(here.len(), there.len());
    both("track.csv")
}

#[test]
fn a_stream_adds_up_and_the_replay_of_its_recording_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = pipeline(folder.path(), &format!("kind = \"rtp\"\nlisten = \"{port}\""));
    // The map's index is made before the clock runs.
    recording();
    let mut child = start(&file);
    let errors = wait_for(&mut child, "Ctrl-C");
    let lines = BufReader::new(child.stdout.take().unwrap());
    let (line, said) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || lines.lines().try_for_each(|l| line.send(object(&l.unwrap()))));
    send(port);
    let mut json: Vec<serde_json::Value> = Vec::new();
    // Between the frames the track goes on, and after the last of them, too.
    let sent_s = f64::from(SENT_FRAMES) / 5.0;
    while !json.last().is_some_and(|l| l["frame"].is_null() && l["stamp_ns"].as_f64().unwrap() / 1e9 > 1.0 + sent_s) {
        json.push(said.recv_timeout(PATIENCE).unwrap());
    }
    // Frames under way are finished and every file is completed after Ctrl-C.
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let asked = Instant::now();
    let status = child.wait().unwrap();
    assert!(asked.elapsed() < PATIENCE);
    let errors: Vec<String> = errors.lines().map(Result::unwrap).collect();
    assert!(status.success(), "{errors:#?}");

    let live = folder.path().join("live");
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(live.join("summary.json")).unwrap()).unwrap();
    let number = |name: &str| summary["intake"][name].as_u64().unwrap();
    let (received, served, dropped) = (number("received"), number("served"), number("dropped"));
    assert_eq!(received, served + dropped);
    assert!(received > u64::from(SENT_FRAMES) / 2 && served > 2, "{summary:#}");
    let fixes = rows(&live.join("fixes.csv"));
    assert_eq!(fixes.len() as u64, served);
    reader.join().unwrap().unwrap();
    json.extend(said);
    assert_eq!(json.iter().filter(|l| l["frame"].is_string()).count() as u64, served);
    assert!(json.iter().all(|l| l["track"].is_object() || l["source"] == "lost"));
    assert!(json.iter().map(|l| l["stamp_ns"].as_i64().unwrap()).is_sorted_by(|a, b| a < b));

    // Stamps have the container's intervals: multiples of 0.2 s, but for the 90 kHz of RTP.
    for stamp_ns in stamps(&live.join("fixes.csv")) {
        let off = (stamp_ns - 1_000_000_000).rem_euclid(200_000_000);
        assert!(off.min(200_000_000 - off) < 12_000, "{stamp_ns}");
    }

    let [here, there] = assert_replays_the_same(folder.path());
    // The live track goes on after the last frame.
    assert!(here.starts_with(&there) && here.len() > there.len());

    // The fixes are those of the bundled video's frames at these times.
    let (from, to) = (1.0f64, 1.0 + f64::from(SENT_FRAMES) / 5.0);
    let positions = |fixes: &BTreeMap<String, Vec<String>>| {
        let position =
            |row: &Vec<String>| (row[0] == "fix").then(|| (row[1].parse::<f64>().unwrap(), row[2].parse::<f64>().unwrap()));
        fixes.values().filter_map(position).collect::<Vec<_>>()
    };
    let found = positions(&fixes);
    assert!(!found.is_empty(), "{fixes:?}");
    let truth: Vec<(f64, f64)> = csv::Reader::from_path(root().join("recordings/demo-video/truth.csv"))
        .unwrap()
        .records()
        .map(|r| r.unwrap())
        .filter(|r| (from..=to).contains(&(r[1].parse::<f64>().unwrap() / 1e9)))
        .map(|r| (r[2].parse().unwrap(), r[3].parse().unwrap()))
        .collect();
    for (lat, lon) in found {
        let near = truth.iter().any(|(a, b)| (lat - a).abs() < 25.0 / 111_000.0 && (lon - b).abs() < 25.0 / 74_000.0);
        assert!(near, "{lat} {lon}");
    }
}

/// The packets of each picture of the bundled video, every one a key frame.
fn pictures() -> Vec<Vec<Vec<u8>>> {
    let video = root().join("recordings/demo-video/video.mkv");
    let source = format!("filesrc location=\"{}\" ! decodebin ! videoconvert ! identity eos-after=80", video.display());
    let mut pictures = vec![Vec::new()];
    for packet in senders::rtp_packets(&source, 1) {
        let ends = senders::ends_picture(&packet);
        pictures.last_mut().unwrap().push(packet);
        if ends {
            pictures.push(Vec::new());
        }
    }
    pictures
}

#[test]
fn an_outage_shows_as_inertial_and_then_as_visual_without_a_restart_and_is_replayed_the_same() {
    /// Pictures before the sender is killed, and those that it has missed when it is found again.
    const BEFORE: usize = 20;
    const MISSED: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let listener = senders::listen(None);
    let address = listener.local_addr().unwrap();
    let pictures = pictures();
    assert!(pictures.len() > BEFORE + MISSED + 20, "{}", pictures.len());
    let file = pipeline(folder.path(), &format!("kind = \"rtsp\"\ntransport = \"tcp\"\nurl = \"rtsp://{address}/flight\""));
    recording();
    let mut child = start(&file);
    let errors = wait_for(&mut child, "Ctrl-C");
    let sender = std::thread::spawn(move || {
        drop(senders::serve_rtsp(&listener, &pictures[..BEFORE].concat(), &[200]));
        drop(listener);
        std::thread::sleep(Duration::from_secs(3));
        senders::serve_rtsp(&senders::listen(Some(address)), &pictures[BEFORE + MISSED..].concat(), &[200])
    });
    let begun = Instant::now();
    let mut sources: Vec<String> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        sources.push(object(&line.unwrap())["source"].as_str().unwrap().to_owned());
        let since_found = sources.iter().skip_while(|s| *s != "visual");
        let found_again = sources.last().is_some_and(|s| s == "visual") && since_found.into_iter().any(|s| s == "inertial");
        if found_again || begun.elapsed() > PATIENCE {
            break;
        }
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let errors = std::thread::spawn(|| errors.lines().map(Result::unwrap).collect::<Vec<String>>());
    let ended = child.wait().unwrap();
    let errors = errors.join().unwrap();
    assert!(ended.success(), "{errors:#?}");
    drop(sender.join());
    sources.dedup();
    let after_start: Vec<&String> = sources.iter().skip_while(|s| *s == "lost").collect();
    assert_eq!(after_start[after_start.len() - 3..], ["visual", "inertial", "visual"], "{sources:?}");
    let live = folder.path().join("live");
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(live.join("summary.json")).unwrap()).unwrap();
    assert!(summary["intake"]["reconnects"].as_u64() >= Some(1), "{summary:#}");
    assert_replays_the_same(folder.path());
}

#[test]
#[cfg(feature = "mavlink")]
fn a_pipeline_with_mavlink_starts_though_its_telemetry_asks_for_the_time_before_any_video_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mavlink.toml");
    let text = format!(
        r#"
[source]
kind = "test"
[source.camera]
hfov_deg = 69.0
[telemetry]
mavlink = "127.0.0.1:0"
[map]
path = "{map}"
[sinks]
out = "{out}"
rrd = false
"#,
        map = map(),
        out = folder.path().join("out").display(),
    );
    std::fs::write(&file, text).unwrap();
    let output = super::skyfix(&["run", &file.display().to_string(), "--for", "1"], &[]);
    let errors = String::from_utf8_lossy(&output.stderr);
    // Nothing of a test picture is on the map.
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}
