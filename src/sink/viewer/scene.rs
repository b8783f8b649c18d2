//! The flight over the map: one plane of metres, x east and y south of the plane's origin (the viewer's y points down).

use nalgebra::Matrix2;
use rerun::{Arrows2D, Color, EncodedImage, LineStrips2D, Points2D, Radius, RecordingStream, RecordingStreamResult, Transform3D};

use super::{jpeg, palette};
use crate::geo::Geodetic;
use crate::map::{MapError, MapStore, Region};
use crate::recording::TruthRow;
use crate::types::{Fix, FrameReport, Outcome, TrackPoint};

/// Entities of the scene.
pub mod path {
    pub const IMAGE: &str = "/map/image";
    pub const TRUTH: &str = "/map/truth";
    pub const TRACK: &str = "/map/track";
    pub const SMOOTHED: &str = "/map/smoothed";
    pub const SETTLED: &str = "/map/settled";
    pub const FIXES: &str = "/map/fixes";
    pub const ELLIPSES: &str = "/map/fixes/ellipses";
    pub const ABSTAINED: &str = "/map/abstained";
    pub const FOOTPRINT: &str = "/map/footprint";
    pub const DRONE: &str = "/map/drone";
}

/// Longest side of the map's picture: fine enough to zoom into, and within the texture size of every graphics driver.
const OVERVIEW_PX: u32 = 4096;
const OVERVIEW_QUALITY: u8 = 85;
/// Sides of the polygon drawn for an ellipse.
const ELLIPSE_SIDES: u32 = 40;
/// How many sigmas an ellipse spans.
const ELLIPSE_SIGMAS: f64 = 2.0;
/// The frame's outline, closed, as shares of its width and height.
const CORNERS: [(f64, f64); 5] = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)];
/// Space around the flight as a share of its longer side.
const FLOWN_MARGIN: f64 = 0.06;
/// Lines lie at 20 by default, points at 30.
const SMOOTHED_DRAW_ORDER: f32 = 25.0;
/// Length of the heading arrow as a share of the frame's width on the ground.
const ARROW_SHARE: f64 = 0.2;

/// A point of the scene.
pub type Point = [f32; 2];

/// A rectangle of the scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// West and east, metres.
    pub x: [f64; 2],
    /// North and south, metres.
    pub y: [f64; 2],
}

/// The scene as far as it is drawn.
#[derive(Default)]
pub struct Scene {
    home: Option<Region>,
    map: Option<Bounds>,
    flown: Option<Bounds>,
    track: Option<Point>,
    settled: Option<Point>,
    truth: Option<Point>,
}

impl Bounds {
    fn and(self, [x, y]: Point) -> Self {
        let (x, y) = (f64::from(x), f64::from(y));
        Self { x: [self.x[0].min(x), self.x[1].max(x)], y: [self.y[0].min(y), self.y[1].max(y)] }
    }

    fn at([x, y]: Point) -> Self {
        Self { x: [x.into(), x.into()], y: [y.into(), y.into()] }
    }

    fn with_margin(self, share: f64) -> Self {
        let margin = share * (self.x[1] - self.x[0]).max(self.y[1] - self.y[0]);
        Self { x: [self.x[0] - margin, self.x[1] + margin], y: [self.y[0] - margin, self.y[1] + margin] }
    }
}

