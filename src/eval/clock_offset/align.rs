//! The offset at which gyroscope and picture agree best.

use std::f64::consts::PI;

use nalgebra::{UnitQuaternion, Vector3};
use rayon::prelude::*;

use super::motion::Motion;
use crate::geo::heading_pitch_roll;
use crate::time::{NANOS_PER_SEC, nanos_from_seconds, seconds_between};
use crate::types::{AttitudeSample, Camera, ImuSample, Mounting, TelemetryBatch};

/// Step of the first search, seconds.
const STEP_S: f64 = 0.005;
/// Half the base over which the peak's curvature is taken, seconds.
const CURVATURE_S: f64 = 0.02;
/// Frames further apart than this are too few for turns to be followed, seconds.
const MAX_INTERVAL_S: f64 = 0.25;
/// Fewer pairs say nothing.
const MIN_PAIRS: usize = 30;
/// A gap in the gyroscope's samples longer than this cannot be integrated over, nanoseconds.
const MAX_GYRO_GAP_NS: i64 = NANOS_PER_SEC / 10;
/// Picture and gyroscope that correlate less than this at their best do not belong together.
const MIN_CORRELATION: f64 = 0.5;
/// An estimate less certain than this is none, seconds.
const MAX_SIGMA_S: f64 = 0.05;
/// Another peak further away than this whose likelihood is nearly as high makes the estimate ambiguous, seconds.
const PEAK_WIDTH_S: f64 = 0.15;
/// How much lower it has to be, as a difference of log likelihoods: a factor of 400.
const CLEAR: f64 = 6.0;
/// Half the time over which stated headings, which are noisy, correct the integrated rate, seconds.
const HEADING_SMOOTHING_S: f64 = 1.6;
/// Shifts come from translation too, which changes slowly: what is slower than this is taken out of them, seconds.
const SLOW_S: f64 = 1.0;

/// The offset between two clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockOffset {
    /// Telemetry stamp minus video stamp of the same instant, seconds.
    pub telemetry_minus_video_s: f64,
    /// 1 sigma, seconds.
    pub sigma_s: f64,
    /// Correlation of the picture's rotation with the gyroscope's at this offset.
    pub correlation: f64,
    /// Pairs of frames that were used.
    pub pairs: usize,
}

/// Why there is no estimate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClockOffsetError {
    /// No gyroscope.
    #[error("there is no gyroscope in the telemetry (imu.csv); the offset cannot be estimated without one")]
    NoGyro,
    /// Frames too far apart.
    #[error(
        "frames are {interval_s:.2} s apart, too sparse to follow the turns: use the video, or at least {} frames a second",
        (1.0 / MAX_INTERVAL_S).round()
    )]
    TooSparse {
        /// Median time between frames.
        interval_s: f64,
    },
    /// Too few pairs of frames could be registered and have gyroscope samples around them.
    #[error(
        "only {pairs} pairs of frames are usable, and {MIN_PAIRS} are needed: use a longer piece, over textured ground, that the telemetry covers"
    )]
    TooFew {
        /// Usable pairs.
        pairs: usize,
    },
    /// The flight does not turn enough.
    #[error(
        "the flight turns too little to tell: {rate_deg_s:.2}°/s (root mean square) leave the offset open by {:.0} ms; use a piece with turns",
        sigma_s * 1e3
    )]
    TooLittleRotation {
        /// Root mean square of the gyroscope's rate about the optical axis, degrees per second.
        rate_deg_s: f64,
        /// 1 sigma that the estimate would have.
        sigma_s: f64,
    },
    /// Picture and gyroscope have nothing in common.
    #[error(
        "picture and gyroscope do not move alike at any offset (correlation {correlation:.2}); is the telemetry of this flight, and are mounting and body_from_camera right?"
    )]
    Disagree {
        /// The best correlation.
        correlation: f64,
    },
    /// Two offsets fit.
    #[error("both {first_s:+.2} s and {second_s:+.2} s fit; use a piece whose turns do not repeat")]
    Ambiguous {
        /// The better one.
        first_s: f64,
        /// The other.
        second_s: f64,
    },
    /// The best offset lies at the end of the search.
    #[error("the offset lies beyond ±{limit_s} s; search further, or check the clocks")]
    AtTheLimit {
        /// The limit.
        limit_s: f64,
    },
}

/// A channel of the picture with its gyroscope: rates of the picture for each pair, and the gyroscope's angle.
struct Channel {
    picture: Vec<f64>,
    angle: Angle,
    slow: bool,
}

/// An angle as the integral of a rate: stamps and radians.
struct Angle(Vec<(i64, f64)>);

