//! Spreads the frames over the workers that match.

use timely::dataflow::operators::Exchange;

use crate::flow::message::Frames;

/// The worker that matches a frame: one of 1 to `matchers`.
pub fn worker_of(ordinal: u64, matchers: u64) -> u64 {
    1 + ordinal % matchers
}

/// Frame by frame to the next worker.
pub trait Admit {
    /// Spreads the frames over the workers 1 to `matchers` by their ordinal.
    fn admit(self, matchers: u64) -> Self;
}

impl Admit for Frames<'_, ()> {
    fn admit(self, matchers: u64) -> Self {
        self.exchange(move |message| worker_of(message.0.frame.ordinal, matchers))
    }
}
