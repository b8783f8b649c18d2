//! GeoTIFF keys: from the raw tags to a placement.
//!
//! OGC 19-008r4 (GeoTIFF 1.1): key directory in section 7.1, raster type in 7.1.3, tie points and transformation in annex B.6.

use super::crs::{Crs, Placement};
use crate::map::{MapError, advice};
use std::path::Path;

const MODEL_TYPE: u16 = 1024;
const RASTER_TYPE: u16 = 1025;
const GEODETIC_CRS: u16 = 2048;
const PROJECTED_CRS: u16 = 3072;
const LINEAR_UNITS: u16 = 3076;
const LINEAR_UNIT_SIZE: u16 = 3077;
const PROJECTION_METHOD: u16 = 3075;
const ANGULAR_UNITS: u16 = 2054;
const DEGREES: u16 = 9102;
const DEGREES_OF_HEMISPHERE: u16 = 9122;
/// Where the numbers are that do not fit into the directory.
const DOUBLES: u16 = 34736;
const MODEL_PROJECTED: u16 = 1;
const MODEL_GEOGRAPHIC: u16 = 2;
const PIXEL_IS_POINT: u16 = 2;
const USER_DEFINED: u16 = 32767;

const VERTICAL_CRS: u16 = 4096;
const VERTICAL_UNITS: u16 = 4099;
/// EPSG's NAVD88 height (ftUS) and NAVD88 height (ft).
const NAVD88_US_FEET: u16 = 6360;
const NAVD88_FEET: u16 = 8228;
const FOOT: u16 = 9002;
const US_SURVEY_FOOT: u16 = 9003;

/// Metres of a unit of length by its EPSG code.
fn unit_m(code: u16) -> Option<f64> {
    match code {
        9001 => Some(1.0),
        FOOT => Some(0.3048),
        US_SURVEY_FOOT => Some(1200.0 / 3937.0),
        9036 => Some(1000.0),
        1033 => Some(0.01),
        1025 => Some(0.001),
        _ => None,
    }
}

/// The tags a placement is made of; empty where the file has none.
#[derive(Debug, Default)]
pub(crate) struct GeoTags {
    /// GeoKeyDirectoryTag (34735).
    pub directory: Vec<u16>,
    /// GeoDoubleParamsTag (34736).
    pub doubles: Vec<f64>,
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

