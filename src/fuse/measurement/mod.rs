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

pub use aid::{Aid, AidCounters, AidSettings, AidState, Aids, CLOSED, Innovation, SourceStatus, Taken};
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

/// Where a measurement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Frames whose lean is told.
    Visual,
    /// Places on the map.
    Place,
    /// Known heights.
    Height,
    /// Barometer.
    Barometer,
    /// Rangefinder.
    Rangefinder,
    /// Compass, or the heading of a match.
    Heading,
    /// Attitude of an autopilot.
    Attitude,
    /// Velocity.
    Velocity,
    /// Motion between frames: way and turn.
    RelativePose,
    /// Motion between frames: way over ground.
    Displacement,
    /// GNSS positions.
    Gnss,
    /// Standing on the ground.
    ZeroVelocity,
    /// Wings.
    Airflow,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Visual,
        Self::Place,
        Self::Height,
        Self::Barometer,
        Self::Rangefinder,
        Self::Heading,
        Self::Attitude,
        Self::Velocity,
        Self::RelativePose,
        Self::Displacement,
        Self::Gnss,
        Self::ZeroVelocity,
        Self::Airflow,
    ];

    /// Of how many numbers its measurements consist: what a squared Mahalanobis distance is on average.
    pub fn dimensions(self) -> usize {
        match self {
            Self::Height | Self::Barometer | Self::Rangefinder | Self::Heading => 1,
            Self::Place | Self::Displacement | Self::Airflow => 2,
            Self::Attitude | Self::Velocity | Self::Gnss | Self::ZeroVelocity => 3,
            Self::Visual => 4,
            Self::RelativePose => 6,
        }
    }

    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visual => "visual",
            Self::Place => "place",
            Self::Height => "height",
            Self::Barometer => "barometer",
            Self::Rangefinder => "rangefinder",
            Self::Heading => "heading",
            Self::Attitude => "attitude",
            Self::Velocity => "velocity",
            Self::RelativePose => "relative_pose",
            Self::Displacement => "displacement",
            Self::Gnss => "gnss",
            Self::ZeroVelocity => "zero_velocity",
            Self::Airflow => "airflow",
        }
    }
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
    pub fn source(&self) -> Source {
        match self {
            Self::Visual(_) => Source::Visual,
            Self::Place(_) => Source::Place,
            Self::Height(_) => Source::Height,
            Self::Barometer(_) => Source::Barometer,
            Self::Rangefinder(_) => Source::Rangefinder,
            Self::Heading(_) => Source::Heading,
            Self::Attitude(_) => Source::Attitude,
            Self::Velocity(_) => Source::Velocity,
            Self::RelativePose(_) => Source::RelativePose,
            Self::Displacement(_) => Source::Displacement,
            Self::Gnss(_) => Source::Gnss,
            Self::ZeroVelocity(_) => Source::ZeroVelocity,
            Self::Airflow(_) => Source::Airflow,
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
