//! When positions of GNSS are taken.

use std::fmt;

use crate::settings::written_as_text;
use crate::time::nanos_from_seconds;

/// When positions of GNSS are taken: skyfix is for when they cannot be, so never unless it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GnssUse {
    /// Never.
    #[default]
    Off,
    /// From the first sample on for so many nanoseconds.
    First(i64),
    /// Always.
    On,
}

impl std::str::FromStr for GnssUse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<f64>()) {
            ("off", _) => Ok(Self::Off),
            ("on", _) => Ok(Self::On),
            (_, Ok(seconds)) if seconds > 0.0 && seconds <= 1e6 => Ok(Self::First(nanos_from_seconds(seconds))),
            _ => Err(format!("'{text}': write off, on, or for how many seconds from its first position on")),
        }
    }
}

impl fmt::Display for GnssUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::First(span_ns) => write!(f, "{}", *span_ns as f64 / 1e9),
            Self::On => f.write_str("on"),
        }
    }
}

written_as_text!(GnssUse);

impl GnssUse {
    /// Whether a position is taken whose stamp lies so far after the first one's, nanoseconds.
    pub(super) fn takes(self, age_ns: i64) -> bool {
        match self {
            Self::Off => false,
            Self::First(span_ns) => age_ns <= span_ns,
            Self::On => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for text in ["off", "on", "60", "0.25", "12.3456789"] {
            assert_eq!(text.parse::<GnssUse>().map(|g| g.to_string()), Ok(text.to_owned()));
        }
        assert!(["", "yes", "0", "-3", "inf", "NaN"].iter().all(|text| text.parse::<GnssUse>().is_err()));
    }
}
