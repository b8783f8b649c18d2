//! `models/manifest.toml`: what each model file is, checked before it is used.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{ModelError, variable};
use crate::files;

/// The manifest and where it lies.
#[derive(Clone, Debug)]
pub struct Manifest {
    folder: PathBuf,
    models: Vec<ModelEntry>,
    aggregations: Vec<AggregationEntry>,
    consensus: Vec<ConsensusEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    model: Vec<ModelEntry>,
    #[serde(default)]
    aggregation: Vec<AggregationEntry>,
    #[serde(default)]
    consensus: Vec<ConsensusEntry>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Descriptors, keypoints and reliability from one pass.
    Dense,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Name on the command line.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// File, relative to the manifest or to a folder of `SKYFIX_MODEL_PATH`.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The input.
    pub input: Input,
    /// Output with one descriptor a cell, shape (1, channels, height / stride, width / stride).
    pub descriptors: Output,
    /// Output with keypoint logits a cell: stride² positions, row-major, and a last one for "none". Without one the centre of every
    /// cell is a keypoint.
    pub keypoint_logits: Option<Output>,
    /// Output with the reliability a cell, 0..1. Without one every cell is as reliable as any other.
    pub reliability: Option<Output>,
    /// Output of shape (1, channels) with the network's summary of the whole input.
    pub class_token: Option<Output>,
    /// Pixels along a cell's side.
    pub stride_px: usize,
    /// Licence of the weights.
    pub licence: String,
    /// How the file was made.
    pub source: String,
}

/// A retrieval head: a network that turns the descriptors of a dense model into one global descriptor.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregationEntry {
    /// Name.
    pub name: String,
    /// The dense model whose descriptors it takes.
    pub of: String,
    /// File, as of a model.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Input of shape (1, channels, n): descriptors in any order, of unit length, or, with a `class_token`, as the network gives them.
    pub input: Output,
    /// Second input of shape (1, channels), where the head takes the network's class token, too. Such a head describes whole images,
    /// each by a pass of its own.
    pub class_token: Option<Output>,
    /// Output of shape (1, channels), unit length.
    pub global: Output,
    /// It takes more descriptors than this only.
    pub clusters: usize,
    /// Licence of the weights.
    pub licence: String,
    /// How the file was made.
    pub source: String,
}

/// Weights of the neighbourhood consensus of SASCM, learned on the correlations of a dense model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusEntry {
    /// Name.
    pub name: String,
    /// The dense model.
    pub of: String,
    /// A safetensors file, as of a model.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// How the file was made.
    pub source: String,
}

/// The input of a network and its preprocessing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name in the graph.
    pub name: String,
    /// Planes.
    pub channels: usize,
    /// Both sides must be multiples of this.
    pub multiple_of_px: usize,
    /// The only side of the (square) image that the network takes, where it takes no other; larger images go through it in windows.
    pub fixed_px: Option<usize>,
    /// Range of the values.
    pub range: Range,
    /// Order of the planes.
    pub order: Order,
    /// Subtracted from each plane, in the order of the planes and the range of the values.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Divides each plane after that.
    #[serde(default = "ones")]
    pub std: [f32; 3],
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

impl Input {
    /// Whether an image of 0..1, red first, goes in as it is.
    pub fn is_plain(&self) -> bool {
        self.range == Range::Unit && self.order == Order::Rgb && self.mean == [0.0; 3] && self.std == ones()
    }
}

/// Range of the input's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// 0..1.
    Unit,
    /// 0..255.
    Byte,
}

/// Order of the input's planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// An output of a network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Name in the graph.
    pub name: String,
    /// Channels.
    pub channels: usize,
}

impl ModelEntry {
    /// What of the entry contradicts itself.
    fn wrong(&self) -> Option<String> {
        let Self { input, stride_px, .. } = self;
        let fits = |side: usize| side > 0 && side.is_multiple_of(*stride_px);
        let what = if *stride_px == 0 || !fits(input.multiple_of_px) || !input.fixed_px.is_none_or(fits) {
            "multiple_of_px and fixed_px must be multiples of stride_px"
        } else if input.channels != 3 {
            "the input must have 3 channels"
        } else if !input.mean.iter().chain(&input.std).all(|v| v.is_finite()) || input.std.iter().any(|v| *v <= 0.0) {
            "mean and std must be finite, std positive"
        } else {
            return None;
        };
        Some(format!("{}: {what}", self.name))
    }
}

