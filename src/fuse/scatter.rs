//! How noisy an IMU is of late: how far each sample lies off the line through its neighbours.
//!
//! The second difference of white noise has six times its variance, and hardly sees how an aircraft moves. Up to [`ALLOWED`] times the noise that
//! the filter is told, nothing changes; what is beyond is taken as noise of these samples, so that a sensor that rattles teaches neither its bias
//! nor the attitude.

use nalgebra::Vector3;

use super::noise::NoiseDensities;
use crate::time::seconds_between;
use crate::types::ImuSample;

/// So many times the standard deviation that the filter is told is no excess: vibration.
const ALLOWED: f64 = 3.0;
/// What is seen fades over this long, seconds.
const MEMORY_S: f64 = 0.25;
/// Samples farther apart than this are no neighbours, seconds.
const LONGEST_STEP_S: f64 = 0.06;
/// Variance of a second difference of white noise over that of the noise.
const OF_SECOND_DIFFERENCE: f64 = 6.0;

/// What was seen of late.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Scatter {
    /// The two samples before.
    before: [Option<ImuSample>; 2],
    /// Variance an axis of force, (m/s²)², and of turning, (rad/s)².
    variances: [f64; 2],
}

impl Scatter {
    /// Sees a sample. Gives the variance an axis of the velocity, (m/s)², and of the attitude, rad², that the excess leaves in it.
    pub fn excess(&mut self, sample: &ImuSample, told: &NoiseDensities) -> [f64; 2] {
        let [older, last] = self.before;
        self.before = [last, Some(*sample)];
        let (Some(older), Some(last)) = (older, last) else { return [0.0; 2] };
        let (step_s, dt_s) = (seconds_between(older.stamp_ns, last.stamp_ns), seconds_between(last.stamp_ns, sample.stamp_ns));
        if step_s > LONGEST_STEP_S || !(dt_s > 0.0 && dt_s <= LONGEST_STEP_S) {
            self.variances = [0.0; 2];
            return [0.0; 2];
        }
        let of = |axes: fn(&ImuSample) -> Vector3<f64>| {
            (axes(sample) - axes(&last) * 2.0 + axes(&older)).norm_squared() / (3.0 * OF_SECOND_DIFFERENCE)
        };
        let seen = [of(|s| s.accel_m_s2), of(|s| s.gyro_rad_s)];
        let kept = (-dt_s / MEMORY_S).exp();
        for (variance, seen) in self.variances.iter_mut().zip(seen) {
            *variance = *variance * kept + seen * (1.0 - kept);
        }
        let [force, turn] = self.variances;
        let beyond = |variance: f64, density: f64| (variance - (ALLOWED * density).powi(2) / dt_s).max(0.0) * dt_s * dt_s;
        [beyond(force, told.accel), beyond(turn, told.gyro)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// The excess after a second at 200 Hz of an aircraft that turns and speeds up, with noise an axis of so much.
    fn after_a_second(force: f64, turn: f64) -> [f64; 2] {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut noise = |sigma: f64| {
            Vector3::from_fn(|_, _| {
                let normal: f64 = StandardNormal.sample(&mut random);
                sigma * normal
            })
        };
        let mut scatter = Scatter::default();
        let mut excess = [0.0; 2];
        for k in 0..200 {
            let t_s = f64::from(k) * 0.005;
            let accel_m_s2 = Vector3::new(8.0 * (6.0 * t_s).sin(), 0.0, -9.8) + noise(force);
            let gyro_rad_s = Vector3::new(0.0, 2.0 * (6.0 * t_s).sin(), 0.3) + noise(turn);
            let sample = ImuSample { stamp_ns: i64::from(k) * 5_000_000, accel_m_s2, gyro_rad_s };
            excess = scatter.excess(&sample, &NoiseDensities::default());
        }
        excess
    }

    #[test]
    fn motion_and_the_noise_that_is_told_are_no_excess() {
        assert_eq!(after_a_second(0.0, 0.0), [0.0; 2]);
        let told = NoiseDensities::default();
        assert_eq!(after_a_second(2.0 * told.accel / 0.005f64.sqrt(), 2.0 * told.gyro / 0.005f64.sqrt()), [0.0; 2]);
    }

    #[test]
    fn noise_beyond_is_found() {
        let [velocity, attitude] = after_a_second(5.0, 0.5).map(|v| v.sqrt() / 0.005);
        assert!((velocity - 5.0).abs() < 1.5 && (attitude - 0.5).abs() < 0.15, "{velocity} {attitude}");
    }
}
