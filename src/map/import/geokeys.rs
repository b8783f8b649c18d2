//! GeoTIFF keys: from the raw tags to a placement.
//!
//! OGC 19-008r4 (GeoTIFF 1.1): key directory in section 7.1, raster type in 7.1.3, tie points and transformation in annex B.6.

use super::crs::{Crs, Placement};
use crate::map::MapError;
use std::path::Path;

const MODEL_TYPE: u16 = 1024;
const RASTER_TYPE: u16 = 1025;
const GEODETIC_CRS: u16 = 2048;
const PROJECTED_CRS: u16 = 3072;
const MODEL_PROJECTED: u16 = 1;
const MODEL_GEOGRAPHIC: u16 = 2;
const PIXEL_IS_POINT: u16 = 2;
const USER_DEFINED: u16 = 32767;

/// The tags a placement is made of; empty where the file has none.
#[derive(Debug, Default)]
pub(crate) struct GeoTags {
    /// GeoKeyDirectoryTag (34735).
    pub directory: Vec<u16>,
    /// GeoAsciiParamsTag (34737).
    pub ascii: String,
    /// ModelPixelScaleTag (33550).
    pub pixel_scale: Vec<f64>,
    /// ModelTiepointTag (33922).
    pub tie_points: Vec<f64>,
    /// ModelTransformationTag (34264).
    pub transformation: Vec<f64>,
}

impl GeoTags {
    /// Whether the file has any georeference of its own.
    pub fn is_empty(&self) -> bool {
        self.tie_points.is_empty() && self.transformation.is_empty()
    }

    /// A key whose value is a number in the directory itself.
    fn short(&self, key: u16) -> Option<u16> {
        let count = usize::from(*self.directory.get(3)?);
        self.directory.get(4..)?.chunks_exact(4).take(count).find(|k| k[0] == key && k[1] == 0 && k[2] == 1).map(|k| k[3])
    }

    fn crs(&self) -> Result<Crs, String> {
        let code = |key| self.short(key).filter(|&c| c != 0 && c != USER_DEFINED);
        let code = match self.short(MODEL_TYPE) {
            Some(MODEL_PROJECTED) => code(PROJECTED_CRS),
            Some(MODEL_GEOGRAPHIC) => code(GEODETIC_CRS),
            Some(other) => return Err(format!("has the model type {other}, which is neither projected nor geographic")),
            None => code(PROJECTED_CRS).or(code(GEODETIC_CRS)),
        };
        match code {
            Some(code) => Crs::from_epsg(u32::from(code)).ok_or_else(|| format!("is in EPSG:{code}, which is not known here")),
            // Some writers leave the code out and describe the system in words.
            None if self.directory.is_empty() => Err("has no GeoKeys that say which coordinate system it is in".into()),
            None => words(&self.ascii).ok_or_else(|| "is in a coordinate system without EPSG code".into()),
        }
    }

    /// The placement of a file with these tags; `None` when they have none.
    pub fn placement_of(&self, path: &Path) -> Result<Option<Placement>, MapError> {
        if self.is_empty() {
            return Ok(None);
        }
        self.placement().map(Some).map_err(|what| MapError::source(path, what, Crs::SUPPORTED))
    }

    /// The placement, or what is wrong with the tags.
    pub fn placement(&self) -> Result<Placement, String> {
        let crs = self.crs()?;
        let mut affine = if let [a, b, _, x0, d, e, _, y0, ..] = self.transformation[..] {
            [a, b, x0, d, e, y0]
        } else if let ([sx, sy, ..], [i, j, _, x, y, _]) = (&self.pixel_scale[..], &self.tie_points[..]) {
            [*sx, 0.0, x - i * sx, 0.0, -sy, y + j * sy]
        } else if let ([sx, sy, ..], [i, j, _, x, y, _, ..]) = (&self.pixel_scale[..], &self.tie_points[..]) {
            // Several tie points with a scale: the first one decides, as in GDAL.
            [*sx, 0.0, x - i * sx, 0.0, -sy, y + j * sy]
        } else {
            return Err("has tie points but no pixel size".into());
        };
        if self.short(RASTER_TYPE) == Some(PIXEL_IS_POINT) {
            // Raster coordinate (0, 0) is then the centre of the first pixel.
            let [a, b, x0, d, e, y0] = affine;
            affine = [a, b, x0 - (a + b) / 2.0, d, e, y0 - (d + e) / 2.0];
        }
        Ok(Placement { crs, affine })
    }
}

