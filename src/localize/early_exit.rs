//! Early exit: with a confident prior a frame goes straight to fine matching in the predicted window.
//!
//! One pass of the network over the middle of the frame, one place (where that correlates best), one round of matching. What that does
//! not settle beyond doubt is searched for in full. So an early exit may save time; it never decides that a position is not known.

use super::verify::{EARLY_EXIT_RADIUS, WORTH_A_LOOK};
use super::{Described, FEW_HYPOTHESES, Localizer, Observation, VerifiedPlace};
use crate::coarse::Place;
use crate::coarse::refine::refine;
use crate::models::DenseExtractor;
use crate::retrieve::RegionLevel;
use crate::types::{AbstainReason, FrameMatch, Outcome, Prior};

/// The window reaches so many sigmas of where the image is expected.
const WINDOW_SIGMAS: f64 = 2.5;
/// Of the view's cells every second one each way is compared: enough to find the place, which fine matching then refines.
const EVERY: usize = 2;
/// The longest side of the part of the frame that is looked at, around the middle, pixels at the refining level.
const VIEW_PX: u32 = 384;
/// The largest window's half side, cells: beyond it the search by transform is cheaper.
const MAX_WINDOW: usize = 20;

/// What an early exit makes of a frame.
pub struct EarlyExit {
    /// The fix; `None` when the frame is to be searched for in full.
    pub settled: Option<FrameMatch>,
    /// The middle of the frame as the network described it.
    pub view: Described,
}

impl Localizer {
    /// The prior for an early exit, where it is confident and the view is known.
    pub fn early_exit_prior(&self, observation: &Observation, prior: Option<&Prior>) -> Option<Prior> {
        let few = observation.hypotheses.len() <= FEW_HYPOTHESES && observation.search_level == observation.refine_level;
        let known = observation.known.heading_rad.is_some() && observation.known.height_agl_m.is_some();
        let confident = |p: &&Prior| {
            p.at(observation.frame.stamp_ns).1 <= self.settings.early_exit_sigma_m
                && self.window_radius(p, observation) <= MAX_WINDOW
        };
        prior.filter(|_| self.settings.early_exit && few && known).filter(confident).copied()
    }

    /// Matches the middle of a frame in the window that a prior predicts.
    ///
    /// # Errors
    /// When the view cannot be made or the network fails; then a search could not either.
    pub fn early_exit(
        &self,
        observation: &Observation,
        prior: &Prior,
        network: &mut dyn DenseExtractor,
    ) -> Result<EarlyExit, AbstainReason> {
        let hypothesis = observation.hypotheses.first().ok_or(AbstainReason::BadView)?;
        let view = self.describe_within(observation, hypothesis, observation.refine_level, VIEW_PX, network)?;
        let place: Vec<Place> = self.predicted_place(observation, prior, &view).into_iter().collect();
        let views = [view];
        let verified = self.verify(observation, &views, &place, EARLY_EXIT_RADIUS, network)?;
        let settled = self.settle(observation, &verified);
        let [view] = views;
        Ok(EarlyExit { settled, view })
    }

    /// Half the side of the window that a prior predicts, cells.
    fn window_radius(&self, prior: &Prior, observation: &Observation) -> usize {
        let (_, sigma_m) = self.expected(prior, observation);
        (WINDOW_SIGMAS * sigma_m / self.cell_m(observation.refine_level)).ceil() as usize
    }

    /// The place in the predicted window where the whole view correlates best; none when that lies on the window's border.
    fn predicted_place(&self, observation: &Observation, prior: &Prior, described: &Described) -> Option<Place> {
        let level = self.index.levels.get(observation.refine_level)?;
        let view = &described.view;
        let mean = &level.model.projection.mean;
        let field = described.field(mean).field;
        let (position, _) = self.expected(prior, observation);
        let radius = self.window_radius(prior, observation);
        let in_region = |(region, grid): (usize, &Option<RegionLevel>)| {
            let grid = grid.as_ref()?;
            let indexed = self.index.regions.get(region).filter(|r| r.patch_of.is_none())?;
            let expected = indexed.plane.ground_from_lat_lon(position.lat_deg, position.lon_deg);
            let (row, column) = grid.grid_from_ground(expected.e_m + view.west_m, expected.n_m + view.north_m);
            let refined = refine(&field, grid, mean, (row, column), radius, EVERY)?;
            let inside = |found: f64, middle: f64| (found - middle.round()).abs() < radius as f64 - 0.5;
            if !inside(refined.row, row) || !inside(refined.column, column) {
                return None;
            }
            let (e, n) = grid.ground_from_grid(refined.row, refined.column);
            let camera_m = [e - view.west_m, n - view.north_m];
            Some(Place { region, hypothesis: 0, camera_m, score: refined.mean_cosine, lead: 1.0 })
        };
        // Of overlapping regions the one that fits best; the first of equals.
        let places = level.regions.iter().enumerate().filter_map(in_region);
        places.reduce(|best, next| if next.score > best.score { next } else { best })
    }

    /// The fix of the predicted place, when its first round of matches leaves no doubt.
    fn settle(&self, observation: &Observation, verified: &[VerifiedPlace]) -> Option<FrameMatch> {
        let best = verified.first().filter(|v| v.consensus.support >= WORTH_A_LOOK)?;
        let posed = self.first_pass(observation, best).ok()?;
        // The one place stands for the one candidate.
        let evidence = self.evidence(observation, (best, &best.place), &posed, f64::INFINITY, 1);
        let matched = self.judged(observation, best.place.region, &posed, f64::INFINITY, (1, evidence));
        matches!(matched.outcome, Outcome::Fix(_)).then_some(matched)
    }
}
