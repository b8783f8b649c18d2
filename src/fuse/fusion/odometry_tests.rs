//! Flights without an IMU whose fixes end, and that go on by what consecutive frames both see.

use super::tests::SMOOTHED;
use super::*;
use crate::fuse::{Odometry, Withhold};
use crate::geo::{EnuPlane, Homography};
use crate::time::nanos_from_seconds;
use crate::types::{Estimate, FreePose};
use nalgebra::{Matrix2, Matrix4, Vector2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ORIGIN: Geodetic = Geodetic::ground(47.0, 8.0);
const HEIGHT_M: f64 = 100.0;
const HEADING_SIGMA_RAD: f64 = 0.03;
const FIX_SIGMA_M: f64 = 3.0;
const WAY_SIGMA_M: f64 = 0.5;
/// Frames a second are two.
const STEP_S: f64 = 0.5;

fn fix(place: Vector2<f64>, lean: Vector2<f64>) -> Outcome {
    let (lat, lon) = EnuPlane::at(ORIGIN).lat_lon_from_ground(place.x, place.y);
    let camera = Geodetic::ground(lat, lon);
    let variance = FIX_SIGMA_M * FIX_SIGMA_M;
    let covariance = Matrix4::from_diagonal(&nalgebra::Vector4::new(variance, variance, 1e-4, 1e-4));
    Outcome::Fix(Box::new(Fix {
        region: 0,
        camera_m: place,
        centre_m: place,
        covariance_m2: Matrix4::identity() * variance,
        camera,
        centre: camera,
        height_agl_m: (HEIGHT_M, 1.0),
        heading_rad: (0.5, 0.05),
        tilt_rad: 0.0,
        ground_from_frame: Homography::identity(),
        inliers: 100,
        score: 0.5,
        free: FreePose { camera, lean, covariance, lean_sigma: 0.05, map_sigma_m: 1.0 },
    }))
}

/// A flight whose frames after the first ten have fixes only where `fixed` says so. Returns each frame's result and true place.
fn flight(fusion: &mut Fusion, seed: u64, frames: usize, fixed: impl Fn(usize) -> bool) -> Vec<(Fused, Vector2<f64>)> {
    flight_off(fusion, seed, frames, |t| fixed(t).then(Vector2::zeros))
}

/// The same with the fixes where `off_m` says, from the true place; none where it says nothing.
fn flight_off(
    fusion: &mut Fusion,
    seed: u64,
    frames: usize,
    off_m: impl Fn(usize) -> Option<Vector2<f64>>,
) -> Vec<(Fused, Vector2<f64>)> {
    let noise = fusion.settings.noise;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| rng.random::<f64>() - 0.5).sum::<f64>();
    let lean = Vector2::new(normal(), normal()) * 0.05;
    let offset_m = Vector2::new(normal(), normal());
    let mut place = Vector2::zeros();
    let mut velocity = Vector2::new(normal(), normal()) * 8.0;
    let mut before: Option<(Vector2<f64>, Matrix2<f64>, i64)> = None;
    let mut out = Vec::new();
    for t in 0..frames {
        // The integrals of white acceleration over a step.
        let (a, b) = (Vector2::new(normal(), normal()), Vector2::new(normal(), normal()));
        let pushed = a * noise.unmeasured_accel * STEP_S.sqrt();
        place += velocity * STEP_S + pushed * (0.5 * STEP_S) + b * (noise.unmeasured_accel * (STEP_S.powi(3) / 12.0).sqrt());
        velocity += pushed;
        let heading = 0.5 + 0.04 * t as f64;
        let jitter = Vector2::new(normal(), normal()) * noise.lean_jitter;
        // Right of the image is right of the body, and down is backwards.
        let (s, c) = heading.sin_cos();
        let ground_from_lean = Matrix2::new(c, -s, -s, -c) * HEIGHT_M;
        let seen = place + jitter * HEIGHT_M + ground_from_lean * lean;
        let stamp_ns = nanos_from_seconds(STEP_S * t as f64);
        let way = before.map(|(then, from_lean, since_ns)| {
            let (moved, off) = (seen - then, normal() * HEADING_SIGMA_RAD);
            let across = Vector2::new(-moved.y, moved.x);
            Displacement {
                since_ns,
                until_ns: stamp_ns,
                moved_m: moved + across * off + Vector2::new(normal(), normal()) * WAY_SIGMA_M,
                by_lean_m: ground_from_lean - from_lean,
                covariance_m2: Matrix2::identity() * WAY_SIGMA_M.powi(2)
                    + across * across.transpose() * HEADING_SIGMA_RAD.powi(2),
            }
        });
        before = Some((seen, ground_from_lean, stamp_ns));
        let known = Known {
            height_agl_m: Some(Estimate { value: HEIGHT_M, sigma: 1.0 }),
            heading_rad: Some(Estimate { value: heading + normal() * HEADING_SIGMA_RAD, sigma: HEADING_SIGMA_RAD }),
            ..Known::default()
        };
        let told = place + offset_m + Vector2::new(normal(), normal()) * FIX_SIGMA_M;
        let seen_lean = lean + jitter + Vector2::new(normal(), normal()) * 0.01;
        let off_m = if t < 10 { Some(Vector2::zeros()) } else { off_m(t) };
        let outcome = off_m.map_or(Outcome::Abstained(AbstainReason::FewInliers), |off_m| fix(told + off_m, seen_lean));
        out.push((fusion.step_along(stamp_ns, &TelemetryBatch::default(), &known, &outcome, way.as_ref()), place));
    }
    out
}

