//! From what speaks for a place to one number: the probability that it is wrong.
//!
//! A share of matches says little: of guided matches a tenth agrees with any place, and the best of a million places and of a hundred views has
//! more. What is weighed means the same whatever the size of the view and whatever was searched. How far the place leads the best other place, in
//! units of the spread that both have by chance: the runner-up is the best that this frame finds on ground that it does not show, so a frame that
//! resembles much, and a search of many views, has a strong one (meta-recognition, Scheirer et al. 2011); and the same of the coarse search. How
//! improbable so many agreeing blocks of the view are by chance. And how far the displacements of the matches peak in the worst quarters of the
//! view, in both rounds: ground that repeats itself, or is all one edge, has no peak. A logistic model makes them a probability.
//!
//! The weights are fitted by `scripts/calibrate.py` on flights that are no test (`docs/ACCEPTANCE.md`).

use crate::settings::{Bound, settings};
use crate::types::{Agreement, Evidence};

/// Share of blocks that agree by chance in the best of all places.
const CHANCE_OF_BLOCK: f64 = 0.1;
/// The model is never surer than this.
const LEAST: f64 = 1e-6;

settings! {
    /// From what speaks for a place to the probability that it is wrong: 1 / (1 + exp(sum of weights · terms)).
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct EvidenceSettings {
        /// A place that is more likely wrong than this gives no fix.
        key max_p_wrong: f64 = 0.06, Bound::Within(0.0, 1.0);
        /// The sum where nothing speaks for a place.
        key constant: f64 = -5.437, Bound::Any;
        /// Weight of the lead over the best other place, in standard deviations of a count of blocks that agree, -2 to 5.
        key lead: f64 = 2.239, Bound::AtLeast(0.0);
        /// Weight of the lead of the coarse search, -2 to 3 standard deviations of its score map.
        key coarse_lead: f64 = 1.502, Bound::AtLeast(0.0);
        /// Weight of the peak of the wide round's displacements in its two worst quarters, -1 to 2.
        key quarters: f64 = 0.161, Bound::AtLeast(0.0);
        /// The same of the narrow round.
        key narrow_quarters: f64 = 0.75, Bound::AtLeast(0.0);
        /// Weight of ln(1 + nats by which the blocks that agree exceed chance).
        key blocks: f64 = 0.441, Bound::AtLeast(0.0);
        /// What the logarithm of the number of views takes off. Not told by the fit, whose runner-ups are of as many views; kept for those with
        /// many more than were fitted on.
        key views: f64 = 0.2, Bound::AtLeast(0.0);
    }
}

impl EvidenceSettings {
    /// Probability that a place is wrong.
    pub fn p_wrong(&self, evidence: &Evidence) -> f64 {
        let weights = [self.lead, self.coarse_lead, self.quarters, self.narrow_quarters, self.blocks, -self.views];
        let sum = terms(evidence).iter().zip(weights).map(|(t, w)| t * w).sum::<f64>() + self.constant;
        let p = 1.0 / (1.0 + sum.exp());
        if p.is_finite() { p.clamp(LEAST, 1.0) } else { 1.0 }
    }
}

/// What the model weighs, in the order of its keys.
fn terms(e: &Evidence) -> [f64; 6] {
    let of_next = (-e.lead).exp();
    let blocks = f64::from(e.narrow.agreeing_blocks[1]);
    let lead = blocks * (1.0 - of_next) / (blocks * (1.0 + of_next) + 1.0).sqrt();
    let worst = |agreement: &Agreement| {
        let [first, second, ..] = agreement.quarter_peaks;
        ((first + second) / 2.0).clamp(-1.0, 2.0)
    };
    [
        lead.clamp(-2.0, 5.0),
        e.coarse_lead.clamp(-2.0, 3.0),
        worst(&e.wide),
        worst(&e.narrow),
        beyond_chance(e.narrow.agreeing_blocks[1], e.narrow.blocks, CHANCE_OF_BLOCK).ln_1p(),
        f64::from(e.views.max(1)).ln(),
    ]
}

/// How improbable it is, in nats, that `agreeing` or more of `all` agree when each does so with a probability of `chance`: Chernoff's bound of
/// the binomial tail, as in a-contrario matching (Moisan & Stival 2004).
fn beyond_chance(agreeing: u32, all: u32, chance: f64) -> f64 {
    let n = f64::from(all.max(1));
    let share = (f64::from(agreeing) / n).clamp(1e-9, 1.0 - 1e-9);
    if share <= chance {
        return 0.0;
    }
    n * (share * (share / chance).ln() + (1.0 - share) * ((1.0 - share) / (1.0 - chance)).ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Geodetic;

    fn evidence(agreement: Agreement) -> Evidence {
        Evidence {
            centre: Geodetic::ground(47.0, 11.0),
            views: 1,
            places: 5,
            coarse: 6.0,
            coarse_lead: 1.0,
            lead: 0.5,
            wide_support: 0.4,
            wide: agreement,
            narrow_support: 0.4,
            narrow: agreement,
            ground_sampling_distance_m: 0.3,
            p_wrong: 1.0,
        }
    }

    fn of(keypoints: u32, share: f64, peak: f64) -> Evidence {
        let (blocks, at) = (keypoints / 14, |s: f64| (f64::from(keypoints / 14) * s) as u32);
        let agreeing_blocks = [at(share * 1.3), at(share), at(share * 0.5)];
        let inliers = (f64::from(keypoints) * share) as u32;
        let quarter_peaks = [peak * 0.5, peak * 0.7, peak, peak];
        evidence(Agreement {
            keypoints,
            matches: inliers * 2,
            inliers,
            blocks,
            agreeing_blocks,
            peak,
            quarter_peaks,
            residual_cells: 0.5,
        })
    }

    #[test]
    fn the_same_share_of_more_is_worth_more_and_more_of_everything_never_less() {
        let model = EvidenceSettings { views: 0.1, ..EvidenceSettings::default() };
        let p = |e: &Evidence| model.p_wrong(e);
        assert!(p(&of(1200, 0.4, 1.5)) < p(&of(150, 0.4, 1.5)));
        let some = Evidence { wide_support: 0.2, ..of(600, 0.4, 1.0) };
        for better in
            [Evidence { lead: 1.0, ..some }, Evidence { coarse_lead: 2.0, ..some }, Evidence { wide_support: 0.3, ..some }]
        {
            assert!(p(&better) <= p(&some), "{better:?}");
        }
        assert!(p(&Evidence { views: 72, ..some }) >= p(&some));
        // A motorway: many blocks agree, and would as well with a shift along it.
        let no_peak = Agreement { quarter_peaks: [-1.0, -0.5, 0.5, 1.0], ..some.narrow };
        assert!(p(&Evidence { narrow: no_peak, ..some }) > p(&some));
    }

    #[test]
    fn chance_is_no_evidence_and_no_number_is_no_certainty() {
        assert_eq!(beyond_chance(10, 100, 0.1), 0.0);
        assert!((beyond_chance(30, 100, 0.1) - 15.37).abs() < 0.1);
        assert_eq!(beyond_chance(0, 0, 0.1), 0.0);
        let chance = Evidence { lead: 0.1, coarse_lead: 0.0, wide_support: 0.1, ..of(900, 0.2, 0.3) };
        assert!(EvidenceSettings::default().p_wrong(&chance) > 0.5);
        let model = EvidenceSettings { constant: f64::NAN, ..EvidenceSettings::default() };
        assert_eq!(model.p_wrong(&of(600, 0.4, 1.0)), 1.0);
    }
}
