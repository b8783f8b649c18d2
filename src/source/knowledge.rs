//! What the localizer may know of a frame's pose: from the sensors, from the command line, or not at all.

use std::str::FromStr;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::settings::written_as_text;
use crate::types::{Estimate, Known, Plausible};

/// 1 sigma of a heading from metadata that states none, radians: a compass near a metal airframe.
pub const HEADING_SIGMA_RAD: f64 = 5.0 * std::f64::consts::PI / 180.0;
/// 1 sigma of a height above take-off that is taken for the height above ground: a fixed part and a relative part.
pub const HEIGHT_SIGMA_M: f64 = 2.0;
/// See [`HEIGHT_SIGMA_M`].
pub const HEIGHT_SIGMA_RELATIVE: f64 = 0.04;

/// Where a quantity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Setting {
    /// From metadata or telemetry.
    #[default]
    Sensor,
    /// Not known.
    None,
    /// The same for every frame, with its sigma where given.
    Given(f64, Option<f64>),
}

impl FromStr for Setting {
    type Err = String;

    /// `sensor` (or `exif`, as it was called before), `none`, `152`, `152±5` or `152+-5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |s: &str| {
            s.trim().parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| {
                format!("'{text}' is not understood; write sensor, none, a number, or a number with its sigma such as 152±5")
            })
        };
        match text {
            "exif" | "sensor" => Ok(Self::Sensor),
            "none" => Ok(Self::None),
            _ => match text.split_once('±').or_else(|| text.split_once("+-")) {
                Some((value, sigma)) => {
                    let sigma = number(sigma)?;
                    if sigma <= 0.0 {
                        return Err(format!("the sigma in '{text}' must be positive"));
                    }
                    Ok(Self::Given(number(value)?, Some(sigma)))
                }
                None => Ok(Self::Given(number(text)?, None)),
            },
        }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sensor => f.write_str("sensor"),
            Self::None => f.write_str("none"),
            Self::Given(value, Some(sigma)) => write!(f, "{value}±{sigma}"),
            Self::Given(value, None) => write!(f, "{value}"),
        }
    }
}

written_as_text!(Setting);

/// What the localizer may know.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct KnowledgeOptions {
    /// Heading; a given one is in degrees.
    pub heading: Setting,
    /// Height above ground; a given one is in metres.
    pub height: Setting,
    /// Scales each frame's height by a random factor in 1 ± this, to measure how well an unknown height is borne.
    pub height_error: f64,
    /// Seed of that factor.
    pub seed: u64,
    /// What sensors can measure.
    pub plausible: Plausible,
}

/// Default sigma of a height, metres.
pub fn height_sigma_m(height_m: f64) -> f64 {
    HEIGHT_SIGMA_M.hypot(HEIGHT_SIGMA_RELATIVE * height_m)
}

impl KnowledgeOptions {
    /// What is known of a frame, given what its sensors say; nothing of what no sensor can measure.
    pub fn apply(&self, ordinal: u64, sensed: Known) -> Known {
        let sensed = self.plausible.known(sensed);
        let heading_rad = match self.heading {
            Setting::Sensor => sensed.heading_rad,
            Setting::None => None,
            Setting::Given(value, sigma) => {
                Some(Estimate { value: value.to_radians(), sigma: sigma.map_or(HEADING_SIGMA_RAD, f64::to_radians) })
            }
        };
        let height = match self.height {
            Setting::Sensor => sensed.height_agl_m,
            Setting::None => None,
            Setting::Given(value, sigma) => Some(Estimate { value, sigma: sigma.unwrap_or_else(|| height_sigma_m(value)) }),
        };
        let height_agl_m = height.map(|h| {
            if self.height_error <= 0.0 {
                return h;
            }
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(ordinal);
            let factor = 1.0 + self.height_error * (2.0 * rng.random::<f64>() - 1.0);
            // Standard deviation of a uniform factor.
            let sigma = h.sigma.hypot(h.value * self.height_error / 3f64.sqrt());
            Estimate { value: h.value * factor, sigma }
        });
        Known { height_agl_m, heading_rad, pitch_roll_rad: sensed.pitch_roll_rad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_people_write_them() {
        assert_eq!("exif".parse(), Ok(Setting::Sensor));
        assert_eq!("152±5".parse(), Ok(Setting::Given(152.0, Some(5.0))));
        assert_eq!("152+-5".parse(), Ok(Setting::Given(152.0, Some(5.0))));
        assert_eq!("120".parse(), Ok(Setting::Given(120.0, None)));
        for bad in ["", "x", "1±", "1±-2", "nan", "inf±1"] {
            assert!(bad.parse::<Setting>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_height_error_depends_on_seed_and_frame_only_and_widens_the_sigma() {
        let sensed = Known { height_agl_m: Some(Estimate { value: 100.0, sigma: 4.0 }), ..Known::default() };
        let options = KnowledgeOptions { height_error: 0.2, seed: 3, ..KnowledgeOptions::default() };
        let h = |ordinal| options.apply(ordinal, sensed).height_agl_m.unwrap();
        assert_eq!(h(5), h(5));
        assert_ne!(h(5), h(6));
        assert!((0..200).all(|i| (80.0..=120.0).contains(&h(i).value)));
        assert!(h(0).sigma > 11.0);
    }
}
