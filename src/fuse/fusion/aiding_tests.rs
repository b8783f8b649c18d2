//! Barometer, GNSS and standing on the ground, between the frames of a flight.

use super::tests::{ORIGIN, SMOOTHED, fix, known, position_m, second};
use super::*;
use crate::fuse::GnssUse;
use crate::geo::EnuPlane;
use crate::types::{AidSourceKind, AidState, BarometerSample, GnssSample, LandedSample, SourceStatus, TrackSource};
use nalgebra::Vector3;

const NO_FIX: Outcome = Outcome::Abstained(AbstainReason::NoCandidate);
const SPEED_M_S: f64 = 10.0;

fn by_gnss(gnss: GnssUse) -> Fusion {
    Fusion::new(FusionSettings { gnss, ..FusionSettings::default() }, SMOOTHED, None)
}

/// A position of GNSS on a way to the east, so far beside it, metres.
fn gnss(stamp_ns: i64, beside_m: f64) -> GnssSample {
    let (lat_deg, lon_deg) = EnuPlane::at(ORIGIN).lat_lon_from_ground(SPEED_M_S * stamp_ns as f64 * 1e-9, beside_m);
    GnssSample { stamp_ns, lat_deg, lon_deg, sigma_m: 2.0 }
}

/// A second with two positions of GNSS, neither at the frame; the first is of use.
fn positions(t: usize, beside_m: f64) -> TelemetryBatch {
    let stamps = [second(t) - 700_000_000, second(t) - 200_000_000];
    TelemetryBatch { gnss: stamps.map(|stamp| gnss(stamp, beside_m)).to_vec(), ..TelemetryBatch::default() }
}

fn source(fused: &Fused, source: AidSourceKind) -> SourceStatus {
    *fused.sources.iter().find(|s| s.source == source).unwrap()
}

#[test]
fn gnss_is_taken_only_where_it_is_asked_for_and_only_for_as_long() {
    let mut off = by_gnss(GnssUse::Off);
    assert!((1..20).all(|t| off.step(second(t), &positions(t, 0.0), &known(), &NO_FIX).track.state.is_none()));
    let mut first = by_gnss("10".parse().unwrap());
    let flown: Vec<Fused> = (1..40).map(|t| first.step(second(t), &positions(t, 0.0), &known(), &NO_FIX)).collect();
    let mut sources: Vec<TrackSource> = flown.iter().map(|f| f.track.source).collect();
    sources.dedup();
    assert_eq!(sources, [TrackSource::Gnss, TrackSource::Inertial]);
    let (east_m, north_m) = position_m(&flown[9]);
    assert!((east_m - 10.0 * SPEED_M_S).abs() < 3.0 && north_m.abs() < 3.0, "{east_m} {north_m}");
    // One a second is of use.
    let status = source(&flown[38], AidSourceKind::Gnss);
    assert_eq!((status.state, status.counters.used, status.counters.starting), (AidState::Stopped, 11, 0));
    assert!("sometimes".parse::<GnssUse>().unwrap_err().contains("off, on"));
}

#[test]
fn gnss_that_comes_back_elsewhere_is_not_believed() {
    let mut fusion = by_gnss(GnssUse::On);
    let fixes = |t: usize| fix(SPEED_M_S * t as f64, 0.0, 3.0);
    for t in 1..20 {
        fusion.step(second(t), &positions(t, 0.0), &known(), &fixes(t));
    }
    for t in 20..30 {
        fusion.step(second(t), &TelemetryBatch::default(), &known(), &fixes(t));
    }
    for t in 30..60 {
        let fused = fusion.step(second(t), &positions(t, 150.0), &known(), &fixes(t));
        assert_eq!(source(&fused, AidSourceKind::Gnss).state, AidState::Starting);
        assert!(position_m(&fused).1.abs() < 5.0 && fused.track.source == TrackSource::Visual);
    }
}

#[test]
fn differential_what_is_measured_between_frames_is_smoothed_as_if_frames_were_there() {
    let outcome = |t: usize| if t.is_multiple_of(3) { fix(SPEED_M_S * t as f64, 3.0, 3.0) } else { NO_FIX };
    let telemetry: Vec<TelemetryBatch> = (1..30).map(|t| positions(t, 0.0)).collect();
    let mut between = by_gnss(GnssUse::On);
    let mut framed = by_gnss(GnssUse::On);
    let mut at_frames = Vec::new();
    for (t, batch) in (1..30).zip(&telemetry) {
        between.step(second(t), batch, &known(), &outcome(t));
        for sample in &batch.gnss {
            let one = TelemetryBatch { gnss: vec![*sample], ..TelemetryBatch::default() };
            // Of what is known of a frame nothing: it is no more than a time.
            framed.step(sample.stamp_ns, &one, &Known::default(), &NO_FIX);
            at_frames.push(false);
        }
        framed.step(second(t), &TelemetryBatch::default(), &known(), &outcome(t));
        at_frames.push(true);
    }
    let oracle: Vec<TrackPoint> =
        framed.smoothed().into_iter().zip(at_frames).filter_map(|(point, at_frame)| at_frame.then_some(point)).collect();
    let smoothed = between.smoothed();
    assert_eq!(smoothed.len(), oracle.len());
    for (a, b) in smoothed.iter().zip(&oracle).skip(1) {
        let (a, b) = (a.state.as_ref().unwrap(), b.state.as_ref().unwrap());
        assert!(
            (a.position.lat_deg - b.position.lat_deg).abs() < 1e-12 && (a.position.lon_deg - b.position.lon_deg).abs() < 1e-12
        );
        assert!((a.covariance_en_m2 - b.covariance_en_m2).norm() < 1e-9);
    }
}

