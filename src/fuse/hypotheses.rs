//! Places that fixes speak for while the filter does not follow them: carried side by side until one has won.
//!
//! Wrong places agree with each other, too: rows of the same houses, fields of the same crop. Each hypothesis is a run of fixes that agree
//! with how the filter moved between them. It speaks by how many of the latest fixes are its own, against each rival, and by how far the
//! aircraft has come or how long it has taken meanwhile: a pattern of the ground repeats over some tens of metres only.

use std::collections::VecDeque;

use nalgebra::{Matrix2, Vector2};

use crate::time::seconds_between;

/// The latest fixes count, this many times those that are demanded: older ones are forgotten, so that a wrong place that went on for long
/// does not hold up the right one.
const WINDOW: usize = 2;
/// So many places at most; the one seen longest ago gives way.
const CARRIED: usize = 8;
/// The filter rules out what lies beyond this squared Mahalanobis distance: 99.9 % of a chi-squared distribution of two dimensions.
pub(super) const POSSIBLE: f64 = 13.8;
/// Fixes of the window that a hypothesis has to be ahead of each rival.
const LEAD: usize = 2;

/// A fix, as seen from the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sighting {
    pub stamp_ns: i64,
    /// Where it is in the filter's plane, metres east and north.
    pub en_m: Vector2<f64>,
    /// How far it lay from where the filter was, metres east and north.
    pub off_m: Vector2<f64>,
    /// Trace of its covariance, m².
    pub variance_m2: f64,
    /// Squared Mahalanobis distance from where the filter was.
    pub distance_squared: f64,
}

/// What has to be seen of a place before it is believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Demand {
    /// Fixes among the latest.
    pub fixes: usize,
    /// The aircraft has come so far meanwhile, metres,
    pub spread_m: f64,
    /// or so much time has gone by, seconds.
    pub span_s: f64,
}

/// What speaks for a place where nothing speaks against it, besides enough fixes.
pub(super) const NEAR: Demand = Demand { fixes: 0, spread_m: 15.0, span_s: 2.0 };

/// A place and what speaks for it.
#[derive(Clone, Debug, PartialEq)]
struct Hypothesis {
    first: Sighting,
    last: Sighting,
    /// Where the fix before the last lay, from the filter, metres east and north.
    before_last_m: Option<Vector2<f64>>,
    spread_m: f64,
    /// Ordinals of its fixes in the window.
    seen: VecDeque<u64>,
    /// Whether the filter ruled it out when one of its fixes came.
    ruled_out: bool,
}

impl Hypothesis {
    fn new(sighting: Sighting, ordinal: u64) -> Self {
        let ruled_out = sighting.distance_squared > POSSIBLE;
        Self { first: sighting, last: sighting, before_last_m: None, spread_m: 0.0, seen: VecDeque::from([ordinal]), ruled_out }
    }

    fn add(&mut self, sighting: Sighting, ordinal: u64) {
        self.spread_m = self.spread_m.max((sighting.en_m - self.first.en_m).norm());
        self.before_last_m = Some(self.last.off_m);
        self.last = sighting;
        self.ruled_out |= sighting.distance_squared > POSSIBLE;
        self.seen.push_back(ordinal);
    }

    fn meets(&self, demand: &Demand) -> bool {
        let (far, long) = self.reaches(demand);
        self.seen.len() >= demand.fixes && (far || long)
    }

    fn reaches(&self, demand: &Demand) -> (bool, bool) {
        let span_s = seconds_between(self.first.stamp_ns, self.last.stamp_ns);
        (self.spread_m >= demand.spread_m, span_s >= demand.span_s)
    }
}

/// All of them; the last is the one of the latest fix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hypotheses {
    window: u64,
    carried: Vec<Hypothesis>,
    /// What the filter itself follows, while that has not been confirmed.
    own: Option<Hypothesis>,
    ordinal: u64,
}

impl Hypotheses {
    /// None yet, of which some will be asked for so many fixes.
    pub fn new(fixes: usize) -> Self {
        Self { window: (WINDOW * fixes.max(LEAD)) as u64, carried: Vec::new(), own: None, ordinal: 0 }
    }

