//! The bundled flight as its camera and its autopilot would have sent it, to the loopback interface.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use skyfix::recording::reader;

use crate::autopilot::Autopilot;
use crate::bundled::root;
use crate::senders;

/// Pictures that are sent, at most: 40 s.
const PICTURES: u32 = 200;
/// Of the flight's first picture, and between two.
const FIRST: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(200);
/// Between two messages of a kind.
const PERIOD: Duration = Duration::from_millis(20);
/// The autopilot booted this long before the flight.
const BOOTED: Duration = Duration::from_secs(100);

fn video() -> String {
    root().join("recordings/demo-video/video.mkv").display().to_string()
}

/// Sends until it is dropped.
pub struct Sending(Arc<AtomicBool>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Sending {
    fn start(send: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || send(&stopped));
        Self(stop)
    }
}

fn sleep_until(time: Instant) {
    std::thread::sleep(time.saturating_duration_since(Instant::now()));
}

/// RTP packets of the flight's pictures, made once and before the flight begins; a key frame each second, so that a receiver need not wait long for one.
fn packets() -> &'static [Vec<u8>] {
    static MADE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let video = video();
        let source = format!("filesrc location=\"{video}\" ! decodebin ! videoconvert ! identity eos-after={PICTURES}");
        senders::rtp_packets(&source, 5)
    })
}

/// Sends each picture at its time of a flight that began then.
fn send_pictures(begun: Instant, stop: &AtomicBool, mut send: impl FnMut(&[u8]) -> std::io::Result<()>) {
    let mut next = begun + FIRST;
    for packet in packets() {
        sleep_until(next);
        if stop.load(Ordering::Relaxed) || send(packet).is_err() {
            return;
        }
        if senders::ends_picture(packet) {
            next += INTERVAL;
        }
    }
}

/// Sends the pictures as RTP over UDP, and telemetry, of a flight that begins now.
pub fn send_rtp(port: u16, telemetry_to: u16) -> [Sending; 2] {
    packets();
    let begun = Instant::now();
    let telemetry = send_mavlink(begun, telemetry_to);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pictures =
        Sending::start(move |stop| send_pictures(begun, stop, |packet| socket.send_to(packet, ("127.0.0.1", port)).map(|_| ())));
    [pictures, telemetry]
}

/// A pipeline that plays until it is dropped.
pub struct Playing(gst::Element);

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Sends the pictures as an MPEG transport stream over UDP.
pub fn send_mpeg_ts(port: u16) -> Playing {
    gst::init().unwrap();
    let text = format!(
        "filesrc location=\"{}\" ! matroskademux ! h264parse config-interval=-1 ! mpegtsmux alignment=7 ! \
         udpsink host=127.0.0.1 port={port} sync=true",
        video()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    Playing(pipeline)
}

/// A camera that serves RTSP, and its autopilot.
pub struct Rtsp {
    pub address: SocketAddr,
    _sending: Sending,
}

/// Serves one client; the flight, telemetry to `telemetry_to` included, begins when it plays.
pub fn serve_rtsp(telemetry_to: u16) -> Rtsp {
    packets();
    let listener = senders::listen(None);
    let address = listener.local_addr().unwrap();
    let sending = Sending::start(move |stop| {
        let mut stream = senders::play_rtsp(&listener);
        let begun = Instant::now();
        let telemetry = send_mavlink(begun, telemetry_to);
        send_pictures(begun, stop, |packet| senders::send_interleaved(&mut stream, packet));
        drop(telemetry);
    });
    Rtsp { address, _sending: sending }
}

/// Sends what the autopilot would have sent on a flight that began then.
fn send_mavlink(begun: Instant, port: u16) -> Sending {
    let telemetry = reader::read(&root().join("recordings/demo-video")).unwrap().telemetry;
    Sending::start(move |stop| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut autopilot = Autopilot::new(&telemetry);
        for tick in 0u32.. {
            let at = PERIOD * tick;
            sleep_until(begun + at);
            if stop.load(Ordering::Relaxed) || at > PERIOD * 5000 {
                return;
            }
            let boot_us = i64::try_from((BOOTED + at).as_micros()).unwrap();
            let messages = autopilot.messages(i64::try_from(at.as_nanos()).unwrap(), boot_us);
            for message in &messages {
                // Nobody listens yet, or any more.
                let _ = socket.send_to(&autopilot.datagram(message), ("127.0.0.1", port));
            }
        }
    })
}

/// Heading in degrees and height in metres that the frames of a recording were served with, where both were known.
pub fn known_of_frames(recorded: &Path) -> BTreeMap<String, Option<(f64, f64)>> {
    let mut reader = csv::Reader::from_path(recorded.join("frames.csv")).unwrap();
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let number = |row: &BTreeMap<String, String>, name: &str| row[name].parse::<f64>().ok();
    rows.map(|row| (row["frame"].clone(), number(&row, "heading_deg").zip(number(&row, "height_agl_m")))).collect()
}

/// The places that the flight came by.
pub struct Near(Vec<(f64, f64)>);

impl Near {
    pub fn read() -> Self {
        let mut reader = csv::Reader::from_path(root().join("recordings/demo-video/truth.csv")).unwrap();
        let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
        Self(rows.map(|row| (row["lat"].parse().unwrap(), row["lon"].parse().unwrap())).collect())
    }

    /// Whether a position of a track lies within some 25 m of one of them.
    pub fn contains(&self, track: &serde_json::Value) -> bool {
        let (lat, lon) = (track["lat_deg"].as_f64().unwrap(), track["lon_deg"].as_f64().unwrap());
        self.0.iter().any(|(a, b)| ((lat - a) * 111_000.0).hypot((lon - b) * 74_000.0) < 25.0)
    }
}
