//! Frame and map side by side, with the matches between them.
//!
//! The patch of the map is turned and scaled like the frame, so that the lines of a right fix run parallel.

use image::RgbImage;
use rerun::{EncodedImage, LineStrips2D, Points2D, Radius, RecordingStream, Transform3D};

use super::scene::{Bounds, Point, SceneError};
use super::{jpeg, palette};
use crate::geo::MetricView;
use crate::map::{MapStore, Region};
use crate::types::{FrameReport, Match, Outcome};

/// Entity of both.
pub const ROOT: &str = "/pair";
/// Entity of the frame.
pub const FRAME: &str = "/pair/frame";
const FRAME_IMAGE: &str = "/pair/frame/image";
const FRAME_POINTS: &str = "/pair/frame/points";
const MAP: &str = "/pair/map";
const MAP_IMAGE: &str = "/pair/map/image";
const MAP_POINTS: &str = "/pair/map/points";
const LINES: &str = "/pair/lines";

/// Widest picture recorded, pixels.
const MAX_WIDTH_PX: u32 = 640;
const QUALITY: u8 = 80;
/// Widest patch of the map, pixels: it costs more to make than the preview, and a view shows both small.
const PATCH_WIDTH_PX: f64 = 400.0;
/// Most lines drawn between frame and map.
const MAX_LINES: usize = 150;
/// Space between both pictures as a share of the width.
const GAP: f64 = 0.04;
/// A map this much coarser or finer than the matches suggest is no view of anything, metres a pixel.
const SANE_GSD_M: std::ops::Range<f64> = 0.005..50.0;

/// What a view of both should show for previews of this size.
pub fn bounds(preview_px: (u32, u32)) -> Bounds {
    let scale = (f64::from(MAX_WIDTH_PX) / f64::from(preview_px.0.max(1))).min(1.0);
    let (w, h) = (f64::from(preview_px.0) * scale, f64::from(preview_px.1) * scale);
    Bounds { x: [0.0, w * (2.0 + GAP)], y: [0.0, h] }
}

/// Draws a frame with what it was matched to.
pub fn log(recording: &RecordingStream, map: &MapStore, report: &FrameReport) -> Result<(), SceneError> {
    let clear = |entity: &str| recording.log(entity, &LineStrips2D::clear_fields());
    let Some((preview, scale)) = &report.preview else {
        for entity in [FRAME_IMAGE, MAP_IMAGE] {
            recording.log(entity, &EncodedImage::clear_fields())?;
        }
        for entity in [FRAME_POINTS, MAP_POINTS] {
            recording.log(entity, &Points2D::clear_fields())?;
        }
        return Ok(clear(LINES)?);
    };
    let (preview, scale) = shrink(preview, *scale);
    log_image(recording, FRAME_IMAGE, &preview)?;
    let matches = chosen(&report.matched.matches);
    let in_preview = |m: &&Match| [(m.frame_px[0] * scale) as f32, (m.frame_px[1] * scale) as f32];
    let colours: Vec<_> = matches.iter().map(|m| if m.inlier { palette::INLIER } else { palette::REFUSED }).collect();
    let from: Vec<Point> = matches.iter().map(in_preview).collect();
    let dots = |points: &[Point]| {
        Points2D::new(points.iter().copied()).with_colors(colours.iter().copied()).with_radii([Radius::new_ui_points(1.5)])
    };
    recording.log(FRAME_POINTS, &dots(&from))?;

    let Some((region, patch)) = patch(map, report, preview.dimensions(), scale) else {
        recording.log(MAP_IMAGE, &EncodedImage::clear_fields())?;
        recording.log(MAP_POINTS, &Points2D::clear_fields())?;
        return Ok(clear(LINES)?);
    };
    let picture = patch.scaled((PATCH_WIDTH_PX / f64::from(preview.width().max(1))).min(1.0)).render(map, region)?;
    let enlarge = |a: u32, b: u32| f64::from(a) as f32 / b.max(1) as f32;
    let scale = [enlarge(preview.width(), picture.width()), enlarge(preview.height(), picture.height()), 1.0];
    recording.log(MAP_IMAGE, &Transform3D::from_scale(rerun::Scale3D::from(scale)))?;
    log_image(recording, MAP_IMAGE, &picture)?;
    let right = (f64::from(preview.width()) * (1.0 + GAP)) as f32;
    recording.log(MAP, &Transform3D::from_translation([right, 0.0, 0.0]))?;
    let to: Vec<Point> = matches.iter().map(|m| patch.pixel_from_ground(m.map_m)).collect();
    recording.log(MAP_POINTS, &dots(&to))?;
    let inliers = from.iter().zip(&to).zip(&matches).filter(|(_, m)| m.inlier).map(|((a, b), _)| [*a, [b[0] + right, b[1]]]);
    let lines = LineStrips2D::new(inliers).with_colors([palette::INLIER_LINE]).with_radii([Radius::new_ui_points(0.5)]);
    Ok(recording.log(LINES, &lines)?)
}

