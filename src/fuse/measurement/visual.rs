//! What a frame matched with the map tells: where the camera is over the map, and how it leans.

use nalgebra::{Matrix2, Matrix4, SMatrix, Vector2, Vector3, Vector4};

use super::lever_arm::put_lever_arm;
use crate::fuse::state::{LEAN, MAP_OFFSET, STATES, State};
use crate::fuse::update::Measurement;
use crate::types::FreePose;

/// A frame's pose: the camera over the map and its lean, which errors of the match tie together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VisualFix {
    /// The camera over the map, metres east and north in the plane.
    pub camera_en_m: Vector2<f64>,
    /// Its lean, tangents to the right and down in the image.
    pub lean: Vector2<f64>,
    /// Covariance of (camera e, camera n, lean right, lean down).
    pub covariance: Matrix4<f64>,
    /// The camera as seen from the point that is navigated, metres, body frame.
    pub lever_arm_m: Vector3<f64>,
}

impl VisualFix {
    /// Of a pose whose camera lies at `camera_en_m`; `lean_jitter` is what one frame's lean differs from the lasting one by, radians.
    pub fn of(pose: &FreePose, camera_en_m: Vector2<f64>, lean_jitter: f64) -> Self {
        let jitter = Matrix4::from_diagonal(&Vector4::new(0.0, 0.0, lean_jitter * lean_jitter, lean_jitter * lean_jitter));
        Self { camera_en_m, lean: pose.lean, covariance: pose.covariance + jitter, lever_arm_m: Vector3::zeros() }
    }
}

/// Where the map shows a point of the body, metres east and north.
fn on_map(state: &State, lever_arm_m: &Vector3<f64>) -> Vector2<f64> {
    (state.position_m + state.enu_from_body * lever_arm_m).xy() + state.map_offset_m
}

impl Measurement<4> for VisualFix {
    fn innovation(&self, state: &State) -> Vector4<f64> {
        let place = self.camera_en_m - on_map(state, &self.lever_arm_m);
        let lean = self.lean - state.lean;
        Vector4::new(place.x, place.y, lean.x, lean.y)
    }

    fn jacobian(&self, state: &State) -> SMatrix<f64, 4, STATES> {
        let mut h = SMatrix::zeros();
        for i in 0..2 {
            h[(i, i)] = 1.0;
            h[(i, MAP_OFFSET + i)] = 1.0;
            h[(2 + i, LEAN + i)] = 1.0;
        }
        put_lever_arm(&mut h, 2, state, &self.lever_arm_m);
        h
    }

    fn covariance(&self) -> Matrix4<f64> {
        self.covariance
    }
}

/// A place on the map that says nothing of the camera's lean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Metres east and north in the plane.
    pub en_m: Vector2<f64>,
    /// Its covariance, m².
    pub covariance: Matrix2<f64>,
    /// What is there, as seen from the point that is navigated, metres, body frame.
    pub lever_arm_m: Vector3<f64>,
}

impl Measurement<2> for Place {
    fn innovation(&self, state: &State) -> Vector2<f64> {
        self.en_m - on_map(state, &self.lever_arm_m)
    }

    fn jacobian(&self, state: &State) -> SMatrix<f64, 2, STATES> {
        let mut h = SMatrix::zeros();
        for i in 0..2 {
            h[(i, i)] = 1.0;
            h[(i, MAP_OFFSET + i)] = 1.0;
        }
        put_lever_arm(&mut h, 2, state, &self.lever_arm_m);
        h
    }

    fn covariance(&self) -> Matrix2<f64> {
        self.covariance
    }
}
