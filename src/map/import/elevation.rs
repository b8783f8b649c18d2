//! Elevations out of a GeoTIFF with one band: integers or floats of 8 to 64 bits.

use super::crs::Georeference;
use super::sidecars;
use super::tiff_header::{self, Header, Source};
use crate::files;
use crate::geo::GeodeticBounds;
use crate::map::{MapError, advice};
use std::io::BufReader;
use std::path::Path;
use tiff::ColorType;
use tiff::decoder::DecodingResult;

/// Most posts that are kept: 256 MiB.
const MAX_POSTS: u64 = 64 << 20;
/// Elevations outside of this are voids whatever the file says: the lowest land lies at −430 m, the highest at 8849 m.
const PLAUSIBLE_M: std::ops::RangeInclusive<f64> = -1_000.0..=9_500.0;

/// A window of elevations, metres; voids are NaN.
pub(crate) struct Posts {
    pub georeference: Georeference,
    /// Column and row of the first post in the file.
    pub origin: (u32, u32),
    pub size: (u32, u32),
    pub elevation_m: Vec<f32>,
}

/// Reads the part of a file that lies within some bounds, or all of it.
pub(crate) fn read(path: &Path, within: Option<GeodeticBounds>) -> Result<Posts, MapError> {
    let file = files::open(path).map_err(|e| MapError::read(path, e))?;
    let text = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    if text.as_deref().is_some_and(|e| matches!(e, "asc" | "hgt" | "dem" | "bil" | "flt" | "dt1" | "dt2")) {
        return Err(MapError::source(path, "is no GeoTIFF", advice::convert("gdal_translate", path, "model")));
    }
    from_source(path, Box::new(BufReader::new(file)), within)
}

/// Whether a file is a TIFF of one band of numbers that are no brightness.
pub(crate) fn is_model(path: &Path) -> bool {
    let Ok(file) = files::open(path) else { return false };
    let header = tiff_header::open(path, Box::new(BufReader::new(file)));
    header.is_ok_and(|(_, header)| matches!(header.colour, ColorType::Gray(32 | 64)))
}

fn from_source(path: &Path, source: Box<dyn Source>, within: Option<GeodeticBounds>) -> Result<Posts, MapError> {
    let (mut decoder, header) = tiff_header::open(path, source)?;
    if !matches!(header.colour, ColorType::Gray(8 | 16 | 32 | 64)) {
        return Err(MapError::source(
            path,
            format!("is no elevation model: its pixels are {:?}, and one band of numbers is needed", header.colour),
            format!(
                "give a model such as Copernicus GLO-30 or SRTM as a GeoTIFF; where the first band holds heights, {}",
                advice::convert("gdal_translate -b 1", path, "model")
            ),
        ));
    }
    let placement = sidecars::placement(path, header.size, header.tags.placement_of(path)?)?;
    let georeference = placement.as_ref().and_then(Georeference::new).ok_or_else(|| {
        MapError::source(path, "is a TIFF without a usable georeference", "put a world file beside it, or use a GeoTIFF")
    })?;
    let (x0, y0, x1, y1) = match within {
        None => (0, 0, header.size.0, header.size.1),
        Some(bounds) => window(&georeference, header.size, bounds).ok_or_else(|| {
            MapError::source(path, "does not cover the area of the map", "give the elevation model of that area")
        })?,
    };
    let (width, height) = (x1 - x0, y1 - y0);
    let posts = u64::from(width) * u64::from(height);
    if posts > MAX_POSTS {
        let percent = (100.0 * (MAX_POSTS as f64 / posts as f64).sqrt()).floor().max(1.0);
        return Err(MapError::source(
            path,
            format!("has {width} x {height} posts, too many to keep"),
            format!(
                "{}, which is coarser",
                advice::convert(&format!("gdal_translate -r average -outsize {percent}% {percent}%"), path, "coarser")
            ),
        ));
    }
    let beside = sidecars::numbers(path);
    let (scale, offset) = (header.scale.or(beside.scale).unwrap_or(1.0), header.offset.or(beside.offset).unwrap_or(0.0));
    let unit_m = unit_m(path, &header, beside.unit.as_deref())?;
    let nodata = header.nodata.or_else(|| sidecars::nodata(path).first().copied());
    let mut elevation_m = vec![f32::NAN; width as usize * height as usize];
    let (cw, ch) = header.chunk;
    let across = header.size.0.div_ceil(cw);
    for cy in y0 / ch..y1.div_ceil(ch) {
        for cx in x0 / cw..x1.div_ceil(cw) {
            let index = cy * across + cx;
            let samples = decoder.read_chunk(index).map_err(|e| tiff_header::chunk_failure(path, index, &e))?;
            // Chunks at the right edge hold only what lies inside.
            let valid = cw.min(header.size.0 - cx * cw);
            for y in (cy * ch).max(y0)..(cy * ch).saturating_add(ch).min(y1) {
                for x in (cx * cw).max(x0)..(cx * cw + valid).min(x1) {
                    let from = (y - cy * ch) as usize * valid as usize + (x - cx * cw) as usize;
                    let to = (y - y0) as usize * width as usize + (x - x0) as usize;
                    let value = sample(&samples, from).filter(|v| nodata != Some(*v));
                    let value = value.map(|v| (v * scale + offset) * unit_m).filter(|v| PLAUSIBLE_M.contains(v));
                    if let (Some(value), Some(post)) = (value, elevation_m.get_mut(to)) {
                        *post = value as f32;
                    }
                }
            }
        }
    }
    if elevation_m.iter().all(|v| v.is_nan()) {
        return Err(MapError::source(path, "holds no elevation here, only voids", "give the elevation model of this area"));
    }
    Ok(Posts { georeference, origin: (x0, y0), size: (width, height), elevation_m })
}

