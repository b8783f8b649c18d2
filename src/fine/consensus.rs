//! What the guided matches agree on.
//!
//! RANSAC over two matches, each pair a similarity that must agree with what is known of rotation and scale (with known heading
//! and height a single wrong place cannot hide behind a wild transform), refined on its inliers, then a homography by iteratively
//! re-weighted least squares.

use nalgebra::{Matrix3, SMatrix, SVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::GuidedMatch;
use crate::geo::Homography;
use crate::math::similarity::Similarity;

const ITERATIONS: usize = 300;
const REFINEMENTS: usize = 4;
/// Matches needed before the homography's perspective terms are estimated at all.
const MIN_FOR_HOMOGRAPHY: usize = 24;

/// What is known before matching, and how exact a match is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConsensusSettings {
    /// Largest rotation between view and map, radians.
    pub max_rotation_rad: f64,
    /// Largest |ln scale|.
    pub max_log_scale: f64,
    /// A match within this distance agrees, metres.
    pub tolerance_m: f64,
    /// Seed of the sampling.
    pub seed: u64,
}

/// The transform most matches agree on.
#[derive(Clone, Debug, PartialEq)]
pub struct Consensus {
    /// Map (metres in the region's plane) from view (metres from the point below the camera).
    pub map_from_view: Homography,
    /// Whether each match agrees.
    pub inliers: Vec<bool>,
    /// Number of inliers.
    pub count: usize,
    /// Share of the view's keypoints that agree, each weighted by how well it fits: 1 = all exactly.
    pub support: f64,
    /// Rotation of the similarity, counter-clockwise, radians.
    pub rotation_rad: f64,
    /// Scale of the similarity.
    pub scale: f64,
}

fn plausible(similarity: &Similarity, settings: &ConsensusSettings) -> bool {
    let scale = similarity.scale();
    scale > 1e-6 && scale.ln().abs() <= settings.max_log_scale && similarity.rotation_rad().abs() <= settings.max_rotation_rad
}

/// Squared error of a match, square metres.
fn error_m2(similarity: &Similarity, m: &GuidedMatch) -> f64 {
    distance_m2(similarity.apply(m.view_m), m.map_m)
}

fn distance_m2(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1])
}

/// How well a squared error fits: 1 at zero, 0 from the tolerance on (Tukey's biweight).
fn fit_weight(error_m2: f64, tolerance_m: f64) -> f64 {
    let misfit = error_m2 / (tolerance_m * tolerance_m);
    // Without a branch on data that no branch predictor can know.
    let rest = (1.0 - misfit).max(0.0);
    rest * rest
}

/// The transform most matches agree on; `None` when there are fewer than four matches or no plausible transform. `keypoints` is
/// the number that could have matched, at least the number of matches.
pub fn consensus(matches: &[GuidedMatch], keypoints: usize, settings: &ConsensusSettings) -> Option<Consensus> {
    if matches.len() < 4 {
        return None;
    }
    let tolerance = settings.tolerance_m;
    let support = |s: &Similarity| matches.iter().map(|m| fit_weight(error_m2(s, m), tolerance)).sum::<f64>();
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut best: Option<(f64, Similarity)> = None;
    for _ in 0..ITERATIONS {
        let (i, j) = (rng.random_range(0..matches.len()), rng.random_range(0..matches.len()));
        if i == j {
            continue;
        }
        let (m, k) = (&matches[i], &matches[j]);
        let Some(s) = Similarity::through([m.view_m, k.view_m], [m.map_m, k.map_m]) else { continue };
        if !plausible(&s, settings) {
            continue;
        }
        let score = support(&s);
        if best.is_none_or(|(top, _)| score > top) {
            best = Some((score, s));
        }
    }
    let (_, mut similarity) = best?;
    for _ in 0..REFINEMENTS {
        let weighted = matches.iter().map(|m| (m.view_m, m.map_m, fit_weight(error_m2(&similarity, m), tolerance)));
        let next = Similarity::fit(weighted, [0.0, 0.0])?;
        if !plausible(&next, settings) {
            break;
        }
        similarity = next;
    }
    let mut map_from_view = Homography(Matrix3::new(
        similarity.a,
        -similarity.b,
        similarity.t[0],
        similarity.b,
        similarity.a,
        similarity.t[1],
        0.0,
        0.0,
        1.0,
    ));
    let count = matches.iter().filter(|m| error_m2(&similarity, m) < tolerance * tolerance).count();
    if count >= MIN_FOR_HOMOGRAPHY {
        for _ in 0..REFINEMENTS {
            match refine_homography(&map_from_view, matches, tolerance) {
                Some(next) => map_from_view = next,
                None => break,
            }
        }
    }
    let error = |m: &GuidedMatch| {
        let off_m2 = |(x, y)| distance_m2([x, y], m.map_m);
        map_from_view.apply(m.view_m[0], m.view_m[1]).map_or(f64::INFINITY, off_m2)
    };
    let inliers: Vec<bool> = matches.iter().map(|m| error(m) < tolerance * tolerance).collect();
    let support = matches.iter().map(|m| fit_weight(error(m), tolerance)).sum::<f64>() / keypoints.max(matches.len()) as f64;
    Some(Consensus {
        map_from_view,
        count: inliers.iter().filter(|i| **i).count(),
        inliers,
        support,
        rotation_rad: similarity.rotation_rad(),
        scale: similarity.scale(),
    })
}

