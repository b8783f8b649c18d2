//! skyfix tells a drone without GNSS where it is: a camera looks down, each frame is matched against georeferenced imagery, coarse
//! to fine (the method of arXiv 2506.09748), and an error-state Kalman filter fuses the fixes with the IMU.
//!
//! A flight is described by a [`config::FlightConfig`], which a [`config::ConfigBuilder`] fills from a file and from assignments; a
//! [`config::FlightPlan`] is what it means, and [`run`] carries it out: it assembles source, map, index, network, graph and sinks.
//! [`localize`] makes one frame into a fix without any of that.
//!
//! ```no_run
//! use skyfix::config::{ConfigBuilder, Door, FlightPlan};
//!
//! let config = ConfigBuilder::new(Door::CommandLine(&[])).set("source.path=photos")?.set("map.path=area.mbtiles")?;
//! let plan = FlightPlan::of(&config.finish()?)?;
//! # Ok::<(), skyfix::config::ConfigError>(())
//! ```
//!
//! The layers, the graph and the decisions behind them are in `docs/ARCHITECTURE.md`; each module uses only those of layers before it.

pub mod camera;
pub mod coarse;
pub mod config;
pub mod eval;
pub mod files;
pub mod fine;
pub mod flow;
pub mod fuse;
pub mod geo;
pub mod localize;
pub mod map;
pub(crate) mod math;
pub mod models;
pub mod progress;
pub mod recording;
pub mod retrieve;
pub mod run;
pub mod settings;
pub mod simulate;
pub mod sink;
pub mod source;
pub mod text;
pub mod time;
pub mod types;
