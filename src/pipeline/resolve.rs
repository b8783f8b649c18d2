//! From what a pipeline file says to what it means: defaults filled in, values checked, paths resolved.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{CameraTable, Codec, FilterTable, PipelineFile, SinksTable, SourceKind, SourceTable, TelemetryTable, Transport};
use crate::fuse::{FusionSettings, Smoothing, TrackOptions};
use crate::geo::Geodetic;
use crate::localize::CoarseMethod;
use crate::models::Device;
use crate::recording::Start;
use crate::sink::ViewerTarget;
use crate::source::photos::CameraOptions;
use crate::source::{KnowledgeOptions, Setting};
use crate::time::nanos_from_seconds;

/// Default port of the Rerun viewer.
const VIEWER_PORT: u16 = 9876;
/// Frames a second of a video file that are matched unless the file says otherwise.
const VIDEO_FRAME_RATE: f64 = 2.0;
/// Points of the track a second between the frames of a live flight.
const LIVE_TRACK_RATE_HZ: f64 = 5.0;
/// How far behind a live flight its smoothed track is, seconds, and how far it may be: each frame looks back over all of it.
const LIVE_SMOOTHER_LAG_S: f64 = 10.0;
const MAX_SMOOTHER_LAG_S: f64 = 60.0;
/// How long a live frame waits for its telemetry.
const WAIT_S: f64 = 0.1;
/// Milliseconds that packets may wait for those sent before them.
const LATENCY_MS: u32 = 200;

/// What is wrong with a pipeline file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct PipelineError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A recording or a folder of photos.
    Folder(PathBuf),
    /// A video file.
    Video(PathBuf),
    /// An RTSP server.
    Rtsp {
        /// Its address, credentials included: never to be shown.
        url: String,
        /// TCP or UDP.
        transport: Transport,
        /// Milliseconds that packets may wait.
        latency_ms: u32,
    },
    /// A pipeline of GStreamer.
    Launch(String),
}

/// Where telemetry comes from, besides what a recording brings.
#[derive(Clone, Debug, PartialEq)]
pub enum TelemetrySource {
    /// A folder of CSV files.
    Sidecars(PathBuf),
    /// DJI's subtitles.
    Srt(PathBuf),
    /// MAVLink over UDP.
    Mavlink(SocketAddr),
}

/// A camera that the source does not bring itself.
#[derive(Clone, Debug, Default)]
pub struct CameraSource {
    /// Field of view, calibration, mounting, tilt.
    pub options: CameraOptions,
    /// Model in the table of sensors.
    pub model: Option<String>,
}

