//! From datagrams to samples: the part of the reader that knows no socket and asks no clock.

use mavlink::dialects::common::{
    ALTITUDE_DATA, ATTITUDE_DATA, EXTENDED_SYS_STATE_DATA, GLOBAL_POSITION_INT_DATA, GPS_RAW_INT_DATA, GpsFixType,
    HIGHRES_IMU_DATA, MavLandedState, MavMessage, SCALED_IMU2_DATA, SCALED_PRESSURE_DATA, TIMESYNC_DATA,
};
use mavlink::{MAVLinkV2MessageRaw, MavHeader};
use nalgebra::Vector3;
use std::net::SocketAddr;

use super::frames::{Header, Part, parts};
use super::sequence::Arrival;
use super::speakers::{Asked, Speakers, Verdict};
use super::{HeightChoice, MavlinkClock, MavlinkSettings};
use crate::geo::enu_from_body;
use crate::recording::rows::GNSS_SIGMA_M;
use crate::source::knowledge::height_sigma_m;
use crate::source::telemetry::StreamCounters;
use crate::time::{NANOS_PER_SEC, nanos_from_seconds};
use crate::types::{
    AttitudeSample, BarometerSample, GnssSample, HeadingSample, HeightSample, ImuSample, LandedSample, TelemetrySample,
};

/// Standard gravity, m/s².
const STANDARD_GRAVITY_M_S2: f64 = 9.806_65;
/// A better kind of message that was not seen for so long gives way to a lesser one.
const KIND_TIMEOUT_NS: i64 = 2 * NANOS_PER_SEC;
/// Stamps of `time_usec` from here on count from 1970, below from the boot.
const UNIX_USEC: u64 = 100_000_000_000_000;
/// Values of ALTITUDE below this are unknown, by its definition.
const UNKNOWN_ALTITUDE_M: f32 = -1000.0;
/// 1 sigma of a range finder's clearance: a fixed part, metres, and a relative part.
const CLEARANCE_SIGMA: (f64, f64) = (0.5, 0.01);
/// 1 sigma of a GNSS position at a dilution of precision of 1, metres.
const RANGE_SIGMA_M: f64 = 2.5;
/// 1 sigma of a barometer's noise, metres.
const BAROMETER_SIGMA_M: f64 = 0.5;
/// Questions for the autopilot's time that may wait for an answer.
const MAX_QUESTIONS: usize = 8;
/// The component that skyfix speaks as: MAV_COMP_ID_VISUAL_INERTIAL_ODOMETRY.
const OWN_COMPONENT: u8 = 197;

/// Kinds of messages that say the same, the better ones higher.
#[derive(Clone, Copy, Default)]
struct Preference {
    rank: u8,
    seen_ns: i64,
}

impl Preference {
    /// Whether a message of a kind counts: no better kind was seen lately.
    fn admits(&mut self, rank: u8, boot_ns: i64) -> bool {
        let since = boot_ns.saturating_sub(self.seen_ns);
        // A boot time that went back by more is a reboot.
        let lately = since.saturating_abs() <= KIND_TIMEOUT_NS;
        if rank < self.rank && lately {
            return false;
        }
        *self = Self { rank, seen_ns: if rank == self.rank && lately { boot_ns.max(self.seen_ns) } else { boot_ns } };
        true
    }
}

/// Turns datagrams into samples.
pub struct MavlinkDecoder {
    settings: MavlinkSettings,
    shift_ns: i64,
    speakers: Speakers,
    /// Nanoseconds since 1970 minus nanoseconds since boot, from SYSTEM_TIME.
    unix_minus_boot_ns: Option<i64>,
    imu: Preference,
    height: Preference,
    questions: Vec<i64>,
    own_sequence: u8,
    /// The stamp of the last message that had one, for those that have none.
    latest_ns: Option<i64>,
    counters: StreamCounters,
}

