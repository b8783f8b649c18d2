//! Resampling shared by the importers and the views: a map between two pixel grids on a coarse lattice, and alpha-weighted
//! bilinear sampling with as many taps as minification needs.
//!
//! Pixel coordinates are continuous: pixel `(c, r)` covers `[c, c+1) × [r, r+1)` and its centre is at `(c+0.5, r+0.5)`.

/// A window of a raster: RGBA, row-major.
#[derive(Debug)]
pub(crate) struct Window {
    /// Column of the window's first pixel in the raster.
    pub x0: i64,
    /// Row of the window's first pixel in the raster.
    pub y0: i64,
    /// Width, pixels.
    pub width: usize,
    /// Height, pixels.
    pub height: usize,
    /// `width · height · 4` bytes.
    pub rgba: Vec<u8>,
}

impl Window {
    /// A window without imagery.
    pub fn empty(x0: i64, y0: i64, width: usize, height: usize) -> Self {
        Self { x0, y0, width, height, rgba: vec![0; width * height * 4] }
    }

    /// Whether every pixel has imagery.
    fn is_opaque(&self) -> bool {
        self.rgba.chunks_exact(4).all(|p| p[3] == 255)
    }

    /// The four pixels around continuous raster coordinates, as two pairs (upper, lower), and the weights of the right and the
    /// lower ones. Beyond the edge the edge pixel is repeated.
    #[inline(always)]
    fn neighbours(&self, x: f64, y: f64) -> ([&[u8]; 4], f32, f32) {
        let fx = (x - self.x0 as f64 - 0.5).clamp(0.0, (self.width - 1) as f64) as f32;
        let fy = (y - self.y0 as f64 - 0.5).clamp(0.0, (self.height - 1) as f64) as f32;
        let (ix, iy) = (fx as u32 as usize, fy as u32 as usize);
        let (tx, ty) = (fx - ix as f32, fy - iy as f32);
        let first = (iy * self.width + ix) * 4;
        let right = if ix + 1 < self.width { 4 } else { 0 };
        let below = if iy + 1 < self.height { self.width * 4 } else { 0 };
        let (upper, lower) = (&self.rgba[first..first + right + 4], &self.rgba[first + below..first + below + right + 4]);
        ([&upper[..4], &upper[right..], &lower[..4], &lower[right..]], tx, ty)
    }

    /// Bilinear sample at continuous raster coordinates, premultiplied: red, green and blue times coverage, coverage in 0..=1.
    #[inline]
    pub fn sample(&self, x: f64, y: f64) -> [f32; 4] {
        let (pixels, tx, ty) = self.neighbours(x, y);
        let weights = [(1.0 - tx) * (1.0 - ty), tx * (1.0 - ty), (1.0 - tx) * ty, tx * ty];
        let mut out = [0f32; 4];
        for (p, weight) in pixels.into_iter().zip(weights) {
            let w = weight * f32::from(p[3]) * (1.0 / 255.0);
            out[0] += w * f32::from(p[0]);
            out[1] += w * f32::from(p[1]);
            out[2] += w * f32::from(p[2]);
            out[3] += w;
        }
        out
    }

    /// [`Window::sample`] where every pixel has imagery: the same numbers with less work.
    #[inline(always)]
    fn sample_opaque(&self, x: f64, y: f64) -> [f32; 4] {
        let ([a, b, c, d], tx, ty) = self.neighbours(x, y);
        let channel = |k: usize| {
            let (upper, lower) = (f32::from(a[k]), f32::from(c[k]));
            let upper = upper + (f32::from(b[k]) - upper) * tx;
            let lower = lower + (f32::from(d[k]) - lower) * tx;
            upper + (lower - upper) * ty
        };
        [channel(0), channel(1), channel(2), 1.0]
    }
}

