//! The keys of a configuration.

use std::path::PathBuf;

use crate::fuse::FusionSettings;
use crate::localize::MatchSettings;
use crate::models::Device;
use crate::settings::{Bound, settings, words, written_as_text};
use crate::source::Setting;
use crate::types::Mounting;

settings! {
    /// Everything that decides how a flight is localized.
    #[derive(Clone, Debug, PartialEq)]
    pub struct FlightConfig {
        /// Where frames come from.
        table source: SourceConfig;
        /// What else is known of the aircraft.
        table telemetry: TelemetryConfig;
        /// The map.
        table map: MapConfig;
        /// The network.
        table model: ModelConfig;
        /// How frames are matched.
        table r#match: MatchConfig;
        /// How fixes are fused.
        table filter: FilterConfig;
        /// Where results go.
        table sinks: SinksConfig;
        /// What is ended that stands still.
        table supervision: SupervisionConfig;
    }
}

words! {
    /// Kinds of source.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum SourceKind: "kind of source" {
        /// A recording: a folder with `flight.toml`.
        Recording = "recording",
        /// A folder of photos.
        Photos = "photos",
        /// A video file.
        Video = "video",
        /// An RTSP server.
        Rtsp = "rtsp",
        /// H.264 or H.265 in RTP over UDP.
        Rtp = "rtp",
        /// MPEG-TS over UDP.
        MpegTs = "mpeg_ts",
        /// A camera of Video4Linux.
        V4l2 = "v4l2",
        /// GStreamer's test picture.
        Test = "test",
        /// Any pipeline as for `gst-launch-1.0`, without its sink.
        Gstreamer = "gstreamer",
    }
}

words! {
    /// Codecs of an RTP stream.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub enum Codec: "codec" {
        /// H.264.
        #[default]
        H264 = "h264",
        /// H.265.
        H265 = "h265",
    }
}

words! {
    /// Transports of RTSP.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub enum Transport: "transport" {
        /// UDP, and TCP where that does not get through.
        #[default]
        Auto = "auto",
        /// TCP only.
        Tcp = "tcp",
        /// UDP only.
        Udp = "udp",
    }
}

words! {
    /// What the live viewer is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub enum ViewerMode: "way of viewing" {
        /// There is none.
        #[default]
        Off = "off",
        /// A viewer is started and shows a window.
        Spawn = "spawn",
        /// Viewers connect to skyfix.
        Serve = "serve",
        /// skyfix connects to a viewer.
        Connect = "connect",
    }
}

/// Frames a second to match; `None` is every frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameRate(pub Option<f64>);

impl std::str::FromStr for FrameRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(None));
        }
        let rate = text.parse::<f64>().ok().filter(|r| (1e-3..=1e3).contains(r));
        rate.map(|r| Self(Some(r))).ok_or_else(|| format!("'{text}': write frames a second, from 0.001 to 1000, or all"))
    }
}

impl std::fmt::Display for FrameRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(rate) => write!(f, "{rate}"),
            None => f.write_str("all"),
        }
    }
}

written_as_text!(FrameRate);

settings! {
    /// `[source]`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SourceConfig {
        /// Which kind: recording, photos, video, rtsp, rtp, mpeg_ts, v4l2, test or gstreamer.
        key kind: Option<SourceKind> = None, Bound::Any;
        /// The folder or file (recording, photos, video).
        key path: Option<PathBuf> = None, Bound::Any;
        /// The server's address (rtsp). Credentials in it are shown nowhere.
        key url: Option<String> = None, Bound::Any;
        /// auto (UDP, then TCP), tcp or udp (rtsp).
        key transport: Transport = Transport::default(), Bound::Any;
        /// Milliseconds that packets may wait for those sent before them (rtsp, rtp).
        key latency_ms: u32 = 200, Bound::Within(0.0, 60_000.0);
        /// Address and port to listen at (rtp, mpeg_ts); the loopback interface unless an address says otherwise.
        key listen: Option<String> = None, Bound::Any;
        /// h264 or h265 (rtp).
        key codec: Codec = Codec::default(), Bound::Any;
        /// The camera's device (v4l2).
        key device: PathBuf = "/dev/video0".into(), Bound::Any;
        /// The pipeline, as for gst-launch-1.0, without a sink (gstreamer). It can name any element and so do anything.
        key launch: Option<String> = None, Bound::Any;
        /// Whether frames that cannot be served in time are dropped (gstreamer); the other kinds know by themselves.
        key live: bool = false, Bound::Any;
        /// Whether to connect again when the stream breaks off (live kinds); true where nothing is said.
        key reconnect: Option<bool> = None, Bound::Any;
        /// A stream that brings nothing for this long has stalled, and is connected again (live kinds), seconds.
        key stall_timeout_s: f64 = 5.0, Bound::Within(0.1, 3600.0);
        /// How long a connection may take to bring its first picture (live kinds): cameras and relays that have to wake somebody up take their
        /// time, seconds.
        key first_picture_timeout_s: f64 = 30.0, Bound::Within(0.1, 3600.0);
        /// Frames a second to match: the first at or after each step, by their stamps; or all. Where nothing is said, 2 of a video file,
        /// all of anything else. Photos are never thinned.
        key frame_rate: Option<FrameRate> = None, Bound::Any;
        /// Frames that may wait to be served (live kinds); the oldest is dropped when there are more.
        key queue: usize = 1, Bound::Within(1.0, 64.0);
        /// Stamp of the first frame, seconds (live kinds): for streams of recorded flights, whose telemetry has the recording's clock.
        key first_stamp_s: Option<f64> = None, Bound::Any;
        /// Stop after this many seconds.
        key stop_after_s: Option<f64> = None, Bound::Between(0.0, 3.2e8);
        /// The camera; a recording brings its own.
        table camera: CameraConfig;
    }
}

