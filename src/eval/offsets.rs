//! What fixes and the positions that come along differ by, as a whole: an offset of place, and of time where turns tell the two apart.

use nalgebra::{Matrix3, Vector2, Vector3};
use serde::Serialize;

use crate::geo::{EnuPlane, Geodetic};
use crate::math::percentile::percentile;

/// Fixes that an offset of place, and one of time, need.
const FEWEST_FOR_PLACE: usize = 5;
const FEWEST_FOR_TIME: usize = 12;
/// An offset of time is told when its 1 sigma is at most this, seconds.
const TIME_SIGMA_S: f64 = 0.15;
/// Fixes that are kept: of more every second one is dropped, again and again.
const MOST: usize = 4096;
/// Standard deviation of a normal distribution over its median absolute deviation.
const SIGMA_OF_MAD: f64 = 1.4826;
/// Residuals beyond so many sigma count less.
const HUBER: f64 = 1.5;

/// The offset of fixes against positions that came along. Nothing of it goes back into any fix.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize)]
pub struct Offsets {
    /// Of place: fixes minus positions.
    pub place: Option<PlaceOffset>,
    /// Of time: the stamps of the positions minus those of the frames.
    pub time: Option<TimeOffset>,
}

/// Fixes minus positions: the map's offset, that of GNSS, and a lasting lean of the camera together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PlaceOffset {
    /// Metres to the east.
    pub east_m: f64,
    /// Metres to the north.
    pub north_m: f64,
    /// How far single fixes scatter about it, 1 sigma an axis, metres.
    pub spread_m: f64,
    /// Fixes that it rests on.
    pub fixes: u64,
}

/// Stamps of positions minus stamps of frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TimeOffset {
    /// Seconds; positive where the positions come late.
    pub seconds: f64,
    /// 1 sigma, seconds.
    pub sigma_s: f64,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    difference_m: Vector2<f64>,
    velocity_m_s: Option<Vector2<f64>>,
}

/// Collects fixes with the positions at their stamps; bounded.
#[derive(Clone, Debug)]
pub struct OffsetEstimator {
    pairs: Vec<Pair>,
    every: u64,
    seen: u64,
}

impl Default for OffsetEstimator {
    fn default() -> Self {
        Self { pairs: Vec::new(), every: 1, seen: 0 }
    }
}

impl OffsetEstimator {
    /// Adds a fix with the position at its stamp, and the velocity over ground there, metres a second east and north, where positions by time tell
    /// it.
    pub fn add(&mut self, fix: Geodetic, position: Geodetic, velocity_m_s: Option<Vector2<f64>>) {
        self.seen += 1;
        if !(self.seen - 1).is_multiple_of(self.every) {
            return;
        }
        let at = EnuPlane::at(Geodetic { alt_m: 0.0, ..position }).ground_from_lat_lon(fix.lat_deg, fix.lon_deg);
        self.pairs.push(Pair { difference_m: Vector2::new(at.e_m, at.n_m), velocity_m_s });
        if self.pairs.len() > MOST {
            let mut index = 0;
            self.pairs.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.every *= 2;
        }
    }

    /// What the fixes so far tell.
    pub fn estimate(&self) -> Offsets {
        let differences: Vec<Vector2<f64>> = self.pairs.iter().map(|p| p.difference_m).collect();
        let place = (differences.len() >= FEWEST_FOR_PLACE).then(|| middle(&differences)).flatten();
        let place =
            place.map(|(m, spread_m)| PlaceOffset { east_m: m.x, north_m: m.y, spread_m, fixes: differences.len() as u64 });
        match self.in_time() {
            Some((m, time, spread_m)) => {
                let place = place.map(|p| PlaceOffset { east_m: m.x, north_m: m.y, spread_m, ..p });
                Offsets { place, time: Some(time) }
            }
            None => Offsets { place, time: None },
        }
    }

    /// Differences as an offset of place and one of time by the velocity: a robust least squares fit.
    fn in_time(&self) -> Option<(Vector2<f64>, TimeOffset, f64)> {
        let moving: Vec<(Vector2<f64>, Vector2<f64>)> =
            self.pairs.iter().filter_map(|p| Some((p.difference_m, p.velocity_m_s?))).collect();
        if moving.len() < FEWEST_FOR_TIME {
            return None;
        }
        let (_, mut sigma) = middle(&moving.iter().map(|(d, _)| *d).collect::<Vec<_>>())?;
        let (mut solved, mut covariance) = (Vector3::zeros(), Matrix3::zeros());
        for _ in 0..10 {
            let (mut normal, mut right) = (Matrix3::zeros(), Vector3::zeros());
            for (d, v) in &moving {
                let residual = (d - solved.xy() - v * solved.z).norm();
                let weight = (HUBER * sigma.max(1e-6) / residual.max(1e-9)).min(1.0);
                for (row, value) in [(Vector3::new(1.0, 0.0, v.x), d.x), (Vector3::new(0.0, 1.0, v.y), d.y)] {
                    normal += row * row.transpose() * weight;
                    right += row * value * weight;
                }
            }
            covariance = normal.try_inverse()?;
            solved = covariance * right;
            let residuals: Vec<Vector2<f64>> = moving.iter().map(|(d, v)| d - solved.xy() - v * solved.z).collect();
            sigma = middle(&residuals)?.1;
        }
        let sigma_s = sigma * covariance[(2, 2)].sqrt();
        let told = sigma_s.is_finite() && sigma_s <= TIME_SIGMA_S && solved.iter().all(|v| v.is_finite());
        told.then_some((solved.xy(), TimeOffset { seconds: solved.z, sigma_s }, sigma))
    }
}

