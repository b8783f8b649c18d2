//! A folder of tiles `z/x/y.{jpg,png,webp}`, y counted from the north, or, as TMS has it, from the south.

use super::Layer;
use crate::files;
use crate::geo::GeodeticBounds;
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, lat_lon_from_pixel};
use crate::map::MapError;
use crate::map::extent::{Agreement, agreement, bounds_from_text, in_words};
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
    /// From the south where the folder says so, by a `tilemapresource.xml`, as `gdal2tiles.py` writes it, or in a `metadata.json`; else from the north.
    #[default]
    AsTheFolderSays,
    /// From the south: TMS.
    FromSouth,
}

/// The finest zoom that tiles may have.
const MAX_ZOOM: u8 = 23;
/// Where programs state what a folder of tiles holds: mb-util and MapTiler, TileJSON.
const TILE_JSON: [&str; 4] = ["metadata.json", "tiles.json", "tilejson.json", "tile.json"];
/// A longer one is something else.
const LARGEST_JSON: u64 = 1 << 20;
/// What `gdal2tiles.py` writes into a folder whose rows are counted from the south.
const TMS_FILE: &str = "tilemapresource.xml";

impl XyzFolder {
    /// Looks for tiles in a folder; `None` when it holds none.
    pub fn open(path: &Path, rows: TileRows, warnings: &mut Vec<String>) -> Result<Option<Self>, MapError> {
        let found = listed(path, warnings)?;
        let from_south = Stated::of(path)?.counts_from_south(path, rows, &found, warnings)?;
        let mut files = BTreeMap::new();
        let mut no_pictures = Vec::new();
        for (counted, file) in found {
            let tile = if from_south { from_the_other_side(counted) } else { counted };
            match size_px(&file) {
                Some(TILE_PX) => drop(files.insert(tile, Stored { path: file, quarter: None })),
                Some(size) if size == 2 * TILE_PX && tile.z < MAX_ZOOM => {
                    for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                        let part = Tile { z: tile.z + 1, x: 2 * tile.x + column, y: 2 * tile.y + row };
                        files.insert(part, Stored { path: file.clone(), quarter: Some((column, row)) });
                    }
                }
                _ => no_pictures.push(file),
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
        files::read(path).map_err(|e| MapError::read(path, e))
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

/// The files of a folder that are named as tiles are, by their numbers.
fn listed(path: &Path, warnings: &mut Vec<String>) -> Result<Vec<(Tile, PathBuf)>, MapError> {
    let mut found = Vec::new();
    for (number, of_zoom) in numbered(path)?.into_iter().filter(|z| z.1.is_dir()) {
        let Some(zoom) = u8::try_from(number).ok().filter(|zoom| *zoom <= MAX_ZOOM) else { continue };
        let side = 1u32 << zoom;
        for (x, column) in numbered(&of_zoom)?.into_iter().filter(|x| x.1.is_dir()) {
            for (y, file) in numbered(&column)?.into_iter().filter(|y| y.1.is_file()) {
                let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
                if !matches!(extension.as_str(), "" | "jpg" | "jpeg" | "png" | "webp") {
                    continue;
                }
                if x >= side || y >= side {
                    warnings.push(format!("{}: zoom {zoom} has no such tile; it was left out", file.display()));
                    continue;
                }
                found.push((Tile { z: zoom, x, y }, file));
            }
        }
    }
    Ok(found)
}

/// The first folder within another that holds tiles, looked for in some hundred folders.
pub(super) fn nested(folder: &Path) -> Option<PathBuf> {
    let holds_tiles = |folder: &Path| {
        let inside = |folder: &Path| numbered(folder).unwrap_or_default().into_iter().map(|(_, path)| path).find(|p| p.is_dir());
        let column = inside(folder).and_then(|zoom| inside(&zoom));
        column.is_some_and(|column| numbered(&column).unwrap_or_default().iter().any(|(_, file)| file.is_file()))
    };
    let folders = walkdir::WalkDir::new(folder).min_depth(1).max_depth(3).sort_by_file_name().into_iter().flatten();
    folders.filter(|entry| entry.file_type().is_dir()).take(300).map(walkdir::DirEntry::into_path).find(|path| holds_tiles(path))
}

/// The tile of this row when rows are counted from the other side.
fn from_the_other_side(tile: Tile) -> Tile {
    Tile { y: tile.tms_row(), ..tile }
}

/// What a folder states of its tiles.
#[derive(Default)]
struct Stated {
    from_south: Option<bool>,
    bounds: Option<(GeodeticBounds, PathBuf)>,
}

impl Stated {
    fn of(folder: &Path) -> Result<Self, MapError> {
        let mut stated = Self { from_south: folder.join(TMS_FILE).is_file().then_some(true), bounds: None };
        let is_small = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.len() <= LARGEST_JSON);
        for file in TILE_JSON.iter().map(|name| folder.join(name)).filter(is_small) {
            let bytes = files::read(&file).map_err(|e| MapError::read(&file, e))?;
            // Other programs keep other things in files of these names.
            let Ok(json) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
            let scheme = json["scheme"].as_str().map(str::to_lowercase);
            stated.from_south = stated.from_south.or(scheme.and_then(|scheme| match scheme.as_str() {
                "tms" => Some(true),
                "xyz" => Some(false),
                _ => None,
            }));
            let text = match &json["bounds"] {
                serde_json::Value::Array(numbers) => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                other => other.as_str().unwrap_or_default().to_owned(),
            };
            stated.bounds = stated.bounds.or_else(|| Some((bounds_from_text(&text)?, file.clone())));
        }
        Ok(stated)
    }

    /// Whether the rows are counted from the south: as is asked for, else as the folder says. Its bounds have the last word.
    fn counts_from_south(
        &self,
        folder: &Path,
        rows: TileRows,
        found: &[(Tile, PathBuf)],
        warnings: &mut Vec<String>,
    ) -> Result<bool, MapError> {
        let from_south = rows == TileRows::FromSouth || self.from_south.unwrap_or(false);
        let Some((stated, file)) = &self.bounds else { return Ok(from_south) };
        let Some(finest) = found.iter().map(|(tile, _)| tile.z).max() else { return Ok(from_south) };
        let areas = |placed: &dyn Fn(Tile) -> Tile| -> Vec<GeodeticBounds> {
            let tiles = found.iter().filter(|(tile, _)| tile.z == finest).map(|(tile, _)| bounds(placed(*tile)));
            cluster(&tiles.collect::<Vec<_>>()).into_iter().map(|(area, _)| area).collect()
        };
        let counted = areas(&|tile| if from_south { from_the_other_side(tile) } else { tile });
        let side = |from_south: bool| if from_south { "south" } else { "north" };
        let (contradicts, hint) = match agreement(&counted, stated) {
            Agreement::AsCounted => return Ok(from_south),
            Agreement::OtherSide if rows == TileRows::AsTheFolderSays => {
                warnings.push(format!(
                    "{}: its rows are counted from the {}, as the bounds in {} tell",
                    folder.display(),
                    side(!from_south),
                    file.display()
                ));
                return Ok(!from_south);
            }
            Agreement::OtherSide => ("are on the other side of the equator", "leave --tms out".to_owned()),
            Agreement::Nowhere => {
                let swapped = areas(&|tile| Tile { x: tile.y, y: tile.x, ..tile });
                if agreement(&swapped, stated) == Agreement::Nowhere {
                    (
                        "lie elsewhere",
                        format!("remove what is wrong of them; without {} the tiles alone say where they are", file.display()),
                    )
                } else {
                    ("lie elsewhere", "its folders seem to be z/y/x: make them z/x/y".into())
                }
            }
        };
        let places = counted.first().map(in_words).unwrap_or_default();
        let what = format!("its tiles {contradicts} ({places}) than {} says ({})", file.display(), in_words(stated));
        Err(MapError::source(folder, what, hint))
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
