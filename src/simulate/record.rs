//! Writes a recording's files.

use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, RgbImage};
use nalgebra::{Quaternion, UnitQuaternion};

use super::sensor::ground_of_pixel;
use super::settings::{Settings, WorldSource};
use super::telemetry::{self, Noise};
use super::trajectory::Flight;
use super::{FIRST_PHOTO_S, SimulateError};
use crate::geo::{Enu, EnuPlane, Geodetic};
use crate::recording::writer::{FRAMES, PHOTOS};
use crate::recording::{Description, RecordingWriter, Start, Told, TruthRecord};
use crate::time::nanos_from_seconds;
use crate::types::{Camera, Distortion, Intrinsics, TelemetryBatch};

/// How uncertain the recording says the start is, metres.
const START_SIGMA_M: f64 = 200.0;

/// Name of a photo, counted from 1.
pub(super) fn photo_name(number: u64) -> String {
    format!("{number:06}.jpg")
}

/// Starts a recording; photos of an earlier flight must not stay among those of this one.
pub(super) fn begin(out: &Path) -> Result<RecordingWriter, SimulateError> {
    std::fs::create_dir_all(out).map_err(|source| SimulateError::Write { path: out.to_owned(), source })?;
    let writer = RecordingWriter::replace(out)?;
    let folder = out.join("photos");
    if folder.is_dir() {
        remove_old_photos(&folder)?;
        // Stays where it holds photos of somebody else.
        let _ = std::fs::remove_dir(&folder);
    }
    Ok(writer)
}

fn remove_old_photos(folder: &Path) -> Result<(), SimulateError> {
    let fail = |source| SimulateError::Write { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let ours = stem.len() == 6 && stem.bytes().all(|b| b.is_ascii_digit()) && path.extension().is_some_and(|e| e == "jpg");
        if ours {
            std::fs::remove_file(&path).map_err(|source| SimulateError::Write { path: path.clone(), source })?;
        }
    }
    Ok(())
}

/// Writes a photo; returns its size, bytes.
pub(super) fn write_photo(path: &Path, image: &RgbImage, quality: u8) -> Result<u64, SimulateError> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|source| SimulateError::Encode { path: path.to_owned(), source })?;
    std::fs::write(path, &bytes).map_err(|source| SimulateError::Write { path: path.to_owned(), source })?;
    Ok(bytes.len() as u64)
}

/// Writes telemetry, truth and `flight.toml`; returns the size of the tables, bytes.
pub(super) fn write_tables(
    settings: &Settings,
    plane: &EnuPlane,
    flight: &Flight,
    photo_times: &[f64],
    mut writer: RecordingWriter,
) -> Result<u64, SimulateError> {
    let end_s = photo_times.last().copied().unwrap_or(FIRST_PHOTO_S) + 0.5;
    writer.telemetry(&rounded_telemetry(telemetry::batch(settings, plane, flight, end_s)))?;
    for (i, &t) in photo_times.iter().enumerate() {
        // Frames of a video are named by their number from 0, as every reader of videos counts.
        let (table, name) = match settings.video_per_s {
            Some(_) => (FRAMES, i.to_string()),
            None => (PHOTOS, photo_name(i as u64 + 1)),
        };
        writer.stamp(table, &name, nanos_from_seconds(t))?;
        writer.truth(&truth(settings, plane, flight, name, t))?;
    }
    describe(settings, plane, flight, &writer)?;
    Ok(writer.finish()?)
}

/// A number with so many decimals: recordings tell no more than sensors do.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

fn rounded_telemetry(mut batch: TelemetryBatch) -> TelemetryBatch {
    for s in &mut batch.imu {
        s.gyro_rad_s.apply(|v| *v = rounded(*v, 6));
        s.accel_m_s2.apply(|v| *v = rounded(*v, 4));
    }
    batch.height.iter_mut().for_each(|s| s.height_agl_m = rounded(s.height_agl_m, 3));
    batch.heading.iter_mut().for_each(|s| s.heading_rad = rounded(s.heading_rad.to_degrees(), 3).to_radians());
    for s in &mut batch.attitude {
        let [x, y, z, w] = one_of_both_signs(&s.enu_from_body).map(|q| rounded(q, 6));
        s.enu_from_body = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z));
    }
    batch.barometer.iter_mut().for_each(|s| s.alt_m = rounded(s.alt_m, 3));
    for s in &mut batch.gnss {
        (s.lat_deg, s.lon_deg) = (rounded(s.lat_deg, 8), rounded(s.lon_deg, 8));
    }
    batch
}