const IN_METRES: &str = "give a model whose elevations are in metres";

/// Metres of the unit of the elevations: by name inside or beside the file, and by the key of its vertical system, which must agree.
fn unit_m(path: &Path, header: &Header, beside: Option<&str>) -> Result<f64, MapError> {
    let foot = 0.3048;
    let named = match header.unit.as_deref().or(beside).map(|name| name.trim().to_lowercase().replace(['_', '-'], " ")).as_deref()
    {
        None | Some("") => None,
        Some("m" | "metre" | "meter" | "metres" | "meters") => Some(1.0),
        Some("ft" | "foot" | "feet" | "international foot") => Some(foot),
        Some("us ft" | "ftus" | "foot us" | "us survey foot" | "us survey feet" | "survey foot") => Some(1200.0 / 3937.0),
        Some("dm" | "decimetre" | "decimeter") => Some(0.1),
        Some("cm" | "centimetre" | "centimeter" | "centimetres" | "centimeters") => Some(0.01),
        Some("mm" | "millimetre" | "millimeter") => Some(0.001),
        Some("km" | "kilometre" | "kilometer") => Some(1000.0),
        Some(other) => {
            return Err(MapError::source(path, format!("has elevations in '{other}', a unit that is not known here"), IN_METRES));
        }
    };
    let keyed = header.tags.vertical_unit_m().map_err(|what| MapError::source(path, what, IN_METRES))?;
    match (named, keyed) {
        // Both feet are alike to what elevations are good for.
        (Some(a), Some(b)) if (a / b - 1.0).abs() > 1e-4 => Err(MapError::source(
            path,
            format!(
                "contradicts itself: its elevations are in units of {a} m by their name and of {b} m by its vertical coordinate system"
            ),
            IN_METRES,
        )),
        (named, keyed) => Ok(named.or(keyed).unwrap_or(1.0)),
    }
}

/// Columns and rows around some bounds, with two posts to spare; `None` where they do not meet the raster.
fn window(georeference: &Georeference, size: (u32, u32), b: GeodeticBounds) -> Option<(u32, u32, u32, u32)> {
    let along = (0..=16).map(|i| f64::from(i) / 16.0);
    let (lat, lon) = (b.north_deg - b.south_deg, b.east_deg - b.west_deg);
    let edge: Vec<(f64, f64)> = along
        .flat_map(|t| {
            let (y, x) = (b.south_deg + t * lat, b.west_deg + t * lon);
            [(y, b.west_deg), (y, b.east_deg), (b.south_deg, x), (b.north_deg, x)]
        })
        .filter_map(|(lat, lon)| georeference.pixel(lat, lon))
        .collect();
    let range = |of: fn(&(f64, f64)) -> f64, size: u32| {
        let low = edge.iter().map(of).fold(f64::INFINITY, f64::min) - 2.0;
        let high = edge.iter().map(of).fold(f64::NEG_INFINITY, f64::max) + 2.0;
        let clamp = |v: f64| v.clamp(0.0, f64::from(size)) as u32;
        let (low, high) = (clamp(low.floor()), clamp(high.ceil()));
        (low < high).then_some((low, high))
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.0, size.0)?, range(|p| p.1, size.1)?);
    Some((x0, y0, x1, y1))
}

