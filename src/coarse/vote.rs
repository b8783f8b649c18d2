//! Where region matches say that the frame lies: a vote over translations, then a similarity on the supporters.
//!
//! The view is north-up and at about the map's scale, so each match alone implies a translation; the densest place of their
//! histogram is found without sampling. A small rotation and change of scale is then fitted by re-weighted least squares
//! (Umeyama 1991 in two dimensions) with a Gaussian prior around none, because a few quantised matches say little about it.

use crate::math::similarity::Similarity;
use crate::settings::{Bound, settings};

/// A match of a frame region with a map region in continuous region coordinates (row, column; a region's centre at .5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vote {
    /// In the frame.
    pub frame: [f64; 2],
    /// In the map's window.
    pub map: [f64; 2],
    /// How much it counts, positive.
    pub weight: f64,
}

settings! {
    /// What is known of the transform before. One and a half regions hold the quantisation of both grids (half a region each) and half a
    /// region of tilt and relief; the position of a match within its region is known to about a third; the spacing of the views leaves some
    /// 4° and 6 %.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct VoteSettings {
        /// A match this far from its prediction no longer counts, regions.
        key tolerance: f64 = 1.5, Bound::Positive;
        /// Standard deviation of a match's position, regions.
        key position_sigma: f64 = 0.35, Bound::Positive;
        /// Standard deviation of rotation (radians) and of ln scale.
        key transform_sigma: f64 = 0.07, Bound::Positive;
    }
}

/// Regularised weighted least squares. The prior weighs like matches of average weight: precision in units of one match's.
fn fit(votes: &[Vote], weight: impl Fn(&Vote) -> f64, settings: &VoteSettings) -> Option<Similarity> {
    let pairs = votes.iter().map(|v| (v.frame, v.map, weight(v)));
    let largest = pairs.clone().map(|(.., w)| w).fold(0.0, f64::max);
    let prior = largest * (settings.position_sigma / settings.transform_sigma).powi(2);
    Similarity::fit(pairs, [prior, prior])
}

/// How far a vote lies from where a transform carries it, regions.
fn error(transform: &Similarity, vote: &Vote) -> f64 {
    let [row, column] = transform.apply(vote.frame);
    (row - vote.map[0]).hypot(column - vote.map[1])
}

/// The transform that most weight agrees on.
#[derive(Clone, Debug, PartialEq)]
pub struct Elected {
    /// Map from frame, both in region coordinates (row, column): rotation and scale near identity.
    pub map_from_frame: Similarity,
    /// How well each vote fits: 1 exactly, 0 beyond the tolerance.
    pub fit: Vec<f64>,
    /// Sum of the votes' weights, each times its fit.
    pub support: f64,
}

const REFINEMENTS: usize = 4;

