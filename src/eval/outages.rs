//! Ten minutes of flight with wrong fixes, wrong places that go on and two outages: what fusion makes of them.

use std::fmt::Write as _;

use nalgebra::Vector2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::attacks::{FRAMES_PER_S, HEIGHT_SIGMA_M, ORIGIN, fix_at, stamp_ns};
use super::consistency::{MonteCarlo, RESTED};
use crate::fuse::state::worst_sigma;
use crate::fuse::{Fusion, FusionSettings, TrackOptions};
use crate::geo::{EnuPlane, heading_pitch_roll};
use crate::simulate::inertial::{InertialFlight, Truth, inertial_flight};
use crate::simulate::{ImuGrade, Settings, SimulateError};
use crate::types::{AbstainReason, Estimate, Known, Outcome, TelemetryBatch, TrackPoint, TrackSource};

/// Length of a flight, seconds.
const DURATION_S: f64 = 600.0;
/// Frames of an outage: 20 s.
const OUTAGE_FRAMES: i64 = 20 * FRAMES_PER_S;
/// Frames among which each outage begins.
const OUTAGES_BEGIN: [std::ops::Range<i64>; 2] = [200..500, 700..1_040];
/// Share of single wrong fixes, and of those in wrong places that go on.
const WRONG_SHARES: (f64, f64) = (0.025, 0.025);
/// Frames for which a wrong place goes on: 2 to 5 s.
const RUN_FRAMES: std::ops::RangeInclusive<i64> = 4..=10;
/// How far off a wrong place is, metres, evenly in its logarithm.
const WRONG_M: (f64, f64) = (50.0, 500.0);
/// How far off the map is, metres.
const MAP_OFFSET_M: f64 = 2.0;
/// 1 sigma of a compass, radians.
const HEADING_SIGMA_RAD: f64 = 0.035;
/// An error beyond 3 sigma and so much must not be called visual, metres; most errors stay below this alone.
const SLACK_M: f64 = 5.0;

/// The bounds: share of errors up to 5 m, and seconds from the first good frame after an outage.
pub const BOUNDS: (f64, f64) = (0.95, 3.0);

/// What is flown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutageFlights {
    /// Flights.
    pub flights: u64,
    /// Seed of the first; the others count on.
    pub seed: u64,
    /// 1 sigma of a fix an axis, metres.
    pub fix_sigma_m: f64,
    /// The IMU.
    pub grade: ImuGrade,
    /// Whether the filter knows the IMU, as `eval consistency` has it; else it assumes what it assumes of any: an airframe that vibrates.
    pub imu_known: bool,
}

impl Default for OutageFlights {
    fn default() -> Self {
        Self { flights: 20, seed: 1, fix_sigma_m: 4.0, grade: RESTED, imu_known: true }
    }
}

/// What came of one flight.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Flown {
    /// Its seed.
    pub seed: u64,
    /// Frames.
    pub frames: u64,
    /// Of these, with a wrong fix.
    pub wrong_fixes: u64,
    /// Of the wrong fixes, those that were used.
    pub wrong_used: u64,
    /// Frames with an error above 3 sigma + 5 m that were called visual.
    pub wrongly_visual: u64,
    /// Frames with an error of at most 5 m, outages included.
    pub near: u64,
    /// Times the filter started anew.
    pub restarts: u64,
    /// 1 sigma of the position at the end of each outage, metres.
    pub sigma_after_m: [f64; 2],
    /// For each outage, seconds from the first good frame after it until the track was visual and rightly so; `None`: never.
    pub back_after_s: [Option<f64>; 2],
}

/// What came of several.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Outages {
    /// Each.
    pub flights: Vec<Flown>,
}

/// What the camera sees in a frame.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Nothing,
    Right,
    /// A place so far from the right one.
    Beside(Vector2<f64>),
    /// A place that stands still while the aircraft moves.
    Still(Vector2<f64>),
}

struct Random(ChaCha8Rng);