impl Manifest {
    /// Finds the manifest: in `SKYFIX_MODELS` where that is set and not empty, else in `models/` of the executable's folder or one above it, else in `models/`
    /// of the working folder or one above it.
    pub fn find() -> Result<Self, ModelError> {
        if let Some(folder) = variable("SKYFIX_MODELS") {
            return Self::read(&PathBuf::from(folder).join("manifest.toml"));
        }
        let starts = [std::env::current_exe().ok().and_then(|p| p.canonicalize().ok()), std::env::current_dir().ok()];
        let found = starts
            .iter()
            .flatten()
            .flat_map(|start| start.ancestors())
            .map(|folder| folder.join("models").join("manifest.toml"))
            .find(|path| path.is_file());
        match found {
            Some(path) => Self::read(&path),
            None => Err(ModelError::NoManifest { searched: "the folders above the executable and the working folder".into() }),
        }
    }

    /// Reads a manifest.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let text = files::read_to_string(path).map_err(|source| ModelError::Io { path: path.into(), source })?;
        let file: ManifestFile = toml::from_str(&text)
            .map_err(|e| ModelError::BadManifest { path: path.into(), reason: e.to_string().trim().into() })?;
        let wrong = file.model.iter().find_map(ModelEntry::wrong).or_else(|| {
            let without = |head: &&AggregationEntry| {
                let of = file.model.iter().find(|m| m.name == head.of);
                head.class_token.is_some() && of.is_none_or(|m| m.class_token.is_none() || m.input.fixed_px.is_none())
            };
            let head = file.aggregation.iter().find(without)?;
            Some(format!("{}: takes a class token, but {} has none, or no fixed_px", head.name, head.of))
        });
        if let Some(reason) = wrong {
            return Err(ModelError::BadManifest { path: path.into(), reason });
        }
        Ok(Self {
            folder: path.parent().unwrap_or(Path::new(".")).into(),
            models: file.model,
            aggregations: file.aggregation,
            consensus: file.consensus,
        })
    }

    /// All entries.
    pub fn models(&self) -> &[ModelEntry] {
        &self.models
    }

    /// The entry of a name.
    pub fn entry(&self, name: &str) -> Result<&ModelEntry, ModelError> {
        self.models.iter().find(|m| m.name == name).ok_or_else(|| ModelError::UnknownModel {
            name: name.into(),
            known: self.models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// All retrieval heads.
    pub fn aggregations(&self) -> &[AggregationEntry] {
        &self.aggregations
    }

    /// The retrieval head of a dense model, where there is one.
    pub fn aggregation_of(&self, model: &ModelEntry) -> Option<&AggregationEntry> {
        self.aggregations.iter().find(|a| a.of == model.name)
    }

    /// All consensus weights.
    pub fn consensus(&self) -> &[ConsensusEntry] {
        &self.consensus
    }

    /// The consensus weights of a dense model, where there are any.
    pub fn consensus_of(&self, model: &ModelEntry) -> Option<&ConsensusEntry> {
        self.consensus.iter().find(|c| c.of == model.name)
    }

    /// Where an entry's file lies: beside the manifest, in a folder of `SKYFIX_MODEL_PATH`, or in `shared/models` beside the
    /// clone.
    pub fn locate(&self, entry: &ModelEntry) -> Result<PathBuf, ModelError> {
        self.locate_file(&entry.name, &entry.file)
    }

    fn locate_file(&self, name: &str, file: &str) -> Result<PathBuf, ModelError> {
        let mut folders = vec![self.folder.clone()];
        if let Some(list) = variable("SKYFIX_MODEL_PATH") {
            folders.extend(std::env::split_paths(&list));
        }
        folders.push(self.folder.join("../../shared/models"));
        let found = folders.iter().map(|folder| folder.join(file)).find(|path| path.is_file());
        found.ok_or_else(|| ModelError::MissingFile {
            name: name.into(),
            file: file.into(),
            searched: folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The entry's file, read and checked against its checksum.
    pub fn load(&self, entry: &ModelEntry) -> Result<Vec<u8>, ModelError> {
        self.load_file(&entry.name, &entry.file, &entry.sha256)
    }

    /// The same of a retrieval head.
    pub fn load_aggregation(&self, entry: &AggregationEntry) -> Result<Vec<u8>, ModelError> {
        self.load_file(&entry.name, &entry.file, &entry.sha256)
    }

    /// The same of consensus weights.
    pub fn load_consensus(&self, entry: &ConsensusEntry) -> Result<Vec<u8>, ModelError> {
        self.load_file(&entry.name, &entry.file, &entry.sha256)
    }

    fn load_file(&self, name: &str, file: &str, sha256: &str) -> Result<Vec<u8>, ModelError> {
        let path = self.locate_file(name, file)?;
        let bytes = files::read(&path).map_err(|source| ModelError::Io { path: path.clone(), source })?;
        let found = sha256_hex(&bytes);
        if found != sha256.to_ascii_lowercase() {
            return Err(ModelError::Checksum { path, expected: sha256.into(), found });
        }
        Ok(bytes)
    }
}

/// SHA-256 of some bytes, hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    crate::math::hex::hex(&Sha256::digest(bytes))
}
