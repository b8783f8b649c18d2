//! A single georeferenced raster as a layer.

use super::Layer;
use super::crs::{Georeference, Placement, world_fraction};
use super::geotiff::GeoTiff;
use super::picture::{self, Pictures};
use super::sidecars;
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, lat_lon_from_pixel};
use crate::map::MapError;
use crate::map::region::SourceRecord;
use crate::map::resample::{Grid, Window, colour};
use crate::map::tile::TilePixels;
use std::path::{Path, PathBuf};

/// How much coarser than its source a zoom may be and still serve as its finest.
const COARSENING: f64 = 1.15;
/// Finest zoom that is ever made.
const MAX_ZOOM: u8 = 23;

/// The zoom that holds imagery of a pixel size: the coarsest whose pixels are not more than 1.15 times as large.
pub(crate) fn zoom_for(ground_sampling_distance: f64, lat_deg: f64) -> u8 {
    (0..MAX_ZOOM).find(|&z| ground_sampling_distance_m(z, lat_deg) <= ground_sampling_distance * COARSENING).unwrap_or(MAX_ZOOM)
}

/// Imagery of longer pixels than this has a wrong corner. In degrees, pixels that are square there are 5 times as long as wide at 78° of latitude.
const MOST_STRETCH: f64 = 8.0;

/// Steps along a side of a tile at which its place in a raster is looked at.
const WINDOW_STEPS: u32 = 4;

enum Pixels {
    Picture { path: PathBuf, size: (u32, u32), pictures: Pictures, nodata: Option<[u8; 3]> },
    Tiff(Box<GeoTiff>),
}

/// A raster with a place.
pub(crate) struct Raster {
    path: PathBuf,
    pixels: Pixels,
    georeference: Georeference,
    /// Web Mercator box as fractions of the world: west, north, east, south.
    extent: [f64; 4],
    zoom: u8,
    record: SourceRecord,
}

impl Raster {
    /// A picture that is decoded as a whole.
    pub fn picture(path: &Path, size: (u32, u32), placement: Placement, pictures: Pictures) -> Result<Self, MapError> {
        let nodata = match sidecars::nodata(path)[..] {
            [grey] | [grey, _] => Some([grey; 3]),
            [r, g, b, ..] => Some([r, g, b]),
            [] => None,
        };
        // A value that no pixel can have marks nothing.
        let nodata = nodata
            .filter(|rgb| rgb.iter().all(|v| (0.0..=255.0).contains(v) && v.fract() == 0.0))
            .map(|rgb| rgb.map(|v| v as u8));
        Self::new(path, Pixels::Picture { path: path.to_owned(), size, pictures, nodata }, placement, None)
    }

    /// A TIFF that is read by chunks.
    pub fn tiff(path: &Path, tiff: GeoTiff, placement: Placement) -> Result<Self, MapError> {
        let date = tiff.date();
        Self::new(path, Pixels::Tiff(Box::new(tiff)), placement, date)
    }

    /// Any picture or TIFF, by its content, at a stated place.
    pub fn open(path: &Path, placement: impl FnOnce((u32, u32)) -> Placement, pictures: &Pictures) -> Result<Self, MapError> {
        if super::geotiff::is_tiff(&super::head(path)?) {
            let tiff = GeoTiff::open(path)?;
            let placement = placement(tiff.size());
            return Self::tiff(path, tiff, placement);
        }
        let size = picture::size(path)?;
        Self::picture(path, size, placement(size), pictures.clone())
    }