    /// A key whose value is one of the numbers beside the directory.
    fn double(&self, key: u16) -> Option<f64> {
        let count = usize::from(*self.directory.get(3)?);
        let keys = self.directory.get(4..)?.chunks_exact(4).take(count);
        let at = keys.into_iter().find(|k| k[0] == key && k[1] == DOUBLES && k[2] >= 1).map(|k| k[3])?;
        self.doubles.get(usize::from(at)).copied().filter(|v| v.is_finite())
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
            Some(code) => Crs::from_epsg(u32::from(code)),
            None if self.directory.is_empty() => Err("has no GeoKeys that say which coordinate system it is in".into()),
            None => self.described().ok_or_else(|| "is in a coordinate system without an EPSG code that is known here".into()),
        }
    }

    /// A system that is described by its parameters instead of a code: those of the projection, over a geographic system with a code.
    fn described(&self) -> Option<Crs> {
        let base = self.short(GEODETIC_CRS).filter(|&c| c != 0 && c != USER_DEFINED)?;
        let datum = match Crs::from_epsg(u32::from(base)).ok()? {
            Crs::Geographic => "+datum=WGS84".to_owned(),
            Crs::Defined(definition) => definition.strip_prefix("+proj=longlat ")?.replace("+no_defs", ""),
            Crs::WebMercator => return None,
        };
        let first = |keys: &[u16]| keys.iter().find_map(|key| self.double(*key));
        let (x0, y0) = (first(&[3082, 3086, 3090]).unwrap_or(0.0), first(&[3083, 3087, 3091]).unwrap_or(0.0));
        let (lon0, lat0) = (first(&[3080, 3084, 3088]).unwrap_or(0.0), first(&[3081, 3085, 3089]).unwrap_or(0.0));
        let scale = first(&[3092, 3093]).unwrap_or(1.0);
        let parallels = || Some(format!("+lat_1={} +lat_2={}", self.double(3078)?, self.double(3079)?));
        let projection = match self.short(PROJECTION_METHOD)? {
            1 => format!("+proj=tmerc +k={scale}"),
            8 => format!("+proj=lcc {}", parallels()?),
            11 => format!("+proj=aea {}", parallels()?),
            _ => return None,
        };
        // Offsets are in the units of the coordinates; the definition's are metres.
        let unit_m = self.linear_unit_m().ok()?.unwrap_or(1.0);
        let (x0, y0) = (x0 * unit_m, y0 * unit_m);
        Crs::from_definition(&format!("{projection} +lat_0={lat0} +lon_0={lon0} +x_0={x0} +y_0={y0} {datum} +units=m +no_defs"))
    }

    /// Metres of the unit that the coordinates are said to be in; `None` where nothing is said.
    fn linear_unit_m(&self) -> Result<Option<f64>, String> {
        match self.short(LINEAR_UNITS) {
            None | Some(0) => Ok(None),
            Some(USER_DEFINED) if self.double(LINEAR_UNIT_SIZE).is_some_and(|m| m > 0.0) => Ok(self.double(LINEAR_UNIT_SIZE)),
            Some(code) => match unit_m(code) {
                Some(unit_m) => Ok(Some(unit_m)),
                None => Err(format!("has coordinates in the unit EPSG:{code}, which is not known here")),
            },
        }
    }

    /// Metres of the unit that heights are said to be in; `None` where nothing is said.
    pub fn vertical_unit_m(&self) -> Result<Option<f64>, String> {
        match (self.short(VERTICAL_UNITS), self.short(VERTICAL_CRS)) {
            (None | Some(0 | USER_DEFINED), Some(NAVD88_US_FEET)) => Ok(unit_m(US_SURVEY_FOOT)),
            (None | Some(0 | USER_DEFINED), Some(NAVD88_FEET)) => Ok(unit_m(FOOT)),
            (None | Some(0 | USER_DEFINED), _) => Ok(None),
            (Some(code), _) => match unit_m(code) {
                Some(unit_m) => Ok(Some(unit_m)),
                None => Err(format!("has heights in the unit EPSG:{code}, which is not known here")),
            },
        }
    }

    /// The placement of a file with these tags; `None` when they have none.
    pub fn placement_of(&self, path: &Path) -> Result<Option<Placement>, MapError> {
        if self.is_empty() {
            return Ok(None);
        }
        self.placement().map(Some).map_err(|what| {
            let hint = if self.directory.is_empty() {
                // Nobody else knows it either.
                let told = advice::convert("gdal_translate -a_srs EPSG:32651", path, "placed");
                format!("where it is UTM zone 51 N, say so ({told}), and else with the code of its own system")
            } else {
                advice::convert("gdalwarp -t_srs EPSG:4326", path, "wgs84")
            };
            MapError::source(path, what, hint)
        })
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
        // A code brings its own unit; what the file says of its coordinates is heeded, as GDAL does.
        if let (Some(unit_m), Some(own_m)) = (self.linear_unit_m()?, crs.unit_m())
            && (unit_m / own_m - 1.0).abs() > 1e-9
        {
            affine = affine.map(|v| v * unit_m / own_m);
        }
        if crs.unit_m().is_none() && !matches!(self.short(ANGULAR_UNITS), None | Some(0 | DEGREES | DEGREES_OF_HEMISPHERE)) {
            return Err("has angles that are no degrees".into());
        }
        Ok(Placement { crs, affine })
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
        assert_eq!(p, Placement { crs: Crs::from_epsg(32651).unwrap(), affine: [2.0, 0.0, 980.0, 0.0, -3.0, 5060.0] });
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
        assert!(tags(&[[1024, 0, 1, 1], [3072, 0, 1, 26710]]).placement().unwrap_err().contains("EPSG:26710"));
    }

    #[test]
    fn the_unit_of_the_coordinates_is_heeded() {
        let keys = [[1024, 0, 1, 1], [3072, 0, 1, 32632], [3076, 0, 1, 9003]];
        let feet = tags(&keys).placement().unwrap();
        let metres = tags(&keys[..2]).placement().unwrap();
        assert!(feet.affine.iter().zip(metres.affine).all(|(f, m)| (f - m * 1200.0 / 3937.0).abs() < 1e-9), "{feet:?}");
        // A system that is in feet itself.
        let own = tags(&[[1024, 0, 1, 1], [3072, 0, 1, 2263], [3076, 0, 1, 9003]]).placement().unwrap();
        assert_eq!(own.affine, metres.affine);
        assert!(tags(&[[1024, 0, 1, 1], [3072, 0, 1, 32632], [3076, 0, 1, 9037]]).placement().unwrap_err().contains("9037"));
    }

    #[test]
    fn parameters_serve_where_the_code_is_missing_and_words_never() {
        let described = [
            [1024, 0, 1, 1],
            [2048, 0, 1, 4326],
            [3072, 0, 1, 32767],
            [3075, 0, 1, 1],
            [3080, 34736, 1, 0],
            [3081, 34736, 1, 1],
            [3082, 34736, 1, 2],
            [3083, 34736, 1, 3],
            [3092, 34736, 1, 4],
        ];
        let mut t = tags(&described);
        t.doubles = vec![27.0, 0.0, 500_000.0, 10_000_000.0, 0.9996];
        let utm = Crs::from_epsg(32735).unwrap();
        assert!(t.placement().unwrap().crs.apart_m(&utm).unwrap() < 0.01);
        t.doubles.clear();
        t.directory.truncate(4 + 3 * 4);
        assert!(t.placement().is_err());
    }

    proptest! {
        #[test]
        fn any_tags_are_survived(
            directory in proptest::collection::vec(any::<u16>(), 0..40),
            doubles in proptest::collection::vec(any::<f64>(), 0..8),
            pixel_scale in proptest::collection::vec(any::<f64>(), 0..4),
            tie_points in proptest::collection::vec(any::<f64>(), 0..13),
            transformation in proptest::collection::vec(any::<f64>(), 0..17),
        ) {
            let _ = GeoTags { directory, doubles, pixel_scale, tie_points, transformation }.placement();
        }
    }
}
