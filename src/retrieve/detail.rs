//! The map in more detail than an index holds it, computed where it is asked for.
//!
//! A frame that sees little ground fills too few cells of the finest level of an index to tell a place from chance, and places that rival each
//! other differ in what that level does not show. A level finer costs four times the index; but it is needed only where a frame may lie. Nothing
//! of it is kept: the places of consecutive frames that are wrong lie elsewhere each time.

use std::sync::Arc;

use super::build::{describe_grid, sharpest_m};
use super::index::{IndexError, RegionLevel, level_gsd_m};
use crate::map::MapStore;
use crate::models::DenseExtractor;

/// A level may be so many times finer than the map: beyond, it would only magnify.
const FINEST_OF_MAP: f64 = 0.2;

/// A map to be described in detail.
pub struct Detail {
    map: Arc<MapStore>,
}

/// A part of a region's plane, metres east and north.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Its western edge.
    pub west_m: f64,
    /// Its southern edge.
    pub south_m: f64,
    /// Its eastern edge.
    pub east_m: f64,
    /// Its northern edge.
    pub north_m: f64,
}

impl Detail {
    /// Of a map.
    pub fn new(map: Arc<MapStore>) -> Self {
        Self { map }
    }

    /// Whether a level (0.15 m · 2^level) would show more than there is in the map's sharpest imagery.
    pub fn magnifies(&self, level: u32) -> bool {
        level_gsd_m(level) < sharpest_m(self.map.regions()) * FINEST_OF_MAP
    }

    /// A part of a region at a level, rounded up to whole cells; `None` where the map has no such region.
    ///
    /// # Errors
    /// When the map cannot be read or the network fails.
    pub fn window(
        &self,
        (region, level): (usize, u32),
        bounds: &Bounds,
        stride: usize,
        network: &mut dyn DenseExtractor,
    ) -> Result<Option<RegionLevel>, IndexError> {
        if self.map.regions().get(region).is_none() {
            return Ok(None);
        }
        let cell_m = level_gsd_m(level) * stride as f64;
        let first = |v: f64| (v / cell_m).floor();
        // Rows count from north to south.
        let (row, column) = (first(-bounds.north_m), first(bounds.west_m));
        let (rows, columns) = (first(-bounds.south_m) - row + 1.0, first(bounds.east_m) - column + 1.0);
        let (rows, columns) = (rows.max(1.0) as usize, columns.max(1.0) as usize);
        let channels = network.entry().descriptors.channels;
        let mut grid = RegionLevel {
            west_m: column * cell_m,
            north_m: -row * cell_m,
            cell_m,
            rows,
            columns,
            channels,
            descriptors: vec![0; rows * columns * channels],
            covered: vec![0; rows * columns],
        };
        describe_grid(&self.map, (region, level), &mut grid, stride, network)?;
        Ok(Some(grid))
    }
}
