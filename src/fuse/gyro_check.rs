//! Gyroscopes against what others tell of attitude or heading: by how much the aircraft turned, which is told far better than how it lies.
//!
//! An attitude, or a heading, of an autopilot shares its error from sample to sample; the turn between two of them does not. So a turn by
//! the gyroscopes that is not the one told speaks against one of the two, whatever the filter believes.

use std::collections::VecDeque;

use nalgebra::{UnitQuaternion, Vector3};

use crate::geo::{heading_pitch_roll, turn_between};
use crate::time::{NANOS_PER_SEC, seconds_between};
use crate::types::ImuSample;

/// Turns are compared over about this long: over twice the interval at which they are.
const BASELINE_NS: i64 = NANOS_PER_SEC;
/// Comparisons lie at least this far apart: their errors would be shared otherwise.
const APART_NS: i64 = 2 * NANOS_PER_SEC / 5;
/// Without a sample for so long the turn is not known, seconds.
const GAP_S: f64 = 0.1;
/// What stamps and lags of an attitude add to the error of a turn, 1 sigma an axis, radians.
const SLACK_RAD: f64 = 0.02;
/// What gyroscopes that fail may be off by, 1 sigma an axis, rad/√s: as much as an aircraft turns of which nothing is known.
const FAILED_RAD: f64 = 0.3;

/// What is told of how the aircraft lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ToldAttitude {
    /// An attitude, and its 1 sigma an axis, radians.
    Attitude(UnitQuaternion<f64>, f64),
    /// A heading, radians, and its 1 sigma, and the attitude that the filter believes.
    Heading(f64, f64, UnitQuaternion<f64>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    stamp_ns: i64,
    told: ToldAttitude,
    turned: UnitQuaternion<f64>,
}

/// The turn by the gyroscopes, and what was told of it.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct GyroCheck {
    /// The turn since some time ago.
    turned: UnitQuaternion<f64>,
    last_ns: Option<i64>,
    /// At what stamp the turn is asked for, and the turn there.
    asked_ns: Option<i64>,
    there: Option<UnitQuaternion<f64>>,
    entries: VecDeque<Entry>,
}

impl GyroCheck {
    /// Will be asked for the turn at a stamp that no sample has passed yet.
    pub fn ask(&mut self, stamp_ns: i64) {
        (self.asked_ns, self.there) = (Some(stamp_ns), None);
    }

    /// Turns on with a sample; `bias_rad_s` is what is known of the gyroscopes' bias.
    pub fn turn(&mut self, sample: &ImuSample, bias_rad_s: &Vector3<f64>) {
        let rate = sample.gyro_rad_s - bias_rad_s;
        let Some(last_ns) = self.last_ns.replace(sample.stamp_ns) else { return };
        let dt_s = seconds_between(last_ns, sample.stamp_ns);
        if !(0.0..=GAP_S).contains(&dt_s) {
            self.entries.clear();
            return;
        }
        if let Some(asked_ns) = self.asked_ns.filter(|asked_ns| *asked_ns <= sample.stamp_ns) {
            let part_s = seconds_between(last_ns, asked_ns).max(0.0);
            self.there = Some(self.turned * UnitQuaternion::from_scaled_axis(rate * part_s));
            self.asked_ns = None;
        }
        self.turned = UnitQuaternion::new_normalize((self.turned * UnitQuaternion::from_scaled_axis(rate * dt_s)).into_inner());
    }

    /// Compares what is told at a stamp with what was told about a second ago. The logarithm of how many times likelier the difference is if
    /// the gyroscopes fail; `None` where there is nothing to compare.
    pub fn compare(&mut self, stamp_ns: i64, told: ToldAttitude) -> Option<f64> {
        let turned = self.there.take().unwrap_or(self.turned);
        self.asked_ns = None;
        let known = self.last_ns.is_some_and(|last_ns| seconds_between(last_ns, stamp_ns) <= GAP_S);
        if !known {
            self.entries.clear();
            return None;
        }
        if self.entries.back().is_some_and(|e| stamp_ns.saturating_sub(e.stamp_ns) < APART_NS) {
            return None;
        }
        let now = Entry { stamp_ns, told, turned };
        while self.entries.len() > 1
            && self.entries.front().is_some_and(|e| stamp_ns.saturating_sub(e.stamp_ns) > BASELINE_NS + APART_NS / 2)
        {
            self.entries.pop_front();
        }
        let evidence = self.entries.front().and_then(|then| against(then, &now));
        self.entries.push_back(now);
        evidence
    }
}

