//! Frames in order in, track points and priors out.

use nalgebra::{Matrix2, Matrix3, UnitQuaternion, Vector2, Vector3};

use super::eskf::{Covariance, Eskf, NoiseDensities, STATES, State, Update, gravity_m_s2};
use super::running::{Running, lost};
use crate::camera::{enu_from_body, heading_pitch_roll};
use crate::geo::{EnuPlane, Geodetic};
use crate::time::{nanos_from_seconds, seconds_between};
use crate::types::{AttitudeSample, Estimate, Fix, ImuSample, Known, Outcome, Pause, Prior, TelemetryBatch, TrackPoint};

/// Settings of fusion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FusionSettings {
    /// Fixes beyond this squared Mahalanobis distance are not used: 99.9 % of a chi-squared distribution of two dimensions.
    pub fix_gate: f64,
    /// The same for scalars and attitudes.
    pub sensor_gate: f64,
    /// A track point is `visual` up to this time after the last fix used, seconds.
    pub visual_age_s: f64,
    /// Beyond this 1 sigma of the horizontal position the position is not known, metres.
    pub lost_sigma_m: f64,
    /// So many fixes in a row that the filter refuses and that agree with each other start it anew.
    pub restart_fixes: usize,
    /// After so many frames in a row without a fix that was used, the search no longer trusts the prior.
    pub distrust_frames: usize,
    /// Speed of the aircraft before it is known, 1 sigma an axis, m/s.
    pub speed_sigma_m_s: f64,
    /// Fastest speed at which two fixes still agree, m/s.
    pub max_speed_m_s: f64,
    /// Points of the track between frames, this far apart from the first frame on, nanoseconds.
    pub track_interval_ns: Option<i64>,
    /// Noise.
    pub noise: NoiseDensities,
}

impl Default for FusionSettings {
    fn default() -> Self {
        Self {
            fix_gate: 13.8,
            sensor_gate: 16.0,
            visual_age_s: 2.0,
            lost_sigma_m: 400.0,
            restart_fixes: 3,
            distrust_frames: 6,
            speed_sigma_m_s: 12.0,
            max_speed_m_s: 45.0,
            track_interval_ns: None,
            noise: NoiseDensities::default(),
        }
    }
}

impl FusionSettings {
    /// The interval of a rate, nanoseconds; none for a rate of 0.
    ///
    /// # Errors
    /// In words, for a rate that is no number, negative or above 1000.
    pub fn interval_of_rate(hz: f64) -> Result<Option<i64>, String> {
        match hz {
            0.0 => Ok(None),
            hz if hz > 0.0 && hz <= 1000.0 => Ok(Some(nanos_from_seconds(1.0 / hz))),
            other => Err(format!("{other}: give points a second, up to 1000, or 0 for none")),
        }
    }
}

/// What fusion makes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// The track between the frame before and this one; see [`FusionSettings::track_interval_ns`].
    pub between: Vec<TrackPoint>,
    /// The track at the frame's stamp.
    pub track: TrackPoint,
    /// Where to search for a later frame; `None` when that is not known.
    pub prior: Option<Prior>,
}

/// Fixes and samples that were refused, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counters {
    /// Fixes used.
    pub fixes_used: u64,
    /// Fixes beyond the gate.
    pub fixes_gated: u64,
    /// Fixes that were no numbers.
    pub fixes_refused: u64,
    /// Samples and frames whose time went back.
    pub time_went_back: u64,
    /// Times the filter started anew.
    pub restarts: u64,
}

/// A gap of more points is no outage but the time between two flights.
const MAX_POINTS: i64 = 20_000;
/// Attitudes of a telemetry stream share their errors from sample to sample: their sigma is taken this many times larger.
const ATTITUDE_SIGMA_FACTOR: f64 = 4.0;
/// 1 sigma of bias at the start: accelerometer, m/s², and gyroscope, rad/s.
const BIAS_SIGMAS: (f64, f64) = (0.15, 0.01);
/// 1 sigma of a level attitude nobody measured, radians.
const LEVEL_SIGMA_RAD: f64 = 0.15;

/// The fusion of a flight: one instance, frames in order.
pub struct Fusion {
    settings: FusionSettings,
    start: Option<(Geodetic, f64)>,
    running: Option<Running>,
    /// Stamp of the next point between frames.
    next_between_ns: Option<i64>,
    /// The latest attitude that came without a frame.
    attitude: Option<AttitudeSample>,
    counters: Counters,
}

