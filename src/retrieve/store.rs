//! The index as a safetensors file beside the map: `area.mbtiles` → `area.MODEL.safetensors`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::index::{CellId, DenseLevel, Identity, IndexError, LevelModel, MapIndex, RegionLevel};
use super::projection::Projection;
use crate::files;
use crate::map::{MapStore, part_file};
use crate::math::hex::hex;
use crate::models::{AggregationEntry, ModelEntry};
use crate::text::shell_word;

const FORMAT: &str = "skyfix-index-2";

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    identity: Identity,
    levels: Vec<LevelHeader>,
    /// SHA-256 of the tensors, in the order of their names.
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct LevelHeader {
    level: u32,
    channels: usize,
    components: usize,
    regions: Vec<Option<GridHeader>>,
    cells: Vec<CellId>,
}

#[derive(Serialize, Deserialize)]
struct GridHeader {
    west_m: f64,
    north_m: f64,
    cell_m: f64,
    rows: usize,
    columns: usize,
}

/// Where the index of a map for a model lies.
pub fn index_path(map: &Path, model: &str) -> PathBuf {
    map.with_extension(format!("{model}.safetensors"))
}

/// Where the index of a map is kept that lies in a folder that cannot be written, or must not be: the user's cache folder, by the map's
/// checksum. None where the platform has no such folder.
pub fn cached_index_path(map_checksum: &str, model: &str) -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("skyfix").join(format!("{map_checksum}.{model}.safetensors")))
}

impl MapIndex {
    /// Keeps the index beside its map, where `beside` allows it and the folder can be written, else in the user's cache folder. Returns where.
    ///
    /// # Errors
    /// When neither can be written.
    pub fn keep(&self, map: &MapStore, model: &str, beside: bool) -> Result<PathBuf, IndexError> {
        let path = index_path(map.path(), model);
        let failed = match beside.then(|| self.save(&path)) {
            Some(Ok(())) => return Ok(path),
            Some(Err(error)) => Some(error),
            None => None,
        };
        let cached = cached_index_path(&map.checksum()?, model);
        let saved = cached.map(|cached| {
            let folder = cached.parent().unwrap_or(Path::new(""));
            std::fs::create_dir_all(folder).map_err(|source| IndexError::Io { path: folder.into(), source })?;
            self.save(&cached).map(|()| cached)
        });
        match (saved, failed) {
            (Some(Ok(cached)), _) => Ok(cached),
            (_, Some(error)) | (Some(Err(error)), None) => Err(error),
            (None, None) => Err(IndexError::Io { path, source: std::io::Error::other("this platform has no cache folder") }),
        }
    }

