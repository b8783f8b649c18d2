//! k-means with k-means++ seeding (Arthur & Vassilvitskii 2007), deterministic for a seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ITERATIONS: usize = 20;

/// Cluster centres of `points` (`n · dimensions` values): `k · dimensions` values, fewer when there are fewer points than k.
pub fn k_means(points: &[f32], dimensions: usize, k: usize, seed: u64) -> Vec<f32> {
    let n = points.len() / dimensions.max(1);
    let k = k.min(n);
    if k == 0 {
        return Vec::new();
    }
    let point = |i: usize| &points[i * dimensions..(i + 1) * dimensions];
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);

    let mut centres = point(rng.random_range(0..n)).to_vec();
    let mut nearest = vec![f32::INFINITY; n];
    while centres.len() < k * dimensions {
        let last = &centres[centres.len() - dimensions..];
        for (i, d) in nearest.iter_mut().enumerate() {
            *d = d.min(distance(point(i), last));
        }
        let total: f64 = nearest.iter().map(|d| f64::from(*d)).sum();
        let mut left = rng.random::<f64>() * total;
        let chosen = nearest.iter().position(|d| {
            left -= f64::from(*d);
            left <= 0.0
        });
        let chosen = point(chosen.unwrap_or(n - 1)).to_vec();
        centres.extend(chosen);
    }

    for _ in 0..ITERATIONS {
        let mut sums = vec![0f64; k * dimensions];
        let mut counts = vec![0usize; k];
        for i in 0..n {
            let p = point(i);
            let mut best = (0, f32::INFINITY);
            for (c, centre) in centres.chunks_exact(dimensions).enumerate() {
                let d = distance(p, centre);
                if d < best.1 {
                    best = (c, d);
                }
            }
            counts[best.0] += 1;
            sums[best.0 * dimensions..].iter_mut().zip(p).for_each(|(s, v)| *s += f64::from(*v));
        }
        for c in (0..k).filter(|c| counts[*c] > 0) {
            for d in 0..dimensions {
                centres[c * dimensions + d] = (sums[c * dimensions + d] / counts[c] as f64) as f32;
            }
        }
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_clusters_are_found() {
        let points: Vec<f32> =
            (0..90).flat_map(|i| [10.0 * (i % 3) as f32 + 0.01 * (i / 3) as f32, if i % 3 == 1 { 5.0 } else { 0.0 }]).collect();
        let mut xs: Vec<f32> = k_means(&points, 2, 3, 7).chunks(2).map(|c| c[0]).collect();
        xs.sort_by(f32::total_cmp);
        for (x, expected) in xs.iter().zip([0.145, 10.145, 20.145]) {
            assert!((x - expected).abs() < 1e-3, "{xs:?}");
        }
    }

    #[test]
    fn fewer_points_than_clusters_is_no_error() {
        assert_eq!(k_means(&[1.0, 2.0], 2, 8, 0), vec![1.0, 2.0]);
        assert!(k_means(&[], 2, 8, 0).is_empty());
    }
}
