//! When frames tell the way since the frame before.

use std::fmt;
use std::str::FromStr;

use crate::settings::written_as_text;
use crate::types::TelemetryBatch;

/// When consecutive frames are registered with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Odometry {
    /// For frames that come without inertial samples: what happened since the frame before is not measured otherwise.
    #[default]
    Auto,
    /// For every frame.
    On,
    /// Never.
    Off,
}

impl Odometry {
    /// Whether it may be wanted for some frame.
    pub fn is_possible(self) -> bool {
        self != Self::Off
    }

    /// Whether it is wanted for a frame with this telemetry.
    pub fn is_wanted(self, telemetry: &TelemetryBatch) -> bool {
        match self {
            Self::Auto => telemetry.imu.is_empty(),
            Self::On => true,
            Self::Off => false,
        }
    }
}

impl fmt::Display for Odometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

written_as_text!(Odometry);

impl FromStr for Odometry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("write auto, on or off".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ImuSample;
    use nalgebra::Vector3;

    #[test]
    fn by_default_it_stands_in_for_an_imu_that_is_not_there() {
        let still = ImuSample { stamp_ns: 0, gyro_rad_s: Vector3::zeros(), accel_m_s2: Vector3::zeros() };
        let (without, with) = (TelemetryBatch::default(), TelemetryBatch { imu: vec![still], ..TelemetryBatch::default() });
        let wanted = |text: &str| text.parse::<Odometry>().map(|o| (o.is_possible(), o.is_wanted(&without), o.is_wanted(&with)));
        assert_eq!(wanted("auto"), Ok((true, true, false)));
        assert_eq!(wanted("on"), Ok((true, true, true)));
        assert_eq!(wanted("off"), Ok((false, false, false)));
        assert_eq!("auto".parse(), Ok(Odometry::default()));
        assert!(wanted("yes").is_err());
    }
}
