//! GeoTIFF rasters, read by chunks (strips or tiles) through a bounded cache, so that size does not matter.

use super::crs::Placement;
use super::geokeys::GeoTags;
use super::sidecars;
use super::tiff_header::{self, Source};
use crate::files;
use crate::map::cache::Lru;
use crate::map::resample::Window;
use crate::map::{MapError, advice};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::Tag;

/// Bytes of decoded chunks kept at a time.
const CACHE_BYTES: usize = 192 << 20;
/// Minus the least sample of 16 bits, and how many there are, signed and unsigned.
const LEAST: i64 = 32_768;
const HISTOGRAM: usize = 32_768 + 65_536;
/// Chunks looked at to find the range of 16-bit samples.
const RANGE_CHUNKS: u32 = 32;

/// Whether a file's first bytes are those of a TIFF or BigTIFF.
pub(crate) fn is_tiff(head: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| head.starts_with(*magic))
}

struct Reader {
    decoder: Decoder<Box<dyn Source>>,
    chunks: Lru<u32, Arc<Vec<u8>>>,
}

/// An open GeoTIFF.
pub(crate) struct GeoTiff {
    path: PathBuf,
    reader: Mutex<Reader>,
    size: (u32, u32),
    chunk: (u32, u32),
    colour: ColorType,
    samples: usize,
    planar: bool,
    /// Position of the sample that says what is covered.
    alpha: Option<usize>,
    /// See [`tiff_header::Header::chunk_bytes`].
    chunk_bytes: Vec<u64>,
    /// Whether some chunks were never written.
    is_sparse: bool,
    palette: Option<Vec<u16>>,
    nodata: Option<f64>,
    /// Sample values that become 0 and 255, for 16-bit samples.
    range: (f64, f64),
    date: Option<String>,
    tags: GeoTags,
}

/// The value that all bands share.
fn one_value(bands: &[f64]) -> Option<f64> {
    let first = bands.first()?;
    bands.iter().all(|v| v == first).then_some(*first)
}

impl GeoTiff {
    /// Opens a file; reads its header and, for 16-bit samples, some chunks to find their range.
    pub fn open(path: &Path) -> Result<Self, MapError> {
        let file = files::open(path).map_err(|e| MapError::read(path, e))?;
        Self::from_source(path, Box::new(BufReader::new(file)))
    }

    fn from_source(path: &Path, source: Box<dyn Source>) -> Result<Self, MapError> {
        let (mut decoder, header) = tiff_header::open(path, source)?;
        let colour = header.colour;
        let supported = matches!(
            colour,
            ColorType::Gray(8 | 16)
                | ColorType::GrayA(8 | 16)
                | ColorType::RGB(8 | 16)
                | ColorType::RGBA(8 | 16)
                | ColorType::YCbCr(8)
                | ColorType::CMYK(8)
                | ColorType::Palette(8)
                | ColorType::Multiband { bit_depth: 8 | 16, .. }
        );
        if !supported {
            return Err(MapError::source(
                path,
                format!("has pixels of a kind that is not known here ({colour:?})"),
                format!(
                    "known are grey, RGB, RGBA of 8 or 16 bits, CMYK of 8, and palettes; {}",
                    advice::convert("gdal_translate -ot Byte -scale", path, "8bit")
                ),
            ));
        }
        if header.masked {
            return Err(sidecars::masked(path, "says by a mask inside the file", usize::from(colour.num_samples())));
        }
        let palette = match colour {
            ColorType::Palette(_) => decoder.find_tag_unsigned_vec(Tag::ColorMap).map_err(|e| tiff_header::failure(path, &e))?,
            _ => None,
        };
        let mut tiff = Self {
            path: path.to_owned(),
            nodata: header.nodata.or_else(|| one_value(&sidecars::nodata(path))),
            date: header.date,
            reader: Mutex::new(Reader { decoder, chunks: Lru::new(CACHE_BYTES) }),
            size: header.size,
            chunk: header.chunk,
            colour,
            samples: usize::from(colour.num_samples()),
            planar: header.planar,
            alpha: header.alpha,
            is_sparse: header.chunk_bytes.contains(&0),
            chunk_bytes: header.chunk_bytes,
            palette,
            range: (0.0, 255.0),
            tags: header.tags,
        };
        if colour.bit_depth() == 16 {
            tiff.range = tiff.find_range()?;
        }
        Ok(tiff)
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Samples of a pixel.
    pub fn bands(&self) -> usize {
        self.samples
    }

    /// The date in the file, ISO 8601.
    pub fn date(&self) -> Option<String> {
        self.date.clone()
    }

    /// The file's own georeference; `None` when it has none.
    pub fn placement(&self) -> Result<Option<Placement>, MapError> {
        self.tags.placement_of(&self.path)
    }

    /// Copies a window, which must lie inside.
    pub fn window(&self, x0: i64, y0: i64, width: usize, height: usize) -> Result<Window, MapError> {
        let mut window = Window::empty(x0, y0, width, height);
        let (cw, ch) = (i64::from(self.chunk.0), i64::from(self.chunk.1));
        let across = i64::from(self.size.0.div_ceil(self.chunk.0));
        for cy in y0 / ch..=(y0 + height as i64 - 1) / ch {
            for cx in x0 / cw..=(x0 + width as i64 - 1) / cw {
                let pixels = self.chunk((cy * across + cx) as u32)?;
                let valid_width = (i64::from(self.size.0) - cx * cw).min(cw);
                let (left, right) = (x0.max(cx * cw), (x0 + width as i64).min(cx * cw + valid_width));
                for y in y0.max(cy * ch)..(y0 + height as i64).min((cy + 1) * ch) {
                    let from = (((y - cy * ch) * valid_width + left - cx * cw) * 4) as usize;
                    let to = ((y - y0) as usize * width + (left - x0) as usize) * 4;
                    let len = (right - left).max(0) as usize * 4;
                    if let (Some(source), Some(target)) = (pixels.get(from..from + len), window.rgba.get_mut(to..to + len)) {
                        target.copy_from_slice(source);
                    }
                }
            }
        }
        Ok(window)
    }

    /// A chunk as RGBA.
    fn chunk(&self, index: u32) -> Result<Arc<Vec<u8>>, MapError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = reader.chunks.get(&index) {
            return Ok(found);
        }
        let rgba = if self.was_written(index) {
            let planes = self.read(&mut reader.decoder, index)?;
            self.rgba(&planes)
        } else {
            Vec::new()
        };
        let rgba = Arc::new(rgba);
        reader.chunks.put(index, rgba.clone(), rgba.len());
        Ok(rgba)
    }

