//! Rectification: the frame resampled to a north-up view of level ground at a chosen ground sampling distance.
//!
//! The view's plane has its origin on the ground straight below the camera, so a place found for the view is a place found for
//! the camera under that hypothesis of attitude and height.

use image::RgbImage;
use nalgebra::{Matrix3, UnitQuaternion, Vector3};

use crate::geo::MetricView;
use crate::types::{Camera, ImageTensor, ground_offset_of_ray};

/// Views wider than this many heights are cut: what lies further is too oblique and too coarse to match.
const MAX_RANGE_HEIGHTS: f64 = 2.5;
/// Points along each edge of the image when its footprint is traced, so that distortion bends it.
const FOOTPRINT_STEPS: usize = 8;
/// A view pixel may cover up to this many source pixels of the pyramid level it is sampled from.
const MAX_MINIFICATION: f64 = 1.4;

/// The frame and its successive halvings, so that a coarse view is sampled without aliasing.
pub struct FramePyramid {
    levels: Vec<Level>,
}

struct Level {
    width: usize,
    height: usize,
    /// Red, green, blue, 0..255, and a zero: four numbers are one vector.
    data: Vec<Texel>,
}

type Texel = [f32; 4];

impl FramePyramid {
    /// Halves the frame until its longer side is below 64 pixels.
    pub fn new(image: &RgbImage) -> Self {
        let mut levels = vec![Level {
            width: image.width() as usize,
            height: image.height() as usize,
            data: image.pixels().map(|p| [f32::from(p[0]), f32::from(p[1]), f32::from(p[2]), 0.0]).collect(),
        }];
        while let Some(last) = levels.last().filter(|l| l.width.max(l.height) >= 64 && l.width.min(l.height) >= 4) {
            let next = last.halved();
            levels.push(next);
        }
        Self { levels }
    }

    /// Size of the frame, pixels.
    pub fn size_px(&self) -> (u32, u32) {
        self.levels.first().map_or((0, 0), |l| (l.width as u32, l.height as u32))
    }

    /// The largest copy of the frame whose longer side is at most `longest_px`, and its size relative to the frame.
    pub fn preview(&self, longest_px: usize) -> Option<(RgbImage, f64)> {
        let index = self.levels.iter().position(|l| l.width.max(l.height) <= longest_px)?;
        let level = self.levels.get(index)?;
        let bytes = level.data.iter().flat_map(|p| [p[0], p[1], p[2]]).map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
        let image = RgbImage::from_raw(level.width as u32, level.height as u32, bytes)?;
        Some((image, 1.0 / f64::from(1u32 << index)))
    }

    /// Brightness of the largest copy of the frame whose longer side is at most `longest_px`, 0..255, the share of its pixels that are
    /// saturated, and its width.
    pub(super) fn brightness(&self, longest_px: usize, saturated: f32) -> Option<(Vec<f32>, f64, usize)> {
        let level = self.levels.iter().find(|l| l.width.max(l.height) <= longest_px)?;
        let grey = level.data.iter().map(|p| (p[0] + p[1] + p[2]) / 3.0).collect();
        let range = |p: &Texel| p[0].max(p[1]).max(p[2]) - p[0].min(p[1]).min(p[2]);
        let share = level.data.iter().filter(|p| range(p) > saturated).count() as f64 / level.data.len().max(1) as f64;
        Some((grey, share, level.width))
    }

    /// Standard deviation of brightness over the frame, 0..255: nearly zero for a lens cap, fog or a blown-out frame.
    pub fn contrast(&self) -> f64 {
        let Some(level) = self.levels.get(2.min(self.levels.len().saturating_sub(1))) else { return 0.0 };
        let grey = level.data.iter().map(|p| f64::from(p[0] + p[1] + p[2]) / 3.0);
        let n = (level.width * level.height) as f64;
        let (sum, squares) = grey.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
        (squares / n - (sum / n).powi(2)).max(0.0).sqrt()
    }

