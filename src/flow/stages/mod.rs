//! The stages as plain functions over plain data: `rectify → retrieve → coarse → fine → fix`.
//!
//! Each stage takes what the one before made; a failure is an [`AbstainReason`], never a panic.

mod coarse;
mod fine;
mod fix;
mod retrieve;

use std::sync::{Arc, OnceLock};

use image::RgbImage;

use super::settings::MatchSettings;
use crate::camera::{Camera, FramePyramid, RectifiedFrame, footprint, rectify, view_around_footprint};
use crate::coarse::Place;
use crate::coarse::consensus::ConsensusNetwork;
use crate::coarse::correlation::SearchGrid;
use crate::coarse::hypotheses::{Hypothesis, hypotheses};
use crate::coarse::template::Template;
use crate::fine::{Consensus, GuidedMatch};
use crate::geo::MetricView;
use crate::models::{DenseExtractor, DenseFeatures, ModelError};
use crate::retrieve::index::level_gsd_m;
use crate::retrieve::{CellId, MapIndex};
use crate::types::{AbstainReason, Frame, Known, Match, Outcome, Pixels};

/// Up to this many hypotheses are searched for at the refining level itself.
const FEW_HYPOTHESES: usize = 4;
/// A frame below this sharpness is blurred by about two pixels or more.
const MIN_SHARPNESS: f64 = 1.12;
/// Places closer than this are one, in cells of the search level.
const SAME_PLACE_CELLS: f64 = 4.0;

/// A decoded frame with the views to try.
pub struct Observation {
    /// The frame's ordinal.
    pub ordinal: u64,
    /// Time of capture.
    pub stamp_ns: i64,
    /// What is known of its pose.
    pub known: Known,
    /// The camera, for the frame's true size.
    pub camera: Camera,
    /// The frame and its halvings.
    pub pyramid: FramePyramid,
    /// The views to try.
    pub hypotheses: Vec<Hypothesis>,
    /// How sharp the frame is at the scale it is matched at; see [`FramePyramid::sharpness`].
    pub sharpness: f64,
    /// Positions in the index of the levels to search and to refine at.
    pub search_level: usize,
    /// See `search_level`.
    pub refine_level: usize,
}

impl Observation {
    /// A reason to abstain, or the one behind it: a blurred frame has few matches.
    pub fn reason(&self, reason: AbstainReason) -> AbstainReason {
        if reason == AbstainReason::FewInliers && self.sharpness < MIN_SHARPNESS { AbstainReason::Blurred } else { reason }
    }
}

/// A circle in a region's plane: its centre, metres east and north, and its radius.
pub type Circle = ([f64; 2], f64);

/// Where to search, and with what.
pub struct Retrieved {
    /// One template for each hypothesis, with its view.
    pub templates: Vec<(Template, MetricView)>,
    /// The views and features behind the templates, where the level that is searched is also the one that refines.
    pub views: Vec<(RectifiedFrame, DenseFeatures)>,
    /// Cells that may hold the frame, best first; empty when everything is searched, or everything near the prior.
    pub cells: Vec<CellId>,
    /// Number of cells that were candidates.
    pub candidates: usize,
    /// The prior in each region's plane and its radius, metres, when it is confident.
    pub within: Option<Vec<Option<Circle>>>,
}

/// A place verified by fine matching.
pub struct Verified {
    /// The place.
    pub place: Place,
    /// The view it was verified with.
    pub view: Hypothesis,
    /// Its matches.
    pub matches: Vec<GuidedMatch>,
    /// What they agree on.
    pub consensus: Consensus,
}

/// The outcome of a frame with what a viewer wants to see of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    /// The outcome.
    pub outcome: Outcome,
    /// Matches of the best place, also when the outcome is an abstention.
    pub matches: Vec<Match>,
    /// Candidate cells searched.
    pub candidates: usize,
    /// Support of the best place, 0..1.
    pub score: f64,
}

impl Matched {
    /// An abstention without matches.
    pub fn abstained(reason: AbstainReason) -> Self {
        Self { outcome: Outcome::Abstained(reason), matches: Vec::new(), candidates: 0, score: 0.0 }
    }
}

/// The map's side of matching: shared by all workers.
pub struct Matcher {
    /// The index.
    pub index: Arc<MapIndex>,
    /// The settings.
    pub settings: MatchSettings,
    /// Neighbourhood consensus for [`CoarseMethod::Sascm`].
    consensus: ConsensusNetwork,
    /// By level, then region; made when first needed.
    grids: Vec<Vec<OnceLock<Option<SearchGrid>>>>,
}

