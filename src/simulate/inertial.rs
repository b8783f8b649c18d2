//! Flights for a filter alone: the motion, an IMU that integrates it exactly, and nothing to see.

use nalgebra::{UnitQuaternion, Vector3};

use super::SimulateError;
use super::settings::Settings;
use super::telemetry::Noise;
use super::trajectory::{Flight, GRAVITY_M_S2};
use crate::time::nanos_from_seconds;
use crate::types::ImuSample;

/// Gravity of simulated flights, m/s².
pub const GRAVITY: f64 = GRAVITY_M_S2;

/// The truth at a sample of the IMU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// Time, nanoseconds since the start.
    pub stamp_ns: i64,
    /// Position, metres east, north, up.
    pub position_m: Vector3<f64>,
    /// Velocity, m/s.
    pub velocity_m_s: Vector3<f64>,
    /// Attitude.
    pub enu_from_body: UnitQuaternion<f64>,
    /// Bias of the accelerometers, m/s², body frame.
    pub accel_bias_m_s2: Vector3<f64>,
    /// Bias of the gyroscopes, rad/s, body frame.
    pub gyro_bias_rad_s: Vector3<f64>,
}

/// A flight: the truth at the start and at each sample, and the samples.
#[derive(Clone, Debug, PartialEq)]
pub struct InertialFlight {
    /// One more than there are samples.
    pub truth: Vec<Truth>,
    /// The IMU: each sample the means since the one before.
    pub imu: Vec<ImuSample>,
}

/// Simulates the flight of some settings, of which those of motion and IMU and the seed matter.
///
/// # Errors
/// When settings make no sense.
pub fn inertial_flight(settings: &Settings) -> Result<InertialFlight, SimulateError> {
    settings.check()?;
    let flight = Flight::new(settings, (0.0, 0.0));
    let dt = 1.0 / settings.imu_hz;
    let grade = settings.imu;
    let mut noise = Noise::new(settings.seed, 5);
    let at = |t_s: f64, accel_bias_m_s2, gyro_bias_rad_s| Truth {
        stamp_ns: nanos_from_seconds(t_s),
        position_m: flight.position(t_s),
        velocity_m_s: flight.velocity(t_s),
        enu_from_body: flight.attitude(t_s),
        accel_bias_m_s2,
        gyro_bias_rad_s,
    };
    let mut last = at(0.0, noise.vector() * grade.accel_bias, noise.vector() * grade.gyro_bias);
    let mut out = InertialFlight { truth: vec![last], imu: Vec::new() };
    for step in 1..=(settings.duration_s * settings.imu_hz).floor() as u64 {
        let next = at(
            step as f64 * dt,
            last.accel_bias_m_s2 + noise.vector() * (grade.accel_walk * dt.sqrt()),
            last.gyro_bias_rad_s + noise.vector() * (grade.gyro_walk * dt.sqrt()),
        );
        let turn = (last.enu_from_body.inverse() * next.enu_from_body).scaled_axis();
        let halfway = last.enu_from_body * UnitQuaternion::from_scaled_axis(turn * 0.5);
        let push = (next.velocity_m_s - last.velocity_m_s) / dt + Vector3::new(0.0, 0.0, GRAVITY_M_S2);
        out.imu.push(ImuSample {
            stamp_ns: next.stamp_ns,
            gyro_rad_s: turn / dt + last.gyro_bias_rad_s + noise.vector() * (grade.gyro_noise / dt.sqrt()),
            accel_m_s2: halfway.inverse() * push + last.accel_bias_m_s2 + noise.vector() * (grade.accel_noise / dt.sqrt()),
        });
        out.truth.push(next);
        last = next;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::state::Covariance;
    use crate::fuse::{Eskf, NoiseDensities, State};
    use crate::simulate::ImuGrade;

    #[test]
    fn a_perfect_imu_leads_the_filter_along_the_flight() {
        let settings = Settings { duration_s: 60.0, imu: ImuGrade::PERFECT, ..Settings::default() };
        let flight = inertial_flight(&settings).unwrap();
        let start = flight.truth[0];
        let state = State { velocity_m_s: start.velocity_m_s, ..State::at(start.position_m, start.enu_from_body) };
        let mut filter = Eskf::new(state, Covariance::identity(), GRAVITY, NoiseDensities::default());
        for (sample, truth) in flight.imu.iter().zip(&flight.truth[1..]) {
            filter.predict(&sample.accel_m_s2, &sample.gyro_rad_s, 1.0 / settings.imu_hz);
            assert!((filter.state.position_m - truth.position_m).norm() < 5e-3);
            assert!(filter.state.enu_from_body.angle_to(&truth.enu_from_body) < 1e-6);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_flight() {
        let flown = |seed| inertial_flight(&Settings { duration_s: 5.0, seed, ..Settings::default() }).unwrap();
        assert_eq!(flown(3), flown(3));
        assert!(flown(3).imu[0] != flown(4).imu[0]);
    }
}