/// Median, and the standard deviation an axis that the median absolute deviation tells.
fn middle(points: &[Vector2<f64>]) -> Option<(Vector2<f64>, f64)> {
    let median = |values: &mut dyn Iterator<Item = f64>| {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        percentile(&values, 50)
    };
    let m = Vector2::new(median(&mut points.iter().map(|p| p.x))?, median(&mut points.iter().map(|p| p.y))?);
    let deviations = points.iter().flat_map(|p| [(p.x - m.x).abs(), (p.y - m.y).abs()]);
    Some((m, SIGMA_OF_MAD * median(&mut deviations.into_iter())?))
}

impl std::fmt::Display for Offsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(PlaceOffset { east_m, north_m, spread_m, fixes }) = self.place {
            let sigma_m = 1.25 * spread_m / (fixes.max(1) as f64).sqrt();
            writeln!(
                f,
                "offset      fixes minus positions {east_m:+.1} m east, {north_m:+.1} m north, ± {sigma_m:.1} m   \
                 (map, GNSS and a lasting lean together; {fixes} fixes scatter by {spread_m:.1} m)"
            )?;
        }
        if let Some(TimeOffset { seconds, sigma_s }) = self.time {
            writeln!(
                f,
                "offset      positions minus video {seconds:+.2} s ± {sigma_s:.2} s   (telemetry_minus_video_s = {seconds:.2} takes it into account)"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flight at 12 m/s that turns steadily, with an offset of place and of time, noise, and a few wrong fixes.
    fn flight(turn: f64, seconds: f64) -> Offsets {
        let plane = EnuPlane::at(Geodetic::ground(47.0, 8.0));
        let mut estimator = OffsetEstimator::default();
        let mut noise = 1u32;
        let mut random = move || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(noise >> 8) / f64::from(1u32 << 24) * 4.0 - 2.0
        };
        for i in 0..60 {
            let heading = turn * f64::from(i);
            let v = Vector2::new(12.0 * heading.sin(), 12.0 * heading.cos());
            let position = Vector2::new(f64::from(i) * 7.0, 100.0);
            let wrong = if i % 20 == 7 { 300.0 } else { 0.0 };
            let fix = position + Vector2::new(3.0, -2.0) + v * seconds + Vector2::new(random() + wrong, random());
            let at = |p: Vector2<f64>| {
                let (lat, lon) = plane.lat_lon_from_ground(p.x, p.y);
                Geodetic::ground(lat, lon)
            };
            estimator.add(at(fix), at(position), Some(v));
        }
        estimator.estimate()
    }

    #[test]
    fn turns_tell_an_offset_of_time_from_one_of_place() {
        for seconds in [0.0, 0.4, -1.5] {
            let offsets = flight(0.1, seconds);
            let (place, time) = (offsets.place.unwrap(), offsets.time.unwrap());
            assert!((time.seconds - seconds).abs() < 0.08 && time.sigma_s < 0.05, "{offsets:?}");
            assert!((place.east_m - 3.0).abs() < 0.6 && (place.north_m + 2.0).abs() < 0.6, "{offsets:?}");
        }
    }

    #[test]
    fn a_straight_flight_tells_none_of_time_and_few_fixes_tell_nothing() {
        let offsets = flight(0.0, 0.0);
        assert!(offsets.time.is_none() && (offsets.place.unwrap().east_m - 3.0).abs() < 0.8, "{offsets:?}");
        let mut few = OffsetEstimator::default();
        (0..4).for_each(|_| few.add(Geodetic::ground(47.0, 8.0), Geodetic::ground(47.0, 8.0), None));
        assert_eq!(few.estimate(), Offsets::default());
    }

    #[test]
    fn a_long_flight_is_kept_in_bounds() {
        let mut estimator = OffsetEstimator::default();
        (0..100_000).for_each(|_| estimator.add(Geodetic::ground(47.0, 8.0), Geodetic::ground(47.0, 8.0), None));
        assert!(estimator.pairs.len() <= MOST && estimator.estimate().place.unwrap().fixes > 1000);
    }
}
