//! Flights, the points between their frames, and the plane that goes along.

use super::*;
pub(super) use crate::fuse::made_fix::ORIGIN;
use crate::fuse::made_fix::made_fix;
use crate::geo::EnuPlane;
use crate::types::{Estimate, TrackSource};
use nalgebra::{Vector2, Vector3};

/// The whole flight is smoothed at its end.
pub(super) const SMOOTHED: TrackOptions = TrackOptions { interval_ns: None, smoothing: Smoothing::Flight };

pub(super) fn fix(e_m: f64, n_m: f64, sigma_m: f64) -> Outcome {
    Outcome::Fix(Box::new(made_fix(e_m, n_m, sigma_m)))
}

pub(super) fn known() -> Known {
    Known { height_agl_m: Some(Estimate { value: 100.0, sigma: 3.0 }), ..Known::default() }
}

pub(super) fn second(t: usize) -> i64 {
    t as i64 * crate::time::NANOS_PER_SEC
}

pub(super) fn position_m(fused: &Fused) -> (f64, f64) {
    let p = fused.track.state.as_ref().unwrap().position;
    let enu = EnuPlane::at(ORIGIN).ground_from_lat_lon(p.lat_deg, p.lon_deg);
    (enu.e_m, enu.n_m)
}

#[test]
fn a_straight_flight_is_followed_and_predicted() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    let mut last = None;
    for t in 0..30 {
        last = Some(fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(10.0 * t as f64, 5.0 * t as f64, 4.0)));
    }
    let last = last.unwrap();
    let (e, n) = position_m(&last);
    assert!((e - 290.0).abs() < 5.0 && (n - 145.0).abs() < 5.0);
    let (ahead, _) = last.prior.unwrap().at(second(31));
    let enu = EnuPlane::at(ORIGIN).ground_from_lat_lon(ahead.lat_deg, ahead.lon_deg);
    assert!((enu.e_m - 310.0).abs() < 12.0, "{}", enu.e_m);
}

#[test]
fn without_fixes_the_sigma_grows_the_source_says_so_and_in_the_end_it_is_lost() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 5.0)));
    let mut sources = Vec::new();
    let mut sigma = 0.0;
    fusion.step(0, &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    for t in 1..120 {
        let out = fusion.step(second(t), &TelemetryBatch::default(), &known(), &Outcome::Abstained(AbstainReason::Ambiguous));
        if let Some(state) = &out.track.state {
            let now = state.covariance_en_m2[(0, 0)].sqrt();
            assert!(now >= sigma);
            sigma = now;
        }
        sources.push(out.track.source);
    }
    sources.dedup();
    assert_eq!(sources, [TrackSource::Visual, TrackSource::Inertial, TrackSource::Lost]);
}

#[test]
fn a_fix_that_is_no_number_changes_nothing() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 5.0)));
    fusion.step(0, &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    let before = position_m(&fusion.step(second(1), &TelemetryBatch::default(), &known(), &fix(f64::NAN, 0.0, 4.0)));
    assert!(before.0.is_finite());
    assert_eq!(fusion.counters().fixes_refused, 1);
}

/// Samples of a level aircraft that turns slowly, at 100 Hz, after one time up to another, hundredths of a second.
pub(super) fn imu(after: usize, until: usize) -> TelemetryBatch {
    let sample = |t: usize| ImuSample {
        stamp_ns: t as i64 * crate::time::NANOS_PER_SEC / 100,
        gyro_rad_s: Vector3::new(0.0, 0.01, 0.05),
        accel_m_s2: Vector3::new(0.1, 0.3, -9.81),
    };
    TelemetryBatch { imu: (after + 1..=until).map(sample).collect(), ..TelemetryBatch::default() }
}

fn with_points_every(hundredths: i64) -> Fusion {
    let interval_ns = Some(hundredths * crate::time::NANOS_PER_SEC / 100);
    Fusion::new(FusionSettings::default(), TrackOptions { interval_ns, ..TrackOptions::default() }, Some((ORIGIN, 5.0)))
}

#[test]
fn points_between_frames_lie_on_the_first_frames_grid_and_change_nothing() {
    let (mut plain, mut dense) =
        (Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 5.0))), with_points_every(20));
    let mut between = Vec::new();
    for (before, t) in [(0, 10), (10, 50), (50, 95), (95, 400)] {
        let at = t as i64 * crate::time::NANOS_PER_SEC / 100;
        let one = plain.step(at, &imu(before, t), &known(), &fix(0.0, 0.0, 4.0));
        let two = dense.step(at, &imu(before, t), &known(), &fix(0.0, 0.0, 4.0));
        assert_eq!((&one.track, &one.prior), (&two.track, &two.prior));
        between.push(two.between.iter().map(|p| p.stamp_ns / 10_000_000).collect::<Vec<_>>());
    }
    assert_eq!(between[..3], [vec![], vec![30], vec![70, 90]]);
    assert_eq!(between[3], (110..400).step_by(20).collect::<Vec<_>>());
}

