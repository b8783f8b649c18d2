//! How far a camera went between two frames that see some of the same ground. The map plays no part in it.
//!
//! Both frames are seen as level views of the same scale, north up as far as their headings are known. The places where one view may lie on
//! the other are those where their descriptors correlate best; guided matching and a consensus verify them. A similarity that is nearly a
//! shift is then fitted to the matches that agree: headings and heights are known to some degrees and some per cent, which keeps a small
//! overlap at the rim from swinging about. Its covariance is cluster-robust (Liang & Zeger 1986), clusters being patches of ground, because
//! neighbouring matches share receptive fields and relief.

use nalgebra::{Matrix2, Matrix4, SMatrix, Vector2, Vector4};

use super::consensus::{ConsensusSettings, consensus};
use super::guided::{GuidedMatch, ViewField, matches_between};
use super::rim::{self, Rim};
use crate::coarse::overlap::overlaps;
use crate::math::similarity::Similarity;

/// Places that are verified at most, and at least: no more once one has this many times the agreement of every other.
const PLACES: usize = 10;
const FEWEST_PLACES: usize = 3;
const CLEAR_LEAD: f64 = 2.5;
/// How far a match may lie from its prediction, cells: the correlation is good to two, a turn of 4° does the rest at the rim.
const GUIDE_RADIUS: usize = 6;
/// A match agrees within this distance, cells.
const TOLERANCE_CELLS: f64 = 1.5;
/// What two views may be off from each other in rotation and scale.
const MAX_ROTATION_RAD: f64 = 0.26;
const MAX_LOG_SCALE: f64 = 0.1;
/// Fewer agreeing matches tell nothing.
const MIN_INLIERS: usize = 30;
/// Nor does a smaller weighted share of the keypoints that both views see. Two frames of a flight are of one season and one camera: where
/// they overlap, most of them agree.
const MIN_SUPPORT: f64 = 0.2;
/// The best place must have this many times the agreement of the next best that lies elsewhere.
const MIN_MARGIN: f64 = 1.5;
/// Places that lie closer than this are one, cells: what guided matching reaches from both.
const APART_CELLS: f64 = (GUIDE_RADIUS + 2) as f64;
/// Clusters along each side of the common ground.
const CLUSTERS_A_SIDE: usize = 4;
/// Fits are iterated with the weights of the fit before.
const ITERATIONS: usize = 5;
/// The spread of residuals is never taken to be smaller than this part of a cell, nor is the way known better than the second.
const MIN_RESIDUAL_CELLS: f64 = 0.15;
const MIN_SIGMA_CELLS: f64 = 0.05;

/// The way from one camera to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Registration {
    /// Metres east and north, as the earlier view has these directions.
    pub moved_m: Vector2<f64>,
    /// Its covariance: what the matches say, not what view and camera may be off by.
    pub covariance_m2: Matrix2<f64>,
    /// Counter-clockwise turn that takes the later view's directions to the earlier's, radians.
    pub rotation_rad: f64,
    /// Matches that agree.
    pub inliers: usize,
    /// Share of the keypoints on common ground that agree, each weighted by how well it fits: 1 = all exactly.
    pub support: f64,
}

/// Why two frames tell no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unregistered {
    /// A frame has no view with known heading and height.
    NoView,
    /// Their views are of different scales.
    OtherScale,
    /// They do not overlap, or not enough to tell.
    NoOverlap,
    /// Too few consistent matches.
    FewInliers,
    /// Another place fits nearly as well.
    Ambiguous,
}

impl Unregistered {
    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoView => "no_view",
            Self::OtherScale => "other_scale",
            Self::NoOverlap => "no_overlap",
            Self::FewInliers => "few_inliers",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// What is known of two views besides what they show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegistrationPrior {
    /// 1 sigma of the turn between the directions of the two views, radians.
    pub rotation_sigma_rad: f64,
    /// 1 sigma of the logarithm of their scales' ratio.
    pub log_scale_sigma: f64,
    /// Seed of the sampling.
    pub seed: u64,
}

/// A place that was verified.
struct Candidate {
    /// Matches that agree, each with its weight.
    agreeing: Vec<(GuidedMatch, f64)>,
    support: f64,
    /// How far what agrees stands out of chance: the support times the root of the number of keypoints that both views see. Of many some
    /// always agree, and of few a large share may.
    agreement: f64,
    fit: Fit,
}

