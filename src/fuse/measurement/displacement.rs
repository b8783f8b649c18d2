//! How far the camera went between two frames that see the same ground.

use nalgebra::{Matrix2, SMatrix, Vector2, Vector3};

use super::{Heading, Measurement};
use crate::camera::heading_pitch_roll;
use crate::fuse::anchor::{Anchor, POSE, RelativeMeasurement};
use crate::fuse::eskf::{Eskf, Update};
use crate::fuse::state::{ATTITUDE, STATES, State};
use crate::time::seconds_between;

/// A way over ground since the filter's anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Displacement {
    /// Stamp of the anchor, nanoseconds: with an anchor of another time the measurement is refused.
    pub since_ns: i64,
    /// Stamp of the later frame, nanoseconds.
    pub until_ns: i64,
    /// Metres forward and to the right, level, as the body was heading at the anchor.
    pub moved_m: Vector2<f64>,
    /// Its covariance, m², without what the camera swayed from frame to frame: that is the filter's to add, which knows what frames share.
    pub covariance_m2: Matrix2<f64>,
}

impl Displacement {
    /// Whether all of it is finite and its covariance positive definite.
    pub fn is_valid(&self) -> bool {
        self.moved_m.iter().all(|v| v.is_finite())
            && self.covariance_m2.iter().all(|v| v.is_finite())
            && self.covariance_m2.cholesky().is_some()
            && self.since_ns < self.until_ns
    }
}

/// From east and north to forward and right of a heading.
pub fn level_from_enu(heading_rad: f64) -> Matrix2<f64> {
    let (s, c) = heading_rad.sin_cos();
    Matrix2::new(s, c, c, -s)
}

/// A displacement of a camera that sways: what it sees moves with its lean in each frame.
struct Swaying<'a> {
    displacement: &'a Displacement,
    variance_m2: f64,
}

fn heading_rad(anchor: &Anchor) -> f64 {
    heading_pitch_roll(&anchor.enu_from_body).0
}

impl RelativeMeasurement<2> for Swaying<'_> {
    fn innovation(&self, state: &State, anchor: &Anchor) -> Vector2<f64> {
        self.displacement.moved_m - level_from_enu(heading_rad(anchor)) * (state.position_m - anchor.position_m).xy()
    }

    /// With forward f and right r of the heading ψ: df/dψ = r, dr/dψ = −f.
    fn jacobians(&self, state: &State, anchor: &Anchor) -> (SMatrix<f64, 2, STATES>, SMatrix<f64, 2, POSE>) {
        let level = level_from_enu(heading_rad(anchor));
        let moved = level * (state.position_m - anchor.position_m).xy();
        let there = State::at(Vector3::zeros(), anchor.enu_from_body);
        let heading = Heading { heading_rad: 0.0, sigma_rad: 1.0 }.jacobian(&there);
        let by_turn = heading.fixed_view::<1, 3>(0, ATTITUDE);
        let mut h = SMatrix::<f64, 2, STATES>::zeros();
        h.fixed_view_mut::<2, 2>(0, 0).copy_from(&level);
        let mut anchored = SMatrix::<f64, 2, POSE>::zeros();
        anchored.fixed_view_mut::<2, 2>(0, 0).copy_from(&-level);
        anchored.fixed_view_mut::<2, 3>(0, 3).copy_from(&(Vector2::new(moved.y, -moved.x) * by_turn));
        (h, anchored)
    }

    fn covariance(&self) -> Matrix2<f64> {
        self.displacement.covariance_m2 + Matrix2::identity() * self.variance_m2
    }
}

impl Eskf {
    /// 1 sigma an axis of what a frame's own lean, which no other frame shares, moves of what it sees, metres.
    fn sway_m(&self) -> f64 {
        self.noise.lean_jitter * self.state.position_m.z.max(0.0)
    }

    /// Begins to remember where the camera seems to be by what it sees now: where the filter is, and the sway.
    pub fn set_swaying_anchor(&mut self, stamp_ns: i64) {
        let mut anchor = Anchor::of(self, stamp_ns);
        let sway = self.sway_m().powi(2);
        anchor.covariance[(0, 0)] += sway;
        anchor.covariance[(1, 1)] += sway;
        self.anchor = Some(Box::new(anchor));
    }

    /// Fuses a displacement since the anchor and, when it is used, moves the anchor to here.
    ///
    /// The sway j of a frame ends one displacement and begins the next one, so that a chain of them drifts by what their matches are off by,
    /// and not by the sway of every frame. To keep that, the anchor is p + j, with what the displacement tells of j and of its correlation
    /// with the state: j is a state that enters with the measurement and lives on in the anchor alone.
    pub fn fuse_displacement(&mut self, displacement: &Displacement, gate: f64) -> Update {
        let same = self.anchor.as_ref().is_some_and(|a| a.stamp_ns == displacement.since_ns);
        if !same || !displacement.is_valid() {
            return Update::Refused;
        }
        let sway = self.sway_m().powi(2);
        let seconds = seconds_between(displacement.since_ns, displacement.until_ns);
        let walked = (self.noise.lean_walk * self.state.position_m.z).powi(2) * seconds;
        let measured = Swaying { displacement, variance_m2: sway + walked };
        let (related, level) = match &self.anchor {
            Some(anchor) => (self.related(anchor, &measured), level_from_enu(heading_rad(anchor))),
            None => return Update::Refused,
        };
        let related = match related {
            Ok(related) if related.nis > gate => return Update::Gated(related.nis),
            Ok(related) => related,
            Err(update) => return update,
        };
        let sway_gain: Matrix2<f64> = level.transpose() * related.s_inverse * sway;
        let correlated: SMatrix<f64, STATES, 2> = -related.gain * related.s * sway_gain.transpose();
        let left = Matrix2::identity() * sway - sway_gain * related.s * sway_gain.transpose();
        let swayed = sway_gain * related.innovation;
        self.anchor = None;
        self.reduce(&related);
        self.inject(&(related.gain * related.innovation));
        let mut anchor = Anchor::of(self, displacement.until_ns);
        anchor.sway(&swayed, &correlated, &left);
        self.anchor = Some(Box::new(anchor));
        Update::Used(related.nis)
    }
}
