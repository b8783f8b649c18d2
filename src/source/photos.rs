//! A folder of photos: names, times, and what their metadata say.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::knowledge::{HEADING_SIGMA_RAD, height_sigma_m};
use super::metadata::{self, PhotoMetadata};
use super::sensors;
use crate::recording::FileError;
use crate::time::NANOS_PER_SEC;
use crate::types::{Camera, Distortion, Estimate, Intrinsics, Known, Mounting};

/// 1 sigma of a gimbal's stated attitude, radians: good gimbals hold a degree or two against the airframe's own error.
const GIMBAL_SIGMA_RAD: f64 = 2.0 * std::f64::consts::PI / 180.0;
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// A photo with its metadata.
#[derive(Clone, Debug)]
pub struct Photo {
    /// Path relative to the folder, with `/`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Time of capture.
    pub stamp_ns: i64,
    /// Everything read.
    pub metadata: PhotoMetadata,
    /// Size from the file's header; `None` when even that is broken.
    pub size_px: Option<(u32, u32)>,
}

/// The photos of a folder, recursively, in order of time; photos of one second keep the order of their names.
pub fn list(folder: &Path) -> Result<Vec<Photo>, FileError> {
    let mut photos = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|e| {
            let path = e.path().unwrap_or(folder).to_path_buf();
            FileError::Io { path, source: e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")) }
        })?;
        let path = entry.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if !entry.file_type().is_file() || !EXTENSIONS.contains(&extension.as_str()) {
            continue;
        }
        let bytes = std::fs::read(path).map_err(|source| FileError::Io { path: path.into(), source })?;
        let name = path
            .strip_prefix(folder)
            .unwrap_or(path)
            .components()
            .map(|c| c.as_os_str().to_string_lossy())
            .collect::<Vec<_>>()
            .join("/");
        let size_px = image::ImageReader::new(std::io::Cursor::new(&bytes))
            .with_guessed_format()
            .ok()
            .and_then(|reader| reader.into_dimensions().ok());
        photos.push(Photo { name, path: path.into(), stamp_ns: 0, metadata: metadata::read(path, &bytes), size_px });
    }
    if photos.is_empty() {
        return Err(FileError::Nothing {
            path: folder.into(),
            reason: "no photos (.jpg, .jpeg, .png) in this folder or below it".into(),
        });
    }
    stamp(&mut photos);
    Ok(photos)
}

/// Sorts by time. A photo without a time stays behind its predecessor by name; photos of one whole second are spread over it.
fn stamp(photos: &mut [Photo]) {
    let mut last = photos.iter().find_map(|p| p.metadata.time_ns).unwrap_or(0);
    for photo in photos.iter_mut() {
        last = photo.metadata.time_ns.unwrap_or(last);
        photo.stamp_ns = last;
    }
    photos.sort_by_key(|p| p.stamp_ns);
    let mut start = 0;
    while start < photos.len() {
        let same = photos[start..].iter().take_while(|p| p.stamp_ns == photos[start].stamp_ns).count();
        let step = NANOS_PER_SEC / same as i64;
        for (i, photo) in photos[start..start + same].iter_mut().enumerate() {
            photo.stamp_ns += step * i as i64;
        }
        start += same;
    }
    // A spread-out second may reach into photos that state parts of it.
    for i in 1..photos.len() {
        photos[i].stamp_ns = photos[i].stamp_ns.max(photos[i - 1].stamp_ns + 1);
    }
}

/// What a photo's metadata say of the pose. A gimbal that states an attitude says more than the airframe.
pub fn known(metadata: &PhotoMetadata) -> Known {
    let height_agl_m = metadata.relative_height_m.filter(|h| *h > 1.0).map(|h| Estimate { value: h, sigma: height_sigma_m(h) });
    let flight = metadata.flight_deg.map(|a| a.map(f64::to_radians));
    let gimbal = metadata.gimbal_deg.map(|a| a.map(f64::to_radians));
    match (gimbal, flight) {
        (Some([yaw, pitch, roll]), _) => Known {
            height_agl_m,
            heading_rad: Some(Estimate { value: yaw, sigma: HEADING_SIGMA_RAD }),
            // The gimbal counts its pitch from the horizon: −90° looks straight down.
            pitch_roll_rad: Some((pitch + std::f64::consts::FRAC_PI_2, roll)),
        },
        (None, Some([yaw, pitch, roll])) => Known {
            height_agl_m,
            heading_rad: Some(Estimate { value: yaw, sigma: HEADING_SIGMA_RAD }),
            pitch_roll_rad: Some((pitch, roll)),
        },
        (None, None) => Known { height_agl_m, ..Known::default() },
    }
}

