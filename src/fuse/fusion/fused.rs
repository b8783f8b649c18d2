//! What fusion makes of a frame.

use crate::fuse::running::Running;
use crate::fuse::settings::FusionSettings;
use crate::fuse::track_point::lost;
use crate::types::{Prior, SourceStatus, TrackPoint};

/// What fusion makes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// The track between the frame before and this one; see [`crate::fuse::TrackOptions::interval_ns`].
    pub between: Vec<TrackPoint>,
    /// The track at the frame's stamp.
    pub track: TrackPoint,
    /// Where to search for a later frame; `None` when that is not known.
    pub prior: Option<Prior>,
    /// Whether the way since the frame before was used.
    pub displacement_used: bool,
    /// The smoothed track at the frames that the lag has come to settle, in order.
    pub settled: Vec<TrackPoint>,
    /// The sources that were heard so far, as they are at the frame.
    pub sources: Vec<SourceStatus>,
}

impl Fused {
    /// Track, prior and sources where a filter is at a stamp; lost without one. The rest is empty.
    pub(super) fn at(stamp_ns: i64, running: Option<&Running>, settings: &FusionSettings) -> Self {
        let track = running.map_or_else(|| lost(stamp_ns, None), |r| r.track(stamp_ns, settings));
        let prior = running.zip(track.state.as_ref()).and_then(|(r, state)| r.prior(stamp_ns, state, settings));
        let sources = running.map(|r| r.navigator.aids.status(stamp_ns)).unwrap_or_default();
        Self { between: Vec::new(), track, prior, displacement_used: false, settled: Vec::new(), sources }
    }
}
