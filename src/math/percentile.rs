//! Percentiles by nearest rank: always one of the values, never between two.

/// Position, from 0, of the nearest-rank percentile among `count` values in order; `None` of none.
pub fn nearest_rank(count: u64, percent: u64) -> Option<u64> {
    (count > 0).then(|| percent.saturating_mul(count).div_ceil(100).clamp(1, count) - 1)
}

/// The nearest-rank percentile of values in ascending order.
pub fn percentile<T: Copy>(ordered: &[T], percent: u64) -> Option<T> {
    let rank = nearest_rank(ordered.len() as u64, percent)?;
    ordered.get(usize::try_from(rank).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() {
        let values: Vec<u64> = (1..=10).collect();
        let of = |percent| percentile(&values, percent);
        assert_eq!([0, 1, 10, 11, 50, 90, 99, 100].map(of), [1, 1, 1, 2, 5, 9, 10, 10].map(Some));
        assert_eq!(percentile(&[7], 1), Some(7));
        assert_eq!(percentile::<u64>(&[], 50), None);
    }
}
