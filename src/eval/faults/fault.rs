//! What goes wrong with a sensor, and what its samples are then.

use nalgebra::{Vector2, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::time::{NANOS_PER_SEC, seconds_between};
use crate::types::ImuSample;

/// The sensor that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensor {
    /// The inertial measurement unit.
    Imu,
    /// GNSS, which is on.
    Gnss,
}

impl Sensor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Imu, Self::Gnss];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imu => "imu",
            Self::Gnss => "gnss",
        }
    }
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It gives nothing.
    Off,
    /// It repeats its last sample.
    Stuck,
    /// It is off by the same all the time.
    Bias,
    /// It is off by more and more, up to that.
    Drift,
    /// It is off by noise of that 1 sigma.
    Noise,
    /// Twice a second (GNSS: every third position) one sample is off by ten times that.
    Spike,
    /// Any number that the sensor can give.
    Garbage,
    /// What it gives was true a second ago.
    Late,
    /// It comes and goes, each for half a second (GNSS: a second).
    Intermittent,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Off,
        Self::Stuck,
        Self::Bias,
        Self::Drift,
        Self::Noise,
        Self::Spike,
        Self::Garbage,
        Self::Late,
        Self::Intermittent,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Stuck => "stuck",
            Self::Bias => "bias",
            Self::Drift => "drift",
            Self::Noise => "noise",
            Self::Spike => "spike",
            Self::Garbage => "garbage",
            Self::Late => "late",
            Self::Intermittent => "intermittent",
        }
    }
}

/// How far off a faulty accelerometer is, m/s², along one axis; a gyroscope, rad/s, about one.
const IMU_OFF: (f64, f64) = (5.0, 0.5);
/// What an accelerometer, m/s², and a gyroscope, rad/s, can give.
const IMU_RANGE: (f64, f64) = (160.0, 35.0);
/// How far off faulty GNSS is, metres.
const GNSS_OFF_M: f64 = 40.0;
/// How far garbage of GNSS lies, metres.
const GNSS_RANGE_M: f64 = 50_000.0;
/// Spikes are so many times larger than what else is off.
const SPIKE: f64 = 10.0;
/// How late a late sensor is, nanoseconds.
const LATE_NS: i64 = NANOS_PER_SEC;

/// When a fault lasts, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// From here,
    pub onset_ns: i64,
    /// up to here.
    pub end_ns: i64,
}

impl Span {
    /// Whether a stamp lies within.
    pub fn holds(&self, stamp_ns: i64) -> bool {
        (self.onset_ns..self.end_ns).contains(&stamp_ns)
    }

    /// What share of it has gone by, 0..1.
    fn share(&self, stamp_ns: i64) -> f64 {
        seconds_between(self.onset_ns, stamp_ns) / seconds_between(self.onset_ns, self.end_ns)
    }

    fn period(&self, stamp_ns: i64, period_ns: i64) -> i64 {
        stamp_ns.saturating_sub(self.onset_ns) / period_ns
    }
}

struct Random(ChaCha8Rng);

impl Random {
    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    fn vector(&mut self) -> Vector3<f64> {
        Vector3::new(self.normal(), self.normal(), self.normal())
    }

    /// Between −1 and 1.
    fn even(&mut self) -> f64 {
        2.0 * self.0.random::<f64>() - 1.0
    }
}

/// The samples of an IMU that fails meanwhile. Which axes are off follows from the seed: of 3, the gyroscope's z and the accelerometer's x.
pub fn imu(fault: Fault, clean: &[ImuSample], span: Span, seed: u64) -> Vec<ImuSample> {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed ^ 0x0fa1_1f00));
    let axis = |at: u64| {
        let mut axis = Vector3::zeros();
        axis[(at % 3) as usize] = 1.0;
        axis
    };
    let (accel, gyro) = (axis(seed) * IMU_OFF.0, axis(seed + 2) * IMU_OFF.1);
    let before = clean.iter().rev().find(|s| s.stamp_ns < span.onset_ns).or(clean.first());
    let mut spiked = -1;
    let mut out = Vec::new();
    for sample in clean {
        if !span.holds(sample.stamp_ns) {
            out.push(*sample);
            continue;
        }
        let off = |times: f64| ImuSample {
            accel_m_s2: sample.accel_m_s2 + accel * times,
            gyro_rad_s: sample.gyro_rad_s + gyro * times,
            ..*sample
        };
        let given = match fault {
            Fault::Off => None,
            Fault::Stuck => before.map(|b| ImuSample { stamp_ns: sample.stamp_ns, ..*b }),
            Fault::Bias => Some(off(1.0)),
            Fault::Drift => Some(off(span.share(sample.stamp_ns))),
            Fault::Noise => Some(ImuSample {
                accel_m_s2: sample.accel_m_s2 + random.vector() * IMU_OFF.0,
                gyro_rad_s: sample.gyro_rad_s + random.vector() * IMU_OFF.1,
                ..*sample
            }),
            Fault::Spike => {
                let period = span.period(sample.stamp_ns, NANOS_PER_SEC / 2);
                let first = std::mem::replace(&mut spiked, period) != period;
                Some(if first { off(SPIKE) } else { *sample })
            }
            Fault::Garbage => {
                let mut any = |most: f64| Vector3::new(random.even(), random.even(), random.even()) * most;
                Some(ImuSample { accel_m_s2: any(IMU_RANGE.0), gyro_rad_s: any(IMU_RANGE.1), ..*sample })
            }
            Fault::Late => {
                let at = clean.partition_point(|s| s.stamp_ns < sample.stamp_ns.saturating_sub(LATE_NS));
                clean.get(at).map(|then| ImuSample { stamp_ns: sample.stamp_ns, ..*then })
            }
            Fault::Intermittent => Some(*sample).filter(|s| span.period(s.stamp_ns, NANOS_PER_SEC / 2) % 2 == 1),
        };
        out.extend(given);
    }
    out
}

