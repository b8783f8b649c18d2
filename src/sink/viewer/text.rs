//! What the viewer says in words.

use rerun::{MediaType, RecordingStream, RecordingStreamResult, TextDocument, TextLog, TextLogLevel};

use super::palette;
use crate::fuse::state::worst_sigma;
use crate::types::{AidState, FrameReport, Outcome, SourceStatus, TrackSource};

/// Entity of the events.
pub const EVENTS: &str = "/events";
/// Entity of the text about the current frame.
pub const FRAME: &str = "/frame";
/// Entity of the text about the run.
pub const ABOUT: &str = "/about";

/// Logs markdown that holds for the whole recording.
pub fn about(recording: &RecordingStream, markdown: &str) -> RecordingStreamResult<()> {
    recording.log_static(ABOUT, &TextDocument::new(markdown).with_media_type(MediaType::MARKDOWN))
}

/// Logs what is to be said of a frame; `before` is how the frame before was located.
pub fn log(
    recording: &RecordingStream,
    report: &FrameReport,
    before: Option<TrackSource>,
    fix_error_m: Option<f64>,
) -> RecordingStreamResult<()> {
    recording.log(FRAME, &TextDocument::new(frame(report, fix_error_m)).with_media_type(MediaType::MARKDOWN))?;
    let source = report.track.source;
    if before != Some(source) {
        let level = if source == TrackSource::Visual { TextLogLevel::INFO } else { TextLogLevel::WARN };
        let colour = palette::of_track(source);
        let text = format!("track: {} from {}", source.as_str(), report.name);
        recording.log(EVENTS, &TextLog::new(text).with_level(level).with_color(colour))?;
    }
    let trouble = match &report.matched.outcome {
        Outcome::Abstained(reason) => Some(format!("{}: no fix, {}", report.name, reason.as_str())),
        Outcome::Fix(_) if !report.track.fix_used => {
            let nis = report.track.nis.map(|nis| format!(", NIS {nis:.1}")).unwrap_or_default();
            Some(format!("{}: the filter refused the fix{nis}", report.name))
        }
        Outcome::Fix(_) => None,
    };
    match trouble {
        Some(text) => recording.log(EVENTS, &TextLog::new(text).with_level(TextLogLevel::WARN).with_color(palette::REFUSED)),
        None => Ok(()),
    }
}

/// Logs which sources came, went or proved themselves since the frame before, whose sources those were.
pub fn log_sources(recording: &RecordingStream, before: &[SourceStatus], now: &[SourceStatus]) -> RecordingStreamResult<()> {
    for status in now.iter().filter(|s| before.iter().all(|b| b.source != s.source || b.state != s.state)) {
        let (level, colour) = match status.state {
            AidState::Stopped | AidState::Doubted => (TextLogLevel::WARN, palette::INERTIAL),
            AidState::Starting | AidState::Active => (TextLogLevel::INFO, palette::VISUAL),
        };
        let text = format!("source {}: {}", status.source.as_str(), status.state.as_str());
        recording.log(EVENTS, &TextLog::new(text).with_level(level).with_color(colour))?;
    }
    Ok(())
}

fn frame(report: &FrameReport, fix_error_m: Option<f64>) -> String {
    let mut lines = vec![format!("**{}** (#{})", report.name, report.ordinal)];
    match &report.matched.outcome {
        Outcome::Abstained(reason) => lines.push(format!("**no fix: {}**", reason.as_str())),
        Outcome::Fix(fix) => {
            let used = if report.track.fix_used { "" } else { " (refused by the filter)" };
            lines.push(format!("fix **{:.6}, {:.6}**{used}", fix.camera.lat_deg, fix.camera.lon_deg));
            let error = fix_error_m.map(|e| format!(", error {e:.1} m")).unwrap_or_default();
            lines.push(format!("1 sigma {:.1} m{error}", worst_sigma(&fix.camera_covariance_m2())));
            let heading = fix.heading_rad.0.to_degrees().rem_euclid(360.0);
            let (height_m, _) = fix.height_agl_m;
            lines.push(format!("{heading:.0}°, {height_m:.0} m above ground, {} inliers, score {:.2}", fix.inliers, fix.score));
        }
    }
    if let Some(evidence) = report.matched.evidence {
        lines.push(format!("its best place is wrong with a probability of {:.4}", evidence.p_wrong));
    }
    if let Some(route) = report.route {
        lines.push(format!("searched: {}, {:.0} ms of work", route.as_str(), report.times.work_ms()));
    }
    let age = report.track.fix_age_s.map(|age| format!(", last fix {age:.1} s ago")).unwrap_or_default();
    lines.push(format!("track {}{age}", report.track.source.as_str()));
    let sources = report.sources.iter().map(|s| {
        let state = if s.state == AidState::Active { String::new() } else { format!(" ({})", s.state.as_str()) };
        format!("{} {}{state}", s.source.as_str(), s.counters.used)
    });
    lines.push(format!("used: {}", sources.collect::<Vec<_>>().join(", ")));
    // Two spaces end a line in markdown.
    lines.join("  \n")
}
