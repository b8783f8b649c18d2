//! An aircraft that stands on the ground.

use nalgebra::{Matrix3, SMatrix, Vector3};

use crate::fuse::state::{STATES, State, VELOCITY};
use crate::fuse::update::Measurement;

/// No velocity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZeroVelocity {
    /// 1 sigma an axis, m/s.
    pub sigma_m_s: f64,
}

impl Measurement<3> for ZeroVelocity {
    fn innovation(&self, state: &State) -> Vector3<f64> {
        -state.velocity_m_s
    }

    fn jacobian(&self, _: &State) -> SMatrix<f64, 3, STATES> {
        let mut h = SMatrix::<f64, 3, STATES>::zeros();
        h.fixed_view_mut::<3, 3>(0, VELOCITY).fill_with_identity();
        h
    }

    fn covariance(&self) -> Matrix3<f64> {
        Matrix3::identity() * (self.sigma_m_s * self.sigma_m_s)
    }
}
