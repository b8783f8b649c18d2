//! Web Mercator (EPSG:3857) and its tile grid: zoom `z` has 2^z × 2^z tiles of 256 px, x from the west, y from the north
//! (XYZ; MBTiles counts y from the south).

/// Pixels along a tile's side.
pub const TILE_PX: u32 = 256;
/// Circumference of the sphere of EPSG:3857, metres.
pub const CIRCUMFERENCE_M: f64 = 2.0 * std::f64::consts::PI * super::wgs84::SEMI_MAJOR_M;
/// The latitude at which the map is square, degrees.
pub const MAX_LAT_DEG: f64 = 85.051_128_779_806_59;

/// A tile of the pyramid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Tile {
    /// Zoom level.
    pub z: u8,
    /// Column, from the west.
    pub x: u32,
    /// Row, from the north.
    pub y: u32,
}

impl Tile {
    /// The row in MBTiles' TMS scheme, counted from the south.
    pub fn tms_row(&self) -> u32 {
        (1u32 << self.z) - 1 - self.y
    }

    /// The tile of the next coarser zoom that contains this one; itself at zoom 0.
    pub fn parent(&self) -> Self {
        if self.z == 0 { *self } else { Self { z: self.z - 1, x: self.x / 2, y: self.y / 2 } }
    }
}

/// Position in pixels of the whole world at a zoom (x from 180° west, y from the north edge; pixel centres at .5).
pub fn pixel_from_lat_lon(z: u8, lat_deg: f64, lon_deg: f64) -> (f64, f64) {
    let world = f64::from(TILE_PX) * f64::from(1u32 << z);
    let lat = lat_deg.clamp(-MAX_LAT_DEG, MAX_LAT_DEG).to_radians();
    let y = (1.0 - lat.tan().asinh() / std::f64::consts::PI) / 2.0;
    ((lon_deg + 180.0) / 360.0 * world, y * world)
}

/// The inverse of [`pixel_from_lat_lon`]: latitude and longitude, degrees.
pub fn lat_lon_from_pixel(z: u8, x_px: f64, y_px: f64) -> (f64, f64) {
    let world = f64::from(TILE_PX) * f64::from(1u32 << z);
    let lat = (std::f64::consts::PI * (1.0 - 2.0 * y_px / world)).sinh().atan();
    (lat.to_degrees(), x_px / world * 360.0 - 180.0)
}

/// Size of a pixel on the ground at a latitude, metres (spherical, as tile servers state it).
pub fn ground_sampling_distance_m(z: u8, lat_deg: f64) -> f64 {
    CIRCUMFERENCE_M * lat_deg.to_radians().cos() / (f64::from(TILE_PX) * f64::from(1u32 << z))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_tile_and_resolution() {
        let (x, y) = pixel_from_lat_lon(18, 24.26, 120.72);
        assert_eq!(((x / 256.0) as u32, (y / 256.0) as u32), (218_977, 112_853));
        assert!((ground_sampling_distance_m(19, 24.0) - 0.2728).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn pixel_and_back(z in 0u8..22, lat in -85.0..85.0f64, lon in -180.0..180.0f64) {
            let (x, y) = pixel_from_lat_lon(z, lat, lon);
            let (la, lo) = lat_lon_from_pixel(z, x, y);
            prop_assert!((la - lat).abs() < 1e-9 && (lo - lon).abs() < 1e-9);
        }
    }
}
