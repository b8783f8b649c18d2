//! The same filter with and without the IMU, side by side: whose predictions the fixes and the other sensors bear out.
//!
//! One of the two leads. While the IMU is trusted the other goes without it, from fix to fix (solution separation: the state without a
//! source beside that with it), and is a witness as long as it follows the fixes: an IMU that fails leads astray by and by, and what follows
//! every fix stays with them, whereas a wrong place is a jump that neither follows. Once what is measured is so much likelier without the
//! IMU, the other leads. The IMU then is on trial: a filter with it begins where the leading one is, again and again, until one of them has
//! borne out what is measured for a while, and leads.
//!
//! The evidence is a cumulative sum (Page 1954) of log-likelihood ratios, kept apart for places and for attitude.

use super::eskf::Eskf;
use super::gyro_check::GyroCheck;
use super::measurement::{Observation, Taken};
use super::navigator::{Navigator, Sampled};
use super::sources::ImuAid;
use super::update::{Seen, Update};
use crate::time::seconds_between;
use crate::types::{AidSourceKind, ImuSample};

/// The most that one frame counts, whatever it tells: a single measurement that is wrong decides nothing.
const MOST_A_FRAME: f64 = 6.0;
/// A distance beyond this tells no more: it is what a wrong measurement would have from any filter.
const FARTHEST: f64 = 18.5;
/// So much evidence against an IMU on trial begins the trial anew.
const TRIAL_FAILED: f64 = 3.0;
/// So many fixes have to be used in a trial.
const TRIAL_FIXES: u32 = 3;
/// A filter that refused so many fixes in a row is no witness.
const MOST_REFUSED: u32 = 1;
/// Nor is one that used none for so long, seconds.
const LONGEST_S: f64 = 2.0;

/// Where evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    /// Fixes, heights, positions.
    Place = 0,
    /// Attitudes, headings.
    Attitude = 1,
}

fn channel(source: AidSourceKind) -> Channel {
    match source {
        AidSourceKind::Heading | AidSourceKind::Attitude => Channel::Attitude,
        _ => Channel::Place,
    }
}

/// What is to be done about the IMU after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Nothing: the leading filter goes on.
    Same,
    /// The other one leads from here on.
    Change,
}

/// The filter beside the leading one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rival {
    pub navigator: Navigator,
    settings: ImuAid,
    gyro: GyroCheck,
    /// Evidence against the IMU of the frame under way, and of those before, by channel.
    frame: [f64; 2],
    evidence: [f64; 2],
    /// Fixes used since the other filter began, and refused in a row.
    used: u32,
    refused: u32,
    last_used_ns: Option<i64>,
    /// Whether it lost the fixes: then it begins again before it is a witness.
    lost: bool,
    /// When it began as a copy of the leading one.
    since_ns: i64,
}

impl Rival {
    /// Beside a leading filter, with the IMU where that goes without it.
    pub fn beside(leading: &Navigator, settings: &ImuAid) -> Self {
        Self {
            navigator: copy(leading, settings),
            settings: *settings,
            gyro: GyroCheck::default(),
            frame: [0.0; 2],
            evidence: [0.0; 2],
            used: 0,
            refused: 0,
            last_used_ns: Some(leading.stamp_ns),
            lost: false,
            since_ns: leading.stamp_ns,
        }
    }

    /// Whether the leading filter has the IMU.
    fn leading_is_inertial(&self) -> bool {
        !self.navigator.inertial
    }

    /// Begins again as a copy of the leading filter.
    fn begin(&mut self, leading: &Navigator) {
        let aids = self.navigator.aids.clone();
        self.navigator = copy(leading, &self.settings);
        self.navigator.aids = aids;
        (self.evidence, self.frame) = ([0.0; 2], [0.0; 2]);
        (self.used, self.refused, self.lost) = (0, 0, false);
        (self.since_ns, self.last_used_ns) = (leading.stamp_ns, Some(leading.stamp_ns));
    }

    /// Goes on to an inertial sample that the leading filter has had.
    pub fn imu(&mut self, sample: &ImuSample, leading: &Navigator) {
        if !matches!(self.navigator.imu(sample), Sampled::Used | Sampled::Ignored) {
            return;
        }
        let inertial = if self.navigator.inertial { &self.navigator } else { leading };
        self.gyro.turn(sample, &inertial.filter.state.gyro_bias_rad_s);
    }

    /// The turn by the gyroscopes beside what is told of it.
    pub fn gyro(&mut self) -> &mut GyroCheck {
        &mut self.gyro
    }

    /// Takes a comparison of turns: evidence against the IMU.
    pub fn heed_turn(&mut self, evidence: f64) {
        self.frame[Channel::Attitude as usize] += evidence;
    }

