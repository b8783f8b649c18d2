//! The middle of every photo of a flight: what a lens with a narrower view would have seen, with fewer pixels.

use std::path::{Path, PathBuf};

use image::imageops::crop_imm;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use rayon::prelude::*;

use super::imagery;
use crate::recording;
use crate::simulate::SimulateError;
use crate::source::photos::{self, CameraOptions, Photo};
use crate::types::Intrinsics;

/// JPEG adds no error of its own to speak of at this quality.
const JPEG_QUALITY: u8 = 96;

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cropped {
    /// Photos.
    pub photos: u64,
    /// Horizontal field of view of all of them, radians, where the photos' folder does not say it: `--hfov` of a replay.
    pub hfov_rad: Option<f64>,
}

/// Writes the middle `part` of width and height of every photo of a recording, or of a folder of photos, into a folder that must be empty or
/// not there yet. Telemetry and truth are copied, `flight.toml` is adapted, and so is the metadata of photos kept; a recording's own map
/// is not copied.
///
/// # Errors
/// When there are no photos, when they are of different lenses, or something cannot be written.
pub fn crop(from: &Path, out: &Path, part: f64) -> Result<Cropped, SimulateError> {
    if !(0.05..=1.0).contains(&part) {
        return Err(SimulateError::Setting { name: "part", value: part, wanted: "must lie between 0.05 and 1" });
    }
    let write = |path: &Path, source| SimulateError::Write { path: path.into(), source };
    std::fs::create_dir_all(out).map_err(|e| write(out, e))?;
    if std::fs::read_dir(out).map_err(|e| write(out, e))?.next().is_some() {
        return Err(SimulateError::Material { path: out.into(), what: "is not empty; give another folder".into() });
    }
    if from.join("flight.toml").is_file() { recording(from, out, part) } else { folder(from, out, part) }
}

/// The middle of a length, pixels: first pixel and count.
fn middle(length: u32, part: f64) -> (u32, u32) {
    let count = ((f64::from(length) * part).round() as u32).clamp(1, length);
    ((length - count) / 2, count)
}

/// The same lens for the middle of its frames.
fn narrowed(i: &Intrinsics, part: f64) -> Intrinsics {
    let ((left, width_px), (top, height_px)) = (middle(i.width_px, part), middle(i.height_px, part));
    Intrinsics { width_px, height_px, cx_px: i.cx_px - f64::from(left), cy_px: i.cy_px - f64::from(top), ..*i }
}

fn recording(from: &Path, out: &Path, part: f64) -> Result<Cropped, SimulateError> {
    let read = recording::read(from)?;
    let Some(folder) = &read.photos else {
        return Err(SimulateError::Material { path: from.into(), what: "holds no photos; a video cannot be cropped".into() });
    };
    let photos = photos::list(folder)?;
    write_all(&photos, &out.join("photos"), part)?;
    let path = from.join("flight.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| SimulateError::Material { path: path.clone(), what: e.to_string() })?;
    let mut table: toml::Table =
        text.parse().map_err(|e: toml::de::Error| SimulateError::Material { path: path.clone(), what: e.to_string() })?;
    let lens = narrowed(&read.camera.intrinsics, part);
    if let Some(camera) = table.get_mut("camera").and_then(toml::Value::as_table_mut) {
        // A field of view is that of the whole width; the focal length is not changed by cropping.
        camera.remove("hfov_deg");
        for (key, value) in [("fx_px", lens.fx_px), ("fy_px", lens.fy_px), ("cx_px", lens.cx_px), ("cy_px", lens.cy_px)] {
            camera.insert(key.into(), value.into());
        }
        for (key, value) in [("width_px", lens.width_px), ("height_px", lens.height_px)] {
            camera.insert(key.into(), i64::from(value).into());
        }
    }
    // Its path leads from the folder of the whole flight.
    table.remove("map");
    let path = out.join("flight.toml");
    std::fs::write(&path, table.to_string()).map_err(|source| SimulateError::Write { path, source })?;
    copy_tables(from, out)?;
    Ok(Cropped { photos: photos.len() as u64, hfov_rad: None })
}

/// Copies telemetry, stamps and truth.
fn copy_tables(from: &Path, out: &Path) -> Result<(), SimulateError> {
    let failed = |source: std::io::Error| SimulateError::Material { path: from.into(), what: source.to_string() };
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|e| e == "csv") && path.is_file()) else {
            continue;
        };
        let to = out.join(name);
        std::fs::copy(&path, &to).map_err(|source| SimulateError::Write { path: to, source })?;
    }
    Ok(())
}

fn folder(from: &Path, out: &Path, part: f64) -> Result<Cropped, SimulateError> {
    let photos = photos::list(from)?;
    let mut seen: Option<(f64, &Photo)> = None;
    for photo in &photos {
        let camera = photos::camera(photo, &CameraOptions::default()).ok_or_else(|| SimulateError::Material {
            path: photo.path.clone(),
            what: "nothing says what its focal length is; make a recording of it, with a flight.toml".into(),
        })?;
        let lens = narrowed(&camera.intrinsics, part);
        let hfov_rad = 2.0 * (f64::from(lens.width_px) / 2.0 / lens.fx_px).atan();
        match seen {
            Some((other, of)) if (other - hfov_rad).abs() > 1e-3 => {
                let what = format!("sees another width than {}: one --hfov cannot tell both", of.name);
                return Err(SimulateError::Material { path: photo.path.clone(), what });
            }
            Some(_) => {}
            None => seen = Some((hfov_rad, photo)),
        }
    }
    write_all(&photos, out, part)?;
    Ok(Cropped { photos: photos.len() as u64, hfov_rad: seen.map(|s| s.0) })
}

