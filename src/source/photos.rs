//! A folder of photos: names, times, cameras, and what their metadata say of the pose.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;

use super::knowledge::{HEADING_SIGMA_RAD, KnowledgeOptions, Setting, height_sigma_m};
use super::listing;
use super::metadata::{self, AttitudeOf, PhotoMetadata};
use super::optics;
use super::times;
use crate::recording::FileError;
use crate::types::{Camera, Distortion, Estimate, Inputs, Intrinsics, Known, Mounting, Standing};

/// A height below this is what is written where nothing measures it, or the aircraft stands, metres.
const MIN_HEIGHT_M: f64 = 1.0;
/// A calibration is of pictures of its own shape: sides that differ by less than this part are the same shape.
const MAX_ASPECT_DIFFERENCE: f64 = 0.01;

/// A photo with its metadata.
#[derive(Clone, Debug)]
pub struct Photo {
    /// Path relative to the folder, with `/`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Time of capture.
    pub stamp_ns: i64,
    /// That time as coordinated universal time, nanoseconds since 1970, where it is known.
    pub utc_ns: Option<i64>,
    /// Everything read.
    pub metadata: PhotoMetadata,
    /// Size as stored, from the file's header; `None` when even that is broken.
    pub size_px: Option<(u32, u32)>,
    /// A hash of the file's bytes: those of one picture are one.
    pub content: u64,
}

impl Photo {
    /// How the stored picture is to be turned.
    pub fn orientation(&self) -> Orientation {
        self.metadata.orientation.unwrap_or(Orientation::NoTransforms)
    }
}

fn content(bytes: &[u8]) -> u64 {
    // With the keys that it always has, so that runs agree.
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Whether each photo's file is that of the photo before.
pub fn repeats(photos: &[Photo]) -> impl Iterator<Item = bool> + '_ {
    let before = std::iter::once(None).chain(photos.iter().map(Some));
    photos.iter().zip(before).map(|(photo, before)| before.is_some_and(|b| b.content == photo.content))
}

/// The photos of a folder, recursively, in order of time; photos of one second keep the order of their names.
///
/// # Errors
/// When there are none, or one cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Photo>, FileError> {
    listed(folder, &mut Inputs::default())
}

/// The same, with what was left out and what is known of the times.
///
/// # Errors
/// As [`list`].
pub fn listed(folder: &Path, said: &mut Inputs) -> Result<Vec<Photo>, FileError> {
    let (candidates, videos) = listing::candidates(folder, said)?;
    if candidates.is_empty() {
        let why: Vec<String> = said.iter().map(ToString::to_string).collect();
        let left_out = if why.is_empty() { String::new() } else { format!("; {}", why.join("; ")) };
        let films = match videos.first().and_then(|v| v.file_name()) {
            Some(first) => {
                format!("; {} videos are ({}, …): give `source.kind` = video, or one of them", videos.len(), first.display())
            }
            None => String::new(),
        };
        let reason = format!("no photos (.jpg, .jpeg, .png, .tif, .webp) in this folder or below it{films}{left_out}");
        return Err(FileError::Nothing { path: folder.into(), reason });
    }
    if !videos.is_empty() {
        said.add("files", Standing::LeftOut, videos.len() as u64, "videos beside the photos");
    }
    let mut photos = Vec::with_capacity(candidates.len());
    for listing::Candidate { name, path } in candidates {
        let bytes = std::fs::read(&path).map_err(|source| FileError::Io { path: path.clone(), source })?;
        let reader = image::ImageReader::new(std::io::Cursor::new(&bytes)).with_guessed_format();
        let size_px = reader.ok().and_then(|reader| reader.into_dimensions().ok());
        photos.push(Photo {
            name,
            path,
            stamp_ns: 0,
            utc_ns: None,
            metadata: metadata::read(&bytes),
            size_px,
            content: content(&bytes),
        });
    }
    let taken = times::stamps(&photos.iter().map(|p| &p.metadata).collect::<Vec<_>>(), said);
    let mut by_place: Vec<Option<Photo>> = photos.into_iter().map(Some).collect();
    let ordered = taken.into_iter().filter_map(|taken| {
        Some(Photo { stamp_ns: taken.stamp_ns, utc_ns: taken.utc_ns, ..by_place.get_mut(taken.place)?.take()? })
    });
    Ok(ordered.collect())
}

/// What a photo's metadata say of the pose. A camera that states an attitude says more than the airframe.
pub fn known(metadata: &PhotoMetadata) -> Known {
    let above = |height: Option<f64>| height.filter(|h| *h > MIN_HEIGHT_M);
    let height = above(metadata.height_above_ground_m).or(above(metadata.relative_height_m));
    let attitude = metadata.attitude;
    Known {
        height_agl_m: height.map(|h| Estimate { value: h, sigma: height_sigma_m(h) }),
        heading_rad: attitude.map(|a| Estimate { value: a.heading_rad, sigma: HEADING_SIGMA_RAD }),
        pitch_roll_rad: attitude.and_then(|a| a.pitch_roll_rad),
    }
}

