//! The streaming engine: the stages of localization as a timely dataflow.
//!
//! - [`graph`]: the graph; [`operators`]: its operators; [`message`]: what travels between them.
//! - [`catalogue`]: edits of the map while the system flies.
//! - [`scores`]: running scores of a track that is revised.
//! - [`stages`]: each stage as a plain function; knows nothing of timely.
//! - [`sascm`]: the stages' side of coarse matching by region consensus.
//! - [`sequential`]: the stages one after the other: the oracle of the graph.

pub mod catalogue;
pub mod graph;
pub mod message;
pub mod operators;
pub mod sascm;
pub mod scores;
pub mod sequential;
pub mod settings;
pub mod stages;

pub use settings::{CoarseMethod, MatchSettings};
pub use stages::Matcher;