    /// How sharp the frame is where a pixel covers at most `minification` of its own: the energy of the brightness' gradient
    /// relative to that of a copy smoothed by a 3 × 3 binomial. 1 is smooth; imagery with detail at the scale of a pixel has 1.5 and
    /// more. For the 1/f² spectrum of natural images blurred by a Gaussian of σ pixels it is (σ² + ½) / σ².
    pub fn sharpness(&self, minification: f64) -> f64 {
        let index = (minification.max(1.0).log2().floor() as usize).min(self.levels.len().saturating_sub(1));
        let Some(level) = self.levels.get(index) else { return 1.0 };
        let grey: Vec<f32> = level.data.iter().map(|p| p[0] + p[1] + p[2]).collect();
        let (w, h) = (level.width, level.height);
        let smooth = |v: &[f32], at: usize, step: usize| 0.25 * (v[at - step] + v[at + step]) + 0.5 * v[at];
        let mut rows = grey.clone();
        let mut smoothed = grey.clone();
        for y in 0..h {
            (1..w.saturating_sub(1)).for_each(|x| rows[y * w + x] = smooth(&grey, y * w + x, 1));
        }
        for y in 1..h.saturating_sub(1) {
            (0..w).for_each(|x| smoothed[y * w + x] = smooth(&rows, y * w + x, w));
        }
        let energy = |v: &[f32]| {
            let inner = (1..h.saturating_sub(1)).flat_map(|y| (1..w.saturating_sub(1)).map(move |x| y * w + x));
            inner.map(|at| f64::from((v[at + 1] - v[at]).powi(2) + (v[at + w] - v[at]).powi(2))).sum::<f64>()
        };
        // The rounding of three channels alone gives a gradient of 1 a pixel: an image that has little more is smooth.
        const ROUNDING: f64 = 4.0;
        let sharp = energy(&grey);
        if sharp < ROUNDING * (w * h) as f64 { 1.0 } else { sharp / energy(&smoothed) }
    }
}

impl Level {
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            let upper = self.data[2 * y * self.width..].chunks_exact(2);
            let lower = self.data[(2 * y + 1) * self.width..].chunks_exact(2);
            let mean = |(u, l): (&[Texel], &[Texel])| std::array::from_fn(|c| (u[0][c] + u[1][c] + l[0][c] + l[1][c]) / 4.0);
            data.extend(upper.zip(lower).take(width).map(mean));
        }
        Self { width, height, data }
    }

    /// Bilinear sample at continuous coordinates of this level (pixel centres at .5); `None` outside.
    fn sample(&self, x: f64, y: f64) -> Option<Texel> {
        let (x, y) = (x - 0.5, y - 0.5);
        if !(x >= -0.5 && y >= -0.5 && x <= self.width as f64 - 0.5 && y <= self.height as f64 - 0.5) {
            return None;
        }
        let x = x.clamp(0.0, (self.width - 1) as f64);
        let y = y.clamp(0.0, (self.height - 1) as f64);
        let (x0, y0) = ((x as usize).min(self.width.saturating_sub(2)), (y as usize).min(self.height.saturating_sub(2)));
        let (fx, fy) = ((x - x0 as f64) as f32, (y - y0 as f64) as f32);
        let (right, below) = (usize::from(self.width > 1), if self.height > 1 { self.width } else { 0 });
        let at = y0 * self.width + x0;
        let (upper, lower) = (self.data.get(at..=at + right)?, self.data.get(at + below..=at + below + right)?);
        let between = |a: Texel, b: Texel, t: f32| -> Texel { std::array::from_fn(|c| a[c] + t * (b[c] - a[c])) };
        Some(between(between(upper[0], upper[right], fx), between(lower[0], lower[right], fx), fy))
    }
}

/// A north-up view of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct RectifiedFrame {
    /// Where the pixels lie, metres from the point below the camera.
    pub view: MetricView,
    /// The resampled image; black where the frame does not reach.
    pub image: ImageTensor,
    /// Row-major, whether the frame covers the pixel.
    pub covered: Vec<bool>,
}

impl RectifiedFrame {
    /// Whether each cell of `stride_px` pixels is covered entirely; row-major.
    pub fn covered_cells(&self, stride_px: usize) -> Vec<bool> {
        let (rows, columns) = (self.image.height_px / stride_px, self.image.width_px / stride_px);
        let mut cells = vec![true; rows * columns];
        for (row, line) in self.covered.chunks_exact(self.image.width_px).take(rows * stride_px).enumerate() {
            for (column, covered) in line.iter().take(columns * stride_px).enumerate() {
                if !covered {
                    cells[row / stride_px * columns + column / stride_px] = false;
                }
            }
        }
        cells
    }
}

