//! Frames through the graph, results into the sinks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Observer, RunError, Work};
use crate::config::plan::Outputs;
use crate::flow::graph::{GraphOptions, run_graph};
use crate::localize::Localizer;
use crate::map::MapStore;
use crate::models::DenseExtractor;
use crate::recording::Truth;
use crate::sink::background::BackgroundSink;
use crate::sink::csv::CsvSink;
use crate::sink::evidence::EvidenceSink;
use crate::sink::geojson::GeoJsonSink;
use crate::sink::jsonl::JsonLinesSink;
use crate::sink::last_check;
use crate::sink::summary::{Summary, SummarySink};
use crate::sink::{Sink, SinkError};
use crate::source::FrameSource;
use crate::types::Report;

/// How long a live output may take to finish.
const PATIENCE: Duration = Duration::from_secs(1);

/// A flight about to be localized.
pub struct Session {
    /// The map.
    pub map: Arc<MapStore>,
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
    /// What the viewer says of the run, in markdown.
    pub about: String,
}

/// A flight that was localized to its end.
pub struct RunEnd {
    /// It in numbers.
    pub summary: Summary,
    /// Where its results are.
    pub outputs: Outputs,
}

impl Session {
    /// Localizes the flight and writes what comes of it.
    ///
    /// # Errors
    /// When a result cannot be written, or the flight broke off: then what came before is written.
    pub fn run(self, outputs: Outputs, observer: &dyn Observer) -> Result<RunEnd, RunError> {
        let Self { map, localizer, networks, frames, truth, options, about } = self;
        let folder = |source| RunError::Folder { path: outputs.folder.clone(), source };
        std::fs::create_dir_all(&outputs.folder).map_err(folder)?;
        let mut summary = SummarySink::create(&outputs.folder, truth.clone()).map_err(RunError::Sink)?;
        let mut sinks = files(&outputs, &map, &truth, &about).map_err(RunError::Sink)?;
        sinks.extend(live(&outputs, &map, &truth, &about).map_err(RunError::Sink)?);
        if options.in_flight.is_some() {
            observer.live();
        }
        let (total, mut done) = (frames.len_hint(), 0);
        observer.progress(Work::Frames, done, total);
        let mut failure: Option<SinkError> = None;
        let plausible = options.fusion.plausible;
        let ran = run_graph(localizer, networks, frames, options, |mut report: Report| {
            summary.refused(last_check::check(&mut report, &plausible));
            if matches!(report, Report::Frame(_)) {
                done += 1;
                observer.progress(Work::Frames, done, total);
            }
            summary.outputs(&mut sinks, |sink| sink.take(&report));
            failure = summary.take(&report).err();
            failure.is_none()
        });
        observer.done(Work::Frames);
        if let Some(error) = failure {
            return Err(RunError::Sink(error));
        }
        // A source that failed in the middle leaves the results up to there.
        if let Ok(intake) = &ran {
            summary.intake(*intake);
        }
        summary.outputs(&mut sinks, |sink| sink.finish());
        summary.finish().map_err(RunError::Sink)?;
        let summary = summary.summary().clone();
        match ran {
            Ok(_) => Ok(RunEnd { summary, outputs }),
            Err(source) => Err(RunError::BrokeOff { frames: summary.frames, folder: outputs.folder, source }),
        }
    }
}

fn files(outputs: &Outputs, map: &MapStore, truth: &Truth, about: &str) -> Result<Vec<Box<dyn Sink>>, SinkError> {
    let folder = &outputs.folder;
    let mut sinks: Vec<Box<dyn Sink>> =
        vec![Box::new(CsvSink::create(folder)?), Box::new(EvidenceSink::create(folder)?), Box::new(GeoJsonSink::create(folder)?)];
    if outputs.jsonl_file {
        sinks.push(Box::new(JsonLinesSink::create(folder)?));
    }
    #[cfg(feature = "viz")]
    if outputs.rrd {
        let mut viewer = crate::sink::viewer::ViewerSink::create(&folder.join("flight.rrd"), map, truth)?;
        viewer.describe(about)?;
        sinks.push(Box::new(viewer));
    }
    #[cfg(not(feature = "viz"))]
    let _ = (map, truth, about);
    Ok(sinks)
}

/// Outputs to whoever listens now; none of them may hold the flight up.
fn live(outputs: &Outputs, map: &MapStore, truth: &Truth, about: &str) -> Result<Vec<Box<dyn Sink>>, SinkError> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if outputs.jsonl_stdout {
        sinks.push(Box::new(BackgroundSink::start("stdout", PATIENCE, || Ok(JsonLinesSink::stdout()))?));
    }
    for to in &outputs.jsonl_udp {
        sinks.push(Box::new(JsonLinesSink::udp(*to)?));
    }
    #[cfg(feature = "viz")]
    if let Some(target) = outputs.viewer {
        let (map, truth, about) = (map.path().to_owned(), truth.clone(), about.to_owned());
        let rate = outputs.viewer_image_rate;
        let make = move || {
            // The set-up puts the viewer into the clone.
            let own = [Path::new(".venv/bin/rerun")].into_iter().find(|p| p.exists());
            let mut viewer = crate::sink::viewer::ViewerSink::live(&target, &map, &truth, rate, own)?;
            viewer.describe(&about)?;
            Ok(viewer)
        };
        sinks.push(Box::new(BackgroundSink::start("viewer", PATIENCE, make)?));
    }
    #[cfg(not(feature = "viz"))]
    let _ = (map, truth, about, Path::new(""));
    Ok(sinks)
}
