use super::*;
use crate::fuse::measurement::{Barometer, Heading, Height, Place, VisualFix};
use crate::geo::enu_from_body;
use nalgebra::{Matrix2, Vector2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(in crate::fuse) fn filter() -> Eskf {
    let state = State {
        position_m: Vector3::new(1.0, 2.0, 100.0),
        velocity_m_s: Vector3::new(5.0, -3.0, 0.5),
        enu_from_body: enu_from_body(0.7, 0.1, -0.2),
        accel_bias_m_s2: Vector3::new(0.05, -0.02, 0.03),
        gyro_bias_rad_s: Vector3::new(0.001, 0.002, -0.001),
        lean: Vector2::new(0.02, -0.05),
        map_offset_m: Vector2::new(1.0, -2.0),
        baro_offset_m: 3.0,
        wind_m_s: Vector2::new(2.0, -1.0),
    };
    Eskf::new(state, Covariance::identity() * 0.5, 9.81, NoiseDensities::default())
}

fn place(en_m: Vector2<f64>, covariance: Matrix2<f64>) -> Place {
    Place { en_m, covariance, lever_arm_m: Vector3::zeros() }
}

#[test]
fn the_transition_equals_finite_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut vector = |scale: f64| Vector3::from_fn(|_, _| (rng.random::<f64>() - 0.5) * scale);
    for dt in [0.0025, 0.005, 0.02] {
        for _ in 0..20 {
            let (accel, gyro) = (vector(30.0), vector(6.0));
            let mut base = filter();
            base.noise.map_offset_time_s = 0.5;
            base.state.enu_from_body = UnitQuaternion::from_scaled_axis(vector(4.0));
            base.transition = Some(Box::new(Covariance::identity()));
            let after = |error: &ErrorState| {
                let mut there = base.clone();
                there.state = there.state.plus(error);
                there.predict(&accel, &gyro, dt);
                there.state
            };
            let mut measured = Covariance::zeros();
            for k in 0..STATES {
                let mut error = ErrorState::zeros();
                error[k] = 1e-4;
                measured.set_column(k, &(after(&error).minus(&after(&-error)) / 2e-4));
            }
            base.predict(&accel, &gyro, dt);
            let difference = (measured - *base.transition.unwrap()).abs().max();
            assert!(difference < 1e-6, "{difference} at {dt} s");
        }
    }
}

#[test]
fn a_hovering_body_stays_where_it_is() {
    let mut f = filter();
    f.state.velocity_m_s = Vector3::zeros();
    let force = f.state.enu_from_body.inverse() * Vector3::new(0.0, 0.0, 9.81) + f.state.accel_bias_m_s2;
    let rate = f.state.gyro_bias_rad_s;
    let start = f.state.position_m;
    for _ in 0..1000 {
        f.predict(&force, &rate, 0.005);
    }
    assert!((f.state.position_m - start).norm() < 1e-6);
}

#[test]
fn a_measurement_that_is_not_finite_or_has_no_covariance_leaves_the_state_untouched() {
    let before = filter();
    for (z, p) in [
        (Vector2::new(f64::NAN, 0.0), Matrix2::identity()),
        (Vector2::new(0.0, 0.0), -Matrix2::identity()),
        (Vector2::new(0.0, 0.0), Matrix2::new(1.0, f64::INFINITY, 0.0, 1.0)),
    ] {
        let mut f = before.clone();
        assert_eq!(f.fuse(&place(z, p), 1e9), Update::Refused);
        assert_eq!(f, before);
    }
}

#[test]
fn a_far_measurement_is_gated() {
    let before = filter();
    let mut f = before.clone();
    assert!(matches!(f.fuse(&place(Vector2::new(500.0, 0.0), Matrix2::identity()), 13.8), Update::Gated(_)));
    assert_eq!(f, before);
}

#[test]
fn the_covariance_stays_symmetric_and_positive_over_a_million_steps() {
    let mut f = filter();
    for i in 0..1_000_000 {
        let t = f64::from(i) * 0.005;
        let turn = 0.3 * (t * 0.2).sin();
        f.predict(&Vector3::new(0.1, 0.3 * turn, -9.8), &Vector3::new(0.0, 0.01, turn), 0.005);
        if i % 100 == 0 {
            let p = f.state.position_m.xy() + f.state.map_offset_m + Vector2::new(0.3, -0.2);
            f.fuse(&place(p, Matrix2::new(4.0, 1.0, 1.0, 3.0)), 1e9);
            f.fuse(&Heading { heading_rad: t * 0.1, sigma_rad: 0.1 }, 1e9);
            f.fuse(&Height { up_m: 100.0, sigma_m: 2.0 }, 1e9);
            f.fuse(&Barometer { up_m: 103.0, sigma_m: 0.5 }, 1e9);
        }
        if i % 1000 == 0 || i == 999_999 {
            assert_eq!(f.covariance, f.covariance.transpose());
        }
    }
    let values = f.covariance.symmetric_eigenvalues();
    assert!(values.min() >= 0.0 && values.max().is_finite(), "{values}");
}

