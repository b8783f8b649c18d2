//! What a video is read from, and how.

use std::path::PathBuf;
use std::time::Duration;

use super::error::VideoError;
use crate::files;
use crate::source::redact;

/// How RTSP carries its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RtspTransport {
    /// UDP, and TCP where that does not get through.
    #[default]
    Auto,
    /// TCP only.
    Tcp,
    /// UDP only.
    Udp,
}

/// Where a video comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum VideoInput {
    /// A file that GStreamer can decode.
    File(PathBuf),
    /// An address: `http://…`, `srt://…`, `file://…`; `rtsp://…` is [`VideoInput::Rtsp`].
    Uri(String),
    /// An RTSP server.
    Rtsp {
        /// Its address, credentials included.
        url: String,
        /// Milliseconds that packets may wait for those sent before them.
        latency_ms: u32,
        /// TCP or UDP.
        transport: RtspTransport,
    },
    /// A camera of this computer (Video4Linux).
    Device(PathBuf),
    /// A pipeline as for `gst-launch-1.0`, without a sink; its last element gives out encoded or raw video (or a container). It can
    /// name any element and so do anything: it is code.
    Launch(String),
}

impl VideoInput {
    /// The input as shown to users: without credentials.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) | Self::Device(path) => path.display().to_string(),
            Self::Uri(text) | Self::Launch(text) | Self::Rtsp { url: text, .. } => redact(text),
        }
    }

    /// What to do when it cannot be opened.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::File(_) => "check the path",
            Self::Device(_) => {
                "is the camera plugged in, and does no other program use it? `v4l2-ctl --list-devices` names those that are there"
            }
            Self::Uri(_) | Self::Launch(_) | Self::Rtsp { .. } => "is the address right, and is the source on?",
        }
    }
}

/// How a video is read.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoSettings {
    /// The source.
    pub input: VideoInput,
    /// Frames a second to keep, by their stamps: the first at or after each k/rate since the first frame. `None` keeps all.
    pub frame_rate: Option<f64>,
    /// Whether frames that nobody takes in time are dropped, oldest first; else the source waits.
    pub live: bool,
    /// Whether to connect again after an error, an end or a stall.
    pub reconnect: bool,
    /// Record the stream as it comes into this Matroska file.
    pub record: Option<PathBuf>,
    /// Frames that may wait when live; two more are on their way through conversion.
    pub queue: usize,
    /// A stream that reconnects and brings nothing for this long has stalled.
    pub stall_timeout: Duration,
    /// How long a connection that reconnects may take to bring its first picture.
    pub first_picture_timeout: Duration,
    /// What is neither live nor connected again is given up when it brings nothing for this long while a frame is asked for.
    pub read_timeout: Duration,
}

impl VideoSettings {
    /// Sensible settings: RTSP and cameras are live and reconnect, everything else is read to its end at the pace it is asked for.
    pub fn new(input: VideoInput) -> Self {
        let input = match input {
            VideoInput::Uri(url) if url.starts_with("rtsp://") || url.starts_with("rtsps://") => {
                VideoInput::Rtsp { url, latency_ms: 200, transport: RtspTransport::Auto }
            }
            other => other,
        };
        let live = matches!(input, VideoInput::Rtsp { .. } | VideoInput::Device(_));
        Self {
            input,
            frame_rate: None,
            live,
            reconnect: live,
            record: None,
            queue: 4,
            stall_timeout: Duration::from_secs(5),
            first_picture_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(300),
        }
    }

    pub(super) fn check(&self) -> Result<(), VideoError> {
        if let Some(rate) = self.frame_rate.filter(|r| !(1e-3..=1e3).contains(r)) {
            let wanted = "give frames a second, from 0.001 to 1000";
            return Err(VideoError::Setting { name: "frame rate", value: rate.to_string(), wanted });
        }
        if !(1..=1024).contains(&self.queue) {
            let wanted = "give a number of frames from 1 to 1024";
            return Err(VideoError::Setting { name: "queue", value: self.queue.to_string(), wanted });
        }
        let open = |reason: &str, advice| Err(VideoError::Open { input: self.input.shown(), reason: reason.into(), advice });
        match &self.input {
            VideoInput::File(path) => match std::fs::metadata(path) {
                Err(e) => open(&e.to_string(), self.input.advice()),
                Ok(m) if m.is_dir() => open("it is a folder", "give a video file"),
                Ok(_) if files::is_special(path) => open(files::SPECIAL, "a source of the kind gstreamer reads anything"),
                Ok(m) if m.len() == 0 => open("the file is empty", "copy or record it again"),
                Ok(_) => Ok(()),
            },
            // One that is pulled out later is waited for.
            VideoInput::Device(path) => {
                std::fs::metadata(path).map_or_else(|e| open(&e.to_string(), self.input.advice()), |_| Ok(()))
            }
            VideoInput::Uri(_) | VideoInput::Rtsp { .. } | VideoInput::Launch(_) => Ok(()),
        }
    }
}
