//! The filter on one core: predictions ("items" are steps), with and without a history, updates, and what a measurement costs that comes
//! two seconds late.

use divan::counter::ItemsCount;
use nalgebra::{Matrix2, Matrix3, UnitQuaternion, Vector2, Vector3};
use skyfix::fuse::measurement::{Gnss, Observation, Place};
use skyfix::fuse::state::Covariance;
use skyfix::fuse::{Eskf, History, Navigator, NoiseDensities, State};
use skyfix::types::ImuSample;

const STEPS: i64 = 10_000;
/// 200 samples a second.
const STEP_NS: i64 = 5_000_000;
const SPAN_NS: i64 = 2_500_000_000;

fn main() {
    divan::main();
}

fn filter() -> Eskf {
    let state = State::at(Vector3::new(0.0, 0.0, 100.0), UnitQuaternion::identity());
    Eskf::new(state, Covariance::identity() * 0.1, 9.81, NoiseDensities::default())
}

fn sample(step: i64) -> ImuSample {
    let t = step as f64 * 0.005;
    ImuSample {
        stamp_ns: step * STEP_NS,
        gyro_rad_s: Vector3::new(0.02 * t.sin(), 0.01, 0.1 * t.cos()),
        accel_m_s2: Vector3::new(0.2, 0.3 * t.sin(), 9.8),
    }
}

fn place() -> Observation {
    Observation::Place(Place { en_m: Vector2::zeros(), covariance: Matrix2::identity() * 1e6, lever_arm_m: Vector3::zeros() })
}

fn samples() -> Vec<ImuSample> {
    (1..=STEPS).map(sample).collect()
}

#[divan::bench(sample_count = 20)]
fn predict(bencher: divan::Bencher<'_, '_>) {
    let samples = samples();
    bencher.counter(ItemsCount::new(STEPS as u64)).with_inputs(filter).bench_local_values(|mut filter| {
        for s in &samples {
            filter.predict(&s.accel_m_s2, &s.gyro_rad_s, 0.005);
        }
        filter
    });
}

#[divan::bench(sample_count = 20)]
fn predict_and_keep_the_history(bencher: divan::Bencher<'_, '_>) {
    let samples = samples();
    let start = || History::new(Navigator::new(filter(), 0), SPAN_NS);
    bencher.counter(ItemsCount::new(STEPS as u64)).with_inputs(start).bench_local_values(|mut history| {
        for s in &samples {
            history.imu(s);
        }
        history
    });
}

#[divan::bench]
fn update_of_two_dimensions(bencher: divan::Bencher<'_, '_>) {
    let place = Place { en_m: Vector2::zeros(), covariance: Matrix2::identity() * 9.0, lever_arm_m: Vector3::zeros() };
    bencher.with_inputs(filter).bench_local_values(|mut filter| {
        filter.fuse(&place, f64::INFINITY);
        filter
    });
}

#[divan::bench]
fn update_of_three_dimensions_with_a_lever_arm(bencher: divan::Bencher<'_, '_>) {
    let gnss =
        Gnss { antenna_m: Vector3::zeros(), covariance: Matrix3::identity() * 1e6, lever_arm_m: Vector3::new(0.3, 0.1, 0.2) };
    bencher.with_inputs(filter).bench_local_values(|mut filter| {
        filter.fuse(&gnss, f64::INFINITY);
        filter
    });
}

/// A measurement two seconds late: 400 samples, and the four measurements after it, are taken again.
#[divan::bench(sample_count = 50)]
fn replay_of_two_seconds(bencher: divan::Bencher<'_, '_>) {
    let start = || {
        let mut history = History::new(Navigator::new(filter(), 0), SPAN_NS);
        for step in 1..=500 {
            history.imu(&sample(step));
            if step > 100 && step % 100 == 0 {
                history.measure(step * STEP_NS, &place());
            }
        }
        history
    };
    bencher.with_inputs(start).bench_local_values(|mut history| {
        history.measure(100 * STEP_NS, &place());
        history
    });
}
