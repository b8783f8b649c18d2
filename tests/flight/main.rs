//! The bundled flight through the graph and through the command: what must hold whatever the number of workers, and what bad input
//! leads to.

#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skyfix::flow::catalogue::Catalogue;
use skyfix::flow::graph::{GraphError, GraphOptions, run_graph};
use skyfix::fuse::{Fusion, FusionSettings, Odometry, TrackOptions};
use skyfix::geo::Geodetic;
use skyfix::localize::sequential::{match_and_view, match_frame};
use skyfix::localize::{FrameView, Localizer, MatchSettings, register_frames};
use skyfix::map::MapStore;
use skyfix::models::Manifest;
use skyfix::recording::FileError;
use skyfix::retrieve::MapIndex;
use skyfix::source::frames::collect;
use skyfix::source::{self, Flight, FrameEvent, FrameList, FrameSource, KnowledgeOptions, SourceError, VideoOptions};
use skyfix::types::{AbstainReason, Frame, FrameReport, Intake, Outcome, Pause, Prior, Report, TrackPoint};

mod acceptance;
#[path = "../support/bundled.rs"]
mod bundled;
mod command;
mod edits;
mod faults;
mod golden;
mod killed;
#[cfg(feature = "gst")]
mod live;
mod odometry;
mod search;
mod sensors;
mod smoothing;

use bundled::{FRAMES, MODEL, map, network, recording, root};

const LAG: u64 = 3;

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

/// The map of these tests is indexed coarsely and not described in detail, so that they stay short: little speaks for a right place there. They
/// are about what is done with places, not about which to believe.
fn credulous() -> MatchSettings {
    let mut settings = MatchSettings { places: 5, ..MatchSettings::default() };
    settings.evidence.max_p_wrong = 0.999;
    settings
}

fn localizer() -> Arc<Localizer> {
    Arc::new(Localizer::new(Arc::new(map_and_index().1), credulous()))
}

fn options(flight: &Flight) -> GraphOptions {
    GraphOptions {
        lag: LAG,
        use_prior: true,
        previews: false,
        fusion: FusionSettings::default(),
        track: TrackOptions::default(),
        start: flight.start.map(|s| (s.position, s.sigma_m)),
        catalogue: Catalogue::default(),
        in_flight: None,
        stop: Arc::default(),
    }
}

fn run(workers: usize, edit: impl FnOnce(&mut GraphOptions)) -> Vec<FrameReport> {
    run_against(localizer(), workers, edit)
}

fn run_against(localizer: Arc<Localizer>, workers: usize, edit: impl FnOnce(&mut GraphOptions)) -> Vec<FrameReport> {
    let flight = flight();
    let mut options = options(&flight);
    edit(&mut options);
    let networks = (0..workers).map(|_| network()).collect();
    let mut reports = Vec::new();
    run_graph(localizer, networks, flight.frames, options, |report| {
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
    let (localizer, mut network) = (localizer(), network());
    let settings = FusionSettings { odometry: Odometry::On, ..FusionSettings::default() };
    let mut fusion = Fusion::new(settings, TrackOptions::default(), flight.start.map(|s| (s.position, s.sigma_m)));
    let mut priors: Vec<Option<Prior>> = Vec::new();
    let mut expected = Vec::new();
    let mut before: Option<FrameView> = None;
    let mut ways = 0;
    for frame in &frames() {
        let prior = frame.ordinal.checked_sub(LAG).and_then(|i| priors[i as usize]);
        let (matched, seen) = match_and_view(&localizer, frame, prior.as_ref(), None, network.as_mut());
        let way = register_frames(before.as_ref(), seen.as_ref()).ok();
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
    let run = run_graph(localizer(), networks, source, options(&flight()), |report| {
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
    options.track.interval_ns = Some(100_000_000);
    let (mut stamps, mut paused, mut between) = (Vec::new(), Vec::new(), 0);
    run_graph(localizer(), (0..2).map(|_| network()).collect(), Pausing(events), options, |report| {
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
    let (ordinals, run) = run_waiting(0, Some(FileError::Nothing { path: "cam".into(), reason: "unplugged".into() }.into()));
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
    let full = Localizer::new(Arc::clone(&index), MatchSettings { early_exit: false, ..credulous() });
    let (quick, mut network) = (Localizer::new(index, credulous()), network());
    let plane = full.index.regions[0].plane;
    let mut settled = 0;
    for frame in &frames() {
        let mut matched =
            |localizer: &Localizer, prior: &Prior| match_frame(localizer, frame, Some(prior), None, network.as_mut());
        let start = flight().start.unwrap();
        let unknown = skyfix::types::Estimate { value: 0.0, sigma: 1e3 };
        let rough = Prior {
            position: start.position,
            sigma_m: start.sigma_m,
            velocity_en_m_s: [0.0; 2],
            velocity_sigma_m_s: 0.0,
            stamp_ns: frame.stamp_ns,
            height_agl_m: unknown,
            climb_m_s: unknown,
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
    let (localizer, mut network) = (localizer(), network());
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
        let outcome = match_frame(&localizer, &frame, None, None, network.as_mut()).outcome;
        assert_eq!(outcome, Outcome::Abstained(reason));
    }
}

#[test]
fn a_blurred_and_a_night_photo_are_localized_right_or_not_at_all() {
    let flight = flight();
    let (localizer, mut network) = (localizer(), network());
    let frame = &frames()[0];
    let skyfix::types::Pixels::File(path) = &frame.pixels else { panic!("a photo") };
    let image = image::open(path).unwrap().into_rgb8();
    let mut outcome_of = |image: image::RgbImage| {
        let pixels = skyfix::types::Pixels::Decoded(Arc::new(image));
        match_frame(&localizer, &Frame { pixels, ..frame.clone() }, None, None, network.as_mut()).outcome
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
    let mut command = bundled::command();
    command.args(arguments);
    for (name, value) in environment {
        command.env(name, value);
    }
    command.output().unwrap()
}
