//! skyfix tells a drone without GNSS where it is.

pub mod geo;
pub mod map;
pub mod time;
