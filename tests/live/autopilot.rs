//! What an autopilot would have sent on a recorded flight: MAVLink 2.

use mavlink::dialects::common::{
    ATTITUDE_DATA, GLOBAL_POSITION_INT_DATA, HEARTBEAT_DATA, HIGHRES_IMU_DATA, HighresImuUpdatedFlags, MavAutopilot, MavMessage,
};
use mavlink::{MavHeader, MavlinkVersion, write_versioned_msg};
use nalgebra::Vector3;
use skyfix::geo::heading_pitch_roll;
use skyfix::source::TelemetryBuffer;
use skyfix::types::{ImuSample, TelemetryBatch};

/// An autopilot on a flight.
pub struct Autopilot<'a> {
    telemetry: &'a TelemetryBatch,
    buffer: TelemetryBuffer,
    next_imu: usize,
    sequence: u8,
}

impl<'a> Autopilot<'a> {
    pub fn new(telemetry: &'a TelemetryBatch) -> Self {
        Self {
            telemetry,
            buffer: TelemetryBuffer::of_recording(telemetry, skyfix::types::Plausible::default()),
            next_imu: 0,
            sequence: 0,
        }
    }

    /// The messages of a time of the flight, later than the ones asked for before: the heartbeat, the mean of the IMU since then, attitude,
    /// height and heading.
    pub fn messages(&mut self, t_ns: i64, boot_us: i64) -> [MavMessage; 4] {
        let telemetry = self.telemetry;
        let first = self.next_imu;
        self.next_imu += telemetry.imu[first..].iter().take_while(|s| s.stamp_ns <= t_ns).count();
        let imu = &telemetry.imu[first..self.next_imu];
        let mean =
            |f: fn(&ImuSample) -> Vector3<f64>| (imu.iter().map(f).sum::<Vector3<f64>>() / imu.len() as f64).map(|v| v as f32);
        let (gyro, accel) = (mean(|s| s.gyro_rad_s), mean(|s| s.accel_m_s2));
        let known = self.buffer.known_at(t_ns);
        let i = telemetry.attitude.partition_point(|s| s.stamp_ns <= t_ns).clamp(1, telemetry.attitude.len() - 1);
        let (a, b) = (&telemetry.attitude[i - 1], &telemetry.attitude[i]);
        let part = ((t_ns - a.stamp_ns) as f64 / (b.stamp_ns - a.stamp_ns) as f64).clamp(0.0, 1.0);
        let (yaw, pitch, roll) = heading_pitch_roll(&a.enu_from_body.slerp(&b.enu_from_body, part));
        let time_boot_ms = (boot_us / 1000) as u32;
        [
            MavMessage::HEARTBEAT(HEARTBEAT_DATA { autopilot: MavAutopilot::MAV_AUTOPILOT_PX4, ..Default::default() }),
            MavMessage::HIGHRES_IMU(HIGHRES_IMU_DATA {
                time_usec: boot_us as u64,
                xacc: accel.x,
                yacc: accel.y,
                zacc: accel.z,
                xgyro: gyro.x,
                ygyro: gyro.y,
                zgyro: gyro.z,
                fields_updated: HighresImuUpdatedFlags::all(),
                ..Default::default()
            }),
            MavMessage::ATTITUDE(ATTITUDE_DATA {
                time_boot_ms,
                roll: roll as f32,
                pitch: pitch as f32,
                yaw: yaw as f32,
                ..Default::default()
            }),
            MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA {
                time_boot_ms,
                relative_alt: (known.height_agl_m.unwrap().value * 1000.0).round() as i32,
                hdg: (known.heading_rad.unwrap().value.to_degrees().rem_euclid(360.0) * 100.0) as u16,
                ..Default::default()
            }),
        ]
    }

    /// The next datagram, with a message.
    pub fn datagram(&mut self, message: &MavMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = MavHeader { system_id: 1, component_id: 1, sequence: self.sequence };
        write_versioned_msg(&mut bytes, MavlinkVersion::V2, header, message).unwrap();
        self.sequence = self.sequence.wrapping_add(1);
        bytes
    }
}
