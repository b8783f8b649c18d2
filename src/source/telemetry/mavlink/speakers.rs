//! Who is on the link, and which one of them is listened to.
//!
//! Several systems may send to one port: the autopilot, ground stations, radios, other aircraft. Listened to is the autopilot that was asked
//! for; else the one that says by its HEARTBEAT that it is one; else, once nobody has said so for [`HOLD_NS`], the one with the lowest
//! numbers (autopilots count from 1, others from above) of those with telemetry. One that falls silent for [`SILENCE_NS`] is given up, and
//! the next is chosen by the same rule, but never one that says less of itself; when it comes back, it is listened to again.

use std::net::SocketAddr;

use mavlink::dialects::common::{HEARTBEAT_DATA, MavAutopilot, MavMessage, MavType};

use super::frames::Header;
use super::sequence::Sequence;
use crate::source::telemetry::clock::ClockMapping;
use crate::time::NANOS_PER_SEC;

/// Telemetry of somebody who never said that it is an autopilot waits so long for one who does. A HEARTBEAT comes every second.
pub(super) const HOLD_NS: i64 = 3 * NANOS_PER_SEC;
/// One that was not heard for so long is given up.
pub(super) const SILENCE_NS: i64 = 5 * NANOS_PER_SEC;
/// Speakers that are told apart; more on one link are a mistake or an attack.
const MAX_SPEAKERS: usize = 32;

/// Which autopilot is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub system: Option<u8>,
    pub component: Option<u8>,
    /// Whether whoever speaks first is it: in a log there is no time to wait.
    pub at_once: bool,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is of the one that is listened to.
    Listen,
    /// The same, and this one was not listened to before.
    ListenAnew,
    /// It is of another one.
    Other,
    /// It bears the numbers of the one that is listened to, and comes from another address.
    OtherAddress,
}

/// Somebody on the link.
pub(super) struct Speaker {
    system: u8,
    component: u8,
    address: SocketAddr,
    /// Whether its HEARTBEAT says that it is an autopilot.
    is_autopilot: bool,
    has_telemetry: bool,
    first_ns: i64,
    last_ns: i64,
    pub clock: ClockMapping,
    pub sequence: Sequence,
    told_address: bool,
}

impl Speaker {
    fn named(&self) -> String {
        let what = if self.is_autopilot { ", an autopilot" } else { "" };
        format!("system {}, component {}{what} at {}", self.system, self.component, self.address)
    }

    fn is_silent(&self, local_ns: i64) -> bool {
        local_ns.saturating_sub(self.last_ns) > SILENCE_NS
    }
}

/// Everybody on the link.
pub(super) struct Speakers {
    asked: Asked,
    all: Vec<Speaker>,
    chosen: Option<usize>,
    /// The one that was chosen by what it says of itself, though it may have fallen silent.
    preferred: Option<usize>,
    /// Whether it was said that there is nobody to listen to, and that there are several.
    told: (bool, bool),
}

impl Speakers {
    pub fn new(asked: Asked) -> Self {
        Self { asked, all: Vec::new(), chosen: None, preferred: None, told: (false, false) }
    }

    /// The one that is listened to.
    pub fn chosen(&mut self) -> Option<&mut Speaker> {
        self.chosen.and_then(|i| self.all.get_mut(i))
    }

    /// The clock of the one that is listened to.
    pub fn clock(&self) -> Option<&ClockMapping> {
        self.chosen.map(|i| &self.all[i].clock)
    }

    /// Where the one that is listened to is.
    pub fn address(&self) -> Option<SocketAddr> {
        self.chosen.map(|i| self.all[i].address)
    }

    /// Whether a message, which may not be understood, is of the one that is listened to.
    pub fn is_chosen(&self, header: Header, from: SocketAddr) -> bool {
        self.chosen.is_some_and(|i| {
            let speaker = &self.all[i];
            (speaker.system, speaker.component, speaker.address) == (header.system, header.component, from)
        })
    }

    /// Messages that never arrived of those who were listened to, and times that a clock was set anew.
    pub fn losses(&self) -> (u64, u64) {
        self.all.iter().fold((0, 0), |(lost, resets), s| (lost + s.sequence.lost(), resets + s.clock.resets()))
    }

