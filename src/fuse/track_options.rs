//! What of the track is asked for.

/// How much of a flight the smoother looks back over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Smoothing {
    /// Nothing is smoothed.
    #[default]
    Off,
    /// A frame's place is settled by what followed within so many nanoseconds: fixed lag, for live use.
    Lag(i64),
    /// By all that followed, at the end.
    Flight,
}

/// What of the track is asked for, besides the live points at the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TrackOptions {
    /// Points of the track between frames, this far apart from the first frame on, nanoseconds.
    pub interval_ns: Option<i64>,
    /// What is smoothed, see [`super::Fused::settled`] and [`super::Fusion::smoothed`].
    pub smoothing: Smoothing,
}
