//! A flight ready to be replayed: frames in order with what is known of each, and truth apart.

use std::path::PathBuf;
use std::time::Duration;

use super::frames::FrameSource;
use crate::recording::{Start, Truth};
use crate::types::Inputs;

/// A flight.
pub struct Flight {
    /// Frames in order.
    pub frames: Box<dyn FrameSource>,
    /// What is known at the start.
    pub start: Option<Start>,
    /// Truth, for scoring only.
    pub truth: Truth,
    /// The recording's own map.
    pub map: Option<PathBuf>,
    /// Whether that map lies outside of the recording: then nothing is written beside it.
    pub map_lies_elsewhere: bool,
    /// Things a user should know.
    pub warnings: Vec<String>,
    /// What the files said, what was missing, what was contradicted.
    pub inputs: Inputs,
}

/// Settings for videos.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct VideoOptions {
    /// Frames a second to use; `None` uses all.
    pub frame_rate: Option<f64>,
    /// Whether somebody asked for that rate, and must be told where it does nothing.
    pub frame_rate_asked: bool,
    /// Telemetry of a bare video: a folder with sidecars, or one of them. A recording brings its own.
    pub telemetry: Option<PathBuf>,
    /// A file that brings no frame for this long while one is asked for is given up; `None` is five minutes.
    pub read_timeout: Option<Duration>,
}
