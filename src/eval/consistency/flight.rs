//! One simulated flight, flown by the filter.

use nalgebra::{Matrix2, UnitQuaternion, Vector2, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{MonteCarlo, STEP_S};
use crate::fuse::initial::InitialSigmas;
use crate::fuse::measurement::{Barometer, Observation, Place};
use crate::fuse::state::{ACCEL_BIAS, BARO_OFFSET, Covariance, ErrorState, GYRO_BIAS, MAP_OFFSET};
use crate::fuse::update::Measurement;
use crate::fuse::{Eskf, Navigator, NoiseDensities, State};
use crate::simulate::SimulateError;
use crate::simulate::inertial::{GRAVITY, Truth, inertial_flight};
use crate::time::nanos_from_seconds;
use crate::types::AidSourceKind;

/// 1 sigma at the start: position, m; velocity, m/s; roll and pitch, rad; heading, rad; lean. At rest accelerometers tell roll and pitch to
/// their bias over g, 0.008 rad of a consumer IMU.
const START_SIGMAS: [f64; 5] = [5.0, 1.0, 0.01, 0.03, 0.05];

/// What a flight tells.
pub(super) struct Flown {
    /// At each step: NEES of the position and of the fifteen states.
    pub nees: Vec<[f64; 2]>,
    /// At each step: squared horizontal error in units of its covariance.
    pub horizontal: Vec<f64>,
    /// Innovations of the fixes, in units of their covariance.
    pub innovations: Vec<Vector2<f64>>,
}

/// The offsets that sensors share from one measurement to the next: their truth.
struct Offsets {
    map_m: Vector2<f64>,
    baro_m: f64,
}

struct Random(ChaCha8Rng);

impl Random {
    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    fn pair(&mut self) -> Vector2<f64> {
        Vector2::new(self.normal(), self.normal())
    }
}

impl Offsets {
    /// One step of two first-order Gauss–Markov processes.
    fn walk(&mut self, noise: &NoiseDensities, dt_s: f64, random: &mut Random) {
        let kept = (-dt_s / noise.map_offset_time_s).exp();
        self.map_m = self.map_m * kept + random.pair() * (noise.map_offset_m * (1.0 - kept * kept).sqrt());
        let kept = (-dt_s / noise.baro_offset_time_s).exp();
        self.baro_m = self.baro_m * kept + random.normal() * (noise.baro_offset_m * (1.0 - kept * kept).sqrt());
    }
}

/// The filter at the start: off by errors that are drawn from its own covariance.
fn start(flown: &MonteCarlo, noise: &NoiseDensities, truth: &State, random: &mut Random) -> Eskf {
    let [position, velocity, tilt, heading, lean] = START_SIGMAS;
    // The attitude's error lies in the body frame, and so do these sigmas.
    let initial = InitialSigmas {
        position_m: position,
        height_m: position,
        velocity_m_s: velocity,
        attitude_rad: [tilt, tilt, heading],
        accel_bias_m_s2: flown.grade.accel_bias,
        gyro_bias_rad_s: flown.grade.gyro_bias,
        lean,
        map_offset_m: noise.map_offset_m,
        baro_offset_m: noise.baro_offset_m,
        wind_m_s: noise.wind_m_s,
    };
    // Biases and offsets of the truth are drawn already, about zero: there the filter's estimate is zero.
    let mut error = initial.laid_out().map(|sigma| -sigma * random.normal());
    error.fixed_rows_mut::<3>(ACCEL_BIAS).copy_from(&-truth.accel_bias_m_s2);
    error.fixed_rows_mut::<3>(GYRO_BIAS).copy_from(&-truth.gyro_bias_rad_s);
    error.fixed_rows_mut::<2>(MAP_OFFSET).copy_from(&-truth.map_offset_m);
    error[BARO_OFFSET] = -truth.baro_offset_m;
    Eskf::new(truth.plus(&error), initial.covariance(&UnitQuaternion::identity()), GRAVITY, *noise)
}

fn state_of(truth: &Truth, offsets: &Offsets) -> State {
    State {
        velocity_m_s: truth.velocity_m_s,
        accel_bias_m_s2: truth.accel_bias_m_s2,
        gyro_bias_rad_s: truth.gyro_bias_rad_s,
        map_offset_m: offsets.map_m,
        baro_offset_m: offsets.baro_m,
        ..State::at(truth.position_m, truth.enu_from_body)
    }
}

/// A flight by number, with a filter that knows its sensors.
pub(super) fn fly(flown: &MonteCarlo, number: u64) -> Result<Flown, SimulateError> {
    fly_with(flown, number, &flown.noise())
}

/// The same with a filter that assumes other noise of its IMU.
pub(super) fn fly_with(flown: &MonteCarlo, number: u64, assumed: &NoiseDensities) -> Result<Flown, SimulateError> {
    let settings = flown.settings(number);
    let flight = inertial_flight(&settings)?;
    let mut random = Random(ChaCha8Rng::seed_from_u64(settings.seed ^ 0x0c05_15e7));
    let mut offsets = Offsets { map_m: random.pair() * assumed.map_offset_m, baro_m: random.normal() * assumed.baro_offset_m };
    let mut out = Flown { nees: Vec::new(), horizontal: Vec::new(), innovations: Vec::new() };
    let Some(first) = flight.truth.first() else { return Ok(out) };
    let filter = start(flown, assumed, &state_of(first, &offsets), &mut random);
    let mut navigator = Navigator::new(filter, first.stamp_ns);
    for source in [AidSourceKind::Place, AidSourceKind::Barometer] {
        navigator.aids.get_mut(source).settings.gate = f64::INFINITY;
    }
    let dt_s = 1.0 / flown.imu_hz;
    let mut due =
        [1.0 / flown.fix_hz, 1.0 / flown.baro_hz, STEP_S].map(nanos_from_seconds).map(|interval_ns| (interval_ns, interval_ns));
    let mut is_due = |k: usize, stamp_ns: i64| {
        let (next_ns, interval_ns) = &mut due[k];
        let now = stamp_ns >= *next_ns;
        if now {
            *next_ns += (*interval_ns).max(1);
        }
        now
    };
    for (sample, truth) in flight.imu.iter().zip(flight.truth.iter().skip(1)) {
        offsets.walk(assumed, dt_s, &mut random);
        navigator.imu(sample);
        let stamp_ns = sample.stamp_ns;
        if is_due(0, stamp_ns) {
            let en_m = truth.position_m.xy() + offsets.map_m + random.pair() * flown.fix_sigma_m;
            let covariance = Matrix2::identity() * (flown.fix_sigma_m * flown.fix_sigma_m);
            let place = Place { en_m, covariance, lever_arm_m: Vector3::zeros() };
            out.innovations.extend(whitened(&navigator.filter, &place));
            navigator.measure(stamp_ns, &Observation::Place(place));
        }
        if is_due(1, stamp_ns) {
            let up_m = truth.position_m.z + offsets.baro_m + random.normal() * flown.baro_sigma_m;
            navigator.measure(stamp_ns, &Observation::Barometer(Barometer { up_m, sigma_m: flown.baro_sigma_m }));
        }
        if is_due(2, stamp_ns) {
            let error = state_of(truth, &offsets).minus(&navigator.filter.state);
            let covariance = &navigator.filter.covariance;
            out.nees.push([normalised::<3>(&error, covariance), normalised::<15>(&error, covariance)]);
            out.horizontal.push(normalised::<2>(&error, covariance));
        }
    }
    Ok(out)
}

/// Squared error of the first N states in units of their covariance; no number when that cannot be inverted.
fn normalised<const N: usize>(error: &ErrorState, covariance: &Covariance) -> f64 {
    let (error, covariance) = (error.fixed_rows::<N>(0).into_owned(), covariance.fixed_view::<N, N>(0, 0).into_owned());
    covariance.try_inverse().map_or(f64::NAN, |inverse| (error.transpose() * inverse * error)[(0, 0)])
}

/// The innovation of a place in units of its covariance.
fn whitened(filter: &Eskf, place: &Place) -> Option<Vector2<f64>> {
    let h = place.jacobian(&filter.state);
    let s = h * filter.covariance * h.transpose() + place.covariance();
    s.cholesky()?.l().solve_lower_triangular(&place.innovation(&filter.state))
}
