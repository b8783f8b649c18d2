//! Edits of the tile catalogue, what they ask of the index, and how they enter the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use differential_dataflow::input::InputSession;
use serde::Deserialize;

use crate::files;
use crate::geo::mercator::Tile;
use crate::map::{MapStore, TilePixels};
use crate::models::DenseExtractor;
use crate::retrieve::patch::add_patch;
use crate::retrieve::{CellId, IndexError, MapIndex};

/// What happens to a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Not to be searched any more.
    Withdraw,
    /// To be searched again, with the map's own imagery.
    Restore,
    /// To be searched with other imagery.
    Replace,
}

/// One edit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapEdit {
    /// From this frame on.
    pub frame: u64,
    /// What happens.
    pub action: Action,
    /// Zoom of the tile (XYZ scheme).
    pub z: u8,
    /// Column.
    pub x: u32,
    /// Row, from the north.
    pub y: u32,
    /// The new picture of a tile that is replaced: 256 × 256 pixels; relative to the file of edits.
    #[serde(default)]
    pub image: Option<PathBuf>,
}

impl MapEdit {
    /// The tile.
    pub fn tile(&self) -> Tile {
        Tile { z: self.z, x: self.x, y: self.y }
    }
}

/// A list of edits. Edits of one frame take effect in the order given.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapEdits {
    /// The edits.
    #[serde(default)]
    pub edit: Vec<MapEdit>,
}

/// What can go wrong with edits.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file of edits.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A replacing picture.
    #[error("{path}: cannot replace a tile: {reason}")]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The map or the network.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl MapEdits {
    /// Reads a TOML file of `[[edit]]` tables.
    pub fn read(path: &Path) -> Result<Self, EditError> {
        let fail = |reason: String| EditError::File { path: path.into(), reason };
        let text = files::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        let mut edits: Self = toml::from_str(&text).map_err(|e| fail(e.to_string().trim().into()))?;
        for edit in &mut edits.edit {
            let Tile { z, x, y } = edit.tile();
            if z > 30 || x >= 1 << z || y >= 1 << z {
                return Err(fail(format!("there is no tile {z}/{x}/{y}")));
            }
            match (&mut edit.image, edit.action) {
                (Some(image), Action::Replace) => *image = path.parent().unwrap_or(Path::new("")).join(&*image),
                (None, Action::Replace) => {
                    return Err(fail(format!("tile {z}/{x}/{y} is to be replaced; say by which picture: image = \"FILE\"")));
                }
                (Some(_), _) => return Err(fail(format!("tile {z}/{x}/{y}: only a tile that is replaced has an image"))),
                (None, _) => {}
            }
        }
        edits.edit.sort_by_key(|e| e.frame);
        Ok(edits)
    }

    /// The frames at which something changes, each with what every edited tile is from then on.
    fn states(&self) -> Vec<(u64, BTreeMap<Tile, &MapEdit>)> {
        let mut now = BTreeMap::new();
        let mut out: Vec<(u64, BTreeMap<Tile, &MapEdit>)> = Vec::new();
        for edit in &self.edit {
            now.insert(edit.tile(), edit);
            match out.last_mut() {
                Some(last) if last.0 == edit.frame => last.1 = now.clone(),
                _ => out.push((edit.frame, now.clone())),
            }
        }
        out
    }
}

/// A region of the map and replaced tiles in it that share cells, each with its picture.
type Group<'a> = (u32, Vec<(Tile, &'a Path)>);

/// A patch of the index and when it may be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Patch {
    region: u32,
    tiles: Vec<Tile>,
    from: u64,
    until: Option<u64>,
}

/// Edits made ready: the patches that they need are in the index.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    edits: MapEdits,
    patches: Vec<Patch>,
}

