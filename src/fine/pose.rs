//! From matches to a position with its covariance, or the reason why there is none.
//!
//! The inliers' rays must meet level ground where the map says: a robust least-squares problem in the camera's position over
//! ground, its height and its attitude, with what the sensors say of height, heading and tilt as weak priors. Tilt and position
//! are nearly the same thing for a nadir view (only the keystone tells them apart), which is why the covariance of the camera's
//! position is much larger than that of the image centre.
//!
//! Level ground is an assumption: a slope has the same keystone as a tilt. It is estimated too, with a prior of its own, so that
//! the tilt is never claimed to be known better than the slope of the land allows.
//!
//! Neighbouring matches share receptive fields and local errors of the map, so that counting them as independent would promise too
//! much: the covariance is cluster-robust (Liang & Zeger 1986), clusters being patches of the frame. The map's own offset is added
//! to it.

use nalgebra::{Matrix4, SMatrix, SVector, UnitQuaternion, Vector2, Vector3};

use crate::camera::view_hypotheses::ViewHypothesis;
use crate::fine::{Consensus, GuidedMatch};
use crate::geo::{Homography, heading_pitch_roll};
use crate::settings::{Bound, settings};
use crate::types::{AbstainReason, Camera, Estimate, ground_offset_of_ray};

settings! {
    /// When a fix is given and how uncertain its surroundings are.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct FixSettings {
        /// Fewer agreeing matches give no fix.
        key min_inliers: usize = 30, Bound::AtLeast(6.0);
        /// A smaller weighted share of agreeing matches gives no fix.
        key min_support: f64 = 0.1, Bound::Within(0.0, 1.0);
        /// The best place must have this many times the support of the next best that lies elsewhere.
        key min_margin: f64 = 1.25, Bound::AtLeast(1.0);
        /// Of the 4 × 4 parts of the frame, how many must hold agreeing matches.
        key min_parts: usize = 6, Bound::Within(1.0, 16.0);
        /// Slope of the ground, 1 sigma an axis, radians: 2.5° is gently rolling land.
        key ground_slope_sigma_rad: f64 = 2.5 * std::f64::consts::PI / 180.0, Bound::Positive;
        /// Error of the map's own position, 1 sigma an axis, metres: satellite imagery is typically off by a few metres.
        key map_sigma_m: f64 = 2.5, Bound::AtLeast(0.0);
        /// A larger 1 sigma of the position gives no fix, metres.
        key max_sigma_m: f64 = 60.0, Bound::Positive;
    }
}

/// What the sensors say of the pose, before matching.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PosePrior {
    /// The attitude that mounting and sensors give, and the height: what deviations are measured from.
    pub nominal: ViewHypothesis,
    /// 1 sigma of the height, metres.
    pub height_sigma_m: f64,
    /// 1 sigma of the heading, radians.
    pub heading_sigma_rad: f64,
    /// 1 sigma of the tilt, radians an axis.
    pub tilt_sigma_rad: f64,
}

impl PosePrior {
    /// The prior for a hypothesis: its heading and height where the sensor says so, nearly free where it was searched for.
    pub fn new(hypothesis: &ViewHypothesis, height: Option<Estimate>, heading: Option<Estimate>, tilt_sigma_rad: f64) -> Self {
        let sensed = |e: Option<Estimate>, otherwise: (f64, f64)| e.map_or(otherwise, |e| (e.value, e.sigma));
        let (height_m, height_sigma_m) = sensed(height, (hypothesis.height_m, hypothesis.height_m));
        let (heading_rad, heading_sigma_rad) = sensed(heading, (hypothesis.heading_rad, 1.0));
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), hypothesis.heading_rad - heading_rad);
        let nominal = ViewHypothesis { heading_rad, height_m, enu_from_camera: turn * hypothesis.enu_from_camera };
        Self { nominal, height_sigma_m, heading_sigma_rad, tilt_sigma_rad }
    }
}

