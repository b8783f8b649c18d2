//! The filter as it goes through time: samples and measurements in order, each source with its gate and its counts.

use super::agitation::Agitation;
use super::eskf::Eskf;
use super::measurement::{Aids, CLOSED, Gnss, Observation, Taken};
use super::scatter::Scatter;
use super::settings::SURE_M;
use super::sources::ImuAid;
use super::state::{VELOCITY, worst_sigma};
use super::strays::{Stray, Strays};
use super::update::{Measurement, Update};
use crate::time::seconds_between;
use crate::types::{AidSourceKind, ImuSample, Plausible, TelemetrySample};

/// An IMU interval longer than this is a gap: the motion in it was not measured, seconds.
const MAX_IMU_STEP_S: f64 = 0.5;
/// Across no longer a gap the mean of its two ends stands for what was missed, however often the filter was asked meanwhile, seconds.
const MAX_BRIDGED_S: f64 = 1.0;
/// An IMU interval longer than this has samples missing, seconds: the slowest IMU of use gives 20 a second.
const MAX_SAMPLE_STEP_S: f64 = 0.06;
/// An IMU whose numbers are the same this many times, for this long, gives an old sample again and again.
const STUCK_TIMES: u32 = 10;
const STUCK_S: f64 = 0.25;
/// Longest step of the model without an IMU, seconds.
const MAX_FREE_STEP_S: f64 = 1.0;

/// A filter, where it is in time, and its sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Navigator {
    /// The filter.
    pub filter: Eskf,
    /// Where it is in time, nanoseconds.
    pub stamp_ns: i64,
    /// Where it began, nanoseconds.
    begun_ns: i64,
    /// Its sources.
    pub aids: Aids,
    last_imu: Option<ImuSample>,
    /// A sample that jumped away from the one before, and waits for the next to bear it out.
    held_back: Option<ImuSample>,
    /// Jumps of force, m/s², and of turning, rad/s, that one sample alone does not tell.
    pub jumps: (f64, f64),
    agitation: Agitation,
    scatter: Scatter,
    /// The sample that all since have been equal to, and how many they are.
    repeated: Option<(ImuSample, u32)>,
    strays: Strays,
    /// While three sigma of the horizontal position stay below this, GNSS that is refused cannot make the filter doubt itself, metres.
    pub sure_m: f64,
    /// What sensors can measure.
    pub plausible: Plausible,
    /// Whether it goes by its IMU, where there is one; else it goes from measurement to measurement.
    pub inertial: bool,
    /// What it assumes of motion that is not measured while an IMU is there: acceleration, m/s²/√Hz, and turning, rad/s/√Hz.
    pub own_unmeasured: (f64, f64),
    /// Positions of GNSS are gated as if their covariance were this many times what it is weighed with: errors that last are large in weight
    /// only.
    pub gnss_gate_scale: f64,
}

/// What became of an inertial sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// The filter went on to it.
    Used,
    /// Its stamp lies before the filter, or is that of the sample before.
    TimeWentBack,
    /// The filter does not go by its IMU.
    Ignored,
    /// It differs from the one before as no motion does, and the next one tells whether that was so; or it is one of many that do not differ at
    /// all.
    HeldBack,
    /// It holds what no sensor can measure.
    Invalid,
}

impl Navigator {
    /// A filter that is at a stamp.
    pub fn new(filter: Eskf, stamp_ns: i64) -> Self {
        let own_unmeasured = (filter.noise.unmeasured_accel, filter.noise.unmeasured_turn);
        Self {
            filter,
            stamp_ns,
            begun_ns: stamp_ns,
            aids: Aids::default(),
            last_imu: None,
            held_back: None,
            jumps: (ImuAid::default().jump_m_s2, ImuAid::default().jump_rad_s),
            agitation: Agitation::default(),
            scatter: Scatter::default(),
            repeated: None,
            strays: Strays::default(),
            sure_m: SURE_M,
            plausible: Plausible::default(),
            inertial: true,
            own_unmeasured,
            gnss_gate_scale: 1.0,
        }
    }

    /// Whether its motion is measured where it is.
    pub fn is_inertial(&self) -> bool {
        self.inertial && self.last_imu.is_some_and(|last| seconds_between(last.stamp_ns, self.stamp_ns) <= MAX_IMU_STEP_S)
    }

    /// How old the last sample is, seconds; before the first one, how long the filter has been waiting for it.
    pub fn imu_age_s(&self) -> f64 {
        seconds_between(self.last_imu.map_or(self.begun_ns, |last| last.stamp_ns), self.stamp_ns)
    }

