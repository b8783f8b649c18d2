//! A past pose that stays correlated with the filter (stochastic cloning: Roumeliotis and Burdick 2002), for measurements that relate two
//! times.

use nalgebra::{Matrix2, Matrix6, SMatrix, SVector, UnitQuaternion, Vector2, Vector3};

use super::eskf::{Eskf, Update, is_covariance};
use super::state::{ATTITUDE, ErrorState, STATES, State};

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
    /// The pose where a filter is.
    pub fn of(filter: &Eskf, stamp_ns: i64) -> Self {
        let mut cross = SMatrix::<f64, STATES, POSE>::zeros();
        cross.fixed_columns_mut::<3>(0).copy_from(&filter.covariance.fixed_columns::<3>(0));
        cross.fixed_columns_mut::<3>(3).copy_from(&filter.covariance.fixed_columns::<3>(ATTITUDE));
        let mut covariance = Matrix6::zeros();
        covariance.fixed_rows_mut::<3>(0).copy_from(&cross.fixed_rows::<3>(0));
        covariance.fixed_rows_mut::<3>(3).copy_from(&cross.fixed_rows::<3>(ATTITUDE));
        let state = &filter.state;
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

/// A measurement of the filter's pose relative to its anchor.
pub trait RelativeMeasurement<const M: usize> {
    /// z − h(x, anchor).
    fn innovation(&self, state: &State, anchor: &Anchor) -> SVector<f64, M>;
    /// ∂h/∂(error of the filter), ∂h/∂(error of the anchor).
    fn jacobians(&self, state: &State, anchor: &Anchor) -> (SMatrix<f64, M, STATES>, SMatrix<f64, M, POSE>);
    /// Covariance of the measurement.
    fn covariance(&self) -> SMatrix<f64, M, M>;
}

impl Eskf {
    /// Begins to remember the pose where the filter is now.
    pub fn set_anchor(&mut self, stamp_ns: i64) {
        self.anchor = Some(Box::new(Anchor::of(self, stamp_ns)));
    }

    /// Fuses a measurement relative to the anchor; refused without one.
    pub fn fuse_relative<const M: usize>(&mut self, measurement: &impl RelativeMeasurement<M>, gate: f64) -> Update {
        let Some(mut anchor) = self.anchor.take() else { return Update::Refused };
        let (update, error) = self.relative_update(&mut anchor, measurement, gate);
        self.anchor = Some(anchor);
        if let Some(error) = error {
            self.inject(&error);
        }
        update
    }

    /// Corrects the anchor and the covariances; the error that is left to inject, when the measurement is used.
    fn relative_update<const M: usize>(
        &mut self,
        anchor: &mut Anchor,
        measurement: &impl RelativeMeasurement<M>,
        gate: f64,
    ) -> (Update, Option<ErrorState>) {
        let related = match self.related(anchor, measurement) {
            Ok(related) if related.nis > gate => return (Update::Gated(related.nis), None),
            Ok(related) => related,
            Err(update) => return (update, None),
        };
        self.reduce(&related);
        anchor.correct(&related.gain, &related.anchor_gain, &related.s, &related.innovation);
        (Update::Used(related.nis), Some(related.gain * related.innovation))
    }

    /// What a measurement relative to an anchor would do.
    pub(super) fn related<const M: usize>(
        &self,
        anchor: &Anchor,
        measurement: &impl RelativeMeasurement<M>,
    ) -> Result<Related<M>, Update> {
        let innovation = measurement.innovation(&self.state, anchor);
        let (h, h_anchor) = measurement.jacobians(&self.state, anchor);
        let covariance = measurement.covariance();
        if !innovation.iter().chain(h.iter()).chain(h_anchor.iter()).all(|v| v.is_finite()) || !is_covariance(&covariance) {
            return Err(Update::Refused);
        }
        let projected = self.covariance * h.transpose() + anchor.cross * h_anchor.transpose();
        let anchor_projected = anchor.cross.transpose() * h.transpose() + anchor.covariance * h_anchor.transpose();
        let s = h * projected + h_anchor * anchor_projected + covariance;
        let Some(s_inverse) = s.try_inverse() else { return Err(Update::Refused) };
        let nis = (innovation.transpose() * s_inverse * innovation)[(0, 0)];
        if !(nis >= 0.0) {
            return Err(Update::Refused);
        }
        let (gain, anchor_gain) = (projected * s_inverse, anchor_projected * s_inverse);
        Ok(Related { h, h_anchor, innovation, projected, s, s_inverse, gain, anchor_gain, nis })
    }

    /// Takes from the covariance what a relative measurement tells.
    pub(super) fn reduce<const M: usize>(&mut self, Related { gain, s, projected, .. }: &Related<M>) {
        // Joseph's form multiplied out: the anchor's error enters like noise that is correlated with the state.
        self.covariance += gain * s * gain.transpose() - gain * projected.transpose() - projected * gain.transpose();
    }
}

/// A relative measurement as the filter sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Related<const M: usize> {
    /// Jacobians with respect to the errors of the filter and of the anchor.
    pub h: SMatrix<f64, M, STATES>,
    pub h_anchor: SMatrix<f64, M, POSE>,
    pub innovation: SVector<f64, M>,
    /// Covariance of the filter's error with the innovation.
    pub projected: SMatrix<f64, STATES, M>,
    /// Covariance of the innovation, and its inverse.
    pub s: SMatrix<f64, M, M>,
    pub s_inverse: SMatrix<f64, M, M>,
    pub gain: SMatrix<f64, STATES, M>,
    pub anchor_gain: SMatrix<f64, POSE, M>,
    pub nis: f64,
}
