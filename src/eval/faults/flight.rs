//! One flight, with a fault or without.

use nalgebra::Vector2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::fault::{self, Fault, GnssPoint, Sensor, Span};
use super::{DURATION_S, FaultStudy, IMU_HZ, POINTS_PER_S, Phase};
use crate::eval::attacks::{FRAMES_PER_S, HEIGHT_SIGMA_M, ORIGIN, fix_at, stamp_ns};
use crate::fuse::state::worst_sigma;
use crate::fuse::{Fusion, FusionSettings, GnssUse, TrackOptions};
use crate::geo::{EnuPlane, heading_pitch_roll};
use crate::simulate::inertial::{InertialFlight, Truth, inertial_flight};
use crate::simulate::{Settings, SimulateError};
use crate::time::{NANOS_PER_SEC, nanos_from_seconds};
use crate::types::{
    AttitudeSample, Estimate, FusionCounters, GnssSample, ImuSample, Known, TelemetryBatch, TrackPoint, TrackSource,
};

/// How far off the map is, metres.
const MAP_OFFSET_M: f64 = 2.0;
/// 1 sigma of a compass, radians.
const HEADING_SIGMA_RAD: f64 = 0.035;
/// 1 sigma of an attitude an axis, radians, and how many come a second.
const ATTITUDE: (f64, i64) = (0.0122, 10);
/// 1 sigma of GNSS an axis, metres, and how many positions come a second.
const GNSS: (f64, i64) = (3.0, 5);

/// A point of the track against the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Nanoseconds since the start of the flight.
    pub stamp_ns: i64,
    /// Whether it is called visual.
    pub visual: bool,
    /// Horizontal error, metres; infinite where no place is known.
    pub error_m: f64,
    /// 1 sigma along the worst axis, metres.
    pub sigma_m: f64,
}

/// What came of a flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Flown {
    /// The points of the track, in order.
    pub points: Vec<Point>,
    /// What the filter counted.
    pub counters: FusionCounters,
}

/// A flight: the truth, and what is told of it when nothing fails. The same for every fault.
pub struct Scene {
    flight: InertialFlight,
    seed: u64,
    map_m: Vector2<f64>,
    gnss: Vec<GnssPoint>,
    attitude: Vec<AttitudeSample>,
}

struct Random(ChaCha8Rng);

impl Random {
    fn of(seed: u64, lane: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x00fa_0175);
        random.set_stream(lane);
        Self(random)
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    fn pair(&mut self) -> Vector2<f64> {
        Vector2::new(self.normal(), self.normal())
    }
}

fn at(flight: &InertialFlight, stamp_ns: i64) -> Option<&Truth> {
    flight.truth.get(flight.truth.partition_point(|t| t.stamp_ns < stamp_ns)).or(flight.truth.last())
}

impl Scene {
    /// The flight of a seed.
    ///
    /// # Errors
    /// When it cannot be simulated.
    pub fn new(study: &FaultStudy, seed: u64) -> Result<Self, SimulateError> {
        let settings = Settings { seed, duration_s: DURATION_S, imu: study.grade, imu_hz: IMU_HZ, ..Settings::default() };
        let flight = inertial_flight(&settings)?;
        let mut random = Random::of(seed, 0);
        let (sin, cos) = (random.0.random::<f64>() * std::f64::consts::TAU).sin_cos();
        let stamps = |per_s: i64| (0..=DURATION_S as i64 * per_s).map(move |k| k * (NANOS_PER_SEC / per_s));
        let truth = |stamp_ns: i64| at(&flight, stamp_ns);
        let gnss = stamps(GNSS.1)
            .filter_map(|stamp_ns| Some((stamp_ns, truth(stamp_ns)?.position_m.xy() + random.pair() * GNSS.0)))
            .collect();
        let attitude = stamps(ATTITUDE.1)
            .filter_map(|stamp_ns| {
                let off = nalgebra::Vector3::new(random.normal(), random.normal(), random.normal()) * ATTITUDE.0;
                let enu_from_body = truth(stamp_ns)?.enu_from_body * nalgebra::UnitQuaternion::from_scaled_axis(off);
                Some(AttitudeSample { stamp_ns, enu_from_body, sigma_rad: ATTITUDE.0 })
            })
            .collect();
        Ok(Self { flight, seed, map_m: Vector2::new(sin, cos) * MAP_OFFSET_M, gnss, attitude })
    }