fn log_image(recording: &RecordingStream, entity: &str, image: &RgbImage) -> Result<(), SceneError> {
    let bytes = jpeg(image, QUALITY).map_err(SceneError::Picture)?;
    let image = EncodedImage::new(bytes).with_media_type(rerun::MediaType::JPEG).with_draw_order(-10.0);
    Ok(recording.log(entity, &image)?)
}

/// The preview at a size that a recording of thousands of frames can hold.
fn shrink(preview: &RgbImage, scale: f64) -> (std::borrow::Cow<'_, RgbImage>, f64) {
    if preview.width() <= MAX_WIDTH_PX {
        return (std::borrow::Cow::Borrowed(preview), scale);
    }
    let factor = f64::from(MAX_WIDTH_PX) / f64::from(preview.width());
    let height = ((f64::from(preview.height()) * factor).round() as u32).max(1);
    let small = image::imageops::resize(preview, MAX_WIDTH_PX, height, image::imageops::FilterType::Triangle);
    (std::borrow::Cow::Owned(small), scale * factor)
}

/// Inliers and outliers in their shares, evenly picked from all.
fn chosen(matches: &[Match]) -> Vec<&Match> {
    let step = matches.len().div_ceil(MAX_LINES).max(1);
    matches.iter().step_by(step).collect()
}

/// A part of the map turned and scaled like a preview of the same size: with `d` the offset from the picture's centre in pixels,
/// `e = e₀ + p·d.x + q·d.y` and `n = n₀ + q·d.x − p·d.y`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Patch {
    size_px: (u32, u32),
    centre_m: [f64; 2],
    p: f64,
    q: f64,
}

/// The patch that a fix, or the matches of an abstention, point to. Matches do not say which region they lie in, so without a fix
/// it must be the only one.
fn patch<'a>(map: &'a MapStore, report: &FrameReport, size_px: (u32, u32), scale: f64) -> Option<(&'a Region, Patch)> {
    let centre = [f64::from(size_px.0) / 2.0, f64::from(size_px.1) / 2.0];
    let (region, patch) = match &report.matched.outcome {
        Outcome::Fix(fix) => {
            let (x, y) = (centre[0] / scale, centre[1] / scale);
            let (e, n) = fix.ground_from_frame.apply(x, y)?;
            let j = fix.ground_from_frame.jacobian(x, y)?;
            let (p, q) = ((j[0][0] - j[1][1]) / (2.0 * scale), (j[0][1] + j[1][0]) / (2.0 * scale));
            (map.regions().get(fix.region as usize)?, Patch { size_px, centre_m: [e, n], p, q })
        }
        Outcome::Abstained(_) => {
            let [region] = map.regions() else { return None };
            (region, Patch::through(&report.matched.matches, scale, size_px)?)
        }
    };
    SANE_GSD_M.contains(&patch.gsd_m()).then_some((region, patch))
}

impl Patch {
    /// The similarity that fits matches best; `None` for fewer than three.
    fn through(matches: &[Match], scale: f64, size_px: (u32, u32)) -> Option<Self> {
        let inliers: Vec<&Match> = matches.iter().filter(|m| m.inlier).collect();
        let used = if inliers.len() >= 3 { inliers } else { matches.iter().collect() };
        if used.len() < 3 {
            return None;
        }
        let count = used.len() as f64;
        let mean = |value: &dyn Fn(&Match) -> f64| used.iter().map(|m| value(m)).sum::<f64>() / count;
        let (x0, y0) = (mean(&|m| m.frame_px[0]) * scale, mean(&|m| m.frame_px[1]) * scale);
        let (e0, n0) = (mean(&|m| m.map_m[0]), mean(&|m| m.map_m[1]));
        let (mut p, mut q, mut norm) = (0.0, 0.0, 0.0);
        for m in &used {
            let (x, y) = (m.frame_px[0] * scale - x0, m.frame_px[1] * scale - y0);
            let (e, n) = (m.map_m[0] - e0, m.map_m[1] - n0);
            p += e * x - n * y;
            q += e * y + n * x;
            norm += x * x + y * y;
        }
        let (p, q) = (p / norm, q / norm);
        let (dx, dy) = (f64::from(size_px.0) / 2.0 - x0, f64::from(size_px.1) / 2.0 - y0);
        Some(Self { size_px, centre_m: [e0 + p * dx + q * dy, n0 + q * dx - p * dy], p, q })
    }

