//! skyfix tells a drone without GNSS where it is.

pub mod camera;
pub mod geo;
pub mod map;
pub mod models;
pub mod time;
pub mod types;
