//! Imagery that is looked at between its pixels.

use std::path::Path;

use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::simulate::SimulateError;
use crate::simulate::look::Colour;

/// Shape of the cubic kernel, the one that OpenCV takes: a little sharper than Catmull and Rom's.
const CUBIC: f32 = -0.75;

/// A picture from above.
pub(super) struct Imagery {
    /// Its pixels.
    pub image: RgbImage,
    /// Size of a pixel on the ground, metres.
    pub gsd_m: f64,
}

impl Imagery {
    /// Width and height, pixels.
    pub fn size_px(&self) -> (f64, f64) {
        (f64::from(self.image.width()), f64::from(self.image.height()))
    }

    /// The colour at continuous pixel coordinates, by cubic interpolation; the edge is repeated.
    pub fn at(&self, x: f64, y: f64) -> Colour {
        let (x, y) = (x - 0.5, y - 0.5);
        let (ix, iy) = (x.floor(), y.floor());
        let (wx, wy) = (weights((x - ix) as f32), weights((y - iy) as f32));
        let inside = |i: i64, size: u32| i.clamp(0, i64::from(size) - 1) as u32;
        let mut sum = [0f32; 3];
        for (j, row_weight) in (-1i64..).zip(wy) {
            let row = inside(iy as i64 + j, self.image.height());
            for (i, weight) in (-1i64..).zip(wx) {
                let pixel = self.image.get_pixel(inside(ix as i64 + i, self.image.width()), row);
                for (total, value) in sum.iter_mut().zip(pixel.0) {
                    *total += row_weight * weight * f32::from(value);
                }
            }
        }
        sum
    }

    /// The same with pixels of at least that size: detail that a photo could not show would only make it flicker.
    pub fn no_finer_than(self, gsd_m: f64) -> Self {
        if self.gsd_m >= gsd_m {
            return self;
        }
        let (width, height) = self.size_px();
        let size = |px: f64| ((px * self.gsd_m / gsd_m).round().max(1.0)) as u32;
        let image = resize(&self.image, size(width), size(height), FilterType::Triangle);
        // What rounding the width changes is told by the size of the pixels.
        Self { gsd_m: self.gsd_m * width / f64::from(image.width()), image }
    }
}

/// Weights of the pixels at −1, 0, 1 and 2 for a place `t` after pixel 0.
fn weights(t: f32) -> [f32; 4] {
    let near = |d: f32| ((CUBIC + 2.0) * d - (CUBIC + 3.0)) * d * d + 1.0;
    let far = |d: f32| ((CUBIC * d - 5.0 * CUBIC) * d + 8.0 * CUBIC) * d - 4.0 * CUBIC;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

/// Reads a picture.
pub(super) fn read(path: &Path) -> Result<RgbImage, SimulateError> {
    let bytes = std::fs::read(path).map_err(|source| SimulateError::Material { path: path.into(), what: source.to_string() })?;
    match image::load_from_memory(&bytes) {
        Ok(image) => Ok(image.into_rgb8()),
        Err(error) => {
            Err(SimulateError::Material { path: path.into(), what: format!("is no picture that can be read: {error}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_pixels_middle_has_its_own_colour_and_between_two_of_a_ramp_lies_their_mean() {
        let ramp = Imagery { image: RgbImage::from_fn(9, 9, |x, y| Rgb([10 * x as u8, 20 * y as u8, 7])), gsd_m: 0.5 };
        assert_eq!(ramp.at(4.5, 3.5), [40.0, 60.0, 7.0]);
        let [r, g, b] = ramp.at(5.0, 4.0);
        assert!((r - 45.0).abs() < 1e-3 && (g - 70.0).abs() < 1e-3 && (b - 7.0).abs() < 1e-3, "{r} {g} {b}");
        assert_eq!(ramp.at(-3.0, 0.5)[0], 0.0);
    }

    #[test]
    fn coarser_pixels_cover_the_same_ground() {
        let fine = Imagery { image: RgbImage::from_pixel(1000, 500, Rgb([9, 9, 9])), gsd_m: 0.07 };
        let coarse = fine.no_finer_than(0.15);
        assert_eq!(coarse.image.dimensions(), (467, 233));
        assert!((coarse.gsd_m * 467.0 - 70.0).abs() < 1e-9);
    }
}
