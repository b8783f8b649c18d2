//! Video through GStreamer: files, addresses, cameras, and any pipeline that `gst-launch-1.0` understands. Glue; knows nothing of the
//! graph.
//!
//! # Time
//!
//! - A frame's stamp is the time of its capture as the source tells it, never that of its arrival.
//! - Files (`live = false`): the container's own presentation time. A file whose first frame is at 0.04 s says 0.04 s. MPEG-TS and
//!   MP4 as far as their demuxers tell: they put the start of the first program clock, or of the first track, at about zero.
//! - Live: running time of the pipeline on the monotonic system clock, with one zero over all reconnections, so that stamps never go
//!   back. Within a connection their differences are the sender's own: RTSP's jitter buffer runs in the mode `synced`, which does
//!   not bend them towards arrival. A source that knows no clock (MPEG-TS over TCP) has its first picture's time put at its arrival.
//! - A frame without a time gets none: it is counted and left out. A file of bare H.264 (or any elementary stream) has no times at
//!   all and is refused; its parser and decoder would make some up. A time that no encoded picture brought counts as made up.
//!
//! # Numbers
//!
//! [`VideoFrame::index`] counts the frames as they leave the decoder, from 0, over all connections, before thinning. It is the
//! position in the recorded file, too, or in a part of it beyond that part's first.

mod backoff;
mod clock;
mod error;
mod parts;
mod pipeline;
mod record;
mod rtp;
mod settings;
mod tap;
mod thin;
mod watch;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::VideoFrameExt as _;
use image::RgbImage;

use crate::source::redact;

use backoff::Backoff;
pub use clock::MonotonicClock;
pub use error::VideoError;
pub use parts::VideoParts;
use pipeline::Connection;
use record::Recorder;
pub use settings::{RtspTransport, VideoInput, VideoSettings};
pub use tap::VideoCounters;
use tap::{Admitted, Tap, Timeline};
pub use thin::Thinner;
use watch::{Shared, lock};

/// How long frames may keep coming out of a decoder whose source has failed.
const DRAIN: Duration = Duration::from_secs(2);

/// A file that gives nothing for this long is looked at: nothing may be at work on it any more.
const QUIET: Duration = Duration::from_secs(1);

/// A decoded frame.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// Number as decoded, from 0, before thinning.
    pub index: u64,
    /// Time of capture on the source's timeline, nanoseconds.
    pub pts_ns: i64,
    /// The picture: upright by the orientation its container states, square pixels, RGB.
    pub image: Arc<RgbImage>,
    /// The same time on the [`MonotonicClock`], nanoseconds; live sources only.
    pub captured_ns: Option<i64>,
}

/// What polling gives.
#[derive(Debug)]
pub enum VideoEvent {
    /// A frame.
    Frame(VideoFrame),
    /// Nothing now; ask again.
    Pending,
    /// The source broke off and is tried again.
    Reconnecting {
        /// Number of the attempt since frames last came, from 1.
        attempt: u32,
        /// Why.
        reason: VideoError,
    },
    /// No more frames will come.
    Ended,
    /// No more frames will come, and why. Frames before the failure have been given.
    Failed(VideoError),
}

/// A video being read.
pub struct VideoSource {
    settings: VideoSettings,
    shared: Arc<Shared>,
    state: State,
    backoff: Backoff,
    /// Set until a connection brings its first frame.
    fresh: bool,
    activity: (u64, Instant),
    /// A file's length as its container states it.
    duration_ns: Option<i64>,
    /// Whether it was said that frames cannot be used.
    told_damaged: bool,
}

enum State {
    Running(Box<Running>),
    Waiting { until: Instant },
    Ended,
}

struct Running {
    connection: Connection,
    failure: Option<(VideoError, Instant)>,
    /// A plug-in that an element asked for: the cause, if no frame ever comes.
    missing: Option<VideoError>,
}

impl State {
    fn running(connection: Connection) -> Self {
        Self::Running(Box::new(Running { connection, failure: None, missing: None }))
    }
}

