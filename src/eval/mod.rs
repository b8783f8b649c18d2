//! Measures of how well and under which conditions frames were localized, and of the filter.

pub mod attacks;
pub mod clock_offset;
pub mod consistency;
pub mod faults;
pub mod inertial;
pub(crate) mod offsets;
pub mod outages;
pub(crate) mod plot;
pub(crate) mod score;
pub(crate) mod scores;
