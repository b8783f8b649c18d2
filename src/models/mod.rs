//! The networks: a manifest that says what each file is, checksums, and inference through ONNX Runtime.
//!
//! A stage asks the manifest for channels, stride and preprocessing and contains no constant of one model. What a model lacks is made
//! up for here: without keypoints the centre of every cell is one (so that a transformer's patch tokens serve fine matching, too, with
//! no second network), without reliability all cells count alike, and a network of fixed size sees larger images in windows.

use std::path::PathBuf;

use crate::settings::written_as_text;
use crate::types::ImageTensor;

#[cfg(feature = "onnx")]
mod aggregation;
#[doc(hidden)]
pub mod manifest;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
pub mod runtime;
#[cfg(feature = "onnx")]
mod session;
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "networks need ONNX Runtime"))]
mod windows;

#[cfg(feature = "onnx")]
pub use aggregation::OnnxAggregation;
pub use manifest::{AggregationEntry, ConsensusEntry, Manifest, ModelEntry};
#[cfg(feature = "onnx")]
pub use onnx::OnnxDense;

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where inference runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(u32),
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s.split_once(':') {
            None if s == "cpu" => Ok(Self::Cpu),
            None if s == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", n)) => n.parse().map(Self::Cuda).map_err(|_| format!("'{n}' is not a GPU number; write cpu or cuda:0")),
            _ => Err(format!("'{s}' is not a device; write cpu or cuda:0")),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

written_as_text!(Device);

/// What one pass of a dense network gives: one descriptor, keypoint distribution and reliability for each cell of
/// `stride × stride` pixels. Cells are row-major, channels last.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseFeatures {
    /// Rows of cells.
    pub rows: usize,
    /// Columns of cells.
    pub columns: usize,
    /// Length of a descriptor.
    pub channels: usize,
    /// Pixels along a cell's side.
    pub stride_px: usize,
    /// `rows · columns · channels`, each descriptor of unit length.
    pub descriptors: Vec<f32>,
    /// `rows · columns`: how far a cell's match may be trusted, 0..1.
    pub reliability: Vec<f32>,
    /// `rows · columns`: the likeliest keypoint of the cell as x, y in pixels within the cell, and its probability.
    pub keypoints: Vec<[f32; 3]>,
}

impl DenseFeatures {
    /// The descriptor of a cell.
    pub fn descriptor(&self, row: usize, column: usize) -> &[f32] {
        let at = (row * self.columns + column) * self.channels;
        &self.descriptors[at..at + self.channels]
    }

    /// The descriptors of the cells that a mask (row-major) lets pass, one after the other.
    pub fn descriptors_where(&self, mask: &[bool]) -> Vec<f32> {
        let cells = self.descriptors.chunks_exact(self.channels.max(1)).zip(mask);
        cells.filter(|(_, pass)| **pass).flat_map(|(descriptor, _)| descriptor).copied().collect()
    }
}

/// A network that turns an image into dense features. One per thread: a pass needs it exclusively.
pub trait DenseExtractor: Send {
    /// What the manifest says of it.
    fn entry(&self) -> &ModelEntry;
    /// Runs the network on an image whose sides are multiples of `entry().input.multiple_of_px`.
    fn extract(&mut self, image: &ImageTensor) -> Result<DenseFeatures, ModelError>;
    /// Its retrieval head, where it has one that takes descriptors.
    fn aggregator(&mut self) -> Option<&mut dyn Aggregator> {
        None
    }
    /// Network and retrieval head together, where the head takes whole images.
    fn image_describer(&mut self) -> Option<Box<dyn ImageDescriber + '_>> {
        None
    }
}

/// A trained retrieval head.
pub trait Aggregator: Send {
    /// What the manifest says of it.
    fn entry(&self) -> &AggregationEntry;
    /// The global descriptor, of unit length, of `n · channels` values: descriptors of unit length in any order. All zeros when there
    /// are no more descriptors than clusters.
    fn aggregate(&mut self, descriptors: &[f32]) -> Result<Vec<f32>, ModelError>;
}

/// A dense network with a retrieval head that takes all of a pass, its class token included: what it describes is a whole image.
pub trait ImageDescriber: Send {
    /// What the manifest says of the head.
    fn head(&self) -> &AggregationEntry;
    /// Side of the square images that it takes, pixels.
    fn side_px(&self) -> usize;
    /// The global descriptor of an image, of unit length.
    fn describe_image(&mut self, image: &ImageTensor) -> Result<Vec<f32>, ModelError>;
}

/// What can go wrong with models.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No manifest where one was looked for.
    #[error("no models/manifest.toml in {searched}; run from the clone, or set SKYFIX_MODELS to the folder that holds it")]
    NoManifest {
        /// Folders searched.
        searched: String,
    },
    /// The manifest cannot be read.
    #[error("{path}: {reason}")]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No entry of that name.
    #[error("no model '{name}' in the manifest; it has: {known}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Names there are.
        known: String,
    },
    /// The model's file is not there.
    #[error("model '{name}': {file} not found in {searched}; export it there or name its folder in SKYFIX_MODEL_PATH")]
    MissingFile {
        /// The model.
        name: String,
        /// Its file.
        file: String,
        /// Folders searched.
        searched: String,
    },
    /// The file's content is not what the manifest says.
    #[error(
        "{path}: checksum mismatch: the manifest says sha256 {expected}, the file has {found}; restore the file or correct the manifest"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// From the manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// ONNX Runtime is not to be had.
    #[error("ONNX Runtime: {0}; run `make setup`, or set ORT_DYLIB_PATH to libonnxruntime.so")]
    Runtime(String),
    /// The device asked for cannot be used.
    #[error(
        "device {device} was asked for and cannot be used: {reason}; set `model.device` to cpu, or install what is missing (`skyfix doctor`)"
    )]
    Device {
        /// The device.
        device: Device,
        /// Why.
        reason: String,
    },
    /// The network and the manifest disagree.
    #[error("model '{name}': {what}: the manifest says {expected}, the file has {found}")]
    Interface {
        /// The model.
        name: String,
        /// Which part.
        what: String,
        /// From the manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// A pass failed.
    #[error("model '{name}': inference failed: {reason}")]
    Inference {
        /// The model.
        name: String,
        /// Why.
        reason: String,
    },
}