impl VideoSource {
    /// Checks the settings and starts reading.
    ///
    /// # Errors
    /// What is wrong before anything is read: settings, a file that is not there, a description that is not understood, an element
    /// or a recording file that cannot be made. All else comes from [`VideoSource::poll`].
    pub fn start(settings: VideoSettings) -> Result<Self, VideoError> {
        let clock = MonotonicClock::obtain()?;
        settings.check()?;
        let base = clock.time();
        let base_ns = i64::try_from(base.nseconds()).unwrap_or(i64::MAX);
        let timeline = if settings.live { Timeline::Live { base_ns } } else { Timeline::Container };
        let recorder = settings.record.as_deref().map(Recorder::create).transpose()?.map(Mutex::new);
        let shared = Arc::new(Shared {
            input: settings.input.shown(),
            advice: settings.input.advice(),
            timeline,
            clock,
            base,
            tap: Mutex::new(Tap::new(timeline, settings.frame_rate)),
            recorder,
        });
        let connection = Connection::build(&settings, &shared)?;
        connection.start(&shared);
        let state = State::running(connection);
        Ok(Self {
            settings,
            shared,
            state,
            backoff: Backoff::default(),
            fresh: true,
            activity: (0, Instant::now()),
            duration_ns: None,
            told_damaged: false,
        })
    }

    /// What there is now; never waits.
    pub fn poll(&mut self) -> VideoEvent {
        match &mut self.state {
            State::Ended => VideoEvent::Ended,
            State::Waiting { until } if Instant::now() < *until => VideoEvent::Pending,
            State::Waiting { .. } => match Connection::build(&self.settings, &self.shared) {
                Ok(connection) => {
                    connection.start(&self.shared);
                    self.fresh = true;
                    self.activity.1 = Instant::now();
                    self.state = State::running(connection);
                    VideoEvent::Pending
                }
                Err(error) if self.settings.live && lock(&self.shared.tap).decoded() > 0 => self.try_again(error),
                Err(error) => self.fail(error),
            },
            State::Running(_) => self.poll_connection(),
        }
    }

    /// What became of the frames so far.
    pub fn counters(&self) -> VideoCounters {
        lock(&self.shared.tap).counters()
    }

    /// Seconds by which a file that has ended is shorter than its container says, where that is more than a second and a tenth of the
    /// whole: it was cut off, though what is left of it can be read.
    pub fn ended_early_s(&self) -> Option<f64> {
        let (State::Ended, Some(duration_ns), Some(last_ns)) = (&self.state, self.duration_ns, lock(&self.shared.tap).last_ns())
        else {
            return None;
        };
        let missing_s = crate::time::seconds_between(last_ns, duration_ns);
        (missing_s > 1.0 && missing_s > 0.1 * crate::time::seconds_between(0, duration_ns)).then_some(missing_s)
    }

    /// Stops reading and completes the recording.
    ///
    /// # Errors
    /// When the recording is not complete.
    pub fn finish(&mut self) -> Result<(), VideoError> {
        if let State::Running(running) = &self.state {
            running.connection.stop();
        }
        self.state = State::Ended;
        lock(&self.shared.tap).abandon();
        self.shared.recorder.as_ref().map_or(Ok(()), |recorder| lock(recorder).finish())
    }

