//! Coordinate reference systems of imagery, and where a raster's pixels lie in them.

use crate::geo::GeodeticBounds;
use crate::geo::mercator::{CIRCUMFERENCE_M, MAX_LAT_DEG};
use crate::geo::wgs84::SEMI_MAJOR_M;
use crate::map::import::definition;
use proj4rs::Proj;
use std::f64::consts::PI;
use std::sync::Arc;

/// What is said of a system whose datum lies somewhere.
pub(crate) const UNPLACED: &str = "on a datum of which it is not known here how it lies to WGS 84";

/// A coordinate reference system that imagery comes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Crs {
    /// EPSG:4326: x is the longitude, y the latitude, degrees.
    Geographic,
    /// EPSG:3857.
    WebMercator,
    /// Any other, by its definition for PROJ.
    Defined(Arc<str>),
}

impl Crs {
    /// The system of an EPSG code.
    ///
    /// # Errors
    /// Why none of that code is known here.
    pub fn from_epsg(code: u32) -> Result<Self, String> {
        match code {
            // CGCS2000 (4490) departs from WGS84 by centimetres.
            4326 | 4979 | 4490 => return Ok(Self::Geographic),
            3857 | 900_913 | 3785 => return Ok(Self::WebMercator),
            _ => {}
        }
        let system = definition::of_code(code).and_then(|definition| Self::from_definition(&definition));
        let system = system.ok_or_else(|| format!("is in EPSG:{code}, which is not known here"))?;
        if system.is_placed() { Ok(system) } else { Err(format!("is in EPSG:{code}, {UNPLACED}")) }
    }

    /// The system of a definition for PROJ; `None` where the projection is not known here, or its datum needs a grid.
    pub fn from_definition(definition: &str) -> Option<Self> {
        let proj = Proj::from_proj_string(&definition::for_library(definition)?.0).ok()?;
        (!proj.is_geocent()).then(|| Self::Defined(definition.into()))
    }

    /// Metres of a unit of its coordinates; `None` for degrees.
    pub fn unit_m(&self) -> Option<f64> {
        match self {
            Self::Geographic => None,
            Self::WebMercator => Some(1.0),
            Self::Defined(definition) => {
                let proj = Proj::from_proj_string(&definition::for_library(definition)?.0).ok()?;
                (!proj.is_latlong()).then(|| proj.to_meter())
            }
        }
    }

    /// The value of a parameter of the definition.
    fn parameter(&self, name: &str) -> Option<&str> {
        let Self::Defined(text) = self else { return None };
        definition::parameter(text, name)
    }

    /// How well it is known how its datum lies to WGS 84, metres (infinite: nobody says); `None` where it is the same, or nothing is told of that.
    pub fn datum_accuracy_m(&self) -> Option<f64> {
        let Self::Defined(text) = self else { return None };
        definition::accuracy_m(text)
    }

    /// Whether it is told how its datum lies to WGS 84.
    fn is_placed(&self) -> bool {
        self.is_on_known_datum() || self.parameter("towgs84").is_some() || self.parameter("datum").is_some()
    }

    /// Whether its datum is WGS 84, or one on the same ellipsoid to a metre or two (NAD83, ETRS89, GDA and their like).
    pub fn is_on_known_datum(&self) -> bool {
        let number = |name: &str| self.parameter(name)?.parse::<f64>().ok();
        let geocentric = match (number("a"), number("rf")) {
            (Some(a), Some(rf)) => (a - SEMI_MAJOR_M).abs() < 0.5 && (rf - 298.2572).abs() < 1e-3,
            (Some(a), None) => a == SEMI_MAJOR_M,
            _ => self.parameter("ellps").is_none_or(|e| matches!(e, "GRS80" | "WGS84")),
        };
        geocentric && self.parameter("datum").is_none_or(|d| matches!(d, "WGS84" | "NAD83"))
    }

