//! Mean removal and projection to principal components.
//!
//! Descriptors of one network share a strong common part that says nothing about the place; after it is removed and the rest
//! scaled to unit length, a few principal components keep nearly all of the cosine similarity.

use nalgebra::{DMatrix, SymmetricEigen};
use pulp::Arch;

/// Sums that a dot product is split into.
const LANES: usize = 16;

/// A mean and an orthonormal basis of the directions of most variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Channels in.
    pub channels: usize,
    /// Channels out.
    pub components: usize,
    /// The mean, `channels` values.
    pub mean: Vec<f32>,
    /// `components × channels`, row-major.
    pub basis: Vec<f32>,
}

impl Projection {
    /// Fits mean and basis to descriptors (`n · channels` values). Deterministic. With fewer than two descriptors the mean is
    /// zero and the basis the first unit vectors.
    pub fn fit(descriptors: &[f32], channels: usize, components: usize) -> Self {
        let components = components.min(channels);
        let n = descriptors.len() / channels.max(1);
        let mut mean = vec![0f64; channels];
        if n >= 2 {
            for d in descriptors.chunks_exact(channels) {
                mean.iter_mut().zip(d).for_each(|(m, v)| *m += f64::from(*v));
            }
            mean.iter_mut().for_each(|m| *m /= n as f64);
        }
        let mean: Vec<f32> = mean.iter().map(|m| *m as f32).collect();
        // The lower triangle row by row, so that the innermost loop runs over neighbours: networks have up to 768 channels.
        let mut rows = vec![0f64; channels * channels];
        let (mut unit, mut wide) = (vec![0f32; channels], vec![0f64; channels]);
        for d in descriptors.chunks_exact(channels) {
            remove_mean(d, &mean, &mut unit);
            wide.iter_mut().zip(&unit).for_each(|(w, u)| *w = f64::from(*u));
            for (i, row) in rows.chunks_exact_mut(channels).enumerate() {
                let value = wide[i];
                row[..=i].iter_mut().zip(&wide).for_each(|(sum, w)| *sum += value * w);
            }
        }
        let covariance = DMatrix::from_fn(channels, channels, |i, j| rows[i.max(j) * channels + i.min(j)]);
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..channels).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]).then(a.cmp(b)));
        let basis = order
            .iter()
            .take(components)
            .flat_map(|k| eigen.eigenvectors.column(*k).iter().map(|v| *v as f32).collect::<Vec<_>>());
        Self { channels, components, basis: basis.collect(), mean }
    }

    /// The same as [`Projection::apply`] for several descriptors.
    pub fn apply_all(&self, descriptors: &[f32]) -> Vec<f32> {
        let mut scratch = Vec::new();
        let mut out = vec![0.0; descriptors.len() / self.channels.max(1) * self.components];
        for (d, p) in descriptors.chunks_exact(self.channels).zip(out.chunks_exact_mut(self.components)) {
            self.apply(d, &mut scratch, p);
        }
        out
    }

    /// Removes the mean, scales to unit length and projects: `channels` values in, `components` out.
    pub fn apply(&self, descriptor: &[f32], scratch: &mut Vec<f32>, out: &mut [f32]) {
        scratch.resize(self.channels, 0.0);
        Arch::new().dispatch(|| {
            remove_mean(descriptor, &self.mean, scratch);
            for (value, row) in out.iter_mut().zip(self.basis.chunks_exact(self.channels)) {
                *value = dot(row, scratch);
            }
        });
    }
}

/// Dot product in a fixed number of sums that are then added pairwise.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let mut rest = 0.0;
    for (x, y) in a_chunks.remainder().iter().zip(b_chunks.remainder()) {
        rest += x * y;
    }
    for (x, y) in a_chunks.zip(b_chunks) {
        for k in 0..LANES {
            lanes[k] += x[k] * y[k];
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for k in 0..half {
            lanes[k] += lanes[k + half];
        }
        half /= 2;
    }
    lanes[0] + rest
}

/// Subtracts the mean and scales to unit length.
#[inline(always)]
pub fn remove_mean(descriptor: &[f32], mean: &[f32], out: &mut [f32]) {
    for ((o, d), m) in out.iter_mut().zip(descriptor).zip(mean) {
        *o = d - m;
    }
    let scale = 1.0 / dot(out, out).sqrt().max(1e-6);
    out.iter_mut().for_each(|o| *o *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_product_of_any_length_equals_the_plain_sum() {
        for n in [0, 1, 15, 16, 17, 64, 100] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..n).map(|i| (i as f32 * 1.3).cos()).collect();
            let plain: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-5, "{n}");
        }
    }

    #[test]
    fn the_first_components_span_the_plane_in_which_the_data_lie() {
        // Points in the plane of the axes 1 and 3 of four, about a common offset.
        let data: Vec<f32> = (0..50).flat_map(|i| [2.0, (i as f32).sin() * 3.0 + 1.0, -1.0, (i as f32 * 0.7).cos()]).collect();
        let p = Projection::fit(&data, 4, 2);
        let (mut scratch, mut out) = (Vec::new(), [0.0; 2]);
        for d in data.chunks_exact(4) {
            p.apply(d, &mut scratch, &mut out);
            let norm = out.iter().map(|v| v * v).sum::<f32>().sqrt();
            assert!((norm - 1.0).abs() < 1e-4, "{norm}");
        }
    }
}
