//! Pictures that show no ground, told before any search: test signals, screens, menus, text, noise.
//!
//! What a camera sees of the ground has noise and detail everywhere, no lines that go on exactly from edge to edge, and neighbouring pixels
//! that are alike. What a machine has drawn is flat, or exactly repeated, or its edges lie exactly along the axes; noise is alike nowhere. The
//! limits lie far beyond what 330 pictures of real ground have (NAIP, drone and satellite imagery of seven sources: flat up to 0.20, repeated
//! up to 0.18, along the axes up to 0.55, saturated 0.00, smooth from 0.59, alike from 0.61), so that only what is plainly drawn is told; the
//! rest is left to the evidence of its matches.

use super::rectify::FramePyramid;

/// The longest side that is looked at, pixels.
const LONGEST_PX: usize = 800;
/// Side of a block, pixels.
const BLOCK: usize = 8;
/// A block whose brightness has at most this range is flat, 0..255.
const FLAT_RANGE: f32 = 3.0;
/// A block with a larger range holds a strong edge.
const CRISP_RANGE: f32 = 60.0;
/// Rows with less contrast are not compared, standard deviation 0..255.
const LINE_CONTRAST: f32 = 6.0;
/// Rows that are alike by more than this repeat each other.
const REPEATED: f32 = 0.97;
/// An edge, brightness over two pixels.
const EDGE: f32 = 40.0;
/// Edges that lie so much along an axis lie exactly along it: the tangent.
const ALONG: f32 = 0.07;
/// A colour whose channels differ by more is saturated, 0..255.
const SATURATED: f32 = 150.0;

/// Shares and ratios of a picture that tell drawn ones, 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    /// Share of flat blocks.
    flat: f64,
    /// Share of blocks that hold a strong edge.
    crisp: f64,
    /// Share of rows, or of columns, that another an eighth of the picture away repeats.
    repeated: f64,
    /// Share of the edges' strength that lies exactly along the axes.
    along_axes: f64,
    /// Share of saturated pixels.
    saturated: f64,
    /// Contrast that is left beyond a smooth gradient, of the blocks' contrast.
    beyond_gradient: f64,
    /// Correlation of neighbouring pixels.
    alike: f64,
}

impl FramePyramid {
    /// Why a picture is none of the ground, in words; `None` where it may be one.
    pub fn shows_no_ground(&self) -> Option<&'static str> {
        let (grey, saturated, width) = self.brightness(LONGEST_PX, SATURATED)?;
        let height = grey.len() / width;
        if width < 4 * BLOCK || height < 4 * BLOCK {
            return None;
        }
        let look = Look::of(&grey, width, saturated);
        tracing::trace!("{look:?}");
        look.is_drawn()
    }
}

impl Look {
    fn of(grey: &[f32], width: usize, saturated: f64) -> Self {
        let height = grey.len() / width;
        let blocks = Blocks::of(grey, width);
        let columns: Vec<f32> = (0..width * height).map(|at| grey[at % height * width + at / height]).collect();
        Self {
            flat: blocks.flat,
            crisp: blocks.crisp,
            repeated: repeated_lines(grey, width).max(repeated_lines(&columns, height)),
            along_axes: along_axes(grey, width),
            saturated,
            beyond_gradient: blocks.beyond_gradient(),
            alike: alike(grey, width),
        }
    }

    fn is_drawn(&self) -> Option<&'static str> {
        let signs = [
            // Ground out of focus is flat, too, but has no crisp edge anywhere.
            (self.flat > 0.5 && self.crisp > 0.01, "most of it is one flat colour or another"),
            (self.repeated > 0.4, "its rows or columns repeat each other"),
            (self.along_axes > 0.75 && self.flat > 0.25, "its edges lie exactly along its axes"),
            (self.saturated > 0.25, "its colours are those of a test signal"),
            (self.beyond_gradient < 0.35, "it is a smooth gradient"),
            (self.alike < 0.3, "it is noise"),
        ];
        signs.into_iter().find(|(told, _)| *told).map(|(_, why)| why)
    }
}

