//! Frames in order in, track points and priors out.

use nalgebra::{Matrix2, Matrix3, UnitQuaternion, Vector3};

use super::aiding::{Aiding, Told};
use super::eskf::Eskf;
use super::grid::Grid;
use super::hypotheses::{Demand, Hypotheses};
use super::measurement::{Attitude, Displacement, Heading, Height, Observation, Taken};
use super::navigator::{Navigator, Sampled};
use super::running::{NEAR, RETURNED, Running};
use super::settings::{Counters, FusionSettings};
use super::smoother::Passage;
use super::smoother_window::SmootherWindow;
use super::state::{ACCEL_BIAS, ATTITUDE, BARO_OFFSET, Covariance, GYRO_BIAS, STATES, State, VELOCITY, WIND, gravity_m_s2};
use super::track_options::Smoothing;
use super::track_point::lost;
use super::update::Update;
use crate::geo::{EnuPlane, Geodetic, enu_from_body, heading_pitch_roll};
use crate::time::seconds_between;
use crate::types::{
    AbstainReason, AidSourceKind, AttitudeSample, Estimate, Fix, ImuSample, Known, Outcome, Pause, Prior, SourceStatus,
    TelemetryBatch, TrackPoint,
};

/// What fusion makes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// The track between the frame before and this one; see [`FusionSettings::track_interval_ns`].
    pub between: Vec<TrackPoint>,
    /// The track at the frame's stamp.
    pub track: TrackPoint,
    /// Where to search for a later frame; `None` when that is not known.
    pub prior: Option<Prior>,
    /// Whether the way since the frame before was used.
    pub displacement_used: bool,
    /// The smoothed track at the frames that the lag has come to settle, in order.
    pub settled: Vec<TrackPoint>,
    /// The sources that were heard so far, as they are at the frame.
    pub sources: Vec<SourceStatus>,
}

/// Attitudes of a telemetry stream share their errors from sample to sample: their sigma is taken this many times larger.
const ATTITUDE_SIGMA_FACTOR: f64 = 4.0;
/// 1 sigma of bias at the start: accelerometer, m/s², and gyroscope, rad/s.
const BIAS_SIGMAS: (f64, f64) = (0.15, 0.01);
/// 1 sigma of a position of which nothing is known before the first fix, metres.
const ANYWHERE_SIGMA_M: f64 = 1e4;
/// 1 sigma of a level attitude nobody measured, radians.
const LEVEL_SIGMA_RAD: f64 = 0.15;

/// The fusion of a flight: one instance, frames in order.
#[derive(Clone)]
pub struct Fusion {
    settings: FusionSettings,
    start: Option<(Geodetic, f64)>,
    running: Option<Running>,
    /// When points between frames are due, where they are asked for.
    grid: Option<Grid>,
    /// Picks out what telemetry tells between the frames.
    aiding: Aiding,
    /// The latest attitude that came without a frame.
    attitude: Option<AttitudeSample>,
    counters: Counters,
    /// Frames so far.
    frames: u64,
    /// What is to be smoothed.
    window: SmootherWindow,
}

impl Fusion {
    /// `start` is a known position and its 1 sigma, metres.
    pub fn new(settings: FusionSettings, start: Option<(Geodetic, f64)>) -> Self {
        let grid = settings.track_interval_ns.map(Grid::new);
        Self {
            settings,
            start,
            running: None,
            grid,
            aiding: Aiding::new(settings.gnss),
            attitude: None,
            counters: Counters::default(),
            frames: 0,
            window: SmootherWindow::new(settings.smoothing),
        }
    }

    /// The smoothed track at the frames that are not settled yet: without a lag, all of the flight's.
    pub fn smoothed(&self) -> Vec<TrackPoint> {
        self.window.smoothed(&self.settings)
    }

    /// Whether frames are settled while the flight goes on.
    pub fn settles(&self) -> bool {
        matches!(self.settings.smoothing, Smoothing::Lag(_))
    }

