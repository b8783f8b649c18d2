//! The way from one pose to another, as consecutive frames tell it that see the same ground.

use nalgebra::{Matrix3, Matrix6, SMatrix, SVector, UnitQuaternion, Vector3};

use super::attitude::inverse_left_jacobian;
use crate::fuse::anchor::{Anchor, POSE};
use crate::fuse::state::{ATTITUDE, STATES, State};
use crate::fuse::update::RelativeMeasurement;

/// Where the body went and how it turned since the filter's anchor, seen from the body as it was there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelativePose {
    /// Stamp of the anchor, nanoseconds: with an anchor of another time the measurement is refused.
    pub since_ns: i64,
    /// Way, metres, in the body frame of the anchor.
    pub moved_m: Vector3<f64>,
    /// Rotation from the body now to the body then.
    pub then_from_now: UnitQuaternion<f64>,
    /// Covariance of the way, m².
    pub moved_covariance: Matrix3<f64>,
    /// Covariance of the rotation, a rotation vector in the body frame of now, rad².
    pub turned_covariance: Matrix3<f64>,
}

/// The rotation from the body of a state to the anchor's.
fn then_from_now(state: &State, anchor: &Anchor) -> UnitQuaternion<f64> {
    anchor.enu_from_body.inverse() * state.enu_from_body
}

/// The way from the anchor to a state, in the anchor's body frame.
fn moved_m(state: &State, anchor: &Anchor) -> Vector3<f64> {
    anchor.enu_from_body.inverse() * (state.position_m - anchor.position_m)
}

impl RelativePose {
    fn turn_innovation(&self, state: &State, anchor: &Anchor) -> Vector3<f64> {
        (then_from_now(state, anchor).inverse() * self.then_from_now).scaled_axis()
    }
}

impl RelativeMeasurement<6> for RelativePose {
    fn innovation(&self, state: &State, anchor: &Anchor) -> SVector<f64, 6> {
        let (moved, turned) = (self.moved_m - moved_m(state, anchor), self.turn_innovation(state, anchor));
        SVector::from_iterator(moved.iter().chain(turned.iter()).copied())
    }

    fn jacobians(&self, state: &State, anchor: &Anchor) -> (SMatrix<f64, 6, STATES>, SMatrix<f64, 6, POSE>) {
        let body_from_enu = anchor.enu_from_body.inverse().to_rotation_matrix().into_inner();
        let inverse = inverse_left_jacobian(&self.turn_innovation(state, anchor));
        let now_from_then = then_from_now(state, anchor).inverse().to_rotation_matrix().into_inner();
        let mut h = SMatrix::<f64, 6, STATES>::zeros();
        h.fixed_view_mut::<3, 3>(0, 0).copy_from(&body_from_enu);
        h.fixed_view_mut::<3, 3>(3, ATTITUDE).copy_from(&inverse);
        let mut anchored = SMatrix::<f64, 6, POSE>::zeros();
        anchored.fixed_view_mut::<3, 3>(0, 0).copy_from(&-body_from_enu);
        anchored.fixed_view_mut::<3, 3>(0, 3).copy_from(&moved_m(state, anchor).cross_matrix());
        anchored.fixed_view_mut::<3, 3>(3, 3).copy_from(&(-inverse * now_from_then));
        (h, anchored)
    }

    fn covariance(&self) -> Matrix6<f64> {
        let mut covariance = Matrix6::zeros();
        covariance.fixed_view_mut::<3, 3>(0, 0).copy_from(&self.moved_covariance);
        covariance.fixed_view_mut::<3, 3>(3, 3).copy_from(&self.turned_covariance);
        covariance
    }
}
