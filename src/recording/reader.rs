//! A recording: a folder with `flight.toml`, photos or a video, and telemetry sidecars.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nalgebra::{Quaternion, UnitQuaternion};
use serde::{Deserialize, Serialize};

use super::rows::FrameRow;
use super::{FileError, sidecars, toml_reason};
use crate::files;
use crate::geo::Geodetic;
use crate::time::nanos_from_seconds;
use crate::types::{Camera, Distortion, Intrinsics, Mounting, TelemetryBatch, nadir_body_from_camera};

/// `flight.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlightFile {
    /// The camera.
    pub camera: CameraTable,
    /// Clocks.
    #[serde(default)]
    pub clock: ClockTable,
    /// What is known at the start.
    pub start: Option<StartTable>,
    /// The map, where it is not `map.mbtiles` in the folder.
    pub map: Option<MapTable>,
    /// Licence and origin.
    pub about: Option<AboutTable>,
    /// Keys of the configuration that the flight was told.
    #[serde(default)]
    pub settings: toml::Table,
}

/// `[map]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapTable {
    /// The map's file, relative to the recording's folder.
    pub path: PathBuf,
}

/// `[camera]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraTable {
    /// Width of the frames as stored.
    pub width_px: u32,
    /// Height of the frames as stored.
    pub height_px: u32,
    /// Focal length in x.
    pub fx_px: Option<f64>,
    /// Focal length in y.
    pub fy_px: Option<f64>,
    /// Horizontal field of view, instead of the focal lengths.
    pub hfov_deg: Option<f64>,
    /// Principal point; the middle by default.
    pub cx_px: Option<f64>,
    /// Principal point; the middle by default.
    pub cy_px: Option<f64>,
    /// Brown–Conrady k1 k2 p1 p2 k3.
    #[serde(default)]
    pub distortion: [f64; 5],
    /// Gimbal or fixed.
    #[serde(default)]
    pub mounting: Mounting,
    /// qw qx qy qz.
    pub body_from_camera: Option<[f64; 4]>,
    /// How far from nadir a stabilised camera may be.
    pub tilt_sigma_deg: Option<f64>,
}

/// `[clock]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockTable {
    /// Telemetry stamp minus video stamp of the same instant.
    #[serde(default)]
    pub telemetry_minus_video_s: f64,
}

/// `[start]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartTable {
    /// Latitude.
    pub lat_deg: f64,
    /// Longitude.
    pub lon_deg: f64,
    /// 1 sigma an axis.
    pub sigma_m: f64,
}

/// What is known at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// Position over ground.
    pub position: Geodetic,
    /// 1 sigma an axis, metres.
    pub sigma_m: f64,
}

/// `[about]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AboutTable {
    /// Licence.
    pub licence: Option<String>,
    /// How it was made.
    pub made_by: Option<String>,
}

/// A recording without its pixels.
pub struct Recording {
    /// The settings.
    pub file: FlightFile,
    /// The camera.
    pub camera: Camera,
    /// All telemetry.
    pub telemetry: TelemetryBatch,
    /// Stamps of the photos by name, where `photos.csv` gives them.
    pub stamps: HashMap<String, i64>,
    /// The photos' folder, where there is one.
    pub photos: Option<PathBuf>,
    /// The video, where there is one; several parts when it was recorded from a stream that broke off.
    pub video: Vec<VideoPart>,
    /// The video's frames with their exact stamps, which a container rounds, and what was known of each when it was served live, where
    /// `frames.csv` gives them.
    pub frames: Vec<FrameRow>,
    /// The recording's own map, or where it says that its map lies.
    pub map: Option<PathBuf>,
}

/// A file of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoPart {
    /// The file.
    pub path: PathBuf,
    /// The number of its first frame. A frame that would have a number of the next part's was not decoded when it was recorded.
    pub first_frame: u64,
}

/// A row of `video_parts.csv`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartRow {
    /// Name of the file, beside the table.
    pub file: String,
    /// As in [`VideoPart`].
    pub first_frame: u64,
}

