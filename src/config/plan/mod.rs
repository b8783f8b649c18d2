//! What a configuration means: derived defaults filled in, keys that contradict each other refused.

mod filter;
mod source;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::layers::{ConfigError, Effective};
use super::schema::{SinksConfig, SourceKind, SupervisionConfig, Transport, ViewerMode};
use super::told;
use crate::fuse::{FusionSettings, TrackOptions};
use crate::geo::Geodetic;
use crate::localize::MatchSettings;
use crate::models::Device;
use crate::recording::{Start, Told};
use crate::sink::ViewerTarget;
use crate::sink::background::Patience;
use crate::source::photos::CameraOptions;
use crate::source::{KnowledgeOptions, Setting};
use crate::time::nanos_from_seconds;

/// Default port of the Rerun viewer.
const VIEWER_PORT: u16 = 9876;
/// Default port of MAVLink over UDP.
const MAVLINK_PORT: u16 = 14_550;

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
    /// A camera of this computer (Video4Linux).
    Device(PathBuf),
    /// A pipeline of GStreamer.
    Launch(String),
}

/// Where telemetry comes from, besides what a recording brings.
#[derive(Clone, Debug, PartialEq)]
pub enum TelemetrySource {
    /// A folder of CSV files, or one of them.
    Sidecars(PathBuf),
    /// DJI's subtitles.
    Srt(PathBuf),
    /// MAVLink over UDP.
    Mavlink(MavlinkLink),
}

/// A MAVLink link and how far its samples are to be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MavlinkLink {
    /// Address and port to listen at.
    pub bind: SocketAddr,
    /// The system to listen to.
    pub system_id: Option<u8>,
    /// The component to listen to.
    pub component_id: Option<u8>,
    /// 1 sigma of attitudes, radians.
    pub attitude_sigma_rad: f64,
    /// 1 sigma of headings, radians.
    pub heading_sigma_rad: f64,
    /// 1 sigma of heights, metres.
    pub height_sigma_m: Option<f64>,
}

/// A camera that the source does not bring itself.
#[derive(Clone, Debug, Default)]
pub struct CameraSource {
    /// Field of view, calibration, mounting, tilt.
    pub options: CameraOptions,
    /// Model in the table of sensors.
    pub model: Option<String>,
}

/// A flight ready to be assembled.
#[derive(Clone, Debug)]
pub struct FlightPlan {
    /// Where frames come from.
    pub source: Source,
    /// Whether frames that cannot be served in time are dropped.
    pub live: bool,
    /// Whether to connect again when the stream breaks off.
    pub reconnect: bool,
    /// A stream that brings nothing for this long has stalled, seconds.
    pub stall_timeout_s: f64,
    /// How long a connection may take to bring its first picture, seconds.
    pub first_picture_timeout_s: f64,
    /// Frames a second to match; `None` is every frame.
    pub frame_rate: Option<f64>,
    /// Whether somebody asked for that rate, and must be told where it does nothing.
    pub frame_rate_asked: bool,
    /// Frames that may wait when live.
    pub queue: usize,
    /// Stamp of the first frame, nanoseconds, where it is not the source's own.
    pub first_stamp_ns: Option<i64>,
    /// Stop after so many seconds.
    pub stop_after_s: Option<f64>,
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
    /// The date of a declination to be added to headings.
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
    /// Threads of a network of one worker.
    pub threads: usize,
    /// How frames are matched.
    pub matching: MatchSettings,
    /// Weights of the neighbourhood consensus.
    pub consensus: Option<PathBuf>,
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
    /// What its recording, where one is made, has to be told.
    pub told: Told,
    /// Where results go.
    pub outputs: Outputs,
    /// Folder to record into.
    pub record: Option<PathBuf>,
    /// What is ended that stands still.
    pub supervision: SupervisionConfig,
}

/// Where results go.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// Folder for the tables.
    pub folder: PathBuf,
    /// Whether `flight.rrd` is written there.
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
    /// What an output may take its time for.
    pub patience: Patience,
}

impl Outputs {
    /// Whether any of them shows pictures.
    pub fn pictures(&self) -> bool {
        cfg!(feature = "viz") && (self.rrd || self.viewer.is_some())
    }
}

