//! Photos as cameras and programs write them: frames of the bundled flight with EXIF and XMP of our own.

use std::path::{Path, PathBuf};

use exif::{Field, In, Tag, Value};

use crate::metadata::{ratio, text, xmp};

/// A frame of the bundled flight.
pub struct Shot {
    pub jpeg: Vec<u8>,
    pub lat: f64,
    pub lon: f64,
    pub height_m: f64,
    pub heading_deg: f64,
}

/// Frames of the bundled flight, a second apart each, from number 10 on.
pub fn shots(count: usize) -> Vec<Shot> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/demo");
    let mut rows = csv::Reader::from_path(demo.join("truth.csv")).unwrap();
    let columns = rows.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    (0..count)
        .map(|i| {
            let name = format!("{:06}.jpg", 10 + 2 * i);
            let row = rows.iter().find(|r| r.get(0) == Some(&name)).unwrap();
            let value = |column: &str| row[columns.iter().position(|c| c == column).unwrap()].parse::<f64>().unwrap();
            let [w, x, y, z] = ["qw", "qx", "qy", "qz"].map(value);
            let heading = (1.0 - 2.0 * (y * y + z * z)).atan2(2.0 * (x * y + w * z)).to_degrees();
            Shot {
                jpeg: std::fs::read(demo.join("photos").join(&name)).unwrap(),
                lat: value("lat"),
                lon: value("lon"),
                height_m: value("height_agl_m"),
                heading_deg: heading.rem_euclid(360.0),
            }
        })
        .collect()
}

impl Shot {
    pub fn image(&self) -> image::DynamicImage {
        image::load_from_memory(&self.jpeg).unwrap()
    }

    /// The middle of the picture, enlarged to its whole size.
    pub fn zoomed(&self, zoom: f64) -> Vec<u8> {
        let image = self.image();
        let (w, h) = (image.width(), image.height());
        let part = |size: u32| (f64::from(size) / zoom) as u32;
        let middle = image.crop_imm((w - part(w)) / 2, (h - part(h)) / 2, part(w), part(h));
        jpeg_of(&middle.resize_exact(w, h, image::imageops::FilterType::CatmullRom))
    }

    /// DJI's XMP, the gimbal looking straight down.
    pub fn dji(&self, yaw_deg: f64, roll_deg: f64) -> String {
        xmp(&format!(
            r#"d:RelativeAltitude="{:+.2}" d:GimbalYawDegree="{yaw_deg:+.2}" d:GimbalPitchDegree="-90.00" d:GimbalRollDegree="{roll_deg:+.2}""#,
            self.height_m
        ))
    }
}

pub fn jpeg_of(image: &image::DynamicImage) -> Vec<u8> {
    let mut out = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 90);
    image.to_rgb8().write_with_encoder(encoder).unwrap();
    out
}

pub fn short(tag: Tag, value: u16) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value: Value::Short(vec![value]) }
}

/// EXIF of a Mini 2 at a second of a morning.
pub fn mini2(second: usize) -> Vec<Field> {
    vec![
        text(Tag::Make, "DJI"),
        text(Tag::Model, "FC7303"),
        ratio(Tag::FocalLength, &[4.49]),
        text(Tag::DateTimeOriginal, &format!("2024:06:19 10:00:{second:02}")),
    ]
}

pub fn gnss(lat: f64, lon: f64) -> Vec<Field> {
    vec![
        text(Tag::GPSLatitudeRef, "N"),
        ratio(Tag::GPSLatitude, &[lat, 0.0, 0.0]),
        text(Tag::GPSLongitudeRef, "E"),
        ratio(Tag::GPSLongitude, &[lon, 0.0, 0.0]),
    ]
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}