    /// Writes the index; the file appears only when it is complete.
    pub fn save(&self, path: &Path) -> Result<(), IndexError> {
        let io = |source| IndexError::Io { path: path.into(), source };
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let mut levels = Vec::new();
        for level in &self.levels {
            let name = |what: &str| format!("level{}.{what}", level.level);
            let p = &level.model.projection;
            let mut floats = |what: &str, shape: Vec<usize>, values: &[f32]| {
                tensors.push((name(what), Dtype::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
            };
            floats("mean", vec![p.channels], &p.mean);
            floats("basis", vec![p.components, p.channels], &p.basis);
            floats("centres", vec![level.model.centres.len()], &level.model.centres);
            floats("global", vec![level.global.len()], &level.global);
            for (i, grid) in level.regions.iter().enumerate() {
                let Some(grid) = grid else { continue };
                let bytes = grid.descriptors.iter().map(|v| v.to_le_bytes()[0]).collect();
                tensors.push((
                    name(&format!("region{i}.descriptors")),
                    Dtype::I8,
                    vec![grid.rows, grid.columns, grid.channels],
                    bytes,
                ));
                let covered =
                    (name(&format!("region{i}.covered")), Dtype::U8, vec![grid.rows, grid.columns], grid.covered.clone());
                tensors.push(covered);
            }
            let regions = level.regions.iter().map(|grid| {
                grid.as_ref().map(|g| GridHeader {
                    west_m: g.west_m,
                    north_m: g.north_m,
                    cell_m: g.cell_m,
                    rows: g.rows,
                    columns: g.columns,
                })
            });
            levels.push(LevelHeader {
                level: level.level,
                channels: p.channels,
                components: p.components,
                regions: regions.collect(),
                cells: level.cells.clone(),
            });
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let digest = digest(tensors.iter().map(|(name, .., bytes)| (name.as_str(), bytes.as_slice())));
        let header = Header { format: FORMAT.into(), identity: self.identity.clone(), levels, digest };
        let header = serde_json::to_string(&header).map_err(|e| io(e.into()))?;
        let damaged = |e: safetensors::SafeTensorError| IndexError::Damaged { path: path.into(), reason: e.to_string() };
        let mut views = Vec::new();
        for (name, dtype, shape, bytes) in &tensors {
            views.push((name.clone(), TensorView::new(*dtype, shape.clone(), bytes).map_err(damaged)?));
        }
        let bytes = serialize(views, Some(HashMap::from([("skyfix".to_string(), header)]))).map_err(damaged)?;
        let partial = part_file::beside(path).ok_or_else(|| io(std::io::ErrorKind::InvalidFilename.into()))?;
        let written = std::fs::write(&partial, bytes).and_then(|()| part_file::finish(&partial, path));
        if let Err(source) = written {
            // Best effort: the error that matters is the first.
            let _ = std::fs::remove_file(&partial);
            return Err(io(source));
        }
        Ok(())
    }

    /// Reads the index of a map for a model with its retrieval head, from beside the map or else from the user's cache folder, and refuses one
    /// made for another map, model or head.
    pub fn load(map: &MapStore, model: &ModelEntry, head: Option<&AggregationEntry>) -> Result<Self, IndexError> {
        let path = index_path(map.path(), &model.name);
        match Self::load_from(&path, map, model, head) {
            Err(IndexError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        let cached = cached_index_path(&map.checksum()?, &model.name).filter(|cached| cached.is_file());
        // One in the cache that is damaged, or was made by another model of that name, is made anew.
        cached.and_then(|cached| Self::load_from(&cached, map, model, head).ok()).ok_or_else(|| {
            let map = shell_word(map.path());
            IndexError::Missing { path, model: model.name.clone(), map }
        })
    }

    fn load_from(path: &Path, map: &MapStore, model: &ModelEntry, head: Option<&AggregationEntry>) -> Result<Self, IndexError> {
        let path = path.to_owned();
        let bytes = files::read(&path).map_err(|source| IndexError::Io { path: path.clone(), source })?;
        let index = parse(&bytes, map).map_err(|reason| IndexError::Damaged { path: path.clone(), reason })?;
        let identity = &index.identity;
        let none = || "none".to_owned();
        let checks = [
            ("model", identity.model_sha256.clone(), model.sha256.to_ascii_lowercase()),
            (
                "retrieval head",
                identity.aggregation_sha256.clone().unwrap_or_else(none),
                head.map_or_else(none, |h| h.sha256.to_ascii_lowercase()),
            ),
            ("map", identity.map_checksum.clone(), map.checksum()?),
        ];
        for (what, found, expected) in checks {
            if found != expected {
                return Err(IndexError::Foreign { path, what, found, expected });
            }
        }
        Ok(index)
    }
}

/// Hexadecimal SHA-256 of tensors: of each its name, its length and its bytes.
fn digest<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in tensors {
        hash.update(name.as_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hex(&hash.finalize())
}

fn parse(bytes: &[u8], map: &MapStore) -> Result<MapIndex, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get("skyfix")).ok_or("it has no skyfix header")?;
    let header: Header = serde_json::from_str(header).map_err(|e| e.to_string())?;
    if header.format != FORMAT {
        return Err(format!("its format is {}, not {FORMAT}", header.format));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let mut named = tensors.tensors();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    if digest(named.iter().map(|(name, view)| (name.as_str(), view.data()))) != header.digest {
        return Err("its checksum is not that of its content".into());
    }
    let regions = map.regions();
    let mut levels = Vec::new();
    for level in header.levels {
        let raw = |what: String, length: Option<usize>| -> Result<&[u8], String> {
            let name = format!("level{}.{what}", level.level);
            let data = tensors.tensor(&name).map_err(|e| e.to_string())?.data();
            match length {
                Some(n) if data.len() != n => Err(format!("{name} has {} bytes instead of {n}", data.len())),
                _ => Ok(data),
            }
        };
        let floats = |what: &str, length: Option<usize>| -> Result<Vec<f32>, String> {
            let data = raw(what.into(), length.map(|n| n.checked_mul(4).ok_or("it is too large")).transpose()?)?;
            let values: Vec<f32> = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            if values.iter().all(|v| v.is_finite()) {
                Ok(values)
            } else {
                Err(format!("{what} holds numbers that are not finite"))
            }
        };
        let projection = Projection {
            channels: level.channels,
            components: level.components,
            mean: floats("mean", Some(level.channels))?,
            basis: floats("basis", Some(level.channels.checked_mul(level.components).ok_or("it is too large")?))?,
        };
        let centres = floats("centres", None)?;
        if level.components == 0 || centres.len() % level.components != 0 {
            return Err("its cluster centres do not fit its components".into());
        }
        let global = floats("global", None)?;
        let fits = if level.cells.is_empty() { global.is_empty() } else { global.len() % level.cells.len() == 0 };
        if !fits || (!centres.is_empty() && level.cells.len().checked_mul(centres.len()) != Some(global.len())) {
            return Err(format!("its {} global values do not fit {} cells", global.len(), level.cells.len()));
        }
        if level.regions.len() != regions.len() {
            return Err(format!("it has {} regions and the map {}", level.regions.len(), regions.len()));
        }
        let mut grids = Vec::new();
        for (i, grid) in level.regions.iter().enumerate() {
            let Some(g) = grid else {
                grids.push(None);
                continue;
            };
            let cells = g.rows.checked_mul(g.columns).ok_or("its grid is too large")?;
            let length = cells.checked_mul(level.channels).ok_or("its grid is too large")?;
            let descriptors = raw(format!("region{i}.descriptors"), Some(length))?;
            grids.push(Some(RegionLevel {
                west_m: g.west_m,
                north_m: g.north_m,
                cell_m: g.cell_m,
                rows: g.rows,
                columns: g.columns,
                channels: level.channels,
                descriptors: descriptors.iter().map(|b| i8::from_le_bytes([*b])).collect(),
                covered: raw(format!("region{i}.covered"), Some(cells))?.to_vec(),
            }));
        }
        let known = |c: &CellId| grids.get(c.region as usize).is_some_and(Option::is_some);
        if !level.cells.iter().all(known) {
            return Err("a cell lies in no region".into());
        }
        let model = LevelModel { projection, centres };
        levels.push(DenseLevel { level: level.level, model, regions: grids, cells: level.cells, global });
    }
    if levels.is_empty() {
        return Err("it has no level".into());
    }
    Ok(MapIndex { identity: header.identity, regions: regions.iter().map(Into::into).collect(), levels })
}
