//! Optimal transport of features to clusters and a dustbin by Sinkhorn's iterations, as in SALAD (Izquierdo & Civera, CVPR 2024).

/// Iterations of SALAD.
const SINKHORN_ITERATIONS: usize = 3;

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
}
