//! Fusion: an error-state Kalman filter that takes fixes, the IMU, height and heading, and predicts where to search.
//!
//! - [`state`], `transition`, [`update`], [`eskf`]: the filter: nominal state, error covariance, prediction and update.
//! - [`anchor`], `relative`: past poses, and updates that relate two times; [`measurement`]: one file a measurement.
//! - [`navigator`]: samples and measurements in order; [`history`]: in any order.
//! - `aiding`: barometer, GNSS and standing on the ground, between the frames.
//! - [`fusion`]: frames in order in, track points and priors out; gates, start and outages; `hypotheses`: places that rival each other.

mod agitation;
mod aiding;
pub mod anchor;
pub mod eskf;
pub mod fusion;
mod grid;
pub mod history;
mod hypotheses;
pub mod measurement;
pub mod navigator;
mod odometry;
mod reanchor;
mod relative;
mod running;
mod settings;
pub mod smoother;
pub mod state;
mod strays;
mod transition;
pub mod update;
mod withhold;

pub use aiding::GnssUse;
pub use eskf::Eskf;
pub use fusion::{Fused, Fusion};
pub use history::History;
pub use navigator::Navigator;
pub use odometry::Odometry;
pub use settings::{Counters, FusionSettings};
pub use smoother::Smoothing;
pub use state::{NoiseDensities, State};
pub use withhold::Withhold;