impl MavlinkDecoder {
    /// A decoder that has seen nothing.
    pub fn new(settings: MavlinkSettings) -> Self {
        Self {
            settings,
            shift_ns: nanos_from_seconds(settings.telemetry_minus_video_s),
            speakers: Speakers::new(Asked {
                system: settings.system_id,
                component: settings.component_id,
                at_once: settings.clock == MavlinkClock::Boot,
            }),
            unix_minus_boot_ns: None,
            imu: Preference::default(),
            height: Preference::default(),
            questions: Vec::new(),
            own_sequence: 0,
            latest_ns: None,
            counters: StreamCounters::default(),
        }
    }

    /// Where the autopilot is that is listened to, once there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.speakers.address()
    }

    /// What happened so far.
    pub fn counters(&self) -> StreamCounters {
        let (lost, clock_resets) = self.speakers.losses();
        StreamCounters { lost, clock_resets, ..self.counters }
    }

    /// Coordinated universal time minus stamps, once a SYSTEM_TIME has told it.
    pub fn utc_minus_stamp_ns(&self) -> Option<i64> {
        let stamp_minus_boot_ns = match self.settings.clock {
            MavlinkClock::Boot => 0,
            MavlinkClock::Local => self.speakers.clock()?.local_ns(0)?,
        };
        Some(self.unix_minus_boot_ns?.saturating_sub(stamp_minus_boot_ns.saturating_sub(self.shift_ns)))
    }

    /// Takes a datagram that arrived at `local_ns`. Samples go to `samples`; the return value is what has to be sent back.
    pub fn datagram(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        local_ns: i64,
        samples: &mut Vec<TelemetrySample>,
    ) -> Option<Vec<u8>> {
        self.counters.datagrams += 1;
        let mut answer = None;
        for part in parts(bytes) {
            match part {
                Part::Malformed => self.counters.malformed += 1,
                Part::Unknown(header) => {
                    self.counters.ignored += 1;
                    if self.speakers.is_chosen(header, from) {
                        self.is_new(header);
                    }
                }
                Part::Message { header, message } => {
                    if self.belongs(header, &message, from, local_ns)
                        && let Some(reply) = self.message(&message, local_ns, samples)
                    {
                        answer = Some(reply);
                    }
                }
            }
        }
        answer
    }

    /// A question for the autopilot's time, to be sent at `local_ns`.
    pub fn question(&mut self, local_ns: i64) -> Vec<u8> {
        if self.questions.len() >= MAX_QUESTIONS {
            self.questions.remove(0);
        }
        self.questions.push(local_ns);
        self.framed(TIMESYNC_DATA { tc1: 0, ts1: local_ns })
    }

    /// Whether a message comes from the autopilot that is listened to, for the first time.
    fn belongs(&mut self, header: Header, message: &MavMessage, from: SocketAddr, local_ns: i64) -> bool {
        match self.speakers.hear(header, message, from, local_ns) {
            Verdict::Other => {
                self.counters.others += 1;
                return false;
            }
            Verdict::OtherAddress => {
                self.counters.other_addresses += 1;
                return false;
            }
            Verdict::ListenAnew => {
                // What is known of the one before says nothing of this one.
                self.unix_minus_boot_ns = None;
                (self.imu, self.height) = Default::default();
                self.questions.clear();
                self.latest_ns = None;
            }
            Verdict::Listen => {}
        }
        self.is_new(header)
    }

    /// Whether a message of the autopilot that is listened to was not here before.
    fn is_new(&mut self, header: Header) -> bool {
        let Some(speaker) = self.speakers.chosen() else { return false };
        match speaker.sequence.take(header.sequence) {
            Arrival::New => {}
            Arrival::Late => self.counters.out_of_order += 1,
            Arrival::Repeated => {
                self.counters.duplicates += 1;
                return false;
            }
        }
        true
    }

    fn message(&mut self, message: &MavMessage, local_ns: i64, samples: &mut Vec<TelemetrySample>) -> Option<Vec<u8>> {
        let before = samples.len();
        let mut answer = None;
        let mut understood = false;
        match message {
            MavMessage::ATTITUDE(m) => self.attitude(m, local_ns, samples),
            MavMessage::GLOBAL_POSITION_INT(m) => self.global_position(m, local_ns, samples),
            MavMessage::ALTITUDE(m) => self.altitude(m, local_ns, samples),
            MavMessage::HIGHRES_IMU(m) => self.highres_imu(m, local_ns, samples),
            MavMessage::SCALED_IMU2(m) => self.scaled_imu(m, local_ns, samples),
            MavMessage::SCALED_PRESSURE(m) => self.pressure(m, local_ns, samples),
            MavMessage::GPS_RAW_INT(m) => self.gnss(m, local_ns, samples),
            MavMessage::EXTENDED_SYS_STATE(m) => self.landed(m, samples),
            // It has said what it is.
            MavMessage::HEARTBEAT(_) => understood = true,
            MavMessage::SYSTEM_TIME(m) => {
                let boot_ns = i64::from(m.time_boot_ms) * 1_000_000;
                if m.time_unix_usec >= UNIX_USEC {
                    let unix_ns = i64::try_from(m.time_unix_usec).ok().and_then(|us| us.checked_mul(1000));
                    self.unix_minus_boot_ns = unix_ns.map(|ns| ns.saturating_sub(boot_ns));
                }
                understood = self.speakers.chosen().is_some_and(|s| s.clock.arrival(boot_ns, local_ns));
            }
            MavMessage::TIMESYNC(m) if m.tc1 == 0 => {
                answer = Some(self.framed(TIMESYNC_DATA { tc1: local_ns, ts1: m.ts1 }));
                understood = true;
            }
            MavMessage::TIMESYNC(m) => {
                if let Some(i) = self.questions.iter().position(|sent| *sent == m.ts1) {
                    let sent_ns = self.questions.remove(i);
                    if let Some(speaker) = self.speakers.chosen() {
                        speaker.clock.round_trip(sent_ns, m.tc1, local_ns);
                        understood = true;
                    }
                }
            }
            _ => {}
        }
        if understood || samples.len() > before {
            self.counters.messages += 1
        } else {
            self.counters.ignored += 1
        }
        answer
    }

    fn attitude(&mut self, m: &ATTITUDE_DATA, local_ns: i64, samples: &mut Vec<TelemetrySample>) {
        let Some(stamp_ns) = self.stamp(i64::from(m.time_boot_ms) * 1_000_000, local_ns) else { return };
        let yaw = f64::from(m.yaw) + self.settings.declination_rad;
        let enu_from_body = enu_from_body(yaw, f64::from(m.pitch), f64::from(m.roll));
        let sigma_rad = self.settings.attitude_sigma_rad;
        samples.push(TelemetrySample::Attitude(AttitudeSample { stamp_ns, enu_from_body, sigma_rad }));
    }

    fn global_position(&mut self, m: &GLOBAL_POSITION_INT_DATA, local_ns: i64, samples: &mut Vec<TelemetrySample>) {
        let boot_ns = i64::from(m.time_boot_ms) * 1_000_000;
        let Some(stamp_ns) = self.stamp(boot_ns, local_ns) else { return };
        if m.hdg != u16::MAX {
            let heading = (f64::from(m.hdg) / 100.0).to_radians() + self.settings.declination_rad;
            let heading_rad = heading.rem_euclid(std::f64::consts::TAU);
            let sigma_rad = self.settings.heading_sigma_rad;
            samples.push(TelemetrySample::Heading(HeadingSample { stamp_ns, heading_rad, sigma_rad }));
        }
        if self.height.admits(1, boot_ns) {
            let h = f64::from(m.relative_alt) / 1000.0;
            samples.push(self.height_sample(stamp_ns, h, height_sigma_m(h)));
        }
    }

    fn altitude(&mut self, m: &ALTITUDE_DATA, local_ns: i64, samples: &mut Vec<TelemetrySample>) {
        let Some(boot_ns) = self.boot_ns(m.time_usec) else { return };
        let Some(stamp_ns) = self.stamp(boot_ns, local_ns) else { return };
        let above_ground = self.settings.heights == HeightChoice::Best;
        let known = |v: f32| v.is_finite() && v > UNKNOWN_ALTITUDE_M;
        let (rank, h, sigma) = if above_ground && m.bottom_clearance.is_finite() && m.bottom_clearance > 0.0 {
            let h = f64::from(m.bottom_clearance);
            (4, h, CLEARANCE_SIGMA.0.hypot(CLEARANCE_SIGMA.1 * h))
        } else if above_ground && known(m.altitude_terrain) {
            let h = f64::from(m.altitude_terrain);
            (3, h, height_sigma_m(h))
        } else if known(m.altitude_relative) {
            let h = f64::from(m.altitude_relative);
            (2, h, height_sigma_m(h))
        } else {
            return;
        };
        if self.height.admits(rank, boot_ns) {
            samples.push(self.height_sample(stamp_ns, h, sigma));
        }
    }

    fn height_sample(&self, stamp_ns: i64, height_agl_m: f64, sigma_m: f64) -> TelemetrySample {
        let sigma_m = self.settings.height_sigma_m.unwrap_or(sigma_m);
        TelemetrySample::Height(HeightSample { stamp_ns, height_agl_m, sigma_m })
    }

    fn highres_imu(&mut self, m: &HIGHRES_IMU_DATA, local_ns: i64, samples: &mut Vec<TelemetrySample>) {
        use mavlink::dialects::common::HighresImuUpdatedFlags as Flags;
        let motion = Flags::HIGHRES_IMU_UPDATED_XACC
            | Flags::HIGHRES_IMU_UPDATED_YACC
            | Flags::HIGHRES_IMU_UPDATED_ZACC
            | Flags::HIGHRES_IMU_UPDATED_XGYRO
            | Flags::HIGHRES_IMU_UPDATED_YGYRO
            | Flags::HIGHRES_IMU_UPDATED_ZGYRO;
        // Senders that do not use the flags leave them at zero.
        if !m.fields_updated.is_empty() && !m.fields_updated.contains(motion) {
            return;
        }
        let Some(boot_ns) = self.boot_ns(m.time_usec) else { return };
        let Some(stamp_ns) = self.stamp(boot_ns, local_ns) else { return };
        if self.imu.admits(2, boot_ns) {
            samples.push(TelemetrySample::Imu(ImuSample {
                stamp_ns,
                gyro_rad_s: Vector3::new(m.xgyro, m.ygyro, m.zgyro).map(f64::from),
                accel_m_s2: Vector3::new(m.xacc, m.yacc, m.zacc).map(f64::from),
            }));
        }
    }

    fn scaled_imu(&mut self, m: &SCALED_IMU2_DATA, local_ns: i64, samples: &mut Vec<TelemetrySample>) {
        let boot_ns = i64::from(m.time_boot_ms) * 1_000_000;
        let Some(stamp_ns) = self.stamp(boot_ns, local_ns) else { return };
        if self.imu.admits(1, boot_ns) {
            samples.push(TelemetrySample::Imu(ImuSample {
                stamp_ns,
                gyro_rad_s: Vector3::new(m.xgyro, m.ygyro, m.zgyro).map(|v| f64::from(v) * 1e-3),
                accel_m_s2: Vector3::new(m.xacc, m.yacc, m.zacc).map(|v| f64::from(v) * 1e-3 * STANDARD_GRAVITY_M_S2),
            }));
        }
    }

    fn pressure(&mut self, m: &SCALED_PRESSURE_DATA, local_ns: i64, samples: &mut Vec<TelemetrySample>) {
        let pressure_hpa = f64::from(m.press_abs);
        if !(pressure_hpa > 0.0 && pressure_hpa.is_finite()) {
            return;
        }
        let Some(stamp_ns) = self.stamp(i64::from(m.time_boot_ms) * 1_000_000, local_ns) else { return };
        let alt_m = standard_altitude_m(pressure_hpa);
        samples.push(TelemetrySample::Barometer(BarometerSample { stamp_ns, alt_m, sigma_m: BAROMETER_SIGMA_M }));
    }

    fn gnss(&mut self, m: &GPS_RAW_INT_DATA, local_ns: i64, samples: &mut Vec<TelemetrySample>) {
        use GpsFixType as Fix;
        if matches!(m.fix_type, Fix::GPS_FIX_TYPE_NO_GPS | Fix::GPS_FIX_TYPE_NO_FIX | Fix::GPS_FIX_TYPE_2D_FIX) {
            return;
        }
        let Some(boot_ns) = self.boot_ns(m.time_usec) else { return };
        let Some(stamp_ns) = self.stamp(boot_ns, local_ns) else { return };
        let dilution = Some(f64::from(m.eph) / 100.0).filter(|_| m.eph != u16::MAX && m.eph > 0);
        let sigma_m = dilution.map_or(GNSS_SIGMA_M, |d| RANGE_SIGMA_M * d.max(0.5));
        let (lat_deg, lon_deg) = (f64::from(m.lat) * 1e-7, f64::from(m.lon) * 1e-7);
        samples.push(TelemetrySample::Gnss(GnssSample { stamp_ns, lat_deg, lon_deg, sigma_m }));
    }

    /// The message has no stamp: it has that of the one before it.
    fn landed(&mut self, m: &EXTENDED_SYS_STATE_DATA, samples: &mut Vec<TelemetrySample>) {
        let landed = match m.landed_state {
            MavLandedState::MAV_LANDED_STATE_UNDEFINED => return,
            MavLandedState::MAV_LANDED_STATE_ON_GROUND => true,
            _ => false,
        };
        let Some(stamp_ns) = self.latest_ns else { return };
        samples.push(TelemetrySample::Landed(LandedSample { stamp_ns, landed }));
    }

    /// Nanoseconds since boot of a `time_usec`, which counts from the boot or from 1970; the latter needs a SYSTEM_TIME first.
    fn boot_ns(&self, time_usec: u64) -> Option<i64> {
        let ns = i64::try_from(time_usec).ok()?.checked_mul(1000)?;
        if time_usec < UNIX_USEC { Some(ns) } else { self.unix_minus_boot_ns.map(|offset| ns.saturating_sub(offset)) }
    }

    /// The stamp of a sample by the frames' clock; `None` while that is not known, and for stamps of another clock.
    fn stamp(&mut self, boot_ns: i64, local_ns: i64) -> Option<i64> {
        let stamp = match self.settings.clock {
            MavlinkClock::Boot => Some(boot_ns),
            MavlinkClock::Local => {
                let clock = &mut self.speakers.chosen()?.clock;
                clock.arrival(boot_ns, local_ns).then(|| clock.local_ns(boot_ns)).flatten()
            }
        };
        let stamp_ns = stamp.map(|s| s.saturating_sub(self.shift_ns));
        self.latest_ns = stamp_ns.or(self.latest_ns);
        stamp_ns
    }

    fn framed(&mut self, data: TIMESYNC_DATA) -> Vec<u8> {
        let header =
            MavHeader { system_id: self.settings.own_system_id.into(), component_id: OWN_COMPONENT, sequence: self.own_sequence };
        self.own_sequence = self.own_sequence.wrapping_add(1);
        let mut raw = MAVLinkV2MessageRaw::new();
        raw.serialize_message_data(header, &data);
        raw.raw_bytes().to_vec()
    }
}

/// Altitude of a pressure in the International Standard Atmosphere below 11 km (ISO 2533), metres.
fn standard_altitude_m(pressure_hpa: f64) -> f64 {
    44_330.77 * (1.0 - (pressure_hpa / 1_013.25).powf(0.190_263_2))
}

#[cfg(test)]
mod tests;
