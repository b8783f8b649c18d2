//! Attacks on fusion: what must never move it, tried with many seeds.

use nalgebra::{Matrix4, Vector2, Vector3, Vector4};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::fuse::state::worst_sigma;
use crate::fuse::{Fused, Fusion, FusionSettings, TrackOptions};
use crate::geo::{EnuPlane, Geodetic, Homography, heading_pitch_roll};
use crate::simulate::inertial::{InertialFlight, inertial_flight};
use crate::simulate::{ImuGrade, Settings, SimulateError};
use crate::types::{AbstainReason, Estimate, Fix, FreePose, ImuSample, Known, Outcome, TelemetryBatch, TrackPoint};

/// Where the simulated flights lie.
pub(in crate::eval) const ORIGIN: Geodetic = Geodetic::ground(47.0, 8.0);
/// 1 sigma of a fix an axis, metres, and of its lean.
const FIX_SIGMAS: (f64, f64) = (4.0, 0.03);
/// 1 sigma of a known height, metres.
pub(in crate::eval) const HEIGHT_SIGMA_M: f64 = 2.0;
/// Frames a second.
pub(in crate::eval) const FRAMES_PER_S: i64 = 2;
/// Frames before the attack: the filter has settled by then.
const SETTLE_FRAMES: i64 = 60;
/// Frames of an attack that lasts.
const ATTACK_FRAMES: i64 = 20;
/// How far off the wrong place is, metres.
const WRONG_M: f64 = 100.0;
/// As long as three sigma of the filter stay below this, it must not be captured, metres.
pub const SURE_M: f64 = 50.0;
/// Trials that share a flight.
const TRIALS_PER_FLIGHT: u64 = 100;

/// What came of the attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct Attacks {
    /// Trials of each attack.
    pub trials: u64,
    /// Single outliers, 10 to 1000 sigma of the innovation away, that were used.
    pub outliers_used: u64,
    /// Wrong places, 100 m off and repeated for 10 s at 2 fixes a second, that captured the filter while it was sure of its own place.
    pub captured_while_sure: u64,
    /// Of these attacks, those that outlasted the filter's own sureness.
    pub outlasted: u64,
    /// Fixes that are no numbers or have a covariance that is none, samples that are no numbers, come twice or go back in time, that moved the
    /// filter.
    pub malformed_moved: u64,
    /// Of these, those that no counter tells.
    pub malformed_uncounted: u64,
}

impl Attacks {
    fn plus(self, other: Self) -> Self {
        Self {
            trials: self.trials + other.trials,
            outliers_used: self.outliers_used + other.outliers_used,
            captured_while_sure: self.captured_while_sure + other.captured_while_sure,
            outlasted: self.outlasted + other.outlasted,
            malformed_moved: self.malformed_moved + other.malformed_moved,
            malformed_uncounted: self.malformed_uncounted + other.malformed_uncounted,
        }
    }

    /// Whether not one attack did what it must not.
    pub fn withstood(&self) -> bool {
        self.outliers_used + self.captured_while_sure + self.malformed_moved + self.malformed_uncounted == 0
    }
}

/// A flight that has settled: the filter, and what goes on.
struct Scene {
    flight: InertialFlight,
    fusion: Fusion,
    plane: EnuPlane,
    /// The frame that comes next.
    frame: i64,
}

/// A settled filter under attack.
struct Trial<'a> {
    scene: &'a Scene,
    fusion: Fusion,
    random: ChaCha8Rng,
}

pub(in crate::eval) fn stamp_ns(frame: i64) -> i64 {
    frame * (crate::time::NANOS_PER_SEC / FRAMES_PER_S)
}

pub(in crate::eval) fn fix_at(plane: &EnuPlane, camera_m: Vector2<f64>, sigma_m: f64) -> Outcome {
    let (lat, lon) = plane.lat_lon_from_ground(camera_m.x, camera_m.y);
    let camera = Geodetic::ground(lat, lon);
    let covariance =
        Matrix4::from_diagonal(&Vector4::new(sigma_m.powi(2), sigma_m.powi(2), FIX_SIGMAS.1.powi(2), FIX_SIGMAS.1.powi(2)));
    Outcome::Fix(Box::new(Fix {
        region: 0,
        camera_m,
        centre_m: camera_m,
        covariance_m2: Matrix4::identity() * (sigma_m * sigma_m),
        camera,
        centre: camera,
        height_agl_m: (120.0, 5.0),
        heading_rad: (0.0, std::f64::consts::PI),
        tilt_rad: 0.0,
        ground_from_frame: Homography::identity(),
        inliers: 100,
        score: 0.5,
        free: FreePose { camera, lean: Vector2::zeros(), covariance, lean_sigma: 0.03, map_sigma_m: 2.5 },
    }))
}