impl Random {
    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    fn direction(&mut self) -> Vector2<f64> {
        let (sin, cos) = (self.0.random::<f64>() * std::f64::consts::TAU).sin_cos();
        Vector2::new(sin, cos)
    }

    fn off_m(&mut self) -> Vector2<f64> {
        let length = WRONG_M.0 * (WRONG_M.1 / WRONG_M.0).powf(self.0.random::<f64>());
        self.direction() * length
    }
}

/// The truth at a frame.
fn at(flight: &InertialFlight, frame: i64) -> Option<&Truth> {
    flight.truth.get(flight.truth.partition_point(|t| t.stamp_ns < stamp_ns(frame)))
}

/// What each frame sees, from frame 1 on, and the frames at which the outages begin. A wrong place comes right after the second outage.
fn sights(flight: &InertialFlight, random: &mut Random) -> (Vec<Seen>, [i64; 2]) {
    let begins = OUTAGES_BEGIN.map(|range| random.0.random_range(range));
    let mean_run = (RUN_FRAMES.start() + RUN_FRAMES.end()) as f64 / 2.0;
    let mut run: Option<(Seen, i64)> = None;
    let mut out = Vec::new();
    for frame in 1..=(DURATION_S as i64 * FRAMES_PER_S) {
        let truth_m = at(flight, frame).map_or(Vector2::zeros(), |t| t.position_m.xy());
        if begins.iter().any(|begin| (*begin..begin + OUTAGE_FRAMES).contains(&frame)) {
            run = None;
            out.push(Seen::Nothing);
            continue;
        }
        if run.is_none() && (frame == begins[1] + OUTAGE_FRAMES || random.chance(WRONG_SHARES.1 / mean_run)) {
            let off_m = random.off_m();
            let seen = if random.chance(0.5) { Seen::Beside(off_m) } else { Seen::Still(truth_m + off_m) };
            run = Some((seen, random.0.random_range(RUN_FRAMES)));
        }
        out.push(match run {
            Some((seen, left)) => {
                run = (left > 1).then_some((seen, left - 1));
                seen
            }
            None if random.chance(WRONG_SHARES.0) => Seen::Beside(random.off_m()),
            None => Seen::Right,
        });
    }
    (out, begins)
}