    /// Takes note of a message.
    pub fn hear(&mut self, header: Header, message: &MavMessage, from: SocketAddr, local_ns: i64) -> Verdict {
        let Some(at) = self.find(header, from, local_ns) else { return Verdict::Other };
        let speaker = &mut self.all[at];
        if speaker.address != from {
            // A link that was set up anew has another port; two at a time are no one link.
            if !speaker.is_silent(local_ns) {
                if !std::mem::replace(&mut speaker.told_address, true) {
                    tracing::warn!("MAVLink: {} speaks from {from} as well; that is not listened to", speaker.named());
                }
                return Verdict::OtherAddress;
            }
            tracing::warn!("MAVLink: {} is at {from} from now on", speaker.named());
            speaker.address = from;
        }
        speaker.last_ns = local_ns;
        if let MavMessage::HEARTBEAT(heartbeat) = message {
            speaker.is_autopilot = is_autopilot(heartbeat);
        }
        if is_telemetry(message) && !std::mem::replace(&mut speaker.has_telemetry, true) {
            speaker.first_ns = local_ns;
        }
        if let Some(boot_ns) = boot_ns(message).filter(|_| self.chosen != Some(at)) {
            speaker.clock.arrival(boot_ns, local_ns);
        }
        let anew = self.choose(local_ns);
        match self.chosen == Some(at) {
            true if anew => Verdict::ListenAnew,
            true => Verdict::Listen,
            false => Verdict::Other,
        }
    }

    /// The speaker of a message, known or new.
    fn find(&mut self, header: Header, from: SocketAddr, local_ns: i64) -> Option<usize> {
        let Header { system, component, .. } = header;
        let known = self.all.iter().position(|s| (s.system, s.component) == (system, component));
        if known.is_some() || self.all.len() >= MAX_SPEAKERS {
            return known;
        }
        self.all.push(Speaker {
            system,
            component,
            address: from,
            is_autopilot: false,
            has_telemetry: false,
            first_ns: local_ns,
            last_ns: local_ns,
            clock: ClockMapping::new(),
            sequence: Sequence::new(),
            told_address: false,
        });
        Some(self.all.len() - 1)
    }

    /// Chooses whom to listen to, where that is nobody yet, or one that has fallen silent, or one that is surpassed. Returns whether it
    /// is another one from now on.
    fn choose(&mut self, local_ns: i64) -> bool {
        let best = (0..self.all.len()).filter(|i| self.may_be_chosen(*i, local_ns)).min_by_key(|i| self.rank(*i));
        if let Some(now) = self.chosen {
            let silent = self.all[now].is_silent(local_ns);
            let surpassed = best.is_some_and(|b| self.rank(b).0 < self.rank(now).0);
            if !silent && !surpassed {
                self.tell_of_others(now);
                return false;
            }
            if silent {
                tracing::warn!("MAVLink: {} has fallen silent", self.all[now].named());
                self.chosen = None;
            }
        }
        let Some(best) = best.filter(|b| self.chosen != Some(*b)) else {
            self.tell_of_none(local_ns);
            return false;
        };
        match self.chosen.or(self.preferred) {
            None => tracing::info!("MAVLink: listening to {}", self.all[best].named()),
            Some(_) => tracing::warn!("MAVLink: listening to {} from now on", self.all[best].named()),
        }
        self.chosen = Some(best);
        // One that stands in for another gives way to it.
        if self.preferred.is_none_or(|p| self.all[best].is_autopilot && !self.all[p].is_autopilot) {
            self.preferred = self.chosen;
        }
        self.tell_of_others(best);
        true
    }

    fn may_be_chosen(&self, i: usize, local_ns: i64) -> bool {
        let speaker = &self.all[i];
        let asked = self.asked.system.is_none_or(|id| id == speaker.system)
            && self.asked.component.is_none_or(|id| id == speaker.component);
        let certain = self.asked.at_once
            || speaker.is_autopilot
            || self.asked.system.zip(self.asked.component).is_some()
            || self.waited_ns(local_ns) >= HOLD_NS;
        // Somebody who is no autopilot does not take the place of one.
        let no_less = self.preferred.is_none_or(|p| p == i || speaker.is_autopilot || !self.all[p].is_autopilot);
        asked && certain && no_less && speaker.has_telemetry && !speaker.is_silent(local_ns)
    }

    /// How long telemetry has come, whosever it is.
    fn waited_ns(&self, local_ns: i64) -> i64 {
        let first = self.all.iter().filter(|s| s.has_telemetry).map(|s| s.first_ns).min();
        first.map_or(0, |first| local_ns.saturating_sub(first))
    }

