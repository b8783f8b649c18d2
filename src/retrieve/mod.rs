//! Retrieval: which cells of the map a frame may show.
//!
//! - [`index`]: dense features of the whole map on a metric lattice, several levels, and one global descriptor for each cell.
//! - [`aggregate`]: optimal-transport aggregation of dense features into a global descriptor, as in SALAD.
//! - `projection`: mean removal and principal components, so that search runs on few channels.
//! - `clusters`: k-means, for cluster centres until a trained head brings its own.
//! - `detail`: levels finer than the index, computed where they are needed.
//! - `patch`: further regions that show the map where tiles of it were replaced.
//! - `search`: exact top-k, within the prior where there is one.

#[doc(hidden)]
pub mod aggregate;
pub mod build;
pub(crate) mod clusters;
mod detail;
pub mod index;
pub(crate) mod patch;
pub(crate) mod projection;
pub(crate) mod search;
mod store;

pub use detail::{Bounds, Detail};
pub use store::{cached_index_path, index_path};

pub use index::{CellId, DenseLevel, IndexError, LevelModel, MapIndex, RegionLevel};
