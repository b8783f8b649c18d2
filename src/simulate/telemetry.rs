//! The other sensors: IMU, height, heading, attitude, each with the errors of its settings.

use super::settings::{ImuGrade, Settings};
use super::trajectory::Flight;
use crate::geo::EnuPlane;
use crate::time::nanos_from_seconds;
use crate::types::{AttitudeSample, BarometerSample, GnssSample, HeadingSample, HeightSample, ImuSample, TelemetryBatch};
use nalgebra::{UnitQuaternion, Vector3};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// Rate of height, heading and attitude, hertz.
const SLOW_HZ: f64 = 10.0;

/// What all sensors say from the start to `end_s`.
pub(crate) fn batch(settings: &Settings, plane: &EnuPlane, flight: &Flight, end_s: f64) -> TelemetryBatch {
    let ns = nanos_from_seconds;
    let (heading_sigma_rad, attitude_sigma_rad) =
        (settings.heading_sigma_deg.to_radians(), settings.attitude_sigma_deg.to_radians());
    let height = |(t, height_agl_m)| HeightSample { stamp_ns: ns(t), height_agl_m, sigma_m: settings.height_sigma_m };
    let heading =
        |(t, deg): (f64, f64)| HeadingSample { stamp_ns: ns(t), heading_rad: deg.to_radians(), sigma_rad: heading_sigma_rad };
    let attitude = |(t, enu_from_body)| AttitudeSample { stamp_ns: ns(t), enu_from_body, sigma_rad: attitude_sigma_rad };
    let gnss = |(t, e, n)| {
        let (lat_deg, lon_deg) = plane.lat_lon_from_ground(e, n);
        GnssSample { stamp_ns: ns(t), lat_deg, lon_deg, sigma_m: GNSS_SIGMA_M }
    };
    TelemetryBatch {
        imu: imu(settings, flight, end_s),
        height: heights(settings, flight, end_s).into_iter().map(height).collect(),
        heading: headings(settings, flight, end_s).into_iter().map(heading).collect(),
        attitude: attitudes(settings, flight, end_s).into_iter().map(attitude).collect(),
        barometer: pressure_heights(settings, flight, end_s)
            .into_iter()
            .map(|(t, alt_m)| BarometerSample { stamp_ns: ns(t), alt_m, sigma_m: BAROMETER_SIGMA_M })
            .collect(),
        gnss: gnss_positions(settings, flight, end_s).into_iter().map(gnss).collect(),
        ..TelemetryBatch::default()
    }
}

/// A stream of standard normal numbers of its own for each sensor, so that settings of one do not change another.
pub(crate) struct Noise(ChaCha8Rng);

impl Noise {
    pub fn new(seed: u64, sensor: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(super::noise::mix(seed ^ (sensor << 32))))
    }

    pub fn next(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    pub fn vector(&mut self) -> Vector3<f64> {
        Vector3::new(self.next(), self.next(), self.next())
    }
}

/// The IMU from the start to `end_s`.
pub(crate) fn imu(settings: &Settings, flight: &Flight, end_s: f64) -> Vec<ImuSample> {
    let ImuGrade { gyro_noise, gyro_walk, gyro_bias, accel_noise, accel_walk, accel_bias } = settings.imu;
    let dt = 1.0 / settings.imu_hz;
    let mut noise = Noise::new(settings.seed, 1);
    let (mut gyro_offset, mut accel_offset) = (gyro_bias * noise.vector(), accel_bias * noise.vector());
    (0..=(end_s / dt).floor() as u64)
        .map(|i| {
            let t_s = i as f64 * dt;
            gyro_offset += gyro_walk * dt.sqrt() * noise.vector();
            accel_offset += accel_walk * dt.sqrt() * noise.vector();
            ImuSample {
                stamp_ns: nanos_from_seconds(t_s),
                gyro_rad_s: flight.angular_rate(t_s) + gyro_offset + gyro_noise / dt.sqrt() * noise.vector(),
                accel_m_s2: flight.specific_force(t_s) + accel_offset + accel_noise / dt.sqrt() * noise.vector(),
            }
        })
        .collect()
}