    /// Refusals so far.
    pub fn counters(&self) -> Counters {
        self.counters
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
        if self.running.as_ref().is_some_and(|r| stamp_ns < r.navigator.stamp_ns) {
            self.counters.time_went_back += 1;
        }
        let attitude = self.attitude.take();
        let attitude = telemetry.attitude.last().copied().or(attitude);
        if self.running.is_none()
            && let Some((position, sigma_m)) = self.start.take()
        {
            let covariance = Matrix2::identity() * sigma_m * sigma_m;
            let first = telemetry.imu.first().map_or(stamp_ns, |s| s.stamp_ns.min(stamp_ns));
            let mut running = self.begin(first, position, covariance, attitude.as_ref(), known);
            // A place known so roughly is no more than a hint of where the first fix may lie.
            running.confirmed = !running.is_wide(&self.settings);
            self.running = Some(running);
        }
        let mut told = self.aiding.told(telemetry);
        let mut imu = telemetry.imu.as_slice();
        if self.running.is_none()
            && let Some(first) = told.iter().find_map(Told::gnss)
        {
            imu = imu.get(imu.partition_point(|s| s.stamp_ns < first.stamp_ns)..).unwrap_or_default();
            told.retain(|t| t.stamp_ns() > first.stamp_ns);
            let covariance = Matrix2::identity() * first.sigma_m * first.sigma_m;
            let position = Geodetic::ground(first.lat_deg, first.lon_deg);
            let mut running = self.begin(first.stamp_ns, position, covariance, attitude.as_ref(), known);
            running.last_gnss_ns = Some(first.stamp_ns);
            running.navigator.aids.get_mut(AidSourceKind::Gnss).begun_by(first.stamp_ns);
            self.running = Some(running);
        }
        if let Some(running) = &mut self.running {
            running.reanchor(self.settings.reanchor_m);
        }
        let used = self.counters.displacements_used;
        let between = self.advance(stamp_ns, imu, &told, attitude.as_ref(), known, way);
        let displacement_used = self.counters.displacements_used > used;
        let (nis, fix_used) = match outcome {
            Outcome::Fix(fix) => self.take_fix(stamp_ns, fix, attitude.as_ref(), known),
            Outcome::Abstained(_) => {
                if let Some(running) = &mut self.running {
                    running.frames_without_fix += 1;
                }
                (None, false)
            }
        };
        let Some(running) = &self.running else {
            let track = TrackPoint { nis, fix_used, ..lost(stamp_ns, None) };
            return Fused { between, track, prior: None, displacement_used, settled: Vec::new(), sources: Vec::new() };
        };
        let track = TrackPoint { nis, fix_used, ..running.track(stamp_ns, &self.settings) };
        let prior = track.state.as_ref().and_then(|state| running.prior(stamp_ns, state, &self.settings));
        let sources = running.navigator.aids.status(stamp_ns);
        Fused { between, track, prior, displacement_used, settled: Vec::new(), sources }
    }

    /// Takes a time without frames, and gives the track between frames up to it.
    pub fn pause(&mut self, pause: &Pause) -> Vec<TrackPoint> {
        self.attitude = pause.telemetry.attitude.last().copied().or(self.attitude);
        let Some(mut running) = self.running.take() else { return Vec::new() };
        let mut between = Vec::new();
        let told = self.aiding.told(&pause.telemetry);
        if !told.is_empty() {
            // A pause may be long, and keeps no nodes: the smoother does not look back across what was measured in it.
            running.navigator.filter.transition = None;
        }
        self.glide(&mut running, &pause.telemetry.imu, &told, &mut between);
        // What a later frame brings again leaves no trace.
        let mut ahead = running.clone();
        ahead.navigator.filter.transition = None;
        self.running = Some(running);
        let counters = self.counters;
        let mut aiding = self.aiding;
        let told = aiding.told(&pause.ahead);
        self.glide(&mut ahead, &pause.ahead.imu, &told, &mut between);
        self.counters = counters;
        self.points_before(&ahead, pause.stamp_ns, &mut between);
        between
    }

