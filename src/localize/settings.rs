//! Settings of matching.

use crate::camera::view_hypotheses::UnknownHeight;
use crate::coarse::sascm::SascmSettings;
use crate::fine::pose::FixSettings;

/// The ways of coarse matching. The last two leave parts out: ablations, to see what those are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CoarseMethod {
    /// Dense correlation as one rigid template.
    #[default]
    Correlation,
    /// Soft mutual matching and neighbourhood consensus between frame and candidate cells.
    Sascm,
    /// None: fine matching straight in the cells that retrieval ranks best, each with the view it ranks best for.
    None,
    /// None, and no fine matching either: the position is the middle of the cell that retrieval ranks best.
    Retrieval,
}

impl CoarseMethod {
    /// Whether places are the cells that retrieval ranks best.
    pub fn takes_cells(self) -> bool {
        matches!(self, Self::None | Self::Retrieval)
    }
}

impl std::str::FromStr for CoarseMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "correlation" => Ok(Self::Correlation),
            "sascm" => Ok(Self::Sascm),
            "none" => Ok(Self::None),
            "retrieval" => Ok(Self::Retrieval),
            _ => Err(format!("'{text}' is no coarse method; write correlation or sascm (or, as ablations, none or retrieval)")),
        }
    }
}

/// How frames are matched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchSettings {
    /// How the coarse place is found.
    pub coarse: CoarseMethod,
    /// How regions are matched when that is by consensus.
    pub sascm: SascmSettings,
    /// Longest side of the refining view, pixels: decides the level of the index.
    pub longest_view_px: f64,
    /// Cells that retrieval hands on when the map has more than `exhaustive_cells`.
    pub top_cells: usize,
    /// Maps of up to this many cells are searched whole.
    pub exhaustive_cells: usize,
    /// Places verified by fine matching when a single view is tried; half a place more for each further view.
    pub places: usize,
    /// Places verified at most.
    pub most_places: usize,
    /// When a fix is given.
    pub fix: FixSettings,
    /// Frames of up to so many views are searched for once more, at the level that refines, before they abstain. 0 never does.
    pub thorough_views: usize,
    /// What an unknown height leads to.
    pub unknown_height: UnknownHeight,
    /// A frame whose brightness varies less than this (0..255) shows nothing to match.
    pub min_contrast: f64,
    /// A prior narrows the search when the radius it leaves is below this, metres.
    pub confident_radius_m: f64,
    /// Early exit: when a prior is known to this, 1 sigma in metres, a frame goes straight to fine matching in the predicted window, and
    /// is looked at in full only where that does not settle it. 0 always looks in full.
    pub glance_sigma_m: f64,
}

impl MatchSettings {
    /// How many windows, each a cell with one view, region consensus looks at: all there are for four views. Of more views, retrieval says
    /// which go with which cells.
    pub fn sascm_windows(&self, candidates: usize, views: usize) -> usize {
        self.top_cells.min(candidates) * views.min(4)
    }
}

impl Default for MatchSettings {
    fn default() -> Self {
        Self {
            coarse: CoarseMethod::default(),
            sascm: SascmSettings::default(),
            longest_view_px: 768.0,
            top_cells: 200,
            exhaustive_cells: 4000,
            places: 5,
            most_places: 24,
            fix: FixSettings::default(),
            thorough_views: 200,
            unknown_height: UnknownHeight::Abstain,
            min_contrast: 4.0,
            confident_radius_m: 1500.0,
            glance_sigma_m: 15.0,
        }
    }
}