    fn poll_connection(&mut self) -> VideoEvent {
        let State::Running(running) = &mut self.state else { return VideoEvent::Pending };
        let Running { connection, failure, missing } = &mut **running;
        let input = &self.shared.input;
        let is_file = matches!(self.settings.input, VideoInput::File(_));
        if let Some(sample) = connection.sink.try_pull_sample(gst::ClockTime::ZERO) {
            if self.fresh {
                self.fresh = false;
                self.backoff.reset();
                self.duration_ns = connection.duration_ns().filter(|_| is_file);
            }
            self.activity.1 = Instant::now();
            let index = sample.buffer().map_or(u64::MAX, gst::BufferRef::offset);
            let Some(admitted) = lock(&self.shared.tap).deliver(index) else { return VideoEvent::Pending };
            return match picture(&sample) {
                Ok(image) => VideoEvent::Frame(frame(admitted, image)),
                Err(reason) if self.settings.live => {
                    if !std::mem::replace(&mut self.told_damaged, true) {
                        tracing::warn!("{input}: frame {}: {reason}; such frames are left out", admitted.index);
                    }
                    lock(&self.shared.tap).leave_out();
                    VideoEvent::Pending
                }
                Err(reason) => {
                    let error = VideoError::Damaged { input: input.clone(), reason };
                    self.fail(error)
                }
            };
        }
        let started = lock(&self.shared.tap).decoded() > 0;
        let mut ended = false;
        while let Some(message) = connection.bus.pop() {
            match message.view() {
                gst::MessageView::Element(element) if missing.is_none() => {
                    *missing = element.structure().and_then(|s| missing_plugin(input, s));
                }
                gst::MessageView::Error(error) if failure.is_none() => {
                    let error = error::from_message(input, self.shared.advice, error, started);
                    connection.drain();
                    *failure = Some((error, Instant::now()));
                }
                gst::MessageView::Warning(warning) => {
                    tracing::warn!("{input}: {}", redact(warning.error().message()));
                }
                gst::MessageView::Eos(_) => ended = true,
                _ => {}
            }
        }
        // A first frame that never comes has better reasons than what the last element of a broken chain says.
        let missing = missing.clone().filter(|_| failure.is_some() && !started);
        let better = missing.or_else(|| connection.findings.failure()).or_else(|| {
            let found = connection.findings.others();
            let odd = failure.is_some() && !connection.findings.has_video() && !found.is_empty();
            (odd || connection.findings.is_without_video()).then(|| VideoError::NoVideo { input: input.clone(), found })
        });
        match (better, &mut *failure) {
            (Some(error), Some((known, _))) => *known = error,
            (Some(error), None) => *failure = Some((error, Instant::now())),
            (None, None) => {
                let (activity, begun) = {
                    let tap = lock(&self.shared.tap);
                    (tap.activity(), tap.has_pictures())
                };
                if self.activity.0 != activity {
                    self.activity = (activity, Instant::now());
                }
                let quiet = self.activity.1.elapsed();
                // A camera, or a relay that has to ask one, may take its time to answer and to begin.
                let patience = if begun { self.settings.stall_timeout } else { self.settings.first_picture_timeout };
                if self.settings.reconnect && quiet > patience {
                    let what = if begun { "nothing came" } else { "no first picture came" };
                    let reason = format!("{what} for {:.1} s", quiet.as_secs_f64());
                    connection.drain();
                    *failure = Some((VideoError::Lost { input: input.clone(), reason }, Instant::now()));
                } else if is_file && quiet > QUIET && connection.is_given_up() {
                    let error = VideoError::NoVideo { input: input.clone(), found: connection.readers() };
                    *failure = Some((error, Instant::now()));
                } else if !self.settings.live && !self.settings.reconnect && quiet > self.settings.read_timeout {
                    let error = VideoError::Silent { input: input.clone(), quiet_s: quiet.as_secs_f64() };
                    *failure = Some((error, Instant::now()));
                }
            }
            (None, Some(_)) => {}
        }
        // A sink that has not started says that it is at its end.
        ended |= connection.sink.current_state() >= gst::State::Paused && connection.sink.is_eos();
        match failure {
            Some((error, since)) if ended || since.elapsed() > DRAIN || error.is_final() || !connection.findings.has_video() => {
                let error = error.clone();
                self.conclude(Some(error))
            }
            None if ended => self.conclude(None),
            _ => VideoEvent::Pending,
        }
    }