fn fly(flown: &OutageFlights, seed: u64, settings: FusionSettings) -> Result<Flown, SimulateError> {
    let OutageFlights { fix_sigma_m, grade, .. } = *flown;
    let simulated = Settings { seed, duration_s: DURATION_S + 1.0, imu: grade, imu_hz: 200.0, ..Settings::default() };
    let flight = inertial_flight(&simulated)?;
    let plane = EnuPlane::at(ORIGIN);
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed ^ 0x00a7_a6e5));
    let (sights, begins) = sights(&flight, &mut random);
    let map_m = random.direction() * MAP_OFFSET_M;
    let start_m = flight.truth.first().map_or(Vector2::zeros(), |t| t.position_m.xy());
    let (lat, lon) = plane.lat_lon_from_ground(start_m.x, start_m.y);
    let mut fusion = Fusion::new(settings, TrackOptions::default(), Some((crate::geo::Geodetic::ground(lat, lon), 5.0)));
    let mut out = Flown {
        seed,
        frames: 0,
        wrong_fixes: 0,
        wrong_used: 0,
        wrongly_visual: 0,
        near: 0,
        restarts: 0,
        sigma_after_m: [f64::INFINITY; 2],
        back_after_s: [None; 2],
    };
    let mut first_good: [Option<i64>; 2] = [None; 2];
    let mut samples = flight.imu.iter().peekable();
    for (seen, frame) in sights.into_iter().zip(1..) {
        let Some(truth) = at(&flight, frame) else { break };
        let truth_m = truth.position_m.xy();
        let stamp = stamp_ns(frame);
        let imu = std::iter::from_fn(|| samples.next_if(|s| s.stamp_ns <= stamp)).copied().collect();
        let heading = heading_pitch_roll(&truth.enu_from_body).0 + HEADING_SIGMA_RAD * random.normal();
        let known = Known {
            height_agl_m: Some(Estimate { value: truth.position_m.z + HEIGHT_SIGMA_M * random.normal(), sigma: HEIGHT_SIGMA_M }),
            heading_rad: Some(Estimate { value: heading, sigma: HEADING_SIGMA_RAD }),
            ..Known::default()
        };
        let noise_m = Vector2::new(random.normal(), random.normal()) * fix_sigma_m + map_m;
        let outcome = match seen {
            Seen::Nothing => Outcome::Abstained(AbstainReason::Ambiguous),
            Seen::Right => fix_at(&plane, truth_m + noise_m, fix_sigma_m),
            Seen::Beside(off_m) => fix_at(&plane, truth_m + off_m + noise_m, fix_sigma_m),
            Seen::Still(place_m) => fix_at(&plane, place_m + noise_m, fix_sigma_m),
        };
        let track = fusion.step(stamp, &TelemetryBatch { imu, ..TelemetryBatch::default() }, &known, &outcome).track;
        let wrong = matches!(seen, Seen::Beside(_) | Seen::Still(_));
        let (error_m, sigma_m) = error_and_sigma_m(&plane, &track, truth_m);
        let visual = track.source == TrackSource::Visual;
        let right = error_m <= 3.0 * sigma_m + SLACK_M;
        out.frames += 1;
        out.wrong_fixes += u64::from(wrong);
        out.wrong_used += u64::from(wrong && track.fix_used);
        out.near += u64::from(error_m <= SLACK_M);
        out.wrongly_visual += u64::from(visual && !right);
        for (k, begin) in begins.iter().enumerate() {
            let end = begin + OUTAGE_FRAMES;
            if frame == end - 1 {
                out.sigma_after_m[k] = sigma_m;
            }
            if frame >= end && seen == Seen::Right {
                first_good[k] = first_good[k].or(Some(frame));
            }
            if let (Some(first), None, true) = (first_good[k], out.back_after_s[k], visual && right) {
                out.back_after_s[k] = Some((frame - first) as f64 / FRAMES_PER_S as f64);
            }
        }
    }
    out.restarts = fusion.counters().restarts;
    Ok(out)
}

/// Horizontal error of a track point and its 1 sigma along the worst axis, metres; infinite and 0 where it knows no place.
fn error_and_sigma_m(plane: &EnuPlane, track: &TrackPoint, truth_m: Vector2<f64>) -> (f64, f64) {
    let Some(state) = &track.state else { return (f64::INFINITY, 0.0) };
    let here = plane.ground_from_lat_lon(state.position.lat_deg, state.position.lon_deg);
    ((Vector2::new(here.e_m, here.n_m) - truth_m).norm(), worst_sigma(&state.covariance_en_m2))
}

impl OutageFlights {
    fn settings(&self) -> FusionSettings {
        let settings = FusionSettings::default();
        let known = MonteCarlo { grade: self.grade, ..MonteCarlo::default() };
        if self.imu_known { FusionSettings { noise: known.noise(), ..settings } } else { settings }
    }
}

/// Flies, on all cores; the result does not depend on how many.
///
/// # Errors
/// When a flight cannot be simulated.
pub fn outages(flown: &OutageFlights) -> Result<Outages, SimulateError> {
    let fly = |number| fly(flown, flown.seed.wrapping_add(number), flown.settings());
    Ok(Outages { flights: (0..flown.flights).into_par_iter().map(fly).collect::<Result<_, _>>()? })
}

impl Outages {
    fn sum(&self, of: impl Fn(&Flown) -> u64) -> u64 {
        self.flights.iter().map(of).sum()
    }

    /// Frames with an error above 3 sigma + 5 m that were called visual.
    pub fn wrongly_visual(&self) -> u64 {
        self.sum(|f| f.wrongly_visual)
    }