/// Finds the way from the camera of `then` to that of `now`; both views are of the same level.
///
/// # Errors
/// Why there is none.
pub fn register(now: &ViewField, then: &ViewField, prior: &RegistrationPrior) -> Result<Registration, Unregistered> {
    if (now.cell_m - then.cell_m).abs() > 1e-9 * then.cell_m {
        return Err(Unregistered::OtherScale);
    }
    let settings = ConsensusSettings {
        max_rotation_rad: MAX_ROTATION_RAD,
        max_log_scale: MAX_LOG_SCALE,
        tolerance_m: TOLERANCE_CELLS * now.cell_m,
        seed: prior.seed,
    };
    let peaks = overlaps(&now.field, &then.field, PLACES);
    if peaks.is_empty() {
        return Err(Unregistered::NoOverlap);
    }
    let rims = (Rim::of(&now.field), Rim::of(&then.field));
    let weight = |m: &GuidedMatch| rim::weight((&rims.0, now.cell_at(m.view_m)), (&rims.1, then.cell_at(m.map_m)));
    let verified = |offset: (f64, f64)| {
        let matches = matches_between(now, then, offset, GUIDE_RADIUS);
        let keypoints = now.keypoints_on(then, offset).max(matches.len());
        let agreed = consensus(&matches, keypoints, &settings)?;
        let inliers = matches.into_iter().zip(agreed.inliers).filter(|(_, inlier)| *inlier);
        let agreeing: Vec<_> = inliers.map(|(m, _)| (m, weight(&m))).collect();
        let fit = fit(&agreeing, now.cell_m, prior)?;
        let agreement = agreed.support * (keypoints as f64).sqrt();
        Some(Candidate { agreeing, support: agreed.support, agreement, fit })
    };
    let elsewhere = |c: &Candidate, best: &Candidate| (c.fit.moved_m() - best.fit.moved_m()).norm() > APART_CELLS * now.cell_m;
    let mut found: Vec<Candidate> = Vec::new();
    for (tried, peak) in peaks.iter().enumerate() {
        let good = |best: &&Candidate| best.agreeing.len() >= MIN_INLIERS && best.support >= MIN_SUPPORT;
        let clear =
            |best: &Candidate| found.iter().filter(|c| elsewhere(c, best)).all(|c| best.agreement > CLEAR_LEAD * c.agreement);
        if tried >= FEWEST_PLACES && found.first().filter(good).is_some_and(clear) {
            break;
        }
        found.extend(verified((peak.row, peak.column)));
        // Stable: equal agreements keep the order of the correlation.
        found.sort_by(|a, b| b.agreement.total_cmp(&a.agreement));
    }
    for c in &found {
        let Candidate { agreeing, support, agreement, fit } = c;
        let (moved, count) = (fit.moved_m(), agreeing.len());
        tracing::debug!("moved {:.2} {:.2} m: {count} agree, support {support:.3}, {agreement:.1}", moved.x, moved.y);
    }
    let best = found.first().ok_or(Unregistered::FewInliers)?;
    if best.agreeing.len() < MIN_INLIERS || best.support < MIN_SUPPORT {
        return Err(Unregistered::FewInliers);
    }
    if found.iter().filter(|c| elsewhere(c, best)).any(|c| best.agreement < MIN_MARGIN * c.agreement) {
        return Err(Unregistered::Ambiguous);
    }
    let covariance_m2 = best.fit.way_covariance(&best.agreeing, now.cell_m, prior).ok_or(Unregistered::FewInliers)?;
    Ok(Registration {
        moved_m: best.fit.moved_m(),
        covariance_m2,
        rotation_rad: best.fit.0.rotation_rad(),
        inliers: best.agreeing.len(),
        support: best.support,
    })
}

/// The similarity that takes a point of the later view to the earlier.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit(Similarity);

/// Two rows of the linear problem: ∂then/∂(a, b, t).
fn rows([x, y]: [f64; 2]) -> SMatrix<f64, 2, 4> {
    SMatrix::<f64, 2, 4>::new(x, -y, 1.0, 0.0, y, x, 0.0, 1.0)
}

