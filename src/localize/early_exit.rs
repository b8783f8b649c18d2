//! Early exit: with a confident prior a frame goes straight to fine matching in the predicted window.
//!
//! One pass of the network over the middle of the frame, one place (where that correlates best), one round of matching. What that does
//! not settle beyond doubt is escalated: the frame is searched for, verified and matched as without a glance. So a glance may save time;
//! it never decides that a position is not known.

use super::decide::SecondPasses;
use super::{FEW_HYPOTHESES, Localizer, Observation, Retrieved, VerifiedPlace};
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

impl Localizer {
    /// The observation with the prior for a glance, where that is confident and the view is known.
    pub fn at_a_glance(&self, observation: Observation, prior: Option<&Prior>) -> Observation {
        let few = observation.hypotheses.len() <= FEW_HYPOTHESES && observation.search_level == observation.refine_level;
        let known = observation.known.heading_rad.is_some() && observation.known.height_agl_m.is_some();
        let confident = |p: &&Prior| {
            p.at(observation.frame.stamp_ns).1 <= self.settings.early_exit_sigma_m
                && self.window_radius(p, &observation) <= MAX_WINDOW
        };
        let glance = prior.filter(|_| self.settings.early_exit).filter(confident).copied().filter(|_| few && known);
        Observation { glance, ..observation }
    }

    /// Half the side of the window that a prior predicts, cells.
    fn window_radius(&self, prior: &Prior, observation: &Observation) -> usize {
        let (_, sigma_m) = self.expected(prior, observation);
        (WINDOW_SIGMAS * sigma_m / self.cell_m(observation.refine_level)).ceil() as usize
    }

    /// What a glance looks at.
    pub(super) fn glance_view(
        &self,
        observation: &Observation,
        network: &mut dyn DenseExtractor,
    ) -> Result<Retrieved, AbstainReason> {
        let hypothesis = observation.hypotheses.first().ok_or(AbstainReason::BadView)?;
        let view = self.describe_within(observation, hypothesis, observation.refine_level, VIEW_PX, network)?;
        Ok(Retrieved { templates: Vec::new(), views: vec![view], cells: Vec::new(), candidates: 1, within: None })
    }

    /// The place in the predicted window where the whole view correlates best; none when that lies on the window's rim.
    pub(super) fn glance(&self, observation: &Observation, prior: &Prior, retrieved: &Retrieved) -> Option<Place> {
        let level = self.index.levels.get(observation.refine_level)?;
        let described = retrieved.views.first()?;
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
            Some(Place { region, hypothesis: 0, camera_m, score: refined.mean_cosine })
        };
        // Of overlapping regions the one that fits best; the first of equals.
        let places = level.regions.iter().enumerate().filter_map(in_region);
        places.reduce(|best, next| if next.score > best.score { next } else { best })
    }

    /// Looks in full at what a glance did not settle.
    pub(super) fn escalated(&self, observation: &Observation, network: &mut dyn DenseExtractor) -> FrameMatch {
        let whole = Observation { glance: None, ..observation.clone() };
        let mut run = || {
            let retrieved = self.retrieve(&whole, observation.glance.as_ref(), None, network)?;
            let places = self.search(&whole, &retrieved)?;
            let verified = self.fine(&whole, &retrieved, &places, network)?;
            Ok(self.fix_in_full(&whole, &verified, retrieved.candidates, network, &mut SecondPasses::default()))
        };
        run().unwrap_or_else(FrameMatch::abstained)
    }

    /// The fix of a glance's place, when its first round of matches leaves no doubt.
    pub(super) fn settled(&self, observation: &Observation, verified: &[VerifiedPlace], candidates: usize) -> Option<FrameMatch> {
        let best = verified.first().filter(|v| v.consensus.support >= self.settings.fix.min_support_unclear)?;
        let posed = self.first_pass(observation, best).ok()?;
        let matched = self.judged(observation, best.place.region, &posed, (f64::INFINITY, true), candidates);
        matches!(matched.outcome, Outcome::Fix(_)).then_some(matched)
    }
}
