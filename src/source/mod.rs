//! Where frames and telemetry come from: photo folders, videos, recordings, subtitles, live links.

mod attitude;
pub(crate) mod buffer;
pub(crate) mod calibration;
pub mod cameras;
#[cfg(feature = "gst")]
pub(crate) mod film;
pub(crate) mod flight;
#[cfg(feature = "gst")]
pub(crate) mod footage;
#[doc(hidden)]
pub mod frames;
pub(crate) mod health;
pub(crate) mod knowledge;
mod listing;
mod metadata;
mod open;
mod optics;
pub mod photos;
mod redact;
#[doc(hidden)]
pub mod telemetry;
mod time_text;
mod times;
#[cfg(feature = "gst")]
#[doc(hidden)]
pub mod video;
mod xmp;
#[cfg(feature = "gst")]
mod zoom;

pub use buffer::{TelemetryBuffer, TelemetryCounters};
#[cfg(feature = "gst")]
pub use film::holds_only_videos;
pub use flight::{Flight, VideoOptions};
pub use frames::{FrameEvent, FrameList, FrameSource};
pub use health::{IntakeHealth, SharedHealth, TelemetryHealth, VideoHealth};
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
