//! skyfix tells a drone without GNSS where it is.

pub mod eval;
pub mod geo;
pub mod map;
pub mod simulate;
pub mod time;