    /// The same ground in fewer pixels.
    fn scaled(&self, share: f64) -> Self {
        let px = |side: u32| ((f64::from(side) * share).round() as u32).max(1);
        Self { size_px: (px(self.size_px.0), px(self.size_px.1)), p: self.p / share, q: self.q / share, ..*self }
    }

    /// Metres a pixel; NaN for a degenerate fit.
    fn gsd_m(&self) -> f64 {
        self.p.hypot(self.q)
    }

    fn pixel_from_ground(&self, [e, n]: [f64; 2]) -> Point {
        let (e, n) = (e - self.centre_m[0], n - self.centre_m[1]);
        let norm = self.p * self.p + self.q * self.q;
        let (dx, dy) = ((self.p * e + self.q * n) / norm, (self.q * e - self.p * n) / norm);
        [(f64::from(self.size_px.0) / 2.0 + dx) as f32, (f64::from(self.size_px.1) / 2.0 + dy) as f32]
    }

    fn render(&self, map: &MapStore, region: &Region) -> Result<RgbImage, SceneError> {
        let (w, h) = (f64::from(self.size_px.0), f64::from(self.size_px.1));
        let side = (w.hypot(h).ceil() as u32 + 4).max(8);
        let view = MetricView::centred(self.centre_m[0], self.centre_m[1], self.gsd_m(), side, side);
        let north_up = map.view(region, &view)?.image;
        let (p, q) = (self.p / self.gsd_m(), self.q / self.gsd_m());
        let middle = f64::from(side) / 2.0;
        Ok(RgbImage::from_fn(self.size_px.0, self.size_px.1, |x, y| {
            let (dx, dy) = (f64::from(x) + 0.5 - w / 2.0, f64::from(y) + 0.5 - h / 2.0);
            let (column, row) = (middle + p * dx + q * dy - 0.5, middle - q * dx + p * dy - 0.5);
            image::imageops::interpolate_bilinear(&north_up, column as f32, row as f32).unwrap_or(image::Rgb([0, 0, 0]))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(frame_px: [f64; 2], map_m: [f64; 2]) -> Match {
        Match { frame_px, map_m, similarity: 0.9, inlier: true }
    }

    #[test]
    fn a_patch_fitted_to_matches_maps_them_onto_their_place_in_the_preview() {
        // The preview is half the frame's size; the drone heads east: the frame's top lies in the east.
        let ground = |x: f64, y: f64| [1000.0 + 0.2 * (240.0 - y), -500.0 - 0.2 * (x - 320.0)];
        let at = [[10.0, 20.0], [600.0, 50.0], [300.0, 400.0], [50.0, 460.0]];
        let matches: Vec<Match> = at.iter().map(|[x, y]| matched([*x, *y], ground(*x, *y))).collect();
        let patch = Patch::through(&matches, 0.5, (320, 240)).unwrap();
        assert!((patch.gsd_m() - 0.4).abs() < 1e-9);
        for (m, [x, y]) in matches.iter().zip(at) {
            let [px, py] = patch.pixel_from_ground(m.map_m);
            assert!((f64::from(px) - x / 2.0).hypot(f64::from(py) - y / 2.0) < 1e-3);
        }
    }

    #[test]
    fn at_most_a_hundred_and_fifty_matches_are_drawn() {
        let many = vec![matched([0.0, 0.0], [0.0, 0.0]); 1234];
        assert!(chosen(&many).len() <= MAX_LINES && chosen(&many).len() > MAX_LINES / 2);
        assert_eq!(chosen(&many[..7]).len(), 7);
    }
}
