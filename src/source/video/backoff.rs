//! How long to wait before the next attempt to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(8);

/// Exponential back-off: 0.25 s, doubled at each attempt, 8 s at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Counts an attempt, from 1, and says how long to wait before it.
    pub fn next_attempt(&mut self) -> (u32, Duration) {
        let doubled = FIRST.saturating_mul(1u32.checked_shl(self.attempts.min(16)).unwrap_or(u32::MAX));
        self.attempts = self.attempts.saturating_add(1);
        (self.attempts, doubled.min(LONGEST))
    }

    /// A frame came: the next failure starts again from the shortest wait.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_eight_seconds_and_start_again_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next_attempt().1.as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        backoff.reset();
        assert_eq!(backoff.next_attempt(), (1, FIRST));
        assert!((0..100_000).all(|_| backoff.next_attempt().1 <= LONGEST));
    }
}