/// Means of the blocks of a picture.
struct Blocks {
    means: Vec<f64>,
    columns: usize,
    flat: f64,
    crisp: f64,
}

impl Blocks {
    fn of(grey: &[f32], width: usize) -> Self {
        let (columns, rows) = (width / BLOCK, grey.len() / width / BLOCK);
        let (mut means, mut flat, mut crisp) = (Vec::with_capacity(columns * rows), 0usize, 0usize);
        for row in 0..rows {
            for column in 0..columns {
                let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
                for y in 0..BLOCK {
                    let at = (row * BLOCK + y) * width + column * BLOCK;
                    for v in &grey[at..at + BLOCK] {
                        (low, high, sum) = (low.min(*v), high.max(*v), sum + v);
                    }
                }
                flat += usize::from(high - low <= FLAT_RANGE);
                crisp += usize::from(high - low > CRISP_RANGE);
                means.push(f64::from(sum) / (BLOCK * BLOCK) as f64);
            }
        }
        let share = |count: usize| count as f64 / means.len().max(1) as f64;
        let (flat, crisp) = (share(flat), share(crisp));
        Self { means, columns, flat, crisp }
    }

    /// Standard deviation of what a quadratic surface leaves of the means, relative to theirs.
    fn beyond_gradient(&self) -> f64 {
        type Vector = nalgebra::SVector<f64, 6>;
        let (n, columns) = (self.means.len() as f64, self.columns as f64);
        let rows = n / columns;
        let terms = |at: usize| {
            let (x, y) = ((at % self.columns) as f64 / columns - 0.5, (at / self.columns) as f64 / rows - 0.5);
            Vector::from([1.0, x, y, x * y, x * x, y * y])
        };
        let (mut normal, mut right) = (nalgebra::SMatrix::<f64, 6, 6>::zeros(), Vector::zeros());
        for (at, mean) in self.means.iter().enumerate() {
            let t = terms(at);
            normal += t * t.transpose();
            right += t * *mean;
        }
        let Some(surface) = normal.cholesky().map(|c| c.solve(&right)) else { return 1.0 };
        let average = self.means.iter().sum::<f64>() / n;
        let (left, all) = self.means.iter().enumerate().fold((0.0, 0.0), |(left, all), (at, mean)| {
            (left + (mean - surface.dot(&terms(at))).powi(2), all + (mean - average).powi(2))
        });
        if all < 1e-6 * n { 0.0 } else { (left / all).sqrt() }
    }
}

/// Share of the rows with some contrast that the row an eighth of the picture further down repeats; 0 where few rows have any.
fn repeated_lines(grey: &[f32], width: usize) -> f64 {
    let height = grey.len() / width;
    let step = (height / 8).max(BLOCK);
    let row = |y: usize| &grey[y * width..(y + 1) * width];
    let n = width as f32;
    let moments: Vec<(f32, f32)> = (0..height)
        .map(|y| {
            let mean = row(y).iter().sum::<f32>() / n;
            (mean, (row(y).iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt())
        })
        .collect();
    let (mut compared, mut repeated) = (0usize, 0usize);
    for y in 0..height.saturating_sub(step) {
        let ((a, sa), (b, sb)) = (moments[y], moments[y + step]);
        if sa < LINE_CONTRAST || sb < LINE_CONTRAST {
            continue;
        }
        compared += 1;
        let together = row(y).iter().zip(row(y + step)).map(|(p, q)| (p - a) * (q - b)).sum::<f32>() / n;
        repeated += usize::from(together > REPEATED * sa * sb);
    }
    if compared * 3 < height { 0.0 } else { repeated as f64 / compared as f64 }
}

/// Share of the strength of the edges that lies exactly along the axes; 0 where there are few edges.
fn along_axes(grey: &[f32], width: usize) -> f64 {
    const FEW: usize = 200;
    let height = grey.len() / width;
    let (mut edges, mut along, mut all) = (0usize, 0.0, 0.0);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            let (gx, gy) = ((grey[at + 1] - grey[at - 1]).abs(), (grey[at + width] - grey[at - width]).abs());
            let strength = gx.hypot(gy);
            if strength > EDGE {
                edges += 1;
                all += f64::from(strength);
                if gx.min(gy) < ALONG * gx.max(gy) {
                    along += f64::from(strength);
                }
            }
        }
    }
    if edges < FEW { 0.0 } else { along / all }
}

