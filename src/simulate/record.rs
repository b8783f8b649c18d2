//! Writes a recording's files.

use super::sensor::ground_of_pixel;
use super::settings::{Mounting, Settings, WorldSource};
use super::telemetry::{self, BAROMETER_SIGMA_M, GNSS_SIGMA_M, Noise};
use super::trajectory::{Flight, body_from_camera};
use super::{FIRST_PHOTO_S, SimulateError};
use crate::geo::{Enu, EnuPlane};
use crate::time::nanos_from_seconds;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use nalgebra::UnitQuaternion;
use std::fmt::Write;
use std::path::Path;

/// How uncertain the recording says the start is, metres.
const START_SIGMA_M: f64 = 200.0;

/// Name of a photo, counted from 1.
pub(super) fn photo_name(number: u64) -> String {
    format!("{number:06}.jpg")
}

/// Name of the video.
pub(super) const VIDEO_NAME: &str = "video.mkv";

/// Frames of an earlier flight must not stay beside or among those of this one.
pub(super) fn remove_old_frames(out: &Path) -> Result<(), SimulateError> {
    for name in [VIDEO_NAME, "photos.csv", "frames.csv"] {
        let path = out.join(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(SimulateError::Write { path, source }),
            _ => {}
        }
    }
    let folder = out.join("photos");
    if folder.is_dir() {
        remove_old_photos(&folder)?;
        // Stays where it holds photos of somebody else.
        let _ = std::fs::remove_dir(&folder);
    }
    Ok(())
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
    write(path, &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<u64, SimulateError> {
    std::fs::write(path, bytes).map_err(|source| SimulateError::Write { path: path.to_owned(), source })?;
    Ok(bytes.len() as u64)
}

/// Writes telemetry, truth and `flight.toml`; returns their size, bytes.
pub(super) fn write_tables(
    settings: &Settings,
    plane: &EnuPlane,
    flight: &Flight,
    photo_times: &[f64],
    out: &Path,
) -> Result<u64, SimulateError> {
    let end_s = photo_times.last().copied().unwrap_or(FIRST_PHOTO_S) + 0.5;
    let ns = nanos_from_seconds;
    let quaternion = |q: &UnitQuaternion<f64>| {
        // One of the two signs, always the same.
        let s = if q.w < 0.0 { -1.0 } else { 1.0 };
        format!("{:.6},{:.6},{:.6},{:.6}", s * q.w, s * q.i, s * q.j, s * q.k)
    };
    let mut bytes = 0;

    let mut text = String::from("t_ns,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2\n");
    for s in telemetry::imu(settings, flight, end_s) {
        let (g, a) = (s.gyro, s.accel);
        let _ = writeln!(text, "{},{:.6},{:.6},{:.6},{:.4},{:.4},{:.4}", ns(s.t_s), g.x, g.y, g.z, a.x, a.y, a.z);
    }
    bytes += write(&out.join("imu.csv"), text.as_bytes())?;

    text = String::from("t_ns,height_agl_m,sigma_m\n");
    for (t, h) in telemetry::heights(settings, flight, end_s) {
        let _ = writeln!(text, "{},{h:.3},{:.3}", ns(t), settings.height_sigma_m);
    }
    bytes += write(&out.join("height.csv"), text.as_bytes())?;

    text = String::from("t_ns,heading_deg,sigma_deg\n");
    for (t, h) in telemetry::headings(settings, flight, end_s) {
        let _ = writeln!(text, "{},{h:.3},{:.3}", ns(t), settings.heading_sigma_deg);
    }
    bytes += write(&out.join("heading.csv"), text.as_bytes())?;

    text = String::from("t_ns,qw,qx,qy,qz,sigma_deg\n");
    for (t, q) in telemetry::attitudes(settings, flight, end_s) {
        let _ = writeln!(text, "{},{},{:.3}", ns(t), quaternion(&q), settings.attitude_sigma_deg);
    }
    bytes += write(&out.join("attitude.csv"), text.as_bytes())?;

    text = String::from("t_ns,alt_m,sigma_m\n");
    for (t, h) in telemetry::pressure_heights(settings, flight, end_s) {
        let _ = writeln!(text, "{},{h:.3},{BAROMETER_SIGMA_M:.3}", ns(t));
    }
    bytes += write(&out.join("barometer.csv"), text.as_bytes())?;

    text = String::from("t_ns,lat_deg,lon_deg,sigma_m\n");
    for (t, e, n) in telemetry::gnss(settings, flight, end_s) {
        let (lat, lon) = plane.lat_lon_from_ground(e, n);
        let _ = writeln!(text, "{},{lat:.8},{lon:.8},{GNSS_SIGMA_M:.3}", ns(t));
    }
    bytes += write(&out.join("gnss.csv"), text.as_bytes())?;

    let mut photos = String::from("frame,stamp_ns\n");
    text = String::from(
        "frame,stamp_ns,lat,lon,alt_m,height_agl_m,vel_e_m_s,vel_n_m_s,vel_u_m_s,qw,qx,qy,qz,centre_lat,centre_lon,centre_trusted\n",
    );
    let is_video = settings.video_per_s.is_some();
    for (i, &t) in photo_times.iter().enumerate() {
        // Frames of a video are named by their number from 0, as every reader of videos counts.
        let name = if is_video { i.to_string() } else { photo_name(i as u64 + 1) };
        let _ = writeln!(photos, "{name},{}", ns(t));
        let (p, v) = (flight.position(t), flight.velocity(t));
        let (lat, lon) = plane.lat_lon_from_ground(p.x, p.y);
        let centre = centre(settings, flight, t).map(|c| plane.lat_lon_from_ground(c.e_m, c.n_m));
        let (centre, trusted) = centre.map_or((",".to_owned(), "no"), |c| (format!("{:.9},{:.9}", c.0, c.1), "yes"));
        // The ground of the simulation is the ellipsoid, so height above both is the same.
        let _ = writeln!(
            text,
            "{name},{},{lat:.9},{lon:.9},{:.3},{:.3},{:.4},{:.4},{:.4},{},{centre},{trusted}",
            ns(t),
            p.z,
            p.z,
            v.x,
            v.y,
            v.z,
            quaternion(&flight.attitude(t)),
        );
    }
    bytes += write(&out.join(if is_video { "frames.csv" } else { "photos.csv" }), photos.as_bytes())?;
    bytes += write(&out.join("truth.csv"), text.as_bytes())?;
    bytes += write(&out.join("flight.toml"), flight_toml(settings, plane, flight).as_bytes())?;
    Ok(bytes)
}

/// Where the middle of the image lies on the ground.
pub(super) fn centre(settings: &Settings, flight: &Flight, t: f64) -> Option<Enu> {
    let (cx, cy) = (f64::from(settings.width_px) / 2.0, f64::from(settings.height_px) / 2.0);
    ground_of_pixel(settings, &flight.position(t), &flight.camera(t), cx, cy)
}

fn flight_toml(settings: &Settings, plane: &EnuPlane, flight: &Flight) -> String {
    let mut noise = Noise::new(settings.seed, 5);
    let p = flight.position(FIRST_PHOTO_S);
    let (e, n) = (p.x + 0.5 * START_SIGMA_M * noise.next(), p.y + 0.5 * START_SIGMA_M * noise.next());
    let (lat, lon) = plane.lat_lon_from_ground(e, n);
    let q = body_from_camera();
    let mounting = match settings.mounting {
        Mounting::Stabilised => "stabilised",
        Mounting::Strapdown => "strapdown",
    };
    let world = match &settings.world {
        WorldSource::Procedural => "a made-up landscape",
        WorldSource::Raster(_) => "a raster given by the user",
    };
    let licence = match &settings.world {
        WorldSource::Procedural => "CC0-1.0",
        WorldSource::Raster(_) => "that of the raster",
    };
    let [k1, k2, p1, p2, k3] = settings.distortion;
    format!(
        r#"# A flight over {world}, made by skyfix.

[camera]
# Size of the photos as stored, pixels.
width_px = {width}
height_px = {height}
# Focal length, pixels.
fx_px = {focal:.3}
fy_px = {focal:.3}
# Principal point, pixels from the upper left corner of the picture.
cx_px = {cx:.3}
cy_px = {cy:.3}
# Brown-Conrady k1 k2 p1 p2 k3, as in OpenCV.
distortion = [{k1:?}, {k2:?}, {p1:?}, {p2:?}, {k3:?}]
# "stabilised": a gimbal keeps the camera looking down and follows the heading; "strapdown": it tilts with the airframe.
mounting = "{mounting}"
# Nominal attitude of the camera in the body (x forward, y right, z down): qw qx qy qz. This one looks down, the image's top forward.
body_from_camera = [{qw:.7}, {qx:.7}, {qy:.7}, {qz:.7}]
# How far from nominal the camera may lean, standard deviation, degrees.
tilt_sigma_deg = 5.0

[clock]
# Seconds that the clock of the telemetry is ahead of that of the photos.
telemetry_minus_video_s = 0.0

[start]
# What is known of the position at the start, and how well (standard deviation, metres).
lat_deg = {lat:.6}
lon_deg = {lon:.6}
sigma_m = {sigma:.1}

[about]
# Licence of everything in this folder.
licence = "{licence}"
# How it was made.
made_by = "skyfix simulate --seed {seed}{video}"
"#,
        video = settings.video_per_s.map_or(String::new(), |rate| format!(" --video {rate}")),
        width = settings.width_px,
        height = settings.height_px,
        focal = settings.focal_px,
        cx = f64::from(settings.width_px) / 2.0,
        cy = f64::from(settings.height_px) / 2.0,
        qw = q.w,
        qx = q.i,
        qy = q.j,
        qz = q.k,
        sigma = START_SIGMA_M,
        seed = settings.seed,
    )
}
