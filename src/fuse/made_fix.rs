//! Fixes for tests.

use nalgebra::{Matrix4, Vector2, Vector4};

use crate::geo::{EnuPlane, Geodetic, Homography};
use crate::types::{Fix, FreePose};

/// Where their coordinates begin.
pub(super) const ORIGIN: Geodetic = Geodetic::ground(47.0, 8.0);

/// A fix so far east and north of the origin, metres, with this 1 sigma an axis.
pub(super) fn made_fix(e_m: f64, n_m: f64, sigma_m: f64) -> Fix {
    let (lat, lon) = EnuPlane::at(ORIGIN).lat_lon_from_ground(e_m, n_m);
    Fix {
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
            covariance: Matrix4::from_diagonal(&Vector4::new(sigma_m * sigma_m, sigma_m * sigma_m, 1e-3, 1e-3)),
            lean_sigma: 0.09,
            map_sigma_m: 2.5,
        },
    }
}
