//! Attitudes of a forward-right-down body in an east-north-up world.

use nalgebra::{Matrix3, Rotation3, UnitQuaternion};

/// `enu_from_body` of a forward-right-down body from heading (clockwise from north), pitch (nose up) and roll (right down).
pub fn enu_from_body(heading_rad: f64, pitch_rad: f64, roll_rad: f64) -> UnitQuaternion<f64> {
    let enu_from_ned = Rotation3::from_matrix_unchecked(Matrix3::new(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0));
    let ned_from_body = UnitQuaternion::from_euler_angles(roll_rad, pitch_rad, heading_rad);
    UnitQuaternion::from_rotation_matrix(&enu_from_ned) * ned_from_body
}

/// Heading, pitch and roll of `enu_from_body`, radians; the inverse of [`enu_from_body`].
pub fn heading_pitch_roll(enu_from_body: &UnitQuaternion<f64>) -> (f64, f64, f64) {
    let ned_from_enu = Rotation3::from_matrix_unchecked(Matrix3::new(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0));
    let (roll, pitch, heading) = (UnitQuaternion::from_rotation_matrix(&ned_from_enu) * enu_from_body).euler_angles();
    (heading.rem_euclid(std::f64::consts::TAU), pitch, roll)
}

/// The shorter turn from one heading to another, radians: −π up to π.
pub fn turn_between(from_rad: f64, to_rad: f64) -> f64 {
    use std::f64::consts::{PI, TAU};
    (to_rad - from_rad + PI).rem_euclid(TAU) - PI
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_turn_is_the_shorter_one_and_leads_there(from in -20.0..20.0f64, to in -20.0..20.0f64) {
            let turn = turn_between(from, to);
            prop_assert!(turn.abs() <= std::f64::consts::PI + 1e-9);
            prop_assert!((from + turn - to).sin().abs() < 1e-9 && (from + turn - to).cos() > 0.0);
        }

        #[test]
        fn attitude_and_back(h in 0.0..6.2f64, p in -1.5..1.5f64, r in -3.1..3.1f64) {
            let (h2, p2, r2) = heading_pitch_roll(&enu_from_body(h, p, r));
            prop_assert!((h - h2).abs() < 1e-9 && (p - p2).abs() < 1e-9 && (r - r2).abs() < 1e-9);
        }
    }
}
