//! Finds the way since the frame before, on the worker that matched the frame.
//!
//! What a frame sees goes to the worker of the next frame, which may wait for it: no longer than `fuse`, which takes frames in order, would
//! wait for the frame itself.

use std::collections::BTreeMap;
use std::time::Instant;

use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::vec::Map;

use super::admit::worker_of;
use crate::flow::message::{Frames, InProcess};
use crate::fuse::Odometry;
use crate::localize::register_frames;
use crate::types::FrameMatch;

/// `register` of the graph.
pub trait Register {
    /// Adds the way since the frame before to each frame for which it is wanted; `matchers` as in [`super::admit::Admit`].
    fn register(self, matchers: u64, odometry: Odometry) -> Self;
}

impl Register for Frames<'_, FrameMatch> {
    fn register(self, matchers: u64, odometry: Odometry) -> Self {
        // The ordinal of the frame that what was seen is for.
        let seen = self.clone().map(|InProcess(message)| (message.frame.ordinal + 1, InProcess(message.view)));
        let to_next = Exchange::new(move |(ordinal, _): &(u64, _)| worker_of(*ordinal, matchers));
        self.binary_frontier(seen, Pipeline, to_next, "register", move |_, _| {
            let mut waiting = BTreeMap::new();
            let mut before = BTreeMap::new();
            move |(frames, _), (seen, complete), output| {
                frames.for_each(|capability, messages| {
                    for InProcess(message) in messages.drain(..) {
                        if let Some(capability) = capability.retain_least(output.output_index()) {
                            waiting.insert(message.frame.ordinal, (capability, message));
                        }
                    }
                });
                seen.for_each(|_, messages| {
                    for (ordinal, InProcess(seen)) in messages.drain(..) {
                        before.insert(ordinal, seen);
                    }
                });
                // The frame before has come, or is one that never does.
                let ready = |ordinal: u64, here: bool| here || ordinal == 0 || !complete.less_equal(&(ordinal - 1));
                let due: Vec<u64> = waiting.keys().copied().filter(|o| ready(*o, before.contains_key(o))).collect();
                for ordinal in due {
                    let then = before.remove(&ordinal).flatten();
                    let Some((capability, mut message)) = waiting.remove(&ordinal) else { continue };
                    let begun = Instant::now();
                    let wanted = ordinal > 0 && odometry.is_wanted(&message.frame.telemetry);
                    message.displacement = wanted.then(|| register_frames(then.as_deref(), message.view.as_deref()));
                    message.view = None;
                    message.times.register_ms = begun.elapsed().as_secs_f64() * 1e3;
                    output.session(&capability).give(InProcess(message));
                }
            }
        })
    }
}
