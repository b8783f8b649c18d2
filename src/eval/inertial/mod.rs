//! The filter on a recorded flight whose GNSS is made as poor as fixes on a map are, scored against the GNSS as it was; other filters fed
//! the same.

mod data;
mod degrade;
mod reference;
pub mod report;
mod track;

use nalgebra::Vector3;

use crate::fuse::NoiseDensities;
use crate::geo::heading_pitch_roll;
use crate::time::nanos_from_seconds;
pub use data::{FlightError, GnssPoint, Recorded};
pub use degrade::{Degraded, LateFix, START_SIGMAS, Start};
pub use reference::Wander;
use track::{Estimated, live, smoothed};
pub use track::{PositionFilter, Winged, Wings, begin, lead};

/// Lengths of the outages, seconds.
pub const OUTAGES_S: [f64; 3] = [10.0, 30.0, 60.0];
/// Outages of each length and seed.
const PLACES: usize = 10;
/// Time before the first outage, seconds: the filters have settled by then.
const SETTLED_S: f64 = 30.0;
/// What a flight needs at least to be scored, seconds.
const LEAST_S: f64 = 120.0;

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scoring {
    /// From here on, seconds.
    pub from_s: f64,
    /// Up to here, seconds.
    pub until_s: f64,
    /// Seed of the first run.
    pub seed: u64,
    /// Runs, each with noise of its own.
    pub runs: u64,
    /// What is done to GNSS.
    pub degraded: Degraded,
    /// What the filter takes of its IMU.
    pub noise: NoiseDensities,
    /// What it takes of the wings, where the aircraft has any.
    pub wings: Option<Wings>,
}

/// One run: the flight, what every filter gets of it, and until when.
pub struct Run<'a> {
    flight: &'a Recorded,
    /// The start.
    pub start: Start,
    fixes: Vec<LateFix>,
    sigma_m: f64,
    until_ns: i64,
}

impl Run<'_> {
    /// How far the truth's own positions wander.
    fn reference(&self) -> Option<Wander> {
        reference::wander(track::truth(self.flight, self.start.stamp_ns, self.until_ns))
    }
}

impl Default for Scoring {
    /// Five runs over the airborne part of the flight of the University of Minnesota; the filter's own default noise.
    fn default() -> Self {
        let (degraded, noise) = (Degraded::default(), NoiseDensities::default());
        Self { from_s: 339.0, until_s: 835.0, seed: 1, runs: 5, degraded, noise, wings: Some(Wings::default()) }
    }
}

impl Scoring {
    /// The runs over a flight.
    ///
    /// # Errors
    /// When the flight is too short.
    pub fn runs<'a>(&self, flight: &'a Recorded) -> Result<Vec<Run<'a>>, FlightError> {
        let short = || FlightError::Short { from_s: self.from_s, least_s: LEAST_S };
        let from_ns = nanos_from_seconds(self.from_s);
        let last_ns = flight.gnss.last().map_or(0, |p| p.stamp_ns);
        let until_ns = nanos_from_seconds(self.until_s).min(last_ns);
        if until_ns.saturating_sub(from_ns) < nanos_from_seconds(LEAST_S) {
            return Err(short());
        }
        (0..self.runs)
            .map(|run| {
                let seed = self.seed.wrapping_add(run);
                let (start, fixes) = degrade::degrade(flight, &self.degraded, from_ns, until_ns, seed).ok_or_else(short)?;
                Ok(Run { flight, start, fixes, sigma_m: self.degraded.sigma_m, until_ns })
            })
            .collect()
    }
}

/// A filter among others: fed in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// Root mean square of the horizontal error while fixes come, metres.
    pub rmse_m: f64,
    /// Horizontal error at the end of outages of [`OUTAGES_S`], metres, sorted.
    pub drift_m: [Vec<f64>; 3],
}

