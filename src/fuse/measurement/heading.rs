//! Headings: where the body's forward axis points over ground.

use nalgebra::{Matrix1, RowVector3, SMatrix, Vector1, Vector3};

use crate::fuse::state::{ATTITUDE, STATES, State};
use crate::fuse::update::Measurement;

/// A heading, clockwise from true north.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heading {
    /// Radians.
    pub heading_rad: f64,
    /// 1 sigma, radians.
    pub sigma_rad: f64,
}

impl Measurement<1> for Heading {
    fn innovation(&self, state: &State) -> Vector1<f64> {
        let (now, _, _) = crate::geo::heading_pitch_roll(&state.enu_from_body);
        Vector1::new(crate::geo::turn_between(now, self.heading_rad))
    }

    /// With the forward axis (e, n, u): heading = atan2(e, n), and that axis turns by `−R [e_x]× δθ`.
    fn jacobian(&self, state: &State) -> SMatrix<f64, 1, STATES> {
        let rotation = state.enu_from_body.to_rotation_matrix().into_inner();
        let forward = rotation.column(0);
        let turned = -rotation * Vector3::x().cross_matrix();
        let level = forward.x * forward.x + forward.y * forward.y;
        let by_turn: RowVector3<f64> = (turned.row(0) * forward.y - turned.row(1) * forward.x) / level;
        let mut h = SMatrix::<f64, 1, STATES>::zeros();
        h.fixed_view_mut::<1, 3>(0, ATTITUDE).copy_from(&by_turn);
        h
    }

    fn covariance(&self) -> Matrix1<f64> {
        Matrix1::new(self.sigma_rad * self.sigma_rad)
    }
}
