//! The bundled flight through the graph and through the command: what must hold whatever the number of workers, and what bad input
//! leads to.

#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use skyfix::flow::catalogue::Catalogue;
use skyfix::flow::graph::{GraphError, GraphOptions, run_graph};
use skyfix::flow::sequential::{match_and_see, match_frame};
use skyfix::flow::stages::{Seen, way_between};
use skyfix::flow::{MatchSettings, Matcher};
use skyfix::fuse::{Fusion, FusionSettings, Odometry};
use skyfix::geo::Geodetic;
use skyfix::map::MapStore;
use skyfix::models::{DenseExtractor, Device, Manifest, OnnxDense};
use skyfix::retrieve::build::{IndexOptions, build_index};
use skyfix::retrieve::{MapIndex, index_path};
use skyfix::sink::{FrameReport, Report};
use skyfix::source::frames::collect;
use skyfix::source::{self, Flight, FrameEvent, FrameList, FrameSource, KnowledgeOptions, SourceError, VideoOptions};
use skyfix::types::{AbstainReason, Frame, Intake, Outcome, Pause, Prior, TrackPoint};

#[path = "flight/edits.rs"]
mod edits;
#[cfg(feature = "gst")]
#[path = "flight/live.rs"]
mod live;
#[path = "flight/odometry.rs"]
mod odometry;
#[path = "flight/search.rs"]
mod search;
#[path = "flight/smoothing.rs"]
mod smoothing;

const MODEL: &str = "skyfix-dense";
/// Frames of the bundled flight that these tests use.
const FRAMES: usize = 10;
const LAG: u64 = 3;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn network() -> Box<dyn DenseExtractor> {
    let manifest = Manifest::read(&root().join("models/manifest.toml")).unwrap();
    Box::new(OnnxDense::load(&manifest, MODEL, Device::Cpu, 1).unwrap())
}

/// A folder with the first photos of the bundled flight, its telemetry, and its map indexed at 0.6 m/px: made once.
fn recording() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let from = root().join("recordings/demo");
        let to = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("flight");
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(to.join("photos")).unwrap();
        for entry in std::fs::read_dir(&from).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.extension().is_none_or(|e| e != "safetensors") {
                std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
        let mut photos: Vec<PathBuf> = std::fs::read_dir(from.join("photos")).unwrap().map(|e| e.unwrap().path()).collect();
        photos.sort();
        for photo in &photos[..FRAMES] {
            std::fs::copy(photo, to.join("photos").join(photo.file_name().unwrap())).unwrap();
        }
        let map = MapStore::open(&to.join("map.mbtiles")).unwrap();
        let options = IndexOptions { finest_gsd_m: 0.6, threads: 2 };
        let index = build_index(&map, &|| Ok(network()), &options, &|_, _| {}).unwrap();
        index.save(&index_path(map.path(), MODEL)).unwrap();
        to
    })
}

fn flight() -> Flight {
    open(recording()).unwrap()
}

fn open(path: &Path) -> Result<Flight, SourceError> {
    source::open(path, &KnowledgeOptions::default(), &source::photos::CameraOptions::default(), &VideoOptions::default())
}

fn frames() -> Vec<Frame> {
    collect(flight().frames.as_mut()).unwrap()
}

fn map_and_index() -> (MapStore, MapIndex) {
    let map = MapStore::open(&recording().join("map.mbtiles")).unwrap();
    let manifest = Manifest::read(&root().join("models/manifest.toml")).unwrap();
    let model = manifest.entry(MODEL).unwrap();
    let index = MapIndex::load(&map, model, manifest.aggregation_of(model)).unwrap();
    (map, index)
}

fn matcher() -> Arc<Matcher> {
    Arc::new(Matcher::new(Arc::new(map_and_index().1), MatchSettings::default()))
}

fn options(flight: &Flight) -> GraphOptions {
    GraphOptions {
        lag: LAG,
        use_prior: true,
        previews: false,
        fusion: FusionSettings::default(),
        start: flight.start.map(|s| (s.position, s.sigma_m)),
        catalogue: Catalogue::default(),
        in_flight: None,
        stop: Arc::default(),
    }
}

fn run(workers: usize, edit: impl FnOnce(&mut GraphOptions)) -> Vec<FrameReport> {
    run_against(matcher(), workers, edit)
}

