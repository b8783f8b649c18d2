use super::*;
use crate::fuse::anchor::{Anchor, POSE};
use crate::fuse::eskf::Eskf;
use crate::fuse::eskf::tests::filter;
use crate::fuse::state::{ErrorState, STATES, State};
use crate::fuse::update::{Measurement, RelativeMeasurement, Update};
use crate::types::{AidSourceKind, AidState};
use nalgebra::{Matrix2, Matrix3, Matrix4, SMatrix, UnitQuaternion, Vector2, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const STEP: f64 = 1e-4;

/// The largest difference between a Jacobian and finite differences of the innovation.
fn jacobian_error<const M: usize>(measurement: &impl Measurement<M>, state: &State) -> f64 {
    let mut measured = SMatrix::<f64, M, STATES>::zeros();
    for k in 0..STATES {
        let mut error = ErrorState::zeros();
        error[k] = STEP;
        let (plus, minus) = (measurement.innovation(&state.plus(&error)), measurement.innovation(&state.plus(&-error)));
        measured.set_column(k, &((minus - plus) / (2.0 * STEP)));
    }
    (measured - measurement.jacobian(state)).abs().max()
}

fn random_state(rng: &mut ChaCha8Rng) -> State {
    let mut number = |scale: f64| (rng.random::<f64>() - 0.5) * scale;
    let turn = Vector3::new(number(1.0), number(1.0), number(6.0));
    let error = ErrorState::from_fn(|_, _| number(4.0));
    let state = filter().state.plus(&error);
    // Right side up, as rangefinders and headings need it.
    let level = crate::geo::enu_from_body(turn.z, 0.0, 0.0);
    State { enu_from_body: level * UnitQuaternion::from_scaled_axis(Vector3::new(turn.x, turn.y, 0.0)), ..state }
}

#[test]
fn jacobians_equal_finite_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let lever_arm_m = Vector3::new(0.4, -0.2, 0.3);
    for _ in 0..50 {
        let state = random_state(&mut rng);
        let seen = random_state(&mut rng);
        let near = state.enu_from_body * UnitQuaternion::from_scaled_axis(Vector3::new(0.3, -0.4, 0.2));
        let en_m = seen.position_m.xy();
        let velocity = |frame| Velocity { velocity_m_s: seen.velocity_m_s, covariance: Matrix3::identity(), frame };
        let errors = [
            ("visual", {
                let covariance = Matrix4::identity();
                jacobian_error(&VisualFix { camera_en_m: en_m, lean: seen.lean, covariance, lever_arm_m }, &state)
            }),
            ("place", jacobian_error(&Place { en_m, covariance: Matrix2::identity(), lever_arm_m }, &state)),
            ("height", jacobian_error(&Height { up_m: 90.0, sigma_m: 1.0 }, &state)),
            ("barometer", jacobian_error(&Barometer { up_m: 90.0, sigma_m: 1.0 }, &state)),
            // In units of the height, which is 100 m: a range of 100 m turns by 100 m a radian.
            ("rangefinder", jacobian_error(&Rangefinder { range_m: 90.0, sigma_m: 1.0 }, &state) / 100.0),
            ("heading", jacobian_error(&Heading { heading_rad: 0.3, sigma_rad: 0.1 }, &state)),
            ("attitude", jacobian_error(&Attitude { enu_from_body: near, sigma_rad: 0.1 }, &state)),
            ("velocity over ground", jacobian_error(&velocity(VelocityFrame::Enu), &state)),
            ("velocity of the body", jacobian_error(&velocity(VelocityFrame::Body), &state)),
            ("gnss", {
                let covariance = Matrix3::identity();
                jacobian_error(&Gnss { antenna_m: seen.position_m, covariance, lever_arm_m }, &state)
            }),
            ("airflow", jacobian_error(&Airflow { sigma_m_s: 1.0 }, &state)),
            ("zero velocity", jacobian_error(&ZeroVelocity { sigma_m_s: 0.1 }, &state)),
        ];
        for (name, error) in errors {
            assert!(error < 1e-6, "{name}: {error}");
        }
    }
}

fn relative_pose(state: &State, anchor: &Anchor, turn: Vector3<f64>) -> RelativePose {
    let then_from_enu = anchor.enu_from_body.inverse();
    RelativePose {
        since_ns: anchor.stamp_ns,
        moved_m: then_from_enu * (state.position_m - anchor.position_m),
        then_from_now: then_from_enu * state.enu_from_body * UnitQuaternion::from_scaled_axis(turn),
        moved_covariance: Matrix3::identity() * 1e-4,
        turned_covariance: Matrix3::identity() * 1e-4,
    }
}

