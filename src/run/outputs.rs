//! The outputs of a flight: which there are, and what becomes of them while it goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

use crate::config::plan::Outputs;
use crate::map::MapStore;
use crate::progress::{self, injected};
use crate::recording::Truth;
use crate::sink::background::{BackgroundSink, Make, Pace, Patience, THREAD};
use crate::sink::csv::{CsvSink, Table};
use crate::sink::evidence::EvidenceSink;
use crate::sink::geojson::GeoJsonSink;
use crate::sink::jsonl::JsonLinesSink;
use crate::sink::summary::{Summary, SummarySink};
use crate::sink::{Sink, SinkError};
use crate::types::Report;

/// What outputs show besides reports.
pub struct Shown<'a> {
    /// The map.
    pub map: &'a Arc<MapStore>,
    /// True positions.
    pub truth: &'a Truth,
    /// The run in words, in markdown.
    pub about: &'a str,
}

/// An output to be.
struct Wanted {
    name: String,
    /// Whether it is a file, or somebody who listens now.
    is_file: bool,
    /// Whether a replay waits for it.
    is_complete: bool,
    make: Make,
}

impl Wanted {
    fn file<S: Sink + 'static>(name: &str, make: impl FnOnce() -> Result<S, SinkError> + Send + 'static) -> Self {
        Self { name: name.into(), is_file: true, is_complete: true, make: boxed(make) }
    }

    fn listener<S: Sink + 'static>(name: &str, make: impl FnOnce() -> Result<S, SinkError> + Send + 'static) -> Self {
        Self { name: name.into(), is_file: false, is_complete: false, make: boxed(make) }
    }
}

fn boxed<S: Sink + 'static>(make: impl FnOnce() -> Result<S, SinkError> + Send + 'static) -> Make {
    Box::new(move || Ok(Box::new(make()?)))
}

/// All outputs of a flight but its summary. One that fails is closed, told and counted: a flight is worth more than any of its outputs.
pub struct AllOutputs(Vec<BackgroundSink>);

impl AllOutputs {
    /// Starts them. Files and standard output of a replay lose nothing: it waits for them as long as they get on. A live flight waits for none.
    pub fn start(outputs: &Outputs, shown: &Shown<'_>, live: bool, summary: &mut SummarySink) -> Self {
        let mut all = Vec::new();
        for Wanted { name, is_file, is_complete, make } in wanted(outputs, shown) {
            let pace = if is_complete && !live { Pace::Waits } else { Pace::Drops };
            // What waits for a file at the end may take as long as a report.
            let end = if is_file { outputs.patience.report } else { outputs.patience.end };
            let patience = Patience { end, ..outputs.patience };
            // A file leaves alone what another run left until there is something to put there.
            match BackgroundSink::start(&name, pace, patience, !is_file, make) {
                Ok(sink) => all.push(sink),
                Err(error) => close(summary, error.to_string()),
            }
        }
        Self(all)
    }

    /// Hands a report to all of them.
    pub fn take(&mut self, report: Report, summary: &mut SummarySink) {
        let _stage = progress::begin("outputs");
        let report = Arc::new(report);
        for output in &mut self.0 {
            progress::feed();
            if let Err(reason) = output.take(&report) {
                close(summary, reason);
            }
        }
    }

    /// Completes them.
    pub fn finish(mut self, summary: &mut SummarySink) {
        self.0.iter_mut().for_each(BackgroundSink::end);
        for output in &mut self.0 {
            if let Err(reason) = output.wait() {
                close(summary, reason);
            }
            summary.left_out(output.name(), output.left_out());
        }
    }
}

fn close(summary: &mut SummarySink, reason: String) {
    tracing::warn!("{reason}; this output is closed, and the flight goes on without it");
    summary.closed(reason);
}

/// Whether there is an output that is no file in the folder.
pub fn has_listeners(outputs: &Outputs) -> bool {
    outputs.jsonl_stdout || !outputs.jsonl_udp.is_empty() || (cfg!(feature = "viz") && outputs.viewer.is_some())
}

