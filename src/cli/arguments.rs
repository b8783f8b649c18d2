//! What replay, bench and config share: the arguments of the command line, and the keys of the configuration that they fill.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Command};
use skyfix::config::{ConfigBuilder, ConfigError, Door, Effective, FlightConfig};
use skyfix::settings::Table;

/// The flags of the command line with the keys that they fill.
pub const FLAGS: &[(&str, &str)] = &[
    ("source.path", "SOURCE"),
    ("source.frame_rate", "--frame-rate"),
    ("source.camera.hfov_deg", "--hfov"),
    ("source.camera.calibration", "--calibration"),
    ("source.camera.mounting", "--mounting"),
    ("source.camera.tilt_sigma_deg", "--tilt-sigma"),
    ("telemetry.sidecars", "--telemetry"),
    ("telemetry.heading", "--heading"),
    ("telemetry.height", "--height"),
    ("telemetry.height_error", "--height-error"),
    ("telemetry.height_error_seed", "--seed"),
    ("telemetry.dem", "--dem"),
    ("telemetry.takeoff_deg", "--takeoff"),
    ("map.path", "--map"),
    ("map.edits", "--map-edits"),
    ("model.name", "--model"),
    ("model.device", "--device"),
    ("match.coarse", "--coarse"),
    ("match.consensus", "--consensus"),
    ("match.workers", "--workers"),
    ("match.lag", "--lag"),
    ("match.prior", "--no-prior"),
    ("match.early_exit", "--no-early-exit"),
    ("filter.odometry", "--odometry"),
    ("filter.gnss", "--gnss"),
    ("filter.withhold", "--withhold"),
    ("filter.track_rate_hz", "--track-rate"),
    ("filter.start.lat_deg", "--start"),
    ("filter.start.lon_deg", "--start"),
    ("filter.start.sigma_m", "--start"),
    ("sinks.out", "--out"),
    ("sinks.jsonl", "--jsonl"),
    ("sinks.rrd", "--no-viewer"),
    ("sinks.record", "--record"),
    ("source.stop_after_s", "--for"),
];

/// Everything that decides how a flight is localized. Values are read by the configuration, as those of a pipeline file are.
#[derive(Args, Clone, Default)]
pub struct LocalizeArguments {
    /// A folder of photos, a video file or a folder of its parts, or a recording (a folder with flight.toml)
    pub source: PathBuf,
    /// The map; a recording may bring its own
    #[arg(long, value_name = "FILE")]
    pub map: Option<String>,
    /// Model of the manifest (`skyfix models` lists them)
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Where inference runs: cpu or cuda:N; a device that is not there is an error
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Search the whole map for every frame: no start position, nothing from the filter
    #[arg(long)]
    pub no_prior: bool,
    /// Where the flight starts, and its standard deviation an axis: 47.3612,8.5471±50 (latitude, longitude, metres)
    #[arg(long, value_name = "LAT,LON±M", allow_hyphen_values = true)]
    pub start: Option<StartArgument>,
    /// Search for every frame in full, also where the filter's prediction is confident
    #[arg(long)]
    pub no_early_exit: bool,
    /// Whether the way between consecutive frames is found by what both see, too, and given to the filter; auto: for frames without an IMU
    #[arg(long, value_name = "auto|on|off")]
    pub odometry: Option<String>,
    /// Heading: sensor (metadata or telemetry), none, or degrees with their sigma: 152±5
    #[arg(long, value_name = "sensor|none|DEG±S")]
    pub heading: Option<String>,
    /// Height above ground: sensor (metadata or telemetry), none (search for it), or metres with their sigma: 120±6
    #[arg(long, value_name = "sensor|none|M±S")]
    pub height: Option<String>,
    /// Scale each frame's height by a random factor in 1 ± F, to measure how well that is borne
    #[arg(long, value_name = "F")]
    pub height_error: Option<String>,
    /// Seed of --height-error
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
    /// Frames of a video to use, a second: the first at or after each step, by their times; or all [default: 2]
    #[arg(long, value_name = "N|all")]
    pub frame_rate: Option<String>,
    /// Telemetry of a video file: a folder with any of imu.csv, height.csv, heading.csv, attitude.csv, barometer.csv, gnss.csv,
    /// landed.csv, or one of these, or a .srt file, or a video with subtitles inside
    #[arg(long, value_name = "DIR|FILE")]
    pub telemetry: Option<String>,
    /// How the camera of a photo folder or video is fixed: stabilised or strapdown
    #[arg(long, value_name = "HOW")]
    pub mounting: Option<String>,
    /// Horizontal field of view without digital zoom, degrees: of photos as the camera stores them, instead of their metadata, or of a video as
    /// it is shown
    #[arg(long, value_name = "DEG", allow_hyphen_values = true)]
    pub hfov: Option<String>,
    /// Calibration of the camera of photos or a video: OpenCV or Kalibr YAML
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<String>,
    /// How far the photos' camera may be from nadir (stabilised) or from the stated attitude (strapdown), degrees
    #[arg(long, value_name = "DEG", allow_hyphen_values = true)]
    pub tilt_sigma: Option<String>,
    /// Elevation model (GeoTIFF): the heights are above take-off then, and are corrected by the ground below
    #[arg(long, value_name = "FILE")]
    pub dem: Option<String>,
    /// Where the aircraft took off: the heights are above that place, and grow uncertain with the distance from it
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true)]
    pub takeoff: Option<String>,
    /// Coarse matching: correlation or sascm; as ablations, none (fine matching straight in the cells that retrieval ranks best) or
    /// retrieval (the position is the middle of the best cell)
    #[arg(long, value_name = "correlation|sascm|none|retrieval")]
    pub coarse: Option<String>,
    /// Learned weights of the neighbourhood consensus of SASCM, which decide among what a fixed kernel finds best: a safetensors file, or
    /// "bundled" for those that come with the model
    #[arg(long, value_name = "FILE|bundled")]
    pub consensus: Option<String>,
    #[command(flatten)]
    pub set: SetArguments,
}

