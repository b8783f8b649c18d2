//! Settings of fusion.

use super::gnss_use::GnssUse;
use super::noise::NoiseDensities;
use super::odometry::Odometry;
use super::sources::SourceSettings;
use super::withhold::Withhold;
use crate::settings::{Bound, settings};
use crate::types::Plausible;

/// While three sigma of the horizontal position stay below this, no agreement of refused measurements tells against the filter, metres.
pub(super) const SURE_M: f64 = 50.0;

settings! {
    /// Settings of fusion.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct FusionSettings {
        /// When frames tell the way since the frame before by what both see: auto (where no inertial samples come with them), on or off.
        key odometry: Odometry = Odometry::Auto, Bound::Any;
        /// When positions of GNSS are taken: off, on, or for how many seconds from the first one on.
        key gnss: GnssUse = GnssUse::Off, Bound::Any;
        /// A track point is `visual` up to this time after the last fix used, seconds.
        key visual_age_s: f64 = 2.0, Bound::Positive;
        /// Beyond this 1 sigma of the horizontal position the position is not known, metres.
        key lost_sigma_m: f64 = 400.0, Bound::Positive;
        /// So many fixes that the filter refuses and that agree with each other start it anew, once it is not sure of its own place, if
        /// they lead before any other place by two. As many end an outage, or confirm a start from nothing.
        key restart_fixes: usize = 3, Bound::AtLeast(1.0);
        /// While three sigma of the horizontal position stay below this, no agreement of refused fixes starts the filter anew: wrong places
        /// agree with each other, too. Metres.
        key sure_m: f64 = SURE_M, Bound::Positive;
        /// After so many frames in a row without a fix that was used, the search no longer trusts the prior.
        key distrust_frames: usize = 6, Bound::AtLeast(1.0);
        /// Speed of the aircraft before it is known, 1 sigma an axis, m/s.
        key speed_sigma_m_s: f64 = 12.0, Bound::Positive;
        /// Fastest speed at which two fixes still agree, m/s.
        key max_speed_m_s: f64 = 45.0, Bound::Positive;
        /// Bias of the accelerometer at the start, 1 sigma an axis, m/s².
        key accel_bias_sigma_m_s2: f64 = 0.15, Bound::Positive;
        /// Bias of the gyroscope at the start, 1 sigma an axis, rad/s.
        key gyro_bias_sigma_rad_s: f64 = 0.01, Bound::Positive;
        /// Roll and pitch at the start where nobody measured them, 1 sigma, radians.
        key level_sigma_rad: f64 = 0.15, Bound::Positive;
        /// Once it is so far from the origin of its plane, a plane at the aircraft takes its place, metres.
        key reanchor_m: f64 = 5_000.0, Bound::Positive;
        /// Evaluation: fixes that are kept from the filter, to measure what it is worth without them: EVERY:PHASE, such as 3:0 for the
        /// first of every three.
        key withhold: Option<Withhold> = None, Bound::Any;
        /// Noise.
        table noise: NoiseDensities;
        /// What is taken of each source.
        table sources: SourceSettings;
        /// What no sensor can measure and no aircraft can do.
        table plausible: Plausible;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Table;
    use toml::Value;

    #[test]
    fn every_default_lies_inside_its_bound_and_is_read_back_as_it_is_written() {
        let mut keys = Vec::new();
        FusionSettings::default().visit("", &mut |key| {
            assert_eq!(key.outside(), None, "{}", key.path);
            keys.push((key.path, key.value));
        });
        let mut read = FusionSettings::default();
        for (path, value) in &keys {
            assert!(value.is_some() || path == "withhold", "{path}");
            value.iter().for_each(|value| assert_eq!(read.set(path, value), Ok(()), "{path}"));
        }
        assert_eq!(read, FusionSettings::default());
        assert!(["noise.gap_jerk", "sources.gnss.confirmations"].iter().all(|path| keys.iter().any(|(p, _)| p == path)));
    }

    #[test]
    fn what_is_text_is_set_by_the_words_of_the_command_line() {
        let mut settings = FusionSettings::default();
        let mut set = |path: &str, value: Value| settings.set(path, &value);
        assert_eq!(set("odometry", "on".into()), Ok(()));
        assert_eq!(set("gnss", Value::Integer(60)), Ok(()));
        assert_eq!(set("withhold", "3:0".into()), Ok(()));
        assert!(
            set("odometry", "yes".into()).is_err() && set("gnss", "-1".into()).is_err() && set("withhold", "3".into()).is_err()
        );
        assert_eq!((settings.odometry, settings.gnss.to_string()), (Odometry::On, "60".into()));
        assert_eq!(settings.withhold.map(|w| w.to_string()), Some("3:0".into()));
    }
}
