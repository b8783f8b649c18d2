//! The one configuration of a flight: every key with its default, its bound and its meaning, filled by a pipeline file, by the command line
//! or by a program.
//!
//! - `schema`: the keys. [`FlightConfig`] holds their values; an unknown key is an error, and so is one that does nothing for the kind
//!   of source.
//! - `layers`: values from defaults, a file, flags and `--set`, each with its origin, so that a message names what was written where.
//! - `plan`: what a configuration means: sources, matching, filter and outputs, checked together.
//! - `recorded`: which keys a recording keeps, and a replay of it takes from there; `told` collects them.
//! - [`explain`]: a plan in words, and a configuration key by key.
//!
//! What is read from a path in a file lies relative to that file, what is written relative to the working directory. A configuration can
//! name any GStreamer element, so it is code: run only files that you trust.

pub mod explain;
pub(crate) mod layers;
pub(crate) mod plan;
mod recorded;
pub(crate) mod schema;
mod told;

#[cfg(test)]
mod tests;

pub use layers::{ConfigBuilder, ConfigError, Door, Effective, Origin};
pub use plan::{CameraSource, FlightPlan, Source, TelemetrySource};
pub use schema::FlightConfig;