/// A place with its sigma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StartArgument([f64; 3]);

impl std::str::FromStr for StartArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || "write LATITUDE,LONGITUDE±METRES, such as 47.3612,8.5471±50 (or +- for ±)".to_owned();
        let (place, sigma) = text.split_once('±').or_else(|| text.split_once("+-")).ok_or_else(wanted)?;
        let (lat, lon) = place.split_once(',').ok_or_else(wanted)?;
        let number = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(wanted);
        Ok(Self([number(lat)?, number(lon)?, number(sigma)?]))
    }
}

/// `--set`.
#[derive(Args, Clone, Default)]
pub struct SetArguments {
    /// Set any key of the configuration (`skyfix config` lists them): match.fix.min_inliers=40
    #[arg(long = "set", value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
}

impl SetArguments {
    /// Fills the keys.
    pub fn fill(&self, config: ConfigBuilder) -> Result<ConfigBuilder, ConfigError> {
        self.set.iter().try_fold(config, |config, assignment| config.set(assignment))
    }
}

/// A switch that turns a key off.
pub fn off(given: bool) -> Option<bool> {
    given.then_some(false)
}

impl LocalizeArguments {
    /// A source, and nothing else said.
    pub fn of_source(source: &Path) -> Self {
        Self { source: source.into(), ..Self::default() }
    }

    /// A configuration of these arguments, but for `--set`.
    pub fn fill(&self) -> Result<ConfigBuilder, ConfigError> {
        ConfigBuilder::new(Door::CommandLine(FLAGS))
            .flag("source.kind", Some(kind_of(&self.source)), "SOURCE")?
            .flag("source.path", Some(self.source.display()), "SOURCE")?
            .flag("source.frame_rate", self.frame_rate.as_ref(), "--frame-rate")?
            .flag("source.camera.hfov_deg", self.hfov.as_ref(), "--hfov")?
            .flag("source.camera.calibration", self.calibration.as_ref(), "--calibration")?
            .flag("source.camera.mounting", self.mounting.as_ref(), "--mounting")?
            .flag("source.camera.tilt_sigma_deg", self.tilt_sigma.as_ref(), "--tilt-sigma")?
            .flag("telemetry.sidecars", self.telemetry.as_ref(), "--telemetry")?
            .flag("telemetry.heading", self.heading.as_ref(), "--heading")?
            .flag("telemetry.height", self.height.as_ref(), "--height")?
            .flag("telemetry.height_error", self.height_error.as_ref(), "--height-error")?
            .flag("telemetry.height_error_seed", self.seed.as_ref(), "--seed")?
            .flag("telemetry.dem", self.dem.as_ref(), "--dem")?
            .flag("telemetry.takeoff_deg", self.takeoff.as_ref(), "--takeoff")?
            .flag("map.path", self.map.as_ref(), "--map")?
            .flag("model.name", self.model.as_ref(), "--model")?
            .flag("model.device", self.device.as_ref(), "--device")?
            .flag("match.coarse", self.coarse.as_ref(), "--coarse")?
            .flag("match.consensus", self.consensus.as_ref(), "--consensus")?
            .flag("match.prior", off(self.no_prior), "--no-prior")?
            .flag("filter.start.lat_deg", self.start.map(|s| s.0[0]), "--start")?
            .flag("filter.start.lon_deg", self.start.map(|s| s.0[1]), "--start")?
            .flag("filter.start.sigma_m", self.start.map(|s| s.0[2]), "--start")?
            .flag("match.early_exit", off(self.no_early_exit), "--no-early-exit")?
            .flag("filter.odometry", self.odometry.as_ref(), "--odometry")
    }

    /// The whole configuration.
    pub fn effective(&self) -> Result<Effective, ConfigError> {
        self.set.fill(self.fill()?)?.finish()
    }
}

/// What lies at a path: a video file, a recording, or else photos.
fn kind_of(path: &Path) -> &'static str {
    if path.is_file() {
        "video"
    } else if path.join("flight.toml").is_file() {
        "recording"
    } else if is_split_video(path) {
        "video"
    } else {
        "photos"
    }
}

/// Whether a folder holds the parts of a video.
#[cfg(feature = "gst")]
fn is_split_video(path: &Path) -> bool {
    skyfix::source::holds_only_videos(path)
}

#[cfg(not(feature = "gst"))]
fn is_split_video(_: &Path) -> bool {
    false
}

/// Adds the defaults of the configuration to the help of the flags.
pub fn with_defaults(command: Command) -> Command {
    let mut defaults = Vec::new();
    FlightConfig::default().visit("", &mut |key| defaults.push((key.path, key.value)));
    let default_of = |flag: &str| {
        let (key, _) = FLAGS.iter().find(|(_, of)| *of == flag)?;
        let (_, value) = defaults.iter().find(|(path, _)| path == key)?;
        match value.as_ref()? {
            toml::Value::Boolean(_) | toml::Value::Array(_) => None,
            toml::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    };
    let with_default = |command: Command| {
        command.mut_args(|arg| {
            let default = arg.get_long().and_then(|long| default_of(&format!("--{long}")));
            match (default, arg.get_help().map(ToString::to_string)) {
                (Some(default), Some(help)) => arg.help(format!("{help} [default: {default}]")),
                _ => arg,
            }
        })
    };
    ["replay", "bench"].into_iter().fold(command, |command, verb| command.mut_subcommand(verb, with_default))
}
