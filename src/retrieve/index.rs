//! The index of a map: dense features on a metric lattice and a global descriptor for each cell.
//!
//! Levels have ground sampling distances of 0.15 m · 2^k, the same for every map, so that a frame of any height finds a level at
//! which its view has a good size. Features are stored as signed bytes (127 is 1.0).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::projection::Projection;
use crate::geo::mercator::{TILE_PX, Tile, lat_lon_from_pixel};
use crate::geo::{Enu, EnuPlane, Geodetic, GeodeticBounds};
use crate::map::{MapError, Region};
use crate::models::ModelError;

/// The finest level of the lattice, metres a pixel.
pub const BASE_GSD_M: f64 = 0.15;
/// Channels of the search features.
pub const SEARCH_CHANNELS: usize = 24;
/// Clusters of the aggregation without a trained head.
pub const CLUSTERS: usize = 32;
/// Side of a retrieval cell, dense cells.
pub const CELL_SIDE: usize = 32;
/// Distance between neighbouring retrieval cells, dense cells: they overlap by half.
pub const CELL_STEP: usize = 16;

/// A retrieval cell of the map. Never carries a descriptor: those stay in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellId {
    /// Region of the map.
    pub region: u32,
    /// Level: ground sampling distance 0.15 m · 2^level.
    pub level: u32,
    /// Row on the lattice of cells, from the north.
    pub row: u32,
    /// Column, from the west.
    pub column: u32,
}

/// Ground sampling distance of a level, metres.
pub fn level_gsd_m(level: u32) -> f64 {
    BASE_GSD_M * f64::from(1u32 << level.min(20))
}

/// Dense features of one region at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionLevel {
    /// Metres east of the region's origin of the grid's western edge.
    pub west_m: f64,
    /// Metres north of the region's origin of the grid's northern edge.
    pub north_m: f64,
    /// Side of a dense cell, metres.
    pub cell_m: f64,
    /// Rows, from the north.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Length of a descriptor.
    pub channels: usize,
    /// `rows · columns · channels` signed bytes.
    pub descriptors: Vec<i8>,
    /// `rows · columns`: 1 where the map has imagery in the whole cell.
    pub covered: Vec<u8>,
}

impl RegionLevel {
    /// Grid coordinates (row, column; a cell's centre at .5) of a point of the region's plane.
    pub fn grid_from_ground(&self, e_m: f64, n_m: f64) -> (f64, f64) {
        ((self.north_m - n_m) / self.cell_m, (e_m - self.west_m) / self.cell_m)
    }

    /// The inverse of [`RegionLevel::grid_from_ground`]: metres east and north.
    pub fn ground_from_grid(&self, row: f64, column: f64) -> (f64, f64) {
        (self.west_m + column * self.cell_m, self.north_m - row * self.cell_m)
    }

    /// The descriptor of a dense cell; `None` outside the grid or where there is no imagery.
    pub fn descriptor(&self, row: i64, column: i64) -> Option<&[i8]> {
        if row < 0 || column < 0 || row >= self.rows as i64 || column >= self.columns as i64 {
            return None;
        }
        let cell = row as usize * self.columns + column as usize;
        (self.covered[cell] != 0).then(|| &self.descriptors[cell * self.channels..(cell + 1) * self.channels])
    }
}

/// What all regions share at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelModel {
    /// Mean removal and principal components.
    pub projection: Projection,
    /// Cluster centres of the aggregation, `CLUSTERS · SEARCH_CHANNELS` values; none where a trained head aggregates.
    pub centres: Vec<f32>,
}

/// A level of the whole map.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseLevel {
    /// The level's number.
    pub level: u32,
    /// Shared by all regions.
    pub model: LevelModel,
    /// One for each region, in the map's order; `None` where the region has no imagery fine enough.
    pub regions: Vec<Option<RegionLevel>>,
    /// Retrieval cells, sorted.
    pub cells: Vec<CellId>,
    /// Their global descriptors, one row a cell.
    pub global: Vec<f32>,
}

impl DenseLevel {
    /// Length of a global descriptor.
    pub fn global_length(&self) -> usize {
        self.global.len().checked_div(self.cells.len()).unwrap_or(0)
    }
}

/// What identifies an index: it is refused for another map or another model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The model's name.
    pub model: String,
    /// The model's SHA-256.
    pub model_sha256: String,
    /// SHA-256 of the trained head that made the global descriptors; none where there is none.
    #[serde(default)]
    pub aggregation_sha256: Option<String>,
    /// The map's checksum.
    pub map_checksum: String,
    /// Pixels along a dense cell's side.
    pub stride_px: usize,
}

/// The index of a map.
#[derive(Clone, Debug)]
pub struct MapIndex {
    /// Which map and model it belongs to.
    pub identity: Identity,
    /// The map's regions.
    pub regions: Vec<IndexedRegion>,
    /// Levels, finest first.
    pub levels: Vec<DenseLevel>,
}

/// A region as the index knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedRegion {
    /// The region's number in the map.
    pub id: u32,
    /// Its bounds.
    pub bounds: GeodeticBounds,
    /// Its plane.
    pub plane: EnuPlane,
    /// Ground sampling distance of its sharpest source, metres.
    pub ground_sampling_distance_m: f64,
    /// The region that this one shows with other imagery, in the same plane; `None` for the map's own.
    pub patch_of: Option<u32>,
}

impl From<&Region> for IndexedRegion {
    fn from(region: &Region) -> Self {
        Self {
            id: region.id,
            bounds: region.bounds,
            plane: region.plane,
            ground_sampling_distance_m: region.ground_sampling_distance_m,
            patch_of: None,
        }
    }
}

