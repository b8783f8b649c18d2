//! The tile store: an MBTiles file, read only.

use super::cache::Lru;
use super::extent::{self, Description};
use super::overlay::{Overlay, enlarge};
use super::region::{Region, SourceRecord, regions};
use super::tile::TilePixels;
use super::{MapError, advice};
use crate::files;
use crate::geo::mercator::{TILE_PX, Tile};
use crate::math::hex::hex;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Metadata row that holds the digest of the content.
pub(super) const DIGEST_KEY: &str = "skyfix:digest";
/// Table of a checksum for each tile, in files of our builder.
pub(super) const CHECKSUMS_TABLE: &str = "skyfix_checksums";
/// Decoded tiles kept, each 256 KiB: what a frame needs in detail, and what it shares with the next. In a live flight they are soon full, so that memory
/// does not grow with the ground that is flown over.
const CACHED_TILES: usize = 128;

/// A map, opened read-only; can be shared between threads.
#[derive(Debug)]
pub struct MapStore {
    path: PathBuf,
    connection: Mutex<Connection>,
    tiles: Mutex<Lru<Tile, Option<Arc<TilePixels>>>>,
    metadata: BTreeMap<String, String>,
    /// Whether each tile has a checksum.
    has_checksums: bool,
    /// Whether rows are counted from the north, against the specification.
    rows_from_north: bool,
    /// Coarsest and finest zoom, in tiles of 256 px.
    zooms: (u8, u8),
    /// Whether its tiles are of 512 px, each four of the next finer zoom.
    doubled: bool,
    sources: Vec<SourceRecord>,
    regions: Vec<Region>,
    overlay: Overlay,
}

/// The digest of all tiles of a map, in the order in which they were written.
#[derive(Default)]
pub(super) struct TilesDigest(Sha256);

impl TilesDigest {
    pub fn add(&mut self, tile: Tile, bytes: &[u8]) {
        self.0.update([tile.z]);
        self.0.update(tile.x.to_le_bytes());
        self.0.update(tile.y.to_le_bytes());
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The first eight bytes of a tile's SHA-256, little-endian.
pub(super) fn tile_checksum(bytes: &[u8]) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(bytes)[..8]);
    i64::from_le_bytes(first)
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
        files::check(path).map_err(|e| MapError::read(path, e))?;
        let fail = |e: rusqlite::Error| MapError::store(path, format!("is not an MBTiles map ({e})"));
        let connection = connect(path).map_err(fail)?;
        is_of_tiles(path, &connection)?;
        let metadata = metadata(&connection).map_err(fail)?;
        let zooms: Option<(u8, u8)> = connection
            .query_row("SELECT min(zoom_level), max(zoom_level) FROM tiles", [], |r| {
                Ok(Option::zip(r.get::<_, Option<u8>>(0)?, r.get::<_, Option<u8>>(1)?))
            })
            .map_err(fail)?;
        let zooms = zooms.filter(|z| z.1 <= 24).ok_or_else(|| MapError::store(path, "holds no tiles of zoom 0 to 24"))?;
        let doubled = is_doubled(path, &connection, zooms.1)?;
        let Description { sources, rows_from_north } = Description::read(path, &connection, &metadata, (zooms.1, doubled))?;
        let has_checksums = has_table(&connection, CHECKSUMS_TABLE).map_err(fail)?;
        let regions = extent::taken_apart(path, &connection, regions(&sources), (zooms, rows_from_north))?;
        let zooms = if doubled { (zooms.0 + 1, zooms.1 + 1) } else { zooms };
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            tiles: Mutex::new(Lru::new(CACHED_TILES)),
            metadata,
            has_checksums,
            rows_from_north,
            zooms,
            doubled,
            regions,
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