settings! {
    /// `[source.camera]`: a focal length by one of three ways, and how the camera is fixed.
    #[derive(Clone, Debug, PartialEq)]
    pub struct CameraConfig {
        /// Horizontal field of view, degrees: of a video as it is shown, of photos as the camera stores them; without digital zoom.
        key hfov_deg: Option<f64> = None, Bound::Between(1.0, 170.0);
        /// Calibration file: OpenCV or Kalibr YAML.
        key calibration: Option<PathBuf> = None, Bound::Any;
        /// Camera model as EXIF calls it, if it is in the table of cameras (`skyfix cameras`): FC7303.
        key model: Option<String> = None, Bound::Any;
        /// stabilised (a gimbal that looks down) or strapdown (fixed to the airframe).
        key mounting: Mounting = Mounting::default(), Bound::Any;
        /// How far the camera may be from nadir (stabilised) or from the attitude (strapdown), standard deviation, degrees; where nothing
        /// is said 7, or 2 where the gimbal states its attitude.
        key tilt_sigma_deg: Option<f64> = None, Bound::Between(0.0, 90.0);
    }
}

settings! {
    /// `[telemetry]`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct TelemetryConfig {
        /// Telemetry of a video: a folder with any of imu.csv, height.csv, heading.csv, attitude.csv, barometer.csv, gnss.csv, landed.csv,
        /// or one of these files.
        key sidecars: Option<PathBuf> = None, Bound::Any;
        /// Subtitle file of a video, by DJI or Autel.
        key srt: Option<PathBuf> = None, Bound::Any;
        /// Address and port to listen at for MAVLink over UDP; the loopback interface unless an address says otherwise.
        key mavlink: Option<String> = None, Bound::Any;
        /// The system to listen to; where nothing is said the one whose HEARTBEAT says that it is an autopilot, and if none does, the lowest
        /// number that sends telemetry.
        key mavlink_system_id: Option<u8> = None, Bound::Within(1.0, 255.0);
        /// The component to listen to; where nothing is said the autopilot, as above.
        key mavlink_component_id: Option<u8> = None, Bound::Within(1.0, 255.0);
        /// 1 sigma of attitudes over MAVLink, degrees.
        key mavlink_attitude_sigma_deg: f64 = 2.0, Bound::Between(0.0, 180.0);
        /// 1 sigma of headings over MAVLink, degrees.
        key mavlink_heading_sigma_deg: f64 = 5.0, Bound::Between(0.0, 180.0);
        /// 1 sigma of heights over MAVLink, metres; one that grows with the height where nothing is said.
        key mavlink_height_sigma_m: Option<f64> = None, Bound::Positive;
        /// Telemetry stamp minus video stamp of the same instant, seconds; `skyfix sync` estimates it.
        key telemetry_minus_video_s: f64 = 0.0, Bound::Any;
        /// How long a live frame waits for telemetry of its time, seconds.
        key wait_s: f64 = 0.1, Bound::Within(0.001, 60.0);
        /// Heading: sensor (metadata or telemetry), none (all are tried), or degrees with their sigma, 152±5.
        key heading: Setting = Setting::default(), Bound::Any;
        /// Height above ground: sensor (metadata or telemetry), none (searched for), or metres with their sigma, 120±6.
        key height: Setting = Setting::default(), Bound::Any;
        /// Evaluation: each frame's height is scaled by a random factor in 1 ± this.
        key height_error: f64 = 0.0, Bound::Within(0.0, 0.9);
        /// Seed of that factor.
        key height_error_seed: u64 = 1, Bound::AtLeast(0.0);
        /// Whether headings are magnetic: then the declination of the map's middle at `telemetry.date` is added.
        key heading_is_magnetic: bool = false, Bound::Any;
        /// Date of the flight for the declination, 2026-05-01.
        key date: Option<String> = None, Bound::Any;
        /// Elevation model: a GeoTIFF of heights, metres. With it a height above take-off becomes one above ground.
        key dem: Option<PathBuf> = None, Bound::Any;
        /// Where the aircraft took off, latitude and longitude in degrees: where heights above take-off count from.
        key takeoff_deg: Option<[f64; 2]> = None, Bound::Any;
    }
}

