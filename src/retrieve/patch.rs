//! Patches: what a map shows where tiles of it were replaced, as further regions of its index.
//!
//! A patch lies in the plane of the region that it covers, on the same lattice, so that each of its cells stands for one of the
//! region's. Which of the two may be searched is the catalogue's business; the index holds both.

use super::build::{describe_cell, describe_grid};
use super::index::{CELL_SIDE, CELL_STEP, CellId, IndexError, IndexedRegion, MapIndex, RegionLevel};
use crate::geo::mercator::Tile;
use crate::map::MapStore;
use crate::models::DenseExtractor;

/// Dense cells of surroundings on each side, so that a frame over the patch's rim still lies on imagery: a template's side.
const SURROUNDINGS: usize = 4 * CELL_STEP;

/// Describes the cells of a region that any of `tiles` touches anew, from `map`, which shows the replacing tiles. Returns the
/// number of the patch's region; `None` when the tiles touch no cell of the region.
///
/// # Errors
/// When the map cannot be read or the network fails.
pub fn add_patch(
    index: &mut MapIndex,
    map: &MapStore,
    region: u32,
    tiles: &[Tile],
    network: &mut dyn DenseExtractor,
) -> Result<Option<u32>, IndexError> {
    let Some(of_map) = map.regions().get(region as usize) else { return Ok(None) };
    let patch = index.regions.len() as u32;
    let stride = index.identity.stride_px;
    let touched: Vec<CellId> = tiles.iter().flat_map(|t| index.cells_touched(*t)).filter(|c| c.region == region).collect();
    if touched.is_empty() {
        return Ok(None);
    }
    for level in &mut index.levels {
        let mut cells: Vec<CellId> = touched.iter().copied().filter(|c| c.level == level.level).collect();
        cells.sort_unstable();
        cells.dedup();
        let whole = level.regions.get(region as usize).and_then(Option::as_ref);
        let Some((whole, extent)) = whole.zip(Extent::around(&cells)) else {
            level.regions.push(None);
            continue;
        };
        let (mut grid, first_row, first_column) = extent.grid(whole);
        describe_grid(map, (region as usize, level.level), &mut grid, stride, network)?;
        for cell in cells {
            let (row, column) = (cell.row - first_row as u32, cell.column - first_column as u32);
            let at = |v: u32| v as usize * CELL_STEP;
            let corner = (at(row), at(column));
            let Some(global) = describe_cell((map, of_map), &grid, &level.model, network, corner)? else { continue };
            level.cells.push(CellId { region: patch, level: level.level, row, column });
            level.global.extend(global);
        }
        level.regions.push(Some(grid));
    }
    if let Some(parent) = index.regions.get(region as usize) {
        let parent = IndexedRegion { id: patch, patch_of: Some(region), ..parent.clone() };
        index.regions.push(parent);
    }
    Ok(Some(patch))
}

/// Rows and columns of retrieval cells, inclusive.
struct Extent {
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Extent {
    fn around(cells: &[CellId]) -> Option<Self> {
        let range = |of: fn(&CellId) -> u32| {
            let values = cells.iter().map(|c| of(c) as usize);
            values.clone().min().zip(values.max())
        };
        Some(Self { rows: range(|c| c.row)?, columns: range(|c| c.column)? })
    }

    /// An empty grid of these cells and their surroundings within `whole`, and where on its lattice of cells it begins.
    fn grid(&self, whole: &RegionLevel) -> (RegionLevel, usize, usize) {
        let cut = |(first, last): (usize, usize), size: usize| {
            let from = (first * CELL_STEP).saturating_sub(SURROUNDINGS);
            (from, (last * CELL_STEP + CELL_SIDE + SURROUNDINGS).min(size) - from)
        };
        let ((row, rows), (column, columns)) = (cut(self.rows, whole.rows), cut(self.columns, whole.columns));
        let (west_m, north_m) = whole.ground_from_grid(row as f64, column as f64);
        let (descriptors, covered) = (vec![0; rows * columns * whole.channels], vec![0; rows * columns]);
        let grid =
            RegionLevel { west_m, north_m, cell_m: whole.cell_m, rows, columns, channels: whole.channels, descriptors, covered };
        (grid, row / CELL_STEP, column / CELL_STEP)
    }
}
