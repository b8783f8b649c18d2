//! Metric views: north-up rasters of a stated ground sampling distance, resampled from the tiles through WGS84.

use super::resample::{Grid, Window, colour};
use super::store::MapStore;
use super::{MapError, Region};
use crate::geo::MetricView;
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, pixel_from_lat_lon};

/// The imagery of a [`MetricView`].
#[derive(Clone, Debug)]
pub struct MapView {
    /// The picture; black where there is no imagery.
    pub image: image::RgbImage,
    /// Row-major, 255 where the map has imagery, else 0.
    pub coverage: Vec<u8>,
}

impl MapView {
    /// Share of the pixels with imagery, 0..=1.
    pub fn covered_share(&self) -> f64 {
        self.coverage.iter().filter(|&&c| c > 0).count() as f64 / self.coverage.len().max(1) as f64
    }
}

/// Output pixels along a block: a view is made block by block so that the mosaic of tiles behind it stays small.
const BLOCK_PX: u32 = 512;
/// Largest view, pixels: guards against a mistyped pixel size.
const MAX_VIEW_PX: u64 = 1 << 30;

impl MapStore {
    /// Imagery of a view, resampled through WGS84 and averaged where the map is finer than the view. Where the finest tiles are
    /// absent, coarser ones are enlarged.
    ///
    /// # Errors
    /// When the view makes no sense or a tile cannot be read.
    pub fn view(&self, region: &Region, view: &MetricView) -> Result<MapView, MapError> {
        render(self, region, view)
    }

    /// The whole region in a picture of at most `max_px` along its longer side, never finer than its sharpest source.
    ///
    /// # Errors
    /// As [`MapStore::view`].
    pub fn overview(&self, region: &Region, max_px: u32) -> Result<(MapView, MetricView), MapError> {
        let (west_m, south_m, east_m, north_m) = region.extent_m();
        let longer_m = (east_m - west_m).max(north_m - south_m);
        let gsd = (longer_m / f64::from(max_px.max(1))).max(region.ground_sampling_distance_m);
        let px = |m: f64| ((m / gsd).round() as u32).clamp(1, max_px.max(1));
        let view = MetricView {
            west_m,
            north_m,
            ground_sampling_distance_m: gsd,
            width_px: px(east_m - west_m),
            height_px: px(north_m - south_m),
        };
        Ok((self.view(region, &view)?, view))
    }
}

/// Makes a view; see [`MapStore::view`].
fn render(store: &MapStore, region: &Region, view: &MetricView) -> Result<MapView, MapError> {
    let refuse = |what| MapError::View {
        width_px: view.width_px,
        height_px: view.height_px,
        ground_sampling_distance_m: view.ground_sampling_distance_m,
        what,
    };
    if !(view.ground_sampling_distance_m > 0.0 && view.ground_sampling_distance_m.is_finite()) {
        return Err(refuse("the ground sampling distance must be positive"));
    }
    if !(view.west_m.abs() < 1e7 && view.north_m.abs() < 1e7) {
        return Err(refuse("it lies too far from the region"));
    }
    if u64::from(view.width_px) * u64::from(view.height_px) > MAX_VIEW_PX {
        return Err(refuse("it has more than 2^30 pixels"));
    }
    let zoom = zoom_for(store, region, view.ground_sampling_distance_m);
    let width = view.width_px as usize;
    let mut rgb = vec![0u8; width * view.height_px as usize * 3];
    let mut coverage = vec![0u8; width * view.height_px as usize];
    for y0 in (0..view.height_px).step_by(BLOCK_PX as usize) {
        for x0 in (0..view.width_px).step_by(BLOCK_PX as usize) {
            let (w, h) = (BLOCK_PX.min(view.width_px - x0), BLOCK_PX.min(view.height_px - y0));
            let grid = Grid::new(w as usize, h as usize, |x, y| {
                let (e, n) = view.ground_from_pixel(x + f64::from(x0), y + f64::from(y0));
                let (lat, lon) = region.plane.lat_lon_from_ground(e, n);
                Some(pixel_from_lat_lon(zoom, lat, lon))
            })
            .ok_or_else(|| refuse("it lies outside of the earth's surface"))?;
            let Some(window) = mosaic(store, zoom, grid.extent())? else { continue };
            grid.resample(&window, |i, _, sample| {
                if let Some(c) = colour(sample) {
                    let o = (y0 as usize + i / w as usize) * width + x0 as usize + i % w as usize;
                    rgb[3 * o..3 * o + 3].copy_from_slice(&c);
                    coverage[o] = 255;
                }
            });
        }
    }
    let image = image::RgbImage::from_raw(view.width_px, view.height_px, rgb).ok_or_else(|| refuse("its size overflows"))?;
    Ok(MapView { image, coverage })
}

/// The coarsest zoom that still resolves the view, within what the map has.
fn zoom_for(store: &MapStore, region: &Region, ground_sampling_distance_m_wanted: f64) -> u8 {
    // A view at the very pixel size of a zoom, give or take rounding, should not fall to the next finer one.
    const TOLERANCE: f64 = 1.02;
    let lat_deg = region.plane.origin().lat_deg;
    let (min, max) = store.zoom_range();
    (min..=max).find(|&z| ground_sampling_distance_m(z, lat_deg) <= ground_sampling_distance_m_wanted * TOLERANCE).unwrap_or(max)
}

/// The tiles behind a box of world pixels at a zoom, as one raster; `None` where there is no imagery at all.
fn mosaic(store: &MapStore, zoom: u8, extent: (f64, f64, f64, f64)) -> Result<Option<Window>, MapError> {
    let tile_px = i64::from(TILE_PX);
    let world_px = tile_px << zoom;
    let (x0, y0) = ((extent.0.floor() as i64 - 2).clamp(0, world_px - 1), (extent.1.floor() as i64 - 2).clamp(0, world_px - 1));
    let (x1, y1) = ((extent.2.ceil() as i64 + 2).clamp(x0 + 1, world_px), (extent.3.ceil() as i64 + 2).clamp(y0 + 1, world_px));
    let mut window = Window::empty(x0, y0, (x1 - x0) as usize, (y1 - y0) as usize);
    let mut any = false;
    for ty in y0 / tile_px..=(y1 - 1) / tile_px {
        for tx in x0 / tile_px..=(x1 - 1) / tile_px {
            let Some(tile) = store.tile_or_coarser(Tile { z: zoom, x: tx as u32, y: ty as u32 })? else { continue };
            any = true;
            let (left, right) = (x0.max(tx * tile_px), x1.min((tx + 1) * tile_px));
            for y in y0.max(ty * tile_px)..y1.min((ty + 1) * tile_px) {
                let from = ((y - ty * tile_px) * tile_px + left - tx * tile_px) as usize * 4;
                let to = ((y - y0) as usize * window.width + (left - x0) as usize) * 4;
                let len = (right - left) as usize * 4;
                window.rgba[to..to + len].copy_from_slice(&tile.rgba()[from..from + len]);
            }
        }
    }
    Ok(any.then_some(window))
}
