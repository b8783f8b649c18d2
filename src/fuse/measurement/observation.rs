//! A measurement of any kind, and which update of the filter it takes.

use super::airflow::Airflow;
use super::attitude::Attitude;
use super::displacement::Displacement;
use super::gnss::Gnss;
use super::heading::Heading;
use super::height::{Barometer, Height, Rangefinder};
use super::relative_pose::RelativePose;
use super::velocity::Velocity;
use super::visual::{Place, VisualFix};
use super::zero_velocity::ZeroVelocity;
use crate::fuse::eskf::Eskf;
use crate::fuse::update::Update;
use crate::types::AidSourceKind;

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
    pub(in crate::fuse) fn fuse(&self, filter: &mut Eskf, gate: f64) -> Update {
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
