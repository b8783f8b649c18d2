//! What went wrong with what came in: counted for the summary, and told at its first time, for whoever flies does not read counters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::buffer::TelemetryCounters;
use super::telemetry::StreamCounters;
use crate::time::{NANOS_PER_SEC, seconds_between};
use crate::types::{TelemetryBatch, telemetry_kinds};

/// A kind of telemetry that is not there for so long is silent, nanoseconds, unless it comes that seldom anyway.
const SILENT_NS: i64 = 2 * NANOS_PER_SEC;
/// A kind is silent when it stays away for so many of its usual intervals.
const SILENT_INTERVALS: i64 = 10;

/// What happened to telemetry on its way in.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct TelemetryHealth {
    /// Of a live link: from datagrams to samples.
    pub link: Option<StreamCounters>,
    /// From samples to frames.
    pub samples: TelemetryCounters,
    /// How often a kind that had come stayed away, by kind.
    pub silences: BTreeMap<&'static str, u64>,
}

/// Pictures of a video that were lost or could not be used. Those that a live source overtook or a frame rate left out are no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub struct VideoHealth {
    /// Encoded, before the first key frame.
    pub before_keyframe: u64,
    /// Encoded, between a loss of others and the next key frame.
    pub after_loss: u64,
    /// Of a recording, not in its file any more.
    pub missing: u64,
    /// Without a time.
    pub without_time: u64,
    /// Of a time that is not after that of the picture before.
    pub time_went_back: u64,
    /// Not recorded.
    pub not_recorded: u64,
}

/// What went wrong with what came in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IntakeHealth {
    /// Of telemetry.
    pub telemetry: TelemetryHealth,
    /// Of a video, where there is one.
    pub video: Option<VideoHealth>,
}

/// The same, for the source that counts and whoever writes it down.
#[derive(Clone, Debug, Default)]
pub struct SharedHealth(Arc<Mutex<IntakeHealth>>);

impl SharedHealth {
    /// What happened so far.
    pub fn now(&self) -> IntakeHealth {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug)]
struct Kind {
    last_ns: i64,
    /// Mean of the intervals of late; nothing after the first sample.
    interval_ns: Option<i64>,
    is_silent: bool,
}

/// Watches telemetry.
#[derive(Default)]
pub struct HealthWatch {
    shared: SharedHealth,
    kinds: BTreeMap<&'static str, Kind>,
    told: BTreeSet<&'static str>,
}

impl HealthWatch {
    /// What it counts into.
    pub fn shared(&self) -> SharedHealth {
        self.shared.clone()
    }

    /// Takes the counters of the ways in.
    pub fn counters(&mut self, link: Option<StreamCounters>, samples: TelemetryCounters) {
        let refused: u64 = samples.implausible.told().map(|(_, count)| count).sum();
        let of_link = link.unwrap_or_default();
        let faults = [
            ("refused because no sensor can measure that", refused),
            ("contradicted by another of the same time", samples.contradictory),
            ("late: a later frame had gone already", samples.late),
            ("dropped because no frame took it in time", samples.overflowed),
            ("malformed", of_link.malformed),
            ("lost on the way", of_link.lost),
            ("dropped because it came too fast", of_link.dropped),
            ("stamped by a clock that jumped", of_link.clock_resets),
            ("not read: the link failed", of_link.read_errors),
        ];
        for (what, count) in faults {
            if count > 0 && self.told.insert(what) {
                tracing::warn!("telemetry was {what}; from now on this is counted only (`telemetry` of summary.json)");
            }
        }
        let mut health = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        (health.telemetry.link, health.telemetry.samples) = (link, samples);
    }

