//! Is the filter as sure as it has reason to be? Monte Carlo over simulated inertial flights whose sensors err just as the filter assumes.
//!
//! The normalised estimation error squared (NEES) of M flights sums to a chi-squared number of M·n degrees of freedom; the normalised
//! innovation squared (NIS) of a consistent filter has a mean of its dimension, and its innovations are white (Bar-Shalom, Li and
//! Kirubarajan 2001, section 5.4).

mod flight;
mod report;

use rayon::prelude::*;

use crate::fuse::NoiseDensities;
use crate::simulate::{ImuGrade, Settings, SimulateError};
use flight::Flown;

/// A consumer IMU whose gyroscopes were at rest for some seconds before take-off, which tells their biases to 0.03°/s.
pub const RESTED: ImuGrade = ImuGrade { gyro_bias: 5e-4, ..ImuGrade::CONSUMER };

/// What is flown, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonteCarlo {
    /// Flights.
    pub flights: u64,
    /// Seed of the first; each next one counts on.
    pub seed: u64,
    /// Length of each, seconds.
    pub duration_s: f64,
    /// The IMU; its biases as the filter knows them at the start.
    pub grade: ImuGrade,
    /// Rate of the IMU, hertz.
    pub imu_hz: f64,
    /// Fixes a second.
    pub fix_hz: f64,
    /// 1 sigma of a fix an axis, metres.
    pub fix_sigma_m: f64,
    /// Barometric heights a second.
    pub baro_hz: f64,
    /// 1 sigma of their noise, metres.
    pub baro_sigma_m: f64,
}

impl Default for MonteCarlo {
    /// Fifty flights of a hundred seconds with a consumer IMU, its gyroscopes rested, and a fix each second: 5,000 fixes.
    fn default() -> Self {
        Self {
            flights: 50,
            seed: 1,
            duration_s: 100.0,
            grade: RESTED,
            imu_hz: 200.0,
            fix_hz: 1.0,
            fix_sigma_m: 5.0,
            baro_hz: 5.0,
            baro_sigma_m: 0.5,
        }
    }
}

impl MonteCarlo {
    /// What the filter takes of such an IMU.
    pub(super) fn noise(&self) -> NoiseDensities {
        NoiseDensities {
            accel: self.grade.accel_noise,
            gyro: self.grade.gyro_noise,
            accel_bias: self.grade.accel_walk,
            gyro_bias: self.grade.gyro_walk,
            ..NoiseDensities::default()
        }
    }

    fn settings(&self, flight: u64) -> Settings {
        let seed = self.seed.wrapping_add(flight);
        Settings { seed, duration_s: self.duration_s, imu: self.grade, imu_hz: self.imu_hz, ..Settings::default() }
    }
}

/// A time of the flights: means over all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Seconds since the start.
    pub t_s: f64,
    /// NEES of the position, three dimensions.
    pub nees_position: f64,
    /// NEES of position, velocity, attitude and biases, fifteen.
    pub nees_states: f64,
}

/// Interval between two steps, seconds.
const STEP_S: f64 = 0.1;
/// Lags at which innovations are compared.
const LAGS: usize = 10;
/// 95 % of a chi-squared distribution of two dimensions.
const GATE_95: f64 = 5.991_464_547_107_979;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Consistency {
    /// What was flown.
    pub flown: MonteCarlo,
    /// Over time.
    pub steps: Vec<Step>,
    /// 99 % of the mean NEES of the position lie between, were the filter consistent.
    pub bounds_position: [f64; 2],
    /// The same for the fifteen states.
    pub bounds_states: [f64; 2],
    /// NIS of every fix, with the gate open.
    pub nis: Vec<f64>,
    /// Autocorrelation of the innovations, in units of their own covariance, at lags 1 to 10 fixes; 0 where the flights are too short.
    pub autocorrelation: [f64; LAGS],
    /// 95 % of such numbers lie within plus and minus this, were the innovations white.
    pub autocorrelation_bound: f64,
    /// Share of horizontal errors inside 1, 2 and 3 sigma; 0.393, 0.865 and 0.989 of a Gaussian's.
    pub inside_sigma: [f64; 3],
}

impl Consistency {
    /// Share of the steps whose mean NEES lies within its bounds: of the position, of the fifteen states.
    pub fn shares_within(&self) -> [f64; 2] {
        let share = |of: fn(&Step) -> f64, [low, high]: [f64; 2]| {
            let inside = self.steps.iter().filter(|s| (low..=high).contains(&of(s))).count();
            inside as f64 / self.steps.len() as f64
        };
        [share(|s| s.nees_position, self.bounds_position), share(|s| s.nees_states, self.bounds_states)]
    }

    /// Mean NIS of the fixes.
    pub fn mean_nis(&self) -> f64 {
        self.nis.iter().sum::<f64>() / self.nis.len() as f64
    }

    /// Share of the fixes, all of them clean, beyond a gate of 95 %.
    pub fn beyond_gate(&self) -> f64 {
        self.nis.iter().filter(|nis| **nis > GATE_95).count() as f64 / self.nis.len() as f64
    }
}

/// The bounds between which 99 % of a mean of `count` chi-squared numbers of `dimensions` lie (Wilson and Hilferty 1931).
pub fn mean_bounds(count: u64, dimensions: u64) -> [f64; 2] {
    const Z: f64 = 2.575_829_303_549;
    let k = (count * dimensions) as f64;
    let a = 2.0 / (9.0 * k);
    [-Z, Z].map(|z| k * (1.0 - a + z * a.sqrt()).powi(3) / count as f64)
}

