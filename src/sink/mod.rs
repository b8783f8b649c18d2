//! Where results go: files, the terminal, the viewer. Each sink takes one report a frame, in frame order, and the track between.

pub mod background;
pub mod csv;
pub mod geojson;
pub mod jsonl;
pub mod summary;
#[cfg(feature = "viz")]
pub mod viewer;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;

use crate::flow::stages::Matched;
use crate::fuse::measurement::SourceStatus;
use crate::types::{Intake, TrackPoint};

/// Milliseconds that each stage spent on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Default, serde::Serialize)]
pub struct StageTimes {
    /// Decoding, views to try.
    pub rectify_ms: f64,
    /// Features and candidates.
    pub retrieve_ms: f64,
    /// Coarse matching.
    pub coarse_ms: f64,
    /// Fine matching.
    pub fine_ms: f64,
    /// Position and covariance.
    pub fix_ms: f64,
    /// Way since the frame before.
    pub register_ms: f64,
    /// From capture (live) or from entering the graph to leaving the filter.
    pub total_ms: f64,
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
    /// Fix or abstention, with the matches.
    pub matched: Matched,
    /// The fused track at the frame's stamp.
    pub track: TrackPoint,
    /// How long it took.
    pub times: StageTimes,
    /// A small copy of the frame and its size relative to the frame as stored (0.25 = a quarter as wide), where a sink wants one.
    pub preview: Option<(Arc<RgbImage>, f64)>,
    /// Size of the frame as stored, pixels; (0, 0) when it could not be decoded.
    pub frame_px: (u32, u32),
    /// What became of the frames up to this one.
    pub intake: Intake,
    /// What became of the way since the frame before: `used`, `not_used`, or why there was none. Nothing for the first frame and without
    /// odometry.
    pub odometry: Option<&'static str>,
    /// The filter's sources that were heard so far.
    pub sources: Vec<SourceStatus>,
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

/// The live viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerTarget {
    /// A viewer is started and shows a window.
    Spawn {
        /// Port that it listens at on the loopback interface.
        port: u16,
    },
    /// A viewer that is there already.
    Connect(std::net::SocketAddr),
    /// Viewers connect to skyfix.
    Serve(std::net::SocketAddr),
}

/// Something that takes reports.
pub trait Sink {
    /// Takes one frame's report.
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError>;
    /// Takes a point of the track between frames; a sink that shows frames alone has no use for it.
    fn between(&mut self, _: &TrackPoint) -> Result<(), SinkError> {
        Ok(())
    }
    /// Takes the smoothed track at earlier frames; to most sinks it makes no difference when that comes.
    fn settled(&mut self, points: &[(String, TrackPoint)]) -> Result<(), SinkError> {
        self.smoothed(points)
    }
    /// Takes the rest of the smoothed track, at the end.
    fn smoothed(&mut self, _: &[(String, TrackPoint)]) -> Result<(), SinkError> {
        Ok(())
    }
    /// Takes any of them.
    fn take(&mut self, report: &Report) -> Result<(), SinkError> {
        match report {
            Report::Frame(frame) => self.frame(frame),
            Report::Between(points) => points.iter().try_for_each(|point| self.between(point)),
            Report::Settled(points) => self.settled(points),
            Report::Smoothed(points) => self.smoothed(points),
        }
    }
    /// Completes the output.
    fn finish(&mut self) -> Result<(), SinkError>;
}

/// What can go wrong with a sink.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The viewer's recording cannot be written.
    #[error("{path}: {reason}")]
    Viewer {
        /// The recording.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The running scores cannot be kept.
    #[error("summary.json: {0}")]
    Scores(#[from] crate::flow::scores::Stopped),
}

fn create(path: &Path) -> Result<BufWriter<File>, SinkError> {
    File::create(path).map(BufWriter::new).map_err(|source| SinkError::Io { path: path.into(), source })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::types::{AbstainReason, TrackSource};

    /// The report of a frame of this number that was not localized.
    pub fn abstained(ordinal: u64) -> FrameReport {
        FrameReport {
            ordinal,
            name: ordinal.to_string(),
            stamp_ns: ordinal as i64,
            matched: Matched::abstained(AbstainReason::Ambiguous),
            track: TrackPoint {
                stamp_ns: ordinal as i64,
                source: TrackSource::Lost,
                state: None,
                fix_age_s: None,
                nis: None,
                fix_used: false,
            },
            times: StageTimes::default(),
            preview: None,
            frame_px: (0, 0),
            intake: Intake::all(ordinal + 1),
            odometry: None,
            sources: Vec::new(),
        }
    }
}
