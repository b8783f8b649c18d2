//! What replay and run share: frames through the graph, results into the sinks.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use skyfix::flow::graph::{GraphOptions, run_graph};
use skyfix::localize::Localizer;
use skyfix::map::MapStore;
use skyfix::models::DenseExtractor;
use skyfix::recording::Truth;
use skyfix::sink::background::BackgroundSink;
use skyfix::sink::csv::CsvSink;
use skyfix::sink::geojson::GeoJsonSink;
use skyfix::sink::jsonl::JsonLinesSink;
use skyfix::sink::summary::SummarySink;
use skyfix::sink::{Sink, SinkError, ViewerTarget};
use skyfix::source::FrameSource;
use skyfix::types::Report;

use super::localize::make_folder;
use super::progress_bar;

/// Exit code of a run in which not one frame was localized.
const NOTHING_LOCALIZED: u8 = 3;
/// Exit code of a run that a second Ctrl-C broke off.
const BROKEN_OFF: i32 = 130;
/// How long a live output may take to finish.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where results go.
pub struct Outputs {
    /// Folder for the tables.
    pub out: PathBuf,
    /// Whether `flight.rrd` is written there.
    pub rrd: bool,
    /// The live viewer, and the pictures a second that it gets.
    pub viewer: Option<(ViewerTarget, f64)>,
    /// Whether `fixes.jsonl` is written.
    pub jsonl_file: bool,
    /// Whether JSON lines go to standard output; words then go to standard error.
    pub jsonl_stdout: bool,
    /// Where JSON lines go as datagrams.
    pub jsonl_udp: Vec<std::net::SocketAddr>,
}

impl Outputs {
    /// Whether any of them shows pictures.
    pub fn pictures(&self) -> bool {
        cfg!(feature = "viz") && (self.rrd || self.viewer.is_some())
    }
}

/// A flight about to be localized.
pub struct Session {
    /// The map.
    pub map: MapStore,
    /// The localizer.
    pub localizer: Arc<Localizer>,
    /// A network for each worker.
    pub networks: Vec<Box<dyn DenseExtractor>>,
    /// The frames.
    pub frames: Box<dyn FrameSource>,
    /// True positions, for scoring only.
    pub truth: Truth,
    /// How the graph runs.
    pub options: GraphOptions,
}

/// Localizes a flight. Ctrl-C finishes what is under way and completes every file.
pub fn run(session: Session, outputs: &Outputs) -> anyhow::Result<ExitCode> {
    let Session { map, localizer, networks, frames, truth, options } = session;
    make_folder(&outputs.out)?;
    let mut summary = SummarySink::create(&outputs.out, truth.clone())?;
    let mut sinks = files(outputs, &map, &truth)?;
    sinks.extend(live(outputs, &map, &truth)?);
    stop_on_interrupt(&options.stop);

    let bar = progress_bar("frames");
    match frames.len_hint() {
        Some(length) => bar.set_length(length),
        None => super::as_counter(&bar),
    }
    if options.in_flight.is_some() {
        eprintln!("skyfix: live; Ctrl-C ends it");
    }
    let mut failure: Option<SinkError> = None;
    let ran = run_graph(localizer, networks, frames, options, |report: Report| {
        bar.inc(u64::from(matches!(report, Report::Frame(_))));
        let written = sinks.iter_mut().try_for_each(|sink| sink.take(&report)).and_then(|()| summary.take(&report));
        failure = written.err();
        failure.is_none()
    });
    bar.finish_and_clear();
    if let Some(error) = failure {
        return Err(error).context("the results are not complete");
    }
    // A source that failed in the middle leaves the results up to there.
    if let Ok(intake) = &ran {
        summary.intake(*intake);
    }
    sinks
        .iter_mut()
        .try_for_each(|sink| sink.finish())
        .and_then(|()| summary.finish())
        .context("the results are not complete")?;
    // A source that failed has left what came before: it is written, and worth having.
    ran.with_context(|| {
        format!("the flight broke off after {} frames, whose results are in {}", summary.summary().frames, outputs.out.display())
    })?;
    let mut words = format!("{}\n\nresults in {}", summary.summary(), outputs.out.display());
    if outputs.rrd && cfg!(feature = "viz") {
        words += &format!("\nlook at them: .venv/bin/rerun {}", outputs.out.join("flight.rrd").display());
    }
    if outputs.jsonl_stdout {
        eprintln!("{words}")
    } else {
        say!("{words}")
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

fn files(outputs: &Outputs, map: &MapStore, truth: &Truth) -> Result<Vec<Box<dyn Sink>>, SinkError> {
    let out = &outputs.out;
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(CsvSink::create(out)?), Box::new(GeoJsonSink::create(out)?)];
    if outputs.jsonl_file {
        sinks.push(Box::new(JsonLinesSink::create(out)?));
    }
    #[cfg(feature = "viz")]
    if outputs.rrd {
        sinks.push(Box::new(skyfix::sink::viewer::ViewerSink::create(&out.join("flight.rrd"), map, truth)?));
    }
    #[cfg(not(feature = "viz"))]
    let _ = (map, truth);
    Ok(sinks)
}

/// Outputs to whoever listens now; none of them may hold the flight up.
fn live(outputs: &Outputs, map: &MapStore, truth: &Truth) -> Result<Vec<Box<dyn Sink>>, SinkError> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if outputs.jsonl_stdout {
        sinks.push(Box::new(BackgroundSink::start("stdout", PATIENCE, || Ok(JsonLinesSink::stdout()))?));
    }
    for to in &outputs.jsonl_udp {
        sinks.push(Box::new(JsonLinesSink::udp(*to)?));
    }
    #[cfg(feature = "viz")]
    if let Some((target, rate)) = outputs.viewer {
        let (map, truth) = (map.path().to_owned(), truth.clone());
        let make = move || {
            // The set-up puts the viewer into the clone.
            let own = [Path::new(".venv/bin/rerun")].into_iter().find(|p| p.exists());
            skyfix::sink::viewer::ViewerSink::live(&target, &map, &truth, rate, own)
        };
        sinks.push(Box::new(BackgroundSink::start("viewer", PATIENCE, make)?));
    }
    #[cfg(not(feature = "viz"))]
    let _ = (map, truth, Path::new(""));
    Ok(sinks)
}

/// The first Ctrl-C ends the flight in order, the second one at once.
fn stop_on_interrupt(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(BROKEN_OFF);
        }
        if std::io::stderr().is_terminal() {
            eprintln!("\nskyfix: finishing; once more to break off");
        }
    };
    // A handler that is there already serves as well.
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::debug!("no handler for Ctrl-C: {error}");
    }
}
