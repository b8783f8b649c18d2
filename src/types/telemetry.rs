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

/// A time without frames, while the aircraft flies on.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Pause {
    /// Up to when.
    pub stamp_ns: i64,
    /// Samples so old that no frame before them can still come.
    pub telemetry: TelemetryBatch,
    /// The samples after those: the next frame, or the next pause, brings them again.
    pub ahead: TelemetryBatch,
}

/// A sample of any kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TelemetrySample {
    /// Inertial.
    Imu(ImuSample),
    /// Height above ground.
    Height(HeightSample),
    /// Heading.
    Heading(HeadingSample),
    /// Attitude.
    Attitude(AttitudeSample),
}

impl TelemetrySample {
    /// Time of validity, nanoseconds.
    pub fn stamp_ns(&self) -> i64 {
        match self {
            Self::Imu(s) => s.stamp_ns,
            Self::Height(s) => s.stamp_ns,
            Self::Heading(s) => s.stamp_ns,
            Self::Attitude(s) => s.stamp_ns,
        }
    }

    /// Whether every number is finite and every sigma positive.
    pub fn is_valid(&self) -> bool {
        let sigma = |s: f64| s > 0.0 && s.is_finite();
        match self {
            Self::Imu(s) => s.gyro_rad_s.iter().chain(s.accel_m_s2.iter()).all(|v| v.is_finite()),
            Self::Height(s) => s.height_agl_m.is_finite() && sigma(s.sigma_m),
            Self::Heading(s) => s.heading_rad.is_finite() && sigma(s.sigma_rad),
            Self::Attitude(s) => s.enu_from_body.coords.iter().all(|v| v.is_finite()) && sigma(s.sigma_rad),
        }
    }
}

impl TelemetryBatch {
    /// All samples, kind by kind.
    pub fn samples(&self) -> impl Iterator<Item = TelemetrySample> {
        let imu = self.imu.iter().copied().map(TelemetrySample::Imu);
        let height = self.height.iter().copied().map(TelemetrySample::Height);
        let heading = self.heading.iter().copied().map(TelemetrySample::Heading);
        imu.chain(height).chain(heading).chain(self.attitude.iter().copied().map(TelemetrySample::Attitude))
    }

    /// Adds the samples of another batch, each kind in order of time.
    pub fn append(&mut self, other: Self) {
        fn add<T>(to: &mut Vec<T>, from: Vec<T>, stamp_ns: impl Fn(&T) -> i64) {
            to.extend(from);
            to.sort_by_key(stamp_ns);
        }
        add(&mut self.imu, other.imu, |s| s.stamp_ns);
        add(&mut self.height, other.height, |s| s.stamp_ns);
        add(&mut self.heading, other.heading, |s| s.stamp_ns);
        add(&mut self.attitude, other.attitude, |s| s.stamp_ns);
    }

    /// Moves every stamp by so many nanoseconds.
    pub fn shift(&mut self, by_ns: i64) {
        let stamps = self.imu.iter_mut().map(|s| &mut s.stamp_ns);
        let stamps = stamps.chain(self.height.iter_mut().map(|s| &mut s.stamp_ns));
        let stamps = stamps.chain(self.heading.iter_mut().map(|s| &mut s.stamp_ns));
        stamps.chain(self.attitude.iter_mut().map(|s| &mut s.stamp_ns)).for_each(|stamp| *stamp = stamp.saturating_add(by_ns));
    }

    /// Turns headings and attitudes by an angle, radians clockwise: by the declination, when they are magnetic.
    pub fn turn_headings(&mut self, by_rad: f64) {
        self.heading.iter_mut().for_each(|s| s.heading_rad += by_rad);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), -by_rad);
        self.attitude.iter_mut().for_each(|s| s.enu_from_body = turn * s.enu_from_body);
    }
}
