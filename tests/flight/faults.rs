//! What breaks while a flight is localized, through the command: stages, outputs, signals, pictures, telemetry.
//!
//! Stages and outputs are broken by `SKYFIX_TEST_INJECT_FAULT`, which builds with debug assertions know (`skyfix::progress::injected`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::command::{copy_of_the_recording, error_of, replay};
use super::*;

/// Every file that a replay with JSON lines writes.
const FILES: [&str; 8] = [
    "fixes.csv",
    "track.csv",
    "track_smoothed.csv",
    "timing.csv",
    "evidence.csv",
    "track.geojson",
    "fixes.jsonl",
    "summary.json",
];

/// A replay of a few photos to a folder, with a fault.
fn faulty(out: &Path, fault: &str, more: &[&str]) -> Output {
    let folder = copy_of_the_recording();
    let (source, out, map) = (folder.path().display().to_string(), out.display().to_string(), map());
    let arguments = ["replay", &source, "--map", &map, "--out", &out, "--no-viewer", "-w", "1", "--jsonl"];
    skyfix(&[&arguments[..], more].concat(), &[("SKYFIX_TEST_INJECT_FAULT", Path::new(fault))])
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn summary(out: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap()
}

fn rows(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap().lines().count()
}

#[test]
fn a_stage_that_dies_or_stands_still_ends_the_process_with_its_name() {
    let out = tempfile::tempdir().unwrap();
    for stage in ["retrieve", "fuse"] {
        let died = faulty(out.path(), &format!("panic {stage}"), &[]);
        assert_eq!(died.status.code(), Some(70), "{}", stderr(&died));
        assert!(stderr(&died).contains(&format!("died in the stage {stage}")), "{}", stderr(&died));
    }
    let stalled = faulty(out.path(), "stall fine", &["--set", "supervision.stage_timeout_s=2"]);
    assert_eq!(stalled.status.code(), Some(70), "{}", stderr(&stalled));
    let told = stderr(&stalled);
    assert!(told.contains("the stage fine (thread timely:work-1) has not got on for"), "{told}");
    assert!(told.contains("[supervision] stage_timeout_s"), "{told}");
}

/// What is wrong with all outputs of a run is named and counted, and the flight was localized all the same.
fn assert_all_closed(what: &str, output: &Output) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(4), "{what}: {told}");
    for file in FILES {
        let closed = |line: &&str| line.starts_with("skyfix: an output was closed before the end: ") && line.contains(file);
        assert_eq!(told.lines().filter(closed).count(), 1, "{what}, {file}: {told}");
    }
    assert!(String::from_utf8_lossy(&output.stdout).contains("frames      3"), "{what}: {told}");
}

#[test]
#[cfg(unix)]
fn outputs_that_cannot_be_written_die_or_stand_still_are_all_closed_and_the_flight_goes_on() {
    let links_to = |target: &str| {
        let out = tempfile::tempdir().unwrap();
        FILES.iter().for_each(|file| std::os::unix::fs::symlink(target, out.path().join(file)).unwrap());
        out
    };
    // A disk that is full, one that cannot be written (whoever tries), a folder in the way.
    for target in ["/dev/full", "/proc/version", "/"].into_iter().filter(|target| Path::new(target).exists()) {
        let out = links_to(target);
        let output = faulty(out.path(), "none", &[]);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{target}: {told}");
        // Of the smoothed track there is but the link of another run, which goes.
        for file in FILES.iter().filter(|file| **file != "track_smoothed.csv") {
            assert!(
                told.lines().any(|line| line.contains("was closed before the end") && line.contains(file)),
                "{target}: {told}"
            );
        }
        assert!(String::from_utf8_lossy(&output.stdout).contains("frames      3"), "{target}: {told}");
    }
    let out = tempfile::tempdir().unwrap();
    assert_all_closed("dead", &faulty(out.path(), "panic output", &[]));
    assert_all_closed("stuck", &faulty(out.path(), "stall output", &["--set", "sinks.timeout_s=0.5"]));
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn one_output_that_fails_takes_no_other_with_it() {
    for (fault, reason) in [("panic output track.csv", "its thread died"), ("stall output track.csv", "took nothing for 0.5 s")] {
        let out = tempfile::tempdir().unwrap();
        let output = faulty(out.path(), fault, &["--set", "sinks.timeout_s=0.5"]);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        let closed = summary(out.path())["outputs_closed"].as_array().unwrap().clone();
        assert_eq!(closed.len(), 1, "{closed:?}");
        let told = closed[0].as_str().unwrap();
        assert!(told.contains("track.csv") && told.contains(reason), "{told}");
        assert!(!out.path().join("track.csv").exists());
        for (file, count) in [("fixes.csv", 4), ("timing.csv", 4), ("track_smoothed.csv", 4), ("fixes.jsonl", 3)] {
            assert_eq!(rows(&out.path().join(file)), count, "{file}");
        }
    }
}

#[test]
fn what_another_run_left_stays_until_there_is_something_to_put_there() {
    let out = tempfile::tempdir().unwrap();
    let old = || FILES.iter().all(|file| std::fs::read(out.path().join(file)).unwrap() == b"old");
    FILES.iter().for_each(|file| std::fs::write(out.path().join(file), "old").unwrap());
    assert!(error_of(&replay(Path::new("/nowhere"), out.path())).contains("/nowhere"));
    assert!(old());
    // A flight that ends with its first stage, by whatever.
    assert_eq!(faulty(out.path(), "panic rectify", &[]).status.code(), Some(70));
    assert!(old());
    let whole = faulty(out.path(), "none", &[]);
    assert!(whole.status.success(), "{}", stderr(&whole));
    assert!(FILES.iter().all(|file| std::fs::read(out.path().join(file)).unwrap() != b"old"));
    let left: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), FILES.len(), "no part of a file is left: {left:?}");
}