#[test]
fn a_long_gap_is_lost_and_the_night_between_two_flights_is_no_outage() {
    let mut fusion = with_points_every(100);
    fusion.step(0, &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    let abstained = Outcome::Abstained(AbstainReason::Ambiguous);
    let hour = fusion.step(second(3600), &TelemetryBatch::default(), &known(), &abstained).between;
    assert_eq!((hour.len(), hour.last().map(|p| p.source)), (3599, Some(TrackSource::Lost)));
    assert!(fusion.step(second(90_000), &TelemetryBatch::default(), &known(), &abstained).between.is_empty());
}

#[test]
fn a_pause_tells_the_points_as_time_goes_by_and_what_follows_is_the_same_to_the_last_bit() {
    let at = |t: usize| t as i64 * crate::time::NANOS_PER_SEC / 100;
    let (mut late, mut live) = (with_points_every(50), with_points_every(50));
    for fusion in [&mut late, &mut live] {
        fusion.step(at(0), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    }
    let mut told = Vec::new();
    // Each pause settles what is over two seconds old.
    for now in (100..=1000).step_by(50) {
        let (settled, before) = (now.max(200) - 200, now.max(250) - 250);
        let pause = Pause { stamp_ns: at(now), telemetry: imu(before, settled), ahead: imu(settled, now) };
        told.extend(live.pause(&pause));
    }
    let abstained = Outcome::Abstained(AbstainReason::Ambiguous);
    let live = live.step(at(1013), &imu(800, 1013), &known(), &abstained);
    let late = late.step(at(1013), &imu(0, 1013), &known(), &abstained);
    assert_eq!((&live.track, &live.prior), (&late.track, &late.prior));
    told.extend(live.between);
    assert_eq!(told, late.between);
    let mut sources: Vec<_> = told.iter().map(|p| p.source).collect();
    sources.dedup();
    assert_eq!(sources, [TrackSource::Visual, TrackSource::Inertial]);
    let sigma = |p: &TrackPoint| p.state.as_ref().unwrap().covariance_en_m2[(0, 0)];
    assert!(told.windows(2).all(|w| sigma(&w[1]) > sigma(&w[0])));
}

pub(super) fn place_of(point: &TrackPoint) -> Vector2<f64> {
    let p = point.state.as_ref().unwrap().position;
    let enu = EnuPlane::at(ORIGIN).ground_from_lat_lon(p.lat_deg, p.lon_deg);
    Vector2::new(enu.e_m, enu.n_m)
}

#[test]
fn a_plane_that_moves_along_changes_no_more_than_what_the_earth_bends() {
    let planes = |reanchor_m: f64| Fusion::new(FusionSettings { reanchor_m, ..FusionSettings::default() }, SMOOTHED, None);
    let (mut moved, mut still) = (planes(150.0), planes(f64::INFINITY));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for t in 0..120 {
        let outcome = if t % 5 == 4 { fix(900.0, 900.0, 4.0) } else { fix(15.0 * t as f64, 11.0 * t as f64, 4.0) };
        let telemetry = imu(100 * t.max(1) - 100, 100 * t);
        a.push(moved.step(second(t), &telemetry, &known(), &outcome).track);
        b.push(still.step(second(t), &telemetry, &known(), &outcome).track);
    }
    assert_eq!(moved.counters(), still.counters());
    for (a, b) in a.iter().zip(&b).chain(moved.smoothed().iter().zip(&still.smoothed())) {
        let (p, q) = (a.state.as_ref().unwrap(), b.state.as_ref().unwrap());
        assert!((place_of(a) - place_of(b)).norm() < 0.02, "{} {}", place_of(a), place_of(b));
        assert!((p.covariance_en_m2 - q.covariance_en_m2).norm() < 1e-2 * q.covariance_en_m2.norm());
    }
}

#[test]
fn two_hundred_kilometres_along_a_parallel_the_heading_is_still_true() {
    let from = Geodetic::ground(60.0, 8.0);
    let mut fusion = Fusion::new(FusionSettings::default(), SMOOTHED, None);
    let mut last = None;
    // 40 m/s to the east: the tangent's north would be 3 degrees off in the end.
    for t in 0..5000 {
        let Outcome::Fix(mut fix) = fix(0.0, 0.0, 3.0) else { return };
        let lon_deg = from.lon_deg + 40.0 * t as f64 / (6_387_000.0 * 60f64.to_radians().cos()).to_radians();
        (fix.camera, fix.free.camera) = (Geodetic::ground(60.0, lon_deg), Geodetic::ground(60.0, lon_deg));
        last = Some((fusion.step(second(t), &TelemetryBatch::default(), &known(), &Outcome::Fix(fix)), lon_deg));
    }
    let (fused, lon_deg) = last.unwrap();
    let state = fused.track.state.unwrap();
    let off = EnuPlane::at(Geodetic::ground(60.0, lon_deg)).ground_from_lat_lon(state.position.lat_deg, state.position.lon_deg);
    assert!(off.e_m.hypot(off.n_m) < 5.0, "{off:?}");
    let [east, north, _] = state.velocity_enu_m_s;
    assert!((east - 40.0).abs() < 3.0 && north.abs() < 1.0, "{east} {north}");
    assert_eq!(fusion.counters().restarts + fusion.counters().fixes_gated, 0);
    assert_eq!(fusion.smoothed().iter().filter(|p| p.state.is_some()).count(), 5000);
}
