//! The offset between the clocks of telemetry and camera, from what both see of the same turns.
//!
//! The picture turns against the camera's rotation about its optical axis, and, for a camera fixed to the airframe, shifts against
//! its rotation about the other two; the gyroscope measures the same rates. Each channel is a linear function of its gyroscope rate,
//! with a gain (focal length, tilt), a bias and noise that nobody knows. Their likelihood, with those at their best, is
//! `−n/2 · Σ ln(1 − ρ²)` for correlations ρ at an offset; its maximum is the offset, its curvature the sigma. The gyroscope is integrated
//! over exactly the interval between two frames, so that neither clock has to be resampled.
//!
//! A camera on a gimbal shows the turns of the gimbal: if that lags behind the airframe, its lag is part of the estimate. It is then the
//! offset to use for headings, and not that of the clocks. A camera fixed to the airframe has no such error.

mod align;
mod motion;

pub use align::{ClockOffset, ClockOffsetError, check_rate, estimate};
pub use motion::{Motion, MotionTracker};

#[cfg(test)]
mod tests;