    /// How far apart two systems put one point, metres; `None` where one of them has no such point.
    pub fn apart_m(&self, other: &Self) -> Option<f64> {
        let (a, b) = (Projection::of(self)?, Projection::of(other)?);
        let number = |name: &str| self.parameter(name).and_then(|v| v.parse::<f64>().ok());
        let zone = number("zone").map(|zone| zone * 6.0 - 183.0);
        let lon = zone.or(number("lon_0")).unwrap_or(0.0);
        let lat = number("lat_0").filter(|lat| *lat != 0.0).unwrap_or(if self.definition_is_south() { -30.0 } else { 30.0 });
        let (x, y) = a.xy(lat, lon + 0.5)?;
        let (lat_b, lon_b) = b.lat_lon(x, y)?;
        let plane = crate::geo::EnuPlane::at(crate::geo::Geodetic::ground(lat, lon + 0.5));
        let off = plane.ground_from_lat_lon(lat_b, lon_b);
        Some(off.e_m.hypot(off.n_m))
    }

    fn definition_is_south(&self) -> bool {
        matches!(self, Self::Defined(definition) if definition.split_whitespace().any(|word| word == "+south"))
    }
}

/// A system ready to convert coordinates.
pub(crate) enum Projection {
    /// See [`Crs::Geographic`].
    Geographic,
    /// See [`Crs::WebMercator`].
    WebMercator,
    /// See [`Crs::Defined`].
    Defined(Box<Conversion>),
}

/// What converts to and from a defined system.
pub(crate) struct Conversion {
    system: Proj,
    wgs84: Proj,
    /// Where a geographic system counts longitudes from, degrees east of Greenwich.
    prime_meridian_deg: f64,
}

impl Projection {
    /// The conversion of a system; `None` if the projection library refuses it.
    pub fn of(crs: &Crs) -> Option<Self> {
        Some(match crs {
            Crs::Geographic => Self::Geographic,
            Crs::WebMercator => Self::WebMercator,
            Crs::Defined(definition) => {
                let wgs84 = Proj::from_proj_string("+proj=longlat +datum=WGS84 +no_defs").ok()?;
                let (definition, prime_meridian_deg) = definition::for_library(definition)?;
                let system = Proj::from_proj_string(&definition).ok()?;
                Self::Defined(Box::new(Conversion { system, wgs84, prime_meridian_deg }))
            }
        })
    }

    /// Latitude and longitude, degrees.
    pub fn lat_lon(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (lat, lon) = match self {
            Self::Geographic => (y, x),
            Self::WebMercator => ((y / SEMI_MAJOR_M).sinh().atan().to_degrees(), x / CIRCUMFERENCE_M * 360.0),
            Self::Defined(conversion) => {
                let Conversion { system, wgs84, prime_meridian_deg } = &**conversion;
                let degrees = || ((x + prime_meridian_deg).to_radians(), y.to_radians(), 0.0);
                let mut p = if system.is_latlong() { degrees() } else { (x, y, 0.0) };
                proj4rs::transform::transform(system, wgs84, &mut p).ok()?;
                (p.1.to_degrees(), p.0.to_degrees())
            }
        };
        (lat.abs() <= 90.0 && lon.abs() <= 360.0).then_some((lat, lon))
    }

    /// The inverse of [`Projection::lat_lon`].
    pub fn xy(&self, lat_deg: f64, lon_deg: f64) -> Option<(f64, f64)> {
        match self {
            Self::Geographic => Some((lon_deg, lat_deg)),
            Self::WebMercator => {
                let lat = lat_deg.clamp(-MAX_LAT_DEG, MAX_LAT_DEG).to_radians();
                Some((lon_deg / 360.0 * CIRCUMFERENCE_M, SEMI_MAJOR_M * lat.tan().asinh()))
            }
            Self::Defined(conversion) => {
                let Conversion { system, wgs84, prime_meridian_deg } = &**conversion;
                let mut p = (lon_deg.to_radians(), lat_deg.to_radians(), 0.0);
                proj4rs::transform::transform(wgs84, system, &mut p).ok()?;
                let degrees = || (p.0.to_degrees() - prime_meridian_deg, p.1.to_degrees());
                let (x, y) = if system.is_latlong() { degrees() } else { (p.0, p.1) };
                (x.is_finite() && y.is_finite()).then_some((x, y))
            }
        }
    }
}

