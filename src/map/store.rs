//! The tile store: an MBTiles file, read only.

use super::MapError;
use super::cache::Lru;
use super::overlay::{Overlay, enlarge};
use super::region::{Region, SourceRecord, regions};
use super::tile::TilePixels;
use crate::geo::GeodeticBounds;
use crate::geo::mercator::{TILE_PX, Tile, ground_sampling_distance_m, lat_lon_from_pixel};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Metadata row that holds the sources as JSON.
pub(super) const SOURCES_KEY: &str = "skyfix:sources";
/// Metadata row that holds the digest of the content.
pub(super) const DIGEST_KEY: &str = "skyfix:digest";
/// Decoded tiles kept, each 256 KiB.
const CACHED_TILES: usize = 400;

/// A map, opened read-only; can be shared between threads.
#[derive(Debug)]
pub struct MapStore {
    path: PathBuf,
    connection: Mutex<Connection>,
    tiles: Mutex<Lru<Tile, Option<Arc<TilePixels>>>>,
    metadata: BTreeMap<String, String>,
    zooms: (u8, u8),
    sources: Vec<SourceRecord>,
    regions: Vec<Region>,
    overlay: Overlay,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both guarded values stay consistent when a thread dies between two calls.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MapStore {
    /// Opens a map.
    ///
    /// # Errors
    /// When the file is absent, is no MBTiles file, or has no tiles.
    pub fn open(path: &Path) -> Result<Self, MapError> {
        // SQLite's own message for a missing file does not say that it is missing.
        std::fs::metadata(path).map_err(|e| MapError::read(path, e))?;
        let fail = |e: rusqlite::Error| MapError::store(path, format!("is not an MBTiles map ({e})"));
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail)?;
        let metadata = connection
            .prepare("SELECT name, value FROM metadata")
            .and_then(|mut s| s.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect())
            .map_err(fail)?;
        let zooms: Option<(u8, u8)> = connection
            .query_row("SELECT min(zoom_level), max(zoom_level) FROM tiles", [], |r| {
                Ok(Option::zip(r.get::<_, Option<u8>>(0)?, r.get::<_, Option<u8>>(1)?))
            })
            .map_err(fail)?;
        let zooms = zooms.filter(|z| z.1 <= 24).ok_or_else(|| MapError::store(path, "holds no tiles of zoom 0 to 24"))?;
        let sources = sources(path, &connection, &metadata, zooms.1)?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            tiles: Mutex::new(Lru::new(CACHED_TILES)),
            metadata,
            zooms,
            regions: regions(&sources),
            sources,
            overlay: Overlay::default(),
        })
    }

    /// The same map with other pictures in place of some tiles, at their zoom, below and above. The file stays as it is.
    ///
    /// # Errors
    /// When the file cannot be opened again.
    pub fn with_tiles(&self, tiles: BTreeMap<Tile, Arc<TilePixels>>) -> Result<Self, MapError> {
        Ok(Self { overlay: Overlay::new(tiles), ..Self::open(&self.path)? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disjoint areas of the map: sources whose bounds lie within 500 m of each other form one. The order is that of the
    /// sources.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// What the map was built from; for a map made elsewhere one record of its metadata.
    pub fn sources(&self) -> &[SourceRecord] {
        &self.sources
    }

    /// Coarsest and finest zoom with tiles.
    pub fn zoom_range(&self) -> (u8, u8) {
        self.zooms
    }

    /// The MBTiles metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// A digest of the content, which says whether an index was built from this map: the one the builder stored (over all tiles),
    /// or, for a map made elsewhere, one over the place and length of each tile.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checksum(&self) -> Result<String, MapError> {
        if let Some(digest) = self.metadata.get(DIGEST_KEY) {
            return Ok(digest.clone());
        }
        let fail = |e| MapError::store(&self.path, e);
        let connection = lock(&self.connection);
        let mut statement = connection
            .prepare("SELECT zoom_level, tile_column, tile_row, length(tile_data) FROM tiles ORDER BY 1, 2, 3")
            .map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        let mut hash = Sha256::new();
        while let Some(row) = rows.next().map_err(fail)? {
            for i in 0..4 {
                hash.update(row.get::<_, i64>(i).map_err(fail)?.to_le_bytes());
            }
        }
        Ok(super::build::hex(&hash.finalize()))
    }

    /// A tile; `None` where the map has none.
    ///
    /// # Errors
    /// When the tile cannot be read or decoded.
    pub fn tile(&self, tile: Tile) -> Result<Option<Arc<TilePixels>>, MapError> {
        if let Some(known) = lock(&self.tiles).get(&tile) {
            return Ok(known);
        }
        let shown = match self.overlay.around(tile) {
            Some((at, pixels)) if at == tile => Some(Arc::clone(pixels)),
            Some((at, pixels)) => Some(Arc::new(enlarge(pixels, at, tile))),
            None => self.overlay.drawn_into(tile, self.stored(tile)?),
        };
        lock(&self.tiles).put(tile, shown.clone(), 1);
        Ok(shown)
    }

    fn stored(&self, tile: Tile) -> Result<Option<Arc<TilePixels>>, MapError> {
        let bytes: Option<Vec<u8>> = lock(&self.connection)
            .prepare_cached("SELECT tile_data FROM tiles WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3")
            .and_then(|mut s| s.query_row((tile.z, tile.x, tile.tms_row()), |r| r.get(0)).optional())
            .map_err(|e| MapError::store(&self.path, e))?;
        match bytes {
            Some(bytes) => TilePixels::decode(&bytes).map(|pixels| Some(Arc::new(pixels))).map_err(|what| {
                MapError::store(&self.path, format!("tile {}/{}/{} cannot be used: {what}", tile.z, tile.x, tile.y))
            }),
            None => Ok(None),
        }
    }

    /// A tile, or the part of the nearest coarser tile that covers it, enlarged.
    pub(super) fn tile_or_coarser(&self, tile: Tile) -> Result<Option<Arc<TilePixels>>, MapError> {
        if let Some(found) = self.tile(tile)? {
            return Ok(Some(found));
        }
        let mut ancestor = tile;
        while ancestor.z > self.zooms.0 {
            ancestor = ancestor.parent();
            if let Some(found) = self.tile(ancestor)? {
                let enlarged = Arc::new(enlarge(&found, ancestor, tile));
                lock(&self.tiles).put(tile, Some(enlarged.clone()), 1);
                return Ok(Some(enlarged));
            }
        }
        Ok(None)
    }
}

/// The sources: those that the builder recorded, else one made of the metadata or of the tiles' extent.
fn sources(
    path: &Path,
    connection: &Connection,
    metadata: &BTreeMap<String, String>,
    max_zoom: u8,
) -> Result<Vec<SourceRecord>, MapError> {
    if let Some(json) = metadata.get(SOURCES_KEY) {
        let sources: Vec<SourceRecord> = serde_json::from_str(json)
            .map_err(|e| MapError::store(path, format!("metadata row {SOURCES_KEY} cannot be read ({e})")))?;
        if !sources.is_empty() {
            return Ok(sources);
        }
    }
    let stated = metadata.get("bounds").and_then(|text| bounds_from_metadata(text));
    let bounds = match stated {
        Some(bounds) => bounds,
        None => extent_of_tiles(path, connection, max_zoom)?,
    };
    let name = metadata.get("name").cloned().unwrap_or_else(|| path.display().to_string());
    Ok(vec![SourceRecord {
        name,
        bounds,
        corners_deg: None,
        ground_sampling_distance_m: ground_sampling_distance_m(max_zoom, bounds.centre().lat_deg),
        date: None,
        licence: metadata.get("attribution").cloned(),
    }])
}

/// MBTiles' `west,south,east,north`.
fn bounds_from_metadata(text: &str) -> Option<GeodeticBounds> {
    let v: Vec<f64> = text.split(',').map(|v| v.trim().parse().ok()).collect::<Option<_>>()?;
    let [west_deg, south_deg, east_deg, north_deg] = v.try_into().ok()?;
    let sane = west_deg.abs() <= 180.0 && east_deg.abs() <= 180.0 && south_deg.abs() <= 90.0 && north_deg.abs() <= 90.0;
    // Tools that do not know the bounds write those of the world: then the tiles themselves say more.
    (sane && west_deg < east_deg && south_deg < north_deg && east_deg - west_deg < 300.0).then_some(GeodeticBounds {
        west_deg,
        south_deg,
        east_deg,
        north_deg,
    })
}

fn extent_of_tiles(path: &Path, connection: &Connection, zoom: u8) -> Result<GeodeticBounds, MapError> {
    let (x0, x1, y0, y1): (u32, u32, u32, u32) = connection
        .query_row(
            "SELECT min(tile_column), max(tile_column), min(tile_row), max(tile_row) FROM tiles WHERE zoom_level = ?1",
            [zoom],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
        )
        .map_err(|e| MapError::store(path, e))?;
    let side = 1u32 << zoom;
    if x1 >= side || y1 >= side {
        return Err(MapError::store(path, format!("has tiles outside of zoom {zoom}")));
    }
    let corner = |x: u32, tms: u32| lat_lon_from_pixel(zoom, f64::from(x * TILE_PX), f64::from((side - tms) * TILE_PX));
    let ((south_deg, west_deg), (north_deg, east_deg)) = (corner(x0, y0), corner(x1 + 1, y1 + 1));
    Ok(GeodeticBounds { west_deg, south_deg, east_deg, north_deg })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_shareable<T: Send + Sync>() {}

    #[test]
    fn a_store_can_be_shared_between_threads() {
        is_shareable::<MapStore>();
    }

    #[test]
    fn a_missing_file_and_a_file_that_is_no_map_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mbtiles");
        assert!(MapStore::open(&path).unwrap_err().to_string().contains("a.mbtiles"));
        std::fs::write(&path, b"not a database, but long enough to be looked at").unwrap();
        let message = MapStore::open(&path).unwrap_err().to_string();
        assert!(message.contains("is not an MBTiles map"), "{message}");
    }

    #[test]
    fn bounds_of_the_whole_world_are_not_believed() {
        assert!(bounds_from_metadata("-180,-85,180,85").is_none());
        assert_eq!(bounds_from_metadata("10, 50,11,51").unwrap().south_deg, 50.0);
    }

    proptest! {
        #[test]
        fn any_metadata_text_is_survived(text in ".{0,60}") {
            let _ = bounds_from_metadata(&text);
        }
    }
}