    /// Whether a chunk is in the file: sparse files leave out those without imagery.
    fn was_written(&self, index: u32) -> bool {
        self.chunk_bytes.get(index as usize) != Some(&0)
    }

    /// Whether some chunks were never written.
    pub fn is_sparse(&self) -> bool {
        self.is_sparse
    }

    /// Whether a chunk was written that meets a window, which may reach over the edges.
    pub fn is_written_in(&self, [x0, y0, x1, y1]: [f64; 4]) -> bool {
        let across = self.size.0.div_ceil(self.chunk.0);
        let chunks = |low: f64, high: f64, size: u32, chunk: u32| {
            let (low, high) = (low.max(0.0), high.min(f64::from(size)));
            if low >= high { 0..0 } else { (low as u32 / chunk)..(high.ceil() as u32).div_ceil(chunk) }
        };
        let columns = chunks(x0, x1, self.size.0, self.chunk.0);
        chunks(y0, y1, self.size.1, self.chunk.1).any(|row| columns.clone().any(|column| self.was_written(row * across + column)))
    }

    /// Samples of a chunk: one interleaved vector, or one for each plane.
    fn read(&self, decoder: &mut Decoder<Box<dyn Source>>, index: u32) -> Result<Vec<DecodingResult>, MapError> {
        let per_plane = self.size.0.div_ceil(self.chunk.0) * self.size.1.div_ceil(self.chunk.1);
        let planes = if self.planar { self.samples as u32 } else { 1 };
        (0..planes)
            .map(|plane| {
                let chunk = decoder.read_chunk(plane * per_plane + index);
                chunk.map_err(|e| tiff_header::chunk_failure(&self.path, index, &e))
            })
            .collect()
    }

    fn rgba(&self, planes: &[DecodingResult]) -> Vec<u8> {
        let values = Samples { planes, samples: self.samples };
        let scale = 255.0 / (self.range.1 - self.range.0);
        let wide = self.colour.bit_depth() == 16;
        let byte = |v: f64| if wide { ((v - self.range.0) * scale).round().clamp(0.0, 255.0) as u8 } else { v as u8 };
        let full = if wide { 65535.0 } else { 255.0 };
        let mut out = Vec::with_capacity(values.len() * 4);
        for i in 0..values.len() {
            let at = |s| values.get(i, s);
            let (rgb, alpha) = match self.colour {
                ColorType::Palette(_) => (self.palette_colour(at(0) as usize), full),
                ColorType::YCbCr(_) => (rgb_from_ycbcr(at(0), at(1), at(2)), full),
                // Inks: 0 is none.
                ColorType::CMYK(_) => ([0, 1, 2].map(|s| byte((full - at(s)) * (full - at(3)) / full)), full),
                ColorType::GrayA(_) => ([byte(at(0)); 3], at(1)),
                ColorType::RGBA(_) => ([byte(at(0)), byte(at(1)), byte(at(2))], at(3)),
                _ if self.samples < 3 => ([byte(at(0)); 3], full),
                _ => ([byte(at(0)), byte(at(1)), byte(at(2))], full),
            };
            let alpha = self.alpha.map_or(alpha, at);
            let bands = self.samples.min(3);
            let none = alpha < full / 2.0 || self.nodata.is_some_and(|n| (0..bands).all(|s| at(s) == n));
            out.extend([rgb[0], rgb[1], rgb[2], if none { 0 } else { 255 }]);
        }
        out
    }