/// A pipeline ready to be run.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Where frames come from.
    pub source: Source,
    /// Whether frames that cannot be served in time are dropped.
    pub live: bool,
    /// Whether to connect again when the stream breaks off.
    pub reconnect: bool,
    /// Frames a second to match.
    pub frame_rate: Option<f64>,
    /// Frames that may wait when live.
    pub queue: usize,
    /// Stamp of the first frame, nanoseconds, where it is not the source's own.
    pub first_stamp_ns: Option<i64>,
    /// The camera, where the source brings none.
    pub camera: CameraSource,
    /// Where telemetry comes from.
    pub telemetry: Vec<TelemetrySource>,
    /// Telemetry stamp minus video stamp, seconds.
    pub telemetry_minus_video_s: f64,
    /// How long a live frame waits for its telemetry, seconds.
    pub wait_s: f64,
    /// What the localizer may know.
    pub knowledge: KnowledgeOptions,
    /// The date of a declination to be added to headings: year, month, day.
    pub declination_date: Option<jiff::civil::Date>,
    /// Elevation model.
    pub dem: Option<PathBuf>,
    /// Where heights above take-off count from.
    pub takeoff: Option<Geodetic>,
    /// The map.
    pub map: Option<PathBuf>,
    /// Edits of the map.
    pub map_edits: Option<PathBuf>,
    /// Model of the manifest.
    pub model: String,
    /// Where inference runs.
    pub device: Device,
    /// The coarse method.
    pub coarse: CoarseMethod,
    /// Weights of the neighbourhood consensus.
    pub consensus: Option<PathBuf>,
    /// Whether a confident prediction allows to go straight to fine matching.
    pub early_exit: bool,
    /// Frames matched side by side; `None` is one for each processor.
    pub workers: Option<usize>,
    /// Whether the prediction narrows the search.
    pub prior: bool,
    /// Frames between a prediction and the search that uses it.
    pub lag: u64,
    /// The filter.
    pub fusion: FusionSettings,
    /// What of the track is asked for.
    pub track: TrackOptions,
    /// What is known at the start.
    pub start: Option<Start>,
    /// Folder for results.
    pub out: PathBuf,
    /// Whether `flight.rrd` is written.
    pub rrd: bool,
    /// The live viewer.
    pub viewer: Option<ViewerTarget>,
    /// Pictures a second for the live viewer.
    pub viewer_image_rate: f64,
    /// Whether `fixes.jsonl` is written.
    pub jsonl_file: bool,
    /// Whether JSON lines go to standard output.
    pub jsonl_stdout: bool,
    /// Where JSON lines go as datagrams.
    pub jsonl_udp: Vec<SocketAddr>,
    /// Folder to record into.
    pub record: Option<PathBuf>,
}

