//! What travels along the edges of the graph.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::coarse::Place;
use crate::fine::Unregistered;
use crate::fuse::measurement::Displacement;
use crate::localize::{Decision, FrameView, Observation, Places, Retrieved, VerifiedPlace};
use crate::retrieve::CellId;
use crate::types::{AbstainReason, Frame, FrameMatch, FrameReport, Prior, SearchRoute, StageTimes, TrackPoint};

/// Data that workers of one process hand to each other as it is. Timely asks every exchanged type to be serializable, for the case
/// of several processes; that case would need compressed bytes, and is refused here instead of done quietly.
#[derive(Clone, Debug)]
pub struct InProcess<T>(pub T);

impl<T> Serialize for InProcess<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this edge of the graph stays within one process"))
    }
}

impl<'de, T> Deserialize<'de> for InProcess<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this edge of the graph stays within one process"))
    }
}

/// A frame on its way through the stages: what the last stage made of it, or how it ended.
#[derive(Clone)]
pub struct InFlight<T> {
    /// The frame.
    pub frame: Arc<Frame>,
    /// When it entered the graph: for its wait only.
    pub entered: Instant,
    /// Time spent so far.
    pub times: StageTimes,
    /// How it was searched for so far.
    pub route: Option<SearchRoute>,
    /// For the viewer; see [`crate::types::FrameReport`].
    pub preview: Option<(Arc<image::RgbImage>, f64)>,
    /// Size of the frame as stored; zeros until it is decoded.
    pub frame_px: (u32, u32),
    /// Whether the end of the picture is missing.
    pub picture_cut_off: bool,
    /// What the next frame is registered with, from `early_exit` or `retrieve` to `register`.
    pub view: Option<Arc<FrameView>>,
    /// The displacement since the frame before, or why there is none; nothing where that is not wanted.
    pub displacement: Option<Result<Displacement, Unregistered>>,
    /// The stage's result; what became of the frame where its search is over: an abstention, or a fix by an early exit.
    pub made: Result<T, Box<FrameMatch>>,
}

impl<T> InFlight<T> {
    /// The next stage's result, with the milliseconds it took. A frame whose search is over passes.
    pub fn then<U>(
        self,
        clock: impl FnOnce(&mut StageTimes) -> &mut f64,
        stage: impl FnOnce(&Frame, T) -> Result<U, AbstainReason>,
    ) -> InFlight<U> {
        self.then_or_end(clock, |frame, made| stage(frame, made).map_err(|reason| Box::new(FrameMatch::abstained(reason))))
    }

    /// The same for a stage that may end a frame's search with a fix.
    pub fn then_or_end<U>(
        self,
        clock: impl FnOnce(&mut StageTimes) -> &mut f64,
        stage: impl FnOnce(&Frame, T) -> Result<U, Box<FrameMatch>>,
    ) -> InFlight<U> {
        let begun = Instant::now();
        let Self { frame, entered, mut times, route, preview, frame_px, picture_cut_off, view, displacement, made } = self;
        let made = made.and_then(|m| stage(&frame, m));
        *clock(&mut times) += begun.elapsed().as_secs_f64() * 1e3;
        InFlight { frame, entered, times, route, preview, frame_px, picture_cut_off, view, displacement, made }
    }
}

impl InFlight<()> {
    /// A frame that enters the graph now.
    pub fn admitted(frame: Arc<Frame>) -> Self {
        Self {
            frame,
            entered: Instant::now(),
            times: StageTimes::default(),
            route: None,
            preview: None,
            frame_px: (0, 0),
            picture_cut_off: false,
            view: None,
            displacement: None,
            made: Ok(()),
        }
    }
}

/// A stream of frames on their way.
pub type Frames<'scope, T> = timely::dataflow::StreamVec<'scope, u64, InProcess<InFlight<T>>>;

/// After `observe`.
#[derive(Clone)]
pub struct Observed {
    /// The views to try.
    pub observation: Arc<Observation>,
    /// The filter's prediction.
    pub prior: Option<Prior>,
    /// The same where it is confident enough for an early exit; nothing once that was tried.
    pub early_exit: Option<Prior>,
}

/// After `retrieve`.
pub type Candidates = (Arc<Observation>, Arc<Retrieved>);
/// After `coarse`.
pub type Placed = (Arc<Observation>, Arc<Retrieved>, Places);
/// After `fine`, with the places that were not verified.
pub type Confirmed = (Arc<Observation>, Arc<Retrieved>, Arc<Vec<Place>>, Arc<Vec<VerifiedPlace>>);
/// After `fix`.
pub type Decided = (Arc<Observation>, Arc<Retrieved>, Arc<Vec<Place>>, Arc<Vec<VerifiedPlace>>, Decision);

/// What leaves the graph, and the prior that goes back.
#[derive(Clone)]
pub struct Finished {
    /// The smoothed track at earlier frames that are settled now: each frame's name and point.
    pub settled: Vec<(String, TrackPoint)>,
    /// The track since the frame before.
    pub between: Vec<TrackPoint>,
    /// A frame, for the sinks, with the prior for retrieval; none at a pause.
    pub frame: Option<(FrameReport, Option<Prior>)>,
}

/// What the search for a frame must know besides the frame.
#[derive(Clone, Debug)]
pub enum RetrievalInput {
    /// The filter's prediction for the frame of this ordinal, made a fixed number of frames earlier.
    Prior(u64, InProcess<Option<Prior>>),
    /// A row of the tile catalogue came (+1) or went (−1) at a frame.
    Row(CellId, u64, isize),
}

impl Serialize for RetrievalInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        InProcess(()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RetrievalInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        InProcess::<()>::deserialize(deserializer).map(|_| Self::Prior(0, InProcess(None)))
    }
}
