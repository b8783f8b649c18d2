//! A flight put together from its configuration and run: what the command line and a program share.
//!
//! - [`assemble`]: map, index, networks and edits made ready.
//! - [`input`]: the source of frames opened.
//! - [`session`]: frames through the graph, results into the sinks.
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
mod error;
pub mod input;
mod networks;
pub mod session;

pub use assemble::{Assembled, Matching, assemble, compute_index, matching};
pub use error::RunError;
pub use networks::{NetworkFiles, networks};
pub use session::{RunEnd, Session, run};

use std::path::Path;

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
    /// A map has no index yet; it is being computed, to be kept at this path.
    fn index_is_missing(&self, _path: &Path) {}
    /// So much of some work is done; how much there is in all, where that is known.
    fn progress(&self, _work: Work, _done: u64, _total: Option<u64>) {}
    /// Some work has ended.
    fn done(&self, _work: Work) {}
    /// A live flight begins.
    fn live(&self) {}
}

/// Hears nothing.
pub struct Quiet;

impl Observer for Quiet {}

/// Processors to use where nothing is said.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 64)
}
