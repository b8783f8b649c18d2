//! Numbers over time.

use rerun::{Color, RecordingStream, RecordingStreamResult, Scalars, SeriesLines, SeriesPoints};

use super::palette;
use crate::fuse::state::worst_sigma;
use crate::types::{FrameReport, SourceStatus, TrackPoint};

/// A plot.
pub struct Plot {
    /// Entity under which its lines lie.
    pub root: &'static str,
    /// Title, with the unit.
    pub title: &'static str,
    /// Its lines.
    pub lines: &'static [Line],
}

/// A line of a plot.
pub struct Line {
    name: &'static str,
    entity: &'static str,
    colour: Color,
    /// Single points where most frames may have none.
    dots: bool,
}

const fn line(entity: &'static str, name: &'static str, colour: Color) -> Line {
    Line { name, entity, colour, dots: false }
}

const fn dots(entity: &'static str, name: &'static str, colour: Color) -> Line {
    Line { name, entity, colour, dots: true }
}

/// All plots.
pub const PLOTS: &[Plot] = &[
    Plot {
        root: "/plots/error",
        title: "Error to truth and sigma (m)",
        lines: &[
            dots("/plots/error/fix", "fix", palette::FIX),
            line("/plots/error/track", "track", palette::VISUAL),
            line("/plots/error/sigma", "track, 1 sigma", palette::REFERENCE),
        ],
    },
    Plot {
        root: "/plots/nis",
        title: "NIS by source (1 on average)",
        lines: &[
            dots("/plots/nis/visual", "visual", palette::FIX),
            dots("/plots/nis/displacement", "displacement", palette::VISUAL),
            dots("/plots/nis/height", "height", palette::INLIER),
            dots("/plots/nis/heading", "heading", palette::FOOTPRINT),
            dots("/plots/nis/attitude", "attitude", palette::SMOOTHED),
            dots("/plots/nis/barometer", "barometer", Color(rerun::Rgba32::from_rgb(80, 150, 255))),
            dots("/plots/nis/gnss", "gnss", palette::INERTIAL),
            dots("/plots/nis/zero_velocity", "zero velocity", palette::TRUTH),
            line("/plots/nis/expected", "expected", palette::REFERENCE),
        ],
    },
    Plot {
        root: "/plots/support",
        title: "Support of the best place (0..1)",
        lines: &[line("/plots/support/score", "score", palette::INLIER)],
    },
    Plot {
        root: "/plots/latency",
        title: "Work on a frame by stage, and its wait (ms)",
        lines: &[
            line("/plots/latency/work", "work, all stages", palette::TRUTH),
            line("/plots/latency/wait", "wait for admission", palette::REFERENCE),
            line("/plots/latency/rectify", "rectify", Color(rerun::Rgba32::from_rgb(180, 130, 255))),
            line("/plots/latency/observe", "observe", Color(rerun::Rgba32::from_rgb(120, 90, 180))),
            line("/plots/latency/early_exit", "early exit", palette::VISUAL),
            line("/plots/latency/retrieve", "retrieve", Color(rerun::Rgba32::from_rgb(80, 150, 255))),
            line("/plots/latency/coarse", "coarse", palette::INLIER),
            line("/plots/latency/fine", "fine", palette::FIX),
            line("/plots/latency/fix", "fix", palette::INERTIAL),
            line("/plots/latency/fallback_search", "fallback search", palette::REFUSED),
            line("/plots/latency/register", "register", palette::SMOOTHED),
            line("/plots/latency/fuse", "fuse", palette::FOOTPRINT),
        ],
    },
    Plot {
        root: "/plots/candidates",
        title: "Candidate cells searched",
        lines: &[line("/plots/candidates/cells", "cells", palette::VISUAL)],
    },
    Plot {
        root: "/plots/frames",
        title: "Frames: received = served + dropped",
        lines: &[
            line("/plots/frames/received", "received", palette::REFERENCE),
            line("/plots/frames/served", "served", palette::VISUAL),
            line("/plots/frames/dropped", "dropped", palette::FIX),
        ],
    },
];

/// Logs what does not change: names and colours.
pub fn style(recording: &RecordingStream) -> RecordingStreamResult<()> {
    for line in PLOTS.iter().flat_map(|plot| plot.lines) {
        if line.dots {
            let style = SeriesPoints::new().with_colors([line.colour]).with_names([line.name]).with_marker_sizes([2.5]);
            recording.log_static(line.entity, &style)?;
        } else {
            let style = SeriesLines::new().with_colors([line.colour]).with_names([line.name]).with_widths([1.5]);
            recording.log_static(line.entity, &style)?;
        }
    }
    Ok(())
}

fn scalar(recording: &RecordingStream, entity: &str, value: Option<f64>) -> RecordingStreamResult<()> {
    match value.filter(|v| v.is_finite()) {
        Some(value) => recording.log(entity, &Scalars::new([value])),
        None => Ok(()),
    }
}

/// Logs how well the track knows where it is.
pub fn log_sigma(recording: &RecordingStream, point: &TrackPoint) -> RecordingStreamResult<()> {
    scalar(recording, "/plots/error/sigma", point.state.as_ref().map(|s| worst_sigma(&s.covariance_en_m2)))
}

/// Logs a frame's numbers; errors to truth in metres, where there is one.
pub fn log(
    recording: &RecordingStream,
    report: &FrameReport,
    fix_error_m: Option<f64>,
    track_error_m: Option<f64>,
) -> RecordingStreamResult<()> {
    let scalar = |entity: &str, value: Option<f64>| scalar(recording, entity, value);
    scalar("/plots/error/fix", fix_error_m)?;
    scalar("/plots/error/track", track_error_m)?;
    log_sigma(recording, &report.track)?;
    scalar("/plots/nis/expected", Some(1.0))?;
    scalar("/plots/support/score", Some(report.matched.score))?;
    scalar("/plots/candidates/cells", Some(report.matched.candidates as f64))?;
    scalar("/plots/frames/received", Some(report.intake.received as f64))?;
    scalar("/plots/frames/served", Some(report.intake.served as f64))?;
    scalar("/plots/frames/dropped", Some(report.intake.dropped as f64))?;
    let times = &report.times;
    let sums = [("work", times.work_ms()), ("wait", times.wait_ms)];
    let mut stages = times.stages().into_iter().chain(sums);
    stages.try_for_each(|(stage, ms)| scalar(&format!("/plots/latency/{stage}"), Some(ms)))
}

/// Logs the innovations that are new since the frame before, whose sources those were: squared distances over their dimensions.
pub fn log_sources(recording: &RecordingStream, before: &[SourceStatus], now: &[SourceStatus]) -> RecordingStreamResult<()> {
    for status in now.iter().filter(|s| before.iter().all(|b| b.source != s.source || b.last != s.last)) {
        let nis = status.last.map(|last| last.nis / status.source.dimensions() as f64);
        scalar(recording, &format!("/plots/nis/{}", status.source.as_str()), nis)?;
    }
    Ok(())
}