/// A citation such as `WGS 84 / UTM zone 51N`.
fn words(citation: &str) -> Option<Crs> {
    let plain: String = citation.to_uppercase().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    if !plain.contains("WGS84") {
        return None;
    }
    if plain.contains("PSEUDOMERCATOR") {
        return Some(Crs::WebMercator);
    }
    match plain.split_once("UTMZONE") {
        Some((_, zone)) => {
            let digits: String = zone.chars().take_while(char::is_ascii_digit).collect();
            let south = zone[digits.len()..].starts_with('S');
            Crs::from_epsg(digits.parse::<u32>().ok().filter(|z| (1..=60).contains(z))? + if south { 32700 } else { 32600 })
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(keys: &[[u16; 4]]) -> GeoTags {
        let mut directory = vec![1, 1, 0, keys.len() as u16];
        directory.extend(keys.iter().flatten());
        GeoTags {
            directory,
            pixel_scale: vec![2.0, 3.0, 0.0],
            tie_points: vec![10.0, 20.0, 0.0, 1000.0, 5000.0, 0.0],
            ..GeoTags::default()
        }
    }

    #[test]
    fn a_tie_point_away_from_the_corner_is_carried_back_to_it() {
        let p = tags(&[[1024, 0, 1, 1], [1025, 0, 1, 1], [3072, 0, 1, 32651]]).placement().unwrap();
        assert_eq!(p, Placement { crs: Crs::Utm { zone: 51, south: false }, affine: [2.0, 0.0, 980.0, 0.0, -3.0, 5060.0] });
    }

    #[test]
    fn a_raster_of_points_starts_half_a_pixel_earlier() {
        let p = tags(&[[1024, 0, 1, 2], [1025, 0, 1, 2], [2048, 0, 1, 4326]]).placement().unwrap();
        assert_eq!(p.affine, [2.0, 0.0, 979.0, 0.0, -3.0, 5061.5]);
    }

    #[test]
    fn a_transformation_matrix_wins_over_tie_points() {
        let mut t = tags(&[[1024, 0, 1, 1], [3072, 0, 1, 3857]]);
        t.transformation = vec![1.0, 0.1, 0.0, 7.0, 0.2, -1.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(t.placement().unwrap().affine, [1.0, 0.1, 7.0, 0.2, -1.0, 8.0]);
    }

    #[test]
    fn an_unknown_system_is_named() {
        assert!(tags(&[[1024, 0, 1, 1], [3072, 0, 1, 27700]]).placement().unwrap_err().contains("EPSG:27700"));
    }

    #[test]
    fn a_citation_helps_where_the_code_is_missing() {
        let mut t = tags(&[[1024, 0, 1, 1], [3072, 0, 1, 32767]]);
        t.ascii = "WGS 84 / UTM zone 35S|WGS 84|".into();
        assert_eq!(t.placement().unwrap().crs, Crs::Utm { zone: 35, south: true });
    }

    proptest! {
        #[test]
        fn any_tags_are_survived(
            directory in proptest::collection::vec(any::<u16>(), 0..40),
            ascii in "\\PC{0,40}",
            pixel_scale in proptest::collection::vec(any::<f64>(), 0..4),
            tie_points in proptest::collection::vec(any::<f64>(), 0..13),
            transformation in proptest::collection::vec(any::<f64>(), 0..17),
        ) {
            let _ = GeoTags { directory, ascii, pixel_scale, tie_points, transformation }.placement();
        }
    }
}