/// Leads a filter through every run; `begin` makes it.
pub fn compare<F: PositionFilter>(name: &str, runs: &[Run<'_>], begin: impl Fn(&Start) -> F) -> Compared {
    let (mut squares, mut count) = (0.0, 0.0);
    let mut drift_m = [const { Vec::new() }; 3];
    for run in runs {
        let Run { flight, start, fixes, sigma_m, until_ns } = run;
        let first_ns = start.stamp_ns.saturating_add(nanos_from_seconds(SETTLED_S));
        let longest_ns = nanos_from_seconds(OUTAGES_S[2] + 1.0);
        let step_ns = until_ns.saturating_sub(longest_ns).saturating_sub(first_ns) / (PLACES as i64 - 1);
        let mut begun = Vec::new();
        let mut filter = begin(start);
        lead(flight, fixes, *sigma_m, [start.stamp_ns, *until_ns], &mut filter, |point, filter| {
            squares += (filter.place_m(point.stamp_ns) - point.position_m).xy().norm_squared();
            count += 1.0;
            if begun.len() < PLACES && point.stamp_ns >= first_ns.saturating_add(step_ns * begun.len() as i64) {
                begun.push((point.stamp_ns, filter.clone()));
            }
        });
        for (from_ns, filter) in begun {
            let ends = OUTAGES_S.map(|s| from_ns.saturating_add(nanos_from_seconds(s)));
            let mut filter = filter;
            let mut next = 0;
            lead(flight, &[], *sigma_m, [from_ns, ends[2].saturating_add(longest_ns)], &mut filter, |point, filter| {
                if ends.get(next).is_some_and(|end| point.stamp_ns >= *end) {
                    drift_m[next].push((filter.place_m(point.stamp_ns) - point.position_m).xy().norm());
                    next += 1;
                }
            });
        }
    }
    drift_m.iter_mut().for_each(|d| d.sort_by(f64::total_cmp));
    Compared { name: name.to_owned(), rmse_m: f64::sqrt(squares / count), drift_m }
}

/// Leads this project's filter through every run, with wings or without.
pub fn compare_own(name: &str, runs: &[Run<'_>], noise: &NoiseDensities, wings: Option<Wings>) -> Compared {
    match wings {
        None => compare(name, runs, |start| begin(start, noise)),
        Some(wings) => compare(name, runs, |start| Winged::new(begin(start, noise), wings)),
    }
}

/// How well this project's filter did.
#[derive(Clone, Debug, PartialEq)]
pub struct Inertial {
    /// What was scored.
    pub scoring: Scoring,
    /// What the truth itself is worth.
    pub reference: Option<Wander>,
    /// Points of the truth, over all runs.
    pub points: usize,
    /// Root mean square error live, metres: horizontal, in three dimensions.
    pub live_rmse_m: [f64; 2],
    /// The same, smoothed.
    pub smoothed_rmse_m: [f64; 2],
    /// Share of horizontal errors inside 1, 2 and 3 sigma, live.
    pub inside_sigma: [f64; 3],
    /// The same, smoothed.
    pub smoothed_inside_sigma: [f64; 3],
    /// Root mean square of roll and pitch against the reference, live, degrees.
    pub roll_pitch_rms_deg: [f64; 2],
    /// Fixes used, beyond the gate, older than the history.
    pub fixes: [u64; 3],
}

/// Root mean squares of errors: horizontal, and in three dimensions.
fn rmse(all: &[Estimated]) -> [f64; 2] {
    let mean = |of: fn(&Vector3<f64>) -> f64| (all.iter().map(|e| of(&e.error_m)).sum::<f64>() / all.len() as f64).sqrt();
    [mean(|e| e.xy().norm_squared()), mean(Vector3::norm_squared)]
}

fn inside(all: &[Estimated]) -> [f64; 3] {
    [1.0, 2.0, 3.0].map(|k| all.iter().filter(|e| e.normalised <= k * k).count() as f64 / all.len() as f64)
}

/// Scores this project's filter on every run.
pub fn score(scoring: &Scoring, runs: &[Run<'_>]) -> Inertial {
    let (mut lives, mut smooths) = (Vec::new(), Vec::new());
    let mut fixes = [0; 3];
    let (mut turned, mut turns) = ([0.0; 2], 0.0);
    for run in runs {
        let Run { flight, start, fixes: degraded, sigma_m, until_ns } = run;
        let (track, history) = live(flight, degraded, *sigma_m, *until_ns, begin(start, &scoring.noise), scoring.wings);
        let counters = history.now().aids.get(crate::types::AidSourceKind::Gnss).counters;
        for (sum, one) in fixes.iter_mut().zip([counters.used, counters.gated, history.counters().too_old]) {
            *sum += one;
        }
        for estimate in &track {
            let at = flight.attitude.partition_point(|(stamp_ns, _)| *stamp_ns < estimate.stamp_ns);
            let Some((_, reference)) = flight.attitude.get(at).filter(|(t, _)| t - estimate.stamp_ns < nanos_from_seconds(0.03))
            else {
                continue;
            };
            let ((_, pitch, roll), (_, true_pitch, true_roll)) =
                (heading_pitch_roll(&estimate.enu_from_body), heading_pitch_roll(reference));
            for (sum, error) in turned.iter_mut().zip([roll - true_roll, pitch - true_pitch]) {
                *sum += error * error;
            }
            turns += 1.0;
        }
        lives.extend(track);
        smooths.extend(smoothed(flight, degraded, *sigma_m, *until_ns, begin(start, &scoring.noise), scoring.wings));
    }
    Inertial {
        scoring: *scoring,
        reference: runs.first().and_then(Run::reference),
        points: lives.len(),
        live_rmse_m: rmse(&lives),
        smoothed_rmse_m: rmse(&smooths),
        inside_sigma: inside(&lives),
        smoothed_inside_sigma: inside(&smooths),
        roll_pitch_rms_deg: turned.map(|sum| f64::sqrt(sum / turns).to_degrees()),
        fixes,
    }
}
