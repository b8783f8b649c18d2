//! The smoothed track: how sure it is, by all that follows and by a lag, and across a restart.

use super::initialise::ANYWHERE_SIGMA_M;
use super::tests::{SMOOTHED, fix, known, place_of, second};
use super::*;
use crate::types::FreePose;
use nalgebra::{Matrix4, Vector2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
