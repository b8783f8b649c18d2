//! Building the index: the network over the whole map at several levels, then global descriptors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::aggregate::aggregate;
use super::clusters::k_means;
use super::index::{
    BASE_GSD_M, CELL_SIDE, CELL_STEP, CLUSTERS, CellId, DenseLevel, Identity, IndexError, LevelModel, MapIndex, RegionLevel,
    SEARCH_CHANNELS, level_gsd_m,
};
use super::projection::Projection;
use crate::geo::MetricView;
use crate::map::{MapStore, MapView, Region};
use crate::models::{AggregationEntry, DenseExtractor, DenseFeatures, ModelError};
use crate::progress;
use crate::text::shell_word;
use crate::types::ImageTensor;

/// Pixels of map around each block that the network sees and whose features are dropped: about its receptive field. Rounded up to
/// whole cells.
const CONTEXT_PX: usize = 64;
/// Side of a block's interior, pixels; rounded down to whole cells.
const BLOCK_PX: usize = 512;
/// The finest level is the one nearest to half the map's ground sampling distance, as a ratio: finer would only magnify.
const FINEST_OF_MAP: f64 = 0.5;
/// The finest level of a map of any size, metres a pixel, where nobody asks for another.
const FINEST_OF_ANY_M: f64 = 0.3;
/// Finer levels of a map are part of its index while they have at most so many dense cells: frames that see little ground are searched for at
/// them, and such a level is still searched whole.
const FINE_CELLS: f64 = 1e6;
/// Levels are added until the largest region has fewer dense cells than this along its longer side.
const COARSEST_CELLS: f64 = 48.0;
/// Most levels of an index.
const MAX_LEVELS: u32 = 5;
/// Descriptors sampled for mean, components and clusters of a level.
const SAMPLES: usize = 20_000;
/// Share of a retrieval cell's dense cells that must be covered.
const MIN_COVERED: f64 = 0.5;
const GIB: f64 = 1_073_741_824.0;
/// Larger indices are refused.
const MOST_BYTES: f64 = 8.0 * GIB;
const K_MEANS_SEED: u64 = 0x5ca1_ab1e;

/// How to build an index.
#[derive(Clone, Copy, Debug)]
pub struct IndexOptions {
    /// Finest ground sampling distance, metres; levels finer than this are not computed. `None`: 0.3, or finer where the map is small enough
    /// that the level has at most a million dense cells (1.4 km² at 0.15 m).
    pub finest_gsd_m: Option<f64>,
    /// Networks run side by side.
    pub threads: usize,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { finest_gsd_m: None, threads: 1 }
    }
}

/// A part of a region's grid that the network sees at once.
struct Block {
    pub region: usize,
    pub level: u32,
    /// Dense cells from the grid's north-west corner.
    pub row: usize,
    pub column: usize,
}

/// A block's features and which of its cells the map covers.
type Computed = (DenseFeatures, Vec<u8>);

/// A way to make a network for a thread.
pub type ExtractorFactory<'a> = dyn Fn() -> Result<Box<dyn DenseExtractor>, ModelError> + Sync + 'a;

