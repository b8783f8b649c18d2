//! What the header of a TIFF says, for imagery and for elevation.

use super::geokeys::GeoTags;
use crate::map::{MapError, advice};
use std::io::{Read, Seek};
use std::path::Path;
use tiff::ColorType;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{PlanarConfiguration, Tag};

/// GDAL's own tag: XML with scale, offset and more.
const GDAL_METADATA: u16 = 42112;
/// Pictures of a file that are looked at for a mask.
const MOST_PICTURES: usize = 32;
/// Largest decoded chunk.
const LARGEST_CHUNK_PX: u64 = 32 << 20;

/// Where a TIFF is read from.
pub(crate) trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// The header of a TIFF.
pub(crate) struct Header {
    pub size: (u32, u32),
    /// Size of a strip or tile.
    pub chunk: (u32, u32),
    pub colour: ColorType,
    pub planar: bool,
    pub nodata: Option<f64>,
    /// What a sample is multiplied by, and what is added to it then, where the file says so.
    pub scale: Option<f64>,
    pub offset: Option<f64>,
    /// The unit of its numbers, in words.
    pub unit: Option<String>,
    /// Position of the sample that says what is covered.
    pub alpha: Option<usize>,
    /// Whether another picture in the file says what is covered.
    pub masked: bool,
    /// Stored bytes of each chunk; a chunk of none was never written.
    pub chunk_bytes: Vec<u64>,
    /// ISO 8601.
    pub date: Option<String>,
    pub tags: GeoTags,
}

/// An error of the decoder.
pub(crate) fn failure(path: &Path, error: &tiff::TiffError) -> MapError {
    use tiff::TiffUnsupportedError::{InterpretationWithBits, UnsupportedInterpretation};
    match error {
        // A copy by GDAL has the same numbers, and says that they are red, green and blue.
        tiff::TiffError::UnsupportedError(what @ (InterpretationWithBits(..) | UnsupportedInterpretation(_))) => {
            MapError::source(
                path,
                format!("has colours that are not read here ({what})"),
                "save it as RGB with the program that it comes from",
            )
        }
        tiff::TiffError::UnsupportedError(what) => MapError::source(
            path,
            format!("is stored in a way that is not read here ({what})"),
            advice::convert(advice::PLAIN, path, "plain"),
        ),
        _ => MapError::source(path, format!("cannot be read as a TIFF ({error})"), "check that it is complete"),
    }
}

/// The error of a strip or tile.
pub(crate) fn chunk_failure(path: &Path, index: u32, error: &tiff::TiffError) -> MapError {
    match error {
        tiff::TiffError::UnsupportedError(_) => failure(path, error),
        _ => MapError::source(path, format!("chunk {index} cannot be decoded ({error})"), "check that the file is complete"),
    }
}

fn palette(path: &Path) -> MapError {
    let hint = advice::convert("gdal_translate -expand rgb", path, "rgb");
    MapError::source(path, "has a palette of colours, which is not read here", hint)
}

