//! Settings of matching.

use crate::camera::view_hypotheses::UnknownHeight;
use crate::coarse::sascm::SascmSettings;
use crate::fine::pose::FixSettings;
use crate::localize::chance::EvidenceSettings;
use crate::settings::{Bound, settings, written_as_text};

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

impl std::fmt::Display for CoarseMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Correlation => "correlation",
            Self::Sascm => "sascm",
            Self::None => "none",
            Self::Retrieval => "retrieval",
        })
    }
}

written_as_text!(CoarseMethod);

settings! {
    /// How frames are matched.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct MatchSettings {
        /// How the coarse place is found: correlation (dense, nearly rigid) or sascm (neighbourhood consensus); as ablations, none (fine
        /// matching straight in the cells that retrieval ranks best) or retrieval (the position is the middle of the best cell).
        key coarse: CoarseMethod = CoarseMethod::default(), Bound::Any;
        /// Whether a frame goes straight to fine matching where the filter's prediction is confident. What that does not settle is searched
        /// for in full.
        key early_exit: bool = true, Bound::Any;
        /// The prediction is confident when it is known to this, 1 sigma, metres.
        key early_exit_sigma_m: f64 = 15.0, Bound::AtLeast(0.0);
        /// Whether a height that is not known is searched for, from 40 to 500 m, or is a reason to abstain. `telemetry.height` = none says so.
        key search_heights: bool = false, Bound::Any;
        /// Longest side of the refining view, pixels: decides the level of the index.
        key longest_view_px: f64 = 768.0, Bound::AtLeast(64.0);
        /// Cells that retrieval hands on when the map has more than `exhaustive_cells`.
        key top_cells: usize = 200, Bound::AtLeast(1.0);
        /// Maps of up to this many cells are searched whole.
        key exhaustive_cells: usize = 4000, Bound::AtLeast(0.0);
        /// Places verified by fine matching when a single view is tried; half a place more for each further view.
        key places: usize = 16, Bound::AtLeast(1.0);
        /// Places verified at most.
        key most_places: usize = 24, Bound::AtLeast(1.0);
        /// Frames of up to so many views are searched for once more, at the level that refines, before they abstain. 0 never does.
        key fallback_views: usize = 200, Bound::AtLeast(0.0);
        /// Frames of a few views that would abstain have so many places verified before they do. 0 leaves it at those that stand out most.
        key fallback_places: usize = 64, Bound::AtLeast(0.0);
        /// Whether frames that see less ground than the finest level of the index shows well are matched against the map in more detail, which
        /// is computed where they are.
        key detail: bool = true, Bound::Any;
        /// A frame whose brightness varies less than this (0..255) shows nothing to match.
        key min_contrast: f64 = 4.0, Bound::Within(0.0, 255.0);
        /// A prior narrows the search when the radius it leaves is below this, metres.
        key confident_radius_m: f64 = 1500.0, Bound::AtLeast(0.0);
        /// When a fix is given.
        table fix: FixSettings;
        /// How likely a fix may be wrong, and how that is told.
        table evidence: EvidenceSettings;
        /// How regions are matched when that is by consensus.
        table sascm: SascmSettings;
    }
}

impl MatchSettings {
    /// How many windows, each a cell with one view, region consensus looks at: all there are for four views. Of more views, retrieval says
    /// which go with which cells.
    pub fn sascm_windows(&self, candidates: usize, views: usize) -> usize {
        self.top_cells.min(candidates) * views.min(4)
    }

    /// What an unknown height leads to.
    pub fn unknown_height(&self) -> UnknownHeight {
        if self.search_heights { UnknownHeight::Search } else { UnknownHeight::Abstain }
    }
}
