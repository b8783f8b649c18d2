//! How far the camera went between two frames that see the same ground.

use nalgebra::{Matrix2, SMatrix, Vector2};

use crate::fuse::anchor::{Anchor, POSE};
use crate::fuse::eskf::Eskf;
use crate::fuse::state::{LEAN, STATES, State};
use crate::fuse::update::{RelativeMeasurement, Seen, Update};
use crate::time::seconds_between;

/// A way over ground since the filter's anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Displacement {
    /// Stamp of the anchor, nanoseconds: with an anchor of another time the measurement is refused.
    pub since_ns: i64,
    /// Stamp of the later frame, nanoseconds.
    pub until_ns: i64,
    /// Metres east and north between where the camera seemed to be by what it saw.
    pub moved_m: Vector2<f64>,
    /// What a unit of the lasting lean (tangents to the right and down in the image) adds to that, metres: height times turn, because a lean
    /// is fixed to the body. Nothing while that keeps its heading.
    pub by_lean_m: Matrix2<f64>,
    /// Its covariance, m², what the headings may be off by included, without what the camera swayed from frame to frame: that is the filter's to add, which knows what frames share.
    pub covariance_m2: Matrix2<f64>,
}

impl Displacement {
    /// Whether all of it is finite and its covariance positive definite.
    pub fn is_valid(&self) -> bool {
        self.moved_m.iter().chain(self.by_lean_m.iter()).all(|v| v.is_finite())
            && self.covariance_m2.iter().all(|v| v.is_finite())
            && self.covariance_m2.cholesky().is_some()
            && self.since_ns < self.until_ns
    }
}

/// A displacement of a camera that sways: what it sees moves with its lean in each frame.
struct Swaying<'a> {
    displacement: &'a Displacement,
    variance_m2: f64,
}

