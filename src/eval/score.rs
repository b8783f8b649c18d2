//! Scores of a flight against its truth, as the paper and its followers count them, with every frame in the denominator.

use serde::Serialize;

use crate::geo::{EnuPlane, Geodetic};
use crate::math::percentile::percentile;

/// Errors of positions against truth.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Score {
    /// Frames with truth.
    pub frames: usize,
    /// Of these, with a position.
    pub with_position: usize,
    /// Share under 25 m: the paper's success.
    pub success_25m: f64,
    /// Share under 5 m.
    pub success_5m: f64,
    /// Positions wrong by more than 50 m: the paper's drift.
    pub wrong_50m: usize,
    /// Percentiles of the error over all frames, metres; `None` is "infinite": no position.
    pub p50_m: Option<f64>,
    /// See `p50_m`.
    pub p90_m: Option<f64>,
    /// See `p50_m`.
    pub p99_m: Option<f64>,
    /// Mean error of positions within 50 m, metres.
    pub mean_near_m: Option<f64>,
    /// Share of positions inside 1, 2 and 3 sigma; for a Gaussian in two dimensions 0.393, 0.865, 0.989.
    pub inside_sigma: Option<[f64; 3]>,
}

/// Collects errors frame by frame.
#[derive(Clone, Debug, Default)]
pub struct Scorer {
    errors_m: Vec<f64>,
    mahalanobis_squared: Vec<f64>,
}

impl Scorer {
    /// A frame with truth; `position` is what was found, with its horizontal covariance (m²) where there is one.
    pub fn add(&mut self, truth: Geodetic, position: Option<(Geodetic, Option<nalgebra::Matrix2<f64>>)>) {
        let Some((found, covariance)) = position else {
            self.errors_m.push(f64::INFINITY);
            return;
        };
        let error = EnuPlane::at(Geodetic { alt_m: 0.0, ..truth }).ground_from_lat_lon(found.lat_deg, found.lon_deg);
        self.errors_m.push(error.e_m.hypot(error.n_m));
        if let Some(inverse) = covariance.and_then(|c| c.try_inverse()) {
            let d = nalgebra::Vector2::new(error.e_m, error.n_m);
            self.mahalanobis_squared.push((d.transpose() * inverse * d)[(0, 0)]);
        }
    }

    /// The score; `None` without a single frame with truth.
    pub fn score(&self) -> Option<Score> {
        if self.errors_m.is_empty() {
            return None;
        }
        let mut errors = self.errors_m.clone();
        errors.sort_by(f64::total_cmp);
        let n = errors.len() as f64;
        let share = |limit: f64| errors.iter().filter(|e| **e < limit).count() as f64 / n;
        let finite = |percent| percentile(&errors, percent).filter(|e: &f64| e.is_finite());
        let near: Vec<f64> = errors.iter().copied().filter(|e| *e <= 50.0).collect();
        let inside = |k: f64| {
            let inside = self.mahalanobis_squared.iter().filter(|m| **m <= k * k).count();
            inside as f64 / self.mahalanobis_squared.len() as f64
        };
        Some(Score {
            frames: errors.len(),
            with_position: errors.iter().filter(|e| e.is_finite()).count(),
            success_25m: share(25.0),
            success_5m: share(5.0),
            wrong_50m: errors.iter().filter(|e| e.is_finite() && **e > 50.0).count(),
            p50_m: finite(50),
            p90_m: finite(90),
            p99_m: finite(99),
            mean_near_m: (!near.is_empty()).then(|| near.iter().sum::<f64>() / near.len() as f64),
            inside_sigma: (!self.mahalanobis_squared.is_empty()).then(|| [inside(1.0), inside(2.0), inside(3.0)]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_a_position_counts_as_a_failure() {
        let truth = Geodetic::ground(47.0, 8.0);
        let at = |e: f64| {
            let (lat, lon) = EnuPlane::at(truth).lat_lon_from_ground(e, 0.0);
            Some((Geodetic::ground(lat, lon), Some(nalgebra::Matrix2::identity() * 100.0)))
        };
        let mut scorer = Scorer::default();
        for position in [at(3.0), at(20.0), at(60.0), None] {
            scorer.add(truth, position);
        }
        let score = scorer.score().unwrap();
        assert_eq!((score.frames, score.with_position, score.wrong_50m), (4, 3, 1));
        assert_eq!((score.success_25m, score.success_5m), (0.5, 0.25));
        assert!((score.p50_m.unwrap() - 20.0).abs() < 1e-3);
        assert_eq!(score.p99_m, None);
        assert_eq!(score.inside_sigma, Some([1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]));
    }
}
