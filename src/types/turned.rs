//! Cameras of pictures that are turned, mirrored or zoomed after they were taken.

use image::metadata::Orientation;
use nalgebra::Vector2;

use super::{Distortion, Intrinsics};

/// Whether an orientation exchanges the sides, and whether it mirrors x and y after that.
fn parts(orientation: Orientation) -> (bool, bool, bool) {
    match orientation {
        Orientation::NoTransforms => (false, false, false),
        Orientation::FlipHorizontal => (false, true, false),
        Orientation::Rotate180 => (false, true, true),
        Orientation::FlipVertical => (false, false, true),
        Orientation::Rotate90FlipH => (true, false, false),
        Orientation::Rotate90 => (true, true, false),
        Orientation::Rotate270FlipH => (true, true, true),
        Orientation::Rotate270 => (true, false, true),
    }
}

impl Intrinsics {
    /// The same camera for pictures that are turned as EXIF's orientation says.
    pub fn turned(&self, orientation: Orientation) -> Self {
        let (swap, mirror_x, mirror_y) = parts(orientation);
        let mut out = if swap {
            Self {
                width_px: self.height_px,
                height_px: self.width_px,
                fx_px: self.fy_px,
                fy_px: self.fx_px,
                cx_px: self.cy_px,
                cy_px: self.cx_px,
            }
        } else {
            *self
        };
        if mirror_x {
            out.cx_px = f64::from(out.width_px) - out.cx_px;
        }
        if mirror_y {
            out.cy_px = f64::from(out.height_px) - out.cy_px;
        }
        out
    }

    /// The same camera for pictures of which the middle was cut out and enlarged to the same size: a digital zoom.
    pub fn zoomed(&self, zoom: f64) -> Self {
        let about = |c: f64, size: u32| (c - f64::from(size) / 2.0) * zoom + f64::from(size) / 2.0;
        Self {
            fx_px: self.fx_px * zoom,
            fy_px: self.fy_px * zoom,
            cx_px: about(self.cx_px, self.width_px),
            cy_px: about(self.cy_px, self.height_px),
            ..*self
        }
    }
}

impl Distortion {
    /// The same lens for pictures that are turned as EXIF's orientation says.
    pub fn turned(&self, orientation: Orientation) -> Self {
        let (swap, mirror_x, mirror_y) = parts(orientation);
        // The tangential part is a vector (p2, p1) of the picture.
        let [p1, p2] = self.tangential;
        let v = if swap { Vector2::new(p1, p2) } else { Vector2::new(p2, p1) };
        let sign = |mirrored: bool| if mirrored { -1.0 } else { 1.0 };
        Self { radial: self.radial, tangential: [v.y * sign(mirror_y), v.x * sign(mirror_x)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Camera;
    use image::{DynamicImage, Rgb, RgbImage};

    #[test]
    fn a_turned_camera_sees_in_a_turned_picture_what_it_saw_for_all_eight_orientations() {
        let intrinsics = Intrinsics { width_px: 40, height_px: 30, fx_px: 33.0, fy_px: 31.0, cx_px: 21.5, cy_px: 13.0 };
        let distortion = Distortion::from([-0.1, 0.02, 0.004, -0.003, 0.001]);
        let camera = Camera { distortion, ..Camera::nadir(intrinsics) };
        let at = (31u32, 4u32);
        let mut picture = RgbImage::new(40, 30);
        picture.put_pixel(at.0, at.1, Rgb([255; 3]));
        let ray = camera.ray(f64::from(at.0) + 0.5, f64::from(at.1) + 0.5);
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut shown = DynamicImage::from(picture.clone());
            shown.apply_orientation(orientation);
            let shown = shown.into_rgb8();
            let (x, y, _) = shown.enumerate_pixels().find(|(_, _, p)| p.0[0] == 255).unwrap();
            let turned = Camera { distortion: distortion.turned(orientation), ..Camera::nadir(intrinsics.turned(orientation)) };
            assert_eq!((turned.intrinsics.width_px, turned.intrinsics.height_px), shown.dimensions());
            let seen = turned.ray(f64::from(x) + 0.5, f64::from(y) + 0.5);
            // The turn takes the ray's x and y as it takes the picture's.
            let (swap, mirror_x, mirror_y) = parts(orientation);
            let (rx, ry) = if swap { (ray.y, ray.x) } else { (ray.x, ray.y) };
            let expected = Vector2::new(if mirror_x { -rx } else { rx }, if mirror_y { -ry } else { ry });
            assert!((seen.xy() - expected).norm() < 1e-6, "{exif}: {seen} {expected}");
        }
    }

    #[test]
    fn a_zoom_keeps_the_middle_where_it_is() {
        let zoomed = Intrinsics { cx_px: 330.0, ..Intrinsics::centred(640, 480, 466.0) }.zoomed(2.0);
        assert_eq!((zoomed.fx_px, zoomed.cx_px, zoomed.cy_px), (932.0, 340.0, 240.0));
    }
}
