//! Loss, repetition and order of a sender's messages, by their sequence numbers of eight bits.

/// So many numbers in a row that all lie behind the newest are a sender that has begun anew.
const RESTART: u8 = 4;

/// What a message's number says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The next one, or a later one.
    New,
    /// One that had been missed.
    Late,
    /// One that was here before.
    Repeated,
}

/// The numbers of one sender.
pub(super) struct Sequence {
    newest: Option<u8>,
    missing: [bool; 256],
    lost: u64,
    /// Repeated numbers in a row, and the last of them.
    behind: (u8, u8),
}

impl Sequence {
    pub fn new() -> Self {
        Self { newest: None, missing: [false; 256], lost: 0, behind: (0, 0) }
    }

    /// Messages that have not arrived so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes note of a message.
    pub fn take(&mut self, number: u8) -> Arrival {
        let Some(newest) = self.newest else {
            self.newest = Some(number);
            return Arrival::New;
        };
        let ahead = number.wrapping_sub(newest);
        if (1..128).contains(&ahead) {
            for skipped in 1..ahead {
                self.missing[usize::from(newest.wrapping_add(skipped))] = true;
            }
            self.lost += u64::from(ahead - 1);
            self.missing[usize::from(number)] = false;
            self.newest = Some(number);
            self.behind = (0, 0);
            return Arrival::New;
        }
        if std::mem::take(&mut self.missing[usize::from(number)]) {
            self.lost = self.lost.saturating_sub(1);
            return Arrival::Late;
        }
        self.behind = match self.behind {
            (count, last) if count > 0 && number == last.wrapping_add(1) => (count + 1, number),
            _ => (1, number),
        };
        if self.behind.0 >= RESTART {
            *self = Self { newest: Some(number), lost: self.lost, ..Self::new() };
            return Arrival::New;
        }
        Arrival::Repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_repetition_are_counted_and_a_late_message_is_not_lost() {
        let mut s = Sequence::new();
        let seen: Vec<Arrival> = [250, 251, 251, 254, 252, 252, 255, 0, 1].into_iter().map(|n| s.take(n)).collect();
        use Arrival::{Late, New, Repeated};
        assert_eq!(seen, [New, New, Repeated, New, Late, Repeated, New, New, New]);
        assert_eq!(s.lost(), 1);
    }

    #[test]
    fn a_sender_that_begins_anew_loses_a_few_messages_only() {
        let mut s = Sequence::new();
        (0..100).for_each(|n| assert_eq!(s.take(n), Arrival::New));
        let fresh = (0..50).filter(|n| s.take(*n) == Arrival::New).count();
        assert_eq!(fresh, 47);
        assert_eq!(s.lost(), 0);
    }

    #[test]
    fn what_was_missed_once_is_not_taken_for_missing_a_lap_later() {
        let mut s = Sequence::new();
        for n in (0..=255u8).filter(|n| *n != 7).chain(0..50) {
            assert_eq!(s.take(n), Arrival::New, "{n}");
        }
        assert_eq!(s.take(7), Arrival::Repeated);
        assert_eq!(s.lost(), 1);
    }
}