    /// Predicts from sample to sample, and measures what was told on the way; `told` is in order of time.
    fn glide(&mut self, running: &mut Running, imu: &[ImuSample], told: &[Told], between: &mut Vec<TrackPoint>) {
        let mut told = told.iter().peekable();
        for sample in imu {
            while let Some(told) = told.next_if(|t| t.stamp_ns() < sample.stamp_ns) {
                self.measure_told(running, told, between);
            }
            if seconds_between(running.navigator.stamp_ns, sample.stamp_ns) >= 0.0 {
                self.points_before(running, sample.stamp_ns, between);
            }
            match running.navigator.imu(sample) {
                Sampled::Used => {}
                Sampled::TimeWentBack => self.counters.time_went_back += 1,
                Sampled::Invalid => self.counters.samples_refused += 1,
            }
        }
        told.for_each(|told| self.measure_told(running, told, between));
    }

    /// Measures what was told between frames; the smoother has a node there.
    fn measure_told(&mut self, running: &mut Running, told: &Told, between: &mut Vec<TrackPoint>) {
        if told.stamp_ns() < running.navigator.stamp_ns {
            self.counters.time_went_back += 1;
            return;
        }
        self.points_before(running, told.stamp_ns(), between);
        running.navigator.advance(told.stamp_ns());
        let passage = Passage::of(&mut running.navigator.filter);
        running.measure_told(told);
        if let Some(passage) = passage {
            self.window.between(running, passage);
        }
    }

    /// The points that are due before a stamp.
    fn points_before(&mut self, running: &Running, stamp_ns: i64, between: &mut Vec<TrackPoint>) {
        let due = self.grid.as_mut().map(|grid| grid.due_before(stamp_ns)).unwrap_or_default();
        between.extend(due.into_iter().map(|at| running.track_at(at, &self.settings)));
    }

    fn begin(
        &self,
        stamp_ns: i64,
        position: Geodetic,
        covariance: Matrix2<f64>,
        measured: Option<&AttitudeSample>,
        known: &Known,
    ) -> Running {
        let plane = EnuPlane::at(Geodetic { alt_m: 0.0, ..position });
        let height = known.height_agl_m.unwrap_or(Estimate { value: 100.0, sigma: 100.0 });
        let (pitch, roll) = known.pitch_roll_rad.unwrap_or((0.0, 0.0));
        let heading = known.heading_rad;
        let attitude = measured.map_or_else(|| enu_from_body(heading.map_or(0.0, |h| h.value), pitch, roll), |a| a.enu_from_body);
        let tilt_sigma = measured.map_or(LEVEL_SIGMA_RAD, |a| a.sigma_rad.max(0.02));
        let heading_sigma = heading.map_or(std::f64::consts::PI, |h| h.sigma).min(std::f64::consts::PI);
        let mut p = Covariance::zeros();
        p.fixed_view_mut::<2, 2>(0, 0).copy_from(&covariance);
        p[(2, 2)] = height.sigma * height.sigma;
        for i in 0..3 {
            p[(VELOCITY + i, VELOCITY + i)] = self.settings.speed_sigma_m_s.powi(2);
            p[(ACCEL_BIAS + i, ACCEL_BIAS + i)] = BIAS_SIGMAS.0 * BIAS_SIGMAS.0;
            p[(GYRO_BIAS + i, GYRO_BIAS + i)] = BIAS_SIGMAS.1 * BIAS_SIGMAS.1;
        }
        p[(BARO_OFFSET, BARO_OFFSET)] = self.settings.noise.baro_offset_m.powi(2);
        for i in WIND..WIND + 2 {
            p[(i, i)] = self.settings.noise.wind_m_s.powi(2);
        }
        let enu_variance = Matrix3::from_diagonal(&Vector3::new(tilt_sigma.powi(2), tilt_sigma.powi(2), heading_sigma.powi(2)));
        let rotation = attitude.to_rotation_matrix().into_inner();
        p.fixed_view_mut::<3, 3>(ATTITUDE, ATTITUDE).copy_from(&(rotation.transpose() * enu_variance * rotation));
        let state = State::at(Vector3::new(0.0, 0.0, height.value), attitude);
        let filter = Eskf::new(state, p, gravity_m_s2(position.lat_deg), self.settings.noise);
        let mut running = Running {
            plane,
            navigator: Navigator::new(filter, stamp_ns),
            last_fix_ns: None,
            frames_without_fix: 0,
            height_known: known.height_agl_m.is_some(),
            confirmed: true,
            confirmation: NEAR,
            hypotheses: Hypotheses::new(self.settings.restart_fixes),
            last_gnss_ns: None,
            barometer_zero_m: None,
        };
        if let Some(before) = &self.running {
            running.navigator.aids = before.navigator.aids.clone();
        }
        running.set_gates(&self.settings);
        running
    }

