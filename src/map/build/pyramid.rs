//! The pyramid, depth first: a tile at the finest zoom of its area is drawn from the layers, any other is the average of its four
//! children. So each layer is read once, and only one tile a zoom is in memory.

use super::writer::{Encoded, Writer};
use super::{BuildOptions, Progress, children};
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, lat_lon_from_pixel};
use crate::map::MapError;
use crate::map::import::Layer;
use crate::map::tile::TilePixels;
use rayon::prelude::*;

/// Levels above the finest zoom at which subtrees are handed to threads: 4³ = 64 tiles each, small in memory.
const SUBTREE_LEVELS: u8 = 3;
/// The map starts at the finest zoom where everything fits into this many tiles.
const TILES_AT_MIN_ZOOM: usize = 4;

pub(super) struct Pyramid<'a> {
    layers: &'a [Box<dyn Layer>],
    options: &'a BuildOptions,
    total: u64,
    min_zoom: u8,
}

#[derive(Default)]
struct Subtree {
    pixels: Option<TilePixels>,
    encoded: Vec<Encoded>,
    leaves: u64,
    /// Ground that is shown, square metres.
    imagery_m2: f64,
}

/// The ground that a tile shows, square metres.
fn shown_m2(tile: Tile, pixels: &TilePixels) -> f64 {
    let (lat_deg, _) = lat_lon_from_pixel(tile.z, tile.x as f64 * f64::from(TILE_PX), (tile.y as f64 + 0.5) * f64::from(TILE_PX));
    let shown = pixels.rgba().chunks_exact(4).filter(|p| p[3] > 0).count();
    shown as f64 * ground_sampling_distance_m(tile.z, lat_deg).powi(2)
}

impl<'a> Pyramid<'a> {
    pub fn new(layers: &'a [Box<dyn Layer>], options: &'a BuildOptions) -> Self {
        let mut pyramid = Self { layers, options, total: 0, min_zoom: 0 };
        let root = Tile { z: 0, x: 0, y: 0 };
        let all: Vec<usize> = (0..layers.len()).collect();
        let mut counts = Vec::new();
        let mut coarsest_leaf = u8::MAX;
        pyramid.total = pyramid.count(root, &all, &mut counts, &mut coarsest_leaf);
        // Counts grow with the zoom up to the finest zoom of the coarsest source, whose tiles must be stored.
        let fits = counts.iter().take_while(|&&n| n <= TILES_AT_MIN_ZOOM).count().saturating_sub(1);
        pyramid.min_zoom = (fits as u8).min(coarsest_leaf);
        if let Some(max) = options.max_zoom {
            pyramid.min_zoom = pyramid.min_zoom.min(max);
        }
        pyramid
    }

    /// Tiles of the finest zooms.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Writes all tiles; returns the zooms there are and the ground that is shown, square metres.
    pub fn build(&self, writer: &mut Writer, progress: &dyn Fn(Progress)) -> Result<((u8, u8), f64), MapError> {
        let (mut done, mut imagery_m2) = (0, 0.0);
        progress(Progress { done, total: self.total, what: "tiles" });
        let all: Vec<usize> = (0..self.layers.len()).collect();
        self.walk(Tile { z: 0, x: 0, y: 0 }, &all, writer, &mut |subtree| {
            done += subtree.leaves;
            imagery_m2 += subtree.imagery_m2;
            progress(Progress { done, total: self.total, what: "tiles" });
        })?;
        Ok(((self.min_zoom, writer.max_zoom()), imagery_m2))
    }

    /// The layers among `candidates` that have imagery in a tile.
    fn inside(&self, tile: Tile, candidates: &[usize]) -> Vec<usize> {
        candidates.iter().copied().filter(|&i| self.layers[i].intersects(tile)).collect()
    }

    /// The finest zoom inside a tile. A coarse layer over or under a fine one is drawn at the fine one's zoom, or the tiles of
    /// the fine one would hide it.
    fn leaf_zoom(&self, tile: Tile, inside: &[usize]) -> u8 {
        let own = inside.iter().map(|&i| self.layers[i].zoom_in(tile)).max().unwrap_or(0);
        // A finer zoom than the source's is made where it is asked for; a coarser one only drops the finest from the file.
        self.options.max_zoom.map_or(own, |max| own.max(max.min(own + 4)))
    }

