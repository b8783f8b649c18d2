//! What is taken of each source of measurements: one row a source. A row has only the columns that the filter heeds there.

use crate::settings::{Bound, settings};
use crate::types::AidSourceKind;

settings! {
    /// Which measurements of a source are used, and when the source is there. By default it tells scalars: 99.9 % of a chi-squared
    /// distribution of one dimension pass its gate.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct AidSettings {
        /// Measurements beyond this squared Mahalanobis distance are not used.
        key gate: f64 = 10.83, Bound::Positive;
        /// After so long without a measurement the source has stopped, seconds.
        key timeout_s: f64 = 1.0, Bound::Positive;
        /// So many measurements in a row have to pass the gate before the first is used.
        key confirmations: u32 = 0, Bound::AtLeast(0.0);
    }
}

settings! {
    /// A source whose measurements come with frames.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct FrameAid {
        /// Gate and presence.
        flat aid: AidSettings;
        /// The 1 sigma that it tells is taken this many times larger: for errors that its measurements share.
        key sigma_factor: f64 = 1.0, Bound::Positive;
    }
}

settings! {
    /// A source that samples at times of its own, between the frames.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct SampledAid {
        /// Gate and presence.
        flat aid: AidSettings;
        /// The 1 sigma that it tells is taken this many times larger: for errors that its measurements share.
        key sigma_factor: f64 = 1.0, Bound::Positive;
        /// Samples closer together than this are left out, seconds: their errors last longer, so they add nothing but work.
        key interval_s: f64 = 1.0, Bound::AtLeast(0.0);
        /// So long before its stamp a sample was valid, seconds.
        key delay_s: f64 = 0.0, Bound::AtLeast(0.0);
    }
}

settings! {
    /// Standing on the ground, as the autopilot tells it.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct StandingAid {
        /// Gate and presence.
        flat aid: AidSettings;
        /// 1 sigma of the velocity of an aircraft on the ground along each axis, m/s.
        key sigma_m_s: f64 = 0.05, Bound::Positive;
        /// Samples closer together than this are left out, seconds.
        key interval_s: f64 = 1.0, Bound::AtLeast(0.0);
    }
}

settings! {
    /// The IMU, which does not measure the state but leads it, and is judged by all the others.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct ImuAid {
        /// So much evidence, the logarithm of how many times likelier all that is measured is without the IMU, is needed to go on without it.
        key evidence: f64 = 8.0, Bound::Positive;
        /// After so long without a sample it has stopped, seconds.
        key timeout_s: f64 = 1.0, Bound::Positive;
        /// So long an IMU that stopped or failed has to bear out what is measured before it is used again, seconds.
        key trial_s: f64 = 1.5, Bound::Positive;
        /// A sample whose force differs from the one before by more than this, m/s², waits for the next to bear it out: no airframe is shaken so
        /// for a single sample.
        key jump_m_s2: f64 = 40.0, Bound::Positive;
        /// The same of its turning, rad/s.
        key jump_rad_s: f64 = 4.0, Bound::Positive;
        /// Roll and pitch where an IMU is tried that nobody told them to, 1 sigma, radians.
        key level_sigma_rad: f64 = 0.2, Bound::Positive;
        /// Acceleration of the aircraft while the fixes stand in for the IMU, m/s²/√Hz: turns that are told are taken
        /// off.
        key stand_in_accel: f64 = 2.0, Bound::Positive;
    }
}

/// A source that is used from its first measurement on.
fn aid(gate: f64, timeout_s: f64) -> AidSettings {
    AidSettings { gate, timeout_s, ..AidSettings::default() }
}

settings! {
    /// Every source. Gates are about 99.9 % of a chi-squared distribution of as many dimensions as the source measures; heights, headings
    /// and attitudes, whose errors are seldom white, have a wider one.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct SourceSettings {
        /// Frames whose lean is told: positions over the map, and leans.
        table visual: FrameAid = FrameAid { aid: aid(18.5, 2.0), ..FrameAid::default() };
        /// Places on the map.
        table place: AidSettings = aid(13.82, 2.0);
        /// Known heights.
        table height: FrameAid = FrameAid { aid: aid(16.0, 1.0), ..FrameAid::default() };
        /// The barometer, whose drift is a state of the filter.
        table barometer: SampledAid;
        /// Distances to the ground.
        table rangefinder: AidSettings;
        /// Headings of a compass, or of a match.
        table heading: FrameAid = FrameAid { aid: aid(16.0, 1.0), ..FrameAid::default() };
        /// Attitudes of an autopilot, which share their errors from sample to sample.
        table attitude: FrameAid = FrameAid { aid: aid(16.0, 1.0), sigma_factor: 4.0 };
        /// Velocities.
        table velocity: AidSettings = aid(16.27, 1.0);
        /// Way and turn between frames.
        table relative_pose: AidSettings = aid(22.46, 1.0);
        /// Way over ground between frames.
        table displacement: FrameAid = FrameAid { aid: aid(13.82, 2.0), ..FrameAid::default() };
        /// Positions of GNSS, which share their errors for about a minute: with that factor a second's is worth what it adds. GNSS that
        /// comes back may be a fake: it is believed when it agrees several times.
        table gnss: SampledAid = SampledAid {
            aid: AidSettings { confirmations: 3, ..aid(16.27, 2.0) },
            sigma_factor: 3.0,
            ..SampledAid::default()
        };
        /// Standing on the ground.
        table zero_velocity: StandingAid = StandingAid { aid: aid(16.27, 1.0), ..StandingAid::default() };
        /// The IMU.
        table imu: ImuAid;
        /// Motion through the air where the wings point.
        table airflow: AidSettings = aid(13.82, 2.0);
    }
}

impl FrameAid {
    /// What a variance that it tells is taken larger by.
    pub fn variance_factor(&self) -> f64 {
        self.sigma_factor * self.sigma_factor
    }
}

impl SourceSettings {
    /// Gate and presence of a source.
    pub fn aid(&self, source: AidSourceKind) -> AidSettings {
        match source {
            AidSourceKind::Visual => self.visual.aid,
            AidSourceKind::Place => self.place,
            AidSourceKind::Height => self.height.aid,
            AidSourceKind::Barometer => self.barometer.aid,
            AidSourceKind::Rangefinder => self.rangefinder,
            AidSourceKind::Heading => self.heading.aid,
            AidSourceKind::Attitude => self.attitude.aid,
            AidSourceKind::Velocity => self.velocity,
            AidSourceKind::RelativePose => self.relative_pose,
            AidSourceKind::Displacement => self.displacement.aid,
            AidSourceKind::Gnss => self.gnss.aid,
            AidSourceKind::ZeroVelocity => self.zero_velocity.aid,
            AidSourceKind::Airflow => self.airflow,
            AidSourceKind::Imu => aid(f64::INFINITY, self.imu.timeout_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Table;

    #[test]
    fn every_source_has_a_row_by_the_name_that_is_written_to_files_and_inside_its_bounds() {
        let mut keys = Vec::new();
        SourceSettings::default().visit("", &mut |key| {
            assert_eq!(key.outside(), None, "{}", key.path);
            keys.push(key.path);
        });
        for source in AidSourceKind::ALL.into_iter().filter(|s| *s != AidSourceKind::Imu) {
            let path = format!("{}.gate", source.as_str());
            assert!(keys.contains(&path), "{path}");
            let mut settings = SourceSettings::default();
            settings.set(&path, &toml::Value::Float(1.5)).unwrap();
            assert_eq!(settings.aid(source).gate, 1.5);
        }
    }
}
