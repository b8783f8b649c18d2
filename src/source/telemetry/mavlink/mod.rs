//! Live telemetry of an autopilot: MAVLink over UDP, versions 1 and 2.
//!
//! | message | becomes |
//! |---|---|
//! | ATTITUDE | attitude |
//! | GLOBAL_POSITION_INT | heading (`hdg`), height (`relative_alt`); its position comes from GNSS and is not used |
//! | ALTITUDE | height: `bottom_clearance`, else `altitude_terrain`, else `altitude_relative` |
//! | SCALED_PRESSURE | barometric height |
//! | GPS_RAW_INT | GNSS position, which the filter takes only when it is told to |
//! | EXTENDED_SYS_STATE | whether the aircraft is on the ground |
//! | HIGHRES_IMU, else SCALED_IMU2 | angular rate and specific force |
//! | TIMESYNC, SYSTEM_TIME | the clock |
//!
//! Of several kinds of messages that say the same, the best one of the last two seconds counts. One autopilot is listened to: the one asked
//! for, else the one that says by its HEARTBEAT that it is one (see `speakers`). MAVLink is not authenticated: whoever can send to the port
//! can move the track, so it is bound to the loopback interface unless told otherwise.

mod decode;
mod frames;
mod sequence;
mod speakers;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use decode::MavlinkDecoder;

use super::{StreamCounters, TelemetryStream};
use crate::source::SourceError;
use crate::source::buffer::TelemetryBuffer;
use crate::source::knowledge::HEADING_SIGMA_RAD;
use crate::types::TelemetrySample;

/// 1 sigma of an autopilot's attitude where nothing else is said, radians: 2°, with accelerations that its filter takes for tilt.
const ATTITUDE_SIGMA_RAD: f64 = 2.0 * std::f64::consts::PI / 180.0;
/// Samples that may wait for [`TelemetryStream::drain`]: ten seconds of 400 Hz.
const CHANNEL_SAMPLES: usize = 4_096;
/// The reader looks this often whether it should end.
const POLL: Duration = Duration::from_millis(50);
/// A link on which nothing was heard for so long is told of.
const QUIET: Duration = Duration::from_secs(5);
/// Time between two questions for the autopilot's time.
const QUESTION_NS: i64 = 1_000_000_000;

/// The clock of the samples' stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MavlinkClock {
    /// The local monotonic clock, to which the autopilot's is mapped: for live flights.
    #[default]
    Local,
    /// The autopilot's time since boot as it is: for logs and simulators that do not run at the pace of real time, where the frames
    /// have that clock too.
    Boot,
}

/// Which heights are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HeightChoice {
    /// Above ground where the autopilot knows it, else above take-off.
    #[default]
    Best,
    /// Always above take-off: for those who know the ground better, by an elevation model.
    AboveTakeoff,
}

/// Settings of the reader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MavlinkSettings {
    /// Address and port to listen at; 127.0.0.1:14550 by default.
    pub bind: SocketAddr,
    /// The system to listen to; the one that says that it is an autopilot by default.
    pub system_id: Option<u8>,
    /// The component of it to listen to; by default the one that says that it is an autopilot.
    pub component_id: Option<u8>,
    /// The system that questions for the time come from.
    pub own_system_id: u8,
    /// The clock of the stamps.
    pub clock: MavlinkClock,
    /// Seconds that telemetry stamps are ahead of the frames' stamps of the same instant.
    pub telemetry_minus_video_s: f64,
    /// Which heights are taken.
    pub heights: HeightChoice,
    /// Added to headings and attitudes, radians: the declination, for autopilots that give magnetic headings.
    pub declination_rad: f64,
    /// 1 sigma of attitudes, radians.
    pub attitude_sigma_rad: f64,
    /// 1 sigma of headings, radians.
    pub heading_sigma_rad: f64,
    /// 1 sigma of heights, metres; by default one that grows with the height.
    pub height_sigma_m: Option<f64>,
}

impl Default for MavlinkSettings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 14_550)),
            system_id: None,
            component_id: None,
            own_system_id: 245,
            clock: MavlinkClock::Local,
            telemetry_minus_video_s: 0.0,
            heights: HeightChoice::Best,
            declination_rad: 0.0,
            attitude_sigma_rad: ATTITUDE_SIGMA_RAD,
            heading_sigma_rad: HEADING_SIGMA_RAD,
            height_sigma_m: None,
        }
    }
}

