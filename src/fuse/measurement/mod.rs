//! Measurements: one file each. Each tells its innovation, its Jacobian and its covariance; an [`Aid`] per source keeps its gate, its state
//! and its counts.

mod aid;
mod airflow;
mod attitude;
mod displacement;
mod gnss;
mod heading;
mod health;
mod height;
mod lever_arm;
mod observation;
mod relative_pose;
mod velocity;
mod visual;
mod zero_velocity;

pub use aid::{Aid, Aids, CLOSED, Taken};
pub use airflow::Airflow;
pub use attitude::Attitude;
pub use displacement::Displacement;
pub use gnss::Gnss;
pub use heading::Heading;
pub use height::{Barometer, Height, Rangefinder};
pub use observation::Observation;
pub use relative_pose::RelativePose;
pub use velocity::{Velocity, VelocityFrame};
pub use visual::{Place, VisualFix};
pub use zero_velocity::ZeroVelocity;

#[cfg(test)]
mod tests;
