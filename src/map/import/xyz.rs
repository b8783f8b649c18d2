//! A folder of tiles `z/x/y.{jpg,png,webp}`, y counted from the north, or, as TMS has it, from the south.

use super::Layer;
use crate::geo::GeodeticBounds;
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, lat_lon_from_pixel};
use crate::map::MapError;
use crate::map::region::{SourceRecord, cluster};
use crate::map::resample::{Window, colour};
use crate::map::tile::{Quarter, TilePixels};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The tiles of a folder.
pub(crate) struct XyzFolder {
    path: PathBuf,
    files: BTreeMap<Tile, Stored>,
    /// Every tile and all that contain it, with the finest zoom found inside.
    finest: BTreeMap<Tile, u8>,
    records: Vec<SourceRecord>,
}

/// Where a tile is stored.
#[derive(Clone, Debug)]
struct Stored {
    path: PathBuf,
    /// Of a picture of 512 px, the quarter that the tile is.
    quarter: Option<Quarter>,
}

/// Which way the rows of tiles are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TileRows {
    /// From the south where the folder says so by a `tilemapresource.xml`, as `gdal2tiles.py` writes it; else from the north.
    #[default]
    AsTheFolderSays,
    /// From the south: TMS.
    FromSouth,
}

/// What `gdal2tiles.py` writes into a folder whose rows are counted from the south.
const TMS_FILE: &str = "tilemapresource.xml";

impl XyzFolder {
    /// Looks for tiles in a folder; `None` when it holds none.
    pub fn open(path: &Path, rows: TileRows, warnings: &mut Vec<String>) -> Result<Option<Self>, MapError> {
        let from_south = rows == TileRows::FromSouth || path.join(TMS_FILE).is_file();
        let mut files = BTreeMap::new();
        let mut no_pictures = Vec::new();
        for z in numbered(path)? {
            let Ok(zoom) = u8::try_from(z.0) else { continue };
            if zoom > 23 || !z.1.is_dir() {
                continue;
            }
            for x in numbered(&z.1)?.into_iter().filter(|x| x.1.is_dir()) {
                for y in numbered(&x.1)?.into_iter().filter(|y| y.1.is_file()) {
                    let extension = y.1.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
                    if !matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "webp") {
                        continue;
                    }
                    let side = 1u32 << zoom;
                    if x.0 >= side || y.0 >= side {
                        warnings.push(format!("{}: zoom {zoom} has no such tile; it was left out", y.1.display()));
                        continue;
                    }
                    let row = if from_south { side - 1 - y.0 } else { y.0 };
                    let tile = Tile { z: zoom, x: x.0, y: row };
                    match size_px(&y.1) {
                        Some(TILE_PX) => drop(files.insert(tile, Stored { path: y.1, quarter: None })),
                        Some(size) if size == 2 * TILE_PX && zoom < 23 => {
                            for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                                let part = Tile { z: zoom + 1, x: 2 * tile.x + column, y: 2 * tile.y + row };
                                files.insert(part, Stored { path: y.1.clone(), quarter: Some((column, row)) });
                            }
                        }
                        _ => no_pictures.push(y.1),
                    }
                }
            }
        }
        if let Some(first) = no_pictures.first() {
            let (count, first) = (no_pictures.len(), first.display());
            warnings.push(format!(
                "{}: {count} files are no pictures of 256 or 512 px and were left out, the first {first}",
                path.display()
            ));
        }
        if files.is_empty() {
            return Ok(None);
        }
        let mut finest = BTreeMap::new();
        for tile in files.keys() {
            let mut t = *tile;
            loop {
                let best = finest.entry(t).or_insert(tile.z);
                *best = tile.z.max(*best);
                if t.z == 0 {
                    break;
                }
                t = t.parent();
            }
        }
        let records = records(path, &files, &finest);
        Ok(Some(Self { path: path.to_owned(), files, finest, records }))
    }

    /// The tile itself or the nearest that contains it, if the folder has one.
    fn holder(&self, tile: Tile) -> Option<Tile> {
        let mut t = tile;
        loop {
            if self.files.contains_key(&t) {
                return Some(t);
            }
            if t.z == 0 {
                return None;
            }
            t = t.parent();
        }
    }

    fn bytes(&self, tile: Tile) -> Result<Vec<u8>, MapError> {
        let path = self.files.get(&tile).map_or(&self.path, |stored| &stored.path);
        std::fs::read(path).map_err(|e| MapError::read(path, e))
    }

    fn decode(&self, tile: Tile) -> Result<TilePixels, MapError> {
        let stored = self.files.get(&tile);
        TilePixels::decode_part(&self.bytes(tile)?, stored.and_then(|s| s.quarter)).map_err(|what| {
            MapError::source(
                stored.map_or(&self.path, |s| &s.path),
                format!("cannot be used ({what})"),
                "remove it or fetch it again",
            )
        })
    }
}

