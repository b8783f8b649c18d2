//! The filter on a real flight with an IMU, its GNSS made as poor as fixes on a map are.

use skyfix::eval::inertial::{FlightError, Recorded, Scoring, compare_own, score};

#[test]
fn a_real_flight_with_poor_fixes_is_followed_with_honest_sigmas() {
    let Some(data) = crate::data::data() else { return };
    let flight = Recorded::read(&data.join("minnesota")).unwrap();
    // A seed that the README does not quote.
    let scoring = Scoring { seed: 40, runs: 2, ..Scoring::default() };
    let runs = scoring.runs(&flight).unwrap();
    let result = score(&scoring, &runs);
    let [one, _, three] = result.inside_sigma;
    assert!(three >= 0.97 && (0.25..=0.6).contains(&one), "{:?}", result.inside_sigma);
    assert!(result.roll_pitch_rms_deg.iter().all(|deg| *deg < 3.0), "{:?}", result.roll_pitch_rms_deg);
    // A single fix errs by 14 m horizontally.
    assert!(
        result.live_rmse_m[0] < 11.0 && result.smoothed_rmse_m[0] < 4.5,
        "{:?} {:?}",
        result.live_rmse_m,
        result.smoothed_rmse_m
    );
    let [used, gated, too_old] = result.fixes;
    assert!(too_old == 0 && (0.03..0.08).contains(&(gated as f64 / (used + gated) as f64)), "{:?}", result.fixes);

    let [with, without] = [scoring.wings, None].map(|wings| compare_own("", &runs, &scoring.noise, wings));
    let median = |drifts: &[f64]| drifts[drifts.len() / 2];
    for (with, without) in with.drift_m.iter().zip(&without.drift_m) {
        assert_eq!((with.len(), without.len()), (20, 20));
        assert!(median(with) < median(without));
    }
    assert!(median(&with.drift_m[2]) < 100.0, "{:?}", with.drift_m[2]);
}

#[test]
fn a_folder_that_holds_no_flight_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Recorded::read(folder.path()).unwrap_err();
    assert!(matches!(missing, FlightError::Table { .. }) && missing.to_string().contains("gyro_x_rad_s"), "{missing}");
    std::fs::write(
        folder.path().join("imu.csv"),
        "t_ns,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2\n5,0,0,0,0,0,0\n5,0,0,0,0,0,0\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("gnss.csv"), "t_ns,lat_deg,lon_deg,alt_m,vel_n_m_s,vel_e_m_s,vel_d_m_s\n0,1,2,3,0,0,0\n")
        .unwrap();
    let backwards = Recorded::read(folder.path()).unwrap_err();
    assert!(matches!(backwards, FlightError::Content { .. }), "{backwards}");
}