impl FlightPlan {
    /// What a configuration means.
    ///
    /// # Errors
    /// When a key is missing, does nothing for the kind of source, or contradicts another.
    pub fn of(effective: &Effective) -> Result<Self, ConfigError> {
        let config = &effective.config;
        let telemetry = &config.telemetry;
        let kind = config.source.kind.ok_or_else(|| effective.complaint("source.kind", "give `source.kind`"))?;
        let (source, live) = source::source(effective, kind)?;
        source::check_keys(effective, kind, live)?;
        let frame_rate = match config.source.frame_rate {
            Some(rate) => rate.0,
            None => source::default_frame_rate(kind),
        };
        let (knowledge, start) = (knowledge(effective)?, filter::start(effective)?);
        let search_heights = config.r#match.search.search_heights || telemetry.height == Setting::None;
        Ok(Self {
            source,
            live,
            reconnect: config.source.reconnect.unwrap_or(live),
            stall_timeout_s: config.source.stall_timeout_s,
            first_picture_timeout_s: config.source.first_picture_timeout_s,
            frame_rate,
            frame_rate_asked: effective.is_given("source.frame_rate"),
            queue: config.source.queue,
            first_stamp_ns: config.source.first_stamp_s.map(nanos_from_seconds),
            stop_after_s: config.source.stop_after_s,
            camera: source::camera(effective)?,
            telemetry: telemetry_sources(effective)?,
            telemetry_minus_video_s: telemetry.telemetry_minus_video_s,
            wait_s: telemetry.wait_s,
            knowledge,
            declination_date: declination_date(effective)?,
            dem: telemetry.dem.clone(),
            takeoff: takeoff(effective)?,
            map: config.map.path.clone(),
            map_edits: config.map.edits.clone(),
            model: config.model.name.clone(),
            device: config.model.device,
            threads: config.model.threads,
            matching: MatchSettings { search_heights, ..config.r#match.search },
            consensus: config.r#match.consensus.clone(),
            workers: config.r#match.workers,
            prior: config.r#match.prior,
            lag: config.r#match.lag,
            fusion: effective.config.filter.fusion,
            track: filter::track(effective, live),
            start,
            told: Told {
                start,
                map: config.map.path.as_ref().map(|map| told::absolute(&map.to_string_lossy()).into()),
                settings: told::of(effective),
            },
            outputs: outputs(effective, &config.sinks)?,
            record: config.sinks.record.clone(),
            supervision: config.supervision.clone(),
        })
    }
}

/// `5600`, `:5600` and `192.168.1.2:5600`: without an address the loopback interface, without a port the default one.
fn address(effective: &Effective, key: &str, text: &str, port: Option<u16>) -> Result<SocketAddr, ConfigError> {
    let alone = text.strip_prefix(':').unwrap_or(text).parse::<u16>().ok();
    let parsed = alone.map(|p| (Ipv4Addr::LOCALHOST, p).into()).or_else(|| text.parse().ok()).or_else(|| {
        let ip = text.parse().ok()?;
        Some(SocketAddr::new(ip, port?))
    });
    parsed.ok_or_else(|| effective.error(key, &format!("\"{text}\": write PORT or ADDRESS:PORT")))
}

fn telemetry_sources(effective: &Effective) -> Result<Vec<TelemetrySource>, ConfigError> {
    let table = &effective.config.telemetry;
    let mut out = Vec::new();
    out.extend(table.sidecars.clone().map(TelemetrySource::Sidecars));
    out.extend(table.srt.clone().map(TelemetrySource::Srt));
    if let Some(text) = &table.mavlink {
        out.push(TelemetrySource::Mavlink(MavlinkLink {
            bind: address(effective, "telemetry.mavlink", text, Some(MAVLINK_PORT))?,
            system_id: table.mavlink_system_id,
            component_id: table.mavlink_component_id,
            attitude_sigma_rad: table.mavlink_attitude_sigma_deg.to_radians(),
            heading_sigma_rad: table.mavlink_heading_sigma_deg.to_radians(),
            height_sigma_m: table.mavlink_height_sigma_m,
        }));
    }
    Ok(out)
}

/// What the localizer may know; what is given must be what a sensor could have measured.
fn knowledge(effective: &Effective) -> Result<KnowledgeOptions, ConfigError> {
    let telemetry = &effective.config.telemetry;
    let plausible = effective.config.filter.fusion.plausible;
    let absurd = |key: &str, range: &str, given: Setting, holds: &dyn Fn(f64, f64) -> bool| match given {
        Setting::Given(value, sigma) if !holds(value, sigma.unwrap_or(1.0)) => {
            Err(effective.error(key, &format!("{given}: no sensor measures that (`filter.plausible.{range}`)")))
        }
        _ => Ok(given),
    };
    Ok(KnowledgeOptions {
        heading: absurd("telemetry.heading", "heading_rad", telemetry.heading, &|v, s| {
            plausible.heading(v.to_radians()) && plausible.sigma(s)
        })?,
        height: absurd("telemetry.height", "height_m", telemetry.height, &|v, s| plausible.height(v) && plausible.sigma(s))?,
        height_error: telemetry.height_error,
        seed: telemetry.height_error_seed,
        plausible,
    })
}

fn declination_date(effective: &Effective) -> Result<Option<jiff::civil::Date>, ConfigError> {
    let table = &effective.config.telemetry;
    let key = "telemetry.date";
    let parse = |d: &str| d.parse().map_err(|e| effective.error(key, &format!("\"{d}\": write 2026-05-01 ({e})")));
    match (table.heading_is_magnetic, table.date.as_deref().map(parse).transpose()?) {
        (true, None) => {
            let magnetic = "telemetry.heading_is_magnetic";
            let what = format!("{}: the declination changes by the year; give `telemetry.date`", effective.written(magnetic));
            Err(effective.complaint(magnetic, &what))
        }
        (false, Some(_)) => {
            let what = format!("{} serves only `telemetry.heading_is_magnetic` = true; leave it out", effective.written(key));
            Err(effective.complaint(key, &what))
        }
        (_, date) => Ok(date),
    }
}

fn takeoff(effective: &Effective) -> Result<Option<Geodetic>, ConfigError> {
    let key = "telemetry.takeoff_deg";
    let check = |[lat_deg, lon_deg]: [f64; 2]| {
        let position = Geodetic::ground(lat_deg, lon_deg);
        let wrong = || effective.error(key, &format!("{lat_deg}, {lon_deg}: this is no latitude and longitude in degrees"));
        position.is_valid().then_some(position).ok_or_else(wrong)
    };
    effective.config.telemetry.takeoff_deg.map(check).transpose()
}

fn outputs(effective: &Effective, sinks: &SinksConfig) -> Result<Outputs, ConfigError> {
    let mut jsonl_udp = Vec::new();
    for to in sinks.jsonl.iter().filter(|to| !["file", "stdout"].contains(&to.as_str())) {
        let address = to.strip_prefix("udp://").and_then(|a| a.to_socket_addrs().ok()?.next());
        let wrong = || effective.error("sinks.jsonl", &format!("\"{to}\": write file, stdout or udp://ADDRESS:PORT"));
        jsonl_udp.push(address.ok_or_else(wrong)?);
    }
    Ok(Outputs {
        folder: sinks.out.clone(),
        rrd: sinks.rrd,
        viewer: viewer(effective, sinks)?,
        viewer_image_rate: sinks.viewer_image_rate,
        jsonl_file: sinks.jsonl.iter().any(|to| to == "file"),
        jsonl_stdout: sinks.jsonl.iter().any(|to| to == "stdout"),
        jsonl_udp,
        patience: Patience {
            report: Duration::from_secs_f64(sinks.timeout_s),
            end: Duration::from_secs_f64(sinks.end_timeout_s),
        },
    })
}

fn viewer(effective: &Effective, sinks: &SinksConfig) -> Result<Option<ViewerTarget>, ConfigError> {
    let at = || {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, VIEWER_PORT));
        let given = sinks.viewer_address.as_deref();
        given.map_or(Ok(local), |a| address(effective, "sinks.viewer_address", a, Some(VIEWER_PORT)))
    };
    match sinks.viewer {
        ViewerMode::Off => Ok(None),
        ViewerMode::Spawn => Ok(Some(ViewerTarget::Spawn { port: at()?.port() })),
        ViewerMode::Serve => Ok(Some(ViewerTarget::Serve(at()?))),
        ViewerMode::Connect => Ok(Some(ViewerTarget::Connect(at()?))),
    }
}

/// Whether a kind is read from a path.
fn is_path(kind: SourceKind) -> bool {
    matches!(kind, SourceKind::Recording | SourceKind::Photos | SourceKind::Video)
}