impl Fusion {
    /// `start` is a known position and its 1 sigma, metres.
    pub fn new(settings: FusionSettings, start: Option<(Geodetic, f64)>) -> Self {
        Self { settings, start, running: None, next_between_ns: None, attitude: None, counters: Counters::default() }
    }

    /// Refusals so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes a frame with the telemetry up to it.
    pub fn step(&mut self, stamp_ns: i64, telemetry: &TelemetryBatch, known: &Known, outcome: &Outcome) -> Fused {
        if self.running.as_ref().is_some_and(|r| stamp_ns < r.stamp_ns) {
            self.counters.time_went_back += 1;
        }
        let attitude = self.attitude.take();
        let attitude = telemetry.attitude.last().copied().or(attitude);
        if self.running.is_none()
            && let Some((position, sigma_m)) = self.start.take()
        {
            let covariance = Matrix2::identity() * sigma_m * sigma_m;
            let first = telemetry.imu.first().map_or(stamp_ns, |s| s.stamp_ns.min(stamp_ns));
            self.running = Some(self.begin(first, position, covariance, attitude.as_ref(), known));
        }
        let between = self.advance(stamp_ns, &telemetry.imu, attitude.as_ref(), known);
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
            return Fused { between, track, prior: None };
        };
        let track = TrackPoint { nis, fix_used, ..running.track(stamp_ns, &self.settings) };
        let prior = track.state.as_ref().and_then(|state| running.prior(stamp_ns, state, &self.settings));
        Fused { between, track, prior }
    }

    /// Takes a time without frames, and gives the track between frames up to it.
    pub fn pause(&mut self, pause: &Pause) -> Vec<TrackPoint> {
        self.attitude = pause.telemetry.attitude.last().copied().or(self.attitude);
        let Some(mut running) = self.running.take() else { return Vec::new() };
        let mut between = Vec::new();
        self.glide(&mut running, &pause.telemetry.imu, &mut between);
        // What a later frame brings again leaves no trace.
        let mut ahead = running.clone();
        self.running = Some(running);
        let counters = self.counters;
        self.glide(&mut ahead, &pause.ahead.imu, &mut between);
        self.counters = counters;
        self.points_before(&ahead, pause.stamp_ns, &mut between);
        between
    }

    /// Predicts from sample to sample.
    fn glide(&mut self, running: &mut Running, imu: &[ImuSample], between: &mut Vec<TrackPoint>) {
        for sample in imu {
            let dt = seconds_between(running.stamp_ns, sample.stamp_ns);
            if dt < 0.0 {
                self.counters.time_went_back += 1;
                continue;
            }
            self.points_before(running, sample.stamp_ns, between);
            running.predict(dt, Some(sample));
            running.stamp_ns = sample.stamp_ns;
            running.last_imu = Some(*sample);
        }
    }

    /// The points that are due before a stamp.
    fn points_before(&mut self, running: &Running, stamp_ns: i64, between: &mut Vec<TrackPoint>) {
        let Some((interval_ns, mut next)) = self.settings.track_interval_ns.zip(self.next_between_ns) else { return };
        let interval_ns = interval_ns.max(1);
        let due = stamp_ns.saturating_sub(next) / interval_ns;
        if due > MAX_POINTS {
            next = next.saturating_add(due.saturating_mul(interval_ns));
        }
        while next < stamp_ns {
            between.push(running.track_at(next, &self.settings));
            next = next.saturating_add(interval_ns);
        }
        self.next_between_ns = Some(next);
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
            p[(3 + i, 3 + i)] = self.settings.speed_sigma_m_s.powi(2);
            p[(9 + i, 9 + i)] = BIAS_SIGMAS.0 * BIAS_SIGMAS.0;
            p[(12 + i, 12 + i)] = BIAS_SIGMAS.1 * BIAS_SIGMAS.1;
        }
        let enu_variance = Matrix3::from_diagonal(&Vector3::new(tilt_sigma.powi(2), tilt_sigma.powi(2), heading_sigma.powi(2)));
        let rotation = attitude.to_rotation_matrix().into_inner();
        p.fixed_view_mut::<3, 3>(6, 6).copy_from(&(rotation.transpose() * enu_variance * rotation));
        let state = State {
            position_m: Vector3::new(0.0, 0.0, height.value),
            velocity_m_s: Vector3::zeros(),
            enu_from_body: attitude,
            accel_bias_m_s2: Vector3::zeros(),
            gyro_bias_rad_s: Vector3::zeros(),
        };
        let filter = Eskf { state, covariance: p, gravity_m_s2: gravity_m_s2(position.lat_deg), noise: self.settings.noise };
        Running {
            plane,
            filter,
            stamp_ns,
            last_imu: None,
            last_fix_ns: None,
            frames_without_fix: 0,
            height_known: known.height_agl_m.is_some(),
            rivals: Vec::new(),
        }
    }

    fn advance(&mut self, stamp_ns: i64, imu: &[ImuSample], attitude: Option<&AttitudeSample>, known: &Known) -> Vec<TrackPoint> {
        let mut between = Vec::new();
        if let Some(mut running) = self.running.take() {
            self.glide(&mut running, imu, &mut between);
            self.points_before(&running, stamp_ns, &mut between);
            self.running = Some(running);
        }
        // Points lie on the grid that the first frame begins; one that coincides with a frame is that frame's.
        if let Some(interval_ns) = self.settings.track_interval_ns {
            let next = self.next_between_ns.unwrap_or(stamp_ns);
            let steps = if next > stamp_ns { 0 } else { (stamp_ns - next) / interval_ns.max(1) + 1 };
            self.next_between_ns = Some(next.saturating_add(steps.saturating_mul(interval_ns.max(1))));
        }
        let Some(running) = &mut self.running else { return between };
        running.predict_rest(stamp_ns);
        running.height_known = known.height_agl_m.is_some();
        let gate = self.settings.sensor_gate;
        let filter = &mut running.filter;
        if let Some(height) = known.height_agl_m {
            filter.update_height(height.value, height.sigma, gate);
        }
        match attitude {
            Some(a) => {
                filter.update_attitude(&a.enu_from_body, ATTITUDE_SIGMA_FACTOR * a.sigma_rad, gate);
            }
            None => {
                if let Some(heading) = known.heading_rad {
                    filter.update_heading(heading.value, heading.sigma, gate);
                }
            }
        }
        between
    }

    fn take_fix(&mut self, stamp_ns: i64, fix: &Fix, attitude: Option<&AttitudeSample>, known: &Known) -> (Option<f64>, bool) {
        let covariance = fix.camera_covariance_m2();
        let finite = fix.camera.is_valid() && covariance.iter().all(|v| v.is_finite()) && covariance.cholesky().is_some();
        if !finite {
            self.counters.fixes_refused += 1;
            return (None, false);
        }
        let Some(running) = &mut self.running else {
            let known = Known {
                heading_rad: known.heading_rad.or(Some(Estimate { value: fix.heading_rad.0, sigma: fix.heading_rad.1 })),
                height_agl_m: known.height_agl_m.or(Some(Estimate { value: fix.height_agl_m.0, sigma: fix.height_agl_m.1 })),
                ..*known
            };
            let mut running = self.begin(stamp_ns, fix.camera, covariance, attitude, &known);
            running.last_fix_ns = Some(stamp_ns);
            self.running = Some(running);
            self.counters.fixes_used += 1;
            return (None, true);
        };
        let here = running.plane.ground_from_lat_lon(fix.camera.lat_deg, fix.camera.lon_deg);
        let measured = Vector2::new(here.e_m, here.n_m);
        match running.filter.update_position(&measured, &covariance, self.settings.fix_gate) {
            Update::Used(nis) => {
                running.last_fix_ns = Some(stamp_ns);
                running.frames_without_fix = 0;
                running.rivals.clear();
                if known.heading_rad.is_none() {
                    running.filter.update_heading(fix.heading_rad.0, fix.heading_rad.1, self.settings.sensor_gate);
                }
                self.counters.fixes_used += 1;
                (Some(nis), true)
            }
            Update::Refused => {
                self.counters.fixes_refused += 1;
                (None, false)
            }
            Update::Gated(nis) => {
                self.counters.fixes_gated += 1;
                running.frames_without_fix += 1;
                let agrees = |other: &(i64, Geodetic, Matrix2<f64>)| {
                    let there = running.plane.ground_from_lat_lon(other.1.lat_deg, other.1.lon_deg);
                    let reach = self.settings.max_speed_m_s * seconds_between(other.0, stamp_ns).abs()
                        + 3.0 * (covariance.trace() + other.2.trace()).sqrt();
                    (measured - Vector2::new(there.e_m, there.n_m)).norm() <= reach
                };
                if !running.rivals.iter().all(agrees) {
                    running.rivals.clear();
                }
                running.rivals.push((stamp_ns, fix.camera, covariance));
                if running.rivals.len() >= self.settings.restart_fixes {
                    let mut anew = self.begin(stamp_ns, fix.camera, covariance, attitude, known);
                    anew.last_fix_ns = Some(stamp_ns);
                    self.running = Some(anew);
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
const _: () = assert!(STATES == 15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Homography;
    use crate::types::{AbstainReason, TrackSource};
    use nalgebra::Matrix4;

    const ORIGIN: Geodetic = Geodetic::ground(47.0, 8.0);

    fn fix(e_m: f64, n_m: f64, sigma_m: f64) -> Outcome {
        let (lat, lon) = EnuPlane::at(ORIGIN).lat_lon_from_ground(e_m, n_m);
        Outcome::Fix(Box::new(Fix {
            region: 0,
            camera_m: Vector2::new(e_m, n_m),
            centre_m: Vector2::new(e_m, n_m),
            covariance_m2: Matrix4::identity() * sigma_m * sigma_m,
            camera: Geodetic::ground(lat, lon),
            centre: Geodetic::ground(lat, lon),
            height_agl_m: (100.0, 3.0),
            heading_rad: (0.5, 0.05),
            tilt_rad: 0.0,
            ground_from_frame: Homography::identity(),
            inliers: 100,
            score: 0.5,
        }))
    }

    fn known() -> Known {
        Known { height_agl_m: Some(Estimate { value: 100.0, sigma: 3.0 }), ..Known::default() }
    }

    fn second(t: usize) -> i64 {
        t as i64 * crate::time::NANOS_PER_SEC
    }

    fn position_m(fused: &Fused) -> (f64, f64) {
        let p = fused.track.state.as_ref().unwrap().position;
        let enu = EnuPlane::at(ORIGIN).ground_from_lat_lon(p.lat_deg, p.lon_deg);
        (enu.e_m, enu.n_m)
    }

    #[test]
    fn a_straight_flight_is_followed_and_predicted() {
        let mut fusion = Fusion::new(FusionSettings::default(), None);
        let mut last = None;
        for t in 0..30 {
            last = Some(fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(10.0 * t as f64, 5.0 * t as f64, 4.0)));
        }
        let last = last.unwrap();
        let (e, n) = position_m(&last);
        assert!((e - 290.0).abs() < 5.0 && (n - 145.0).abs() < 5.0);
        let (ahead, _) = last.prior.unwrap().at(second(31));
        let enu = EnuPlane::at(ORIGIN).ground_from_lat_lon(ahead.lat_deg, ahead.lon_deg);
        assert!((enu.e_m - 310.0).abs() < 12.0, "{}", enu.e_m);
    }

    #[test]
    fn a_single_wrong_fix_is_gated_and_three_that_agree_restart() {
        let mut fusion = Fusion::new(FusionSettings::default(), None);
        for t in 0..10 {
            fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
        }
        let wrong = fusion.step(second(10), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0));
        assert!(!wrong.track.fix_used && position_m(&wrong).0.abs() < 10.0);
        fusion.step(second(11), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
        for t in 12..15 {
            fusion.step(second(t), &TelemetryBatch::default(), &known(), &fix(900.0, 0.0, 4.0));
        }
        assert_eq!(fusion.counters().restarts, 1);
        assert_eq!(fusion.counters().fixes_gated, 4);
    }

    #[test]
    fn without_fixes_the_sigma_grows_the_source_says_so_and_in_the_end_it_is_lost() {
        let mut fusion = Fusion::new(FusionSettings::default(), Some((ORIGIN, 5.0)));
        let mut sources = Vec::new();
        let mut sigma = 0.0;
        fusion.step(0, &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
        for t in 1..120 {
            let out = fusion.step(second(t), &TelemetryBatch::default(), &known(), &Outcome::Abstained(AbstainReason::Ambiguous));
            if let Some(state) = &out.track.state {
                let now = state.covariance_en_m2[(0, 0)].sqrt();
                assert!(now >= sigma);
                sigma = now;
            }
            sources.push(out.track.source);
        }
        sources.dedup();
        assert_eq!(sources, [TrackSource::Visual, TrackSource::Inertial, TrackSource::Lost]);
    }

    #[test]
    fn a_fix_that_is_no_number_changes_nothing() {
        let mut fusion = Fusion::new(FusionSettings::default(), Some((ORIGIN, 5.0)));
        fusion.step(0, &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
        let before = position_m(&fusion.step(second(1), &TelemetryBatch::default(), &known(), &fix(f64::NAN, 0.0, 4.0)));
        assert!(before.0.is_finite());
        assert_eq!(fusion.counters().fixes_refused, 1);
    }

    /// Samples of a level aircraft that turns slowly, at 100 Hz, after one time up to another, hundredths of a second.
    fn imu(after: usize, until: usize) -> TelemetryBatch {
        let sample = |t: usize| ImuSample {
            stamp_ns: t as i64 * crate::time::NANOS_PER_SEC / 100,
            gyro_rad_s: Vector3::new(0.0, 0.01, 0.05),
            accel_m_s2: Vector3::new(0.1, 0.3, -9.81),
        };
        TelemetryBatch { imu: (after + 1..=until).map(sample).collect(), ..TelemetryBatch::default() }
    }

    fn with_points_every(hundredths: i64) -> Fusion {
        let track_interval_ns = Some(hundredths * crate::time::NANOS_PER_SEC / 100);
        Fusion::new(FusionSettings { track_interval_ns, ..FusionSettings::default() }, Some((ORIGIN, 5.0)))
    }

    #[test]
    fn points_between_frames_lie_on_the_first_frames_grid_and_change_nothing() {
        let (mut plain, mut dense) = (Fusion::new(FusionSettings::default(), Some((ORIGIN, 5.0))), with_points_every(20));
        let mut between = Vec::new();
        for (before, t) in [(0, 10), (10, 50), (50, 95), (95, 400)] {
            let at = t as i64 * crate::time::NANOS_PER_SEC / 100;
            let one = plain.step(at, &imu(before, t), &known(), &fix(0.0, 0.0, 4.0));
            let two = dense.step(at, &imu(before, t), &known(), &fix(0.0, 0.0, 4.0));
            assert_eq!((&one.track, &one.prior), (&two.track, &two.prior));
            between.push(two.between.iter().map(|p| p.stamp_ns / 10_000_000).collect::<Vec<_>>());
        }
        assert_eq!(between[..3], [vec![], vec![30], vec![70, 90]]);
        assert_eq!(between[3], (110..400).step_by(20).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_gap_is_lost_and_the_night_between_two_flights_is_no_outage() {
        let mut fusion = with_points_every(100);
        fusion.step(0, &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
        let abstained = Outcome::Abstained(AbstainReason::Ambiguous);
        let hour = fusion.step(second(3600), &TelemetryBatch::default(), &known(), &abstained).between;
        assert_eq!((hour.len(), hour.last().map(|p| p.source)), (3599, Some(TrackSource::Lost)));
        assert!(fusion.step(second(90_000), &TelemetryBatch::default(), &known(), &abstained).between.is_empty());
    }

    #[test]
    fn a_pause_tells_the_points_as_time_goes_by_and_what_follows_is_the_same_to_the_last_bit() {
        let at = |t: usize| t as i64 * crate::time::NANOS_PER_SEC / 100;
        let (mut late, mut live) = (with_points_every(50), with_points_every(50));
        for fusion in [&mut late, &mut live] {
            fusion.step(at(0), &TelemetryBatch::default(), &known(), &fix(0.0, 0.0, 4.0));
        }
        let mut told = Vec::new();
        // Each pause settles what is over two seconds old.
        for now in (100..=1000).step_by(50) {
            let (settled, before) = (now.max(200) - 200, now.max(250) - 250);
            let pause = Pause { stamp_ns: at(now), telemetry: imu(before, settled), ahead: imu(settled, now) };
            told.extend(live.pause(&pause));
        }
        let abstained = Outcome::Abstained(AbstainReason::Ambiguous);
        let live = live.step(at(1013), &imu(800, 1013), &known(), &abstained);
        let late = late.step(at(1013), &imu(0, 1013), &known(), &abstained);
        assert_eq!((&live.track, &live.prior), (&late.track, &late.prior));
        told.extend(live.between);
        assert_eq!(told, late.between);
        let mut sources: Vec<_> = told.iter().map(|p| p.source).collect();
        sources.dedup();
        assert_eq!(sources, [TrackSource::Visual, TrackSource::Inertial]);
        let sigma = |p: &TrackPoint| p.state.as_ref().unwrap().covariance_en_m2[(0, 0)];
        assert!(told.windows(2).all(|w| sigma(&w[1]) > sigma(&w[0])));
    }
}