/// One Gauss-Newton step on all eight parameters, weighted by Tukey's biweight.
fn refine_homography(h: &Homography, matches: &[GuidedMatch], tolerance_m: f64) -> Option<Homography> {
    let mut information = SMatrix::<f64, 8, 8>::zeros();
    let mut gradient = SVector::<f64, 8>::zeros();
    // Parameters scaled so that a step of one moves a point of a typical view by about a metre.
    let span = matches.iter().map(|m| m.view_m[0].abs().max(m.view_m[1].abs())).fold(1.0, f64::max);
    for m in matches {
        let [x, y] = m.view_m;
        let Some((u, v)) = h.apply(x, y) else { continue };
        let (ru, rv) = (m.map_m[0] - u, m.map_m[1] - v);
        let weight = fit_weight(ru * ru + rv * rv, tolerance_m);
        if weight == 0.0 {
            continue;
        }
        let w = h.0[(2, 0)] * x + h.0[(2, 1)] * y + h.0[(2, 2)];
        let (xs, ys) = (x / span, y / span);
        // The perspective column works about the view's own middle: `u` and `v` are large plane coordinates.
        let ju = SVector::<f64, 8>::from([xs, ys, 1.0, 0.0, 0.0, 0.0, -u * xs / span, -u * ys / span]) / w;
        let jv = SVector::<f64, 8>::from([0.0, 0.0, 0.0, xs, ys, 1.0, -v * xs / span, -v * ys / span]) / w;
        information += weight * (ju * ju.transpose() + jv * jv.transpose());
        gradient += weight * (ju * ru + jv * rv);
    }
    // A breath of damping keeps a direction that the matches do not fix where it was.
    let trace = information.trace();
    for i in 0..8 {
        information[(i, i)] += 1e-9 * trace;
    }
    let step = information.cholesky()?.solve(&gradient);
    let mut next = h.0;
    for (i, (row, column)) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)].into_iter().enumerate() {
        next[(row, column)] += step[i] / if column < 2 { span } else { 1.0 };
    }
    next[(2, 0)] += step[6] / (span * span);
    next[(2, 1)] += step[7] / (span * span);
    next.iter().all(|v| v.is_finite()).then_some(Homography(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ConsensusSettings {
        ConsensusSettings { max_rotation_rad: 0.2, max_log_scale: 0.15, tolerance_m: 3.0, seed: 1 }
    }

    /// Matches on a grid under a homography, `wrong` of ten replaced by random places.
    fn matches(h: &Homography, wrong: usize) -> Vec<GuidedMatch> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut out = Vec::new();
        for i in 0..400 {
            let p = [f64::from(i % 20) * 8.0 - 80.0, f64::from(i / 20) * 5.0 - 50.0];
            let (x, y) = h.apply(p[0], p[1]).unwrap();
            let noise = |rng: &mut ChaCha8Rng, s: f64| (rng.random::<f64>() - 0.5) * 2.0 * s;
            let spread = if (i as usize * 7) % 10 < wrong { 25.0 } else { 0.8 };
            out.push(GuidedMatch {
                view_m: p,
                map_m: [x + noise(&mut rng, spread), y + noise(&mut rng, spread)],
                similarity: 0.5,
                weight: 1.0,
            });
        }
        out
    }

    #[test]
    fn a_homography_is_recovered_among_seven_wrong_of_ten() {
        let truth = Homography(Matrix3::new(1.03, 0.08, 240.0, -0.07, 0.98, -130.0, 2e-4, -3e-4, 1.0));
        let found = consensus(&matches(&truth, 7), 400, &settings()).unwrap();
        for p in [[0.0, 0.0], [60.0, 30.0], [-60.0, -40.0]] {
            let (a, b) = (truth.apply(p[0], p[1]).unwrap(), found.map_from_view.apply(p[0], p[1]).unwrap());
            assert!((a.0 - b.0).hypot(a.1 - b.1) < 0.8, "{a:?} {b:?}");
        }
        assert!((100..160).contains(&found.count), "{}", found.count);
    }

    #[test]
    fn a_rotation_beyond_what_is_known_finds_no_support() {
        let (s, c) = 0.6f64.sin_cos();
        let truth = Homography(Matrix3::new(c, -s, 10.0, s, c, 20.0, 0.0, 0.0, 1.0));
        let found = consensus(&matches(&truth, 0), 400, &settings());
        assert!(found.is_none_or(|f| f.support < 0.2));
    }

    #[test]
    fn the_same_matches_give_the_same_bits() {
        let m = matches(&Homography::identity(), 5);
        assert_eq!(consensus(&m, 400, &settings()), consensus(&m, 400, &settings()));
    }
}
