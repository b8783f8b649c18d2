//! Tiles that take the place of a map's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::resample::{Window, colour};
use super::tile::TilePixels;
use crate::geo::mercator::{TILE_PX, Tile};

/// Replacing tiles, of one zoom.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    tiles: BTreeMap<Tile, Arc<TilePixels>>,
}

impl Overlay {
    pub fn new(tiles: BTreeMap<Tile, Arc<TilePixels>>) -> Self {
        Self { tiles }
    }

    /// The replacing tile that is this one or contains it.
    pub fn around(&self, tile: Tile) -> Option<(Tile, &Arc<TilePixels>)> {
        let mut at = tile;
        loop {
            if let Some(found) = self.tiles.get(&at) {
                return Some((at, found));
            }
            if at.z == 0 {
                return None;
            }
            at = at.parent();
        }
    }

    /// A coarser tile with the replacing ones below it drawn in, each pixel the average of those that it stands for.
    pub fn drawn_into(&self, tile: Tile, own: Option<Arc<TilePixels>>) -> Option<Arc<TilePixels>> {
        if !self.tiles.keys().any(|t| is_below(*t, tile)) {
            return own;
        }
        let mut pixels = own.map_or_else(TilePixels::default, |p| (*p).clone());
        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let child = Tile { z: tile.z + 1, x: 2 * tile.x + column, y: 2 * tile.y + row };
            let replacing = match self.tiles.get(&child) {
                Some(found) => Some(Arc::clone(found)),
                None if self.tiles.keys().any(|t| is_below(*t, child)) => {
                    // The child as this tile shows it, so that what is not replaced stays as it is.
                    let shown = Arc::new(enlarge(&pixels, tile, child));
                    self.drawn_into(child, Some(shown))
                }
                None => None,
            };
            if let Some(replacing) = replacing {
                pixels.draw_child(&replacing, column as usize, row as usize);
            }
        }
        Some(Arc::new(pixels))
    }
}

fn is_below(tile: Tile, ancestor: Tile) -> bool {
    let down = tile.z.saturating_sub(ancestor.z);
    down > 0 && (tile.x >> down, tile.y >> down) == (ancestor.x, ancestor.y)
}

/// The part of `ancestor` that `tile` covers, bilinearly enlarged.
pub(super) fn enlarge(pixels: &TilePixels, ancestor: Tile, tile: Tile) -> TilePixels {
    let side = TILE_PX as usize;
    let factor = f64::from(1u32 << (tile.z - ancestor.z));
    let part = |t: u32, a: u32| (f64::from(t) / factor - f64::from(a)) * f64::from(TILE_PX);
    let (x0, y0) = (part(tile.x, ancestor.x), part(tile.y, ancestor.y));
    let window = Window { x0: 0, y0: 0, width: side, height: side, rgba: pixels.rgba().to_vec() };
    let mut out = TilePixels::default();
    for (i, p) in out.rgba_mut().chunks_exact_mut(4).enumerate() {
        let (column, row) = ((i % side) as f64 + 0.5, (i / side) as f64 + 0.5);
        let s = window.sample(x0 + column / factor, y0 + row / factor);
        if let Some([r, g, b]) = colour(s) {
            p.copy_from_slice(&[r, g, b, 255]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: u8) -> Arc<TilePixels> {
        let mut tile = TilePixels::default();
        tile.rgba_mut().chunks_exact_mut(4).for_each(|p| p.copy_from_slice(&[value, value, value, 255]));
        Arc::new(tile)
    }

    #[test]
    fn a_replaced_tile_shows_in_those_below_and_in_its_part_of_those_above() {
        let replaced = Tile { z: 10, x: 5, y: 9 };
        let overlay = Overlay::new(BTreeMap::from([(replaced, plain(200))]));
        assert_eq!(overlay.around(Tile { z: 12, x: 21, y: 38 }).map(|(t, _)| t), Some(replaced));
        assert!(overlay.around(Tile { z: 12, x: 19, y: 38 }).is_none());
        // Two zooms up the tile takes a sixteenth: columns 64..128, rows 64..128.
        let above = overlay.drawn_into(Tile { z: 8, x: 1, y: 2 }, Some(plain(50))).unwrap();
        let at = |x: usize, y: usize| above.rgba()[(y * 256 + x) * 4];
        assert_eq!([at(96, 96), at(65, 65), at(62, 96), at(130, 96), at(10, 200)], [200, 200, 50, 50, 50]);
        let beside = plain(50);
        assert_eq!(overlay.drawn_into(Tile { z: 8, x: 2, y: 2 }, Some(Arc::clone(&beside))), Some(beside));
    }
}
