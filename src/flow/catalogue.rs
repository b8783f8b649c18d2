//! Edits of the tile catalogue, and how they enter the graph.

use std::path::Path;

use differential_dataflow::input::InputSession;
use serde::Deserialize;

use crate::geo::mercator::{TILE_PX, Tile, lat_lon_from_pixel};
use crate::retrieve::{CellId, MapIndex};

/// What happens to a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Not to be searched any more.
    Withdraw,
    /// To be searched again.
    Restore,
}

/// One edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
}

/// A list of edits, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapEdits {
    /// The edits.
    #[serde(default)]
    pub edit: Vec<MapEdit>,
}

impl MapEdits {
    /// Reads a TOML file of `[[edit]]` tables.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let edits: Self = toml::from_str(&text).map_err(|e| format!("{}: {}", path.display(), e.to_string().trim()))?;
        match edits.edit.iter().find(|e| e.z > 30 || e.x >= 1 << e.z || e.y >= 1 << e.z) {
            Some(e) => Err(format!("{}: there is no tile {}/{}/{}", path.display(), e.z, e.x, e.y)),
            None => Ok(edits),
        }
    }
}

/// The catalogue's inputs on the worker that feeds them.
pub struct CatalogueInput {
    /// All cells of the index.
    pub cells: InputSession<u64, CellId, isize>,
    /// Which cell a tile touches.
    pub touches: InputSession<u64, (Tile, CellId), isize>,
    /// Tiles withdrawn.
    pub withdrawn: InputSession<u64, Tile, isize>,
}

impl CatalogueInput {
    /// Enters the index' cells and all edits, each at its frame, and closes the inputs.
    pub fn fill(mut self, index: &MapIndex, edits: &MapEdits) {
        for level in &index.levels {
            for cell in &level.cells {
                self.cells.insert(*cell);
            }
        }
        let mut tiles: Vec<Tile> = edits.edit.iter().map(|e| Tile { z: e.z, x: e.x, y: e.y }).collect();
        tiles.sort();
        tiles.dedup();
        for tile in &tiles {
            for cell in cells_touched(index, *tile) {
                self.touches.insert((*tile, cell));
            }
        }
        // A tile withdrawn twice is withdrawn once.
        for tile in tiles {
            let mut gone = false;
            let mut mine: Vec<&MapEdit> = edits.edit.iter().filter(|e| (e.z, e.x, e.y) == (tile.z, tile.x, tile.y)).collect();
            mine.sort_by_key(|e| e.frame);
            for edit in mine {
                let wanted = edit.action == Action::Withdraw;
                if wanted != gone {
                    self.withdrawn.update_at(tile, edit.frame, if wanted { 1 } else { -1 });
                    gone = wanted;
                }
            }
        }
    }
}

/// The cells, of all levels, whose square meets a tile.
pub fn cells_touched(index: &MapIndex, tile: Tile) -> Vec<CellId> {
    let px = f64::from(TILE_PX);
    let corner = |dx: f64, dy: f64| lat_lon_from_pixel(tile.z, (f64::from(tile.x) + dx) * px, (f64::from(tile.y) + dy) * px);
    let mut out = Vec::new();
    for (region, indexed) in index.regions.iter().enumerate() {
        let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
            .map(|(dx, dy)| corner(dx, dy))
            .map(|(lat, lon)| indexed.plane.ground_from_lat_lon(lat, lon));
        let range = |value: fn(&crate::geo::Enu) -> f64| {
            let values = corners.iter().map(value);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        };
        let ((west, east), (south, north)) = (range(|p| p.e_m), range(|p| p.n_m));
        let cells = index.levels.iter().flat_map(|l| &l.cells).filter(|c| c.region as usize == region);
        out.extend(cells.copied().filter(|c| {
            index
                .cell_centre_m(*c)
                .is_some_and(|([e, n], half)| e + half > west && e - half < east && n + half > south && n - half < north)
        }));
    }
    out
}
