//! `fix`: the best place becomes a position, or the reason why there is none.

use std::borrow::Cow;

use nalgebra::{UnitQuaternion, Vector2, Vector3};

use super::verify::{CLEAR_LEAD, GUIDE_RADII};
use super::{Described, FEW_HYPOTHESES, Localizer, Observation, Retrieved, SAME_PLACE_CELLS, VerifiedPlace};
use crate::camera::view_hypotheses::ViewHypothesis;
use crate::coarse::Place;
use crate::fine::pose::{self, FixSettings, Pose, PosePrior};
use crate::fine::{Consensus, GuidedMatch, agreement, consensus, guided_matches};
use crate::localize::CoarseMethod;
use crate::models::DenseExtractor;
use crate::retrieve::RegionLevel;
use crate::types::{AbstainReason, Agreement, Contender, Evidence, Fix, FrameMatch, FreePose, Match, Outcome};

/// How far a match in detail may lie from its prediction, cells: about as much ground as at the level of the index.
const DETAIL_RADIUS: usize = 6;
/// Places that are matched narrowly when none leads clearly.
const CONTENDERS: usize = 3;

/// A frame's fix or abstention, with what a search that goes on can use of it.
#[derive(Clone)]
pub struct Decision {
    /// The fix or abstention.
    pub matched: FrameMatch,
    /// The second passes that led to it.
    pub(super) second_passes: SecondPasses,
}

/// Places of a frame that were matched a second time, with what came of it.
#[derive(Clone, Default)]
pub struct SecondPasses(Vec<(Place, ViewHypothesis, bool, Result<PosedMatch, AbstainReason>)>);

/// The matches of a place with the pose that fits them, and what was known of it before.
#[derive(Clone)]
pub(super) struct PosedMatch {
    pub view: ViewHypothesis,
    pub matches: Vec<GuidedMatch>,
    pub consensus: Consensus,
    pub agreement: Agreement,
    /// Side of a cell of the level that it was matched at, metres.
    pub cell_m: f64,
    pub pose: Pose,
    prior: PosePrior,
}

/// Places of a frame that are not the same, best first.
struct Rivals<'a> {
    /// All of them.
    apart: Vec<&'a VerifiedPlace>,
    /// The best few, matched narrowly; best first by that.
    narrowly: Vec<(&'a VerifiedPlace, Result<PosedMatch, AbstainReason>)>,
    /// How many times the support of the next one the first has, where that is clear.
    clear_lead: Option<f64>,
}

impl PosedMatch {
    /// The view with the heading and the height of the pose, which is as level as it was assumed to be.
    pub fn seen_from(&self) -> ViewHypothesis {
        let turned = self.pose.enu_from_camera * self.view.enu_from_camera.inverse();
        let about_up = 2.0 * turned.k.atan2(turned.w);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), about_up);
        ViewHypothesis {
            heading_rad: self.view.heading_rad - about_up,
            height_m: self.pose.height_m,
            enu_from_camera: turn * self.view.enu_from_camera,
        }
    }
}

/// Matches of a view, before a pose is fitted to them.
struct Matched {
    view: ViewHypothesis,
    matches: Vec<GuidedMatch>,
    consensus: Consensus,
    agreement: Agreement,
    cell_m: f64,
}

impl Localizer {
    /// Makes the fix of the best place, or says why there is none.
    pub fn fix(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        verified: &[VerifiedPlace],
        network: &mut dyn DenseExtractor,
    ) -> Decision {
        let mut second_passes = SecondPasses::default();
        let matched = if self.settings.coarse == CoarseMethod::Retrieval {
            self.fix_of_cell(observation, retrieved, verified)
        } else {
            self.fix_of_best(observation, verified, retrieved.candidates, network, &mut second_passes)
        };
        Decision { matched, second_passes }
    }

