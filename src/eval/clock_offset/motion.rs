//! Motion between consecutive frames: rotation and shift of the picture, by registration of small grey pictures.
//!
//! A similarity is fitted by Gauss–Newton on a pyramid, from the motion before. Against phase correlation and its log-polar form it
//! resolves hundredths of a degree at 160 px, which slow turns need, and frames of 5 per second and more move little enough for it.

use image::RgbImage;
use image::imageops::{grayscale, thumbnail};
use nalgebra::{Matrix4, Vector4};

/// Frames are made so small before they are compared, pixels along the longer side.
const WORKING_PX: u32 = 160;
/// The coarsest level of the pyramid is not smaller than this along its shorter side, pixels.
const COARSEST_PX: usize = 20;
const ITERATIONS: usize = 12;
/// Steps below this end the iteration, pixels.
const CONVERGED_PX: f64 = 2e-3;
/// Frames whose overlap correlates less were not registered.
const MIN_CORRELATION: f64 = 0.5;
/// The share of a frame that must be seen in the next.
const MIN_OVERLAP: f64 = 0.3;

/// How the picture moved from a frame to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// Stamp of the earlier frame.
    pub from_ns: i64,
    /// Stamp of the later frame.
    pub to_ns: i64,
    /// Rotation of what is seen about the middle, radians, from the image's x axis to its y axis: clockwise on a screen.
    pub rotation_rad: f64,
    /// Shift of what is seen in the middle along x and y, in widths of the frame.
    pub shift: [f64; 2],
}

/// Takes frames in order and keeps the motion between neighbours.
#[derive(Default)]
pub struct MotionTracker {
    last: Option<(i64, Vec<Level>)>,
    /// Of the pair before, in pixels of the finest level.
    guess: Vector4<f64>,
    motions: Vec<Motion>,
    frames: u64,
    failed: u64,
}

impl MotionTracker {
    /// A tracker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a frame. One whose stamp is not after the one before, or that cannot be registered with it, only starts the next pair.
    pub fn frame(&mut self, stamp_ns: i64, image: &RgbImage) {
        self.frames += 1;
        let levels = pyramid(image);
        let last = self.last.replace((stamp_ns, levels));
        let (Some((from_ns, before)), Some((_, now))) = (last, &self.last) else { return };
        let usable = stamp_ns > from_ns && before.first().map(Level::size) == now.first().map(Level::size);
        let found = if usable {
            // The motion before is a good guess in a steady turn, and a bad one after a jerk.
            register(&before, now, self.guess).or_else(|| register(&before, now, Vector4::zeros()))
        } else {
            None
        };
        let (Some(p), Some(finest)) = (found, now.first()) else {
            self.failed += 1;
            self.guess = Vector4::zeros();
            return;
        };
        self.guess = p;
        let half = finest.half();
        let rotation_rad = (p[3] / half).atan2(1.0 + p[2] / half);
        let width = finest.width as f64;
        self.motions.push(Motion { from_ns, to_ns: stamp_ns, rotation_rad, shift: [p[0] / width, p[1] / width] });
    }

    /// What was found so far, in order of time.
    pub fn motions(&self) -> &[Motion] {
        &self.motions
    }

    /// Frames taken so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Pairs that could not be registered.
    pub fn failed(&self) -> u64 {
        self.failed
    }
}

/// A grey picture of mean 0 and standard deviation 1.
struct Level {
    width: usize,
    height: usize,
    values: Vec<f32>,
    /// Central differences along x and y.
    gradients: Vec<[f32; 2]>,
}

impl Level {
    fn new(width: usize, height: usize, values: Vec<f32>) -> Self {
        Self { width, height, values, gradients: Vec::new() }
    }

    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Half the width: what makes the parameters of rotation and scale pixels.
    fn half(&self) -> f64 {
        self.width as f64 / 2.0
    }

    fn at(&self, x: usize, y: usize) -> f32 {
        self.values.get(y * self.width + x).copied().unwrap_or(0.0)
    }

    /// Value and gradient between pixels; `None` outside.
    #[inline]
    fn sample(&self, x: f32, y: f32) -> Option<[f32; 3]> {
        if !(x >= 0.0 && y >= 0.0) {
            return None;
        }
        let (i, j) = (x as usize, y as usize);
        if i + 1 >= self.width || j + 1 >= self.height {
            return None;
        }
        let (tx, ty) = (x - i as f32, y - j as f32);
        let (wa, wb, wc, wd) = ((1.0 - tx) * (1.0 - ty), tx * (1.0 - ty), (1.0 - tx) * ty, tx * ty);
        let upper = j * self.width + i;
        let lower = upper + self.width;
        let (&[a, b], &[c, d]) = (self.values.get(upper..)?.first_chunk::<2>()?, self.values.get(lower..)?.first_chunk::<2>()?);
        let (&[ga, gb], &[gc, gd]) =
            (self.gradients.get(upper..)?.first_chunk::<2>()?, self.gradients.get(lower..)?.first_chunk::<2>()?);
        Some([
            wa * a + wb * b + wc * c + wd * d,
            wa * ga[0] + wb * gb[0] + wc * gc[0] + wd * gd[0],
            wa * ga[1] + wb * gb[1] + wc * gc[1] + wd * gd[1],
        ])
    }