/// Starts skyfix, waits for a line of its standard error, and sends it a signal.
fn signalled(arguments: &[&str], fault: &str, line: &str, signal: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let cache = tempfile::tempdir().unwrap();
    let mut child = bundled::command()
        .args(arguments)
        .args(["--set", "supervision.end_timeout_s=12"])
        .env("SKYFIX_TEST_INJECT_FAULT", fault)
        .env("SKYFIX_LOG", "info")
        .env("XDG_CACHE_HOME", cache.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains(line) {
        assert!(reader.read_line(&mut text).unwrap() > 0, "ended without '{line}':\n{text}");
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    (child, reader)
}

fn signalled_replay(
    source: &Path,
    map: &Path,
    out: &Path,
    fault: &str,
    line: &str,
    signal: &str,
) -> (Child, BufReader<std::process::ChildStderr>) {
    let (source, map, out) = (source.display().to_string(), map.display().to_string(), out.display().to_string());
    signalled(&["replay", &source, "--map", &map, "--no-viewer", "-w", "1", "--out", &out], fault, line, signal)
}

#[test]
#[cfg(unix)]
fn a_signal_while_the_index_is_computed_ends_in_order_and_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let folder = copy_of_the_recording();
        let bare = folder.path().join("bare.mbtiles");
        std::fs::copy(map(), &bare).unwrap();
        let out = folder.path().join("out");
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let (mut child, errors) = signalled_replay(folder.path(), &bare, &out, "none", "no index yet", signal);
        let told: Vec<String> = errors.lines().map(Result::unwrap).collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{told:?}");
        assert!(told.iter().any(|line| line.contains("stopped before the first frame")), "{told:?}");
        assert!(!out.exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before);
    }
}

#[test]
#[cfg(all(unix, feature = "gst"))]
fn a_recording_that_is_stopped_before_its_first_frame_leaves_no_folder_that_the_next_one_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::copy(map(), at("bare.mbtiles")).unwrap();
    let text = format!(
        "[source]\nkind = \"video\"\npath = '{}'\n[source.camera]\nhfov_deg = 69.0\n[telemetry]\nheight = \"120±6\"\n[map]\npath = '{}'\n\
         [sinks]\nout = '{}'\nrrd = false\nrecord = '{}'\n",
        root().join("recordings/demo-video/video.mkv").display(),
        at("bare.mbtiles"),
        at("out"),
        at("recorded")
    );
    std::fs::write(at("record.toml"), text).unwrap();
    let (mut child, errors) = signalled(&["run", &at("record.toml")], "none", "no index yet", "-TERM");
    let told: Vec<String> = errors.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told:?}");
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["bare.mbtiles", "record.toml"], "{told:?}");
}

