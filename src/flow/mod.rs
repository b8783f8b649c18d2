//! The streaming engine: the stages of localization as a timely dataflow.
//!
//! - [`stages`]: each stage as a plain function; knows nothing of timely.
//! - [`sequential`]: the stages one after the other: the oracle of the graph.

pub mod sequential;
pub mod settings;
pub mod stages;

pub use settings::{CoarseMethod, MatchSettings};
pub use stages::Matcher;