impl MapIndex {
    /// Position in `levels` of the level to refine a frame at: the finest whose view of `extent_m` is at most `longest_px`
    /// pixels; the coarsest when none is.
    pub fn level_for_extent(&self, extent_m: f64, longest_px: f64) -> usize {
        self.levels
            .iter()
            .position(|l| extent_m / level_gsd_m(l.level) <= longest_px)
            .unwrap_or(self.levels.len().saturating_sub(1))
    }

    /// A region at a level, by positions; `None` where the region takes no part in the level.
    pub fn grid(&self, level: usize, region: usize) -> Option<&RegionLevel> {
        self.levels.get(level)?.regions.get(region)?.as_ref()
    }

    /// Ground that the map shows, m².
    pub fn area_m2(&self) -> f64 {
        let of = |grid: &RegionLevel| grid.covered.iter().filter(|c| **c != 0).count() as f64 * grid.cell_m * grid.cell_m;
        let at = |level: &DenseLevel| level.regions.iter().flatten().map(of).sum();
        // Coarse regions take part in coarse levels only.
        self.levels.iter().map(at).fold(0.0, f64::max)
    }

    /// Centre of a retrieval cell in its region's plane, metres east and north, and its half side.
    pub fn cell_centre_m(&self, cell: CellId) -> Option<([f64; 2], f64)> {
        let level = self.levels.iter().find(|l| l.level == cell.level)?;
        let grid = level.regions.get(cell.region as usize)?.as_ref()?;
        let half = CELL_SIDE as f64 / 2.0;
        let (e, n) = grid
            .ground_from_grid((cell.row as usize * CELL_STEP) as f64 + half, (cell.column as usize * CELL_STEP) as f64 + half);
        Some(([e, n], half * grid.cell_m))
    }

    /// Whether a region is a patch over one of the map's own.
    pub fn is_patch(&self, region: u32) -> bool {
        self.regions.get(region as usize).is_some_and(|r| r.patch_of.is_some())
    }

    /// The map's own region in whose plane a region lies: itself, but for patches.
    pub fn region_of_map(&self, region: u32) -> u32 {
        self.regions.get(region as usize).and_then(|r| r.patch_of).unwrap_or(region)
    }

    /// How far apart two places are, metres, each in the plane of its region; regions may share ground. Infinite where there is no such region.
    pub fn distance_m(&self, a: (usize, [f64; 2]), b: (usize, [f64; 2])) -> f64 {
        let [of_a, of_b] = [a.0, b.0].map(|region| self.region_of_map(region as u32));
        let there = match of_a == of_b {
            true => Some(b.1),
            false => self.geodetic(of_b, b.1[0], b.1[1]).zip(self.regions.get(of_a as usize)).map(|(at, region)| {
                let at = region.plane.ground_from_lat_lon(at.lat_deg, at.lon_deg);
                [at.e_m, at.n_m]
            }),
        };
        there.map_or(f64::INFINITY, |there| (a.1[0] - there[0]).hypot(a.1[1] - there[1]))
    }

    /// The cells, of all levels and regions, whose square meets a tile.
    pub fn cells_touched(&self, tile: Tile) -> Vec<CellId> {
        let px = f64::from(TILE_PX);
        let corner = |dx: f64, dy: f64| lat_lon_from_pixel(tile.z, (f64::from(tile.x) + dx) * px, (f64::from(tile.y) + dy) * px);
        let mut out = Vec::new();
        for (region, indexed) in self.regions.iter().enumerate() {
            let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
                .map(|(dx, dy)| corner(dx, dy))
                .map(|(lat, lon)| indexed.plane.ground_from_lat_lon(lat, lon));
            let range = |value: fn(&Enu) -> f64| {
                let values = corners.iter().map(value);
                (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
            };
            let ((west, east), (south, north)) = (range(|p| p.e_m), range(|p| p.n_m));
            let cells = self.levels.iter().flat_map(|l| &l.cells).filter(|c| c.region as usize == region);
            out.extend(cells.copied().filter(|c| {
                self.cell_centre_m(*c)
                    .is_some_and(|([e, n], half)| e + half > west && e - half < east && n + half > south && n - half < north)
            }));
        }
        out
    }

    /// Latitude and longitude of a point of a region's plane.
    pub fn geodetic(&self, region: u32, e_m: f64, n_m: f64) -> Option<Geodetic> {
        let (lat, lon) = self.regions.get(region as usize)?.plane.lat_lon_from_ground(e_m, n_m);
        Some(Geodetic::ground(lat, lon))
    }
}

/// What can go wrong with an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// No index beside the map.
    #[error("{path}: no index of this map for model '{model}'; run `skyfix map index {map}`")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// The model.
        model: String,
        /// The map, as a word of a shell.
        map: String,
    },
    /// The index belongs to another map or model.
    #[error("{path}: made for {what} {found}, but {expected} is in use; run `skyfix map index` again")]
    Foreign {
        /// The index.
        path: PathBuf,
        /// `model` or `map`.
        what: &'static str,
        /// What the index says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// The file is damaged.
    #[error("{path}: not a skyfix index: {reason}; run `skyfix map index` again")]
    Damaged {
        /// The index.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It was asked to stop.
    #[error("the index is not complete: it was stopped")]
    Stopped,
    /// The map has no imagery.
    #[error("{path}: the map holds no imagery to index")]
    Empty {
        /// The map.
        path: PathBuf,
    },
    /// The index would not fit into memory.
    #[error("{path}: an index of it down to {finest_m} m/px would take {gib:.0} GiB; {advice}")]
    TooLarge {
        /// The map.
        path: String,
        /// The finest level that is deserved or was asked for, metres a pixel.
        finest_m: f64,
        /// What it would take.
        gib: f64,
        /// What to do.
        advice: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The map.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
}