fn error_m(point: &TrackPoint, truth: &Vector2<f64>) -> Vector2<f64> {
    let p = point.state.as_ref().unwrap().position;
    let enu = EnuPlane::at(ORIGIN).ground_from_lat_lon(p.lat_deg, p.lon_deg);
    Vector2::new(enu.e_m, enu.n_m) - truth
}

fn normalised_squared(point: &TrackPoint, truth: &Vector2<f64>) -> f64 {
    let error = error_m(point, truth);
    (error.transpose() * point.state.as_ref().unwrap().covariance_en_m2.try_inverse().unwrap() * error)[(0, 0)]
}

#[test]
fn errors_after_long_outages_have_the_size_that_is_stated_live_and_smoothed() {
    const FLIGHTS: u64 = 150;
    let (mut live, mut smoothed, mut used) = ([0.0; 3], [0.0; 3], 0);
    let at = [12, 25, 49];
    for seed in 0..FLIGHTS {
        let mut fusion = Fusion::new(FusionSettings { odometry: Odometry::On, ..FusionSettings::default() }, SMOOTHED, None);
        let flown = flight(&mut fusion, seed, 56, |t| t >= 50);
        let after = fusion.smoothed();
        for (i, t) in at.into_iter().enumerate() {
            live[i] += normalised_squared(&flown[t].0.track, &flown[t].1) / FLIGHTS as f64;
            smoothed[i] += normalised_squared(&after[t], &flown[t].1) / FLIGHTS as f64;
        }
        used += fusion.counters().displacements_used;
    }
    assert!(used >= FLIGHTS * 55 * 98 / 100, "{used}");
    // Chi-squared of two dimensions: its mean over 150 flights lies within four sigma of 2.
    for (name, means) in [("live", live), ("smoothed", smoothed)] {
        assert!(means.iter().all(|mean| (mean - 2.0).abs() < 0.65), "{name}: normalised squared errors {means:?}");
    }
}

#[test]
fn frames_without_fixes_keep_a_good_track_and_a_switch_takes_that_away() {
    let worst = |odometry: Odometry| {
        let mut worst: f64 = 0.0;
        for seed in 0..20 {
            let mut fusion = Fusion::new(FusionSettings { odometry, ..FusionSettings::default() }, TrackOptions::default(), None);
            let flown = flight(&mut fusion, seed, 50, |_| false);
            assert_eq!(flown.iter().any(|(fused, _)| fused.displacement_used), odometry == Odometry::Auto);
            worst = flown.last().map_or(worst, |(fused, truth)| worst.max(error_m(&fused.track, truth).norm()));
        }
        worst
    };
    // Twenty seconds at 8 m/s.
    let (with, without) = (worst(Odometry::Auto), worst(Odometry::Off));
    assert!(with < 25.0 && without > 100.0, "{with} {without}");
}

