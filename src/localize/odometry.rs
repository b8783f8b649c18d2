//! The way between consecutive frames, by what both see.
//!
//! The features are those that the frame's own matching made: the whole view at the refining level, or its middle of an early exit. Only a frame
//! that no place of the map could match is described for this alone.

use nalgebra::{Matrix2, UnitQuaternion, Vector2};

use super::observe::extent_m;
use super::{Described, FEW_HYPOTHESES, Localizer, Observation};
use crate::camera::footprint;
use crate::camera::view_hypotheses::ViewHypothesis;
use crate::fine::registration::RegistrationPrior;
use crate::fine::{Registration, Unregistered, ViewField, register};
use crate::fuse::measurement::Displacement;
use crate::models::DenseExtractor;
use crate::retrieve::index::level_gsd_m;
use crate::types::{Camera, Estimate};

/// Errors of height and heading, which scale and turn every way alike, last over so many frames. Each way is taken for independent of the
/// one before by the filter: that a chain of them adds up to the right uncertainty, the variance of each is taken so many times larger.
const LASTING_FRAMES: f64 = 10.0;
/// Heights of consecutive frames share most of their error: what is left of it, and the slope of the land, change the scale by so much.
const LOG_SCALE_SIGMA: f64 = 0.03;

/// What is left of the pull of the views' rims makes ways too short by up to so much of them (see `fine/rim.rs`).
const RIM_PULL: f64 = 0.03;

/// Views of fewer cells than this along their diagonal tell of a way by chance.
const FEWEST_CELLS: f64 = 32.0;
/// A sampling may be so many times finer than the frame: beyond, it would only magnify.
const FINEST_OF_FRAME: f64 = 0.5;

/// What the next frame needs of a frame.
pub struct FrameView {
    /// Stamp of the frame.
    stamp_ns: i64,
    ordinal: u64,
    /// Ground sampling distance that it is seen at, metres.
    ground_sampling_distance_m: f64,
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
        let of_index = self.index.levels.get(observation.refine_level).map(|l| level_gsd_m(l.level))?;
        let ground_sampling_distance_m =
            registration_gsd_m(&observation.frame.camera, hypothesis, of_index, network.entry().stride_px)?;
        let computed;
        let described = match described.filter(|_| ground_sampling_distance_m == of_index) {
            Some(kept) => kept,
            None => {
                computed = self.describe_at(observation, hypothesis, ground_sampling_distance_m, u32::MAX, network).ok()?;
                &computed
            }
        };
        let frame = &observation.frame;
        Some(FrameView {
            stamp_ns: frame.stamp_ns,
            ordinal: frame.ordinal,
            ground_sampling_distance_m,
            view: described.field(mean),
            heading_rad: Estimate { value: hypothesis.heading_rad, ..heading_rad },
            height_m: Estimate { value: hypothesis.height_m, ..height_m },
            enu_from_camera: hypothesis.enu_from_camera,
        })
    }
}

/// The sampling at which a view is registered: that of the index, halved until the view has cells enough, as far as the frame has something to
/// show.
fn registration_gsd_m(camera: &Camera, hypothesis: &ViewHypothesis, of_index: f64, stride_px: usize) -> Option<f64> {
    let across_m = extent_m(&footprint(camera, &hypothesis.enu_from_camera, hypothesis.height_m)?);
    let of_frame = hypothesis.height_m / camera.intrinsics.fx_px;
    let mut gsd_m = of_index;
    while across_m / (gsd_m * stride_px as f64) < FEWEST_CELLS && gsd_m / 2.0 >= of_frame * FINEST_OF_FRAME {
        gsd_m /= 2.0;
    }
    Some(gsd_m)
}

/// The way from one frame to a later one.
///
/// # Errors
/// Why there is none.
pub fn register_frames(then: Option<&FrameView>, now: Option<&FrameView>) -> Result<Displacement, Unregistered> {
    let (then, now) = then.zip(now).ok_or(Unregistered::NoView)?;
    if then.ground_sampling_distance_m != now.ground_sampling_distance_m {
        return Err(Unregistered::OtherScale);
    }
    let rotation_sigma_rad = then.heading_rad.sigma.hypot(now.heading_rad.sigma).max(1e-3);
    let prior = RegistrationPrior { rotation_sigma_rad, log_scale_sigma: LOG_SCALE_SIGMA, seed: now.ordinal };
    let registration = register(&now.view, &then.view, &prior)?;
    let way = displacement(&registration, then, now);
    tracing::debug!("frame {}: since the one before {:.1} m east, {:.1} m north", now.ordinal, way.moved_m.x, way.moved_m.y);
    Ok(way)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::enu_from_body;
    use crate::types::Intrinsics;

    #[test]
    fn a_small_view_is_registered_at_a_finer_sampling_as_far_as_the_frame_shows_it() {
        let gsd_m = |width_px: u32, focal_px: f64| {
            let camera = Camera::nadir(Intrinsics::centred(width_px, width_px * 3 / 4, focal_px));
            let enu_from_camera = camera.enu_from_camera(&enu_from_body(0.0, 0.0, 0.0));
            let view = ViewHypothesis { heading_rad: 0.0, height_m: 100.0, enu_from_camera };
            registration_gsd_m(&camera, &view, 0.3, 8).unwrap()
        };
        // 160 m across: 67 cells of 2.4 m.
        assert_eq!(gsd_m(640, 500.0), 0.3);
        // A quarter of it: 40 m are 17 cells of 2.4 m, 34 of 1.2 m.
        assert_eq!(gsd_m(160, 500.0), 0.15);
        // 20 m, of a frame of 0.2 m a pixel: it shows no more at 0.075 m.
        assert_eq!(gsd_m(80, 500.0), 0.15);
        // The same ground by a longer lens.
        assert_eq!(gsd_m(320, 2000.0), 0.075);
    }
}
