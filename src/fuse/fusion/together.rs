//! Frames that cannot decide alone, together.

use nalgebra::{Matrix2, Vector2};

use super::Fusion;
use crate::fuse::gathering::{Gathering, Moved};
use crate::fuse::measurement::Displacement;
use crate::fuse::running::Running;
use crate::fuse::state::VELOCITY;
use crate::time::seconds_between;
use crate::types::{Contender, Fix, FrameMatch, Outcome};

/// The velocity of a filter tells the way for so long, seconds.
const CARRIED_S: f64 = 3.0;

impl Fusion {
    /// Carries places that single frames do not decide on, over a map of so many square metres.
    pub fn over_map(self, area_m2: f64) -> Self {
        Self { gathering: Some(Gathering::new(area_m2)), ..self }
    }

    /// What this frame and those before it say together where it alone does not decide.
    pub fn together(&mut self, stamp_ns: i64, matched: &FrameMatch, way: Option<&Displacement>) -> Option<Fix> {
        let moved = way.map(of_way).or_else(|| self.running.as_ref().and_then(|r| of_filter(r, stamp_ns)));
        let gathering = self.gathering.as_mut()?;
        if let Outcome::Fix(fix) = &matched.outcome {
            // It stands for itself, and speaks for its place among those that later frames leave open.
            let p_wrong = matched.evidence.map_or(0.5, |e| e.p_wrong);
            gathering.take(stamp_ns, &[Contender { fix: fix.as_ref().clone(), p_wrong }], moved.as_ref());
            return None;
        }
        let (fix, p_wrong) = gathering.take(stamp_ns, &matched.contenders, moved.as_ref())?;
        tracing::debug!("frames together: a fix that is wrong with a probability of {p_wrong:.4}");
        self.counters.fixes_of_several_frames += 1;
        Some(fix)
    }
}

fn of_way(way: &Displacement) -> Moved {
    Moved { en_m: way.moved_m, covariance_m2: way.covariance_m2 }
}

/// How the filter would have it, from where it is.
fn of_filter(running: &Running, stamp_ns: i64) -> Option<Moved> {
    let elapsed_s = seconds_between(running.navigator.stamp_ns, stamp_ns);
    if !(0.0..=CARRIED_S).contains(&elapsed_s) || elapsed_s == 0.0 {
        return None;
    }
    let filter = &running.navigator.filter;
    let sigma_m = filter.horizontal_sigma(VELOCITY) * elapsed_s + elapsed_s * elapsed_s;
    let velocity: Vector2<f64> = filter.state.velocity_m_s.xy();
    Some(Moved { en_m: velocity * elapsed_s, covariance_m2: Matrix2::identity() * (sigma_m * sigma_m) })
}