impl Matcher {
    /// Prepares matching against an index.
    pub fn new(index: Arc<MapIndex>, settings: MatchSettings) -> Self {
        let grids = index.levels.iter().map(|l| l.regions.iter().map(|_| OnceLock::new()).collect()).collect();
        Self { index, settings, consensus: ConsensusNetwork::fixed(), grids }
    }

    /// Takes learned weights for the neighbourhood consensus in place of the fixed kernel.
    pub fn with_consensus(self, consensus: ConsensusNetwork) -> Self {
        Self { consensus, ..self }
    }

    fn grid(&self, level: usize, region: usize) -> Option<&SearchGrid> {
        let cell = self.grids.get(level)?.get(region)?;
        let make = || {
            let level = self.index.levels.get(level)?;
            level.regions.get(region)?.as_ref().map(|grid| SearchGrid::new(grid, &level.model))
        };
        cell.get_or_init(make).as_ref()
    }

    /// Decodes a frame and decides which views to try at which levels.
    pub fn rectify(&self, frame: &Frame) -> Result<Observation, AbstainReason> {
        let image = decode(&frame.pixels).ok_or(AbstainReason::Unreadable)?;
        let camera = frame.camera.ok_or(AbstainReason::NoCamera)?;
        let camera = Camera { intrinsics: camera.intrinsics.scaled_to(image.width(), image.height()), ..camera };
        let pyramid = FramePyramid::new(&image);
        if pyramid.contrast() < self.settings.min_contrast {
            return Err(AbstainReason::NoTexture);
        }
        let hypotheses = hypotheses(&camera, &frame.known, self.settings.unknown_height)?;
        let first = hypotheses.first().ok_or(AbstainReason::BadView)?;
        let outline = footprint(&camera, &first.enu_from_camera, first.height_m).ok_or(AbstainReason::BadView)?;
        let diagonal =
            outline.iter().flat_map(|a| outline.iter().map(move |b| (a[0] - b[0]).hypot(a[1] - b[1]))).fold(0.0, f64::max);
        let refine_level = self.index.level_for_extent(diagonal, self.settings.longest_view_px);
        // Many hypotheses are sifted on the next coarser level; a few can be searched for at once at the level that refines them.
        let coarser = usize::from(hypotheses.len() > FEW_HYPOTHESES);
        let search_level = (refine_level + coarser).min(self.index.levels.len().saturating_sub(1));
        let gsd = self.index.levels.get(refine_level).map_or(1.0, |l| level_gsd_m(l.level));
        let sharpness = pyramid.sharpness(gsd * camera.intrinsics.fx_px / first.height_m);
        Ok(Observation {
            ordinal: frame.ordinal,
            stamp_ns: frame.stamp_ns,
            known: frame.known,
            camera,
            pyramid,
            hypotheses,
            sharpness,
            search_level,
            refine_level,
        })
    }

    /// The frame rectified under a hypothesis at a level, and its dense features.
    fn describe(
        &self,
        observation: &Observation,
        hypothesis: &Hypothesis,
        level: usize,
        network: &mut dyn DenseExtractor,
    ) -> Result<(RectifiedFrame, DenseFeatures), AbstainReason> {
        let gsd = level_gsd_m(self.index.levels.get(level).ok_or(AbstainReason::NoCandidate)?.level);
        let outline =
            footprint(&observation.camera, &hypothesis.enu_from_camera, hypothesis.height_m).ok_or(AbstainReason::BadView)?;
        let view = view_around_footprint(&outline, gsd, network.entry().input.multiple_of_px as u32);
        let mut rectified =
            rectify(&observation.pyramid, &observation.camera, &hypothesis.enu_from_camera, hypothesis.height_m, &view);
        // An edge against black would upset the network's normalisation.
        let covered = std::mem::take(&mut rectified.covered);
        rectified.image.fill_with_mean(&covered);
        rectified.covered = covered;
        let features = network.extract(&rectified.image).map_err(|error: ModelError| {
            tracing::error!("frame {}: {error}", observation.ordinal);
            AbstainReason::Failed
        })?;
        Ok((rectified, features))
    }
}

fn decode(pixels: &Pixels) -> Option<Arc<RgbImage>> {
    match pixels {
        Pixels::Decoded(image) => Some(Arc::clone(image)),
        Pixels::File(path) => match image::open(path) {
            Ok(image) => Some(Arc::new(image.into_rgb8())),
            Err(error) => {
                tracing::warn!("{}: {error}", path.display());
                None
            }
        },
    }
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}