fn truth(settings: &Settings, plane: &EnuPlane, flight: &Flight, frame: String, t: f64) -> TruthRecord {
    let (p, v) = (flight.position(t), flight.velocity(t).map(|v| rounded(v, 4)));
    let (lat, lon) = plane.lat_lon_from_ground(p.x, p.y);
    let centre = centre(settings, flight, t).map(|c| plane.lat_lon_from_ground(c.e_m, c.n_m));
    let [qx, qy, qz, qw] = one_of_both_signs(&flight.attitude(t)).map(|q| rounded(q, 6));
    // The ground of the simulation is the ellipsoid, so height above both is the same.
    let height_m = rounded(p.z, 3);
    TruthRecord {
        frame,
        stamp_ns: nanos_from_seconds(t),
        lat: rounded(lat, 9),
        lon: rounded(lon, 9),
        alt_m: height_m,
        height_agl_m: height_m,
        vel_e_m_s: v.x,
        vel_n_m_s: v.y,
        vel_u_m_s: v.z,
        qw,
        qx,
        qy,
        qz,
        centre_lat: centre.map(|c| rounded(c.0, 9)),
        centre_lon: centre.map(|c| rounded(c.1, 9)),
        centre_trusted: if centre.is_some() { "yes" } else { "no" },
    }
}

/// x, y, z, w of one of the two quaternions of a rotation, always the same.
fn one_of_both_signs(rotation: &UnitQuaternion<f64>) -> [f64; 4] {
    let sign = if rotation.w < 0.0 { -1.0 } else { 1.0 };
    rotation.coords.map(|q| sign * q).into()
}

/// Where the middle of the image lies on the ground.
pub(super) fn centre(settings: &Settings, flight: &Flight, t: f64) -> Option<Enu> {
    let (cx, cy) = (f64::from(settings.width_px) / 2.0, f64::from(settings.height_px) / 2.0);
    ground_of_pixel(settings, &flight.position(t), &flight.camera(t), cx, cy)
}

fn describe(settings: &Settings, plane: &EnuPlane, flight: &Flight, writer: &RecordingWriter) -> Result<(), SimulateError> {
    let mut noise = Noise::new(settings.seed, 5);
    let p = flight.position(FIRST_PHOTO_S);
    let (e, n) = (p.x + 0.5 * START_SIGMA_M * noise.next(), p.y + 0.5 * START_SIGMA_M * noise.next());
    let (lat, lon) = plane.lat_lon_from_ground(e, n);
    let start = Start { position: Geodetic::ground(rounded(lat, 6), rounded(lon, 6)), sigma_m: START_SIGMA_M };
    let (world, licence) = match &settings.world {
        WorldSource::Procedural => ("a made-up landscape", "CC0-1.0"),
        WorldSource::Raster(_) => ("a raster given by the user", "that of the raster"),
    };
    let focal_px = rounded(settings.focal_px, 3);
    let camera = Camera {
        distortion: Distortion::from(settings.distortion),
        mounting: settings.mounting,
        ..Camera::nadir(Intrinsics::centred(settings.width_px, settings.height_px, focal_px))
    };
    let video = settings.video_per_s.map_or(String::new(), |rate| format!(" --video {rate}"));
    writer.describe(&Description {
        title: &format!("A flight over {world}, made by skyfix."),
        camera: &camera,
        told: &Told { start: Some(start), ..Told::default() },
        licence: Some(licence),
        made_by: &format!("skyfix simulate --seed {}{video}", settings.seed),
    })?;
    Ok(())
}