    /// A filter that knows of its position just what a fix says.
    fn begin_at_fix(&self, stamp_ns: i64, fix: &Fix, attitude: Option<&AttitudeSample>, known: &Known) -> Running {
        let anywhere = Matrix2::identity() * ANYWHERE_SIGMA_M * ANYWHERE_SIGMA_M;
        let mut running = self.begin(stamp_ns, fix.free.camera, anywhere, attitude, known);
        running.expect(&fix.free);
        running.navigator.filter.fuse(&running.visual_fix(&fix.free), f64::INFINITY);
        running.last_fix_ns = Some(stamp_ns);
        running.navigator.filter.set_swaying_anchor(stamp_ns);
        running
    }

    fn advance(
        &mut self,
        stamp_ns: i64,
        imu: &[ImuSample],
        told: &[Told],
        attitude: Option<&AttitudeSample>,
        known: &Known,
        way: Option<&Displacement>,
    ) -> Vec<TrackPoint> {
        let mut between = Vec::new();
        if let Some(mut running) = self.running.take() {
            self.glide(&mut running, imu, told, &mut between);
            self.points_before(&running, stamp_ns, &mut between);
            self.running = Some(running);
        }
        if let Some(grid) = &mut self.grid {
            grid.frame(stamp_ns);
        }
        let Some(running) = &mut self.running else { return between };
        let navigator = &mut running.navigator;
        navigator.advance(stamp_ns);
        if self.settings.odometry.is_possible() {
            match way.map(|way| navigator.measure(stamp_ns, &Observation::Displacement(*way))) {
                Some(Taken::Updated(Update::Used(_))) => self.counters.displacements_used += 1,
                Some(Taken::Updated(Update::Gated(_)) | Taken::Starting(_)) => self.counters.displacements_gated += 1,
                Some(Taken::Updated(Update::Refused) | Taken::Repeated) => self.counters.displacements_refused += 1,
                None => navigator.filter.set_swaying_anchor(stamp_ns),
            }
        }
        self.window.arrive(running);
        let navigator = &mut running.navigator;
        running.height_known = known.height_agl_m.is_some();
        if let Some(Estimate { value, sigma }) = known.height_agl_m {
            navigator.measure(stamp_ns, &Observation::Height(Height { up_m: value, sigma_m: sigma }));
        }
        match attitude {
            Some(a) => {
                let measured = Attitude { enu_from_body: a.enu_from_body, sigma_rad: ATTITUDE_SIGMA_FACTOR * a.sigma_rad };
                navigator.measure(stamp_ns, &Observation::Attitude(measured));
            }
            None => {
                if let Some(Estimate { value, sigma }) = known.heading_rad {
                    navigator.measure(stamp_ns, &Observation::Heading(Heading { heading_rad: value, sigma_rad: sigma }));
                }
            }
        }
        between
    }

