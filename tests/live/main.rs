//! What comes in as it comes: video, telemetry, and every file of `pipelines/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

#[cfg(feature = "mavlink")]
mod autopilot;
#[cfg(all(feature = "gst", feature = "onnx", feature = "mavlink"))]
#[path = "../support/bundled.rs"]
mod bundled;
#[cfg(feature = "gst")]
mod clips;
#[path = "../support/data.rs"]
mod data;
#[cfg(all(feature = "gst", feature = "onnx", feature = "mavlink"))]
#[path = "../support/metadata.rs"]
mod metadata;
#[cfg(feature = "gst")]
#[path = "../support/mutator.rs"]
mod mutator;
#[cfg(all(feature = "gst", feature = "onnx", feature = "mavlink"))]
mod pipelines;
#[cfg(feature = "gst")]
#[path = "../support/senders.rs"]
mod senders;
mod telemetry;
#[cfg(feature = "gst")]
mod video;
