//! Colours that stand out from vegetation, soil and roofs and from each other.

use rerun::Color;

use crate::types::TrackSource;

/// True positions.
pub const TRUTH: Color = rgb(255, 255, 255);
/// The track while fixes are used.
pub const VISUAL: Color = rgb(0, 229, 255);
/// The track on dead reckoning.
pub const INERTIAL: Color = rgb(255, 145, 0);
/// The track where nothing confirms it yet.
pub const UNCONFIRMED: Color = rgb(255, 90, 160);
/// The track as the whole flight knows it.
pub const SMOOTHED: Color = rgb(190, 140, 255);
/// A fix that the filter used, and its ellipse.
pub const FIX: Color = rgb(255, 238, 0);
/// A fix that the filter refused; where a frame had none; outliers.
pub const REFUSED: Color = rgb(255, 45, 85);
/// The frame's outline on the ground.
pub const FOOTPRINT: Color = rgb(255, 120, 255);
/// Matches that agree.
pub const INLIER: Color = rgb(120, 255, 90);
/// Lines between them: many, so translucent.
pub const INLIER_LINE: Color = Color(rerun::Rgba32::from_unmultiplied_rgba(120, 255, 90, 130));
/// A level to compare with.
pub const REFERENCE: Color = rgb(150, 150, 150);

/// The colour of a point of the track.
pub fn of_track(source: TrackSource) -> Color {
    match source {
        TrackSource::Visual => VISUAL,
        TrackSource::Unconfirmed => UNCONFIRMED,
        TrackSource::Gnss | TrackSource::Inertial | TrackSource::Lost => INERTIAL,
    }
}

const fn rgb(r: u8, g: u8, b: u8) -> Color {
    Color(rerun::Rgba32::from_rgb(r, g, b))
}
