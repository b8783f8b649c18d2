//! What can go wrong with a flight that is put together and run.

use std::path::PathBuf;

use crate::coarse::consensus::ConsensusError;
use crate::config::ConfigError;
use crate::flow::catalogue::EditError;
use crate::flow::graph::GraphError;
use crate::geo::magnetic::DeclinationError;
use crate::map::MapError;
use crate::models::ModelError;
use crate::recording::FileError;
use crate::retrieve::IndexError;
use crate::source::SourceError;

/// Why a flight could not be localized, or not to its end. Messages name keys of the configuration in backquotes.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the configuration asks for cannot be had.
    #[error("{0}")]
    Setting(String),
    /// The map.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The map's index.
    #[error(transparent)]
    Index(IndexError),
    /// Edits of the map.
    #[error(transparent)]
    Edits(#[from] EditError),
    /// A file of the flight.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source, before the first frame.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Weights of the neighbourhood consensus.
    #[error(transparent)]
    Weights(#[from] ConsensusError),
    /// The declination.
    #[error(transparent)]
    Declination(#[from] DeclinationError),
    /// The folder for results.
    #[error("{path}: cannot make the output folder: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was stopped while it was made ready.
    #[error("stopped before the first frame; no result was written")]
    Stopped,
    /// The flight broke off; what came before is written.
    #[error("the flight broke off after {frames} frames, whose results are in {folder}: {source}")]
    BrokeOff {
        /// Frames before that.
        frames: u64,
        /// Where their results are.
        folder: PathBuf,
        /// Why.
        source: GraphError,
    },
}

impl From<IndexError> for RunError {
    fn from(error: IndexError) -> Self {
        if matches!(error, IndexError::Stopped) { Self::Stopped } else { Self::Index(error) }
    }
}
