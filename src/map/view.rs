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
/// Pixels of the map that the mosaic of a block may have (256 MiB); where a map without coarse tiles would need more, blocks are smaller.
const MAX_MOSAIC_PX: f64 = (1u32 << 26) as f64;
/// Blocks are no smaller than this. A view that would need smaller ones is so much coarser than the map that one pixel of it stands for hundreds.
const SMALLEST_BLOCK_PX: u32 = 32;
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
    let coarser = view.ground_sampling_distance_m / ground_sampling_distance_m(zoom, region.plane.origin().lat_deg);
    let block_px = block_px(coarser);
    let side = block_px.unwrap_or(BLOCK_PX);
    for y0 in (0..view.height_px).step_by(side as usize) {
        for x0 in (0..view.width_px).step_by(side as usize) {
            let (w, h) = (side.min(view.width_px - x0), side.min(view.height_px - y0));
            let place = |i: usize| (y0 as usize + i / w as usize) * width + x0 as usize + i % w as usize;
            let grid = Grid::new(w as usize, h as usize, |x, y| {
                let (e, n) = view.ground_from_pixel(x + f64::from(x0), y + f64::from(y0));
                let (lat, lon) = region.plane.lat_lon_from_ground(e, n);
                Some(pixel_from_lat_lon(zoom, lat, lon))
            })
            .ok_or_else(|| refuse("it lies outside of the earth's surface"))?;
            let mut paint = |i: usize, c: [u8; 3]| {
                let o = place(i);
                rgb[3 * o..3 * o + 3].copy_from_slice(&c);
                coverage[o] = 255;
            };
            if block_px.is_none() {
                single_pixels(store, zoom, &grid, &mut paint)?;
                continue;
            }
            let Some(window) = mosaic(store, zoom, grid.extent())? else { continue };
            grid.resample(&window, |i, _, sample| colour(sample).into_iter().for_each(|c| paint(i, c)));
        }
    }
    let image = image::RgbImage::from_raw(view.width_px, view.height_px, rgb).ok_or_else(|| refuse("its size overflows"))?;
    Ok(MapView { image, coverage })
}

/// The side of a block whose mosaic is small enough, of a view so many times coarser than the tiles; `None` where none is.
fn block_px(coarser: f64) -> Option<u32> {
    let mut side = BLOCK_PX;
    while side >= SMALLEST_BLOCK_PX {
        if (f64::from(side) * coarser).powi(2) <= MAX_MOSAIC_PX {
            return Some(side);
        }
        side /= 2;
    }
    None
}

/// Paints each pixel of a block by the one pixel of the map in its middle.
fn single_pixels(store: &MapStore, zoom: u8, grid: &Grid, paint: &mut impl FnMut(usize, [u8; 3])) -> Result<(), MapError> {
    let world = f64::from(TILE_PX) * f64::from(1u32 << zoom);
    let mut failed = None;
    grid.for_each(|i, (x, y), _, _| {
        if failed.is_some() || !(0.0..world).contains(&x) || !(0.0..world).contains(&y) {
            return;
        }
        let (x, y) = (x as u32, y as u32);
        match store.tile_or_coarser(Tile { z: zoom, x: x / TILE_PX, y: y / TILE_PX }) {
            Ok(Some(tile)) => {
                let at = ((y % TILE_PX) * TILE_PX + x % TILE_PX) as usize * 4;
                if let [r, g, b, 128..=255] = tile.rgba()[at..at + 4] {
                    paint(i, [r, g, b]);
                }
            }
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(()), Err)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::{EnuPlane, Geodetic};
    use crate::map::{BuildOptions, build};

    #[test]
    fn blocks_shrink_where_the_map_is_much_finer_than_the_view() {
        let sides = [0.5, 1.0, 16.0, 17.0, 64.0, 256.0, 257.0, 1e9].map(block_px);
        assert_eq!(sides, [Some(512), Some(512), Some(512), Some(256), Some(128), Some(32), None, None]);
    }

    #[test]
    fn a_map_without_coarse_tiles_is_seen_from_afar_in_bounded_memory() {
        let folder = tempfile::tempdir().unwrap();
        let picture = image::RgbImage::from_fn(128, 128, |x, _| image::Rgb(if x < 64 { [200, 10, 10] } else { [10, 10, 200] }));
        let (path, out) = (folder.path().join("map.png"), folder.path().join("map.mbtiles"));
        picture.save(&path).unwrap();
        let plane = EnuPlane::at(Geodetic::ground(47.3, 9.1));
        let ((north, west), (south, east)) = (plane.lat_lon_from_ground(-32.0, 32.0), plane.lat_lon_from_ground(32.0, -32.0));
        let (dx, dy) = ((east - west) / 128.0, (south - north) / 128.0);
        std::fs::write(folder.path().join("map.pgw"), format!("{dx}\n0\n0\n{dy}\n{west}\n{north}\n")).unwrap();
        build(&[path], &out, &BuildOptions::default(), &|_| {}).unwrap();
        let finest = rusqlite::Connection::open(&out).unwrap();
        finest.execute("DELETE FROM tiles WHERE zoom_level < (SELECT max(zoom_level) FROM tiles)", []).unwrap();
        finest.close().unwrap();
        let map = MapStore::open(&out).unwrap();
        let region = &map.regions()[0];
        for (east_m, colour) in [(-20.0, [200, 10, 10]), (20.0, [10, 10, 200])] {
            let view = MetricView::centred(east_m, 0.0, 400.0, 1, 1);
            assert_eq!(block_px(view.ground_sampling_distance_m / region.ground_sampling_distance_m), None);
            let seen = map.view(region, &view).unwrap();
            assert_eq!((seen.coverage, seen.image.get_pixel(0, 0).0), (vec![255], colour));
        }
        let beside = map.view(region, &MetricView::centred(300.0, 0.0, 400.0, 1, 1)).unwrap();
        assert_eq!(beside.coverage, [0]);
    }
}