    fn new(path: &Path, pixels: Pixels, placement: Placement, date: Option<String>) -> Result<Self, MapError> {
        let (width, height) = match &pixels {
            Pixels::Picture { size, .. } => *size,
            Pixels::Tiff(tiff) => tiff.size(),
        };
        let lost = || {
            MapError::source(
                path,
                "its georeference does not lead to a place on earth",
                "check its coordinates and its coordinate system",
            )
        };
        let georeference = Georeference::new(&placement).ok_or_else(lost)?;
        let (bounds, corners) = georeference.outline(width, height).ok_or_else(lost)?;
        let (gsd, stretch) = georeference.pixel_on_ground(width, height).ok_or_else(lost)?;
        if stretch > MOST_STRETCH {
            return Err(MapError::source(
                path,
                format!("would have pixels {stretch:.0} times as long as wide ({gsd:.3} m in the mean)"),
                "one of its corners or pixel sizes is wrong: correct it",
            ));
        }
        if bounds.east_deg - bounds.west_deg > 180.0 || bounds.west_deg < -180.0 || bounds.east_deg > 180.0 {
            return Err(MapError::source(path, "reaches over the 180° meridian", "cut it there and give both parts"));
        }
        let (west, north) = world_fraction(bounds.north_deg, bounds.west_deg);
        let (east, south) = world_fraction(bounds.south_deg, bounds.east_deg);
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Ok(Self {
            zoom: zoom_for(gsd, bounds.centre().lat_deg),
            record: SourceRecord {
                date: date.or_else(|| date_in_name(&name)),
                name,
                bounds,
                corners_deg: Some(corners),
                ground_sampling_distance_m: gsd,
                licence: None,
            },
            path: path.to_owned(),
            pixels,
            georeference,
            extent: [west, north, east, south],
        })
    }

    fn window(&self, x0: i64, y0: i64, width: usize, height: usize) -> Result<Window, MapError> {
        match &self.pixels {
            Pixels::Picture { path, pictures, nodata, .. } => {
                let mut window = pictures.get(path)?.window(x0, y0, width, height);
                if let Some(nodata) = nodata {
                    window.rgba.chunks_exact_mut(4).filter(|p| p[..3] == nodata[..]).for_each(|p| p[3] = 0);
                }
                Ok(window)
            }
            Pixels::Tiff(tiff) => tiff.window(x0, y0, width, height),
        }
    }

    /// Whether some of the pixels of a tile may have been written: sparse files cost by what is in them.
    fn is_written_in(&self, tile: Tile) -> bool {
        let Pixels::Tiff(tiff) = &self.pixels else { return true };
        if !tiff.is_sparse() {
            return true;
        }
        let at = |column: u32, row: u32| {
            let pixel = |at: u32, part: u32| (f64::from(at) + f64::from(part) / f64::from(WINDOW_STEPS)) * f64::from(TILE_PX);
            let (lat, lon) = lat_lon_from_pixel(tile.z, pixel(tile.x, column), pixel(tile.y, row));
            self.georeference.pixel(lat, lon)
        };
        let points = (0..=WINDOW_STEPS).flat_map(|column| (0..=WINDOW_STEPS).map(move |row| (column, row)));
        let Some(pixels) = points.map(|(column, row)| at(column, row)).collect::<Option<Vec<_>>>() else { return true };
        let fold = |of: fn(&(f64, f64)) -> f64| {
            let values = || pixels.iter().map(of);
            let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            // The tile's edges are curves in the raster; samples reach two pixels further.
            let margin = 0.05 * (high - low) + 3.0;
            (low - margin, high + margin)
        };
        let ((x0, x1), (y0, y1)) = (fold(|p| p.0), fold(|p| p.1));
        tiff.is_written_in([x0, y0, x1, y1])
    }

    fn size(&self) -> (u32, u32) {
        match &self.pixels {
            Pixels::Picture { size, .. } => *size,
            Pixels::Tiff(tiff) => tiff.size(),
        }
    }
}

/// A date in a file's name: `2024-10-30`, `2024_10_30` or `20241030`, of a plausible year.
fn date_in_name(name: &str) -> Option<String> {
    let b = name.as_bytes();
    let digits = |s: &[u8]| s.iter().all(u8::is_ascii_digit).then(|| s.iter().fold(0u32, |v, d| v * 10 + u32::from(d - b'0')));
    for i in 0..b.len() {
        for step in [1usize, 0] {
            let at = |from: usize, len: usize| b.get(i + from..i + from + len);
            let separated = step == 0 || (matches!(at(4, 1), Some(b"-" | b"_" | b".")) && at(4, 1) == at(7, 1));
            let (Some(y), Some(m), Some(d)) = (at(0, 4), at(4 + step, 2), at(6 + 2 * step, 2)) else { continue };
            let digit = |at: Option<usize>| at.and_then(|at| b.get(at)).is_some_and(u8::is_ascii_digit);
            let bounded = !digit(i.checked_sub(1)) && !digit(Some(i + 8 + 2 * step));
            let (Some(y), Some(m), Some(d)) = (digits(y), digits(m), digits(d)) else { continue };
            if separated && bounded && (1980..2100).contains(&y) && (1..=12).contains(&m) && (1..=31).contains(&d) {
                return Some(format!("{y:04}-{m:02}-{d:02}"));
            }
        }
    }
    None
}

