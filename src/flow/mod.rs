//! The streaming engine: localization as a timely dataflow.
//!
//! - [`graph`]: the graph; `operators`: its operators; `message`: what travels between them; `permit`: one frame in flight a worker.
//! - `active_cells`: a worker's copy of the catalogue.
//! - [`catalogue`]: edits of the map while the system flies.

pub(crate) mod active_cells;
#[doc(hidden)]
pub mod catalogue;
pub mod graph;
pub(crate) mod message;
pub(crate) mod operators;
pub(crate) mod permit;
