//! The stages as plain functions over plain data: `rectify → retrieve → coarse → fine → fix`.
//!
//! Each stage takes what the one before made; a failure is an [`AbstainReason`], never a panic.

use std::sync::{Arc, OnceLock};

use image::RgbImage;
use nalgebra::Vector2;

use super::sascm::{match_candidates, places as places_of};
use super::settings::{CoarseMethod, MatchSettings};
use crate::camera::{Camera, FramePyramid, RectifiedFrame, footprint, rectify, view_around_footprint};
use crate::coarse::Place;
use crate::coarse::consensus::ConsensusNetwork;
use crate::coarse::correlation::{Response, SearchGrid, Template, Window};
use crate::coarse::hypotheses::{Hypothesis, hypotheses};
use crate::coarse::refine::FineTemplate;
use crate::fine::consensus::ConsensusSettings;
use crate::fine::{Consensus, GuidedMatch, ViewField, consensus, guided_matches};
use crate::fix::{self, Pose, PosePrior};
use crate::geo::{Enu, MetricView};
use crate::models::{DenseExtractor, DenseFeatures, ModelError};
use crate::retrieve::aggregate::aggregate;
use crate::retrieve::index::level_gsd_m;
use crate::retrieve::search::top_k;
use crate::retrieve::{CellId, MapIndex};
use crate::types::{AbstainReason, Fix, Frame, Known, Match, Outcome, Pixels, Prior};

/// A prior's search radius is this many sigmas and a margin for what it does not know of, metres.
const PRIOR_SIGMAS: f64 = 3.5;
const PRIOR_MARGIN_M: f64 = 40.0;
/// Up to this many hypotheses are searched for at the refining level itself.
const FEW_HYPOTHESES: usize = 4;
/// Once a place has this many times the support of every other verified one, and at least two are verified, the rest is not tried.
const CLEAR_LEAD: f64 = 2.5;
/// Places closer than this are one, in cells of the search level.
const SAME_PLACE_CELLS: f64 = 4.0;
/// How far refining may move a place, cells of the refining level (two cells of the search level).
const REFINE_RADIUS: usize = 4;
/// How far a match may lie from its prediction in the first and the second pass of fine matching, cells.
const GUIDE_RADII: [usize; 2] = [6, 3];
/// What a view may still be off by in rotation and scale, beyond the spacing of the hypotheses.
const MAX_ROTATION_RAD: f64 = 0.26;
const MAX_LOG_SCALE: f64 = 0.2;
/// A match agrees within this distance, cells.
const TOLERANCE_CELLS: f64 = 1.5;

/// A decoded frame with the views to try.
pub struct Observation {
    /// The frame's ordinal.
    pub ordinal: u64,
    /// Time of capture.
    pub stamp_ns: i64,
    /// What is known of its pose.
    pub known: Known,
    /// The camera, for the frame's true size.
    pub camera: Camera,
    /// The frame and its halvings.
    pub pyramid: FramePyramid,
    /// The views to try.
    pub hypotheses: Vec<Hypothesis>,
    /// Positions in the index of the levels to search and to refine at.
    pub search_level: usize,
    /// See `search_level`.
    pub refine_level: usize,
}

/// A circle in a region's plane: its centre, metres east and north, and its radius.
pub type Circle = ([f64; 2], f64);

/// Where to search, and with what.
pub struct Retrieved {
    /// One template for each hypothesis, with its view.
    pub templates: Vec<(Template, MetricView)>,
    /// The views and features behind the templates, where the level that is searched is also the one that refines.
    pub views: Vec<(RectifiedFrame, DenseFeatures)>,
    /// Cells that may hold the frame, best first; empty when everything is searched.
    pub cells: Vec<CellId>,
    /// Number of cells that were candidates.
    pub candidates: usize,
    /// The prior in each region's plane and its radius, metres, when it is confident.
    pub within: Option<Vec<Option<Circle>>>,
}

/// A place verified by fine matching.
pub struct Verified {
    /// The place.
    pub place: Place,
    /// The view it was verified with.
    pub view: Hypothesis,
    /// Its matches.
    pub matches: Vec<GuidedMatch>,
    /// What they agree on.
    pub consensus: Consensus,
}

/// The outcome of a frame with what a viewer wants to see of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    /// The outcome.
    pub outcome: Outcome,
    /// Matches of the best place, also when the outcome is an abstention.
    pub matches: Vec<Match>,
    /// Candidate cells searched.
    pub candidates: usize,
    /// Support of the best place, 0..1.
    pub score: f64,
}