    fn smoothed(&self) -> Self {
        let (w, h) = (self.width, self.height);
        let pass = |from: &Level, step: &dyn Fn(usize, usize, isize) -> (usize, usize)| {
            let values = (0..w * h).map(|i| {
                let tap = |d: isize| {
                    let (x, y) = step(i % w, i / w, d);
                    from.at(x, y)
                };
                (tap(-1) + 2.0 * tap(0) + tap(1)) / 4.0
            });
            Level::new(w, h, values.collect())
        };
        let across = pass(self, &|x, y, d| (x.saturating_add_signed(d).min(w - 1), y));
        pass(&across, &|x, y, d| (x, y.saturating_add_signed(d).min(h - 1)))
    }

    fn halved(&self) -> Self {
        let (w, h) = (self.width / 2, self.height / 2);
        let values = (0..w * h).map(|i| {
            let (x, y) = (2 * (i % w), 2 * (i / w));
            (self.at(x, y) + self.at(x + 1, y) + self.at(x, y + 1) + self.at(x + 1, y + 1)) / 4.0
        });
        Level::new(w, h, values.collect())
    }

    /// Exposure may change from frame to frame.
    fn normalised(mut self) -> Self {
        let n = self.values.len().max(1) as f32;
        let mean = self.values.iter().sum::<f32>() / n;
        let deviation = (self.values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt().max(1e-3);
        self.values.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
        let (w, h) = self.size();
        let gradient = |i: usize| {
            let (x, y) = (i % w, i / w);
            let (left, right) = (x.saturating_sub(1), (x + 1).min(w - 1));
            let (up, down) = (y.saturating_sub(1), (y + 1).min(h - 1));
            [(self.at(right, y) - self.at(left, y)) / 2.0, (self.at(x, down) - self.at(x, up)) / 2.0]
        };
        self.gradients = (0..w * h).map(gradient).collect();
        self
    }
}

/// The levels of a frame, finest first.
fn pyramid(image: &RgbImage) -> Vec<Level> {
    let (w, h) = image.dimensions();
    let scale = f64::from(WORKING_PX) / f64::from(w.max(h).max(1));
    let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
    let small = if scale < 1.0 { grayscale(&thumbnail(image, side(w), side(h))) } else { grayscale(image) };
    let (width, height) = (small.width() as usize, small.height() as usize);
    let finest = Level::new(width, height, small.as_raw().iter().map(|v| f32::from(*v)).collect());
    let mut levels = vec![finest.smoothed().normalised()];
    while let Some(next) = levels.last().filter(|l| l.width.min(l.height) / 2 >= COARSEST_PX).map(Level::halved) {
        levels.push(next.smoothed().normalised());
    }
    levels
}

/// The similarity that carries one frame onto the other, in pixels of the finest level: shift x, y of the middle, and what scale and
/// rotation move a point half a width away.
fn register(before: &[Level], now: &[Level], guess: Vector4<f64>) -> Option<Vector4<f64>> {
    let coarsest = before.len().checked_sub(1)?;
    let mut p = guess / f64::from(1u32 << coarsest);
    for (i, (a, b)) in before.iter().zip(now).enumerate().rev() {
        for _ in 0..ITERATIONS {
            let step = step(a, b, &p)?.0;
            p += step;
            if step.norm() < CONVERGED_PX {
                break;
            }
        }
        if i > 0 {
            p *= 2.0;
        }
    }
    let half = before.first()?.half();
    let turned = (p[3] / half).abs() < 0.5 && (p[2] / half).abs() < 0.3;
    let correlation = step(before.first()?, now.first()?, &p)?.1;
    (turned && correlation >= MIN_CORRELATION).then_some(p)
}

/// One Gauss–Newton step, and the correlation of the overlap before it; `None` without enough overlap or structure.
fn step(a: &Level, b: &Level, p: &Vector4<f64>) -> Option<(Vector4<f64>, f64)> {
    let (cx, cy, half) = ((a.width - 1) as f32 / 2.0, (a.height - 1) as f32 / 2.0, a.half() as f32);
    let [tx, ty, grow, turn] = [p[0], p[1], p[2], p[3]].map(|v| v as f32);
    // The upper triangle of the normal matrix row by row, and the right-hand side; sums of a row in single precision are exact enough.
    let (mut normal, mut right, mut sums) = ([0.0f64; 10], [0.0f64; 4], [0.0f64; 5]);
    let mut seen = 0usize;
    for y in 0..a.height {
        let v = (y as f32 - cy) / half;
        let (mut row_normal, mut row_right, mut row_sums) = ([0.0f32; 10], [0.0f32; 4], [0.0f32; 5]);
        for x in 0..a.width {
            let u = (x as f32 - cx) / half;
            let (wx, wy) = (x as f32 + tx + grow * u - turn * v, y as f32 + ty + turn * u + grow * v);
            let Some([value, gx, gy]) = b.sample(wx, wy) else { continue };
            let wanted = a.at(x, y);
            let (gs, gr) = (gx * u + gy * v, gy * u - gx * v);
            let rest = wanted - value;
            let products = [gx * gx, gx * gy, gx * gs, gx * gr, gy * gy, gy * gs, gy * gr, gs * gs, gs * gr, gr * gr];
            row_normal.iter_mut().zip(products).for_each(|(sum, term)| *sum += term);
            row_right.iter_mut().zip([gx, gy, gs, gr]).for_each(|(sum, g)| *sum += g * rest);
            let moments = [value, wanted, value * value, wanted * wanted, value * wanted];
            row_sums.iter_mut().zip(moments).for_each(|(sum, term)| *sum += term);
            seen += 1;
        }
        normal.iter_mut().zip(row_normal).for_each(|(sum, row)| *sum += f64::from(row));
        right.iter_mut().zip(row_right).for_each(|(sum, row)| *sum += f64::from(row));
        sums.iter_mut().zip(row_sums).for_each(|(sum, row)| *sum += f64::from(row));
    }
    let [a00, a01, a02, a03, a11, a12, a13, a22, a23, a33] = normal;
    #[rustfmt::skip]
    let normal = Matrix4::new(
        a00, a01, a02, a03,
        a01, a11, a12, a13,
        a02, a12, a22, a23,
        a03, a13, a23, a33,
    );
    let right = Vector4::from(right);
    if (seen as f64) < MIN_OVERLAP * a.values.len() as f64 {
        return None;
    }
    let n = seen as f64;
    let [va, wa, vv, ww, vw] = sums.map(|s| s / n);
    let correlation = (vw - va * wa) / ((vv - va * va) * (ww - wa * wa)).sqrt().max(1e-12);
    let solved = normal.cholesky()?.solve(&right);
    // A step beyond a few pixels leaves what the gradients know.
    let length = solved.norm();
    let limit = a.half() / 4.0;
    (length.is_finite()).then(|| (if length > limit { solved * (limit / length) } else { solved }, correlation))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth random texture, seen turned and shifted.
    fn view(width: u32, height: u32, rotation_rad: f64, shift: (f64, f64), gain: f64) -> RgbImage {
        let (s, c) = rotation_rad.sin_cos();
        let scale = f64::from(width) / 160.0;
        RgbImage::from_fn(width, height, |x, y| {
            let (u, v) = (f64::from(x) + 0.5 - f64::from(width) / 2.0, f64::from(y) + 0.5 - f64::from(height) / 2.0);
            let (u, v) = (u / scale - shift.0, v / scale - shift.1);
            // What is seen has moved on by the rotation, so the texture is looked up turned back.
            let (e, n) = (c * u + s * v, -s * u + c * v);
            let value = [(0.21, 0.13, 0.3), (-0.17, 0.29, 1.9), (0.08, -0.35, 4.0), (0.5, 0.11, 2.0), (-0.06, -0.09, 0.5)]
                .iter()
                .map(|(a, b, phase)| (a * e + b * n + phase).sin())
                .sum::<f64>();
            image::Rgb([(gain * (128.0 + 22.0 * value)).clamp(0.0, 255.0) as u8; 3])
        })
    }

    #[test]
    fn rotation_and_shift_are_found_whatever_the_exposure_and_size() {
        for (w, h) in [(160, 120), (640, 480), (1280, 720)] {
            for (rotation, shift) in [(0.0, (0.0, 0.0)), (0.03, (1.5, -0.7)), (-0.05, (-4.0, 2.0)), (0.1, (3.0, 3.0))] {
                let mut tracker = MotionTracker::new();
                tracker.frame(0, &view(w, h, 0.0, (0.0, 0.0), 1.0));
                tracker.frame(100, &view(w, h, rotation, shift, 0.8));
                let m = tracker.motions().first().copied().unwrap_or_else(|| panic!("{w} {rotation}"));
                assert!((m.rotation_rad - rotation).abs() < 1e-3, "{w} {rotation}: {m:?}");
                let off = (m.shift[0] * 160.0 - shift.0).hypot(m.shift[1] * 160.0 - shift.1);
                assert!(off < 0.1, "{w} {shift:?}: {m:?}");
            }
        }
    }

    #[test]
    fn frames_that_do_not_match_are_counted_and_leave_a_gap() {
        let mut tracker = MotionTracker::new();
        tracker.frame(0, &view(160, 120, 0.0, (0.0, 0.0), 1.0));
        tracker.frame(1, &view(160, 120, 1.3, (70.0, 50.0), 1.0));
        tracker.frame(2, &RgbImage::new(160, 120));
        tracker.frame(3, &RgbImage::new(1, 1));
        tracker.frame(4, &view(160, 120, 0.0, (0.0, 0.0), 1.0));
        tracker.frame(4, &view(160, 120, 0.0, (0.0, 0.0), 1.0));
        tracker.frame(5, &view(160, 120, 0.01, (0.0, 0.0), 1.0));
        assert_eq!((tracker.frames(), tracker.failed(), tracker.motions().len()), (7, 5, 1));
        assert_eq!((tracker.motions()[0].from_ns, tracker.motions()[0].to_ns), (4, 5));
    }
}
