//! Fixes that are kept from the filter, to measure what it is worth without them.

use std::fmt;

use crate::settings::written_as_text;

/// Every so many-th frame, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withhold {
    every: u64,
    phase: u64,
}

impl Withhold {
    /// Whether a frame is one of them.
    pub fn holds(self, frame: u64) -> bool {
        frame % self.every == self.phase
    }
}

impl fmt::Display for Withhold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.every, self.phase)
    }
}

written_as_text!(Withhold);

impl std::str::FromStr for Withhold {
    type Err = String;

    /// Reads `EVERY:PHASE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(':').and_then(|(every, phase)| Some((every.parse().ok()?, phase.parse().ok()?)));
        let (every, phase) = numbers.filter(|(every, phase)| phase < every).ok_or_else(|| {
            format!(
                "'{text}': write EVERY:PHASE with a phase from 0 to EVERY − 1, such as 3:0 for the first of every three fixes"
            )
        })?;
        Ok(Self { every, phase })
    }
}
