//! Height above ground out of height above take-off: by an elevation model where there is one, by its uncertainty where not.

use std::path::Path;

use super::MapError;
use super::import::elevation::{self, Posts};
use crate::geo::{EnuPlane, Geodetic, GeodeticBounds};
use crate::types::Estimate;

/// 1 sigma of the difference of two elevations of a model, metres. Copernicus GLO-30 states a relative error of 2 m at 90 % on gentle
/// and 4 m on steep slopes, SRTM of 6 to 10 m; crowns and roofs are in both.
const DEM_SIGMA_M: f64 = 3.0;
/// 1 sigma of the ground's rise between two points 1 km apart, metres: rolling country.
const ROUGHNESS_AT_1_KM_M: f64 = 20.0;
/// Ground between take-off and aircraft does not rise by more than this, 1 sigma, metres.
const MAX_ROUGHNESS_M: f64 = 100.0;
/// Distance from take-off where that is not known, metres.
const UNKNOWN_DISTANCE_M: f64 = 1_000.0;
/// Samples along each side of bounds.
const GRID: u32 = 24;

/// An elevation model: metres above its own zero, which cancels out.
pub struct Dem {
    posts: Posts,
}

impl Dem {
    /// Reads a GeoTIFF with one band, or its part within some bounds.
    ///
    /// # Errors
    /// When it cannot be read, is no elevation model, does not meet the bounds, or is too large to be kept (64 million posts).
    pub fn open(path: &Path, within: Option<GeodeticBounds>) -> Result<Self, MapError> {
        Ok(Self { posts: elevation::read(path, within)? })
    }

    /// The elevation at a place, metres, bilinear between the posts; `None` outside and beside voids.
    pub fn elevation_m(&self, lat_deg: f64, lon_deg: f64) -> Option<f64> {
        let Posts { georeference, origin, size, elevation_m } = &self.posts;
        let (column, row) = georeference.pixel(lat_deg, lon_deg)?;
        let (x, y) = (column - f64::from(origin.0), row - f64::from(origin.1));
        let inside = |v: f64, n: u32| (0.0..=f64::from(n)).contains(&v);
        if !inside(x, size.0) || !inside(y, size.1) {
            return None;
        }
        // Posts lie in the middle of pixels; the outer half pixel has the value of its post.
        let split = |v: f64, n: u32| {
            let v = (v - 0.5).clamp(0.0, f64::from(n - 1));
            let low = (v.floor() as u32).min(n.saturating_sub(2));
            (low as usize, (low + 1).min(n - 1) as usize, v - f64::from(low))
        };
        let ((xa, xb, tx), (ya, yb, ty)) = (split(x, size.0), split(y, size.1));
        let post = |x: usize, y: usize| elevation_m.get(y * size.0 as usize + x).copied().map_or(f64::NAN, f64::from);
        let upper = post(xa, ya) * (1.0 - tx) + post(xb, ya) * tx;
        let lower = post(xa, yb) * (1.0 - tx) + post(xb, yb) * tx;
        Some(upper * (1.0 - ty) + lower * ty).filter(|z| z.is_finite())
    }
}

/// What is known of the ground between take-off and the aircraft.
///
/// Autopilots and cameras measure height above take-off by the barometer; matching needs the height above the ground below. With an
/// elevation model that knows both places the height is corrected. Without one it is taken as it is, and its sigma grows with the
/// distance from take-off. Topography is close to Brownian (spectral exponent 2, Turcotte, *Fractals and Chaos in Geology and
/// Geophysics*, 1997, chapter 7), so that rises grow with the square root of the distance; their size at 1 km is ours, 20 m, that of
/// rolling country: 6 m at 100 m, 14 m at 500 m, 63 m at 10 km, and no more than 100 m anywhere.
#[derive(Default)]
pub struct GroundModel {
    /// The elevation model.
    pub dem: Option<Dem>,
    /// Where heights are zero.
    pub takeoff: Option<Geodetic>,
}

impl GroundModel {
    /// Height above the ground, metres, of an aircraft with a height above take-off over a place known to `position_sigma_m` an
    /// axis.
    pub fn height_agl(&self, above_takeoff: Estimate, at: Geodetic, position_sigma_m: f64) -> Estimate {
        let position_sigma_m = position_sigma_m.max(0.0);
        let corrected = self.ground().and_then(|(dem, takeoff_m)| {
            let below_m = dem.elevation_m(at.lat_deg, at.lon_deg)?;
            let slope_m = rise_over(dem, at, position_sigma_m, below_m);
            let sigma = above_takeoff.sigma.hypot(DEM_SIGMA_M).hypot(slope_m);
            Some(Estimate { value: above_takeoff.value + takeoff_m - below_m, sigma })
        });
        corrected.unwrap_or_else(|| uncorrected(above_takeoff, self.distance_m(at).map(|d| d.hypot(position_sigma_m))))
    }

