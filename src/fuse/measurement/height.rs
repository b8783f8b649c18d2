//! Heights: known ones, a barometer whose offset drifts, a rangefinder that is fixed to the body.

use nalgebra::{Matrix1, RowVector3, SMatrix, Vector1, Vector3};

use crate::fuse::state::{ATTITUDE, BARO_OFFSET, STATES, State};
use crate::fuse::update::Measurement;

/// A height in the plane without an offset of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Height {
    /// Metres.
    pub up_m: f64,
    /// 1 sigma, metres.
    pub sigma_m: f64,
}

impl Measurement<1> for Height {
    fn innovation(&self, state: &State) -> Vector1<f64> {
        Vector1::new(self.up_m - state.position_m.z)
    }

    fn jacobian(&self, _: &State) -> SMatrix<f64, 1, STATES> {
        let mut h = SMatrix::<f64, 1, STATES>::zeros();
        h[(0, 2)] = 1.0;
        h
    }

    fn covariance(&self) -> Matrix1<f64> {
        Matrix1::new(self.sigma_m * self.sigma_m)
    }
}

/// A barometric height: that in the plane and an offset that drifts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Barometer {
    /// Metres.
    pub up_m: f64,
    /// 1 sigma of its noise, metres; the drift is a state of the filter.
    pub sigma_m: f64,
}

impl Measurement<1> for Barometer {
    fn innovation(&self, state: &State) -> Vector1<f64> {
        Vector1::new(self.up_m - state.position_m.z - state.baro_offset_m)
    }

    fn jacobian(&self, _: &State) -> SMatrix<f64, 1, STATES> {
        let mut h = SMatrix::<f64, 1, STATES>::zeros();
        h[(0, 2)] = 1.0;
        h[(0, BARO_OFFSET)] = 1.0;
        h
    }

    fn covariance(&self) -> Matrix1<f64> {
        Matrix1::new(self.sigma_m * self.sigma_m)
    }
}

/// The distance to flat ground along the body's down axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rangefinder {
    /// Metres.
    pub range_m: f64,
    /// 1 sigma, metres.
    pub sigma_m: f64,
}

impl Rangefinder {
    /// Below this cosine of the tilt the beam sees no ground that a height could be told from.
    const LEAST_COSINE: f64 = 0.5;

    /// Cosine of the angle between the beam and straight down; no number beyond what is of use, so that the measurement is refused.
    fn cosine(state: &State) -> f64 {
        let cosine = -(state.enu_from_body * Vector3::z()).z;
        if cosine >= Self::LEAST_COSINE { cosine } else { f64::NAN }
    }
}

impl Measurement<1> for Rangefinder {
    fn innovation(&self, state: &State) -> Vector1<f64> {
        Vector1::new(self.range_m - state.position_m.z / Self::cosine(state))
    }

    fn jacobian(&self, state: &State) -> SMatrix<f64, 1, STATES> {
        let cosine = Self::cosine(state);
        let mut h = SMatrix::<f64, 1, STATES>::zeros();
        h[(0, 2)] = 1.0 / cosine;
        // The cosine is −eᵤ·R e_z, and R turns by −R [e_z]× δθ.
        let turned = state.enu_from_body.to_rotation_matrix().into_inner() * Vector3::z().cross_matrix();
        let by_turn: RowVector3<f64> = turned.row(2) * (-state.position_m.z / (cosine * cosine));
        h.fixed_view_mut::<1, 3>(0, ATTITUDE).copy_from(&by_turn);
        h
    }

    fn covariance(&self) -> Matrix1<f64> {
        Matrix1::new(self.sigma_m * self.sigma_m)
    }
}
