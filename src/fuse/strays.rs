//! GNSS that the filter refuses, again and again: when it is the filter that went astray.
//!
//! A filter may be sure of what is wrong: its samples were clipped in a pull-out, or it took positions that themselves were off. Then its
//! gate shuts out what is right, for as long as its sigma needs to grow. Positions that agree with each other end that, once three sigma
//! have passed a limit: until then the filter's own word counts for more.

use nalgebra::Vector3;

use super::hypotheses::agree;
use crate::time::seconds_between;

/// So many in a row have to agree.
const AGREEING: u32 = 3;

/// A refused position, as seen from the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stray {
    pub stamp_ns: i64,
    /// Off the filter, metres.
    pub off_m: Vector3<f64>,
    /// Variance of its horizontal error along the worst axis, m².
    pub variance_m2: f64,
}

/// By how much a filter has to doubt itself, 1 sigma along each axis, the same along both that are horizontal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Doubt {
    /// Metres.
    pub position_m: Vector3<f64>,
    /// m/s.
    pub velocity_m_s: Vector3<f64>,
}

/// The lengths of a vector along the ground and upwards, as 1 sigma an axis.
fn sigmas(off: Vector3<f64>) -> Vector3<f64> {
    let horizontal = off.xy().norm();
    Vector3::new(horizontal, horizontal, off.z.abs())
}

/// Refused positions in a row, each in agreement with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Strays {
    first: Option<Stray>,
    last: Option<Stray>,
    count: u32,
}

impl Strays {
    /// One was used: the filter is where they are.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a refused one; `speed_error_m_s` is how fast the filter may drift off. Tells whether enough agree, and what they say then.
    pub fn take(&mut self, stray: Stray, speed_error_m_s: f64) -> Option<Doubt> {
        let agrees = self.last.is_some_and(|last| {
            let apart_m = (stray.off_m - last.off_m).xy().norm();
            let passed_s = seconds_between(last.stamp_ns, stray.stamp_ns);
            agree(apart_m, passed_s, speed_error_m_s, stray.variance_m2 + last.variance_m2)
        });
        if !agrees {
            *self = Self { first: Some(stray), last: Some(stray), count: 1 };
            return None;
        }
        self.last = Some(stray);
        self.count += 1;
        let first = self.first.filter(|_| self.count >= AGREEING)?;
        let passed_s = seconds_between(first.stamp_ns, stray.stamp_ns);
        self.clear();
        Some(Doubt { position_m: sigmas(stray.off_m), velocity_m_s: sigmas((stray.off_m - first.off_m) / passed_s) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stray(second: i64, east_m: f64) -> Stray {
        Stray { stamp_ns: second * 1_000_000_000, off_m: Vector3::new(east_m, 0.0, 0.0), variance_m2: 1.0 }
    }

    #[test]
    fn three_that_agree_tell_how_far_off_the_filter_is_and_how_fast_it_drifts() {
        let mut strays = Strays::default();
        assert_eq!(strays.take(stray(0, 80.0), 2.0), None);
        assert_eq!(strays.take(stray(1, 84.0), 2.0), None);
        // Nothing tells against its height.
        let doubt = Doubt { position_m: Vector3::new(88.0, 88.0, 0.0), velocity_m_s: Vector3::new(4.0, 4.0, 0.0) };
        assert_eq!(strays.take(stray(2, 88.0), 2.0), Some(doubt));
        assert_eq!(strays.take(stray(3, 92.0), 2.0), None);
    }

    #[test]
    fn one_that_does_not_agree_or_is_used_begins_the_count_anew() {
        let mut strays = Strays::default();
        for (second, east_m) in [(0, 80.0), (1, 82.0), (2, 300.0), (3, 84.0), (4, 85.0)] {
            assert_eq!(strays.take(stray(second, east_m), 2.0), None, "{second}");
        }
        strays.clear();
        assert_eq!(strays.take(stray(5, 85.0), 2.0), None);
        assert_eq!(strays.take(stray(6, 85.0), 2.0), None);
        assert!(strays.take(stray(7, 85.0), 2.0).is_some());
    }
}