/// Settings for the camera of a photo folder.
#[derive(Clone, Debug, Default)]
pub struct CameraOptions {
    /// Horizontal field of view, radians; overrides metadata.
    pub hfov_rad: Option<f64>,
    /// Calibration; overrides metadata.
    pub calibration: Option<(Intrinsics, Distortion)>,
    /// Mounting.
    pub mounting: Mounting,
    /// 1 sigma of the tilt, radians.
    pub tilt_sigma_rad: Option<f64>,
}

/// The camera of a photo; `None` when nothing says what its focal length is.
pub fn camera(photo: &Photo, options: &CameraOptions) -> Option<Camera> {
    let (width, height) = photo.size_px?;
    let (intrinsics, distortion) = match (&options.calibration, options.hfov_rad) {
        (Some((intrinsics, distortion)), _) => (*intrinsics, *distortion),
        (None, Some(hfov)) => (Intrinsics::from_horizontal_field_of_view(width, height, hfov), Distortion::default()),
        (None, None) => {
            let sensor = sensors::find(photo.metadata.model.as_deref()?)?;
            let focal_px = sensor.focal_mm / sensor.width_mm * f64::from(width.max(height));
            (Intrinsics::centred(width, height, focal_px), Distortion::default())
        }
    };
    let mut camera = Camera { distortion, mounting: options.mounting, ..Camera::nadir(intrinsics) };
    if photo.metadata.gimbal_deg.is_some() {
        // The stated attitude is the camera's own, so it rotates with it.
        camera.mounting = Mounting::Strapdown;
        camera.tilt_sigma_rad = GIMBAL_SIGMA_RAD;
    }
    if let Some(sigma) = options.tilt_sigma_rad {
        camera.tilt_sigma_rad = sigma;
    }
    Some(camera)
}

/// Horizontal field of view of a full-width picture of a camera of the table of sensors, radians.
pub fn field_of_view_of_model(model: &str) -> Option<f64> {
    sensors::find(model).map(|s| 2.0 * (s.width_mm / 2.0 / s.focal_mm).atan())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(name: &str, time_s: Option<f64>) -> Photo {
        let time_ns = time_s.map(|t| (t * 1e9) as i64);
        let metadata = PhotoMetadata { time_ns, ..PhotoMetadata::default() };
        Photo { name: name.into(), path: name.into(), stamp_ns: 0, metadata, size_px: Some((4000, 2250)) }
    }

    #[test]
    fn photos_of_one_second_keep_their_order_and_get_distinct_stamps() {
        let mut photos =
            vec![photo("a", Some(5.0)), photo("b", Some(4.0)), photo("c", Some(4.0)), photo("d", None), photo("e", Some(5.0))];
        stamp(&mut photos);
        let names: Vec<&str> = photos.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "d", "a", "e"]);
        assert!(photos.windows(2).all(|w| w[0].stamp_ns < w[1].stamp_ns));
        assert!(photos[..3].iter().all(|p| p.stamp_ns < 5 * NANOS_PER_SEC));
    }

    #[test]
    fn a_camera_of_the_table_has_its_true_focal_length_and_an_unknown_one_has_none() {
        let mut p = photo("a", None);
        assert!(camera(&p, &CameraOptions::default()).is_none());
        p.metadata.model = Some("FC7303".into());
        p.metadata.focal_mm = Some(4.5);
        p.size_px = Some((2000, 1125));
        let c = camera(&p, &CameraOptions::default()).unwrap();
        assert!((c.intrinsics.fx_px - 1455.4).abs() < 0.1);
        p.metadata.model = None;
        assert!(camera(&p, &CameraOptions { hfov_rad: Some(1.2), ..CameraOptions::default() }).is_some());
    }

    #[test]
    fn a_gimbal_that_states_its_attitude_is_believed() {
        let metadata = PhotoMetadata {
            flight_deg: Some([10.0, 5.0, 0.0]),
            gimbal_deg: Some([12.0, -80.0, 1.0]),
            ..PhotoMetadata::default()
        };
        let (pitch, roll) = known(&metadata).pitch_roll_rad.unwrap();
        assert!((pitch - 10f64.to_radians()).abs() < 1e-9 && (roll - 1f64.to_radians()).abs() < 1e-9);
    }
}