fn sample(samples: &DecodingResult, i: usize) -> Option<f64> {
    match samples {
        DecodingResult::U8(v) => v.get(i).copied().map(f64::from),
        DecodingResult::I8(v) => v.get(i).copied().map(f64::from),
        DecodingResult::U16(v) => v.get(i).copied().map(f64::from),
        DecodingResult::I16(v) => v.get(i).copied().map(f64::from),
        DecodingResult::U32(v) => v.get(i).copied().map(f64::from),
        DecodingResult::I32(v) => v.get(i).copied().map(f64::from),
        DecodingResult::F32(v) => v.get(i).copied().map(f64::from),
        DecodingResult::F64(v) => v.get(i).copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;
    use tiff::encoder::TiffEncoder;
    use tiff::encoder::colortype::{ColorType as Kind, Gray32Float, GrayI16};
    use tiff::tags::Tag;

    /// A model of 1/3600° posts from 8° E, 47° N (north-west corner of the first post) with the elevations of `posts`.
    fn file<K: Kind>(width: u32, height: u32, posts: &[K::Inner], nodata: &str) -> Vec<u8>
    where
        [K::Inner]: tiff::encoder::TiffValue,
    {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let mut image = encoder.new_image::<K>(width, height).unwrap();
        image.rows_per_strip(3).unwrap();
        let tags = image.encoder();
        tags.write_tag(Tag::ModelPixelScaleTag, &[1.0 / 3600.0, 1.0 / 3600.0, 0.0][..]).unwrap();
        tags.write_tag(Tag::ModelTiepointTag, &[0.0, 0.0, 0.0, 8.0, 47.0, 0.0][..]).unwrap();
        tags.write_tag(Tag::GeoKeyDirectoryTag, &[1u16, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326][..]).unwrap();
        tags.write_tag(Tag::GdalNodata, nodata).unwrap();
        image.write_data(posts).unwrap();
        bytes.into_inner()
    }

    fn open(bytes: Vec<u8>, within: Option<GeodeticBounds>) -> Result<Posts, MapError> {
        from_source(Path::new("a.tif"), Box::new(Cursor::new(bytes)), within)
    }

    #[test]
    fn elevations_in_feet_become_metres_and_units_that_are_not_known_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        std::fs::write(&path, file::<Gray32Float>(4, 3, &[100.0; 12], "")).unwrap();
        let first = |unit: &str| {
            let text = format!("<PAMDataset><PAMRasterBand band=\"1\"><UnitType>{unit}</UnitType></PAMRasterBand></PAMDataset>");
            std::fs::write(folder.path().join("a.tif.aux.xml"), text).unwrap();
            read(&path, None).map(|posts| posts.elevation_m[0]).map_err(|e| e.to_string())
        };
        assert_eq!([first("m"), first("metre"), first("")], [Ok(100.0), Ok(100.0), Ok(100.0)]);
        assert!(
            [first("ft"), first("Foot_US"), first("US survey foot")].iter().all(|z| (z.clone().unwrap() - 30.48).abs() < 0.01)
        );
        assert!(first("fathom").unwrap_err().contains("'fathom'"));
    }

    #[test]
    fn floats_and_signed_integers_are_read_and_voids_left_out() {
        let floats: Vec<f32> = (0..70).map(|i| if i == 9 { -32767.0 } else { i as f32 + 0.5 }).collect();
        let posts = open(file::<Gray32Float>(10, 7, &floats, "-32767"), None).unwrap();
        assert_eq!((posts.size, posts.elevation_m[0], posts.elevation_m[69]), ((10, 7), 0.5, 69.5));
        assert!(posts.elevation_m[9].is_nan());
        let integers: Vec<i16> = (0..70).map(|i| if i == 9 { -32768 } else { i - 35 }).collect();
        // A void without a tag that says so.
        let posts = open(file::<GrayI16>(10, 7, &integers, "0.5"), None).unwrap();
        assert_eq!((posts.elevation_m[0], posts.elevation_m[69]), (-35.0, 34.0));
        assert!(posts.elevation_m[9].is_nan());
    }

    #[test]
    fn only_the_part_within_the_bounds_is_kept() {
        let floats: Vec<f32> = (0..100 * 80).map(|i| i as f32 / 10.0).collect();
        let at = |column: f64, row: f64| (47.0 - row / 3600.0, 8.0 + column / 3600.0);
        let ((north_deg, west_deg), (south_deg, east_deg)) = (at(40.5, 30.5), at(43.5, 35.5));
        let within = Some(GeodeticBounds { west_deg, south_deg, east_deg, north_deg });
        let posts = open(file::<Gray32Float>(100, 80, &floats, "-1"), within).unwrap();
        assert_eq!((posts.origin, posts.size), ((38, 28), (8, 10)));
        assert_eq!(posts.elevation_m[0], (28 * 100 + 38) as f32 / 10.0);
        assert_eq!(posts.elevation_m[79], (37 * 100 + 45) as f32 / 10.0);
        let far = Some(GeodeticBounds { west_deg: 9.0, south_deg: 46.0, east_deg: 9.1, north_deg: 46.1 });
        assert!(open(file::<Gray32Float>(100, 80, &floats, "-1"), far).err().unwrap().to_string().contains("does not cover"));
    }

    #[test]
    fn imagery_is_no_elevation() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        encoder.write_image::<tiff::encoder::colortype::RGB8>(4, 4, &[0; 48]).unwrap();
        assert!(open(bytes.into_inner(), None).err().unwrap().to_string().contains("no elevation model"));
    }

    proptest! {
        #[test]
        fn flipped_bytes_are_survived(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = file::<Gray32Float>(10, 7, &[1.0; 70], "-1");
            for (at, value) in flips {
                let i = at.index(bytes.len());
                bytes[i] = value;
            }
            let _ = open(bytes, None);
        }
    }
}