/// Notes what is told of a photo's pose, and what is not; what is given instead is not asked for.
pub fn tell(metadata: &PhotoMetadata, knowledge: &KnowledgeOptions, said: &mut Inputs) {
    let above = |height: Option<f64>| height.filter(|h| *h > MIN_HEIGHT_M);
    let stated = [metadata.height_above_ground_m, metadata.relative_height_m];
    match (knowledge.height, above(stated[0]), above(stated[1])) {
        (Setting::Sensor, Some(_), _) => said.count("height", Standing::Taken, "AboveGroundAltitude, above ground"),
        (Setting::Sensor, None, Some(_)) => said.count("height", Standing::Taken, "RelativeAltitude, above take-off"),
        (Setting::Sensor, None, None) => {
            let (standing, why) = if stated.iter().any(Option::is_some) {
                (Standing::LeftOut, "heights below 1 m are what is written where nothing measures them")
            } else {
                (Standing::Missing, "no height above ground or take-off (RelativeAltitude, AboveGroundAltitude)")
            };
            said.count("height", standing, format!("{why}; give `telemetry.height`"));
        }
        (given, ..) => said.count("height", Standing::Taken, format!("`telemetry.height` = {given}")),
    }
    match (knowledge.heading, metadata.attitude) {
        (Setting::Sensor, Some(a)) => said.count("heading", Standing::Taken, a.by),
        (Setting::Sensor, None) => {
            let words = "no heading of camera or aircraft: all are tried; give `telemetry.heading` if it is known";
            said.count("heading", Standing::Missing, words);
        }
        (given, _) => said.count("heading", Standing::Taken, format!("`telemetry.heading` = {given}")),
    }
    match metadata.attitude.map(|a| (a, a.pitch_roll_rad)) {
        Some((a, Some(_))) if a.of == AttitudeOf::Airframe => {
            said.count(
                "attitude",
                Standing::Taken,
                format!("{}, for a camera that is fixed to it (`source.camera.mounting`)", a.by),
            );
        }
        Some((a, Some(_))) => said.count("attitude", Standing::Taken, a.by),
        _ => said.count("attitude", Standing::Missing, "no pitch and roll of the camera: it is taken to look straight down"),
    }
    if metadata.gnss_deg.is_some() {
        said.count("position", Standing::Taken, "GNSS tags, for scoring only");
    }
    said.append(metadata.said.clone());
}

/// Settings for the camera of a photo folder.
#[derive(Clone, Debug, Default)]
pub struct CameraOptions {
    /// Horizontal field of view of the pictures as the camera stores them, radians; overrides metadata.
    pub hfov_rad: Option<f64>,
    /// Calibration; overrides metadata.
    pub calibration: Option<(Intrinsics, Distortion)>,
    /// Mounting.
    pub mounting: Mounting,
    /// 1 sigma of the tilt, radians.
    pub tilt_sigma_rad: Option<f64>,
}

/// The camera of a photo with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PhotoCamera {
    /// The camera, for the picture as it is shown.
    pub camera: Camera,
    /// 1 sigma of its focal length, as a part; 0 where it is far below what any height is known to.
    pub focal_sigma_part: f64,
    /// Whether something contradicts it.
    pub standing: Standing,
    /// Where it comes from.
    pub words: String,
}

/// The camera of a photo, turned as the picture is; `None` when nothing says what its focal length is.
pub fn camera(photo: &Photo, options: &CameraOptions) -> Option<Camera> {
    described_camera(photo, options).ok().map(|c| c.camera)
}

/// The same, with where it comes from.
///
/// # Errors
/// In words, why it is not known.
pub fn described_camera(photo: &Photo, options: &CameraOptions) -> Result<PhotoCamera, String> {
    let (width, height) = photo.size_px.ok_or("the picture's size cannot be read")?;
    let orientation = photo.orientation();
    let mut focal_sigma_part = 0.0;
    let (mut standing, words);
    let turned =
        |(intrinsics, distortion): (Intrinsics, Distortion)| (intrinsics.turned(orientation), distortion.turned(orientation));
    let zoom = photo.metadata.digital_zoom.filter(|z| *z > 1.0);
    standing = Standing::Taken;
    let (intrinsics, distortion) = match (&options.calibration, options.hfov_rad) {
        (Some((intrinsics, distortion)), _) => {
            words = format!("calibration{}", zoom.map_or_else(String::new, |z| format!(", digital zoom {z:.2}")));
            calibrated((*intrinsics, *distortion), (width, height), orientation, zoom.unwrap_or(1.0))?
        }
        (None, Some(hfov)) => {
            let intrinsics = Intrinsics::from_horizontal_field_of_view(width, height, hfov).zoomed(zoom.unwrap_or(1.0));
            words = match zoom {
                Some(z) => format!("`source.camera.hfov_deg`, narrowed by the digital zoom of {z:.2}"),
                None => "`source.camera.hfov_deg`".into(),
            };
            turned((intrinsics, Distortion::default()))
        }
        (None, None) => {
            let longer_px = width.max(height);
            let told = optics::of(&photo.metadata, longer_px)?;
            (focal_sigma_part, standing, words) = (told.sigma_part, told.standing, told.words);
            let focal_px = told.focal_part * f64::from(longer_px);
            turned((Intrinsics::centred(width, height, focal_px), Distortion::default()))
        }
    };
    let mut camera = Camera { distortion, mounting: options.mounting, ..Camera::nadir(intrinsics) };
    if let Some(AttitudeOf::Camera(sigma_rad)) = photo.metadata.attitude.map(|a| a.of) {
        // The stated attitude is the camera's own, so it rotates with it.
        camera.mounting = Mounting::Strapdown;
        camera.tilt_sigma_rad = sigma_rad;
    }
    if let Some(sigma) = options.tilt_sigma_rad {
        camera.tilt_sigma_rad = sigma;
    }
    Ok(PhotoCamera { camera, focal_sigma_part, standing, words })
}

