use std::io::BufReader;
use std::sync::Arc;

use image::Rgb;
use nalgebra::{Matrix2, Matrix3, Matrix4, UnitQuaternion, Vector2};
use rerun::external::re_log_encoding::DecoderApp;
use rerun::external::re_log_types::LogMsg;

use super::*;
use crate::geo::{EnuPlane, Homography};
use crate::map::{BuildOptions, build};
use crate::types::{AbstainReason, Clocks, Fix, FrameMatch, FreePose, Match, StageTimes, TrackPoint, TrackState};

const HERE: Geodetic = Geodetic::ground(47.3, 9.1);

/// A map of 64 m around `HERE`.
fn map(folder: &Path) -> MapStore {
    let picture = RgbImage::from_fn(128, 128, |x, y| Rgb([(x * 2) as u8, (y * 2) as u8, 90]));
    let path = folder.join("map.png");
    picture.save(&path).unwrap();
    let corner = |e: f64, n: f64| EnuPlane::at(HERE).lat_lon_from_ground(e, n);
    let ((north, west), (south, east)) = (corner(-32.0, 32.0), corner(32.0, -32.0));
    let (dx, dy) = ((east - west) / 128.0, (south - north) / 128.0);
    std::fs::write(folder.join("map.pgw"), format!("{dx}\n0\n0\n{dy}\n{}\n{}\n", west + dx / 2.0, north + dy / 2.0)).unwrap();
    let out = folder.join("map.mbtiles");
    build(&[path], &out, &BuildOptions::default(), &|_| {}).unwrap();
    MapStore::open(&out).unwrap()
}

fn matches() -> Vec<Match> {
    let at = |x: f64, y: f64| Match {
        frame_px: [x, y],
        map_m: [(x - 80.0) * 0.2, (60.0 - y) * 0.2],
        similarity: 0.9,
        inlier: (x + y) % 20.0 == 0.0,
    };
    (0..12).flat_map(|i| (0..8).map(move |j| at(f64::from(i) * 13.0, f64::from(j) * 14.0))).collect()
}

fn fix() -> Fix {
    Fix {
        region: 0,
        camera_m: Vector2::zeros(),
        centre_m: Vector2::zeros(),
        covariance_m2: Matrix4::identity(),
        camera: HERE,
        centre: HERE,
        height_agl_m: (50.0, 1.0),
        heading_rad: (0.0, 0.05),
        tilt_rad: 0.0,
        ground_from_frame: Homography(Matrix3::new(0.2, 0.0, -16.0, 0.0, -0.2, 12.0, 0.0, 0.0, 1.0)),
        inliers: 60,
        score: 0.7,
        free: FreePose {
            camera: HERE,
            lean: Vector2::zeros(),
            covariance: Matrix4::identity(),
            lean_sigma: 0.09,
            map_sigma_m: 2.5,
        },
    }
}

fn report(ordinal: u64, outcome: Outcome) -> FrameReport {
    let located = matches!(outcome, Outcome::Fix(_));
    let state = TrackState {
        position: Geodetic { lat_deg: HERE.lat_deg + 1e-5 * ordinal as f64, ..HERE },
        height_agl_m: Some(50.0),
        velocity_enu_m_s: [0.0; 3],
        enu_from_body: UnitQuaternion::identity(),
        covariance_en_m2: Matrix2::identity(),
        sigma_u_m: 1.0,
    };
    FrameReport {
        ordinal,
        name: format!("{ordinal}.jpg"),
        stamp_ns: 1_700_000_000_000_000_000 + ordinal as i64 * 500_000_000,
        clocks: Clocks { utc_ns: Some(1_700_000_000_000_000_000 + ordinal as i64 * 500_000_000), wall_ns: None },
        matched: FrameMatch { outcome, matches: matches(), candidates: 9, score: 0.7, evidence: None, contenders: Vec::new() },
        track: TrackPoint {
            stamp_ns: 0,
            source: if located { TrackSource::Visual } else { TrackSource::Inertial },
            state: Some(state),
            fix_age_s: Some(0.0),
            nis: located.then_some(1.5),
            fix_used: located,
        },
        route: None,
        times: StageTimes::default(),
        preview: Some((Arc::new(RgbImage::from_pixel(160, 120, Rgb([90, 120, 60]))), 1.0)),
        frame_px: (160, 120),
        picture_cut_off: false,
        intake: crate::types::Intake::all(ordinal + 1),
        odometry: None,
        sources: Vec::new(),
        filter: crate::types::FusionCounters::default(),
    }
}

#[test]
fn a_recording_of_a_fix_and_an_abstention_is_complete_and_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let map = map(folder.path());
    let path = folder.path().join("flight.rrd");
    let mut truth = Truth::default();
    truth.add("0.jpg".into(), crate::recording::TruthRow { camera: HERE, centre: None });
    let mut sink = ViewerSink::create(&path, &map, &truth).unwrap();
    sink.describe("two frames").unwrap();
    sink.frame(&report(0, Outcome::Fix(Box::new(fix())))).unwrap();
    sink.frame(&report(1, Outcome::Abstained(AbstainReason::Ambiguous))).unwrap();
    let mut blind = report(2, Outcome::Abstained(AbstainReason::Unreadable));
    (blind.preview, blind.frame_px, blind.matched.matches) = (None, (0, 0), Vec::new());
    blind.track.state = None;
    sink.frame(&blind).unwrap();
    sink.finish().unwrap();
    sink.finish().unwrap();

    let file = BufReader::new(std::fs::File::open(&path).unwrap());
    let messages: Vec<LogMsg> = DecoderApp::decode_eager(file).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(messages.iter().any(|m| matches!(m, LogMsg::BlueprintActivationCommand(_))), "no layout");
    let entities: std::collections::BTreeSet<String> = messages
        .iter()
        .filter_map(|message| match message {
            LogMsg::ArrowMsg(_, message) => message.batch.schema().metadata().get("rerun:entity_path").cloned(),
            _ => None,
        })
        .collect();
    let timelines = |name: &str| {
        let has = |m: &&LogMsg| matches!(m, LogMsg::ArrowMsg(_, m) if m.batch.schema().field_with_name(name).is_ok());
        messages.iter().filter(has).count()
    };
    assert!(timelines(UTC) > 0 && timelines(WALL) == 0, "{} {}", timelines(UTC), timelines(WALL));
    let wanted = [
        scene::path::IMAGE,
        scene::path::TRACK,
        scene::path::FIXES,
        scene::path::FOOTPRINT,
        scene::path::ABSTAINED,
        "/pair/lines",
        "/pair/map/image",
        text::EVENTS,
        "/plots/error/fix",
    ];
    for entity in wanted {
        assert!(entities.contains(entity), "{entity} is not in {entities:?}");
    }
}

#[test]
fn a_recording_that_cannot_be_written_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let map = map(folder.path());
    let create = |path: &Path| ViewerSink::create(path, &map, &Truth::default());
    let missing = folder.path().join("nowhere").join("flight.rrd");
    let error = create(&missing).err().unwrap().to_string();
    assert!(error.contains("nowhere/flight.rrd"), "{error}");
    // A device that is always full.
    let full = Path::new("/dev/full");
    if full.exists() {
        let error = create(full).and_then(|mut sink| sink.finish()).err().unwrap().to_string();
        assert!(error.contains("/dev/full") && error.contains("No space left"), "{error}");
    }
}
