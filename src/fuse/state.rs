//! The nominal state of the filter, and the layout of its error state.

use nalgebra::{Matrix2, SMatrix, SVector, UnitQuaternion, Vector2, Vector3};

/// Size of the error state.
pub const STATES: usize = 22;
/// Where the velocity begins in the error state.
pub const VELOCITY: usize = 3;
/// Where the attitude begins in the error state.
pub const ATTITUDE: usize = 6;
/// Where the accelerometer bias begins in the error state.
pub const ACCEL_BIAS: usize = 9;
/// Where the gyroscope bias begins in the error state.
pub const GYRO_BIAS: usize = 12;
/// Where the lean begins in the error state.
pub const LEAN: usize = 15;
/// Where the map's offset begins in the error state.
pub const MAP_OFFSET: usize = 17;
/// Where the barometer's offset lies in the error state.
pub const BARO_OFFSET: usize = 19;
/// Where the wind begins in the error state.
pub const WIND: usize = 20;
/// A covariance of the error state.
pub type Covariance = SMatrix<f64, STATES, STATES>;
/// An error state.
pub type ErrorState = SVector<f64, STATES>;

/// The nominal state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Position in the plane, metres east, north, up.
    pub position_m: Vector3<f64>,
    /// Velocity, m/s.
    pub velocity_m_s: Vector3<f64>,
    /// Attitude: rotation from body (forward-right-down) to east-north-up.
    pub enu_from_body: UnitQuaternion<f64>,
    /// Accelerometer bias, m/s², body frame.
    pub accel_bias_m_s2: Vector3<f64>,
    /// Gyroscope bias, rad/s, body frame.
    pub gyro_bias_rad_s: Vector3<f64>,
    /// Lean of the camera, tangents to the right and down in the image.
    pub lean: Vector2<f64>,
    /// What the map shows, less where it is, metres east and north.
    pub map_offset_m: Vector2<f64>,
    /// What the barometer tells, less the height in the plane, metres.
    pub baro_offset_m: f64,
    /// Wind, where it blows to, m/s east and north; what wings tell of, see [`super::measurement::Airflow`].
    pub wind_m_s: Vector2<f64>,
}

impl State {
    /// At rest, without biases or offsets.
    pub fn at(position_m: Vector3<f64>, enu_from_body: UnitQuaternion<f64>) -> Self {
        Self {
            position_m,
            velocity_m_s: Vector3::zeros(),
            enu_from_body,
            accel_bias_m_s2: Vector3::zeros(),
            gyro_bias_rad_s: Vector3::zeros(),
            lean: Vector2::zeros(),
            map_offset_m: Vector2::zeros(),
            baro_offset_m: 0.0,
            wind_m_s: Vector2::zeros(),
        }
    }

    /// The state with an error added.
    pub fn plus(&self, error: &ErrorState) -> Self {
        let part = |i: usize| Vector3::new(error[i], error[i + 1], error[i + 2]);
        let turned = self.enu_from_body * UnitQuaternion::from_scaled_axis(part(ATTITUDE));
        Self {
            position_m: self.position_m + part(0),
            velocity_m_s: self.velocity_m_s + part(VELOCITY),
            enu_from_body: UnitQuaternion::new_normalize(turned.into_inner()),
            accel_bias_m_s2: self.accel_bias_m_s2 + part(ACCEL_BIAS),
            gyro_bias_rad_s: self.gyro_bias_rad_s + part(GYRO_BIAS),
            lean: self.lean + Vector2::new(error[LEAN], error[LEAN + 1]),
            map_offset_m: self.map_offset_m + Vector2::new(error[MAP_OFFSET], error[MAP_OFFSET + 1]),
            baro_offset_m: self.baro_offset_m + error[BARO_OFFSET],
            wind_m_s: self.wind_m_s + Vector2::new(error[WIND], error[WIND + 1]),
        }
    }

    /// The error that leads from another state to this one: the inverse of [`State::plus`].
    pub fn minus(&self, from: &Self) -> ErrorState {
        let mut error = ErrorState::zeros();
        let mut put = |at: usize, v: Vector3<f64>| error.fixed_rows_mut::<3>(at).copy_from(&v);
        put(0, self.position_m - from.position_m);
        put(VELOCITY, self.velocity_m_s - from.velocity_m_s);
        put(ATTITUDE, (from.enu_from_body.inverse() * self.enu_from_body).scaled_axis());
        put(ACCEL_BIAS, self.accel_bias_m_s2 - from.accel_bias_m_s2);
        put(GYRO_BIAS, self.gyro_bias_rad_s - from.gyro_bias_rad_s);
        error.fixed_rows_mut::<2>(LEAN).copy_from(&(self.lean - from.lean));
        error.fixed_rows_mut::<2>(MAP_OFFSET).copy_from(&(self.map_offset_m - from.map_offset_m));
        error[BARO_OFFSET] = self.baro_offset_m - from.baro_offset_m;
        error.fixed_rows_mut::<2>(WIND).copy_from(&(self.wind_m_s - from.wind_m_s));
        error
    }
}

/// The largest standard deviation of a covariance, along whatever axis.
pub fn worst_sigma(covariance: &Matrix2<f64>) -> f64 {
    covariance.symmetric_eigenvalues().max().max(0.0).sqrt()
}

/// Gravity on the WGS84 ellipsoid at a latitude, m/s² (Somigliana).
pub fn gravity_m_s2(lat_deg: f64) -> f64 {
    let s = lat_deg.to_radians().sin().powi(2);
    9.780_325_335_9 * (1.0 + 0.001_931_852_652_41 * s) / (1.0 - crate::geo::wgs84::ECCENTRICITY_SQUARED * s).sqrt()
}