    /// Flies it. `fault`: what fails of which sensor, if anything; `gnss`: whether GNSS is on.
    pub fn fly(&self, study: &FaultStudy, phase: Phase, fault: Option<(Sensor, Fault)>, gnss: bool) -> Flown {
        let span = phase.span();
        let imu = match fault {
            Some((Sensor::Imu, fault)) => fault::imu(fault, &self.flight.imu, span, self.seed),
            _ => self.flight.imu.clone(),
        };
        let positions = match fault {
            _ if !gnss => Vec::new(),
            Some((Sensor::Gnss, fault)) => fault::gnss(fault, &self.gnss, span, self.seed),
            _ => self.gnss.clone(),
        };
        let settings = FusionSettings { gnss: if gnss { GnssUse::On } else { GnssUse::Off }, ..study.settings };
        let interval_ns = Some(NANOS_PER_SEC / POINTS_PER_S);
        let plane = EnuPlane::at(ORIGIN);
        let mut fusion = Fusion::new(settings, TrackOptions { interval_ns, ..TrackOptions::default() }, None);
        let mut points = Vec::new();
        let frames = (span.end_ns + nanos_from_seconds(super::AFTER_S)) * FRAMES_PER_S / NANOS_PER_SEC;
        let mut from_ns = -1;
        for frame in 0..=frames {
            let stamp = stamp_ns(frame);
            let Some(truth) = at(&self.flight, stamp) else { break };
            let mut random = Random::of(self.seed, 1 + frame.unsigned_abs());
            let heading = heading_pitch_roll(&truth.enu_from_body).0 + HEADING_SIGMA_RAD * random.normal();
            let height = truth.position_m.z + HEIGHT_SIGMA_M * random.normal();
            let known = Known {
                height_agl_m: Some(Estimate { value: height, sigma: HEIGHT_SIGMA_M }),
                heading_rad: Some(Estimate { value: heading, sigma: HEADING_SIGMA_RAD }),
                ..Known::default()
            };
            let seen_m = truth.position_m.xy() + self.map_m + random.pair() * study.fix_sigma_m;
            let telemetry = self.batch(study, &imu, &positions, &plane, from_ns, stamp);
            let fused = fusion.step(stamp, &telemetry, &known, &fix_at(&plane, seen_m, study.fix_sigma_m));
            points.extend(fused.between.iter().chain([&fused.track]).map(|track| self.point(&plane, track)));
            from_ns = stamp;
        }
        Flown { points, counters: fusion.counters() }
    }

    fn batch(
        &self,
        study: &FaultStudy,
        imu: &[ImuSample],
        positions: &[GnssPoint],
        plane: &EnuPlane,
        from_ns: i64,
        until_ns: i64,
    ) -> TelemetryBatch {
        let taken = |stamp_ns: i64| from_ns < stamp_ns && stamp_ns <= until_ns;
        let gnss = |&(stamp_ns, at_m): &GnssPoint| {
            let (lat_deg, lon_deg) = plane.lat_lon_from_ground(at_m.x, at_m.y);
            GnssSample { stamp_ns, lat_deg, lon_deg, sigma_m: GNSS.0 }
        };
        let attitude = self.attitude.iter().filter(|s| study.attitude && taken(s.stamp_ns));
        TelemetryBatch {
            imu: imu.iter().filter(|s| taken(s.stamp_ns)).copied().collect(),
            attitude: attitude.copied().collect(),
            gnss: positions.iter().filter(|(stamp_ns, _)| taken(*stamp_ns)).map(gnss).collect(),
            ..TelemetryBatch::default()
        }
    }

    fn point(&self, plane: &EnuPlane, track: &TrackPoint) -> Point {
        let visual = track.source == TrackSource::Visual;
        let truth_m = at(&self.flight, track.stamp_ns).map_or(Vector2::zeros(), |t| t.position_m.xy());
        let (error_m, sigma_m) = track.state.as_ref().map_or((f64::INFINITY, f64::INFINITY), |state| {
            let here = plane.ground_from_lat_lon(state.position.lat_deg, state.position.lon_deg);
            ((Vector2::new(here.e_m, here.n_m) - truth_m).norm(), worst_sigma(&state.covariance_en_m2))
        });
        Point { stamp_ns: track.stamp_ns, visual, error_m, sigma_m }
    }
}

impl Phase {
    /// When its fault lasts.
    pub(super) fn span(self) -> Span {
        let onset_ns = nanos_from_seconds(self.onset_s());
        Span { onset_ns, end_ns: onset_ns + nanos_from_seconds(super::FAULT_S) }
    }
}