/// A camera pose over level ground from matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Pose {
    /// The camera over ground, metres east and north in the region's plane.
    pub camera_m: Vector2<f64>,
    /// Height above ground, metres.
    pub height_m: f64,
    /// Attitude.
    pub enu_from_camera: UnitQuaternion<f64>,
    /// Where the image centre meets the ground, metres east and north in the region's plane.
    pub centre_m: Vector2<f64>,
    /// Covariance of (camera e, camera n, height, rotation about east, north and up, ground slope to east and north).
    pub covariance: PoseMatrix,
    /// Covariance of (camera e, camera n, centre e, centre n), m², the map's offset included.
    pub position_covariance_m2: Matrix4<f64>,
}

/// Parameters of the pose problem: position (2), height, rotation (3), ground slope (2).
const PARAMETERS: usize = 8;
type PoseVector = SVector<f64, PARAMETERS>;
type PoseJacobian = SMatrix<f64, 2, PARAMETERS>;
/// A matrix over the parameters of the pose problem.
pub type PoseMatrix = SMatrix<f64, PARAMETERS, PARAMETERS>;

/// A match as the pose sees it: the ray in camera coordinates, and where it meets the map.
struct Ray {
    in_camera: Vector3<f64>,
    map_m: Vector2<f64>,
    cluster: usize,
}

const POSE_ITERATIONS: usize = 12;
/// Clusters along each side of the frame.
const CLUSTERS_A_SIDE: usize = 5;
/// The spread of residuals is never taken to be smaller than this part of a cell.
const MIN_RESIDUAL_CELLS: f64 = 0.15;