#[test]
fn oracle_the_update_equals_josephs_form_with_dense_matrices() {
    let mut fast = filter();
    for _ in 0..10 {
        fast.predict(&Vector3::new(1.0, 0.5, -9.0), &Vector3::new(0.1, 0.2, 0.3), 0.1);
    }
    let slow = fast.clone();
    let measurement = VisualFix {
        camera_en_m: slow.state.position_m.xy(),
        lean: Vector2::new(0.01, 0.02),
        covariance: nalgebra::Matrix4::identity() * 0.7,
        lever_arm_m: Vector3::new(0.2, 0.1, 0.3),
    };
    let (h, r) = (measurement.jacobian(&slow.state), measurement.covariance());
    let gain = slow.covariance * h.transpose() * (h * slow.covariance * h.transpose() + r).try_inverse().unwrap();
    let keep = Covariance::identity() - gain * h;
    let error: ErrorState = gain * measurement.innovation(&slow.state);
    let joseph = keep * slow.covariance * keep.transpose() + gain * r * gain.transpose();
    let mut reset = Covariance::identity();
    let half_turn: Vector3<f64> = error.fixed_rows::<3>(ATTITUDE) * 0.5;
    reset.fixed_view_mut::<3, 3>(ATTITUDE, ATTITUDE).copy_from(&(Matrix3::identity() - half_turn.cross_matrix()));
    assert!(matches!(fast.fuse(&measurement, 1e9), Update::Used(_)));
    assert!((fast.covariance - reset * joseph * reset.transpose()).abs().max() < 1e-10);
    assert!(fast.state.minus(&slow.state.plus(&error)).norm() < 1e-12);
}

#[test]
fn a_heading_update_turns_towards_the_measurement() {
    let mut f = filter();
    f.fuse(&Heading { heading_rad: 0.9, sigma_rad: 0.01 }, 1e9);
    let (heading, pitch, roll) = crate::geo::heading_pitch_roll(&f.state.enu_from_body);
    assert!((heading - 0.9).abs() < 0.01, "{heading}");
    assert!((pitch - 0.1).abs() < 0.02 && (roll + 0.2).abs() < 0.02);
}

/// Without an IMU the horizontal filter is linear: it must equal an independent Kalman filter.
#[test]
fn without_an_imu_it_equals_the_constant_velocity_filter_of_another_library() {
    use adskalman::{KalmanFilterNoControl, ObservationModel, StateAndCovariance, TransitionModelLinearNoControl};
    use nalgebra as na;
    struct Motion(f64, f64);
    impl TransitionModelLinearNoControl<f64, na::U4> for Motion {
        fn F(&self) -> &na::Matrix4<f64> {
            Box::leak(Box::new(na::Matrix4::new(
                1.0, 0.0, self.0, 0.0, 0.0, 1.0, 0.0, self.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0,
            )))
        }
        fn FT(&self) -> &na::Matrix4<f64> {
            Box::leak(Box::new(self.F().transpose()))
        }
        fn Q(&self) -> &na::Matrix4<f64> {
            let (t, q) = (self.0, self.1 * self.1);
            let (a, b, c) = (q * t.powi(3) / 3.0, q * t * t / 2.0, q * t);
            Box::leak(Box::new(na::Matrix4::new(a, 0.0, b, 0.0, 0.0, a, 0.0, b, b, 0.0, c, 0.0, 0.0, b, 0.0, c)))
        }
    }
    struct Position(na::Matrix2<f64>);
    impl ObservationModel<f64, na::U4, na::U2> for Position {
        fn H(&self) -> &na::Matrix2x4<f64> {
            Box::leak(Box::new(na::Matrix2x4::new(1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)))
        }
        fn HT(&self) -> &na::Matrix4x2<f64> {
            Box::leak(Box::new(self.H().transpose()))
        }
        fn R(&self) -> &na::Matrix2<f64> {
            &self.0
        }
    }
    let mut ours = filter();
    ours.covariance = Covariance::identity() * 4.0;
    // Without an offset of the map, which the other filter does not know.
    ours.state.map_offset_m = Vector2::zeros();
    ours.noise.map_offset_m = 0.0;
    ours.covariance.fixed_view_mut::<2, 2>(MAP_OFFSET, MAP_OFFSET).fill(0.0);
    let s = ours.state;
    let mut theirs = StateAndCovariance::new(
        na::Vector4::new(s.position_m.x, s.position_m.y, s.velocity_m_s.x, s.velocity_m_s.y),
        na::Matrix4::identity() * 4.0,
    );
    for i in 0..50 {
        let dt = 0.5 + 0.1 * f64::from(i % 3);
        let z = Vector2::new(5.0 * f64::from(i) * 0.6 + f64::from(i % 7), -3.0 * f64::from(i) * 0.6 - f64::from(i % 5));
        let r = Matrix2::new(9.0, 2.0, 2.0, 16.0);
        ours.predict_unmeasured(dt);
        ours.fuse(&place(z, r), 1e12);
        let (motion, position) = (Motion(dt, ours.noise.unmeasured_accel), Position(r));
        theirs = KalmanFilterNoControl::new(&motion, &position).step(&theirs, &z).unwrap();
        let state = theirs.state();
        assert!((ours.state.position_m.xy() - state.xy()).norm() < 1e-8);
        assert!((ours.covariance[(0, 0)] - theirs.covariance()[(0, 0)]).abs() < 1e-8);
    }
}
