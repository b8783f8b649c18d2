//! What the header of a TIFF says, for imagery and for elevation.

use super::geokeys::GeoTags;
use crate::map::MapError;
use std::io::{Read, Seek};
use std::path::Path;
use tiff::ColorType;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{PlanarConfiguration, Tag};

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
    /// ISO 8601.
    pub date: Option<String>,
    pub tags: GeoTags,
}

/// An error of the decoder.
pub(crate) fn failure(path: &Path, error: &tiff::TiffError) -> MapError {
    MapError::source(path, format!("cannot be read as a TIFF ({error})"), "check that it is complete")
}

/// Reads a header; refuses what cannot be read by parts.
pub(crate) fn open(path: &Path, source: Box<dyn Source>) -> Result<(Decoder<Box<dyn Source>>, Header), MapError> {
    let fail = |e: tiff::TiffError| failure(path, &e);
    let mut limits = Limits::default();
    // Offsets of 850 megapixels in strips of a row or in small tiles.
    limits.ifd_value_size = 64 << 20;
    let mut decoder = Decoder::new(source).map_err(fail)?.with_limits(limits);
    let size = decoder.dimensions().map_err(fail)?;
    let colour = decoder.colortype().map_err(fail)?;
    let chunk = decoder.chunk_dimensions();
    if size.0 == 0 || size.1 == 0 || chunk.0 == 0 || chunk.1 == 0 || u64::from(chunk.0) * u64::from(chunk.1) > LARGEST_CHUNK_PX {
        return Err(MapError::source(
            path,
            format!("is stored in chunks of {} x {} px, which cannot be read by parts", chunk.0, chunk.1),
            "convert it with `gdal_translate -co TILED=YES`",
        ));
    }
    let planar =
        decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(fail)? == Some(PlanarConfiguration::Planar.to_u16());
    let doubles =
        |d: &mut Decoder<_>, tag| d.find_tag(tag).ok().flatten().and_then(|v| v.into_f64_vec().ok()).unwrap_or_default();
    let text = |d: &mut Decoder<_>, tag| d.find_tag(tag).ok().flatten().and_then(|v| v.into_string().ok());
    let tags = GeoTags {
        directory: decoder.find_tag_unsigned_vec(Tag::GeoKeyDirectoryTag).ok().flatten().unwrap_or_default(),
        ascii: text(&mut decoder, Tag::GeoAsciiParamsTag).unwrap_or_default(),
        pixel_scale: doubles(&mut decoder, Tag::ModelPixelScaleTag),
        tie_points: doubles(&mut decoder, Tag::ModelTiepointTag),
        transformation: doubles(&mut decoder, Tag::ModelTransformationTag),
    };
    let nodata = text(&mut decoder, Tag::GdalNodata).and_then(|t| t.trim_matches(['\0', ' ']).parse().ok());
    let date = text(&mut decoder, Tag::DateTime).and_then(|t| iso_date(&t));
    Ok((decoder, Header { size, chunk, colour, planar, nodata, date, tags }))
}

/// TIFF's `2024:10:30 10:05:15`.
fn iso_date(text: &str) -> Option<String> {
    let date = text.get(..10)?.replace(':', "-");
    let parts: Vec<u32> = date.split('-').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    matches!(parts[..], [1900..=2200, 1..=12, 1..=31]).then_some(date)
}
