//! The fallback search, of frames that would abstain or whose fix not much speaks for.
//!
//! Of a few views, searched for at the level that refines, further places are verified: on ground of another date the right one is now and then
//! the twentieth to the sixtieth that stands out.
//!
//! Views that the coarser level sifted in vain are searched for at the level that refines. Where heading or height are not known there are
//! many views, and sifting them on the next coarser level takes a quarter of the time.
//! But some ground has little that stands out at half the detail: there the right place ranks behind a hundred others, and the same
//! search one level finer finds it first. So what would be an abstention, or a fix that not much speaks for, is looked at once more, the
//! most likely heights first, until a place leaves no doubt or all views are tried. It is judged beside all places verified before: on
//! simulated farmland two of 200 frames were a kilometre off before that, because the right place had never been tried.

use std::borrow::Cow;

use super::verify::WORTH_A_LOOK;
use super::{Decision, Localizer, Observation, Places, Retrieved, VerifiedPlace};
use crate::camera::view_hypotheses::ViewHypothesis;
use crate::coarse::Place;
use crate::localize::CoarseMethod;
use crate::models::DenseExtractor;
use crate::types::{AbstainReason, FrameMatch, Outcome};

/// Views that are searched for before what they found is verified: all headings of one height, where no heading is known.
const VIEWS_AT_ONCE: usize = 24;
/// So many of the views of the best places are searched for as if they were known.
const VIEWS_FOUND: usize = 3;
/// Further places of a few views that are verified before it is looked at what they found.
const PLACES_AT_ONCE: usize = 16;
/// A fix whose probability to be wrong is this part of the largest needs no further views.
const BEYOND_DOUBT: f64 = 0.3;

/// What is tried before it is looked at what was found.
enum Round<'a> {
    /// Further places of few views.
    Places(&'a [Place]),
    /// Views, at the level that refines.
    Views(&'a [ViewHypothesis]),
    /// Of the places found so far, the view of the best, the second best, ...: as if it were known.
    Found(usize),
}

impl Localizer {
    /// Whether a frame is searched for again where its fix is in doubt.
    pub(super) fn may_fall_back(&self, observation: &Observation) -> bool {
        self.tries_further_places(observation) || self.searches_views_in_detail(observation)
    }

    /// Whether a frame in doubt has further places of its few views verified.
    pub(super) fn tries_further_places(&self, observation: &Observation) -> bool {
        self.settings.coarse == CoarseMethod::Correlation
            && observation.search_level == observation.refine_level
            && self.settings.fallback_places > self.places_at_first(observation)
    }

    /// Whether the many views of a frame in doubt are searched for at the level that refines.
    fn searches_views_in_detail(&self, observation: &Observation) -> bool {
        self.settings.coarse == CoarseMethod::Correlation
            && observation.search_level != observation.refine_level
            && observation.hypotheses.len() <= self.settings.fallback_views
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

    /// Searches on where a decision is in doubt: settles what becomes of the frame.
    pub fn fallback_search(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        further: &[Place],
        verified: &[VerifiedPlace],
        decision: Decision,
        network: &mut dyn DenseExtractor,
    ) -> FrameMatch {
        let mut rounds: Vec<Round<'_>> = Vec::new();
        if self.needs_fallback(observation, &decision) {
            if observation.search_level == observation.refine_level {
                rounds.extend(further.chunks(PLACES_AT_ONCE).map(Round::Places));
            } else {
                rounds.extend(observation.hypotheses.chunks(VIEWS_AT_ONCE).map(Round::Views));
            }
            rounds.extend((0..VIEWS_FOUND).map(Round::Found));
        }
        let Decision { mut matched, mut second_passes } = decision;
        let mut found = Cow::Borrowed(verified);
        let mut views_found = None;
        for round in &rounds {
            let more = match round {
                Round::Places(places) => self.fine(observation, retrieved, places, network),
                Round::Views(views) => self.verified_in_detail(observation, views, retrieved, network),
                Round::Found(nth) => {
                    let views = views_found.get_or_insert_with(|| self.views_found(observation, &found));
                    let Some(view) = views.get(*nth) else { break };
                    self.verified_in_detail(observation, std::slice::from_ref(view), retrieved, network)
                }
            };
            let found = found.to_mut();
            found.extend(more.unwrap_or_default());
            // Stable: equal supports keep the order in which they were found.
            found.sort_by(|a, b| b.consensus.support.total_cmp(&a.consensus.support));
            let Some(best) = found.first() else { continue };
            // The right place may be that of a view still to be tried: till then, what agrees by chance has no rival.
            if matches!(round, Round::Views(_)) && best.consensus.support < WORTH_A_LOOK {
                continue;
            }
            matched = self.fix_of_best(observation, found, retrieved.candidates, network, &mut second_passes);
            if self.is_beyond_doubt(&matched) {
                break;
            }
        }
        if matches!(matched.outcome, Outcome::Abstained(_)) && self.settings.coarse != CoarseMethod::Retrieval {
            matched.contenders = self.contenders(observation, &found, network, &mut second_passes);
        }
        matched
    }

    /// The views that the best of verified places have, each corrected by its matches; none twice.
    fn views_found(&self, observation: &Observation, found: &[VerifiedPlace]) -> Vec<ViewHypothesis> {
        let mut of: Vec<&ViewHypothesis> = Vec::new();
        let mut views = Vec::new();
        for verified in found {
            if views.len() == VIEWS_FOUND {
                break;
            }
            if of.contains(&&verified.view) {
                continue;
            }
            if let Ok(posed) = self.first_pass(observation, verified) {
                of.push(&verified.view);
                views.push(posed.seen_from());
            }
        }
        views
    }

    /// The places that stand out most at the level that refines, verified; where there are many views, of as much of each as a template holds.
    fn verified_in_detail(
        &self,
        observation: &Observation,
        views: &[ViewHypothesis],
        retrieved: &Retrieved,
        network: &mut dyn DenseExtractor,
    ) -> Result<Vec<VerifiedPlace>, AbstainReason> {
        let closer = Observation { hypotheses: views.to_vec(), search_level: observation.refine_level, ..observation.clone() };
        let observation = &closer;
        let level = self.index.levels.get(observation.search_level).ok_or(AbstainReason::NoCandidate)?;
        let longest_px = self.longest_px(observation);
        let (mut templates, mut views) = (Vec::new(), Vec::new());
        for hypothesis in &observation.hypotheses {
            let described = self.describe_within(observation, hypothesis, observation.search_level, longest_px, network)?;
            templates.push((described.template(&level.model.projection), described.view));
            views.push(described);
        }
        let (cells, within) = (retrieved.cells.clone(), retrieved.within.clone());
        let searched = Retrieved { templates, views, cells, candidates: retrieved.candidates, within };
        let Places { mut first, further } = self.coarse(observation, &searched)?;
        first.extend(further);
        self.fine(observation, &searched, &first, network)
    }
}
