//! The flight through the command, and what bad input leads to.

use super::*;

pub(super) fn error_of(output: &Output) -> String {
    assert_ne!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// A copy of the recording in a folder of its own, the map and its index by link.
pub(super) fn copy_of_the_recording() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("photos")).unwrap();
    for name in ["flight.toml", "photos.csv", "imu.csv", "height.csv", "heading.csv", "attitude.csv"] {
        std::fs::copy(recording().join(name), folder.path().join(name)).unwrap();
    }
    for i in 1..=3 {
        let name = format!("photos/{i:06}.jpg");
        std::fs::copy(recording().join(&name), folder.path().join(&name)).unwrap();
    }
    folder
}

pub(super) fn replay(source: &Path, out: &Path) -> Output {
    let (source, out) = (source.display().to_string(), out.display().to_string());
    skyfix(&["replay", &source, "--map", &map(), "--out", &out, "--no-viewer", "-w", "1"], &[])
}

#[test]
fn a_truncated_photo_costs_its_own_row_and_no_other() {
    let folder = copy_of_the_recording();
    let broken = folder.path().join("photos/000002.jpg");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..300]).unwrap();
    let out = folder.path().join("out");
    let output = replay(folder.path(), &out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let fixes = std::fs::read_to_string(out.join("fixes.csv")).unwrap();
    let rows: Vec<&str> = fixes.lines().skip(1).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows[0].contains(",fix,") && rows[2].contains(",fix,"), "{fixes}");
    assert!(rows[1].contains(",abstained,") && rows[1].contains(",unreadable,"), "{fixes}");
    for name in ["track.csv", "timing.csv", "track.geojson", "summary.json"] {
        assert!(out.join(name).metadata().unwrap().len() > 10, "{name}");
    }
}

#[test]
fn truth_is_for_scoring_only() {
    let folder = copy_of_the_recording();
    replay(folder.path(), &folder.path().join("without"));
    std::fs::copy(recording().join("truth.csv"), folder.path().join("truth.csv")).unwrap();
    let output = replay(folder.path(), &folder.path().join("with"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("against truth"));
    for name in ["fixes.csv", "track.csv"] {
        let read = |which: &str| std::fs::read(folder.path().join(which).join(name)).unwrap();
        assert_eq!(read("with"), read("without"), "{name}");
    }
}

#[test]
fn bad_input_gets_an_error_that_names_it() {
    let folder = copy_of_the_recording();
    let out = folder.path().join("out");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(error_of(&replay(&empty, &out)).contains("no photos"));
    assert!(error_of(&replay(Path::new("/nowhere"), &out)).contains("/nowhere"));

    let file = folder.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    assert!(error_of(&replay(folder.path(), &file)).contains("a-file"));
    let not_a_map = file.display().to_string();
    let source = folder.path().display().to_string();
    let text = error_of(&skyfix(&["replay", &source, "--map", &not_a_map], &[]));
    assert!(text.contains("a-file"), "{text}");
    let text = error_of(&skyfix(&["replay", &source, "--map", &map(), "--model", "nothing"], &[]));
    assert!(text.contains("skyfix-dense"), "{text}");
    let text = error_of(&skyfix(&["replay", &source, "--map", &map(), "--device", "cuda:0"], &[]));
    assert!(text.contains("cuda:0"), "{text}");

    let toml = folder.path().join("flight.toml");
    let good = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, good.replace("[clock]", "[clock]\nfoo = 1")).unwrap();
    let text = error_of(&replay(folder.path(), &out));
    assert!(text.contains("foo") && text.contains("flight.toml"), "{text}");
    std::fs::write(&toml, good).unwrap();

    let height = folder.path().join("height.csv");
    let rows = std::fs::read_to_string(&height).unwrap();
    let mut lines: Vec<&str> = rows.lines().collect();
    lines.swap(3, 4);
    std::fs::write(&height, lines.join("\n")).unwrap();
    let text = error_of(&replay(folder.path(), &out));
    assert!(text.contains("height.csv, line 5") && text.contains("time goes back"), "{text}");
}