    /// The same for an aircraft that may be anywhere within bounds: mean and spread.
    pub fn height_agl_within(&self, above_takeoff: Estimate, bounds: &GeodeticBounds) -> Estimate {
        let corrected = self.ground().and_then(|(dem, takeoff_m)| {
            let known: Vec<f64> = grid(bounds).filter_map(|(lat, lon)| dem.elevation_m(lat, lon)).collect();
            // A model of a small part says nothing of the rest.
            if known.len() < (GRID * GRID * 3 / 4) as usize {
                return None;
            }
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            let spread = (known.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / known.len() as f64).sqrt();
            let sigma = above_takeoff.sigma.hypot(DEM_SIGMA_M).hypot(spread);
            Some(Estimate { value: above_takeoff.value + takeoff_m - mean, sigma })
        });
        corrected.unwrap_or_else(|| {
            // The typical distance from take-off to a point of the rectangle.
            let (sum, n) = grid(bounds)
                .filter_map(|(lat, lon)| self.distance_m(Geodetic::ground(lat, lon)))
                .fold((0.0, 0), |(sum, n), d| (sum + d * d, n + 1));
            uncorrected(above_takeoff, (n > 0).then(|| (sum / f64::from(n)).sqrt()))
        })
    }

    /// The elevation model and the elevation of take-off in it.
    fn ground(&self) -> Option<(&Dem, f64)> {
        let (dem, takeoff) = (self.dem.as_ref()?, self.takeoff?);
        Some((dem, dem.elevation_m(takeoff.lat_deg, takeoff.lon_deg)?))
    }

    fn distance_m(&self, at: Geodetic) -> Option<f64> {
        let takeoff = self.takeoff.filter(|t| t.is_valid() && at.is_valid())?;
        let p = EnuPlane::at(Geodetic { alt_m: 0.0, ..takeoff }).ground_from_lat_lon(at.lat_deg, at.lon_deg);
        Some(p.e_m.hypot(p.n_m))
    }
}

/// A height above take-off taken for one above ground, at a distance from take-off.
fn uncorrected(above_takeoff: Estimate, distance_m: Option<f64>) -> Estimate {
    Estimate { sigma: above_takeoff.sigma.hypot(roughness_m(distance_m.unwrap_or(UNKNOWN_DISTANCE_M))), ..above_takeoff }
}

/// 1 sigma of the ground's rise over a distance, metres; see [`GroundModel`].
pub fn roughness_m(distance_m: f64) -> f64 {
    (ROUGHNESS_AT_1_KM_M * (distance_m.max(0.0) / 1_000.0).sqrt()).min(MAX_ROUGHNESS_M)
}

/// The ground's 1 sigma rise over 1 sigma of the position, from its values on either side in both directions; a side that is not
/// known counts as the other.
fn rise_over(dem: &Dem, at: Geodetic, sigma_m: f64, below_m: f64) -> f64 {
    if sigma_m <= 0.0 {
        return 0.0;
    }
    let plane = EnuPlane::at(Geodetic { alt_m: 0.0, ..at });
    let rise = |e: f64, n: f64| {
        let (lat, lon) = plane.lat_lon_from_ground(e, n);
        dem.elevation_m(lat, lon).map(|z| z - below_m)
    };
    let axis = |e: f64, n: f64| {
        let sides: Vec<f64> = [rise(e, n), rise(-e, -n)].into_iter().flatten().map(|r| r * r).collect();
        // Ground that is not known on either side is as rough as any.
        if sides.is_empty() { roughness_m(sigma_m).powi(2) } else { sides.iter().sum::<f64>() / sides.len() as f64 }
    };
    (axis(sigma_m, 0.0) + axis(0.0, sigma_m)).sqrt()
}

