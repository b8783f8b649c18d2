//! What is known of the state before anything is measured: the covariance that a filter starts with.

use nalgebra::{Matrix3, UnitQuaternion, Vector3};

use super::state::{
    ACCEL_BIAS, ATTITUDE, BARO_OFFSET, Covariance, ErrorState, GYRO_BIAS, LEAN, MAP_OFFSET, STATES, VELOCITY, WIND,
};

// A state that is added has to be given a sigma here.
const _: () = assert!(STATES == 22);

/// 1 sigma of each part of the state at the start, none of which is correlated with another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InitialSigmas {
    /// Position along each horizontal axis, metres.
    pub position_m: f64,
    /// Height, metres.
    pub height_m: f64,
    /// Velocity along each axis, m/s.
    pub velocity_m_s: f64,
    /// Attitude about each axis of a frame that the caller names, radians.
    pub attitude_rad: [f64; 3],
    /// Accelerometer bias along each axis of the body, m/s².
    pub accel_bias_m_s2: f64,
    /// Gyroscope bias about each axis of the body, rad/s.
    pub gyro_bias_rad_s: f64,
    /// Lean of the camera, tangents to the right and down in the image.
    pub lean: f64,
    /// The map's offset along each axis, metres.
    pub map_offset_m: f64,
    /// The barometer's offset, metres.
    pub baro_offset_m: f64,
    /// Wind along each axis, m/s.
    pub wind_m_s: f64,
}

impl InitialSigmas {
    /// Each in its place of the error state.
    pub fn laid_out(&self) -> ErrorState {
        let mut sigmas = ErrorState::zeros();
        for (first, size, sigma) in [
            (0, 2, self.position_m),
            (2, 1, self.height_m),
            (VELOCITY, 3, self.velocity_m_s),
            (ACCEL_BIAS, 3, self.accel_bias_m_s2),
            (GYRO_BIAS, 3, self.gyro_bias_rad_s),
            (LEAN, 2, self.lean),
            (MAP_OFFSET, 2, self.map_offset_m),
            (BARO_OFFSET, 1, self.baro_offset_m),
            (WIND, 2, self.wind_m_s),
        ] {
            sigmas.rows_mut(first, size).fill(sigma);
        }
        sigmas.fixed_rows_mut::<3>(ATTITUDE).copy_from(&Vector3::from(self.attitude_rad));
        sigmas
    }

    /// The covariance of the error state, whose attitude error lies in the body frame: `frame_from_body` leads from there to the frame of
    /// `attitude_rad`.
    pub fn covariance(&self, frame_from_body: &UnitQuaternion<f64>) -> Covariance {
        let sigmas = self.laid_out();
        let mut covariance = Covariance::from_diagonal(&sigmas.component_mul(&sigmas));
        let attitude = Vector3::from(self.attitude_rad);
        let variance = Matrix3::from_diagonal(&attitude.component_mul(&attitude));
        let rotation = frame_from_body.to_rotation_matrix().into_inner();
        covariance.fixed_view_mut::<3, 3>(ATTITUDE, ATTITUDE).copy_from(&(rotation.transpose() * variance * rotation));
        covariance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::enu_from_body;

    const SIGMAS: InitialSigmas = InitialSigmas {
        position_m: 1.0,
        height_m: 2.0,
        velocity_m_s: 3.0,
        attitude_rad: [0.1, 0.1, 0.5],
        accel_bias_m_s2: 4.0,
        gyro_bias_rad_s: 5.0,
        lean: 6.0,
        map_offset_m: 7.0,
        baro_offset_m: 8.0,
        wind_m_s: 9.0,
    };

    #[test]
    fn every_state_has_the_variance_of_its_part_and_nothing_is_correlated() {
        let covariance = SIGMAS.covariance(&UnitQuaternion::identity());
        let variances = covariance.diagonal().map(f64::sqrt);
        let expected =
            [1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 0.1, 0.1, 0.5, 4.0, 4.0, 4.0, 5.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 8.0, 9.0, 9.0];
        assert!((variances - ErrorState::from(expected)).norm() < 1e-12);
        assert_eq!(covariance, Covariance::from_diagonal(&covariance.diagonal()));
    }

    #[test]
    fn a_heading_that_is_not_known_is_a_turn_about_the_vertical_whatever_the_attitude() {
        let enu_from_body = enu_from_body(0.7, 0.3, -0.4);
        let covariance = SIGMAS.covariance(&enu_from_body);
        let attitude: Matrix3<f64> = covariance.fixed_view::<3, 3>(ATTITUDE, ATTITUDE).into_owned();
        let up = enu_from_body.inverse() * Vector3::z();
        assert!((attitude * up - up * 0.25).norm() < 1e-12);
        assert!((attitude.trace() - 0.27).abs() < 1e-12);
    }
}
