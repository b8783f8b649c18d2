//! Takes the frames, and the pauses between them, in order on one worker and fuses them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;

use crate::flow::message::{Finished, Frames, InFlight, InProcess};
use crate::fuse::Fusion;
use crate::progress;
use crate::types::{FrameMatch, FrameReport, Outcome, Pause};

/// `fuse` of the graph.
pub trait Fuse<'scope> {
    /// Fuses the frames in order, on the first worker.
    fn fuse(
        self,
        pauses: StreamVec<'scope, u64, InProcess<Pause>>,
        fusion: Arc<Mutex<Fusion>>,
    ) -> StreamVec<'scope, u64, InProcess<Finished>>;
}

impl<'scope> Fuse<'scope> for Frames<'scope, FrameMatch> {
    fn fuse(
        self,
        pauses: StreamVec<'scope, u64, InProcess<Pause>>,
        fusion: Arc<Mutex<Fusion>>,
    ) -> StreamVec<'scope, u64, InProcess<Finished>> {
        self.binary_frontier(pauses, Exchange::new(|_| 0), Pipeline, "fuse", move |_, _| {
            let mut waiting = BTreeMap::new();
            let mut paused = VecDeque::new();
            // As many as the lag covers.
            let mut unsettled = VecDeque::new();
            move |(frames, complete), (pauses, told), output| {
                frames.for_each(|capability, messages| {
                    for InProcess(message) in messages.drain(..) {
                        if let Some(capability) = capability.retain_least(output.output_index()) {
                            waiting.insert(message.frame.ordinal, (capability, message));
                        }
                    }
                });
                pauses.for_each(|capability, messages| {
                    for InProcess(pause) in messages.drain(..) {
                        if let Some(capability) = capability.retain_least(output.output_index()) {
                            paused.push_back((capability, pause));
                        }
                    }
                });
                loop {
                    let next = waiting.first_key_value().map(|(ordinal, _)| *ordinal);
                    // A pause has the ordinal of the frame after it.
                    let pause = paused.front().map(|(capability, _)| *capability.time());
                    let pause_first = pause.is_some_and(|at| next.is_none_or(|frame| at <= frame));
                    if pause_first && pause.is_some_and(|at| !complete.less_than(&at)) {
                        let Some((capability, pause)) = paused.pop_front() else { break };
                        let between = lock(&fusion).pause(&pause);
                        output.session(&capability).give(InProcess(Finished { settled: Vec::new(), between, frame: None }));
                    } else if !pause_first && next.is_some_and(|at| !complete.less_equal(&at) && !told.less_equal(&at)) {
                        let Some((_, (capability, message))) = waiting.pop_first() else { break };
                        output.session(&capability).give(InProcess(fused(&mut lock(&fusion), message, &mut unsettled)));
                    } else {
                        break;
                    }
                }
            }
        })
    }
}

/// Only one worker fuses: nobody else holds it while the graph runs.
pub fn lock(fusion: &Mutex<Fusion>) -> MutexGuard<'_, Fusion> {
    fusion.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `unsettled`: names of the frames whose smoothed place is still to come.
fn fused(fusion: &mut Fusion, message: InFlight<FrameMatch>, unsettled: &mut VecDeque<String>) -> Finished {
    let _stage = progress::begin("fuse");
    let begun = Instant::now();
    let frame = message.frame;
    let matched = message.made.unwrap_or_else(|ended| *ended);
    let fused = {
        let displacement = message.displacement.as_ref().and_then(|displacement| displacement.as_ref().ok());
        let together = fusion.together(frame.stamp_ns, &matched, displacement).map(|fix| Outcome::Fix(Box::new(fix)));
        let outcome = together.as_ref().unwrap_or(&matched.outcome);
        fusion.step_along(frame.stamp_ns, &frame.telemetry, &frame.known, outcome, displacement)
    };
    if fusion.settles() {
        unsettled.push_back(frame.name.clone());
    }
    let settled = fused.settled.into_iter().map_while(|point| unsettled.pop_front().map(|name| (name, point))).collect();
    let odometry = message.displacement.map(|displacement| match displacement {
        Ok(_) if fused.displacement_used => "used",
        Ok(_) => "not_used",
        Err(reason) => reason.as_str(),
    });
    let milliseconds = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    let mut times = message.times;
    times.fuse_ms = milliseconds(begun);
    times.wait_ms = (milliseconds(message.entered) - times.work_ms()).max(0.0);
    times.capture_to_fix_ms = frame.captured.map(milliseconds);
    let report = FrameReport {
        ordinal: frame.ordinal,
        name: frame.name.clone(),
        stamp_ns: frame.stamp_ns,
        clocks: frame.clocks,
        matched,
        track: fused.track,
        route: message.route,
        times,
        preview: message.preview,
        frame_px: message.frame_px,
        picture_cut_off: message.picture_cut_off,
        intake: frame.intake,
        odometry,
        sources: fused.sources,
        filter: fusion.counters(),
    };
    Finished { settled, between: fused.between, frame: Some((report, fused.prior)) }
}
