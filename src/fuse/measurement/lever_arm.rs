//! Points that are fixed to the body beside the point that is navigated.

use nalgebra::{SMatrix, Vector3};

use crate::fuse::state::{ATTITUDE, STATES, State};

/// Puts what a turn of the body does to the place of a point that is fixed to it, R l, into the first `rows` rows of a Jacobian.
pub(super) fn put_lever_arm<const M: usize>(
    jacobian: &mut SMatrix<f64, M, STATES>,
    rows: usize,
    state: &State,
    lever_arm_m: &Vector3<f64>,
) {
    let turned = -state.enu_from_body.to_rotation_matrix().into_inner() * lever_arm_m.cross_matrix();
    jacobian.view_mut((0, ATTITUDE), (rows, 3)).copy_from(&turned.rows(0, rows));
}