/// Points in the middles of a grid of cells over bounds.
fn grid(b: &GeodeticBounds) -> impl Iterator<Item = (f64, f64)> {
    let part = |i: u32| (f64::from(i) + 0.5) / f64::from(GRID);
    let (b, cells) = (*b, GRID * GRID);
    (0..cells).map(move |i| {
        let (x, y) = (part(i % GRID), part(i / GRID));
        (b.south_deg + y * (b.north_deg - b.south_deg), b.west_deg + x * (b.east_deg - b.west_deg))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::import::crs::{Crs, Georeference, Placement};

    const POST_DEG: f64 = 1.0 / 3600.0;

    /// 200 x 200 posts of a second of arc around 47° N, 8° E, whose elevations are given by column and row.
    fn dem(elevation: impl Fn(f64, f64) -> f64) -> Dem {
        let affine = [POST_DEG, 0.0, 8.0 - 100.0 * POST_DEG, 0.0, -POST_DEG, 47.0 + 100.0 * POST_DEG];
        let georeference = Georeference::new(&Placement { crs: Crs::Geographic, affine }).unwrap();
        let elevation_m = (0..200 * 200).map(|i| elevation(f64::from(i % 200) + 0.5, f64::from(i / 200) + 0.5) as f32).collect();
        Dem { posts: Posts { georeference, origin: (0, 0), size: (200, 200), elevation_m } }
    }

    fn at(column: f64, row: f64) -> Geodetic {
        Geodetic::ground(47.0 + (100.0 - row) * POST_DEG, 8.0 + (column - 100.0) * POST_DEG)
    }

    const H: Estimate = Estimate { value: 100.0, sigma: 4.0 };

    #[test]
    fn a_ramp_is_interpolated_exactly_and_ends_at_the_edge() {
        let dem = dem(|c, r| 300.0 + 2.0 * c - r);
        for (c, r) in [(100.0, 100.0), (10.25, 150.75), (0.5, 0.5), (199.5, 199.5)] {
            let p = at(c, r);
            let z = dem.elevation_m(p.lat_deg, p.lon_deg).unwrap();
            assert!((z - (300.0 + 2.0 * c - r)).abs() < 1e-3, "{c} {r}: {z}");
        }
        for (c, r) in [(-0.01, 50.0), (50.0, 200.01), (f64::NAN, 1.0)] {
            assert_eq!(dem.elevation_m(at(c, r).lat_deg, at(c, r).lon_deg), None);
        }
    }

    #[test]
    fn beside_a_void_nothing_is_known() {
        let dem = dem(|c, r| if (c, r) == (50.5, 60.5) { f64::NAN } else { 7.0 });
        let z = |c, r| dem.elevation_m(at(c, r).lat_deg, at(c, r).lon_deg);
        assert_eq!((z(51.0, 60.0), z(50.0, 61.2)), (None, None));
        assert_eq!(z(52.0, 60.5), Some(7.0));
    }

    #[test]
    fn ground_that_rises_takes_height_away_and_a_slope_adds_what_the_position_leaves_open() {
        let model = GroundModel { dem: Some(dem(|c, _| 3.0 * c)), takeoff: Some(at(50.0, 100.0)) };
        let higher = model.height_agl(H, at(70.0, 100.0), 0.0);
        assert!((higher.value - 40.0).abs() < 1e-3 && (higher.sigma - H.sigma.hypot(DEM_SIGMA_M)).abs() < 1e-9, "{higher:?}");
        // A column is 21.1 m here, so the slope is 0.142.
        let loose = model.height_agl(H, at(70.0, 100.0), 50.0);
        let slope_m = (loose.sigma.powi(2) - higher.sigma.powi(2)).sqrt();
        assert!((slope_m - 50.0 * 3.0 / 21.12).abs() < 0.05, "{slope_m}");
        assert_eq!(loose.value, higher.value);
    }

    #[test]
    fn without_a_model_the_sigma_grows_with_the_distance_up_to_a_cap_and_the_value_stays() {
        let model = GroundModel { dem: None, takeoff: Some(at(100.0, 100.0)) };
        let near = model.height_agl(H, at(100.0, 100.0), 0.0);
        assert_eq!(near, H);
        // A row is 30.9 m.
        let sigmas: Vec<f64> =
            [10.0, 40.0, 160.0, 6400.0, 64_000.0].iter().map(|d| model.height_agl(H, at(100.0, 100.0 - d), 0.0).sigma).collect();
        assert!(sigmas.windows(2).all(|w| w[0] < w[1] || w[1] == H.sigma.hypot(MAX_ROUGHNESS_M)), "{sigmas:?}");
        assert!((sigmas[0] - 4.0f64.hypot(20.0 * 0.309f64.sqrt())).abs() < 0.02, "{sigmas:?}");
        assert_eq!(sigmas[4], H.sigma.hypot(MAX_ROUGHNESS_M));
        assert!(GroundModel::default().height_agl(H, at(0.0, 0.0), 0.0).sigma > 20.0);
    }

    #[test]
    fn where_the_model_does_not_reach_it_is_as_if_there_were_none() {
        let with = GroundModel { dem: Some(dem(|_, _| 5.0)), takeoff: Some(at(50.0, 100.0)) };
        let without = GroundModel { dem: None, takeoff: with.takeoff };
        assert_eq!(with.height_agl(H, at(300.0, 100.0), 5.0), without.height_agl(H, at(300.0, 100.0), 5.0));
        let unknown_takeoff = GroundModel { takeoff: None, ..with };
        assert_eq!(
            unknown_takeoff.height_agl(H, at(90.0, 100.0), 5.0),
            GroundModel::default().height_agl(H, at(90.0, 100.0), 5.0)
        );
    }

    #[test]
    fn anywhere_in_bounds_is_the_mean_and_the_spread() {
        let (a, b) = (at(60.0, 120.0), at(100.0, 80.0));
        let bounds = GeodeticBounds { west_deg: a.lon_deg, south_deg: a.lat_deg, east_deg: b.lon_deg, north_deg: b.lat_deg };
        let model = GroundModel { dem: Some(dem(|c, _| c)), takeoff: Some(at(50.0, 100.0)) };
        let h = model.height_agl_within(H, &bounds);
        assert!((h.value - 70.0).abs() < 1e-3, "{h:?}");
        // A uniform distribution over 40 m.
        let spread = (h.sigma.powi(2) - 25.0).sqrt();
        assert!((spread - 40.0 / 12f64.sqrt()).abs() < 0.1, "{spread}");
        let flat = GroundModel { dem: None, takeoff: model.takeoff }.height_agl_within(H, &bounds);
        assert!(flat.value == 100.0 && (flat.sigma.hypot(0.0) - H.sigma.hypot(roughness_m(706.0))).abs() < 1.0, "{flat:?}");
    }
}