    fn palette_colour(&self, index: usize) -> [u8; 3] {
        // The colour map holds all reds, then all greens, then all blues, of 16 bits.
        let map = self.palette.as_deref().unwrap_or_default();
        let n = map.len() / 3;
        [0, 1, 2].map(|c| map.get(c * n + index).filter(|_| index < n).map_or(0, |v| (v >> 8) as u8))
    }

    /// The 1st and 99th percentile of 16-bit samples over some chunks: sensors use a part of the range, and one glint should not
    /// darken the rest.
    fn find_range(&self) -> Result<(f64, f64), MapError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let chunks = self.size.0.div_ceil(self.chunk.0) * self.size.1.div_ceil(self.chunk.1);
        let mut histogram = vec![0u64; HISTOGRAM];
        let step = chunks.div_ceil(RANGE_CHUNKS).max(1);
        for index in (0..chunks).step_by(step as usize).filter(|index| self.was_written(*index)) {
            let planes = self.read(&mut reader.decoder, index)?;
            let values = Samples { planes: &planes, samples: self.samples };
            for i in 0..values.len() {
                for s in 0..if self.samples < 3 { 1 } else { 3 } {
                    let v = values.get(i, s);
                    if self.nodata != Some(v) {
                        // Signed samples lie in the lower half.
                        histogram[(v as i64 + LEAST).clamp(0, HISTOGRAM as i64 - 1) as usize] += 1;
                    }
                }
            }
        }
        let total: u64 = histogram.iter().sum();
        let percentile = |share: f64| {
            let mut seen = 0;
            histogram.iter().position(|n| {
                seen += n;
                seen as f64 >= share * total as f64
            })
        };
        let (low, high) = (percentile(0.01).unwrap_or(0) as f64, percentile(0.99).unwrap_or(HISTOGRAM - 1) as f64);
        let (low, high) = (low - LEAST as f64, high - LEAST as f64);
        Ok(if high > low { (low, high) } else { (low, low + 255.0) })
    }
}

struct Samples<'a> {
    planes: &'a [DecodingResult],
    samples: usize,
}

impl Samples<'_> {
    /// Pixels.
    fn len(&self) -> usize {
        let n = match self.planes.first() {
            Some(DecodingResult::U8(v)) => v.len(),
            Some(DecodingResult::U16(v)) => v.len(),
            Some(DecodingResult::I16(v)) => v.len(),
            _ => 0,
        };
        if self.planes.len() > 1 { n } else { n / self.samples.max(1) }
    }

    #[inline]
    fn get(&self, pixel: usize, sample: usize) -> f64 {
        let (plane, i) = if self.planes.len() > 1 { (sample, pixel) } else { (0, pixel * self.samples + sample) };
        match self.planes.get(plane) {
            Some(DecodingResult::U8(v)) => v.get(i).copied().map_or(0.0, f64::from),
            Some(DecodingResult::U16(v)) => v.get(i).copied().map_or(0.0, f64::from),
            Some(DecodingResult::I16(v)) => v.get(i).copied().map_or(0.0, f64::from),
            _ => 0.0,
        }
    }
}

/// JFIF's conversion, which is what JPEG-compressed TIFFs use.
fn rgb_from_ycbcr(y: f64, cb: f64, cr: f64) -> [u8; 3] {
    let (b, r) = (cb - 128.0, cr - 128.0);
    [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn sample_file() -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        let pixels: Vec<u8> = (0..20 * 10 * 3).map(|i| (i % 251) as u8).collect();
        encoder.write_image::<tiff::encoder::colortype::RGB8>(20, 10, &pixels).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_window_holds_the_pixels_of_the_file() {
        let tiff = GeoTiff::from_source(Path::new("a.tif"), Box::new(Cursor::new(sample_file()))).unwrap();
        let window = tiff.window(3, 4, 5, 2).unwrap();
        let at = |i: usize| (((4 * 20 + 3) * 3 + i) % 251) as u8;
        assert_eq!(&window.rgba[..4], &[at(0), at(1), at(2), 255]);
        assert_eq!(window.rgba.len(), 5 * 2 * 4);
    }

    #[test]
    fn inks_become_colours() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        encoder.write_image::<tiff::encoder::colortype::CMYK8>(2, 1, &[0, 0, 0, 0, 255, 0, 51, 127]).unwrap();
        let tiff = GeoTiff::from_source(Path::new("a.tif"), Box::new(Cursor::new(bytes.into_inner()))).unwrap();
        assert_eq!(tiff.window(0, 0, 2, 1).unwrap().rgba, [255, 255, 255, 255, 0, 128, 102, 255]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = b"II*\0\x08\0\0\0".to_vec();
            file.extend(bytes);
            let _ = GeoTiff::from_source(Path::new("a.tif"), Box::new(Cursor::new(file)));
        }

        #[test]
        fn flipped_bytes_are_survived(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut file = sample_file();
            for (at, value) in flips {
                let i = at.index(file.len());
                file[i] = value;
            }
            if let Ok(tiff) = GeoTiff::from_source(Path::new("a.tif"), Box::new(Cursor::new(file))) {
                let (w, h) = tiff.size();
                let _ = tiff.window(0, 0, w.min(20) as usize, h.min(10) as usize);
            }
        }
    }
}
