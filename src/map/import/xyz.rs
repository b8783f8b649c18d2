//! A folder of tiles `z/x/y.{jpg,png,webp}`, y counted from the north.

use super::Layer;
use crate::geo::GeodeticBounds;
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, lat_lon_from_pixel};
use crate::map::MapError;
use crate::map::region::{SourceRecord, cluster};
use crate::map::resample::{Window, colour};
use crate::map::tile::TilePixels;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The tiles of a folder.
pub(crate) struct XyzFolder {
    path: PathBuf,
    files: BTreeMap<Tile, PathBuf>,
    /// Every tile and all that contain it, with the finest zoom found inside.
    finest: BTreeMap<Tile, u8>,
    records: Vec<SourceRecord>,
}

impl XyzFolder {
    /// Looks for tiles in a folder; `None` when it holds none.
    pub fn open(path: &Path, warnings: &mut Vec<String>) -> Result<Option<Self>, MapError> {
        let mut files = BTreeMap::new();
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
                    files.insert(Tile { z: zoom, x: x.0, y: y.0 }, y.1);
                }
            }
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
        let path = self.files.get(&tile).unwrap_or(&self.path);
        std::fs::read(path).map_err(|e| MapError::read(path, e))
    }

    fn decode(&self, tile: Tile) -> Result<TilePixels, MapError> {
        TilePixels::decode(&self.bytes(tile)?).map_err(|what| {
            MapError::source(
                self.files.get(&tile).unwrap_or(&self.path),
                format!("cannot be used ({what})"),
                "remove it or fetch it again",
            )
        })
    }
}

/// Entries of a folder whose name, up to a dot, is a number.
fn numbered(folder: &Path) -> Result<Vec<(u32, PathBuf)>, MapError> {
    let entries = std::fs::read_dir(folder).map_err(|e| MapError::read(folder, e))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| MapError::read(folder, e))?.path();
        if let Some(number) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok()) {
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
fn records(path: &Path, files: &BTreeMap<Tile, PathBuf>, finest: &BTreeMap<Tile, u8>) -> Vec<SourceRecord> {
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
        if !self.files.contains_key(&tile) {
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
