//! A camera frame and what is known of it before it is matched.

use std::time::Instant;

use super::{Pixels, Refusals, TelemetryBatch};
use crate::types::Camera;

/// A number with its standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// One standard deviation.
    pub sigma: f64,
}

/// What other clocks show at a stamp, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Clocks {
    /// Coordinated universal time, nanoseconds since 1970, as the aircraft or the camera knows it.
    pub utc_ns: Option<i64>,
    /// The clock of the computer that localized the flight live, nanoseconds since 1970; whether it is right is another matter.
    pub wall_ns: Option<i64>,
}

impl Clocks {
    /// What they show so many nanoseconds later.
    pub fn later(self, by_ns: i64) -> Self {
        let later = |clock: Option<i64>| clock.and_then(|ns| ns.checked_add(by_ns));
        Self { utc_ns: later(self.utc_ns), wall_ns: later(self.wall_ns) }
    }
}

/// What the localizer may know of a frame's pose. `None` is "not known", and becomes hypotheses or an abstention.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Known {
    /// Height above ground, metres.
    pub height_agl_m: Option<Estimate>,
    /// Heading of the body, radians clockwise from true north.
    pub heading_rad: Option<Estimate>,
    /// Pitch (nose up) and roll (right down) of what the camera is fixed to, radians.
    pub pitch_roll_rad: Option<(f64, f64)>,
}

/// A frame that entered the graph.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Position in the stream, from 0: the timestamp of the dataflow.
    pub ordinal: u64,
    /// The source's own name.
    pub name: String,
    /// Time of capture, nanoseconds of the recording's clock.
    pub stamp_ns: i64,
    /// The image.
    pub pixels: Pixels,
    /// The camera, for frames of `camera.intrinsics` size; scaled to the image's true size when it is decoded. `None` when
    /// neither calibration nor metadata give a focal length.
    pub camera: Option<Camera>,
    /// Pose knowledge.
    pub known: Known,
    /// Telemetry since the frame before.
    pub telemetry: TelemetryBatch,
    /// When it was captured, where that was just now: for latency only.
    pub captured: Option<Instant>,
    /// Other clocks at its stamp.
    pub clocks: Clocks,
    /// What became of the frames up to this one.
    pub intake: Intake,
}

/// Frames that came in and what became of them: `received = served + dropped`, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct Intake {
    /// Frames that came in, those thinned out by a frame rate not counted.
    pub received: u64,
    /// Of these, frames that entered the graph.
    pub served: u64,
    /// Of these, frames that were overtaken by newer ones, or not served before the end.
    pub dropped: u64,
    /// Times that the source broke off and was connected again.
    pub reconnects: u64,
    /// Telemetry that was refused at the door, by kind.
    pub telemetry_refused: Refusals,
}

impl Intake {
    /// All of so many frames are served.
    pub fn all(frames: u64) -> Self {
        Self { received: frames, served: frames, ..Self::default() }
    }
}
