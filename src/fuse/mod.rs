//! Fusion: an error-state Kalman filter that takes fixes, the IMU, height and heading, and predicts where to search.
//!
//! - [`eskf`]: the filter: nominal state, error covariance, prediction and update.
//! - [`fusion`]: frames in order in, track points and priors out; gates, start and outages.

pub mod eskf;
pub mod fusion;
mod grid;
mod running;
mod smoother;

pub use eskf::{Eskf, NoiseDensities, State};
pub use fusion::{Counters, Fused, Fusion, FusionSettings};
