//! Pipeline files: one TOML file a way to run skyfix (`skyfix run FILE`).
//!
//! The tables below are the schema; an unknown key is an error, and so is a key that does nothing for the chosen kind of source.
//! What is read lies relative to the file, what is written relative to the working directory. A pipeline file can name any GStreamer element, so it is code: run only files that you trust.
//!
//! [`PipelineFile`] is the file as written, [`Pipeline`] what it means.

mod explain;
mod resolve;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Deserialize;

use crate::types::Mounting;

pub use crate::recording::reader::StartTable;
pub use explain::explain;
pub use resolve::{CameraSource, Pipeline, PipelineError, Source, TelemetrySource};

/// A pipeline file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// Where frames come from.
    pub source: SourceTable,
    /// What else is known of the aircraft.
    #[serde(default)]
    pub telemetry: TelemetryTable,
    /// The map.
    #[serde(default)]
    pub map: MapTable,
    /// The network.
    #[serde(default)]
    pub model: ModelTable,
    /// How frames are matched.
    #[serde(default, rename = "match")]
    pub matching: MatchTable,
    /// How fixes are fused.
    #[serde(default)]
    pub filter: FilterTable,
    /// Where results go.
    #[serde(default)]
    pub sinks: SinksTable,
}

/// Kinds of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A recording: a folder with `flight.toml`.
    Recording,
    /// A folder of photos.
    Photos,
    /// A video file.
    Video,
    /// An RTSP server.
    Rtsp,
    /// H.264 or H.265 in RTP over UDP.
    Rtp,
    /// MPEG-TS over UDP.
    MpegTs,
    /// A camera of Video4Linux.
    V4l2,
    /// GStreamer's test picture.
    Test,
    /// Any pipeline as for `gst-launch-1.0`, without its sink.
    Gstreamer,
}

/// Codecs of an RTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// H.264.
    #[default]
    H264,
    /// H.265.
    H265,
}

/// Transports of RTSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// UDP, and TCP where that does not get through.
    #[default]
    Auto,
    /// TCP only.
    Tcp,
    /// UDP only.
    Udp,
}

/// `[source]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceTable {
    /// Which kind.
    pub kind: SourceKind,
    /// The folder or file (`recording`, `photos`, `video`).
    pub path: Option<PathBuf>,
    /// Its address (`rtsp`).
    pub url: Option<String>,
    /// TCP or UDP (`rtsp`).
    pub transport: Option<Transport>,
    /// Milliseconds that packets may wait for those sent before them (`rtsp`, `rtp`).
    pub latency_ms: Option<u32>,
    /// Address and port to listen at (`rtp`, `mpeg_ts`); the loopback interface unless an address says otherwise.
    pub listen: Option<String>,
    /// The codec (`rtp`).
    pub codec: Option<Codec>,
    /// The camera's device (`v4l2`), `/dev/video0` by default.
    pub device: Option<PathBuf>,
    /// The pipeline (`gstreamer`).
    pub launch: Option<String>,
    /// Whether frames that cannot be served in time are dropped (`gstreamer`); the other kinds know by themselves.
    pub live: Option<bool>,
    /// Whether to connect again when the stream breaks off (live kinds); true by default.
    pub reconnect: Option<bool>,
    /// Frames a second to match; others are thinned out before they are converted. All by default, for a video file 2.
    pub frame_rate: Option<f64>,
    /// Frames that may wait to be served when live; 1 by default, so that the newest is served next.
    pub queue: Option<usize>,
    /// Stamp of the first frame, seconds: for live streams of recorded flights, whose telemetry has the recording's clock.
    pub first_stamp_s: Option<f64>,
    /// The camera; a recording brings its own.
    pub camera: Option<CameraTable>,
}

/// `[source.camera]`: a focal length by one of three ways, and how the camera is fixed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraTable {
    /// Horizontal field of view, degrees.
    pub hfov_deg: Option<f64>,
    /// Calibration file: OpenCV or Kalibr YAML.
    pub calibration: Option<PathBuf>,
    /// Camera model as EXIF calls it, if it is in the table of known sensors: `FC7303`.
    pub model: Option<String>,
    /// `stabilised` (a gimbal that looks down) or `strapdown`.
    #[serde(default)]
    pub mounting: Mounting,
    /// How far it may be from nadir (stabilised) or from the attitude (strapdown), standard deviation, degrees.
    pub tilt_sigma_deg: Option<f64>,
}

