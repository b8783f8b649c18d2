//! `coarse`: the places that stand out.

use super::{Localizer, Observation, Places, Retrieved, SAME_PLACE_CELLS};
use crate::coarse::Place;
use crate::coarse::consensus::ConsensusNetwork;
use crate::coarse::peaks::{Response, Window};
use crate::localize::CoarseMethod;
use crate::localize::sascm::{Candidates, all_candidates, best_candidates, match_candidates, places as places_of};
use crate::types::AbstainReason;

impl Localizer {
    /// Finds the places that stand out most: those to verify, and those to try besides where these leave a doubt.
    ///
    /// # Errors
    /// When there are none.
    pub fn coarse(&self, observation: &Observation, retrieved: &Retrieved) -> Result<Places, AbstainReason> {
        let at_first = self.places_at_first(observation);
        let keep = if self.tries_further_places(observation) { self.settings.fallback_places } else { at_first };
        let mut first = self.standing_out(observation, retrieved, keep)?;
        let further = first.split_off(at_first.min(first.len()));
        Ok(Places { first, further })
    }

    /// How many places are verified before others are looked for.
    pub(super) fn places_at_first(&self, observation: &Observation) -> usize {
        // The more views are tried, the more of them find something that stands out by chance.
        (self.settings.places + observation.hypotheses.len() / 2).min(self.settings.most_places)
    }

    /// Up to `keep` places, those that stand out most first.
    fn standing_out(&self, observation: &Observation, retrieved: &Retrieved, keep: usize) -> Result<Vec<Place>, AbstainReason> {
        let level = self.index.levels.get(observation.search_level).ok_or(AbstainReason::NoCandidate)?;
        let apart_m = SAME_PLACE_CELLS * self.cell_m(observation.search_level);
        let standing_out = |mut places: Vec<Place>| {
            places
                .sort_by(|a, b| b.score.total_cmp(&a.score).then(a.hypothesis.cmp(&b.hypothesis)).then(a.region.cmp(&b.region)));
            let mut places = self.apart(places, |p| p, apart_m, keep);
            let [best, next] = [0, 1].map(|at| places.get(at).map_or(0.0, |p| p.score));
            places.iter_mut().enumerate().for_each(|(at, p)| p.lead = p.score - if at == 0 { next } else { best });
            if places.is_empty() { Err(AbstainReason::NoCandidate) } else { Ok(places) }
        };
        if self.settings.coarse == CoarseMethod::Sascm {
            let grid = |region: usize| level.regions.get(region)?.as_ref().zip(self.grid(observation.search_level, region));
            let matches = |candidates: &Candidates, network: &ConsensusNetwork| {
                match_candidates(retrieved, candidates, &self.settings.sascm, network, grid)
            };
            let sifted = matches(&all_candidates(retrieved), &ConsensusNetwork::fixed());
            let Some(learned) = &self.consensus else { return standing_out(places_of(&sifted)) };
            // Learned weights take a hundred times as long: they decide among what the fixed kernel finds best.
            let best = best_candidates(sifted, self.settings.sascm.rescored);
            return standing_out(places_of(&matches(&best, learned)));
        }
        if self.settings.coarse.takes_cells() {
            return standing_out(self.places_of_cells(retrieved));
        }
        let mut places = Vec::new();
        for (hypothesis, (template, view)) in retrieved.templates.iter().enumerate() {
            crate::progress::feed();
            let mut moments = (0.0, 0.0, 0.0);
            let mut found = Vec::new();
            for (region, grid) in level.regions.iter().enumerate() {
                let (Some(grid), Some(search)) = (grid, self.grid(observation.search_level, region)) else { continue };
                let crop = [template.cropped.0 as f64, template.cropped.1 as f64];
                // Template position for a camera at the origin of the region's plane.
                let (r0, c0) = grid.grid_from_ground(view.west_m, view.north_m);
                let windows = self.windows(retrieved, region, |e, n| {
                    let (r, c) = grid.grid_from_ground(e + view.west_m, n + view.north_m);
                    (r + crop[0], c + crop[1])
                });
                let Some(windows) = windows else { continue };
                let response = search.search(template, &windows, 2 * keep);
                moments.0 += response.moments.0;
                moments.1 += response.moments.1;
                moments.2 += response.moments.2;
                for peak in response.peaks {
                    let e = (peak.column - crop[1] - c0) * grid.cell_m;
                    let n = -(peak.row - crop[0] - r0) * grid.cell_m;
                    found.push((region, [e, n], peak.score));
                }
            }
            let (mean, spread) = Response::mean_and_spread(moments);
            places.extend(found.into_iter().map(|(region, camera_m, score)| Place {
                region,
                hypothesis,
                camera_m,
                score: (score - mean) / spread,
                lead: 0.0,
            }));
        }
        standing_out(places)
    }

    /// Windows of template positions for a region: `None` when nothing there is to be searched, empty when everything is.
    fn windows(&self, retrieved: &Retrieved, region: usize, position: impl Fn(f64, f64) -> (f64, f64)) -> Option<Vec<Window>> {
        let around = |[e, n]: [f64; 2], half: f64| {
            let ((top, left), (bottom, right)) = (position(e - half, n + half), position(e + half, n - half));
            Window {
                rows: (top.floor() as i64, bottom.ceil() as i64 + 1),
                columns: (left.floor() as i64, right.ceil() as i64 + 1),
            }
        };
        let prior = retrieved.within.as_ref().map(|w| w.get(region).copied().flatten());
        match (prior, retrieved.cells.is_empty()) {
            (Some(None), _) => None,
            // Without cells the map itself is searched, which the patches over it are no part of.
            (_, true) if self.index.is_patch(region as u32) => None,
            (Some(Some((centre, radius))), true) => Some(vec![around(centre, radius)]),
            (None, true) => Some(Vec::new()),
            (_, false) => {
                let windows: Vec<Window> = retrieved
                    .cells
                    .iter()
                    .filter(|c| c.cell.region as usize == region)
                    .filter_map(|c| self.index.cell_centre_m(c.cell))
                    .map(|(centre, half)| around(centre, half))
                    .collect();
                (!windows.is_empty()).then_some(windows)
            }
        }
    }
}