/// Height above ground: white noise and a slow drift, as a barometer's, each of 0.7 of the stated sigma.
fn heights(settings: &Settings, flight: &Flight, end_s: f64) -> Vec<(f64, f64)> {
    let mut noise = Noise::new(settings.seed, 2);
    let mut drift = settings.height_sigma_m * 0.7 * noise.next();
    // A first-order process of 60 s.
    let keep = (-1.0 / (SLOW_HZ * 60.0)).exp();
    times(end_s)
        .map(|t| {
            drift = keep * drift + (1.0 - keep * keep).sqrt() * settings.height_sigma_m * 0.7 * noise.next();
            (t, flight.position(t).z + drift + settings.height_sigma_m * 0.7 * noise.next())
        })
        .collect()
}

/// Heading, degrees in 0..360: white noise and a constant error, as a compass's.
fn headings(settings: &Settings, flight: &Flight, end_s: f64) -> Vec<(f64, f64)> {
    let mut noise = Noise::new(settings.seed, 3);
    let constant = 0.8 * settings.heading_sigma_deg * flight.offset(1);
    times(end_s)
        .map(|t| {
            let heading = flight.heading(t).to_degrees() + constant + 0.7 * settings.heading_sigma_deg * noise.next();
            (t, heading.rem_euclid(360.0))
        })
        .collect()
}

/// Attitude of the airframe, `enu_from_body`, with white noise about each axis.
fn attitudes(settings: &Settings, flight: &Flight, end_s: f64) -> Vec<(f64, UnitQuaternion<f64>)> {
    let mut noise = Noise::new(settings.seed, 4);
    times(end_s)
        .map(|t| {
            let error = settings.attitude_sigma_deg.to_radians() * noise.vector();
            (t, flight.attitude(t) * UnitQuaternion::from_scaled_axis(error))
        })
        .collect()
}

/// 1 sigma of the barometer's white noise, metres.
const BAROMETER_SIGMA_M: f64 = 0.3;

/// Height by air pressure: white noise on a level of its own that drifts by 2 m in ten minutes.
fn pressure_heights(settings: &Settings, flight: &Flight, end_s: f64) -> Vec<(f64, f64)> {
    let mut noise = Noise::new(settings.seed, 6);
    let (zero, mut drift) = (200.0 + 50.0 * noise.next(), 0.0);
    let keep = (-1.0 / (SLOW_HZ * 600.0)).exp();
    times(end_s)
        .map(|t| {
            drift = keep * drift + (1.0 - keep * keep).sqrt() * 2.0 * noise.next();
            (t, zero + flight.position(t).z + drift + BAROMETER_SIGMA_M * noise.next())
        })
        .collect()
}

/// Seconds between positions of GNSS.
const GNSS_INTERVAL_S: f64 = 0.5;
/// 1 sigma an axis of a position of GNSS, metres.
const GNSS_SIGMA_M: f64 = 2.0;

/// Positions by GNSS, metres east and north: white noise and, as large, an error that lasts for a minute.
fn gnss_positions(settings: &Settings, flight: &Flight, end_s: f64) -> Vec<(f64, f64, f64)> {
    let mut noise = Noise::new(settings.seed, 7);
    let share = GNSS_SIGMA_M * std::f64::consts::FRAC_1_SQRT_2;
    let keep = (-GNSS_INTERVAL_S / 60.0).exp();
    let mut lasting = share * noise.vector();
    (0..=(end_s / GNSS_INTERVAL_S).floor() as u64)
        .map(|i| {
            let t = i as f64 * GNSS_INTERVAL_S;
            lasting = keep * lasting + (1.0 - keep * keep).sqrt() * share * noise.vector();
            let p = flight.position(t) + lasting + share * noise.vector();
            (t, p.x, p.y)
        })
        .collect()
}

fn times(end_s: f64) -> impl Iterator<Item = f64> {
    (0..=(end_s * SLOW_HZ).floor() as u64).map(|i| i as f64 / SLOW_HZ)
}