impl Scene {
    /// Draws the map of the only region, or, on a map of several, of the one that holds the first position known.
    ///
    pub fn settle(&mut self, map: &MapStore, known: Option<Geodetic>, recording: &RecordingStream) -> Result<(), SceneError> {
        if self.home.is_some() {
            return Ok(());
        }
        let region = match (map.regions(), known) {
            ([only], _) => only,
            (several, Some(at)) => match several.iter().find(|r| r.bounds.contains(at.lat_deg, at.lon_deg)) {
                Some(region) => region,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        let (view, at) = map.overview(region, OVERVIEW_PX)?;
        let picture = EncodedImage::new(jpeg(&view.image, OVERVIEW_QUALITY).map_err(SceneError::Picture)?)
            .with_media_type(rerun::MediaType::JPEG)
            .with_draw_order(-10.0);
        let gsd = at.ground_sampling_distance_m as f32;
        let place = Transform3D::from_translation_scale(
            [at.west_m as f32, -at.north_m as f32, 0.0],
            rerun::Scale3D::from([gsd, gsd, 1.0]),
        );
        recording.log_static(path::IMAGE, &place)?;
        recording.log_static(path::IMAGE, &picture)?;
        self.home = Some(region.clone());
        let (east, south) = at.ground_from_pixel(f64::from(at.width_px), f64::from(at.height_px));
        self.map = Some(Bounds { x: [at.west_m, east], y: [-at.north_m, -south] });
        Ok(())
    }

    /// The map's rectangle, when it is drawn.
    pub fn map_bounds(&self) -> Option<Bounds> {
        self.map
    }

    /// The rectangle around what was flown over, with a margin; the map's when nothing was.
    pub fn flown_bounds(&self) -> Option<Bounds> {
        self.flown.map(|flown| flown.with_margin(FLOWN_MARGIN)).or(self.map)
    }

    fn saw(&mut self, point: Point) {
        self.flown = Some(self.flown.map_or(Bounds::at(point), |flown| flown.and(point)));
    }

    /// Draws the whole smoothed track, at all times; parts that are not known are left out.
    pub fn log_smoothed(&self, recording: &RecordingStream, points: &[(String, TrackPoint)]) -> RecordingStreamResult<()> {
        let Some(home) = &self.home else { return Ok(()) };
        let parts = points.split(|(_, point)| point.state.is_none());
        let strip = |part: &[(String, TrackPoint)]| {
            part.iter().filter_map(|(_, p)| p.state.as_ref()).map(|s| drawn_at(home, s.position)).collect::<Vec<Point>>()
        };
        let strips: Vec<_> = parts.map(strip).filter(|strip| strip.len() > 1).collect();
        // Above the live track, which it seldom leaves by more than that is wide.
        let line = LineStrips2D::new(strips)
            .with_colors([palette::SMOOTHED])
            .with_radii([Radius::new_ui_points(1.0)])
            .with_draw_order(SMOOTHED_DRAW_ORDER);
        recording.log_static(path::SMOOTHED, &line)
    }

    /// Draws the smoothed track on to a point that is settled.
    pub fn log_settled(&mut self, recording: &RecordingStream, point: &TrackPoint) -> RecordingStreamResult<()> {
        let here = self.home.as_ref().zip(point.state.as_ref()).map(|(home, state)| drawn_at(home, state.position));
        let before = std::mem::replace(&mut self.settled, here);
        here.map_or(Ok(()), |here| segment(recording, path::SETTLED, before, here, palette::SMOOTHED, 1.0))
    }

    /// Draws the track on to a point.
    pub fn log_track(&mut self, recording: &RecordingStream, point: &TrackPoint) -> RecordingStreamResult<()> {
        let Some(home) = &self.home else { return Ok(()) };
        let Some(state) = &point.state else {
            // What follows an outage is not joined to what was before it.
            self.track = None;
            return Ok(());
        };
        let here = drawn_at(home, state.position);
        self.saw(here);
        let colour = palette::of_track(point.source);
        segment(recording, path::TRACK, self.track.replace(here), here, colour, 1.75)
    }

    /// Draws a frame.
    pub fn log(
        &mut self,
        recording: &RecordingStream,
        map: &MapStore,
        report: &FrameReport,
        truth: Option<&TruthRow>,
    ) -> RecordingStreamResult<()> {
        let Some(home) = self.home.clone() else { return Ok(()) };
        let point = |at| drawn_at(&home, at);
        if let Some(here) = truth.map(|t| point(t.camera)) {
            self.saw(here);
            segment(recording, path::TRUTH, self.truth.replace(here), here, palette::TRUTH, 1.0)?;
        }
        self.log_track(recording, &report.track)?;
        match &report.matched.outcome {
            Outcome::Fix(fix) => {
                let plane = map.regions().get(fix.region as usize).map_or(home.plane, |r| r.plane);
                let from_region = |e: f64, n: f64| {
                    let (lat, lon) = plane.lat_lon_from_ground(e, n);
                    point(Geodetic::ground(lat, lon))
                };
                let outline = draw_fix(recording, report, fix, point(fix.camera), from_region)?;
                outline.into_iter().for_each(|corner| self.saw(corner));
                Ok(())
            }
            Outcome::Abstained(_) => {
                recording.log(path::FOOTPRINT, &LineStrips2D::clear_fields())?;
                recording.log(path::DRONE, &Arrows2D::clear_fields())?;
                match self.track.or(self.truth) {
                    Some(here) => {
                        let cross =
                            Points2D::new([here]).with_colors([palette::REFUSED]).with_radii([Radius::new_ui_points(3.0)]);
                        recording.log(path::ABSTAINED, &cross)
                    }
                    None => Ok(()),
                }
            }
        }
    }
}

/// Where a place is drawn: metres east and south in the plane of the region that the flight began over.
fn drawn_at(home: &Region, at: Geodetic) -> Point {
    let enu = home.plane.ground_from_lat_lon(at.lat_deg, at.lon_deg);
    [enu.e_m as f32, -enu.n_m as f32]
}

fn segment(
    recording: &RecordingStream,
    entity: &str,
    from: Option<Point>,
    to: Point,
    colour: Color,
    width: f32,
) -> RecordingStreamResult<()> {
    let Some(from) = from else { return Ok(()) };
    let line = LineStrips2D::new([[from, to]]).with_colors([colour]).with_radii([Radius::new_ui_points(width)]);
    recording.log(entity, &line)
}

/// Draws a fix and returns the frame's outline on the ground.
fn draw_fix(
    recording: &RecordingStream,
    report: &FrameReport,
    fix: &Fix,
    camera: Point,
    from_region: impl Fn(f64, f64) -> Point,
) -> RecordingStreamResult<Vec<Point>> {
    let colour = if report.track.fix_used { palette::FIX } else { palette::REFUSED };
    recording.log(path::FIXES, &Points2D::new([camera]).with_colors([colour]).with_radii([Radius::new_ui_points(3.0)]))?;
    let outline = ellipse(&fix.camera_covariance_m2())
        .into_iter()
        .map(|[e, n]| from_region(fix.camera_m.x + e, fix.camera_m.y + n))
        .collect::<Vec<_>>();
    recording
        .log(path::ELLIPSES, &LineStrips2D::new([outline]).with_colors([colour]).with_radii([Radius::new_ui_points(0.75)]))?;
    let (w, h) = (f64::from(report.frame_px.0), f64::from(report.frame_px.1));
    let corners: Option<Vec<(f64, f64)>> = CORNERS.iter().map(|(x, y)| fix.ground_from_frame.apply(x * w, y * h)).collect();
    let Some(corners) = corners.filter(|_| w > 0.0 && h > 0.0) else { return Ok(Vec::new()) };
    let strip: Vec<Point> = corners.iter().map(|(e, n)| from_region(*e, *n)).collect();
    recording.log(
        path::FOOTPRINT,
        &LineStrips2D::new([strip.clone()]).with_colors([palette::FOOTPRINT]).with_radii([Radius::new_ui_points(1.5)]),
    )?;
    let (sin, cos) = fix.heading_rad.0.sin_cos();
    let length = ARROW_SHARE * (corners[1].0 - corners[0].0).hypot(corners[1].1 - corners[0].1);
    recording.log(
        path::DRONE,
        &Arrows2D::from_vectors([[(sin * length) as f32, (-cos * length) as f32]])
            .with_origins([camera])
            .with_colors([palette::FOOTPRINT])
            .with_radii([Radius::new_ui_points(2.0)]),
    )?;
    Ok(strip)
}

/// The outline of a covariance around the origin, closed; metres.
fn ellipse(covariance: &Matrix2<f64>) -> Vec<[f64; 2]> {
    let eigen = covariance.symmetric_eigen();
    let axis = |i: usize| eigen.eigenvectors.column(i) * (ELLIPSE_SIGMAS * eigen.eigenvalues[i].max(0.0).sqrt());
    let (a, b) = (axis(0), axis(1));
    let turn = |i: u32| std::f64::consts::TAU * f64::from(i) / f64::from(ELLIPSE_SIDES);
    (0..=ELLIPSE_SIDES).map(turn).map(|t| a * t.cos() + b * t.sin()).map(|p| [p.x, p.y]).collect()
}

/// What can go wrong with drawing the map.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// The map cannot be read.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Its picture cannot be made.
    #[error(transparent)]
    Picture(image::ImageError),
    /// It cannot be recorded.
    #[error(transparent)]
    Recording(#[from] rerun::RecordingStreamError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipse_reaches_two_sigma_along_its_axes_and_is_closed() {
        let outline = ellipse(&Matrix2::new(9.0, 0.0, 0.0, 4.0));
        let reach = |i: usize| outline.iter().map(|p| p[i].abs()).fold(0.0, f64::max);
        assert!((reach(0) - 6.0).abs() < 1e-9 && (reach(1) - 4.0).abs() < 1e-9);
        let (first, last) = (outline[0], outline[outline.len() - 1]);
        assert!((first[0] - last[0]).hypot(first[1] - last[1]) < 1e-9);
    }
}
