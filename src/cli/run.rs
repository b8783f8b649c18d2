//! `skyfix run`: what a pipeline file says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use skyfix::config::explain::explain;
use skyfix::config::{ConfigBuilder, ConfigError, Door, Effective, FlightPlan, Source, TelemetrySource};

use super::arguments::SetArguments;
use super::session;

const EXAMPLES: &str = "Examples:
  skyfix run pipelines/replay.toml                       the bundled flight
  skyfix run --check pipelines/rtsp.toml                 what it would do, without doing it
  skyfix run pipelines/rtp-h264.toml --record today/     keep what comes in; `skyfix replay today/` gives the same fixes
  skyfix run pipelines/rtsp.toml --for 600 | jq .track   ten minutes, a JSON object a frame
  skyfix run pipelines/rtsp.toml --set source.url=rtsp://10.0.0.2/stream --set sinks.viewer=off
                                                         any key of the file: skyfix config pipelines/rtsp.toml lists them

A pipeline file can name any GStreamer element and so do anything: it is code. Run only files that you trust.
Ctrl-C finishes the frames under way and completes every file.";

/// Localize what a pipeline file describes: a live stream, a video, a recording.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The pipeline file; `pipelines/` has one for each kind of source
    file: PathBuf,
    /// Say what would be done, and check that map, model and telemetry are there, without doing it
    #[arg(long)]
    check: bool,
    /// Record what comes in into this folder
    #[arg(long, value_name = "DIR")]
    record: Option<String>,
    /// Folder for the results, instead of the file's
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// The map, instead of the file's
    #[arg(long, value_name = "FILE")]
    map: Option<String>,
    /// Stop after this many seconds
    #[arg(long = "for", value_name = "SECONDS", allow_hyphen_values = true)]
    seconds: Option<String>,
    #[command(flatten)]
    set: SetArguments,
}

impl Arguments {
    pub(super) fn effective(&self) -> Result<Effective, ConfigError> {
        let config = file(&self.file)?
            .flag("sinks.record", self.record.as_ref(), "--record")?
            .flag("sinks.out", self.out.as_ref(), "--out")?
            .flag("map.path", self.map.as_ref(), "--map")?
            .flag("source.stop_after_s", self.seconds.as_ref(), "--for")?;
        self.set.fill(config)?.finish()
    }
}

/// The configuration of a pipeline file.
pub fn file(path: &Path) -> Result<ConfigBuilder, ConfigError> {
    ConfigBuilder::new(Door::File(path.into())).file(path)
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (plan, door) = match session::planned(arguments.effective()) {
        Ok(planned) => planned,
        Err(code) => return Ok(code),
    };
    if arguments.check {
        say!("{}", explain(&plan).trim_end());
        return check(&plan);
    }
    eprint!("{}", explain(&plan));
    session::run(plan, &door)
}

/// Whether what the pipeline needs is there.
fn check(plan: &FlightPlan) -> anyhow::Result<ExitCode> {
    let mut missing = Vec::new();
    let mut need = |what: &str, key: &str, path: &Path| {
        if !path.exists() {
            missing.push(format!("{what} {} is not there: {key} says where it lies", path.display()));
        }
    };
    match &plan.source {
        Source::Folder(path) | Source::Video(path) => need("the source", "[source] path", path),
        Source::Device(path) => need("the camera", "[source] device", path),
        Source::Rtsp { .. } | Source::Launch(_) => {}
    }
    for telemetry in &plan.telemetry {
        if let TelemetrySource::Sidecars(path) | TelemetrySource::Srt(path) = telemetry {
            need("the telemetry", "[telemetry]", path);
        }
    }
    let files = [
        ("the map", "`skyfix map build` makes one of imagery, and [map] path", &plan.map),
        ("the elevation model", "[telemetry] dem", &plan.dem),
        ("the list of edits", "[map] edits", &plan.map_edits),
    ];
    for (what, key, path) in files {
        path.iter().for_each(|p| need(what, key, p));
    }
    let manifest = skyfix::models::Manifest::find()?;
    if let Err(error) = manifest.entry(&plan.model).and_then(|entry| manifest.load(entry)) {
        missing.push(error.to_string());
    }
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for line in missing {
        tell!("{line}");
    }
    Ok(ExitCode::from(1))
}
