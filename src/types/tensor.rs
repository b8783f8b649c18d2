//! The image as a network takes it.

use image::RgbImage;

/// An RGB image as three planes (red, green, blue), row-major, values 0..1.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageTensor {
    /// Columns.
    pub width_px: usize,
    /// Rows.
    pub height_px: usize,
    /// `3 · height · width` values, plane by plane.
    pub data: Vec<f32>,
}

impl ImageTensor {
    /// A black image.
    pub fn zeros(width_px: usize, height_px: usize) -> Self {
        Self { width_px, height_px, data: vec![0.0; 3 * width_px * height_px] }
    }

    /// The image, padded on the right and below with black up to multiples of `multiple_px`.
    pub fn from_rgb_padded(image: &RgbImage, multiple_px: usize) -> Self {
        let (w, h) = (image.width() as usize, image.height() as usize);
        let mut out = Self::zeros(w.next_multiple_of(multiple_px), h.next_multiple_of(multiple_px));
        let plane = out.width_px * out.height_px;
        for (row, pixels) in image.as_raw().chunks_exact(3 * w).enumerate() {
            for (column, pixel) in pixels.chunks_exact(3).enumerate() {
                for (channel, value) in pixel.iter().enumerate() {
                    out.data[channel * plane + row * out.width_px + column] = f32::from(*value) / 255.0;
                }
            }
        }
        out
    }
}

impl ImageTensor {
    /// Gives every pixel that is not covered (row-major, padding excluded where `covered` is shorter) the mean colour of the
    /// covered ones.
    pub fn fill_with_mean(&mut self, covered: &[bool]) {
        let plane = self.width_px * self.height_px;
        let n = covered.iter().filter(|c| **c).count();
        if n == 0 || covered.len() != plane {
            return;
        }
        for values in self.data.chunks_exact_mut(plane) {
            let sum: f64 = values.iter().zip(covered).filter(|(_, c)| **c).map(|(v, _)| f64::from(*v)).sum();
            let mean = (sum / n as f64) as f32;
            values.iter_mut().zip(covered).filter(|(_, c)| !**c).for_each(|(v, _)| *v = mean);
        }
    }
}
