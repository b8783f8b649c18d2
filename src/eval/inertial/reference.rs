//! What the reference itself is worth: GNSS tells position and velocity, and one against the other shows how far its positions wander.

use super::data::GnssPoint;
use crate::time::{nanos_from_seconds, seconds_between};

/// Time over which the two are compared, seconds: longer than a manoeuvre, shorter than velocities drift by much.
pub const WINDOW_S: f64 = 10.0;
/// Points further apart than this leave the velocity between them unknown, seconds.
const MAX_STEP_S: f64 = 1.0;

/// How far the ways that positions tell lie from those that velocities tell, over ten seconds, horizontally.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wander {
    /// Root mean square, metres.
    pub rms_m: f64,
    /// The most, metres.
    pub worst_m: f64,
    /// In the middle of which window, seconds.
    pub worst_at_s: f64,
}

/// Compares the two along points in order of time; `None` for less than a window.
pub fn wander(points: &[GnssPoint]) -> Option<Wander> {
    let (mut squares, mut count) = (0.0, 0.0);
    let mut worst = (0.0, 0.0);
    let window_ns = nanos_from_seconds(WINDOW_S);
    // What the velocities say since the first point of an unbroken run.
    let mut run = Vec::with_capacity(points.len());
    let mut begin = 0;
    for (i, point) in points.iter().enumerate() {
        let step = i.checked_sub(1).and_then(|before| Some((points.get(before)?, run.get(before)?)));
        let way = match step {
            Some((before, way)) if seconds_between(before.stamp_ns, point.stamp_ns) <= MAX_STEP_S => {
                way + (before.velocity_m_s + point.velocity_m_s).xy() * (0.5 * seconds_between(before.stamp_ns, point.stamp_ns))
            }
            _ => {
                begin = i;
                nalgebra::Vector2::zeros()
            }
        };
        run.push(way);
        while points.get(begin + 1).is_some_and(|next| point.stamp_ns - next.stamp_ns >= window_ns) {
            begin += 1;
        }
        let Some((first, before)) = points.get(begin).zip(run.get(begin)) else { continue };
        if point.stamp_ns - first.stamp_ns < window_ns {
            continue;
        }
        let apart_m = ((point.position_m - first.position_m).xy() - (way - before)).norm();
        squares += apart_m * apart_m;
        count += 1.0;
        if apart_m > worst.0 {
            worst = (apart_m, 0.5e-9 * (point.stamp_ns + first.stamp_ns) as f64);
        }
    }
    (count > 0.0).then(|| Wander { rms_m: f64::sqrt(squares / count), worst_m: worst.0, worst_at_s: worst.1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;

    /// A circle at ten points a second.
    fn circle() -> Vec<GnssPoint> {
        let at = |i: i64| {
            let (sin, cos) = (i as f64 * 0.03).sin_cos();
            let velocity_m_s = Vector3::new(-sin, cos, 0.0) * 15.0;
            GnssPoint { stamp_ns: i * 100_000_000, position_m: Vector3::new(cos, sin, 1.0) * 50.0, velocity_m_s }
        };
        (0..600).map(at).collect()
    }

    #[test]
    fn positions_that_follow_their_velocities_do_not_wander() {
        let wander = wander(&circle()).unwrap();
        assert!(wander.worst_m < 0.05, "{wander:?}");
    }

    #[test]
    fn a_wrong_stretch_is_found_where_it_is() {
        let mut points = circle();
        points.iter_mut().skip(300).take(50).for_each(|p| p.position_m.x += 12.0);
        let found = wander(&points).unwrap();
        assert!((11.9..12.1).contains(&found.worst_m) && (25.0..41.0).contains(&found.worst_at_s), "{found:?}");
        assert!(found.rms_m < 6.0 && found.rms_m > 3.0, "{found:?}");
    }

    #[test]
    fn what_a_pause_hides_is_not_held_against_the_reference() {
        let mut points = circle();
        points.iter_mut().skip(300).for_each(|p| {
            p.stamp_ns += 2_000_000_000;
            p.position_m.x += 12.0;
        });
        assert!(wander(&points).unwrap().worst_m < 0.05);
        assert_eq!(wander(&points[..50]), None);
    }
}