/// The evidence of a turn against the gyroscopes.
fn against(then: &Entry, now: &Entry) -> Option<f64> {
    let turn = then.turned.inverse() * now.turned;
    let (off_squared, dimensions, told_variance) = match (then.told, now.told) {
        (ToldAttitude::Attitude(a, sigma_a), ToldAttitude::Attitude(b, sigma_b)) => {
            let off = ((a * turn).inverse() * b).scaled_axis();
            (off.norm_squared(), 3.0, sigma_a * sigma_a + sigma_b * sigma_b)
        }
        (ToldAttitude::Heading(a, sigma_a, believed), ToldAttitude::Heading(b, sigma_b, _)) => {
            let by_gyro = heading_pitch_roll(&(believed * turn)).0 - heading_pitch_roll(&believed).0;
            let off = turn_between(by_gyro, b - a);
            (off * off, 1.0, sigma_a * sigma_a + sigma_b * sigma_b)
        }
        _ => return None,
    };
    let good = told_variance + SLACK_RAD * SLACK_RAD;
    let failed = good + FAILED_RAD * FAILED_RAD * seconds_between(then.stamp_ns, now.stamp_ns).max(0.0);
    Some(0.5 * (off_squared / good - off_squared / failed) - 0.5 * dimensions * (failed / good).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence of each half second of an aircraft that turns, by gyroscopes that are so far off.
    fn evidence(off_rad_s: f64, attitude: bool, glitch: Option<i64>) -> Vec<f64> {
        let mut check = GyroCheck::default();
        let rate = Vector3::new(0.02, -0.03, 0.3);
        let truth = |stamp_ns: i64| UnitQuaternion::from_scaled_axis(rate * (stamp_ns as f64 / 1e9));
        let mut found = Vec::new();
        for half in 0..8 {
            let until_ns = (half + 1) * NANOS_PER_SEC / 2;
            // The attitude is some milliseconds older than the frame.
            let told_ns = until_ns - 30_000_000;
            check.ask(told_ns);
            for k in 1..=100 {
                let stamp_ns = half * NANOS_PER_SEC / 2 + k * NANOS_PER_SEC / 200;
                let gyro_rad_s = rate + Vector3::new(0.0, 0.0, off_rad_s);
                check.turn(&ImuSample { stamp_ns, gyro_rad_s, accel_m_s2: Vector3::zeros() }, &Vector3::zeros());
            }
            let off = if glitch == Some(half) {
                UnitQuaternion::from_scaled_axis(Vector3::x() * 0.5)
            } else {
                UnitQuaternion::identity()
            };
            let told = if attitude {
                ToldAttitude::Attitude(truth(told_ns) * off, 0.0122)
            } else {
                ToldAttitude::Heading(heading_pitch_roll(&truth(told_ns)).0, 0.035, truth(told_ns))
            };
            found.extend(check.compare(told_ns, told));
        }
        found
    }

    #[test]
    fn right_gyroscopes_have_evidence_for_them_and_failing_ones_against_them() {
        for attitude in [true, false] {
            assert!(evidence(0.0, attitude, None).iter().all(|e| *e < -0.5), "{attitude}");
            assert!(evidence(0.5, attitude, None).iter().all(|e| *e > 3.0), "{attitude}");
        }
        assert_eq!(evidence(0.0, true, None).len(), 7);
    }

    #[test]
    fn a_single_attitude_that_is_off_does_not_speak_against_the_gyroscopes_twice_in_a_row() {
        let found = evidence(0.0, true, Some(3));
        assert!(found.windows(2).all(|w| w[0] < 0.0 || w[1] < 0.0), "{found:?}");
    }
}