/// Computes the index of a map. `told` is called with blocks done and in all, and says whether to go on. The result does not depend on
/// `threads`.
///
/// # Errors
/// When the map cannot be read or the network fails, and [`IndexError::Stopped`].
pub fn build_index(
    map: &MapStore,
    factory: &ExtractorFactory<'_>,
    options: &IndexOptions,
    told: &(dyn Fn(u64, u64) -> bool + Sync),
) -> Result<MapIndex, IndexError> {
    let mut first = factory()?;
    let entry = first.entry().clone();
    let aggregation_sha256 = trained_head(first.as_mut()).map(|head| head.sha256.to_ascii_lowercase());
    let stride = entry.stride_px;
    let regions = map.regions();
    if regions.is_empty() {
        return Err(IndexError::Empty { path: map.path().into() });
    }
    let levels = choose_levels(regions, options.finest_gsd_m, stride);
    is_affordable(map, &levels, stride, entry.descriptors.channels)?;
    let mut grids: Vec<Vec<Option<RegionLevel>>> = levels
        .iter()
        .map(|level| {
            regions
                .iter()
                .map(|r| {
                    region_has_level(r, *level, levels[0]).then(|| empty_grid(r, *level, stride, entry.descriptors.channels))
                })
                .collect()
        })
        .collect();
    let cells_a_block = BLOCK_PX / stride;
    let mut blocks = Vec::new();
    for (k, level) in levels.iter().enumerate() {
        for (region, grid) in grids[k].iter().enumerate() {
            let Some(grid) = grid else { continue };
            for row in (0..grid.rows).step_by(cells_a_block) {
                for column in (0..grid.columns).step_by(cells_a_block) {
                    blocks.push(Block { region, level: *level, row, column });
                }
            }
        }
    }

    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Computed>>> = Mutex::new((0..blocks.len()).map(|_| None).collect());
    let failure: Mutex<Option<IndexError>> = Mutex::new(None);
    let work = |mut network: Box<dyn DenseExtractor>| {
        let _stage = progress::begin("index");
        loop {
            progress::feed();
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(block) = blocks.get(at) else { break };
            let position = levels.iter().position(|l| *l == block.level).unwrap_or(0);
            let Some(grid) = &grids[position][block.region] else { continue };
            match run_block(map, &regions[block.region], grid, block, stride, network.as_mut()) {
                Ok(result) => {
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    done[at] = result;
                    if !told(at as u64 + 1, blocks.len() as u64) {
                        failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(IndexError::Stopped);
                        next.store(blocks.len(), Ordering::Relaxed);
                    }
                }
                Err(error) => {
                    failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                    next.store(blocks.len(), Ordering::Relaxed);
                }
            }
        }
    };
    let mut networks = vec![first];
    for _ in 1..options.threads.max(1) {
        networks.push(factory()?);
    }
    std::thread::scope(|scope| {
        for network in networks {
            scope.spawn(|| work(network));
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (block, result) in blocks.iter().zip(done) {
        let position = levels.iter().position(|l| *l == block.level).unwrap_or(0);
        if let (Some(grid), Some((features, covered))) = (&mut grids[position][block.region], result) {
            store_block(grid, block, &features, &covered, stride);
        }
    }
    let _stage = progress::begin("index");
    let mut network = factory()?;
    let go_on = || told(blocks.len() as u64, blocks.len() as u64);
    let finished = levels.iter().zip(grids).map(|(level, grids)| finish_level(map, *level, grids, network.as_mut(), &go_on));
    let levels = finished.collect::<Result<_, _>>()?;
    Ok(MapIndex {
        identity: Identity {
            model: entry.name.clone(),
            model_sha256: entry.sha256.to_ascii_lowercase(),
            aggregation_sha256,
            map_checksum: map.checksum()?,
            stride_px: stride,
        },
        regions: regions.iter().map(Into::into).collect(),
        levels,
    })
}

/// Ground sampling distance of the sharpest region, metres.
pub(super) fn sharpest_m(regions: &[Region]) -> f64 {
    regions.iter().map(|r| r.ground_sampling_distance_m).fold(f64::INFINITY, f64::min)
}

/// Levels from the finest that the sharpest region deserves, and that is asked for or affordable, to one that shows the largest region in few
/// cells.
fn choose_levels(regions: &[Region], finest_gsd_m: Option<f64>, stride: usize) -> Vec<u32> {
    let nearest = |gsd_m: f64| (gsd_m / BASE_GSD_M).log2().round().clamp(0.0, 12.0) as u32;
    let deserved = nearest(sharpest_m(regions) * FINEST_OF_MAP);
    let first = match finest_gsd_m {
        Some(gsd_m) => nearest(gsd_m).max(deserved),
        None => {
            let area_m2: f64 = regions.iter().map(Region::area_m2).sum();
            let cells = |level: u32| area_m2 / (level_gsd_m(level) * stride as f64).powi(2);
            let of_any = nearest(FINEST_OF_ANY_M).max(deserved);
            (deserved..of_any).find(|level| cells(*level) <= FINE_CELLS).unwrap_or(of_any)
        }
    };
    let longest = regions
        .iter()
        .map(|r| {
            let (w, s, e, n) = r.extent_m();
            (e - w).max(n - s)
        })
        .fold(0.0, f64::max);
    (first..first + MAX_LEVELS)
        .enumerate()
        // At least two: one to search at and one to refine at.
        .take_while(|(i, level)| *i < 2 || longest / (level_gsd_m(level - 1) * stride as f64) > COARSEST_CELLS)
        .map(|(_, level)| level)
        .collect()
}

/// A region takes part in a level unless the level is much finer than its imagery.
fn region_has_level(region: &Region, level: u32, coarsest_first: u32) -> bool {
    level > coarsest_first + 1 || level_gsd_m(level) >= region.ground_sampling_distance_m * FINEST_OF_MAP * 0.5
}

/// What the grids of some levels take, bytes.
fn bytes_of(regions: &[Region], levels: &[u32], stride: usize, channels: usize) -> f64 {
    let of = |region: &Region, level: u32| {
        let (west, south, east, north) = region.extent_m();
        let cell_m = level_gsd_m(level) * stride as f64;
        ((east - west) / cell_m).ceil() * ((north - south) / cell_m).ceil() * (channels + 1) as f64
    };
    let of_level =
        |level: u32| regions.iter().filter(|r| region_has_level(r, level, levels[0])).map(|r| of(r, level)).sum::<f64>();
    levels.iter().map(|level| of_level(*level)).sum()
}

/// Refuses an index that would not fit into memory, before any of it is asked for.
fn is_affordable(map: &MapStore, levels: &[u32], stride: usize, channels: usize) -> Result<(), IndexError> {
    let needed = bytes_of(map.regions(), levels, stride, channels);
    if needed <= MOST_BYTES {
        return Ok(());
    }
    let fits = (1..levels.len()).find(|finer| bytes_of(map.regions(), &levels[*finer..], stride, channels) <= MOST_BYTES);
    let path = map.path().display().to_string();
    let advice = fits.map_or("make maps of less ground each".into(), |finer| {
        let (map, finest_m) = (shell_word(map.path()), level_gsd_m(levels[finer]));
        format!("compute it with `skyfix map index {map} --finest {finest_m}`, or make a map of less ground")
    });
    Err(IndexError::TooLarge { path, finest_m: level_gsd_m(levels[0]), gib: needed / GIB, advice })
}

fn empty_grid(region: &Region, level: u32, stride: usize, channels: usize) -> RegionLevel {
    let cell_m = level_gsd_m(level) * stride as f64;
    let (west, south, east, north) = region.extent_m();
    let snap = |v: f64, up: bool| if up { (v / cell_m).ceil() * cell_m } else { (v / cell_m).floor() * cell_m };
    let (west_m, north_m) = (snap(west, false), snap(north, true));
    let columns = ((snap(east, true) - west_m) / cell_m).round().max(1.0) as usize;
    let rows = ((north_m - snap(south, false)) / cell_m).round().max(1.0) as usize;
    RegionLevel {
        west_m,
        north_m,
        cell_m,
        rows,
        columns,
        channels,
        descriptors: vec![0; rows * columns * channels],
        covered: vec![0; rows * columns],
    }
}

/// Cells of context on each side of a block.
fn context_cells(stride: usize) -> usize {
    CONTEXT_PX.div_ceil(stride)
}

/// Features of a block, with context around it; `None` where the map has no imagery at all.
fn run_block(
    map: &MapStore,
    region: &Region,
    grid: &RegionLevel,
    block: &Block,
    stride: usize,
    network: &mut dyn DenseExtractor,
) -> Result<Option<Computed>, IndexError> {
    let gsd = level_gsd_m(block.level);
    let multiple = network.entry().input.multiple_of_px;
    let interior = |cells: usize, at: usize| (BLOCK_PX / stride).min(cells - at) * stride;
    let (e, n) = grid.ground_from_grid(block.row as f64, block.column as f64);
    let context = context_cells(stride) * stride;
    let view = MetricView {
        west_m: e - context as f64 * gsd,
        north_m: n + context as f64 * gsd,
        ground_sampling_distance_m: gsd,
        width_px: (interior(grid.columns, block.column) + 2 * context).next_multiple_of(multiple) as u32,
        height_px: (interior(grid.rows, block.row) + 2 * context).next_multiple_of(multiple) as u32,
    };
    let shown = map.view(region, &view)?;
    if shown.coverage.iter().all(|c| *c == 0) {
        return Ok(None);
    }
    let covered = covered_cells(&shown, stride);
    let features = network.extract(&tensor_with_mean_fill(&shown, multiple))?;
    Ok(Some((features, covered)))
}

/// The view as a network's input; what the map does not cover gets the mean colour of what it does, so that edges of the
/// coverage do not upset the network's normalisation.
fn tensor_with_mean_fill(shown: &MapView, multiple_px: usize) -> ImageTensor {
    let mut tensor = ImageTensor::from_rgb_padded(&shown.image, multiple_px);
    let covered: Vec<bool> = shown.coverage.iter().map(|c| *c != 0).collect();
    tensor.fill_with_mean(&covered);
    tensor
}

fn covered_cells(shown: &MapView, stride: usize) -> Vec<u8> {
    let (width, height) = (shown.image.width() as usize, shown.image.height() as usize);
    let columns = width / stride;
    let mut cells = vec![1u8; columns * (height / stride)];
    for (at, coverage) in shown.coverage.iter().enumerate().filter(|(_, c)| **c == 0) {
        let _ = coverage;
        cells[at / width / stride * columns + at % width / stride] = 0;
    }
    cells
}

/// Describes a grid of a region at a level, block by block; what the map does not show stays empty.
///
/// # Errors
/// When the map cannot be read or the network fails.
pub(super) fn describe_grid(
    map: &MapStore,
    (region, level): (usize, u32),
    grid: &mut RegionLevel,
    stride: usize,
    network: &mut dyn DenseExtractor,
) -> Result<(), IndexError> {
    let Some(of_map) = map.regions().get(region) else { return Ok(()) };
    for row in (0..grid.rows).step_by(BLOCK_PX / stride) {
        for column in (0..grid.columns).step_by(BLOCK_PX / stride) {
            let block = Block { region, level, row, column };
            progress::feed();
            if let Some((features, covered)) = run_block(map, of_map, grid, &block, stride, network)? {
                store_block(grid, &block, &features, &covered, stride);
            }
        }
    }
    Ok(())
}

/// Puts a block's features into its grid.
fn store_block(grid: &mut RegionLevel, block: &Block, features: &DenseFeatures, covered: &[u8], stride: usize) {
    let border = context_cells(stride);
    let side = BLOCK_PX / stride;
    for r in 0..side.min(grid.rows - block.row) {
        for c in 0..side.min(grid.columns - block.column) {
            let to = (block.row + r) * grid.columns + block.column + c;
            let from = (r + border) * features.columns + c + border;
            grid.covered[to] = covered[from];
            let descriptor = features.descriptor(r + border, c + border);
            for (q, v) in grid.descriptors[to * grid.channels..].iter_mut().zip(descriptor) {
                *q = (v * 127.0).round().clamp(-127.0, 127.0) as i8;
            }
        }
    }
}

fn finish_level(
    map: &MapStore,
    level: u32,
    regions: Vec<Option<RegionLevel>>,
    network: &mut dyn DenseExtractor,
    go_on: &dyn Fn() -> bool,
) -> Result<DenseLevel, IndexError> {
    let channels = regions.iter().flatten().map(|r| r.channels).next().unwrap_or(1);
    let covered: usize = regions.iter().flatten().map(|r| r.covered.iter().filter(|c| **c != 0).count()).sum();
    let every = covered.div_ceil(SAMPLES).max(1);
    let mut sample = Vec::new();
    let cells = regions.iter().flatten().flat_map(|r| (0..r.covered.len()).filter(|c| r.covered[*c] != 0).map(move |c| (r, c)));
    for (region, cell) in cells.step_by(every) {
        sample.extend(region.descriptors[cell * channels..(cell + 1) * channels].iter().map(|v| f32::from(*v) / 127.0));
    }
    let projection = Projection::fit(&sample, channels, SEARCH_CHANNELS);
    let centres = if trained_head(network).is_some() {
        Vec::new()
    } else {
        k_means(&projection.apply_all(&sample), projection.components, CLUSTERS, K_MEANS_SEED)
    };
    let mut out = DenseLevel { level, model: LevelModel { projection, centres }, regions, cells: Vec::new(), global: Vec::new() };
    for region in 0..out.regions.len() {
        let (Some(grid), Some(of_map)) = (&out.regions[region], map.regions().get(region)) else { continue };
        let starts = |n: usize| (0..n.saturating_sub(CELL_SIDE - CELL_STEP).max(1)).step_by(CELL_STEP);
        for row in starts(grid.rows) {
            if !go_on() {
                return Err(IndexError::Stopped);
            }
            for column in starts(grid.columns) {
                progress::feed();
                let Some(global) = describe_cell((map, of_map), grid, &out.model, network, (row, column))? else { continue };
                let at = |v: usize| (v / CELL_STEP) as u32;
                out.cells.push(CellId { region: region as u32, level, row: at(row), column: at(column) });
                out.global.extend(global);
            }
        }
    }
    Ok(out)
}

/// Global descriptor of the cell whose north-west corner is a dense cell (row, column); `None` when too little of it is covered. A head
/// that takes whole images sees the map, the others the descriptors in `grid`.
pub(super) fn describe_cell(
    (map, region): (&MapStore, &Region),
    grid: &RegionLevel,
    model: &LevelModel,
    network: &mut dyn DenseExtractor,
    (row, column): (usize, usize),
) -> Result<Option<Vec<f32>>, IndexError> {
    let mut descriptors = Vec::new();
    let mut cells = 0usize;
    for r in row..(row + CELL_SIDE).min(grid.rows) {
        for c in column..(column + CELL_SIDE).min(grid.columns) {
            let Some(d) = grid.descriptor(r as i64, c as i64) else { continue };
            descriptors.extend(d.iter().map(|v| f32::from(*v) / 127.0));
            cells += 1;
        }
    }
    if (cells as f64) < (CELL_SIDE * CELL_SIDE) as f64 * MIN_COVERED {
        return Ok(None);
    }
    let Some(mut describer) = network.image_describer() else { return Ok(Some(describe(&descriptors, model, network)?)) };
    let middle = CELL_SIDE as f64 / 2.0;
    let (e, n) = grid.ground_from_grid(row as f64 + middle, column as f64 + middle);
    let shown = map.view(region, &view_of_cell([e, n], grid.cell_m, describer.side_px()))?;
    Ok(Some(describer.describe_image(&tensor_with_mean_fill(&shown, describer.side_px()))?))
}

/// The ground of a retrieval cell around a point (metres east and north), in `side_px` pixels a side, as a head that takes whole images
/// sees it.
pub fn view_of_cell([e, n]: [f64; 2], cell_m: f64, side_px: usize) -> MetricView {
    MetricView::centred(e, n, CELL_SIDE as f64 * cell_m / side_px as f64, side_px as u32, side_px as u32)
}

/// The trained head of a network, where it has one.
fn trained_head(network: &mut dyn DenseExtractor) -> Option<AggregationEntry> {
    let of_descriptors = network.aggregator().map(|head| head.entry().clone());
    of_descriptors.or_else(|| network.image_describer().map(|describer| describer.head().clone()))
}

/// Global descriptor of dense descriptors in any order: by the network's retrieval head, or by a level's clusters where it has none.
///
/// # Errors
/// When the head fails.
pub fn describe(descriptors: &[f32], model: &LevelModel, network: &mut dyn DenseExtractor) -> Result<Vec<f32>, ModelError> {
    match network.aggregator() {
        Some(head) => head.aggregate(descriptors),
        None => Ok(aggregate(&model.projection.apply_all(descriptors), &model.centres, model.projection.components)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::{EnuPlane, Geodetic, GeodeticBounds};

    /// A square at the equator, where a degree either way is 111 km.
    fn square(side_m: f64, ground_sampling_distance_m: f64) -> Region {
        let half = side_m / 2.0 / 111_195.0;
        let bounds = GeodeticBounds { south_deg: -half, west_deg: -half, north_deg: half, east_deg: half };
        let plane = EnuPlane::at(Geodetic::ground(0.0, 0.0));
        Region { id: 0, bounds, plane, ground_sampling_distance_m, sources: vec![0] }
    }

    fn finest_m(side_m: f64, gsd_m: f64, asked_m: Option<f64>) -> f64 {
        level_gsd_m(choose_levels(&[square(side_m, gsd_m)], asked_m, 8)[0])
    }

    #[test]
    fn the_finest_level_is_what_the_imagery_deserves_and_the_size_of_the_map_affords() {
        // Sharp and small, sharp and large.
        assert_eq!((finest_m(1000.0, 0.16, None), finest_m(3000.0, 0.16, None)), (0.15, 0.3));
        // Half the imagery's sampling, whatever the rest of it is.
        assert_eq!([0.55, 0.595, 0.6, 0.65].map(|gsd| finest_m(1000.0, gsd, None)), [0.3; 4]);
        assert_eq!((finest_m(1000.0, 1.0, None), finest_m(1000.0, 2.0, None)), (0.6, 1.2));
        // What is asked for holds for every size, but nothing is magnified.
        assert_eq!((finest_m(3000.0, 0.16, Some(0.15)), finest_m(1000.0, 0.16, Some(0.6))), (0.15, 0.6));
        assert_eq!(finest_m(1000.0, 0.6, Some(0.15)), 0.3);
    }
}