    fn count(&self, tile: Tile, candidates: &[usize], counts: &mut Vec<usize>, coarsest_leaf: &mut u8) -> u64 {
        let inside = self.inside(tile, candidates);
        if inside.is_empty() {
            return 0;
        }
        if counts.len() <= usize::from(tile.z) {
            counts.resize(usize::from(tile.z) + 1, 0);
        }
        counts[usize::from(tile.z)] += 1;
        if tile.z >= self.leaf_zoom(tile, &inside) {
            *coarsest_leaf = tile.z.min(*coarsest_leaf);
            return 1;
        }
        children(tile).into_iter().map(|(child, _, _)| self.count(child, &inside, counts, coarsest_leaf)).sum()
    }

    /// Builds a tile and all below it, subtrees in parallel, and writes them in a fixed order.
    fn walk(
        &self,
        tile: Tile,
        candidates: &[usize],
        writer: &mut Writer,
        done: &mut dyn FnMut(&Subtree),
    ) -> Result<Option<TilePixels>, MapError> {
        let inside = self.inside(tile, candidates);
        if inside.is_empty() {
            return Ok(None);
        }
        let leaf = self.leaf_zoom(tile, &inside);
        if tile.z + SUBTREE_LEVELS >= leaf {
            let subtree = self.subtree(tile, &inside)?;
            for encoded in &subtree.encoded {
                writer.put(encoded)?;
            }
            done(&subtree);
            return Ok(subtree.pixels);
        }
        let mut pixels = TilePixels::default();
        if tile.z + SUBTREE_LEVELS + 1 == leaf {
            // The four subtrees below at once.
            let subtrees: Vec<Result<(Subtree, usize, usize), MapError>> = children(tile)
                .into_par_iter()
                .map(|(child, column, row)| Ok((self.subtree(child, &inside)?, column, row)))
                .collect();
            for subtree in subtrees {
                let (subtree, column, row) = subtree?;
                for encoded in &subtree.encoded {
                    writer.put(encoded)?;
                }
                done(&subtree);
                if let Some(child) = subtree.pixels {
                    pixels.draw_child(&child, column, row);
                }
            }
        } else {
            for (child, column, row) in children(tile) {
                if let Some(child) = self.walk(child, &inside, writer, done)? {
                    pixels.draw_child(&child, column, row);
                }
            }
        }
        if pixels.is_empty() {
            return Ok(None);
        }
        if let Some(encoded) = self.encode(tile, &pixels)? {
            writer.put(&encoded)?;
        }
        Ok(Some(pixels))
    }

    /// A tile and all below it, in memory.
    fn subtree(&self, tile: Tile, candidates: &[usize]) -> Result<Subtree, MapError> {
        let inside = self.inside(tile, candidates);
        if inside.is_empty() {
            return Ok(Subtree::default());
        }
        let mut pixels = TilePixels::default();
        let mut encoded = Vec::new();
        let (mut leaves, mut imagery_m2) = (0, 0.0);
        if tile.z >= self.leaf_zoom(tile, &inside) {
            for &i in &inside {
                self.layers[i].draw(tile, &mut pixels)?;
            }
            leaves = 1;
            imagery_m2 = shown_m2(tile, &pixels);
            if let ([only], true) = (&inside[..], self.stored(tile))
                && let Some(bytes) = self.layers[*only].verbatim(tile)?
            {
                let jpeg = bytes.starts_with(&[0xff, 0xd8]);
                encoded.push(Encoded { tile, bytes, jpeg });
                return Ok(Subtree { pixels: Some(pixels), encoded, leaves, imagery_m2 });
            }
        } else {
            for (child, column, row) in children(tile) {
                let mut subtree = self.subtree(child, &inside)?;
                encoded.append(&mut subtree.encoded);
                leaves += subtree.leaves;
                imagery_m2 += subtree.imagery_m2;
                if let Some(child) = subtree.pixels {
                    pixels.draw_child(&child, column, row);
                }
            }
        }
        if pixels.is_empty() {
            return Ok(Subtree { encoded, leaves, ..Subtree::default() });
        }
        encoded.extend(self.encode(tile, &pixels)?);
        Ok(Subtree { pixels: Some(pixels), encoded, leaves, imagery_m2 })
    }

    fn stored(&self, tile: Tile) -> bool {
        tile.z >= self.min_zoom && self.options.max_zoom.is_none_or(|max| tile.z <= max)
    }

    fn encode(&self, tile: Tile, pixels: &TilePixels) -> Result<Option<Encoded>, MapError> {
        if !self.stored(tile) {
            return Ok(None);
        }
        let (bytes, jpeg) = pixels
            .encode(self.options.jpeg_quality)
            .map_err(|e| MapError::write(std::path::Path::new("tile"), format!("a tile cannot be encoded ({e})")))?;
        Ok(Some(Encoded { tile, bytes, jpeg }))
    }
}