impl Pipeline {
    /// Reads and resolves a file.
    ///
    /// # Errors
    /// When it cannot be read, has an unknown key, or a value makes no sense.
    pub fn read(path: &Path) -> Result<Self, PipelineError> {
        let fail = |reason: String| PipelineError { path: path.into(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(fail)
    }

    /// Resolves the text of a file that lies in a folder.
    ///
    /// # Errors
    /// In words, what is wrong.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let file: PipelineFile = toml::from_str(text).map_err(|e| e.to_string().trim().to_owned())?;
        let at = |path: &PathBuf| folder.join(path);
        let (source, live) = source(&file.source, folder)?;
        let of_folder = matches!(source, Source::Folder(_));
        if of_folder
            && (file.source.camera.is_some() || file.source.frame_rate.is_some())
            && file.source.kind == SourceKind::Recording
        {
            return Err("[source]: a recording brings its own camera and frames; leave out camera and frame_rate".into());
        }
        let positive = |name: &str, value: Option<f64>| match value {
            Some(v) if !(v > 0.0 && v.is_finite()) => Err(format!("{name} = {v}: give a positive number")),
            other => Ok(other),
        };
        let default_rate = (file.source.kind == SourceKind::Video).then_some(VIDEO_FRAME_RATE);
        let frame_rate = positive("[source] frame_rate", file.source.frame_rate)?.or(default_rate);
        let queue = file.source.queue.unwrap_or(1);
        if !(1..=64).contains(&queue) {
            return Err(format!("[source] queue = {queue}: give 1 to 64 frames"));
        }
        if let Some(first) = file.source.first_stamp_s.filter(|s| !s.is_finite()) {
            return Err(format!("[source] first_stamp_s = {first}: give a number of seconds"));
        }
        let workers = match file.matching.workers {
            Some(n) if !(1..=64).contains(&n) => return Err(format!("[match] workers = {n}: give 1 to 64")),
            other => other,
        };
        let lag = file.matching.lag.unwrap_or(4);
        if !(1..=64).contains(&lag) {
            return Err(format!("[match] lag = {lag}: give 1 to 64 frames"));
        }
        let telemetry = &file.telemetry;
        let sinks = &file.sinks;
        let mut jsonl_udp = Vec::new();
        for to in sinks.jsonl.iter().filter(|to| !["file", "stdout"].contains(&to.as_str())) {
            let address = to.strip_prefix("udp://").and_then(|a| a.to_socket_addrs().ok()?.next());
            jsonl_udp.push(address.ok_or_else(|| format!("[sinks] jsonl = \"{to}\": write file, stdout or udp://ADDRESS:PORT"))?);
        }
        let parsed = |name: &str, text: &Option<String>| -> Result<Setting, String> {
            text.as_deref().map_or(Ok(Setting::Sensor), |t| t.parse().map_err(|e| format!("[telemetry] {name}: {e}")))
        };
        if !telemetry.telemetry_minus_video_s.is_finite() {
            return Err("[telemetry] telemetry_minus_video_s is no number".into());
        }
        if let Some(record) = &sinks.record
            && of_folder
        {
            let what = "only what comes in as video can be recorded";
            return Err(format!("[sinks] record = \"{}\": the source is a recording already; {what}", record.display()));
        }
        Ok(Self {
            live,
            reconnect: file.source.reconnect.unwrap_or(live),
            frame_rate,
            queue,
            first_stamp_ns: file.source.first_stamp_s.map(crate::time::nanos_from_seconds),
            camera: camera(file.source.camera.as_ref(), folder)?,
            telemetry: telemetry_sources(telemetry, folder)?,
            telemetry_minus_video_s: telemetry.telemetry_minus_video_s,
            wait_s: positive("[telemetry] wait_s", telemetry.wait_s)?.unwrap_or(WAIT_S),
            knowledge: KnowledgeOptions {
                heading: parsed("heading", &telemetry.heading)?,
                height: parsed("height", &telemetry.height)?,
                ..KnowledgeOptions::default()
            },
            declination_date: declination_date(telemetry)?,
            dem: telemetry.dem.as_ref().map(at),
            takeoff: telemetry.takeoff_deg.map(|p| position("[telemetry] takeoff_deg", p)).transpose()?,
            map: file.map.path.as_ref().map(at),
            map_edits: file.map.edits.as_ref().map(at),
            model: file.model.name.clone().unwrap_or_else(|| "skyfix-dense".into()),
            device: match &file.model.device {
                Some(text) => Device::from_str(text).map_err(|e| format!("[model] device: {e}"))?,
                None => Device::Cpu,
            },
            coarse: match &file.matching.coarse {
                Some(text) => text.parse().map_err(|e| format!("[match] coarse: {e}"))?,
                None => CoarseMethod::default(),
            },
            consensus: file.matching.consensus.as_ref().map(at),
            early_exit: file.matching.early_exit.unwrap_or(true),
            workers,
            prior: file.matching.prior.unwrap_or(true),
            lag,
            fusion: fusion(&file.filter)?,
            track: track(&file.filter, live)?,
            start: start(&file.filter)?,
            out: sinks.out.clone().unwrap_or_else(|| "out".into()),
            rrd: sinks.rrd.unwrap_or(true),
            viewer: viewer(sinks)?,
            viewer_image_rate: positive("[sinks] viewer_image_rate", sinks.viewer_image_rate)?.unwrap_or(2.0),
            jsonl_file: sinks.jsonl.iter().any(|to| to == "file"),
            jsonl_stdout: sinks.jsonl.iter().any(|to| to == "stdout"),
            jsonl_udp,
            record: sinks.record.clone(),
            source,
        })
    }
}

/// The source and whether it is live; a key that does nothing for its kind is an error.
fn source(table: &SourceTable, folder: &Path) -> Result<(Source, bool), String> {
    use SourceKind::{Gstreamer, MpegTs, Photos, Recording, Rtp, Rtsp, Test, V4l2, Video};
    let kind = table.kind;
    let live = match kind {
        Recording | Photos | Video => false,
        Gstreamer => table.live.unwrap_or(false),
        Rtsp | Rtp | MpegTs | V4l2 | Test => true,
    };
    let folder_or_file = [Recording, Photos, Video].contains(&kind);
    let keys: [(&str, bool, bool); 12] = [
        ("path", table.path.is_some(), folder_or_file),
        ("url", table.url.is_some(), kind == Rtsp),
        ("transport", table.transport.is_some(), kind == Rtsp),
        ("latency_ms", table.latency_ms.is_some(), [Rtsp, Rtp].contains(&kind)),
        ("listen", table.listen.is_some(), [Rtp, MpegTs].contains(&kind)),
        ("codec", table.codec.is_some(), kind == Rtp),
        ("device", table.device.is_some(), kind == V4l2),
        ("launch", table.launch.is_some(), kind == Gstreamer),
        ("live", table.live.is_some(), kind == Gstreamer),
        ("reconnect", table.reconnect.is_some(), live),
        ("queue", table.queue.is_some(), live),
        ("first_stamp_s", table.first_stamp_s.is_some(), live),
    ];
    if let Some((key, ..)) = keys.iter().find(|(_, given, used)| *given && !used) {
        return Err(format!("[source] {key} does nothing for kind = \"{}\"; leave it out", name_of(kind)));
    }
    let needed = |key: &str| format!("[source] kind = \"{}\" needs {key}", name_of(kind));
    let latency_ms = table.latency_ms.unwrap_or(LATENCY_MS);
    let source = match kind {
        Recording | Photos => Source::Folder(folder.join(table.path.as_ref().ok_or_else(|| needed("path"))?)),
        Video => Source::Video(folder.join(table.path.as_ref().ok_or_else(|| needed("path"))?)),
        Rtsp => {
            let url = table.url.clone().ok_or_else(|| needed("url"))?;
            if !(url.starts_with("rtsp://") || url.starts_with("rtsps://")) {
                return Err("[source] url: an address that begins with rtsp:// or rtsps://".into());
            }
            Source::Rtsp { url, transport: table.transport.unwrap_or_default(), latency_ms }
        }
        Rtp => {
            let listen = address("[source] listen", table.listen.as_deref().ok_or_else(|| needed("listen"))?, None)?;
            let (encoding, depay, parse) = match table.codec.unwrap_or_default() {
                Codec::H264 => ("H264", "rtph264depay", "h264parse"),
                Codec::H265 => ("H265", "rtph265depay", "h265parse"),
            };
            // The jitter buffer does not bend stamps towards arrival, so that they stay the sender's.
            Source::Launch(format!(
                "udpsrc address={} port={} caps=\"application/x-rtp,media=video,clock-rate=90000,encoding-name={encoding}\" ! \
                 rtpjitterbuffer mode=synced latency={latency_ms} ! {depay} ! {parse}",
                listen.ip(),
                listen.port()
            ))
        }
        MpegTs => {
            let listen = address("[source] listen", table.listen.as_deref().ok_or_else(|| needed("listen"))?, None)?;
            Source::Launch(format!("udpsrc address={} port={} ! video/mpegts,systemstream=true", listen.ip(), listen.port()))
        }
        V4l2 => {
            let device = table.device.clone().unwrap_or_else(|| "/dev/video0".into());
            Source::Launch(format!("v4l2src device=\"{}\"", device.display()))
        }
        Test => Source::Launch("videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=10/1".into()),
        Gstreamer => Source::Launch(table.launch.clone().ok_or_else(|| needed("launch"))?),
    };
    Ok((source, live))
}

pub(super) fn name_of(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Recording => "recording",
        SourceKind::Photos => "photos",
        SourceKind::Video => "video",
        SourceKind::Rtsp => "rtsp",
        SourceKind::Rtp => "rtp",
        SourceKind::MpegTs => "mpeg_ts",
        SourceKind::V4l2 => "v4l2",
        SourceKind::Test => "test",
        SourceKind::Gstreamer => "gstreamer",
    }
}