/// Outline of the frame on level ground, metres east and north of the point below the camera; cut at 2.5 heights. `None` when
/// less than the lower half of the image meets the ground.
pub fn footprint(camera: &Camera, enu_from_camera: &UnitQuaternion<f64>, height_m: f64) -> Option<Vec<[f64; 2]>> {
    let (w, h) = (f64::from(camera.intrinsics.width_px), f64::from(camera.intrinsics.height_px));
    let step = |i: usize| i as f64 / FOOTPRINT_STEPS as f64;
    let edges = (0..4 * FOOTPRINT_STEPS).map(|i| {
        let t = step(i % FOOTPRINT_STEPS);
        match i / FOOTPRINT_STEPS {
            0 => (t * w, 0.0),
            1 => (w, t * h),
            2 => (w - t * w, h),
            _ => (0.0, h - t * h),
        }
    });
    let limit = MAX_RANGE_HEIGHTS * height_m;
    let outline: Vec<[f64; 2]> = edges
        .filter_map(|(x, y)| ground_offset_of_ray(&(enu_from_camera * camera.ray(x, y)), height_m))
        .map(|(e, n)| {
            let scale = (limit / e.hypot(n).max(1e-9)).min(1.0);
            [e * scale, n * scale]
        })
        .collect();
    (outline.len() >= 2 * FOOTPRINT_STEPS).then_some(outline)
}

