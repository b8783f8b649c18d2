//! Sensors that fail, through the command: what no sensor can measure does no harm and is counted, and an IMU that fails is found out.

use super::command::{copy_of_the_recording, error_of, replay};
use super::*;

/// A copy of the recording with all its frames, its IMU as a function makes it of the stamp, ns, and the six numbers.
fn with_imu(frames: usize, mut change: impl FnMut(i64, &mut Vec<String>)) -> tempfile::TempDir {
    let folder = copy_of_the_recording();
    for i in 1..=frames {
        let name = format!("photos/{i:06}.jpg");
        std::fs::copy(recording().join(&name), folder.path().join(&name)).unwrap();
    }
    let path = folder.path().join("imu.csv");
    let table = std::fs::read_to_string(&path).unwrap();
    let mut out = String::new();
    for (number, line) in table.lines().enumerate() {
        let mut row: Vec<String> = line.split(',').map(str::to_owned).collect();
        if number > 0 {
            change(row[0].parse().unwrap(), &mut row);
        }
        out += &format!("{}\n", row.join(","));
    }
    std::fs::write(&path, out).unwrap();
    folder
}

fn summary(out: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(out.join("summary.json")).unwrap()).unwrap()
}

/// Of each frame: its source, and where it is.
fn track(out: &Path) -> Vec<(String, Option<Geodetic>)> {
    let rows =
        csv::Reader::from_path(out.join("track.csv")).unwrap().into_deserialize::<std::collections::HashMap<String, String>>();
    rows.map(Result::unwrap)
        .map(|row| {
            let at = row["lat_deg"].parse().ok().zip(row["lon_deg"].parse().ok());
            (row["source"].clone(), at.map(|(lat_deg, lon_deg)| Geodetic::ground(lat_deg, lon_deg)))
        })
        .collect()
}

fn apart_m(a: &Geodetic, b: &Geodetic) -> f64 {
    let off = skyfix::geo::EnuPlane::at(*a).ground_from_lat_lon(b.lat_deg, b.lon_deg);
    off.e_m.hypot(off.n_m)
}

#[test]
fn one_impossible_sample_is_refused_and_counted_and_changes_next_to_nothing() {
    let clean = with_imu(FRAMES, |_, _| {});
    let out = clean.path().join("out");
    assert!(replay(clean.path(), &out).status.success());
    let expected = track(&out);
    for (column, value) in [(1, "1e300"), (4, "1e4"), (1, "-1e4")] {
        let mut left = 1;
        let folder = with_imu(FRAMES, |stamp_ns, row| {
            if stamp_ns >= 3_000_000_000 && left > 0 {
                left -= 1;
                row[column] = value.into();
            }
        });
        let out = folder.path().join("out");
        let output = replay(folder.path(), &out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("imu 1"), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(summary(&out)["intake"]["telemetry_refused"]["imu"], 1);
        let flown = track(&out);
        assert_eq!(flown.len(), expected.len());
        for ((source, at), (expected_source, expected_at)) in flown.iter().zip(&expected) {
            assert_eq!(source, expected_source);
            assert!(apart_m(at.as_ref().unwrap(), expected_at.as_ref().unwrap()) < 0.5);
        }
    }
}

#[test]
fn a_start_that_nobody_can_know_is_an_error() {
    for (sigma, word) in [("inf", "sigma_m"), ("nan", "sigma_m"), ("1e9", "sigma")] {
        let folder = copy_of_the_recording();
        let path = folder.path().join("flight.toml");
        let text = std::fs::read_to_string(&path).unwrap().replace("sigma_m = 200.0", &format!("sigma_m = {sigma}"));
        std::fs::write(&path, text).unwrap();
        let output = replay(folder.path(), &folder.path().join("out"));
        assert_eq!(output.status.code(), Some(1), "{sigma}");
        assert!(error_of(&output).contains(word), "{sigma}");
    }
    let source = recording().display().to_string();
    let text = error_of(&skyfix(&["replay", &source, "--height", "1e9"], &[]));
    assert!(text.contains("no sensor measures that"), "{text}");
}

#[test]
fn an_imu_that_fails_is_found_out_and_the_track_stays_with_the_fixes() {
    let clean = with_imu(FRAMES, |_, _| {});
    let out = clean.path().join("out");
    assert!(replay(clean.path(), &out).status.success());
    let expected = track(&out);
    assert_eq!(summary(&out)["sources"]["imu"]["doubted"], 0);
    let folder = with_imu(FRAMES, |stamp_ns, row| {
        if stamp_ns >= 2_000_000_000 {
            for (column, off) in [(3, 0.5), (4, 5.0)] {
                row[column] = format!("{:.5}", row[column].parse::<f64>().unwrap() + off);
            }
        }
    });
    let out = folder.path().join("out");
    assert!(replay(folder.path(), &out).status.success());
    assert_eq!(summary(&out)["sources"]["imu"]["doubted"], 1);
    for ((source, at), (expected_source, expected_at)) in track(&out).iter().zip(&expected) {
        assert_eq!(source, expected_source);
        assert!(apart_m(at.as_ref().unwrap(), expected_at.as_ref().unwrap()) < 8.0);
    }
}
