//! The result as a table.

use std::fmt::Write as _;

use super::{BOUNDS, Cell, FaultStudy};

/// A line a cell, then the verdict.
pub fn table(study: &FaultStudy, cells: &[Cell]) -> String {
    let mut out = String::new();
    let last = study.seed.wrapping_add(study.flights.saturating_sub(1));
    let told = if study.attitude { "attitude told" } else { "heading told" };
    let _ = writeln!(
        out,
        "{} flights a cell, seeds {} to {last}; 2 right fixes/s of {} m, map 2 m off, {told}; faults of 8 s",
        study.flights, study.seed, study.fix_sigma_m
    );
    let _ = writeln!(
        out,
        "sensor fault         phase     near   sigma x  worst sigmas  worst m  beyond 3 sigma  back s  restarts  holds"
    );
    for c in cells {
        let back = if c.back_s.is_finite() { format!("{:.1}", c.back_s) } else { "never".into() };
        let _ = writeln!(
            out,
            "{:<6} {:<13} {:<8} {:>5.3}  {:>8.2}  {:>12.1}  {:>7.1}  {:>14.3}  {back:>6}  {:>8}  {}",
            c.sensor.as_str(),
            c.fault.as_str(),
            c.phase.as_str(),
            c.near,
            c.sigma_ratio,
            c.worst_sigmas,
            c.worst_m,
            c.beyond,
            c.restarts,
            if c.holds() { "yes" } else { "NO" },
        );
    }
    let (near, ratio, sigmas, back_s) = BOUNDS;
    let held = cells.iter().filter(|c| c.holds()).count();
    let _ = writeln!(
        out,
        "near: share of points from 3 s after the onset on that are visual and at most 5 m worse than without the fault (wanted: {near})"
    );
    let _ = writeln!(out, "sigma x: the same points' sigma over that without the fault, 95th percentile (wanted: {ratio})");
    let _ = writeln!(
        out,
        "worst sigmas: from the onset on, of points that are more than 5 m worse than without the fault (wanted: {sigmas})"
    );
    let _ = writeln!(out, "back s: after the end, until all points are near and as sure again (wanted: {back_s})");
    let _ = writeln!(out, "all bounds hold in {held} of {} cells", cells.len());
    out
}
