//! GNSS made as poor as fixes on a map are: sparse, noisy, late and sometimes wrong. And the start that every filter gets.

use nalgebra::{UnitQuaternion, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::data::Recorded;
use crate::time::nanos_from_seconds;

/// How poor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Degraded {
    /// Seconds between fixes.
    pub interval_s: f64,
    /// 1 sigma an axis, metres.
    pub sigma_m: f64,
    /// How late they come, seconds, evenly spread between the two.
    pub late_s: [f64; 2],
    /// Share of wrong fixes.
    pub outliers: f64,
    /// How far off those are, metres, evenly spread between the two, horizontally.
    pub outlier_m: [f64; 2],
}

impl Default for Degraded {
    fn default() -> Self {
        Self { interval_s: 1.0, sigma_m: 10.0, late_s: [0.3, 1.5], outliers: 0.05, outlier_m: [50.0, 500.0] }
    }
}

/// A fix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LateFix {
    /// Time of validity, nanoseconds.
    pub stamp_ns: i64,
    /// When it becomes known, nanoseconds.
    pub published_ns: i64,
    /// Metres east, north, up.
    pub position_m: Vector3<f64>,
}

/// What every filter knows when the scoring begins: GNSS was intact until then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// Time, nanoseconds.
    pub stamp_ns: i64,
    /// Metres east, north, up.
    pub position_m: Vector3<f64>,
    /// m/s.
    pub velocity_m_s: Vector3<f64>,
    /// Attitude: the reference's, off by errors of the sigmas below.
    pub enu_from_body: UnitQuaternion<f64>,
    /// Gravity, m/s².
    pub gravity_m_s2: f64,
}

/// 1 sigma at the start: position, m; velocity, m/s; roll and pitch, rad; heading, rad.
pub const START_SIGMAS: [f64; 4] = [3.0, 0.5, 0.087, 0.175];

/// Numbers that follow a Gaussian.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

/// The start, and the fixes after it.
pub fn degrade(flight: &Recorded, how: &Degraded, from_ns: i64, until_ns: i64, seed: u64) -> Option<(Start, Vec<LateFix>)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let first = flight.gnss.iter().find(|p| p.stamp_ns >= from_ns)?;
    let (_, reference) = flight.attitude.iter().min_by_key(|(stamp_ns, _)| (stamp_ns - first.stamp_ns).abs())?;
    let [_, _, tilt, heading] = START_SIGMAS;
    let error = Vector3::new(tilt * normal(&mut random), tilt * normal(&mut random), heading * normal(&mut random));
    let start = Start {
        stamp_ns: first.stamp_ns,
        position_m: first.position_m,
        velocity_m_s: first.velocity_m_s,
        enu_from_body: UnitQuaternion::from_scaled_axis(error) * reference,
        gravity_m_s2: crate::fuse::state::gravity_m_s2(flight.lat_deg),
    };
    let interval_ns = nanos_from_seconds(how.interval_s).max(1);
    let mut next_ns = first.stamp_ns.saturating_add(interval_ns);
    let mut fixes = Vec::new();
    let between = |[low, high]: [f64; 2], random: &mut ChaCha8Rng| low + (high - low) * random.random::<f64>();
    for point in flight.gnss.iter().filter(|p| p.stamp_ns <= until_ns) {
        if point.stamp_ns < next_ns {
            continue;
        }
        next_ns = next_ns.saturating_add(interval_ns);
        let noise = Vector3::from_fn(|_, _| how.sigma_m * normal(&mut random));
        let late_s = between(how.late_s, &mut random);
        let (sin, cos) = (random.random::<f64>() * std::f64::consts::TAU).sin_cos();
        let far_m = between(how.outlier_m, &mut random);
        let wrong = if random.random::<f64>() < how.outliers { Vector3::new(sin, cos, 0.0) * far_m } else { Vector3::zeros() };
        fixes.push(LateFix {
            stamp_ns: point.stamp_ns,
            published_ns: point.stamp_ns.saturating_add(nanos_from_seconds(late_s)),
            position_m: point.position_m + noise + wrong,
        });
    }
    Some((start, fixes))
}

#[cfg(test)]
mod tests {
    use super::super::data::GnssPoint;
    use super::*;

    fn flight() -> Recorded {
        let point = |i: i64| GnssPoint {
            stamp_ns: i * 100_000_000,
            position_m: Vector3::new(i as f64, 0.0, 50.0),
            velocity_m_s: Vector3::new(10.0, 0.0, 0.0),
        };
        Recorded {
            imu: Vec::new(),
            gnss: (0..20_000).map(point).collect(),
            attitude: vec![(0, UnitQuaternion::identity())],
            lat_deg: 45.0,
        }
    }

    #[test]
    fn fixes_are_as_sparse_noisy_late_and_wrong_as_asked() {
        let how = Degraded::default();
        let (start, fixes) = degrade(&flight(), &how, 0, i64::MAX, 4).unwrap();
        assert_eq!((start.stamp_ns, fixes.len()), (0, 1999));
        assert!(fixes.windows(2).all(|w| w[1].stamp_ns - w[0].stamp_ns == 1_000_000_000));
        let errors: Vec<Vector3<f64>> =
            fixes.iter().map(|f| f.position_m - Vector3::new(f.stamp_ns as f64 / 1e8, 0.0, 50.0)).collect();
        let far = errors.iter().filter(|e| e.xy().norm() > 45.0).count();
        assert!((70..130).contains(&far), "{far} of 1999 are wrong");
        let vertical = (errors.iter().map(|e| e.z * e.z).sum::<f64>() / errors.len() as f64).sqrt();
        assert!((vertical - how.sigma_m).abs() < 0.6, "{vertical}");
        assert!(errors.iter().all(|e| e.xy().norm() < 560.0));
        for late_s in fixes.iter().map(|f| (f.published_ns - f.stamp_ns) as f64 * 1e-9) {
            assert!((0.3..1.5).contains(&late_s));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_fixes_and_another_one_others() {
        let of = |seed| degrade(&flight(), &Degraded::default(), 0, i64::MAX, seed);
        assert_eq!(of(1), of(1));
        assert!(of(1) != of(2));
        assert!(degrade(&flight(), &Degraded::default(), i64::MAX, i64::MAX, 1).is_none());
    }
}
