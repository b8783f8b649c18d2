//! Frames in order in, track points and priors out.
//!
//! - `initialise`: how a filter starts.
//! - `propagate`: from frame to frame, and what is told on the way; `measure`: how sensors are measured.
//! - `accept`: what becomes of a fix; `reacquire`: what has to speak for a place.
//! - `together`: frames that cannot decide alone; `smoother_window`: what the smoother will look back over.

mod accept;
mod fused;
mod initialise;
mod measure;
mod propagate;
mod reacquire;
mod smoother_window;
mod together;

use super::aiding::{Aiding, Told};
use super::gathering::Gathering;
use super::grid::Grid;
use super::measurement::{Aids, Displacement};
use super::running::Running;
use super::settings::FusionSettings;
use super::track_options::{Smoothing, TrackOptions};
use crate::geo::Geodetic;
use crate::types::{
    AbstainReason, AttitudeSample, Fix, FusionCounters, ImuSample, Known, Outcome, Pause, TelemetryBatch, TelemetrySample,
    TrackPoint,
};
use accept::Verdict;
pub use fused::Fused;
use initialise::Sensed;
use propagate::Propagation;
use smoother_window::SmootherWindow;

/// The fusion of a flight: one instance, frames in order.
#[derive(Clone)]
pub struct Fusion {
    settings: FusionSettings,
    track: TrackOptions,
    start: Option<(Geodetic, f64)>,
    running: Option<Running>,
    /// When points between frames are due, where they are asked for.
    grid: Option<Grid>,
    /// Picks out what telemetry tells between the frames.
    aiding: Aiding,
    /// The latest attitude that came without a frame.
    attitude: Option<AttitudeSample>,
    /// Places that no frame alone decided on.
    gathering: Option<Gathering>,
    counters: FusionCounters,
    /// The sources of a filter that was given up: they go on to be counted.
    orphaned: Option<Aids>,
    /// Frames so far.
    frames: u64,
    /// What is to be smoothed.
    window: SmootherWindow,
}

impl Fusion {
    /// `start` is a known position and its 1 sigma, metres.
    pub fn new(settings: FusionSettings, track: TrackOptions, start: Option<(Geodetic, f64)>) -> Self {
        let grid = track.interval_ns.map(Grid::new);
        Self {
            settings,
            track,
            start,
            running: None,
            grid,
            aiding: Aiding::new(settings.gnss, &settings.sources, settings.plausible),
            attitude: None,
            gathering: None,
            counters: FusionCounters::default(),
            orphaned: None,
            frames: 0,
            window: SmootherWindow::new(track.smoothing),
        }
    }

    /// The smoothed track at the frames that are not settled yet: without a lag, all of the flight's.
    pub fn smoothed(&self) -> Vec<TrackPoint> {
        self.window.smoothed(&self.settings)
    }

    /// Whether frames are settled while the flight goes on.
    pub fn settles(&self) -> bool {
        matches!(self.track.smoothing, Smoothing::Lag(_))
    }

    /// Refusals so far.
    pub fn counters(&self) -> FusionCounters {
        FusionCounters { samples_refused: self.counters.samples_refused + self.aiding.refused, ..self.counters }
    }

    /// Takes a frame with the telemetry up to it.
    pub fn step(&mut self, stamp_ns: i64, telemetry: &TelemetryBatch, known: &Known, outcome: &Outcome) -> Fused {
        self.step_along(stamp_ns, telemetry, known, outcome, None)
    }

    /// Takes a frame that may also tell the way since the frame before.
    pub fn step_along(
        &mut self,
        stamp_ns: i64,
        telemetry: &TelemetryBatch,
        known: &Known,
        outcome: &Outcome,
        way: Option<&Displacement>,
    ) -> Fused {
        let withheld = Outcome::Abstained(AbstainReason::NoCandidate);
        let outcome = if self.settings.withhold.is_some_and(|w| w.holds(self.frames)) { &withheld } else { outcome };
        self.frames += 1;
        let mut fused = self.fuse(stamp_ns, telemetry, known, outcome, way);
        fused.settled = self.window.frame(&fused.track, self.running.as_mut(), &self.settings);
        fused
    }