    /// The connection is over, by itself or by an error.
    fn conclude(&mut self, error: Option<VideoError>) -> VideoEvent {
        let input = || self.shared.input.clone();
        let (started, never_timed) = {
            let tap = lock(&self.shared.tap);
            (tap.decoded() > 0, tap.never_timed())
        };
        let error = match error {
            None if never_timed => Some(VideoError::NoTimestamps { input: input() }),
            None if !started => Some(VideoError::NoFrames { input: input() }),
            None if self.settings.reconnect => Some(VideoError::Lost { input: input(), reason: "the sender ended it".into() }),
            other => other,
        };
        // A camera of this computer that does not open before its first frame is no link that comes and goes: it is not there, not
        // this one, or somebody else's.
        let is_device = matches!(self.settings.input, VideoInput::Device(_));
        let hopeless = |reason: &VideoError| is_device && !started && matches!(reason, VideoError::Open { .. });
        match error {
            // What has brought frames may bring them again, whatever it sent in between.
            Some(reason)
                if self.settings.reconnect && (reason.may_pass() || self.settings.live && started) && !hopeless(&reason) =>
            {
                self.try_again(reason)
            }
            Some(error) => self.fail(error),
            None => match self.finish() {
                Ok(()) => VideoEvent::Ended,
                Err(error) => VideoEvent::Failed(error),
            },
        }
    }

    fn try_again(&mut self, reason: VideoError) -> VideoEvent {
        let (attempt, wait) = self.backoff.next_attempt();
        let waiting = State::Waiting { until: Instant::now() + wait };
        if let State::Running(running) = std::mem::replace(&mut self.state, waiting) {
            running.connection.abandon();
        }
        lock(&self.shared.tap).abandon();
        VideoEvent::Reconnecting { attempt, reason }
    }

    fn fail(&mut self, error: VideoError) -> VideoEvent {
        if let Err(error) = self.finish() {
            tracing::error!("{error}");
        }
        VideoEvent::Failed(error)
    }
}

impl Drop for VideoSource {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!("{error}");
        }
    }
}

fn frame(admitted: Admitted, image: RgbImage) -> VideoFrame {
    let Admitted { index, stamp_ns, captured_ns } = admitted;
    VideoFrame { index, pts_ns: stamp_ns, image: Arc::new(image), captured_ns }
}

/// Copies a sample's pixels, row by row: rows in memory may be longer than the picture is wide.
fn picture(sample: &gst::Sample) -> Result<RgbImage, String> {
    let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else { return Err("a frame without pixels".into()) };
    let info = gst_video::VideoInfo::from_caps(caps).map_err(|e| e.to_string())?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|e| e.to_string())?;
    let short = || format!("a frame of {}×{} with too few pixels", info.width(), info.height());
    let stride = frame.plane_stride().first().and_then(|s| usize::try_from(*s).ok()).ok_or_else(short)?;
    let row = info.width() as usize * 3;
    let data = frame.plane_data(0).map_err(|e| e.to_string())?;
    let mut pixels = Vec::with_capacity(row * info.height() as usize);
    for y in 0..info.height() as usize {
        pixels.extend_from_slice(data.get(y * stride..y * stride + row).ok_or_else(short)?);
    }
    RgbImage::from_raw(info.width(), info.height(), pixels).ok_or_else(short)
}

/// The error of a message by which an element says that a plug-in is missing.
fn missing_plugin(input: &str, message: &gst::StructureRef) -> Option<VideoError> {
    if message.name() != "missing-plugin" {
        return None;
    }
    let input = input.to_owned();
    match message.get::<gst::Caps>("detail") {
        Ok(caps) => {
            let name = caps.structure(0).map_or("an unknown format".into(), |s| s.name().to_string());
            let package = error::package_of_format(&name).into();
            let described = message.get::<String>("name").map_or(name.clone(), |words| format!("{name} ({words})"));
            Some(VideoError::MissingDecoder { input, format: described, package })
        }
        Err(_) => {
            let element = message.get::<String>("detail").unwrap_or_default();
            let package = error::package_of_element(&element).into();
            Some(VideoError::MissingElement { input, element, package })
        }
    }
}