impl Matched {
    /// An abstention without matches.
    pub fn abstained(reason: AbstainReason) -> Self {
        Self { outcome: Outcome::Abstained(reason), matches: Vec::new(), candidates: 0, score: 0.0 }
    }
}

/// The map's side of matching: shared by all workers.
pub struct Matcher {
    /// The index.
    pub index: Arc<MapIndex>,
    /// The settings.
    pub settings: MatchSettings,
    /// Neighbourhood consensus for [`CoarseMethod::Sascm`].
    consensus: ConsensusNetwork,
    /// By level, then region; made when first needed.
    grids: Vec<Vec<OnceLock<Option<SearchGrid>>>>,
}

impl Matcher {
    /// Prepares matching against an index.
    pub fn new(index: Arc<MapIndex>, settings: MatchSettings) -> Self {
        let grids = index.levels.iter().map(|l| l.regions.iter().map(|_| OnceLock::new()).collect()).collect();
        Self { index, settings, consensus: ConsensusNetwork::fixed(), grids }
    }

    /// Takes learned weights for the neighbourhood consensus in place of the fixed kernel.
    pub fn with_consensus(self, consensus: ConsensusNetwork) -> Self {
        Self { consensus, ..self }
    }

    fn grid(&self, level: usize, region: usize) -> Option<&SearchGrid> {
        let cell = self.grids.get(level)?.get(region)?;
        let make = || {
            let level = self.index.levels.get(level)?;
            level.regions.get(region)?.as_ref().map(|grid| SearchGrid::new(grid, &level.model))
        };
        cell.get_or_init(make).as_ref()
    }

    /// Decodes a frame and decides which views to try at which levels.
    pub fn rectify(&self, frame: &Frame) -> Result<Observation, AbstainReason> {
        let image = decode(&frame.pixels).ok_or(AbstainReason::Unreadable)?;
        let camera = frame.camera.ok_or(AbstainReason::NoCamera)?;
        let camera = Camera { intrinsics: camera.intrinsics.scaled_to(image.width(), image.height()), ..camera };
        let pyramid = FramePyramid::new(&image);
        if pyramid.contrast() < self.settings.min_contrast {
            return Err(AbstainReason::NoTexture);
        }
        let hypotheses = hypotheses(&camera, &frame.known, self.settings.unknown_height)?;
        let first = hypotheses.first().ok_or(AbstainReason::BadView)?;
        let outline = footprint(&camera, &first.enu_from_camera, first.height_m).ok_or(AbstainReason::BadView)?;
        let diagonal =
            outline.iter().flat_map(|a| outline.iter().map(move |b| (a[0] - b[0]).hypot(a[1] - b[1]))).fold(0.0, f64::max);
        let refine_level = self.index.level_for_extent(diagonal, self.settings.longest_view_px);
        // Many hypotheses are sifted on the next coarser level; a few can be searched for at once at the level that refines them.
        let coarser = usize::from(hypotheses.len() > FEW_HYPOTHESES);
        let search_level = (refine_level + coarser).min(self.index.levels.len().saturating_sub(1));
        Ok(Observation {
            ordinal: frame.ordinal,
            stamp_ns: frame.stamp_ns,
            known: frame.known,
            camera,
            pyramid,
            hypotheses,
            search_level,
            refine_level,
        })
    }

