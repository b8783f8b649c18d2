//! Flights over real ground, made out of imagery: what acceptance of fixes is measured on.
//!
//! - [`cross_date`]: the map of one year, the photos of another, and passes of several frames.
//! - [`foreign`]: photos of ground that the map does not show, and that ground itself.
//! - [`crop`]: the middle of every photo of a flight, as a narrower lens would see it.
//!
//! Imagery lies on made-up sheets side by side, so places say nothing of where on earth it was taken.

pub mod crop;
pub mod cross_date;
pub mod foreign;
mod ground;
mod imagery;
mod photo;
mod sources;
