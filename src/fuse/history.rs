//! Samples and measurements in any order: the filter's past of some seconds, to which it reverts when something comes late.
//!
//! Every sample and measurement is kept with the filter as it was before it. What comes late is put in its place, and everything after it
//! is taken again; the result is that of having had all of it in time, to the last bit, gates, states of the sources and counts included.

use std::collections::VecDeque;

use super::measurement::{Observation, Taken};
use super::navigator::{Navigator, Sampled};
use crate::types::{AidSourceKind, ImuSample};

/// Something that moves the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// An inertial sample.
    Imu(ImuSample),
    /// A measurement.
    Measured(Observation),
}

impl Event {
    /// Events of one stamp are taken in this order, however they come: the sample that leads there first.
    fn rank(&self) -> Option<AidSourceKind> {
        match self {
            Self::Imu(_) => None,
            Self::Measured(observation) => Some(observation.source()),
        }
    }
}

/// What the history did with an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placed {
    /// An inertial sample, taken.
    Sampled,
    /// A measurement, taken; see there.
    Measured(Taken),
    /// Its source has one of this stamp already.
    Repeated,
    /// Older than the history.
    TooOld,
    /// An inertial sample that holds what no sensor can measure.
    Invalid,
}

/// What became of events that were not taken, or taken late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct HistoryCounters {
    /// Came late, and were put in their place.
    pub late: u64,
    /// Older than the history: refused.
    pub too_old: u64,
    /// Of a stamp that their source had given already: refused.
    pub repeated: u64,
    /// Inertial samples that held what no sensor can measure: refused.
    pub invalid: u64,
}

struct Entry {
    stamp_ns: i64,
    event: Event,
    /// The filter before the event, at the stamp of the event before.
    before: Navigator,
}

/// A filter with its past.
pub struct History {
    span_ns: i64,
    entries: VecDeque<Entry>,
    now: Navigator,
    counters: HistoryCounters,
}

impl History {
    /// Around a filter; `span_ns` is how late something may come.
    pub fn new(navigator: Navigator, span_ns: i64) -> Self {
        Self { span_ns: span_ns.max(0), entries: VecDeque::new(), now: navigator, counters: HistoryCounters::default() }
    }

    /// The filter after everything so far, at the newest stamp of all.
    pub fn now(&self) -> &Navigator {
        &self.now
    }

    /// What was refused, and what came late.
    pub fn counters(&self) -> HistoryCounters {
        self.counters
    }

    /// The filter carried on to a stamp; nothing of it stays.
    pub fn at(&self, stamp_ns: i64) -> Navigator {
        let mut there = self.now.clone();
        there.advance(stamp_ns);
        there
    }

    /// Takes an inertial sample.
    pub fn imu(&mut self, sample: &ImuSample) -> Placed {
        self.place(sample.stamp_ns, Event::Imu(*sample))
    }

    /// Takes a measurement.
    pub fn measure(&mut self, stamp_ns: i64, observation: &Observation) -> Placed {
        self.place(stamp_ns, Event::Measured(*observation))
    }

    fn place(&mut self, stamp_ns: i64, event: Event) -> Placed {
        let key = (stamp_ns, event.rank());
        let at = self.entries.partition_point(|e| (e.stamp_ns, e.event.rank()) <= key);
        if at.checked_sub(1).and_then(|i| self.entries.get(i)).is_some_and(|e| (e.stamp_ns, e.event.rank()) == key) {
            self.counters.repeated += 1;
            return Placed::Repeated;
        }
        let before = match self.entries.get(at) {
            None => &self.now,
            Some(next) => &next.before,
        };
        if before.stamp_ns > stamp_ns {
            self.counters.too_old += 1;
            return Placed::TooOld;
        }
        let before = before.clone();
        if at < self.entries.len() {
            self.counters.late += 1;
            self.now = before.clone();
        }
        self.entries.insert(at, Entry { stamp_ns, event, before });
        let placed = take(&mut self.now, stamp_ns, &event);
        for entry in self.entries.iter_mut().skip(at + 1) {
            entry.before.clone_from(&self.now);
            take(&mut self.now, entry.stamp_ns, &entry.event);
        }
        match placed {
            Placed::Repeated => self.counters.repeated += 1,
            Placed::Invalid => self.counters.invalid += 1,
            _ => {}
        }
        let oldest_ns = self.now.stamp_ns.saturating_sub(self.span_ns);
        while self.entries.front().is_some_and(|e| e.stamp_ns < oldest_ns) {
            self.entries.pop_front();
        }
        placed
    }
}

fn take(navigator: &mut Navigator, stamp_ns: i64, event: &Event) -> Placed {
    match event {
        Event::Imu(sample) => match navigator.imu(sample) {
            Sampled::Used | Sampled::Ignored | Sampled::HeldBack => Placed::Sampled,
            Sampled::TimeWentBack => Placed::Repeated,
            Sampled::Invalid => Placed::Invalid,
        },
        Event::Measured(observation) => Placed::Measured(navigator.measure(stamp_ns, observation)),
    }
}

#[cfg(test)]
mod tests;