/// `5600`, `:5600` and `192.168.1.2:5600`: without an address the loopback interface, without a port the default one.
fn address(name: &str, text: &str, port: Option<u16>) -> Result<SocketAddr, String> {
    let alone = text.strip_prefix(':').unwrap_or(text).parse::<u16>().ok();
    let parsed = alone.map(|p| (Ipv4Addr::LOCALHOST, p).into()).or_else(|| text.parse().ok()).or_else(|| {
        let ip = text.parse().ok()?;
        Some(SocketAddr::new(ip, port?))
    });
    parsed.ok_or_else(|| format!("{name} = \"{text}\": write PORT or ADDRESS:PORT"))
}

fn camera(table: Option<&CameraTable>, folder: &Path) -> Result<CameraSource, String> {
    let Some(table) = table else { return Ok(CameraSource::default()) };
    let given = [table.hfov_deg.is_some(), table.calibration.is_some(), table.model.is_some()];
    if given.iter().filter(|g| **g).count() > 1 {
        return Err("[source.camera]: give one of hfov_deg, calibration and model".into());
    }
    if let Some(hfov) = table.hfov_deg.filter(|v| !(1.0..170.0).contains(v)) {
        return Err(format!("[source.camera] hfov_deg = {hfov}: give degrees between 1 and 170"));
    }
    if let Some(tilt) = table.tilt_sigma_deg.filter(|v| !(*v > 0.0 && *v < 90.0)) {
        return Err(format!("[source.camera] tilt_sigma_deg = {tilt}: give degrees between 0 and 90"));
    }
    let calibration = table.calibration.as_ref().map(|p| crate::source::calibration::read(&folder.join(p)));
    let options = CameraOptions {
        hfov_rad: table.hfov_deg.map(f64::to_radians),
        calibration: calibration.transpose().map_err(|e| format!("[source.camera] calibration: {e}"))?,
        mounting: table.mounting,
        tilt_sigma_rad: table.tilt_sigma_deg.map(f64::to_radians),
    };
    Ok(CameraSource { options, model: table.model.clone() })
}