/// A tile's box in fractions of the world: west, north, east, south.
pub(crate) fn tile_extent(tile: Tile) -> [f64; 4] {
    let side = f64::from(1u32 << tile.z);
    let (x, y) = (f64::from(tile.x), f64::from(tile.y));
    [x / side, y / side, (x + 1.0) / side, (y + 1.0) / side]
}

impl Layer for Raster {
    fn records(&self) -> Vec<SourceRecord> {
        vec![self.record.clone()]
    }

    fn intersects(&self, tile: Tile) -> bool {
        let (t, e) = (tile_extent(tile), &self.extent);
        let meets = t[0] < e[2] && e[0] < t[2] && t[1] < e[3] && e[1] < t[3];
        meets && self.is_written_in(tile)
    }

    fn zoom_in(&self, _tile: Tile) -> u8 {
        self.zoom
    }

    fn draw(&self, tile: Tile, onto: &mut TilePixels) -> Result<(), MapError> {
        let side = TILE_PX as usize;
        let (west, north) = (f64::from(tile.x) * f64::from(TILE_PX), f64::from(tile.y) * f64::from(TILE_PX));
        let grid = Grid::new(side, side, |x, y| {
            let (lat, lon) = lat_lon_from_pixel(tile.z, west + x, north + y);
            self.georeference.pixel(lat, lon)
        });
        // A corner of the tile may lie where the source's projection ends: such a tile is too coarse to be drawn at all.
        let Some(grid) = grid else { return Ok(()) };
        let (width, height) = self.size();
        let (x0, y0, x1, y1) = grid.extent();
        let x0 = (x0.floor() as i64 - 2).max(0);
        let y0 = (y0.floor() as i64 - 2).max(0);
        let x1 = (x1.ceil() as i64 + 2).min(i64::from(width));
        let y1 = (y1.ceil() as i64 + 2).min(i64::from(height));
        if x1 <= x0 || y1 <= y0 {
            return Ok(());
        }
        let window = self.window(x0, y0, (x1 - x0) as usize, (y1 - y0) as usize)?;
        let (w, h) = (f64::from(width), f64::from(height));
        let rgba = onto.rgba_mut();
        grid.resample(&window, |i, (x, y), sample| {
            let inside = x >= 0.0 && y >= 0.0 && x <= w && y <= h;
            if let (true, Some([r, g, b])) = (inside, colour(sample)) {
                rgba[4 * i..4 * i + 4].copy_from_slice(&[r, g, b, 255]);
            }
        });
        Ok(())
    }

    fn date(&self) -> Option<&str> {
        self.record.date.as_deref()
    }
}

impl std::fmt::Debug for Raster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raster").field("path", &self.path).field("record", &self.record).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_found_in_names_and_numbers_that_are_none_are_not() {
        assert_eq!(date_in_name("ortho_2021-05-17.tif").as_deref(), Some("2021-05-17"));
        assert_eq!(date_in_name("20190402_area.tif").as_deref(), Some("2019-04-02"));
        assert_eq!(date_in_name("oam_z21_1238424_1046544.jpg"), None);
        assert_eq!(date_in_name("tile_202105171.jpg"), None);
    }

    #[test]
    fn the_zoom_is_the_coarsest_not_much_coarser_than_the_source() {
        // At 24.26° north z19 has 0.2722 m and z20 0.1361 m.
        assert_eq!(zoom_for(0.162, 24.26), 20);
        assert_eq!(zoom_for(0.25, 24.26), 19);
        assert_eq!(zoom_for(0.23, 24.26), 20);
    }

    proptest! {
        #[test]
        fn any_name_is_survived(name in "\\PC{0,40}") {
            let _ = date_in_name(&name);
        }
    }
}
