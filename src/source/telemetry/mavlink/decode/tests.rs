use super::*;
use crate::geo::heading_pitch_roll;
use mavlink::dialects::common::{
    EXTENDED_SYS_STATE_DATA, GPS_RAW_INT_DATA, HEARTBEAT_DATA, HighresImuUpdatedFlags, MavAutopilot, SCALED_PRESSURE_DATA,
    SYSTEM_TIME_DATA,
};
use mavlink::{MavHeader, MavlinkVersion};
use proptest::prelude::*;

const SECOND: i64 = NANOS_PER_SEC;

/// Where the messages come from.
fn sender() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 14_555))
}

fn boot() -> MavlinkSettings {
    MavlinkSettings { clock: MavlinkClock::Boot, ..MavlinkSettings::default() }
}

fn framed(version: MavlinkVersion, system: u8, sequence: u8, message: &MavMessage) -> Vec<u8> {
    let header = MavHeader { system_id: system.into(), component_id: 1, sequence };
    let mut bytes = Vec::new();
    mavlink::write_versioned_msg(&mut bytes, version, header, message).unwrap();
    bytes
}

fn attitude(ms: u32, roll: f32, pitch: f32, yaw: f32) -> MavMessage {
    MavMessage::ATTITUDE(ATTITUDE_DATA { time_boot_ms: ms, roll, pitch, yaw, ..Default::default() })
}

fn position(ms: u32, relative_alt: i32, hdg: u16) -> MavMessage {
    MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA { time_boot_ms: ms, relative_alt, hdg, ..Default::default() })
}

/// Decodes messages in order, each in a datagram.
fn decoded(decoder: &mut MavlinkDecoder, messages: &[MavMessage]) -> Vec<TelemetrySample> {
    let mut samples = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        decoder.datagram(&framed(MavlinkVersion::V2, 1, i as u8, message), sender(), 0, &mut samples);
    }
    samples
}

fn heights(samples: &[TelemetrySample]) -> Vec<f64> {
    let height = |s: &TelemetrySample| match s {
        TelemetrySample::Height(h) => Some((h.height_agl_m * 100.0).round() / 100.0),
        _ => None,
    };
    samples.iter().filter_map(height).collect()
}

#[test]
fn attitude_heading_and_height_have_our_frames_and_units() {
    let samples = decoded(&mut MavlinkDecoder::new(boot()), &[attitude(1500, 0.1, -0.2, 1.0), position(1600, 61_500, 35_900)]);
    let TelemetrySample::Attitude(a) = samples[0] else { panic!("{samples:?}") };
    let (heading, pitch, roll) = heading_pitch_roll(&a.enu_from_body);
    assert_eq!(a.stamp_ns, 1_500_000_000);
    assert!((heading - 1.0).abs() < 1e-6 && (pitch + 0.2).abs() < 1e-6 && (roll - 0.1).abs() < 1e-6);
    let TelemetrySample::Heading(h) = samples[1] else { panic!("{samples:?}") };
    assert!((h.heading_rad.to_degrees() - 359.0).abs() < 1e-9);
    assert_eq!(heights(&samples), [61.5]);
}

#[test]
fn pressure_gnss_and_landed_state_become_samples_where_they_say_something() {
    let gnss = |fix_type, eph| {
        MavMessage::GPS_RAW_INT(GPS_RAW_INT_DATA {
            time_usec: 2_000_000,
            lat: 470_000_000,
            lon: 80_000_000,
            fix_type,
            eph,
            ..Default::default()
        })
    };
    let pressure =
        |press_abs| MavMessage::SCALED_PRESSURE(SCALED_PRESSURE_DATA { time_boot_ms: 1500, press_abs, ..Default::default() });
    let state = |landed_state| MavMessage::EXTENDED_SYS_STATE(EXTENDED_SYS_STATE_DATA { landed_state, ..Default::default() });
    let messages = [
        // Has no stamp, and nothing before it had one.
        state(MavLandedState::MAV_LANDED_STATE_ON_GROUND),
        attitude(1000, 0.0, 0.0, 0.0),
        pressure(954.608),
        pressure(0.0),
        pressure(f32::NAN),
        gnss(GpsFixType::GPS_FIX_TYPE_NO_FIX, 100),
        gnss(GpsFixType::GPS_FIX_TYPE_3D_FIX, 120),
        gnss(GpsFixType::GPS_FIX_TYPE_DGPS, u16::MAX),
        state(MavLandedState::MAV_LANDED_STATE_UNDEFINED),
        state(MavLandedState::MAV_LANDED_STATE_ON_GROUND),
        state(MavLandedState::MAV_LANDED_STATE_IN_AIR),
    ];
    let samples = decoded(&mut MavlinkDecoder::new(boot()), &messages);
    let TelemetrySample::Barometer(b) = samples[1] else { panic!("{samples:?}") };
    // The standard atmosphere has 954.608 hPa at 500 m.
    assert!((b.alt_m - 500.0).abs() < 0.5 && b.stamp_ns == 1_500_000_000, "{b:?}");
    let at = GnssSample { stamp_ns: 2_000_000_000, lat_deg: 47.0, lon_deg: 8.0, sigma_m: 3.0 };
    assert_eq!(samples[2..4], [TelemetrySample::Gnss(at), TelemetrySample::Gnss(at)]);
    let landed = |landed| TelemetrySample::Landed(LandedSample { stamp_ns: 2_000_000_000, landed });
    assert_eq!(samples[4..], [landed(true), landed(false)]);
}

