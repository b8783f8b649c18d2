//! Takes the frames in order on one worker and fuses them.

use std::collections::BTreeMap;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use crate::flow::message::{Finished, Frames, InProcess};
use crate::flow::stages::Matched;
use crate::fuse::Fusion;
use crate::sink::FrameReport;

/// `fuse` of the graph.
pub trait Fuse<'scope> {
    /// Fuses the frames in order, on the first worker.
    fn fuse(self, fusion: Fusion) -> StreamVec<'scope, u64, InProcess<Finished>>;
}

impl<'scope> Fuse<'scope> for Frames<'scope, Matched> {
    fn fuse(self, mut fusion: Fusion) -> StreamVec<'scope, u64, InProcess<Finished>> {
        self.unary_frontier(Exchange::new(|_| 0), "fuse", move |_, _| {
            let mut waiting = BTreeMap::new();
            move |(frames, complete), output| {
                frames.for_each(|capability, messages| {
                    for InProcess(message) in messages.drain(..) {
                        if let Some(capability) = capability.retain_least(output.output_index()) {
                            waiting.insert(message.frame.ordinal, (capability, message));
                        }
                    }
                });
                while let Some(entry) = waiting.first_entry().filter(|e| !complete.less_equal(e.key())) {
                    let (capability, message) = entry.remove();
                    let frame = message.frame;
                    let matched = message.made.unwrap_or_else(Matched::abstained);
                    let fused = fusion.step(frame.stamp_ns, &frame.telemetry, &frame.known, &matched.outcome);
                    let mut times = message.times;
                    times.total_ms = message.entered.elapsed().as_secs_f64() * 1e3;
                    let report = FrameReport {
                        ordinal: frame.ordinal,
                        name: frame.name.clone(),
                        stamp_ns: frame.stamp_ns,
                        matched,
                        track: fused.track,
                        times,
                        preview: message.preview,
                        frame_px: message.frame_px,
                        intake: frame.intake,
                    };
                    output.session(&capability).give(InProcess(Finished { report, prior: fused.prior }));
                }
            }
        })
    }
}
