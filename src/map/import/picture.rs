//! Pictures that fit into memory: JPEG, PNG, WebP, decoded when first needed and kept while there is room.

use super::sidecars;
use crate::map::MapError;
use crate::map::cache::Lru;
use crate::map::resample::Window;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of decoded pictures kept at a time.
const CACHE_BYTES: usize = 256 << 20;
/// Largest picture that is decoded as a whole, bytes.
const LARGEST_BYTES: u64 = 768 << 20;

/// Decoded pictures, shared by all layers of a build.
#[derive(Clone)]
pub(crate) struct Pictures(Arc<Mutex<Lru<PathBuf, Arc<Picture>>>>);

/// A decoded picture, RGB or RGBA.
pub(crate) enum Picture {
    /// Without transparency.
    Rgb(image::RgbImage),
    /// With transparency.
    Rgba(image::RgbaImage),
}

impl Pictures {
    /// Nothing decoded yet.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Lru::new(CACHE_BYTES))))
    }

    /// The decoded picture of a file.
    pub fn get(&self, path: &Path) -> Result<Arc<Picture>, MapError> {
        // Held while decoding: two threads that need the same picture should not decode it twice.
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = cache.get(&path.to_owned()) {
            return Ok(found);
        }
        let picture = Arc::new(decode(path)?);
        let weight = match &*picture {
            Picture::Rgb(i) => i.as_raw().len(),
            Picture::Rgba(i) => i.as_raw().len(),
        };
        cache.put(path.to_owned(), picture.clone(), weight);
        Ok(picture)
    }
}

impl Picture {
    /// Copies a window, which must lie inside.
    pub fn window(&self, x0: i64, y0: i64, width: usize, height: usize) -> Window {
        let mut window = Window::empty(x0, y0, width, height);
        for (row, line) in window.rgba.chunks_exact_mut(width.max(1) * 4).enumerate() {
            for (column, p) in line.chunks_exact_mut(4).enumerate() {
                let (x, y) = ((x0 + column as i64) as u32, (y0 + row as i64) as u32);
                match self {
                    Self::Rgb(i) => {
                        if let Some(v) = i.get_pixel_checked(x, y) {
                            p.copy_from_slice(&[v.0[0], v.0[1], v.0[2], 255]);
                        }
                    }
                    Self::Rgba(i) => {
                        if let Some(v) = i.get_pixel_checked(x, y) {
                            p.copy_from_slice(&v.0);
                        }
                    }
                }
            }
        }
        window
    }
}

/// Size of a picture, from its header.
pub(crate) fn size(path: &Path) -> Result<(u32, u32), MapError> {
    reader(path)?.into_dimensions().map_err(|e| unreadable(path, &e))
}

fn reader(path: &Path) -> Result<image::ImageReader<std::io::BufReader<std::fs::File>>, MapError> {
    let mut reader = image::ImageReader::open(path).and_then(|r| r.with_guessed_format()).map_err(|e| MapError::read(path, e))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(LARGEST_BYTES);
    reader.limits(limits);
    Ok(reader)
}

fn unreadable(path: &Path, error: &image::ImageError) -> MapError {
    let hint = match error {
        image::ImageError::Limits(_) => {
            let convert = sidecars::translate("gdal_translate -co TILED=YES -co COMPRESS=JPEG", path, "tiled");
            format!("it is too large to decode as a whole, and a GeoTIFF is read by parts: {convert}")
        }
        _ => "it must be a complete JPEG, PNG or WebP picture".into(),
    };
    MapError::source(path, format!("cannot be decoded ({error})"), hint)
}

fn decode(path: &Path) -> Result<Picture, MapError> {
    let image = reader(path)?.decode().map_err(|e| unreadable(path, &e))?;
    Ok(if image.color().has_alpha() { Picture::Rgba(image.into_rgba8()) } else { Picture::Rgb(image.into_rgb8()) })
}