    /// Measures what the leading filter has just measured, and compares.
    pub fn measure(&mut self, stamp_ns: i64, observation: &Observation, leading: &mut Eskf) -> Taken {
        let lead = leading.seen.0.take();
        let taken = self.navigator.measure(stamp_ns, observation);
        let other = self.navigator.filter.seen.0.take();
        if let (Some(lead), Some(other)) = (lead, other)
            && !matches!(taken, Taken::Repeated)
        {
            let (with, without) = if self.navigator.inertial { (other, lead) } else { (lead, other) };
            self.frame[channel(observation.source()) as usize] += score(&without) - score(&with);
        }
        if observation.source() == AidSourceKind::Visual {
            match taken {
                Taken::Updated(Update::Used(_)) => {
                    self.lost |= !self.is_recent(stamp_ns);
                    self.used += 1;
                    self.refused = 0;
                    self.last_used_ns = Some(stamp_ns);
                }
                Taken::Updated(Update::Gated(_)) => {
                    self.refused += 1;
                    self.lost |= self.refused > MOST_REFUSED;
                }
                _ => {}
            }
        }
        taken
    }

    /// Whether it follows the fixes without a break.
    pub fn follows(&self, stamp_ns: i64) -> bool {
        !self.lost && self.used > 0 && self.is_recent(stamp_ns)
    }

    fn is_recent(&self, stamp_ns: i64) -> bool {
        self.last_used_ns.is_some_and(|last_ns| seconds_between(last_ns, stamp_ns) <= LONGEST_S)
    }

    /// The leading filter has lost the fixes while this one follows them: that decides.
    pub fn condemn_imu(&mut self, stamp_ns: i64) -> bool {
        let decides = self.leading_is_inertial() && self.follows(stamp_ns) && self.used_at(stamp_ns);
        if decides {
            self.evidence[Channel::Place as usize] = f64::INFINITY;
        }
        decides
    }

    /// When it used a fix last, and whether that was at this stamp.
    pub fn used_at(&self, stamp_ns: i64) -> bool {
        self.used > 0 && self.last_used_ns == Some(stamp_ns)
    }

    /// How much is to be feared that the other filter is right, 0..1.
    pub fn doubt(&self, stamp_ns: i64) -> f64 {
        if !self.leading_is_inertial() || !self.follows(stamp_ns) {
            return 0.0;
        }
        let share = self.evidence.iter().fold(0.0, |a: f64, b| a.max(*b)) / self.settings.evidence;
        share.clamp(0.0, 1.0).powi(2)
    }

    /// Judges after a frame at which everything is measured. `leading_used`: whether the leading filter used its fix.
    pub fn judge(&mut self, stamp_ns: i64, leading: &Navigator, leading_used: bool) -> Judgement {
        let frame = std::mem::take(&mut self.frame);
        for (sum, frame) in self.evidence.iter_mut().zip(frame) {
            *sum = (*sum + frame.min(MOST_A_FRAME)).max(0.0);
        }
        let most = self.evidence.iter().fold(0.0, |a: f64, b| a.max(*b));
        if self.leading_is_inertial() {
            if !self.follows(stamp_ns) {
                if leading_used {
                    self.begin(leading);
                }
                return Judgement::Same;
            }
            let stopped = leading.imu_age_s() > self.settings.timeout_s;
            return if stopped || most > self.settings.evidence { Judgement::Change } else { Judgement::Same };
        }
        let comes = self.navigator.is_inertial();
        if !comes || most > TRIAL_FAILED || !self.follows(stamp_ns) {
            self.begin(leading);
            return Judgement::Same;
        }
        let long = seconds_between(self.since_ns, stamp_ns) >= self.settings.trial_s && self.used >= TRIAL_FIXES;
        // While the IMU has still to find out how the aircraft lies, the fixes alone tell more.
        let surer = self.navigator.filter.horizontal_sigma(0) <= leading.filter.horizontal_sigma(0);
        if long && surer && most < 0.5 * TRIAL_FAILED { Judgement::Change } else { Judgement::Same }
    }

    /// Lets the two change places; the sources of the leading filter go on to be counted with it.
    pub fn change(&mut self, leading: &mut Navigator) {
        std::mem::swap(&mut self.navigator, leading);
        std::mem::swap(&mut self.navigator.aids, &mut leading.aids);
        self.navigator.filter.transition = None;
        self.navigator.filter.displaced = None;
        leading.aids.get_mut(AidSourceKind::Imu).set_doubted(!leading.inertial);
        self.begin(leading);
    }
}

/// A copy that has the IMU where the original has it not. Nobody smooths it.
fn copy(leading: &Navigator, settings: &ImuAid) -> Navigator {
    let mut other = leading.clone();
    if leading.inertial {
        other.leave_imu(settings.stand_in_accel);
    } else {
        other.take_imu();
        other.filter.level(settings.level_sigma_rad);
    }
    other.filter.transition = None;
    other.filter.displaced = None;
    other
}

/// The logarithm of a measurement's likelihood, but for what both filters share.
fn score(seen: &Seen) -> f64 {
    -0.5 * (seen.nis.min(FARTHEST) + seen.log_determinant)
}
