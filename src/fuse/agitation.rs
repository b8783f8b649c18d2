//! How restlessly an aircraft moves, by its IMU of late: what a gap of samples may have hidden.
//!
//! Force and turning are taken for random walks, whose change over a time T has the variance q T. What is known of q beforehand counts as
//! [`PRIOR_S`] of seeing it; what is seen fades over [`MEMORY_S`]. A manoeuvre is as short as that: of a hundred ways to weigh, these
//! told best what gaps cut into a recorded flight had hidden.

use nalgebra::Vector3;

use super::noise::NoiseDensities;
use crate::time::seconds_between;
use crate::types::ImuSample;

/// Changes are seen over at least this long, seconds: over less, vibration is most of them.
const SPAN_S: f64 = 0.095;
/// What is seen fades over this long, seconds.
const MEMORY_S: f64 = 0.5;
/// How long what is known beforehand counts as seen, seconds.
const PRIOR_S: f64 = 0.3;
/// Turning is smoother than a walk: the mean of two ends misses this share of the variance that a walk would leave.
const SMOOTH_TURN: f64 = 0.5;

/// What was seen of late.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Agitation {
    /// The sample that the next change is seen from.
    from: Option<ImuSample>,
    /// Sums of squared changes of the force, (m/s²)², and of the turning, (rad/s)², about the axes of the body.
    force: Vector3<f64>,
    turn: Vector3<f64>,
    /// The time that they were seen over, seconds.
    seen_s: f64,
}

impl Agitation {
    /// Sees a sample; one after a gap is seen whatever its distance.
    pub fn see(&mut self, sample: &ImuSample, after_gap: bool) {
        let Some(from) = self.from else {
            self.from = Some(*sample);
            return;
        };
        let over_s = seconds_between(from.stamp_ns, sample.stamp_ns);
        if over_s < SPAN_S && !after_gap {
            return;
        }
        let squared = |change: Vector3<f64>| change.component_mul(&change);
        let kept = (-over_s / MEMORY_S).exp();
        self.force = self.force * kept + squared(sample.accel_m_s2 - from.accel_m_s2);
        self.turn = self.turn * kept + squared(sample.gyro_rad_s - from.gyro_rad_s);
        self.seen_s = self.seen_s * kept + over_s;
        self.from = Some(*sample);
    }

    /// How force, (m/s³)²/Hz, and turning, (rad/s²)²/Hz, change about the axes of the body.
    pub fn densities_squared(&self, prior: &NoiseDensities) -> [Vector3<f64>; 2] {
        let of = |seen: Vector3<f64>, prior: [f64; 3]| {
            (seen + Vector3::from(prior.map(|density| density * density)) * PRIOR_S) / (self.seen_s + PRIOR_S)
        };
        [of(self.force, prior.gap_jerk), of(self.turn * SMOOTH_TURN, prior.gap_turn)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// Samples of a walk, 50 a second, each axis with a density of its own.
    fn walk(seconds: usize, force: [f64; 3], turn: [f64; 3]) -> Vec<ImuSample> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut step = |density: [f64; 3]| {
            Vector3::from(density.map(|d| {
                let normal: f64 = StandardNormal.sample(&mut random);
                d * 0.02f64.sqrt() * normal
            }))
        };
        let mut at = ImuSample { stamp_ns: 0, accel_m_s2: Vector3::new(0.0, 0.0, -9.8), gyro_rad_s: Vector3::zeros() };
        let mut next = || {
            at.stamp_ns += 20_000_000;
            at.accel_m_s2 += step(force);
            at.gyro_rad_s += step(turn);
            at
        };
        (0..50 * seconds).map(|_| next()).collect()
    }

    fn after(samples: &[ImuSample]) -> Agitation {
        let mut agitation = Agitation::default();
        samples.iter().for_each(|sample| agitation.see(sample, false));
        agitation
    }

    #[test]
    fn an_aircraft_that_was_not_seen_moves_as_was_known_beforehand_and_one_at_rest_less() {
        let noise = NoiseDensities::default();
        let known = [noise.gap_jerk, noise.gap_turn].map(|d| Vector3::from(d.map(|d| d * d)));
        assert_eq!(Agitation::default().densities_squared(&noise), known);
        let rest = after(&walk(10, [0.0; 3], [0.0; 3])).densities_squared(&noise);
        for (rest, known) in rest.iter().zip(&known) {
            assert!(rest.iter().zip(known).all(|(r, k)| *r < 0.5 * k && *r > 0.2 * k), "{rest} {known}");
        }
    }

    #[test]
    fn the_density_of_a_walk_is_found_and_soon_forgotten() {
        let noise = NoiseDensities::default();
        let (force, turn) = ([3.0, 10.0, 60.0], [1.0, 2.0, 4.0]);
        let restless = walk(200, force, turn);
        let mut mean = [Vector3::zeros(); 2];
        for end in 50..200 {
            let found = after(restless.get(..50 * end).unwrap_or_default()).densities_squared(&noise);
            mean.iter_mut().zip(found).for_each(|(mean, found)| *mean += found / 150.0);
        }
        for (found, walked) in [(mean[0], force.map(|d| d * d)), (mean[1] / SMOOTH_TURN, turn.map(|d| d * d))] {
            for (found, walked) in found.iter().zip(walked) {
                assert!(*found > 0.5 * walked && *found < 1.2 * walked, "{found} {walked}");
            }
        }
        let mut calm = after(&restless);
        let last = *restless.last().unwrap();
        (1..150).for_each(|i| calm.see(&ImuSample { stamp_ns: last.stamp_ns + i * 20_000_000, ..last }, false));
        assert!(calm.densities_squared(&noise)[0].z < noise.gap_jerk[2].powi(2));
    }

    #[test]
    fn what_changed_across_a_gap_is_seen_at_once() {
        let noise = NoiseDensities::default();
        let calm = walk(4, [0.1; 3], [0.1; 3]);
        let last = *calm.last().unwrap();
        let mut agitation = after(&calm);
        let before = agitation.densities_squared(&noise)[0].z;
        let pulled = ImuSample { stamp_ns: last.stamp_ns + 60_000_001, accel_m_s2: last.accel_m_s2 * 4.0, ..last };
        agitation.see(&pulled, true);
        assert!(agitation.densities_squared(&noise)[0].z > 10.0 * before);
    }
}