/// A position of GNSS: when, and where, metres east and north.
pub type GnssPoint = (i64, Vector2<f64>);

/// The positions of GNSS that fails meanwhile.
pub fn gnss(fault: Fault, clean: &[GnssPoint], span: Span, seed: u64) -> Vec<GnssPoint> {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed ^ 0x0fa1_16e5));
    let (sin, cos) = (random.even() * std::f64::consts::PI).sin_cos();
    let off_m = Vector2::new(sin, cos) * GNSS_OFF_M;
    let before = clean.iter().rev().find(|(stamp_ns, _)| *stamp_ns < span.onset_ns).or(clean.first());
    let mut out = Vec::new();
    for (number, &(stamp_ns, at_m)) in clean.iter().enumerate() {
        if !span.holds(stamp_ns) {
            out.push((stamp_ns, at_m));
            continue;
        }
        let given = match fault {
            Fault::Off => None,
            Fault::Stuck => before.map(|(_, at_m)| *at_m),
            Fault::Bias => Some(at_m + off_m),
            Fault::Drift => Some(at_m + off_m * span.share(stamp_ns)),
            Fault::Noise => Some(at_m + Vector2::new(random.normal(), random.normal()) * GNSS_OFF_M),
            Fault::Spike => Some(if number % 3 == 0 { at_m + off_m * SPIKE } else { at_m }),
            Fault::Garbage => Some(Vector2::new(random.even(), random.even()) * GNSS_RANGE_M),
            Fault::Late => {
                let then = clean.partition_point(|(t, _)| *t < stamp_ns.saturating_sub(LATE_NS));
                clean.get(then).map(|(_, at_m)| *at_m)
            }
            Fault::Intermittent => Some(at_m).filter(|_| span.period(stamp_ns, NANOS_PER_SEC) % 2 == 1),
        };
        out.extend(given.map(|at_m| (stamp_ns, at_m)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { onset_ns: 2 * NANOS_PER_SEC, end_ns: 10 * NANOS_PER_SEC };

    fn clean() -> Vec<ImuSample> {
        let sample = |i: i64| ImuSample {
            stamp_ns: i * NANOS_PER_SEC / 50,
            gyro_rad_s: Vector3::zeros(),
            accel_m_s2: Vector3::new(0.0, 0.0, -9.8 + 1e-4 * i as f64),
        };
        (1..=600).map(sample).collect()
    }

    #[test]
    fn samples_outside_of_the_fault_are_as_they_were_and_those_within_are_not() {
        let clean = clean();
        for fault in Fault::ALL {
            let faulty = imu(fault, &clean, SPAN, 3);
            let outside = |samples: &[ImuSample]| -> Vec<ImuSample> {
                samples.iter().filter(|s| !SPAN.holds(s.stamp_ns)).copied().collect()
            };
            assert_eq!(outside(&faulty), outside(&clean), "{fault:?}");
            assert_ne!(faulty, clean, "{fault:?}");
            assert_eq!(faulty, imu(fault, &clean, SPAN, 3), "{fault:?}");
            assert!(faulty.windows(2).all(|w| w[0].stamp_ns < w[1].stamp_ns), "{fault:?}");
        }
        let bias = imu(Fault::Bias, &clean, SPAN, 3);
        assert_eq!((bias[200].accel_m_s2.x, bias[200].gyro_rad_s.z), IMU_OFF);
        let spikes = imu(Fault::Spike, &clean, SPAN, 3).iter().filter(|s| s.gyro_rad_s.z > 1.0).count();
        assert_eq!(spikes, 16);
    }

    #[test]
    fn gnss_fails_in_as_many_ways() {
        let clean: Vec<GnssPoint> = (1..=60).map(|i| (i * NANOS_PER_SEC / 5, Vector2::new(2.4 * i as f64, 0.0))).collect();
        for fault in Fault::ALL {
            let faulty = gnss(fault, &clean, SPAN, 5);
            assert_ne!(faulty, clean, "{fault:?}");
            assert!(
                faulty.iter().filter(|(t, _)| !SPAN.holds(*t)).eq(clean.iter().filter(|(t, _)| !SPAN.holds(*t))),
                "{fault:?}"
            );
        }
        assert_eq!(gnss(Fault::Late, &clean, SPAN, 5)[30].1.x, clean[25].1.x);
    }
}