/// Where output pixels lie in the source, known exactly every [`Grid::STEP`] pixels and linear in between.
pub(crate) struct Grid {
    columns: usize,
    nodes: Vec<(f64, f64)>,
    width: usize,
    height: usize,
}

impl Grid {
    /// Distance of the lattice's nodes, output pixels.
    pub const STEP: usize = 32;

    /// A lattice over `width × height` output pixels; `source_from_output` is called with continuous output coordinates.
    /// `None` when some node has no place in the source's coordinates.
    pub fn new(width: usize, height: usize, source_from_output: impl Fn(f64, f64) -> Option<(f64, f64)>) -> Option<Self> {
        let columns = width.div_ceil(Self::STEP) + 1;
        let rows = height.div_ceil(Self::STEP) + 1;
        let mut nodes = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let (x, y) = source_from_output((column * Self::STEP) as f64, (row * Self::STEP) as f64)?;
                if !(x.is_finite() && y.is_finite()) {
                    return None;
                }
                nodes.push((x, y));
            }
        }
        Some(Self { columns, nodes, width, height })
    }

    /// The smallest box around all nodes: x0, y0, x1, y1.
    pub fn extent(&self) -> (f64, f64, f64, f64) {
        self.nodes.iter().fold((f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY), |(a, b, c, d), &(x, y)| {
            (a.min(x), b.min(y), c.max(x), d.max(y))
        })
    }

    /// Source pixels per output pixel, along the output's columns and rows (the largest in the lattice).
    pub fn scale(&self) -> (f64, f64) {
        let step = Self::STEP as f64;
        let (mut along, mut across) = (0f64, 0f64);
        for (i, &(x, y)) in self.nodes.iter().enumerate() {
            if (i + 1) % self.columns != 0 {
                let (u, v) = self.nodes[i + 1];
                along = along.max((u - x).hypot(v - y) / step);
            }
            if let Some(&(u, v)) = self.nodes.get(i + self.columns) {
                across = across.max((u - x).hypot(v - y) / step);
            }
        }
        (along, across)
    }

    /// Calls `draw(index, source position, [dx per column, dy per column], [dx per row, dy per row])` for every output pixel.
    pub fn for_each(&self, mut draw: impl FnMut(usize, (f64, f64), [f64; 2], [f64; 2])) {
        let step = Self::STEP as f64;
        for row in 0..self.height {
            let (gr, tr) = (row / Self::STEP, ((row % Self::STEP) as f64 + 0.5) / step);
            for gc in 0..self.width.div_ceil(Self::STEP) {
                let i = gr * self.columns + gc;
                let (a, b, c, d) =
                    (self.nodes[i], self.nodes[i + 1], self.nodes[i + self.columns], self.nodes[i + self.columns + 1]);
                let left = (a.0 + (c.0 - a.0) * tr, a.1 + (c.1 - a.1) * tr);
                let right = (b.0 + (d.0 - b.0) * tr, b.1 + (d.1 - b.1) * tr);
                let along = [(right.0 - left.0) / step, (right.1 - left.1) / step];
                let across = [((c.0 - a.0) + (d.0 - b.0)) / (2.0 * step), ((c.1 - a.1) + (d.1 - b.1)) / (2.0 * step)];
                let first = gc * Self::STEP;
                for column in first..(first + Self::STEP).min(self.width) {
                    let t = (column - first) as f64 + 0.5;
                    draw(row * self.width + column, (left.0 + along[0] * t, left.1 + along[1] * t), along, across);
                }
            }
        }
    }

    /// Samples a window at every output pixel, averaging over each pixel's footprint where the source is finer:
    /// `draw(index, position in the source, premultiplied colour and coverage)`.
    pub fn resample(&self, window: &Window, mut draw: impl FnMut(usize, (f64, f64), [f32; 4])) {
        let (sx, sy) = self.scale();
        let (nx, ny) = (taps(sx), taps(sy));
        let opaque = window.is_opaque();
        if (nx, ny) == (1, 1) && opaque {
            return self.for_each(|i, p, _, _| draw(i, p, window.sample_opaque(p.0, p.1)));
        }
        let weight = 1.0 / (nx * ny) as f32;
        let offset = |k: usize, n: usize| (k as f64 + 0.5) / n as f64 - 0.5;
        self.for_each(|i, p, along, across| {
            let mut sum = [0f32; 4];
            for ky in 0..ny {
                let oy = offset(ky, ny);
                for kx in 0..nx {
                    let ox = offset(kx, nx);
                    let x = p.0 + along[0] * ox + across[0] * oy;
                    let y = p.1 + along[1] * ox + across[1] * oy;
                    let s = if opaque { window.sample_opaque(x, y) } else { window.sample(x, y) };
                    for c in 0..4 {
                        sum[c] += s[c] * weight;
                    }
                }
            }
            draw(i, p, sum);
        });
    }
}