/// Where a raster lies: the affine map from continuous pixel coordinates (the north-west corner of the first pixel is `(0, 0)`,
/// its centre `(0.5, 0.5)`) to the system: `x = a·c + b·r + x0`, `y = d·c + e·r + y0`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placement {
    /// The system.
    pub crs: Crs,
    /// `[a, b, x0, d, e, y0]`.
    pub affine: [f64; 6],
}

/// A placement ready to convert.
pub(crate) struct Georeference {
    projection: Projection,
    affine: [f64; 6],
    inverse: [f64; 6],
}

impl Georeference {
    /// `None` for a singular or non-finite affine map.
    pub fn new(placement: &Placement) -> Option<Self> {
        let mut affine = placement.affine;
        if placement.crs.unit_m().is_none() && affine[2] >= 180.0 {
            // Longitudes from 0° to 360°.
            affine[2] -= 360.0;
        }
        let [a, b, x0, d, e, y0] = affine;
        let determinant = a * e - b * d;
        if !placement.affine.iter().all(|v| v.is_finite()) || determinant.abs() < 1e-30 {
            return None;
        }
        let (ia, ib, id, ie) = (e / determinant, -b / determinant, -d / determinant, a / determinant);
        let inverse = [ia, ib, -(ia * x0 + ib * y0), id, ie, -(id * x0 + ie * y0)];
        Some(Self { projection: Projection::of(&placement.crs)?, affine, inverse })
    }

    /// Latitude and longitude, degrees, of continuous pixel coordinates.
    pub fn lat_lon(&self, column: f64, row: f64) -> Option<(f64, f64)> {
        let [a, b, x0, d, e, y0] = self.affine;
        self.projection.lat_lon(a * column + b * row + x0, d * column + e * row + y0)
    }

    /// Continuous pixel coordinates of a latitude and longitude, degrees.
    pub fn pixel(&self, lat_deg: f64, lon_deg: f64) -> Option<(f64, f64)> {
        let (x, y) = self.projection.xy(lat_deg, lon_deg)?;
        let [a, b, x0, d, e, y0] = self.inverse;
        Some((a * x + b * y + x0, d * x + e * y + y0))
    }

    /// The rectangle around a raster and its corners; `None` where it leaves the earth.
    pub fn outline(&self, width: u32, height: u32) -> Option<(GeodeticBounds, [(f64, f64); 4])> {
        let (w, h) = (f64::from(width), f64::from(height));
        // Edges are curves in latitude and longitude for projected systems, so points along them count too.
        let along = (0..=16).map(|i| f64::from(i) / 16.0);
        let edge: Option<Vec<_>> =
            along.flat_map(|t| [(t * w, 0.0), (t * w, h), (0.0, t * h), (w, t * h)]).map(|(c, r)| self.lat_lon(c, r)).collect();
        let corner = |c, r| self.lat_lon(c, r);
        Some((GeodeticBounds::around(edge?)?, [corner(0.0, 0.0)?, corner(w, 0.0)?, corner(w, h)?, corner(0.0, h)?]))
    }