/// Elects a transform; `None` without votes. `frame` and `map` are the grids' rows and columns.
pub fn elect(votes: &[Vote], frame: [usize; 2], map: [usize; 2], settings: &VoteSettings) -> Option<Elected> {
    // Translations from −frame to +map, one bin a region, each vote spread linearly over the four bins around it.
    let size = [frame[0] + map[0] + 2, frame[1] + map[1] + 2];
    let mut bins = vec![0.0; size[0] * size[1]];
    for v in votes {
        let at = [0, 1].map(|d| (v.map[d] - v.frame[d] + frame[d] as f64).clamp(0.0, (size[d] - 2) as f64));
        let (r, c) = (at[0] as usize, at[1] as usize);
        let (fr, fc) = (at[0] - r as f64, at[1] - c as f64);
        for (dr, wr) in [(0, 1.0 - fr), (1, fr)] {
            for (dc, wc) in [(0, 1.0 - fc), (1, fc)] {
                bins[(r + dr) * size[1] + c + dc] += v.weight * wr * wc;
            }
        }
    }
    // Rotation and scale spread a true place over its neighbours: count them with the fit of a bin at that distance.
    let around = |r: usize, c: usize| -> f64 {
        let mut sum = 0.0;
        for dr in -1i64..=1 {
            for dc in -1i64..=1 {
                let (r, c) = (r as i64 + dr, c as i64 + dc);
                if r >= 0 && c >= 0 && r < size[0] as i64 && c < size[1] as i64 {
                    let fit = fit_weight((dr as f64).hypot(dc as f64), settings.tolerance);
                    sum += fit * bins[r as usize * size[1] + c as usize];
                }
            }
        }
        sum
    };
    let mut best = (0.0, 0, 0);
    for r in 0..size[0] {
        for c in 0..size[1] {
            let sum = around(r, c);
            if sum > best.0 {
                best = (sum, r, c);
            }
        }
    }
    if best.0 <= 0.0 {
        return None;
    }
    let mut transform = Similarity::translation([best.1 as f64 - frame[0] as f64, best.2 as f64 - frame[1] as f64]);
    for _ in 0..REFINEMENTS {
        let weight = |v: &Vote| v.weight * fit_weight(error(&transform, v), settings.tolerance);
        match fit(votes, weight, settings) {
            Some(next) => transform = next,
            None => break,
        }
    }
    let fit: Vec<f64> = votes.iter().map(|v| fit_weight(error(&transform, v), settings.tolerance)).collect();
    let support = votes.iter().zip(&fit).map(|(v, f)| v.weight * f).sum();
    Some(Elected { map_from_frame: transform, fit, support })
}

/// Tukey's biweight: 1 at zero, 0 from the tolerance on.
fn fit_weight(error: f64, tolerance: f64) -> f64 {
    let r = error / tolerance;
    if r < 1.0 { (1.0 - r * r).powi(2) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(rotation: f64, scale: f64, offset: [f64; 2], wrong_every: usize) -> Vec<Vote> {
        let (sin, cos) = rotation.sin_cos();
        (0..12 * 10)
            .map(|i| {
                let frame = [(i / 10) as f64 + 0.5, (i % 10) as f64 + 0.5];
                let true_place = [
                    scale * (cos * frame[0] - sin * frame[1]) + offset[0],
                    scale * (sin * frame[0] + cos * frame[1]) + offset[1],
                ];
                let stray = [(i * 7 % 18) as f64 + 0.5, (i * 11 % 17) as f64 + 0.5];
                Vote { frame, map: if i % wrong_every == 0 { true_place } else { stray }, weight: 1.0 }
            })
            .collect()
    }

    #[test]
    fn a_place_is_found_when_one_match_of_four_is_right() {
        let found = elect(&votes(0.0, 1.0, [4.3, 2.7], 4), [12, 10], [18, 17], &VoteSettings::default()).unwrap();
        let at = found.map_from_frame.apply([6.0, 5.0]);
        assert!((at[0] - 10.3).hypot(at[1] - 7.7) < 0.4, "{at:?}");
        assert!(found.support >= 25.0);
    }

    #[test]
    fn a_small_rotation_and_scale_is_recovered() {
        let found = elect(&votes(0.08, 1.06, [3.0, 2.0], 1), [12, 10], [18, 17], &VoteSettings::default()).unwrap();
        assert!((found.map_from_frame.rotation_rad() - 0.08).abs() < 0.01);
        assert!((found.map_from_frame.scale() - 1.06).abs() < 0.01);
    }

    #[test]
    fn two_matches_do_not_turn_the_frame_upside_down() {
        let vote = |frame, map| Vote { frame, map, weight: 1.0 };
        let two = [vote([2.5, 2.5], [5.5, 5.5]), vote([3.5, 2.5], [5.5, 5.5])];
        let found = elect(&two, [12, 10], [18, 17], &VoteSettings::default()).unwrap();
        assert!(found.map_from_frame.rotation_rad().abs() < 0.05 && (found.map_from_frame.scale() - 1.0).abs() < 0.05);
    }

    #[test]
    fn no_votes_elect_nothing() {
        assert_eq!(elect(&[], [4, 4], [6, 6], &VoteSettings::default()), None);
    }
}
