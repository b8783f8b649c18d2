//! What the stages of a search have in common: one message in, one out, on the same worker.

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use crate::flow::message::{Frames, InFlight, InProcess};

/// Applies a function to each frame.
pub fn stage<'scope, A: Clone + 'static, B: Clone + 'static>(
    stream: Frames<'scope, A>,
    name: &str,
    mut apply: impl FnMut(InFlight<A>) -> InFlight<B> + 'static,
) -> Frames<'scope, B> {
    stream.unary(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, messages| {
                let mut session = output.session(&capability);
                for InProcess(message) in messages.drain(..) {
                    session.give(InProcess(apply(message)));
                }
            });
        }
    })
}