    /// Describes the frame under each hypothesis and ranks the map's cells. `active` says which cells the catalogue holds; `None`
    /// means all.
    pub fn retrieve(
        &self,
        observation: &Observation,
        prior: Option<&Prior>,
        active: Option<&dyn Fn(CellId) -> bool>,
        network: &mut dyn DenseExtractor,
    ) -> Result<Retrieved, AbstainReason> {
        let level = self.index.levels.get(observation.search_level).ok_or(AbstainReason::NoCandidate)?;
        let projection = &level.model.projection;
        let mut templates = Vec::with_capacity(observation.hypotheses.len());
        let mut views = Vec::new();
        for hypothesis in &observation.hypotheses {
            let (view, features) = self.describe(observation, hypothesis, observation.search_level, network)?;
            let covered = view.covered_cells(features.stride_px);
            templates.push((Template::new(&features, &covered, projection), view.view));
            if observation.search_level == observation.refine_level {
                views.push((view, features));
            }
        }
        let within = prior.and_then(|p| self.confident_region(p, observation));
        if within.as_ref().is_some_and(|w| w.iter().all(Option::is_none)) {
            return Err(AbstainReason::NoCandidate);
        }
        let allowed = |cell: CellId| {
            active.is_none_or(|a| a(cell))
                && within.as_ref().is_none_or(|w| {
                    let near = w.get(cell.region as usize).copied().flatten();
                    near.zip(self.index.cell_centre_m(cell)).is_some_and(|((p, radius), (c, half))| {
                        (p[0] - c[0]).abs() <= radius + half && (p[1] - c[1]).abs() <= radius + half
                    })
                })
        };
        let candidates = level.cells.iter().filter(|c| allowed(**c)).count();
        if candidates == 0 {
            return Err(AbstainReason::NoCandidate);
        }
        let everything = self.settings.coarse == CoarseMethod::Correlation
            && candidates == level.cells.len()
            && candidates <= self.settings.exhaustive_cells;
        if everything {
            return Ok(Retrieved { templates, views, cells: Vec::new(), candidates, within });
        }
        let keep = if candidates <= self.settings.exhaustive_cells { candidates } else { self.settings.top_cells };
        let queries: Vec<Vec<f32>> =
            templates.iter().map(|(t, _)| aggregate(&t.features(), &level.model.centres, projection.components)).collect();
        let cells = top_k(level, &queries, keep, allowed).into_iter().map(|r| r.cell).collect();
        Ok(Retrieved { templates, views, cells, candidates, within })
    }

    fn confident_region(&self, prior: &Prior, observation: &Observation) -> Option<Vec<Option<Circle>>> {
        let height = observation.known.height_agl_m.map_or(100.0, |h| h.value);
        let tilt = observation.camera.tilt_sigma_rad * height;
        let (position, sigma_m) = prior.at(observation.stamp_ns);
        let radius = PRIOR_SIGMAS * sigma_m.hypot(tilt) + PRIOR_MARGIN_M;
        if !(radius <= self.settings.confident_radius_m) {
            return None;
        }
        let in_region = |region: &crate::retrieve::index::IndexedRegion| {
            let Enu { e_m, n_m, .. } = region.plane.ground_from_lat_lon(position.lat_deg, position.lon_deg);
            // A prior far from a region says that the frame does not show it.
            (e_m.hypot(n_m) < 1e5).then_some(([e_m, n_m], radius))
        };
        Some(self.index.regions.iter().map(in_region).collect())
    }

    /// Finds the places that stand out most.
    pub fn coarse(&self, observation: &Observation, retrieved: &Retrieved) -> Result<Vec<Place>, AbstainReason> {
        let level = self.index.levels.get(observation.search_level).ok_or(AbstainReason::NoCandidate)?;
        let cell_m = level_gsd_m(level.level) * self.index.identity.stride_px as f64;
        let standing_out = |places| {
            let places = distinct(places, SAME_PLACE_CELLS * cell_m, self.settings.places);
            if places.is_empty() { Err(AbstainReason::NoCandidate) } else { Ok(places) }
        };
        if self.settings.coarse == CoarseMethod::Sascm {
            let grid = |region: usize| level.regions.get(region)?.as_ref().zip(self.grid(observation.search_level, region));
            return standing_out(places_of(&match_candidates(retrieved, &self.settings, &self.consensus, grid)));
        }
        let mut places = Vec::new();
        for (hypothesis, (template, view)) in retrieved.templates.iter().enumerate() {
            let mut moments = (0.0, 0.0, 0.0);
            let mut found = Vec::new();
            for (region, grid) in level.regions.iter().enumerate() {
                let (Some(grid), Some(search)) = (grid, self.grid(observation.search_level, region)) else { continue };
                let crop = [template.cropped.0 as f64, template.cropped.1 as f64];
                // Template position for a camera at the origin of the region's plane.
                let (r0, c0) = grid.grid_from_ground(view.west_m, view.north_m);
                let windows = self.windows(retrieved, region, |e, n| {
                    let (r, c) = grid.grid_from_ground(e + view.west_m, n + view.north_m);
                    (r + crop[0], c + crop[1])
                });
                let Some(windows) = windows else { continue };
                let response = search.search(template, &windows, 2 * self.settings.places);
                moments.0 += response.moments.0;
                moments.1 += response.moments.1;
                moments.2 += response.moments.2;
                for peak in response.peaks {
                    let e = (peak.column - crop[1] - c0) * grid.cell_m;
                    let n = -(peak.row - crop[0] - r0) * grid.cell_m;
                    found.push((region, [e, n], peak.score));
                }
            }
            let (mean, spread) = Response::mean_and_spread(moments);
            places.extend(found.into_iter().map(|(region, camera_m, score)| Place {
                region,
                hypothesis,
                camera_m,
                score: (score - mean) / spread,
            }));
        }
        standing_out(places)
    }

