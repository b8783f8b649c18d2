//! A flight put together from its configuration and run: what the command line and a program share.
//!
//! - [`mod@assemble`]: map, index, networks and edits made ready.
//! - `input`: the source of frames opened.
//! - `session`: frames through the graph, results into the sinks; `outputs`: those, supervised.
//!
//! ```no_run
//! use skyfix::config::{ConfigBuilder, Door, FlightPlan};
//! use skyfix::run::{Quiet, run};
//!
//! let file = std::path::Path::new("pipelines/replay.toml");
//! let config = ConfigBuilder::new(Door::File(file.into())).file(file)?.finish()?;
//! let end = run(FlightPlan::of(&config)?, &Quiet, Default::default())?;
//! println!("{}", end.summary);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod assemble;
mod elsewhere;
mod error;
pub(crate) mod input;
mod networks;
mod outputs;
pub(crate) mod session;

pub use assemble::{Assembled, Matching, assemble, compute_index, matching};
pub use error::RunError;
pub use networks::{NetworkFiles, networks};
pub use session::{RunEnd, Session};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::FlightPlan;
use crate::types::Input;

/// What there is progress of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Blocks of the map described for its index.
    Index,
    /// Frames localized.
    Frames,
}

/// Hears what happens while a flight is made ready and run. Messages name keys of the configuration in backquotes.
pub trait Observer: Sync {
    /// Something that a user should know.
    fn warning(&self, _message: &str) {}
    /// What the files said of camera, attitude, height, time or place.
    fn input(&self, _input: &Input) {}
    /// A map has no index yet; it is being computed, to be kept at this path.
    fn index_is_missing(&self, _path: &Path) {}
    /// So much of some work is done; how much there is in all, where that is known.
    fn progress(&self, _work: Work, _done: u64, _total: Option<u64>) {}
    /// Some work has ended.
    fn done(&self, _work: Work) {}
    /// A live flight begins.
    fn live(&self) {}
    /// Whether to stop what is being made ready.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Hears nothing.
pub struct Quiet;

impl Observer for Quiet {}

/// Hears what another does, and knows whether to stop.
struct Stops<'a> {
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
}

impl Observer for Stops<'_> {
    fn warning(&self, message: &str) {
        self.observer.warning(message);
    }
    fn input(&self, input: &Input) {
        self.observer.input(input);
    }
    fn index_is_missing(&self, path: &Path) {
        self.observer.index_is_missing(path);
    }
    fn progress(&self, work: Work, done: u64, total: Option<u64>) {
        self.observer.progress(work, done, total);
    }
    fn done(&self, work: Work) {
        self.observer.done(work);
    }
    fn live(&self) {
        self.observer.live();
    }
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.observer.is_stopped()
    }
}

/// Makes a plan ready and localizes its flight. `stop` ends it in order: frames under way are finished, and every file is completed.
///
/// # Errors
/// What is missing, what broke off, what could not be written.
pub fn run(plan: FlightPlan, observer: &dyn Observer, stop: Arc<AtomicBool>) -> Result<RunEnd, RunError> {
    let observer = &Stops { observer, stop: &stop };
    let ready = assemble(&plan, observer).and_then(|assembled| assembled.session(&plan));
    // What was opened is closed when this refuses it.
    let ready = ready.and_then(|session| if observer.is_stopped() { Err(RunError::Stopped) } else { Ok(session) });
    if let (Err(RunError::Stopped), Some(folder)) = (&ready, &plan.record) {
        discard_recording(folder);
    }
    let mut session = ready?;
    session.options.stop = Arc::clone(&stop);
    if let Some(seconds) = plan.stop_after_s {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            stop.store(true, Ordering::Relaxed);
        });
    }
    session.run(plan.outputs, observer)
}

/// Removes a recording that has no frame yet, so that its folder can be recorded into. It was empty when the recording began, and whatever else
/// somebody put there stays.
fn discard_recording(folder: &Path) {
    if folder.join("flight.toml").exists() {
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("video") || name.ends_with(".csv") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}

/// Processors to use where nothing is said.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 64)
}
