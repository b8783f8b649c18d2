//! Velocities: over ground, or as the body sees it.

use nalgebra::{Matrix3, SMatrix, Vector3};

use crate::fuse::state::{ATTITUDE, STATES, State, VELOCITY};
use crate::fuse::update::Measurement;

/// The frame that a velocity is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VelocityFrame {
    /// East, north, up: from GNSS.
    Enu,
    /// Forward, right, down: from optical flow or a Doppler sensor on the body.
    Body,
}

/// A velocity over ground.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Velocity {
    /// m/s.
    pub velocity_m_s: Vector3<f64>,
    /// Its covariance, m²/s².
    pub covariance: Matrix3<f64>,
    /// The frame of both.
    pub frame: VelocityFrame,
}

impl Measurement<3> for Velocity {
    fn innovation(&self, state: &State) -> Vector3<f64> {
        match self.frame {
            VelocityFrame::Enu => self.velocity_m_s - state.velocity_m_s,
            VelocityFrame::Body => self.velocity_m_s - state.enu_from_body.inverse() * state.velocity_m_s,
        }
    }

    fn jacobian(&self, state: &State) -> SMatrix<f64, 3, STATES> {
        let mut h = SMatrix::<f64, 3, STATES>::zeros();
        match self.frame {
            VelocityFrame::Enu => h.fixed_view_mut::<3, 3>(0, VELOCITY).fill_with_identity(),
            VelocityFrame::Body => {
                let body_from_enu = state.enu_from_body.inverse().to_rotation_matrix().into_inner();
                h.fixed_view_mut::<3, 3>(0, VELOCITY).copy_from(&body_from_enu);
                h.fixed_view_mut::<3, 3>(0, ATTITUDE).copy_from(&(body_from_enu * state.velocity_m_s).cross_matrix());
            }
        }
        h
    }

    fn covariance(&self) -> Matrix3<f64> {
        self.covariance
    }
}