fn run_against(matcher: Arc<Matcher>, workers: usize, edit: impl FnOnce(&mut GraphOptions)) -> Vec<FrameReport> {
    let flight = flight();
    let mut options = options(&flight);
    edit(&mut options);
    let networks = (0..workers).map(|_| network()).collect();
    let mut reports = Vec::new();
    run_graph(matcher, networks, flight.frames, options, |report| {
        if let Report::Frame(frame) = report {
            reports.push(*frame);
        }
        true
    })
    .unwrap();
    reports
}

/// What must not depend on how the work was done: everything but the times.
fn essence(reports: &[FrameReport]) -> Vec<String> {
    reports.iter().map(|r| format!("{} {:?} {:?}", r.ordinal, r.matched, r.track)).collect()
}

#[test]
fn the_graph_equals_the_sequential_oracle_for_one_two_and_four_workers() {
    let flight = flight();
    let (matcher, mut network) = (matcher(), network());
    let settings = FusionSettings { odometry: Odometry::On, ..FusionSettings::default() };
    let mut fusion = Fusion::new(settings, flight.start.map(|s| (s.position, s.sigma_m)));
    let mut priors: Vec<Option<Prior>> = Vec::new();
    let mut expected = Vec::new();
    let mut before: Option<Seen> = None;
    let mut ways = 0;
    for frame in &frames() {
        let prior = frame.ordinal.checked_sub(LAG).and_then(|i| priors[i as usize]);
        let (matched, seen) = match_and_see(&matcher, frame, prior.as_ref(), None, network.as_mut());
        let way = way_between(before.as_ref(), seen.as_ref()).ok();
        before = seen;
        let fused = fusion.step_along(frame.stamp_ns, &frame.telemetry, &frame.known, &matched.outcome, way.as_ref());
        ways += usize::from(fused.displacement_used);
        priors.push(fused.prior);
        expected.push(format!("{} {matched:?} {:?}", frame.ordinal, fused.track));
    }
    assert!(expected.iter().filter(|e| e.contains("Fix(")).count() >= FRAMES - 1, "{expected:#?}");
    assert!(ways >= FRAMES - 2, "{ways}");
    for workers in [1, 2, 4] {
        assert_eq!(essence(&run(workers, |options| options.fusion = settings)), expected, "{workers} workers");
    }
}

/// Gives frames, then nothing until so many results have come, then ends one way or the other.
struct Waiting {
    frames: FrameList,
    until: usize,
    results: Arc<AtomicUsize>,
    end: Option<SourceError>,
}

impl FrameSource for Waiting {
    fn poll(&mut self) -> FrameEvent {
        match self.frames.poll() {
            FrameEvent::Ended if self.results.load(Ordering::SeqCst) < self.until => FrameEvent::Pending,
            FrameEvent::Ended => self.end.take().map_or(FrameEvent::Ended, FrameEvent::Failed),
            other => other,
        }
    }

    fn finish(&mut self) -> Result<Intake, SourceError> {
        self.frames.finish()
    }
}

fn run_waiting(until: usize, end: Option<SourceError>) -> (Vec<u64>, Result<Intake, GraphError>) {
    let results = Arc::new(AtomicUsize::new(0));
    let source = Waiting { frames: FrameList::from(frames()), until, results: Arc::clone(&results), end };
    let mut ordinals = Vec::new();
    let networks = (0..2).map(|_| network()).collect();
    let run = run_graph(matcher(), networks, source, options(&flight()), |report| {
        let Report::Frame(report) = report else { panic!("no track between frames was asked for") };
        ordinals.push(report.ordinal);
        results.fetch_add(1, Ordering::SeqCst);
        true
    });
    (ordinals, run)
}

/// Gives a pause after every frame but the last.
struct Pausing(Vec<FrameEvent>);

impl FrameSource for Pausing {
    fn poll(&mut self) -> FrameEvent {
        self.0.pop().unwrap_or(FrameEvent::Ended)
    }

    fn finish(&mut self) -> Result<Intake, SourceError> {
        Ok(Intake::all(FRAMES as u64))
    }
}

