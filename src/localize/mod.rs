//! The stages as plain functions over plain data: `rectify → retrieve → coarse → fine → fix`.
//!
//! Each stage takes what the one before made; a failure is an [`AbstainReason`], never a panic.

mod ablation;
mod coarse;
mod decide;
mod early_exit;
mod fallback;
mod odometry;
mod retrieve;
mod sascm;
pub mod sequential;
mod settings;
mod verify;

use std::sync::{Arc, OnceLock};

use image::RgbImage;

use crate::camera::view_hypotheses::{ViewHypothesis, view_hypotheses};
use crate::camera::{FramePyramid, RectifiedFrame, footprint, rectify, view_around_footprint};
use crate::coarse::Place;
use crate::coarse::consensus::ConsensusNetwork;
use crate::coarse::correlation::SearchGrid;
use crate::coarse::template::{MAX_TEMPLATE, Template};
use crate::fine::{Consensus, GuidedMatch, ViewField};
use crate::geo::MetricView;
use crate::map::GroundModel;
use crate::models::{DenseExtractor, DenseFeatures, ModelError};
use crate::retrieve::MapIndex;
use crate::retrieve::index::level_gsd_m;
use crate::retrieve::projection::Projection;
use crate::retrieve::search::Ranked;
use crate::types::{AbstainReason, Camera, Estimate, Frame, Known, Pixels, Prior};

pub use odometry::{FrameView, register_frames};
pub use settings::{CoarseMethod, MatchSettings};

/// Up to this many hypotheses are searched for at the refining level itself.
const FEW_HYPOTHESES: usize = 4;
/// A frame below this sharpness is blurred by about two pixels or more.
const MIN_SHARPNESS: f64 = 1.12;
/// Places closer than this are one, in cells of the search level.
const SAME_PLACE_CELLS: f64 = 4.0;

/// A decoded frame.
pub struct DecodedFrame {
    /// The frame's ordinal.
    pub ordinal: u64,
    /// Time of capture.
    pub stamp_ns: i64,
    /// What its sensors say of its pose.
    pub sensed: Known,
    /// The camera, for the frame's true size.
    pub camera: Camera,
    /// The frame and its halvings.
    pub pyramid: FramePyramid,
}

/// A decoded frame with the views to try.
#[derive(Clone)]
pub struct Observation {
    /// The frame.
    pub frame: Arc<DecodedFrame>,
    /// What is known of its pose, the height being above the ground where it is expected.
    pub known: Known,
    /// The views to try.
    pub hypotheses: Vec<ViewHypothesis>,
    /// How sharp the frame is at the scale it is matched at; see [`FramePyramid::sharpness`].
    pub sharpness: f64,
    /// Positions in the index of the levels to search and to refine at.
    pub search_level: usize,
    /// See `search_level`.
    pub refine_level: usize,
    /// The prior in whose window the frame goes straight to fine matching; see [`Localizer::at_a_glance`].
    pub glance: Option<Prior>,
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
    /// What is behind the templates, where the level that is searched is also the one that refines.
    pub views: Vec<Described>,
    /// Cells that may hold the frame, best first; empty when everything is searched, or everything near the prior.
    pub cells: Vec<Ranked>,
    /// Number of cells that were candidates.
    pub candidates: usize,
    /// The prior in each region's plane and its radius, metres, when it is confident.
    pub within: Option<Vec<Option<Circle>>>,
}

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
    fn template(&self, projection: &Projection) -> Template {
        Template::new(&self.features, &self.covered, projection)
    }

    /// As fine matching takes it, less the mean descriptor of the map's level.
    fn field(&self, mean: &[f32]) -> ViewField {
        ViewField::new(&self.features, &self.covered, &self.view, mean)
    }
}

/// A place verified by fine matching.
#[derive(Clone)]
pub struct VerifiedPlace {
    /// The place.
    pub place: Place,
    /// The view it was verified with.
    pub view: ViewHypothesis,
    /// Its matches.
    pub matches: Vec<GuidedMatch>,
    /// What they agree on.
    pub consensus: Consensus,
}

/// The map's side of matching: shared by all workers.
pub struct Localizer {
    /// The index.
    pub index: Arc<MapIndex>,
    /// The settings.
    pub settings: MatchSettings,
    /// What turns heights above take-off into heights above ground; `None` where the sensors' heights are that already.
    ground: Option<GroundModel>,
    /// Learned weights of the neighbourhood consensus for [`CoarseMethod::Sascm`](self::CoarseMethod::Sascm).
    consensus: Option<ConsensusNetwork>,
    /// By level, then region; made when first needed.
    grids: Vec<Vec<OnceLock<Option<SearchGrid>>>>,
}

