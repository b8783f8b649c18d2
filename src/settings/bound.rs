//! What a setting may be.

use std::fmt;

/// The range of a number, or of each number of a list. Numbers that are not finite are outside of every range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Any finite number; the bound of what is no number.
    Any,
    /// Above 0.
    Positive,
    /// From here on.
    AtLeast(f64),
    /// Between these two, both included.
    Within(f64, f64),
    /// Above the first, below the second.
    Between(f64, f64),
}

impl Bound {
    /// Whether a number lies inside.
    pub fn holds(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Any => true,
                Self::Positive => value > 0.0,
                Self::AtLeast(low) => value >= low,
                Self::Within(low, high) => value >= low && value <= high,
                Self::Between(low, high) => value > low && value < high,
            }
    }
}

impl fmt::Display for Bound {
    /// What to give: "a positive number".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => write!(f, "a number"),
            Self::Positive => write!(f, "a positive number"),
            Self::AtLeast(low) => write!(f, "{low} or more"),
            Self::Within(low, high) => write!(f, "{low} to {high}"),
            Self::Between(low, high) => write!(f, "more than {low} and less than {high}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bound;

    #[test]
    fn a_bound_holds_what_it_says_and_nothing_that_is_no_number() {
        let bounds = [Bound::Any, Bound::Positive, Bound::AtLeast(1.0), Bound::Within(1.0, 64.0), Bound::Between(0.0, 90.0)];
        let held = |value: f64| bounds.map(|b| b.holds(value));
        assert_eq!(held(0.0), [true, false, false, false, false]);
        assert_eq!(held(1.0), [true; 5]);
        assert_eq!(held(64.0), [true; 5]);
        assert_eq!(held(90.0), [true, true, true, false, false]);
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(held), [[false; 5]; 3]);
        assert_eq!(Bound::Within(1.0, 64.0).to_string(), "1 to 64");
    }
}