impl Angle {
    fn of(rates: impl Iterator<Item = (i64, f64)>) -> Self {
        let mut out: Vec<(i64, f64)> = Vec::new();
        let (mut angle, mut last) = (0.0, None);
        for (stamp, rate) in rates {
            if let Some((before, rate_before)) = last {
                angle += 0.5 * (rate + rate_before) * seconds_between(before, stamp);
            }
            last = Some((stamp, rate));
            out.push((stamp, angle));
        }
        Self(out)
    }

    fn at(&self, stamp_ns: i64) -> f64 {
        let after = self.0.partition_point(|s| s.0 < stamp_ns);
        match (after.checked_sub(1).and_then(|i| self.0.get(i)), self.0.get(after)) {
            (Some(a), Some(b)) => a.1 + (b.1 - a.1) * seconds_between(a.0, stamp_ns) / seconds_between(a.0, b.0).max(1e-9),
            (Some(a), None) | (None, Some(a)) => a.1,
            (None, None) => 0.0,
        }
    }
}

/// Estimates the offset, searched for within `max_offset_s` on either side of 0.
///
/// # Errors
/// When frames, telemetry or the flight do not allow it; see [`ClockOffsetError`].
pub fn estimate(
    motions: &[Motion],
    telemetry: &TelemetryBatch,
    camera: &Camera,
    max_offset_s: f64,
) -> Result<ClockOffset, ClockOffsetError> {
    if telemetry.imu.len() < 2 {
        return Err(ClockOffsetError::NoGyro);
    }
    let interval_s = usable_interval_s(motions.iter().map(|m| seconds_between(m.from_ns, m.to_ns)).collect())?;
    let limit_ns = nanos_from_seconds(max_offset_s);
    let used: Vec<&Motion> = motions.iter().filter(|m| covered(&telemetry.imu, m, limit_ns)).collect();
    if used.len() < MIN_PAIRS {
        return Err(ClockOffsetError::TooFew { pairs: used.len() });
    }
    let channels = channels(&used, telemetry, camera);
    let smooth = ((SLOW_S / interval_s.max(1e-3)).round() as usize).max(1);
    let score = |offset_s: f64| -> f64 {
        let offset_ns = nanos_from_seconds(offset_s);
        let term = |c: &Channel| {
            let rho = correlation(&c.filtered(&c.picture, smooth), &c.filtered(&c.gyro(&used, offset_ns), smooth)).max(0.0);
            -(1.0 - rho * rho).max(1e-12).ln()
        };
        0.5 * used.len() as f64 * channels.iter().map(term).sum::<f64>()
    };
    let steps = (max_offset_s / STEP_S).round() as i64;
    let scores: Vec<f64> = (-steps..=steps).into_par_iter().map(|i| score(i as f64 * STEP_S)).collect();
    let offset_of = |i: usize| (i as i64 - steps) as f64 * STEP_S;
    let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0);
    let Some(rotation) = channels.first() else { return Err(ClockOffsetError::NoGyro) };
    let rho_at = |offset_s: f64| correlation(&rotation.picture, &rotation.gyro(&used, nanos_from_seconds(offset_s)));
    let strongest = (1.0 - (-2.0 * scores[best] / (used.len() as f64)).exp()).max(0.0).sqrt();
    let gyro = rotation.gyro(&used, nanos_from_seconds(offset_of(best)));
    let rate_deg_s = variance(&gyro).sqrt().to_degrees();
    // Residuals that hang together in time say less than as many independent ones.
    let inflation = independent(&rotation.picture, &gyro);
    let curvature = |at: f64| (2.0 * score(at) - score(at - CURVATURE_S) - score(at + CURVATURE_S)) / (CURVATURE_S * CURVATURE_S);
    let peak = match (best.checked_sub(1).and_then(|i| scores.get(i)), scores.get(best + 1)) {
        (Some(a), Some(c)) => offset_of(best) + STEP_S * 0.5 * (a - c) / (a - 2.0 * scores[best] + c).min(-1e-12),
        _ => offset_of(best),
    };
    let sigma_s = (inflation / curvature(peak).max(1e-12)).sqrt();
    let little = ClockOffsetError::TooLittleRotation { rate_deg_s, sigma_s };
    if strongest < MIN_CORRELATION {
        // A flight that turned a lot would have been followed.
        return Err(if rate_deg_s > 3.0 { ClockOffsetError::Disagree { correlation: strongest } } else { little });
    }
    if best == 0 || best + 1 == scores.len() {
        return Err(ClockOffsetError::AtTheLimit { limit_s: max_offset_s });
    }
    if !(sigma_s <= MAX_SIGMA_S) {
        return Err(little);
    }
    let far = |i: &usize| (offset_of(*i) - peak).abs() > PEAK_WIDTH_S;
    let local = |i: &usize| *i > 0 && *i + 1 < scores.len() && scores[*i] >= scores[*i - 1] && scores[*i] >= scores[*i + 1];
    let second = (0..scores.len()).filter(far).filter(local).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    if let Some(second) = second.filter(|i| (scores[best] - scores[*i]) / inflation < CLEAR) {
        return Err(ClockOffsetError::Ambiguous { first_s: peak, second_s: offset_of(second) });
    }
    Ok(ClockOffset { telemetry_minus_video_s: peak, sigma_s, correlation: rho_at(peak), pairs: used.len() })
}

