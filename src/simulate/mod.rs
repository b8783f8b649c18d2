//! Simulated flights: a camera flies over a made-up world, or over a raster, and everything it and its sensors record is written as a
//! recording, with the truth and a map of another date.
//!
//! The made-up world is rendered twice: as a satellite saw it in June, and as the camera sees it in October, with other crops,
//! another sun, shadows, colours and sensor, houses that are new or gone and cars that moved. The ground is the plane `u = 0` of
//! the map's region; houses and trees stand on it and show their parallax. The same seed gives the same bytes.

pub mod acceptance;
#[doc(hidden)]
pub mod appearance;
#[cfg(test)]
pub(crate) mod clip;
pub(crate) mod inertial;
mod land;
mod lines;
mod look;
pub mod no_ground;
mod noise;
mod objects;
mod record;
mod satellite;
mod scene;
mod sensor;
mod settings;
mod stills;
mod telemetry;
mod trajectory;
#[cfg(feature = "gst")]
mod video;
mod world;

use crate::geo::{Enu, EnuPlane};
use crate::map::{BuildOptions, MapError, MapStore, MetricView, build_layers};
use crate::recording::FileError;
use crate::simulate::appearance::{PosedFrame, correlation, median};
use crate::types::Mounting;
use image::RgbImage;
use look::Look;
use nalgebra::Vector3;
use rayon::prelude::*;
use satellite::{Area, Satellite};
use scene::{RasterScene, Scene, WorldScene};
pub use settings::{ImuGrade, Settings, WorldSource};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trajectory::Flight;

