//! A recording: a folder with `flight.toml`, photos or a video, telemetry, and the truth where it is known.
//!
//! - [`reader`]: what a folder holds; [`writer`]: the one writer of such folders.
//! - [`rows`]: what a sample looks like in a table, both ways; [`sidecars`]: the tables of a folder.
//! - `truth`: true positions, for scoring only.

mod error;
pub mod reader;
pub mod rows;
pub mod sidecars;
mod truth;
pub mod writer;

pub use error::FileError;
pub(crate) use error::toml_reason;
pub(crate) use reader::lies_with;
pub use reader::{Recording, Start, StartTable, VideoPart, read};
pub use truth::{Truth, TruthRecord, TruthRow};
pub use writer::{Description, RecordingWriter, Told, as_recorded};