/// The smallest view at a ground sampling distance that holds a footprint, its sides rounded up to multiples of `multiple_px`.
pub fn view_around_footprint(outline: &[[f64; 2]], ground_sampling_distance_m: f64, multiple_px: u32) -> MetricView {
    let mut low = [f64::INFINITY; 2];
    let mut high = [f64::NEG_INFINITY; 2];
    for point in outline {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let side = |axis: usize| {
        (((high[axis] - low[axis]) / ground_sampling_distance_m).ceil() as u32).max(1).next_multiple_of(multiple_px)
    };
    let (width_px, height_px) = (side(0), side(1));
    MetricView {
        west_m: (low[0] + high[0]) / 2.0 - f64::from(width_px) / 2.0 * ground_sampling_distance_m,
        north_m: (low[1] + high[1]) / 2.0 + f64::from(height_px) / 2.0 * ground_sampling_distance_m,
        ground_sampling_distance_m,
        width_px,
        height_px,
    }
}

/// Resamples a frame to a view of level ground `height_m` below the camera. `camera` must be for the frame's true size.
pub fn rectify(
    frame: &FramePyramid,
    camera: &Camera,
    enu_from_camera: &UnitQuaternion<f64>,
    height_m: f64,
    view: &MetricView,
) -> RectifiedFrame {
    let (width, height) = (view.width_px as usize, view.height_px as usize);
    let i = &camera.intrinsics;
    let gsd = view.ground_sampling_distance_m;
    // Source pixels a view pixel covers, straight below the camera.
    let minification = gsd * i.fx_px.min(i.fy_px) / height_m;
    let wanted = (minification / MAX_MINIFICATION).log2().ceil().max(0.0) as usize;
    let index = wanted.min(frame.levels.len().saturating_sub(1));
    let mut out = RectifiedFrame { view: *view, image: ImageTensor::zeros(width, height), covered: vec![false; width * height] };
    let Some(level) = frame.levels.get(index) else { return out };
    let scale = 1.0 / f64::from(1u32 << index);

    let camera_from_enu: Matrix3<f64> = enu_from_camera.inverse().to_rotation_matrix().into_inner();
    let distorted = !camera.distortion.is_none();
    let limit_squared = (MAX_RANGE_HEIGHTS * height_m).powi(2);
    let plane = width * height;
    for row in 0..height {
        let n = view.north_m - (row as f64 + 0.5) * gsd;
        let mut point = camera_from_enu * Vector3::new(view.west_m + 0.5 * gsd, n, -height_m);
        let step = camera_from_enu.column(0) * gsd;
        for column in 0..width {
            let p = point;
            point += step;
            let e = view.west_m + (column as f64 + 0.5) * gsd;
            if p.z <= 1e-6 || e * e + n * n > limit_squared {
                continue;
            }
            let (x, y) = if distorted {
                match camera.project(&p) {
                    Some(xy) => xy,
                    None => continue,
                }
            } else {
                (i.cx_px + i.fx_px * p.x / p.z, i.cy_px + i.fy_px * p.y / p.z)
            };
            if let Some(rgb) = level.sample(x * scale, y * scale) {
                let at = row * width + column;
                out.covered[at] = true;
                for (values, value) in out.image.data.chunks_exact_mut(plane).zip(rgb) {
                    values[at] = value / 255.0;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::enu_from_body;
    use crate::types::Intrinsics;

    #[test]
    fn a_blurred_frame_is_told_from_a_sharp_one() {
        let sharp = RgbImage::from_fn(160, 120, |x, y| {
            let block = (x / 9 * 31 + y / 7 * 17) % 13 * 19;
            image::Rgb([block as u8, block as u8, (block / 2) as u8])
        });
        let of = |image: &RgbImage| FramePyramid::new(image).sharpness(1.0);
        let blurred = image::imageops::fast_blur(&sharp, 3.0);
        assert!(of(&sharp) > 1.4 && of(&blurred) < 1.12, "{} {}", of(&sharp), of(&blurred));
        // Seen at a quarter of the resolution the blur does not matter.
        assert!(FramePyramid::new(&blurred).sharpness(4.0) > 1.3);
    }

    /// A frame whose red channel is the pixel's column and whose green channel is its row.
    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 0]))
    }

    #[test]
    fn a_pixel_of_the_view_shows_the_frame_pixel_whose_ray_meets_it() {
        let camera = Camera::nadir(Intrinsics::centred(240, 200, 200.0));
        let attitude = camera.enu_from_camera(&enu_from_body(0.7, 0.0, 0.0));
        let outline = footprint(&camera, &attitude, 100.0).unwrap();
        let view = view_around_footprint(&outline, 0.5, 32);
        let out = rectify(&FramePyramid::new(&ramp(240, 200)), &camera, &attitude, 100.0, &view);
        let (w, h) = (view.width_px as usize, view.height_px as usize);
        let mut seen = 0;
        for row in (8..h).step_by(16) {
            for column in (8..w).step_by(16) {
                let (e, n) = view.ground_from_pixel(column as f64 + 0.5, row as f64 + 0.5);
                let p = attitude.inverse() * Vector3::new(e, n, -100.0);
                let (x, y) = camera.project(&p).unwrap();
                if (2.0..238.0).contains(&x) && (2.0..198.0).contains(&y) {
                    assert!(out.covered[row * w + column]);
                    let (r, g) = (out.image.data[row * w + column] * 255.0, out.image.data[w * h + row * w + column] * 255.0);
                    assert!((f64::from(r) - (x - 0.5)).abs() < 0.01 && (f64::from(g) - (y - 0.5)).abs() < 0.01);
                    seen += 1;
                }
            }
        }
        assert!(seen > 50);
    }

    #[test]
    fn a_coarse_view_is_sampled_from_a_coarser_level_in_the_same_place() {
        let camera = Camera::nadir(Intrinsics::centred(256, 256, 256.0));
        let attitude = camera.enu_from_camera(&enu_from_body(0.0, 0.0, 0.0));
        let view = MetricView { west_m: -40.0, north_m: 40.0, ground_sampling_distance_m: 2.0, width_px: 40, height_px: 40 };
        let out = rectify(&FramePyramid::new(&ramp(256, 256)), &camera, &attitude, 100.0, &view);
        let (e, _) = view.ground_from_pixel(10.5, 10.5);
        let x = 128.0 + 256.0 * e / 100.0 - 0.5;
        assert!((f64::from(out.image.data[10 * 40 + 10]) * 255.0 - x).abs() < 0.1);
    }

    #[test]
    fn a_view_of_the_horizon_has_no_footprint() {
        let camera =
            Camera { mounting: crate::types::Mounting::Strapdown, ..Camera::nadir(Intrinsics::centred(640, 480, 466.0)) };
        let attitude = camera.enu_from_camera(&enu_from_body(0.0, 88f64.to_radians(), 0.0));
        assert!(footprint(&camera, &attitude, 100.0).is_none());
    }
}