fn telemetry_sources(table: &TelemetryTable, folder: &Path) -> Result<Vec<TelemetrySource>, String> {
    let mut out = Vec::new();
    out.extend(table.sidecars.as_ref().map(|p| TelemetrySource::Sidecars(folder.join(p))));
    out.extend(table.srt.as_ref().map(|p| TelemetrySource::Srt(folder.join(p))));
    if let Some(text) = &table.mavlink {
        out.push(TelemetrySource::Mavlink(address("[telemetry] mavlink", text, Some(14550))?));
    }
    Ok(out)
}

fn declination_date(table: &TelemetryTable) -> Result<Option<jiff::civil::Date>, String> {
    let date =
        table.date.as_deref().map(|d| d.parse().map_err(|e| format!("[telemetry] date = \"{d}\": write 2026-05-01 ({e})")));
    match (table.heading_is_magnetic, date.transpose()?) {
        (true, None) => {
            Err("[telemetry] heading_is_magnetic: the declination changes by the year; give date = \"2026-05-01\"".into())
        }
        (false, Some(_)) => Err("[telemetry] date serves only heading_is_magnetic = true; leave it out".into()),
        (_, date) => Ok(date),
    }
}

fn position(name: &str, [lat_deg, lon_deg]: [f64; 2]) -> Result<Geodetic, String> {
    let position = Geodetic::ground(lat_deg, lon_deg);
    if position.is_valid() { Ok(position) } else { Err(format!("{name}: {lat_deg}, {lon_deg} is no latitude and longitude")) }
}

