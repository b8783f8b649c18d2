//! The one place where telemetry waits for frames: whatever order samples come in, a frame takes those up to its stamp, once.

use std::collections::VecDeque;

use crate::geo::heading_pitch_roll;
use crate::time::{NANOS_PER_SEC, nanos_from_seconds, seconds_between};
use crate::types::{
    AttitudeSample, BarometerSample, Estimate, GnssSample, HeadingSample, HeightSample, ImuSample, Known, LandedSample,
    Plausible, Refusals, Sample, TelemetryBatch, TelemetrySample, telemetry_kinds,
};

/// A sample further than this from a frame says nothing of it.
const MAX_SAMPLE_AGE_NS: i64 = NANOS_PER_SEC;
/// Samples of a kind kept for each second of the limit: twice the rate of the fastest inertial sensors of autopilots.
const MAX_RATE_HZ: f64 = 4_000.0;

/// What became of the samples that were pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct TelemetryCounters {
    /// Taken in.
    pub accepted: u64,
    /// Refused: the same sample was there before.
    pub duplicates: u64,
    /// Refused: another sample of this kind has the same stamp.
    pub contradictory: u64,
    /// Refused: a frame with a later stamp has gone already.
    pub late: u64,
    /// Refused by kind: what no sensor can measure, or a stamp that is none of this flight.
    pub implausible: Refusals,
    /// Dropped before any frame took them: the buffer was full.
    pub overflowed: u64,
}

impl TelemetryCounters {
    /// Those of both.
    pub fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            duplicates: self.duplicates + other.duplicates,
            contradictory: self.contradictory + other.contradictory,
            late: self.late + other.late,
            implausible: self.implausible.plus(other.implausible),
            overflowed: self.overflowed + other.overflowed,
        }
    }
}

enum Insertion {
    Accepted,
    Duplicate,
    Contradictory,
    Late,
}

/// Samples of one kind in order of time: the first `taken` were handed out and are kept for interpolation only.
struct Lane<T> {
    samples: VecDeque<T>,
    taken: usize,
}

impl<T: Sample> Lane<T> {
    fn new() -> Self {
        Self { samples: VecDeque::new(), taken: 0 }
    }

    fn insert(&mut self, sample: T, taken_until_ns: Option<i64>) -> Insertion {
        let stamp = sample.stamp_ns();
        // Nearly all samples come in order.
        let at = match self.samples.back() {
            Some(last) if last.stamp_ns() >= stamp => self.samples.partition_point(|s| s.stamp_ns() < stamp),
            _ => self.samples.len(),
        };
        match self.samples.get(at).filter(|s| s.stamp_ns() == stamp) {
            Some(same) if *same == sample => return Insertion::Duplicate,
            _ if taken_until_ns.is_some_and(|until| stamp <= until) => return Insertion::Late,
            Some(_) => return Insertion::Contradictory,
            None => {}
        }
        self.samples.insert(at, sample);
        Insertion::Accepted
    }

    fn ahead(&self, until_ns: i64) -> Vec<T> {
        let end = self.samples.partition_point(|s| s.stamp_ns() <= until_ns).max(self.taken);
        self.samples.range(self.taken..end).copied().collect()
    }

    fn take(&mut self, until_ns: i64) -> Vec<T> {
        let out = self.ahead(until_ns);
        self.taken += out.len();
        out
    }

    /// Takes out what no frame has taken and lies before a stamp; returns how many.
    fn refuse_before(&mut self, stamp_ns: i64) -> u64 {
        let end = self.samples.partition_point(|s| s.stamp_ns() < stamp_ns).max(self.taken);
        self.samples.drain(self.taken..end).count() as u64
    }

    /// Forgets what lies before a stamp or above a count; returns how many no frame had taken.
    fn forget(&mut self, before_ns: i64, most: usize) -> u64 {
        let mut lost = 0;
        while self.samples.len() > most || self.samples.front().is_some_and(|s| s.stamp_ns() < before_ns) {
            self.samples.pop_front();
            if self.taken > 0 { self.taken -= 1 } else { lost += 1 }
        }
        lost
    }