/// Reads a header; refuses what cannot be read by parts.
pub(crate) fn open(path: &Path, source: Box<dyn Source>) -> Result<(Decoder<Box<dyn Source>>, Header), MapError> {
    let fail = |e: tiff::TiffError| failure(path, &e);
    let mut limits = Limits::default();
    // Offsets of 850 megapixels in strips of a row or in small tiles.
    limits.ifd_value_size = 64 << 20;
    let mut decoder = Decoder::new(source).map_err(fail)?.with_limits(limits);
    let size = decoder.dimensions().map_err(fail)?;
    let colour = match decoder.colortype() {
        Ok(colour) => colour,
        Err(error) => {
            const PALETTE: u16 = 3;
            let kind = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).ok().flatten();
            return Err(if kind == Some(PALETTE) { palette(path) } else { fail(error) });
        }
    };
    let chunk = decoder.chunk_dimensions();
    if size.0 == 0 || size.1 == 0 || chunk.0 == 0 || chunk.1 == 0 || u64::from(chunk.0) * u64::from(chunk.1) > LARGEST_CHUNK_PX {
        return Err(MapError::source(
            path,
            format!("is stored in chunks of {} x {} px, which cannot be read by parts", chunk.0, chunk.1),
            advice::convert(advice::PLAIN, path, "tiled"),
        ));
    }
    let planar =
        decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(fail)? == Some(PlanarConfiguration::Planar.to_u16());
    let doubles =
        |d: &mut Decoder<_>, tag| d.find_tag(tag).ok().flatten().and_then(|v| v.into_f64_vec().ok()).unwrap_or_default();
    let text = |d: &mut Decoder<_>, tag| d.find_tag(tag).ok().flatten().and_then(|v| v.into_string().ok());
    let tags = GeoTags {
        directory: decoder.find_tag_unsigned_vec(Tag::GeoKeyDirectoryTag).ok().flatten().unwrap_or_default(),
        doubles: doubles(&mut decoder, Tag::GeoDoubleParamsTag),
        pixel_scale: doubles(&mut decoder, Tag::ModelPixelScaleTag),
        tie_points: doubles(&mut decoder, Tag::ModelTiepointTag),
        transformation: doubles(&mut decoder, Tag::ModelTransformationTag),
    };
    let masked = has_mask(&mut decoder, size).map_err(fail)?;
    let nodata = text(&mut decoder, Tag::GdalNodata).and_then(|t| t.trim_matches(['\0', ' ']).parse().ok());
    let date = text(&mut decoder, Tag::DateTime).and_then(|t| iso_date(&t));
    let described = text(&mut decoder, Tag::Unknown(GDAL_METADATA)).unwrap_or_default();
    let number = |role: &str| of_first_band(&described, role).and_then(|text| text.parse().ok()).filter(|v: &f64| v.is_finite());
    let (scale, offset, unit) = (number("scale"), number("offset"), of_first_band(&described, "unittype"));
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).ok().flatten().unwrap_or_default();
    let first = usize::from(colour.num_samples()).saturating_sub(extra.len());
    let alpha = extra.iter().position(|kind| matches!(kind, 1 | 2)).map(|at| first + at);
    let bytes_of = |d: &mut Decoder<_>, tag| d.find_tag_unsigned_vec::<u64>(tag).ok().flatten();
    let chunk_bytes = bytes_of(&mut decoder, Tag::TileByteCounts).or_else(|| bytes_of(&mut decoder, Tag::StripByteCounts));
    let chunk_bytes = chunk_bytes.unwrap_or_default();
    Ok((decoder, Header { size, chunk, colour, planar, nodata, scale, offset, unit, alpha, masked, chunk_bytes, date, tags }))
}

/// Whether the file holds a mask of the first picture's size (TIFF 6.0, NewSubfileType, bit 2). Leaves the decoder at the first picture.
fn has_mask(decoder: &mut Decoder<Box<dyn Source>>, size: (u32, u32)) -> Result<bool, tiff::TiffError> {
    const MASK: u32 = 4;
    let mut found = false;
    // Overviews and their masks come after it; what cannot be read among them is of no use here.
    for _ in 0..MOST_PICTURES {
        if found || !decoder.more_images() || decoder.next_image().is_err() {
            break;
        }
        let kind = decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType).ok().flatten().unwrap_or(0);
        found = kind & MASK != 0 && decoder.dimensions().ok() == Some(size);
    }
    decoder.seek_to_image(0)?;
    Ok(found)
}

/// What GDAL's metadata say of the first band.
fn of_first_band(xml: &str, role: &str) -> Option<String> {
    let document = roxmltree::Document::parse(xml.trim_matches(['\0', ' ', '\n'])).ok()?;
    let first = |n: &roxmltree::Node<'_, '_>| n.attribute("sample").is_none_or(|s| s == "0");
    let mut items = document.descendants().filter(|n| n.has_tag_name("Item"));
    let item = items.find(|n| first(n) && n.attribute("role") == Some(role))?;
    Some(item.text()?.trim().to_owned())
}

/// TIFF's `2024:10:30 10:05:15`.
fn iso_date(text: &str) -> Option<String> {
    let date = text.get(..10)?.replace(':', "-");
    let parts: Vec<u32> = date.split('-').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    matches!(parts[..], [1900..=2200, 1..=12, 1..=31]).then_some(date)
}