    /// Takes the counters of a video.
    #[cfg(any(test, feature = "gst"))]
    pub fn video(&mut self, video: VideoHealth) {
        let faults = [
            ("left out: they follow a loss, and the next key frame is still to come", video.after_loss),
            ("missing from the file, which is damaged; those after them are told by their times", video.missing),
            ("left out: they have no time", video.without_time),
            ("left out: their time went back", video.time_went_back),
            ("not recorded", video.not_recorded),
        ];
        for (what, count) in faults {
            if count > 0 && self.told.insert(what) {
                tracing::warn!("pictures of the video are {what}; from now on this is counted only (`video` of summary.json)");
            }
        }
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).video = Some(video);
    }

    fn kind(&mut self, kind: &'static str, until_ns: i64, stamps: impl Iterator<Item = i64>) {
        let mut stamps = stamps.peekable();
        let mut state = match (self.kinds.get(kind), stamps.peek()) {
            (Some(state), _) => *state,
            (None, Some(first_ns)) => Kind { last_ns: *first_ns, interval_ns: None, is_silent: false },
            (None, None) => return,
        };
        for stamp_ns in stamps {
            let interval_ns = stamp_ns.saturating_sub(state.last_ns);
            if interval_ns <= 0 {
                continue;
            }
            self.silence(kind, &mut state, stamp_ns);
            if !std::mem::replace(&mut state.is_silent, false) {
                let mean = state.interval_ns.unwrap_or(interval_ns);
                state.interval_ns = Some(mean.saturating_add(interval_ns.saturating_sub(mean) / SILENT_INTERVALS));
            }
            state.last_ns = stamp_ns;
        }
        self.silence(kind, &mut state, until_ns);
        self.kinds.insert(kind, state);
    }

    /// Counts a silence that begins before a stamp.
    fn silence(&mut self, kind: &'static str, state: &mut Kind, stamp_ns: i64) {
        let Some(usual_ns) = state.interval_ns.filter(|_| !state.is_silent) else { return };
        let limit_ns = SILENT_NS.max(usual_ns.saturating_mul(SILENT_INTERVALS));
        if stamp_ns.saturating_sub(state.last_ns) <= limit_ns {
            return;
        }
        state.is_silent = true;
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).telemetry.silences.entry(kind).or_default() += 1;
        if self.told.insert(kind) {
            let seconds = seconds_between(state.last_ns, stamp_ns);
            tracing::warn!(
                "telemetry: no {kind} for {seconds:.1} s; from now on this is counted only (`telemetry` of summary.json)"
            );
        }
    }
}

macro_rules! watched {
    ($($(#[$doc:meta])* $list:ident: $kind:ident($sample:ident),)*) => {
        impl HealthWatch {
            /// Takes the telemetry up to a stamp.
            pub fn telemetry(&mut self, until_ns: i64, batch: &TelemetryBatch) {
                $(self.kind(stringify!($list), until_ns, batch.$list.iter().map(|s| s.stamp_ns));)*
            }
        }
    };
}
telemetry_kinds!(watched);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{HeightSample, ImuSample};

    const MS: i64 = 1_000_000;

    fn imu(stamps_ms: impl Iterator<Item = i64>) -> TelemetryBatch {
        let sample = |ms: i64| ImuSample { stamp_ns: ms * MS, gyro_rad_s: Default::default(), accel_m_s2: Default::default() };
        TelemetryBatch { imu: stamps_ms.map(sample).collect(), ..TelemetryBatch::default() }
    }

    fn silences(watch: &HealthWatch) -> Vec<(&'static str, u64)> {
        watch.shared().now().telemetry.silences.into_iter().collect()
    }

    #[test]
    fn an_imu_that_stays_away_is_silent_once_until_it_comes_back_and_stays_away_again() {
        let mut watch = HealthWatch::default();
        for frame in 0..4 {
            watch.telemetry(frame * 1000 * MS, &imu((0..1000).step_by(10).map(|ms| (frame - 1) * 1000 + ms)));
        }
        assert!(silences(&watch).is_empty());
        (4..9).for_each(|frame| watch.telemetry(frame * 1000 * MS, &TelemetryBatch::default()));
        assert_eq!(silences(&watch), [("imu", 1)]);
        // A gap within what one frame takes is one, too.
        watch.telemetry(20_000 * MS, &imu((9_000..9_500).step_by(10).chain((19_500..20_000).step_by(10))));
        assert_eq!(silences(&watch), [("imu", 2)]);
    }

    #[test]
    fn a_kind_that_comes_seldom_is_not_silent_in_between_and_one_that_never_came_is_none() {
        let mut watch = HealthWatch::default();
        for second in (0..60).step_by(3) {
            let sample = HeightSample { stamp_ns: second * 1000 * MS, height_agl_m: 100.0, sigma_m: 1.0 };
            watch.telemetry((second + 2) * 1000 * MS, &TelemetryBatch { height: vec![sample], ..TelemetryBatch::default() });
        }
        assert!(silences(&watch).is_empty());
        watch.telemetry(200_000 * MS, &TelemetryBatch::default());
        assert_eq!(silences(&watch), [("height", 1)]);
    }

    #[test]
    fn counters_are_there_for_whoever_writes_them_down() {
        let mut watch = HealthWatch::default();
        let shared = watch.shared();
        let link = StreamCounters { malformed: 3, ..StreamCounters::default() };
        watch.counters(Some(link), TelemetryCounters { late: 2, ..TelemetryCounters::default() });
        let telemetry = shared.now().telemetry;
        assert_eq!((telemetry.link, telemetry.samples.late), (Some(link), 2));
        assert_eq!((watch.told.len(), shared.now().video), (2, None));
        let json = serde_json::to_value(telemetry).unwrap();
        assert_eq!((&json["link"]["malformed"], &json["samples"]["late"]), (&3.into(), &2.into()));
        let video = VideoHealth { after_loss: 4, before_keyframe: 1, ..VideoHealth::default() };
        watch.video(video);
        assert_eq!((watch.told.len(), shared.now().video), (3, Some(video)), "a stream that is joined midway is no fault");
    }
}