impl Localizer {
    /// Prepares matching against an index.
    pub fn new(index: Arc<MapIndex>, settings: MatchSettings) -> Self {
        // A glance needs no retrieval: what leaves out the rest of a search has nothing to do with it.
        let settings = MatchSettings { early_exit: settings.early_exit && !settings.coarse.takes_cells(), ..settings };
        let grids = index.levels.iter().map(|l| l.regions.iter().map(|_| OnceLock::new()).collect()).collect();
        Self { index, settings, ground: None, consensus: None, grids }
    }

    /// Takes learned weights for the neighbourhood consensus, after the fixed kernel.
    pub fn with_consensus(self, consensus: ConsensusNetwork) -> Self {
        Self { consensus: Some(consensus), ..self }
    }

    /// Takes the sensors' heights for heights above take-off, and corrects them by what is known of the ground.
    pub fn with_ground(self, ground: GroundModel) -> Self {
        Self { ground: Some(ground), ..self }
    }

    fn grid(&self, level: usize, region: usize) -> Option<&SearchGrid> {
        let cell = self.grids.get(level)?.get(region)?;
        let make = || {
            let level = self.index.levels.get(level)?;
            level.regions.get(region)?.as_ref().map(|grid| SearchGrid::new(grid, &level.model))
        };
        cell.get_or_init(make).as_ref()
    }

    /// Decodes a frame.
    pub fn rectify(&self, frame: &Frame) -> Result<DecodedFrame, AbstainReason> {
        let image = decode(&frame.pixels).ok_or(AbstainReason::Unreadable)?;
        let camera = frame.camera.ok_or(AbstainReason::NoCamera)?;
        let camera = Camera { intrinsics: camera.intrinsics.scaled_to(image.width(), image.height()), ..camera };
        let pyramid = FramePyramid::new(&image);
        if pyramid.contrast() < self.settings.min_contrast {
            return Err(AbstainReason::NoTexture);
        }
        if frame.known.height_agl_m.is_none() && !self.settings.search_heights {
            return Err(AbstainReason::NoHeight);
        }
        Ok(DecodedFrame { ordinal: frame.ordinal, stamp_ns: frame.stamp_ns, sensed: frame.known, camera, pyramid })
    }

    /// Decides which views of a frame to try at which levels.
    pub fn observe(&self, frame: &Arc<DecodedFrame>, prior: Option<&Prior>) -> Result<Observation, AbstainReason> {
        let DecodedFrame { camera, pyramid, .. } = frame.as_ref();
        let known = Known { height_agl_m: self.height_agl(frame, prior), ..frame.sensed };
        let hypotheses = view_hypotheses(camera, &known, self.settings.unknown_height())?;
        let first = hypotheses.first().ok_or(AbstainReason::BadView)?;
        let outline = footprint(camera, &first.enu_from_camera, first.height_m).ok_or(AbstainReason::BadView)?;
        let diagonal =
            outline.iter().flat_map(|a| outline.iter().map(move |b| (a[0] - b[0]).hypot(a[1] - b[1]))).fold(0.0, f64::max);
        let refine_level = self.index.level_for_extent(diagonal, self.settings.longest_view_px);
        // Many hypotheses are sifted on the next coarser level; a few can be searched for at once at the level that refines them.
        let coarser = usize::from(hypotheses.len() > FEW_HYPOTHESES);
        let search_level = (refine_level + coarser).min(self.index.levels.len().saturating_sub(1));
        let gsd = self.index.levels.get(refine_level).map_or(1.0, |l| level_gsd_m(l.level));
        let sharpness = pyramid.sharpness(gsd * camera.intrinsics.fx_px / first.height_m);
        let frame = Arc::clone(frame);
        Ok(Observation { frame, known, hypotheses, sharpness, search_level, refine_level, glance: None })
    }

