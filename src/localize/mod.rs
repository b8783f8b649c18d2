//! How a frame becomes a fix: the stages as plain functions over plain data. Nothing here knows of the dataflow that runs them.
//!
//! ```text
//! rectify ─► observe ─► early_exit ─┬─► retrieve ─► coarse ─► fine ─► fix ─► fallback_search ─┬─► FrameMatch
//!                                   └──────────────────── settled ───────────────────────────┘
//! ```
//!
//! - `observe`: decodes a frame and decides which views of it to try; `describe`: a view as a network describes it.
//! - `early_exit`: with a confident prior, straight to fine matching in the predicted window.
//! - `retrieve`, `coarse`, `verify`, `decide`: the search: cells, places, places verified, the fix or why there is none.
//! - `evidence`: what speaks for a place; `chance`: the probability that it is wrong.
//! - `fallback`: the search again at the level that refines, for frames that would abstain.
//! - `odometry`: how far the camera went since the frame before.
//! - `sascm`: coarse matching by region consensus; `ablation`: ways of matching that leave a stage out.
//! - [`sequential`]: the stages one after the other: what the dataflow must equal.
//!
//! Each stage takes what the one before made; a failure is an [`AbstainReason`](crate::types::AbstainReason), never a panic.

mod ablation;
mod chance;
mod coarse;
mod decide;
mod describe;
mod early_exit;
mod evidence;
mod fallback;
pub(crate) mod observe;
mod odometry;
mod retrieve;
mod sascm;
#[doc(hidden)]
pub mod sequential;
mod settings;
mod verify;

use std::sync::{Arc, OnceLock};

use crate::camera::view_hypotheses::ViewHypothesis;
use crate::coarse::Place;
use crate::coarse::consensus::ConsensusNetwork;
use crate::coarse::correlation::SearchGrid;
use crate::coarse::template::Template;
use crate::fine::{Consensus, GuidedMatch};
use crate::geo::MetricView;
use crate::map::GroundModel;
use crate::retrieve::Detail;
use crate::retrieve::MapIndex;
use crate::retrieve::index::level_gsd_m;
use crate::retrieve::search::Ranked;
use crate::types::Agreement;

pub use decide::{Decision, SecondPasses};
pub use describe::Described;
pub use early_exit::EarlyExit;
pub use observe::{DecodedFrame, Observation};
pub use odometry::{FrameView, register_frames};
pub use settings::{CoarseMethod, MatchSettings};

/// Up to this many hypotheses are searched for at the refining level itself.
const FEW_HYPOTHESES: usize = 4;
/// Places closer than this are one, in cells of the search level.
const SAME_PLACE_CELLS: f64 = 4.0;

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

/// Places of a frame that stand out, those that do most first.
#[derive(Clone)]
pub struct Places {
    /// Those to verify.
    pub first: Vec<Place>,
    /// Those to verify besides where these leave a doubt.
    pub further: Vec<Place>,
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
    /// How they agree.
    pub agreement: Agreement,
}

/// Localizes frames against a map: shared by all workers.
pub struct Localizer {
    /// The index.
    pub index: Arc<MapIndex>,
    /// The settings.
    pub settings: MatchSettings,
    /// What turns heights above take-off into heights above ground; `None` where the sensors' heights are that already.
    ground: Option<GroundModel>,
    /// The map in more detail than the index holds it; `None` where frames are matched against the index alone.
    detail: Option<Detail>,
    /// Learned weights of the neighbourhood consensus for [`CoarseMethod::Sascm`].
    consensus: Option<ConsensusNetwork>,
    /// By level, then region; made when first needed.
    grids: Vec<Vec<OnceLock<Option<SearchGrid>>>>,
    /// Whether a grid is prepared as a whole when it is made.
    prepares: bool,
}

impl Localizer {
    /// Prepares matching against an index.
    pub fn new(index: Arc<MapIndex>, settings: MatchSettings) -> Self {
        // An early exit needs no retrieval: what leaves out the rest of a search has nothing to do with it.
        let settings = MatchSettings { early_exit: settings.early_exit && !settings.coarse.takes_cells(), ..settings };
        let grids = index.levels.iter().map(|l| l.regions.iter().map(|_| OnceLock::new()).collect()).collect();
        Self { index, settings, ground: None, detail: None, consensus: None, grids, prepares: false }
    }

    /// Prepares a level as a whole when it is first searched, not block by block: for flights that last, whose memory must not grow with every
    /// part of the map that is searched for the first time.
    pub fn with_whole_levels(self) -> Self {
        Self { prepares: true, ..self }
    }

    /// Takes learned weights for the neighbourhood consensus, after the fixed kernel.
    pub fn with_consensus(self, consensus: ConsensusNetwork) -> Self {
        Self { consensus: Some(consensus), ..self }
    }

    /// Takes the sensors' heights for heights above take-off, and corrects them by what is known of the ground.
    pub fn with_ground(self, ground: GroundModel) -> Self {
        Self { ground: Some(ground), ..self }
    }

    /// Matches frames that see little ground against the map in more detail than the index holds it.
    pub fn with_detail(self, detail: Detail) -> Self {
        Self { detail: Some(detail), ..self }
    }

    fn grid(&self, level: usize, region: usize) -> Option<&SearchGrid> {
        let cell = self.grids.get(level)?.get(region)?;
        let make = || {
            let level = self.index.levels.get(level)?;
            let grid = level.regions.get(region)?.as_ref().map(|grid| SearchGrid::new(grid, &level.model))?;
            if self.prepares {
                grid.prepare();
            }
            Some(grid)
        };
        cell.get_or_init(make).as_ref()
    }

    /// Side of a dense cell at a position in the index' levels, metres.
    fn cell_m(&self, level: usize) -> f64 {
        let level = self.index.levels.get(level).map_or(0, |l| l.level);
        level_gsd_m(level) * self.index.identity.stride_px as f64
    }

    /// Whether two places lie within `apart_m` of each other on one map.
    fn is_same_place(&self, a: &Place, b: &Place, apart_m: f64) -> bool {
        let apart = self.index.distance_m((a.region, a.camera_m), (b.region, b.camera_m));
        !(apart > apart_m)
    }

    /// Of places from the best on, up to `keep` that do not lie within `apart_m` of a better one.
    fn apart<T>(&self, places: Vec<T>, place: impl Fn(&T) -> &Place, apart_m: f64, keep: usize) -> Vec<T> {
        let mut kept: Vec<T> = Vec::new();
        for candidate in places {
            if kept.len() == keep {
                break;
            }
            let is_known = |k: &T| self.is_same_place(place(k), place(&candidate), apart_m);
            if !kept.iter().any(is_known) {
                kept.push(candidate);
            }
        }
        kept
    }
}
