//! WGS84 geodesy: geodetic, earth-centred (ECEF) and local east-north-up (ENU) coordinates.
//!
//! Formulas: NIMA TR8350.2 for the ellipsoid; Bowring's iteration for the inverse, accurate to well under a millimetre for
//! heights between −10 km and 100 km.

use nalgebra::{Matrix3, Vector3};

/// Semi-major axis of WGS84, metres.
pub const SEMI_MAJOR_M: f64 = 6_378_137.0;
/// Flattening of WGS84.
pub const FLATTENING: f64 = 1.0 / 298.257_223_563;
/// First eccentricity squared.
pub const ECCENTRICITY_SQUARED: f64 = FLATTENING * (2.0 - FLATTENING);

/// A position on or above the WGS84 ellipsoid. Angles in degrees because that is how files and people write them.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Geodetic {
    /// Latitude, degrees, north positive.
    pub lat_deg: f64,
    /// Longitude, degrees, east positive.
    pub lon_deg: f64,
    /// Height above the ellipsoid, metres.
    pub alt_m: f64,
}

/// A position in a local plane: metres east, north and up of the plane's origin.
#[derive(Clone, Copy, Debug, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Enu {
    /// Metres east.
    pub e_m: f64,
    /// Metres north.
    pub n_m: f64,
    /// Metres up.
    pub u_m: f64,
}

impl Enu {
    /// A point on the plane.
    pub const fn ground(e_m: f64, n_m: f64) -> Self {
        Self { e_m, n_m, u_m: 0.0 }
    }

    /// Distance in the horizontal plane, metres.
    pub fn horizontal_distance_m(self, other: Self) -> f64 {
        (self.e_m - other.e_m).hypot(self.n_m - other.n_m)
    }
}

impl Geodetic {
    /// A point on the ellipsoid.
    pub const fn ground(lat_deg: f64, lon_deg: f64) -> Self {
        Self { lat_deg, lon_deg, alt_m: 0.0 }
    }

    /// Whether the coordinates are finite and within ±90° and ±180°.
    pub fn is_valid(&self) -> bool {
        self.lat_deg.abs() <= 90.0 && self.lon_deg.abs() <= 180.0 && self.alt_m.is_finite()
    }

    /// Earth-centred, earth-fixed coordinates, metres.
    pub fn to_ecef(self) -> Vector3<f64> {
        let (sin_lat, cos_lat) = self.lat_deg.to_radians().sin_cos();
        let (sin_lon, cos_lon) = self.lon_deg.to_radians().sin_cos();
        let normal = SEMI_MAJOR_M / (1.0 - ECCENTRICITY_SQUARED * sin_lat * sin_lat).sqrt();
        Vector3::new(
            (normal + self.alt_m) * cos_lat * cos_lon,
            (normal + self.alt_m) * cos_lat * sin_lon,
            (normal * (1.0 - ECCENTRICITY_SQUARED) + self.alt_m) * sin_lat,
        )
    }

    /// The inverse of [`Geodetic::to_ecef`].
    pub fn from_ecef(ecef: &Vector3<f64>) -> Self {
        let semi_minor = SEMI_MAJOR_M * (1.0 - FLATTENING);
        let second_eccentricity_squared = ECCENTRICITY_SQUARED / (1.0 - ECCENTRICITY_SQUARED);
        let p = ecef.x.hypot(ecef.y);
        let mut reduced = (ecef.z * SEMI_MAJOR_M).atan2(p * semi_minor);
        let mut lat = 0.0;
        for _ in 0..4 {
            let (s, c) = reduced.sin_cos();
            lat = (ecef.z + second_eccentricity_squared * semi_minor * s.powi(3))
                .atan2(p - ECCENTRICITY_SQUARED * SEMI_MAJOR_M * c.powi(3));
            reduced = ((1.0 - FLATTENING) * lat.sin()).atan2(lat.cos());
        }
        let (s, c) = lat.sin_cos();
        let normal = SEMI_MAJOR_M / (1.0 - ECCENTRICITY_SQUARED * s * s).sqrt();
        // The first form is exact at the equator, the second at the poles.
        let alt_m = if c > 0.5 { p / c - normal } else { ecef.z / s - normal * (1.0 - ECCENTRICITY_SQUARED) };
        Self { lat_deg: lat.to_degrees(), lon_deg: ecef.y.atan2(ecef.x).to_degrees(), alt_m }
    }
}