    /// Whether a sample, like those before it for so long, has the numbers of one that was measured before: noise never repeats itself.
    fn is_stuck(&mut self, sample: &ImuSample) -> bool {
        let first = self.repeated.filter(|(first, _)| ImuSample { stamp_ns: first.stamp_ns, ..*sample } == *first);
        let (first, times) = first.map_or((*sample, 0), |(first, times)| (first, times.saturating_add(1)));
        self.repeated = Some((first, times));
        times >= STUCK_TIMES && seconds_between(first.stamp_ns, sample.stamp_ns) >= STUCK_S
    }

    /// Whether a sample jumps away alone: from the last one, or, where that is none or long ago, from rest.
    fn is_held_back(&mut self, sample: &ImuSample) -> bool {
        let (force, turn) = self.jumps;
        let apart = |a: &ImuSample, b: &ImuSample| {
            (a.accel_m_s2 - b.accel_m_s2).norm() > force || (a.gyro_rad_s - b.gyro_rad_s).norm() > turn
        };
        let near = |last: &ImuSample| seconds_between(last.stamp_ns, sample.stamp_ns) <= MAX_BRIDGED_S;
        let from_rest = || (sample.accel_m_s2.norm() - self.filter.gravity_m_s2).abs() > force || sample.gyro_rad_s.norm() > turn;
        let jumps = self.last_imu.filter(near).map_or_else(from_rest, |last| apart(&last, sample));
        let borne_out = self.held_back.is_some_and(|held| near(&held) && !apart(&held, sample));
        self.held_back = Some(*sample).filter(|_| jumps && !borne_out);
        self.held_back.is_some()
    }

    /// Goes without its IMU from here on: the fixes stand in for it.
    pub(super) fn leave_imu(&mut self, stand_in_accel: f64) {
        let noise = &mut self.filter.noise;
        self.own_unmeasured = (noise.unmeasured_accel, noise.unmeasured_turn);
        noise.unmeasured_accel = stand_in_accel;
        self.inertial = false;
    }

    /// Goes by its IMU again.
    pub(super) fn take_imu(&mut self) {
        let noise = &mut self.filter.noise;
        (noise.unmeasured_accel, noise.unmeasured_turn) = self.own_unmeasured;
        self.inertial = true;
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
        if self.is_stuck(sample) || self.is_held_back(sample) {
            self.aids.get_mut(AidSourceKind::Imu).counters.gated += 1;
            return Sampled::HeldBack;
        }
        self.aids.get_mut(AidSourceKind::Imu).led(sample.stamp_ns, self.inertial);
        if !self.inertial {
            self.last_imu = Some(*sample);
            return Sampled::Ignored;
        }
        let gap = dt_s > MAX_SAMPLE_STEP_S;
        self.agitation.see(sample, gap);
        let age_s = self.last_imu.map_or(dt_s, |last| seconds_between(last.stamp_ns, sample.stamp_ns));
        match self.last_imu {
            _ if dt_s > MAX_IMU_STEP_S || gap && age_s > MAX_BRIDGED_S => self.predict_unmeasured(dt_s),
            Some(last) if gap => {
                let accel = (last.accel_m_s2 + sample.accel_m_s2) * 0.5;
                self.filter.predict(&accel, &((last.gyro_rad_s + sample.gyro_rad_s) * 0.5), dt_s);
                self.add_gap(dt_s.powi(3) / 12.0);
            }
            _ => self.filter.predict(&sample.accel_m_s2, &sample.gyro_rad_s, dt_s),
        }
        let excess = self.scatter.excess(sample, &self.filter.noise);
        self.filter.add_scatter(excess);
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
        // A sample is held for so long after it, however often the filter was asked meanwhile.
        let age_s = |at_ns: i64| self.last_imu.map_or(f64::INFINITY, |held| seconds_between(held.stamp_ns, at_ns));
        let (from_s, to_s) = (age_s(self.stamp_ns), age_s(stamp_ns));
        match self.last_imu {
            Some(held) if self.inertial && to_s <= MAX_IMU_STEP_S => {
                self.filter.predict(&held.accel_m_s2, &held.gyro_rad_s, dt_s);
                if to_s > MAX_SAMPLE_STEP_S {
                    self.add_gap((to_s.powi(3) - from_s.powi(3)) / 3.0);
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
        self.filter.seen.0 = None;
        self.advance(stamp_ns);
        if let Observation::Gnss(gnss) = observation
            && self.gnss_gate_scale < 1.0
        {
            let aid = self.aids.get_mut(AidSourceKind::Gnss);
            let gate = aid.settings.gate;
            let own = Gnss { covariance: gnss.covariance * self.gnss_gate_scale, ..*gnss };
            if self.filter.distance(&own) > gate {
                aid.settings.gate = CLOSED;
                let taken = self.take(stamp_ns, observation);
                self.aids.get_mut(AidSourceKind::Gnss).settings.gate = gate;
                return taken;
            }
        }
        self.take(stamp_ns, observation)
    }

    fn take(&mut self, stamp_ns: i64, observation: &Observation) -> Taken {
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
