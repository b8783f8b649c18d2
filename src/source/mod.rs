//! Where frames and telemetry come from: photo folders, videos, recordings, subtitles, live links.

pub mod buffer;
pub mod calibration;
pub mod flight;
#[cfg(feature = "gst")]
pub mod footage;
pub mod frames;
pub mod knowledge;
mod metadata;
mod open;
pub mod photos;
mod redact;
mod sensors;
pub mod telemetry;
#[cfg(feature = "gst")]
pub mod video;

pub use buffer::{TelemetryBuffer, TelemetryCounters};
pub use flight::{Flight, VideoOptions};
pub use frames::{FrameEvent, FrameList, FrameSource};
pub use knowledge::{KnowledgeOptions, Setting};
pub use open::open;
pub use redact::redact;
pub use telemetry::{StreamCounters, TelemetryStream};

use crate::recording::FileError;

/// What can go wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
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