impl RelativeMeasurement<2> for Swaying<'_> {
    fn innovation(&self, state: &State, anchor: &Anchor) -> Vector2<f64> {
        let moved = (state.position_m - anchor.position_m).xy();
        self.displacement.moved_m - moved - self.displacement.by_lean_m * state.lean
    }

    fn jacobians(&self, _: &State, _: &Anchor) -> (SMatrix<f64, 2, STATES>, SMatrix<f64, 2, POSE>) {
        let mut h = SMatrix::<f64, 2, STATES>::zeros();
        h.fixed_view_mut::<2, 2>(0, 0).fill_with_identity();
        h.fixed_view_mut::<2, 2>(0, LEAN).copy_from(&self.displacement.by_lean_m);
        let mut anchored = SMatrix::<f64, 2, POSE>::zeros();
        anchored.fixed_view_mut::<2, 2>(0, 0).copy_from(&-Matrix2::identity());
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
        let mut anchor = Anchor::of(&self.state, &self.covariance, stamp_ns);
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
        let Some(related) = self.anchor.as_ref().map(|anchor| self.related(anchor, &measured)) else { return Update::Refused };
        self.seen.0 = related.as_ref().ok().and_then(|r| Seen::of(&r.innovation, &r.s, r.nis));
        let related = match related {
            Ok(related) if related.nis > gate => return Update::Gated(related.nis),
            Ok(related) => related,
            Err(update) => return update,
        };
        let sway_gain: Matrix2<f64> = related.s_inverse * sway;
        let correlated: SMatrix<f64, STATES, 2> = -related.gain * related.s * sway_gain.transpose();
        let left = Matrix2::identity() * sway - sway_gain * related.s * sway_gain.transpose();
        let swayed = sway_gain * related.innovation;
        self.anchor = None;
        self.reduce(&related);
        self.inject(&(related.gain * related.innovation));
        let mut anchor = Anchor::of(&self.state, &self.covariance, displacement.until_ns);
        anchor.sway(&swayed, &correlated, &left);
        self.anchor = Some(Box::new(anchor));
        let update = Update::Used(related.nis);
        self.displaced = self.transition.is_some().then(|| Box::new(related));
        update
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fuse::eskf::tests::filter;
    use crate::fuse::state::ErrorState;
    use nalgebra::{UnitQuaternion, Vector3};

    fn way(since_ns: i64, until_ns: i64) -> Displacement {
        let (moved_m, by_lean_m) = (Vector2::new(3.0, 1.0), Matrix2::new(80.0, -30.0, 20.0, 70.0));
        Displacement { since_ns, until_ns, moved_m, by_lean_m, covariance_m2: Matrix2::identity() }
    }

    /// Panics unless the Jacobians at a state and an anchor equal finite differences.
    pub fn assert_jacobians(state: &State, anchor: &Anchor) {
        const STEP: f64 = 1e-4;
        let swaying = Swaying { displacement: &way(0, 1), variance_m2: 1.0 };
        let (h, h_anchor) = swaying.jacobians(state, anchor);
        for k in 0..STATES {
            let mut error = ErrorState::zeros();
            error[k] = STEP;
            let at = |error: &ErrorState| swaying.innovation(&state.plus(error), anchor);
            assert!(((at(&-error) - at(&error)) / (2.0 * STEP) - h.column(k)).abs().max() < 1e-6, "{k}");
        }
        for k in 0..POSE {
            let at = |step: f64| {
                let mut moved = anchor.clone();
                if k < 3 {
                    moved.position_m[k] += step;
                } else {
                    let mut turn = Vector3::zeros();
                    turn[k - 3] = step;
                    moved.enu_from_body *= UnitQuaternion::from_scaled_axis(turn);
                }
                swaying.innovation(state, &moved)
            };
            assert!(((at(-STEP) - at(STEP)) / (2.0 * STEP) - h_anchor.column(k)).abs().max() < 1e-5, "anchor {k}");
        }
    }

    #[test]
    fn a_displacement_of_another_time_or_that_is_no_number_is_refused_and_leaves_the_filter() {
        let mut f = filter();
        assert_eq!(f.fuse_displacement(&way(0, 1), 1e9), Update::Refused);
        f.set_swaying_anchor(4);
        let before = f.clone();
        let negative = Displacement { covariance_m2: -Matrix2::identity(), ..way(4, 9) };
        let infinite = Displacement { moved_m: Vector2::new(f64::NAN, 0.0), ..way(4, 9) };
        for wrong in [way(3, 9), way(4, 4), way(4, 2), negative, infinite] {
            assert_eq!(f.fuse_displacement(&wrong, 1e9), Update::Refused, "{wrong:?}");
            assert_eq!(f, before);
        }
        assert!(matches!(f.fuse_displacement(&way(4, 9), 1e9), Update::Used(_)));
        assert_eq!(f.anchor.unwrap().stamp_ns, 9);
    }

    #[test]
    fn a_chain_of_displacements_drifts_by_its_matches_and_sways_but_once() {
        let mut f = filter();
        f.noise.lean_jitter = 0.02;
        f.noise.lean_walk = 0.0;
        f.covariance.fill_with_identity();
        f.covariance[(8, 8)] = 1e-9;
        f.set_swaying_anchor(0);
        let sway = f.sway_m();
        let first = f.covariance[(0, 0)];
        const STEPS: i64 = 20;
        let exact = 0.01;
        for k in 0..STEPS {
            // A motion of which nothing is known.
            for i in 0..2 {
                f.covariance[(i, i)] += 1e6;
            }
            let z = Displacement {
                moved_m: Vector2::zeros(),
                by_lean_m: Matrix2::zeros(),
                covariance_m2: Matrix2::identity() * exact,
                ..way(k, k + 1)
            };
            assert!(matches!(f.fuse_displacement(&z, 1e9), Update::Used(_)));
        }
        let expected = first + 2.0 * sway * sway + STEPS as f64 * exact;
        assert!((f.covariance[(0, 0)] / expected - 1.0).abs() < 0.01, "{} {expected}", f.covariance[(0, 0)]);
    }
}