/// A local tangent plane: east, north, up at an origin on the ellipsoid.
///
/// Within 10 km of the origin the plane departs from the ellipsoid's surface by less than 8 m in height and distances in it
/// are right to 2 parts in 10⁶.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnuPlane {
    origin: Geodetic,
    origin_ecef: Vector3<f64>,
    ecef_from_enu: Matrix3<f64>,
}

impl EnuPlane {
    /// The plane that touches the ellipsoid at `origin`.
    pub fn at(origin: Geodetic) -> Self {
        let (sin_lat, cos_lat) = origin.lat_deg.to_radians().sin_cos();
        let (sin_lon, cos_lon) = origin.lon_deg.to_radians().sin_cos();
        #[rustfmt::skip]
        let ecef_from_enu = Matrix3::new(
            -sin_lon, -sin_lat * cos_lon, cos_lat * cos_lon,
             cos_lon, -sin_lat * sin_lon, cos_lat * sin_lon,
             0.0,      cos_lat,           sin_lat,
        );
        Self { origin, origin_ecef: origin.to_ecef(), ecef_from_enu }
    }

    /// The origin.
    pub fn origin(&self) -> Geodetic {
        self.origin
    }

    /// Local coordinates of a geodetic position.
    pub fn enu_from_geodetic(&self, position: Geodetic) -> Enu {
        let d = self.ecef_from_enu.transpose() * (position.to_ecef() - self.origin_ecef);
        Enu { e_m: d.x, n_m: d.y, u_m: d.z }
    }

    /// The geodetic position of local coordinates.
    pub fn geodetic_from_enu(&self, enu: Enu) -> Geodetic {
        let ecef = self.origin_ecef + self.ecef_from_enu * Vector3::new(enu.e_m, enu.n_m, enu.u_m);
        Geodetic::from_ecef(&ecef)
    }

    /// Local coordinates of the point of the ellipsoid at this latitude and longitude, with its height taken as the plane's.
    ///
    /// This is what maps use: the ground is the plane `u = 0`.
    pub fn ground_from_lat_lon(&self, lat_deg: f64, lon_deg: f64) -> Enu {
        let enu = self.enu_from_geodetic(Geodetic::ground(lat_deg, lon_deg));
        Enu::ground(enu.e_m, enu.n_m)
    }

    /// Latitude and longitude, degrees, of a point of the plane: the inverse of [`EnuPlane::ground_from_lat_lon`].
    pub fn lat_lon_from_ground(&self, e_m: f64, n_m: f64) -> (f64, f64) {
        // The ellipsoid lies below the plane; dropping the point onto it along the local vertical would shift it by d³/2R²
        // (12 mm at 10 km), so two fixed-point steps make the pair of functions inverse to each other.
        let (mut e, mut n) = (e_m, n_m);
        let mut lat_lon = (0.0, 0.0);
        for _ in 0..3 {
            let g = self.geodetic_from_enu(Enu::ground(e, n));
            lat_lon = (g.lat_deg, g.lon_deg);
            let back = self.ground_from_lat_lon(g.lat_deg, g.lon_deg);
            e += e_m - back.e_m;
            n += n_m - back.n_m;
        }
        lat_lon
    }
}

/// A rectangle in latitude and longitude, degrees.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GeodeticBounds {
    /// Western edge.
    pub west_deg: f64,
    /// Southern edge.
    pub south_deg: f64,
    /// Eastern edge.
    pub east_deg: f64,
    /// Northern edge.
    pub north_deg: f64,
}

