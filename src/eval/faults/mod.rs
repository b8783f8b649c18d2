//! Faults of the IMU and of GNSS while every fix is right: what they do to the track, against the same flight without a fault.
//!
//! Each flight starts from nothing. Its errors (fixes, heights, headings, the map's offset) follow from its seed and are the same with and
//! without a fault.

mod fault;
mod flight;
mod report;

use rayon::prelude::*;

use crate::eval::consistency::RESTED;
use crate::fuse::FusionSettings;
use crate::simulate::{ImuGrade, SimulateError};
use crate::time::nanos_from_seconds;
pub use fault::{Fault, Sensor};
pub use flight::{Flown, Point, Scene};
pub use report::table;

/// How long a fault lasts, seconds.
const FAULT_S: f64 = 8.0;
/// How long a flight goes on after it, seconds.
const AFTER_S: f64 = 10.0;
/// As long as the latest fault needs, seconds.
const DURATION_S: f64 = 55.0;
/// Rate of the IMU, hertz.
const IMU_HZ: f64 = 200.0;
/// Points of the track a second.
const POINTS_PER_S: i64 = 5;
/// The bounds hold from so long after the onset on, and again so long after the end, seconds.
const SETTLE_S: f64 = 3.0;
/// By how much a point may be worse than that of the faultless run, metres.
const SLACK_M: f64 = 5.0;

/// The bounds: share of points that are visual and near, sigma over that of the faultless run, error in sigmas, seconds to come back.
pub const BOUNDS: (f64, f64, f64, f64) = (0.95, 1.5, 3.0, SETTLE_S);

/// When in a flight a fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// With its first sample.
    Start,
    /// While it goes straight on.
    Straight,
    /// While it turns round.
    Turn,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Start, Self::Straight, Self::Turn];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Straight => "straight",
            Self::Turn => "turn",
        }
    }

    /// When the fault comes, seconds. Simulated flights turn from 13.8 s to 29.5 s and go straight on up to 57 s.
    fn onset_s(self) -> f64 {
        match self {
            Self::Start => 0.0,
            Self::Straight => 33.0,
            Self::Turn => 17.5,
        }
    }
}

/// What is flown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultStudy {
    /// Flights a cell.
    pub flights: u64,
    /// Seed of the first; the others count on.
    pub seed: u64,
    /// 1 sigma of a fix an axis, metres.
    pub fix_sigma_m: f64,
    /// The IMU.
    pub grade: ImuGrade,
    /// Whether an autopilot tells the attitude; else a compass tells the heading.
    pub attitude: bool,
    /// The filter.
    pub settings: FusionSettings,
}

impl Default for FaultStudy {
    fn default() -> Self {
        Self { flights: 6, seed: 1, fix_sigma_m: 4.0, grade: RESTED, attitude: true, settings: FusionSettings::default() }
    }
}

/// A fault at a time, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The sensor.
    pub sensor: Sensor,
    /// Its fault.
    pub fault: Fault,
    /// When.
    pub phase: Phase,
    /// From 3 s after the onset to the end: share of points that are visual and no more than 5 m worse than without the fault.
    pub near: f64,
    /// The same points: the 95th percentile of sigma over that without the fault.
    pub sigma_ratio: f64,
    /// From the onset to the end of the flight: the largest error in sigmas, of those that are more than 5 m worse than without the fault.
    pub worst_sigmas: f64,
    /// The largest error of all, metres.
    pub worst_m: f64,
    /// Share of the points from the onset on that are more than 3 sigma off, and more than 5 m worse than without the fault.
    pub beyond: f64,
    /// From the end on, the longest time until all points are visual, near and as sure as without the fault; infinite: never.
    pub back_s: f64,
    /// Times that the filter started anew.
    pub restarts: u64,
}

impl Cell {
    /// Whether all bounds hold.
    pub fn holds(&self) -> bool {
        let (near, ratio, sigmas, back_s) = BOUNDS;
        self.near >= near && self.sigma_ratio <= ratio && self.worst_sigmas <= sigmas && self.back_s <= back_s
    }
}

/// What is measured of one flight.
#[derive(Default)]
struct Measured {
    near: Vec<bool>,
    ratios: Vec<f64>,
    worst_sigmas: f64,
    worst_m: f64,
    beyond: Vec<bool>,
    back_s: f64,
    restarts: u64,
}