    fn fuse(
        &mut self,
        stamp_ns: i64,
        telemetry: &TelemetryBatch,
        known: &Known,
        outcome: &Outcome,
        way: Option<&Displacement>,
    ) -> Fused {
        if self.here_ns().is_some_and(|here_ns| stamp_ns < here_ns) {
            self.counters.time_went_back += 1;
        }
        let attitude = self.attitude.take();
        let attitude = self.latest_attitude(telemetry).or(attitude);
        let known = &self.settings.plausible.known(*known);
        let sensed = Sensed { attitude: attitude.as_ref(), known };
        let seen = matches!(outcome, Outcome::Fix(fix) if self.settings.plausible.fix(fix));
        let (imu, told) = self.start(stamp_ns, telemetry, &sensed, seen);
        if let Some(running) = &mut self.running {
            running.reanchor(self.settings.reanchor_m);
        }
        let used = self.counters.displacements_used;
        let between = self.advance(stamp_ns, imu, &told, &sensed, way);
        let displacement_used = self.counters.displacements_used > used;
        self.give_up_what_is_absurd();
        let (nis, fix_used) = match outcome {
            Outcome::Fix(fix) => self.take_fix(stamp_ns, fix, &sensed),
            Outcome::Abstained(_) => {
                if let Some(running) = &mut self.running {
                    running.frames_without_fix += 1;
                }
                (None, false)
            }
        };
        let fix_used = fix_used | self.judge_imu(stamp_ns);
        self.give_up_what_is_absurd();
        let fused = Fused::at(stamp_ns, self.running.as_ref(), &self.settings);
        let track = TrackPoint { nis, fix_used, ..fused.track };
        Fused { between, track, displacement_used, ..fused }
    }

