//! Attitudes.

use nalgebra::{Matrix3, SMatrix, UnitQuaternion, Vector3};

use crate::fuse::state::{ATTITUDE, STATES, State};
use crate::fuse::update::Measurement;

/// An attitude with the same uncertainty about each axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attitude {
    /// Rotation from body (forward-right-down) to east-north-up.
    pub enu_from_body: UnitQuaternion<f64>,
    /// 1 sigma an axis, radians.
    pub sigma_rad: f64,
}

impl Measurement<3> for Attitude {
    /// The rotation vector from the state to the measurement, in the body frame.
    fn innovation(&self, state: &State) -> Vector3<f64> {
        (state.enu_from_body.inverse() * self.enu_from_body).scaled_axis()
    }

    fn jacobian(&self, state: &State) -> SMatrix<f64, 3, STATES> {
        let mut h = SMatrix::<f64, 3, STATES>::zeros();
        h.fixed_view_mut::<3, 3>(0, ATTITUDE).copy_from(&inverse_left_jacobian(&self.innovation(state)));
        h
    }

    fn covariance(&self) -> Matrix3<f64> {
        Matrix3::identity() * (self.sigma_rad * self.sigma_rad)
    }
}

/// The inverse of the left Jacobian of SO(3): Log(Exp(δ) Exp(φ)) ≈ φ + J⁻¹ δ (Solà, Deray and Atchuthan 2018, eq. 146).
pub(super) fn inverse_left_jacobian(phi: &Vector3<f64>) -> Matrix3<f64> {
    let squared = phi.norm_squared();
    let second = if squared < 1e-4 {
        1.0 / 12.0 + squared / 720.0
    } else {
        let angle = squared.sqrt();
        1.0 / squared - (1.0 + angle.cos()) / (2.0 * angle * angle.sin())
    };
    let cross = phi.cross_matrix();
    Matrix3::identity() - cross * 0.5 + cross * cross * second
}