    /// Whom to prefer: the least. That it is no autopilot, or not the one of before, is a reason to change; the numbers are not.
    fn rank(&self, i: usize) -> ((bool, bool), u8, u8) {
        let speaker = &self.all[i];
        ((!speaker.is_autopilot, self.preferred != Some(i)), speaker.system, speaker.component)
    }

    /// Says once that there are several.
    fn tell_of_others(&mut self, chosen: usize) {
        if self.told.1 || self.asked.system.is_some() {
            return;
        }
        let others: Vec<String> =
            (0..self.all.len()).filter(|i| *i != chosen && self.all[*i].has_telemetry).map(|i| self.all[i].named()).collect();
        if !others.is_empty() {
            self.told.1 = true;
            tracing::warn!(
                "MAVLink: several send telemetry; {} is listened to, and not: {}. `telemetry.mavlink_system_id` says which one it should be",
                self.all[chosen].named(),
                others.join("; ")
            );
        }
    }

    /// Says once that telemetry comes, of nobody who was asked for.
    fn tell_of_none(&mut self, local_ns: i64) {
        let waited = self.waited_ns(local_ns) > HOLD_NS;
        if self.chosen.is_some() || self.preferred.is_some() || self.told.0 || !waited {
            return;
        }
        self.told.0 = true;
        let heard: Vec<String> = self.all.iter().filter(|s| s.has_telemetry).map(Speaker::named).collect();
        tracing::warn!("MAVLink: the autopilot that was asked for is not heard, but: {}", heard.join("; "));
    }
}

fn is_autopilot(heartbeat: &HEARTBEAT_DATA) -> bool {
    heartbeat.autopilot != MavAutopilot::MAV_AUTOPILOT_INVALID
        && !matches!(
            heartbeat.mavtype,
            MavType::MAV_TYPE_GCS
                | MavType::MAV_TYPE_ONBOARD_CONTROLLER
                | MavType::MAV_TYPE_GIMBAL
                | MavType::MAV_TYPE_ADSB
                | MavType::MAV_TYPE_CAMERA
                | MavType::MAV_TYPE_ANTENNA_TRACKER
        )
}

/// Whether only an autopilot has reason to send a message.
fn is_telemetry(message: &MavMessage) -> bool {
    use MavMessage::{ALTITUDE, ATTITUDE, GLOBAL_POSITION_INT, HIGHRES_IMU, SCALED_IMU2};
    matches!(message, ATTITUDE(_) | GLOBAL_POSITION_INT(_) | ALTITUDE(_) | HIGHRES_IMU(_) | SCALED_IMU2(_))
}

