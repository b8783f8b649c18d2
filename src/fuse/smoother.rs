//! The Rauch–Tung–Striebel smoother over the error states at the frames of a whole flight: what the end knows, the beginning learns.
//!
//! Between two knots the filter only predicts, so a knot holds all there is: the state after its measurements, and how the filter came to
//! it from the knot before. Each frame is one, and so is each measurement between frames. Going back,
//!
//! ```text
//!     C = P_k Φᵀ P⁻¹_{k+1|k},   x^s_k = x_k ⊕ C (x^s_{k+1} ⊖ x_{k+1|k}),   P^s_k = P_k + C (P^s_{k+1} − P_{k+1|k}) Cᵀ
//! ```
//!
//! A displacement ties the frame to the one before: it is part of the way from one to the other, and tells of both. With its gain K_k on the
//! frame before and the covariance S of its innovation ν, the step back begins at x_k ⊕ K_k ν and P_k − K_k S K_kᵀ, and P_k Φᵀ becomes
//! P_k Φᵀ − K_k S Kᵀ_{k+1}; what was predicted is then what the displacement left.
//!
//! In the formulas ⊕ and ⊖ are those of the error state (Solà 2017; Särkkä 2013, section 8.2). A restart of the filter is where two smoothed parts meet.

use nalgebra::SMatrix;

use super::anchor::POSE;
use super::eskf::Eskf;
use super::running::{Running, lost, track_point};
use super::settings::FusionSettings;
use super::state::{Covariance, ErrorState, STATES, State};
use super::update::Related;
use crate::geo::EnuPlane;
use crate::types::TrackPoint;

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

/// A prediction from one knot to the next.
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
    /// Whether the track has a point here: at a frame.
    is_frame: bool,
    /// What the filter was after the frame; `None` before it started.
    filtered: Option<Filtered>,
    /// How it came there from the frame before; `None` where it started anew.
    before: Option<Passage>,
    /// The displacement since that frame.
    displaced: Option<Box<Related<2>>>,
}

#[derive(Clone)]
struct Filtered {
    plane: EnuPlane,
    believed: Believed,
    height_known: bool,
    /// Covariance of the state with the anchor that the next displacement counts from.
    anchored: Option<Box<SMatrix<f64, STATES, POSE>>>,
}

impl Passage {
    /// How a filter came to where it is, since its transitions were last asked for; `None` where nobody asked.
    pub fn of(filter: &mut Eskf) -> Option<Self> {
        let transition = *filter.transition.take()?;
        Some(Self { transition, state: filter.state, covariance: filter.covariance })
    }
}

impl Knot {
    /// The filter as it is after a frame.
    pub fn of(
        track: &TrackPoint,
        running: Option<&Running>,
        before: Option<Passage>,
        displaced: Option<Box<Related<2>>>,
    ) -> Self {
        let filtered = running.map(|r| Filtered {
            plane: r.plane,
            believed: (r.navigator.filter.state, r.navigator.filter.covariance),
            height_known: r.height_known,
            anchored: r.navigator.filter.anchor.as_ref().map(|anchor| Box::new(anchor.cross)),
        });
        Self { track: track.clone(), is_frame: true, filtered, before, displaced }
    }

    /// The filter after a measurement between frames.
    pub fn between(running: &Running, before: Option<Passage>) -> Self {
        let track = lost(running.navigator.stamp_ns, None);
        Self { is_frame: false, ..Self::of(&track, Some(running), before, None) }
    }

    /// Whether it belongs to a frame.
    pub fn is_frame(&self) -> bool {
        self.is_frame
    }

    /// Stamp of the frame, nanoseconds.
    pub fn stamp_ns(&self) -> i64 {
        self.track.stamp_ns
    }
}

impl Filtered {
    /// The smoothed state, from that of the next frame.
    fn smoothed(&self, next: &Believed, passage: &Passage, displaced: Option<&Related<2>>) -> Option<Believed> {
        let Some((displaced, anchored)) = displaced.zip(self.anchored.as_ref()) else {
            return one_back(&self.believed, next, passage);
        };
        let Related { h, h_anchor, innovation, s, s_inverse, gain: next_gain, .. } = displaced;
        let (state, covariance) = &self.believed;
        let crossed = passage.transition * covariance;
        let gain = (crossed.transpose() * h.transpose() + **anchored * h_anchor.transpose()) * s_inverse;
        let told = (state.plus(&(gain * innovation)), covariance - gain * s * gain.transpose());
        step_back(&told, next, passage, &(crossed - next_gain * s * gain.transpose()))
    }
}

/// The smoothed track at the frames.
pub(super) fn smooth<'a>(knots: impl DoubleEndedIterator<Item = &'a Knot>, settings: &FusionSettings) -> Vec<TrackPoint> {
    let mut out = Vec::new();
    // Smoothed state of the frame after, and how the filter came to it.
    let mut after: Option<(Believed, &Passage, Option<&Related<2>>)> = None;
    for knot in knots.rev() {
        let Some(filtered) = &knot.filtered else {
            out.push(lost(knot.track.stamp_ns, knot.track.fix_age_s));
            after = None;
            continue;
        };
        let (state, covariance) = after
            .and_then(|(next, passage, displaced)| filtered.smoothed(&next, passage, displaced))
            .unwrap_or(filtered.believed);
        if knot.is_frame {
            out.push(track_point(&filtered.plane, &state, &covariance, filtered.height_known, &knot.track, settings));
        }
        after = knot.before.as_ref().map(|passage| ((state, covariance), passage, knot.displaced.as_deref()));
    }
    out.reverse();
    out
}

/// A state and the covariance of its error.
pub type Believed = (State, Covariance);

/// One step back: what the smoothed state after a passage tells of the filtered one before it. `None` when the prediction's covariance
/// cannot be inverted.
pub fn one_back(filtered: &Believed, next: &Believed, passage: &Passage) -> Option<Believed> {
    step_back(filtered, next, passage, &(passage.transition * filtered.1))
}

/// The same, `crossed` being the covariance of the state after the passage with that before it.
fn step_back(filtered: &Believed, next: &Believed, passage: &Passage, crossed: &Covariance) -> Option<Believed> {
    // C = P Φᵀ P⁻¹ is the transpose of P⁻¹ Φ P, all P being symmetric.
    let gain = passage.covariance.cholesky()?.solve(crossed).transpose();
    let error: ErrorState = gain * next.0.minus(&passage.state);
    let covariance = filtered.1 + gain * (next.1 - passage.covariance) * gain.transpose();
    let finite = error.iter().chain(covariance.iter()).all(|v| v.is_finite());
    finite.then(|| (filtered.0.plus(&error), (covariance + covariance.transpose()) * 0.5))
}