fn measure(phase: Phase, faulty: &Flown, faultless: &Flown) -> Measured {
    let span = phase.span();
    let settled_ns = span.onset_ns + nanos_from_seconds(SETTLE_S);
    let mut out = Measured { restarts: faulty.counters.restarts + faulty.counters.resets, ..Measured::default() };
    let mut last_bad_ns = None;
    let mut last_ns = span.end_ns;
    for (point, clean) in faulty.points.iter().zip(&faultless.points).filter(|(p, _)| p.stamp_ns >= span.onset_ns) {
        let near = point.visual && point.error_m <= clean.error_m + SLACK_M;
        let ratio = point.sigma_m / clean.sigma_m;
        if point.error_m.is_finite() {
            let sigmas = point.error_m / point.sigma_m;
            // As far off as a faultless run may be is no matter of the fault.
            let far = point.error_m > clean.error_m + SLACK_M;
            out.worst_sigmas = out.worst_sigmas.max(if far { sigmas } else { 0.0 });
            out.worst_m = out.worst_m.max(point.error_m);
            out.beyond.push(far && sigmas > BOUNDS.2);
        }
        if (settled_ns..=span.end_ns).contains(&point.stamp_ns) {
            out.near.push(near);
            out.ratios.push(ratio);
        }
        if point.stamp_ns >= span.end_ns && !(near && ratio <= BOUNDS.1) {
            last_bad_ns = Some(point.stamp_ns);
        }
        last_ns = point.stamp_ns;
    }
    let back_ns = last_bad_ns.map_or(0, |bad_ns| bad_ns - span.end_ns + crate::time::NANOS_PER_SEC / POINTS_PER_S);
    out.back_s = if last_bad_ns == Some(last_ns) { f64::INFINITY } else { back_ns as f64 / 1e9 };
    out
}

fn cell(sensor: Sensor, fault: Fault, phase: Phase, measured: &[Measured]) -> Cell {
    let share = |of: fn(&Measured) -> &Vec<bool>| {
        let all = || measured.iter().flat_map(|m| of(m).iter());
        all().filter(|b| **b).count() as f64 / all().count().max(1) as f64
    };
    let mut ratios: Vec<f64> = measured.iter().flat_map(|m| m.ratios.iter().copied()).collect();
    ratios.sort_by(f64::total_cmp);
    let most = |of: fn(&Measured) -> f64| measured.iter().map(of).fold(0.0, f64::max);
    Cell {
        sensor,
        fault,
        phase,
        near: share(|m| &m.near),
        sigma_ratio: crate::math::percentile::percentile(&ratios, 95).unwrap_or(f64::INFINITY),
        worst_sigmas: most(|m| m.worst_sigmas),
        worst_m: most(|m| m.worst_m),
        beyond: share(|m| &m.beyond),
        back_s: most(|m| m.back_s),
        restarts: measured.iter().map(|m| m.restarts).sum(),
    }
}

/// Flies every fault of every sensor in every phase, on all cores; the result does not depend on how many.
///
/// # Errors
/// When a flight cannot be simulated.
pub fn faults(study: &FaultStudy) -> Result<Vec<Cell>, SimulateError> {
    let scenes: Vec<Scene> = (0..study.flights)
        .into_par_iter()
        .map(|number| Scene::new(study, study.seed.wrapping_add(number)))
        .collect::<Result<_, _>>()?;
    let kinds: Vec<(Sensor, Phase)> = Sensor::ALL.iter().flat_map(|&sensor| Phase::ALL.map(|phase| (sensor, phase))).collect();
    let cells: Vec<Vec<Cell>> = kinds
        .into_par_iter()
        .map(|(sensor, phase)| {
            let gnss = sensor == Sensor::Gnss;
            let clean: Vec<Flown> = scenes.iter().map(|scene| scene.fly(study, phase, None, gnss)).collect();
            let of = |fault: Fault| {
                let flown = scenes.iter().zip(&clean);
                let measured: Vec<Measured> = flown
                    .map(|(scene, clean)| measure(phase, &scene.fly(study, phase, Some((sensor, fault)), gnss), clean))
                    .collect();
                cell(sensor, fault, phase, &measured)
            };
            Fault::ALL.into_par_iter().map(of).collect()
        })
        .collect();
    Ok(cells.into_iter().flatten().collect())
}
