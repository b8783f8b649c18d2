//! The way between consecutive frames, by what both see.
//!
//! The features are those that the frame's own matching made: the whole view at the refining level, or its middle of an early exit. Only a frame
//! that no place of the map could match is described for this alone.

use nalgebra::{Matrix2, UnitQuaternion, Vector2};

use super::{Described, FEW_HYPOTHESES, Localizer, Observation};
use crate::fine::registration::RegistrationPrior;
use crate::fine::{Registration, Unregistered, ViewField, register};
use crate::fuse::measurement::Displacement;
use crate::models::DenseExtractor;
use crate::types::Estimate;

/// Errors of height and heading, which scale and turn every way alike, last over so many frames. Each way is taken for independent of the
/// one before by the filter: that a chain of them adds up to the right uncertainty, the variance of each is taken so many times larger.
const LASTING_FRAMES: f64 = 10.0;
/// Heights of consecutive frames share most of their error: what is left of it, and the slope of the land, change the scale by so much.
const LOG_SCALE_SIGMA: f64 = 0.03;

/// What is left of the pull of the views' rims makes ways too short by up to so much of them (see `fine/rim.rs`).
const RIM_PULL: f64 = 0.03;

/// What the next frame needs of a frame.
pub struct FrameView {
    /// Stamp of the frame.
    stamp_ns: i64,
    ordinal: u64,
    /// Position of the level in the index.
    level: usize,
    view: ViewField,
    heading_rad: Estimate,
    height_m: Estimate,
    /// The camera's attitude that the view assumes.
    enu_from_camera: UnitQuaternion<f64>,
}

impl FrameView {
    /// How far a unit of lean, tangents to the right and down in the image, moves where the camera seems to be: metres east and north.
    fn ground_from_lean(&self) -> Matrix2<f64> {
        let rotation = self.enu_from_camera.to_rotation_matrix().into_inner();
        rotation.fixed_view::<2, 2>(0, 0) * self.height_m.value
    }
}

impl Localizer {
    /// What the next frame needs of a frame: its view where heading and height are known. `described` is the view that its own matching
    /// made, if any.
    pub fn frame_view(
        &self,
        observation: &Observation,
        described: Option<&Described>,
        network: &mut dyn DenseExtractor,
    ) -> Option<FrameView> {
        let (heading_rad, height_m) = observation.known.heading_rad.zip(observation.known.height_agl_m)?;
        let hypothesis = observation.hypotheses.first().filter(|_| observation.hypotheses.len() <= FEW_HYPOTHESES)?;
        let mean = &self.index.levels.get(observation.refine_level)?.model.projection.mean;
        let computed;
        let described = match described {
            Some(kept) => kept,
            None => {
                computed = self.describe(observation, hypothesis, observation.refine_level, network).ok()?;
                &computed
            }
        };
        let frame = &observation.frame;
        Some(FrameView {
            stamp_ns: frame.stamp_ns,
            ordinal: frame.ordinal,
            level: observation.refine_level,
            view: described.field(mean),
            heading_rad: Estimate { value: hypothesis.heading_rad, ..heading_rad },
            height_m: Estimate { value: hypothesis.height_m, ..height_m },
            enu_from_camera: hypothesis.enu_from_camera,
        })
    }
}

/// The way from one frame to a later one.
///
/// # Errors
/// Why there is none.
pub fn register_frames(then: Option<&FrameView>, now: Option<&FrameView>) -> Result<Displacement, Unregistered> {
    let (then, now) = then.zip(now).ok_or(Unregistered::NoView)?;
    if then.level != now.level {
        return Err(Unregistered::OtherScale);
    }
    let rotation_sigma_rad = then.heading_rad.sigma.hypot(now.heading_rad.sigma).max(1e-3);
    let prior = RegistrationPrior { rotation_sigma_rad, log_scale_sigma: LOG_SCALE_SIGMA, seed: now.ordinal };
    let registration = register(&now.view, &then.view, &prior)?;
    Ok(displacement(&registration, then, now))
}

/// What a registration tells of the body's way, with what height and lean may be off by.
fn displacement(registration: &Registration, then: &FrameView, now: &FrameView) -> Displacement {
    let moved: Vector2<f64> = registration.moved_m;
    let relative = (then.height_m.sigma / then.height_m.value.max(1.0)).hypot(RIM_PULL);
    let scale = moved * moved.transpose() * (relative * relative * LASTING_FRAMES);
    let across = Vector2::new(-moved.y, moved.x);
    let turn = across * across.transpose() * (then.heading_rad.sigma.powi(2) * LASTING_FRAMES);
    let covariance = registration.covariance_m2 + scale + turn;
    Displacement {
        since_ns: then.stamp_ns,
        until_ns: now.stamp_ns,
        moved_m: moved,
        by_lean_m: now.ground_from_lean() - then.ground_from_lean(),
        covariance_m2: (covariance + covariance.transpose()) * 0.5,
    }
}