/// What is known of (a, b): the inverse of their variances, around (1, 0).
fn information(prior: &RegistrationPrior) -> [f64; 2] {
    [prior.log_scale_sigma.powi(-2), prior.rotation_sigma_rad.powi(-2)]
}

impl Fit {
    fn moved_m(&self) -> Vector2<f64> {
        Vector2::from(self.0.t)
    }

    fn residual(&self, m: &GuidedMatch) -> Vector2<f64> {
        Vector2::from(m.map_m) - Vector2::from(self.0.apply(m.view_m))
    }

    /// Root mean square of the residuals an axis, metres.
    fn spread_m(&self, agreeing: &[(GuidedMatch, f64)], cell_m: f64) -> f64 {
        let squares: f64 = agreeing.iter().map(|(m, _)| self.residual(m).norm_squared()).sum();
        let degrees = (2.0 * agreeing.len() as f64 - 4.0).max(1.0);
        (squares / degrees).sqrt().max(MIN_RESIDUAL_CELLS * cell_m)
    }

    /// Covariance of t.
    fn way_covariance(&self, agreeing: &[(GuidedMatch, f64)], cell_m: f64, prior: &RegistrationPrior) -> Option<Matrix2<f64>> {
        let variance = self.spread_m(agreeing, cell_m).powi(2);
        let [scale, rotation] = information(prior);
        let known = Matrix4::from_diagonal(&Vector4::new(scale, rotation, 0.0, 0.0));
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for (m, _) in agreeing {
            for k in 0..2 {
                low[k] = low[k].min(m.map_m[k]);
                high[k] = high[k].max(m.map_m[k]);
            }
        }
        let part = |m: &GuidedMatch| {
            let along = |k: usize| {
                let share = (m.map_m[k] - low[k]) / (high[k] - low[k]).max(1e-9);
                ((share * CLUSTERS_A_SIDE as f64) as usize).min(CLUSTERS_A_SIDE - 1)
            };
            along(1) * CLUSTERS_A_SIDE + along(0)
        };
        let (mut normal, mut independent) = (known, known);
        let mut pulls = [Vector4::zeros(); CLUSTERS_A_SIDE * CLUSTERS_A_SIDE];
        for (m, weight) in agreeing {
            let design = rows(m.view_m);
            let square = design.transpose() * design / variance;
            normal += square * *weight;
            independent += square * (weight * weight);
            pulls[part(m)] += design.transpose() * self.residual(m) * (weight / variance);
        }
        let clusters = pulls.iter().filter(|p| p.norm_squared() > 0.0).count() as f64;
        let meat: Matrix4<f64> =
            pulls.iter().map(|p| p * p.transpose()).sum::<Matrix4<f64>>() * (clusters / (clusters - 1.0).max(1.0));
        let inverse = normal.cholesky()?.inverse();
        let robust = inverse * (meat + known) * inverse;
        // Few clusters can agree by chance: never better than if all matches were independent.
        let floor = Matrix2::identity() * (MIN_SIGMA_CELLS * cell_m).powi(2);
        let independent = inverse * independent * inverse;
        let covariance = robust.fixed_view::<2, 2>(2, 2) + independent.fixed_view::<2, 2>(2, 2) + floor;
        covariance.iter().all(|v| v.is_finite()).then_some((covariance + covariance.transpose()) * 0.5)
    }
}

/// Weighted least squares, each match's own weight less by its residual of the fit before (Huber 1964). `None` when the problem is
/// degenerate.
fn fit(agreeing: &[(GuidedMatch, f64)], cell_m: f64, prior: &RegistrationPrior) -> Option<Fit> {
    let mut fitted: Option<Fit> = None;
    for _ in 0..ITERATIONS {
        let spread = fitted.map_or(cell_m, |f| f.spread_m(agreeing, cell_m));
        let weighted = agreeing.iter().map(|(m, own)| {
            let near = fitted.map_or(1.0, |f| (1.345 * spread / f.residual(m).norm().max(1e-9)).min(1.0));
            (m.view_m, m.map_m, own * near / (spread * spread))
        });
        fitted = Some(Fit(Similarity::fit(weighted, information(prior))?));
    }
    fitted.filter(|f| [f.0.a, f.0.b, f.0.t[0], f.0.t[1]].iter().all(|v| v.is_finite()))
}

#[cfg(test)]
mod tests;