#[test]
fn jacobians_of_a_relative_pose_equal_finite_differences_on_both_ends() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..50 {
        let mut there = filter();
        there.state = random_state(&mut rng);
        let anchor = Anchor::of(&there.state, &there.covariance, 0);
        let state = random_state(&mut rng);
        let measurement = relative_pose(&state, &anchor, Vector3::new(0.1, -0.2, 0.1));
        let (h, h_anchor) = measurement.jacobians(&state, &anchor);
        for k in 0..STATES {
            let mut error = ErrorState::zeros();
            error[k] = STEP;
            let at = |error: &ErrorState| measurement.innovation(&state.plus(error), &anchor);
            let column = (at(&-error) - at(&error)) / (2.0 * STEP);
            assert!((column - h.column(k)).abs().max() < 1e-6);
        }
        for k in 0..POSE {
            let at = |step: f64| {
                let mut moved = anchor.clone();
                let turn = Vector3::from_fn(|i, _| if i + 3 == k { step } else { 0.0 });
                if k < 3 {
                    moved.position_m[k] += step;
                }
                moved.enu_from_body *= UnitQuaternion::from_scaled_axis(turn);
                measurement.innovation(&state, &moved)
            };
            let column = (at(-STEP) - at(STEP)) / (2.0 * STEP);
            assert!((column - h_anchor.column(k)).abs().max() < 1e-6);
        }
    }
}

#[test]
fn a_relative_pose_holds_the_growth_of_the_position_and_tells_nothing_of_where_it_began() {
    let mut with = filter();
    with.set_anchor(0);
    let begun = with.sigma(0);
    for _ in 0..200 {
        with.predict(&Vector3::new(0.0, 0.0, -9.8), &Vector3::zeros(), 0.005);
    }
    let without = with.clone();
    let anchor = with.anchor.clone().unwrap();
    let update = with.fuse_relative(&relative_pose(&with.state, &anchor, Vector3::zeros()), 1e9);
    assert!(matches!(update, Update::Used(_)));
    assert!(with.sigma(0) < without.sigma(0));
    // All that is left is what was not known at the start, and the turn of the way by what was not known of the attitude.
    assert!(with.sigma(0) > 0.7 * begun, "{} of {begun}", with.sigma(0));
    assert!(with.covariance.symmetric_eigenvalues().min() > 0.0);
}

#[test]
fn a_relative_pose_of_another_time_or_without_an_anchor_is_refused() {
    let mut f = filter();
    let measurement = relative_pose(&f.state, &Anchor::of(&f.state, &f.covariance, 5), Vector3::zeros());
    assert_eq!(Observation::RelativePose(measurement).fuse(&mut f, 1e9), Update::Refused);
    f.set_anchor(4);
    let before = f.clone();
    assert_eq!(Observation::RelativePose(measurement).fuse(&mut f, 1e9), Update::Refused);
    assert_eq!(f, before);
}

#[test]
fn gnss_beside_fixes_tells_the_offset_of_the_map_which_stays_when_gnss_stops() {
    let mut f = filter();
    f.state.map_offset_m = Vector2::zeros();
    f.noise.map_offset_time_s = 1e9;
    let truth = f.state.position_m;
    let offset = Vector2::new(3.0, -2.0);
    for _ in 0..100 {
        f.fuse(&Gnss { antenna_m: truth, covariance: Matrix3::identity(), lever_arm_m: Vector3::zeros() }, 1e9);
        f.fuse(&Place { en_m: truth.xy() + offset, covariance: Matrix2::identity(), lever_arm_m: Vector3::zeros() }, 1e9);
    }
    assert!((f.state.map_offset_m - offset).norm() < 0.2, "{}", f.state.map_offset_m);
    for _ in 0..20 {
        f.fuse(&Place { en_m: truth.xy() + offset, covariance: Matrix2::identity(), lever_arm_m: Vector3::zeros() }, 1e9);
    }
    assert!((f.state.position_m.xy() - truth.xy()).norm() < 0.2);
}

#[test]
fn a_barometer_that_is_off_does_not_move_a_height_that_is_known() {
    let mut f = filter();
    f.covariance[(crate::fuse::state::BARO_OFFSET, crate::fuse::state::BARO_OFFSET)] = 25.0;
    for _ in 0..50 {
        f.fuse(&Height { up_m: 100.0, sigma_m: 1.0 }, 1e9);
        f.fuse(&Barometer { up_m: 110.0, sigma_m: 0.3 }, 1e9);
    }
    assert!((f.state.position_m.z - 100.0).abs() < 0.2 && (f.state.baro_offset_m - 10.0).abs() < 0.3);
}

