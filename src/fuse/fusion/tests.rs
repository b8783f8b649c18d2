use super::initialise::ANYWHERE_SIGMA_M;
use super::*;
use crate::geo::{EnuPlane, Homography};
use crate::types::{Estimate, FreePose, TrackSource};
use nalgebra::{Matrix4, Vector2, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(super) const ORIGIN: Geodetic = Geodetic::ground(47.0, 8.0);
/// The whole flight is smoothed at its end.
pub(super) const SMOOTHED: TrackOptions = TrackOptions { interval_ns: None, smoothing: Smoothing::Flight };

pub(super) fn fix(e_m: f64, n_m: f64, sigma_m: f64) -> Outcome {
    let (lat, lon) = EnuPlane::at(ORIGIN).lat_lon_from_ground(e_m, n_m);
    Outcome::Fix(Box::new(Fix {
        region: 0,
        camera_m: Vector2::new(e_m, n_m),
        centre_m: Vector2::new(e_m, n_m),
        covariance_m2: Matrix4::identity() * sigma_m * sigma_m,
        camera: Geodetic::ground(lat, lon),
        centre: Geodetic::ground(lat, lon),
        height_agl_m: (100.0, 3.0),
        heading_rad: (0.5, 0.05),
        tilt_rad: 0.0,
        ground_from_frame: Homography::identity(),
        inliers: 100,
        score: 0.5,
        free: FreePose {
            camera: Geodetic::ground(lat, lon),
            lean: Vector2::zeros(),
            covariance: Matrix4::from_diagonal(&nalgebra::Vector4::new(sigma_m * sigma_m, sigma_m * sigma_m, 1e-3, 1e-3)),
            lean_sigma: 0.09,
            map_sigma_m: 2.5,
        },
    }))
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
fn a_single_wrong_fix_is_gated_and_those_that_agree_restart_once_the_filter_is_not_sure_of_its_place() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    for t in 0..10 {
        fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    }
    let wrong = fusion.step(second(10), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0));
    assert!(!wrong.track.fix_used && position_m(&wrong).0.abs() < 10.0);
    fusion.step(second(11), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    for t in 12..40 {
        let before = fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0));
        if before.track.fix_used {
            break;
        }
        // However many agree: three sigma of the filter are less than 50 m for some seconds.
        assert!(t < 35 && position_m(&before).0.abs() < 50.0);
        assert!(before.track.state.unwrap().covariance_en_m2[(0, 0)].sqrt() < 30.0);
    }
    assert_eq!(fusion.counters().restarts, 1);
    assert!(fusion.counters().fixes_gated > 4);
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
fn imu(after: usize, until: usize) -> TelemetryBatch {
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

/// Frames at a known height of a camera that leans, over a map that lies off: the matches tell the image centre well, the lean badly, and
/// the camera's position as badly as the lean. Returns each frame's result and true place.
fn leaning_flight(fusion: &mut Fusion, seed: u64, frames: usize) -> Vec<(Fused, Vector2<f64>)> {
    const HEIGHT_M: f64 = 100.0;
    const LEAN_NOISE: f64 = 0.05;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| rng.random::<f64>() - 0.5).sum::<f64>();
    let lean = Vector2::new(normal(), normal()) * 0.09;
    let offset_m = Vector2::new(normal(), normal()) * 2.5;
    let mut out = Vec::new();
    let mut walk = lean;
    for t in 0..frames {
        let truth = Vector2::new(8.0, 3.0) * t as f64;
        walk += Vector2::new(normal(), normal()) * 1.1e-3;
        let error = Vector2::new(normal(), normal()) * LEAN_NOISE;
        let jitter = Vector2::new(normal(), normal()) * 0.0175;
        let place = truth + offset_m - error * HEIGHT_M + Vector2::new(normal(), normal());
        let (a, b) = (LEAN_NOISE * LEAN_NOISE, HEIGHT_M * LEAN_NOISE * LEAN_NOISE);
        let mut covariance = Matrix4::zeros();
        for i in 0..2 {
            covariance[(i, i)] = HEIGHT_M * b + 1.0;
            covariance[(i + 2, i + 2)] = a;
            (covariance[(i, i + 2)], covariance[(i + 2, i)]) = (-b, -b);
        }
        let Outcome::Fix(mut one) = fix(place.x, place.y, 9.0) else { unreachable!() };
        one.free = FreePose { lean: walk + jitter + error, covariance, ..one.free };
        out.push((fusion.step(second(t), &TelemetryBatch::default(), &known(), &Outcome::Fix(one)), truth));
    }
    out
}

