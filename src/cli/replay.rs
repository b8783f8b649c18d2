//! `skyfix replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use skyfix::flow::catalogue::MapEdits;
use skyfix::flow::graph::{GraphOptions, run_graph};
use skyfix::fuse::FusionSettings;
use skyfix::sink::csv::CsvSink;
use skyfix::sink::geojson::GeoJsonSink;
use skyfix::sink::jsonl::JsonLinesSink;
use skyfix::sink::summary::SummarySink;
use skyfix::sink::{FrameReport, Sink, SinkError};
use skyfix::source::FrameSource as _;

use super::localize::{LocalizeArguments, Prepared, make_folder, networks, prepare};
use super::progress_bar;

/// Frames between a prediction and the search that uses it.
pub const LAG: u64 = 4;
/// Exit code of a run in which not one frame was localized.
const NOTHING_LOCALIZED: u8 = 3;

const EXAMPLES: &str = "Examples:
  skyfix replay photos/ --map area.mbtiles --no-prior --out out
  skyfix replay photos/ --map area.mbtiles --heading none --height 120±10
  skyfix replay recordings/demo --out out/demo -w 2
  skyfix replay photos/ --map area.mbtiles --hfov 69 --mounting strapdown
  skyfix replay flight.mp4 --map area.mbtiles --hfov 69 --height 120±6 --heading none --frame-rate 1
  skyfix replay recordings/demo-video --frame-rate all

Writes fixes.csv, track.csv, timing.csv, track.geojson, summary.json and flight.rrd (for the Rerun viewer).";

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
    /// Edits of the map while flying: a TOML file of [[edit]] tables with frame, action (withdraw, restore), z, x, y
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
        Some(path) => MapEdits::read(path).map_err(anyhow::Error::msg)?,
        None => MapEdits::default(),
    };
    let Prepared { map, matcher, flight } = prepare(&arguments.localize)?;
    let workers = arguments.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let workers = workers.clamp(1, 64);
    make_folder(&arguments.out)?;
    let mut summary = SummarySink::create(&arguments.out, flight.truth.clone())?;
    let mut sinks: Vec<Box<dyn Sink>> =
        vec![Box::new(CsvSink::create(&arguments.out)?), Box::new(GeoJsonSink::create(&arguments.out)?)];
    if arguments.jsonl {
        sinks.push(Box::new(JsonLinesSink::create(&arguments.out)?));
    }
    let previews = !arguments.no_viewer && cfg!(feature = "viz");
    #[cfg(feature = "viz")]
    if previews {
        let path = arguments.out.join("flight.rrd");
        sinks.push(Box::new(skyfix::sink::viewer::ViewerSink::create(&path, &map, &flight.truth)?));
    }
    #[cfg(not(feature = "viz"))]
    drop(map);

    let bar = progress_bar("frames");
    if let Some(frames) = flight.frames.len_hint() {
        bar.set_length(frames);
    }
    let options = GraphOptions {
        lag: arguments.lag,
        use_prior: !arguments.localize.no_prior,
        previews,
        fusion: FusionSettings::default(),
        start: flight.start.filter(|_| !arguments.localize.no_prior).map(|s| (s.position, s.sigma_m)),
        edits,
    };
    let networks = networks(&arguments.localize.model, workers, 1)?;
    let mut failure: Option<SinkError> = None;
    let run = run_graph(matcher, networks, flight.frames, options, |report: FrameReport| {
        bar.inc(1);
        let written = sinks.iter_mut().try_for_each(|sink| sink.frame(&report)).and_then(|()| summary.frame(&report));
        failure = written.err();
        failure.is_none()
    });
    bar.finish_and_clear();
    if let Some(error) = failure {
        return Err(error).context("the results are not complete");
    }
    sinks
        .iter_mut()
        .try_for_each(|sink| sink.finish())
        .and_then(|()| summary.finish())
        .context("the results are not complete")?;
    // A source that failed has left what came before: it is written, and worth having.
    run.with_context(|| {
        format!(
            "the flight broke off after {} frames, whose results are in {}",
            summary.summary().frames,
            arguments.out.display()
        )
    })?;

    say!("{}", summary.summary());
    say!("\nresults in {}", arguments.out.display());
    if previews {
        say!("look at them: .venv/bin/rerun {}", arguments.out.join("flight.rrd").display());
    }
    if summary.summary().fixes == 0 {
        eprintln!(
            "skyfix: not one frame was localized; is the map of this area, and are height and camera right? \
             (reasons are in fixes.csv)"
        );
        return Ok(ExitCode::from(NOTHING_LOCALIZED));
    }
    Ok(ExitCode::SUCCESS)
}