    fn next(&mut self) -> u64 {
        self.ordinal += 1;
        let oldest = (self.ordinal + 1).saturating_sub(self.window);
        for hypothesis in self.carried.iter_mut().chain(&mut self.own) {
            hypothesis.seen.retain(|&ordinal| ordinal >= oldest);
        }
        self.carried.retain(|h| !h.seen.is_empty());
        self.ordinal
    }

    /// Takes a fix that the filter does not follow. `speed_m_s`: how far off the filter's own motion may be.
    pub fn take(&mut self, sighting: Sighting, speed_m_s: f64) {
        let ordinal = self.next();
        let distance = |h: &Hypothesis| (sighting.off_m - h.last.off_m).norm();
        let agrees = |h: &Hypothesis| {
            let apart_s = seconds_between(h.last.stamp_ns, sighting.stamp_ns).abs();
            agree(distance(h), apart_s, speed_m_s, sighting.variance_m2 + h.last.variance_m2)
        };
        let nearest = (0..self.carried.len())
            .filter(|&i| agrees(&self.carried[i]))
            .min_by(|&a, &b| distance(&self.carried[a]).total_cmp(&distance(&self.carried[b])));
        let hypothesis = match nearest {
            Some(at) => {
                let mut hypothesis = self.carried.remove(at);
                hypothesis.add(sighting, ordinal);
                hypothesis
            }
            None => Hypothesis::new(sighting, ordinal),
        };
        self.carried.push(hypothesis);
        let surplus = self.carried.len().saturating_sub(CARRIED);
        self.carried.drain(..surplus);
    }

    /// Takes a fix that the filter followed before it was confirmed.
    pub fn follow(&mut self, sighting: Sighting) {
        let ordinal = self.next();
        match &mut self.own {
            Some(own) => own.add(sighting, ordinal),
            None => self.own = Some(Hypothesis::new(sighting, ordinal)),
        }
    }

    /// Whether the place of the latest fix that was not followed has won.
    pub fn won(&self, demand: &Demand) -> bool {
        let Some((latest, others)) = self.carried.split_last() else { return false };
        let rival = others.iter().chain(&self.own).map(|h| h.seen.len()).max().unwrap_or(0);
        latest.meets(demand) && leads(latest, rival)
    }

    /// Whether the place of the latest fix that was not followed has won over both the way and the time that are demanded: nothing on the ground
    /// repeats for so long along a way.
    pub fn lasts(&self, demand: &Demand) -> bool {
        self.won(demand) && self.carried.last().is_some_and(|latest| latest.reaches(demand) == (true, true))
    }

    /// Whether what the filter follows has won.
    pub fn own_won(&self, demand: &Demand) -> bool {
        let rival = self.carried.iter().map(|h| h.seen.len()).max().unwrap_or(0);
        self.own.as_ref().is_some_and(|own| own.meets(demand) && leads(own, rival))
    }