/// Fits the pose to the inliers of a consensus. `view` is the hypothesis under which the matches' view was made; `cell_m` the side
/// of a dense cell. `None` when the problem is degenerate.
pub fn fit_pose(
    camera: &Camera,
    view: &ViewHypothesis,
    matches: &[GuidedMatch],
    inliers: &[bool],
    prior: &PosePrior,
    cell_m: f64,
    settings: &FixSettings,
) -> Option<Pose> {
    let i = &camera.intrinsics;
    let (w, h) = (f64::from(i.width_px), f64::from(i.height_px));
    let rays: Vec<Ray> = matches
        .iter()
        .zip(inliers)
        .filter(|(_, inlier)| **inlier)
        .filter_map(|(m, _)| {
            let in_camera = view.enu_from_camera.inverse() * Vector3::new(m.view_m[0], m.view_m[1], -view.height_m);
            let (x, y) = camera.project(&in_camera)?;
            let part =
                |v: f64, full: f64| ((v / full * CLUSTERS_A_SIDE as f64).floor().max(0.0) as usize).min(CLUSTERS_A_SIDE - 1);
            let cluster = part(y, h) * CLUSTERS_A_SIDE + part(x, w);
            Some(Ray { in_camera, map_m: Vector2::new(m.map_m[0], m.map_m[1]), cluster })
        })
        .collect();
    if rays.len() < 6 {
        return None;
    }
    let mut attitude = view.enu_from_camera;
    let mut height = view.height_m;
    let mut slope = Vector2::zeros();
    let mut position = rays.iter().fold(Vector2::zeros(), |sum, r| {
        let d = attitude * r.in_camera;
        sum + r.map_m - Vector2::new(d.x, d.y) / -d.z * height
    }) / rays.len() as f64;

    let prior_information = {
        let inverse_square = |s: f64| 1.0 / (s * s).max(1e-12);
        let (t, u) = (inverse_square(prior.tilt_sigma_rad), inverse_square(prior.heading_sigma_rad));
        let (h, s) = (inverse_square(prior.height_sigma_m), inverse_square(settings.ground_slope_sigma_rad));
        // The position itself has no prior.
        PoseMatrix::from_diagonal(&PoseVector::from([0.0, 0.0, h, t, t, u, s, s]))
    };
    // Errors within a patch are common to its matches: together they count as one, or hundreds of matches would overrule the priors
    // with what is only the map's local warp.
    let patches = {
        let mut seen = [false; CLUSTERS_A_SIDE * CLUSTERS_A_SIDE];
        rays.iter().for_each(|r| seen[r.cluster] = true);
        seen.iter().filter(|s| **s).count() as f64
    };
    let share = (patches / rays.len() as f64).min(1.0);
    let mut bread = PoseMatrix::zeros();
    let mut meat = PoseMatrix::zeros();
    for iteration in 0..=POSE_ITERATIONS {
        let parts: Vec<(Vector2<f64>, PoseJacobian, usize)> =
            rays.iter().filter_map(|r| residual(r, &attitude, height, position, slope)).collect();
        let mut lengths: Vec<f64> = parts.iter().map(|(r, _, _)| r.norm()).collect();
        lengths.sort_by(f64::total_cmp);
        // Median of a Rayleigh distribution is 1.1774 sigma.
        let sigma = (lengths.get(lengths.len() / 2)? / 1.1774).max(MIN_RESIDUAL_CELLS * cell_m);
        let mut information = prior_information;
        let mut clusters = vec![PoseVector::zeros(); CLUSTERS_A_SIDE * CLUSTERS_A_SIDE];
        for (r, j, cluster) in &parts {
            // Cauchy's weight, scale 2.4 sigma as usual.
            let weight = share / (1.0 + (r.norm() / (2.385 * sigma)).powi(2)) / (sigma * sigma);
            information += weight * j.transpose() * j;
            clusters[*cluster] += weight * j.transpose() * r;
        }
        let deviation = (attitude * prior.nominal.enu_from_camera.inverse()).scaled_axis();
        let from_prior = PoseVector::from([
            0.0,
            0.0,
            prior.nominal.height_m - height,
            -deviation.x,
            -deviation.y,
            -deviation.z,
            -slope.x,
            -slope.y,
        ]);
        let gradient: PoseVector = clusters.iter().sum::<PoseVector>() + prior_information * from_prior;
        let step = information.cholesky()?.solve(&gradient);
        bread = information.try_inverse()?;
        // Small-sample correction of the cluster-robust estimate, as for the standard error of a mean.
        let correction = (patches / (patches - 1.0).max(1.0)) * (1.0 + PARAMETERS as f64 / patches);
        meat = prior_information + clusters.iter().map(|c| c * c.transpose()).sum::<PoseMatrix>() * correction;
        if iteration == POSE_ITERATIONS {
            break;
        }
        position += Vector2::new(step[0], step[1]);
        height = (height + step[2]).max(1.0);
        attitude = UnitQuaternion::from_scaled_axis(Vector3::new(step[3], step[4], step[5])) * attitude;
        slope += Vector2::new(step[6], step[7]);
    }
    let covariance = bread * meat * bread.transpose() + bread * 1e-3;
    let covariance = (covariance + covariance.transpose()) * 0.5;

    let centre_ray = Ray { in_camera: camera.ray(w / 2.0, h / 2.0), map_m: Vector2::zeros(), cluster: 0 };
    let (minus_centre, centre_jacobian, _) = residual(&centre_ray, &attitude, height, position, slope)?;
    let mut joint = SMatrix::<f64, 4, PARAMETERS>::zeros();
    joint[(0, 0)] = 1.0;
    joint[(1, 1)] = 1.0;
    joint.fixed_view_mut::<2, PARAMETERS>(2, 0).copy_from(&centre_jacobian);
    let mut position_covariance_m2 = joint * covariance * joint.transpose();
    let offset = settings.map_sigma_m * settings.map_sigma_m;
    for a in 0..4 {
        position_covariance_m2[(a, a)] += offset;
        position_covariance_m2[(a, (a + 2) % 4)] += offset;
    }
    let finite = covariance.iter().all(|v| v.is_finite()) && position.iter().all(|v| v.is_finite());
    finite.then_some(Pose {
        camera_m: position,
        height_m: height,
        enu_from_camera: attitude,
        centre_m: -minus_centre,
        covariance,
        position_covariance_m2,
    })
}