/// The table of a video's parts, beside its first.
pub fn parts_table(video: &Path) -> PathBuf {
    let stem = video.file_stem().unwrap_or_default().to_string_lossy();
    video.with_file_name(format!("{stem}_parts.csv"))
}

#[derive(Deserialize)]
struct StampRow {
    frame: String,
    stamp_ns: i64,
}

/// Reads what a `flight.toml` says, with the camera that it describes.
pub(crate) fn read_description(path: &Path) -> Result<(FlightFile, Camera), FileError> {
    let text = files::read_to_string(path).map_err(|source| FileError::Io { path: path.into(), source })?;
    let bad = |reason: String| FileError::Bad { path: path.into(), line: None, reason };
    let file: FlightFile = toml::from_str(&text).map_err(|e| bad(toml_reason(&e, &text)))?;
    let camera = camera(&file.camera).map_err(bad)?;
    Ok((file, camera))
}

/// Reads a recording.
pub fn read(folder: &Path) -> Result<Recording, FileError> {
    let path = folder.join("flight.toml");
    let bad = |reason: String| FileError::Bad { path: path.clone(), line: None, reason };
    let (file, camera) = read_description(&path)?;
    if !file.clock.telemetry_minus_video_s.is_finite() {
        return Err(bad("telemetry_minus_video_s is not a number".into()));
    }
    let known = |s: &StartTable| s.sigma_m > 0.0 && s.sigma_m.is_finite() && s.lat_deg.abs() <= 90.0 && s.lon_deg.abs() <= 180.0;
    if file.start.is_some_and(|s| !known(&s)) {
        return Err(bad("[start] needs a latitude, a longitude and a positive sigma_m that is a number".into()));
    }
    let telemetry = sidecars::read(folder, nanos_from_seconds(file.clock.telemetry_minus_video_s))?;
    let stamps = sidecars::rows(&folder.join("photos.csv"), |r: StampRow| Ok((r.stamp_ns, (r.frame, r.stamp_ns))))?;
    let frames = sidecars::rows(&folder.join("frames.csv"), |r: FrameRow| Ok((r.stamp_ns, r)))?;
    let map = match &file.map {
        Some(table) => Some(folder.join(&table.path)),
        None => Some(folder.join("map.mbtiles")).filter(|p| p.exists()),
    };
    let existing = |name: &str| Some(folder.join(name)).filter(|p| p.exists());
    Ok(Recording {
        camera,
        telemetry,
        stamps: stamps.into_iter().collect(),
        photos: existing("photos"),
        video: match find_video(folder)? {
            Some(first) => video_parts(first)?,
            None => Vec::new(),
        },
        frames,
        map,
        file,
    })
}

/// Whether a file lies in a recording's folder. What is not there may lie anywhere.
pub(crate) fn lies_with(file: &Path, folder: &Path) -> bool {
    let (Ok(file), Ok(folder)) = (file.canonicalize(), folder.canonicalize()) else { return true };
    file.starts_with(folder)
}