/// Why a flight cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A setting makes no sense.
    #[error("{name} = {value} {wanted}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it should be.
        wanted: &'static str,
    },
    /// The raster does not reach as far as the flight.
    #[error(
        "{}: the flight leaves the imagery, which is {width_m:.0} x {height_m:.0} m; fly lower, shorter (duration_s) or with shorter legs (leg_m)",
        path.display()
    )]
    TooSmall {
        /// The map.
        path: PathBuf,
        /// Its extent, east to west.
        width_m: f64,
        /// Its extent, north to south.
        height_m: f64,
    },
    /// Something of the map.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Something of the recording.
    #[error(transparent)]
    Recording(#[from] FileError),
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}; choose another folder or free some space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A video cannot be encoded.
    #[error("{}: the video cannot be written: {what}", path.display())]
    Video {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Imagery or photos that something is to be made of.
    #[error("{}: {what}", path.display())]
    Material {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A photo cannot be encoded.
    #[error("{}: cannot be encoded: {source}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Photos, or frames of the video.
    pub photos: u64,
    /// Bytes of all photos, or of the video.
    pub photo_bytes: u64,
    /// Bytes of the map.
    pub map_bytes: u64,
    /// Bytes of the telemetry and the truth.
    pub table_bytes: u64,
    /// Median over some frames of their correlation with the map at their true pose, at 0.6 m/px
    /// ([`crate::simulate::appearance::correlation`]); on a real flight over Fengyuan it is 0.58. Absent where the lens distorts, and for a video.
    pub median_correlation: Option<f64>,
}

/// Time of the first photo after the start of the recording, seconds: a filter has some IMU data by then.
const FIRST_PHOTO_S: f64 = 1.0;
/// Land beyond the map that still throws shadows and is seen by a tilted camera, metres.
const BEYOND_M: f64 = 260.0;
/// Photos rendered between two reports of progress.
const PHOTOS_AT_ONCE: usize = 8;

/// A flight that is ready to be rendered.
struct Plan {
    plane: EnuPlane,
    area: Area,
    flight: Flight,
    flown: Box<dyn Scene>,
    mapped: Box<dyn Scene>,
}

impl Scene for Box<dyn Scene> {
    fn seen(&self, e: f64, n: f64, lean: (f64, f64), footprint: f64) -> look::Colour {
        (**self).seen(e, n, lean, footprint)
    }

    fn covers(&self, e: f64, n: f64) -> bool {
        (**self).covers(e, n)
    }
}

/// Simulates a flight and writes it as a recording into the folder `out`, which is made if it is not there. `progress` is called
/// with what is done and what there is to do.
///
/// # Errors
/// When settings make no sense, a raster cannot be read or is too small, or something cannot be written.
pub fn simulate(settings: &Settings, out: &Path, progress: &dyn Fn(u64, u64)) -> Result<Report, SimulateError> {
    settings.check()?;
    let Plan { plane, area, flight, flown, mapped } = plan(settings)?;
    let recording = record::begin(out)?;

    let stamps = photo_times(settings);
    let total = stamps.len() as u64 + u64::from(area.count.0) * u64::from(area.count.1);
    let mut report = Report { photos: stamps.len() as u64, ..Report::default() };
    let mut film = Film::begin(settings, out)?;
    for (chunk, times) in stamps.chunks(PHOTOS_AT_ONCE).enumerate() {
        let first = (chunk * PHOTOS_AT_ONCE) as u64;
        progress(first, total);
        let images: Vec<RgbImage> = times
            .par_iter()
            .enumerate()
            .map(|(i, &t)| {
                let (position, velocity) = (flight.position(t), flight.velocity(t));
                sensor::photo(settings, flown.as_ref(), &position, &flight.camera(t), &velocity, first + i as u64 + 1)
            })
            .collect();
        report.photo_bytes += film.take(images, first + 1, times, settings)?;
    }
    report.photo_bytes += film.finish()?;
    let offset_m = settings.map_offset_en_m();
    let layer = Satellite { scene: mapped, plane, area, offset_m, blur_m: settings.map_blur_m, seed: settings.seed };
    let options = BuildOptions {
        jpeg_quality: settings.map_jpeg_quality,
        name: Some(format!("skyfix simulation, seed {}", settings.seed)),
        attribution: Some("simulated by skyfix, CC0-1.0".into()),
        ..BuildOptions::default()
    };
    let map = build_layers(vec![Box::new(layer)], &out.join("map.mbtiles"), &options, &|p| {
        progress(stamps.len() as u64 + p.done, total);
    })?;
    report.map_bytes = map.bytes;
    report.table_bytes = record::write_tables(settings, &plane, &flight, &stamps, recording)?;
    if settings.video_per_s.is_none() && settings.distortion.iter().all(|&k| k == 0.0) {
        report.median_correlation = median_correlation(settings, &plane, &flight, &stamps, out)?;
    }
    Ok(report)
}

/// Where rendered frames go.
enum Film {
    Photos(PathBuf),
    #[cfg(feature = "gst")]
    Video(video::VideoWriter),
}

impl Film {
    fn begin(settings: &Settings, out: &Path) -> Result<Self, SimulateError> {
        let Some(rate_hz) = settings.video_per_s else {
            let photos = out.join("photos");
            std::fs::create_dir_all(&photos).map_err(|source| SimulateError::Write { path: photos.clone(), source })?;
            return Ok(Self::Photos(photos));
        };
        let path = out.join(crate::recording::writer::VIDEO);
        #[cfg(feature = "gst")]
        return Ok(Self::Video(video::VideoWriter::create(&path, (settings.width_px, settings.height_px), rate_hz)?));
        #[cfg(not(feature = "gst"))]
        Err(SimulateError::Video { path, what: format!("{rate_hz} frames/s: this skyfix was built without video (feature gst)") })
    }

    /// Takes frames in order, the first of which has a number from 1; returns the bytes written so far as they are known.
    fn take(&mut self, images: Vec<RgbImage>, first: u64, times_s: &[f64], settings: &Settings) -> Result<u64, SimulateError> {
        match self {
            Self::Photos(folder) => {
                debug_assert_eq!(images.len(), times_s.len());
                let write = |(i, image): (usize, &RgbImage)| {
                    record::write_photo(&folder.join(record::photo_name(first + i as u64)), image, settings.photo_jpeg_quality)
                };
                let written: Result<Vec<u64>, SimulateError> = images.par_iter().enumerate().map(write).collect();
                Ok(written?.iter().sum())
            }
            #[cfg(feature = "gst")]
            Self::Video(writer) => {
                for (image, &t) in images.into_iter().zip(times_s) {
                    writer.push(image, crate::time::nanos_from_seconds(t))?;
                }
                Ok(0)
            }
        }
    }

    /// Completes the file; the bytes that were not counted yet.
    fn finish(self) -> Result<u64, SimulateError> {
        match self {
            Self::Photos(_) => Ok(0),
            #[cfg(feature = "gst")]
            Self::Video(writer) => writer.finish(),
        }
    }
}

/// Ground sampling distance at which frames are compared with the map, metres.
const COMPARED_GSD_M: f64 = 0.6;
/// Frames that are compared, at most.
const COMPARED_FRAMES: usize = 60;

/// How much the photos, as stored, look like the map.
fn median_correlation(
    settings: &Settings,
    plane: &EnuPlane,
    flight: &Flight,
    stamps: &[f64],
    out: &Path,
) -> Result<Option<f64>, SimulateError> {
    let map = MapStore::open(&out.join("map.mbtiles"))?;
    let step = stamps.len().div_ceil(COMPARED_FRAMES).max(1);
    let values: Result<Vec<Option<f64>>, SimulateError> = stamps
        .par_iter()
        .enumerate()
        .filter(|(i, _)| i % step == 0)
        .map(|(i, &t)| {
            let path = out.join("photos").join(record::photo_name(i as u64 + 1));
            let image = image::open(&path).map_err(|source| SimulateError::Encode { path, source })?.into_rgb8();
            let p = flight.position(t);
            // Where the photo's ground lies on the map.
            let [east, north] = settings.map_offset_en_m();
            let (lat, lon) = plane.lat_lon_from_ground(p.x + east, p.y + north);
            let Some(region) = map.regions().iter().find(|r| r.bounds.contains(lat, lon)) else { return Ok(None) };
            let at = region.plane.ground_from_lat_lon(lat, lon);
            let frame = PosedFrame {
                image: &image,
                focal_px: settings.focal_px,
                centre_px: (f64::from(settings.width_px) / 2.0, f64::from(settings.height_px) / 2.0),
                position: Enu { u_m: p.z, ..at },
                enu_from_camera: flight.camera(t),
            };
            Ok(correlation(&map, region, &frame, COMPARED_GSD_M)?)
        })
        .collect();
    Ok(median(values?.into_iter().flatten().collect()))
}

/// Times of the photos, seconds since the start of the recording.
fn photo_times(settings: &Settings) -> Vec<f64> {
    let rate_hz = settings.video_per_s.unwrap_or(settings.photos_per_s);
    let count = (settings.duration_s * rate_hz + 1e-9).floor().max(1.0) as u64;
    (0..count).map(|i| FIRST_PHOTO_S + i as f64 / rate_hz).collect()
}

fn plan(settings: &Settings) -> Result<Plan, SimulateError> {
    let timed = Settings { duration_s: settings.duration_s + FIRST_PHOTO_S + 1.0, ..settings.clone() };
    match &settings.world {
        WorldSource::Procedural => {
            let area = Area::around(settings.lat_deg, settings.lon_deg, settings.map_side_m, settings.map_gsd_m);
            let plane = EnuPlane::at(area.bounds().centre());
            let flight = Flight::new(&timed, (0.0, 0.0));
            let b = area.bounds();
            let corner = plane.ground_from_lat_lon(b.north_deg, b.east_deg);
            let reach = flight_reach_m(settings, &flight);
            let half_extent = (corner.e_m.abs().max(corner.n_m.abs()) + BEYOND_M).max(reach + BEYOND_M);
            let world = Arc::new(world::World::new(settings.seed, half_extent, settings.crop_change));
            Ok(Plan {
                plane,
                area,
                flight,
                flown: Box::new(WorldScene { world: world.clone(), look: Look::flown() }),
                mapped: Box::new(WorldScene { world, look: Look::mapped() }),
            })
        }
        WorldSource::Raster(path) => raster_plan(settings, &timed, path),
    }
}

/// How far from the origin the camera sees, metres.
fn flight_reach_m(settings: &Settings, flight: &Flight) -> f64 {
    let times = photo_times(settings);
    times.iter().map(|&t| flight.position(t).xy().amax()).fold(0.0, f64::max) + view_radius_m(settings)
}

/// How far from the point below the camera a photo reaches, metres.
fn view_radius_m(settings: &Settings) -> f64 {
    let half_diagonal = f64::from(settings.width_px).hypot(f64::from(settings.height_px)) / 2.0 / settings.focal_px;
    let airframe_deg = if settings.mounting == Mounting::Strapdown { 28.0 } else { 1.0 };
    let angle = half_diagonal.atan() + (settings.mount_tilt_deg + airframe_deg).to_radians();
    (settings.height_m + 3.0) * angle.min(1.3).tan()
}

/// A flight over a raster: what the camera sees has other colours and light, and the map is blurred.
fn raster_plan(settings: &Settings, timed: &Settings, path: &Path) -> Result<Plan, SimulateError> {
    let store = MapStore::open(path)?;
    let region =
        store.regions().first().ok_or_else(|| MapError::Store { path: path.to_owned(), what: "holds no imagery".into() })?;
    let (west, south, east, north) = region.extent_m();
    let flight = Flight::new(timed, ((west + east) / 2.0, (south + north) / 2.0));
    let times = photo_times(settings);
    let margin = view_radius_m(settings);
    let positions: Vec<Vector3<f64>> = times.iter().map(|&t| flight.position(t)).collect();
    let inside =
        positions.iter().all(|p| p.x - margin > west && p.x + margin < east && p.y - margin > south && p.y + margin < north);
    if !inside {
        return Err(SimulateError::TooSmall { path: path.to_owned(), width_m: east - west, height_m: north - south });
    }
    let view_of = |w: f64, s: f64, e: f64, n: f64, gsd: f64| -> Result<(Arc<_>, MetricView), MapError> {
        let px = |m: f64| (m / gsd).ceil() as u32;
        let view =
            MetricView { west_m: w, north_m: n, ground_sampling_distance_m: gsd, width_px: px(e - w), height_px: px(n - s) };
        Ok((Arc::new(store.view(region, &view)?), view))
    };
    let bound = |f: fn(&Vector3<f64>) -> f64| {
        positions.iter().map(f).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
    };
    let (x, y) = (bound(|p| p.x), bound(|p| p.y));
    let gsd = region.ground_sampling_distance_m;
    let (sharp, sharp_place) = view_of(x.0 - margin, y.0 - margin, x.1 + margin, y.1 + margin, gsd)?;
    let half = settings.map_side_m / 2.0;
    let (cx, cy) = ((west + east) / 2.0, (south + north) / 2.0);
    let centre = region.plane.origin();
    let (coarse, coarse_place) = view_of(
        west.max(cx - half),
        south.max(cy - half),
        east.min(cx + half),
        north.min(cy + half),
        gsd.max(settings.map_gsd_m / 2.0),
    )?;
    let side = settings.map_side_m.min((east - west).max(north - south));
    Ok(Plan {
        plane: region.plane,
        area: Area::around(centre.lat_deg, centre.lon_deg, side, settings.map_gsd_m),
        flight,
        flown: Box::new(RasterScene {
            view: sharp,
            place: sharp_place,
            // Greens turn brown, the light is warmer, shadows are deeper.
            colours: [[0.75, 0.38, -0.05], [0.22, 0.68, 0.08], [0.12, 0.12, 0.62]],
            gamma: 1.25,
            uneven: 1.5,
            plants: 4.0,
            renewed: 0.18,
            seed: settings.seed ^ 1,
        }),
        mapped: Box::new(RasterScene {
            view: coarse,
            place: coarse_place,
            colours: [[0.85, 0.1, 0.02], [0.08, 0.88, 0.02], [0.05, 0.1, 0.85]],
            gamma: 0.85,
            uneven: 0.12,
            plants: 0.0,
            renewed: 0.0,
            seed: settings.seed ^ 2,
        }),
    })
}

#[cfg(test)]
mod tests;
