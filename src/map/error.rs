//! What can go wrong with a map, said so that a user knows which file and what to do.

use std::path::{Path, PathBuf};

/// Errors of the map store, its importers and its builder.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// A file or folder cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The output cannot be written: permissions, a missing folder, a full disk.
    #[error("{}: cannot be written: {what}; choose another place or free some space", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The sources hold no imagery.
    #[error("{}: nothing to write: {what}; look at the source's values that mark no imagery (`gdalinfo`: NoData, alpha, mask)", path.display())]
    Empty {
        /// The file that was to be written.
        path: PathBuf,
        /// What the sources lack.
        what: &'static str,
    },
    /// The output would take the place of a file that has to stay.
    #[error("{}: {what}", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
        /// Which file that is, and what to do.
        what: &'static str,
    },
    /// A source of a map is not what it should be.
    #[error("{}: {what}; {hint}", path.display())]
    Source {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// The map file is not an MBTiles file that can be used.
    #[error("{}: {what}; build the map again with `skyfix map build`, or check that the path is right", path.display())]
    Store {
        /// The map.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A view was asked for that makes no sense.
    #[error("a map view of {width_px} x {height_px} px at {ground_sampling_distance_m} m/px cannot be made: {what}")]
    View {
        /// Width asked for.
        width_px: u32,
        /// Height asked for.
        height_px: u32,
        /// Pixel size asked for.
        ground_sampling_distance_m: f64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl MapError {
    /// A source's error.
    pub(crate) fn source(path: &Path, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Source { path: path.to_owned(), what: what.into(), hint: hint.into() }
    }

    /// A store's error.
    pub(crate) fn store(path: &Path, what: impl ToString) -> Self {
        Self::Store { path: path.to_owned(), what: what.to_string() }
    }

    /// A reading error.
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    /// A writing error.
    pub(crate) fn write(path: &Path, what: impl ToString) -> Self {
        Self::Write { path: path.to_owned(), what: what.to_string() }
    }
}