#[test]
#[cfg(unix)]
fn one_signal_ends_a_process_of_which_a_stage_stands_still() {
    let folder = copy_of_the_recording();
    let (map, out) = (map(), folder.path().join("out"));
    let (mut child, errors) = signalled_replay(
        folder.path(),
        Path::new(&map),
        &out,
        "stall retrieve",
        "stalls, as SKYFIX_TEST_INJECT_FAULT asks",
        "-TERM",
    );
    let told: Vec<String> = errors.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(70), "{told:?}");
    assert!(told.iter().any(|line| line.contains("the stage retrieve") && line.contains("end_timeout_s")), "{told:?}");
}

#[test]
fn half_a_photo_is_used_told_once_and_counted() {
    let folder = copy_of_the_recording();
    for name in ["photos/000001.jpg", "photos/000002.jpg"] {
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    }
    let out = folder.path().join("out");
    let output = replay(folder.path(), &out);
    assert_eq!(summary(&out)["pictures_cut_off"], 2, "{}", stderr(&output));
    let warnings = stderr(&output).lines().filter(|line| line.contains("the end of the picture is missing")).count();
    assert_eq!(warnings, 1, "{}", stderr(&output));
}

#[test]
fn telemetry_that_stays_away_or_contradicts_itself_is_told_once_and_counted_by_kind() {
    let folder = copy_of_the_recording();
    let imu = folder.path().join("imu.csv");
    let table = std::fs::read_to_string(&imu).unwrap();
    let stamp = |line: &str| line.split(',').next().and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
    let first = stamp(table.lines().nth(1).unwrap());
    let kept: Vec<&str> = table.lines().filter(|line| stamp(line) < first + 200_000_000).collect();
    std::fs::write(&imu, kept.join("\n") + "\n").unwrap();
    // The photos lie four seconds apart.
    let photos = folder.path().join("photos.csv");
    let stamps = std::fs::read_to_string(&photos).unwrap();
    let header = stamps.lines().next().unwrap();
    let row = |i: i64| format!("{i:06}.jpg,{}", first + i * 4_000_000_000);
    assert_eq!(header, "frame,stamp_ns");
    std::fs::write(&photos, [header.to_owned(), row(0), row(1), row(2), row(3)].join("\n") + "\n").unwrap();
    let out = folder.path().join("out");
    let output = replay(folder.path(), &out);
    let told = stderr(&output);
    assert_eq!(summary(&out)["telemetry"]["silences"]["imu"], 1, "{told}");
    assert_eq!(told.lines().filter(|line| line.contains("telemetry: no imu for")).count(), 1, "{told}");
    assert!(summary(&out)["telemetry"]["samples"]["accepted"].as_u64() > Some(10), "{told}");
}

#[test]
fn a_height_that_stays_away_is_bridged_by_the_filters_own() {
    let bridged = |from: usize| {
        let flight = flight();
        let mut frames = frames();
        for frame in &mut frames[from..] {
            frame.known.height_agl_m = None;
            frame.telemetry.height.clear();
        }
        let mut reports = Vec::new();
        let options = options(&flight);
        let networks = (0..2).map(|_| network()).collect();
        run_graph(localizer(), networks, FrameList::from(frames), options, |report| {
            if let Report::Frame(frame) = report {
                reports.push(*frame);
            }
            true
        })
        .unwrap();
        reports
    };
    let has_fix = |report: &FrameReport| matches!(report.matched.outcome, Outcome::Fix(_));
    let (whole, cut) = (bridged(FRAMES), bridged(FRAMES / 2));
    for (with, without) in whole.iter().zip(&cut).filter(|(with, _)| has_fix(with)) {
        let (Outcome::Fix(a), Outcome::Fix(b)) = (&with.matched.outcome, &without.matched.outcome) else {
            panic!("{}: {:?}", without.name, without.matched.outcome)
        };
        assert!((a.centre_m - b.centre_m).norm() < 5.0, "{}", without.name);
    }
    assert!(cut[FRAMES / 2..].iter().any(has_fix));
    // Where nothing ever told the height, there is none to bridge.
    let never = bridged(0);
    assert!(never.iter().all(|r| r.matched.outcome == Outcome::Abstained(AbstainReason::NoHeight)), "{never:?}");
}
