//! What the stages of a search have in common: one message in, one out, on the same worker.

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use crate::flow::message::{Frames, InFlight, InProcess};
use crate::progress;

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
                    let applied = {
                        let _stage = progress::begin(name);
                        apply(message)
                    };
                    session.give(InProcess(applied));
                }
            });
        }
    })
}