/// Correlation of pixels with their neighbours to the right and below.
fn alike(grey: &[f32], width: usize) -> f64 {
    let height = grey.len() / width;
    let n = grey.len() as f64;
    let mean = grey.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let off = |at: usize| f64::from(grey[at]) - mean;
    let variance = (0..grey.len()).map(|at| off(at).powi(2)).sum::<f64>() / n;
    let mut sum = 0.0;
    for y in 0..height - 1 {
        for x in 0..width - 1 {
            let at = y * width + x;
            sum += off(at) * (off(at + 1) + off(at + width)) / 2.0;
        }
    }
    sum / ((height - 1) * (width - 1)) as f64 / variance.max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn told(draw: impl Fn(u32, u32) -> [f64; 3]) -> Option<&'static str> {
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        let image =
            RgbImage::from_fn(640, 480, |x, y| Rgb(draw(x, y).map(|v| (v + 2.0 * noise()).round().clamp(0.0, 255.0) as u8)));
        FramePyramid::new(&image).shows_no_ground()
    }

    /// Value noise at several scales: what ground looks like.
    fn ground(x: f64, y: f64) -> f64 {
        let corner = |i: i64, j: i64, k: u64| {
            let h = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (j as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f) ^ (k << 17);
            let h = (h ^ (h >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((h >> 40) as f64) / f64::from(1u32 << 24) - 0.5
        };
        let octave = |k: u64| {
            let size = f64::from(1u32 << k);
            let (u, v) = (x / size, y / size);
            let (i, j, a, b) = (u.floor() as i64, v.floor() as i64, u.fract(), v.fract());
            let top = corner(i, j, k) * (1.0 - a) + corner(i + 1, j, k) * a;
            let bottom = corner(i, j + 1, k) * (1.0 - a) + corner(i + 1, j + 1, k) * a;
            (top * (1.0 - b) + bottom * b) * size.powf(0.6)
        };
        128.0 + 6.0 * (1..7).map(octave).sum::<f64>()
    }

    #[test]
    fn ground_is_not_told_for_a_picture_without_it() {
        assert_eq!(told(|x, y| [ground(f64::from(x), f64::from(y)); 3]), None);
    }

    #[test]
    fn ground_under_letters_and_a_crosshair_is_still_ground() {
        let on_screen = |x: u32, y: u32| y < 40 && x % 12 < 6 && y % 14 < 8 || x == 320 || y == 240;
        assert_eq!(told(|x, y| if on_screen(x, y) { [255.0; 3] } else { [ground(f64::from(x), f64::from(y)); 3] }), None);
    }

    #[test]
    fn what_a_machine_draws_is_told() {
        let bars =
            |x: u32, _: u32| [[180.0; 3], [180.0, 180.0, 16.0], [16.0, 180.0, 180.0], [16.0, 16.0, 180.0]][(x / 160) as usize];
        let board = |x: u32, y: u32| [f64::from((x / 40 + y / 40) % 2) * 255.0; 3];
        let ramp = |x: u32, y: u32| [f64::from(x) * 0.3 + f64::from(y) * 0.1; 3];
        let grating = |x: u32, _: u32| [128.0 + 100.0 * (f64::from(x) / 5.0).sin(); 3];
        assert!(told(bars).is_some() && told(board).is_some() && told(ramp).is_some() && told(grating).is_some());
    }

    #[test]
    fn noise_is_told() {
        let noise = |x: u32, y: u32| {
            let h = (u64::from(x) * 640 + u64::from(y) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            [((h ^ (h >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56) as f64; 3]
        };
        assert_eq!(told(noise), Some("it is noise"));
    }
}