    /// Starts a filter that does not run yet where a position is known, or at the first one of GNSS. What of the telemetry is left to be
    /// taken: the samples, and what is told between the frames.
    /// `seen`: the frame has a fix.
    fn start<'a>(
        &mut self,
        stamp_ns: i64,
        telemetry: &'a TelemetryBatch,
        sensed: &Sensed<'_>,
        seen: bool,
    ) -> (&'a [ImuSample], Vec<Told>) {
        if self.running.is_none()
            && let Some(start) = self.start.take()
        {
            let first_ns = telemetry.imu.first().map_or(stamp_ns, |s| s.stamp_ns.min(stamp_ns));
            self.begin(initialise::at_position(&self.settings, first_ns, start, sensed));
        }
        let mut told = self.aiding.told(telemetry, self.here_ns());
        let mut imu = telemetry.imu.as_slice();
        // A frame that is seen begins it as well, and GNSS then has to agree with what is seen.
        if self.running.is_none()
            && !seen
            && let Some(first) = told.iter().find_map(Told::gnss)
        {
            imu = imu.get(imu.partition_point(|s| s.stamp_ns < first.stamp_ns)..).unwrap_or_default();
            told.retain(|t| t.stamp_ns() > first.stamp_ns);
            self.begin(initialise::at_gnss(&self.settings, &first, sensed));
        }
        (imu, told)
    }

    /// Takes a time without frames, and gives the track between frames up to it.
    pub fn pause(&mut self, pause: &Pause) -> Vec<TrackPoint> {
        self.attitude = self.latest_attitude(&pause.telemetry).or(self.attitude);
        let Some(mut running) = self.running.take() else { return Vec::new() };
        let mut between = Vec::new();
        let told = self.aiding.told(&pause.telemetry, Some(running.navigator.stamp_ns));
        if !told.is_empty() {
            // A pause may be long, and keeps no nodes: the smoother does not look back across what was measured in it.
            running.navigator.filter.transition = None;
        }
        running.expect_imu(&pause.telemetry.imu, &self.settings.sources.imu);
        self.propagation(&mut between).propagate(&mut running, &pause.telemetry.imu, &told);
        // What a later frame brings again leaves no trace.
        let mut ahead = running.clone();
        ahead.navigator.filter.transition = None;
        self.running = Some(running);
        let counters = self.counters;
        let mut aiding = self.aiding;
        let told = aiding.told(&pause.ahead, Some(ahead.navigator.stamp_ns));
        let mut propagation = self.propagation(&mut between);
        propagation.propagate(&mut ahead, &pause.ahead.imu, &told);
        propagation.points_before(&ahead, pause.stamp_ns);
        self.counters = counters;
        between
    }

    /// The latest attitude of a batch that a sensor can have measured; counts those that none can.
    fn latest_attitude(&mut self, telemetry: &TelemetryBatch) -> Option<AttitudeSample> {
        let door = self.settings.plausible;
        let (kept, refused): (Vec<AttitudeSample>, Vec<AttitudeSample>) =
            telemetry.attitude.iter().partition(|s| door.sample(&TelemetrySample::Attitude(**s)));
        self.counters.samples_refused += refused.len() as u64;
        kept.last().copied()
    }

    /// A filter begins; the sources of one that was given up go on to be counted.
    fn begin(&mut self, mut running: Running) {
        if let Some(aids) = self.orphaned.take() {
            running.navigator.aids = aids;
        }
        self.running = Some(running);
        self.window.restart();
    }

    /// Whatever led a filter to say what no aircraft can do: nothing of it is of use, and the next fix begins another.
    fn give_up_what_is_absurd(&mut self) {
        if let Some(running) = self.running.take_if(|r| r.is_absurd(&self.settings.plausible)) {
            tracing::warn!("the filter says what no aircraft can do, and is given up");
            self.orphaned = Some(running.navigator.aids);
            self.window.restart();
            self.counters.resets += 1;
        }
    }

    /// Judges the IMU by what all others told of the frame; whether another filter leads from here on that used the frame's fix.
    fn judge_imu(&mut self, stamp_ns: i64) -> bool {
        let Some(running) = &mut self.running else { return false };
        let Some(used) = running.judge(stamp_ns) else { return false };
        tracing::warn!(
            "{}",
            if running.navigator.inertial { "the IMU is used again" } else { "the filter goes on without the IMU" }
        );
        self.window.restart();
        used
    }

    /// Where the filter is in time, once it runs.
    fn here_ns(&self) -> Option<i64> {
        self.running.as_ref().map(|r| r.navigator.stamp_ns)
    }

    fn propagation<'a>(&'a mut self, between: &'a mut Vec<TrackPoint>) -> Propagation<'a> {
        let Self { settings, grid, window, counters, .. } = self;
        Propagation { settings, grid: grid.as_mut(), window, counters, between }
    }

    /// Leads the filter to a frame, and measures there what is known besides a fix.
    fn advance(
        &mut self,
        stamp_ns: i64,
        imu: &[ImuSample],
        told: &[Told],
        sensed: &Sensed<'_>,
        way: Option<&Displacement>,
    ) -> Vec<TrackPoint> {
        let mut between = Vec::new();
        if let Some(mut running) = self.running.take() {
            running.expect_imu(imu, &self.settings.sources.imu);
            if let (Some(rival), Some(attitude)) = (&mut running.rival, sensed.attitude) {
                rival.gyro().ask(attitude.stamp_ns);
            }
            let mut propagation = self.propagation(&mut between);
            propagation.propagate(&mut running, imu, told);
            propagation.points_before(&running, stamp_ns);
            self.running = Some(running);
        }
        if let Some(grid) = &mut self.grid {
            grid.frame(stamp_ns);
        }
        let Some(running) = &mut self.running else { return between };
        running.advance(stamp_ns);
        running.bend(stamp_ns, sensed.attitude, sensed.known);
        if self.settings.odometry.is_possible() {
            running.measure_way(stamp_ns, way, &self.settings.sources.displacement, &mut self.counters);
        }
        self.window.arrive(running);
        running.measure_known(stamp_ns, sensed.known, sensed.attitude, &self.settings.sources);
        running.compare_turn(stamp_ns, sensed.attitude, sensed.known);
        between
    }

    /// Takes a fix at the frame where the filter is; its squared Mahalanobis distance, and whether it was used.
    fn take_fix(&mut self, stamp_ns: i64, fix: &Fix, sensed: &Sensed<'_>) -> (Option<f64>, bool) {
        if !self.settings.plausible.fix(fix) {
            self.counters.fixes_refused += 1;
            return (None, false);
        }
        let Some(running) = &mut self.running else {
            self.begin(initialise::at_first_fix(&self.settings, stamp_ns, fix, sensed));
            self.counters.fixes_used += 1;
            return (None, true);
        };
        match accept::accept(running, stamp_ns, fix, sensed.known, &self.settings, &mut self.counters) {
            Verdict::Used(nis) => (Some(nis), true),
            Verdict::Gated(nis) => (Some(nis), false),
            Verdict::Refused => (None, false),
            // It is the IMU that led it away from the fixes.
            Verdict::Restart(nis) if running.rival.as_mut().is_some_and(|rival| rival.condemn_imu(stamp_ns)) => {
                (Some(nis), false)
            }
            Verdict::Restart(nis) => {
                let mut anew = initialise::at_fix(&self.settings, stamp_ns, fix, sensed);
                // The sources are as they were: it is the filter that starts anew.
                anew.navigator.aids = running.navigator.aids.clone();
                if !running.navigator.inertial {
                    anew.navigator.leave_imu(self.settings.sources.imu.stand_in_accel);
                }
                *running = anew;
                self.window.restart();
                self.counters.restarts += 1;
                (Some(nis), true)
            }
        }
    }
}

#[cfg(test)]
mod aiding_tests;
#[cfg(test)]
mod imu_tests;
#[cfg(test)]
mod odometry_tests;
#[cfg(test)]
mod reacquire_tests;
#[cfg(test)]
mod smoother_tests;
#[cfg(test)]
mod tests;