/// Squared error of a track point in units of its own covariance.
fn normalised_squared(point: &TrackPoint, truth: Vector2<f64>) -> f64 {
    let state = point.state.as_ref().unwrap();
    let error = place_of(point) - truth;
    (error.transpose() * state.covariance_en_m2.try_inverse().unwrap() * error)[(0, 0)]
}

fn place_of(point: &TrackPoint) -> Vector2<f64> {
    let p = point.state.as_ref().unwrap().position;
    let enu = EnuPlane::at(ORIGIN).ground_from_lat_lon(p.lat_deg, p.lon_deg);
    Vector2::new(enu.e_m, enu.n_m)
}

#[test]
fn errors_that_all_fixes_share_leave_the_stated_uncertainty_honest() {
    const FLIGHTS: u64 = 150;
    let (mut live, mut smoothed) = (0.0, 0.0);
    for seed in 0..FLIGHTS {
        let mut fusion = Fusion::new(FusionSettings::default(), SMOOTHED, None);
        let flight = leaning_flight(&mut fusion, seed, 40);
        let (last, truth) = flight.last().unwrap();
        live += normalised_squared(&last.track, *truth);
        smoothed += normalised_squared(&fusion.smoothed()[15], flight[15].1);
    }
    // Chi-squared of two dimensions: its mean over 150 flights lies within four sigma of 2.
    for (name, sum) in [("live", live), ("smoothed", smoothed)] {
        let mean = sum / FLIGHTS as f64;
        assert!((mean - 2.0).abs() < 0.65, "{name}: normalised squared error {mean}");
    }
}

#[test]
fn a_lean_is_found_from_many_frames_that_each_tell_it_badly_and_the_smoother_tells_the_first_of_them() {
    let mut error = [0.0; 3];
    const FLIGHTS: u64 = 40;
    for seed in 0..FLIGHTS {
        let mut fusion = Fusion::new(FusionSettings::default(), SMOOTHED, None);
        let flight = leaning_flight(&mut fusion, seed, 60);
        let of = |point: &TrackPoint, frame: usize| (place_of(point) - flight[frame].1).norm() / FLIGHTS as f64;
        error[0] += of(&flight[0].0.track, 0);
        error[1] += of(&flight[59].0.track, 59);
        error[2] += of(&fusion.smoothed()[0], 0);
    }
    // What is left of it is the map's offset.
    let [first, last, first_smoothed] = error;
    assert!(last < 0.7 * first && last < 5.0 && first_smoothed < 0.7 * first, "{error:?}");
}

