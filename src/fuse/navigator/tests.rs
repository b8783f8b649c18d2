//! Gaps of samples, and GNSS that a filter gone astray refuses.

use nalgebra::{Matrix3, UnitQuaternion, Vector3};

use super::*;
use crate::fuse::NoiseDensities;
use crate::fuse::initial::InitialSigmas;
use crate::fuse::state::{ATTITUDE, State, VELOCITY};
use crate::types::AidSourceKind;

const GRAVITY_M_S2: f64 = 9.81;

fn ms(t: i64) -> i64 {
    t * 1_000_000
}

/// Hovering at the origin, as it believes so far east of it.
fn hovering(off_m: f64, sigma_m: f64) -> Navigator {
    let state = State::at(Vector3::new(off_m, 0.0, 0.0), UnitQuaternion::identity());
    let sigmas = InitialSigmas {
        position_m: sigma_m,
        height_m: sigma_m,
        velocity_m_s: 1e-4,
        attitude_rad: [1e-4; 3],
        accel_bias_m_s2: 1e-4,
        gyro_bias_rad_s: 1e-4,
        lean: 1e-4,
        map_offset_m: 1e-4,
        baro_offset_m: 1e-4,
        wind_m_s: 1e-4,
    };
    let covariance = sigmas.covariance(&state.enu_from_body);
    let mut navigator = Navigator::new(Eskf::new(state, covariance, GRAVITY_M_S2, NoiseDensities::default()), 0);
    navigator.aids.get_mut(AidSourceKind::Gnss).settings.confirmations = 0;
    navigator
}

/// A sample whose force along the body's z axis is so many times that of hovering, and which rolls.
fn pulled(t_ms: i64, force: f64, roll_rad_s: f64) -> ImuSample {
    ImuSample {
        stamp_ns: ms(t_ms),
        accel_m_s2: Vector3::new(0.0, 0.0, GRAVITY_M_S2 * force),
        gyro_rad_s: Vector3::new(roll_rad_s, 0.0, 0.0),
    }
}

fn position(east_m: f64) -> Observation {
    let covariance = Matrix3::identity() * 4.0;
    Observation::Gnss(Gnss { antenna_m: Vector3::new(east_m, 0.0, 0.0), covariance, lever_arm_m: Vector3::zeros() })
}

/// So many seconds of hovering with a position each.
fn follow(navigator: &mut Navigator, from_s: i64, positions_m: &[f64]) {
    for (t_s, east_m) in (from_s..).zip(positions_m) {
        for i in 1..=50 {
            // No IMU is without noise.
            let force = 1.0 + 1e-9 * (i % 2) as f64;
            assert_eq!(navigator.imu(&pulled(1_000 * (t_s - 1) + 20 * i, force, 0.0)), Sampled::Used);
        }
        navigator.measure(ms(1_000 * t_s), &position(*east_m));
    }
}

#[test]
fn a_gap_in_a_manoeuvre_costs_more_certainty_than_one_in_calm_flight() {
    let across = |force: fn(i64) -> f64, roll: fn(i64) -> f64| {
        let mut navigator = hovering(0.0, 1.0);
        for i in (1..50).chain([58]) {
            navigator.imu(&pulled(20 * i, force(i), roll(i)));
        }
        [VELOCITY + 2, ATTITUDE].map(|state| navigator.filter.sigma(state))
    };
    let calm = across(|_| 1.0, |_| 0.0);
    let restless = across(|i| if i / 10 % 2 == 0 { 1.0 } else { 4.0 }, |i| if i / 10 % 2 == 0 { 0.0 } else { 2.0 });
    assert!(restless[0] > 3.0 * calm[0] && restless[1] > 3.0 * calm[1], "{restless:?} {calm:?}");
    // What is told only at the far end counts as well.
    let surprised = across(|i| if i == 58 { 4.0 } else { 1.0 }, |i| if i == 58 { 2.0 } else { 0.0 });
    assert!(surprised[0] > 3.0 * calm[0] && surprised[1] > 3.0 * calm[1], "{surprised:?} {calm:?}");
}