/// Whether frames with these stamps, in order, come fast enough; to be asked before they are decoded.
///
/// # Errors
/// [`ClockOffsetError::TooSparse`].
pub fn check_rate(stamps_ns: &[i64]) -> Result<(), ClockOffsetError> {
    usable_interval_s(stamps_ns.windows(2).map(|w| seconds_between(w[0], w[1])).collect()).map(|_| ())
}

/// The median of some intervals between frames, if it is short enough.
fn usable_interval_s(mut intervals_s: Vec<f64>) -> Result<f64, ClockOffsetError> {
    intervals_s.sort_by(f64::total_cmp);
    let interval_s = intervals_s.get(intervals_s.len() / 2).copied().unwrap_or(0.0);
    if interval_s > MAX_INTERVAL_S { Err(ClockOffsetError::TooSparse { interval_s }) } else { Ok(interval_s) }
}

/// Whether the gyroscope covers a pair at every offset of the search, without gaps.
fn covered(imu: &[ImuSample], m: &Motion, limit_ns: i64) -> bool {
    let (from, to) = (m.from_ns.saturating_sub(limit_ns), m.to_ns.saturating_add(limit_ns));
    let first = imu.partition_point(|s| s.stamp_ns <= from);
    let end = imu.partition_point(|s| s.stamp_ns < to);
    let Some(around) = first.checked_sub(1).and_then(|a| imu.get(a..=end)) else { return false };
    m.to_ns > m.from_ns && around.windows(2).all(|w| w[1].stamp_ns.saturating_sub(w[0].stamp_ns) <= MAX_GYRO_GAP_NS)
}

/// The channels that a mounting has; the rotation about the optical axis comes first.
fn channels(used: &[&Motion], telemetry: &TelemetryBatch, camera: &Camera) -> Vec<Channel> {
    let camera_from_body = camera.body_from_camera.inverse();
    let channel = |picture: &dyn Fn(&Motion) -> f64, angle: Angle, slow: bool| Channel {
        picture: used.iter().map(|m| picture(m) / seconds_between(m.from_ns, m.to_ns)).collect(),
        angle,
        slow,
    };
    // What stands still turns against the camera: a ray r moves by −ω × r, which for r along z is (−ω_y, ω_x).
    match camera.mounting {
        Mounting::Strapdown => {
            let angle = |of: &dyn Fn(Vector3<f64>) -> f64| {
                Angle::of(telemetry.imu.iter().map(|s| (s.stamp_ns, of(camera_from_body * s.gyro_rad_s))))
            };
            vec![
                channel(&|m| m.rotation_rad, angle(&|w| -w.z), false),
                channel(&|m| m.shift[0], angle(&|w| -w.y), true),
                channel(&|m| m.shift[1], angle(&|w| w.x), true),
            ]
        }
        Mounting::Stabilised => {
            let about_axis = (camera_from_body * Vector3::z()).z;
            let mut heading = heading(telemetry);
            heading.0.iter_mut().for_each(|s| s.1 *= -about_axis);
            vec![channel(&|m| m.rotation_rad, heading, false)]
        }
    }
}

