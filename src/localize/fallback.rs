//! A thorough search: views that the coarser level sifted in vain are searched for at the level that refines.
//!
//! Where heading or height are not known there are many views, and sifting them on the next coarser level takes a quarter of the time.
//! But some ground has little that stands out at half the detail: there the right place ranks behind a hundred others, and the same
//! search one level finer finds it first. So what would be an abstention, or a fix that not much speaks for, is looked at once more, the
//! most likely heights first, until a place leaves no doubt or all views are tried. It is judged beside all places verified before: on
//! simulated farmland two of 200 frames were a kilometre off before that, because the right place had never been tried.

use super::decide::SecondPasses;
use super::{Localizer, Observation, Retrieved, VerifiedPlace};
use crate::coarse::Place;
use crate::localize::CoarseMethod;
use crate::models::DenseExtractor;
use crate::types::{AbstainReason, FrameMatch, Outcome};

/// Views that are searched for before what they found is verified: all headings of one height, where no heading is known.
const VIEWS_AT_ONCE: usize = 24;
/// Places verified of each of these.
const PLACES: usize = 4;
/// A fix with so many times the least support of an unclear one needs no further views.
const BEYOND_DOUBT: f64 = 1.5;

impl Localizer {
    /// Whether a frame that is in doubt is searched for again.
    pub(super) fn may_look_thoroughly(&self, observation: &Observation) -> bool {
        self.settings.coarse == CoarseMethod::Correlation
            && observation.glance.is_none()
            && observation.search_level != observation.refine_level
            && observation.hypotheses.len() <= self.settings.fallback_views
    }

    /// Whether a fix needs no more of a search than it had.
    pub(super) fn is_beyond_doubt(&self, matched: &FrameMatch) -> bool {
        matches!(matched.outcome, Outcome::Fix(_)) && matched.score >= BEYOND_DOUBT * self.settings.fix.min_support_unclear
    }

    /// What a search at the refining level makes of a frame; what was made of it first where that finds no place at all.
    pub(super) fn look_thoroughly(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        verified: &[VerifiedPlace],
        (first, mut narrowly): (FrameMatch, SecondPasses),
        network: &mut dyn DenseExtractor,
    ) -> FrameMatch {
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
            if untried > 0 && found.first().is_none_or(|best| best.consensus.support < self.settings.fix.min_support_unclear) {
                continue;
            }
            let matched = self.fix_in_full(observation, &found, retrieved.candidates, network, &mut narrowly);
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
        let places: Vec<Place> = self.search(observation, &searched)?.into_iter().take(PLACES).collect();
        self.fine(observation, &searched, &places, network)
    }
}