#[test]
fn an_unknown_heading_is_none_and_a_declination_turns_the_others() {
    let settings = MavlinkSettings { declination_rad: 0.1, ..boot() };
    let samples = decoded(&mut MavlinkDecoder::new(settings), &[position(0, 1000, u16::MAX), position(100, 1000, 9000)]);
    assert_eq!(samples.len(), 3);
    let TelemetrySample::Heading(h) = samples[1] else { panic!("{samples:?}") };
    assert!((h.heading_rad - (std::f64::consts::FRAC_PI_2 + 0.1)).abs() < 1e-9);
}

#[test]
fn inertial_samples_are_si_and_the_better_kind_wins_while_it_is_there() {
    let highres = |us: u64, flags| {
        MavMessage::HIGHRES_IMU(HIGHRES_IMU_DATA {
            time_usec: us,
            zacc: -9.5,
            xgyro: 0.25,
            fields_updated: flags,
            ..Default::default()
        })
    };
    let scaled =
        |ms: u32| MavMessage::SCALED_IMU2(SCALED_IMU2_DATA { time_boot_ms: ms, zacc: -1000, ygyro: 500, ..Default::default() });
    let none = HighresImuUpdatedFlags::empty();
    let samples = decoded(
        &mut MavlinkDecoder::new(boot()),
        &[
            scaled(0),
            highres(10_000, none),
            scaled(20),
            highres(30_000, HighresImuUpdatedFlags::HIGHRES_IMU_UPDATED_XMAG),
            scaled(2500),
        ],
    );
    let imu: Vec<ImuSample> =
        samples.iter().map(|s| if let TelemetrySample::Imu(i) = s { *i } else { panic!("{s:?}") }).collect();
    assert_eq!(imu.iter().map(|i| i.stamp_ns).collect::<Vec<_>>(), [0, 10_000_000, 2_500_000_000]);
    assert!((imu[0].accel_m_s2.z + STANDARD_GRAVITY_M_S2).abs() < 1e-9 && (imu[0].gyro_rad_s.y - 0.5).abs() < 1e-9);
    assert!((imu[1].accel_m_s2.z + 9.5).abs() < 1e-6 && (imu[1].gyro_rad_s.x - 0.25).abs() < 1e-6);
}

#[test]
fn the_height_is_above_ground_where_that_is_known_unless_asked_otherwise() {
    let altitude = |ms: u64, clearance: f32, terrain: f32| {
        MavMessage::ALTITUDE(ALTITUDE_DATA {
            time_usec: ms * 1000,
            altitude_relative: 80.0,
            altitude_terrain: terrain,
            bottom_clearance: clearance,
            ..Default::default()
        })
    };
    let messages = [
        position(0, 81_000, 0),
        altitude(100, f32::NAN, f32::NAN),
        altitude(200, -1.0, 70.0),
        altitude(300, 65.0, 70.0),
        position(400, 81_000, 0),
        altitude(500, f32::NAN, 70.0),
        altitude(3000, -1.0, -2000.0),
    ];
    assert_eq!(heights(&decoded(&mut MavlinkDecoder::new(boot()), &messages)), [81.0, 80.0, 70.0, 65.0, 80.0]);
    let above_takeoff = MavlinkSettings { heights: HeightChoice::AboveTakeoff, ..boot() };
    assert_eq!(heights(&decoded(&mut MavlinkDecoder::new(above_takeoff), &messages)), [81.0, 80.0, 80.0, 80.0, 80.0, 80.0]);
}

