//! A past pose that stays correlated with the filter (stochastic cloning: Roumeliotis and Burdick 2002), for measurements that relate two
//! times.

use nalgebra::{Matrix2, Matrix6, SMatrix, SVector, UnitQuaternion, Vector2, Vector3};

use super::state::{ATTITUDE, Covariance, STATES, State};

/// Size of a pose's error: position, then attitude.
pub const POSE: usize = 6;

/// A past pose.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// When the filter was there, nanoseconds.
    pub stamp_ns: i64,
    /// Position in the plane, metres.
    pub position_m: Vector3<f64>,
    /// Attitude.
    pub enu_from_body: UnitQuaternion<f64>,
    /// Covariance of its error.
    pub covariance: Matrix6<f64>,
    /// Covariance of the filter's error with it.
    pub cross: SMatrix<f64, STATES, POSE>,
}

impl Anchor {
    /// The pose of a state, with what is known of its error.
    pub fn of(state: &State, errors: &Covariance, stamp_ns: i64) -> Self {
        let mut cross = SMatrix::<f64, STATES, POSE>::zeros();
        cross.fixed_columns_mut::<3>(0).copy_from(&errors.fixed_columns::<3>(0));
        cross.fixed_columns_mut::<3>(3).copy_from(&errors.fixed_columns::<3>(ATTITUDE));
        let mut covariance = Matrix6::zeros();
        covariance.fixed_rows_mut::<3>(0).copy_from(&cross.fixed_rows::<3>(0));
        covariance.fixed_rows_mut::<3>(3).copy_from(&cross.fixed_rows::<3>(ATTITUDE));
        Self { stamp_ns, position_m: state.position_m, enu_from_body: state.enu_from_body, covariance, cross }
    }

    /// Adds to the position what is known of a sway: its mean, its covariance with the filter's error, and its own.
    pub(super) fn sway(&mut self, mean: &Vector2<f64>, correlated: &SMatrix<f64, STATES, 2>, covariance: &Matrix2<f64>) {
        self.position_m.x += mean.x;
        self.position_m.y += mean.y;
        let mut columns = self.cross.fixed_columns_mut::<2>(0);
        columns += correlated;
        let mut with_pose = SMatrix::<f64, POSE, 2>::zeros();
        with_pose.fixed_rows_mut::<3>(0).copy_from(&correlated.fixed_rows::<3>(0));
        with_pose.fixed_rows_mut::<3>(3).copy_from(&correlated.fixed_rows::<3>(ATTITUDE));
        let mut columns = self.covariance.fixed_columns_mut::<2>(0);
        columns += with_pose;
        let mut rows = self.covariance.fixed_rows_mut::<2>(0);
        rows += with_pose.transpose();
        let mut own = self.covariance.fixed_view_mut::<2, 2>(0, 0);
        own += covariance;
    }

    /// Takes part in an update of the filter that it is correlated with.
    pub(super) fn correct<const M: usize>(
        &mut self,
        gain: &SMatrix<f64, STATES, M>,
        anchor_gain: &SMatrix<f64, POSE, M>,
        innovation_covariance: &SMatrix<f64, M, M>,
        innovation: &SVector<f64, M>,
    ) {
        let error = anchor_gain * innovation;
        self.position_m += error.fixed_rows::<3>(0);
        let turn = Vector3::new(error[3], error[4], error[5]);
        let turned = self.enu_from_body * UnitQuaternion::from_scaled_axis(turn);
        self.enu_from_body = UnitQuaternion::new_normalize(turned.into_inner());
        self.cross -= gain * innovation_covariance * anchor_gain.transpose();
        self.covariance -= anchor_gain * innovation_covariance * anchor_gain.transpose();
        let mut reset = Matrix6::identity();
        reset.fixed_view_mut::<3, 3>(3, 3).copy_from(&(nalgebra::Matrix3::identity() - (turn * 0.5).cross_matrix()));
        self.cross *= reset.transpose();
        let covariance = reset * self.covariance * reset.transpose();
        self.covariance = (covariance + covariance.transpose()) * 0.5;
    }
}
