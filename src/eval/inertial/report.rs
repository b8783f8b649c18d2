//! The scores in words.

use std::fmt::Write;

use super::reference::WINDOW_S;
use super::{Compared, Inertial, OUTAGES_S, START_SIGMAS};

impl Inertial {
    /// A table for a reader.
    pub fn table(&self) -> String {
        let (s, d, n) = (&self.scoring, &self.scoring.degraded, &self.scoring.noise);
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} runs from {} s to {} s, seeds {} on; a fix each {} s of {} m an axis, {} to {} s late, {:.0} % wrong by {} to {} m",
            s.runs,
            s.from_s,
            s.until_s,
            s.seed,
            d.interval_s,
            d.sigma_m,
            d.late_s[0],
            d.late_s[1],
            100.0 * d.outliers,
            d.outlier_m[0],
            d.outlier_m[1]
        );
        let _ = writeln!(
            out,
            "noise assumed: accelerometer {} m/s²/√Hz, walk {}; gyroscope {} rad/s/√Hz, walk {}; gaps {:?} m/s³/√Hz and {:?} rad/s²/√Hz",
            n.accel, n.accel_bias, n.gyro, n.gyro_bias, n.gap_jerk, n.gap_turn
        );
        let wings = s.wings.map_or("none".into(), |w| format!("motion across of {} m/s each {} s", w.sigma_m_s, w.interval_s));
        let _ = writeln!(out, "wings: {wings}");
        let [position, velocity, tilt, heading] = START_SIGMAS;
        let _ = writeln!(
            out,
            "start: position {position} m, velocity {velocity} m/s, roll and pitch {:.0}°, heading {:.0}°\n",
            tilt.to_degrees(),
            heading.to_degrees()
        );
        let _ = writeln!(out, "{:<34}{:>12}{:>10}{:>10}{:>10}{:>10}", "", "horizontal", "3D", "1 sigma", "2 sigma", "3 sigma");
        for (name, [horizontal, all], [one, two, three]) in [
            ("live, when published: RMSE, m", self.live_rmse_m, self.inside_sigma),
            ("smoothed: RMSE, m", self.smoothed_rmse_m, self.smoothed_inside_sigma),
        ] {
            let _ = writeln!(out, "{name:<34}{horizontal:>12.2}{all:>10.2}{one:>10.3}{two:>10.3}{three:>10.3}");
        }
        if let Some(reference) = &self.reference {
            let _ = writeln!(
                out,
                "reference: its positions lie {:.1} m RMS off its velocities over {WINDOW_S} s, {:.1} m at most, at {:.0} s",
                reference.rms_m, reference.worst_m, reference.worst_at_s
            );
        }
        let [roll, pitch] = self.roll_pitch_rms_deg;
        let _ = writeln!(out, "roll, pitch against the reference: {roll:.2}°, {pitch:.2}° RMS");
        let [used, gated, too_old] = self.fixes;
        let _ = writeln!(out, "fixes: {used} used, {gated} beyond the gate, {too_old} too old; {} points scored", self.points);
        out
    }
}

/// A table of filters side by side.
pub fn comparison(filters: &[Compared]) -> String {
    let mut out = format!("{:<38}{:>9}", "fed in order", "RMSE, m");
    for seconds in OUTAGES_S {
        let _ = write!(out, "{:>20}", format!("after {seconds} s without"));
    }
    out.push('\n');
    let _ = writeln!(out, "{:<38}{:>9}{:>20}{:>20}{:>20}", "", "", "median/worst, m", "median/worst, m", "median/worst, m");
    for filter in filters {
        let _ = write!(out, "{:<38}{:>9.2}", filter.name, filter.rmse_m);
        for drift in &filter.drift_m {
            let median = drift.get(drift.len() / 2).copied().unwrap_or(f64::NAN);
            let worst = drift.last().copied().unwrap_or(f64::NAN);
            let _ = write!(out, "{:>20}", format!("{median:.1}/{worst:.1}"));
        }
        out.push('\n');
    }
    out
}
