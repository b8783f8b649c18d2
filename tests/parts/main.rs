//! Parts on real data: maps, models, the appearance of the ground, inertial sensors, and a GPU where there is one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod appearance;
#[cfg(feature = "onnx")]
#[path = "../support/bundled.rs"]
mod bundled;
#[path = "../support/data.rs"]
mod data;
#[cfg(feature = "onnx")]
mod flight_cases;
#[cfg(feature = "onnx")]
mod gpu;
mod inertial;
mod map;
mod map_cases;
mod map_statements;
#[path = "../support/metadata.rs"]
mod metadata;
mod models;
mod mutations;
#[cfg(feature = "onnx")]
#[path = "../support/photos.rs"]
mod photos;
