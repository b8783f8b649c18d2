//! The bundled flights against what they gave when that was last looked at: `recordings/golden/`.
//!
//! Another processor may round otherwise, so positions are compared within 5 cm and not by bytes. What is meant to change them writes them
//! anew with `SKYFIX_UPDATE_GOLDEN=1 cargo test --test flight golden`, and the change is seen in the diff.

use std::collections::BTreeMap;

use super::*;

/// As far as a position may be off.
const MOST_M: f64 = 0.05;
/// Columns whose text must be the same.
const SAME: [&str; 5] = ["frame", "stamp_ns", "outcome", "reason", "source"];

type Row = BTreeMap<String, String>;

fn rows(text: &str) -> Vec<Row> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

/// What differs between two tables, one line each.
fn differences(golden: &str, now: &str) -> Vec<String> {
    let columns = |text: &str| text.lines().next().map(str::to_owned);
    if columns(golden) != columns(now) {
        return vec![format!("the columns are {:?}, they were {:?}", columns(now), columns(golden))];
    }
    let (golden, now) = (rows(golden), rows(now));
    let mut found = Vec::new();
    if golden.len() != now.len() {
        found.push(format!("{} rows, there were {}", now.len(), golden.len()));
    }
    for (was, is) in golden.iter().zip(&now) {
        let name = if is["frame"].is_empty() { &is["stamp_ns"] } else { &is["frame"] };
        for column in SAME.iter().filter(|column| was.contains_key(**column) && was[**column] != is[**column]) {
            found.push(format!("{name}: {column} is '{}', it was '{}'", is[*column], was[*column]));
        }
        let at = |row: &Row| Some(Geodetic::ground(row["lat_deg"].parse().ok()?, row["lon_deg"].parse().ok()?));
        match (at(was), at(is)) {
            (Some(from), Some(to)) => {
                let off = skyfix::geo::EnuPlane::at(from).ground_from_lat_lon(to.lat_deg, to.lon_deg);
                let off_m = off.e_m.hypot(off.n_m);
                if !(off_m <= MOST_M) {
                    found.push(format!("{name}: {off_m:.3} m from where it was"));
                }
            }
            (None, None) => {}
            (from, to) => found.push(format!("{name}: at {to:?}, it was at {from:?}")),
        }
    }
    found
}

fn compare(flight: &str) {
    let out = tempfile::tempdir().unwrap();
    let source = root().join("recordings").join(flight).display().to_string();
    let output = skyfix(&["replay", &source, "--out", &out.path().display().to_string(), "--no-viewer"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = root().join("recordings/golden").join(flight);
    for name in ["fixes.csv", "track.csv", "track_smoothed.csv"] {
        let now = std::fs::read_to_string(out.path().join(name)).unwrap();
        let golden = folder.join(name);
        if std::env::var_os("SKYFIX_UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&golden, &now).unwrap();
        }
        let found = differences(&std::fs::read_to_string(&golden).unwrap(), &now);
        assert!(found.is_empty(), "{} against {}:\n{}", name, golden.display(), found.join("\n"));
    }
}

#[test]
fn golden_photos() {
    compare("demo");
}

#[cfg(feature = "gst")]
#[test]
fn golden_video() {
    compare("demo-video");
}

#[test]
#[ignore = "long: two whole flights, three times"]
fn whole_flights_give_the_same_bytes_for_every_number_of_workers() {
    for flight in ["demo", "demo-video"] {
        let source = root().join("recordings").join(flight).display().to_string();
        let run = |workers: &str| {
            let out = tempfile::tempdir().unwrap();
            let folder = out.path().display().to_string();
            let output = skyfix(&["replay", &source, "--out", &folder, "--no-viewer", "-w", workers], &[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            ["fixes.csv", "track.csv", "track_smoothed.csv"].map(|name| std::fs::read(out.path().join(name)).unwrap())
        };
        let one = run("1");
        assert!(run("2") == one && run("5") == one, "{flight}");
    }
}

#[test]
fn golden_differences_are_found() {
    let table = "frame,stamp_ns,outcome,lat_deg,lon_deg,score,reason\na,1,fix,47.0,8.0,0.5,\nb,2,abstained,,,,few_inliers\n";
    assert!(differences(table, table).is_empty());
    assert!(differences(table, &table.replace("0.5", "0.6")).is_empty());
    assert!(differences(table, &table.replace("47.0,", "47.0000004,")).is_empty());
    for (was, is) in [
        ("47.0,", "47.0000006,"),
        ("8.0,", "NaN,"),
        (",fix,", ",abstained,"),
        ("few_inliers", "ambiguous"),
        ("b,2", "c,2"),
        (",,,,few", ",47.0,8.0,,few"),
        ("b,2,abstained,,,,few_inliers\n", ""),
        ("score,reason", "score,why"),
    ] {
        assert_eq!(differences(table, &table.replace(was, is)).len(), 1, "{was} {is}");
    }
}
