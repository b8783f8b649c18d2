//! The camera: intrinsics, distortion, mounting, and where its rays meet the ground.
//!
//! Frames: the camera's x points right in the image, y down, z along the optical axis; the body is forward-right-down; the
//! world is east-north-up. Pixel coordinates have the centre of the first pixel at 0.5, so that `cx = width / 2` is the middle.

use nalgebra::{Quaternion, UnitQuaternion, Vector2, Vector3};
use serde::{Deserialize, Serialize};

use crate::geo::{enu_from_body, heading_pitch_roll};

/// Pinhole intrinsics of frames of a stated size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intrinsics {
    /// Width of the frames, pixels.
    pub width_px: u32,
    /// Height of the frames, pixels.
    pub height_px: u32,
    /// Focal length in x, pixels.
    pub fx_px: f64,
    /// Focal length in y, pixels.
    pub fy_px: f64,
    /// Principal point, pixels from the left edge.
    pub cx_px: f64,
    /// Principal point, pixels from the top edge.
    pub cy_px: f64,
}

impl Intrinsics {
    /// Square pixels and a centred principal point, from the horizontal field of view.
    pub fn from_horizontal_field_of_view(width_px: u32, height_px: u32, hfov_rad: f64) -> Self {
        let focal = f64::from(width_px) / 2.0 / (hfov_rad / 2.0).tan();
        Self::centred(width_px, height_px, focal)
    }

    /// Square pixels and a centred principal point.
    pub fn centred(width_px: u32, height_px: u32, focal_px: f64) -> Self {
        Self {
            width_px,
            height_px,
            fx_px: focal_px,
            fy_px: focal_px,
            cx_px: f64::from(width_px) / 2.0,
            cy_px: f64::from(height_px) / 2.0,
        }
    }

    /// The same lens for frames scaled to another size.
    pub fn scaled_to(&self, width_px: u32, height_px: u32) -> Self {
        let sx = f64::from(width_px) / f64::from(self.width_px);
        let sy = f64::from(height_px) / f64::from(self.height_px);
        Self {
            width_px,
            height_px,
            fx_px: self.fx_px * sx,
            fy_px: self.fy_px * sy,
            cx_px: self.cx_px * sx,
            cy_px: self.cy_px * sy,
        }
    }

    /// Whether every number is finite and the focal lengths and sizes are positive.
    pub fn is_valid(&self) -> bool {
        self.width_px > 0
            && self.height_px > 0
            && [self.fx_px, self.fy_px].iter().all(|f| f.is_finite() && *f > 0.0)
            && [self.cx_px, self.cy_px].iter().all(|c| c.is_finite())
    }
}

/// Brown–Conrady distortion, coefficients in OpenCV's order `k1 k2 p1 p2 k3`.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f64; 5]", into = "[f64; 5]")]
pub struct Distortion {
    /// Radial coefficients of r², r⁴, r⁶.
    pub radial: [f64; 3],
    /// Tangential coefficients p1, p2.
    pub tangential: [f64; 2],
}

impl From<[f64; 5]> for Distortion {
    fn from([k1, k2, p1, p2, k3]: [f64; 5]) -> Self {
        Self { radial: [k1, k2, k3], tangential: [p1, p2] }
    }
}

impl From<Distortion> for [f64; 5] {
    fn from(d: Distortion) -> Self {
        [d.radial[0], d.radial[1], d.tangential[0], d.tangential[1], d.radial[2]]
    }
}

impl Distortion {
    /// Whether all coefficients are zero.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Distorts normalised image coordinates.
    pub fn distort(&self, p: Vector2<f64>) -> Vector2<f64> {
        let [k1, k2, k3] = self.radial;
        let [p1, p2] = self.tangential;
        let r2 = p.norm_squared();
        let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
        Vector2::new(
            p.x * radial + 2.0 * p1 * p.x * p.y + p2 * (r2 + 2.0 * p.x * p.x),
            p.y * radial + p1 * (r2 + 2.0 * p.y * p.y) + 2.0 * p2 * p.x * p.y,
        )
    }

    /// Undoes [`Distortion::distort`] by fixed-point iteration; exact to 1e-9 for lenses whose distortion is monotonic.
    pub fn undistort(&self, distorted: Vector2<f64>) -> Vector2<f64> {
        if self.is_none() {
            return distorted;
        }
        let mut p = distorted;
        for _ in 0..30 {
            let error = self.distort(p) - distorted;
            p -= error;
            if error.norm_squared() < 1e-22 {
                break;
            }
        }
        p
    }
}

/// Whether the camera follows the airframe's attitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mounting {
    /// A gimbal holds the camera level: it looks straight down, up to `tilt_sigma`, and follows the airframe's heading.
    #[default]
    Stabilised,
    /// Fixed to the airframe: rolls and pitches with it.
    Strapdown,
}

/// Everything known of a camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Pinhole model.
    pub intrinsics: Intrinsics,
    /// Lens distortion.
    pub distortion: Distortion,
    /// Gimbal or fixed.
    pub mounting: Mounting,
    /// Rotation that takes camera coordinates to body coordinates.
    pub body_from_camera: UnitQuaternion<f64>,
    /// How far the camera may be from where mounting and attitude say, radians, 1 sigma an axis.
    pub tilt_sigma_rad: f64,
}

/// 1 sigma of the tilt of a camera of whose attitude nothing is known but that it looks down, radians: what the pitch of a small fixed-wing aircraft
/// was in 8 minutes of flight (University of Minnesota, 7.0° RMS about level; `shared/data/minnesota`).
const UNKNOWN_TILT_SIGMA_RAD: f64 = 7.0 * std::f64::consts::PI / 180.0;