/// `[telemetry]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryTable {
    /// Folder with `imu.csv`, `height.csv`, `heading.csv`, `attitude.csv`, `barometer.csv`, `gnss.csv`, `landed.csv`, as many as there are.
    pub sidecars: Option<PathBuf>,
    /// DJI's subtitle file.
    pub srt: Option<PathBuf>,
    /// Address and port to listen at for MAVLink over UDP; the loopback interface unless an address says otherwise.
    pub mavlink: Option<String>,
    /// Telemetry stamp minus video stamp of the same instant, seconds; `skyfix sync` estimates it.
    #[serde(default)]
    pub telemetry_minus_video_s: f64,
    /// How long a live frame waits for telemetry of its time, seconds; 0.1 by default.
    pub wait_s: Option<f64>,
    /// Heading: `sensor`, `none`, or degrees with their sigma, `"152±5"`.
    pub heading: Option<String>,
    /// Height above ground: `sensor`, `none` (search for it), or metres with their sigma, `"120±6"`.
    pub height: Option<String>,
    /// Whether headings are magnetic: then the declination of the map's middle at `date` is added.
    #[serde(default)]
    pub heading_is_magnetic: bool,
    /// Date of the flight for the declination, `2026-05-01`.
    pub date: Option<String>,
    /// Elevation model: a GeoTIFF of heights, metres. With it a height above take-off becomes one above ground.
    pub dem: Option<PathBuf>,
    /// Where the aircraft took off, `[latitude, longitude]` in degrees: where heights above take-off count from.
    pub takeoff_deg: Option<[f64; 2]>,
}

/// `[map]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapTable {
    /// The MBTiles file; a recording may bring its own.
    pub path: Option<PathBuf>,
    /// Edits of the map while flying.
    pub edits: Option<PathBuf>,
}

/// `[model]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTable {
    /// Name in the manifest; `skyfix-dense` by default.
    pub name: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: Option<String>,
}

/// `[match]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchTable {
    /// `correlation` or `sascm`; as ablations, `none` or `retrieval`.
    pub coarse: Option<String>,
    /// Weights of the neighbourhood consensus.
    pub consensus: Option<PathBuf>,
    /// Frames matched side by side; all processors by default.
    pub workers: Option<usize>,
    /// Whether the filter's prediction and a known start narrow the search; true by default.
    pub prior: Option<bool>,
    /// Whether a frame goes straight to fine matching where the prediction is confident; true by default.
    pub early_exit: Option<bool>,
    /// Frames between a prediction and the search that uses it; 4 by default.
    pub lag: Option<u64>,
}

/// `[filter]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterTable {
    /// A track point is `visual` up to this time after the last fix used, seconds.
    pub visual_age_s: Option<f64>,
    /// Beyond this standard deviation the position is `lost`, metres.
    pub lost_sigma_m: Option<f64>,
    /// Fixes in a row that the filter refuses and that agree with each other before it starts anew.
    pub restart_fixes: Option<usize>,
    /// Frames in a row without a fix that was used before the search no longer trusts the prior.
    pub distrust_frames: Option<usize>,
    /// Speed before it is known, standard deviation an axis, m/s.
    pub speed_sigma_m_s: Option<f64>,
    /// Fastest speed of the aircraft, m/s.
    pub max_speed_m_s: Option<f64>,
    /// Whether frames tell the way since the frame before by what both see: auto (for frames without an IMU; the default), on, off.
    pub odometry: Option<String>,
    /// Whether positions of GNSS that the telemetry holds are taken: off (the default), on, or for how many seconds from the first one on.
    pub gnss: Option<String>,
    /// Points of the track a second between frames, and while no frames come: 5 by default when live, 0 (none) otherwise.
    pub track_rate_hz: Option<f64>,
    /// A frame's smoothed place is settled by what follows within so many seconds: 10 by default when live. A flight that is not live is
    /// smoothed as a whole, at the end.
    pub smoother_lag_s: Option<f64>,
    /// What is known of the position at the start.
    pub start: Option<StartTable>,
}

/// `[sinks]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinksTable {
    /// Folder for `fixes.csv`, `track.csv`, `timing.csv`, `track.geojson` and `summary.json`; `out` by default.
    pub out: Option<PathBuf>,
    /// Whether `flight.rrd` is written there too; true by default.
    pub rrd: Option<bool>,
    /// The live viewer: `off`, `spawn` (a window), `serve` (viewers connect to skyfix), `connect` (skyfix connects to one).
    pub viewer: Option<String>,
    /// Where `serve` listens (`127.0.0.1:9876`), or where `connect` finds the viewer.
    pub viewer_address: Option<String>,
    /// Frames a second whose picture the live viewer gets; 2 by default.
    pub viewer_image_rate: Option<f64>,
    /// JSON lines: any of `file` (`fixes.jsonl`), `stdout`, `udp://ADDRESS:PORT`.
    #[serde(default)]
    pub jsonl: Vec<String>,
    /// Record what comes in into this folder, as a recording that `skyfix replay` reads.
    pub record: Option<PathBuf>,
}