#[cfg(unix)]
#[test]
fn what_never_begins_or_never_ends_is_refused_at_every_door() {
    let folder = copy_of_the_recording();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (source, map) = (at(""), map());
    let (pipe, endless) = (at("pipe"), at("endless"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    let video = root().join("recordings/demo-video/video.mkv").display().to_string();
    for special in [&pipe, &endless] {
        let doors: [&[&str]; 10] = [
            &["replay", special, "--map", &map],
            &["replay", &video, "--hfov", "69", "--map", &map, "--telemetry", special],
            &["replay", &source, "--map", special],
            &["replay", &source, "--map", &map, "--map-edits", special],
            &["replay", &at("photos"), "--map", &map, "--calibration", special],
            &["replay", &at("photos"), "--map", &map, "--hfov", "69", "--dem", special, "--takeoff", "47.8,10.9"],
            &["run", special],
            &["map", "build", special, "-o", &at("new.mbtiles")],
            &["map", "info", special],
            &["map", "index", special],
        ];
        for door in doors {
            let text = error_of(&skyfix(door, &[]));
            assert!(text.contains(special.as_str()) && text.contains("a pipe, a socket or a device"), "{door:?}: {text}");
        }
    }
    std::fs::remove_file(at("height.csv")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("height.csv")).unwrap();
    let text = error_of(&replay(folder.path(), &folder.path().join("out")));
    assert!(text.contains("height.csv") && text.contains("a device"), "{text}");
}

#[test]
fn a_password_is_hidden_wherever_it_stands() {
    let address = "rtsp://pilot:sEcReT@host/stream";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flight.toml");
    std::fs::write(&file, format!("[source]\nkind = \"video\"\npath = \"{address}\"\n[map]\npath = \"{}\"\n", map())).unwrap();
    let (map, file) = (map(), file.display().to_string());
    let assigned = format!("source.frame_rate={address}");
    let doors: [&[&str]; 8] = [
        &["replay", address, "--map", &map],
        &["replay", address, "--map", &map, "--hfov", address],
        &["replay", "photos", "--map", address],
        &["replay", "photos", "--map", &map, "--set", &assigned],
        &["run", address],
        &["run", &file],
        &["config", &file],
        &["map", "info", address],
    ];
    for door in doors {
        let output = skyfix(door, &[]);
        let text = error_of(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("sEcReT"), "{door:?}: {text}");
    }
    let text = error_of(&skyfix(doors[0], &[]));
    assert!(text.contains("is an address, not a path") && text.contains("source.url"), "{text}");
}

#[test]
fn a_model_with_a_flipped_byte_and_the_index_of_another_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["manifest.toml", "skyfix-dense.onnx"] {
        std::fs::copy(root().join("models").join(name), folder.path().join(name)).unwrap();
    }
    let model = folder.path().join("skyfix-dense.onnx");
    let mut bytes = std::fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&model, &bytes).unwrap();
    let source = recording().display().to_string();
    let arguments = ["replay", source.as_str()];
    let environment = [("SKYFIX_MODELS", folder.path())];
    assert!(error_of(&skyfix(&arguments, &environment)).contains("checksum mismatch"));

    // The manifest now vouches for the changed file: another model of the same name, for which the index was not made.
    let manifest = std::fs::read_to_string(folder.path().join("manifest.toml")).unwrap();
    let old = Manifest::read(&root().join("models/manifest.toml")).unwrap().entry(MODEL).unwrap().sha256.clone();
    let new = skyfix::models::manifest::sha256_hex(&bytes);
    std::fs::write(folder.path().join("manifest.toml"), manifest.replace(&old, &new)).unwrap();
    let text = error_of(&skyfix(&arguments, &environment));
    assert!(text.contains("made for model") && text.contains("skyfix map index"), "{text}");
}

#[test]
#[cfg(feature = "gst")]
fn the_bundled_flight_as_a_video_is_localized_frame_by_frame() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().display().to_string();
    let arguments = ["replay", "recordings/demo-video", "--frame-rate", "0.05", "--no-viewer", "-w", "2"];
    let output = skyfix(&[&arguments[..], &["--map", &map(), "--out", &folder]].concat(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let fixes = std::fs::read_to_string(out.path().join("fixes.csv")).unwrap();
    let rows: Vec<Vec<&str>> = fixes.lines().skip(1).map(|l| l.split(',').collect()).collect();
    // One frame in 20 s of 110 s at five a second, named by its number, with its time in the video.
    let names: Vec<&str> = rows.iter().map(|r| r[0]).collect();
    assert_eq!(names, ["0", "100", "200", "300", "400", "500"]);
    for row in &rows {
        assert_eq!(row[1].parse::<i64>().unwrap(), 1_000_000_000 + 200_000_000 * row[0].parse::<i64>().unwrap());
    }
    assert!(rows.iter().filter(|r| r[2] == "fix").count() >= 5, "{fixes}");
    let summary = std::fs::read_to_string(out.path().join("summary.json")).unwrap();
    assert!(summary.contains("\"camera\""), "scored by frame number: {summary}");
}

#[test]
#[cfg(feature = "gst")]
fn a_video_without_its_decoder_is_an_error_that_says_what_to_install() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().display().to_string();
    let arguments = ["replay", "recordings/demo-video", "--no-viewer", "-w", "1"];
    let ranks = Path::new("avdec_h264:NONE,openh264dec:NONE,vah264dec:NONE,nvh264dec:NONE,v4l2h264dec:NONE");
    let registry = out.path().join("registry.bin");
    let environment = [("GST_PLUGIN_FEATURE_RANK", ranks), ("GST_REGISTRY", registry.as_path())];
    let text = error_of(&skyfix(&[&arguments[..], &["--map", &map(), "--out", &folder]].concat(), &environment));
    assert!(text.contains("video.mkv: nothing here decodes video/x-h264"), "{text}");
    assert!(text.contains("install gstreamer1.0-libav"), "{text}");
    assert!(text.contains("broke off after 0 frames"), "{text}");
}

