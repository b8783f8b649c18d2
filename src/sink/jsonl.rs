//! One JSON object a frame, and one a point of the track between frames, for programs that read along: to `fixes.jsonl`, to standard output, or as UDP datagrams.

use std::io::{BufWriter, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::file::Growing;
use super::{Clocked, Sink, SinkError};
use crate::types::{FrameReport, Outcome, TrackPoint};

/// Writes a line a frame, at once.
pub struct JsonLinesSink {
    /// What errors call it.
    name: PathBuf,
    out: Out,
    clocks: Clocked,
    /// Whether a reader may go away without that being a failure.
    reader_may_leave: bool,
}

enum Out {
    /// A file, which takes the place of the one of another run with the first line.
    File(Option<Growing>),
    /// Anything else.
    Stream(Box<dyn Write + Send>),
}

impl JsonLinesSink {
    /// Will write `fixes.jsonl` in a folder.
    pub fn file(folder: &Path) -> Self {
        Self { name: folder.join("fixes.jsonl"), out: Out::File(None), clocks: Clocked::default(), reader_may_leave: false }
    }

    /// Writes to standard output; a reader that goes away ends the writing, not the flight.
    pub fn stdout() -> Self {
        let out = Out::Stream(Box::new(BufWriter::new(std::io::stdout())));
        Self { name: "standard output".into(), out, clocks: Clocked::default(), reader_may_leave: true }
    }

    /// Sends each line as a datagram; whether somebody listens makes no difference.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn udp(to: SocketAddr) -> Result<Self, SinkError> {
        let name = PathBuf::from(format!("udp://{to}"));
        let from: IpAddr = match to.ip() {
            // Nobody from outside has anything to say to what stays within.
            local if local.is_loopback() => local,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((from, 0))
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .map_err(|source| SinkError::Io { path: name.clone(), source })?;
        let out = Out::Stream(Box::new(Datagrams { socket, to }));
        Ok(Self { name, out, clocks: Clocked::default(), reader_may_leave: true })
    }
}

/// Each write is a datagram. What cannot be sent now is lost, as datagrams are.
struct Datagrams {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.socket.send_to(bytes, self.to) {
            Err(e) if ![ErrorKind::WouldBlock, ErrorKind::ConnectionRefused].contains(&e.kind()) => {
                tracing::debug!("udp://{}: {e}", self.to);
            }
            _ => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink for JsonLinesSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        self.clocks.frame(report);
        let p_wrong = report.matched.evidence.map(|e| e.p_wrong);
        let fix = match &report.matched.outcome {
            Outcome::Abstained(reason) => json!({ "outcome": "abstained", "reason": reason.as_str(), "p_wrong": p_wrong }),
            Outcome::Fix(f) => {
                let p = f.camera_covariance_m2();
                json!({
                    "outcome": "fix",
                    "lat_deg": f.camera.lat_deg,
                    "lon_deg": f.camera.lon_deg,
                    "centre_lat_deg": f.centre.lat_deg,
                    "centre_lon_deg": f.centre.lon_deg,
                    "covariance_en_m2": [p[(0, 0)], p[(0, 1)], p[(1, 1)]],
                    "heading_deg": f.heading_rad.0.to_degrees(),
                    "height_agl_m": f.height_agl_m.0,
                    "tilt_deg": f.tilt_rad.to_degrees(),
                    "inliers": f.inliers,
                    "score": f.score,
                    "p_wrong": p_wrong,
                })
            }
        };
        let refused: serde_json::Map<_, _> =
            report.intake.telemetry_refused.told().map(|(kind, count)| (kind.to_owned(), json!(count))).collect();
        let sources: serde_json::Map<_, _> =
            report.sources.iter().map(|s| (s.source.as_str().to_owned(), json!(s.state.as_str()))).collect();
        let health = json!({ "telemetry_refused": refused, "sources": sources });
        self.line(Some((&report.name, fix, health)), &report.track)
    }

    fn between(&mut self, point: &TrackPoint) -> Result<(), SinkError> {
        self.line(None, point)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        match &mut self.out {
            Out::File(Some(file)) => file.check(),
            Out::File(none) => {
                *none = Some(Growing::begin(&self.name, "")?);
                Ok(())
            }
            Out::Stream(out) => {
                let written = out.flush();
                self.outcome(written)
            }
        }
    }
}

impl JsonLinesSink {
    /// A line: of a frame with its name, its fix and how telemetry and sources fare, or of a point between frames.
    fn line(&mut self, frame: Option<(&str, Value, Value)>, point: &TrackPoint) -> Result<(), SinkError> {
        let track = point.state.as_ref().map(|s| {
            json!({
                "lat_deg": s.position.lat_deg,
                "lon_deg": s.position.lon_deg,
                "velocity_enu_m_s": s.velocity_enu_m_s,
                "covariance_en_m2": [s.covariance_en_m2[(0, 0)], s.covariance_en_m2[(0, 1)], s.covariance_en_m2[(1, 1)]],
            })
        });
        let (frame, fix, health) = match frame {
            Some((name, fix, health)) => (Some(name), Some(fix), Some(health)),
            None => (None, None, None),
        };
        let mut line = json!({
            "frame": frame,
            "stamp_ns": point.stamp_ns,
            "fix": fix,
            "source": point.source.as_str(),
            "fix_age_s": point.fix_age_s,
            "track": track,
        });
        let [wall, utc] = self.clocks.written(point.stamp_ns);
        for (clock, time) in [("wall", wall), ("utc", utc)] {
            line[clock] = if time.is_empty() { Value::Null } else { time.into() };
        }
        if let (Some(line), Some(Value::Object(health))) = (line.as_object_mut(), health) {
            line.extend(health);
        }
        match &mut self.out {
            Out::File(Some(file)) => file.line(&line.to_string()),
            Out::File(none) => {
                *none = Some(Growing::begin(&self.name, &format!("{line}\n"))?);
                Ok(())
            }
            Out::Stream(out) => {
                let written = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
                self.outcome(written)
            }
        }
    }

    fn outcome(&mut self, written: std::io::Result<()>) -> Result<(), SinkError> {
        match written {
            Err(e) if self.reader_may_leave && e.kind() == ErrorKind::BrokenPipe => {
                self.out = Out::Stream(Box::new(std::io::sink()));
                Ok(())
            }
            other => other.map_err(|source| SinkError::Io { path: self.name.clone(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::abstained;

    #[test]
    fn each_frame_is_a_datagram_of_one_json_object() {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let mut sink = JsonLinesSink::udp(receiver.local_addr().unwrap()).unwrap();
        for ordinal in 0..3 {
            sink.frame(&abstained(ordinal)).unwrap();
        }
        sink.finish().unwrap();
        let mut bytes = [0; 2000];
        for ordinal in 0..3 {
            let n = receiver.recv(&mut bytes).unwrap();
            let line: serde_json::Value = serde_json::from_slice(&bytes[..n]).unwrap();
            assert_eq!(line["frame"], format!("{ordinal}"));
            assert_eq!(line["fix"]["reason"], "ambiguous");
            assert!(line["telemetry_refused"].is_object() && line["sources"].is_object());
        }
    }

    #[test]
    fn nobody_listening_is_no_failure() {
        let unused = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut sink = JsonLinesSink::udp(unused).unwrap();
        for ordinal in 0..5 {
            sink.frame(&abstained(ordinal)).unwrap();
        }
    }
}