#[test]
fn the_smoother_takes_more_from_a_later_fix_where_ways_tie_the_frames_to_it() {
    let mut sum = [0.0; 2];
    for seed in 0..40 {
        for (odometry, sum) in [Odometry::On, Odometry::Off].into_iter().zip(&mut sum) {
            let mut fusion = Fusion::new(FusionSettings { odometry, ..FusionSettings::default() }, SMOOTHED, None);
            let flown = flight(&mut fusion, seed, 45, |t| t >= 40);
            *sum += error_m(&fusion.smoothed()[25], &flown[25].1).norm() / 40.0;
        }
    }
    assert!(sum[0] < 4.0 && sum[0] < 0.5 * sum[1], "{sum:?}");
}

#[test]
fn a_filter_that_is_sure_and_wrong_is_brought_back_by_what_lasts_along_a_way_and_not_by_what_is_over_in_ten_seconds() {
    let off_m = Vector2::new(0.0, 240.0);
    let settings = FusionSettings { odometry: Odometry::On, ..FusionSettings::default() };
    for seed in 0..10 {
        let mut fusion = Fusion::new(settings, TrackOptions::default(), None);
        let flown = flight_off(&mut fusion, seed, 140, |t| Some(if t < 60 { Vector2::zeros() } else { off_m }));
        let way_m = (flown[60].1 - flown[139].1).norm();
        let state = flown[90].0.track.state.as_ref().unwrap();
        // The way between frames keeps it sure of its place all along.
        assert!(3.0 * state.covariance_en_m2.trace().sqrt() < 50.0, "seed {seed}");
        let (last, place) = &flown[139];
        let back = error_m(&last.track, &(place + off_m)).norm() < 30.0;
        assert!(back || way_m < 150.0, "seed {seed}: {way_m:.0} m on, {}", error_m(&last.track, place));
        let mut fusion = Fusion::new(settings, TrackOptions::default(), None);
        flight_off(&mut fusion, seed, 140, |t| Some(if (60..80).contains(&t) { off_m } else { Vector2::zeros() }));
        assert_eq!(fusion.counters().restarts, 0, "seed {seed}");
    }
}

#[test]
fn a_wrong_way_is_gated_and_counted() {
    let mut fusion =
        Fusion::new(FusionSettings { odometry: Odometry::On, ..FusionSettings::default() }, TrackOptions::default(), None);
    let flown = flight(&mut fusion, 3, 20, |_| true);
    let known = Known { height_agl_m: Some(Estimate { value: HEIGHT_M, sigma: 1.0 }), ..Known::default() };
    let since_ns = nanos_from_seconds(STEP_S * 19.0);
    let far = |since_ns: i64| Displacement {
        since_ns,
        until_ns: since_ns + nanos_from_seconds(STEP_S),
        moved_m: Vector2::new(200.0, 0.0),
        by_lean_m: Matrix2::zeros(),
        covariance_m2: Matrix2::identity(),
    };
    let none = Outcome::Abstained(AbstainReason::FewInliers);
    let gated = fusion.step_along(far(since_ns).until_ns, &TelemetryBatch::default(), &known, &none, Some(&far(since_ns)));
    assert!(!gated.displacement_used);
    assert!(error_m(&gated.track, &flown[19].1).norm() < 30.0);
    let counters = fusion.counters();
    assert_eq!((counters.displacements_gated, counters.displacements_refused), (1, 0));
    // Of another time than the frame before.
    fusion.step_along(far(since_ns).until_ns + 1, &TelemetryBatch::default(), &known, &none, Some(&far(since_ns)));
    assert_eq!(fusion.counters().displacements_refused, 1);
}

#[test]
fn withheld_fixes_are_every_so_many_th() {
    let withhold: Withhold = "3:1".parse().unwrap();
    assert_eq!((0..7).filter(|frame| withhold.holds(*frame)).collect::<Vec<_>>(), [1, 4]);
    for wrong in ["", "3", "3:3", "0:0", "a:b", "3:-1"] {
        assert!(wrong.parse::<Withhold>().is_err(), "{wrong}");
    }
    let mut fusion =
        Fusion::new(FusionSettings { withhold: Some(withhold), ..FusionSettings::default() }, TrackOptions::default(), None);
    let flown = flight(&mut fusion, 1, 7, |_| true);
    let used: Vec<usize> = (0..7).filter(|t| flown[*t].0.track.fix_used).collect();
    assert_eq!(used, [0, 2, 3, 5, 6]);
}