    /// Windows of template positions for a region: `None` when nothing there is to be searched, empty when everything is.
    fn windows(&self, retrieved: &Retrieved, region: usize, position: impl Fn(f64, f64) -> (f64, f64)) -> Option<Vec<Window>> {
        let around = |[e, n]: [f64; 2], half: f64| {
            let ((top, left), (bottom, right)) = (position(e - half, n + half), position(e + half, n - half));
            Window {
                rows: (top.floor() as i64, bottom.ceil() as i64 + 1),
                columns: (left.floor() as i64, right.ceil() as i64 + 1),
            }
        };
        let prior = retrieved.within.as_ref().map(|w| w.get(region).copied().flatten());
        match (prior, retrieved.cells.is_empty()) {
            (Some(None), _) => None,
            (Some(Some((centre, radius))), _) => Some(vec![around(centre, radius)]),
            (None, true) => Some(Vec::new()),
            (None, false) => {
                let windows: Vec<Window> = retrieved
                    .cells
                    .iter()
                    .filter(|c| c.region as usize == region)
                    .filter_map(|c| self.index.cell_centre_m(*c))
                    .map(|(centre, half)| around(centre, half))
                    .collect();
                (!windows.is_empty()).then_some(windows)
            }
        }
    }

    /// Refines the places on the finer level and verifies them by fine matching; best first.
    pub fn fine(
        &self,
        observation: &Observation,
        retrieved: &Retrieved,
        places: &[Place],
        network: &mut dyn DenseExtractor,
    ) -> Result<Vec<Verified>, AbstainReason> {
        let level = self.index.levels.get(observation.refine_level).ok_or(AbstainReason::NoCandidate)?;
        let mean = &level.model.projection.mean;
        let mut views: Vec<(usize, MetricView, ViewField, FineTemplate)> = Vec::new();
        let mut verified: Vec<Verified> = Vec::new();
        for place in places {
            if clearly_decided(&verified, self.settings.fix.min_support) {
                break;
            }
            let Some(grid) = level.regions.get(place.region).and_then(Option::as_ref) else { continue };
            let Some(hypothesis) = observation.hypotheses.get(place.hypothesis) else { continue };
            let known = views.iter().position(|v| v.0 == place.hypothesis);
            let at = match known {
                Some(at) => at,
                None => {
                    let computed;
                    let (view, features) = match retrieved.views.get(place.hypothesis) {
                        Some(kept) => kept,
                        None => {
                            computed = self.describe(observation, hypothesis, observation.refine_level, network)?;
                            &computed
                        }
                    };
                    let covered = view.covered_cells(features.stride_px);
                    let field = ViewField::new(features, &covered, &view.view, mean);
                    let template = FineTemplate::new(features, &covered, mean);
                    views.push((place.hypothesis, view.view, field, template));
                    views.len() - 1
                }
            };
            let (_, view, field, template) = &views[at];
            let (row, column) = grid.grid_from_ground(place.camera_m[0] + view.west_m, place.camera_m[1] + view.north_m);
            let Some(refined) = template.refine(grid, mean, row, column, REFINE_RADIUS) else { continue };
            let (e, n) = grid.ground_from_grid(refined.row, refined.column);
            let camera_m = [e - view.west_m, n - view.north_m];
            let matches = guided_matches(field, grid, mean, camera_m, GUIDE_RADII[0]);
            let settings = self.consensus_settings(observation, grid.cell_m);
            if let Some(consensus) = consensus(&matches, field.keypoints(), &settings) {
                verified.push(Verified { place: Place { camera_m, ..*place }, view: *hypothesis, matches, consensus });
            }
        }
        // The order is total: equal supports keep the order of the places.
        verified.sort_by(|a, b| b.consensus.support.total_cmp(&a.consensus.support));
        if verified.is_empty() { Err(AbstainReason::FewInliers) } else { Ok(verified) }
    }