impl GeodeticBounds {
    /// The smallest rectangle around some points; `None` without points.
    pub fn around(points: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        points.into_iter().fold(None, |bounds: Option<Self>, (lat, lon)| {
            let b = bounds.unwrap_or(Self { west_deg: lon, south_deg: lat, east_deg: lon, north_deg: lat });
            Some(Self {
                west_deg: b.west_deg.min(lon),
                south_deg: b.south_deg.min(lat),
                east_deg: b.east_deg.max(lon),
                north_deg: b.north_deg.max(lat),
            })
        })
    }

    /// The smallest rectangle around two.
    pub fn union(&self, other: &Self) -> Self {
        Self {
            west_deg: self.west_deg.min(other.west_deg),
            south_deg: self.south_deg.min(other.south_deg),
            east_deg: self.east_deg.max(other.east_deg),
            north_deg: self.north_deg.max(other.north_deg),
        }
    }

    /// What two have in common; `None` where that is no area.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let both = Self {
            west_deg: self.west_deg.max(other.west_deg),
            south_deg: self.south_deg.max(other.south_deg),
            east_deg: self.east_deg.min(other.east_deg),
            north_deg: self.north_deg.min(other.north_deg),
        };
        (both.west_deg < both.east_deg && both.south_deg < both.north_deg).then_some(both)
    }

    /// The smallest rectangle of a plane around it: west, south, east, north, metres.
    pub fn extent_m(&self, plane: &EnuPlane) -> (f64, f64, f64, f64) {
        let middle = plane.origin().lon_deg;
        let points = [self.south_deg, self.north_deg]
            .into_iter()
            .flat_map(|lat| [self.west_deg, middle, self.east_deg].into_iter().map(move |lon| (lat, lon)));
        points.fold((f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY), |(w, s, e, n), (lat, lon)| {
            let p = plane.ground_from_lat_lon(lat, lon);
            (w.min(p.e_m), s.min(p.n_m), e.max(p.e_m), n.max(p.n_m))
        })
    }

    /// The middle.
    pub fn centre(&self) -> Geodetic {
        Geodetic::ground((self.south_deg + self.north_deg) / 2.0, (self.west_deg + self.east_deg) / 2.0)
    }

    /// Whether a point lies inside or on the edge.
    pub fn contains(&self, lat_deg: f64, lon_deg: f64) -> bool {
        (self.south_deg..=self.north_deg).contains(&lat_deg) && (self.west_deg..=self.east_deg).contains(&lon_deg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_known_point_has_its_published_ecef_coordinates() {
        // EPSG guidance note 7-2, section 4.1.1 (geocentric conversions).
        let g =
            Geodetic { lat_deg: 53.0 + 48.0 / 60.0 + 33.820 / 3600.0, lon_deg: 2.0 + 7.0 / 60.0 + 46.380 / 3600.0, alt_m: 73.0 };
        let x = g.to_ecef();
        assert!((x - Vector3::new(3_771_793.968, 140_253.342, 5_124_304.349)).norm() < 2e-3, "{x}");
    }

    proptest! {
        #[test]
        fn ecef_and_back(lat in -89.9..89.9f64, lon in -179.9..179.9f64, alt in -1e4..1e5f64) {
            let g = Geodetic { lat_deg: lat, lon_deg: lon, alt_m: alt };
            let back = Geodetic::from_ecef(&g.to_ecef());
            prop_assert!((g.to_ecef() - back.to_ecef()).norm() < 1e-4);
        }

        #[test]
        fn ground_and_back(lat in -70.0..70.0f64, lon in -179.0..179.0f64, e in -2e4..2e4f64, n in -2e4..2e4f64) {
            let plane = EnuPlane::at(Geodetic::ground(lat, lon));
            let (la, lo) = plane.lat_lon_from_ground(e, n);
            let back = plane.ground_from_lat_lon(la, lo);
            prop_assert!((back.e_m - e).hypot(back.n_m - n) < 1e-4);
        }
    }
}
