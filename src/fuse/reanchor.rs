//! A long flight's plane moves along with it.
//!
//! The filter's plane is a chart of the ground that is exact at its origin. At a distance d its north is off by the convergence of the
//! meridians, d tan φ / R. Before that matters a plane at the aircraft takes its place: what is horizontal turns by that angle, and so do
//! the covariances and the transition that a smoother follows back. Up is the local vertical in both, because gravity is.

use nalgebra::{Matrix2, Matrix3, SMatrix, UnitQuaternion, Vector2, Vector3};

use super::anchor::POSE;
use super::running::Running;
use super::state::{Covariance, MAP_OFFSET, VELOCITY, WIND, gravity_m_s2};
use crate::geo::{EnuPlane, Geodetic};

/// The angle between the norths of two planes is taken over this distance, metres.
const BASELINE_M: f64 = 1_000.0;

impl Running {
    /// Moves the plane to where the filter is, once that lies so far from the plane's origin, metres.
    pub fn reanchor(&mut self, beyond_m: f64) {
        let here = self.navigator.filter.state.position_m.xy();
        if !(here.norm() > beyond_m) {
            return;
        }
        let (lat, lon) = self.plane.lat_lon_from_ground(here.x, here.y);
        let to = EnuPlane::at(Geodetic::ground(lat, lon));
        let (from, gravity_m_s2) = (std::mem::replace(&mut self.plane, to), gravity_m_s2(lat));
        let across = |at: Vector2<f64>| {
            let (lat, lon) = from.lat_lon_from_ground(at.x, at.y);
            let there = to.ground_from_lat_lon(lat, lon);
            Vector2::new(there.e_m, there.n_m)
        };
        let north = across(here + Vector2::new(0.0, BASELINE_M)) - across(here);
        let angle_rad = (-north.x).atan2(north.y);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), angle_rad);
        let level: Matrix3<f64> = turn.to_rotation_matrix().into_inner();
        let flat: Matrix2<f64> = level.fixed_view::<2, 2>(0, 0).into_owned();

        let mut errors = Covariance::identity();
        for first in [0, VELOCITY] {
            errors.fixed_view_mut::<3, 3>(first, first).copy_from(&level);
        }
        for first in [MAP_OFFSET, WIND] {
            errors.fixed_view_mut::<2, 2>(first, first).copy_from(&flat);
        }
        for filter in self.filters_mut() {
            filter.gravity_m_s2 = gravity_m_s2;
            let state = &mut filter.state;
            let place = across(state.position_m.xy());
            state.position_m = Vector3::new(place.x, place.y, state.position_m.z);
            state.velocity_m_s = turn * state.velocity_m_s;
            state.enu_from_body = turn * state.enu_from_body;
            state.map_offset_m = flat * state.map_offset_m;
            state.wind_m_s = flat * state.wind_m_s;
            let covariance = errors * filter.covariance * errors.transpose();
            filter.covariance = (covariance + covariance.transpose()) * 0.5;
            if let Some(transition) = &mut filter.transition {
                **transition = errors * **transition;
            }
            if let Some(anchor) = &mut filter.anchor {
                let mut pose = SMatrix::<f64, POSE, POSE>::identity();
                pose.fixed_view_mut::<3, 3>(0, 0).copy_from(&level);
                let place = across(anchor.position_m.xy());
                anchor.position_m = Vector3::new(place.x, place.y, anchor.position_m.z);
                anchor.enu_from_body = turn * anchor.enu_from_body;
                anchor.covariance = pose * anchor.covariance * pose.transpose();
                anchor.cross = errors * anchor.cross * pose.transpose();
            }
        }
        self.hypotheses.carry(across, &flat);
    }
}
