//! Similarities of the plane: a rotation, a scale and a shift.

/// `q = [a −b; b a] p + t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the rotation.
    pub a: f64,
    /// Scale times the sine of the rotation, counter-clockwise from the first axis to the second.
    pub b: f64,
    /// Shift.
    pub t: [f64; 2],
}

/// A pair of points and how much it counts: `p`, the point `q` that it is carried to, the weight.
pub type WeightedPair = ([f64; 2], [f64; 2], f64);

impl Similarity {
    /// A shift alone.
    pub fn translation(t: [f64; 2]) -> Self {
        Self { a: 1.0, b: 0.0, t }
    }

    /// The similarity that carries two points onto two others; `None` when the first two coincide.
    pub fn through(p: [[f64; 2]; 2], q: [[f64; 2]; 2]) -> Option<Self> {
        let (dp, dq) = ([p[1][0] - p[0][0], p[1][1] - p[0][1]], [q[1][0] - q[0][0], q[1][1] - q[0][1]]);
        let n = dp[0] * dp[0] + dp[1] * dp[1];
        if n < 1e-9 {
            return None;
        }
        let a = (dp[0] * dq[0] + dp[1] * dq[1]) / n;
        let b = (dp[0] * dq[1] - dp[1] * dq[0]) / n;
        let t = [q[0][0] - a * p[0][0] + b * p[0][1], q[0][1] - b * p[0][0] - a * p[0][1]];
        Some(Self { a, b, t })
    }

    /// Weighted least squares (Umeyama 1991 in two dimensions). `prior` are the information on `a` around 1 and on `b` around 0, in
    /// units of the weights; zeros say that nothing is known. `None` without weight, or where all points coincide and there is no prior.
    pub fn fit(pairs: impl Iterator<Item = WeightedPair> + Clone, prior: [f64; 2]) -> Option<Self> {
        let (mut w, mut p, mut q) = (0.0, [0.0; 2], [0.0; 2]);
        for (from, to, weight) in pairs.clone() {
            w += weight;
            for k in 0..2 {
                p[k] += weight * from[k];
                q[k] += weight * to[k];
            }
        }
        if w <= 0.0 {
            return None;
        }
        let (p, q) = ([p[0] / w, p[1] / w], [q[0] / w, q[1] / w]);
        let (mut n, mut a, mut b) = (0.0, 0.0, 0.0);
        for (from, to, weight) in pairs {
            let (x, y) = ([from[0] - p[0], from[1] - p[1]], [to[0] - q[0], to[1] - q[1]]);
            n += weight * (x[0] * x[0] + x[1] * x[1]);
            a += weight * (x[0] * y[0] + x[1] * y[1]);
            b += weight * (x[0] * y[1] - x[1] * y[0]);
        }
        let [known_a, known_b] = prior;
        if n + known_a < 1e-9 || n + known_b < 1e-9 {
            return None;
        }
        let (a, b) = ((a + known_a) / (n + known_a), b / (n + known_b));
        Some(Self { a, b, t: [q[0] - a * p[0] + b * p[1], q[1] - b * p[0] - a * p[1]] })
    }

    /// Where a point is carried to.
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.a * x - self.b * y + self.t[0], self.b * x + self.a * y + self.t[1]]
    }

    /// Scale.
    pub fn scale(&self) -> f64 {
        self.a.hypot(self.b)
    }

    /// Rotation from the first axis to the second, radians.
    pub fn rotation_rad(&self) -> f64 {
        self.b.atan2(self.a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Matrix4, SMatrix, Vector2, Vector4};
    use proptest::prelude::*;

    /// The same as a linear problem in (a, b, t) by its normal equations.
    fn oracle_fit(pairs: &[WeightedPair], prior: [f64; 2]) -> Vector4<f64> {
        let mut normal = Matrix4::from_diagonal(&Vector4::new(prior[0], prior[1], 0.0, 0.0));
        let mut right = Vector4::new(prior[0], 0.0, 0.0, 0.0);
        for ([x, y], to, weight) in pairs {
            let design = SMatrix::<f64, 2, 4>::new(*x, -y, 1.0, 0.0, *y, *x, 0.0, 1.0);
            normal += design.transpose() * design * *weight;
            right += design.transpose() * Vector2::from(*to) * *weight;
        }
        normal.cholesky().unwrap().solve(&right)
    }

    fn pairs() -> impl Strategy<Value = Vec<WeightedPair>> {
        let point = || [-100.0..100.0f64, -100.0..100.0f64];
        prop::collection::vec((point(), point(), 0.01..2.0f64), 3..30)
    }

    proptest! {
        #[test]
        fn a_fit_solves_the_normal_equations(pairs in pairs(), known_a in 0.0..1e4f64, known_b in 0.0..1e4f64) {
            let fitted = Similarity::fit(pairs.iter().copied(), [known_a, known_b]).unwrap();
            let expected = oracle_fit(&pairs, [known_a, known_b]);
            let off = Vector4::new(fitted.a, fitted.b, fitted.t[0], fitted.t[1]) - expected;
            prop_assert!(off.norm() < 1e-6 * (1.0 + expected.norm()), "{fitted:?} {expected}");
        }

        #[test]
        fn what_two_points_tell_carries_them(p in prop::array::uniform4(-50.0..50.0f64), q in prop::array::uniform4(-50.0..50.0f64)) {
            let (from, to) = ([[p[0], p[1]], [p[2], p[3]]], [[q[0], q[1]], [q[2], q[3]]]);
            prop_assume!((p[0] - p[2]).hypot(p[1] - p[3]) > 0.1);
            let s = Similarity::through(from, to).unwrap();
            for (a, b) in from.into_iter().zip(to) {
                let [x, y] = s.apply(a);
                prop_assert!((x - b[0]).hypot(y - b[1]) < 1e-6);
            }
        }
    }

    #[test]
    fn without_weight_or_extent_there_is_no_fit_unless_a_prior_says_so() {
        let twice = [([1.0, 2.0], [3.0, 4.0], 1.0); 2];
        assert_eq!(Similarity::fit(twice.into_iter(), [0.0, 0.0]), None);
        assert_eq!(Similarity::fit(twice.into_iter(), [1.0, 1.0]), Some(Similarity::translation([2.0, 2.0])));
        assert_eq!(Similarity::fit(std::iter::empty(), [1.0, 1.0]), None);
    }
}
