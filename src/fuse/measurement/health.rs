//! Innovations of a source over time: how large they are, and whether they lie to one side.

use crate::fuse::update::{MOST, Seen};
use crate::types::SourceHealth;

/// What a measurement counts when the next has come.
const KEPT: f64 = 0.9;
/// So many measurements, older ones counting less, are enough to judge by.
const ENOUGH: f64 = 4.0;
/// A single measurement counts as no more than so far off, squared and over its dimensions: one that is wild tells of itself only.
const MOST_NIS: f64 = 25.0;
/// Doubtful from here on: squared distances over the dimensions (two sigma on average), and the length of the mean innovation;
const DOUBTFUL: (f64, f64) = (4.0, 1.5);
/// no more so below this.
const TRUSTED: (f64, f64) = (2.5, 1.0);

/// Sums over the measurements so far, older ones counting less.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Health {
    count: f64,
    nis: f64,
    whitened: [f64; MOST],
}

impl Health {
    /// Takes note of a measurement.
    pub fn note(&mut self, seen: &Seen, dimensions: usize) {
        let nis = seen.nis / dimensions as f64;
        // A wild measurement keeps its direction.
        let scale = (MOST_NIS / nis).sqrt().min(1.0);
        self.count = self.count * KEPT + 1.0;
        self.nis = self.nis * KEPT + nis.min(MOST_NIS);
        for (sum, whitened) in self.whitened.iter_mut().zip(seen.whitened) {
            *sum = *sum * KEPT + whitened * scale;
        }
    }

    /// Mean squared distance over the dimensions, and length of the mean innovation.
    pub fn told(&self) -> SourceHealth {
        if self.count == 0.0 {
            return SourceHealth::default();
        }
        let trend = self.whitened.iter().map(|w| (w / self.count).powi(2)).sum::<f64>().sqrt();
        SourceHealth { nis: self.nis / self.count, trend }
    }

    /// Whether the source is doubtful, if it was so before or not.
    pub fn is_doubtful(&self, was: bool) -> bool {
        let SourceHealth { nis, trend } = self.told();
        let (most_nis, most_trend) = if was { TRUSTED } else { DOUBTFUL };
        self.count >= ENOUGH && (nis > most_nis || trend > most_trend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(innovations: impl IntoIterator<Item = f64>) -> (Health, bool) {
        let (mut health, mut doubtful) = (Health::default(), false);
        for innovation in innovations {
            let mut whitened = [0.0; MOST];
            whitened[0] = innovation;
            health.note(&Seen { nis: innovation * innovation, log_determinant: 0.0, whitened }, 1);
            doubtful = health.is_doubtful(doubtful);
        }
        (health, doubtful)
    }

    #[test]
    fn a_source_as_good_as_it_says_is_trusted_and_one_that_is_off_to_one_side_or_wild_is_not() {
        let even = |k: i32| if k % 2 == 0 { 1.0 } else { -1.0 };
        let (health, doubtful) = after((0..50).map(even));
        assert!(!doubtful && (health.told().nis - 1.0).abs() < 1e-9 && health.told().trend < 0.1);
        assert!(after((0..30).map(|_| 1.8)).1, "a bias is less than a gate, and has one sign");
        assert!(after((0..30).map(|k| 3.0 * even(k))).1);
        assert!(!after([100.0, 1.0]).1, "too few");
        let wild = (0..30).map(|k| if k == 20 { 1e6 } else { even(k) });
        assert!(!after(wild).1, "a single one is no trend");
    }

    #[test]
    fn doubt_passes_once_the_source_agrees_for_a_while() {
        let innovations = (0..20).map(|_| 3.0).chain((0..30).map(|k| if k % 2 == 0 { 1.0 } else { -1.0 }));
        assert!(!after(innovations).1);
    }
}
