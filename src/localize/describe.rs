//! A frame as a network describes it under a view.

use super::{FEW_HYPOTHESES, Localizer, Observation};
use crate::camera::view_hypotheses::ViewHypothesis;
use crate::camera::{RectifiedFrame, footprint, rectify, view_around_footprint};
use crate::coarse::template::{MAX_TEMPLATE, Template};
use crate::fine::ViewField;
use crate::geo::MetricView;
use crate::models::{DenseExtractor, DenseFeatures, ModelError};
use crate::retrieve::index::level_gsd_m;
use crate::retrieve::projection::Projection;
use crate::retrieve::{Bounds, RegionLevel};
use crate::types::AbstainReason;

/// Ground around a view that matching in detail may reach, cells.
const DETAIL_MARGIN_CELLS: f64 = 10.0;

/// A frame described by a network under a hypothesis.
pub struct Described {
    /// Where its cells lie.
    pub view: MetricView,
    /// By cell, whether the frame covers all of it.
    pub covered: Vec<bool>,
    /// Its features.
    pub features: DenseFeatures,
}

impl Described {
    /// As it is slid over the map.
    pub(super) fn template(&self, projection: &Projection) -> Template {
        Template::new(&self.features, &self.covered, projection)
    }

    /// As fine matching takes it, less the mean descriptor of the map's level.
    pub(super) fn field(&self, mean: &[f32]) -> ViewField {
        ViewField::new(&self.features, &self.covered, &self.view, mean)
    }
}

impl Localizer {
    /// The frame as a network describes it under a hypothesis at a level.
    pub(super) fn describe(
        &self,
        observation: &Observation,
        hypothesis: &ViewHypothesis,
        level: usize,
        network: &mut dyn DenseExtractor,
    ) -> Result<Described, AbstainReason> {
        self.describe_within(observation, hypothesis, level, u32::MAX, network)
    }

    /// The same of the middle of the view, at most `longest_px` a side.
    pub(super) fn describe_within(
        &self,
        observation: &Observation,
        hypothesis: &ViewHypothesis,
        level: usize,
        longest_px: u32,
        network: &mut dyn DenseExtractor,
    ) -> Result<Described, AbstainReason> {
        let level = self.index.levels.get(level).ok_or(AbstainReason::NoCandidate)?.level;
        self.describe_at(observation, hypothesis, level_gsd_m(level), longest_px, network)
    }

    /// A view and the map around where it is expected, at a level (0.15 m · 2^level) finer than the index; `None` where there is none.
    pub(super) fn in_detail(
        &self,
        observation: &Observation,
        (region, level): (usize, u32),
        hypothesis: &ViewHypothesis,
        [e, n]: [f64; 2],
        network: &mut dyn DenseExtractor,
    ) -> Result<Option<(Described, RegionLevel)>, AbstainReason> {
        let Some(detail) = &self.detail else { return Ok(None) };
        let gsd = level_gsd_m(level);
        let described = self.describe_at(observation, hypothesis, gsd, u32::MAX, network)?;
        let (view, margin_m) = (&described.view, DETAIL_MARGIN_CELLS * gsd * self.index.identity.stride_px as f64);
        let bounds = Bounds {
            west_m: e + view.west_m - margin_m,
            south_m: n + view.north_m - f64::from(view.height_px) * gsd - margin_m,
            east_m: e + view.west_m + f64::from(view.width_px) * gsd + margin_m,
            north_m: n + view.north_m + margin_m,
        };
        let window = detail.window((region, level), &bounds, self.index.identity.stride_px, network);
        let window = window.map_err(|error| {
            tracing::error!("frame {}: {error}", observation.frame.ordinal);
            AbstainReason::Failed
        })?;
        Ok(window.map(|grid| (described, grid)))
    }

    /// The frame as a network describes it under a hypothesis at a sampling; of larger views the middle, `longest_px` a side.
    pub(super) fn describe_at(
        &self,
        observation: &Observation,
        hypothesis: &ViewHypothesis,
        gsd: f64,
        longest_px: u32,
        network: &mut dyn DenseExtractor,
    ) -> Result<Described, AbstainReason> {
        let outline = footprint(&observation.frame.camera, &hypothesis.enu_from_camera, hypothesis.height_m)
            .ok_or(AbstainReason::BadView)?;
        crate::progress::feed();
        let multiple = network.entry().input.multiple_of_px as u32;
        let view = view_around_footprint(&outline, gsd, multiple).middle((longest_px / multiple).max(1) * multiple);
        let rectified = rectified(observation, hypothesis, &view);
        let features = network.extract(&rectified.image).map_err(|error| failed(observation, &error))?;
        Ok(Described { view, covered: rectified.covered_cells(features.stride_px), features })
    }

    /// The longest side of the part of a view, around its middle, that is looked at, pixels: of a few views all of it; of many as much as a
    /// template holds.
    pub(super) fn longest_px(&self, observation: &Observation) -> u32 {
        if observation.hypotheses.len() > FEW_HYPOTHESES {
            (MAX_TEMPLATE * self.index.identity.stride_px) as u32
        } else {
            u32::MAX
        }
    }
}

/// The frame as a view shows it under a hypothesis. What it does not reach has its mean colour: an edge against black would upset a
/// network's normalisation.
pub(super) fn rectified(observation: &Observation, hypothesis: &ViewHypothesis, view: &MetricView) -> RectifiedFrame {
    let frame = observation.frame.as_ref();
    let mut rectified = rectify(&frame.pyramid, &frame.camera, &hypothesis.enu_from_camera, hypothesis.height_m, view);
    let covered = std::mem::take(&mut rectified.covered);
    rectified.image.fill_with_mean(&covered);
    rectified.covered = covered;
    rectified
}

/// A network failed on a frame.
pub(super) fn failed(observation: &Observation, error: &ModelError) -> AbstainReason {
    tracing::error!("frame {}: {error}", observation.frame.ordinal);
    AbstainReason::Failed
}