    fn take_fix(&mut self, stamp_ns: i64, fix: &Fix, attitude: Option<&AttitudeSample>, known: &Known) -> (Option<f64>, bool) {
        let covariance = fix.camera_covariance_m2();
        let finite = fix.camera.is_valid() && covariance.iter().all(|v| v.is_finite()) && covariance.cholesky().is_some();
        if !finite || !fix.free.is_valid() {
            self.counters.fixes_refused += 1;
            return (None, false);
        }
        let Some(running) = &mut self.running else {
            let known = Known {
                heading_rad: known.heading_rad.or(Some(Estimate { value: fix.heading_rad.0, sigma: fix.heading_rad.1 })),
                height_agl_m: known.height_agl_m.or(Some(Estimate { value: fix.height_agl_m.0, sigma: fix.height_agl_m.1 })),
                ..*known
            };
            let mut running = self.begin_at_fix(stamp_ns, fix, attitude, &known);
            running.confirmed = false;
            running.hypotheses.follow(running.sighting(stamp_ns, &fix.camera, &covariance));
            self.running = Some(running);
            self.counters.fixes_used += 1;
            return (None, true);
        };
        if running.last_fix_ns.is_none() {
            running.expect(&fix.free);
        }
        let settings = &self.settings;
        let near = Demand { fixes: settings.restart_fixes, ..NEAR };
        let sighting = running.sighting(stamp_ns, &fix.camera, &covariance);
        let mut hypotheses = running.hypotheses.clone();
        hypotheses.take(sighting, running.speed_error_m_s().min(settings.max_speed_m_s));
        let sure = running.confirmed && 3.0 * running.horizontal_sigma_m() < settings.sure_m;
        let acquiring = running.is_acquiring(stamp_ns, settings);
        let shunned = if acquiring {
            let demand = running.demand_of_return(&sighting, settings.restart_fixes);
            !demand.is_some_and(|demand| hypotheses.won(&demand)) || sure && hypotheses.was_ruled_out()
        } else {
            // As sigma grows, the gate comes to meet a wrong place that goes on; while the filter is sure, that is no reason to believe it.
            sure && hypotheses.goes_on(settings.restart_fixes)
        };
        match running.take_pose(stamp_ns, &fix.free, shunned) {
            Taken::Updated(Update::Used(nis)) => {
                running.last_fix_ns = Some(stamp_ns);
                running.frames_without_fix = 0;
                if acquiring {
                    running.hypotheses.clear();
                    (running.confirmed, running.confirmation) = (false, RETURNED);
                }
                if !running.confirmed {
                    running.hypotheses.follow(sighting);
                    running.confirmed = running.hypotheses.own_won(&Demand { fixes: near.fixes, ..running.confirmation });
                }
                if running.confirmed {
                    running.hypotheses.clear();
                }
                if known.heading_rad.is_none() {
                    let (heading_rad, sigma_rad) = fix.heading_rad;
                    running.navigator.measure(stamp_ns, &Observation::Heading(Heading { heading_rad, sigma_rad }));
                }
                self.counters.fixes_used += 1;
                (Some(nis), true)
            }
            Taken::Repeated | Taken::Updated(Update::Refused) => {
                self.counters.fixes_refused += 1;
                (None, false)
            }
            Taken::Starting(nis) | Taken::Updated(Update::Gated(nis)) => {
                self.counters.fixes_gated += 1;
                running.frames_without_fix += 1;
                running.hypotheses = hypotheses;
                let demand = running.demand_of_restart(acquiring, settings.restart_fixes);
                if running.hypotheses.won(&demand) && !sure {
                    self.running = Some(self.begin_at_fix(stamp_ns, fix, attitude, known));
                    self.window.restart();
                    self.counters.restarts += 1;
                    return (Some(nis), true);
                }
                (Some(nis), false)
            }
        }
    }
}

/// Heading of a track state, radians clockwise from north.
pub fn heading_rad(enu_from_body: &UnitQuaternion<f64>) -> f64 {
    heading_pitch_roll(enu_from_body).0
}

// The error state's layout that `begin` fills by hand.
const _: () = assert!(STATES == 22);

#[cfg(test)]
#[path = "fusion_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "aiding_tests.rs"]
mod aiding_tests;

#[cfg(test)]
#[path = "odometry_tests.rs"]
mod odometry_tests;
