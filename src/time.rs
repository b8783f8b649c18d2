//! Time is event time: signed nanoseconds of a stated clock, carried in the message as the time of validity.

/// Nanoseconds in a second.
pub const NANOS_PER_SEC: i64 = 1_000_000_000;

/// Seconds from `earlier` to `later`.
pub fn seconds_between(earlier_ns: i64, later_ns: i64) -> f64 {
    // The difference of two stamps of one flight fits in 53 bits: 104 days.
    later_ns.saturating_sub(earlier_ns) as f64 / NANOS_PER_SEC as f64
}

/// Nanoseconds of a duration in seconds, rounded to the nearest.
pub fn nanos_from_seconds(seconds: f64) -> i64 {
    (seconds * NANOS_PER_SEC as f64).round() as i64
}
