//! Importers: whatever imagery people have, turned into layers that can be drawn on tiles.

mod corners;
pub(crate) mod crs;
mod definition;
pub(crate) mod elevation;
mod geokeys;
mod geotiff;
mod picture;
mod raster;
mod sidecars;
mod tiff_header;
mod well_known_text;
mod world_file;
mod xyz;

use super::region::SourceRecord;
use super::tile::TilePixels;
use super::{MapError, advice};
use crate::files;
use crate::geo::mercator::Tile;
use crs::Placement;
use image::ImageFormat;
use picture::Pictures;
use raster::Raster;
use std::path::Path;
pub use xyz::TileRows;

/// A datum that is known less well is told, metres: the usual error of imagery.
const MOST_DATUM_ERROR_M: f64 = 2.5;
/// Extensions of imagery that GDAL converts.
const READ_BY_GDAL: &[&str] = &[
    "asc", "bil", "bip", "bmp", "bsq", "dem", "ecw", "flt", "gif", "gpkg", "grd", "hdf", "hgt", "img", "j2k", "jp2", "jpx",
    "kmz", "nc", "ntf", "pdf", "rst", "sid", "vrt",
];

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
        sidecars::refuse_mask(path, tiff.bands())?;
        let placement = sidecars::placement(path, tiff.size(), tiff.placement()?)?
            .ok_or_else(|| sidecars::unplaced(path, "is a TIFF without georeference"))?;
        warnings.extend(uncertain_datum(path, &placement));
        return Ok(vec![Box::new(Raster::tiff(path, tiff, placement)?)]);
    }
    // GeoPackages say so where SQLite keeps the application's mark.
    let is_geopackage = head.get(68..70) == Some(b"GP");
    if head.starts_with(b"SQLite format 3") && !is_geopackage {
        return Err(MapError::source(path, "is already a map", "use it as it is, or give the imagery it was made of"));
    }
    if matches!(image::guess_format(&head), Ok(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) {
        let size = picture::size(path)?;
        sidecars::refuse_mask(path, 3)?;
        let placement =
            sidecars::placement(path, size, None)?.ok_or_else(|| sidecars::unplaced(path, "has no world file beside it"))?;
        warnings.extend(uncertain_datum(path, &placement));
        return Ok(vec![Box::new(Raster::picture(path, size, placement, pictures.0.clone())?)]);
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        return corners::open(path, &pictures.0, warnings);
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    if READ_BY_GDAL.contains(&extension.as_str()) {
        let what = format!("is of a kind that is not read here (.{extension})");
        return Err(MapError::source(path, what, sidecars::translate(advice::PLAIN, path, "imagery")));
    }
    Err(MapError::source(
        path,
        "is no kind of imagery that is known",
        "give a GeoTIFF, a picture with a world file, a folder with a table of corners, or a folder z/x/y of tiles",
    ))
}

/// What is to be said of a raster whose datum may lie elsewhere by more than imagery itself does.
fn uncertain_datum(path: &Path, placement: &Placement) -> Option<String> {
    let accuracy_m = placement.crs.datum_accuracy_m().filter(|m| *m > MOST_DATUM_ERROR_M)?;
    let known = if accuracy_m.is_finite() { format!("to {accuracy_m} m only") } else { "nobody says how well".into() };
    Some(format!(
        "{}: how the datum of its coordinate system lies to WGS 84 is known {known}, without the shift grids that are not read here; the map may be off by that",
        path.display()
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
    files::open(path).and_then(|f| f.take(100).read_to_end(&mut head)).map_err(|e| MapError::read(path, e))?;
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
        let picture = matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "webp") && sidecars::is_placed(file);
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
        let hint = match xyz::nested(path) {
            Some(tiles) => format!("there are tiles in {}: give that folder", tiles.display()),
            None => "it should hold a table of corners, tiles as z/x/y.jpg, GeoTIFFs, or pictures with world files".into(),
        };
        return Err(MapError::source(path, "is a folder without imagery", hint));
    }
    Ok(layers)
}