/// Map position minus where the ray meets the ground, and the derivative of the latter with respect to the parameters.
///
/// The ground is the plane through the point below the camera with this slope, taken to first order: a point `p` from there lies
/// `slope · p` higher, and the ray meets it at `p · (1 − slope · p / height)`.
fn residual(
    ray: &Ray,
    attitude: &UnitQuaternion<f64>,
    height: f64,
    position: Vector2<f64>,
    slope: Vector2<f64>,
) -> Option<(Vector2<f64>, PoseJacobian, usize)> {
    let d = attitude * ray.in_camera;
    ground_offset_of_ray(&d, height)?;
    let w = -d.z;
    let g = Vector2::new(d.x, d.y) / w;
    let rise = 1.0 - slope.dot(&g);
    let mut j = PoseJacobian::zeros();
    j[(0, 0)] = 1.0;
    j[(1, 1)] = 1.0;
    j.set_column(2, &(g * rise));
    for (axis, unit) in [Vector3::x(), Vector3::y(), Vector3::z()].iter().enumerate() {
        let turned = unit.cross(&d);
        let dg = Vector2::new(turned.x, turned.y) / w + g * (turned.z / w);
        j.set_column(3 + axis, &((dg * rise - g * slope.dot(&dg)) * height));
    }
    j.set_column(6, &(g * (-g.x * height)));
    j.set_column(7, &(g * (-g.y * height)));
    Some((ray.map_m - position - g * (height * rise), j, ray.cluster))
}

/// Whether a consensus may be trusted as far as number, spread and lead go, `margin` being how many times the support of the best other place
/// its place has.
pub fn verdict(matches: &[GuidedMatch], consensus: &Consensus, margin: f64, settings: &FixSettings) -> Result<(), AbstainReason> {
    if consensus.count < settings.min_inliers || consensus.support < settings.min_support {
        return Err(AbstainReason::FewInliers);
    }
    if parts_with_inliers(matches, &consensus.inliers) < settings.min_parts {
        return Err(AbstainReason::PoorSpread);
    }
    if margin < settings.min_margin {
        return Err(AbstainReason::Ambiguous);
    }
    Ok(())
}