#[test]
fn a_pause_goes_on_by_gnss_and_the_flight_after_it_is_smoothed() {
    let mut fusion = by_gnss(GnssUse::On);
    for t in 1..10 {
        fusion.step(second(t), &positions(t, 0.0), &known(), &NO_FIX);
    }
    for t in 10..60 {
        let (telemetry, ahead) = (positions(t, 0.0), positions(t + 1, 0.0));
        fusion.pause(&Pause { stamp_ns: second(t), telemetry, ahead });
    }
    let (frames, nodes) = fusion.window.counts();
    assert!(frames == 9 && nodes < 30, "{frames} {nodes}");
    let fused = fusion.step(second(60), &positions(60, 0.0), &known(), &NO_FIX);
    assert!((position_m(&fused).0 - 60.0 * SPEED_M_S).abs() < 3.0);
    assert_eq!((fused.track.source, fusion.smoothed().len()), (TrackSource::Gnss, 10));
}

/// A second of an aircraft at rest whose accelerometer is off by 0.3 m/s², in the air or on the ground, with a barometer that climbs.
fn at_rest(t: usize, landed: bool, alt_m: f64) -> TelemetryBatch {
    let from_ns = second(t - 1);
    let sample = |i: i64| ImuSample {
        stamp_ns: from_ns + i * 10_000_000,
        gyro_rad_s: Vector3::zeros(),
        accel_m_s2: Vector3::new(0.3, 0.0, -9.81),
    };
    TelemetryBatch {
        imu: (1..=100).map(sample).collect(),
        landed: vec![LandedSample { stamp_ns: from_ns + 500_000_000, landed }],
        barometer: vec![BarometerSample { stamp_ns: from_ns + 400_000_000, alt_m, sigma_m: 0.3 }],
        ..TelemetryBatch::default()
    }
}

#[test]
fn an_aircraft_that_stands_on_the_ground_stays_where_it_is() {
    let drift_m = |landed: bool| {
        let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 5.0)));
        let fused = (1..60).map(|t| fusion.step(second(t), &at_rest(t, landed, 0.0), &known(), &NO_FIX)).last().unwrap();
        let heard = fused.sources.iter().any(|s| s.source == AidSourceKind::ZeroVelocity);
        assert_eq!(heard, landed);
        fused
            .track
            .state
            .map_or(f64::INFINITY, |s| EnuPlane::at(ORIGIN).ground_from_lat_lon(s.position.lat_deg, s.position.lon_deg).e_m.abs())
    };
    assert!(drift_m(true) < 2.0 && drift_m(false) > 50.0, "{} {}", drift_m(true), drift_m(false));
}

#[test]
fn a_barometer_tells_a_climb_wherever_its_zero_lies() {
    let height_m = |with_barometer: bool| {
        let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 5.0)));
        for t in 1..40 {
            // The climb is 0.5 m/s and slower than this accelerometer could tell.
            let mut telemetry = at_rest(t, false, 1_234.0 + 0.5 * t as f64);
            if !with_barometer {
                telemetry.barometer.clear();
            }
            // The height is known at the start alone.
            let known = if t < 3 { known() } else { Known::default() };
            fusion.step(second(t), &telemetry, &known, &NO_FIX);
        }
        let filter = &fusion.running.as_ref().unwrap().navigator.filter;
        (filter.state.position_m.z, filter.sigma(2))
    };
    let (with, without) = (height_m(true), height_m(false));
    // 38 s of climb since the barometer was set.
    assert!((with.0 - 119.0).abs() < 3.0 && with.1 < 6.0, "{with:?}");
    assert!((without.0 - 119.0).abs() > 3.0 && without.1 > 5.0 * with.1, "{without:?}");
}

#[test]
fn what_was_counted_of_a_source_survives_a_restart() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    for t in 0..10 {
        fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    }
    let restarted = (30..80).map(|t| fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0)));
    let last = restarted.last().unwrap();
    assert!((position_m(&last).0 - 900.0).abs() < 10.0, "it has started anew");
    assert!(source(&last, AidSourceKind::Height).counters.used >= 58);
}
