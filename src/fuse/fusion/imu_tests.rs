//! An IMU that fails while the fixes are right, and fixes that are wrong while the IMU is right.

use super::tests::{ORIGIN, fix, known, position_m};
use super::*;
use crate::geo::enu_from_body;
use crate::types::{AidSourceKind, AidState, GnssSample, Plausible, SourceStatus, TrackSource};
use nalgebra::Vector3;

const HALF_NS: i64 = crate::time::NANOS_PER_SEC / 2;
const SPEED_M_S: f64 = 12.0;
/// East, level.
const HEADING_RAD: f64 = std::f64::consts::FRAC_PI_2;

/// Half a second of an aircraft that flies east, with 50 samples a second of an IMU that is off by so much, m/s² and rad/s, and its attitude.
fn half_second(half: i64, accel: f64, gyro: f64) -> TelemetryBatch {
    let sample = |k: i64| {
        // No IMU is without noise.
        let noise = if k % 2 == 0 { 0.01 } else { -0.01 };
        ImuSample {
            stamp_ns: (half - 1) * HALF_NS + k * HALF_NS / 25,
            gyro_rad_s: Vector3::new(0.0, 0.0, gyro + 0.1 * noise),
            accel_m_s2: Vector3::new(accel + noise, 0.0, -9.808),
        }
    };
    let attitude =
        AttitudeSample { stamp_ns: half * HALF_NS, enu_from_body: enu_from_body(HEADING_RAD, 0.0, 0.0), sigma_rad: 0.012 };
    TelemetryBatch { imu: (1..=25).map(sample).collect(), attitude: vec![attitude], ..TelemetryBatch::default() }
}

fn truth_m(half: i64) -> f64 {
    0.5 * SPEED_M_S * half as f64
}

/// A right fix, a few metres off in turn.
fn right(half: i64) -> Outcome {
    let off = [2.0, -3.0, 1.0, -1.0, 3.0, -2.0][(half % 6) as usize];
    fix(truth_m(half) + off, -off, 4.0)
}

fn fusion() -> Fusion {
    Fusion::new(FusionSettings::default(), TrackOptions::default(), None)
}

fn imu_of(fused: &Fused) -> SourceStatus {
    *fused.sources.iter().find(|s| s.source == AidSourceKind::Imu).unwrap()
}

#[test]
fn an_imu_that_fails_is_found_out_the_track_stays_and_it_is_used_again_after_it() {
    let mut fusion = fusion();
    for half in 1..90 {
        let fails = (40..56).contains(&half);
        let telemetry = if fails { half_second(half, 5.0, 0.5) } else { half_second(half, 0.0, 0.0) };
        let fused = fusion.step(half * HALF_NS, &telemetry, &known(), &right(half));
        let (east_m, north_m) = position_m(&fused);
        let state = fused.track.state.as_ref().unwrap();
        let sigma_m = state.covariance_en_m2[(0, 0)].max(state.covariance_en_m2[(1, 1)]).sqrt();
        let error_m = (east_m - truth_m(half)).hypot(north_m);
        assert!(error_m < 9.0 && error_m < 3.0 * sigma_m + 3.0, "{half}: {error_m} at {sigma_m}");
        let expected = if half < 5 { TrackSource::Unconfirmed } else { TrackSource::Visual };
        assert!(half < 5 || fused.track.source == expected, "{half}: {:?}", fused.track.source);
        if half < 3 {
            continue;
        }
        let state = imu_of(&fused).state;
        match half {
            8..40 | 64.. => assert_eq!(state, AidState::Active, "{half}"),
            46..56 => assert_eq!(state, AidState::Doubted, "{half}"),
            _ => {}
        }
    }
    assert_eq!((fusion.counters().restarts, fusion.counters().fixes_refused), (0, 0));
}

