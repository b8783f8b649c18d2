//! Photos of imagery: a camera that leans a little, at a height and a heading.

use image::RgbImage;
use nalgebra::{UnitQuaternion, Vector3};

use super::ground::{Cell, Sheet};
use super::imagery::Imagery;
use crate::recording::TruthRecord;
use crate::simulate::appearance::nadir_attitude;
use crate::simulate::noise::{hash2, mix};
use crate::simulate::record::rounded;
use crate::simulate::sensor::normal;
use crate::types::{Intrinsics, nadir_body_from_camera};

/// Imagery at the very edge is not looked at, pixels: between pixels there is some on one side only.
const EDGE_PX: f64 = 0.5;

/// Where a photo is taken from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shot {
    /// Below the camera, continuous pixels of the imagery.
    pub below_px: (f64, f64),
    /// Height above ground, metres.
    pub height_m: f64,
    /// Where the top of the picture points, radians clockwise from north.
    pub heading_rad: f64,
    /// How far the camera leans about its x and y axes, radians.
    pub tilt_rad: [f64; 2],
    /// Velocity over ground, m/s east and north.
    pub velocity_en_m_s: [f64; 2],
}

/// Light, colours and noise of a photo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// Factors of red, green and blue.
    pub gain: [f32; 3],
    /// Exponent of the values.
    pub gamma: f32,
    /// Standard deviation of the noise, of 255.
    pub noise: f32,
}

impl Look {
    /// As the imagery has it, with some noise.
    pub const AS_IT_IS: Self = Self { gain: [1.0; 3], gamma: 1.0, noise: 3.0 };
}

impl Shot {
    fn enu_from_camera(&self) -> UnitQuaternion<f64> {
        let [a, b] = self.tilt_rad;
        let about = |axis, angle| UnitQuaternion::from_axis_angle(&axis, angle);
        nadir_attitude(self.heading_rad.to_degrees()) * about(Vector3::x_axis(), a) * about(Vector3::y_axis(), b)
    }

    /// Where a pixel of the photo lies in the imagery, continuous pixels of both.
    fn seen_px(&self, turn: &UnitQuaternion<f64>, gsd_m: f64, i: &Intrinsics, (x, y): (f64, f64)) -> (f64, f64) {
        let ray = turn * Vector3::new((x - i.cx_px) / i.fx_px, (y - i.cy_px) / i.fy_px, 1.0);
        let scale = self.height_m / -ray.z / gsd_m;
        (self.below_px.0 + ray.x * scale, self.below_px.1 - ray.y * scale)
    }