/// The file named `video`, whatever its extension.
fn find_video(folder: &Path) -> Result<Option<PathBuf>, FileError> {
    let fail = |source| FileError::Io { path: folder.into(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() && path.file_stem().is_some_and(|stem| stem == "video") && path.extension().is_some() {
            found.push(path);
        }
    }
    found.sort();
    if let [first, second, ..] = found.as_slice() {
        let reason = format!("two videos, {} and {}; keep one of them", first.display(), second.display());
        return Err(FileError::Nothing { path: folder.into(), reason });
    }
    Ok(found.pop())
}

/// All parts of a video whose first is given.
fn video_parts(first: PathBuf) -> Result<Vec<VideoPart>, FileError> {
    let folder = first.parent().unwrap_or(Path::new(""));
    let (mut rows, mut last_first) = (0, 0);
    let parts = sidecars::rows(&parts_table(&first), |row: PartRow| {
        rows += 1;
        if row.first_frame < std::mem::replace(&mut last_first, row.first_frame) {
            return Err("first_frame goes back".into());
        }
        if Path::new(&row.file).file_name() != Some(OsStr::new(&row.file)) {
            return Err(format!("{} is no name of a file beside this table", row.file));
        }
        let path = folder.join(&row.file);
        let missing = format!("{} is not there", path.display());
        if path.is_file() { Ok((rows, VideoPart { path, first_frame: row.first_frame })) } else { Err(missing) }
    })?;
    Ok(if parts.is_empty() { vec![VideoPart { path: first, first_frame: 0 }] } else { parts })
}

fn camera(table: &CameraTable) -> Result<Camera, String> {
    let (w, h) = (f64::from(table.width_px), f64::from(table.height_px));
    let (fx, fy) = match (table.fx_px, table.fy_px, table.hfov_deg) {
        (Some(fx), fy, None) => (fx, fy.unwrap_or(fx)),
        (None, None, Some(hfov)) if hfov > 0.0 && hfov < 180.0 => {
            let focal = w / 2.0 / (hfov.to_radians() / 2.0).tan();
            (focal, focal)
        }
        _ => return Err("[camera] needs either fx_px (and fy_px) or hfov_deg between 0 and 180".into()),
    };
    let intrinsics = Intrinsics {
        width_px: table.width_px,
        height_px: table.height_px,
        fx_px: fx,
        fy_px: fy,
        cx_px: table.cx_px.unwrap_or(w / 2.0),
        cy_px: table.cy_px.unwrap_or(h / 2.0),
    };
    if !intrinsics.is_valid() {
        return Err("[camera] sizes and focal lengths must be positive numbers".into());
    }
    let body_from_camera = match table.body_from_camera {
        None => nadir_body_from_camera(),
        Some([w, x, y, z]) => {
            let q = Quaternion::new(w, x, y, z);
            if !((q.norm() - 1.0).abs() < 0.01) {
                return Err(format!("body_from_camera has length {}, but a rotation has 1", q.norm()));
            }
            UnitQuaternion::from_quaternion(q)
        }
    };
    let default = Camera::nadir(intrinsics);
    let tilt_sigma_rad = table.tilt_sigma_deg.map_or(default.tilt_sigma_rad, f64::to_radians);
    if !(tilt_sigma_rad > 0.0) {
        return Err("tilt_sigma_deg must be positive".into());
    }
    let distortion = Distortion::from(table.distortion);
    Ok(Camera { distortion, mounting: table.mounting, body_from_camera, tilt_sigma_rad, ..default })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(extra: &str) -> Result<Camera, String> {
        let text = format!("[camera]\nwidth_px = 640\nheight_px = 480\n{extra}");
        let file: FlightFile = toml::from_str(&text).map_err(|e| e.to_string())?;
        camera(&file.camera)
    }

    #[test]
    fn the_map_of_a_recording_lies_with_it() {
        let place = tempfile::tempdir().unwrap();
        let (recording, beside) = (place.path().join("a/recording"), place.path().join("a/other"));
        let elsewhere = place.path().join("b");
        for folder in [&recording, &beside, &elsewhere] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("m.mbtiles"), "").unwrap();
        }
        let lies = |map: &Path| lies_with(map, &recording);
        assert!(lies(&recording.join("m.mbtiles")) && lies(&recording.join("../recording/m.mbtiles")));
        assert!(!lies(&recording.join("../other/m.mbtiles")) && !lies(&elsewhere.join("m.mbtiles")));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        assert!(table("fx_px = 466.0\nfocal = 3").unwrap_err().contains("focal"));
    }

    #[test]
    fn a_camera_needs_a_focal_length_of_one_kind() {
        assert!(table("").is_err());
        assert!(table("fx_px = 466.0\nhfov_deg = 70.0").is_err());
        assert!((table("hfov_deg = 90.0").unwrap().intrinsics.fx_px - 320.0).abs() < 1e-9);
        assert!(table("fx_px = 466.0\nbody_from_camera = [1.0, 1.0, 0.0, 0.0]").is_err());
    }
}