#[test]
fn a_rangefinder_that_looks_aside_is_refused() {
    let mut f = filter();
    f.state.enu_from_body *= UnitQuaternion::from_scaled_axis(Vector3::new(1.4, 0.0, 0.0));
    let before = f.clone();
    assert_eq!(f.fuse(&Rangefinder { range_m: 90.0, sigma_m: 1.0 }, 1e9), Update::Refused);
    assert_eq!(f, before);
}

fn second(t: i64) -> i64 {
    t * crate::time::NANOS_PER_SEC
}

fn gnss(filter: &Eskf, off_m: f64) -> Observation {
    let antenna_m = filter.state.position_m + Vector3::new(off_m, 0.0, 0.0);
    Observation::Gnss(Gnss { antenna_m, covariance: Matrix3::identity(), lever_arm_m: Vector3::zeros() })
}

#[test]
fn a_source_starts_is_used_stops_and_starts_again() {
    let mut f = filter();
    let mut aids = Aids::default();
    let aid = aids.get_mut(AidSourceKind::Gnss);
    assert_eq!(aid.state(0), AidState::Stopped);
    for t in 1..=3 {
        let before = f.clone();
        assert!(matches!(aid.offer(second(t), &gnss(&f, 0.5), &mut f), Taken::Starting(_)));
        assert_eq!(f, before);
    }
    assert_eq!(aid.state(second(3)), AidState::Active);
    assert!(matches!(aid.offer(second(4), &gnss(&f, 0.5), &mut f), Taken::Updated(Update::Used(_))));
    assert!(aid.last.is_some_and(|i| i.used && i.stamp_ns == second(4)));
    assert_eq!(aid.state(second(10)), AidState::Stopped);
    // It comes back elsewhere: one that does not agree begins the count anew.
    for (t, off_m, agreed) in [(10, 0.5, true), (11, 900.0, false), (12, 0.5, true), (13, 0.5, true), (14, 0.5, true)] {
        assert_eq!(matches!(aid.offer(second(t), &gnss(&f, off_m), &mut f), Taken::Starting(_)), agreed);
    }
    assert!(matches!(aid.offer(second(15), &gnss(&f, 0.5), &mut f), Taken::Updated(Update::Used(_))));
    let counters = aid.counters;
    assert_eq!((counters.used, counters.gated, counters.starting), (2, 1, 7));
}

#[test]
fn measurements_that_are_repeated_no_numbers_or_without_a_covariance_are_counted_and_change_nothing() {
    let mut f = filter();
    let mut aids = Aids::default();
    let height = |up_m, sigma_m| Observation::Height(Height { up_m, sigma_m });
    aids.get_mut(AidSourceKind::Height).offer(second(1), &height(100.0, 1.0), &mut f);
    let before = f.clone();
    let aid = aids.get_mut(AidSourceKind::Height);
    assert_eq!(aid.offer(second(1), &height(101.0, 1.0), &mut f), Taken::Repeated);
    assert_eq!(aid.offer(second(0), &height(101.0, 1.0), &mut f), Taken::Repeated);
    for (up_m, sigma_m) in [(f64::NAN, 1.0), (100.0, f64::NAN), (100.0, 0.0), (f64::INFINITY, 1.0)] {
        assert_eq!(aid.offer(second(2), &height(up_m, sigma_m), &mut f), Taken::Updated(Update::Refused));
    }
    let negative = Matrix2::new(-1.0, 0.0, 0.0, 1.0);
    let place = Place { en_m: Vector2::zeros(), covariance: negative, lever_arm_m: Vector3::zeros() };
    let taken = aids.get_mut(AidSourceKind::Place).offer(second(2), &Observation::Place(place), &mut f);
    assert_eq!(taken, Taken::Updated(Update::Refused));
    assert_eq!(f, before);
    let counters = aids.get(AidSourceKind::Height).counters;
    assert_eq!((counters.used, counters.repeated, counters.refused), (1, 2, 4));
}

#[test]
fn jacobians_of_a_displacement_equal_finite_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for _ in 0..50 {
        let there = Eskf { state: random_state(&mut rng), ..filter() };
        let anchor = Anchor::of(&there.state, &there.covariance, 0);
        let state = random_state(&mut rng);
        super::displacement::tests::assert_jacobians(&state, &anchor);
    }
}
