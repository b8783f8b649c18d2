//! Hands finished frames out of the graph, and their priors back to the search.

use std::sync::mpsc::SyncSender;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;

use super::admit::worker_of;
use crate::flow::message::{Finished, InProcess, RetrievalInput};
use crate::types::Report;

/// The ends of the graph.
pub trait Sinks<'scope> {
    /// Sends each report to the thread that writes; a receiver that is gone ends the sending, not the graph.
    fn sinks(self, reports: Option<SyncSender<Report>>) -> Self;
    /// The priors for the frames `lag` later, each to the worker of that frame alone: a copy that a busy worker has not looked at yet
    /// would keep the others waiting. All unknown unless `use_prior`.
    fn priors(self, matchers: u64, lag: u64, use_prior: bool) -> StreamVec<'scope, u64, RetrievalInput>;
}

impl<'scope> Sinks<'scope> for StreamVec<'scope, u64, InProcess<Finished>> {
    fn sinks(self, mut reports: Option<SyncSender<Report>>) -> Self {
        self.unary(Pipeline, "sinks", move |_, _| {
            move |input, output| {
                input.for_each(|capability, messages| {
                    for InProcess(finished) in messages.iter() {
                        let between = Some(finished.between.clone()).filter(|points| !points.is_empty()).map(Report::Between);
                        let settled = Some(finished.settled.clone()).filter(|points| !points.is_empty()).map(Report::Settled);
                        let frame = finished.frame.iter().map(|(report, _)| Report::Frame(Box::new(report.clone())));
                        for report in between.into_iter().chain(frame).chain(settled) {
                            if reports.as_ref().is_some_and(|r| r.send(report).is_err()) {
                                reports = None;
                            }
                        }
                    }
                    output.session(&capability).give_container(messages);
                });
            }
        })
    }

    fn priors(self, matchers: u64, lag: u64, use_prior: bool) -> StreamVec<'scope, u64, RetrievalInput> {
        let addressed = self.unary(Pipeline, "priors", move |_, _| {
            move |input, output| {
                input.for_each(|capability, messages| {
                    let mut session = output.session(&capability);
                    for InProcess(finished) in messages.drain(..) {
                        let Some((report, prior)) = finished.frame else { continue };
                        let ordinal = report.ordinal + lag;
                        let prior = InProcess(prior.filter(|_| use_prior));
                        session.give((worker_of(ordinal, matchers), RetrievalInput::Prior(ordinal, prior)));
                    }
                });
            }
        });
        deliver(addressed)
    }
}

/// Sends each message to the worker it is addressed to.
pub fn deliver<'scope>(stream: StreamVec<'scope, u64, (u64, RetrievalInput)>) -> StreamVec<'scope, u64, RetrievalInput> {
    stream.unary(Exchange::new(|message: &(u64, RetrievalInput)| message.0), "deliver", move |_, _| {
        move |input, output| {
            input.for_each(|capability, messages| {
                let mut session = output.session(&capability);
                for (_, input) in messages.drain(..) {
                    session.give(input);
                }
            });
        }
    })
}