impl Scene {
    fn new(seed: u64, settings: FusionSettings) -> Result<Self, SimulateError> {
        let duration_s = ((SETTLE_FRAMES + ATTACK_FRAMES) / FRAMES_PER_S + 1) as f64;
        let flown = Settings { seed, duration_s, imu: ImuGrade::CONSUMER, imu_hz: 50.0, ..Settings::default() };
        let flight = inertial_flight(&flown)?;
        let plane = EnuPlane::at(ORIGIN);
        let fusion = Fusion::new(settings, TrackOptions::default(), None);
        let mut scene = Self { flight, fusion, plane, frame: 1 };
        let mut trial = Trial { fusion: scene.fusion.clone(), scene: &scene, random: ChaCha8Rng::seed_from_u64(seed) };
        for frame in 1..=SETTLE_FRAMES {
            let outcome = trial.honest(frame);
            trial.step(frame, &outcome);
        }
        let fusion = trial.fusion;
        scene.fusion = fusion;
        scene.frame = SETTLE_FRAMES + 1;
        Ok(scene)
    }

    fn truth_en_m(&self, frame: i64) -> Vector2<f64> {
        let at = self.flight.truth.partition_point(|t| t.stamp_ns < stamp_ns(frame));
        self.flight.truth.get(at).map_or(Vector2::zeros(), |t| t.position_m.xy())
    }

    fn heading_rad(&self, frame: i64) -> f64 {
        let at = self.flight.truth.partition_point(|t| t.stamp_ns < stamp_ns(frame));
        self.flight.truth.get(at).map_or(0.0, |t| heading_pitch_roll(&t.enu_from_body).0)
    }

    fn samples(&self, frame: i64) -> Vec<ImuSample> {
        let between = stamp_ns(frame - 1)..stamp_ns(frame);
        self.flight.imu.iter().filter(|s| between.start < s.stamp_ns && s.stamp_ns <= between.end).copied().collect()
    }
}

impl Trial<'_> {
    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.random)
    }

    /// A fix as it should be.
    fn honest(&mut self, frame: i64) -> Outcome {
        let error = Vector2::new(self.normal(), self.normal()) * FIX_SIGMAS.0;
        fix_at(&self.scene.plane, self.scene.truth_en_m(frame) + error, FIX_SIGMAS.0)
    }

    fn step(&mut self, frame: i64, outcome: &Outcome) -> Fused {
        let telemetry = TelemetryBatch { imu: self.scene.samples(frame), ..TelemetryBatch::default() };
        self.step_with(frame, &telemetry, outcome)
    }

    fn step_with(&mut self, frame: i64, telemetry: &TelemetryBatch, outcome: &Outcome) -> Fused {
        let known = Known {
            height_agl_m: Some(Estimate { value: 120.0, sigma: HEIGHT_SIGMA_M }),
            heading_rad: Some(Estimate { value: self.scene.heading_rad(frame), sigma: 0.05 }),
            ..Known::default()
        };
        self.fusion.step(stamp_ns(frame), telemetry, &known, outcome)
    }

    /// What the filter predicts of a frame, before its fix.
    fn glance(&self, frame: i64) -> TrackPoint {
        let mut there = Trial { scene: self.scene, fusion: self.fusion.clone(), random: self.random.clone() };
        there.step(frame, &Outcome::Abstained(AbstainReason::Ambiguous)).track
    }

    fn en_m(&self, track: &TrackPoint) -> Option<Vector2<f64>> {
        let position = track.state.as_ref()?.position;
        let enu = self.scene.plane.ground_from_lat_lon(position.lat_deg, position.lon_deg);
        Some(Vector2::new(enu.e_m, enu.n_m))
    }

    /// A direction.
    fn direction(&mut self) -> Vector2<f64> {
        let (sin, cos) = (self.random.random::<f64>() * std::f64::consts::TAU).sin_cos();
        Vector2::new(sin, cos)
    }

    /// A fix further off than ten sigma of filter and fix together; whether it was used.
    fn outlier(&mut self) -> bool {
        let frame = self.scene.frame;
        let predicted = self.glance(frame);
        let (Some(expected), Some(state)) = (self.en_m(&predicted), predicted.state.as_ref()) else { return true };
        let sigmas = 10.0 * 100f64.powf(self.random.random::<f64>());
        // Map and lean add to the innovation's covariance; the map's 2.5 m at most.
        let sigma_m = (worst_sigma(&state.covariance_en_m2).powi(2) + FIX_SIGMAS.0.powi(2) + 2.5f64.powi(2)).sqrt();
        let wrong = expected + self.direction() * (sigmas * sigma_m);
        let outcome = fix_at(&self.scene.plane, wrong, FIX_SIGMAS.0);
        self.step(frame, &outcome).track.fix_used
    }

    /// A wrong place that goes on, and moves along with the aircraft or stays; whether it captured the filter while that was sure, and
    /// whether it outlasted the sureness.
    fn wrong_place(&mut self) -> (bool, bool) {
        let first = self.scene.frame;
        let off = self.direction() * WRONG_M;
        let mut outlasted = false;
        for frame in first..first + ATTACK_FRAMES {
            let error = Vector2::new(self.normal(), self.normal()) * FIX_SIGMAS.0;
            let wrong = self.scene.truth_en_m(frame) + off + error;
            let outcome = fix_at(&self.scene.plane, wrong, FIX_SIGMAS.0);
            let predicted = self.glance(frame);
            outlasted |= !predicted.state.is_some_and(|s| 3.0 * worst_sigma(&s.covariance_en_m2) < SURE_M);
            if outlasted {
                break;
            }
            if self.step(frame, &outcome).track.fix_used {
                return (true, outlasted);
            }
        }
        (false, outlasted)
    }

    /// Something that is malformed at a frame; whether it moved the filter, and whether a counter tells.
    fn malformed(&mut self) -> (bool, bool) {
        let frame = self.scene.frame;
        let samples = self.scene.samples(frame);
        let mut clean = Trial { scene: self.scene, fusion: self.fusion.clone(), random: self.random.clone() };
        let none = Outcome::Abstained(AbstainReason::Ambiguous);
        let mut telemetry = TelemetryBatch { imu: samples.clone(), ..TelemetryBatch::default() };
        let mut outcome = none.clone();
        let before = self.fusion.counters();
        let at = self.random.random_range(1..samples.len().max(2));
        let kind = self.random.random_range(0..6);
        match (kind, samples.get(at - 1)) {
            (0, _) => outcome = fix_at(&self.scene.plane, Vector2::new(f64::NAN, 0.0), FIX_SIGMAS.0),
            (1 | 2, _) => {
                let mut honest = self.honest(frame);
                if let Outcome::Fix(fix) = &mut honest {
                    let element = self.random.random_range(0..4);
                    fix.free.covariance[(element, element)] = if kind == 1 { -1.0 } else { f64::INFINITY };
                }
                outcome = honest;
            }
            (3, Some(sample)) => telemetry.imu.insert(at, *sample),
            (4, Some(sample)) => telemetry.imu.insert(at, ImuSample { stamp_ns: sample.stamp_ns - 700_000_000, ..*sample }),
            (_, Some(sample)) => {
                let number = if self.random.random() { f64::NAN } else { f64::NEG_INFINITY };
                let bad = Vector3::new(0.0, number, 0.0);
                telemetry.imu.insert(at, ImuSample { stamp_ns: sample.stamp_ns + 1, gyro_rad_s: bad, ..*sample });
            }
            _ => {}
        }
        let (dirty, clean) = (self.step_with(frame, &telemetry, &outcome), clean.step(frame, &none));
        let after = self.fusion.counters();
        let told = (after.fixes_refused + after.time_went_back + after.samples_refused)
            - (before.fixes_refused + before.time_went_back + before.samples_refused);
        (dirty.track.state != clean.track.state, told == 1)
    }
}

