//! `kill -9` at any time: what is complete on disk can be read, nothing that is half is taken for whole, and the next run works.
//!
//! Two kills of each here; `make test-kills` is the long form (a hundred). Of five kills of a flight four come after its first fix.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bundled::command;
use super::{MODEL, map, recording, root};

/// Nothing here takes this long, even on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(300);

fn kills() -> usize {
    std::env::var("SKYFIX_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

fn skyfix(arguments: &[&str]) -> Command {
    let mut command = command();
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null());
    command
}

/// Runs a command to its end; returns how long it took.
fn whole(arguments: &[&str], codes: &[i32]) -> Duration {
    let begun = Instant::now();
    let output = skyfix(arguments).stderr(Stdio::piped()).output().unwrap();
    let code = output.status.code();
    assert!(code.is_some_and(|c| codes.contains(&c)), "{arguments:?}: {code:?} {}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed()
}

/// Waits for something, unless the child has ended.
fn wait(child: &mut Child, there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !there() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

/// Complete lines of a file, its header left out; none where it is not there.
fn rows(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).skip(1).map(str::to_owned).collect()
}

fn has_fix(out: &Path) -> bool {
    rows(&out.join("fixes.csv")).iter().any(|row| row.split(',').nth(2) == Some("fix"))
}

/// Files that are written at the end are whole, or not there.
fn assert_whole_or_absent(out: &Path) {
    for name in ["summary.json", "track.geojson"] {
        let Ok(text) = std::fs::read_to_string(out.join(name)) else { continue };
        assert!(text.is_empty() || serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{name} is half: {text}");
    }
}

/// When to kill: for the first of five at any time, for the others after the first fix.
fn moment(number: usize, child: &mut Child, out: &Path, took: Duration, rng: &mut ChaCha8Rng) {
    let mut share = rng.random::<f64>();
    if !number.is_multiple_of(5) {
        wait(child, || has_fix(out));
        share *= 0.5;
    }
    std::thread::sleep(took.mul_f64(share));
}

#[test]
fn a_replay_that_is_killed_leaves_the_beginning_of_what_it_would_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let source = recording().display().to_string();
    let replay = |out: &str| ["replay", &source, "--no-viewer", "-w", "1", "--out", out].map(str::to_owned);
    let words = replay(&at("whole"));
    let took = whole(&words.each_ref().map(String::as_str), &[0]);
    let read = |out: &str, name: &str| std::fs::read_to_string(folder.path().join(out).join(name)).unwrap_or_default();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut after_a_fix = 0;
    for number in 0..kills() {
        let words = replay(&at("killed"));
        let out = folder.path().join("killed");
        let _ = std::fs::remove_dir_all(&out);
        let mut child = skyfix(&words.each_ref().map(String::as_str)).spawn().unwrap();
        moment(number, &mut child, &out, took, &mut rng);
        kill(child);
        after_a_fix += usize::from(has_fix(&out));
        for name in ["fixes.csv", "track.csv"] {
            assert!(read("whole", name).starts_with(&read("killed", name)), "{name} of kill {number}");
        }
        assert_whole_or_absent(&out);
        if number % 10 == kills().min(10) - 1 {
            whole(&words.each_ref().map(String::as_str), &[0]);
            for name in ["fixes.csv", "track.csv", "track_smoothed.csv", "track.geojson"] {
                assert_eq!(read("whole", name), read("killed", name), "{name} of the run after kill {number}");
            }
        }
    }
    println!("replay: {} kills, {after_a_fix} after the first fix", kills());
}

/// A video of another's first pictures.
#[cfg(feature = "gst")]
fn first_pictures(from: &Path, to: &Path, count: u32) {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    gst::init().unwrap();
    let text = format!(
        "filesrc location=\"{}\" ! matroskademux ! h264parse ! identity eos-after={count} ! matroskamux ! filesink location=\"{}\"",
        from.display(),
        to.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(120), &kinds).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
}

#[cfg(feature = "gst")]
#[test]
fn a_run_that_is_killed_while_it_records_leaves_a_recording_that_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let video = root().join("recordings/demo-video");
    let beginning = path("beginning.mkv");
    first_pictures(&video.join("video.mkv"), &beginning, 60);
    let text = format!(
        "[source]\nkind = \"video\"\npath = \"{}\"\nframe_rate = 1.0\n[source.camera]\nhfov_deg = 68.95\n[telemetry]\nsidecars = \"{}\"\n[map]\npath = \
         \"{}\"\n[filter.start]\nlat_deg = 47.8005\nlon_deg = 10.9024\nsigma_m = 200.0\n[match]\nworkers = 1\n[sinks]\nout = \"{}\"\nrrd = \
         false\njsonl = [\"stdout\"]\nrecord = \"{}\"\n",
        beginning.display(),
        video.display(),
        map(),
        path("out").display(),
        path("recorded").display()
    );
    let pipeline = path("p.toml");
    std::fs::write(&pipeline, text).unwrap();
    let pipeline = pipeline.display().to_string();
    let took = whole(&["run", &pipeline], &[0]);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut after_a_fix = 0;
    for number in 0..kills() {
        let (out, recorded) = (path("out"), path("recorded"));
        for folder in [&out, &recorded] {
            let _ = std::fs::remove_dir_all(folder);
        }
        let mut child = skyfix(&["run", &pipeline]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains("\"outcome\"") {
                    telling.lock().unwrap().push(Instant::now());
                }
            }
        });
        moment(number, &mut child, &out, took, &mut rng);
        kill(child);
        let killed = Instant::now();
        reader.join().unwrap();
        after_a_fix += usize::from(has_fix(&out));
        let told = told.lock().unwrap().iter().filter(|at| killed.duration_since(**at) > Duration::from_secs(1)).count();
        let on_disk = rows(&out.join("fixes.csv")).len();
        assert!(on_disk >= told, "kill {number}: {on_disk} rows on disk, {told} told more than a second before");
        assert_whole_or_absent(&out);
        let frames = rows(&recorded.join("frames.csv")).len();
        if frames > 0 {
            let again = path("again").display().to_string();
            whole(&["replay", &recorded.display().to_string(), "--no-viewer", "-w", "1", "--out", &again], &[0, 3]);
            let replayed = rows(&path("again").join("fixes.csv")).len();
            assert!(replayed + 2 >= frames, "kill {number}: of {frames} frames {replayed} can be replayed");
        }
    }
    println!("run --record: {} kills, {after_a_fix} after the first fix", kills());
}

