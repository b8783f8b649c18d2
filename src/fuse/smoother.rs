//! The Rauch–Tung–Striebel smoother over error states: what the end knows, the beginning learns.
//!
//! Between two nodes the filter only predicts, so a node holds all there is: the state after its measurements, and how the filter came to
//! it from the node before. Each frame is one, and so is each measurement between frames. Going back,
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
use super::state::{Covariance, ErrorState, STATES, State};
use super::update::Related;

/// A state and the covariance of its error.
pub type Believed = (State, Covariance);

/// A prediction from one node to the next.
#[derive(Clone)]
pub struct Passage {
    /// Product of the transitions.
    pub transition: Covariance,
    /// Where it led.
    pub state: State,
    /// How sure of it the filter was.
    pub covariance: Covariance,
}

impl Passage {
    /// How a filter came to where it is, since its transitions were last asked for; `None` where nobody asked.
    pub fn of(filter: &mut Eskf) -> Option<Self> {
        let transition = *filter.transition.take()?;
        Some(Self { transition, state: filter.state, covariance: filter.covariance })
    }
}

/// What the filter was after the measurements of a node.
#[derive(Clone)]
pub struct Filtered {
    believed: Believed,
    /// Covariance of the state with the anchor that the next displacement counts from.
    anchored: Option<Box<SMatrix<f64, STATES, POSE>>>,
}

impl Filtered {
    /// The filter where it is.
    pub fn of(filter: &Eskf) -> Self {
        let anchored = filter.anchor.as_ref().map(|anchor| Box::new(anchor.cross));
        Self { believed: (filter.state, filter.covariance), anchored }
    }
}

/// A stop of the filter on its way forward, and what else is known of it.
#[derive(Clone)]
pub struct SmootherNode<T> {
    /// What else is known of it.
    pub about: T,
    /// What the filter was after its measurements; `None` before it started.
    filtered: Option<Filtered>,
    /// How it came there from the node before; `None` where it started anew.
    before: Option<Passage>,
    /// The displacement since that node.
    displaced: Option<Box<Related<2>>>,
}

impl<T> SmootherNode<T> {
    /// Where the filter only predicted since the node before.
    pub fn new(about: T, filtered: Option<Filtered>, before: Option<Passage>) -> Self {
        Self { about, filtered, before, displaced: None }
    }

    /// The same with a displacement that ties it to the node before.
    pub(super) fn displaced(self, displaced: Option<Box<Related<2>>>) -> Self {
        Self { displaced, ..self }
    }

    /// The smoothed state, from that of the node after it, `later`.
    fn back_from(&self, later: &Self, smoothed: &Believed) -> Option<Believed> {
        let (filtered, passage) = (self.filtered.as_ref()?, later.before.as_ref()?);
        let (state, covariance) = &filtered.believed;
        let crossed = passage.transition * covariance;
        let Some((displaced, anchored)) = later.displaced.as_ref().zip(filtered.anchored.as_ref()) else {
            return rts_step(&filtered.believed, smoothed, passage, &crossed);
        };
        let Related { h, h_anchor, innovation, s, s_inverse, gain: next_gain, .. } = &**displaced;
        let gain = (crossed.transpose() * h.transpose() + **anchored * h_anchor.transpose()) * s_inverse;
        let told = (state.plus(&(gain * innovation)), covariance - gain * s * gain.transpose());
        rts_step(&told, smoothed, passage, &(crossed - next_gain * s * gain.transpose()))
    }
}

/// Walks back over the nodes of a flight, and visits each with its smoothed state: `None` where the filter had not started.
pub fn smooth<'a, T: 'a>(
    nodes: impl DoubleEndedIterator<Item = &'a SmootherNode<T>>,
    mut visit: impl FnMut(&'a T, Option<&Believed>),
) {
    // The node after, and its smoothed state.
    let mut after: Option<(&SmootherNode<T>, Believed)> = None;
    for node in nodes.rev() {
        let Some(filtered) = &node.filtered else {
            visit(&node.about, None);
            after = None;
            continue;
        };
        let believed = after.and_then(|(later, smoothed)| node.back_from(later, &smoothed)).unwrap_or(filtered.believed);
        visit(&node.about, Some(&believed));
        after = Some((node, believed));
    }
}

/// One step back: what the smoothed state after a passage tells of the filtered one before it, `crossed` being the covariance of the state
/// after the passage with that before it. `None` when the prediction's covariance cannot be inverted.
fn rts_step(filtered: &Believed, next: &Believed, passage: &Passage, crossed: &Covariance) -> Option<Believed> {
    // C = P Φᵀ P⁻¹ is the transpose of P⁻¹ Φ P, all P being symmetric.
    let gain = passage.covariance.cholesky()?.solve(crossed).transpose();
    let error: ErrorState = gain * next.0.minus(&passage.state);
    let covariance = filtered.1 + gain * (next.1 - passage.covariance) * gain.transpose();
    let finite = error.iter().chain(covariance.iter()).all(|v| v.is_finite());
    finite.then(|| (filtered.0.plus(&error), (covariance + covariance.transpose()) * 0.5))
}