    /// Ground size of the raster's middle pixel, metres: the geometric mean of both directions, and how many times longer one is than the other.
    pub fn pixel_on_ground(&self, width: u32, height: u32) -> Option<(f64, f64)> {
        let (c, r) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        let (lat, lon) = self.lat_lon(c, r)?;
        let plane = crate::geo::EnuPlane::at(crate::geo::Geodetic::ground(lat, lon));
        // A hundred pixels, because one of a few centimetres is near the rounding of degrees.
        let step = |dc: f64, dr: f64| {
            let (lat, lon) = self.lat_lon(c + dc, r + dr)?;
            let p = plane.ground_from_lat_lon(lat, lon);
            Some((p.e_m / 100.0, p.n_m / 100.0))
        };
        let (u, v) = (step(100.0, 0.0)?, step(0.0, 100.0)?);
        let area = (u.0 * v.1 - u.1 * v.0).abs();
        let (across_m, down_m) = (u.0.hypot(u.1), v.0.hypot(v.1));
        (area > 0.0 && area.is_finite()).then(|| (area.sqrt(), across_m.max(down_m) / across_m.min(down_m)))
    }
}

/// Web Mercator coordinates as a fraction of the world (0 = 180° west, north edge), as the tile grid counts them.
pub(crate) fn world_fraction(lat_deg: f64, lon_deg: f64) -> (f64, f64) {
    let lat = lat_deg.clamp(-MAX_LAT_DEG, MAX_LAT_DEG).to_radians();
    ((lon_deg + 180.0) / 360.0, (1.0 - lat.tan().asinh() / PI) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn utm_of_a_known_point() {
        // From `gdaltransform -s_srs EPSG:4326 -t_srs EPSG:32651`: 121.0 24.0 → 296582.09 2655569.31 checked to the metre by the
        // meridian arc; the central meridian itself is exact: easting 500000.
        let p = Projection::of(&Crs::from_epsg(32651).unwrap()).unwrap();
        let (x, y) = p.xy(0.0, 123.0).unwrap();
        assert!((x - 500_000.0).abs() < 1e-3 && y.abs() < 1e-3);
        let (_, y) = p.xy(45.0, 123.0).unwrap();
        // Meridian arc to 45° on WGS84 is 4,984,944.378 m, times 0.9996.
        assert!((y - 4_984_944.378 * 0.9996).abs() < 1e-2, "{y}");
        let (_, y) = Projection::of(&Crs::from_epsg(32751).unwrap()).unwrap().xy(-45.0, 123.0).unwrap();
        assert!((y - (10_000_000.0 - 4_984_944.378 * 0.9996)).abs() < 1e-2, "{y}");
    }

    #[test]
    fn national_systems_lie_where_they_are_defined_to() {
        // Origins of the projections; of two on another datum a published point: Bern's old observatory (swisstopo) and the water tower of Caister
        // (Ordnance Survey, "A guide to coordinate systems in Great Britain"), which seven parameters tell to some metres.
        for (code, x, y, lat, lon, within_deg) in [
            (25832, 500_000.0, 0.0, 0.0, 9.0, 1e-7),
            (2154, 700_000.0, 6_600_000.0, 46.5, 3.0, 1e-7),
            (3035, 4_321_000.0, 3_210_000.0, 52.0, 10.0, 1e-7),
            (28355, 500_000.0, 10_000_000.0, 0.0, 147.0, 1e-7),
            (3826, 250_000.0, 0.0, 0.0, 121.0, 1e-7),
            (26910, 500_000.0, 0.0, 0.0, -123.0, 1e-7),
            (4258, 10.9, 47.8, 47.8, 10.9, 1e-7),
            (4269, -120.0, 37.0, 37.0, -120.0, 1e-7),
            (2056, 2_600_000.0, 1_200_000.0, 46.951_08, 7.438_63, 1e-4),
            (27700, 651_409.903, 313_177.270, 52.657_98, 1.716_07, 1e-4),
        ] {
            let crs = Crs::from_epsg(code).unwrap();
            let (found_lat, found_lon) = Projection::of(&crs).unwrap().lat_lon(x, y).unwrap();
            let off = (found_lat - lat).abs().max((found_lon - lon).abs());
            assert!(off < within_deg, "EPSG:{code}: {found_lat} {found_lon}");
        }
    }

    #[test]
    fn points_lie_where_proj_has_them() {
        // `scripts/datum_shifts.py --points`: some of the systems people have, some by lot.
        let rows = include_str!("proj_points.csv").lines().skip(1);
        let mut count = 0;
        for row in rows {
            let numbers: Vec<f64> = row.split(',').map(|v| v.parse().unwrap()).collect();
            let [code, x, y, lat, lon] = numbers[..] else { panic!("{row}") };
            let crs = Crs::from_epsg(code as u32).unwrap();
            let projection = Projection::of(&crs).unwrap();
            let (found_lat, found_lon) = projection.lat_lon(x, y).unwrap();
            let plane = crate::geo::EnuPlane::at(crate::geo::Geodetic::ground(lat, lon));
            let off = plane.ground_from_lat_lon(found_lat, found_lon);
            assert!(off.e_m.hypot(off.n_m) < 0.1, "EPSG:{code}: {found_lat} {found_lon} for {lat} {lon}");
            let (back_x, back_y) = projection.xy(lat, lon).unwrap();
            let unit_m = crs.unit_m().unwrap_or(111_000.0);
            assert!((back_x - x).hypot(back_y - y) * unit_m < 0.1, "EPSG:{code}: {back_x} {back_y} for {x} {y}");
            count += 1;
        }
        assert!(count > 100);
    }

    #[test]
    fn what_would_be_elsewhere_is_refused_and_what_is_known_roughly_is_told() {
        // A grid is needed; no such code; grads; a datum of which nobody says how it lies to WGS 84.
        let reason = |code| Crs::from_epsg(code).unwrap_err();
        assert!(reason(26710).contains("EPSG:26710") && reason(99_999).contains("not known"));
        assert!(reason(4807).contains("not known"));
        assert!(reason(2008).contains("datum"), "{}", reason(2008));
        let accuracy = |code| Crs::from_epsg(code).unwrap().datum_accuracy_m();
        assert_eq!((accuracy(4326), accuracy(25832), accuracy(32632)), (None, None, None));
        assert_eq!((accuracy(4222), accuracy(2056)), (Some(9.0), Some(1.5)));
        assert_eq!(
            Crs::from_definition("+proj=longlat +ellps=intl +towgs84=1,2,3").unwrap().datum_accuracy_m(),
            Some(f64::INFINITY)
        );
    }

    #[test]
    fn units_and_datums_are_told() {
        let of = |code| Crs::from_epsg(code).unwrap();
        assert_eq!((of(4258).unit_m(), of(32632).unit_m()), (None, Some(1.0)));
        assert!((of(2263).unit_m().unwrap() - 0.304_800_6).abs() < 1e-7);
        assert!(of(25832).is_on_known_datum() && of(26910).is_on_known_datum() && of(32632).is_on_known_datum());
        assert!(!of(27700).is_on_known_datum() && !of(2056).is_on_known_datum() && !of(23032).is_on_known_datum());
        assert!(of(25832).apart_m(&of(32632)).unwrap() < 2.0 && of(25832).apart_m(&of(25833)).unwrap() > 1e5);
    }

    proptest! {
        #[test]
        fn every_system_goes_there_and_back(lat in -70.0..70.0f64, d in -2.5..2.5f64, zone in 1u8..=60) {
            let lon = f64::from(zone) * 6.0 - 183.0 + d;
            let utm = Crs::from_epsg(if lat < 0.0 { 32700 } else { 32600 } + u32::from(zone)).unwrap();
            for crs in [Crs::Geographic, Crs::WebMercator, utm] {
                let p = Projection::of(&crs).unwrap();
                let (x, y) = p.xy(lat, lon).unwrap();
                let (la, lo) = p.lat_lon(x, y).unwrap();
                prop_assert!((la - lat).abs() < 1e-8 && (lo - lon).abs() < 1e-8, "{crs:?} {lat} {lon} {la} {lo}");
            }
        }
    }
}