    /// The fix of the best of verified places. `before` are the second passes that were made of the frame already.
    pub(super) fn fix_of_best(
        &self,
        observation: &Observation,
        verified: &[VerifiedPlace],
        candidates: usize,
        network: &mut dyn DenseExtractor,
        before: &mut SecondPasses,
    ) -> FrameMatch {
        let Rivals { narrowly, clear_lead, .. } = self.rivals(observation, verified, network, before);
        let supports: Vec<f64> = narrowly.iter().map(|(_, m)| support(m)).collect();
        let margin = clear_lead.unwrap_or_else(|| self.narrow_margin(observation, &narrowly));
        tracing::debug!(
            "frame {}: margin {margin:.2}, matched narrowly {supports:.3?}, {} places of {} views",
            observation.frame.ordinal,
            verified.len(),
            observation.hypotheses.len()
        );
        let Some((best, posed)) = narrowly.first() else { return FrameMatch::abstained(AbstainReason::FewInliers) };
        match posed {
            Err(reason) => FrameMatch {
                matches: frame_matches(observation, &best.view, &best.matches, &best.consensus.inliers),
                candidates,
                score: best.consensus.support,
                ..FrameMatch::abstained(observation.reason(*reason))
            },
            Ok(posed) => {
                let standing_out = self.as_it_stands_out_most(observation, best, verified);
                let evidence = self.evidence(observation, (best, &standing_out), posed, margin, verified.len());
                self.judged(observation, best.place.region, posed, margin, (candidates, evidence))
            }
        }
    }

    /// A place as it was found under the view under which it leads all others most: a view that is a few degrees off hides what stands out.
    fn as_it_stands_out_most(&self, observation: &Observation, of: &VerifiedPlace, verified: &[VerifiedPlace]) -> Place {
        let apart_m = self.apart_m(observation);
        let same = verified.iter().map(|v| v.place).filter(|p| self.is_same_place(p, &of.place, apart_m));
        same.fold(of.place, |best, next| if next.lead > best.lead { next } else { best })
    }

