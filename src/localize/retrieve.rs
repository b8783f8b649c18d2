//! `retrieve`: which cells of the map a frame may show.

use super::describe::{failed, rectified};
use super::{Circle, Described, Localizer, Observation, Retrieved};
use crate::camera::view_hypotheses::ViewHypothesis;
use crate::geo::{Enu, Geodetic, MetricView};
use crate::localize::CoarseMethod;
use crate::models::{DenseExtractor, ModelError};
use crate::retrieve::CellId;
use crate::retrieve::build::{describe, view_of_cell};
use crate::retrieve::index::IndexedRegion;
use crate::retrieve::search::{top_k, top_pairs};
use crate::types::{AbstainReason, Prior};

/// A prior's search radius is this many sigmas and a margin for what it does not know of, metres.
const PRIOR_SIGMAS: f64 = 3.5;
const PRIOR_MARGIN_M: f64 = 40.0;

impl Localizer {
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
        let within = prior.and_then(|p| self.confident_region(p, observation));
        if within.as_ref().is_some_and(|w| w.iter().all(Option::is_none)) {
            return Err(AbstainReason::NoCandidate);
        }
        let allowed = |cell: CellId| {
            active.map_or_else(|| !self.index.is_patch(cell.region), |a| a(cell))
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
        let few = within.is_some() || candidates <= self.settings.exhaustive_cells;
        let unranked = self.settings.coarse == CoarseMethod::Correlation && active.is_none() && few;
        let projection = &level.model.projection;
        let mut templates = Vec::with_capacity(observation.hypotheses.len());
        let (mut views, mut queries) = (Vec::new(), Vec::new());
        for hypothesis in &observation.hypotheses {
            let described = self.describe(observation, hypothesis, observation.search_level, network)?;
            let Described { view, covered, features } = &described;
            templates.push((described.template(projection), *view));
            if !unranked {
                let query = match self.query_of_image(observation, hypothesis, view, network) {
                    Some(query) => query,
                    None => describe(&features.descriptors_where(covered), &level.model, network),
                };
                queries.push(query.map_err(|error| failed(observation, &error))?);
            }
            if observation.search_level == observation.refine_level {
                views.push(described);
            }
        }
        if unranked {
            return Ok(Retrieved { templates, views, cells: Vec::new(), candidates, within });
        }
        let keep = if candidates <= self.settings.exhaustive_cells { candidates } else { self.settings.top_cells };
        let cells = match self.settings.coarse {
            CoarseMethod::Sascm => top_pairs(level, &queries, self.settings.sascm_windows(candidates, queries.len()), allowed),
            _ => top_k(level, &queries, keep, allowed),
        };
        Ok(Retrieved { templates, views, cells, candidates, within })
    }

    /// Global descriptor of as much ground as a cell has, around the middle of a view, by a head that takes whole images; `None` where the
    /// network has no such head.
    fn query_of_image(
        &self,
        observation: &Observation,
        hypothesis: &ViewHypothesis,
        view: &MetricView,
        network: &mut dyn DenseExtractor,
    ) -> Option<Result<Vec<f32>, ModelError>> {
        let mut describer = network.image_describer()?;
        let (e, n) = view.ground_from_pixel(f64::from(view.width_px) / 2.0, f64::from(view.height_px) / 2.0);
        let view = view_of_cell([e, n], self.cell_m(observation.search_level), describer.side_px());
        Some(describer.describe_image(&rectified(observation, hypothesis, &view).image))
    }

    fn confident_region(&self, prior: &Prior, observation: &Observation) -> Option<Vec<Option<Circle>>> {
        let (position, sigma_m) = self.expected(prior, observation);
        let radius = PRIOR_SIGMAS * sigma_m + PRIOR_MARGIN_M;
        if !(radius <= self.settings.confident_radius_m) {
            return None;
        }
        let in_region = |region: &IndexedRegion| {
            let Enu { e_m, n_m, .. } = region.plane.ground_from_lat_lon(position.lat_deg, position.lon_deg);
            // A prior far from a region says that the frame does not show it.
            (e_m.hypot(n_m) < 1e5).then_some(([e_m, n_m], radius))
        };
        Some(self.index.regions.iter().map(in_region).collect())
    }

    /// Where a prior expects what the frame shows, and its 1 sigma, the tilt that nobody measured included, metres.
    pub(super) fn expected(&self, prior: &Prior, observation: &Observation) -> (Geodetic, f64) {
        let height = observation.known.height_agl_m.map_or(100.0, |h| h.value);
        let (position, sigma_m) = prior.at(observation.frame.stamp_ns);
        (position, sigma_m.hypot(observation.frame.camera.tilt_sigma_rad * height))
    }
}