/// Weighted least squares over all frames at once: position, velocity, lean and map offset along one axis.
fn batch_positions(places: &[(f64, f64)], covariance: &nalgebra::Matrix2<f64>, settings: &FusionSettings) -> Vec<f64> {
    use nalgebra::{DMatrix, DVector, Matrix4x2};
    let n = settings.noise;
    let size = 4 * places.len();
    let (mut information, mut right) = (DMatrix::<f64>::zeros(size, size), DVector::<f64>::zeros(size));
    // Before the first frame: anywhere, with what is known of speed, lean and map.
    let first = [ANYWHERE_SIGMA_M, settings.speed_sigma_m_s, 0.09, 2.5];
    for (i, sigma) in first.into_iter().enumerate() {
        information[(i, i)] += 1.0 / (sigma * sigma);
    }
    right[0] += places[0].0 / (ANYWHERE_SIGMA_M * ANYWHERE_SIGMA_M);
    let jitter = nalgebra::Matrix2::new(0.0, 0.0, 0.0, n.lean_jitter * n.lean_jitter);
    let weight = (covariance + jitter).try_inverse().unwrap();
    let h = Matrix4x2::new(1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0).transpose();
    let kept = (-1.0 / n.map_offset_time_s).exp();
    let q = n.unmeasured_accel * n.unmeasured_accel;
    let noise = Matrix4::new(
        q / 3.0,
        q / 2.0,
        0.0,
        0.0,
        q / 2.0,
        q,
        0.0,
        0.0,
        0.0,
        0.0,
        n.lean_walk * n.lean_walk,
        0.0,
        0.0,
        0.0,
        0.0,
        2.5 * 2.5 * (1.0 - kept * kept),
    );
    let f = Matrix4::new(1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, kept);
    let step = noise.try_inverse().unwrap();
    for (k, (place, lean)) in places.iter().enumerate() {
        let measured = h.transpose() * weight * nalgebra::Vector2::new(*place, *lean);
        let own = h.transpose() * weight * h;
        let mut add = |a: usize, b: usize, m: &Matrix4<f64>| {
            let mut block = information.view_mut((4 * a, 4 * b), (4, 4));
            block += m;
        };
        add(k, k, &own);
        if k + 1 < places.len() {
            add(k, k, &(f.transpose() * step * f));
            add(k, k + 1, &-(f.transpose() * step));
            add(k + 1, k, &-(step * f));
            add(k + 1, k + 1, &step);
        }
        let mut part = right.rows_mut(4 * k, 4);
        part += measured;
    }
    let solution = information.cholesky().unwrap().solve(&right);
    (0..places.len()).map(|k| solution[4 * k]).collect()
}

#[test]
fn the_smoother_equals_least_squares_over_the_whole_flight() {
    let mut settings = FusionSettings::default();
    settings.sources.visual.aid.gate = f64::INFINITY;
    let mut fusion = Fusion::new(settings, SMOOTHED, None);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (a, b) = (0.05f64.powi(2), 100.0 * 0.05f64.powi(2));
    let covariance = nalgebra::Matrix2::new(100.0 * b + 1.0, -b, -b, a);
    let mut places = Vec::new();
    for t in 0..14 {
        let (place, lean) = (8.0 * t as f64 + 5.0 * rng.random::<f64>(), 0.05 + 0.05 * rng.random::<f64>());
        places.push((place, lean));
        let mut all = Matrix4::zeros();
        for i in 0..2 {
            for (r, c) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                all[(2 * r + i, 2 * c + i)] = covariance[(r, c)];
            }
        }
        let Outcome::Fix(mut one) = fix(place, 0.0, 9.0) else { unreachable!() };
        one.free = FreePose { lean: Vector2::new(lean, 0.0), covariance: all, ..one.free };
        fusion.step(second(t), &TelemetryBatch::default(), &known(), &Outcome::Fix(one));
    }
    let expected = batch_positions(&places, &covariance, &settings);
    for (point, east_m) in fusion.smoothed().iter().zip(expected) {
        let found = place_of(point).x;
        assert!((found - east_m).abs() < 1e-3, "{found} {east_m}");
    }
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

#[test]
fn a_place_is_settled_once_by_what_follows_within_the_lag() {
    let lagging = TrackOptions { smoothing: Smoothing::Lag(second(5)), ..TrackOptions::default() };
    let settings = FusionSettings::default();
    let (mut live, mut whole) = (Fusion::new(settings, lagging, None), Fusion::new(settings, SMOOTHED, None));
    let mut settled = Vec::new();
    // A gap of frames settles several at once.
    for t in (0..20).chain(24..30) {
        let outcome = if t % 4 == 3 { Outcome::Abstained(AbstainReason::Ambiguous) } else { fix(9.0 * t as f64, 4.0, 4.0) };
        let now = live.step(second(t), &TelemetryBatch::default(), &known(), &outcome);
        whole.step(second(t), &TelemetryBatch::default(), &known(), &outcome);
        let oracle = whole.smoothed();
        assert_eq!(now.settled, oracle[settled.len()..settled.len() + now.settled.len()]);
        settled.extend(now.settled);
        assert!(settled.iter().all(|p| p.stamp_ns <= second(t) - second(5)));
        assert!(live.smoothed().first().is_some_and(|p| p.stamp_ns > second(t) - second(5)));
    }
    settled.extend(live.smoothed());
    assert!(settled.iter().map(|p| p.stamp_ns).eq((0..20).chain(24..30).map(second)));
}