    /// Whether any place speaks against the filter's.
    pub fn is_opposed(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Whether the place of the latest fix had been seen so many times before, and that fix lies nearer to it than to the filter.
    pub fn goes_on(&self, fixes: usize) -> bool {
        let nearer = |h: &Hypothesis| h.before_last_m.is_some_and(|b| (h.last.off_m - b).norm() < h.last.off_m.norm());
        self.carried.last().is_some_and(|latest| latest.seen.len() > fixes && nearer(latest))
    }

    /// Whether the place of the latest fix is one that the filter once ruled out.
    pub fn was_ruled_out(&self) -> bool {
        self.carried.last().is_some_and(|latest| latest.ruled_out)
    }

    /// Carries them to another plane: places by a function, differences by a turn.
    pub fn carry(&mut self, across: impl Fn(Vector2<f64>) -> Vector2<f64>, turn: &Matrix2<f64>) {
        for hypothesis in self.carried.iter_mut().chain(&mut self.own) {
            for sighting in [&mut hypothesis.first, &mut hypothesis.last] {
                sighting.en_m = across(sighting.en_m);
                sighting.off_m = turn * sighting.off_m;
            }
            hypothesis.before_last_m = hypothesis.before_last_m.map(|before| turn * before);
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.carried.clear();
        self.own = None;
    }
}

/// Whether two places that lie so far apart, as seen from the filter, may be one: three sigma of their errors, and what the filter itself
/// may have drifted meanwhile.
pub(super) fn agree(apart_m: f64, apart_s: f64, speed_m_s: f64, variance_m2: f64) -> bool {
    apart_m <= speed_m_s * apart_s + 3.0 * variance_m2.sqrt()
}

fn leads(hypothesis: &Hypothesis, rival: usize) -> bool {
    rival == 0 || hypothesis.seen.len() >= rival + LEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::nanos_from_seconds;

    const DEMAND: Demand = Demand { fixes: 3, spread_m: 15.0, span_s: 2.0 };

    /// A fix at half-second number `k` of an aircraft that flies east at 12 m/s, so far north of where the filter is.
    fn sighting(k: usize, off_n_m: f64) -> Sighting {
        let off_m = Vector2::new(0.0, off_n_m);
        let t_s = 0.5 * k as f64;
        Sighting {
            stamp_ns: nanos_from_seconds(t_s),
            en_m: Vector2::new(12.0 * t_s, 0.0) + off_m,
            off_m,
            variance_m2: 32.0,
            distance_squared: 9.0,
        }
    }

    fn after(offs_m: &[f64]) -> Hypotheses {
        let mut all = Hypotheses::new(3);
        for (k, off) in offs_m.iter().enumerate() {
            all.take(sighting(k, *off), 3.0);
        }
        all
    }

    #[test]
    fn several_fixes_that_agree_win_once_the_aircraft_has_moved_on() {
        assert!(!after(&[80.0; 3]).won(&DEMAND));
        assert!(after(&[80.0; 4]).won(&DEMAND));
        let mut hovering = Hypotheses::new(3);
        for k in 0..5 {
            assert!(!hovering.won(&DEMAND));
            hovering.take(Sighting { en_m: Vector2::zeros(), ..sighting(k, 0.0) }, 3.0);
        }
        assert!(hovering.won(&DEMAND));
    }

    #[test]
    fn what_lasts_over_a_way_and_a_time_outlasts_a_sure_filter_and_what_hovers_does_not() {
        let demand = Demand { fixes: 3, spread_m: 100.0, span_s: 20.0 };
        assert!(!after(&[80.0; 20]).lasts(&demand) && after(&[80.0; 45]).lasts(&demand));
        let mut hovering = Hypotheses::new(3);
        for k in 0..400 {
            hovering.take(Sighting { en_m: Vector2::zeros(), ..sighting(k, 0.0) }, 3.0);
        }
        assert!(!hovering.lasts(&demand));
    }

    #[test]
    fn fixes_all_over_the_map_never_win() {
        let mut all = Hypotheses::new(3);
        for k in 0..200 {
            all.take(sighting(k, 100.0 * (k * 7 % 23) as f64), 3.0);
            assert!(!all.won(&DEMAND) && all.carried.len() <= CARRIED);
        }
    }

    #[test]
    fn a_wrong_place_between_holds_up_the_right_one_but_does_not_end_it() {
        assert!(after(&[0.0, 300.0, 0.0, 0.0, 0.0]).won(&DEMAND));
        // Side by side, neither leads.
        assert!(!after(&[0.0, 300.0, 0.0, 300.0, 0.0, 300.0, 0.0]).won(&DEMAND));
    }

    #[test]
    fn a_wrong_place_that_went_on_for_long_is_overtaken_within_the_window() {
        let mut offs = vec![300.0; 40];
        offs.extend([0.0; 4]);
        assert!(after(&offs).won(&DEMAND));
    }

    #[test]
    fn a_place_that_stands_still_while_the_filter_moves_gathers_nothing() {
        let mut all = Hypotheses::new(3);
        for k in 0..40 {
            let t_s = 4.0 * k as f64;
            let still = Sighting { off_m: Vector2::new(-12.0 * t_s, 90.0), ..sighting(8 * k, 0.0) };
            all.take(still, 3.0);
            assert!(!all.won(&DEMAND));
        }
    }

    #[test]
    fn what_the_filter_follows_is_confirmed_like_any_other_and_opposed_by_them() {
        let mut all = Hypotheses::new(3);
        all.follow(sighting(0, 0.0));
        assert!(!all.is_opposed());
        for k in 1..5 {
            all.take(sighting(k, 400.0), 3.0);
        }
        assert!(all.is_opposed() && all.won(&DEMAND) && !all.own_won(&DEMAND));
        let mut all = Hypotheses::new(3);
        for k in 0..4 {
            all.follow(sighting(k, 0.0));
        }
        assert!(all.own_won(&DEMAND));
    }
}
