//! Two-dimensional real Fourier transform of square blocks.

use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

/// Rows that are transposed together: as many values as a cache line holds.
const TILE: usize = 8;

/// Plans for blocks of one side.
#[derive(Clone)]
pub struct BlockFft {
    side: usize,
    rows_forward: Arc<dyn RealToComplex<f32>>,
    rows_inverse: Arc<dyn ComplexToReal<f32>>,
    columns_forward: Arc<dyn Fft<f32>>,
    columns_inverse: Arc<dyn Fft<f32>>,
}

impl BlockFft {
    /// Plans for `side × side` blocks.
    pub fn new(side: usize) -> Self {
        let (mut real, mut complex) = (RealFftPlanner::new(), FftPlanner::new());
        Self {
            side,
            rows_forward: real.plan_fft_forward(side),
            rows_inverse: real.plan_fft_inverse(side),
            columns_forward: complex.plan_fft_forward(side),
            columns_inverse: complex.plan_fft_inverse(side),
        }
    }

    /// Side of the blocks.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Values of a spectrum: `side / 2 + 1` columns of `side`, each column contiguous.
    pub fn spectrum_len(&self) -> usize {
        (self.side / 2 + 1) * self.side
    }

    /// Columns of a spectrum.
    pub fn columns(&self) -> usize {
        self.side / 2 + 1
    }

    /// Spectrum of a block given by some of its rows; the rest is zero. `row(r, buffer)` fills a buffer of `side` values.
    pub fn forward(&self, rows: Range<usize>, row: impl FnMut(usize, &mut [f32]), spectrum: &mut [Complex32]) {
        spectrum.fill(Complex32::default());
        self.forward_rows(rows, row, spectrum, (self.side, 0));
        self.columns_forward.process(spectrum);
    }

    /// The first half of [`BlockFft::forward`]: transformed rows. Of column `k` row `r` goes to `k · stride + r − first` of the columns.
    pub fn forward_rows(
        &self,
        rows: Range<usize>,
        mut row: impl FnMut(usize, &mut [f32]),
        columns: &mut [Complex32],
        (stride, first): (usize, usize),
    ) {
        let half_len = self.columns();
        let mut line = self.rows_forward.make_input_vec();
        let mut halves = vec![Complex32::default(); TILE * half_len];
        let mut scratch = self.rows_forward.make_scratch_vec();
        let end = rows.end.min(self.side);
        for from in rows.step_by(TILE) {
            let tile = TILE.min(end.saturating_sub(from));
            for (r, half) in halves.chunks_exact_mut(half_len).take(tile).enumerate() {
                line.fill(0.0);
                row(from + r, &mut line);
                if self.rows_forward.process_with_scratch(&mut line, half, &mut scratch).is_err() {
                    // Only for buffers of the wrong length, and these come from the plan itself.
                    return;
                }
            }
            for (k, column) in columns.chunks_exact_mut(stride).enumerate() {
                for (r, value) in column.iter_mut().skip(from - first).take(tile).enumerate() {
                    *value = halves[r * half_len + k];
                }
            }
        }
    }

    /// The second half, of one column; `scratch` is grown as needed.
    pub fn forward_column(&self, column: &mut [Complex32], scratch: &mut Vec<Complex32>) {
        scratch.resize(self.columns_forward.get_inplace_scratch_len(), Complex32::default());
        self.columns_forward.process_with_scratch(column, scratch);
    }

    /// The first half of the way back, of one column; `scratch` is grown as needed.
    pub fn inverse_column(&self, column: &mut [Complex32], scratch: &mut Vec<Complex32>) {
        scratch.resize(self.columns_inverse.get_inplace_scratch_len(), Complex32::default());
        self.columns_inverse.process_with_scratch(column, scratch);
    }

    /// The second half: the block of columns that are transformed back, `side²` values, row-major.
    pub fn inverse_rows(&self, columns: &[Complex32], out: &mut [f32]) {
        let side = self.side;
        let half_len = self.columns();
        let mut halves = vec![Complex32::default(); TILE * half_len];
        let mut scratch = self.rows_inverse.make_scratch_vec();
        let scale = 1.0 / (side * side) as f32;
        for (t, lines) in out.chunks_mut(TILE * side).enumerate() {
            for (k, column) in columns.chunks_exact(side).enumerate() {
                for (r, value) in column.iter().skip(t * TILE).take(TILE).enumerate() {
                    halves[r * half_len + k] = *value;
                }
            }
            for (half, line) in halves.chunks_exact_mut(half_len).zip(lines.chunks_exact_mut(side)) {
                // Rounding leaves traces where a real signal has none, and the plan insists.
                half[0].im = 0.0;
                if side.is_multiple_of(2) {
                    half[half_len - 1].im = 0.0;
                }
                if self.rows_inverse.process_with_scratch(half, line, &mut scratch).is_err() {
                    return;
                }
                line.iter_mut().for_each(|v| *v *= scale);
            }
        }
    }
}

/// The smallest length from `n` on whose prime factors are 2, 3 and 5, and which is even: fast to transform.
pub fn fast_length(n: usize) -> usize {
    let smooth = |mut v: usize| {
        for p in [2, 3, 5] {
            while v.is_multiple_of(p) {
                v /= p;
            }
        }
        v == 1
    };
    (n.max(2)..).find(|v| v.is_multiple_of(2) && smooth(*v)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes_forward() {
        let fft = BlockFft::new(20);
        let value = |r: usize, c: usize| ((r * 31 + c * 17) % 13) as f32 - 6.0;
        let mut spectrum = vec![Complex32::default(); fft.spectrum_len()];
        let rows = 3..14;
        fft.forward(rows.clone(), |r, line| (0..20).for_each(|c| line[c] = value(r, c)), &mut spectrum);
        spectrum.chunks_exact_mut(20).for_each(|column| fft.inverse_column(column, &mut Vec::new()));
        let mut out = vec![0.0; 400];
        fft.inverse_rows(&spectrum, &mut out);
        for r in 0..20 {
            for c in 0..20 {
                let expected = if rows.contains(&r) { value(r, c) } else { 0.0 };
                assert!((out[r * 20 + c] - expected).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn fast_lengths_are_even_and_smooth() {
        assert_eq!([fast_length(1), fast_length(203), fast_length(257)], [2, 216, 270]);
    }
}
