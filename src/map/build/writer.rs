//! Writes an MBTiles file (version 1.3 of the specification).

use super::{BuildOptions, BuildReport};
use crate::geo::mercator::Tile;
use crate::map::extent::SOURCES_KEY;
use crate::map::region::SourceRecord;
use crate::map::store::{CHECKSUMS_TABLE, DIGEST_KEY, TilesDigest, tile_checksum};
use crate::map::{MapError, part_file};

use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// A tile ready to be stored.
pub(super) struct Encoded {
    pub tile: Tile,
    pub bytes: Vec<u8>,
    pub jpeg: bool,
}

/// An MBTiles file in the making; removed again when it is dropped unfinished.
pub(super) struct Writer {
    out: PathBuf,
    temporary: PathBuf,
    connection: Option<Connection>,
    digest: TilesDigest,
    tiles: u64,
    jpegs: u64,
    max_zoom: u8,
}

/// What SQLite says when writing fails, in words a user understands.
fn write_failure(path: &Path, error: &rusqlite::Error) -> MapError {
    let what = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::PermissionDenied) => {
            format!("the folder is missing or not writable ({error})")
        }
        _ => error.to_string(),
    };
    MapError::write(path, what)
}

impl Writer {
    /// Starts a file beside `out`.
    pub fn create(out: &Path) -> Result<Self, MapError> {
        if out.is_dir() {
            return Err(MapError::write(out, "it is a folder"));
        }
        let temporary = part_file::beside(out).ok_or_else(|| MapError::write(out, "it names no file"))?;
        // Creating it ourselves gives the operating system's reason, which SQLite hides.
        std::fs::File::create(&temporary).map_err(|e| MapError::write(out, e))?;
        let mut writer = Self {
            out: out.to_owned(),
            temporary,
            connection: None,
            digest: TilesDigest::default(),
            tiles: 0,
            jpegs: 0,
            max_zoom: 0,
        };
        // From here on the half-made file is removed when something fails.
        let connection = Connection::open(&writer.temporary).map_err(|e| write_failure(out, &e))?;
        connection
            .execute_batch(&format!(
                // The file is thrown away when anything fails, so a journal would protect nothing.
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 4096;
                 CREATE TABLE metadata (name TEXT, value TEXT);
                 CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB);
                 CREATE TABLE {CHECKSUMS_TABLE} (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, checksum INTEGER,
                     PRIMARY KEY (zoom_level, tile_column, tile_row)) WITHOUT ROWID;
                 CREATE UNIQUE INDEX metadata_index ON metadata (name);
                 BEGIN",
            ))
            .map_err(|e| write_failure(out, &e))?;
        writer.connection = Some(connection);
        Ok(writer)
    }

    /// Whether no tile was written so far.
    pub fn is_empty(&self) -> bool {
        self.tiles == 0
    }

    /// Finest zoom written so far.
    pub fn max_zoom(&self) -> u8 {
        self.max_zoom
    }

    /// Adds a tile; each must be given once.
    pub fn put(&mut self, encoded: &Encoded) -> Result<(), MapError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let (tile, bytes) = (encoded.tile, &encoded.bytes);
        connection
            .prepare_cached("INSERT INTO tiles VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut s| s.execute((tile.z, tile.x, tile.tms_row(), bytes)))
            .and_then(|_| {
                let mut checksums =
                    connection.prepare_cached(&format!("INSERT INTO {CHECKSUMS_TABLE} VALUES (?1, ?2, ?3, ?4)"))?;
                checksums.execute((tile.z, tile.x, tile.tms_row(), tile_checksum(bytes)))
            })
            .map_err(|e| write_failure(&self.out, &e))?;
        self.digest.add(tile, bytes);
        self.tiles += 1;
        self.jpegs += u64::from(encoded.jpeg);
        self.max_zoom = self.max_zoom.max(tile.z);
        Ok(())
    }

    /// Writes metadata and index, and moves the file to its place.
    pub fn finish(mut self, sources: &[SourceRecord], zooms: (u8, u8), options: &BuildOptions) -> Result<BuildReport, MapError> {
        let fail = |e: rusqlite::Error| write_failure(&self.out, &e);
        let Some(connection) = self.connection.take() else { return Ok(BuildReport::default()) };
        let digest = std::mem::take(&mut self.digest).finish();
        let bounds = sources.iter().map(|s| s.bounds).reduce(|a, b| a.union(&b));
        let sources_json = serde_json::to_string(sources).map_err(|e| MapError::write(&self.out, e))?;
        let name = options
            .name
            .clone()
            .unwrap_or_else(|| self.out.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default());
        let names: Vec<&str> = sources.iter().map(|s| s.name.as_str()).collect();
        let mut rows = vec![
            ("name", name),
            ("type", "baselayer".into()),
            ("version", "1.0".into()),
            ("description", format!("Satellite or aerial imagery, built by skyfix from {}", shortened(&names))),
            ("format", if self.jpegs > 0 { "jpg".into() } else { "png".into() }),
            ("minzoom", zooms.0.to_string()),
            ("maxzoom", zooms.1.to_string()),
            (SOURCES_KEY, sources_json),
            (DIGEST_KEY, digest.clone()),
        ];
        if let Some(b) = bounds {
            let centre = b.centre();
            rows.push(("bounds", format!("{:.9},{:.9},{:.9},{:.9}", b.west_deg, b.south_deg, b.east_deg, b.north_deg)));
            rows.push((
                "center",
                format!("{:.9},{:.9},{}", centre.lon_deg, centre.lat_deg, zooms.1.saturating_sub(2).max(zooms.0)),
            ));
        }
        let licences: std::collections::BTreeSet<&str> = sources.iter().filter_map(|s| s.licence.as_deref()).collect();
        let attribution = options.attribution.clone().unwrap_or_else(|| licences.into_iter().collect::<Vec<_>>().join("; "));
        if !attribution.is_empty() {
            rows.push(("attribution", attribution));
        }
        for (key, value) in rows {
            connection.execute("INSERT INTO metadata VALUES (?1, ?2)", (key, value)).map_err(fail)?;
        }
        connection
            .execute_batch("COMMIT; CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
            .map_err(fail)?;
        connection.close().map_err(|(_, e)| write_failure(&self.out, &e))?;
        let bytes = std::fs::metadata(&self.temporary).map_err(|e| MapError::write(&self.out, e))?.len();
        part_file::finish(&self.temporary, &self.out).map_err(|e| MapError::write(&self.out, e))?;
        Ok(BuildReport { tiles: self.tiles, bytes, zooms, checksum: digest, ..BuildReport::default() })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.connection.take());
        // After a finished build there is nothing to remove; after a failed one, failing to tidy up must not hide the failure.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// A few names for the description.
fn shortened(names: &[&str]) -> String {
    match names {
        [] => "nothing".into(),
        [a] => (*a).to_owned(),
        [a, b] => format!("{a} and {b}"),
        [a, b, rest @ ..] => format!("{a}, {b} and {} more", rest.len()),
    }
}
