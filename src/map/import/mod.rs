//! Importers: whatever imagery people have, turned into layers that can be drawn on tiles.

mod advice;
mod corners;
pub(crate) mod crs;
pub(crate) mod elevation;
mod geokeys;
mod geotiff;
mod picture;
mod raster;
mod tiff_header;
mod well_known_text;
mod world_file;
mod xyz;

use super::MapError;
use super::region::SourceRecord;
use super::tile::TilePixels;
use crate::geo::mercator::Tile;
use picture::Pictures;
use raster::Raster;
use std::path::Path;
pub use xyz::TileRows;

/// A source of imagery that can be drawn on tiles.
pub(crate) trait Layer: Send + Sync {
    /// What the finished map says of it; one record for each separate area.
    fn records(&self) -> Vec<SourceRecord>;
    /// Whether it may have imagery inside a tile.
    fn intersects(&self, tile: Tile) -> bool;
    /// The finest zoom that its imagery inside a tile is worth.
    fn zoom_in(&self, tile: Tile) -> u8;
    /// Draws it over what the tile already holds.
    fn draw(&self, tile: Tile, onto: &mut TilePixels) -> Result<(), MapError>;
    /// The tile as it is stored in the source, a JPEG or PNG that needs no drawing.
    fn verbatim(&self, _tile: Tile) -> Result<Option<Vec<u8>>, MapError> {
        Ok(None)
    }
    /// Date of the imagery, ISO 8601, to order layers by.
    fn date(&self) -> Option<&str>;
}

/// The layers of a source, found by what it contains; what had to be left out is added to `warnings`.
pub(crate) fn open(
    path: &Path,
    rows: TileRows,
    pictures: &PicturesHandle,
    warnings: &mut Vec<String>,
) -> Result<Vec<Box<dyn Layer>>, MapError> {
    let metadata = std::fs::metadata(path).map_err(|e| MapError::read(path, e))?;
    if metadata.is_dir() {
        return open_folder(path, rows, pictures, warnings);
    }
    let head = head(path)?;
    if geotiff::is_tiff(&head) {
        let tiff = geotiff::GeoTiff::open(path)?;
        let placement = match tiff.placement()? {
            Some(placement) => Some(placement),
            None => world_file::placement(path, tiff.size())?,
        };
        let placement = placement.ok_or_else(|| {
            MapError::source(path, "is a TIFF without georeference", "put a world file beside it, or use a GeoTIFF")
        })?;
        return Ok(vec![Box::new(Raster::tiff(path, tiff, placement)?)]);
    }
    if head.starts_with(b"SQLite format 3") {
        return Err(MapError::source(path, "is already a map", "use it as it is, or give the imagery it was made of"));
    }
    if image::guess_format(&head).is_ok() {
        let size = picture::size(path)?;
        let placement = world_file::placement(path, size)?.ok_or_else(|| {
            MapError::source(path, "has no world file beside it", "add one (.jgw, .pgw, .wld) so that its place is known")
        })?;
        return Ok(vec![Box::new(Raster::picture(path, size, placement, pictures.0.clone())?)]);
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        return corners::open(path, &pictures.0, warnings);
    }
    Err(MapError::source(
        path,
        "is no kind of imagery that is known",
        "give a GeoTIFF, a picture with a world file, a folder with a table of corners, or a folder z/x/y of tiles",
    ))
}

/// Decoded pictures shared by a build.
pub(crate) struct PicturesHandle(Pictures);

impl PicturesHandle {
    /// Nothing decoded yet.
    pub fn new() -> Self {
        Self(Pictures::new())
    }
}

fn head(path: &Path) -> Result<Vec<u8>, MapError> {
    use std::io::Read;
    let mut head = Vec::new();
    std::fs::File::open(path).and_then(|f| f.take(64).read_to_end(&mut head)).map_err(|e| MapError::read(path, e))?;
    Ok(head)
}

fn open_folder(
    path: &Path,
    rows: TileRows,
    pictures: &PicturesHandle,
    warnings: &mut Vec<String>,
) -> Result<Vec<Box<dyn Layer>>, MapError> {
    if let Some(table) = corners::table_in(path)? {
        return corners::open(&table, &pictures.0, warnings);
    }
    if let Some(tiles) = xyz::XyzFolder::open(path, rows, warnings)? {
        return Ok(vec![Box::new(tiles)]);
    }
    let mut files: Vec<_> = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
        .map_err(|e| MapError::read(path, e))?;
    files.sort();
    let (mut layers, mut left_out) = (Vec::new(), None);
    for file in files.iter().filter(|f| f.is_file()) {
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        let picture = matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "webp") && world_file::beside(file).is_some();
        if picture || matches!(extension.as_str(), "tif" | "tiff") {
            match open(file, rows, pictures, warnings) {
                Ok(opened) => layers.extend(opened),
                // What photogrammetry writes beside its orthophoto.
                Err(error) if elevation::is_model(file) => {
                    warnings.push(format!("{}: is an elevation model; it was left out (give it with --dem)", file.display()));
                    left_out = left_out.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
    }
    if let (true, Some(error)) = (layers.is_empty(), left_out) {
        return Err(error);
    }
    if layers.is_empty() {
        return Err(MapError::source(
            path,
            "is a folder without imagery",
            "it should hold a table of corners, tiles as z/x/y.jpg, GeoTIFFs, or pictures with world files",
        ));
    }
    Ok(layers)
}
