use super::*;
use crate::fuse::eskf::tests::filter;
use crate::fuse::measurement::{Gnss, Heading, Place};
use crate::time::NANOS_PER_SEC;
use crate::types::AidSourceKind;
use nalgebra::{Matrix2, Matrix3, Vector2, Vector3};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SPAN_NS: i64 = 5 * NANOS_PER_SEC / 2;

fn ms(t: i64) -> i64 {
    t * (NANOS_PER_SEC / 1000)
}

fn sample(stamp_ns: i64) -> Event {
    let t = stamp_ns as f64 * 1e-9;
    Event::Imu(ImuSample {
        stamp_ns,
        gyro_rad_s: Vector3::new(0.02, 0.05 * (2.0 * t).sin(), 0.2 * t.cos()),
        accel_m_s2: Vector3::new(0.3 * t.sin(), 0.4, -9.7),
    })
}

/// Ten seconds of events in order of time: an IMU of 200 Hz, places, headings and GNSS, some outliers among them.
fn events(seed: u64) -> Vec<(i64, Event)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all: Vec<(i64, Event)> = (1..=2000).map(|i| (ms(5 * i), sample(ms(5 * i)))).collect();
    for i in 1..=20 {
        let far = if i % 7 == 0 { 400.0 } else { 0.0 };
        let en_m = Vector2::new(5.0, -3.0) * (0.5 * i as f64) + Vector2::new(rng.random::<f64>() + far, rng.random::<f64>());
        let place = Place { en_m, covariance: Matrix2::identity() * 4.0, lever_arm_m: Vector3::new(0.1, 0.0, 0.2) };
        all.push((ms(500 * i - 2), Event::Measured(Observation::Place(place))));
        let heading = Heading { heading_rad: 0.7 + 0.1 * rng.random::<f64>(), sigma_rad: 0.1 };
        all.push((ms(500 * i), Event::Measured(Observation::Heading(heading))));
        let antenna_m = Vector3::new(en_m.x - far, en_m.y, 100.0);
        let gnss = Gnss { antenna_m, covariance: Matrix3::identity() * 9.0, lever_arm_m: Vector3::zeros() };
        all.push((ms(500 * i), Event::Measured(Observation::Gnss(gnss))));
    }
    all.sort_by_key(|(stamp_ns, event)| (*stamp_ns, event.rank()));
    all
}

fn history() -> History {
    History::new(Navigator::new(filter(), 0), SPAN_NS)
}

/// Feeds events in the order of their arrival.
fn fed(arrivals: &[(i64, Event)]) -> History {
    let mut history = history();
    for (stamp_ns, event) in arrivals {
        history.place(*stamp_ns, *event);
    }
    history
}

/// How far the states and covariances of two filters are apart.
fn apart(a: &Navigator, b: &Navigator) -> f64 {
    let state = a.filter.state.minus(&b.filter.state).abs().max();
    state.max((a.filter.covariance - b.filter.covariance).abs().max())
}

#[test]
fn oracle_measurements_that_come_late_and_out_of_order_give_the_state_of_having_come_in_time() {
    for seed in 0..5 {
        let events = events(seed);
        let mut oracle = Navigator::new(filter(), 0);
        for (stamp_ns, event) in &events {
            take(&mut oracle, *stamp_ns, event);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(100 + seed);
        let mut arrivals: Vec<(i64, i64, Event)> = events
            .iter()
            .map(|(stamp_ns, event)| {
                let late = if matches!(event, Event::Imu(_)) { 0 } else { ms(rng.random_range(100..=2000)) };
                (stamp_ns + late, *stamp_ns, *event)
            })
            .collect();
        // What is still under way at the end comes after it, too.
        arrivals.sort_by_key(|(arrival_ns, ..)| *arrival_ns);
        let history = fed(&arrivals.iter().map(|(_, stamp_ns, event)| (*stamp_ns, *event)).collect::<Vec<_>>());
        assert!(apart(history.now(), &oracle) < 1e-9, "{}", apart(history.now(), &oracle));
        assert_eq!(history.now(), &oracle);
        assert!(history.counters().late >= 55 && history.counters().too_old == 0);
        assert!(oracle.aids.get(AidSourceKind::Place).counters.gated > 0);
    }
}

#[test]
fn even_samples_may_come_in_any_order() {
    let mut events: Vec<_> = events(9).into_iter().filter(|(t, _)| *t <= ms(2000)).collect();
    let in_order = fed(&events);
    events.shuffle(&mut ChaCha8Rng::seed_from_u64(4));
    // The first has to be there: everything older than it would be refused.
    events.insert(0, (0, sample(0)));
    let mut shuffled = history();
    for (stamp_ns, event) in &events {
        shuffled.place(*stamp_ns, *event);
    }
    assert!(apart(shuffled.now(), in_order.now()) < 1e-9);
}

#[test]
fn what_is_older_than_the_history_is_counted_and_refused() {
    let events = events(2);
    let mut history = fed(&events);
    let before = history.now().clone();
    let place =
        Observation::Place(Place { en_m: Vector2::zeros(), covariance: Matrix2::identity(), lever_arm_m: Vector3::zeros() });
    assert_eq!(history.measure(ms(10_000) - SPAN_NS - ms(50), &place), Placed::TooOld);
    assert_eq!(history.measure(-1, &place), Placed::TooOld);
    assert_eq!(history.counters().too_old, 2);
    assert_eq!(history.now(), &before);
    assert!(history.entries.len() < 540, "{}", history.entries.len());
    assert!(matches!(history.measure(ms(10_000) - SPAN_NS + ms(50), &place), Placed::Measured(_)));
}

#[test]
fn what_comes_twice_or_holds_no_number_is_counted_and_changes_nothing() {
    let events = events(3);
    let mut history = fed(&events);
    let before = history.now().clone();
    for (stamp_ns, event) in &events[events.len() - 100..] {
        assert_eq!(history.place(*stamp_ns, *event), Placed::Repeated);
    }
    let Event::Imu(mut bad) = sample(ms(10_005)) else { unreachable!() };
    bad.accel_m_s2.x = f64::NAN;
    assert_eq!(history.imu(&bad), Placed::Invalid);
    assert_eq!((history.counters().repeated, history.counters().invalid), (100, 1));
    assert_eq!(history.now(), &before);
}

#[test]
fn a_glance_ahead_leaves_no_trace() {
    let history = fed(&events(4));
    let before = history.now().clone();
    let ahead = history.at(ms(10_300));
    assert!(ahead.stamp_ns == ms(10_300) && ahead.filter.sigma(0) > before.filter.sigma(0));
    assert_eq!(history.now(), &before);
}
