//! skyfix tells a drone without GNSS where it is.

pub mod camera;
pub mod coarse;
pub mod fine;
pub mod fix;
pub mod flow;
pub mod fuse;
pub mod geo;
pub mod map;
pub mod models;
pub mod retrieve;
pub mod sink;
pub mod source;
pub mod time;
pub mod types;
