//! Spreads the frames over the workers.

use timely::dataflow::operators::Exchange;

use crate::flow::message::Frames;

/// Frame by frame to the next worker.
pub trait Admit {
    /// Spreads the frames over the workers by their ordinal.
    fn admit(self) -> Self;
}

impl Admit for Frames<'_, ()> {
    fn admit(self) -> Self {
        self.exchange(|message| message.0.frame.ordinal)
    }
}