#[test]
fn an_imu_that_stops_is_stood_in_for_by_the_fixes() {
    let mut fusion = fusion();
    let mut last = None;
    for half in 1..70 {
        let mut telemetry = half_second(half, 0.0, 0.0);
        if half >= 30 {
            telemetry.imu.clear();
        }
        let fused = fusion.step(half * HALF_NS, &telemetry, &known(), &right(half));
        assert!((position_m(&fused).0 - truth_m(half)).abs() < 8.0, "{half}");
        last = Some(fused);
    }
    let last = last.unwrap();
    assert_eq!((imu_of(&last).state, last.track.source), (AidState::Stopped, TrackSource::Visual));
}

#[test]
fn a_wrong_place_that_goes_on_is_not_taken_for_an_imu_that_fails() {
    let mut fusion = fusion();
    for half in 1..60 {
        let outcome = if half < 40 { right(half) } else { fix(truth_m(half), 100.0, 4.0) };
        let fused = fusion.step(half * HALF_NS, &half_second(half, 0.0, 0.0), &known(), &outcome);
        assert!(position_m(&fused).1.abs() < 10.0, "{half}");
        assert!(half < 3 || imu_of(&fused).counters.doubted == 0);
    }
}

#[test]
fn fixes_that_agree_outvote_a_gnss_position_that_the_flight_began_with() {
    let mut fusion = Fusion::new(
        FusionSettings { gnss: crate::fuse::GnssUse::On, ..FusionSettings::default() },
        TrackOptions::default(),
        None,
    );
    let none = Outcome::Abstained(AbstainReason::NoCandidate);
    let mut last = None;
    for half in 1..20 {
        let (lat_deg, lon_deg) = crate::geo::EnuPlane::at(ORIGIN).lat_lon_from_ground(truth_m(half), 3_000.0);
        let gnss = vec![GnssSample { stamp_ns: half * HALF_NS, lat_deg, lon_deg, sigma_m: 3.0 }];
        let telemetry = TelemetryBatch { gnss, ..half_second(half, 0.0, 0.0) };
        let outcome = if half < 4 { none.clone() } else { right(half) };
        last = Some(fusion.step(half * HALF_NS, &telemetry, &known(), &outcome));
    }
    let last = last.unwrap();
    assert!(position_m(&last).1.abs() < 10.0 && last.track.source == TrackSource::Visual);
}

#[test]
fn whatever_made_a_filter_absurd_the_next_fixes_begin_another() {
    let mut fusion = fusion();
    for half in 1..20 {
        fusion.step(half * HALF_NS, &half_second(half, 0.0, 0.0), &known(), &right(half));
    }
    fusion.running.as_mut().unwrap().navigator.filter.state.velocity_m_s.x = f64::NAN;
    let mut sources = Vec::new();
    for half in 20..32 {
        let fused = fusion.step(half * HALF_NS, &half_second(half, 0.0, 0.0), &known(), &right(half));
        assert!(fused.track.state.as_ref().is_none_or(|s| Plausible::default().state(s)));
        sources.push(fused.track.source);
    }
    assert_eq!((fusion.counters().resets, sources[0]), (1, TrackSource::Unconfirmed));
    assert!(sources[6..].iter().all(|s| *s == TrackSource::Visual), "{sources:?}");
}

#[test]
fn a_sample_that_jumps_alone_is_left_out_and_a_jump_that_lasts_is_not() {
    let mut fusion = fusion();
    for half in 1..10 {
        fusion.step(half * HALF_NS, &half_second(half, 0.0, 0.0), &known(), &right(half));
    }
    let mut spiked = half_second(10, 0.0, 0.0);
    spiked.imu[12].accel_m_s2.y = 300.0;
    let fused = fusion.step(10 * HALF_NS, &spiked, &known(), &right(10));
    assert_eq!(imu_of(&fused).counters.gated, 1);
    assert!(fused.track.state.unwrap().velocity_enu_m_s[1].abs() < 2.0);
    let fused = fusion.step(11 * HALF_NS, &half_second(11, 60.0, 0.0), &known(), &right(11));
    // The first of them, and none when it ends: the next step tells of that.
    assert_eq!(imu_of(&fused).counters.gated, 2);
}
