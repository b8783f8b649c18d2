//! Soft mutual nearest neighbours (NC-Net, Rocco et al. 2018, equations 4 and 5): a pair keeps its score as far as each side
//! is the other's best, and loses it gradually otherwise.

use super::tensor::Tensor4;

/// Keeps a ratio finite where a region correlates with nothing.
const EPSILON: f32 = 1e-5;

/// r = c · ((c / (max over the frame + ε)) · (c / (max over the map + ε))), in place. The two ratios are multiplied first: so the
/// rounding is the same whichever side is called frame, and the result stays exactly symmetric. For tensors that are not negative.
pub fn soft_mutual(tensor: &mut Tensor4) {
    let to = tensor.map_regions();
    if to == 0 {
        return;
    }
    let mut over_frame = vec![0.0f32; to];
    for line in tensor.values.chunks_exact(to) {
        over_frame.iter_mut().zip(line).for_each(|(m, v)| *m = m.max(*v));
    }
    over_frame.iter_mut().for_each(|m| *m += EPSILON);
    for line in tensor.values.chunks_exact_mut(to) {
        let over_map = line.iter().fold(0.0f32, |m, v| m.max(*v)) + EPSILON;
        line.iter_mut().zip(&over_frame).for_each(|(c, m)| *c *= (*c / m) * (*c / over_map));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oracle_soft_mutual(t: &Tensor4) -> Vec<f32> {
        let [i_n, j_n, k_n, l_n] = t.shape;
        let at = |i, j, k, l| t.values[((i * j_n + j) * k_n + k) * l_n + l];
        let mut out = Vec::new();
        for i in 0..i_n {
            for j in 0..j_n {
                for k in 0..k_n {
                    for l in 0..l_n {
                        let (mut a, mut b) = (0.0f32, 0.0f32);
                        for p in 0..i_n {
                            for q in 0..j_n {
                                a = a.max(at(p, q, k, l));
                            }
                        }
                        for p in 0..k_n {
                            for q in 0..l_n {
                                b = b.max(at(i, j, p, q));
                            }
                        }
                        let c = at(i, j, k, l);
                        out.push(c * ((c / (a + EPSILON)) * (c / (b + EPSILON))));
                    }
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn soft_mutual_equals_its_oracle_and_commutes_with_swapping(values in prop::collection::vec(0.0..1.0f32, 2 * 3 * 4 * 2)) {
            let tensor = Tensor4 { shape: [2, 3, 4, 2], values };
            let mut fast = tensor.clone();
            soft_mutual(&mut fast);
            prop_assert_eq!(&fast.values, &oracle_soft_mutual(&tensor));
            let mut swapped = tensor.transposed();
            soft_mutual(&mut swapped);
            prop_assert_eq!(swapped.transposed(), fast);
        }
    }

    #[test]
    fn a_pair_that_is_best_on_both_sides_keeps_its_score_and_others_lose_theirs() {
        let mut t = Tensor4 { shape: [1, 2, 1, 2], values: vec![0.8, 0.4, 0.4, 0.2] };
        soft_mutual(&mut t);
        assert!((t.values[0] - 0.8).abs() < 1e-4);
        assert!((t.values[1] - 0.2).abs() < 1e-4);
        assert!((t.values[3] - 0.05).abs() < 1e-4);
    }

    #[test]
    fn a_tensor_of_zeros_stays_finite() {
        let mut t = Tensor4::zeros([2, 2, 2, 2]);
        soft_mutual(&mut t);
        assert!(t.values.iter().all(|v| *v == 0.0));
    }
}
