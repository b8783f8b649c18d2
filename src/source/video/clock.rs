//! The clock of live videos.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::VideoError;

/// The monotonic system clock, on which [`super::VideoFrame::captured_ns`] counts.
///
/// GStreamer's clock panics when it is asked before GStreamer is ready, and telemetry needs the time before any video is opened: so the
/// time can only be had from one of these, and having one means that GStreamer is ready.
#[derive(Clone, Debug)]
pub struct MonotonicClock {
    clock: gst::Clock,
}

impl MonotonicClock {
    /// Makes GStreamer ready, where it is not yet, and takes its clock.
    ///
    /// # Errors
    /// When GStreamer does not start.
    pub fn obtain() -> Result<Self, VideoError> {
        gst::init().map_err(|e| VideoError::GStreamer { reason: e.to_string() })?;
        Ok(Self { clock: gst::SystemClock::obtain() })
    }

    /// Now, nanoseconds.
    pub fn now_ns(&self) -> i64 {
        i64::try_from(self.time().nseconds()).unwrap_or(i64::MAX)
    }

    pub(super) fn time(&self) -> gst::ClockTime {
        self.clock.time()
    }

    /// The clock as pipelines take it.
    pub(super) fn of_pipelines(&self) -> &gst::Clock {
        &self.clock
    }
}