/// Runs so many trials of each attack, on all cores; the result does not depend on how many.
///
/// # Errors
/// When a flight cannot be simulated.
pub fn attacks(trials: u64, seed: u64) -> Result<Attacks, SimulateError> {
    let scenes = trials.div_ceil(TRIALS_PER_FLIGHT);
    let parts: Vec<Attacks> = (0..scenes)
        .into_par_iter()
        .map(|number| {
            let scene = Scene::new(seed.wrapping_add(number), FusionSettings::default())?;
            let count = TRIALS_PER_FLIGHT.min(trials - number * TRIALS_PER_FLIGHT);
            let mut sum = Attacks { trials: count, ..Attacks::default() };
            for trial in 0..count {
                let begin = |attack: u64| {
                    let mixed = seed.wrapping_mul(0x9e37_79b9).wrapping_add(number * TRIALS_PER_FLIGHT + trial);
                    let random = ChaCha8Rng::seed_from_u64(mixed.wrapping_mul(3).wrapping_add(attack));
                    Trial { scene: &scene, fusion: scene.fusion.clone(), random }
                };
                sum.outliers_used += u64::from(begin(0).outlier());
                let (captured, outlasted) = begin(1).wrong_place();
                sum.captured_while_sure += u64::from(captured);
                sum.outlasted += u64::from(outlasted);
                let (moved, told) = begin(2).malformed();
                sum.malformed_moved += u64::from(moved);
                sum.malformed_uncounted += u64::from(!told);
            }
            Ok(sum)
        })
        .collect::<Result<_, SimulateError>>()?;
    Ok(parts.into_iter().fold(Attacks::default(), Attacks::plus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_of_each_kind_are_withstood() {
        let result = attacks(1_000, 1).unwrap();
        assert_eq!(result.trials, 1_000);
        assert!(result.withstood(), "{result:?}");
    }

    #[test]
    fn an_open_gate_is_found_out() {
        let mut open = FusionSettings::default();
        open.sources.visual.aid.gate = f64::INFINITY;
        let scene = Scene::new(5, open).unwrap();
        let begin = || Trial { scene: &scene, fusion: scene.fusion.clone(), random: ChaCha8Rng::seed_from_u64(1) };
        assert!(begin().outlier());
        assert!(begin().wrong_place().0);
    }
}
