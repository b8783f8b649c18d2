//! What speaks for a frame's best place, and whether that is enough for a fix.

use super::decide::PosedMatch;
use super::{Localizer, Observation, VerifiedPlace};
use crate::coarse::Place;
use crate::types::{AbstainReason, Evidence};

/// A lead beyond this says no more.
const MOST_LEAD: f64 = 10.0;
/// With less lead than this, another place is what speaks against it: the logarithm of 1.5.
const UNCLEAR_LEAD: f64 = 0.405;

impl Localizer {
    /// What speaks for a place that was matched, and for it in the coarse search; `margin` is how many times the support of the next place it has,
    /// `places` how many were verified. `None` where the place has no position.
    pub(super) fn evidence(
        &self,
        observation: &Observation,
        (first, coarse): (&VerifiedPlace, &Place),
        posed: &PosedMatch,
        margin: f64,
        places: usize,
    ) -> Option<Evidence> {
        let centre = self.index.geodetic(first.place.region as u32, posed.pose.centre_m.x, posed.pose.centre_m.y)?;
        let evidence = Evidence {
            centre,
            views: observation.hypotheses.len() as u32,
            places: places as u32,
            coarse: coarse.score,
            coarse_lead: coarse.lead,
            lead: margin.clamp(1e-3, MOST_LEAD).ln(),
            wide_support: first.consensus.support,
            wide: first.agreement,
            narrow_support: posed.consensus.support,
            narrow: posed.agreement,
            ground_sampling_distance_m: posed.cell_m / self.index.identity.stride_px as f64,
            p_wrong: 1.0,
        };
        Some(Evidence { p_wrong: self.settings.evidence.p_wrong(&evidence), ..evidence })
    }
}

impl Localizer {
    /// Whether enough speaks for a place; where it does not, whether another place does as well or the map shows none like it.
    pub(super) fn is_no_chance(&self, evidence: Option<&Evidence>) -> Result<(), AbstainReason> {
        let evidence = evidence.ok_or(AbstainReason::Failed)?;
        if evidence.p_wrong <= self.settings.evidence.max_p_wrong {
            return Ok(());
        }
        Err(if evidence.lead < UNCLEAR_LEAD { AbstainReason::Ambiguous } else { AbstainReason::NotOnMap })
    }
}