#[test]
fn stamps_since_1970_wait_for_the_system_time() {
    let unix_ms = 1_700_000_000_000u64;
    let fields_updated = HighresImuUpdatedFlags::empty();
    let time_usec = (unix_ms + 5_250) * 1000;
    let imu = MavMessage::HIGHRES_IMU(HIGHRES_IMU_DATA { time_usec, fields_updated, ..Default::default() });
    let time = MavMessage::SYSTEM_TIME(SYSTEM_TIME_DATA { time_unix_usec: unix_ms * 1000, time_boot_ms: 60_000 });
    let mut decoder = MavlinkDecoder::new(boot());
    let samples = decoded(&mut decoder, &[imu.clone(), time, imu]);
    assert_eq!(samples.iter().map(TelemetrySample::stamp_ns).collect::<Vec<_>>(), [65_250_000_000]);
}

#[test]
fn both_versions_and_several_messages_in_a_datagram_are_read_and_broken_ones_counted() {
    let mut decoder = MavlinkDecoder::new(boot());
    let mut datagram = framed(MavlinkVersion::V1, 1, 0, &attitude(0, 0.0, 0.0, 0.0));
    let mut broken = framed(MavlinkVersion::V2, 1, 1, &attitude(20, 0.5, 0.5, 0.5));
    let middle = broken.len() / 2;
    broken[middle] ^= 0x10;
    datagram.extend(broken);
    datagram.extend(framed(MavlinkVersion::V2, 1, 2, &position(40, 1000, 0)));
    datagram.extend(&framed(MavlinkVersion::V2, 1, 3, &position(60, 1000, 0))[..12]);
    let mut samples = Vec::new();
    decoder.datagram(&datagram, sender(), 0, &mut samples);
    assert_eq!(samples.len(), 3);
    let c = decoder.counters();
    assert_eq!((c.datagrams, c.messages, c.malformed, c.lost), (1, 2, 2, 1));
}

#[test]
fn one_autopilot_is_listened_to_and_repetitions_are_left_out() {
    let mut decoder = MavlinkDecoder::new(boot());
    let mut samples = Vec::new();
    let heartbeat = MavMessage::HEARTBEAT(HEARTBEAT_DATA::default());
    for (system, sequence, message) in [
        (255, 0, heartbeat.clone()),
        (7, 0, attitude(0, 0.0, 0.0, 0.0)),
        (9, 0, attitude(10, 0.0, 0.0, 0.0)),
        (7, 1, attitude(20, 0.0, 0.0, 0.0)),
        (7, 1, attitude(20, 0.0, 0.0, 0.0)),
        (7, 3, attitude(60, 0.0, 0.0, 0.0)),
        (7, 2, attitude(40, 0.0, 0.0, 0.0)),
    ] {
        decoder.datagram(&framed(MavlinkVersion::V2, system, sequence, &message), sender(), 0, &mut samples);
    }
    assert_eq!(samples.iter().map(|s| s.stamp_ns() / 1_000_000).collect::<Vec<_>>(), [0, 20, 60, 40]);
    let c = decoder.counters();
    assert_eq!((c.messages, c.others, c.duplicates, c.out_of_order, c.lost), (4, 2, 1, 1, 0));
    let asked = MavlinkSettings { system_id: Some(9), ..boot() };
    let mut decoder = MavlinkDecoder::new(asked);
    let before = samples.len();
    decoder.datagram(&framed(MavlinkVersion::V2, 7, 0, &attitude(0, 0.0, 0.0, 0.0)), sender(), 0, &mut samples);
    decoder.datagram(&framed(MavlinkVersion::V2, 9, 0, &attitude(0, 0.0, 0.0, 0.0)), sender(), 0, &mut samples);
    assert_eq!(samples.len(), before + 1);
}

/// The TIMESYNC in a datagram.
fn timesync(bytes: &[u8]) -> (i64, i64) {
    match parts(bytes).pop() {
        Some(Part::Message { message, .. }) => match *message {
            MavMessage::TIMESYNC(m) => (m.tc1, m.ts1),
            other => panic!("{other:?}"),
        },
        _ => panic!("no message"),
    }
}

