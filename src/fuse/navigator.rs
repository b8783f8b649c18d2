//! The filter as it goes through time: samples and measurements in order, each source with its gate and its counts.

use super::agitation::Agitation;
use super::eskf::Eskf;
use super::measurement::{Aids, CLOSED, Gnss, Observation, Taken};
use super::settings::SURE_M;
use super::state::{VELOCITY, worst_sigma};
use super::strays::{Stray, Strays};
use super::update::{Measurement, Update};
use crate::time::seconds_between;
use crate::types::{AidSourceKind, ImuSample, Plausible, TelemetrySample};

/// An IMU interval longer than this is a gap: the motion in it was not measured, seconds.
const MAX_IMU_STEP_S: f64 = 0.5;
/// An IMU interval longer than this has samples missing, seconds: the slowest IMU of use gives 20 a second.
const MAX_SAMPLE_STEP_S: f64 = 0.06;
/// Longest step of the model without an IMU, seconds.
const MAX_FREE_STEP_S: f64 = 1.0;

/// A filter, where it is in time, and its sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Navigator {
    /// The filter.
    pub filter: Eskf,
    /// Where it is in time, nanoseconds.
    pub stamp_ns: i64,
    /// Its sources.
    pub aids: Aids,
    last_imu: Option<ImuSample>,
    agitation: Agitation,
    strays: Strays,
    /// While three sigma of the horizontal position stay below this, GNSS that is refused cannot make the filter doubt itself, metres.
    pub sure_m: f64,
    /// What sensors can measure.
    pub plausible: Plausible,
}

/// What became of an inertial sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// The filter went on to it.
    Used,
    /// Its stamp lies before the filter, or is that of the sample before.
    TimeWentBack,
    /// It holds what no sensor can measure.
    Invalid,
}

impl Navigator {
    /// A filter that is at a stamp.
    pub fn new(filter: Eskf, stamp_ns: i64) -> Self {
        Self {
            filter,
            stamp_ns,
            aids: Aids::default(),
            last_imu: None,
            agitation: Agitation::default(),
            strays: Strays::default(),
            sure_m: SURE_M,
            plausible: Plausible::default(),
        }
    }

    /// Whether its motion is measured where it is.
    pub fn is_inertial(&self) -> bool {
        self.last_imu.is_some_and(|last| seconds_between(last.stamp_ns, self.stamp_ns) <= MAX_IMU_STEP_S)
    }

    /// Goes on to an inertial sample, whose numbers are the means since the sample before.
    pub fn imu(&mut self, sample: &ImuSample) -> Sampled {
        if !self.plausible.sample(&TelemetrySample::Imu(*sample)) {
            return Sampled::Invalid;
        }
        let dt_s = seconds_between(self.stamp_ns, sample.stamp_ns);
        if dt_s < 0.0 || self.last_imu.is_some_and(|last| last.stamp_ns >= sample.stamp_ns) {
            return Sampled::TimeWentBack;
        }
        let gap = dt_s > MAX_SAMPLE_STEP_S;
        self.agitation.see(sample, gap);
        match self.last_imu {
            _ if dt_s > MAX_IMU_STEP_S => self.predict_unmeasured(dt_s),
            Some(last) if gap => {
                let accel = (last.accel_m_s2 + sample.accel_m_s2) * 0.5;
                self.filter.predict(&accel, &((last.gyro_rad_s + sample.gyro_rad_s) * 0.5), dt_s);
                self.add_gap(dt_s.powi(3) / 12.0);
            }
            _ => self.filter.predict(&sample.accel_m_s2, &sample.gyro_rad_s, dt_s),
        }
        self.stamp_ns = sample.stamp_ns;
        self.last_imu = Some(*sample);
        Sampled::Used
    }

    /// Goes on from the last sample to a stamp, which it may be at already.
    pub fn advance(&mut self, stamp_ns: i64) {
        let dt_s = seconds_between(self.stamp_ns, stamp_ns);
        if dt_s <= 0.0 {
            return;
        }
        match self.last_imu {
            Some(held) if dt_s <= MAX_IMU_STEP_S => {
                self.filter.predict(&held.accel_m_s2, &held.gyro_rad_s, dt_s);
                if dt_s > MAX_SAMPLE_STEP_S {
                    self.add_gap(dt_s.powi(3) / 3.0);
                }
            }
            _ => self.predict_unmeasured(dt_s),
        }
        self.stamp_ns = stamp_ns;
    }

    fn add_gap(&mut self, cubed_s3: f64) {
        let densities_squared = self.agitation.densities_squared(&self.filter.noise);
        self.filter.add_gap(&densities_squared, cubed_s3);
    }

    fn predict_unmeasured(&mut self, dt_s: f64) {
        let steps = (dt_s / MAX_FREE_STEP_S).ceil().clamp(1.0, 10_000.0);
        for _ in 0..steps as usize {
            self.filter.predict_unmeasured(dt_s / steps);
        }
    }

    /// Measures how far a measurement lies from the filter, and counts it as beyond its gate whatever comes of it.
    pub fn refuse(&mut self, stamp_ns: i64, observation: &Observation) -> Taken {
        let aid = self.aids.get_mut(observation.source());
        let gate = std::mem::replace(&mut aid.settings.gate, CLOSED);
        let taken = self.measure(stamp_ns, observation);
        self.aids.get_mut(observation.source()).settings.gate = gate;
        taken
    }

    /// Fuses a measurement of a stamp that does not lie before the filter.
    pub fn measure(&mut self, stamp_ns: i64, observation: &Observation) -> Taken {
        self.advance(stamp_ns);
        let taken = self.aids.get_mut(observation.source()).offer(stamp_ns, observation, &mut self.filter);
        if observation.source() == AidSourceKind::RelativePose && taken != Taken::Repeated {
            self.filter.set_anchor(stamp_ns);
        }
        if observation.source() == AidSourceKind::Displacement
            && !matches!(taken, Taken::Repeated | Taken::Updated(Update::Used(_)))
        {
            self.filter.set_swaying_anchor(stamp_ns);
        }
        if let Observation::Gnss(gnss) = observation {
            self.heed(stamp_ns, gnss, &taken);
        }
        taken
    }

    /// Heeds GNSS that goes on to be refused, once the filter is not sure of its own place; see [`super::strays`].
    fn heed(&mut self, stamp_ns: i64, gnss: &Gnss, taken: &Taken) {
        match taken {
            Taken::Updated(Update::Gated(_)) => {
                let variance_m2 = worst_sigma(&gnss.covariance.fixed_view::<2, 2>(0, 0).into_owned()).powi(2);
                let stray = Stray { stamp_ns, off_m: gnss.innovation(&self.filter.state), variance_m2 };
                if 3.0 * self.filter.horizontal_sigma(0) < self.sure_m {
                    self.strays.clear();
                } else if let Some(doubt) = self.strays.take(stray, 3.0 * self.filter.horizontal_sigma(VELOCITY)) {
                    self.filter.doubt(&doubt);
                    self.aids.get_mut(AidSourceKind::Gnss).counters.heeded += 1;
                }
            }
            Taken::Updated(Update::Used(_)) | Taken::Starting(_) => self.strays.clear(),
            Taken::Updated(Update::Refused) | Taken::Repeated => {}
        }
    }
}

#[cfg(test)]
mod tests;
