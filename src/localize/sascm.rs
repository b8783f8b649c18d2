//! Coarse matching by region consensus over the cells that retrieval ranked.

use std::collections::BTreeMap;

use super::Retrieved;
use crate::coarse::Place;
use crate::coarse::consensus::ConsensusNetwork;
use crate::coarse::correlation::SearchGrid;
use crate::coarse::sascm::{Layout, RegionPlacement, SascmSettings, match_regions};
use crate::coarse::tensor::RegionGrid;
use crate::retrieve::index::{CELL_SIDE, CELL_STEP};
use crate::retrieve::{CellId, RegionLevel};

/// A candidate cell with what was found in its window.
#[derive(Clone, Debug)]
pub struct CandidateMatch {
    /// The cell.
    pub cell: CellId,
    /// Which hypothesis of the view.
    pub hypothesis: usize,
    /// Region matches and their agreement, in region coordinates of the layout.
    pub placement: RegionPlacement,
    /// The point below the camera in the region's plane, metres east and north.
    pub camera_m: [f64; 2],
}

/// Which cells each hypothesis is matched against, by hypothesis.
pub type Candidates = Vec<(usize, Vec<CellId>)>;

/// What retrieval ranked.
pub fn all_candidates(retrieved: &Retrieved) -> Candidates {
    by_hypothesis(retrieved.cells.iter().map(|ranked| (ranked.query, ranked.cell)))
}

/// The candidates of the best `keep` matches.
pub fn best_candidates(mut matches: Vec<CandidateMatch>, keep: usize) -> Candidates {
    // Stable: equal scores keep the order of hypotheses and cells.
    matches.sort_by(|a, b| b.placement.score.total_cmp(&a.placement.score));
    by_hypothesis(matches.iter().take(keep).map(|found| (found.hypothesis, found.cell)))
}

fn by_hypothesis(pairs: impl Iterator<Item = (usize, CellId)>) -> Candidates {
    let mut out: BTreeMap<usize, Vec<CellId>> = BTreeMap::new();
    for (hypothesis, cell) in pairs {
        out.entry(hypothesis).or_default().push(cell);
    }
    out.into_iter().collect()
}

/// Matches hypotheses against cells.
pub fn match_candidates<'a>(
    retrieved: &Retrieved,
    candidates: &Candidates,
    settings: &SascmSettings,
    network: &ConsensusNetwork,
    grid: impl Fn(usize) -> Option<(&'a RegionLevel, &'a SearchGrid)>,
) -> Vec<CandidateMatch> {
    let mut out = Vec::new();
    for (hypothesis, cells) in candidates {
        let Some((template, view)) = retrieved.templates.get(*hypothesis) else { continue };
        let layout = Layout::new(template.rows, template.columns, CELL_STEP);
        let side = layout.side as f64;
        let frame = RegionGrid::pooled(&template.as_planes(), (0, 0), layout.side, (layout.frame[0], layout.frame[1]));
        if frame.count() == 0 {
            continue;
        }
        for cell in cells {
            let Some((level, search)) = grid(cell.region as usize) else { continue };
            let centre = [cell.row, cell.column].map(|x| (x as usize * CELL_STEP) as f64 + CELL_SIDE as f64 / 2.0);
            // The window is centred so that the template, not its last, partly empty regions, sits in the middle.
            let slack =
                [0, 1].map(|d| ((layout.frame[d] * layout.side) as f64 - [template.rows, template.columns][d] as f64) / 2.0);
            let origin = layout.window_origin([centre[0] + slack[0], centre[1] + slack[1]]);
            let window = RegionGrid::pooled(&search.as_planes(), origin, layout.side, (layout.window[0], layout.window[1]));
            let Some(placement) = match_regions(&frame, &window, network, settings) else { continue };
            // The point below the camera in the template's dense cells, then regions, then the map's dense cells.
            let camera = [
                view.north_m / level.cell_m - template.cropped.0 as f64,
                -view.west_m / level.cell_m - template.cropped.1 as f64,
            ];
            let [row, column] = placement.elected.map_from_frame.apply(camera.map(|x| x / side));
            let (e, n) = level.ground_from_grid(origin.0 as f64 + row * side, origin.1 as f64 + column * side);
            out.push(CandidateMatch { cell: *cell, hypothesis: *hypothesis, placement, camera_m: [e, n] });
        }
    }
    out
}

/// Matches as places, by their own scores.
pub fn places(matches: &[CandidateMatch]) -> Vec<Place> {
    let place = |c: &CandidateMatch| Place {
        region: c.cell.region as usize,
        hypothesis: c.hypothesis,
        camera_m: c.camera_m,
        score: c.placement.score,
        lead: 0.0,
    };
    matches.iter().map(place).collect()
}
