//! What an update of the filter takes and what came of it: measurements of the state, and of the state relative to an [`Anchor`].

use nalgebra::{SMatrix, SVector};

use super::anchor::{Anchor, POSE};
use super::state::{STATES, State};

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// Used; squared Mahalanobis distance of the innovation.
    Used(f64),
    /// Beyond the gate; squared Mahalanobis distance of the innovation.
    Gated(f64),
    /// Not finite, or its covariance is not positive definite; the state is untouched.
    Refused,
}

/// A measurement as the filter saw it last, whatever came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// Squared Mahalanobis distance.
    pub nis: f64,
    /// Logarithm of the determinant of the innovation's covariance.
    pub log_determinant: f64,
    /// The innovation in units of its covariance; beyond the measurement's dimensions 0.
    pub whitened: [f64; MOST],
}

/// What was seen last: told beside the filter and no part of it, so that two filters that differ in nothing else are the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastSeen(pub Option<Seen>);

impl PartialEq for LastSeen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The most numbers that a measurement consists of.
pub(super) const MOST: usize = 6;

impl Seen {
    /// What an innovation and its covariance tell; `None` where that is no covariance.
    pub fn of<const M: usize>(innovation: &SVector<f64, M>, covariance: &SMatrix<f64, M, M>, nis: f64) -> Option<Self> {
        let root = covariance.cholesky()?.l();
        let log_determinant = 2.0 * root.diagonal().iter().map(|d| d.ln()).sum::<f64>();
        let solved = root.solve_lower_triangular(innovation)?;
        let mut whitened = [0.0; MOST];
        whitened.iter_mut().zip(solved.iter()).for_each(|(to, from)| *to = *from);
        Some(Self { nis, log_determinant, whitened })
    }
}

/// A measurement `z = h(x) + noise` of `M` numbers.
pub trait Measurement<const M: usize> {
    /// z − h(x).
    fn innovation(&self, state: &State) -> SVector<f64, M>;
    /// ∂h/∂(error state).
    fn jacobian(&self, state: &State) -> SMatrix<f64, M, STATES>;
    /// Covariance of the noise.
    fn covariance(&self) -> SMatrix<f64, M, M>;
}

/// A measurement of the filter's pose relative to its anchor.
pub trait RelativeMeasurement<const M: usize> {
    /// z − h(x, anchor).
    fn innovation(&self, state: &State, anchor: &Anchor) -> SVector<f64, M>;
    /// ∂h/∂(error of the filter), ∂h/∂(error of the anchor).
    fn jacobians(&self, state: &State, anchor: &Anchor) -> (SMatrix<f64, M, STATES>, SMatrix<f64, M, POSE>);
    /// Covariance of the measurement.
    fn covariance(&self) -> SMatrix<f64, M, M>;
}

/// A relative measurement as the filter sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Related<const M: usize> {
    /// Jacobians with respect to the errors of the filter and of the anchor.
    pub h: SMatrix<f64, M, STATES>,
    pub h_anchor: SMatrix<f64, M, POSE>,
    pub innovation: SVector<f64, M>,
    /// Covariance of the filter's error with the innovation.
    pub projected: SMatrix<f64, STATES, M>,
    /// Covariance of the innovation, and its inverse.
    pub s: SMatrix<f64, M, M>,
    pub s_inverse: SMatrix<f64, M, M>,
    pub gain: SMatrix<f64, STATES, M>,
    pub anchor_gain: SMatrix<f64, POSE, M>,
    pub nis: f64,
}

/// Whether a matrix can be the covariance of a measurement: finite and positive definite.
pub(super) fn is_covariance<const M: usize>(covariance: &SMatrix<f64, M, M>) -> bool {
    covariance.iter().all(|v| v.is_finite()) && covariance.cholesky().is_some()
}