/// The heading that a gimbal follows. In turns with roll and pitch it is not the integral of the rate about the vertical, and the
/// difference looks like a delay; so that integral gives what is fast, and the stated heading, or that of the attitude, what is slow.
fn heading(telemetry: &TelemetryBatch) -> Angle {
    let mut attitude = Attitudes { samples: &telemetry.attitude, next: 0 };
    let mut angle = Angle::of(telemetry.imu.iter().map(|s| {
        let down = attitude.at(s.stamp_ns).map_or(s.gyro_rad_s.z, |q| -(q * s.gyro_rad_s).z);
        (s.stamp_ns, down)
    }));
    let stated: Vec<(i64, f64)> = if telemetry.heading.is_empty() {
        telemetry.attitude.iter().map(|s| (s.stamp_ns, heading_pitch_roll(&s.enu_from_body).0)).collect()
    } else {
        telemetry.heading.iter().map(|s| (s.stamp_ns, s.heading_rad)).collect()
    };
    let (mut last, mut held) = (0.0, 0.0);
    let ahead: Vec<(i64, f64)> = stated
        .into_iter()
        .map(|(stamp, heading)| {
            // The turn nearest to the one before: headings jump at north.
            let difference = heading - angle.at(stamp);
            last += crate::geo::turn_between(last, difference);
            (stamp, last)
        })
        .collect();
    // A smooth kernel at every sample of the gyroscope: between means over boxes the noise of the headings would be less half-way
    // between them, and offsets that shift frames there would seem to fit better.
    let half_ns = nanos_from_seconds(HEADING_SMOOTHING_S);
    for (stamp, angle) in &mut angle.0 {
        let from = ahead.partition_point(|s| s.0 < stamp.saturating_sub(half_ns));
        let to = ahead.partition_point(|s| s.0 <= stamp.saturating_add(half_ns));
        let weight = |t: i64| 1.0 + (PI * seconds_between(*stamp, t) / HEADING_SMOOTHING_S).cos();
        let (sum, weights) = ahead[from..to].iter().fold((0.0, 0.0), |(sum, weights), s| {
            let w = weight(s.0);
            (sum + w * s.1, weights + w)
        });
        let correction = if weights > 1e-6 { sum / weights } else { held };
        held = correction;
        *angle += correction;
    }
    angle
}

/// Attitudes at stamps that increase.
struct Attitudes<'a> {
    samples: &'a [AttitudeSample],
    next: usize,
}

impl Attitudes<'_> {
    /// Interpolated, or the nearest within a second.
    fn at(&mut self, stamp_ns: i64) -> Option<UnitQuaternion<f64>> {
        while self.samples.get(self.next).is_some_and(|s| s.stamp_ns < stamp_ns) {
            self.next += 1;
        }
        let near = |s: &&AttitudeSample| s.stamp_ns.abs_diff(stamp_ns) <= NANOS_PER_SEC.unsigned_abs();
        let before = self.next.checked_sub(1).and_then(|i| self.samples.get(i)).filter(near);
        match (before, self.samples.get(self.next).filter(near)) {
            (Some(a), Some(b)) => {
                let part = seconds_between(a.stamp_ns, stamp_ns) / seconds_between(a.stamp_ns, b.stamp_ns).max(1e-9);
                Some(a.enu_from_body.slerp(&b.enu_from_body, part))
            }
            (Some(a), None) | (None, Some(a)) => Some(a.enu_from_body),
            (None, None) => None,
        }
    }
}

impl Channel {
    /// The gyroscope's mean rate over each pair, at an offset.
    fn gyro(&self, used: &[&Motion], offset_ns: i64) -> Vec<f64> {
        let rate = |m: &&Motion| {
            let turned = self.angle.at(m.to_ns.saturating_add(offset_ns)) - self.angle.at(m.from_ns.saturating_add(offset_ns));
            turned / seconds_between(m.from_ns, m.to_ns)
        };
        used.iter().map(rate).collect()
    }

    /// A series without what is slow, where the channel needs that.
    fn filtered(&self, series: &[f64], half: usize) -> Vec<f64> {
        if !self.slow {
            return series.to_vec();
        }
        let mut sums = vec![0.0];
        for v in series {
            sums.push(sums.last().copied().unwrap_or(0.0) + v);
        }
        let mean = |i: usize| {
            let (from, to) = (i.saturating_sub(half), (i + half + 1).min(series.len()));
            (sums[to] - sums[from]) / (to - from) as f64
        };
        series.iter().enumerate().map(|(i, v)| v - mean(i)).collect()
    }
}

fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len().max(1) as f64
}

fn variance(v: &[f64]) -> f64 {
    let m = mean(v);
    v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / v.len().max(1) as f64
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (ma, mb) = (mean(a), mean(b));
    a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>() / a.len().max(1) as f64
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let scale = (variance(a) * variance(b)).sqrt();
    if scale > 0.0 { covariance(a, b) / scale } else { 0.0 }
}

/// By how much the residuals' dependence in time widens the variance of what they determine: that of a first-order process.
fn independent(picture: &[f64], gyro: &[f64]) -> f64 {
    let gain = covariance(picture, gyro) / variance(gyro).max(1e-18);
    let rest: Vec<f64> = picture.iter().zip(gyro).map(|(p, g)| p - gain * g).collect();
    let lag = if rest.len() > 1 { correlation(&rest[1..], &rest[..rest.len() - 1]) } else { 0.0 };
    let r = lag.clamp(0.0, 0.95);
    (1.0 + r) / (1.0 - r)
}
