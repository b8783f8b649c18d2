//! The fault matrix: each thing that a flight depends on, each way in which it fails, and what must come of it, written down before the run.
//!
//! `make test-faults` runs all of it, fails where a cell deviates, and writes the table in `docs/TESTING.md`. A part of it, a cell of each
//! recorded sensor, runs with every test.

mod files;
mod recorded;
mod streams;
mod table;

use serde_json::Value;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Video,
    Photos,
    Imu,
    Height,
    Heading,
    Attitude,
    Gnss,
    Map,
    Index,
    Model,
    Disk,
    Viewer,
    Mavlink,
    Stdout,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Off,
    Stuck,
    Garbage,
    Wrong,
    Slow,
    Delayed,
    Intermittent,
}

pub const PARTS: [Part; 14] = [
    Part::Video,
    Part::Photos,
    Part::Imu,
    Part::Height,
    Part::Heading,
    Part::Attitude,
    Part::Gnss,
    Part::Map,
    Part::Index,
    Part::Model,
    Part::Disk,
    Part::Viewer,
    Part::Mavlink,
    Part::Stdout,
];

pub const FAULTS: [Fault; 7] =
    [Fault::Off, Fault::Stuck, Fault::Garbage, Fault::Wrong, Fault::Slow, Fault::Delayed, Fault::Intermittent];

/// What must come of a fault in flight.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Values of `source` that points may have from the onset on.
    pub sources: &'static [&'static str],
    /// No point is further off than this, or than three of its sigmas, metres.
    pub error_m: f64,
    /// So long after the end, all points are `visual` and as near as without the fault, seconds.
    pub back_s: f64,
    /// A number of `summary.json` that is at least one, or none where nothing is amiss that could be counted.
    pub counter: Option<&'static str>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub sources: Vec<String>,
    pub error_m: f64,
    pub back_s: f64,
    pub counter: Option<u64>,
    /// In words, how that deviates.
    pub faults: Vec<String>,
}

/// A point of a track.
#[derive(Clone, Debug)]
pub struct Point {
    pub t_s: f64,
    pub source: String,
    /// Distance from the truth and 1 sigma, metres; none without a position.
    pub off_m: Option<(f64, f64)>,
}

/// As near as without a fault, metres: three times the median of the bundled flight.
const NEAR_M: f64 = 15.0;

/// Holds a track against what is expected: `from_s` to `to_s` is the time of the fault.
pub fn judged(points: &[Point], summary: &Value, from_s: f64, to_s: f64, expected: &Expected) -> Found {
    let mut found = Found::default();
    let affected = points.iter().filter(|p| p.t_s >= from_s && p.t_s <= to_s + expected.back_s);
    for point in affected {
        if !found.sources.contains(&point.source) {
            found.sources.push(point.source.clone());
        }
    }
    let strange: Vec<&String> = found.sources.iter().filter(|s| !expected.sources.contains(&s.as_str())).collect();
    if !strange.is_empty() {
        found.faults.push(format!("source {strange:?}"));
    }
    for point in points.iter().filter(|p| p.t_s >= from_s) {
        let Some((off_m, sigma_m)) = point.off_m else { continue };
        found.error_m = found.error_m.max(off_m);
        if off_m > expected.error_m.max(3.0 * sigma_m) {
            found.faults.push(format!("{off_m:.0} m off at {:.1} s, sigma {sigma_m:.0} m, {}", point.t_s, point.source));
        }
    }
    let right = |p: &Point| p.source == "visual" && p.off_m.is_some_and(|(off_m, _)| off_m <= NEAR_M);
    let last_bad = points.iter().filter(|p| p.t_s >= to_s && !right(p)).map(|p| p.t_s).fold(to_s, f64::max);
    found.back_s = last_bad - to_s;
    if found.back_s > expected.back_s || points.last().is_none_or(|p| p.t_s < to_s + expected.back_s) {
        found.faults.push(format!("back after {:.1} s", found.back_s));
    }
    if let Some(pointer) = expected.counter {
        let value = summary.pointer(pointer).and_then(Value::as_u64);
        found.counter = value;
        if value.is_none_or(|v| v == 0) {
            found.faults.push(format!("{pointer} is {value:?}"));
        }
    }
    found.faults.truncate(3);
    found
}

/// A row of the table.
pub struct Row {
    pub part: Part,
    pub fault: Fault,
    /// What the fault is, and what was expected.
    pub done: String,
    pub expected: String,
    pub found: String,
    pub faults: Vec<String>,
}

impl Row {
    /// Of a fault in flight.
    pub fn of(part: Part, fault: Fault, done: &str, expected: &Expected, found: Found) -> Self {
        let counter = expected.counter.map_or_else(String::new, |c| format!("; `{c}` counts"));
        let counted = found.counter.map_or_else(String::new, |n| format!("; {n} counted"));
        Self {
            part,
            fault,
            done: done.into(),
            expected: format!(
                "{}; {:.0} m or 3 sigma; back in {:.0} s{counter}",
                expected.sources.join(", "),
                expected.error_m,
                expected.back_s
            ),
            found: format!("{}; {:.0} m; {:.1} s{counted}", found.sources.join(", "), found.error_m, found.back_s),
            faults: found.faults,
        }
    }
}

#[test]
fn the_short_form_of_the_fault_matrix_holds() {
    let rows = recorded::rows(&[(Part::Imu, Fault::Garbage), (Part::Height, Fault::Off), (Part::Heading, Fault::Wrong)]);
    table::assert_holds(&rows);
}

#[test]
#[ignore = "half an hour: make test-faults"]
fn the_whole_fault_matrix_holds() {
    let mut rows = recorded::rows(&recorded::ALL);
    rows.extend(streams::rows());
    rows.extend(files::rows());
    table::write(&rows);
    table::assert_holds(&rows);
}
