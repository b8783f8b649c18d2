//! Attitudes as makers state them, made into heading, pitch and roll of what a camera that looks down is fixed to.

use nalgebra::{UnitQuaternion, Vector3};

use crate::geo::{enu_from_body, heading_pitch_roll};

/// Yaw, pitch and roll, radians, of a camera whose lens points along its x axis (forward), its picture's right along y and down along z: the attitude
/// is Rz(yaw)·Ry(pitch)·Rx(roll) from north-east-down. Gimbals state it so; a pitch of −90° looks straight down, and roll turns the picture
/// about the lens, so that the picture's top is at yaw + roll there.
///
/// Gives heading, pitch and roll, radians, of a body below which a camera that looks straight down with the top of its picture forward
/// would see the same.
pub fn of_forward_lens(yaw_rad: f64, pitch_rad: f64, roll_rad: f64) -> (f64, f64, f64) {
    let quarter = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), std::f64::consts::FRAC_PI_2);
    heading_pitch_roll(&(enu_from_body(yaw_rad, pitch_rad, roll_rad) * quarter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn degrees(yaw: f64, pitch: f64, roll: f64) -> [f64; 3] {
        let (heading, pitch, roll) = of_forward_lens(yaw.to_radians(), pitch.to_radians(), roll.to_radians());
        [heading, pitch, roll].map(f64::to_degrees)
    }

    fn near(a: [f64; 3], b: [f64; 3]) -> bool {
        let turn = (a[0] - b[0] + 180.0).rem_euclid(360.0) - 180.0;
        turn.abs() < 1e-6 && (a[1] - b[1]).abs() < 1e-6 && (a[2] - b[2]).abs() < 1e-6
    }

    #[test]
    fn straight_down_the_heading_is_yaw_plus_roll_and_off_it_pitch_is_counted_from_there() {
        assert!(near(degrees(40.0, -90.0, 0.0), [40.0, 0.0, 0.0]));
        assert!(near(degrees(40.0, -90.0, 90.0), [130.0, 0.0, 0.0]));
        assert!(near(degrees(-170.0, -90.0, 180.0), [10.0, 0.0, 0.0]));
        assert!(near(degrees(40.0, -60.0, 0.0), [40.0, 30.0, 0.0]));
        // Turned about the lens by a quarter while it looks 10° to the north of straight down: the picture's top points east, its left looks ahead.
        assert!(near(degrees(0.0, -80.0, 90.0), [90.0, 0.0, 10.0]), "{:?}", degrees(0.0, -80.0, 90.0));
    }

    proptest! {
        #[test]
        fn the_lens_points_where_yaw_and_pitch_say_whatever_the_roll(yaw in -3.1..3.1f64, pitch in -1.5..-0.3f64, roll in -3.1..3.1f64) {
            let (heading, p, r) = of_forward_lens(yaw, pitch, roll);
            let down = enu_from_body(heading, p, r) * Vector3::z();
            let expected = Vector3::new(pitch.cos() * yaw.sin(), pitch.cos() * yaw.cos(), pitch.sin());
            prop_assert!((down - expected).norm() < 1e-9);
        }
    }
}