/// The time since boot that a frequent message states.
fn boot_ns(message: &MavMessage) -> Option<i64> {
    let ms = match message {
        MavMessage::ATTITUDE(m) => m.time_boot_ms,
        MavMessage::GLOBAL_POSITION_INT(m) => m.time_boot_ms,
        _ => return None,
    };
    Some(i64::from(ms) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mavlink::dialects::common::ATTITUDE_DATA;

    const SECOND: i64 = NANOS_PER_SEC;

    fn speakers() -> Speakers {
        Speakers::new(Asked::default())
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn header(system: u8, component: u8) -> Header {
        Header { sequence: 0, system, component }
    }

    fn attitude(s: i64) -> MavMessage {
        MavMessage::ATTITUDE(ATTITUDE_DATA { time_boot_ms: (s * 1000) as u32, ..Default::default() })
    }

    fn heartbeat(mavtype: MavType, autopilot: MavAutopilot) -> MavMessage {
        MavMessage::HEARTBEAT(HEARTBEAT_DATA { mavtype, autopilot, ..Default::default() })
    }

    fn autopilot() -> MavMessage {
        heartbeat(MavType::MAV_TYPE_QUADROTOR, MavAutopilot::MAV_AUTOPILOT_PX4)
    }

    /// System `system` sends telemetry at these seconds, and perhaps that it is an autopilot.
    fn say(speakers: &mut Speakers, system: u8, seconds: std::ops::Range<i64>, says_so: bool) -> Vec<Verdict> {
        let from = at(1000 + u16::from(system));
        seconds
            .map(|s| {
                if says_so {
                    speakers.hear(header(system, 1), &autopilot(), from, s * SECOND);
                }
                speakers.hear(header(system, 1), &attitude(s), from, s * SECOND)
            })
            .collect()
    }

    #[test]
    fn whoever_says_that_it_is_an_autopilot_is_listened_to_at_once_and_takes_the_place_of_one_that_does_not() {
        let mut speakers = speakers();
        assert_eq!(say(&mut speakers, 42, 0..3, false), [Verdict::Other; 3]);
        assert_eq!(say(&mut speakers, 42, 3..4, false), [Verdict::ListenAnew], "nobody better came");
        assert!(say(&mut speakers, 7, 4..6, true).iter().all(|v| *v != Verdict::Other));
        assert_eq!(say(&mut speakers, 42, 6..8, false), [Verdict::Other; 2]);
        // Another autopilot does not, whatever its number.
        assert_eq!(say(&mut speakers, 1, 6..8, true), [Verdict::Other; 2]);
    }

    #[test]
    fn of_those_who_say_nothing_of_themselves_the_lowest_number_is_listened_to_not_the_first_who_speaks() {
        let mut speakers = speakers();
        say(&mut speakers, 42, 0..3, false);
        say(&mut speakers, 1, 2..3, false);
        assert_eq!(say(&mut speakers, 1, 3..6, false).last(), Some(&Verdict::Listen));
        assert_eq!(say(&mut speakers, 42, 6..7, false), [Verdict::Other]);
    }

    #[test]
    fn a_ground_station_a_radio_and_a_companion_are_no_autopilots() {
        let mut speakers = speakers();
        let gcs = heartbeat(MavType::MAV_TYPE_GCS, MavAutopilot::MAV_AUTOPILOT_INVALID);
        let companion = heartbeat(MavType::MAV_TYPE_ONBOARD_CONTROLLER, MavAutopilot::MAV_AUTOPILOT_INVALID);
        for (system, component, message) in [(255, 190, &gcs), (1, 191, &companion)] {
            assert_eq!(speakers.hear(header(system, component), message, at(1), 0), Verdict::Other);
            assert_eq!(speakers.hear(header(system, component), &attitude(0), at(1), 0), Verdict::Other);
        }
        assert_eq!(say(&mut speakers, 1, 1..2, true), [Verdict::ListenAnew]);
    }

    #[test]
    fn one_that_falls_silent_is_given_up_for_another_autopilot_and_taken_again_when_it_comes_back() {
        let mut speakers = speakers();
        say(&mut speakers, 5, 0..3, true);
        assert_eq!(say(&mut speakers, 9, 3..12, false), [Verdict::Other; 9], "never one that says less of itself");
        assert_eq!(say(&mut speakers, 2, 12..13, true), [Verdict::ListenAnew]);
        assert_eq!(say(&mut speakers, 5, 14..16, true).last(), Some(&Verdict::Listen));
        assert_eq!(say(&mut speakers, 2, 16..17, true), [Verdict::Other]);
    }

    #[test]
    fn a_second_address_with_the_same_numbers_is_refused_until_the_first_is_silent() {
        let mut speakers = speakers();
        say(&mut speakers, 1, 0..2, true);
        let mut from_elsewhere = |s: i64| speakers.hear(header(1, 1), &attitude(s), at(9), s * SECOND);
        assert_eq!(from_elsewhere(2), Verdict::OtherAddress);
        assert_eq!(from_elsewhere(6), Verdict::OtherAddress);
        assert_eq!(from_elsewhere(7), Verdict::Listen);
        assert_eq!(speakers.address(), Some(at(9)));
    }

    #[test]
    fn who_is_asked_for_is_the_only_one() {
        let mut speakers = Speakers::new(Asked { system: Some(3), component: Some(1), at_once: false });
        assert_eq!(say(&mut speakers, 1, 0..9, true), [Verdict::Other; 9]);
        assert_eq!(say(&mut speakers, 3, 9..11, false), [Verdict::ListenAnew, Verdict::Listen]);
        assert_eq!(speakers.hear(header(3, 2), &attitude(11), at(1), 11 * SECOND), Verdict::Other);
    }

    #[test]
    fn no_crowd_makes_it_grow() {
        let mut speakers = speakers();
        for n in 0..=u16::MAX {
            let [system, component] = n.to_be_bytes();
            speakers.hear(header(system, component), &attitude(0), at(1), i64::from(n));
        }
        assert_eq!(speakers.all.len(), MAX_SPEAKERS);
    }
}
