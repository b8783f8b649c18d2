//! What only a live video has: telemetry that arrives meanwhile, and times when nothing comes.

use std::time::{Duration, Instant};

use crate::source::TelemetryBuffer;
use crate::source::telemetry::TelemetryStream;
use crate::source::video::{MonotonicClock, VideoError};
use crate::time::NANOS_PER_SEC;
use crate::types::{Known, Plausible, TelemetryBatch};

/// Live telemetry waits this long for a frame that takes it, seconds.
const TELEMETRY_LIMIT_S: f64 = 20.0;
/// No frame comes later than this after its capture: what is older is settled, nanoseconds.
pub(super) const LATEST_FRAME_NS: i64 = 2 * NANOS_PER_SEC;
/// Without a frame for so long, while it is asked for one, the video pauses, nanoseconds.
const PAUSE_AFTER_NS: i64 = NANOS_PER_SEC;
/// Asked less often than this, the video may have had a frame in between, nanoseconds.
const MAX_ASKING_NS: i64 = NANOS_PER_SEC / 5;

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
    ///
    /// # Errors
    /// When GStreamer, whose clock relates the two, does not start.
    pub fn new(stream: Box<dyn TelemetryStream>, epoch: Instant, wait: Duration) -> Result<Self, VideoError> {
        // First, because it may take its time, which must not pass between the two readings.
        let clock = MonotonicClock::obtain()?;
        let age_ns = i64::try_from(epoch.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let epoch_monotonic_ns = clock.now_ns().saturating_sub(age_ns);
        Ok(Self { stream, buffer: TelemetryBuffer::new(TELEMETRY_LIMIT_S), epoch_monotonic_ns, wait })
    }

    /// The same with another door for its samples.
    pub(super) fn with_door(self, door: Plausible) -> Self {
        Self { buffer: self.buffer.with_door(door), ..self }
    }

    /// A time on the stream's clock.
    fn stamp_ns(&self, captured_ns: i64) -> i64 {
        captured_ns.saturating_sub(self.epoch_monotonic_ns)
    }

    pub(super) fn is_complete_for(&self, captured_ns: Option<i64>) -> bool {
        captured_ns.zip(self.buffer.latest_stamp_ns()).is_some_and(|(captured, latest)| latest >= self.stamp_ns(captured))
    }

    /// What a frame takes that was captured then and has this stamp, with stamps on the frames' clock.
    pub(super) fn take(&mut self, captured_ns: Option<i64>, frame_ns: i64) -> (TelemetryBatch, Known) {
        let Some(stamp_ns) = captured_ns.map(|captured| self.stamp_ns(captured)) else { return Default::default() };
        let (mut batch, known) = self.buffer.take(stamp_ns);
        batch.shift(frame_ns.saturating_sub(stamp_ns));
        (batch, known)
    }

    /// Coordinated universal time at a time of capture, where the telemetry's sender knows it.
    pub(super) fn utc_ns(&self, captured_ns: Option<i64>) -> Option<i64> {
        self.stream.utc_minus_stamp_ns()?.checked_add(self.stamp_ns(captured_ns?))
    }

    /// What such a frame would take.
    pub(super) fn ahead(&self, captured_ns: i64, frame_ns: i64) -> TelemetryBatch {
        let stamp_ns = self.stamp_ns(captured_ns);
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
    /// When the video was first asked for a frame and when last, without one in between. Not asking is no pause.
    asked_ns: Option<(i64, i64)>,
    /// Stamp of the last pause.
    told_ns: i64,
}

impl PauseClock {
    /// Pauses come every `interval_ns`; never when that is not given.
    pub fn new(interval_ns: Option<i64>) -> Self {
        Self { interval_ns, last: None, asked_ns: None, told_ns: i64::MIN }
    }

    /// A frame came.
    pub fn frame(&mut self, stamp_ns: i64, captured_ns: Option<i64>) {
        self.last = captured_ns.map(|captured| (stamp_ns, captured));
        self.asked_ns = None;
        self.told_ns = self.told_ns.max(stamp_ns);
    }

    /// No frame came now: the stamp of a pause that is due.
    pub fn due(&mut self, now_ns: i64) -> Option<i64> {
        let ((stamp_ns, captured_ns), interval_ns) = self.last.zip(self.interval_ns)?;
        let (first, last) = self.asked_ns.unwrap_or((now_ns, now_ns));
        let first = if now_ns.saturating_sub(last) > MAX_ASKING_NS { now_ns } else { first };
        self.asked_ns = Some((first, now_ns));
        let at = stamp_ns.saturating_add(now_ns.saturating_sub(captured_ns));
        if now_ns.saturating_sub(first) < PAUSE_AFTER_NS || at.saturating_sub(self.told_ns) < interval_ns {
            return None;
        }
        self.told_ns = at;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// The stamps told when asked every 50 ms, milliseconds.
    fn asked(clock: &mut PauseClock, from_ms: i64, to_ms: i64) -> Vec<i64> {
        let times = (from_ms..=to_ms).step_by(50);
        times.filter_map(|t| clock.due(t * MS)).map(|stamp_ns| stamp_ns / MS).collect()
    }

    #[test]
    fn a_pause_begins_a_second_after_the_last_frame_and_is_told_at_its_interval() {
        let mut clock = PauseClock::new(Some(200 * MS));
        assert!(asked(&mut clock, 0, 5_000).is_empty(), "no frame yet: nothing says what the time is");
        clock.frame(10_000 * MS, Some(500 * MS));
        assert_eq!(asked(&mut clock, 500, 2_000), [11_000, 11_200, 11_400]);
        clock.frame(11_600 * MS, Some(2_100 * MS));
        assert_eq!(asked(&mut clock, 2_100, 3_100), [12_600]);
    }

    #[test]
    fn a_time_when_nobody_asked_is_no_pause() {
        let mut clock = PauseClock::new(Some(200 * MS));
        clock.frame(10_000 * MS, Some(500 * MS));
        assert!(asked(&mut clock, 3_000, 3_900).is_empty());
        assert_eq!(asked(&mut clock, 3_950, 4_000), [13_500]);
    }

    #[test]
    fn a_recorded_video_never_pauses() {
        let mut clock = PauseClock::new(Some(1));
        clock.frame(0, None);
        assert_eq!(clock.due(i64::MAX), None);
    }
}
