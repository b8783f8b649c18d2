//! Settings of fusion, and what it counts.

use super::gnss_use::GnssUse;
use super::navigator::SURE_M;
use super::odometry::Odometry;
use super::sources::SourceSettings;
use super::state::NoiseDensities;
use super::track_options::Smoothing;
use super::withhold::Withhold;
use crate::time::nanos_from_seconds;

/// Settings of fusion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FusionSettings {
    /// A track point is `visual` up to this time after the last fix used, seconds.
    pub visual_age_s: f64,
    /// Beyond this 1 sigma of the horizontal position the position is not known, metres.
    pub lost_sigma_m: f64,
    /// So many fixes that the filter refuses and that agree with each other start it anew, once it is not sure of its own place, if they
    /// lead before any other place by two. As many end an outage, or confirm a start from nothing.
    pub restart_fixes: usize,
    /// While three sigma of the horizontal position stay below this, no agreement of refused fixes starts the filter anew: wrong places
    /// agree with each other, too. Metres.
    pub sure_m: f64,
    /// After so many frames in a row without a fix that was used, the search no longer trusts the prior.
    pub distrust_frames: usize,
    /// Speed of the aircraft before it is known, 1 sigma an axis, m/s.
    pub speed_sigma_m_s: f64,
    /// Fastest speed at which two fixes still agree, m/s.
    pub max_speed_m_s: f64,
    /// Points of the track between frames, this far apart from the first frame on, nanoseconds.
    pub track_interval_ns: Option<i64>,
    /// What is smoothed, see [`super::Fused::settled`] and [`super::Fusion::smoothed`].
    pub smoothing: Smoothing,
    /// When frames tell the way since the frame before by what both see.
    pub odometry: Odometry,
    /// When positions of GNSS are taken.
    pub gnss: GnssUse,
    /// Fixes that are kept from the filter, to measure what it is worth without them.
    pub withhold: Option<Withhold>,
    /// Once it is so far from the origin of its plane, a plane at the aircraft takes its place, metres.
    pub reanchor_m: f64,
    /// Noise.
    pub noise: NoiseDensities,
    /// What is taken of each source.
    pub sources: SourceSettings,
}

impl Default for FusionSettings {
    fn default() -> Self {
        Self {
            visual_age_s: 2.0,
            lost_sigma_m: 400.0,
            restart_fixes: 3,
            sure_m: SURE_M,
            distrust_frames: 6,
            speed_sigma_m_s: 12.0,
            max_speed_m_s: 45.0,
            track_interval_ns: None,
            smoothing: Smoothing::Off,
            odometry: Odometry::default(),
            gnss: GnssUse::Off,
            withhold: None,
            reanchor_m: 5_000.0,
            noise: NoiseDensities::default(),
            sources: SourceSettings::default(),
        }
    }
}

impl FusionSettings {
    /// The interval of a rate, nanoseconds; none for a rate of 0.
    ///
    /// # Errors
    /// In words, for a rate that is no number, negative or above 1000.
    pub fn interval_of_rate(hz: f64) -> Result<Option<i64>, String> {
        match hz {
            0.0 => Ok(None),
            hz if hz > 0.0 && hz <= 1000.0 => Ok(Some(nanos_from_seconds(1.0 / hz))),
            other => Err(format!("{other}: give points a second, up to 1000, or 0 for none")),
        }
    }
}

/// Fixes and samples that were refused, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counters {
    /// Fixes used.
    pub fixes_used: u64,
    /// Fixes beyond the gate, and those after an outage that came before the place was settled.
    pub fixes_gated: u64,
    /// Fixes that were no numbers.
    pub fixes_refused: u64,
    /// Samples and frames whose time went back, and samples that came twice.
    pub time_went_back: u64,
    /// Samples that were no numbers.
    pub samples_refused: u64,
    /// Times the filter started anew.
    pub restarts: u64,
    /// Ways since the frame before that were used.
    pub displacements_used: u64,
    /// Ways beyond the gate.
    pub displacements_gated: u64,
    /// Ways that were no numbers, or of no frame that the filter knows.
    pub displacements_refused: u64,
}
