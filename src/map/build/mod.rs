//! The builder: sources in, an MBTiles pyramid out, tile by tile so that memory stays bounded.

mod pyramid;
mod writer;

use super::MapError;
use super::import::{self, Layer, PicturesHandle, TileRows};
use super::region::{Region, SourceRecord, regions};
use crate::geo::mercator::Tile;
use std::path::{Path, PathBuf};

/// How far a build has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Tiles of the finest zooms that are done.
    pub done: u64,
    /// Tiles of the finest zooms in all.
    pub total: u64,
    /// What is being done.
    pub what: &'static str,
}

/// Which source lies on top where several cover the same ground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeOrder {
    /// The one given last.
    #[default]
    Given,
    /// The one with the newest date; those without date lie below all others, in the order given.
    NewestDate,
}

/// How a map is built.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Which source wins.
    pub order: MergeOrder,
    /// Quality of the JPEG tiles, 1..=100.
    pub jpeg_quality: u8,
    /// Finest zoom to store; by default that of each source's own pixel size.
    pub max_zoom: Option<u8>,
    /// The map's name; by default that of the output file.
    pub name: Option<String>,
    /// Attribution or licence to be written into the metadata.
    pub attribution: Option<String>,
    /// Which way the rows of folders of tiles are counted.
    pub tile_rows: TileRows,
    /// Whether a file that is there already may be replaced.
    pub force: bool,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            order: MergeOrder::Given,
            jpeg_quality: 92,
            max_zoom: None,
            name: None,
            attribution: None,
            tile_rows: TileRows::default(),
            force: false,
        }
    }
}

/// What was built.
#[derive(Clone, Debug, Default)]
pub struct BuildReport {
    /// Tiles written.
    pub tiles: u64,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// Coarsest and finest zoom.
    pub zooms: (u8, u8),
    /// Ground that the map shows, square metres.
    pub imagery_m2: f64,
    /// Which part that is of the rectangles around its disjoint areas.
    pub imagery_share: f64,
    /// The sources, bottom first.
    pub sources: Vec<SourceRecord>,
    /// What was left out, in words.
    pub warnings: Vec<String>,
    /// Digest of the content.
    pub checksum: String,
}

/// Builds a map out of sources: GeoTIFF, picture with world file, folder with a table of corners, folder of tiles `z/x/y`, or a
/// folder of such files. They are told apart by their content.
///
/// The map is written to a temporary file beside `out` and renamed when it is complete.
///
/// # Errors
/// When a source cannot be read or placed, or the output cannot be written.
pub fn build(
    sources: &[PathBuf],
    out: &Path,
    options: &BuildOptions,
    progress: &dyn Fn(Progress),
) -> Result<BuildReport, MapError> {
    may_write(out, sources, options.force)?;
    let pictures = PicturesHandle::new();
    let mut warnings = Vec::new();
    let mut layers = Vec::new();
    for source in sources {
        layers.extend(import::open(source, options.tile_rows, &pictures, &mut warnings)?);
    }
    let mut report = build_layers(layers, out, options, progress)?;
    report.warnings = warnings;
    Ok(report)
}

/// Whether the output may be written: never over a source, and over another file only where that was asked for.
fn may_write(out: &Path, sources: &[PathBuf], force: bool) -> Result<(), MapError> {
    let Ok(there) = out.canonicalize() else { return Ok(()) };
    let is_source =
        sources.iter().filter_map(|s| s.canonicalize().ok()).any(|s| there == s || s.is_dir() && there.starts_with(&s));
    if is_source && there.is_file() {
        return Err(MapError::Exists { path: out.to_owned(), what: "is one of the sources; give another name with -o" });
    }
    if there.is_file() && !force {
        return Err(MapError::Exists {
            path: out.to_owned(),
            what: "is there already; give another name with -o, or --force to replace it",
        });
    }
    Ok(())
}

/// Builds a map out of layers; see [`build`].
pub(crate) fn build_layers(
    mut layers: Vec<Box<dyn Layer>>,
    out: &Path,
    options: &BuildOptions,
    progress: &dyn Fn(Progress),
) -> Result<BuildReport, MapError> {
    if options.order == MergeOrder::NewestDate {
        // ISO dates sort as text, and no date sorts first; the sort is stable.
        layers.sort_by(|a, b| a.date().cmp(&b.date()));
    }
    let mut writer = writer::Writer::create(out)?;
    let pyramid = pyramid::Pyramid::new(&layers, options);
    if pyramid.total() == 0 {
        return Err(MapError::Empty { path: out.to_owned(), what: "no part of the sources was ever written" });
    }
    let (zooms, imagery_m2) = pyramid.build(&mut writer, progress)?;
    if writer.is_empty() {
        return Err(MapError::Empty { path: out.to_owned(), what: "no pixel of the sources is imagery" });
    }
    let sources: Vec<SourceRecord> = layers.iter().flat_map(|l| l.records()).collect();
    let mut report = writer.finish(&sources, zooms, options)?;
    report.imagery_m2 = imagery_m2;
    report.imagery_share = (imagery_m2 / regions(&sources).iter().map(Region::area_m2).sum::<f64>()).min(1.0);
    report.sources = sources;
    Ok(report)
}

/// The four tiles of the next finer zoom, with their column and row in the parent.
fn children(tile: Tile) -> [(Tile, usize, usize); 4] {
    [(0, 0), (1, 0), (0, 1), (1, 1)]
        .map(|(dx, dy)| (Tile { z: tile.z + 1, x: 2 * tile.x + dx, y: 2 * tile.y + dy }, dx as usize, dy as usize))
}