/// Bilinear taps along one axis for a minification: one tap serves up to 1.25 source pixels per output pixel, as a bilinear tap
/// is itself about that wide.
fn taps(scale: f64) -> usize {
    ((scale - 0.25).ceil().max(1.0) as usize).min(64)
}

/// The colour of a premultiplied sample, rounded; `None` where less than half of it is covered.
#[inline]
pub(crate) fn colour(sample: [f32; 4]) -> Option<[u8; 3]> {
    (sample[3] >= 0.5).then(|| [0, 1, 2].map(|c| (sample[c] / sample[3] + 0.5) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Window {
        let mut window = Window::empty(10, 20, 64, 64);
        for (i, p) in window.rgba.chunks_exact_mut(4).enumerate() {
            let (x, y) = (i % 64, i / 64);
            p.copy_from_slice(&[(2 * x) as u8, (2 * y) as u8, (x + y) as u8, 255]);
        }
        window
    }

    #[test]
    fn sampling_at_pixel_centres_gives_the_pixels_and_between_them_their_mean() {
        let window = ramp();
        assert_eq!(window.sample(15.5, 27.5), [10.0, 14.0, 12.0, 1.0]);
        assert_eq!(window.sample(16.0, 27.5), [11.0, 14.0, 12.5, 1.0]);
    }

    #[test]
    fn oracle_the_fast_sample_equals_the_weighted_one() {
        let window = ramp();
        for i in 0..500 {
            let (x, y) = (8.0 + 0.137 * f64::from(i), 90.0 - 0.151 * f64::from(i));
            let (a, b) = (window.sample(x, y), window.sample_opaque(x, y));
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_lattice_reproduces_an_affine_map_exactly() {
        let grid = Grid::new(50, 40, |x, y| Some((3.0 + 0.5 * x - 0.1 * y, -2.0 + 0.2 * x + 0.9 * y))).unwrap();
        let mut worst = 0f64;
        grid.for_each(|i, p, _, _| {
            let (x, y) = ((i % 50) as f64 + 0.5, (i / 50) as f64 + 0.5);
            worst = worst.max((p.0 - (3.0 + 0.5 * x - 0.1 * y)).abs()).max((p.1 - (-2.0 + 0.2 * x + 0.9 * y)).abs());
        });
        assert!(worst < 1e-9, "{worst}");
    }

    #[test]
    fn minification_averages_a_checkerboard_to_grey() {
        let mut window = Window::empty(0, 0, 64, 64);
        for (i, p) in window.rgba.chunks_exact_mut(4).enumerate() {
            let v = if (i % 64 + i / 64) % 2 == 0 { 255 } else { 0 };
            p.copy_from_slice(&[v, v, v, 255]);
        }
        let grid = Grid::new(16, 16, |x, y| Some((4.0 * x, 4.0 * y))).unwrap();
        grid.resample(&window, |_, _, s| assert!((s[0] - 127.5).abs() < 1.0, "{s:?}"));
    }
}
