//! Two-dimensional real Fourier transform of square blocks.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

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

    /// Spectrum of a block given by its first `rows` rows; the rest is zero. `row(r, buffer)` fills a buffer of `side` values.
    pub fn forward(&self, rows: usize, mut row: impl FnMut(usize, &mut [f32]), spectrum: &mut [Complex32]) {
        let side = self.side;
        let mut line = self.rows_forward.make_input_vec();
        let mut half = self.rows_forward.make_output_vec();
        let mut scratch = self.rows_forward.make_scratch_vec();
        spectrum.fill(Complex32::default());
        for r in 0..rows.min(side) {
            line.fill(0.0);
            row(r, &mut line);
            if self.rows_forward.process_with_scratch(&mut line, &mut half, &mut scratch).is_err() {
                // Only for buffers of the wrong length, and these come from the plan itself.
                return;
            }
            for (k, value) in half.iter().enumerate() {
                spectrum[k * side + r] = *value;
            }
        }
        self.columns_forward.process(spectrum);
    }

    /// The block of a spectrum, `side²` values, row-major. Destroys the spectrum.
    pub fn inverse(&self, spectrum: &mut [Complex32], out: &mut [f32]) {
        let side = self.side;
        self.columns_inverse.process(spectrum);
        let mut half = self.rows_inverse.make_input_vec();
        let mut scratch = self.rows_inverse.make_scratch_vec();
        let last = half.len() - 1;
        let scale = 1.0 / (side * side) as f32;
        for (r, line) in out.chunks_exact_mut(side).enumerate() {
            for (k, value) in half.iter_mut().enumerate() {
                *value = spectrum[k * side + r];
            }
            // Rounding leaves traces where a real signal has none, and the plan insists.
            half[0].im = 0.0;
            if side.is_multiple_of(2) {
                half[last].im = 0.0;
            }
            if self.rows_inverse.process_with_scratch(&mut half, line, &mut scratch).is_err() {
                return;
            }
            line.iter_mut().for_each(|v| *v *= scale);
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
        fft.forward(7, |r, line| (0..20).for_each(|c| line[c] = value(r, c)), &mut spectrum);
        let mut out = vec![0.0; 400];
        fft.inverse(&mut spectrum, &mut out);
        for r in 0..20 {
            for c in 0..20 {
                let expected = if r < 7 { value(r, c) } else { 0.0 };
                assert!((out[r * 20 + c] - expected).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn fast_lengths_are_even_and_smooth() {
        assert_eq!([fast_length(1), fast_length(203), fast_length(257)], [2, 216, 270]);
    }
}
