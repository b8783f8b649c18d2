//! Telemetry samples. Stamps are nanoseconds of the recording's clock.

use nalgebra::{UnitQuaternion, Vector3};

/// Angular rate and specific force in the body frame (forward, right, down).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImuSample {
    /// Time of validity.
    pub stamp_ns: i64,
    /// Angular rate, rad/s.
    pub gyro_rad_s: Vector3<f64>,
    /// Specific force, m/s².
    pub accel_m_s2: Vector3<f64>,
}

/// Height above ground.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeightSample {
    /// Time of validity.
    pub stamp_ns: i64,
    /// Metres above ground.
    pub height_agl_m: f64,
    /// 1 sigma, metres.
    pub sigma_m: f64,
}

/// Heading of the body, true north.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadingSample {
    /// Time of validity.
    pub stamp_ns: i64,
    /// Radians clockwise from true north.
    pub heading_rad: f64,
    /// 1 sigma, radians.
    pub sigma_rad: f64,
}

/// Attitude of the body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttitudeSample {
    /// Time of validity.
    pub stamp_ns: i64,
    /// Rotation from body (forward-right-down) to east-north-up.
    pub enu_from_body: UnitQuaternion<f64>,
    /// 1 sigma an axis, radians.
    pub sigma_rad: f64,
}

/// The samples between the frame before (exclusive) and this frame (inclusive), each list in time order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TelemetryBatch {
    /// Inertial samples.
    pub imu: Vec<ImuSample>,
    /// Height samples.
    pub height: Vec<HeightSample>,
    /// Heading samples.
    pub heading: Vec<HeadingSample>,
    /// Attitude samples.
    pub attitude: Vec<AttitudeSample>,
}