#[test]
fn times_are_asked_for_and_told_and_put_stamps_on_the_local_clock() {
    let mut decoder = MavlinkDecoder::new(MavlinkSettings { telemetry_minus_video_s: 0.25, ..MavlinkSettings::default() });
    let mut samples = Vec::new();
    let mut sequence = 0u8;
    let mut send = |decoder: &mut MavlinkDecoder, message: &MavMessage, local_ns: i64, samples: &mut Vec<_>| {
        sequence = sequence.wrapping_add(1);
        decoder.datagram(&framed(MavlinkVersion::V2, 1, sequence, message), sender(), local_ns, samples)
    };
    let autopilot = HEARTBEAT_DATA { autopilot: MavAutopilot::MAV_AUTOPILOT_PX4, ..Default::default() };
    send(&mut decoder, &MavMessage::HEARTBEAT(autopilot), 0, &mut samples);
    // The autopilot booted 100 s before the local epoch; messages take 30 ms, answers 2 ms each way.
    for ms in (0..3000).step_by(20) {
        let local = i64::from(ms) * 1_000_000;
        send(&mut decoder, &attitude(100_000 + ms, 0.0, 0.0, 0.0), local + 30_000_000, &mut samples);
        if ms % 500 == 0 {
            let (_, asked) = timesync(&decoder.question(local + 30_000_000));
            let answer = MavMessage::TIMESYNC(TIMESYNC_DATA { tc1: local + 32_000_000 + 100 * SECOND, ts1: asked });
            send(&mut decoder, &answer, local + 34_000_000, &mut samples);
        }
    }
    assert!(samples.len() > 90, "{}", samples.len());
    let last = samples.last().unwrap().stamp_ns() + 250_000_000;
    assert!((last - 2_980_000_000).abs() < 3_000_000, "{last}");
    let question = MavMessage::TIMESYNC(TIMESYNC_DATA { tc1: 0, ts1: 42 });
    let answer = send(&mut decoder, &question, 5 * SECOND, &mut samples).unwrap();
    assert_eq!(timesync(&answer), (5 * SECOND, 42));
}

proptest! {
    #[test]
    fn arbitrary_datagrams_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()) {
        let mut decoder = MavlinkDecoder::new(MavlinkSettings::default());
        let mut datagram = vec![if magic { 0xfd } else { 0xfe }];
        datagram.extend(bytes);
        decoder.datagram(&datagram, sender(), 0, &mut Vec::new());
    }

    #[test]
    fn any_contents_of_any_message_with_a_right_checksum_are_survived(
        id in prop::sample::select(vec![0u32, 2, 30, 33, 105, 111, 116, 141]),
        payload in proptest::collection::vec(any::<u8>(), 0..=255),
        local_ns in any::<i64>(),
    ) {
        let mut decoder = MavlinkDecoder::new(MavlinkSettings::default());
        for sequence in 0..6 {
            let mut frame = vec![0xfd, payload.len() as u8, 0, 0, sequence, 1, 1];
            frame.extend(&id.to_le_bytes()[..3]);
            frame.extend(&payload);
            let crc = mavlink::calculate_crc(&frame[1..], <MavMessage as mavlink::Message>::extra_crc(id));
            frame.extend(crc.to_le_bytes());
            decoder.datagram(&frame, sender(), local_ns.saturating_add(i64::from(sequence) * SECOND), &mut Vec::new());
        }
    }

    #[test]
    fn what_is_sent_is_read(ms in 0..1_000_000u32, roll in -3.0..3.0f32, pitch in -1.5..1.5f32, yaw in -3.1..3.1f32, v1 in any::<bool>()) {
        let version = if v1 { MavlinkVersion::V1 } else { MavlinkVersion::V2 };
        let mut samples = Vec::new();
        let mut decoder = MavlinkDecoder::new(boot());
        decoder.datagram(&framed(version, 1, 0, &attitude(ms, roll, pitch, yaw)), sender(), 0, &mut samples);
        let TelemetrySample::Attitude(a) = samples[0] else { panic!("{samples:?}") };
        let want = enu_from_body(yaw.into(), pitch.into(), roll.into());
        prop_assert!(a.enu_from_body.angle_to(&want) < 1e-5 && a.stamp_ns == i64::from(ms) * 1_000_000);
    }
}

#[test]
fn universal_time_is_known_once_the_autopilot_knows_it() {
    let told = |time_unix_usec| {
        let mut decoder = MavlinkDecoder::new(MavlinkSettings { telemetry_minus_video_s: 2.0, ..boot() });
        let time = MavMessage::SYSTEM_TIME(SYSTEM_TIME_DATA { time_unix_usec, time_boot_ms: 60_000 });
        decoded(&mut decoder, &[attitude(59_000, 0.0, 0.0, 0.0), time]);
        decoder.utc_minus_stamp_ns()
    };
    // A sample of 60 s after boot has the stamp 58 s.
    assert_eq!((told(0), told(1_777_777_777_000_000)), (None, Some((1_777_777_777 - 58) * SECOND)));
}
