//! `skyfix replay`.

use std::process::ExitCode;

use clap::Args;
use skyfix::config::{ConfigError, Effective};

use super::arguments::{LocalizeArguments, off};
use super::session;

const EXAMPLES: &str = "Examples:
  skyfix replay photos/ --map area.mbtiles --no-prior --out out
  skyfix replay photos/ --map area.mbtiles --heading none --height 120±10
  skyfix replay recordings/demo --out out/demo -w 2
  skyfix replay photos/ --map area.mbtiles --start 47.3612,8.5471±50
  skyfix replay photos/ --map area.mbtiles --hfov 69 --mounting strapdown
  skyfix replay flight.mp4 --map area.mbtiles --hfov 69 --height 120±6 --heading none --frame-rate 1
  skyfix replay DCIM/ --hfov 69 --map area.mbtiles       the parts of a video with their .SRT
  skyfix replay recordings/demo-video --frame-rate all
  skyfix replay flight/ --gnss 60                        GNSS for the first minute, as if it dropped then
  skyfix replay flight/ --set filter.lost_sigma_m=200    any key of the configuration: skyfix config flight/ lists them

Writes fixes.csv, track.csv, track_smoothed.csv, timing.csv, track.geojson, summary.json and flight.rrd (for the Rerun viewer).";

/// Localize a recorded flight: photos, a video or a recording in, positions and a picture out.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    localize: LocalizeArguments,
    /// Folder for the results
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// Workers: frames matched side by side, by default one for each processor; the results do not depend on it
    #[arg(short, long, value_name = "N")]
    workers: Option<String>,
    /// Frames between the filter's prediction and the search that uses it
    #[arg(long, value_name = "FRAMES")]
    lag: Option<String>,
    /// Points of the track a second between frames [default: none, one point a frame]
    #[arg(long, value_name = "HZ", allow_hyphen_values = true)]
    track_rate: Option<String>,
    /// Whether the filter takes positions of GNSS that the telemetry holds: off, on, or for how many seconds from the first one on, as if
    /// it were lost then
    #[arg(long, value_name = "off|on|SECONDS")]
    gnss: Option<String>,
    /// Evaluation: keep every so many-th fix from the filter, which then has to bridge it: EVERY:PHASE, such as 3:0
    #[arg(long, value_name = "EVERY:PHASE")]
    withhold: Option<String>,
    /// Edits of the map while flying: a TOML file of [[edit]] tables with frame, action (withdraw, restore,
    /// or replace by image = "FILE"), z, x, y
    #[arg(long, value_name = "FILE")]
    map_edits: Option<String>,
    /// Also write fixes.jsonl
    #[arg(long)]
    jsonl: bool,
    /// Do not write flight.rrd
    #[arg(long)]
    no_viewer: bool,
}

impl Arguments {
    /// The configuration of these arguments.
    pub fn effective(&self) -> Result<Effective, ConfigError> {
        let config = self
            .localize
            .fill()?
            .flag("sinks.out", self.out.as_ref(), "--out")?
            .flag("match.workers", self.workers.as_ref(), "--workers")?
            .flag("match.lag", self.lag.as_ref(), "--lag")?
            .flag("filter.track_rate_hz", self.track_rate.as_ref(), "--track-rate")?
            .flag("filter.gnss", self.gnss.as_ref(), "--gnss")?
            .flag("filter.withhold", self.withhold.as_ref(), "--withhold")?
            .flag("map.edits", self.map_edits.as_ref(), "--map-edits")?
            .flag("sinks.jsonl", self.jsonl.then_some("file"), "--jsonl")?
            .flag("sinks.rrd", off(self.no_viewer), "--no-viewer")?;
        self.localize.set.fill(config)?.finish()
    }
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match session::planned(arguments.effective()) {
        Ok((plan, door)) => session::run(plan, &door),
        Err(code) => Ok(code),
    }
}