/// Kills a command that makes one file in a folder of its own; what is there then is as it should be, or nothing.
fn makes_one_file(name: &str, arguments: &[&str], made: &Path, litter: impl Fn() -> Vec<PathBuf>) {
    let took = whole(arguments, &[0]);
    let wanted = std::fs::read(made).unwrap();
    let clean = litter();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut whole_files = 0;
    for number in 0..kills() {
        std::fs::remove_file(made).unwrap();
        let child = skyfix(arguments).spawn().unwrap();
        std::thread::sleep(took.mul_f64(rng.random::<f64>()));
        kill(child);
        if made.exists() {
            whole_files += 1;
            assert!(std::fs::read(made).unwrap() == wanted, "kill {number} left a file that is not whole");
            std::fs::remove_file(made).unwrap();
        }
        whole(arguments, &[0]);
        assert!(std::fs::read(made).unwrap() == wanted, "the run after kill {number}");
        assert_eq!(litter(), clean, "after kill {number} and the next run");
    }
    println!("{name}: {} kills, {whole_files} after it was done", kills());
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_map_build_that_is_killed_leaves_no_half_map_and_no_litter() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("a.png");
    image::RgbImage::from_fn(1500, 1500, |x, y| image::Rgb([(x * 7 + y) as u8, (y * 5) as u8, (x / 3) as u8]))
        .save(&picture)
        .unwrap();
    std::fs::write(folder.path().join("a.pgw"), "0.000004\n0\n0\n-0.000003\n9.1\n47.3\n").unwrap();
    std::fs::write(folder.path().join("a.prj"), "EPSG:4326").unwrap();
    let out = folder.path().join("m.mbtiles");
    let words = ["map", "build", &picture.display().to_string(), "-o", &out.display().to_string()].map(str::to_owned);
    makes_one_file("map build", &words.each_ref().map(String::as_str), &out, || all_files(folder.path()));
}

#[test]
fn a_map_index_that_is_killed_leaves_no_half_index_and_no_litter() {
    let folder = tempfile::tempdir().unwrap();
    let map_file = folder.path().join("map.mbtiles");
    std::fs::copy(map(), &map_file).unwrap();
    let index = skyfix::retrieve::index_path(&map_file, MODEL);
    let words = ["map", "index", &map_file.display().to_string(), "--finest", "1.2"].map(str::to_owned);
    makes_one_file("map index", &words.each_ref().map(String::as_str), &index, || all_files(folder.path()));
}