/// A socket with the thread that reads it, which ends with this.
pub struct MavlinkStream {
    samples: Receiver<TelemetrySample>,
    counters: Arc<Mutex<StreamCounters>>,
    utc_minus_stamp_ns: Arc<Mutex<Option<i64>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl MavlinkStream {
    /// Binds the socket and starts reading. Stamps of [`MavlinkClock::Local`] are nanoseconds since `epoch`.
    ///
    /// # Errors
    /// When the address cannot be bound, or a setting is no number.
    pub fn open(settings: MavlinkSettings, epoch: Instant) -> Result<Self, SourceError> {
        let fail = |reason: String| SourceError::Link { address: format!("udp {}", settings.bind), reason };
        let numbers = [settings.telemetry_minus_video_s, settings.declination_rad];
        let sigmas = [settings.attitude_sigma_rad, settings.heading_sigma_rad, settings.height_sigma_m.unwrap_or(1.0)];
        if !numbers.iter().chain(&sigmas).all(|v| v.is_finite()) || sigmas.iter().any(|s| *s <= 0.0) {
            return Err(fail("the clock offset and the declination must be numbers, and sigmas positive".into()));
        }
        let cannot = |e: std::io::Error| {
            fail(format!("cannot be listened at ({e}); is another program using the port? Choose a free address and port"))
        };
        let socket = UdpSocket::bind(settings.bind).map_err(cannot)?;
        socket.set_read_timeout(Some(POLL)).map_err(cannot)?;
        let address = socket.local_addr().map_err(cannot)?;
        let (sender, samples) = sync_channel(CHANNEL_SAMPLES);
        let (counters, stop) = (Arc::new(Mutex::new(StreamCounters::default())), Arc::new(AtomicBool::new(false)));
        let decoder = MavlinkDecoder::new(settings);
        let utc_minus_stamp_ns = Arc::new(Mutex::new(None));
        let utc = Arc::clone(&utc_minus_stamp_ns);
        let reader = Reader { socket, decoder, epoch, sender, counters: counters.clone(), utc, stop: stop.clone() };
        let thread = std::thread::Builder::new().name("mavlink".into()).spawn(move || reader.run()).map_err(cannot)?;
        Ok(Self { samples, counters, utc_minus_stamp_ns, stop, thread: Some(thread), address })
    }

    /// The address that is listened at, with the port that was given where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl TelemetryStream for MavlinkStream {
    fn drain(&mut self, into: &mut TelemetryBuffer) {
        // No more than the channel holds, or a fast sender could keep this from ending.
        self.samples.try_iter().take(CHANNEL_SAMPLES).for_each(|sample| into.push(sample));
    }

    fn counters(&self) -> StreamCounters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn utc_minus_stamp_ns(&self) -> Option<i64> {
        *self.utc_minus_stamp_ns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MavlinkStream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the reader of {} has failed", self.address);
        }
    }
}

/// The reading thread.
struct Reader {
    socket: UdpSocket,
    decoder: MavlinkDecoder,
    epoch: Instant,
    sender: SyncSender<TelemetrySample>,
    counters: Arc<Mutex<StreamCounters>>,
    utc: Arc<Mutex<Option<i64>>>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    fn run(mut self) {
        let mut bytes = vec![0; 65_536];
        let mut samples = Vec::new();
        let (mut dropped, mut read_errors) = (0, 0);
        let mut asked_ns = None;
        let (mut heard, mut told) = (Instant::now(), false);
        while !self.stop.load(Ordering::Relaxed) {
            match self.socket.recv_from(&mut bytes) {
                Ok((length, peer)) => {
                    heard = Instant::now();
                    if std::mem::take(&mut told) {
                        tracing::warn!("MAVLink: messages come again");
                    }
                    let now = self.now_ns();
                    let answer = self.decoder.datagram(&bytes[..length], peer, now, &mut samples);
                    if let Some(answer) = answer {
                        self.send(&answer, peer);
                    }
                    if let Some(autopilot) = self.decoder.address()
                        && asked_ns.is_none_or(|at: i64| now.saturating_sub(at) >= QUESTION_NS)
                    {
                        asked_ns = Some(now);
                        let question = self.decoder.question(now);
                        self.send(&question, autopilot);
                    }
                }
                Err(e) if [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&e.kind()) => {}
                Err(e) => {
                    tracing::debug!("mavlink: {e}");
                    read_errors += 1;
                    std::thread::sleep(POLL);
                }
            }
            if heard.elapsed() >= QUIET && !std::mem::replace(&mut told, true) {
                let at = self.socket.local_addr().map_or_else(|_| "its address".into(), |address| address.to_string());
                tracing::warn!("no MAVLink message at {at} for {} s: does the autopilot send there?", QUIET.as_secs());
            }
            for sample in samples.drain(..) {
                match self.sender.try_send(sample) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => dropped += 1,
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
            let now = StreamCounters { dropped, read_errors, ..self.decoder.counters() };
            *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = now;
            *self.utc.lock().unwrap_or_else(PoisonError::into_inner) = self.decoder.utc_minus_stamp_ns();
        }
    }

    fn send(&self, bytes: &[u8], peer: SocketAddr) {
        // The clock does without an answer.
        if let Err(e) = self.socket.send_to(bytes, peer) {
            tracing::debug!("mavlink: no answer to {peer}: {e}");
        }
    }

    fn now_ns(&self) -> i64 {
        i64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}