settings! {
    /// `[map]`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct MapConfig {
        /// The MBTiles file; a recording may bring its own.
        key path: Option<PathBuf> = None, Bound::Any;
        /// Edits of the map while flying: a TOML file of `[[edit]]` tables with frame, action (withdraw, restore, or replace by image), z, x, y.
        key edits: Option<PathBuf> = None, Bound::Any;
    }
}

settings! {
    /// `[model]`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ModelConfig {
        /// Name in the manifest; `skyfix models` lists them.
        key name: String = "skyfix-dense".into(), Bound::Any;
        /// cpu or cuda:N; a device that is not there is an error.
        key device: Device = Device::default(), Bound::Any;
        /// Threads of a network of one worker.
        key threads: usize = 1, Bound::Within(1.0, 64.0);
    }
}

settings! {
    /// `[match]`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct MatchConfig {
        /// Learned weights of the neighbourhood consensus of sascm, which decide among what a fixed kernel finds best: a safetensors file,
        /// or bundled for those that come with the model.
        key consensus: Option<PathBuf> = None, Bound::Any;
        /// Workers: frames matched side by side; one for each processor where nothing is said. The results do not depend on it.
        key workers: Option<usize> = None, Bound::Within(1.0, 64.0);
        /// Whether the filter's prediction, and a known start, narrow the search.
        key prior: bool = true, Bound::Any;
        /// Frames between a prediction and the search that uses it.
        key lag: u64 = 4, Bound::Within(1.0, 64.0);
        /// How a frame is searched for.
        flat search: MatchSettings;
    }
}

settings! {
    /// `[filter]`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct FilterConfig {
        /// Points of the track a second between frames, and while no frames come; 0: one point a frame. Where nothing is said 5 live, else 0.
        key track_rate_hz: Option<f64> = None, Bound::Within(0.0, 1000.0);
        /// A frame's smoothed place is settled by what follows within so many seconds (live); 10 where nothing is said. A flight that is not
        /// live is smoothed as a whole, at the end.
        key smoother_lag_s: Option<f64> = None, Bound::Within(0.001, 60.0);
        /// What is known of the position at the start.
        table start: StartConfig;
        /// The filter.
        flat fusion: FusionSettings;
    }
}

settings! {
    /// `[filter.start]`: all three, or none.
    #[derive(Clone, Debug, PartialEq)]
    pub struct StartConfig {
        /// Latitude, degrees.
        key lat_deg: Option<f64> = None, Bound::Within(-90.0, 90.0);
        /// Longitude, degrees.
        key lon_deg: Option<f64> = None, Bound::Within(-180.0, 180.0);
        /// 1 sigma an axis, metres.
        key sigma_m: Option<f64> = None, Bound::Positive;
    }
}

settings! {
    /// `[sinks]`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SinksConfig {
        /// Folder for fixes.csv, track.csv, timing.csv, track.geojson and summary.json.
        key out: PathBuf = "out".into(), Bound::Any;
        /// Whether flight.rrd is written there for the viewer.
        key rrd: bool = true, Bound::Any;
        /// The live viewer: off, spawn (a window), serve (viewers connect to skyfix), connect (skyfix connects to one).
        key viewer: ViewerMode = ViewerMode::default(), Bound::Any;
        /// Where serve listens, or where connect finds the viewer; port 9876 of the loopback interface where nothing is said.
        key viewer_address: Option<String> = None, Bound::Any;
        /// Frames a second whose picture the live viewer gets.
        key viewer_image_rate: f64 = 2.0, Bound::Positive;
        /// JSON lines: any of file (fixes.jsonl), stdout, udp://ADDRESS:PORT.
        key jsonl: Vec<String> = Vec::new(), Bound::Any;
        /// An output that takes nothing for this long is closed, and the flight goes on without it, seconds.
        key timeout_s: f64 = 20.0, Bound::Within(0.1, 3600.0);
        /// How long standard output, datagrams and the live viewer may take at the end with what still waits for them, seconds.
        key end_timeout_s: f64 = 1.0, Bound::Within(0.0, 3600.0);
        /// Record what comes in as video into this folder, as a recording that `skyfix replay` reads.
        key record: Option<PathBuf> = None, Bound::Any;
    }
}

settings! {
    /// `[supervision]`: a process that stands still is worse than one that has ended and can be started again.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SupervisionConfig {
        /// A stage that does not get on for this long ends the process with its name (exit status 70), seconds. A file that
        /// brings no frame for so long ends the flight (exit status 1); that a live source brings none is no fault of a stage.
        key stage_timeout_s: f64 = 300.0, Bound::Within(1.0, 86_400.0);
        /// The process has ended this long after Ctrl-C or SIGTERM, whatever stands still, seconds; a stage may take a sixth of it.
        key end_timeout_s: f64 = 60.0, Bound::Within(1.0, 3600.0);
    }
}
