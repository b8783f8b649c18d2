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

/// Height by air pressure, above any level: it is the change that tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BarometerSample {
    /// Time of validity.
    pub stamp_ns: i64,
    /// Metres.
    pub alt_m: f64,
    /// 1 sigma of its noise, metres; the drift is not part of it.
    pub sigma_m: f64,
}

/// Position by GNSS, over ground: where its height counts from, nothing else here knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GnssSample {
    /// Time of validity.
    pub stamp_ns: i64,
    /// Latitude, degrees.
    pub lat_deg: f64,
    /// Longitude, degrees.
    pub lon_deg: f64,
    /// 1 sigma an axis, metres.
    pub sigma_m: f64,
}

/// Whether the aircraft stands on the ground, by its autopilot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LandedSample {
    /// Time of validity.
    pub stamp_ns: i64,
    /// Stands there.
    pub landed: bool,
}

/// A sample of telemetry.
pub trait Sample: Copy + PartialEq {
    /// Time of validity, nanoseconds.
    fn stamp_ns(&self) -> i64;
}

/// The kinds of sample, one line each: its list in a batch, which is also the name of its table in a recording, its name among the kinds,
/// and its type in [`crate::types`]. A macro that is given as `$each` gets all lines, so that whatever holds a list of each kind follows from this one.
macro_rules! telemetry_kinds {
    ($each:ident) => {
        $each! {
            /// Inertial.
            imu: Imu(ImuSample),
            /// Height above ground.
            height: Height(HeightSample),
            /// Heading.
            heading: Heading(HeadingSample),
            /// Attitude.
            attitude: Attitude(AttitudeSample),
            /// Height by air pressure.
            barometer: Barometer(BarometerSample),
            /// Position by GNSS.
            gnss: Gnss(GnssSample),
            /// On the ground or not.
            landed: Landed(LandedSample),
        }
    };
}
pub(crate) use telemetry_kinds;

macro_rules! telemetry {
    ($($(#[$doc:meta])* $list:ident: $kind:ident($sample:ident),)*) => {
        /// The samples between the frame before (exclusive) and this frame (inclusive), each list in time order.
        #[derive(Clone, Debug, PartialEq, Default)]
        pub struct TelemetryBatch {
            $($(#[$doc])* pub $list: Vec<$sample>,)*
        }

        /// A sample of any kind.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum TelemetrySample {
            $($(#[$doc])* $kind($sample),)*
        }

        $(impl Sample for $sample {
            fn stamp_ns(&self) -> i64 {
                self.stamp_ns
            }
        })*

        impl TelemetrySample {
            /// Time of validity, nanoseconds.
            pub fn stamp_ns(&self) -> i64 {
                match self {
                    $(Self::$kind(s) => s.stamp_ns,)*
                }
            }
        }

        impl TelemetryBatch {
            /// All samples, kind by kind.
            pub fn samples(&self) -> impl Iterator<Item = TelemetrySample> {
                std::iter::empty()$(.chain(self.$list.iter().copied().map(TelemetrySample::$kind)))*
            }

            /// Adds the samples of another batch, each kind in order of time.
            pub fn append(&mut self, other: Self) {
                $(
                    self.$list.extend(other.$list);
                    self.$list.sort_by_key(|s| s.stamp_ns);
                )*
            }

            /// Moves every stamp by so many nanoseconds.
            pub fn shift(&mut self, by_ns: i64) {
                $(self.$list.iter_mut().for_each(|s| s.stamp_ns = s.stamp_ns.saturating_add(by_ns));)*
            }
        }
    };
}

telemetry_kinds!(telemetry);

macro_rules! refusals {
    ($($(#[$doc:meta])* $list:ident: $kind:ident($sample:ident),)*) => {
        /// Samples that were refused because no sensor can measure them, by kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
        pub struct Refusals {
            $($(#[$doc])* pub $list: u64,)*
        }

        impl Refusals {
            /// Counts a sample.
            pub fn count(&mut self, sample: &TelemetrySample) {
                match sample {
                    $(TelemetrySample::$kind(_) => self.$list += 1,)*
                }
            }

            /// Those of both.
            pub fn plus(self, other: Self) -> Self {
                Self { $($list: self.$list + other.$list,)* }
            }

            /// The kinds of which any was refused, with how many.
            pub fn told(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($list), self.$list)),*].into_iter().filter(|(_, count)| *count > 0)
            }
        }
    };
}
telemetry_kinds!(refusals);

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

impl TelemetryBatch {
    /// Turns headings and attitudes by an angle, radians clockwise: by the declination, when they are magnetic.
    pub fn turn_headings(&mut self, by_rad: f64) {
        self.heading.iter_mut().for_each(|s| s.heading_rad += by_rad);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), -by_rad);
        self.attitude.iter_mut().for_each(|s| s.enu_from_body = turn * s.enu_from_body);
    }
}