/// Writes the summary, on a thread of its own, for a disk may stand still.
///
/// # Errors
/// In words, when it is not written.
pub fn write_summary(summary: &Summary, outputs: &Outputs) -> Result<(), String> {
    const NAME: &str = "summary.json";
    let (done, wait) = sync_channel(1);
    let (of_thread, folder) = (summary.clone(), outputs.folder.clone());
    let write = move || {
        injected::fault(&format!("{THREAD}{NAME}"));
        // Nobody waits after the time is over.
        let _ = done.send(of_thread.write(&folder));
    };
    let spawned = std::thread::Builder::new().name(format!("{THREAD}{NAME}")).spawn(write);
    spawned.map_err(|error| format!("{NAME}: {error}"))?;
    match wait.recv_timeout(outputs.patience.report) {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(RecvTimeoutError::Timeout) => {
            let seconds = outputs.patience.report.as_secs_f64();
            Err(format!("{NAME}: was not written within {seconds:.1} s (`sinks.timeout_s`)"))
        }
        Err(RecvTimeoutError::Disconnected) => Err(format!("{NAME}: its thread died")),
    }
}

fn wanted(outputs: &Outputs, shown: &Shown<'_>) -> Vec<Wanted> {
    let mut wanted = files(&outputs.folder, outputs.jsonl_file);
    if outputs.jsonl_stdout {
        wanted.push(Wanted { is_complete: true, ..Wanted::listener("standard output", || Ok(JsonLinesSink::stdout())) });
    }
    for to in outputs.jsonl_udp.iter().copied() {
        wanted.push(Wanted::listener(&format!("udp://{to}"), move || JsonLinesSink::udp(to)));
    }
    wanted.extend(pictures(outputs, shown));
    wanted
}

fn files(folder: &Path, json_lines: bool) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for table in Table::ALL {
        let folder = folder.to_owned();
        wanted.push(Wanted::file(table.file_name(), move || Ok(CsvSink::new(table, &folder))));
    }
    let of = folder.to_owned();
    wanted.push(Wanted::file("evidence.csv", move || Ok(EvidenceSink::new(&of))));
    let of = folder.to_owned();
    wanted.push(Wanted::file("track.geojson", move || GeoJsonSink::create(&of)));
    if json_lines {
        let of = folder.to_owned();
        wanted.push(Wanted::file("fixes.jsonl", move || Ok(JsonLinesSink::file(&of))));
    }
    wanted
}

#[cfg(feature = "viz")]
fn pictures(outputs: &Outputs, shown: &Shown<'_>) -> Vec<Wanted> {
    use crate::sink::viewer::ViewerSink;
    let mut wanted = Vec::new();
    let copies = || (Arc::clone(shown.map), shown.truth.clone(), shown.about.to_owned());
    if outputs.rrd {
        let path = outputs.folder.join("flight.rrd");
        let (map, truth, about) = copies();
        wanted.push(Wanted::file("flight.rrd", move || {
            let mut viewer = ViewerSink::create(&path, &map, &truth)?;
            viewer.describe(&about)?;
            Ok(viewer)
        }));
    }
    if let Some(target) = outputs.viewer {
        let rate = outputs.viewer_image_rate;
        let (map, truth, about) = copies();
        wanted.push(Wanted::listener("viewer", move || {
            // The set-up puts the viewer into the clone.
            let own = [Path::new(".venv/bin/rerun")].into_iter().find(|p| p.exists());
            let mut viewer = ViewerSink::live(&target, map.path(), &truth, rate, own)?;
            viewer.describe(&about)?;
            Ok(viewer)
        }));
    }
    wanted
}

#[cfg(not(feature = "viz"))]
fn pictures(_: &Outputs, shown: &Shown<'_>) -> Vec<Wanted> {
    let Shown { map, truth, about } = shown;
    let _ = (map, truth, about, Path::new(""));
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::abstained;

    #[test]
    fn every_file_says_so_when_its_folder_goes_away_in_flight() {
        for Wanted { name, make, .. } in files(Path::new("/"), true) {
            drop(make);
            let folder = tempfile::tempdir().unwrap();
            let Some(wanted) = files(folder.path(), true).into_iter().find(|wanted| wanted.name == name) else {
                panic!("{name}")
            };
            let mut sink = (wanted.make)().unwrap();
            let smoothed = |ordinal| Report::Smoothed(vec![("a".into(), abstained(ordinal).track)]);
            sink.take(&Report::Frame(Box::new(abstained(0)))).unwrap();
            sink.take(&smoothed(0)).unwrap();
            std::fs::remove_dir_all(folder.path()).unwrap();
            let gone = sink.take(&Report::Frame(Box::new(abstained(1)))).and_then(|()| sink.take(&smoothed(1)));
            let error = gone.and_then(|()| sink.finish()).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(&name)), "{name}: {error:?}");
        }
    }
}
