//! Projective maps of the plane.

use nalgebra::{Matrix3, Vector3};

/// A projective map of the plane, `x' ~ H x`, scaled so that its last element is 1 where it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Homography(pub Matrix3<f64>);

impl Homography {
    /// The identity.
    pub fn identity() -> Self {
        Self(Matrix3::identity())
    }

    /// Image of a point; `None` where it goes to infinity.
    pub fn apply(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let p = self.0 * Vector3::new(x, y, 1.0);
        (p.z.abs() > 1e-12 && p.iter().all(|v| v.is_finite())).then(|| (p.x / p.z, p.y / p.z))
    }

    /// The inverse map; `None` for a singular one.
    pub fn inverse(&self) -> Option<Self> {
        self.0.try_inverse().map(Self)
    }

    /// The map that applies `first`, then `self`.
    pub fn after(&self, first: &Self) -> Self {
        Self(self.0 * first.0)
    }

    /// Derivative of the image of a point with respect to the point, row-major `[[∂x'/∂x, ∂x'/∂y], [∂y'/∂x, ∂y'/∂y]]`.
    pub fn jacobian(&self, x: f64, y: f64) -> Option<[[f64; 2]; 2]> {
        let p = self.0 * Vector3::new(x, y, 1.0);
        if p.z.abs() <= 1e-12 {
            return None;
        }
        let (u, v) = (p.x / p.z, p.y / p.z);
        let h = &self.0;
        Some([
            [(h[(0, 0)] - u * h[(2, 0)]) / p.z, (h[(0, 1)] - u * h[(2, 1)]) / p.z],
            [(h[(1, 0)] - v * h[(2, 0)]) / p.z, (h[(1, 1)] - v * h[(2, 1)]) / p.z],
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn inverse_undoes(x in -100.0..100.0f64, y in -100.0..100.0f64, p in -1e-4..1e-4f64, s in 0.5..2.0f64) {
            let h = Homography(Matrix3::new(s, 0.1, 5.0, -0.2, 1.0, -3.0, p, p / 2.0, 1.0));
            let (u, v) = h.apply(x, y).unwrap();
            let (a, b) = h.inverse().unwrap().apply(u, v).unwrap();
            prop_assert!((a - x).abs() < 1e-6 && (b - y).abs() < 1e-6);
        }

        #[test]
        fn jacobian_equals_finite_differences(x in -100.0..100.0f64, y in -100.0..100.0f64) {
            let h = Homography(Matrix3::new(1.1, 0.1, 5.0, -0.2, 0.9, -3.0, 1e-4, -2e-4, 1.0));
            let j = h.jacobian(x, y).unwrap();
            let d = 1e-5;
            let (p, m) = (h.apply(x + d, y).unwrap(), h.apply(x - d, y).unwrap());
            prop_assert!(((p.0 - m.0) / (2.0 * d) - j[0][0]).abs() < 1e-6);
            prop_assert!(((p.1 - m.1) / (2.0 * d) - j[1][0]).abs() < 1e-6);
        }
    }
}