/// Side of a square picture, pixels; `None` for what is no such picture.
fn size_px(path: &Path) -> Option<u32> {
    let reader = image::ImageReader::open(path).ok()?.with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    (width == height).then_some(width)
}

/// Entries of a folder whose name, up to a dot or to the `@2x` of a tile of 512 px, is a number.
fn numbered(folder: &Path) -> Result<Vec<(u32, PathBuf)>, MapError> {
    let entries = std::fs::read_dir(folder).map_err(|e| MapError::read(folder, e))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| MapError::read(folder, e))?.path();
        if let Some(number) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.trim_end_matches("@2x").parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

fn bounds(tile: Tile) -> GeodeticBounds {
    let px = f64::from(TILE_PX);
    let (x, y) = (f64::from(tile.x) * px, f64::from(tile.y) * px);
    let ((north_deg, west_deg), (south_deg, east_deg)) =
        (lat_lon_from_pixel(tile.z, x, y), lat_lon_from_pixel(tile.z, x + px, y + px));
    GeodeticBounds { west_deg, south_deg, east_deg, north_deg }
}

/// One record for each separate patch of the finest tiles.
fn records(path: &Path, files: &BTreeMap<Tile, Stored>, finest: &BTreeMap<Tile, u8>) -> Vec<SourceRecord> {
    let leaves: Vec<Tile> = files.keys().copied().filter(|t| finest.get(t) == Some(&t.z)).collect();
    let rectangles: Vec<GeodeticBounds> = leaves.iter().map(|&t| bounds(t)).collect();
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let patches = cluster(&rectangles);
    let several = patches.len() > 1;
    patches
        .into_iter()
        .enumerate()
        .map(|(i, (bounds, members))| {
            let zoom = members.iter().filter_map(|&m| leaves.get(m)).map(|t| t.z).max().unwrap_or(0);
            SourceRecord {
                name: if several { format!("{name} #{}", i + 1) } else { name.clone() },
                bounds,
                corners_deg: None,
                ground_sampling_distance_m: ground_sampling_distance_m(zoom, bounds.centre().lat_deg),
                date: None,
                licence: None,
            }
        })
        .collect()
}

impl Layer for XyzFolder {
    fn records(&self) -> Vec<SourceRecord> {
        self.records.clone()
    }

    fn intersects(&self, tile: Tile) -> bool {
        self.finest.contains_key(&tile) || self.holder(tile).is_some()
    }

    fn zoom_in(&self, tile: Tile) -> u8 {
        self.finest.get(&tile).copied().or_else(|| self.holder(tile).map(|t| t.z)).unwrap_or(0)
    }

    fn draw(&self, tile: Tile, onto: &mut TilePixels) -> Result<(), MapError> {
        let Some(holder) = self.holder(tile) else { return Ok(()) };
        let pixels = self.decode(holder)?;
        let factor = f64::from(1u32 << (tile.z - holder.z));
        let side = TILE_PX as usize;
        let part = |t: u32, h: u32| (f64::from(t) / factor - f64::from(h)) * f64::from(TILE_PX);
        let (x0, y0) = (part(tile.x, holder.x), part(tile.y, holder.y));
        let window = Window { x0: 0, y0: 0, width: side, height: side, rgba: pixels.rgba().to_vec() };
        for (i, p) in onto.rgba_mut().chunks_exact_mut(4).enumerate() {
            let (column, row) = ((i % side) as f64 + 0.5, (i / side) as f64 + 0.5);
            if let Some([r, g, b]) = colour(window.sample(x0 + column / factor, y0 + row / factor)) {
                p.copy_from_slice(&[r, g, b, 255]);
            }
        }
        Ok(())
    }

    fn verbatim(&self, tile: Tile) -> Result<Option<Vec<u8>>, MapError> {
        if self.files.get(&tile).is_none_or(|stored| stored.quarter.is_some()) {
            return Ok(None);
        }
        let bytes = self.bytes(tile)?;
        let stays = matches!(image::guess_format(&bytes), Ok(image::ImageFormat::Jpeg | image::ImageFormat::Png));
        Ok(stays.then_some(bytes))
    }

    fn date(&self) -> Option<&str> {
        None
    }
}
