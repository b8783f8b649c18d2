//! The noise that drives the filter.

use crate::settings::{Bound, settings};

settings! {
    /// Noise of an IMU and of what is not measured: by default a consumer MEMS unit on a vibrating airframe, and a multirotor that brakes
    /// and turns at will.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct NoiseDensities {
        /// Accelerometer white noise, m/s²/√Hz.
        key accel: f64 = 0.03, Bound::AtLeast(0.0);
        /// Gyroscope white noise, rad/s/√Hz.
        key gyro: f64 = 2e-3, Bound::AtLeast(0.0);
        /// Accelerometer bias random walk, m/s³/√Hz.
        key accel_bias: f64 = 2e-3, Bound::AtLeast(0.0);
        /// Gyroscope bias random walk, rad/s²/√Hz.
        key gyro_bias: f64 = 1e-4, Bound::AtLeast(0.0);
        /// Acceleration of an aircraft whose IMU is not there, m/s²/√Hz.
        key unmeasured_accel: f64 = 1.5, Bound::AtLeast(0.0);
        /// Its turning, rad/s/√Hz.
        key unmeasured_turn: f64 = 0.3, Bound::AtLeast(0.0);
        /// How the force on the aircraft changes while samples are missing, m/s³/√Hz along each axis of the body. What a gap hides is what
        /// the mean of its two ends misses of a small fixed-wing aircraft's IMU (0.16 s, 20,000 times).
        key gap_jerk: [f64; 3] = [0.5, 0.5, 7.0], Bound::AtLeast(0.0);
        /// How its turning changes while samples are missing, rad/s²/√Hz about each axis of the body.
        key gap_turn: [f64; 3] = [0.4, 0.4, 0.1], Bound::AtLeast(0.0);
        /// Random walk of the camera's lean, rad/√s: half a degree in a minute.
        key lean_walk: f64 = 1.1e-3, Bound::AtLeast(0.0);
        /// What a frame's lean differs from the lasting one by, 1 sigma an axis, radians: a gimbal that swings, an attitude that is off.
        key lean_jitter: f64 = 0.0175, Bound::AtLeast(0.0);
        /// The map's offset, 1 sigma an axis, metres: as much as satellite imagery is typically off by, over some kilometres.
        key map_offset_m: f64 = 2.5, Bound::AtLeast(0.0);
        /// Time in which it becomes another one, seconds.
        key map_offset_time_s: f64 = 300.0, Bound::Positive;
        /// The barometer's offset, 1 sigma, metres: weather, draught and warmth since it was set.
        key baro_offset_m: f64 = 5.0, Bound::AtLeast(0.0);
        /// Time in which it becomes another one, seconds.
        key baro_offset_time_s: f64 = 600.0, Bound::Positive;
        /// The wind, 1 sigma an axis, m/s.
        key wind_m_s: f64 = 5.0, Bound::AtLeast(0.0);
        /// Time in which it becomes another one, seconds.
        key wind_time_s: f64 = 300.0, Bound::Positive;
    }
}

/// What is left of each offset that decays, in the order map, barometer, wind.
pub type Kept = [f64; 3];

impl NoiseDensities {
    /// What is left of the offsets after a step.
    pub(super) fn kept(&self, dt_s: f64) -> Kept {
        [self.map_offset_time_s, self.baro_offset_time_s, self.wind_time_s].map(|time_s| (-dt_s / time_s).exp())
    }
}