    /// Verified places without those that are a better one seen from another hypothesis, the best of them matched narrowly.
    fn rivals<'a>(
        &self,
        observation: &Observation,
        verified: &'a [VerifiedPlace],
        network: &mut dyn DenseExtractor,
        before: &mut SecondPasses,
    ) -> Rivals<'a> {
        let apart = self.apart(verified.iter().collect(), |v| &v.place, self.apart_m(observation), usize::MAX);
        let lead = match apart[..] {
            [first, next, ..] => first.consensus.support / next.consensus.support.max(1e-9),
            _ => f64::INFINITY,
        };
        // Where no place leads clearly, the best few are matched narrowly: what is right gains by that, what is wrong hardly does.
        let clear = lead >= CLEAR_LEAD;
        let tried = apart.iter().take(if clear { 1 } else { CONTENDERS });
        let mut narrowly: Vec<(&VerifiedPlace, Result<PosedMatch, AbstainReason>)> =
            tried.map(|v| (*v, before.matched((v, !clear), || self.second_pass(observation, v, !clear, network)))).collect();
        // Stable: equal supports keep the order of the first pass.
        narrowly.sort_by(|a, b| support(&b.1).total_cmp(&support(&a.1)));
        Rivals { apart, narrowly, clear_lead: clear.then_some(lead) }
    }

    /// The places of a frame that one frame alone does not decide between, for those who see several: those matched narrowly, then the others
    /// as the first round of matches has them.
    pub(super) fn contenders(
        &self,
        observation: &Observation,
        verified: &[VerifiedPlace],
        network: &mut dyn DenseExtractor,
        before: &mut SecondPasses,
    ) -> Vec<Contender> {
        let Rivals { apart, narrowly, .. } = self.rivals(observation, verified, network, before);
        let contender = |verified: &VerifiedPlace, posed: &PosedMatch, next: f64| {
            let margin = posed.consensus.support / next.max(1e-9);
            let evidence = self.evidence(observation, (verified, &verified.place), posed, margin, apart.len())?;
            pose::plausible_pose(&posed.pose, &posed.prior, &self.settings.fix).ok()?;
            let fix = self.make_fix(observation, verified.place.region, posed).ok()?;
            Some(Contender { fix, p_wrong: evidence.p_wrong })
        };
        let first = narrowly.iter().enumerate().filter_map(|(at, (verified, matched))| {
            let others = narrowly.iter().enumerate().filter(|(other, _)| *other != at);
            let next = others.map(|(_, (_, m))| support(m)).fold(0.0, f64::max);
            contender(verified, matched.as_ref().ok()?, next)
        });
        let best = apart.first().map_or(0.0, |v| v.consensus.support);
        let rest = apart.iter().skip(narrowly.len()).filter_map(|verified| {
            let posed = self.first_pass(observation, verified).ok()?;
            contender(verified, &posed, best)
        });
        first.chain(rest).collect()
    }

    /// The fix of a match, if it is good enough for one. `margin` is its lead on other places.
    pub(super) fn judged(
        &self,
        observation: &Observation,
        region: usize,
        posed: &PosedMatch,
        margin: f64,
        (candidates, evidence): (usize, Option<Evidence>),
    ) -> FrameMatch {
        let PosedMatch { view, matches, consensus, pose, prior, .. } = posed;
        let settings = &self.settings.fix;
        let outcome = pose::verdict(matches, consensus, margin, settings)
            .and_then(|()| self.is_no_chance(evidence.as_ref()))
            .and_then(|()| pose::plausible_pose(pose, prior, settings))
            .and_then(|()| self.make_fix(observation, region, posed))
            .map_or_else(|reason| Outcome::Abstained(observation.reason(reason)), |f| Outcome::Fix(Box::new(f)));
        let matches = frame_matches(observation, view, matches, &consensus.inliers);
        FrameMatch { outcome, matches, candidates, score: consensus.support, evidence, contenders: Vec::new() }
    }

    /// How many times the support of the next best place the best one has. Views of one place at other heights and headings find their
    /// way to the same position: they are no other place.
    fn narrow_margin(&self, observation: &Observation, narrowly: &[(&VerifiedPlace, Result<PosedMatch, AbstainReason>)]) -> f64 {
        let Some((first, Ok(best))) = narrowly.first() else { return 0.0 };
        let next = narrowly[1..]
            .iter()
            .filter_map(|(v, m)| Some((v, m.as_ref().ok()?)))
            .filter(|(v, m)| {
                let at = |v: &VerifiedPlace, m: &PosedMatch| (v.place.region, [m.pose.centre_m.x, m.pose.centre_m.y]);
                self.index.distance_m(at(v, m), at(first, best)) > self.apart_m(observation)
            })
            .map(|(_, m)| m.consensus.support)
            .fold(0.0, f64::max);
        best.consensus.support / next.max(1e-9)
    }

    /// Places closer than this are one, metres. What guided matching reaches from one of two places agrees with the other, too.
    fn apart_m(&self, observation: &Observation) -> f64 {
        let reach = (GUIDE_RADII[0] + 2) as f64 * self.cell_m(observation.refine_level);
        reach.max(SAME_PLACE_CELLS * self.cell_m(observation.search_level))
    }

    /// The pose of a place's first round of matches.
    pub(super) fn first_pass(&self, observation: &Observation, place: &VerifiedPlace) -> Result<PosedMatch, AbstainReason> {
        let matched = Matched {
            view: place.view,
            matches: place.matches.clone(),
            consensus: place.consensus.clone(),
            agreement: place.agreement,
            cell_m: self.cell_m(observation.refine_level),
        };
        self.posed(observation, place, matched)
    }

    /// Resamples the frame with the pose of the first pass, so that its view lies truly flat, and matches again more narrowly: in more detail
    /// than the index has where the view is small, or where the place has a rival.
    fn second_pass(
        &self,
        observation: &Observation,
        place: &VerifiedPlace,
        rivalled: bool,
        network: &mut dyn DenseExtractor,
    ) -> Result<PosedMatch, AbstainReason> {
        let level = self.index.levels.get(observation.refine_level).ok_or(AbstainReason::NoCandidate)?;
        let mean = &level.model.projection.mean;
        let first = self.first_pass(observation, place)?;
        // Matches are drawn to where they are expected: in a view that leans as is assumed they tell of less lean than there is. Those of a
        // view whose heading was one of many are too rough to tell any.
        let few = observation.hypotheses.len() <= FEW_HYPOTHESES;
        let free = if few { self.free_pose(observation, &first).ok() } else { None };
        let pose = free.unwrap_or(first.pose);
        let view = ViewHypothesis { enu_from_camera: pose.enu_from_camera, height_m: pose.height_m, ..place.view };
        let camera_m = [pose.camera_m.x, pose.camera_m.y];
        let detail_level = if rivalled { observation.closest_level } else { observation.detail_level };
        let (described, grid, radius) =
            self.narrow_view(observation, (place.place.region, detail_level), &view, camera_m, network)?;
        let (field, grid) = (described.field(mean), grid.as_ref());
        let matches = guided_matches(&field, grid, mean, camera_m, radius);
        let settings = self.consensus_settings(observation, grid.cell_m);
        let consensus = consensus(&matches, field.keypoints(), &settings).ok_or(AbstainReason::FewInliers)?;
        let agreement = agreement(&field, &matches, &consensus, radius);
        self.posed(observation, place, Matched { view, matches, consensus, agreement, cell_m: grid.cell_m })
    }

    /// A view and the map that it is matched against narrowly, with how far a match may lie from its prediction, cells: at the level asked for,
    /// where it is not in the index computed around the view, else at the level that refines.
    fn narrow_view(
        &self,
        observation: &Observation,
        (region, level): (usize, Option<u32>),
        view: &ViewHypothesis,
        camera_m: [f64; 2],
        network: &mut dyn DenseExtractor,
    ) -> Result<(Described, Cow<'_, RegionLevel>, usize), AbstainReason> {
        let indexed = |level: u32| self.index.levels.iter().position(|l| l.level == level);
        let at = match level.map(|level| indexed(level).ok_or(level)) {
            None => observation.refine_level,
            Some(Ok(at)) if self.index.grid(at, region).is_some() => at,
            Some(Ok(_)) => observation.refine_level,
            Some(Err(level)) => match self.in_detail(observation, (region, level), view, camera_m, network)? {
                Some((described, window)) => return Ok((described, Cow::Owned(window), DETAIL_RADIUS)),
                None => observation.refine_level,
            },
        };
        let grid = self.index.grid(at, region).ok_or(AbstainReason::NoCandidate)?;
        let radius = if at == observation.refine_level { GUIDE_RADII[1] } else { DETAIL_RADIUS };
        Ok((self.describe(observation, view, at, network)?, Cow::Borrowed(grid), radius))
    }

    /// Fits the pose of matches made at a place under a view.
    fn posed(&self, observation: &Observation, place: &VerifiedPlace, matched: Matched) -> Result<PosedMatch, AbstainReason> {
        let Matched { view, matches, consensus, agreement, cell_m } = matched;
        let camera = &observation.frame.camera;
        let known = self.known_at(observation, &place.place);
        let prior = PosePrior::new(&place.view, known.height_agl_m, known.heading_rad, camera.tilt_sigma_rad);
        let pose = pose::fit_pose(camera, &view, &matches, &consensus.inliers, &prior, cell_m, &self.settings.fix);
        let pose = pose.ok_or(AbstainReason::FewInliers)?;
        Ok(PosedMatch { view, matches, consensus, agreement, cell_m, pose, prior })
    }

    /// The pose of matches without what was assumed of lean and map offset.
    fn free_pose(&self, observation: &Observation, posed: &PosedMatch) -> Result<Pose, AbstainReason> {
        let PosedMatch { view, matches, consensus, prior, .. } = posed;
        let settings = FixSettings { map_sigma_m: 0.0, ..self.settings.fix };
        let camera = &observation.frame.camera;
        let free = pose::fit_pose(camera, view, matches, &consensus.inliers, &pose::free_prior(prior), posed.cell_m, &settings);
        free.ok_or(AbstainReason::BadGeometry)
    }

    fn make_fix(&self, observation: &Observation, region: usize, posed: &PosedMatch) -> Result<Fix, AbstainReason> {
        let PosedMatch { consensus, pose, prior, .. } = posed;
        let free = self.free_pose(observation, posed)?;
        self.fix_of_poses(observation, region, (pose, &free), prior, consensus)
    }

    /// The fix of a pose, and of the same pose without what was assumed of lean and map offset.
    pub(super) fn fix_of_poses(
        &self,
        observation: &Observation,
        region: usize,
        (pose, free): (&Pose, &Pose),
        prior: &PosePrior,
        consensus: &Consensus,
    ) -> Result<Fix, AbstainReason> {
        let camera = &observation.frame.camera;
        let (lean, covariance) = pose::lean_of(free, &prior.nominal).ok_or(AbstainReason::BadGeometry)?;
        let geodetic = |p: &Vector2<f64>| self.index.geodetic(region as u32, p.x, p.y).ok_or(AbstainReason::Failed);
        let (heading, tilt_rad) = pose::heading_and_tilt(&observation.frame.camera, pose);
        Ok(Fix {
            region: self.index.region_of_map(region as u32),
            camera_m: pose.camera_m,
            centre_m: pose.centre_m,
            covariance_m2: pose.position_covariance_m2,
            camera: geodetic(&pose.camera_m)?,
            centre: geodetic(&pose.centre_m)?,
            height_agl_m: (pose.height_m, pose.covariance[(2, 2)].max(0.0).sqrt()),
            heading_rad: (heading, pose::heading_sigma_rad(pose)),
            tilt_rad,
            ground_from_frame: pose::ground_from_frame(&observation.frame.camera, pose),
            inliers: consensus.count as u32,
            score: consensus.support,
            free: FreePose {
                camera: geodetic(&free.camera_m)?,
                lean,
                covariance,
                lean_sigma: camera.tilt_sigma_rad,
                map_sigma_m: self.settings.fix.map_sigma_m,
            },
        })
    }
}

