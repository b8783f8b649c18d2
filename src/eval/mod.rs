//! Measures of how well and under which conditions frames were localized.

pub mod appearance;
pub mod clock_offset;
pub mod score;
