//! Positions of GNSS, while it lasts.

use nalgebra::{Matrix3, SMatrix, Vector3};

use super::lever_arm::put_lever_arm;
use crate::fuse::state::{STATES, State};
use crate::fuse::update::Measurement;

/// A position of GNSS. The map has no part in it: together with fixes on the map it tells the map's offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gnss {
    /// The antenna in the plane, metres east, north, up.
    pub antenna_m: Vector3<f64>,
    /// Its covariance, m².
    pub covariance: Matrix3<f64>,
    /// The antenna as seen from the point that is navigated, metres, body frame.
    pub lever_arm_m: Vector3<f64>,
}

impl Measurement<3> for Gnss {
    fn innovation(&self, state: &State) -> Vector3<f64> {
        self.antenna_m - state.position_m - state.enu_from_body * self.lever_arm_m
    }

    fn jacobian(&self, state: &State) -> SMatrix<f64, 3, STATES> {
        let mut h = SMatrix::<f64, 3, STATES>::zeros();
        h.fixed_view_mut::<3, 3>(0, 0).fill_with_identity();
        put_lever_arm(&mut h, 3, state, &self.lever_arm_m);
        h
    }

    fn covariance(&self) -> Matrix3<f64> {
        self.covariance
    }
}