fn write_all(photos: &[Photo], out: &Path, part: f64) -> Result<(), SimulateError> {
    photos.par_iter().try_for_each(|photo| {
        let image = imagery::read(&photo.path)?;
        let ((left, width), (top, height)) = (middle(image.width(), part), middle(image.height(), part));
        let middle = crop_imm(&image, left, top, width, height).to_image();
        let to = out.join(&photo.name);
        write_photo(&photo.path, &middle, &to)
    })
}

/// Writes a photo with the metadata of the one that it was cut out of.
fn write_photo(original: &Path, image: &RgbImage, to: &PathBuf) -> Result<(), SimulateError> {
    let written = |source| SimulateError::Write { path: to.clone(), source };
    let encoded = |source| SimulateError::Encode { path: to.clone(), source };
    std::fs::create_dir_all(to.parent().unwrap_or(Path::new("."))).map_err(written)?;
    if to.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        return image.save(to).map_err(encoded);
    }
    let bytes = std::fs::read(original).map_err(|e| SimulateError::Material { path: original.into(), what: e.to_string() })?;
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(encoded)?;
    // After the two bytes that begin every JPEG.
    jpeg.splice(2..2, application_segments(&bytes));
    std::fs::write(to, jpeg).map_err(written)
}

/// The segments of a JPEG that hold EXIF and XMP, as they stand in it.
fn application_segments(jpeg: &[u8]) -> Vec<u8> {
    const APP1: u8 = 0xe1;
    const START_OF_SCAN: u8 = 0xda;
    let mut found = Vec::new();
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN || end <= at + 2 {
            break;
        }
        if marker == APP1 {
            found.extend_from_slice(jpeg.get(at..end).unwrap_or_default());
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::no_ground;

    /// A recording with two photos.
    fn flight(folder: &Path) -> PathBuf {
        let out = folder.join("whole");
        no_ground::write(&no_ground::KINDS[3], &out, 2, 80.0, 1).unwrap();
        std::fs::write(out.join("truth.csv"), "frame,lat,lon\n000001.jpg,47.5,8.5\n").unwrap();
        out
    }

    #[test]
    fn the_middle_of_a_recording_keeps_its_lens_its_telemetry_and_its_truth() {
        let folder = tempfile::tempdir().unwrap();
        let whole = flight(folder.path());
        let toml = std::fs::read_to_string(whole.join("flight.toml")).unwrap();
        let other = toml.replace("[clock]", "[map]\npath = \"photos.csv\"\n\n[clock]");
        std::fs::write(whole.join("flight.toml"), other).unwrap();
        let out = folder.path().join("half");
        assert_eq!(crop(&whole, &out, 0.5).unwrap(), Cropped { photos: 2, hfov_rad: None });
        let (read, before) = (recording::read(&out).unwrap(), recording::read(&whole).unwrap());
        assert_eq!(read.camera.intrinsics, Intrinsics::centred(320, 240, 466.0));
        assert_eq!((&read.telemetry, &read.stamps), (&before.telemetry, &before.stamps));
        assert!(read.map.is_none() && out.join("truth.csv").is_file());
        let (a, b) = (whole.join("photos/000001.jpg"), out.join("photos/000001.jpg"));
        let (a, b) = (image::open(a).unwrap().into_rgb8(), image::open(b).unwrap().into_rgb8());
        assert_eq!(b.dimensions(), (320, 240));
        let off =
            b.enumerate_pixels().map(|(x, y, p)| u64::from(p.0[0].abs_diff(a.get_pixel(x + 160, y + 120).0[0]))).sum::<u64>();
        assert!(off < 5 * 320 * 240, "{off}");
        assert!(crop(&whole, &out, 0.5).unwrap_err().to_string().contains("not empty"));
    }

    #[test]
    fn a_field_of_view_becomes_a_focal_length_that_cropping_does_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let whole = flight(folder.path());
        let toml = "[camera]\nwidth_px = 640\nheight_px = 480\nhfov_deg = 70.0\n";
        std::fs::write(whole.join("flight.toml"), toml).unwrap();
        let out = folder.path().join("third");
        crop(&whole, &out, 1.0 / 3.0).unwrap();
        let lens = recording::read(&out).unwrap().camera.intrinsics;
        assert_eq!((lens.width_px, lens.height_px), (213, 160));
        assert!((lens.fx_px - 320.0 / 35f64.to_radians().tan()).abs() < 1e-9 && (lens.cx_px - 107.0).abs() < 1e-9, "{lens:?}");
    }

    #[test]
    fn metadata_goes_along_and_nothing_else_does() {
        let segment = |marker: u8, body: &[u8]| [&[0xff, marker], &(body.len() as u16 + 2).to_be_bytes()[..], body].concat();
        let (exif, other) = (segment(0xe1, b"Exif\0\0abc"), segment(0xe0, b"JFIF"));
        let jpeg = [&[0xff, 0xd8][..], &other, &exif, &segment(0xda, b""), &exif].concat();
        assert_eq!(application_segments(&jpeg), exif);
        assert!(application_segments(&jpeg[..9]).is_empty() && application_segments(b"").is_empty());
        assert!(application_segments(&[0xff, 0xd8, 0xff, 0xe1, 0, 0]).is_empty());
    }

    #[test]
    fn a_part_that_is_none_and_photos_without_a_lens_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = flight(folder.path());
        let out = folder.path().join("out");
        assert!(crop(&whole, &out, 1.5).unwrap_err().to_string().contains("part = 1.5"));
        assert!(crop(&whole.join("photos"), &out, 0.5).unwrap_err().to_string().contains("focal length"));
    }
}
