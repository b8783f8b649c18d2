//! `skyfix replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use skyfix::flow::catalogue::MapEdits;
use skyfix::flow::graph::GraphOptions;
use skyfix::fuse::{FusionSettings, GnssUse, Smoothing, TrackOptions, Withhold};

use super::localize::{LocalizeArguments, Prepared, networks, prepare, processors};
use super::session::{self, Outputs, Session};

/// Frames between a prediction and the search that uses it.
pub const LAG: u64 = 4;

const EXAMPLES: &str = "Examples:
  skyfix replay photos/ --map area.mbtiles --no-prior --out out
  skyfix replay photos/ --map area.mbtiles --heading none --height 120±10
  skyfix replay recordings/demo --out out/demo -w 2
  skyfix replay photos/ --map area.mbtiles --hfov 69 --mounting strapdown
  skyfix replay flight.mp4 --map area.mbtiles --hfov 69 --height 120±6 --heading none --frame-rate 1
  skyfix replay recordings/demo-video --frame-rate all
  skyfix replay flight/ --gnss 60      GNSS for the first minute, as if it dropped then

Writes fixes.csv, track.csv, track_smoothed.csv, timing.csv, track.geojson, summary.json and flight.rrd (for the Rerun viewer).";

/// Localize a recorded flight: photos, a video or a recording in, positions and a picture out.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    localize: LocalizeArguments,
    /// Folder for the results
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,
    /// Workers: frames matched side by side; the results do not depend on it
    #[arg(short, long, value_name = "N")]
    workers: Option<usize>,
    /// Frames between the filter's prediction and the search that uses it
    #[arg(long, default_value_t = LAG, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..=64))]
    lag: u64,
    /// Points of the track a second between frames; 0: one point a frame
    #[arg(long, default_value_t = 0.0, value_name = "HZ")]
    track_rate: f64,
    /// Whether the filter takes positions of GNSS that the telemetry holds: off, on, or for how many seconds from the first one on, as if
    /// it were lost then
    #[arg(long, default_value = "off", value_name = "off|on|SECONDS")]
    gnss: GnssUse,
    /// Evaluation: keep every so many-th fix from the filter, which then has to bridge it: EVERY:PHASE, such as 3:0
    #[arg(long, value_name = "EVERY:PHASE")]
    withhold: Option<Withhold>,
    /// Edits of the map while flying: a TOML file of [[edit]] tables with frame, action (withdraw, restore,
    /// or replace by image = "FILE"), z, x, y
    #[arg(long, value_name = "FILE")]
    map_edits: Option<PathBuf>,
    /// Also write fixes.jsonl
    #[arg(long)]
    jsonl: bool,
    /// Do not write flight.rrd
    #[arg(long)]
    no_viewer: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let edits = match &arguments.map_edits {
        Some(path) => MapEdits::read(path)?,
        None => MapEdits::default(),
    };
    let Prepared { map, localizer, flight, catalogue } = prepare(&arguments.localize, edits)?;
    let workers = arguments.workers.map_or_else(processors, |n| n.clamp(1, 64));
    let outputs = Outputs {
        out: arguments.out.clone(),
        rrd: !arguments.no_viewer,
        viewer: None,
        jsonl_file: arguments.jsonl,
        jsonl_stdout: false,
        jsonl_udp: Vec::new(),
    };
    let interval_ns = TrackOptions::interval_of_rate(arguments.track_rate).map_err(|e| anyhow::anyhow!("--track-rate {e}"))?;
    let fusion = FusionSettings {
        odometry: arguments.localize.odometry,
        gnss: arguments.gnss,
        withhold: arguments.withhold,
        ..FusionSettings::default()
    };
    let options = GraphOptions {
        lag: arguments.lag,
        use_prior: !arguments.localize.no_prior,
        previews: outputs.pictures(),
        fusion,
        track: TrackOptions { interval_ns, smoothing: Smoothing::Flight },
        start: flight.start.filter(|_| !arguments.localize.no_prior).map(|s| (s.position, s.sigma_m)),
        catalogue,
        in_flight: None,
        stop: Default::default(),
    };
    let model = &arguments.localize.model;
    let networks = networks(&model.model, model.device, workers, 1)?;
    session::run(Session { map, localizer, networks, frames: flight.frames, truth: flight.truth, options }, &outputs)
}
