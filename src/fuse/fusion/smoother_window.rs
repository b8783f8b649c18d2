//! The nodes of a flight that are to be smoothed: all of them, or those that a lag has not settled yet.

use std::collections::VecDeque;

use crate::fuse::running::Running;
use crate::fuse::settings::FusionSettings;
use crate::fuse::smoother::{Filtered, Passage, SmootherNode, smooth};
use crate::fuse::state::Covariance;
use crate::fuse::track_options::Smoothing;
use crate::fuse::track_point::{lost, track_point};
use crate::geo::EnuPlane;
use crate::types::{TrackPoint, TrackSource};

/// A stop of the filter at a frame, or at a measurement between frames.
#[derive(Clone)]
struct Stop {
    /// The point of the live track.
    track: TrackPoint,
    /// Whether the track has a point here: at a frame.
    is_frame: bool,
    /// The plane of the filter, once it has started.
    plane: Option<EnuPlane>,
    /// Whether the height was known.
    height_known: bool,
    /// Whether the filter started here, so that nothing ties it to what was before.
    begun: bool,
}

/// What the smoother will look back over.
#[derive(Clone)]
pub(super) struct SmootherWindow {
    smoothing: Smoothing,
    /// The filter at each frame that is not settled yet, and at each measurement between frames.
    nodes: VecDeque<SmootherNode<Stop>>,
    /// How the filter came to the frame it is at.
    passage: Option<Passage>,
    /// Whether it started since the frame before.
    begun: bool,
}

impl SmootherWindow {
    /// Without a frame yet.
    pub fn new(smoothing: Smoothing) -> Self {
        Self { smoothing, nodes: VecDeque::new(), passage: None, begun: false }
    }

    /// The filter has come to a frame, where nothing is measured yet but the way since the frame before.
    pub fn arrive(&mut self, running: &mut Running) {
        self.passage = Passage::of(&mut running.navigator.filter);
    }

    /// The filter starts at the frame, or just before it: nothing leads there from the frames before.
    pub fn restart(&mut self) {
        self.passage = None;
        self.begun = true;
    }

    /// Takes the filter after a measurement between frames that it came to by a passage.
    pub fn between(&mut self, running: &mut Running, passage: Passage) {
        let track = lost(running.navigator.stamp_ns, None);
        self.nodes.push_back(SmootherNode::new(Stop::of(track, false, Some(running)), Some(filtered(running)), Some(passage)));
        begin_passage(running);
    }

    /// Takes the filter after a frame, and gives the smoothed track at the frames that this settles.
    pub fn frame(&mut self, track: &TrackPoint, mut running: Option<&mut Running>, settings: &FusionSettings) -> Vec<TrackPoint> {
        if self.smoothing == Smoothing::Off {
            return Vec::new();
        }
        let displaced = running.as_mut().and_then(|r| r.navigator.filter.displaced.take());
        if displaced.is_some() && self.nodes.back().is_some_and(|n| !n.about.is_frame) {
            // It ties the frame to the frame before, over the head of a measurement between them.
            self.passage = None;
        }
        let begun = std::mem::take(&mut self.begun);
        let stop = Stop { begun, ..Stop::of(track.clone(), true, running.as_deref()) };
        let node = SmootherNode::new(stop, running.as_deref().map(filtered), self.passage.take());
        self.nodes.push_back(node.displaced(displaced));
        if let Some(running) = running {
            begin_passage(running);
        }
        self.settle(track.stamp_ns, settings)
    }

    /// The smoothed track at the frames that lie the lag behind a stamp.
    fn settle(&mut self, stamp_ns: i64, settings: &FusionSettings) -> Vec<TrackPoint> {
        let Smoothing::Lag(lag_ns) = self.smoothing else { return Vec::new() };
        let due = self.nodes.iter().take_while(|n| n.about.track.stamp_ns <= stamp_ns.saturating_sub(lag_ns)).count();
        if due == 0 {
            return Vec::new();
        }
        let mut settled = self.smoothed(settings);
        settled.truncate(self.nodes.drain(..due).filter(|n| n.about.is_frame).count());
        settled
    }

    /// The smoothed track at the frames that are not settled yet.
    pub fn smoothed(&self, settings: &FusionSettings) -> Vec<TrackPoint> {
        let mut out = Vec::new();
        // Whether what followed confirmed the place, and no start lies between.
        let mut confirmed = false;
        smooth(self.nodes.iter(), |stop: &Stop, believed| {
            match (believed, &stop.plane) {
                (Some((state, covariance)), Some(plane)) if stop.is_frame => {
                    confirmed |= stop.track.source == TrackSource::Visual;
                    let mut like = stop.track.clone();
                    if confirmed && like.source == TrackSource::Unconfirmed {
                        like.source = TrackSource::Inertial;
                    }
                    out.push(track_point(plane, state, covariance, stop.height_known, &like, settings));
                }
                (Some(_), _) => {}
                (None, _) => out.push(lost(stop.track.stamp_ns, stop.track.fix_age_s)),
            }
            confirmed &= !stop.begun;
        });
        out.reverse();
        out
    }

    /// Frames, and all nodes.
    #[cfg(test)]
    pub fn counts(&self) -> (usize, usize) {
        (self.nodes.iter().filter(|n| n.about.is_frame).count(), self.nodes.len())
    }
}

impl Stop {
    fn of(track: TrackPoint, is_frame: bool, running: Option<&Running>) -> Self {
        let (plane, height_known) = (running.map(|r| r.plane), running.is_some_and(|r| r.height_known));
        Self { track, is_frame, plane, height_known, begun: false }
    }
}

fn filtered(running: &Running) -> Filtered {
    Filtered::of(&running.navigator.filter)
}

/// Has the filter gather its transitions from here on.
fn begin_passage(running: &mut Running) {
    running.navigator.filter.transition = Some(Box::new(Covariance::identity()));
}