impl Catalogue {
    /// Adds what replaced tiles show to the index, as patches. Tiles that share a cell become one patch; a patch stays as it is
    /// for as long as its own tiles do.
    ///
    /// # Errors
    /// When a picture cannot be read, the map cannot, or the network fails.
    pub fn prepare(
        edits: MapEdits,
        index: &mut MapIndex,
        map: &MapStore,
        network: &mut dyn DenseExtractor,
    ) -> Result<Self, EditError> {
        let mut pictures: BTreeMap<PathBuf, Arc<TilePixels>> = BTreeMap::new();
        for path in edits.edit.iter().filter_map(|e| e.image.as_ref()) {
            let fail = |reason: String| EditError::Picture { path: path.clone(), reason };
            let bytes = files::read(path).map_err(|e| fail(e.to_string()))?;
            pictures.insert(path.clone(), Arc::new(TilePixels::decode(&bytes).map_err(fail)?));
        }
        let mut patches: Vec<Patch> = Vec::new();
        // What is searched now, by region, tiles and their pictures: the patches' places in `patches`.
        let mut current: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
        for (frame, state) in edits.states() {
            let replaced: BTreeMap<Tile, &Path> =
                state.iter().filter_map(|(tile, e)| Some((*tile, e.image.as_deref()?))).collect();
            let groups: BTreeSet<Group> = groups(index, &replaced)
                .into_iter()
                .map(|(region, tiles)| (region, tiles.into_iter().filter_map(|t| Some((t, *replaced.get(&t)?))).collect()))
                .collect();
            current.retain(|key, places| {
                let stays = groups.contains(key);
                if !stays {
                    for place in places {
                        patches[*place].until = Some(frame);
                    }
                }
                stays
            });
            let shown: BTreeMap<Tile, Arc<TilePixels>> =
                replaced.iter().filter_map(|(tile, path)| Some((*tile, Arc::clone(pictures.get(*path)?)))).collect();
            for key in groups {
                if current.contains_key(&key) {
                    continue;
                }
                let tiles: Vec<Tile> = key.1.iter().map(|(tile, _)| *tile).collect();
                let edited = map.with_tiles(shown.clone()).map_err(IndexError::Map)?;
                let mut places = Vec::new();
                if let Some(region) = add_patch(index, &edited, key.0, &tiles, network)? {
                    places.push(patches.len());
                    patches.push(Patch { region, tiles, from: frame, until: None });
                }
                current.insert(key, places);
            }
        }
        Ok(Self { edits, patches })
    }

    /// Edited tiles that no part of the map's index lies under: most likely a mistake.
    pub fn beside_the_map(&self, index: &MapIndex) -> Vec<Tile> {
        let tiles: BTreeSet<Tile> = self.edits.edit.iter().map(MapEdit::tile).collect();
        tiles.into_iter().filter(|t| index.cells_touched(*t).is_empty()).collect()
    }
}

/// The replaced tiles in groups that share no cell, each with the region of the map that it lies in.
fn groups(index: &MapIndex, replaced: &BTreeMap<Tile, &Path>) -> Vec<(u32, Vec<Tile>)> {
    let mut out: Vec<(u32, Vec<Tile>, BTreeSet<CellId>)> = Vec::new();
    for tile in replaced.keys() {
        let mut by_region: BTreeMap<u32, BTreeSet<CellId>> = BTreeMap::new();
        for cell in index.cells_touched(*tile).into_iter().filter(|c| !index.is_patch(c.region)) {
            by_region.entry(cell.region).or_default().insert(cell);
        }
        for (region, mut cells) in by_region {
            let mut tiles = vec![*tile];
            // What the new tile connects becomes one.
            out.retain(|(_, of, touched)| {
                let apart = touched.is_disjoint(&cells);
                if !apart {
                    tiles.extend(of);
                    cells.extend(touched);
                }
                apart
            });
            tiles.sort_unstable();
            out.push((region, tiles, cells));
        }
    }
    out.into_iter().map(|(region, tiles, _)| (region, tiles)).collect()
}

/// The catalogue's inputs on the worker that feeds them.
pub struct CatalogueInput {
    /// Cells of the index, those of patches only while they are searched.
    pub cells: InputSession<u64, CellId, isize>,
    /// Which cell a tile touches that takes the cell out of the search when it is withdrawn or replaced.
    pub touches: InputSession<u64, (Tile, CellId), isize>,
    /// Tiles withdrawn or replaced.
    pub withdrawn: InputSession<u64, Tile, isize>,
}

impl CatalogueInput {
    /// Enters the index' cells and all edits, each at its frame, and closes the inputs.
    pub fn fill(mut self, index: &MapIndex, catalogue: &Catalogue) {
        for cell in index.levels.iter().flat_map(|l| &l.cells) {
            match catalogue.patches.iter().find(|p| p.region == cell.region) {
                None => self.cells.insert(*cell),
                Some(patch) => {
                    self.cells.update_at(*cell, patch.from, 1);
                    if let Some(until) = patch.until {
                        self.cells.update_at(*cell, until, -1);
                    }
                }
            }
        }
        let tiles: BTreeSet<Tile> = catalogue.edits.edit.iter().map(MapEdit::tile).collect();
        for tile in tiles {
            for cell in index.cells_touched(tile) {
                let shown = catalogue.patches.iter().any(|p| p.region == cell.region && p.tiles.contains(&tile));
                if !shown {
                    self.touches.insert((tile, cell));
                }
            }
            // A tile withdrawn twice is withdrawn once.
            let mut gone = false;
            for (frame, state) in catalogue.edits.states() {
                let Some(edit) = state.get(&tile) else { continue };
                let wanted = edit.action != Action::Restore;
                if wanted != gone {
                    self.withdrawn.update_at(tile, frame, if wanted { 1 } else { -1 });
                    gone = wanted;
                }
            }
        }
    }
}