impl SecondPasses {
    /// What comes of a place of one frame; it is matched if it was not before.
    fn matched(
        &mut self,
        (verified, rivalled): (&VerifiedPlace, bool),
        matching: impl FnOnce() -> Result<PosedMatch, AbstainReason>,
    ) -> Result<PosedMatch, AbstainReason> {
        let VerifiedPlace { place, view, .. } = verified;
        if let Some((.., matched)) = self.0.iter().find(|(p, v, r, _)| p == place && v == view && *r == rivalled) {
            return matched.clone();
        }
        let matched = matching();
        self.0.push((*place, *view, rivalled, matched.clone()));
        matched
    }
}

/// Support of a place matched narrowly; none where that failed.
fn support(matched: &Result<PosedMatch, AbstainReason>) -> f64 {
    matched.as_ref().map_or(0.0, |m| m.consensus.support)
}

/// The matches in pixels of the frame.
fn frame_matches(observation: &Observation, view: &ViewHypothesis, matches: &[GuidedMatch], inliers: &[bool]) -> Vec<Match> {
    let camera_from_enu = view.enu_from_camera.inverse();
    matches
        .iter()
        .zip(inliers)
        .filter_map(|(m, inlier)| {
            let ray = camera_from_enu * Vector3::new(m.view_m[0], m.view_m[1], -view.height_m);
            let (x, y) = observation.frame.camera.project(&ray)?;
            Some(Match { frame_px: [x, y], map_m: m.map_m, similarity: m.similarity, inlier: *inlier })
        })
        .collect()
}
