//! Percentiles in bounded memory.

use hdrhistogram::Histogram;

/// Values are kept to a thousandth of themselves.
const DIGITS: u8 = 3;
/// The smallest step is a thousandth of the unit, the largest value a million units.
const STEPS: f64 = 1e3;
/// See [`STEPS`].
const LARGEST: f64 = 1e6;

/// How values of at least zero are spread: percentiles by nearest rank, to a thousandth of themselves or of the unit, whichever is more, in
/// memory that does not grow with their number. What is larger than a million counts as that.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// Nothing before the first value.
    histogram: Option<Histogram<u64>>,
}

impl Spread {
    /// Adds a value; what is no number is none.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        if self.histogram.is_none() {
            self.histogram = Histogram::new_with_bounds(1, (LARGEST * STEPS) as u64, DIGITS).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record((value.clamp(0.0, LARGEST) * STEPS).round() as u64);
        }
    }

    /// A percentile; nothing of no values.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let histogram = self.histogram.as_ref()?;
        let steps = histogram.value_at_quantile(percent / 100.0);
        // The middle of what it was rounded to.
        Some(histogram.median_equivalent(steps) as f64 / STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::percentile::percentile;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn differential_percentiles_are_those_of_all_values_to_a_thousandth(values in prop::collection::vec(0.0..1e5f64, 1..400)) {
            let mut spread = Spread::default();
            values.iter().for_each(|v| spread.add(*v));
            let mut ordered = values.clone();
            ordered.sort_by(f64::total_cmp);
            for percent in [50, 99] {
                let (exact, found) = (percentile(&ordered, percent).unwrap(), spread.percentile(percent as f64).unwrap());
                prop_assert!((found - exact).abs() <= (exact * 1e-3).max(1e-3), "{found} {exact}");
            }
        }
    }

    #[test]
    fn none_of_nothing_and_no_number_counts_for_nothing() {
        let mut spread = Spread::default();
        assert_eq!(spread.percentile(50.0), None);
        spread.add(f64::NAN);
        assert_eq!(spread.percentile(50.0), None);
        [f64::INFINITY, -1.0, 0.0].into_iter().for_each(|v| spread.add(v));
        assert_eq!(spread.percentile(50.0), Some(0.0));
        assert!((spread.percentile(100.0).unwrap() - 1e6).abs() < 1e3);
    }
}