fn fusion(table: &FilterTable) -> Result<FusionSettings, String> {
    fn word<T: FromStr<Err = String>>(name: &str, text: Option<&str>, default: T) -> Result<T, String> {
        text.map_or(Ok(default), |t| t.parse().map_err(|e| format!("[filter] {name}: {e}")))
    }
    let positive = |name: &str, value: Option<f64>, default: f64| match value {
        Some(v) if !(v > 0.0 && v.is_finite()) => Err(format!("[filter] {name} = {v}: give a positive number")),
        other => Ok(other.unwrap_or(default)),
    };
    let counted = |name: &str, value: Option<usize>, default: usize| match value {
        Some(0) => Err(format!("[filter] {name} = 0: give 1 or more")),
        other => Ok(other.unwrap_or(default)),
    };
    let d = FusionSettings::default();
    Ok(FusionSettings {
        odometry: word("odometry", table.odometry.as_deref(), d.odometry)?,
        gnss: word("gnss", table.gnss.as_deref(), d.gnss)?,
        visual_age_s: positive("visual_age_s", table.visual_age_s, d.visual_age_s)?,
        lost_sigma_m: positive("lost_sigma_m", table.lost_sigma_m, d.lost_sigma_m)?,
        restart_fixes: counted("restart_fixes", table.restart_fixes, d.restart_fixes)?,
        distrust_frames: counted("distrust_frames", table.distrust_frames, d.distrust_frames)?,
        speed_sigma_m_s: positive("speed_sigma_m_s", table.speed_sigma_m_s, d.speed_sigma_m_s)?,
        max_speed_m_s: positive("max_speed_m_s", table.max_speed_m_s, d.max_speed_m_s)?,
        ..d
    })
}

fn track(table: &FilterTable, live: bool) -> Result<TrackOptions, String> {
    let track_rate_hz = table.track_rate_hz.unwrap_or(if live { LIVE_TRACK_RATE_HZ } else { 0.0 });
    let interval_ns = TrackOptions::interval_of_rate(track_rate_hz).map_err(|e| format!("[filter] track_rate_hz = {e}"))?;
    let smoothing = match (live, table.smoother_lag_s) {
        (false, None) => Smoothing::Flight,
        (false, Some(_)) => return Err("[filter] smoother_lag_s is for live sources; this one is smoothed as a whole".into()),
        (true, lag_s) => {
            let lag_s = lag_s.unwrap_or(LIVE_SMOOTHER_LAG_S);
            let sane = lag_s > 0.0 && lag_s <= MAX_SMOOTHER_LAG_S;
            let lag = sane.then(|| Smoothing::Lag(nanos_from_seconds(lag_s)));
            lag.ok_or_else(|| format!("[filter] smoother_lag_s = {lag_s}: give up to {MAX_SMOOTHER_LAG_S} seconds"))?
        }
    };
    Ok(TrackOptions { interval_ns, smoothing })
}

fn start(table: &FilterTable) -> Result<Option<Start>, String> {
    let Some(s) = table.start else { return Ok(None) };
    if !(s.sigma_m > 0.0 && s.sigma_m.is_finite()) {
        return Err(format!("[filter.start] sigma_m = {}: give a positive number", s.sigma_m));
    }
    Ok(Some(Start { position: position("[filter.start]", [s.lat_deg, s.lon_deg])?, sigma_m: s.sigma_m }))
}

fn viewer(table: &SinksTable) -> Result<Option<ViewerTarget>, String> {
    let at = || {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, VIEWER_PORT));
        table.viewer_address.as_deref().map_or(Ok(local), |a| address("[sinks] viewer_address", a, Some(VIEWER_PORT)))
    };
    match table.viewer.as_deref() {
        None | Some("off") if table.viewer_address.is_some() => Err("[sinks] viewer_address: say also viewer = ...".into()),
        None | Some("off") => Ok(None),
        Some("spawn") => Ok(Some(ViewerTarget::Spawn { port: at()?.port() })),
        Some("serve") => Ok(Some(ViewerTarget::Serve(at()?))),
        Some("connect") => Ok(Some(ViewerTarget::Connect(at()?))),
        Some(other) => Err(format!("[sinks] viewer = \"{other}\": write off, spawn, serve or connect")),
    }
}
