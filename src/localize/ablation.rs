//! Ablations: the cells that retrieval ranks best taken for the places themselves, with fine matching or without.

use nalgebra::{Matrix3, Matrix4, Vector2, Vector4};

use super::verify::GUIDE_RADII;
use super::{Localizer, Observation, Retrieved, VerifiedPlace};
use crate::coarse::Place;
use crate::fine::Consensus;
use crate::fine::pose::{Pose, PoseMatrix, PosePrior};
use crate::geo::Homography;
use crate::retrieve::index::CELL_STEP;
use crate::retrieve::search::Ranked;
use crate::types::{AbstainReason, Agreement, FrameMatch, Outcome, ground_offset_of_ray};

impl Localizer {
    /// Each ranked cell as a place: the middle of the view in the middle of the cell, under the view it ranks best for; similarity for
    /// a score.
    pub(super) fn places_of_cells(&self, retrieved: &Retrieved) -> Vec<Place> {
        let place = |ranked: &Ranked| {
            let ([e, n], _) = self.index.cell_centre_m(ranked.cell)?;
            let (_, view) = retrieved.templates.get(ranked.query)?;
            let (right, up) = view.ground_from_pixel(f64::from(view.width_px) / 2.0, f64::from(view.height_px) / 2.0);
            let (region, hypothesis) = (ranked.cell.region as usize, ranked.query);
            Some(Place { region, hypothesis, camera_m: [e - right, n - up], score: f64::from(ranked.similarity), lead: 0.0 })
        };
        retrieved.cells.iter().filter_map(place).collect()
    }

    /// How far a match may lie from where the middle of a cell predicts it, cells of the refining level: half the distance to the next
    /// cell, and what a right place is allowed.
    pub(super) fn reach_of_cell(&self, observation: &Observation) -> usize {
        let half_step_m = CELL_STEP as f64 / 2.0 * self.cell_m(observation.search_level);
        (half_step_m / self.cell_m(observation.refine_level)).ceil() as usize + GUIDE_RADII[0]
    }

    /// The best cell, with nothing verified.
    pub(super) fn best_cell(&self, observation: &Observation, places: &[Place]) -> Result<Vec<VerifiedPlace>, AbstainReason> {
        let place = places.first().ok_or(AbstainReason::NoCandidate)?;
        let view = *observation.hypotheses.get(place.hypothesis).ok_or(AbstainReason::NoCandidate)?;
        let [e, n] = place.camera_m;
        let consensus = Consensus {
            map_from_view: Homography(Matrix3::new(1.0, 0.0, e, 0.0, 1.0, n, 0.0, 0.0, 1.0)),
            inliers: Vec::new(),
            count: 0,
            support: place.score,
            rotation_rad: 0.0,
            scale: 1.0,
        };
        Ok(vec![VerifiedPlace { place: *place, view, matches: Vec::new(), consensus, agreement: Agreement::default() }])
    }

    /// The middle of the best cell as a fix. Its sigma is that of a position anywhere in the cell's share of the map.
    pub(super) fn fix_of_cell(&self, observation: &Observation, retrieved: &Retrieved, verified: &[VerifiedPlace]) -> FrameMatch {
        let fixed = |best: &VerifiedPlace| {
            let camera = &observation.frame.camera;
            let known = self.known_at(observation, &best.place);
            let prior = PosePrior::new(&best.view, known.height_agl_m, known.heading_rad, camera.tilt_sigma_rad);
            let pose = self.pose_of_cell(observation, best, &prior).ok_or(AbstainReason::BadView)?;
            self.fix_of_poses(observation, best.place.region, (&pose, &pose), &prior, &best.consensus)
        };
        let Some(best) = verified.first() else { return FrameMatch::abstained(AbstainReason::NoCandidate) };
        let outcome = fixed(best).map_or_else(Outcome::Abstained, |fix| Outcome::Fix(Box::new(fix)));
        let (candidates, score) = (retrieved.candidates, best.consensus.support);
        FrameMatch { outcome, candidates, score, ..FrameMatch::abstained(AbstainReason::Failed) }
    }

    fn pose_of_cell(&self, observation: &Observation, best: &VerifiedPlace, prior: &PosePrior) -> Option<Pose> {
        let camera = &observation.frame.camera;
        let i = &camera.intrinsics;
        let ray = best.view.enu_from_camera * camera.ray(f64::from(i.width_px) / 2.0, f64::from(i.height_px) / 2.0);
        let (right, up) = ground_offset_of_ray(&ray, best.view.height_m)?;
        let camera_m = Vector2::from(best.place.camera_m);
        let share_m = CELL_STEP as f64 * self.cell_m(observation.search_level);
        let square = |sigma: f64| sigma * sigma;
        let (position, tilt) = (share_m * share_m / 12.0, square(prior.tilt_sigma_rad));
        let slope = square(self.settings.fix.ground_slope_sigma_rad);
        let leant = position + tilt * square(best.view.height_m);
        let (height, heading) = (square(prior.height_sigma_m), square(prior.heading_sigma_rad));
        let covariance = PoseMatrix::from_diagonal(&[leant, leant, height, tilt, tilt, heading, slope, slope].into());
        let offset = square(self.settings.fix.map_sigma_m);
        let mut position_covariance_m2 =
            Matrix4::from_diagonal(&Vector4::new(leant, leant, position, position).add_scalar(offset));
        // What both positions share is where in the cell they are, and the map's offset.
        for (a, b) in [(0, 2), (2, 0), (1, 3), (3, 1)] {
            position_covariance_m2[(a, b)] = position + offset;
        }
        Some(Pose {
            camera_m,
            height_m: best.view.height_m,
            enu_from_camera: best.view.enu_from_camera,
            centre_m: camera_m + Vector2::new(right, up),
            covariance,
            position_covariance_m2,
        })
    }
}