    fn consensus_settings(&self, observation: &Observation, cell_m: f64) -> ConsensusSettings {
        ConsensusSettings {
            max_rotation_rad: MAX_ROTATION_RAD,
            max_log_scale: MAX_LOG_SCALE,
            tolerance_m: TOLERANCE_CELLS * cell_m,
            seed: observation.ordinal,
        }
    }

    /// Makes the fix of the best place, or says why there is none.
    pub fn fix(
        &self,
        observation: &Observation,
        verified: &[Verified],
        candidates: usize,
        network: &mut dyn DenseExtractor,
    ) -> Matched {
        let Some(best) = verified.first() else { return Matched::abstained(AbstainReason::FewInliers) };
        match self.second_pass(observation, best, network) {
            Err(reason) => Matched {
                outcome: Outcome::Abstained(reason),
                matches: frame_matches(observation, &best.view, &best.matches, &best.consensus.inliers),
                candidates,
                score: best.consensus.support,
            },
            Ok((view, matches, consensus, pose, prior)) => {
                let settings = &self.settings.fix;
                let next = self.next_support(observation, verified);
                let outcome = fix::verdict(&matches, &consensus, next, settings)
                    .and_then(|()| fix::plausible_pose(&pose, &prior, settings))
                    .and_then(|()| self.make_fix(observation, best.place.region, &consensus, &pose))
                    .map_or_else(Outcome::Abstained, |f| Outcome::Fix(Box::new(f)));
                Matched {
                    outcome,
                    matches: frame_matches(observation, &view, &matches, &consensus.inliers),
                    candidates,
                    score: consensus.support,
                }
            }
        }
    }

    /// Support of the best place that is not the best one seen from another hypothesis.
    fn next_support(&self, observation: &Observation, verified: &[Verified]) -> f64 {
        let Some(best) = verified.first() else { return 0.0 };
        let level = self.index.levels.get(observation.search_level).map_or(0, |l| l.level);
        let apart_m = SAME_PLACE_CELLS * level_gsd_m(level) * self.index.identity.stride_px as f64;
        verified[1..]
            .iter()
            .filter(|v| v.place.region != best.place.region || distance(v.place.camera_m, best.place.camera_m) > apart_m)
            .map(|v| v.consensus.support)
            .fold(0.0, f64::max)
    }

    /// Resamples the frame with the pose of the first pass, so that its view lies truly flat, and matches again more narrowly.
    #[allow(clippy::type_complexity)] // the parts of one fix, taken apart at once by the only caller
    fn second_pass(
        &self,
        observation: &Observation,
        best: &Verified,
        network: &mut dyn DenseExtractor,
    ) -> Result<(Hypothesis, Vec<GuidedMatch>, Consensus, Pose, PosePrior), AbstainReason> {
        let level = self.index.levels.get(observation.refine_level).ok_or(AbstainReason::NoCandidate)?;
        let grid = level.regions.get(best.place.region).and_then(Option::as_ref).ok_or(AbstainReason::NoCandidate)?;
        let mean = &level.model.projection.mean;
        let camera = &observation.camera;
        let known = &observation.known;
        let prior = PosePrior::new(&best.view, known.height_agl_m, known.heading_rad, camera.tilt_sigma_rad);
        let fit = |view: &Hypothesis, matches: &[GuidedMatch], inliers: &[bool]| {
            fix::fit_pose(camera, view, matches, inliers, &prior, grid.cell_m, &self.settings.fix)
                .ok_or(AbstainReason::FewInliers)
        };
        let pose = fit(&best.view, &best.matches, &best.consensus.inliers)?;
        let view = Hypothesis { enu_from_camera: pose.enu_from_camera, height_m: pose.height_m, ..best.view };
        let (rectified, features) = self.describe(observation, &view, observation.refine_level, network)?;
        let field = ViewField::new(&features, &rectified.covered_cells(features.stride_px), &rectified.view, mean);
        let matches = guided_matches(&field, grid, mean, [pose.camera_m.x, pose.camera_m.y], GUIDE_RADII[1]);
        let settings = self.consensus_settings(observation, grid.cell_m);
        let consensus = consensus(&matches, field.keypoints(), &settings).ok_or(AbstainReason::FewInliers)?;
        let pose = fit(&view, &matches, &consensus.inliers)?;
        Ok((view, matches, consensus, pose, prior))
    }

