//! `skyfix run`: what a pipeline file says.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use skyfix::flow::catalogue::MapEdits;
use skyfix::pipeline::{Pipeline, Source, explain};

use super::localize::{Matching, MatchingOptions};
use super::session::{Outputs, Session};
use super::{localize, session};

const EXAMPLES: &str = "Examples:
  skyfix run pipelines/replay.toml                       the bundled flight
  skyfix run --check pipelines/rtsp.toml                 what it would do, without doing it
  skyfix run pipelines/rtp-h264.toml --record today/     keep what comes in; `skyfix replay today/` gives the same fixes
  skyfix run pipelines/rtsp.toml --for 600 | jq .track   ten minutes, a JSON object a frame

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
    record: Option<PathBuf>,
    /// Folder for the results, instead of the file's
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The map, instead of the file's
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Stop after this many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut pipeline = Pipeline::read(&arguments.file)?;
    if let Some(folder) = &arguments.record {
        anyhow::ensure!(!matches!(pipeline.source, Source::Folder(_)), "--record: the source is a recording already");
        pipeline.record = Some(folder.clone());
    }
    pipeline.out = arguments.out.clone().unwrap_or(pipeline.out);
    pipeline.map = arguments.map.clone().or(pipeline.map);
    if arguments.check {
        say!("{}", explain(&pipeline).trim_end());
        return check(&pipeline);
    }
    eprint!("{}", explain(&pipeline));
    let edits = pipeline.map_edits.as_deref().map_or_else(|| Ok(MapEdits::default()), MapEdits::read)?;
    let input = super::input::open(&pipeline)?;
    for warning in &input.warnings {
        eprintln!("skyfix: {warning}");
    }
    let start = pipeline.start.or(input.start);
    let options = MatchingOptions {
        map: pipeline.map.clone().or(input.map).context("no map: give [map] path in the file, or --map FILE")?,
        model: pipeline.model.clone(),
        device: pipeline.device,
        coarse: pipeline.coarse,
        consensus: pipeline.consensus.clone(),
        early_exit: pipeline.early_exit,
        search_heights: pipeline.knowledge.height == skyfix::source::Setting::None,
        ground: localize::ground(pipeline.dem.as_deref(), pipeline.takeoff, start.map(|s| s.position))?,
    };
    let Matching { map, localizer, catalogue } = localize::matching(options, edits)?;
    let workers = pipeline.workers.unwrap_or_else(localize::processors);
    let networks = localize::networks(&pipeline.model, pipeline.device, workers, 1)?;
    let outputs = Outputs {
        out: pipeline.out.clone(),
        rrd: pipeline.rrd,
        viewer: pipeline.viewer.map(|target| (target, pipeline.viewer_image_rate)),
        jsonl_file: pipeline.jsonl_file,
        jsonl_stdout: pipeline.jsonl_stdout,
        jsonl_udp: pipeline.jsonl_udp.clone(),
    };
    let options = skyfix::flow::graph::GraphOptions {
        lag: pipeline.lag,
        use_prior: pipeline.prior,
        previews: outputs.pictures(),
        fusion: pipeline.fusion,
        track: pipeline.track,
        start: start.filter(|_| pipeline.prior).map(|s| (s.position, s.sigma_m)),
        catalogue,
        // A frame that waits for others grows old: live, no more are taken than can be worked on.
        in_flight: pipeline.live.then_some(workers as u64),
        stop: Default::default(),
    };
    if let Some(seconds) = arguments.seconds {
        anyhow::ensure!(seconds > 0.0 && seconds.is_finite(), "--for {seconds}: give a positive number of seconds");
        let stop = options.stop.clone();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
    session::run(Session { map, localizer, networks, frames: input.frames, truth: input.truth, options }, &outputs)
}

/// Whether what the pipeline needs is there.
fn check(pipeline: &Pipeline) -> anyhow::Result<ExitCode> {
    let mut missing = Vec::new();
    let mut need = |what: &str, path: &std::path::Path| {
        if !path.exists() {
            missing.push(format!("{what} {} is not there", path.display()));
        }
    };
    if let Source::Folder(path) | Source::Video(path) = &pipeline.source {
        need("the source", path);
    }
    for telemetry in &pipeline.telemetry {
        if let skyfix::pipeline::TelemetrySource::Sidecars(path) | skyfix::pipeline::TelemetrySource::Srt(path) = telemetry {
            need("the telemetry", path);
        }
    }
    for (what, path) in
        [("the map", &pipeline.map), ("the elevation model", &pipeline.dem), ("the list of edits", &pipeline.map_edits)]
    {
        path.iter().for_each(|p| need(what, p));
    }
    let manifest = skyfix::models::Manifest::find()?;
    if let Err(error) = manifest.entry(&pipeline.model).and_then(|entry| manifest.load(entry)) {
        missing.push(error.to_string());
    }
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for line in missing {
        eprintln!("skyfix: {line}");
    }
    Ok(ExitCode::from(1))
}