    /// Height above the ground where a frame is expected: near its prior, else anywhere on the map.
    fn height_agl(&self, frame: &DecodedFrame, prior: Option<&Prior>) -> Option<Estimate> {
        let sensed = frame.sensed.height_agl_m?;
        let Some(ground) = &self.ground else { return Some(sensed) };
        if let Some(prior) = prior {
            let (position, sigma_m) = prior.at(frame.stamp_ns);
            return Some(ground.height_agl(sensed, position, sigma_m));
        }
        let map = self.index.regions.iter().map(|r| r.bounds).reduce(|a, b| a.union(&b));
        Some(map.map_or(sensed, |bounds| ground.height_agl_within(sensed, &bounds)))
    }

    /// What is known of a frame's pose when it lies at a place of the map.
    fn known_at(&self, observation: &Observation, place: &Place) -> Known {
        let at = self.index.geodetic(place.region as u32, place.camera_m[0], place.camera_m[1]);
        let height = observation.frame.sensed.height_agl_m.zip(self.ground.as_ref()).zip(at);
        let height_agl_m = height.map(|((sensed, ground), at)| ground.height_agl(sensed, at, 0.0));
        Known { height_agl_m: height_agl_m.or(observation.known.height_agl_m), ..observation.known }
    }

    /// Side of a dense cell at a position in the index' levels, metres.
    fn cell_m(&self, level: usize) -> f64 {
        let level = self.index.levels.get(level).map_or(0, |l| l.level);
        level_gsd_m(level) * self.index.identity.stride_px as f64
    }

    /// Of places from the best on, up to `keep` that do not lie within `apart_m` of a better one.
    fn apart<T>(&self, places: Vec<T>, place: impl Fn(&T) -> &Place, apart_m: f64, keep: usize) -> Vec<T> {
        let region = |p: &Place| self.index.region_of_map(p.region as u32);
        let mut kept: Vec<T> = Vec::new();
        for candidate in places {
            if kept.len() == keep {
                break;
            }
            let p = place(&candidate);
            let shadowed = |k: &T| {
                let k = place(k);
                region(k) == region(p) && !(distance(k.camera_m, p.camera_m) > apart_m)
            };
            if !kept.iter().any(shadowed) {
                kept.push(candidate);
            }
        }
        kept
    }

    /// The frame as a network describes it under a hypothesis at a level.
    fn describe(
        &self,
        observation: &Observation,
        hypothesis: &ViewHypothesis,
        level: usize,
        network: &mut dyn DenseExtractor,
    ) -> Result<Described, AbstainReason> {
        self.describe_within(observation, hypothesis, level, u32::MAX, network)
    }

    /// The same of the middle of the view, at most `longest_px` a side.
    fn describe_within(
        &self,
        observation: &Observation,
        hypothesis: &ViewHypothesis,
        level: usize,
        longest_px: u32,
        network: &mut dyn DenseExtractor,
    ) -> Result<Described, AbstainReason> {
        let gsd = level_gsd_m(self.index.levels.get(level).ok_or(AbstainReason::NoCandidate)?.level);
        let outline = footprint(&observation.frame.camera, &hypothesis.enu_from_camera, hypothesis.height_m)
            .ok_or(AbstainReason::BadView)?;
        let multiple = network.entry().input.multiple_of_px as u32;
        let view = view_around_footprint(&outline, gsd, multiple).middle((longest_px / multiple).max(1) * multiple);
        let rectified = rectified(observation, hypothesis, &view);
        let features = network.extract(&rectified.image).map_err(|error| failed(observation, &error))?;
        Ok(Described { view, covered: rectified.covered_cells(features.stride_px), features })
    }

    /// The longest side of the part of a view, around its middle, in which a place is found where there are many views: as much as a
    /// template holds, pixels.
    fn sifted_px(&self) -> u32 {
        (MAX_TEMPLATE * self.index.identity.stride_px) as u32
    }
}

/// The frame as a view shows it under a hypothesis. What it does not reach has its mean colour: an edge against black would upset a
/// network's normalisation.
fn rectified(observation: &Observation, hypothesis: &ViewHypothesis, view: &MetricView) -> RectifiedFrame {
    let DecodedFrame { pyramid, camera, .. } = observation.frame.as_ref();
    let mut rectified = rectify(pyramid, camera, &hypothesis.enu_from_camera, hypothesis.height_m, view);
    let covered = std::mem::take(&mut rectified.covered);
    rectified.image.fill_with_mean(&covered);
    rectified.covered = covered;
    rectified
}

/// A network failed on a frame.
fn failed(observation: &Observation, error: &ModelError) -> AbstainReason {
    tracing::error!("frame {}: {error}", observation.frame.ordinal);
    AbstainReason::Failed
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
