//! What fusion counts.

/// Fixes and samples that were refused, by kind, and how often the filter began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct FusionCounters {
    /// Fixes used.
    pub fixes_used: u64,
    /// Fixes beyond the gate, and those after an outage that came before the place was settled.
    pub fixes_gated: u64,
    /// Fixes that no camera over a map can give.
    pub fixes_refused: u64,
    /// Samples and frames whose time went back, and samples that came twice.
    pub time_went_back: u64,
    /// Fixes that no frame alone decided on, but several together.
    pub fixes_of_several_frames: u64,
    /// Samples that no sensor can measure.
    pub samples_refused: u64,
    /// Times the filter started anew because fixes spoke for another place.
    pub restarts: u64,
    /// Times the filter was given up because it said what no aircraft can do: it starts anew from the fixes that follow.
    pub resets: u64,
    /// Ways since the frame before that were used.
    pub displacements_used: u64,
    /// Ways beyond the gate.
    pub displacements_gated: u64,
    /// Ways that were no numbers, or of no frame that the filter knows.
    pub displacements_refused: u64,
}
