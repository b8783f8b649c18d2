//! Updates relative to a past pose.

use super::anchor::Anchor;
use super::eskf::Eskf;
use super::state::ErrorState;
use super::update::{Related, RelativeMeasurement, Seen, Update, is_covariance};

impl Eskf {
    /// Begins to remember the pose where the filter is now.
    pub fn set_anchor(&mut self, stamp_ns: i64) {
        self.anchor = Some(Box::new(Anchor::of(&self.state, &self.covariance, stamp_ns)));
    }

    /// Fuses a measurement relative to the anchor; refused without one.
    pub fn fuse_relative<const M: usize>(&mut self, measurement: &impl RelativeMeasurement<M>, gate: f64) -> Update {
        let Some(mut anchor) = self.anchor.take() else { return Update::Refused };
        let (update, error) = self.relative_update(&mut anchor, measurement, gate);
        self.anchor = Some(anchor);
        if let Some(error) = error {
            self.inject(&error);
        }
        update
    }

    /// Corrects the anchor and the covariances; the error that is left to inject, when the measurement is used.
    fn relative_update<const M: usize>(
        &mut self,
        anchor: &mut Anchor,
        measurement: &impl RelativeMeasurement<M>,
        gate: f64,
    ) -> (Update, Option<ErrorState>) {
        let related = self.related(anchor, measurement);
        self.seen.0 = related.as_ref().ok().and_then(|r| Seen::of(&r.innovation, &r.s, r.nis));
        let related = match related {
            Ok(related) if related.nis > gate => return (Update::Gated(related.nis), None),
            Ok(related) => related,
            Err(update) => return (update, None),
        };
        self.reduce(&related);
        anchor.correct(&related.gain, &related.anchor_gain, &related.s, &related.innovation);
        (Update::Used(related.nis), Some(related.gain * related.innovation))
    }

    /// What a measurement relative to an anchor would do.
    pub(super) fn related<const M: usize>(
        &self,
        anchor: &Anchor,
        measurement: &impl RelativeMeasurement<M>,
    ) -> Result<Related<M>, Update> {
        let innovation = measurement.innovation(&self.state, anchor);
        let (h, h_anchor) = measurement.jacobians(&self.state, anchor);
        let covariance = measurement.covariance();
        if !innovation.iter().chain(h.iter()).chain(h_anchor.iter()).all(|v| v.is_finite()) || !is_covariance(&covariance) {
            return Err(Update::Refused);
        }
        let projected = self.covariance * h.transpose() + anchor.cross * h_anchor.transpose();
        let anchor_projected = anchor.cross.transpose() * h.transpose() + anchor.covariance * h_anchor.transpose();
        let s = h * projected + h_anchor * anchor_projected + covariance;
        let Some(s_inverse) = s.try_inverse() else { return Err(Update::Refused) };
        let nis = (innovation.transpose() * s_inverse * innovation)[(0, 0)];
        if !(nis >= 0.0) {
            return Err(Update::Refused);
        }
        let (gain, anchor_gain) = (projected * s_inverse, anchor_projected * s_inverse);
        Ok(Related { h, h_anchor, innovation, projected, s, s_inverse, gain, anchor_gain, nis })
    }

    /// Takes from the covariance what a relative measurement tells.
    pub(super) fn reduce<const M: usize>(&mut self, Related { gain, s, projected, .. }: &Related<M>) {
        // Joseph's form multiplied out: the anchor's error enters like noise that is correlated with the state.
        self.covariance += gain * s * gain.transpose() - gain * projected.transpose() - projected * gain.transpose();
    }
}
