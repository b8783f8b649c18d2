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
