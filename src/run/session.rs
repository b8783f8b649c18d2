//! Frames through the graph, results into the sinks.

use std::sync::Arc;

use super::outputs::{AllOutputs, Shown, has_listeners, write_summary};
use super::{Observer, RunError, Work};
use crate::config::plan::Outputs;
use crate::flow::graph::{GraphOptions, run_graph};
use crate::localize::Localizer;
use crate::map::MapStore;
use crate::models::DenseExtractor;
use crate::recording::Truth;
use crate::sink::last_check;
use crate::sink::summary::{Summary, SummarySink};
use crate::source::FrameSource;
use crate::types::{Inputs, Report};

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
    /// What the files said.
    pub inputs: Inputs,
}

/// A flight that was localized to its end.
pub struct RunEnd {
    /// It in numbers.
    pub summary: Summary,
    /// Where its results are.
    pub outputs: Outputs,
}

impl Session {
    /// Localizes the flight and writes what comes of it. An output that fails is closed and named in the summary.
    ///
    /// # Errors
    /// When no folder for results can be made and there is no other output, or the flight broke off: then what came before is written.
    pub fn run(self, outputs: Outputs, observer: &dyn Observer) -> Result<RunEnd, RunError> {
        let Self { map, localizer, networks, frames, truth, options, about, inputs } = self;
        if let Err(source) = std::fs::create_dir_all(&outputs.folder)
            && !has_listeners(&outputs)
        {
            return Err(RunError::Folder { path: outputs.folder, source });
        }
        let live = options.in_flight.is_some();
        let mut summary = SummarySink::new(truth.clone());
        summary.inputs(inputs);
        let shown = Shown { map: &map, truth: &truth, about: &about };
        let mut sinks = AllOutputs::start(&outputs, &shown, live, &mut summary);
        if live {
            observer.live();
        }
        let health = frames.health();
        let (total, mut done) = (frames.len_hint(), 0);
        observer.progress(Work::Frames, done, total);
        let plausible = options.fusion.plausible;
        let ran = run_graph(localizer, networks, frames, options, |mut report: Report| {
            summary.refused(last_check::check(&mut report, &plausible));
            if matches!(report, Report::Frame(_)) {
                done += 1;
                observer.progress(Work::Frames, done, total);
            }
            summary.take(&report);
            sinks.take(report, &mut summary);
            true
        });
        observer.done(Work::Frames);
        if let Some(health) = health {
            summary.health(health.now());
        }
        let intake = match ran {
            Ok(intake) => intake,
            // What lay in the folder before is worth more than nothing.
            Err(source) if done == 0 => return Err(RunError::BrokeOff { frames: 0, folder: outputs.folder, source }),
            Err(source) => {
                complete(sinks, &mut summary, &outputs);
                return Err(RunError::BrokeOff { frames: done, folder: outputs.folder, source });
            }
        };
        summary.intake(intake);
        complete(sinks, &mut summary, &outputs);
        Ok(RunEnd { summary: summary.summary().clone(), outputs })
    }
}

/// Completes all outputs, the summary last, for it counts what became of the others.
fn complete(sinks: AllOutputs, summary: &mut SummarySink, outputs: &Outputs) {
    sinks.finish(summary);
    summary.finish();
    if let Err(reason) = write_summary(summary.summary(), outputs) {
        tracing::warn!("{reason}");
        summary.closed(reason);
    }
}
