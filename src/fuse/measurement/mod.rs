//! Measurements: one file each. Each tells its innovation, its Jacobian and its covariance; an [`Aid`] per source keeps its gate, its state
//! and its counts.

mod aid;
mod airflow;
mod attitude;
mod displacement;
mod gnss;
mod heading;
mod height;
mod relative_pose;
mod velocity;
mod visual;
mod zero_velocity;

use nalgebra::{SMatrix, SVector, Vector3};

use super::eskf::{Eskf, Update};
use super::state::{ATTITUDE, STATES, State};
use crate::types::AidSourceKind;

pub use aid::{Aid, AidSettings, Aids, CLOSED, Taken};
pub use airflow::Airflow;
pub use attitude::Attitude;
pub use displacement::Displacement;
pub use gnss::Gnss;
pub use heading::Heading;
pub use height::{Barometer, Height, Rangefinder};
pub use relative_pose::RelativePose;
pub use velocity::{Velocity, VelocityFrame};
pub use visual::{Place, VisualFix};
pub use zero_velocity::ZeroVelocity;

/// A measurement `z = h(x) + noise` of `M` numbers.
pub trait Measurement<const M: usize> {
    /// z − h(x).
    fn innovation(&self, state: &State) -> SVector<f64, M>;
    /// ∂h/∂(error state).
    fn jacobian(&self, state: &State) -> SMatrix<f64, M, STATES>;
    /// Covariance of the noise.
    fn covariance(&self) -> SMatrix<f64, M, M>;
}

/// A measurement of any kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation {
    /// A frame's pose.
    Visual(VisualFix),
    /// A place on the map.
    Place(Place),
    /// A known height.
    Height(Height),
    /// A barometric height.
    Barometer(Barometer),
    /// A distance to the ground.
    Rangefinder(Rangefinder),
    /// A heading.
    Heading(Heading),
    /// An attitude.
    Attitude(Attitude),
    /// A velocity.
    Velocity(Velocity),
    /// The way since the anchor, which then moves to here.
    RelativePose(RelativePose),
    /// The way over ground since the anchor, which then moves to here.
    Displacement(Displacement),
    /// A position of GNSS.
    Gnss(Gnss),
    /// No motion.
    ZeroVelocity(ZeroVelocity),
    /// No motion across the wings' way through the air.
    Airflow(Airflow),
}

impl Observation {
    /// Where it comes from.
    pub fn source(&self) -> AidSourceKind {
        match self {
            Self::Visual(_) => AidSourceKind::Visual,
            Self::Place(_) => AidSourceKind::Place,
            Self::Height(_) => AidSourceKind::Height,
            Self::Barometer(_) => AidSourceKind::Barometer,
            Self::Rangefinder(_) => AidSourceKind::Rangefinder,
            Self::Heading(_) => AidSourceKind::Heading,
            Self::Attitude(_) => AidSourceKind::Attitude,
            Self::Velocity(_) => AidSourceKind::Velocity,
            Self::RelativePose(_) => AidSourceKind::RelativePose,
            Self::Displacement(_) => AidSourceKind::Displacement,
            Self::Gnss(_) => AidSourceKind::Gnss,
            Self::ZeroVelocity(_) => AidSourceKind::ZeroVelocity,
            Self::Airflow(_) => AidSourceKind::Airflow,
        }
    }

    /// Fuses it where the filter is.
    pub(super) fn fuse(&self, filter: &mut Eskf, gate: f64) -> Update {
        match self {
            Self::Visual(m) => filter.fuse(m, gate),
            Self::Place(m) => filter.fuse(m, gate),
            Self::Height(m) => filter.fuse(m, gate),
            Self::Barometer(m) => filter.fuse(m, gate),
            Self::Rangefinder(m) => filter.fuse(m, gate),
            Self::Heading(m) => filter.fuse(m, gate),
            Self::Attitude(m) => filter.fuse(m, gate),
            Self::Velocity(m) => filter.fuse(m, gate),
            Self::RelativePose(m) if filter.anchor.as_ref().is_none_or(|a| a.stamp_ns != m.since_ns) => Update::Refused,
            Self::RelativePose(m) => filter.fuse_relative(m, gate),
            Self::Displacement(m) => filter.fuse_displacement(m, gate),
            Self::Gnss(m) => filter.fuse(m, gate),
            Self::ZeroVelocity(m) => filter.fuse(m, gate),
            Self::Airflow(m) => filter.fuse(m, gate),
        }
    }
}

/// Puts what a turn of the body does to the place of a point that is fixed to it, R l, into the first `rows` rows of a Jacobian.
fn put_lever_arm<const M: usize>(jacobian: &mut SMatrix<f64, M, STATES>, rows: usize, state: &State, lever_arm_m: &Vector3<f64>) {
    let turned = -state.enu_from_body.to_rotation_matrix().into_inner() * lever_arm_m.cross_matrix();
    jacobian.view_mut((0, ATTITUDE), (rows, 3)).copy_from(&turned.rows(0, rows));
}

#[cfg(test)]
mod tests;