    /// A digest of the content, which says whether an index was built from this map: over the place and length of each tile, and what the
    /// builder stored of all their bytes, where it was ours.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checksum(&self) -> Result<String, MapError> {
        let fail = |e| MapError::store(&self.path, e);
        let connection = lock(&self.connection);
        let mut statement = connection
            .prepare("SELECT zoom_level, tile_column, tile_row, length(tile_data) FROM tiles ORDER BY 1, 2, 3")
            .map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        let mut hash = Sha256::new();
        hash.update(self.metadata.get(DIGEST_KEY).map_or("", String::as_str));
        while let Some(row) = rows.next().map_err(fail)? {
            for i in 0..4 {
                hash.update(row.get::<_, i64>(i).map_err(fail)?.to_le_bytes());
            }
        }
        Ok(hex(&hash.finalize()))
    }

    /// Reads every tile: whether they are those that the map was built with. `None` for a map made elsewhere, which does not say.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn verify(&self) -> Result<Option<bool>, MapError> {
        let Some(stored) = self.metadata.get(DIGEST_KEY) else { return Ok(None) };
        let fail = |e| MapError::store(&self.path, e);
        let connection = lock(&self.connection);
        let mut statement =
            connection.prepare("SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles ORDER BY rowid").map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        let mut digest = TilesDigest::default();
        while let Some(row) = rows.next().map_err(fail)? {
            let (z, x, tms_row): (u8, u32, u32) =
                (row.get(0).map_err(fail)?, row.get(1).map_err(fail)?, row.get(2).map_err(fail)?);
            let bytes = row.get_ref(3).and_then(|v| Ok(v.as_blob()?.to_vec())).map_err(fail)?;
            let rows = 1u64.checked_shl(u32::from(z)).unwrap_or(0);
            let y = rows.checked_sub(1 + u64::from(tms_row)).and_then(|y| u32::try_from(y).ok());
            let Some(y) = y else { return Ok(Some(false)) };
            digest.add(Tile { z, x, y }, &bytes);
        }
        Ok(Some(digest.finish() == *stored))
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
        let (tile, quarter) = match self.doubled {
            true if tile.z == 0 => return Ok(None),
            true => (tile.parent(), Some((tile.x % 2, tile.y % 2))),
            false => (tile, None),
        };
        let fail = |e| MapError::store(&self.path, e);
        let place = (tile.z, tile.x, if self.rows_from_north { tile.y } else { tile.tms_row() });
        let (bytes, checksum) = {
            let connection = lock(&self.connection);
            let bytes: Option<Vec<u8>> = connection
                .prepare_cached("SELECT tile_data FROM tiles WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3")
                .and_then(|mut s| s.query_row(place, |r| r.get(0)).optional())
                .map_err(fail)?;
            (bytes, self.stored_checksum(&connection, place).map_err(fail)?)
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let unusable =
            |what: String| MapError::store(&self.path, format!("tile {}/{}/{} cannot be used: {what}", tile.z, tile.x, tile.y));
        if checksum.is_some_and(|stored| stored != tile_checksum(&bytes)) {
            return Err(unusable("it is damaged, its checksum is not that of its content".into()));
        }
        TilePixels::decode_part(&bytes, quarter).map(|pixels| Some(Arc::new(pixels))).map_err(unusable)
    }

    /// The checksum that the builder stored of a tile; a tile that another program added has none.
    fn stored_checksum(&self, connection: &Connection, place: (u8, u32, u32)) -> rusqlite::Result<Option<i64>> {
        if !self.has_checksums {
            return Ok(None);
        }
        connection
            .prepare_cached(&format!(
                "SELECT checksum FROM {CHECKSUMS_TABLE} WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3"
            ))
            .and_then(|mut s| s.query_row(place, |r| r.get(0)).optional())
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

/// Opens a file for reading, also one in a folder that cannot be written and that is in a mode that wants to.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let works =
        |connection: Connection| connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).map(|()| connection);
    match Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(works) {
        Err(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)) => {
            // Nobody can write it, so nobody changes it either.
            let escaped: String = path.to_string_lossy().chars().map(uri_part).collect();
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).and_then(works).map_err(|_| error)
        }
        opened => opened,
    }
}

fn uri_part(c: char) -> String {
    match c {
        '%' | '?' | '#' => format!("%{:02X}", u32::from(c)),
        c => c.to_string(),
    }
}

/// Whether there is a table or a view of this name.
fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1 COLLATE NOCASE", [name], |r| r.get(0))
}

/// Refuses databases of other kinds by their name.
fn is_of_tiles(path: &Path, connection: &Connection) -> Result<(), MapError> {
    let has = |name| has_table(connection, name).map_err(|e| MapError::store(path, format!("is not an MBTiles map ({e})")));
    if has("gpkg_contents")? {
        let hint = format!("{} to `skyfix map build`", advice::convert(advice::PLAIN, path, "imagery"));
        return Err(MapError::source(path, "is a GeoPackage, which is no MBTiles map", hint));
    }
    if !has("tiles")? {
        let hint = "give an MBTiles file, or build one of imagery with `skyfix map build`";
        return Err(MapError::source(path, "is a database without the tiles of an MBTiles map", hint));
    }
    Ok(())
}

/// The metadata as text, whatever type a value has; rows without a value say nothing.
fn metadata(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let text = |value: Value| match value {
        Value::Text(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Null | Value::Blob(_) => None,
    };
    if !has_table(connection, "metadata")? {
        return Ok(BTreeMap::new());
    }
    let mut statement = connection.prepare("SELECT name, value FROM metadata")?;
    let rows = statement.query_map([], |r| Ok((r.get::<_, Value>(0)?, r.get::<_, Value>(1)?)))?;
    let rows: Vec<(Value, Value)> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect())
}

/// Whether the tiles are of 512 px; an error where they are no pictures.
fn is_doubled(path: &Path, connection: &Connection, zoom: u8) -> Result<bool, MapError> {
    let bytes: Vec<u8> = connection
        .query_row("SELECT tile_data FROM tiles WHERE zoom_level = ?1 LIMIT 1", [zoom], |r| r.get(0))
        .map_err(|e| MapError::store(path, e))?;
    let picture = image::ImageReader::new(std::io::Cursor::new(&bytes)).with_guessed_format();
    let size = picture.ok().and_then(|picture| picture.into_dimensions().ok());
    match size {
        Some((TILE_PX, TILE_PX)) => Ok(false),
        Some((width, height)) if (width, height) == (2 * TILE_PX, 2 * TILE_PX) && zoom < 24 => Ok(true),
        Some((width, height)) => Err(MapError::source(
            path,
            format!("has tiles of {width} x {height} px, and only those of 256 or 512 px are known"),
            format!("{} to `skyfix map build`", advice::convert(advice::PLAIN, path, "imagery")),
        )),
        None => {
            // Protocol buffers are mostly stored compressed.
            let what = if bytes.starts_with(&[0x1f, 0x8b]) {
                "holds vector tiles, which are no imagery"
            } else {
                "holds tiles that are no pictures"
            };
            Err(MapError::source(path, what, "give a map of satellite or aerial imagery (raster tiles: JPEG, PNG or WebP)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
