//! How many of the fixes of late the filter used: a track whose fixes are nearly all refused is not made by them.

/// So many fixes are looked back at.
const LOOKED_AT: u32 = 8;
/// Nearly all are refused when so few of them were used.
const FEW: u32 = 2;

/// The fixes of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Offers {
    /// A bit for each of the latest, set where it was used.
    used: u8,
    /// All that came, up to as many as are looked at.
    count: u32,
}

impl Offers {
    /// Takes note of a fix.
    pub fn note(&mut self, used: bool) {
        self.used = (self.used << 1) | u8::from(used);
        self.count = (self.count + 1).min(LOOKED_AT);
    }

    /// Whether nearly all of late were refused.
    pub fn are_refused(&self) -> bool {
        self.count == LOOKED_AT && self.used.count_ones() <= FEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_four_is_nearly_none_and_a_few_in_a_row_are_enough_again() {
        let mut offers = Offers::default();
        (0..7).for_each(|_| offers.note(false));
        assert!(!offers.are_refused(), "too few to tell");
        for k in 0..40 {
            offers.note(k % 4 == 0);
            assert!(offers.are_refused());
        }
        (0..2).for_each(|_| offers.note(true));
        assert!(!offers.are_refused());
        (0..8).for_each(|k| offers.note(k % 2 == 0));
        assert!(!offers.are_refused());
    }
}
