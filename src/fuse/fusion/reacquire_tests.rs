//! Wrong places: what is not followed, and what the filter starts anew for.

use super::tests::{ORIGIN, fix, imu, known, position_m, second};
use super::*;
use crate::types::TrackSource;

#[test]
fn a_single_wrong_fix_is_gated_and_those_that_agree_restart_once_the_filter_is_not_sure_of_its_place() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    for t in 0..10 {
        fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    }
    let wrong = fusion.step(second(10), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0));
    assert!(!wrong.track.fix_used && position_m(&wrong).0.abs() < 10.0);
    fusion.step(second(11), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
    for t in 12..40 {
        let before = fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0));
        if before.track.fix_used {
            break;
        }
        // However many agree: three sigma of the filter are less than 50 m for some seconds.
        assert!(t < 35 && position_m(&before).0.abs() < 50.0);
        assert!(before.track.state.unwrap().covariance_en_m2[(0, 0)].sqrt() < 30.0);
    }
    assert_eq!(fusion.counters().restarts, 1);
    assert!(fusion.counters().fixes_gated > 4);
}

/// The same place twice a second, on an aircraft that flies east at 12 m/s, so far north of its way; none where there is no place.
fn flown_east(fusion: &mut Fusion, places: &[Option<f64>]) -> Vec<Fused> {
    let none = Outcome::Abstained(AbstainReason::Ambiguous);
    let one = |(k, place): (usize, &Option<f64>)| {
        let outcome = place.map_or_else(|| none.clone(), |north_m| fix(6.0 * k as f64, north_m, 4.0));
        fusion.step(second(k) / 2, &TelemetryBatch::default(), &known(), &outcome)
    };
    places.iter().enumerate().map(one).collect()
}

#[test]
fn a_first_fix_that_is_wrong_is_outvoted_and_its_place_not_called_visual_once_others_speak_against_it() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    let mut places = vec![Some(600.0)];
    places.extend([Some(0.0); 12]);
    let flown = flown_east(&mut fusion, &places);
    assert_eq!(fusion.counters().restarts, 1);
    for fused in &flown[1..] {
        let north_m = position_m(fused).1;
        assert!(north_m.abs() < 20.0 || fused.track.source != TrackSource::Visual, "{north_m}");
    }
    assert_eq!(flown[7].track.source, TrackSource::Visual);
}

#[test]
fn a_wrong_fix_after_a_right_first_one_does_not_start_the_filter_anew() {
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
    let mut places = vec![Some(0.0), Some(0.0), Some(600.0), Some(600.0), Some(0.0)];
    places.extend([Some(0.0); 10]);
    let flown = flown_east(&mut fusion, &places);
    assert_eq!(fusion.counters().restarts, 0);
    assert!(flown.iter().all(|f| position_m(f).1.abs() < 20.0));
    assert_eq!(flown.last().unwrap().track.source, TrackSource::Visual);
}

#[test]
fn the_first_fix_near_a_roughly_known_start_is_used_at_once_and_is_outvoted_like_one_from_nothing() {
    let inertial = |t: usize| imu(100 * t.saturating_sub(1), 100 * t);
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 200.0)));
    let first = fusion.step(second(1), &inertial(1), &known(), &fix(150.0, -80.0, 4.0));
    assert!(first.track.fix_used && first.track.source == TrackSource::Unconfirmed);
    let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), Some((ORIGIN, 200.0)));
    fusion.step(second(1), &inertial(1), &known(), &fix(300.0, 0.0, 4.0));
    let later: Vec<Fused> = (2..12).map(|t| fusion.step(second(t), &inertial(t), &known(), &fix(0.0, 0.0, 4.0))).collect();
    assert_eq!(fusion.counters().restarts, 1);
    assert!(position_m(&later[9]).0.abs() < 10.0);
}