    fn make_fix(
        &self,
        observation: &Observation,
        region: usize,
        consensus: &Consensus,
        pose: &Pose,
    ) -> Result<Fix, AbstainReason> {
        let geodetic = |p: &Vector2<f64>| self.index.geodetic(region as u32, p.x, p.y).ok_or(AbstainReason::Failed);
        let (heading, tilt_rad) = fix::heading_and_tilt(&observation.camera, pose);
        Ok(Fix {
            region: region as u32,
            camera_m: pose.camera_m,
            centre_m: pose.centre_m,
            covariance_m2: pose.position_covariance_m2,
            camera: geodetic(&pose.camera_m)?,
            centre: geodetic(&pose.centre_m)?,
            height_agl_m: (pose.height_m, pose.covariance[(2, 2)].max(0.0).sqrt()),
            heading_rad: (heading, fix::heading_sigma_rad(pose)),
            tilt_rad,
            ground_from_frame: fix::ground_from_frame(&observation.camera, pose),
            inliers: consensus.count as u32,
            score: consensus.support,
        })
    }

    /// The frame rectified under a hypothesis at a level, and its dense features.
    fn describe(
        &self,
        observation: &Observation,
        hypothesis: &Hypothesis,
        level: usize,
        network: &mut dyn DenseExtractor,
    ) -> Result<(RectifiedFrame, DenseFeatures), AbstainReason> {
        let gsd = level_gsd_m(self.index.levels.get(level).ok_or(AbstainReason::NoCandidate)?.level);
        let outline =
            footprint(&observation.camera, &hypothesis.enu_from_camera, hypothesis.height_m).ok_or(AbstainReason::BadView)?;
        let view = view_around_footprint(&outline, gsd, network.entry().input.multiple_of_px as u32);
        let mut rectified =
            rectify(&observation.pyramid, &observation.camera, &hypothesis.enu_from_camera, hypothesis.height_m, &view);
        // An edge against black would upset the network's normalisation.
        let covered = std::mem::take(&mut rectified.covered);
        rectified.image.fill_with_mean(&covered);
        rectified.covered = covered;
        let features = network.extract(&rectified.image).map_err(|error: ModelError| {
            tracing::error!("frame {}: {error}", observation.ordinal);
            AbstainReason::Failed
        })?;
        Ok((rectified, features))
    }
}

/// Whether the best of the verified places leads so clearly that others need not be tried.
fn clearly_decided(verified: &[Verified], min_support: f64) -> bool {
    let mut supports: Vec<f64> = verified.iter().map(|v| v.consensus.support).collect();
    supports.sort_by(|a, b| b.total_cmp(a));
    matches!(supports[..], [best, next, ..] if best > CLEAR_LEAD * next && best > min_support)
}

fn decode(pixels: &Pixels) -> Option<Arc<RgbImage>> {
    match pixels {
        Pixels::Decoded(image) => Some(Arc::clone(image)),
        Pixels::File(path) => match image::open(path) {
            Ok(image) => Some(Arc::new(image.into_rgb8())),
            Err(error) => {
                tracing::warn!("{}: {error}", path.display());
                None
            }
        },
    }
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The best places that do not lie in the shadow of a better one.
fn distinct(mut places: Vec<Place>, apart_m: f64, keep: usize) -> Vec<Place> {
    places.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.hypothesis.cmp(&b.hypothesis)).then(a.region.cmp(&b.region)));
    let mut kept: Vec<Place> = Vec::new();
    for place in places {
        if kept.len() == keep {
            break;
        }
        if kept.iter().all(|k| k.region != place.region || distance(k.camera_m, place.camera_m) > apart_m) {
            kept.push(place);
        }
    }
    kept
}

/// The matches in pixels of the frame.
fn frame_matches(observation: &Observation, view: &Hypothesis, matches: &[GuidedMatch], inliers: &[bool]) -> Vec<Match> {
    let camera_from_enu = view.enu_from_camera.inverse();
    matches
        .iter()
        .zip(inliers)
        .filter_map(|(m, inlier)| {
            let ray = camera_from_enu * nalgebra::Vector3::new(m.view_m[0], m.view_m[1], -view.height_m);
            let (x, y) = observation.camera.project(&ray)?;
            Some(Match { frame_px: [x, y], map_m: m.map_m, similarity: m.similarity, inlier: *inlier })
        })
        .collect()
}
