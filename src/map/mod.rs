//! Georeferenced imagery: a tile store, importers that fill it, and metric views of it.
//!
//! A map is an ordinary MBTiles file (SQLite, Web Mercator tiles of 256 px). Zoom levels are storage only: everything that
//! computes asks for a [`MapView`], a north-up raster of a stated ground sampling distance in the local plane of a [`Region`].

mod advice;
mod build;
mod cache;
pub(crate) mod elevation;
mod error;
mod extent;
mod import;
mod overlay;
pub(crate) mod part_file;
mod region;
pub(crate) mod resample;
mod store;
pub(crate) mod tile;
mod view;

pub(crate) use build::build_layers;
pub use build::{BuildOptions, BuildReport, MergeOrder, Progress, build};
pub use elevation::{Dem, GroundModel};
pub use error::MapError;
pub(crate) use import::Layer;
pub use import::TileRows;
pub use region::{Region, SourceRecord};
pub use store::MapStore;
pub use tile::TilePixels;
pub use view::MapView;

pub use crate::geo::MetricView;
