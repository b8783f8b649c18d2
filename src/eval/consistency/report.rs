//! The result in words, as tables and as charts.

use std::fmt::Write;

use super::{Consistency, GATE_95, LAGS, Step};
use crate::eval::plot::{Chart, Line};

/// Bins of the histogram of the NIS, and their width.
const BINS: (usize, f64) = (48, 0.25);

fn flat(name: &str, y: f64, steps: &[Step]) -> Line {
    let ends = [steps.first(), steps.last()].into_iter().flatten();
    Line { name: name.into(), points: ends.map(|s| (s.t_s, y)).collect(), dashed: true }
}

impl Consistency {
    /// A table for a reader.
    pub fn table(&self) -> String {
        let f = &self.flown;
        let [position, states] = self.shares_within();
        let mean = |of: fn(&Step) -> f64| self.steps.iter().map(of).sum::<f64>() / self.steps.len() as f64;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} flights of {} s, seeds {} to {}; IMU {} Hz: accelerometer {} m/s²/√Hz, walk {}, bias {} m/s²; gyroscope {} rad/s/√Hz, walk {}, bias {} rad/s;",
            f.flights,
            f.duration_s,
            f.seed,
            f.seed.wrapping_add(f.flights.saturating_sub(1)),
            f.imu_hz,
            f.grade.accel_noise,
            f.grade.accel_walk,
            f.grade.accel_bias,
            f.grade.gyro_noise,
            f.grade.gyro_walk,
            f.grade.gyro_bias
        );
        let _ = writeln!(
            out,
            "{} fixes/s of {} m, barometer {}/s of {} m; gates open",
            f.fix_hz, f.fix_sigma_m, f.baro_hz, f.baro_sigma_m
        );
        let _ = writeln!(out, "\n{:<44}{:>10}   if consistent", "", "measured");
        let mut row = |name: &str, measured: f64, digits: usize, expected: String| {
            let _ = writeln!(out, "{name:<44}{measured:>10.digits$}   {expected}");
        };
        let [low, high] = self.bounds_position;
        row("NEES of the position, mean", mean(|s| s.nees_position), 3, "3".into());
        row("  steps within its bounds", position, 3, format!("0.99 within {low:.2} to {high:.2}"));
        let [low, high] = self.bounds_states;
        row("NEES of the 15 states, mean", mean(|s| s.nees_states), 3, "15".into());
        row("  steps within its bounds", states, 3, format!("0.99 within {low:.2} to {high:.2}"));
        row(&format!("NIS of {} fixes, mean", self.nis.len()), self.mean_nis(), 3, "2".into());
        row("clean fixes beyond the gate of 95 %", self.beyond_gate(), 4, "0.05".into());
        let worst = self.autocorrelation.iter().map(|a| a.abs()).fold(0.0, f64::max);
        let within = self.autocorrelation.iter().filter(|a| a.abs() <= self.autocorrelation_bound).count();
        row(
            "autocorrelation of innovations, largest",
            worst,
            4,
            format!("{within} of {LAGS} lags within ±{:.4}", self.autocorrelation_bound),
        );
        for (k, (share, expected)) in self.inside_sigma.iter().zip(["0.393", "0.865", "0.989"]).enumerate() {
            row(&format!("horizontal errors inside {} sigma", k + 1), *share, 3, expected.into());
        }
        out
    }

    /// The steps as a CSV file.
    pub fn steps_csv(&self) -> String {
        let mut out = String::from("t_s,nees_position,nees_states\n");
        for s in &self.steps {
            let _ = writeln!(out, "{:.1},{:.6},{:.6}", s.t_s, s.nees_position, s.nees_states);
        }
        out
    }

    /// The lags as a CSV file.
    pub fn whiteness_csv(&self) -> String {
        let mut out = String::from("lag,autocorrelation,bound\n");
        for (i, a) in self.autocorrelation.iter().enumerate() {
            let _ = writeln!(out, "{},{a:.6},{:.6}", i + 1, self.autocorrelation_bound);
        }
        out
    }

    /// Charts and the names of their files.
    pub fn charts(&self) -> Vec<(&'static str, Chart)> {
        let nees = |name: &'static str, of: fn(&Step) -> f64, [low, high]: [f64; 2]| Chart {
            title: format!("{name}, mean of {} flights", self.flown.flights),
            x: "time, s",
            y: "NEES",
            lines: vec![
                Line { name: "mean".into(), points: self.steps.iter().map(|s| (s.t_s, of(s))).collect(), dashed: false },
                flat("99 %", low, &self.steps),
                flat("99 %", high, &self.steps),
            ],
        };
        let (bins, width) = BINS;
        let mut counts = vec![0.0; bins];
        for nis in &self.nis {
            if let Some(count) = counts.get_mut((nis / width) as usize) {
                *count += 1.0 / (self.nis.len() as f64 * width);
            }
        }
        let middle = |i: usize| (i as f64 + 0.5) * width;
        // The density of a chi-squared number of two dimensions.
        let density = |x: f64| 0.5 * (-0.5 * x).exp();
        let nis = Chart {
            title: format!("NIS of {} fixes; {:.2} % beyond {GATE_95:.2}", self.nis.len(), 100.0 * self.beyond_gate()),
            x: "NIS",
            y: "density",
            lines: vec![
                Line {
                    name: "measured".into(),
                    points: counts.iter().enumerate().map(|(i, c)| (middle(i), *c)).collect(),
                    dashed: false,
                },
                Line {
                    name: "chi-squared".into(),
                    points: (0..bins).map(|i| (middle(i), density(middle(i)))).collect(),
                    dashed: true,
                },
            ],
        };
        let bound = |y: f64| Line { name: "95 %".into(), points: vec![(1.0, y), (LAGS as f64, y)], dashed: true };
        let correlation = self.autocorrelation.iter().enumerate().map(|(i, a)| ((i + 1) as f64, *a));
        let whiteness = Chart {
            title: "Autocorrelation of the innovations".into(),
            x: "lag, fixes",
            y: "autocorrelation",
            lines: vec![
                Line { name: "measured".into(), points: correlation.collect(), dashed: false },
                bound(self.autocorrelation_bound),
                bound(-self.autocorrelation_bound),
            ],
        };
        vec![
            ("nees_position.svg", nees("NEES of the position", |s| s.nees_position, self.bounds_position)),
            ("nees_states.svg", nees("NEES of the 15 states", |s| s.nees_states, self.bounds_states)),
            ("nis.svg", nis),
            ("whiteness.svg", whiteness),
        ]
    }
}