/// Flies all of it, on all cores; the result does not depend on how many.
///
/// # Errors
/// When the settings make no flight.
pub fn consistency(flown: &MonteCarlo) -> Result<Consistency, SimulateError> {
    let flights: Vec<Flown> = (0..flown.flights).into_par_iter().map(|i| flight::fly(flown, i)).collect::<Result<_, _>>()?;
    let count = flights.len() as f64;
    let steps = flights.iter().map(|f| f.nees.len()).min().unwrap_or(0);
    let mean = |step: usize, k: usize| flights.iter().filter_map(|f| f.nees.get(step)).map(|nees| nees[k]).sum::<f64>() / count;
    let steps =
        (0..steps).map(|i| Step { t_s: (i + 1) as f64 * STEP_S, nees_position: mean(i, 0), nees_states: mean(i, 1) }).collect();
    let mut products = [(0.0, 0.0); LAGS];
    for flight in &flights {
        for (lag, (sum, pairs)) in products.iter_mut().enumerate() {
            for (a, b) in flight.innovations.iter().zip(flight.innovations.iter().skip(lag + 1)) {
                *sum += a.dot(b);
                *pairs += 2.0;
            }
        }
    }
    let errors: Vec<f64> = flights.iter().flat_map(|f| f.horizontal.iter().copied()).collect();
    let inside = |k: f64| errors.iter().filter(|e| **e <= k * k).count() as f64 / errors.len() as f64;
    Ok(Consistency {
        flown: *flown,
        steps,
        bounds_position: mean_bounds(flown.flights, 3),
        bounds_states: mean_bounds(flown.flights, 15),
        nis: flights.iter().flat_map(|f| f.innovations.iter().map(|v| v.norm_squared())).collect(),
        autocorrelation: products.map(|(sum, pairs)| if pairs > 0.0 { sum / pairs } else { 0.0 }),
        autocorrelation_bound: 1.96 / products[0].1.sqrt(),
        inside_sigma: [inside(1.0), inside(2.0), inside(3.0)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_fifty_flights_are_those_of_the_tables() {
        // Chi-squared of 150 and 750 degrees of freedom at 0.5 % and 99.5 %, over 50.
        for (dimensions, low, high) in [(3, 109.142 / 50.0, 198.360 / 50.0), (15, 654.3 / 50.0, 853.6 / 50.0)] {
            let [a, b] = mean_bounds(50, dimensions);
            assert!((a - low).abs() < 0.02 && (b - high).abs() < 0.02, "{a} {b}");
        }
    }

    #[test]
    fn the_filter_is_as_sure_as_it_has_reason_to_be() {
        for seed in [1, 20_000] {
            let result = consistency(&MonteCarlo { seed, flights: 30, ..MonteCarlo::default() }).unwrap();
            // What a flight errs by lasts for many steps, so sets of flights differ: nine in ten steps, and the mean over all of them.
            let [position, states] = result.shares_within();
            assert!(position >= 0.9 && states >= 0.9, "seed {seed}: NEES within its bounds: {position}, {states}");
            let mean = result.steps.iter().map(|s| s.nees_states).sum::<f64>() / result.steps.len() as f64;
            assert!((13.5..16.5).contains(&mean), "seed {seed}: NEES {mean}");
            // Four sigma of the mean of 3,000 numbers.
            assert!((result.mean_nis() - 2.0).abs() < 0.15, "seed {seed}: NIS {}", result.mean_nis());
            assert!((0.034..0.066).contains(&result.beyond_gate()), "seed {seed}: {}", result.beyond_gate());
            let white = result.autocorrelation.iter().all(|a| a.abs() < 2.0 * result.autocorrelation_bound);
            assert!(white, "seed {seed}: {:?}", result.autocorrelation);
        }
    }

    /// The mean NEES of the position in a flight with an IMU of which the filter believes that it is tactical.
    fn nees_of_one_taken_for_tactical(poor: ImuGrade) -> f64 {
        let honest = MonteCarlo { flights: 8, grade: poor, ..MonteCarlo::default() };
        let flown = flight::fly_with(&honest, 3, &MonteCarlo { grade: ImuGrade::TACTICAL, ..honest }.noise()).unwrap();
        flown.nees.iter().map(|n| n[0]).sum::<f64>() / flown.nees.len() as f64
    }

    #[test]
    fn a_filter_that_takes_its_imu_for_better_than_it_is_is_found_out() {
        let nees = nees_of_one_taken_for_tactical(ImuGrade { accel_walk: 0.1, gyro_walk: 2e-3, ..ImuGrade::TACTICAL });
        assert!(nees > 6.0, "{nees}");
    }

    #[test]
    fn noise_that_the_filter_is_not_told_it_sees_for_itself() {
        let nees = nees_of_one_taken_for_tactical(ImuGrade { accel_noise: 0.2, gyro_noise: 5e-3, ..ImuGrade::CONSUMER });
        assert!(nees < 4.5, "{nees}");
    }

    #[test]
    fn the_same_seed_gives_the_same_result() {
        let few = MonteCarlo { flights: 3, duration_s: 10.0, ..MonteCarlo::default() };
        assert_eq!(consistency(&few).unwrap(), consistency(&few).unwrap());
    }
}
