//! What only a live video has: telemetry that arrives meanwhile, and times when nothing comes.

use std::time::{Duration, Instant};

use crate::source::TelemetryBuffer;
use crate::source::telemetry::TelemetryStream;
use crate::source::video::monotonic_ns;
use crate::time::NANOS_PER_SEC;
use crate::types::{Known, TelemetryBatch};

/// Live telemetry waits this long for a frame that takes it, seconds.
const TELEMETRY_LIMIT_S: f64 = 20.0;
/// No frame comes later than this after its capture: what is older is settled, nanoseconds.
pub const LATEST_FRAME_NS: i64 = 2 * NANOS_PER_SEC;
/// Without a frame for so long the video pauses, nanoseconds.
const PAUSE_AFTER_NS: i64 = NANOS_PER_SEC;

/// Telemetry that arrives while flying.
pub struct LiveTelemetry {
    pub(super) stream: Box<dyn TelemetryStream>,
    pub(super) buffer: TelemetryBuffer,
    /// The stream's zero on the monotonic system clock.
    epoch_monotonic_ns: i64,
    pub(super) wait: Duration,
}

impl LiveTelemetry {
    /// A stream whose stamps count from `epoch`. A frame waits for telemetry of its time, but no longer than `wait`.
    pub fn new(stream: Box<dyn TelemetryStream>, epoch: Instant, wait: Duration) -> Self {
        let age_ns = i64::try_from(epoch.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let epoch_monotonic_ns = monotonic_ns().saturating_sub(age_ns);
        Self { stream, buffer: TelemetryBuffer::new(TELEMETRY_LIMIT_S), epoch_monotonic_ns, wait }
    }

    /// A time on the stream's clock.
    fn stamp_ns(&self, captured_ns: Option<i64>) -> Option<i64> {
        captured_ns.map(|captured| captured.saturating_sub(self.epoch_monotonic_ns))
    }

    pub(super) fn is_complete_for(&self, captured_ns: Option<i64>) -> bool {
        self.stamp_ns(captured_ns).zip(self.buffer.latest_stamp_ns()).is_some_and(|(wanted, latest)| latest >= wanted)
    }

    /// What a frame takes that was captured then and has this stamp, with stamps on the frames' clock.
    pub(super) fn take(&mut self, captured_ns: Option<i64>, frame_ns: i64) -> (TelemetryBatch, Known) {
        let Some(stamp_ns) = self.stamp_ns(captured_ns) else { return Default::default() };
        let (mut batch, known) = self.buffer.take(stamp_ns);
        batch.shift(frame_ns.saturating_sub(stamp_ns));
        (batch, known)
    }

    /// What such a frame would take.
    pub(super) fn ahead(&self, captured_ns: i64, frame_ns: i64) -> TelemetryBatch {
        let stamp_ns = captured_ns.saturating_sub(self.epoch_monotonic_ns);
        let mut batch = self.buffer.ahead(stamp_ns);
        batch.shift(frame_ns.saturating_sub(stamp_ns));
        batch
    }
}

/// Says when a live video has given no frame for so long that the track must go on without.
pub(super) struct PauseClock {
    interval_ns: Option<i64>,
    /// Stamp and time of capture of the last frame.
    last: Option<(i64, i64)>,
    /// Stamp of the last pause.
    told_ns: i64,
}

impl PauseClock {
    /// Pauses come every `interval_ns`; never when that is not given.
    pub fn new(interval_ns: Option<i64>) -> Self {
        Self { interval_ns, last: None, told_ns: i64::MIN }
    }

    /// A frame came.
    pub fn frame(&mut self, stamp_ns: i64, captured_ns: Option<i64>) {
        self.last = captured_ns.map(|captured| (stamp_ns, captured));
        self.told_ns = self.told_ns.max(stamp_ns);
    }

    /// The stamp of a pause that is due, and the time that it corresponds to.
    pub fn due(&mut self, now_ns: i64) -> Option<(i64, i64)> {
        let ((stamp_ns, captured_ns), interval_ns) = self.last.zip(self.interval_ns)?;
        let elapsed_ns = now_ns.saturating_sub(captured_ns);
        let at = stamp_ns.saturating_add(elapsed_ns);
        if elapsed_ns < PAUSE_AFTER_NS || at.saturating_sub(self.told_ns) < interval_ns {
            return None;
        }
        self.told_ns = at;
        Some((at, now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_a_second_after_the_last_frame_and_is_told_at_its_interval() {
        let ms = 1_000_000;
        let mut clock = PauseClock::new(Some(200 * ms));
        assert_eq!(clock.due(5_000 * ms), None, "no frame yet: nothing says what the time is");
        clock.frame(10_000 * ms, Some(500 * ms));
        assert_eq!(clock.due(1_400 * ms), None);
        assert_eq!(clock.due(1_600 * ms), Some((11_100 * ms, 1_600 * ms)));
        assert_eq!(clock.due(1_700 * ms), None);
        assert_eq!(clock.due(1_850 * ms), Some((11_350 * ms, 1_850 * ms)));
        clock.frame(11_400 * ms, Some(1_900 * ms));
        assert_eq!(clock.due(2_300 * ms), None);
    }

    #[test]
    fn a_recorded_video_never_pauses() {
        let mut clock = PauseClock::new(Some(1));
        clock.frame(0, None);
        assert_eq!(clock.due(i64::MAX), None);
    }
}