    /// Whether the imagery holds all that the photo would show.
    pub fn fits(&self, imagery: &Imagery, i: &Intrinsics) -> bool {
        let (turn, (width, height)) = (self.enu_from_camera(), imagery.size_px());
        let (w, h) = (f64::from(i.width_px), f64::from(i.height_px));
        [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)].into_iter().all(|corner| {
            let (x, y) = self.seen_px(&turn, imagery.gsd_m, i, corner);
            (EDGE_PX..=width - EDGE_PX).contains(&x) && (EDGE_PX..=height - EDGE_PX).contains(&y)
        })
    }

    /// Takes the photo; the noise follows from the seed.
    pub fn take(&self, imagery: &Imagery, i: &Intrinsics, look: &Look, seed: u64) -> RgbImage {
        let turn = self.enu_from_camera();
        RgbImage::from_fn(i.width_px, i.height_px, |column, row| {
            let at = (f64::from(column) + 0.5, f64::from(row) + 0.5);
            let (x, y) = self.seen_px(&turn, imagery.gsd_m, i, at);
            let light = imagery.at(x, y);
            let hash = hash2(seed, i64::from(column), i64::from(row));
            image::Rgb([0, 1, 2].map(|k| {
                let value = if look.gamma == 1.0 { light[k] } else { 255.0 * (light[k].max(0.0) / 255.0).powf(look.gamma) };
                let noise = look.noise * normal(mix(hash ^ (k as u64 + 1)));
                (value * look.gain[k] + noise + 0.5).clamp(0.0, 255.0) as u8
            }))
        })
    }

    /// What is true of the photo of a cell; its name and stamp are not told.
    pub fn truth(&self, sheet: &Sheet, cell: &Cell, i: &Intrinsics) -> TruthRecord {
        let turn = self.enu_from_camera();
        let middle = (f64::from(i.width_px) / 2.0, f64::from(i.height_px) / 2.0);
        let centre = sheet.place(cell, self.seen_px(&turn, cell.flown.gsd_m, i, middle));
        let camera = sheet.place(cell, self.below_px);
        let body = turn * nadir_body_from_camera().inverse();
        let sign = if body.w < 0.0 { -1.0 } else { 1.0 };
        let [qx, qy, qz, qw] = body.coords.map(|q| rounded(sign * q, 6)).into();
        let height_m = rounded(self.height_m, 3);
        TruthRecord {
            frame: String::new(),
            stamp_ns: 0,
            lat: rounded(camera.lat_deg, 9),
            lon: rounded(camera.lon_deg, 9),
            alt_m: height_m,
            height_agl_m: height_m,
            vel_e_m_s: rounded(self.velocity_en_m_s[0], 4),
            vel_n_m_s: rounded(self.velocity_en_m_s[1], 4),
            vel_u_m_s: 0.0,
            qw,
            qx,
            qy,
            qz,
            centre_lat: Some(rounded(centre.lat_deg, 9)),
            centre_lon: Some(rounded(centre.lon_deg, 9)),
            centre_trusted: "yes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::acceptance::ground::Corner;
    use crate::types::Camera;
    use image::Rgb;
    use nalgebra::Quaternion;

    fn imagery() -> Imagery {
        // Brighter to the east, redder to the south.
        Imagery { image: RgbImage::from_fn(256, 256, |x, y| Rgb([y as u8, x as u8, x as u8])), gsd_m: 0.5 }
    }

    fn shot(heading_deg: f64, tilt_deg: [f64; 2]) -> Shot {
        Shot {
            below_px: (128.0, 128.0),
            height_m: 40.0,
            heading_rad: heading_deg.to_radians(),
            tilt_rad: tilt_deg.map(f64::to_radians),
            velocity_en_m_s: [0.0; 2],
        }
    }

    #[test]
    fn a_photo_that_heads_east_has_east_on_top() {
        let (imagery, i) = (imagery(), Intrinsics::centred(64, 48, 50.0));
        let photo = shot(90.0, [0.0; 2]).take(&imagery, &i, &Look { noise: 0.0, ..Look::AS_IT_IS }, 1);
        assert!(photo.get_pixel(32, 0).0[1] > photo.get_pixel(32, 47).0[1]);
        assert!(photo.get_pixel(63, 24).0[0] > photo.get_pixel(0, 24).0[0], "right is south");
        // 24 px of 50 px focal length are 19.2 m at 40 m, 38.4 px of imagery.
        assert!((f64::from(photo.get_pixel(32, 0).0[1]) - (128.0 + 23.5 / 50.0 * 80.0 - 0.5)).abs() <= 1.0);
    }

    #[test]
    fn the_true_attitude_is_that_which_the_camera_model_sees_the_true_middle_with() {
        let (imagery, i) = (imagery(), Intrinsics::centred(64, 48, 50.0));
        let corner = Corner { lat_deg: 34.0, lon_deg: -117.5 };
        let sheet = Sheet::of_picture("x", imagery, corner);
        let shot = shot(213.0, [3.0, -5.0]);
        assert!(shot.fits(&sheet.cells[0].flown, &i));
        let truth = shot.truth(&sheet, &sheet.cells[0], &i);
        let camera = Camera { mounting: crate::types::Mounting::Strapdown, ..Camera::nadir(i) };
        let body = UnitQuaternion::from_quaternion(Quaternion::new(truth.qw, truth.qx, truth.qy, truth.qz));
        let (e, n) = camera.ground_offset(&camera.enu_from_camera(&body), 40.0, 32.0, 24.0).unwrap();
        let plane = crate::geo::EnuPlane::at(crate::geo::Geodetic::ground(truth.lat, truth.lon));
        let centre = plane.ground_from_lat_lon(truth.centre_lat.unwrap(), truth.centre_lon.unwrap());
        assert!((centre.e_m - e).abs() < 0.01 && (centre.n_m - n).abs() < 0.01, "{centre:?} {e} {n}");
        assert!(e.hypot(n) > 3.0);
    }

    #[test]
    fn what_reaches_over_the_edge_does_not_fit() {
        let (imagery, i) = (imagery(), Intrinsics::centred(64, 48, 50.0));
        let near_the_edge = Shot { below_px: (40.0, 128.0), ..shot(0.0, [0.0; 2]) };
        assert!(!near_the_edge.fits(&imagery, &i));
    }
}