/// Of the 4 × 4 parts of the box around all matches, how many hold at least two inliers.
fn parts_with_inliers(matches: &[GuidedMatch], inliers: &[bool]) -> usize {
    let range = |axis: usize| {
        let values = matches.iter().map(move |m| m.view_m[axis]);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((x0, x1), (y0, y1)) = (range(0), range(1));
    let part = |v: f64, low: f64, high: f64| (((v - low) / (high - low).max(1e-9) * 4.0) as usize).min(3);
    let mut counts = [0usize; 16];
    for (m, _) in matches.iter().zip(inliers).filter(|(_, i)| **i) {
        counts[part(m.view_m[1], y0, y1) * 4 + part(m.view_m[0], x0, x1)] += 1;
    }
    counts.iter().filter(|c| **c >= 2).count()
}

/// Whether a pose is one that the aircraft can have.
pub fn plausible_pose(pose: &Pose, prior: &PosePrior, settings: &FixSettings) -> Result<(), AbstainReason> {
    let deviation = (pose.enu_from_camera * prior.nominal.enu_from_camera.inverse()).scaled_axis();
    // A pose further than this from what the sensors say is a wrong match that found some support.
    const MAX_SIGMAS: f64 = 4.0;
    let tilt = deviation.xy().norm();
    let height = (pose.height_m - prior.nominal.height_m).abs();
    let unlikely = tilt > MAX_SIGMAS * prior.tilt_sigma_rad
        || deviation.z.abs() > MAX_SIGMAS * prior.heading_sigma_rad
        || height > MAX_SIGMAS * prior.height_sigma_m;
    if unlikely {
        return Err(AbstainReason::BadGeometry);
    }
    let worst = pose.position_covariance_m2.fixed_view::<2, 2>(0, 0).symmetric_eigenvalues().max();
    if !(worst > 0.0 && worst.sqrt() <= settings.max_sigma_m) {
        return Err(AbstainReason::Uncertain);
    }
    Ok(())
}

/// 1 sigma of the tilt, an axis, where the matches alone shall tell it: wide enough to say next to nothing, narrow enough to converge.
const FREE_TILT_SIGMA_RAD: f64 = 20.0 * std::f64::consts::PI / 180.0;

/// The prior of a pose that the matches alone shall tell.
pub fn free_prior(prior: &PosePrior) -> PosePrior {
    PosePrior { tilt_sigma_rad: FREE_TILT_SIGMA_RAD, ..*prior }
}

/// The lean of a pose (see [`crate::types::FreePose`]) against its nominal attitude, and the covariance of (camera e, camera n, lean right,
/// lean down). `None` when it looks more than a right angle away.
pub fn lean_of(pose: &Pose, nominal: &ViewHypothesis) -> Option<(Vector2<f64>, Matrix4<f64>)> {
    let camera_from_enu = nominal.enu_from_camera.inverse();
    let axis = pose.enu_from_camera * Vector3::z();
    let seen = camera_from_enu * axis;
    if !(seen.z > 1e-3) {
        return None;
    }
    let lean = seen.xy() / seen.z;
    let mut joint = SMatrix::<f64, 4, PARAMETERS>::zeros();
    joint[(0, 0)] = 1.0;
    joint[(1, 1)] = 1.0;
    for (k, unit) in [Vector3::x(), Vector3::y(), Vector3::z()].iter().enumerate() {
        let turned = camera_from_enu * unit.cross(&axis);
        joint.fixed_view_mut::<2, 1>(2, 3 + k).copy_from(&((turned.xy() - lean * turned.z) / seen.z));
    }
    Some((lean, joint * pose.covariance * joint.transpose()))
}

/// Ground (metres in the region's plane) from frame pixels, for a pose and a camera without distortion.
pub fn ground_from_frame(camera: &Camera, pose: &Pose) -> Homography {
    let i = &camera.intrinsics;
    let camera_from_pixel =
        nalgebra::Matrix3::new(1.0 / i.fx_px, 0.0, -i.cx_px / i.fx_px, 0.0, 1.0 / i.fy_px, -i.cy_px / i.fy_px, 0.0, 0.0, 1.0);
    let r = pose.enu_from_camera.to_rotation_matrix();
    let m = r.matrix();
    let h = pose.height_m;
    let row = |a: usize, at: f64| (m.row(a) * h - m.row(2) * at).into_owned();
    let ground_from_ray =
        nalgebra::Matrix3::from_rows(&[row(0, pose.camera_m.x), row(1, pose.camera_m.y), -m.row(2).into_owned()]);
    let product = ground_from_ray * camera_from_pixel;
    Homography(product / product[(2, 2)])
}

/// Heading of the body and angle between the optical axis and straight down, radians.
pub fn heading_and_tilt(camera: &Camera, pose: &Pose) -> (f64, f64) {
    let enu_from_body = pose.enu_from_camera * camera.body_from_camera.inverse();
    let axis = pose.enu_from_camera * Vector3::z();
    (heading_pitch_roll(&enu_from_body).0, (-axis.z).clamp(-1.0, 1.0).acos())
}

/// 1 sigma of the heading, radians.
pub fn heading_sigma_rad(pose: &Pose) -> f64 {
    pose.covariance[(5, 5)].max(0.0).sqrt()
}

#[cfg(test)]
mod tests;