    /// The samples on either side of a stamp and how far between them it lies, 0..1.
    fn around(&self, stamp_ns: i64) -> Option<(&T, &T, f64)> {
        let after = self.samples.partition_point(|s| s.stamp_ns() < stamp_ns);
        let near = |s: &&T| s.stamp_ns().abs_diff(stamp_ns) <= MAX_SAMPLE_AGE_NS.unsigned_abs();
        let before = after.checked_sub(1).and_then(|i| self.samples.get(i)).filter(near);
        match (before, self.samples.get(after).filter(near)) {
            (Some(a), Some(b)) => {
                let (from, to) = (a.stamp_ns(), b.stamp_ns());
                Some((a, b, seconds_between(from, stamp_ns) / seconds_between(from, to).max(1e-9)))
            }
            (Some(a), None) | (None, Some(a)) => Some((a, a, 0.0)),
            (None, None) => None,
        }
    }
}

macro_rules! lanes {
    ($($(#[$doc:meta])* $list:ident: $kind:ident($sample:ident),)*) => {
        /// A lane for each kind of sample.
        struct Lanes {
            $($list: Lane<$sample>,)*
        }

        impl Lanes {
            fn new() -> Self {
                Self { $($list: Lane::new(),)* }
            }

            fn insert(&mut self, sample: TelemetrySample, taken_until_ns: Option<i64>) -> Insertion {
                match sample {
                    $(TelemetrySample::$kind(s) => self.$list.insert(s, taken_until_ns),)*
                }
            }

            fn take(&mut self, until_ns: i64) -> TelemetryBatch {
                TelemetryBatch { $($list: self.$list.take(until_ns),)* }
            }

            fn ahead(&self, until_ns: i64) -> TelemetryBatch {
                TelemetryBatch { $($list: self.$list.ahead(until_ns),)* }
            }

            fn refuse_before(&mut self, stamp_ns: i64) -> Refusals {
                Refusals { $($list: self.$list.refuse_before(stamp_ns),)* }
            }

            fn forget(&mut self, before_ns: i64, most: usize) -> u64 {
                [$(self.$list.forget(before_ns, most)),*].iter().sum()
            }
        }
    };
}
telemetry_kinds!(lanes);

/// Telemetry that no frame has taken yet, and the second before the last frame, for interpolation.
///
/// ```
/// use skyfix::source::TelemetryBuffer;
/// use skyfix::types::{HeightSample, TelemetrySample};
///
/// let mut buffer = TelemetryBuffer::new(10.0);
/// for (stamp_ns, height_agl_m) in [(200_000_000, 102.0), (0, 100.0)] {
///     buffer.push(TelemetrySample::Height(HeightSample { stamp_ns, height_agl_m, sigma_m: 1.0 }));
/// }
/// let (batch, known) = buffer.take(100_000_000);
/// assert_eq!(batch.height.len(), 1);
/// assert_eq!(known.height_agl_m.map(|h| h.value), Some(101.0));
/// ```
pub struct TelemetryBuffer {
    door: Plausible,
    limit_ns: i64,
    most: usize,
    taken_until_ns: Option<i64>,
    latest_ns: Option<i64>,
    lanes: Lanes,
    counters: TelemetryCounters,
}

impl TelemetryBuffer {
    /// A buffer that keeps what is at most `limit_s` older than the newest sample, and at most 4000 samples of a kind for each
    /// second of it; what a frame had not taken by then is dropped and counted.
    pub fn new(limit_s: f64) -> Self {
        // At least the second that interpolation looks back.
        let limit_s = limit_s.max(1.0);
        Self {
            door: Plausible::default(),
            limit_ns: nanos_from_seconds(limit_s),
            most: (limit_s * MAX_RATE_HZ) as usize,
            taken_until_ns: None,
            latest_ns: None,
            lanes: Lanes::new(),
            counters: TelemetryCounters::default(),
        }
    }

    /// A buffer with all telemetry of a recording: as large as that. What no sensor can measure does not get in.
    pub fn of_recording(telemetry: &TelemetryBatch, door: Plausible) -> Self {
        let mut buffer = Self { door, ..Self::new(f64::INFINITY) };
        telemetry.samples().for_each(|sample| buffer.push(sample));
        buffer
    }

    /// The same buffer with another door.
    pub fn with_door(self, door: Plausible) -> Self {
        Self { door, ..self }
    }

    /// Whether a stamp lies so far ahead of all frames and samples that it is none of this flight: one such sample would have a buffer with
    /// a limit drop everything that is right. The stamps of live telemetry count from about 0.
    fn is_far_ahead(&self, stamp_ns: i64) -> bool {
        let here_ns = self.latest_ns.max(self.taken_until_ns).unwrap_or(0);
        self.limit_ns < i64::MAX && stamp_ns.saturating_sub(here_ns) > nanos_from_seconds(self.door.stamp_lead_s)
    }

    /// Sorts a sample in, or refuses it and counts why.
    pub fn push(&mut self, sample: TelemetrySample) {
        if !self.door.sample(&sample) || self.is_far_ahead(sample.stamp_ns()) {
            self.counters.implausible.count(&sample);
            return;
        }
        match self.lanes.insert(sample, self.taken_until_ns) {
            Insertion::Accepted => {
                self.counters.accepted += 1;
                self.latest_ns = self.latest_ns.max(Some(sample.stamp_ns()));
                // A recording's buffer has no limit: nothing is too old, wherever the latest stamp lies.
                let limited = self.latest_ns.filter(|_| self.limit_ns < i64::MAX);
                let oldest = limited.map_or(i64::MIN, |latest| latest.saturating_sub(self.limit_ns));
                self.counters.overflowed += self.forget(oldest);
            }
            Insertion::Duplicate => self.counters.duplicates += 1,
            Insertion::Contradictory => self.counters.contradictory += 1,
            Insertion::Late => self.counters.late += 1,
        }
    }

    /// Stamp of the newest sample that was taken in, nanoseconds.
    pub fn latest_stamp_ns(&self) -> Option<i64> {
        self.latest_ns
    }

    /// The samples up to a frame's stamp that no frame before has taken, and what is known at the stamp. Frames come in order of
    /// time: one whose stamp lies before an earlier frame's finds no samples, and is known by what is left of the second before.
    pub fn take(&mut self, stamp_ns: i64) -> (TelemetryBatch, Known) {
        let oldest_ns = stamp_ns.saturating_sub(nanos_from_seconds(self.door.stamp_age_s));
        self.counters.implausible = self.counters.implausible.plus(self.lanes.refuse_before(oldest_ns));
        let known = self.known_at(stamp_ns);
        let batch = self.lanes.take(stamp_ns);
        let until = self.taken_until_ns.map_or(stamp_ns, |until| until.max(stamp_ns));
        self.taken_until_ns = Some(until);
        // Handed out and too old to interpolate a later frame: nothing that a frame still waits for.
        self.forget(until.saturating_sub(MAX_SAMPLE_AGE_NS));
        (batch, known)
    }

    /// The samples up to a stamp that [`TelemetryBuffer::take`] would give, left where they are.
    pub fn ahead(&self, stamp_ns: i64) -> TelemetryBatch {
        self.lanes.ahead(stamp_ns)
    }

    /// What telemetry says at a stamp: interpolated between neighbours, absent when the nearest is over a second away.
    pub fn known_at(&self, stamp_ns: i64) -> Known {
        let height = self.lanes.height.around(stamp_ns).map(|(a, b, t)| Estimate {
            value: a.height_agl_m + t * (b.height_agl_m - a.height_agl_m),
            sigma: a.sigma_m.max(b.sigma_m),
        });
        let heading = self.lanes.heading.around(stamp_ns).map(|(a, b, t)| {
            let turn = crate::geo::turn_between(a.heading_rad, b.heading_rad);
            Estimate { value: a.heading_rad + t * turn, sigma: a.sigma_rad.max(b.sigma_rad) }
        });
        let attitude = self
            .lanes
            .attitude
            .around(stamp_ns)
            .map(|(a, b, t)| (heading_pitch_roll(&a.enu_from_body.slerp(&b.enu_from_body, t)), a.sigma_rad));
        Known {
            height_agl_m: height.filter(|h| h.value > 1.0),
            heading_rad: heading.or(attitude.map(|((value, _, _), sigma)| Estimate { value, sigma })),
            pitch_roll_rad: attitude.map(|((_, pitch, roll), _)| (pitch, roll)),
        }
    }

    /// What became of the samples so far.
    pub fn counters(&self) -> TelemetryCounters {
        self.counters
    }

    fn forget(&mut self, before_ns: i64) -> u64 {
        self.lanes.forget(before_ns, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn height(stamp_ns: i64, height_agl_m: f64) -> TelemetrySample {
        TelemetrySample::Height(HeightSample { stamp_ns, height_agl_m, sigma_m: 1.0 })
    }

    fn heights(buffer: &mut TelemetryBuffer, stamp_ns: i64) -> Vec<i64> {
        buffer.take(stamp_ns).0.height.iter().map(|s| s.stamp_ns).collect()
    }

    #[test]
    fn telemetry_is_interpolated_near_a_frame_and_absent_far_from_it() {
        let tenths = |t: i64| t * NANOS_PER_SEC / 10;
        let mut buffer = TelemetryBuffer::new(10.0);
        buffer.push(height(tenths(0), 100.0));
        buffer.push(height(tenths(10), 110.0));
        let mut at = |t: i64| buffer.take(tenths(t)).1.height_agl_m.map(|h| h.value);
        assert_eq!(at(5), Some(105.0));
        assert_eq!(at(15), Some(110.0));
        assert_eq!(at(25), None);
    }

    #[test]
    fn every_sample_goes_to_exactly_one_frame() {
        let mut buffer = TelemetryBuffer::new(10.0);
        (0..10).for_each(|t| buffer.push(height(t, 5.0)));
        let taken: Vec<usize> = [3, 3, 7, 5].iter().map(|t| heights(&mut buffer, *t).len()).collect();
        assert_eq!(taken, [4, 0, 4, 0]);
    }

    #[test]
    fn a_sample_that_a_frame_has_passed_is_late_and_one_that_came_twice_a_duplicate() {
        let mut buffer = TelemetryBuffer::new(10.0);
        [20, 10, 10, 30].iter().for_each(|t| buffer.push(height(*t, 5.0)));
        assert_eq!(heights(&mut buffer, 20), [10, 20]);
        buffer.push(height(15, 5.0));
        buffer.push(height(10, 5.0));
        buffer.push(height(30, 6.0));
        let expected = TelemetryCounters { accepted: 3, duplicates: 2, contradictory: 1, late: 1, ..Default::default() };
        assert_eq!(buffer.counters(), expected);
        assert_eq!(heights(&mut buffer, 40), [30]);
    }

    #[test]
    fn what_no_frame_takes_is_dropped_at_the_limit_and_counted() {
        let mut buffer = TelemetryBuffer::new(2.0);
        (0..5).for_each(|t| buffer.push(height(t * NANOS_PER_SEC, 5.0)));
        assert_eq!(buffer.counters().overflowed, 2);
        assert_eq!(heights(&mut buffer, 5 * NANOS_PER_SEC).len(), 3);
    }

    #[test]
    fn a_flood_at_one_stamp_and_a_stamp_at_the_end_of_time_are_survived() {
        let mut buffer = TelemetryBuffer::new(1.0);
        (0..10_000).for_each(|t| buffer.push(height(t, 5.0)));
        assert_eq!(buffer.counters().overflowed, 6_000);
        buffer.push(height(i64::MAX, 5.0));
        buffer.push(height(i64::MIN, 5.0));
        buffer.take(i64::MIN);
        buffer.take(0);
        buffer.take(i64::MAX);
    }

    #[test]
    fn a_stamp_that_is_none_of_the_flight_is_refused_and_costs_nothing_else() {
        let mut live = TelemetryBuffer::new(10.0);
        (0..5).for_each(|t| live.push(height(t * NANOS_PER_SEC, 5.0)));
        live.push(height(1_000_000 * NANOS_PER_SEC, 5.0));
        assert_eq!((live.counters().accepted, live.counters().implausible.height), (5, 1));
        assert_eq!(heights(&mut live, 4 * NANOS_PER_SEC).len(), 5);
        let samples = [i64::MIN, -100_000 * NANOS_PER_SEC, NANOS_PER_SEC, i64::MAX];
        let of = |stamp_ns| HeightSample { stamp_ns, height_agl_m: 5.0, sigma_m: 1.0 };
        let telemetry = TelemetryBatch { height: samples.map(of).to_vec(), ..Default::default() };
        let mut recorded = TelemetryBuffer::of_recording(&telemetry, Plausible::default());
        assert_eq!(heights(&mut recorded, 2 * NANOS_PER_SEC), [NANOS_PER_SEC]);
        assert_eq!(recorded.counters().implausible, Refusals { height: 2, ..Default::default() });
    }

    #[test]
    fn what_is_no_number_never_gets_in() {
        let mut buffer = TelemetryBuffer::new(1.0);
        buffer.push(height(0, f64::NAN));
        buffer.push(TelemetrySample::Height(HeightSample { stamp_ns: 0, height_agl_m: 1.0, sigma_m: 0.0 }));
        buffer.push(TelemetrySample::Heading(HeadingSample { stamp_ns: 0, heading_rad: 0.0, sigma_rad: f64::INFINITY }));
        let implausible = Refusals { height: 2, heading: 1, ..Default::default() };
        assert_eq!(buffer.counters(), TelemetryCounters { implausible, ..Default::default() });
        assert_eq!(buffer.latest_stamp_ns(), None);
    }

    /// The search in the whole recording that the buffer replaced: height at a stamp, and the stamps that a frame takes.
    fn oracle(samples: &[HeightSample], from_ns: i64, stamp_ns: i64) -> (Option<Estimate>, Vec<i64>) {
        let after = samples.partition_point(|s| s.stamp_ns < stamp_ns);
        let near = |s: &&HeightSample| (s.stamp_ns - stamp_ns).abs() <= NANOS_PER_SEC;
        let before = after.checked_sub(1).and_then(|i| samples.get(i)).filter(near);
        let estimate = |a: &HeightSample, b: &HeightSample, t: f64| Estimate {
            value: a.height_agl_m + t * (b.height_agl_m - a.height_agl_m),
            sigma: a.sigma_m.max(b.sigma_m),
        };
        let height = match (before, samples.get(after).filter(near)) {
            (Some(a), Some(b)) => {
                let t = seconds_between(a.stamp_ns, stamp_ns) / seconds_between(a.stamp_ns, b.stamp_ns).max(1e-9);
                Some(estimate(a, b, t))
            }
            (Some(a), None) | (None, Some(a)) => Some(estimate(a, a, 0.0)),
            (None, None) => None,
        };
        let taken = samples.iter().map(|s| s.stamp_ns).filter(|t| *t > from_ns && *t <= stamp_ns).collect();
        (height.filter(|h| h.value > 1.0), taken)
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_changes_nothing_while_it_is_within_the_frame(
            order in Just((0..40i64).collect::<Vec<_>>()).prop_shuffle(),
            repeated in proptest::collection::vec(0..40i64, 0..10),
        ) {
            let stamp = |t: i64| t * NANOS_PER_SEC / 10;
            let sample = |t: i64| height(stamp(t), 50.0 + t as f64);
            let (mut sorted, mut shuffled) = (TelemetryBuffer::new(10.0), TelemetryBuffer::new(10.0));
            (0..40).for_each(|t| sorted.push(sample(t)));
            order.iter().chain(&repeated).for_each(|t| shuffled.push(sample(*t)));
            prop_assert_eq!(shuffled.counters().duplicates, repeated.len() as u64);
            for t in [-3, 0, 7, 7, 21, 45] {
                prop_assert_eq!(sorted.take(stamp(t) + 3), shuffled.take(stamp(t) + 3));
            }
        }

        #[test]
        fn differential_a_frame_gets_what_a_search_in_the_whole_recording_finds(
            gaps_ms in proptest::collection::vec(1..2_500i64, 1..40),
            frame_gaps_ms in proptest::collection::vec(0..1_500i64, 1..40),
        ) {
            let mut stamp_ns = 0;
            let samples: Vec<HeightSample> = gaps_ms
                .iter()
                .map(|gap| {
                    stamp_ns += gap * 1_000_000;
                    HeightSample { stamp_ns, height_agl_m: (stamp_ns / 7_000_000 % 90) as f64, sigma_m: 1.0 + *gap as f64 }
                })
                .collect();
            let telemetry = TelemetryBatch { height: samples.clone(), ..Default::default() };
            let mut buffer = TelemetryBuffer::of_recording(&telemetry, Plausible::default());
            let (mut frame_ns, mut from_ns) = (-500_000_000, i64::MIN);
            for gap in frame_gaps_ms {
                frame_ns += gap * 1_000_000;
                let (batch, known) = buffer.take(frame_ns);
                let (height, taken) = oracle(&samples, from_ns, frame_ns);
                prop_assert_eq!(known.height_agl_m, height);
                prop_assert_eq!(batch.height.iter().map(|s| s.stamp_ns).collect::<Vec<_>>(), taken);
                from_ns = frame_ns;
            }
        }
    }
}
