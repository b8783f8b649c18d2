//! The Rauch–Tung–Striebel smoother over the error states at the frames of a whole flight: what the end knows, the beginning learns.
//!
//! Between two frames the filter only predicts, so a frame's knot holds all there is: the state after its measurements, and how the
//! filter came to it from the frame before. Going back,
//!
//! ```text
//!     C = P_k Φᵀ P⁻¹_{k+1|k},   x^s_k = x_k ⊕ C (x^s_{k+1} ⊖ x_{k+1|k}),   P^s_k = P_k + C (P^s_{k+1} − P_{k+1|k}) Cᵀ
//! ```
//!
//! with ⊕ and ⊖ those of the error state (Solà 2017; Särkkä 2013, section 8.2). A restart of the filter is where two smoothed parts meet.

use super::fusion::FusionSettings;
use super::running::{Running, lost, track_point};
use super::state::{Covariance, ErrorState, State};
use crate::geo::EnuPlane;
use crate::types::TrackPoint;

/// A prediction from one frame to the next.
#[derive(Clone)]
pub struct Passage {
    /// Product of the transitions.
    pub transition: Covariance,
    /// Where it led.
    pub state: State,
    /// How sure of it the filter was.
    pub covariance: Covariance,
}

/// The filter at a frame.
#[derive(Clone)]
pub(super) struct Knot {
    /// The point of the live track.
    track: TrackPoint,
    /// What the filter was after the frame; `None` before it started.
    filtered: Option<Filtered>,
    /// How it came there from the frame before; `None` where it started anew.
    before: Option<Passage>,
}

#[derive(Clone)]
struct Filtered {
    plane: EnuPlane,
    believed: Believed,
    height_known: bool,
}

impl Knot {
    /// The filter as it is after a frame.
    pub fn of(track: &TrackPoint, running: Option<&Running>, before: Option<Passage>) -> Self {
        let filtered = running.map(|r| Filtered {
            plane: r.plane,
            believed: (r.navigator.filter.state, r.navigator.filter.covariance),
            height_known: r.height_known,
        });
        Self { track: track.clone(), filtered, before }
    }
}

/// The smoothed track at the frames.
pub(super) fn smooth(knots: &[Knot], settings: &FusionSettings) -> Vec<TrackPoint> {
    let mut out: Vec<TrackPoint> = Vec::with_capacity(knots.len());
    // Smoothed state of the frame after, and how the filter came to it.
    let mut after: Option<(Believed, &Passage)> = None;
    for knot in knots.iter().rev() {
        let Some(filtered) = &knot.filtered else {
            out.push(lost(knot.track.stamp_ns, knot.track.fix_age_s));
            after = None;
            continue;
        };
        let (state, covariance) =
            after.and_then(|(next, passage)| one_back(&filtered.believed, &next, passage)).unwrap_or(filtered.believed);
        out.push(track_point(&filtered.plane, &state, &covariance, filtered.height_known, &knot.track, settings));
        after = knot.before.as_ref().map(|passage| ((state, covariance), passage));
    }
    out.reverse();
    out
}

/// A state and the covariance of its error.
pub type Believed = (State, Covariance);

/// One step back: what the smoothed state after a passage tells of the filtered one before it. `None` when the prediction's covariance
/// cannot be inverted.
pub fn one_back(filtered: &Believed, next: &Believed, passage: &Passage) -> Option<Believed> {
    let predicted = passage.covariance.cholesky()?;
    // C = P Φᵀ P⁻¹ is the transpose of P⁻¹ Φ P, all P being symmetric.
    let gain = predicted.solve(&(passage.transition * filtered.1)).transpose();
    let error: ErrorState = gain * next.0.minus(&passage.state);
    let covariance = filtered.1 + gain * (next.1 - passage.covariance) * gain.transpose();
    let finite = error.iter().chain(covariance.iter()).all(|v| v.is_finite());
    finite.then(|| (filtered.0.plus(&error), (covariance + covariance.transpose()) * 0.5))
}
