//! What the colours mean, drawn as a small scene of its own: text in the viewer has one colour.

use rerun::{Color, LineStrips2D, Points2D, Radius, RecordingStream, RecordingStreamResult};

use super::palette;
use super::scene::Bounds;

/// Entity of the legend.
pub const ROOT: &str = "/legend";

/// What the legend's view shows.
pub const BOUNDS: Bounds = Bounds { x: [-1.0, 23.0], y: [-1.0, 10.0] };

const LINES: [(Color, &str); 7] = [
    (palette::VISUAL, "track on fixes"),
    (palette::UNCONFIRMED, "not confirmed yet"),
    (palette::INERTIAL, "dead reckoning"),
    (palette::SMOOTHED, "smoothed"),
    (palette::TRUTH, "truth"),
    (palette::FOOTPRINT, "frame's outline"),
    (palette::INLIER, "match"),
];
const POINTS: [(Color, &str); 2] = [(palette::FIX, "fix and 2 sigma"), (palette::REFUSED, "no fix, or refused")];
const ROWS: usize = 5;

/// Logs the legend.
pub fn log(recording: &RecordingStream) -> RecordingStreamResult<()> {
    let place = |i: usize| [(i / ROWS) as f32 * 12.0, (i % ROWS) as f32 * 2.0];
    let entries = || LINES.iter().chain(&POINTS).copied();
    let strip = |i: usize| [[place(i)[0], place(i)[1] + 0.5], [place(i)[0] + 1.6, place(i)[1] + 0.5]];
    recording.log_static(
        format!("{ROOT}/lines"),
        &LineStrips2D::new((0..LINES.len()).map(strip)).with_colors(LINES.map(|l| l.0)).with_radii([Radius::new_ui_points(2.0)]),
    )?;
    let dot = |i: usize| [place(i)[0] + 0.8, place(i)[1] + 0.5];
    recording.log_static(
        format!("{ROOT}/points"),
        &Points2D::new((LINES.len()..LINES.len() + POINTS.len()).map(dot))
            .with_colors(POINTS.map(|p| p.0))
            .with_radii([Radius::new_ui_points(4.0)]),
    )?;
    // A label hangs below its point, in the middle.
    let label = |i: usize| [place(i)[0] + 6.2, place(i)[1] - 0.4];
    recording.log_static(
        format!("{ROOT}/labels"),
        &Points2D::new((0..LINES.len() + POINTS.len()).map(label))
            .with_radii([Radius::ZERO])
            .with_colors(entries().map(|l| l.0))
            .with_labels(entries().map(|l| l.1))
            .with_show_labels(true),
    )
}
