//! The map of a simulated world: what a satellite saw, drawn tile by tile through the map builder.

use super::look::Colour;
use super::noise::{hash2, mix};
use super::scene::Scene;
use super::sensor::{blur, normal};
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, lat_lon_from_pixel, pixel_from_lat_lon};
use crate::geo::{EnuPlane, GeodeticBounds};
use crate::map::resample::Grid;
use crate::map::{Layer, MapError, SourceRecord, TilePixels};

/// Direction the satellite looks from: metres east and north per metre of height. Buildings lean a little.
const LEAN: (f64, f64) = (0.10, -0.06);
/// Pixels drawn around a tile so that its blur joins that of its neighbours.
const MARGIN_PX: usize = 8;
/// Noise of the map, standard deviation, of 255.
const NOISE: f32 = 1.0;
/// The mapped area is made of groups of 4 × 4 tiles, so that nearly all tiles of the pyramid are full.
const GROUP: u32 = 4;

/// A rectangle of whole tiles at one zoom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    /// Zoom of the tiles.
    pub zoom: u8,
    /// First column and row.
    pub first: (u32, u32),
    /// Columns and rows.
    pub count: (u32, u32),
}

impl Area {
    /// Whole groups of tiles nearest around a place, at the coarsest zoom that resolves a pixel size.
    pub fn around(lat_deg: f64, lon_deg: f64, side_m: f64, gsd_m: f64) -> Self {
        let zoom = (0..23).find(|&z| ground_sampling_distance_m(z, lat_deg) <= gsd_m).unwrap_or(22);
        let tile_m = ground_sampling_distance_m(zoom, lat_deg) * f64::from(TILE_PX);
        let count = ((side_m / tile_m / f64::from(GROUP)).ceil().max(1.0) as u32) * GROUP;
        let (x, y) = pixel_from_lat_lon(zoom, lat_deg, lon_deg);
        let start = |v: f64| {
            let tiles = v / f64::from(TILE_PX) - f64::from(count) / 2.0;
            ((tiles / f64::from(GROUP)).round().max(0.0) as u32) * GROUP
        };
        Self { zoom, first: (start(x), start(y)), count: (count, count) }
    }

    /// Its rectangle.
    pub fn bounds(&self) -> GeodeticBounds {
        let px = |t: u32| f64::from(t) * f64::from(TILE_PX);
        let (north_deg, west_deg) = lat_lon_from_pixel(self.zoom, px(self.first.0), px(self.first.1));
        let (south_deg, east_deg) =
            lat_lon_from_pixel(self.zoom, px(self.first.0 + self.count.0), px(self.first.1 + self.count.1));
        GeodeticBounds { west_deg, south_deg, east_deg, north_deg }
    }
}

/// A scene as a layer of a map.
pub(crate) struct Satellite<S> {
    /// What is seen.
    pub scene: S,
    /// The local plane of the scene.
    pub plane: EnuPlane,
    /// Where there is imagery.
    pub area: Area,
    /// How far east and north of its true place the imagery lies, metres.
    pub offset_m: [f64; 2],
    /// Blur, standard deviation, metres.
    pub blur_m: f64,
    /// Seed of the noise.
    pub seed: u64,
}

impl<S: Scene> Layer for Satellite<S> {
    fn records(&self) -> Vec<SourceRecord> {
        let bounds = self.area.bounds();
        vec![SourceRecord {
            name: "simulated satellite".into(),
            bounds,
            corners_deg: None,
            ground_sampling_distance_m: ground_sampling_distance_m(self.area.zoom, bounds.centre().lat_deg),
            date: Some("2023-06-14".into()),
            licence: Some("CC0-1.0".into()),
        }]
    }

    fn intersects(&self, tile: Tile) -> bool {
        let a = &self.area;
        if tile.z > a.zoom {
            return false;
        }
        let side = u64::from(1u32 << (a.zoom - tile.z));
        let overlaps = |t: u32, first: u32, count: u32| {
            let (from, to) = (u64::from(t) * side, (u64::from(t) + 1) * side);
            from < u64::from(first + count) && to > u64::from(first)
        };
        overlaps(tile.x, a.first.0, a.count.0) && overlaps(tile.y, a.first.1, a.count.1)
    }

    fn zoom_in(&self, _tile: Tile) -> u8 {
        self.area.zoom
    }

    fn draw(&self, tile: Tile, onto: &mut TilePixels) -> Result<(), MapError> {
        let side = TILE_PX as usize + 2 * MARGIN_PX;
        let start = |t: u32| f64::from(t) * f64::from(TILE_PX) - MARGIN_PX as f64;
        let (x0, y0) = (start(tile.x), start(tile.y));
        let grid = Grid::new(side, side, |x, y| {
            let (lat, lon) = lat_lon_from_pixel(tile.z, x0 + x, y0 + y);
            let p = self.plane.ground_from_lat_lon(lat, lon);
            Some((p.e_m - self.offset_m[0], p.n_m - self.offset_m[1]))
        });
        let Some(grid) = grid else { return Ok(()) };
        let gsd = grid.scale().0;
        let mut light: Vec<Colour> = vec![[0.0; 3]; side * side];
        let mut covered = vec![false; side * side];
        grid.for_each(|i, (e, n), _, _| {
            covered[i] = self.scene.covers(e, n);
            light[i] = self.scene.seen(e, n, LEAN, gsd);
        });
        let light = blur(&light, side, side, (self.blur_m / gsd) as f32);
        let noise = mix(self.seed ^ 0x5a7);
        for (i, p) in onto.rgba_mut().chunks_exact_mut(4).enumerate() {
            let (column, row) = (i % TILE_PX as usize, i / TILE_PX as usize);
            let from = (row + MARGIN_PX) * side + column + MARGIN_PX;
            let c = light[from];
            if !covered[from] {
                continue;
            }
            let at = (i64::from(tile.x) * 256 + column as i64, i64::from(tile.y) * 256 + row as i64);
            let grain = NOISE * normal(hash2(noise, at.0, at.1));
            let value = |k: usize| (c[k] + grain + 0.5).clamp(0.0, 255.0) as u8;
            p.copy_from_slice(&[value(0), value(1), value(2), 255]);
        }
        Ok(())
    }

    fn date(&self) -> Option<&str> {
        Some("2023-06-14")
    }
}
