//! The fallback search, of frames that would abstain or whose fix not much speaks for.
//!
//! Of a few views, searched for at the level that refines, further places are verified: on ground of another date the right one is now and then
//! the twentieth to the sixtieth that stands out.
//!
//! Views that the coarser level sifted in vain are searched for at the level that refines. Where heading or height are not known there are many views, and sifting them on the next coarser level takes a quarter of the time.
//! But some ground has little that stands out at half the detail: there the right place ranks behind a hundred others, and the same
//! search one level finer finds it first. So what would be an abstention, or a fix that not much speaks for, is looked at once more, the
//! most likely heights first, until a place leaves no doubt or all views are tried. It is judged beside all places verified before: on
//! simulated farmland two of 200 frames were a kilometre off before that, because the right place had never been tried.

use super::verify::WORTH_A_LOOK;
use super::{Decision, Localizer, Observation, Retrieved, VerifiedPlace};
use crate::localize::CoarseMethod;
use crate::models::DenseExtractor;
use crate::types::{AbstainReason, FrameMatch, Outcome};

/// Views that are searched for before what they found is verified: all headings of one height, where no heading is known.
const VIEWS_AT_ONCE: usize = 24;
/// Further places of a few views that are verified before it is looked at what they found.
const PLACES_AT_ONCE: usize = 16;
/// A fix whose probability to be wrong is this part of the largest needs no further views.
const BEYOND_DOUBT: f64 = 0.3;

impl Localizer {
    /// Whether a frame is searched for again where its fix is in doubt.
    pub(super) fn may_fall_back(&self, observation: &Observation) -> bool {
        let again = if observation.search_level == observation.refine_level {
            self.settings.fallback_places > self.places_at_first(observation)
        } else {
            observation.hypotheses.len() <= self.settings.fallback_views
        };
        self.settings.coarse == CoarseMethod::Correlation && again
    }

    /// Whether a frame's decision is in doubt, and a fallback search may settle it.
    pub fn needs_fallback(&self, observation: &Observation, decision: &Decision) -> bool {
        self.may_fall_back(observation) && !self.is_beyond_doubt(&decision.matched)
    }

    /// Whether a fix needs no more of a search than it had.
    fn is_beyond_doubt(&self, matched: &FrameMatch) -> bool {
        let p_wrong = matched.evidence.map_or(1.0, |e| e.p_wrong);
        matches!(matched.outcome, Outcome::Fix(_)) && p_wrong <= BEYOND_DOUBT * self.settings.evidence.max_p_wrong
    }

    /// Searches on; returns the first decision where that finds no place at all.
    pub fn fallback_search(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        verified: &[VerifiedPlace],
        decision: Decision,
        network: &mut dyn DenseExtractor,
    ) -> FrameMatch {
        if observation.search_level == observation.refine_level {
            self.search_further(observation, retrieved, verified, decision, network)
        } else {
            self.search_in_detail(observation, retrieved, verified, decision, network)
        }
    }

    /// Verifies places that stand out less than those that were.
    fn search_further(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        verified: &[VerifiedPlace],
        decision: Decision,
        network: &mut dyn DenseExtractor,
    ) -> FrameMatch {
        let Decision { mut matched, mut second_passes } = decision;
        let Ok(places) = self.standing_out(observation, retrieved, self.settings.fallback_places) else { return matched };
        let mut found = verified.to_vec();
        for further in places.get(self.places_at_first(observation)..).unwrap_or_default().chunks(PLACES_AT_ONCE) {
            let Ok(more) = self.fine(observation, retrieved, further, network) else { continue };
            found.extend(more);
            // Stable: equal supports keep the order in which they were found.
            found.sort_by(|a, b| b.consensus.support.total_cmp(&a.consensus.support));
            matched = self.fix_of_best(observation, &found, retrieved.candidates, network, &mut second_passes);
            if self.is_beyond_doubt(&matched) {
                break;
            }
        }
        matched
    }

    /// Searches at the level that refines, some views at a time.
    fn search_in_detail(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        verified: &[VerifiedPlace],
        decision: Decision,
        network: &mut dyn DenseExtractor,
    ) -> FrameMatch {
        let Decision { matched: first, mut second_passes } = decision;
        let mut found = verified.to_vec();
        let mut untried = observation.hypotheses.len();
        for views in observation.hypotheses.chunks(VIEWS_AT_ONCE) {
            untried -= views.len();
            let closer =
                Observation { hypotheses: views.to_vec(), search_level: observation.refine_level, ..observation.clone() };
            if let Ok(more) = self.verified_in_detail(&closer, retrieved, network) {
                found.extend(more);
            }
            // Stable: equal supports keep the order in which they were found.
            found.sort_by(|a, b| b.consensus.support.total_cmp(&a.consensus.support));
            // The right place may be that of a view still to be tried: till then, what agrees by chance has no rival.
            if untried > 0 && found.first().is_none_or(|best| best.consensus.support < WORTH_A_LOOK) {
                continue;
            }
            let matched = self.fix_of_best(observation, &found, retrieved.candidates, network, &mut second_passes);
            if self.is_beyond_doubt(&matched) || untried == 0 && !found.is_empty() {
                return matched;
            }
        }
        first
    }

    /// The places that stand out most at the level of the observation, of as much of each view as a template holds, verified.
    fn verified_in_detail(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        network: &mut dyn DenseExtractor,
    ) -> Result<Vec<VerifiedPlace>, AbstainReason> {
        let level = self.index.levels.get(observation.search_level).ok_or(AbstainReason::NoCandidate)?;
        let (mut templates, mut views) = (Vec::new(), Vec::new());
        for hypothesis in &observation.hypotheses {
            let described = self.describe_within(observation, hypothesis, observation.search_level, self.sifted_px(), network)?;
            templates.push((described.template(&level.model.projection), described.view));
            views.push(described);
        }
        let (cells, within) = (retrieved.cells.clone(), retrieved.within.clone());
        let searched = Retrieved { templates, views, cells, candidates: retrieved.candidates, within };
        let places = self.coarse(observation, &searched)?;
        self.fine(observation, &searched, &places, network)
    }
}