#[test]
fn oracle_in_turbulence_a_gap_adds_about_the_variance_that_it_hides() {
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let (mut squares, mut variances) = (0.0, 0.0);
    for _ in 0..300 {
        let (mut seen, mut all) = (hovering(0.0, 1.0), hovering(0.0, 1.0));
        let mut force = 1.0;
        for i in 1..=107 {
            // 30 m/s³/√Hz: an aircraft in turbulence.
            let step: f64 = StandardNormal.sample(&mut random);
            force += 30.0 * 0.02f64.sqrt() * step / GRAVITY_M_S2;
            all.imu(&pulled(20 * i, force, 0.0));
            if i <= 100 || i == 107 {
                seen.imu(&pulled(20 * i, force, 0.0));
            }
        }
        squares += (seen.filter.state.velocity_m_s.z - all.filter.state.velocity_m_s.z).powi(2);
        variances += seen.filter.sigma(VELOCITY + 2).powi(2) - all.filter.sigma(VELOCITY + 2).powi(2);
    }
    // What was expected beforehand, a seventeenth of it, counts for a third.
    let ratio = squares / variances;
    assert!((1.2..1.7).contains(&ratio), "{ratio}");
}

#[test]
fn a_filter_that_is_wrong_and_not_sure_is_taken_along_by_positions_that_agree() {
    let mut astray = hovering(200.0, 30.0);
    follow(&mut astray, 1, &[0.5, -0.5, 0.3]);
    assert!(astray.filter.state.position_m.x > 190.0);
    follow(&mut astray, 4, &[0.1, -0.2, 0.0]);
    let counters = astray.aids.get(AidSourceKind::Gnss).counters;
    assert_eq!((counters.heeded, counters.gated, counters.used), (1, 3, 3));
    assert!(astray.filter.state.position_m.x.abs() < 4.0, "{}", astray.filter.state.position_m.x);
}

#[test]
fn neither_a_sure_filter_nor_positions_that_contradict_each_other_are_heeded() {
    let mut sure = hovering(100.0, 10.0);
    follow(&mut sure, 1, &[0.0; 8]);
    let mut scattered = hovering(400.0, 30.0);
    follow(&mut scattered, 1, &[0.0, -150.0, 80.0, -300.0, 0.0, 150.0, -70.0, 60.0]);
    for (navigator, off_m) in [(sure, 100.0), (scattered, 400.0)] {
        let counters = navigator.aids.get(AidSourceKind::Gnss).counters;
        assert_eq!((counters.heeded, counters.gated, counters.used), (0, 8, 0));
        assert!((navigator.filter.state.position_m.x - off_m).abs() < 1.0);
    }
}

#[test]
fn an_imu_that_repeats_itself_is_soon_no_longer_gone_by_and_one_that_varies_again_is() {
    let mut navigator = hovering(0.0, 1.0);
    let noisy = |i: i64| pulled(20 * i, 1.0 + 1e-3 * (i % 3) as f64, 0.0);
    (1..=50).for_each(|i| assert_eq!(navigator.imu(&noisy(i)), Sampled::Used));
    let stuck = |i: i64| ImuSample { stamp_ns: ms(20 * i), ..noisy(50) };
    let taken: Vec<Sampled> = (51..=100).map(|i| navigator.imu(&stuck(i))).collect();
    let used = taken.iter().filter(|s| **s == Sampled::Used).count();
    assert!((10..15).contains(&used) && taken[used..].iter().all(|s| *s == Sampled::HeldBack), "{taken:?}");
    navigator.advance(ms(2000));
    assert!(!navigator.is_inertial());
    assert_eq!(navigator.imu(&noisy(102)), Sampled::Used);
    assert!(navigator.is_inertial());
}

#[test]
fn a_first_sample_far_from_rest_waits_for_the_next_to_bear_it_out() {
    let mut wild = hovering(0.0, 1.0);
    assert_eq!(wild.imu(&pulled(20, 9.0, 20.0)), Sampled::HeldBack);
    assert_eq!(wild.imu(&pulled(40, 1.0, 0.0)), Sampled::Used);
    assert!(wild.filter.state.velocity_m_s.norm() < 1e-6);
    let mut thrown = hovering(0.0, 1.0);
    assert_eq!(thrown.imu(&pulled(20, 9.0, 0.0)), Sampled::HeldBack);
    assert_eq!(thrown.imu(&pulled(40, 9.1, 0.0)), Sampled::Used);
}

#[test]
fn samples_that_scatter_cost_certainty() {
    let after = |scatter_m_s2: f64| {
        let mut navigator = hovering(0.0, 1.0);
        for i in 1..=100 {
            let noise = if i % 2 == 0 { scatter_m_s2 } else { -scatter_m_s2 };
            navigator.imu(&pulled(20 * i, 1.0 + noise / GRAVITY_M_S2, 0.0));
        }
        navigator.filter.sigma(VELOCITY + 2)
    };
    assert!(after(5.0) > 3.0 * after(0.1), "{} {}", after(5.0), after(0.1));
    assert!((after(0.1) - after(0.01)).abs() < 1e-9);
}
