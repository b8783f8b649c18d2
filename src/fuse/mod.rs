//! Fusion: an error-state Kalman filter that takes fixes, the IMU, height and heading, and predicts where to search.
//!
//! - [`state`], `initial`, `transition`, `update`, `eskf`: the filter: nominal state, error covariance, prediction and update.
//! - `anchor`, `relative`: past poses, and updates that relate two times; [`measurement`]: one file a measurement.
//! - `sources`: gate, noise factor, time-out of each source of measurements.
//! - `navigator`: samples and measurements in order; `history`: in any order.
//! - `aiding`: which samples of barometer and GNSS are measured between the frames, and whether the aircraft stands on the ground.
//! - `smoother`: one step back of the Rauch–Tung–Striebel smoother and the walk over a flight.
//! - `gathering`: places that no frame alone decides on, carried until several frames do.
//! - `rival`: the same filter with and without the IMU, and which of the two leads; `gyro_check`: turns by gyroscopes against those told.
//! - `fusion`: frames in order in, track points and priors out; gates, start and outages; `hypotheses`: places that rival each other.

mod agitation;
mod aiding;
pub(crate) mod anchor;
pub(crate) mod eskf;
pub(crate) mod fusion;
mod gathering;
mod gnss_use;
mod grid;
mod gyro_check;
pub(crate) mod history;
mod hypotheses;
pub(crate) mod initial;
#[cfg(test)]
mod made_fix;
#[doc(hidden)]
pub mod measurement;
pub(crate) mod navigator;
mod noise;
mod odometry;
mod offers;
mod reanchor;
mod relative;
mod rival;
mod running;
mod scatter;
mod settings;
pub(crate) mod smoother;
pub(crate) mod sources;
#[doc(hidden)]
pub mod state;
mod strays;
mod track_options;
mod track_point;
mod transition;
pub(crate) mod update;
mod withhold;

pub use eskf::Eskf;
pub use fusion::{Fused, Fusion};
pub use gnss_use::GnssUse;
pub use history::History;
pub use navigator::Navigator;
pub use noise::NoiseDensities;
pub use odometry::Odometry;
pub use settings::FusionSettings;
pub use sources::SourceSettings;
pub use state::State;
pub use track_options::{Smoothing, TrackOptions};
pub use withhold::Withhold;
