//! Decides which views of a frame to try, once the prior and the catalogue of that frame are complete, and begins its search.

use std::collections::BTreeMap;
use std::sync::Arc;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use crate::flow::active_cells::ActiveCells;
use crate::flow::message::{Frames, InProcess, Observed, RetrievalInput};
use crate::flow::permit::FramePermit;
use crate::localize::{DecodedFrame, Localizer};
use crate::progress;
use crate::types::Prior;

/// `observe` of the graph.
pub trait Observe<'scope> {
    /// Decides the views of each frame, in order, one frame at a time until its search is over.
    fn observe(
        self,
        inputs: StreamVec<'scope, u64, RetrievalInput>,
        localizer: Arc<Localizer>,
        cells: ActiveCells,
        permit: FramePermit,
    ) -> Frames<'scope, Observed>;
}

impl<'scope> Observe<'scope> for Frames<'scope, Arc<DecodedFrame>> {
    fn observe(
        self,
        inputs: StreamVec<'scope, u64, RetrievalInput>,
        localizer: Arc<Localizer>,
        cells: ActiveCells,
        permit: FramePermit,
    ) -> Frames<'scope, Observed> {
        let scope = self.scope();
        self.binary_frontier(inputs, Pipeline, Pipeline, "observe", move |_, operator| {
            permit.wake(scope.activator_for(operator.address));
            let mut waiting = BTreeMap::new();
            let mut priors: BTreeMap<u64, Option<Prior>> = BTreeMap::new();
            move |(frames, _), (inputs, complete), output| {
                frames.for_each(|capability, messages| {
                    for InProcess(message) in messages.drain(..) {
                        if let Some(capability) = capability.retain_least(output.output_index()) {
                            waiting.insert(message.frame.ordinal, (capability, message));
                        }
                    }
                });
                inputs.for_each(|_, messages| {
                    for input in messages.drain(..) {
                        match input {
                            RetrievalInput::Prior(ordinal, InProcess(prior)) => {
                                priors.insert(ordinal, prior);
                            }
                            RetrievalInput::Row(cell, at, diff) => cells.change(cell, at, diff),
                        }
                    }
                });
                while let Some(entry) = waiting.first_entry().filter(|e| !permit.is_acquired() && !complete.less_equal(e.key())) {
                    permit.acquire();
                    let (time, (capability, message)) = entry.remove_entry();
                    cells.advance(time);
                    let prior = priors.get(&time).copied().flatten();
                    priors = priors.split_off(&time);
                    let edited = cells.now().is_edited(&localizer.index);
                    let _stage = progress::begin("observe");
                    let out = message.then(
                        |t| &mut t.observe_ms,
                        |_, decoded: Arc<DecodedFrame>| {
                            let observation = Arc::new(localizer.observe(&decoded, prior.as_ref())?);
                            // The predicted window knows nothing of edits.
                            let early_exit = localizer.early_exit_prior(&observation, prior.as_ref()).filter(|_| !edited);
                            Ok(Observed { observation, prior, early_exit })
                        },
                    );
                    output.session(&capability).give(InProcess(out));
                }
            }
        })
    }
}
