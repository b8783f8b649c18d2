//! Thinning: fewer frames by their stamps alone.

use crate::time::NANOS_PER_SEC;

/// Containers round stamps to a millisecond: a frame this much early still counts as one at its mark.
const ROUNDING_NS: f64 = 1e6;

/// Keeps the first frame at or after each k/rate seconds since the first frame; a frame up to a millisecond early counts as on time.
///
/// What is kept depends on the stamps alone, so it is the same at every replay, and holds for a variable frame rate.
#[derive(Clone, Debug)]
pub struct Thinner {
    rate_hz: Option<f64>,
    first_ns: Option<i64>,
    next_mark: f64,
}

impl Thinner {
    /// Frames a second to keep; `None` keeps all.
    pub fn new(rate_hz: Option<f64>) -> Self {
        Self { rate_hz, first_ns: None, next_mark: 0.0 }
    }

    /// Whether the frame of this stamp is kept. Stamps come in increasing order.
    pub fn keep(&mut self, stamp_ns: i64) -> bool {
        let Some(rate_hz) = self.rate_hz else { return true };
        let since_ns = stamp_ns.saturating_sub(*self.first_ns.get_or_insert(stamp_ns)) as f64;
        let period_ns = NANOS_PER_SEC as f64 / rate_hz;
        let slack_ns = ROUNDING_NS.min(period_ns / 4.0);
        let mark = ((since_ns + slack_ns) / period_ns).floor();
        let keep = mark >= self.next_mark;
        if keep {
            self.next_mark = mark + 1.0;
        }
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(rate_hz: f64, stamps_ns: &[i64]) -> Vec<i64> {
        let mut thinner = Thinner::new(Some(rate_hz));
        stamps_ns.iter().copied().filter(|s| thinner.keep(*s)).collect()
    }

    #[test]
    fn millisecond_rounding_does_not_shift_the_pattern() {
        let stamps: Vec<i64> = (0..91).map(|i| (i as f64 / 30.0 * 1e3).round() as i64 * 1_000_000).collect();
        assert_eq!(kept(3.0, &stamps), [0, 333, 667, 1000, 1333, 1667, 2000, 2333, 2667, 3000].map(|ms| ms * 1_000_000));
    }

    #[test]
    fn a_slower_source_is_kept_whole() {
        let stamps = [40_000_000, 1_040_000_000, 5_000_000_000, 5_600_000_000];
        assert_eq!(kept(2.0, &stamps), stamps);
    }

    proptest! {
        /// The definition, mark by mark: of the frames not yet passed, the first one at or after the mark, unless it lies at or
        /// after a later mark, where it stands for that one.
        #[test]
        fn differential_thinning_equals_its_definition(
            gaps_us in prop::collection::vec(100i64..900_000, 1..60),
            start_us in 0i64..5_000_000,
            period_us in 4_000i64..700_000,
        ) {
            let mut t = start_us;
            let stamps: Vec<i64> = gaps_us.iter().map(|g| { t += g; t * 1000 }).collect();
            let rate_hz = 1e6 / period_us as f64;
            let mut expected: Vec<i64> = Vec::new();
            let mut mark_us = 0;
            let since_us = |s: i64| (s - stamps[0]) / 1000;
            while mark_us <= since_us(stamps[stamps.len() - 1]) + 1000 {
                let first = stamps.iter().find(|s| since_us(**s) + 1000 >= mark_us);
                expected.extend(first.filter(|s| expected.last() != Some(*s)).copied());
                mark_us += period_us;
            }
            // A frame that lies on a mark to the nanosecond may fall either way by rounding: keep such cases out.
            let on_a_mark = stamps.iter().any(|s| since_us(*s) > 0 && (since_us(*s) + 1000) % period_us == 0);
            prop_assume!(!on_a_mark);
            prop_assert_eq!(kept(rate_hz, &stamps), expected);
        }
    }
}
