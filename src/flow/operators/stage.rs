//! What the stages of a search have in common: one message in, one out, on the same worker.

use std::cell::Cell;

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use crate::flow::message::{Frames, InFlight, InProcess};

thread_local! {
    static UNDER_WAY: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The stage that this thread is in, for whoever reports what became of it.
pub fn stage_under_way() -> Option<&'static str> {
    UNDER_WAY.get()
}

/// Applies a function to each frame.
pub fn stage<'scope, A: Clone + 'static, B: Clone + 'static>(
    stream: Frames<'scope, A>,
    name: &'static str,
    mut apply: impl FnMut(InFlight<A>) -> InFlight<B> + 'static,
) -> Frames<'scope, B> {
    stream.unary(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, messages| {
                let mut session = output.session(&capability);
                for InProcess(message) in messages.drain(..) {
                    UNDER_WAY.set(Some(name));
                    session.give(InProcess(apply(message)));
                    UNDER_WAY.set(None);
                }
            });
        }
    })
}
