//! What leaves the graph: what became of each frame, and the track.

use std::sync::Arc;

use image::RgbImage;

use super::{AbstainReason, Clocks, Evidence, Fix, FusionCounters, Intake, Match, Outcome, SourceStatus, TrackPoint};

/// The outcome of a frame with what a viewer wants to see of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameMatch {
    /// The outcome.
    pub outcome: Outcome,
    /// Matches of the best place, also when the outcome is an abstention.
    pub matches: Vec<Match>,
    /// Candidate cells searched.
    pub candidates: usize,
    /// Support of the best place, 0..1.
    pub score: f64,
    /// What speaks for the best place, where one was matched closely.
    pub evidence: Option<Evidence>,
    /// Of an abstention, the places that it could not decide between.
    pub contenders: Vec<Contender>,
}

/// A place that a frame may show.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// Where it would be.
    pub fix: Fix,
    /// Probability that it is wrong, from this frame alone.
    pub p_wrong: f64,
}

impl FrameMatch {
    /// An abstention without matches.
    pub fn abstained(reason: AbstainReason) -> Self {
        let outcome = Outcome::Abstained(reason);
        Self { outcome, matches: Vec::new(), candidates: 0, score: 0.0, evidence: None, contenders: Vec::new() }
    }
}

/// How a frame was searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SearchRoute {
    /// An early exit settled it.
    EarlyExit,
    /// An early exit was tried and did not settle it: it was searched for in full.
    Escalated,
    /// It was searched for in full.
    Full,
    /// It was searched for in full, and again by the fallback search.
    Fallback,
}

impl SearchRoute {
    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EarlyExit => "early_exit",
            Self::Escalated => "escalated",
            Self::Full => "full",
            Self::Fallback => "fallback",
        }
    }
}

/// Milliseconds that each stage worked on a frame, and how long it waited.
#[derive(Clone, Copy, Debug, PartialEq, Default, serde::Serialize)]
pub struct StageTimes {
    /// Decoding.
    pub rectify_ms: f64,
    /// Which views to try.
    pub observe_ms: f64,
    /// Matching in the predicted window.
    pub early_exit_ms: f64,
    /// Features and candidates.
    pub retrieve_ms: f64,
    /// Coarse matching.
    pub coarse_ms: f64,
    /// Fine matching.
    pub fine_ms: f64,
    /// Position and covariance.
    pub fix_ms: f64,
    /// The search again at the refining level.
    pub fallback_search_ms: f64,
    /// Displacement since the frame before.
    pub register_ms: f64,
    /// The filter.
    pub fuse_ms: f64,
    /// In the admission window without being worked on: for its prior, its worker, the frames before it.
    pub wait_ms: f64,
    /// From capture to leaving the filter, where the frame was captured while the graph ran: live.
    pub capture_to_fix_ms: Option<f64>,
}

impl StageTimes {
    /// The stages in their order, each with its milliseconds.
    pub fn stages(&self) -> [(&'static str, f64); 10] {
        [
            ("rectify", self.rectify_ms),
            ("observe", self.observe_ms),
            ("early_exit", self.early_exit_ms),
            ("retrieve", self.retrieve_ms),
            ("coarse", self.coarse_ms),
            ("fine", self.fine_ms),
            ("fix", self.fix_ms),
            ("fallback_search", self.fallback_search_ms),
            ("register", self.register_ms),
            ("fuse", self.fuse_ms),
        ]
    }

    /// The work on the frame, all stages together: its latency in a replay.
    pub fn work_ms(&self) -> f64 {
        self.stages().iter().map(|(_, ms)| ms).sum()
    }
}

/// What became of a frame.
#[derive(Clone, Debug)]
pub struct FrameReport {
    /// Position in the stream.
    pub ordinal: u64,
    /// The source's name of the frame.
    pub name: String,
    /// Time of capture.
    pub stamp_ns: i64,
    /// Other clocks at its stamp.
    pub clocks: Clocks,
    /// Fix or abstention, with the matches.
    pub matched: FrameMatch,
    /// The fused track at the frame's stamp.
    pub track: TrackPoint,
    /// How it was searched for; nothing when it was not.
    pub route: Option<SearchRoute>,
    /// How long it took.
    pub times: StageTimes,
    /// A small copy of the frame and its size relative to the frame as stored (0.25 = a quarter as wide), where a sink wants one.
    pub preview: Option<(Arc<RgbImage>, f64)>,
    /// Size of the frame as stored, pixels; (0, 0) when it could not be decoded.
    pub frame_px: (u32, u32),
    /// Whether the end of the picture is missing.
    pub picture_cut_off: bool,
    /// What became of the frames up to this one.
    pub intake: Intake,
    /// What became of the way since the frame before: `used`, `not_used`, or why there was none. Nothing for the first frame and without
    /// odometry.
    pub odometry: Option<&'static str>,
    /// The filter's sources that were heard so far.
    pub sources: Vec<SourceStatus>,
    /// What the filter refused so far, and how often it began anew.
    pub filter: FusionCounters,
}

/// What a sink takes, in order of time.
#[derive(Clone, Debug)]
pub enum Report {
    /// A frame.
    Frame(Box<FrameReport>),
    /// The track between frames: at least one point.
    Between(Vec<TrackPoint>),
    /// The smoothed track at earlier frames, in order, that what followed has settled: each frame's name and point.
    Settled(Vec<(String, TrackPoint)>),
    /// At the end, the smoothed track at the frames that were not settled before: of a replay, at all of them.
    Smoothed(Vec<(String, TrackPoint)>),
}
