//! Optimal-transport aggregation of dense features into one descriptor, as in SALAD (Izquierdo & Civera, CVPR 2024).
//!
//! Each of n features is distributed over m clusters and a dustbin by three Sinkhorn iterations in the log domain; the clusters'
//! sums, each scaled to unit length, are concatenated and scaled again.
//!
//! This is the form for dense networks without a trained head ([`crate::models::Aggregator`]). Assumptions: the scores are scaled
//! cosines to k-means centres, and a cluster sums the features' residuals to its centre (as NetVLAD does) because untrained plain sums
//! would all point at the centre.

use crate::math::sinkhorn::{sinkhorn, to_unit_length};

/// Scores are cosines times this: the centres compete about as sharply as SALAD's trained scores do.
const SCORE_SCALE: f32 = 5.0;
/// The dustbin's score, SALAD's initial value.
const DUSTBIN_SCORE: f32 = 1.0;

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

#[cfg(test)]
mod tests {
    use super::*;

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
