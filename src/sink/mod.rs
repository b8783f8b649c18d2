//! Where results go: files, the terminal, the viewer. Each sink takes one report a frame, in frame order, and the track between.

pub mod background;
pub(crate) mod csv;
pub(crate) mod evidence;
mod file;
pub(crate) mod geojson;
pub(crate) mod jsonl;
pub(crate) mod last_check;
mod spread;
pub mod summary;
#[cfg(feature = "viz")]
pub(crate) mod viewer;

use std::path::PathBuf;

use crate::types::{Clocks, FrameReport, Report, TrackPoint};

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
}

/// Other clocks at points of the track, by those of the last frame.
#[derive(Clone, Copy, Debug, Default)]
struct Clocked {
    last: Option<(i64, Clocks)>,
}

impl Clocked {
    fn frame(&mut self, report: &FrameReport) {
        self.last = Some((report.stamp_ns, report.clocks));
    }

    /// What they show at a stamp.
    fn at(&self, stamp_ns: i64) -> Clocks {
        self.last.map(|(of_ns, clocks)| clocks.later(stamp_ns.saturating_sub(of_ns))).unwrap_or_default()
    }

    /// Wall clock and UTC at a stamp as they are written, empty where they are not known.
    fn written(&self, stamp_ns: i64) -> [String; 2] {
        written_clocks(self.at(stamp_ns))
    }
}

/// Wall clock and UTC as they are written, empty where they are not known.
fn written_clocks(clocks: Clocks) -> [String; 2] {
    [clocks.wall_ns, clocks.utc_ns].map(|ns| ns.map_or(String::new(), written_time))
}

/// A time since 1970 in UTC, to the microsecond.
fn written_time(unix_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).map_or(String::new(), |time| format!("{time:.6}"))
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
            clocks: Clocks::default(),
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
            picture_cut_off: false,
            intake: Intake::all(ordinal + 1),
            odometry: None,
            sources: Vec::new(),
            filter: FusionCounters::default(),
        }
    }
}
