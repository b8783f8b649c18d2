use super::*;
use crate::geo::enu_from_body;
use crate::types::Intrinsics;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn camera() -> Camera {
    Camera::nadir(Intrinsics::centred(2000, 1125, 1455.0))
}

fn nominal(height_m: f64) -> ViewHypothesis {
    let heading_rad = 0.6;
    ViewHypothesis { heading_rad, height_m, enu_from_camera: camera().enu_from_camera(&enu_from_body(heading_rad, 0.0, 0.0)) }
}

/// Matches of a camera tilted by some angles over level ground, seen as a view under the nominal attitude.
fn matches(tilt: Vector3<f64>, height: f64, noise_m: f64, seed: u64) -> Vec<GuidedMatch> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let view = nominal(height);
    let truth = UnitQuaternion::from_scaled_axis(tilt) * view.enu_from_camera;
    let mut out = Vec::new();
    for x in (20..2000).step_by(60) {
        for y in (20..1125).step_by(60) {
            let ray = camera().ray(f64::from(x), f64::from(y));
            let seen = ground_offset_of_ray(&(view.enu_from_camera * ray), view.height_m).unwrap();
            let real = ground_offset_of_ray(&(truth * ray), height).unwrap();
            let mut noise = || (rng.random::<f64>() + rng.random::<f64>() - 1.0) * noise_m * 2.45;
            out.push(GuidedMatch {
                view_m: [seen.0, seen.1],
                map_m: [500.0 + real.0 + noise(), -200.0 + real.1 + noise()],
                similarity: 0.8,
                weight: 1.0,
            });
        }
    }
    out
}

fn fit(matches: &[GuidedMatch], settings: &FixSettings) -> Pose {
    let height = Estimate { value: 120.0, sigma: 5.0 };
    let heading = Estimate { value: 0.6, sigma: 0.09 };
    let prior = PosePrior::new(&nominal(120.0), Some(height), Some(heading), 5f64.to_radians());
    let inliers = vec![true; matches.len()];
    fit_pose(&camera(), &nominal(120.0), matches, &inliers, &prior, 2.4, settings).unwrap()
}

#[test]
fn a_tilted_camera_over_level_ground_is_found_below_its_true_place() {
    let flat = FixSettings { ground_slope_sigma_rad: 1e-4, ..FixSettings::default() };
    let pose = fit(&matches(Vector3::new(0.12, -0.05, 0.03), 120.0, 0.5, 1), &flat);
    assert!((pose.camera_m - Vector2::new(500.0, -200.0)).norm() < 2.0, "{}", pose.camera_m);
}

#[test]
fn a_slope_that_may_be_there_widens_the_position_and_not_the_image_centre() {
    let m = matches(Vector3::zeros(), 120.0, 0.5, 2);
    let sigma = |degrees: f64, at: usize| {
        let settings = FixSettings { ground_slope_sigma_rad: f64::to_radians(degrees), ..FixSettings::default() };
        fit(&m, &settings).position_covariance_m2[(at, at)].sqrt()
    };
    assert!(sigma(3.0, 0) > 1.5 * sigma(0.01, 0), "{} {}", sigma(3.0, 0), sigma(0.01, 0));
    assert!(sigma(3.0, 2) < 1.2 * sigma(0.01, 2));
}

#[test]
fn the_jacobian_equals_finite_differences() {
    let attitude = UnitQuaternion::from_scaled_axis(Vector3::new(0.1, 0.05, 0.2)) * nominal(120.0).enu_from_camera;
    let ray = Ray { in_camera: camera().ray(300.0, 900.0), map_m: Vector2::new(3.0, 4.0), cluster: 0 };
    let at = |p: PoseVector| {
        let q = UnitQuaternion::from_scaled_axis(Vector3::new(p[3], p[4], p[5])) * attitude;
        let slope = Vector2::new(0.03 + p[6], -0.02 + p[7]);
        residual(&ray, &q, 120.0 + p[2], Vector2::new(p[0], p[1]), slope).unwrap()
    };
    let (_, j, _) = at(PoseVector::zeros());
    for k in 0..PARAMETERS {
        let mut step = PoseVector::zeros();
        step[k] = 1e-6;
        let difference = (at(-step).0 - at(step).0) / 2e-6;
        assert!((difference - j.column(k)).norm() < 1e-4 * (1.0 + difference.norm()), "{k}: {difference} {}", j.column(k));
    }
}

#[test]
fn the_stated_covariance_covers_the_errors() {
    let settings = FixSettings { map_sigma_m: 0.0, ground_slope_sigma_rad: 1e-4, ..FixSettings::default() };
    let mut inside = 0;
    for seed in 0..60 {
        let pose = fit(&matches(Vector3::new(0.02, 0.04, 0.0), 118.0, 1.5, seed), &settings);
        let error = pose.camera_m - Vector2::new(500.0, -200.0);
        let p = pose.position_covariance_m2.fixed_view::<2, 2>(0, 0).into_owned();
        let squared = (error.transpose() * p.try_inverse().unwrap() * error)[(0, 0)];
        inside += usize::from(squared < 11.8);
    }
    assert!(inside >= 57, "{inside} of 60 inside 3 sigma");
}

#[test]
fn the_lean_equals_finite_differences_and_is_that_of_the_camera() {
    let flat = FixSettings { ground_slope_sigma_rad: 1e-4, map_sigma_m: 0.0, ..FixSettings::default() };
    let nominal = nominal(120.0);
    // Leaning by 0.1 about the camera's own right axis lets the image's lower edge, or the upper, come nearer.
    let turn = nominal.enu_from_camera * Vector3::new(0.1, 0.0, 0.0);
    let pose = fit(&matches(turn, 120.0, 0.2, 5), &flat);
    let (lean, covariance) = lean_of(&pose, &nominal).unwrap();
    assert!((lean - Vector2::new(0.0, -0.1f64.tan())).norm() < 0.01, "{lean}");
    assert!(covariance.cholesky().is_some());
    let turned = |k: usize, by: f64| {
        let mut axis = Vector3::zeros();
        axis[k] = by;
        Pose { enu_from_camera: UnitQuaternion::from_scaled_axis(axis) * pose.enu_from_camera, ..pose.clone() }
    };
    let only = |k: usize| {
        let mut covariance = PoseMatrix::zeros();
        covariance[(3 + k, 3 + k)] = 1.0;
        let one = Pose { covariance, ..pose.clone() };
        lean_of(&one, &nominal).unwrap().1
    };
    for k in 0..3 {
        let difference =
            (lean_of(&turned(k, 1e-6), &nominal).unwrap().0 - lean_of(&turned(k, -1e-6), &nominal).unwrap().0) / 2e-6;
        let squares = only(k).fixed_view::<2, 2>(2, 2).into_owned();
        assert!((difference * difference.transpose() - squares).norm() < 1e-6, "{k}");
    }
}

#[test]
fn the_homography_sends_the_image_centre_to_the_centre() {
    let pose = fit(
        &matches(Vector3::new(0.1, 0.0, 0.0), 120.0, 0.2, 3),
        &FixSettings { ground_slope_sigma_rad: 1e-4, ..FixSettings::default() },
    );
    let (e, n) = ground_from_frame(&camera(), &pose).apply(1000.0, 562.5).unwrap();
    assert!((Vector2::new(e, n) - pose.centre_m).norm() < 0.1);
}
