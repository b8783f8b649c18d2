//! Optimal-transport aggregation of dense features into one descriptor, as in SALAD (Izquierdo & Civera, CVPR 2024).
//!
//! Each of n features is distributed over m clusters and a dustbin by three Sinkhorn iterations in the log domain; the clusters'
//! sums, each scaled to unit length, are concatenated and scaled again.
//!
//! This is the form for dense networks without a trained head ([`crate::models::Aggregator`]). Assumptions: the scores are scaled
//! cosines to k-means centres, and a cluster sums the features' residuals to its centre (as NetVLAD does) because untrained plain sums
//! would all point at the centre.

/// Scores are cosines times this: the centres compete about as sharply as SALAD's trained scores do.
const SCORE_SCALE: f32 = 5.0;
/// The dustbin's score, SALAD's initial value.
const DUSTBIN_SCORE: f32 = 1.0;
const SINKHORN_ITERATIONS: usize = 3;

/// Aggregates features (`n · dimensions`) over cluster centres (`m · dimensions`) into `m · dimensions` values of unit length.
/// All zeros when there are no more features than clusters: optimal transport needs n > m.
pub fn aggregate(features: &[f32], centres: &[f32], dimensions: usize) -> Vec<f32> {
    let n = features.len() / dimensions.max(1);
    let m = centres.len() / dimensions.max(1);
    let mut out = vec![0.0; m * dimensions];
    if n <= m || m == 0 {
        return out;
    }
    let centre_norms: Vec<f32> =
        centres.chunks_exact(dimensions).map(|c| c.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6)).collect();
    let mut scores = vec![0.0f32; m * n];
    for (i, feature) in features.chunks_exact(dimensions).enumerate() {
        for (j, centre) in centres.chunks_exact(dimensions).enumerate() {
            let dot: f32 = centre.iter().zip(feature).map(|(a, b)| a * b).sum();
            scores[j * n + i] = SCORE_SCALE * dot / centre_norms[j];
        }
    }
    let transport = sinkhorn(&scores, m, n, DUSTBIN_SCORE);
    for (j, centre) in centres.chunks_exact(dimensions).enumerate() {
        let sum = &mut out[j * dimensions..(j + 1) * dimensions];
        for (i, feature) in features.chunks_exact(dimensions).enumerate() {
            let p = transport[j * n + i];
            for d in 0..dimensions {
                sum[d] += p * (feature[d] - centre[d]);
            }
        }
        to_unit_length(sum);
    }
    to_unit_length(&mut out);
    out
}

/// Log-domain Sinkhorn of scores (`m × n`, row-major) with a dustbin row; the transport plan without the dustbin row.
pub fn sinkhorn(scores: &[f32], m: usize, n: usize, dustbin: f32) -> Vec<f32> {
    let norm = -((n + m) as f32).ln();
    let rows = m + 1;
    let score = |j: usize, i: usize| if j < m { scores[j * n + i] } else { dustbin };
    let log_a = |j: usize| if j < m { norm } else { norm + ((n - m) as f32).ln() };
    let (mut u, mut v) = (vec![0.0f32; rows], vec![0.0f32; n]);
    for _ in 0..SINKHORN_ITERATIONS {
        for (j, value) in u.iter_mut().enumerate() {
            *value = log_a(j) - log_sum_exp((0..n).map(|i| score(j, i) + v[i]));
        }
        for (i, value) in v.iter_mut().enumerate() {
            *value = norm - log_sum_exp((0..rows).map(|j| score(j, i) + u[j]));
        }
    }
    let mut plan = vec![0.0; m * n];
    for j in 0..m {
        for i in 0..n {
            plan[j * n + i] = (score(j, i) + u[j] + v[i] - norm).exp();
        }
    }
    plan
}

fn log_sum_exp(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let highest = values.clone().fold(f32::NEG_INFINITY, f32::max);
    highest + values.map(|v| (v - highest).exp()).sum::<f32>().ln()
}

/// Scales values to unit length; zeros stay.
pub fn to_unit_length(values: &mut [f32]) {
    let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 1e-12 {
        values.iter_mut().for_each(|v| *v /= norm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sinkhorn in f64 on the exponentials themselves: slow to converge to trouble, but plain.
    fn oracle_sinkhorn(scores: &[f32], m: usize, n: usize, dustbin: f32) -> Vec<f64> {
        let mut k: Vec<Vec<f64>> = (0..m).map(|j| (0..n).map(|i| f64::from(scores[j * n + i]).exp()).collect()).collect();
        k.push(vec![f64::from(dustbin).exp(); n]);
        let total = (n + m) as f64;
        let a: Vec<f64> = (0..=m).map(|j| if j < m { 1.0 / total } else { (n - m) as f64 / total }).collect();
        let (mut u, mut v) = (vec![1.0; m + 1], vec![1.0; n]);
        for _ in 0..SINKHORN_ITERATIONS {
            for j in 0..=m {
                u[j] = a[j] / (0..n).map(|i| k[j][i] * v[i]).sum::<f64>();
            }
            for i in 0..n {
                v[i] = 1.0 / total / (0..=m).map(|j| k[j][i] * u[j]).sum::<f64>();
            }
        }
        (0..m * n).map(|at| k[at / n][at % n] * u[at / n] * v[at % n] * total).collect()
    }

    proptest! {
        #[test]
        fn sinkhorn_equals_its_oracle(scores in prop::collection::vec(-4.0..4.0f32, 3 * 8)) {
            let fast = sinkhorn(&scores, 3, 8, 1.0);
            for (f, o) in fast.iter().zip(oracle_sinkhorn(&scores, 3, 8, 1.0)) {
                prop_assert!((f64::from(*f) - o).abs() < 1e-4 * (1.0 + o));
            }
        }
    }

    #[test]
    fn the_order_of_the_features_does_not_matter_and_the_length_is_one() {
        let features: Vec<f32> = (0..40).map(|i| ((i * 37 % 11) as f32 - 5.0) / 5.0).collect();
        let centres = [1.0, 0.0, 0.0, 1.0];
        let a = aggregate(&features, &centres, 2);
        let reversed: Vec<f32> = features.chunks(2).rev().flatten().copied().collect();
        let b = aggregate(&reversed, &centres, 2);
        assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-5));
        assert!((a.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn too_few_features_give_no_descriptor() {
        assert!(aggregate(&[1.0, 0.0], &[1.0, 0.0, 0.0, 1.0], 2).iter().all(|v| *v == 0.0));
    }
}
