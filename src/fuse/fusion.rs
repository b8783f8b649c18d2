//! Frames in order in, track points and priors out.

use nalgebra::{Matrix2, Matrix3, UnitQuaternion, Vector2, Vector3};

use super::eskf::{Covariance, Eskf, NoiseDensities, STATES, State, Update, gravity_m_s2};
use crate::camera::{enu_from_body, heading_pitch_roll};
use crate::geo::{EnuPlane, Geodetic};
use crate::time::seconds_between;
use crate::types::{Estimate, Fix, ImuSample, Known, Outcome, Prior, TelemetryBatch, TrackPoint, TrackSource, TrackState};

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
            noise: NoiseDensities::default(),
        }
    }
}

/// What fusion makes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
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

struct Running {
    plane: EnuPlane,
    filter: Eskf,
    stamp_ns: i64,
    last_imu: Option<ImuSample>,
    last_fix_ns: Option<i64>,
    frames_without_fix: usize,
    /// Fixes refused in a row: stamp, position, covariance.
    rivals: Vec<(i64, Geodetic, Matrix2<f64>)>,
}

/// An IMU interval longer than this is a gap: the motion in it was not measured, seconds.
const MAX_IMU_STEP_S: f64 = 0.5;
/// Longest step of the model without an IMU, seconds.
const MAX_FREE_STEP_S: f64 = 1.0;
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
    counters: Counters,
}

impl Fusion {
    /// `start` is a known position and its 1 sigma, metres.
    pub fn new(settings: FusionSettings, start: Option<(Geodetic, f64)>) -> Self {
        Self { settings, start, running: None, counters: Counters::default() }
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
        if self.running.is_none()
            && let Some((position, sigma_m)) = self.start.take()
        {
            let covariance = Matrix2::identity() * sigma_m * sigma_m;
            let first = telemetry.imu.first().map_or(stamp_ns, |s| s.stamp_ns.min(stamp_ns));
            self.running = Some(self.begin(first, position, covariance, telemetry, known));
        }
        self.advance(stamp_ns, telemetry, known);
        let (nis, fix_used) = match outcome {
            Outcome::Fix(fix) => self.take_fix(stamp_ns, fix, telemetry, known),
            Outcome::Abstained(_) => {
                if let Some(running) = &mut self.running {
                    running.frames_without_fix += 1;
                }
                (None, false)
            }
        };
        self.report(stamp_ns, known, nis, fix_used)
    }

    fn begin(
        &self,
        stamp_ns: i64,
        position: Geodetic,
        covariance: Matrix2<f64>,
        telemetry: &TelemetryBatch,
        known: &Known,
    ) -> Running {
        let plane = EnuPlane::at(Geodetic { alt_m: 0.0, ..position });
        let height = known.height_agl_m.unwrap_or(Estimate { value: 100.0, sigma: 100.0 });
        let measured = telemetry.attitude.last();
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
        Running { plane, filter, stamp_ns, last_imu: None, last_fix_ns: None, frames_without_fix: 0, rivals: Vec::new() }
    }

    fn advance(&mut self, stamp_ns: i64, telemetry: &TelemetryBatch, known: &Known) {
        let Some(running) = &mut self.running else { return };
        let gate = self.settings.sensor_gate;
        for sample in &telemetry.imu {
            let dt = seconds_between(running.stamp_ns, sample.stamp_ns);
            if dt < 0.0 {
                self.counters.time_went_back += 1;
                continue;
            }
            running.predict(dt, Some(sample));
            running.stamp_ns = sample.stamp_ns;
            running.last_imu = Some(*sample);
        }
        let rest = seconds_between(running.stamp_ns, stamp_ns);
        if rest > 0.0 {
            let held = running.last_imu.filter(|_| rest <= MAX_IMU_STEP_S);
            running.predict(rest, held.as_ref());
            running.stamp_ns = stamp_ns;
        }
        let filter = &mut running.filter;
        if let Some(height) = known.height_agl_m {
            filter.update_height(height.value, height.sigma, gate);
        }
        match telemetry.attitude.last() {
            Some(a) => {
                filter.update_attitude(&a.enu_from_body, ATTITUDE_SIGMA_FACTOR * a.sigma_rad, gate);
            }
            None => {
                if let Some(heading) = known.heading_rad {
                    filter.update_heading(heading.value, heading.sigma, gate);
                }
            }
        }
    }

    fn take_fix(&mut self, stamp_ns: i64, fix: &Fix, telemetry: &TelemetryBatch, known: &Known) -> (Option<f64>, bool) {
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
            let mut running = self.begin(stamp_ns, fix.camera, covariance, telemetry, &known);
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
                    let mut anew = self.begin(stamp_ns, fix.camera, covariance, telemetry, known);
                    anew.last_fix_ns = Some(stamp_ns);
                    self.running = Some(anew);
                    self.counters.restarts += 1;
                    return (Some(nis), true);
                }
                (Some(nis), false)
            }
        }
    }

    fn report(&self, stamp_ns: i64, known: &Known, nis: Option<f64>, fix_used: bool) -> Fused {
        let lost = TrackPoint { stamp_ns, source: TrackSource::Lost, state: None, fix_age_s: None, nis, fix_used };
        let Some(running) = &self.running else { return Fused { track: lost, prior: None } };
        let filter = &running.filter;
        let horizontal = filter.covariance.fixed_view::<2, 2>(0, 0).into_owned();
        let worst = |m: Matrix2<f64>| m.symmetric_eigenvalues().max().max(0.0).sqrt();
        let sigma_m = worst(horizontal);
        let fix_age_s = running.last_fix_ns.map(|t| seconds_between(t, stamp_ns));
        let p = filter.state.position_m;
        if !(sigma_m <= self.settings.lost_sigma_m) || !p.iter().all(|v| v.is_finite()) {
            return Fused { track: TrackPoint { fix_age_s, ..lost }, prior: None };
        }
        let (lat, lon) = running.plane.lat_lon_from_ground(p.x, p.y);
        let position = Geodetic::ground(lat, lon);
        let v = filter.state.velocity_m_s;
        let visual = fix_age_s.is_some_and(|age| age <= self.settings.visual_age_s);
        let state = TrackState {
            position,
            height_agl_m: known.height_agl_m.map(|_| p.z),
            velocity_enu_m_s: [v.x, v.y, v.z],
            enu_from_body: filter.state.enu_from_body,
            covariance_en_m2: horizontal,
            sigma_u_m: filter.sigma(2),
        };
        let prior = (running.frames_without_fix < self.settings.distrust_frames).then(|| Prior {
            position,
            sigma_m,
            velocity_en_m_s: [v.x, v.y],
            velocity_sigma_m_s: worst(filter.covariance.fixed_view::<2, 2>(3, 3).into_owned()),
            stamp_ns,
        });
        let source = if visual { TrackSource::Visual } else { TrackSource::Inertial };
        Fused { track: TrackPoint { stamp_ns, source, state: Some(state), fix_age_s, nis, fix_used }, prior }
    }
}

impl Running {
    fn predict(&mut self, dt_s: f64, imu: Option<&ImuSample>) {
        match imu {
            Some(sample) if dt_s <= MAX_IMU_STEP_S => self.filter.predict(&sample.accel_m_s2, &sample.gyro_rad_s, dt_s),
            _ => {
                let steps = (dt_s / MAX_FREE_STEP_S).ceil().clamp(1.0, 10_000.0);
                for _ in 0..steps as usize {
                    self.filter.predict_unmeasured(dt_s / steps);
                }
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
    use crate::types::AbstainReason;
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
}