#[test]
fn a_pause_keeps_its_place_between_the_frames_and_changes_none_of_them() {
    let plain = run(2, |_| {});
    let frames = frames();
    let mut events: Vec<FrameEvent> = Vec::new();
    for pair in frames.windows(2) {
        let stamp_ns = (pair[0].stamp_ns + pair[1].stamp_ns) / 2;
        events.push(FrameEvent::Frame(Box::new(pair[0].clone())));
        events.push(FrameEvent::Pause(Box::new(Pause { stamp_ns, ..Pause::default() })));
    }
    events.extend(frames.last().cloned().map(|last| FrameEvent::Frame(Box::new(last))));
    events.reverse();
    let mut options = options(&flight());
    options.fusion.track_interval_ns = Some(100_000_000);
    let (mut stamps, mut paused, mut between) = (Vec::new(), Vec::new(), 0);
    run_graph(matcher(), (0..2).map(|_| network()).collect(), Pausing(events), options, |report| {
        match report {
            Report::Frame(frame) => {
                stamps.push(frame.stamp_ns);
                paused.push(*frame);
            }
            Report::Between(points) => {
                stamps.extend(points.iter().map(|p| p.stamp_ns));
                between += points.len();
            }
            Report::Settled(points) | Report::Smoothed(points) => panic!("nobody asked for {points:?}"),
        }
        true
    })
    .unwrap();
    assert_eq!(essence(&paused), essence(&plain));
    assert!(between >= 2 * (FRAMES - 1) && stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}

#[test]
fn results_flow_while_the_source_waits_for_more() {
    // The source waits for every result before it ends: if they waited for its end, this would never end.
    let (ordinals, run) = run_waiting(FRAMES, None);
    assert!(run.is_ok());
    assert_eq!(ordinals, (0..FRAMES as u64).collect::<Vec<_>>());
}

#[test]
fn a_source_that_fails_loses_no_frame_under_way_and_its_error_is_the_runs() {
    let (ordinals, run) = run_waiting(0, Some(SourceError::Nothing { path: "cam".into(), reason: "unplugged".into() }));
    assert_eq!(ordinals, (0..FRAMES as u64).collect::<Vec<_>>());
    let error = run.unwrap_err();
    assert!(matches!(&error, GraphError::Source(_)) && error.to_string() == "cam: unplugged", "{error}");
}

#[test]
fn a_confident_prior_narrows_the_candidates() {
    let reports = run(1, |_| {});
    let first = reports[0].matched.candidates;
    let last = reports[FRAMES - 1].matched.candidates;
    assert!(last * 4 < first, "{last} of {first}");
}

#[test]
fn a_confident_prior_goes_straight_to_fine_matching_and_what_that_leaves_open_is_looked_at_in_full() {
    let index = Arc::new(map_and_index().1);
    let full = Matcher::new(Arc::clone(&index), MatchSettings { glance_sigma_m: 0.0, ..MatchSettings::default() });
    let (quick, mut network) = (Matcher::new(index, MatchSettings::default()), network());
    let plane = full.index.regions[0].plane;
    let mut settled = 0;
    for frame in &frames() {
        let mut matched = |matcher: &Matcher, prior: &Prior| match_frame(matcher, frame, Some(prior), None, network.as_mut());
        let start = flight().start.unwrap();
        let rough = Prior {
            position: start.position,
            sigma_m: start.sigma_m,
            velocity_en_m_s: [0.0; 2],
            velocity_sigma_m_s: 0.0,
            stamp_ns: frame.stamp_ns,
        };
        let Outcome::Fix(there) = matched(&full, &rough).outcome else { continue };
        let at = |east_m: f64| {
            let (lat, lon) = plane.lat_lon_from_ground(there.camera_m[0] + east_m, there.camera_m[1]);
            Prior { position: Geodetic::ground(lat, lon), sigma_m: 5.0, ..rough }
        };
        let glance = matched(&quick, &at(3.0));
        let Outcome::Fix(fix) = &glance.outcome else { panic!("{}: {:?}", frame.name, glance.outcome) };
        // The middle of the frame tells its tilt less well than all of it.
        assert!((fix.centre_m - there.centre_m).norm() < 3.0 && (fix.camera_m - there.camera_m).norm() < 15.0, "{}", frame.name);
        settled += usize::from(glance.candidates == 1);
        // A prediction that is wrong, but sure of itself: found beside the window, or looked at in full.
        let wrong = at(55.0);
        let glance = matched(&quick, &wrong);
        match &glance.outcome {
            Outcome::Fix(fix) if glance.candidates == 1 => {
                assert!((fix.centre_m - there.centre_m).norm() < 3.0, "{}: {:?}", frame.name, fix.centre_m);
            }
            _ => assert!(glance == matched(&full, &wrong), "{}", frame.name),
        }
    }
    assert!(settled >= FRAMES / 2, "{settled} of {FRAMES}");
}

#[test]
fn a_frame_without_height_or_camera_or_pixels_abstains_and_says_why() {
    let frames = frames();
    let (matcher, mut network) = (matcher(), network());
    let with = |edit: &dyn Fn(&mut Frame)| {
        let mut frame = frames[0].clone();
        edit(&mut frame);
        frame
    };
    let grey = Arc::new(image::RgbImage::from_pixel(640, 480, image::Rgb([128, 128, 128])));
    let cases = [
        (with(&|f| f.known.height_agl_m = None), AbstainReason::NoHeight),
        (with(&|f| f.camera = None), AbstainReason::NoCamera),
        (with(&|f| f.pixels = skyfix::types::Pixels::File("/nowhere.jpg".into())), AbstainReason::Unreadable),
        (with(&|f| f.pixels = skyfix::types::Pixels::Decoded(Arc::clone(&grey))), AbstainReason::NoTexture),
    ];
    for (frame, reason) in cases {
        let outcome = match_frame(&matcher, &frame, None, None, network.as_mut()).outcome;
        assert_eq!(outcome, Outcome::Abstained(reason));
    }
}

#[test]
fn a_blurred_and_a_night_photo_are_localized_right_or_not_at_all() {
    let flight = flight();
    let (matcher, mut network) = (matcher(), network());
    let frame = &frames()[0];
    let skyfix::types::Pixels::File(path) = &frame.pixels else { panic!("a photo") };
    let image = image::open(path).unwrap().into_rgb8();
    let mut outcome_of = |image: image::RgbImage| {
        let pixels = skyfix::types::Pixels::Decoded(Arc::new(image));
        match_frame(&matcher, &Frame { pixels, ..frame.clone() }, None, None, network.as_mut()).outcome
    };
    let truth = flight.truth.at(&frame.name, frame.stamp_ns).unwrap().centre.unwrap();
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 255.0 - 0.5
    };
    let mut darkened = |gain: f32, noise_sigma: f32| {
        let mut out = image.clone();
        out.iter_mut().for_each(|v| *v = (f32::from(*v) * gain + noise() * 3.5 * noise_sigma).round().clamp(0.0, 255.0) as u8);
        out
    };
    let night = [darkened(0.25, 3.0), darkened(0.05, 4.0), darkened(0.01, 2.0)];
    let blurred = [1.5, 4.0, 12.0, 40.0].map(|sigma| image::imageops::fast_blur(&image, sigma));
    for (i, image) in night.into_iter().chain(blurred.iter().cloned()).enumerate() {
        if let Outcome::Fix(fix) = outcome_of(image) {
            let plane = skyfix::geo::EnuPlane::at(truth);
            let error = plane.ground_from_lat_lon(fix.centre.lat_deg, fix.centre.lon_deg);
            assert!(error.e_m.hypot(error.n_m) < 25.0, "case {i}: {error:?}");
        }
    }
    assert_eq!(outcome_of(blurred[3].clone()), Outcome::Abstained(AbstainReason::Blurred));
}

fn skyfix(arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    let mut command = assert_cmd::Command::cargo_bin("skyfix").unwrap();
    command.current_dir(root()).args(arguments);
    for (name, value) in environment {
        command.env(name, value);
    }
    command.output().unwrap()
}

fn error_of(output: &Output) -> String {
    assert_ne!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// A copy of the recording in a folder of its own, the map and its index by link.
fn copy_of_the_recording() -> tempfile::TempDir {
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

fn map() -> String {
    recording().join("map.mbtiles").display().to_string()
}

fn replay(source: &Path, out: &Path) -> Output {
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
    assert!(rows[1].contains(",abstained,") && rows[1].ends_with(",unreadable"), "{fixes}");
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