#[test]
fn a_restart_is_where_two_smoothed_parts_meet() {
    let mut fusion = Fusion::new(FusionSettings::default(), SMOOTHED, None);
    for t in 0..10 {
        fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    }
    // After an outage the filter is not sure of its place, and three that agree are enough.
    for t in 20..26 {
        fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0));
    }
    assert_eq!(fusion.counters().restarts, 1);
    let smoothed = fusion.smoothed();
    assert!(smoothed[..10].iter().all(|p| place_of(p).x.abs() < 10.0));
    assert!(smoothed[13..].iter().all(|p| (place_of(p).x - 900.0).abs() < 10.0));
}

/// The same place twice a second, on an aircraft that flies east at 12 m/s, so far north of its way; none where there is no place.
fn flown_east(fusion: &mut Fusion, places: &[Option<f64>]) -> Vec<Fused> {
    let none = Outcome::Abstained(AbstainReason::Ambiguous);
    let one = |(k, place): (usize, &Option<f64>)| {
        let outcome = place.map_or_else(|| none.clone(), |north_m| fix(6.0 * k as f64, north_m, 4.0));
        fusion.step(second(k) / 2, &TelemetryBatch::default(), &known(), &outcome)
    };
    places.iter().enumerate().map(one).collect()
}

#[test]
fn a_first_fix_that_is_wrong_is_outvoted_and_its_place_not_called_visual_once_others_speak_against_it() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    let mut places = vec![Some(600.0)];
    places.extend([Some(0.0); 12]);
    let flown = flown_east(&mut fusion, &places);
    assert_eq!(fusion.counters().restarts, 1);
    for fused in &flown[1..] {
        let north_m = position_m(fused).1;
        assert!(north_m.abs() < 20.0 || fused.track.source != TrackSource::Visual, "{north_m}");
    }
    assert_eq!(flown[7].track.source, TrackSource::Visual);
}

#[test]
fn a_wrong_fix_after_a_right_first_one_does_not_start_the_filter_anew() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    let mut places = vec![Some(0.0), Some(0.0), Some(600.0), Some(600.0), Some(0.0)];
    places.extend([Some(0.0); 10]);
    let flown = flown_east(&mut fusion, &places);
    assert_eq!(fusion.counters().restarts, 0);
    assert!(flown.iter().all(|f| position_m(f).1.abs() < 20.0));
    assert_eq!(flown.last().unwrap().track.source, TrackSource::Visual);
}

#[test]
fn the_first_fix_near_a_roughly_known_start_counts_at_once_and_is_outvoted_like_one_from_nothing() {
    let inertial = |t: usize| imu(100 * t.saturating_sub(1), 100 * t);
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 200.0)));
    let first = fusion.step(second(1), &inertial(1), &known(), &fix(150.0, -80.0, 4.0));
    assert!(first.track.fix_used && first.track.source == TrackSource::Visual);
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 200.0)));
    fusion.step(second(1), &inertial(1), &known(), &fix(300.0, 0.0, 4.0));
    let later: Vec<Fused> = (2..12).map(|t| fusion.step(second(t), &inertial(t), &known(), &fix(0.0, 0.0, 4.0))).collect();
    assert_eq!(fusion.counters().restarts, 1);
    assert!(position_m(&later[9]).0.abs() < 10.0);
}
