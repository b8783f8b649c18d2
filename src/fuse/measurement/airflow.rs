//! What wings tell: an aeroplane moves through the air where it points, but for a few degrees.

use nalgebra::{Matrix2, Matrix3, SMatrix, Vector2, Vector3};

use crate::fuse::state::{ATTITUDE, STATES, State, VELOCITY, WIND};
use crate::fuse::update::Measurement;

/// No motion through the air sideways or along the body's down axis. Slip and angle of attack last for seconds, so what is taken more
/// often than that must be given a larger sigma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Airflow {
    /// 1 sigma of the motion to the right and down, m/s.
    pub sigma_m_s: f64,
}

/// Motion through the air, m/s, in the body frame.
fn through_air(state: &State) -> Vector3<f64> {
    let wind = Vector3::new(state.wind_m_s.x, state.wind_m_s.y, 0.0);
    state.enu_from_body.inverse() * (state.velocity_m_s - wind)
}

impl Measurement<2> for Airflow {
    fn innovation(&self, state: &State) -> Vector2<f64> {
        -through_air(state).yz()
    }

    fn jacobian(&self, state: &State) -> SMatrix<f64, 2, STATES> {
        let body_from_enu: Matrix3<f64> = state.enu_from_body.inverse().to_rotation_matrix().into_inner();
        let mut h = SMatrix::<f64, 2, STATES>::zeros();
        h.fixed_view_mut::<2, 3>(0, VELOCITY).copy_from(&body_from_enu.fixed_rows::<2>(1));
        h.fixed_view_mut::<2, 3>(0, ATTITUDE).copy_from(&through_air(state).cross_matrix().fixed_rows::<2>(1));
        h.fixed_view_mut::<2, 2>(0, WIND).copy_from(&-body_from_enu.fixed_view::<2, 2>(1, 0));
        h
    }

    fn covariance(&self) -> Matrix2<f64> {
        Matrix2::identity() * (self.sigma_m_s * self.sigma_m_s)
    }
}
