//! Where frames and telemetry come from: photo folders, videos, recordings, subtitles, live links.

pub mod buffer;
pub mod calibration;
pub mod flight;
#[cfg(feature = "gst")]
pub mod footage;
pub mod frames;
pub mod knowledge;
mod metadata;
pub mod photos;
pub mod record;
pub mod recording;
mod redact;
mod sensors;
pub mod telemetry;
mod truth;
#[cfg(feature = "gst")]
pub mod video;

use std::path::PathBuf;

pub use buffer::{TelemetryBuffer, TelemetryCounters};
pub use flight::{Flight, Start, VideoOptions, open};
pub use frames::{FrameEvent, FrameList, FrameSource};
pub use knowledge::{KnowledgeOptions, Setting};
pub use redact::redact;
pub use telemetry::{StreamCounters, TelemetryStream};
pub use truth::{Truth, TruthRow};

/// What can go wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing to read.
    #[error("{path}: {reason}")]
    Nothing {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}{}: {reason}", line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Line, from 1, where known.
        line: Option<u64>,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A live link cannot be opened.
    #[error("{address}: {reason}")]
    Link {
        /// Protocol and address.
        address: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A video cannot be read (any further).
    #[cfg(feature = "gst")]
    #[error(transparent)]
    Video(#[from] video::VideoError),
}
