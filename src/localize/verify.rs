//! `fine`: places refined and verified by matching.

use super::{Described, Localizer, Observation, Retrieved, VerifiedPlace};
use crate::coarse::Place;
use crate::coarse::refine::refine;
use crate::fine::consensus::ConsensusSettings;
use crate::fine::{ViewField, agreement, consensus, guided_matches};
use crate::localize::CoarseMethod;
use crate::models::DenseExtractor;
use crate::types::AbstainReason;

/// Once a place has this many times the support of every other verified one, and so many are verified, the rest is not tried.
pub(super) const CLEAR_LEAD: f64 = 2.5;
const FEWEST_PLACES: usize = 5;
/// Support from which on a first round of matches is worth a second.
pub(super) const WORTH_A_LOOK: f64 = 0.25;
/// How far refining may move a place, cells of the refining level (two cells of the search level).
const REFINE_RADIUS: usize = 4;
/// The same of a place found at the refining level, by every second cell of the view.
pub(super) const EARLY_EXIT_RADIUS: usize = 1;
/// How far a match may lie from its prediction in the first and the second pass of fine matching, cells.
pub(super) const GUIDE_RADII: [usize; 2] = [6, 3];
/// What a view may still be off by in rotation and scale, beyond the spacing of the hypotheses.
const MAX_ROTATION_RAD: f64 = 0.26;
const MAX_LOG_SCALE: f64 = 0.2;
/// A match agrees within this distance, cells.
const TOLERANCE_CELLS: f64 = 1.5;

impl Localizer {
    /// Refines the places on the finer level and verifies them by fine matching; best first.
    ///
    /// # Errors
    /// When a view cannot be made, the network fails, or nothing was verified and nothing else is left to try.
    pub fn fine(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        places: &[Place],
        network: &mut dyn DenseExtractor,
    ) -> Result<Vec<VerifiedPlace>, AbstainReason> {
        if self.settings.coarse == CoarseMethod::Retrieval {
            return self.best_cell(observation, places);
        }
        let verified = self.verify(observation, &retrieved.views, places, REFINE_RADIUS, network)?;
        let over = verified.is_empty() && !self.may_fall_back(observation);
        if over { Err(observation.reason(AbstainReason::FewInliers)) } else { Ok(verified) }
    }

    /// Verifies places by fine matching; best first. `described` are the views by hypothesis, as far as they are made; `reach` is how far
    /// refining may move a place, cells of the refining level.
    pub(super) fn verify(
        &self,
        observation: &Observation,
        described: &[Described],
        places: &[Place],
        reach: usize,
        network: &mut dyn DenseExtractor,
    ) -> Result<Vec<VerifiedPlace>, AbstainReason> {
        let level = self.index.levels.get(observation.refine_level).ok_or(AbstainReason::NoCandidate)?;
        let mean = &level.model.projection.mean;
        // Of many views most are wrong. The middle tells which; the second pass sees the whole of the one that is right.
        let longest_px = self.longest_px(observation);
        let mut views: Vec<(usize, ViewField)> = Vec::new();
        let mut verified: Vec<VerifiedPlace> = Vec::new();
        for place in places {
            crate::progress::feed();
            if clearly_decided(&verified, self.settings.fix.min_support) {
                break;
            }
            let Some(grid) = self.index.grid(observation.refine_level, place.region) else { continue };
            let Some(hypothesis) = observation.hypotheses.get(place.hypothesis) else { continue };
            let known = views.iter().position(|v| v.0 == place.hypothesis);
            let at = match known {
                Some(at) => at,
                None => {
                    let computed;
                    let view = match described.get(place.hypothesis) {
                        Some(kept) => kept,
                        None => {
                            computed =
                                self.describe_within(observation, hypothesis, observation.refine_level, longest_px, network)?;
                            &computed
                        }
                    };
                    views.push((place.hypothesis, view.field(mean)));
                    views.len() - 1
                }
            };
            let (_, seen) = &views[at];
            let view = &seen.view;
            let (camera_m, radius) = if self.settings.coarse == CoarseMethod::None {
                (place.camera_m, self.reach_of_cell(observation))
            } else {
                let (row, column) = grid.grid_from_ground(place.camera_m[0] + view.west_m, place.camera_m[1] + view.north_m);
                let Some(refined) = refine(&seen.field, grid, mean, (row, column), reach, 1) else { continue };
                let (e, n) = grid.ground_from_grid(refined.row, refined.column);
                ([e - view.west_m, n - view.north_m], GUIDE_RADII[0])
            };
            let matches = guided_matches(seen, grid, mean, camera_m, radius);
            let settings = self.consensus_settings(observation, grid.cell_m);
            if let Some(consensus) = consensus(&matches, seen.keypoints(), &settings) {
                let agreement = agreement(seen, &matches, &consensus, radius);
                let place = Place { camera_m, ..*place };
                verified.push(VerifiedPlace { place, view: *hypothesis, matches, consensus, agreement });
            }
        }
        // The order is total: equal supports keep the order of the places.
        verified.sort_by(|a, b| b.consensus.support.total_cmp(&a.consensus.support));
        Ok(verified)
    }

    pub(super) fn consensus_settings(&self, observation: &Observation, cell_m: f64) -> ConsensusSettings {
        ConsensusSettings {
            max_rotation_rad: MAX_ROTATION_RAD,
            max_log_scale: MAX_LOG_SCALE,
            tolerance_m: TOLERANCE_CELLS * cell_m,
            seed: observation.frame.ordinal,
        }
    }
}

/// Whether the best of the verified places leads so clearly that others need not be tried.
fn clearly_decided(verified: &[VerifiedPlace], min_support: f64) -> bool {
    if verified.len() < FEWEST_PLACES {
        return false;
    }
    let mut supports: Vec<f64> = verified.iter().map(|v| v.consensus.support).collect();
    supports.sort_by(|a, b| b.total_cmp(a));
    matches!(supports[..], [best, next, ..] if best > CLEAR_LEAD * next && best > min_support)
}