/// A calibration for a picture of a size: of the picture as it is stored, or, where only that fits, as it is shown.
fn calibrated(
    (intrinsics, distortion): (Intrinsics, Distortion),
    (width, height): (u32, u32),
    orientation: Orientation,
    zoom: f64,
) -> Result<(Intrinsics, Distortion), String> {
    let fits = |w: u32, h: u32| {
        let ratio = (f64::from(w) * f64::from(intrinsics.height_px)) / (f64::from(h) * f64::from(intrinsics.width_px));
        (ratio - 1.0).abs() <= MAX_ASPECT_DIFFERENCE
    };
    let zoomed = intrinsics.zoomed(zoom);
    if fits(width, height) {
        Ok((zoomed.turned(orientation), distortion.turned(orientation)))
    } else if fits(height, width) && zoomed.turned(orientation).width_px == zoomed.height_px {
        Ok((zoomed, distortion))
    } else {
        Err(format!(
            "the calibration is for pictures of {}×{} px, and a photo of {width}×{height} px has another shape: cropped, or of another camera",
            intrinsics.width_px, intrinsics.height_px
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_repeats_the_one_before_and_no_earlier_one() {
        let photos: Vec<Photo> =
            [b"a", b"b", b"b", b"a"].map(|bytes| Photo { content: content(bytes), ..photo(PhotoMetadata::default()) }).into();
        assert_eq!(repeats(&photos).collect::<Vec<_>>(), [false, false, true, false]);
    }

    fn photo(metadata: PhotoMetadata) -> Photo {
        Photo { name: "a".into(), path: "a".into(), stamp_ns: 0, utc_ns: None, metadata, size_px: Some((2000, 1125)), content: 0 }
    }

    #[test]
    fn a_camera_of_the_table_has_its_true_focal_length_and_an_unknown_one_has_none() {
        let mut p = photo(PhotoMetadata::default());
        assert!(camera(&p, &CameraOptions::default()).is_none());
        p.metadata.model = Some("FC7303".into());
        p.metadata.focal_mm = Some(4.5);
        let c = camera(&p, &CameraOptions::default()).unwrap();
        assert!((c.intrinsics.fx_px - 1455.4).abs() < 0.1);
        p.metadata.model = None;
        assert!(camera(&p, &CameraOptions { hfov_rad: Some(1.2), ..CameraOptions::default() }).is_some());
    }

    #[test]
    fn a_turned_photo_has_a_turned_camera_and_the_field_of_view_is_of_the_camera() {
        let options = CameraOptions { hfov_rad: Some(1.2), ..CameraOptions::default() };
        let upright = camera(&photo(PhotoMetadata::default()), &options).unwrap().intrinsics;
        let quarter =
            PhotoMetadata { orientation: Orientation::from_exif(6), digital_zoom: Some(2.0), ..PhotoMetadata::default() };
        let turned = camera(&photo(quarter), &options).unwrap().intrinsics;
        assert_eq!((turned.width_px, turned.height_px, turned.fx_px), (1125, 2000, 2.0 * upright.fx_px));
        assert_eq!((turned.cx_px, turned.cy_px), (562.5, 1000.0));
    }

    #[test]
    fn a_calibration_of_another_shape_is_refused_and_one_of_the_shown_picture_taken() {
        let of = |w, h| CameraOptions {
            calibration: Some((Intrinsics::centred(w, h, 900.0), Distortion::default())),
            ..Default::default()
        };
        let turned = photo(PhotoMetadata { orientation: Orientation::from_exif(8), ..PhotoMetadata::default() });
        for options in [of(1000, 562), of(562, 1000)] {
            assert!(camera(&turned, &options).unwrap().intrinsics.height_px > 900);
        }
        let error = described_camera(&turned, &of(1000, 750)).unwrap_err();
        assert!(error.contains("1000×750") && error.contains("2000×1125"), "{error}");
        assert!(camera(&photo(PhotoMetadata::default()), &of(562, 1000)).is_none());
    }
}