/// `body_from_camera` of a camera that looks down with the top of its image forward.
pub fn nadir_body_from_camera() -> UnitQuaternion<f64> {
    let half = std::f64::consts::FRAC_1_SQRT_2;
    UnitQuaternion::from_quaternion(Quaternion::new(half, 0.0, 0.0, half))
}

impl Camera {
    /// A nadir camera without distortion on a gimbal.
    pub fn nadir(intrinsics: Intrinsics) -> Self {
        Self {
            intrinsics,
            distortion: Distortion::default(),
            mounting: Mounting::Stabilised,
            body_from_camera: nadir_body_from_camera(),
            tilt_sigma_rad: UNKNOWN_TILT_SIGMA_RAD,
        }
    }

    /// The camera's attitude for a body attitude: a stabilised camera takes only its heading.
    pub fn enu_from_camera(&self, body: &UnitQuaternion<f64>) -> UnitQuaternion<f64> {
        match self.mounting {
            Mounting::Strapdown => body * self.body_from_camera,
            Mounting::Stabilised => enu_from_body(heading_pitch_roll(body).0, 0.0, 0.0) * self.body_from_camera,
        }
    }

    /// Unit-depth ray, in camera coordinates, of a pixel.
    pub fn ray(&self, x_px: f64, y_px: f64) -> Vector3<f64> {
        let i = &self.intrinsics;
        let p = self.distortion.undistort(Vector2::new((x_px - i.cx_px) / i.fx_px, (y_px - i.cy_px) / i.fy_px));
        Vector3::new(p.x, p.y, 1.0)
    }

    /// Pixel of a point in camera coordinates; `None` behind the camera.
    pub fn project(&self, point_in_camera: &Vector3<f64>) -> Option<(f64, f64)> {
        if point_in_camera.z <= 1e-9 {
            return None;
        }
        let p = self.distortion.distort(point_in_camera.xy() / point_in_camera.z);
        let i = &self.intrinsics;
        Some((i.cx_px + i.fx_px * p.x, i.cy_px + i.fy_px * p.y))
    }

    /// Where a pixel's ray meets level ground `height_m` below the camera: metres east and north of the point below the
    /// camera. `None` for rays at or above `MAX_OFF_NADIR`.
    pub fn ground_offset(
        &self,
        enu_from_camera: &UnitQuaternion<f64>,
        height_m: f64,
        x_px: f64,
        y_px: f64,
    ) -> Option<(f64, f64)> {
        ground_offset_of_ray(&(enu_from_camera * self.ray(x_px, y_px)), height_m)
    }
}

/// Rays further than this from straight down, as a tangent (80°), are taken not to meet the ground.
const MAX_OFF_NADIR_TANGENT: f64 = 5.67;

/// Where a ray, in ENU directions, meets level ground `height_m` below its origin.
pub fn ground_offset_of_ray(ray_enu: &Vector3<f64>, height_m: f64) -> Option<(f64, f64)> {
    let down = -ray_enu.z;
    let across = ray_enu.xy().norm();
    (down > 1e-9 && across <= down * MAX_OFF_NADIR_TANGENT).then(|| (ray_enu.x / down * height_m, ray_enu.y / down * height_m))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn camera() -> Camera {
        Camera::nadir(Intrinsics::centred(2000, 1125, 1455.0))
    }

    #[test]
    fn a_nadir_camera_heading_east_has_its_image_top_in_the_east() {
        let c = camera();
        let q = c.enu_from_camera(&enu_from_body(90f64.to_radians(), 0.0, 0.0));
        let (e, n) = c.ground_offset(&q, 120.0, 1000.0, 0.0).unwrap();
        assert!((e - 562.5 / 1455.0 * 120.0).abs() < 1e-6 && n.abs() < 1e-6, "{e} {n}");
        let (e, n) = c.ground_offset(&q, 120.0, 2000.0, 562.5).unwrap();
        assert!(e.abs() < 1e-6 && (n + 1000.0 / 1455.0 * 120.0).abs() < 1e-6, "{e} {n}");
    }

    #[test]
    fn pitching_up_moves_a_strapdown_view_forward() {
        let c = Camera { mounting: Mounting::Strapdown, ..camera() };
        let q = c.enu_from_camera(&enu_from_body(0.0, 10f64.to_radians(), 0.0));
        let (e, n) = c.ground_offset(&q, 100.0, 1000.0, 562.5).unwrap();
        assert!(e.abs() < 1e-6 && (n - 100.0 * 10f64.to_radians().tan()).abs() < 1e-6, "{e} {n}");
    }

    proptest! {
        #[test]
        fn undistorting_undoes_distorting(x in -0.6..0.6f64, y in -0.4..0.4f64) {
            let d = Distortion::from([-0.12, 0.03, 0.001, -0.0005, 0.002]);
            let p = Vector2::new(x, y);
            prop_assert!((d.undistort(d.distort(p)) - p).norm() < 1e-8);
        }

        #[test]
        fn ground_and_back(x in 0.0..2000.0f64, y in 0.0..1125.0f64, h in 0.0..6.2f64, tilt in -0.3..0.3f64) {
            let c = Camera { mounting: Mounting::Strapdown, distortion: Distortion::from([-0.05, 0.01, 0.0, 0.0, 0.0]), ..camera() };
            let q = c.enu_from_camera(&enu_from_body(h, tilt, -tilt / 2.0));
            let (e, n) = c.ground_offset(&q, 120.0, x, y).unwrap();
            let (u, v) = c.project(&(q.inverse() * Vector3::new(e, n, -120.0))).unwrap();
            prop_assert!((u - x).abs() < 1e-4 && (v - y).abs() < 1e-4);
        }
    }
}
