//! When points of the track between frames are due.

/// A gap of more points is no outage but the time between two flights.
const MAX_POINTS: i64 = 20_000;

/// Stamps at a fixed interval from the first frame on.
#[derive(Clone)]
pub(super) struct Grid {
    /// At least 1, nanoseconds.
    interval_ns: i64,
    /// The first stamp that is still to come; none before the first frame.
    next_ns: Option<i64>,
}

impl Grid {
    /// A grid that the first frame begins.
    pub fn new(interval_ns: i64) -> Self {
        Self { interval_ns: interval_ns.max(1), next_ns: None }
    }

    /// A stamp so many intervals on.
    fn after(&self, stamp_ns: i64, intervals: i64) -> i64 {
        stamp_ns.saturating_add(intervals.saturating_mul(self.interval_ns))
    }

    /// The stamps before this one, each given once; of a gap that is no outage only the last.
    pub fn due_before(&mut self, stamp_ns: i64) -> Vec<i64> {
        let Some(mut next) = self.next_ns else { return Vec::new() };
        let due = stamp_ns.saturating_sub(next) / self.interval_ns;
        if due > MAX_POINTS {
            next = self.after(next, due);
        }
        let mut stamps = Vec::new();
        while next < stamp_ns {
            stamps.push(next);
            next = self.after(next, 1);
        }
        self.next_ns = Some(next);
        stamps
    }

    /// A frame: a stamp that coincides with it, or lies before it, is no longer due.
    pub fn frame(&mut self, stamp_ns: i64) {
        let next = self.next_ns.unwrap_or(stamp_ns);
        let passed = if next > stamp_ns { 0 } else { stamp_ns.saturating_sub(next) / self.interval_ns + 1 };
        self.next_ns = Some(self.after(next, passed));
    }
}
