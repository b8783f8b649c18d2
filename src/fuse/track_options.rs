//! What of the track is asked for.

use crate::time::nanos_from_seconds;

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

impl TrackOptions {
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