    /// Share of errors of at most 5 m: of all frames, those of outages included.
    pub fn near_share(&self) -> f64 {
        self.sum(|f| f.near) as f64 / self.sum(|f| f.frames) as f64
    }

    /// The longest time from the first good frame after an outage to the return, seconds; infinite where there was none.
    pub fn slowest_return_s(&self) -> f64 {
        self.flights.iter().flat_map(|f| f.back_after_s).map(|t| t.unwrap_or(f64::INFINITY)).fold(0.0, f64::max)
    }

    /// Outages after which the return took longer than it may.
    pub fn late_returns(&self) -> usize {
        self.flights.iter().flat_map(|f| f.back_after_s).filter(|t| t.is_none_or(|t| t > BOUNDS.1)).count()
    }

    /// Whether all bounds hold.
    pub fn within_bounds(&self) -> bool {
        self.wrongly_visual() == 0 && self.near_share() >= BOUNDS.0 && self.late_returns() == 0
    }

    /// All of it as text.
    pub fn table(&self) -> String {
        let mut out = String::from(
            "  seed  wrong fixes  used  wrongly visual  errors <= 5 m  restarts  sigma after outage, m  back after, s\n",
        );
        for f in &self.flights {
            let back = f.back_after_s.map(|t| t.map_or_else(|| "never".into(), |t| format!("{t:.1}")));
            let _ = writeln!(
                out,
                "{:>6}  {:>11}  {:>4}  {:>14}  {:>13.4}  {:>8}  {:>10.1} {:>10.1}  {:>6} {:>6}",
                f.seed,
                f.wrong_fixes,
                f.wrong_used,
                f.wrongly_visual,
                f.near as f64 / f.frames as f64,
                f.restarts,
                f.sigma_after_m[0],
                f.sigma_after_m[1],
                back[0],
                back[1],
            );
        }
        let share = self.sum(|f| f.wrong_fixes) as f64 / self.sum(|f| f.frames) as f64;
        let _ = writeln!(out, "wrong fixes, of all frames                       {share:.4}");
        let _ = writeln!(out, "error above 3 sigma + 5 m and called visual      {}  (wanted: 0)", self.wrongly_visual());
        let _ =
            writeln!(out, "share of errors up to 5 m, outages included      {:.4}  (wanted: {})", self.near_share(), BOUNDS.0);
        let _ = writeln!(
            out,
            "slowest return after the first good frame, s     {:.1}  (wanted: {:.1}; later: {} of {})",
            self.slowest_return_s(),
            BOUNDS.1,
            self.late_returns(),
            2 * self.flights.len()
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flights_with_outages_and_wrong_places_are_never_wrongly_visual_and_come_back_soon() {
        for imu_known in [true, false] {
            let result = outages(&OutageFlights { flights: 4, imu_known, ..OutageFlights::default() }).unwrap();
            assert_eq!((result.wrongly_visual(), result.late_returns()), (0, 0), "{}", result.table());
            let share = result.sum(|f| f.wrong_fixes) as f64 / result.sum(|f| f.frames) as f64;
            assert!((0.03..0.08).contains(&share), "{share}");
        }
    }

    /// In one of these a wrong place comes right after an outage and once was believed, in the other a wrong place after a return was.
    #[test]
    fn a_return_from_an_outage_can_be_taken_back_and_not_taken_over() {
        for seed in [9, 14] {
            let result = outages(&OutageFlights { flights: 1, seed, ..OutageFlights::default() }).unwrap();
            assert_eq!((result.wrongly_visual(), result.late_returns()), (0, 0), "{}", result.table());
        }
    }

    #[test]
    fn a_filter_without_a_gate_is_found_out() {
        let mut open = OutageFlights::default().settings();
        open.sources.visual.aid.gate = f64::INFINITY;
        let result = Outages { flights: vec![fly(&OutageFlights::default(), 1, open).unwrap()] };
        assert!(result.wrongly_visual() > 10 && !result.within_bounds(), "{}", result.table());
    }
}
