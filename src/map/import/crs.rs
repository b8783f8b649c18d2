//! Coordinate reference systems of imagery, and where a raster's pixels lie in them.

use crate::geo::GeodeticBounds;
use crate::geo::mercator::{CIRCUMFERENCE_M, MAX_LAT_DEG};
use crate::geo::wgs84::SEMI_MAJOR_M;
use proj4rs::Proj;
use std::f64::consts::PI;

/// A coordinate reference system that imagery comes in; all on WGS84.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Crs {
    /// EPSG:4326: x is the longitude, y the latitude, degrees.
    Geographic,
    /// EPSG:3857.
    WebMercator,
    /// EPSG:326xx and 327xx.
    Utm {
        /// 1..=60.
        zone: u8,
        /// Southern hemisphere: false northing of 10,000 km.
        south: bool,
    },
}

impl Crs {
    /// The system of an EPSG code, where it is one that is known here.
    pub fn from_epsg(code: u32) -> Option<Self> {
        match code {
            // CGCS2000 (4490) departs from WGS84 by centimetres.
            4326 | 4979 | 4490 => Some(Self::Geographic),
            3857 | 900_913 | 3785 => Some(Self::WebMercator),
            32601..=32660 => Some(Self::Utm { zone: (code - 32600) as u8, south: false }),
            32701..=32760 => Some(Self::Utm { zone: (code - 32700) as u8, south: true }),
            _ => None,
        }
    }

    /// What an error says is supported.
    pub const SUPPORTED: &'static str =
        "convert it with `gdalwarp -t_srs EPSG:4326` (known are EPSG:4326, 3857 and UTM on WGS84, 326xx and 327xx)";

    fn utm(zone: u8, south: bool) -> Option<Proj> {
        let south = if south { " +south" } else { "" };
        Proj::from_proj_string(&format!("+proj=utm +zone={zone} +datum=WGS84 +units=m{south} +no_defs")).ok()
    }
}

/// A system ready to convert coordinates.
pub(crate) enum Projection {
    /// See [`Crs::Geographic`].
    Geographic,
    /// See [`Crs::WebMercator`].
    WebMercator,
    /// See [`Crs::Utm`]: the projected and the geographic system.
    Utm(Box<(Proj, Proj)>),
}

impl Projection {
    /// The conversion of a system; `None` if the projection library refuses it.
    pub fn of(crs: Crs) -> Option<Self> {
        Some(match crs {
            Crs::Geographic => Self::Geographic,
            Crs::WebMercator => Self::WebMercator,
            Crs::Utm { zone, south } => {
                Self::Utm(Box::new((Crs::utm(zone, south)?, Proj::from_proj_string("+proj=longlat +datum=WGS84 +no_defs").ok()?)))
            }
        })
    }

    /// Latitude and longitude, degrees.
    pub fn lat_lon(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (lat, lon) = match self {
            Self::Geographic => (y, x),
            Self::WebMercator => ((y / SEMI_MAJOR_M).sinh().atan().to_degrees(), x / CIRCUMFERENCE_M * 360.0),
            Self::Utm(pair) => {
                let mut p = (x, y, 0.0);
                proj4rs::transform::transform(&pair.0, &pair.1, &mut p).ok()?;
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
            Self::Utm(pair) => {
                let mut p = (lon_deg.to_radians(), lat_deg.to_radians(), 0.0);
                proj4rs::transform::transform(&pair.1, &pair.0, &mut p).ok()?;
                (p.0.is_finite() && p.1.is_finite()).then_some((p.0, p.1))
            }
        }
    }
}

/// Where a raster lies: the affine map from continuous pixel coordinates (the north-west corner of the first pixel is `(0, 0)`,
/// its centre `(0.5, 0.5)`) to the system: `x = a·c + b·r + x0`, `y = d·c + e·r + y0`.
#[derive(Clone, Copy, Debug, PartialEq)]
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
        let [a, b, x0, d, e, y0] = placement.affine;
        let determinant = a * e - b * d;
        if !placement.affine.iter().all(|v| v.is_finite()) || determinant.abs() < 1e-30 {
            return None;
        }
        let (ia, ib, id, ie) = (e / determinant, -b / determinant, -d / determinant, a / determinant);
        let inverse = [ia, ib, -(ia * x0 + ib * y0), id, ie, -(id * x0 + ie * y0)];
        Some(Self { projection: Projection::of(placement.crs)?, affine: placement.affine, inverse })
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

    /// Ground size of the raster's middle pixel, metres: the geometric mean of both directions.
    pub fn ground_sampling_distance_m(&self, width: u32, height: u32) -> Option<f64> {
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
        (area > 0.0 && area.is_finite()).then(|| area.sqrt())
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
        let p = Projection::of(Crs::Utm { zone: 51, south: false }).unwrap();
        let (x, y) = p.xy(0.0, 123.0).unwrap();
        assert!((x - 500_000.0).abs() < 1e-3 && y.abs() < 1e-3);
        let (_, y) = p.xy(45.0, 123.0).unwrap();
        // Meridian arc to 45° on WGS84 is 4,984,944.378 m, times 0.9996.
        assert!((y - 4_984_944.378 * 0.9996).abs() < 1e-2, "{y}");
        let (_, y) = Projection::of(Crs::Utm { zone: 51, south: true }).unwrap().xy(-45.0, 123.0).unwrap();
        assert!((y - (10_000_000.0 - 4_984_944.378 * 0.9996)).abs() < 1e-2, "{y}");
    }

    proptest! {
        #[test]
        fn every_system_goes_there_and_back(lat in -70.0..70.0f64, d in -2.5..2.5f64, zone in 1u8..=60) {
            let lon = f64::from(zone) * 6.0 - 183.0 + d;
            for crs in [Crs::Geographic, Crs::WebMercator, Crs::Utm { zone, south: lat < 0.0 }] {
                let p = Projection::of(crs).unwrap();
                let (x, y) = p.xy(lat, lon).unwrap();
                let (la, lo) = p.lat_lon(x, y).unwrap();
                prop_assert!((la - lat).abs() < 1e-8 && (lo - lon).abs() < 1e-8, "{crs:?} {lat} {lon} {la} {lo}");
            }
        }
    }
}
