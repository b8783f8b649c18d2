//! Where results go: files, the terminal, the viewer. Each sink takes one report a frame, in frame order, and the track between.

pub(crate) mod background;
pub(crate) mod csv;
pub(crate) mod evidence;
pub(crate) mod geojson;
pub(crate) mod jsonl;
pub(crate) mod last_check;
pub mod summary;
#[cfg(feature = "viz")]
pub(crate) mod viewer;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::types::{FrameReport, Report, TrackPoint};

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
    Scores(#[from] crate::eval::scores::Stopped),
}

fn create(path: &Path) -> Result<BufWriter<File>, SinkError> {
    File::create(path).map(BufWriter::new).map_err(|source| SinkError::Io { path: path.into(), source })
}

/// Writes a line of a table, and hands it to the system at once: it is there whatever becomes of the process.
fn write_line(path: &Path, file: &mut BufWriter<File>, line: &str) -> Result<(), SinkError> {
    writeln!(file, "{line}").and_then(|()| file.flush()).map_err(|source| SinkError::Io { path: path.into(), source })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::types::{AbstainReason, FrameMatch, FusionCounters, Intake, StageTimes, TrackSource};

    /// The report of a frame of this number that was not localized.
    pub fn abstained(ordinal: u64) -> FrameReport {
        FrameReport {
            ordinal,
            name: ordinal.to_string(),
            stamp_ns: ordinal as i64,
            matched: FrameMatch::abstained(AbstainReason::Ambiguous),
            track: TrackPoint {
                stamp_ns: ordinal as i64,
                source: TrackSource::Lost,
                state: None,
                fix_age_s: None,
                nis: None,
                fix_used: false,
            },
            route: None,
            times: StageTimes::default(),
            preview: None,
            frame_px: (0, 0),
            intake: Intake::all(ordinal + 1),
            odometry: None,
            sources: Vec::new(),
            filter: FusionCounters::default(),
        }
    }
}