#[test]
#[cfg(feature = "gst")]
fn each_door_says_in_its_own_words_what_a_video_needs() {
    let folder = tempfile::tempdir().unwrap();
    let video = root().join("recordings/demo-video/video.mkv").display().to_string();
    let out = folder.path().join("out").display().to_string();
    let by_flags = error_of(&skyfix(&["replay", &video, "--map", &map(), "--out", &out, "--no-viewer"], &[]));
    assert!(by_flags.contains("give --hfov, --calibration or "), "{by_flags}");
    let file = folder.path().join("flight.toml");
    std::fs::write(&file, format!("[source]\nkind = \"video\"\npath = '{video}'\n[map]\npath = '{}'\n", map())).unwrap();
    let by_file = error_of(&skyfix(&["run", &file.display().to_string(), "--out", &out], &[]));
    assert!(by_file.contains("give [source.camera] hfov_deg, [source.camera] calibration or "), "{by_file}");
    assert!(!by_file.contains("--hfov"), "{by_file}");
}

#[test]
fn both_doors_refuse_the_same_and_give_the_same_bytes() {
    let folder = copy_of_the_recording();
    let source = folder.path().display().to_string();
    let file = folder.path().join("pipeline.toml");
    let text = format!(
        "[source]\nkind = \"recording\"\npath = '{source}'\n[map]\npath = '{}'\n[sinks]\nrrd = false\n\
         [match]\nplaces = 4\n[filter]\nodometry = \"on\"\nspeed_sigma_m_s = 9.0\nnoise.lean_jitter = 0.03\n",
        map()
    );
    let at = |name: &str| folder.path().join(name).display().to_string();
    let by_file = |matching: &str, out: &str| {
        std::fs::write(&file, text.replace("[match]\nplaces", matching)).unwrap();
        skyfix(&["run", &file.display().to_string(), "--out", &at(out)], &[])
    };
    let by_command = |more: &[&str], out: &str| {
        let settings = ["--set", "match.places=4", "--set", "filter.speed_sigma_m_s=9", "--set", "filter.noise.lean_jitter=0.03"];
        let (map, out) = (map(), at(out));
        let arguments = ["replay", &source, "--map", &map, "--out", &out, "--no-viewer", "--odometry", "on"];
        skyfix(&[&arguments[..], &settings, more].concat(), &[])
    };
    let (file_run, command_run) = (by_file("[match]\nplaces", "a"), by_command(&[], "b"));
    assert!(file_run.status.success(), "{}", String::from_utf8_lossy(&file_run.stderr));
    assert!(command_run.status.success(), "{}", String::from_utf8_lossy(&command_run.stderr));
    for name in ["fixes.csv", "track.csv", "track_smoothed.csv"] {
        let read = |which: &str| std::fs::read(folder.path().join(which).join(name)).unwrap();
        assert_eq!(read("a"), read("b"), "{name}");
    }
    let refused = error_of(&by_command(&["-w", "65"], "c"));
    assert!(refused.contains("--workers 65: give 1 to 64"), "{refused}");
    let refused = error_of(&by_file("[match]\nworkers = 65\nplaces", "d"));
    assert!(refused.contains("workers = 65: give 1 to 64"), "{refused}");
}

#[test]
fn an_index_that_must_not_lie_beside_its_map_lies_in_the_cache_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("maps")).unwrap();
    image::RgbImage::from_fn(200, 200, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x + y) as u8]))
        .save(at("a.png"))
        .unwrap();
    std::fs::write(at("a.pgw"), "0.4\n0\n0\n-0.4\n500000\n5240000\n").unwrap();
    std::fs::write(at("a.prj"), "EPSG:32632").unwrap();
    let built = skyfix(&["map", "build", at("a.png").to_str().unwrap(), "-o", at("maps/m.mbtiles").to_str().unwrap()], &[]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::create_dir_all(at("flight/photos")).unwrap();
    std::fs::copy(recording().join("photos/000001.jpg"), at("flight/photos/000001.jpg")).unwrap();
    let flight = "[camera]\nwidth_px = 640\nheight_px = 480\nfx_px = 466.0\n[map]\npath = \"../maps/m.mbtiles\"\n";
    std::fs::write(at("flight/flight.toml"), flight).unwrap();
    let replay = || {
        let (source, out, cache) = (at("flight"), at("out"), at("cache"));
        let words = [
            "replay",
            source.to_str().unwrap(),
            "--height",
            "119",
            "--heading",
            "125",
            "--no-viewer",
            "--out",
            out.to_str().unwrap(),
        ];
        String::from_utf8_lossy(&skyfix(&words, &[("XDG_CACHE_HOME", &cache)]).stderr).into_owned()
    };
    let first = replay();
    assert!(first.contains("no index yet") && first.contains("its index is kept in") && first.contains("cache"), "{first}");
    let names = |folder: &str| -> Vec<String> {
        std::fs::read_dir(at(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("maps"), ["m.mbtiles"]);
    assert_eq!(names("cache/skyfix").len(), 1);
    let second = replay();
    assert!(!second.contains("no index yet"), "{second}");
    // One that is damaged there is made anew.
    std::fs::write(at("cache/skyfix").join(&names("cache/skyfix")[0]), "damaged").unwrap();
    let third = replay();
    assert!(third.contains("no index yet"), "{third}");
}
