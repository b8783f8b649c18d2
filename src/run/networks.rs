//! Networks for the workers of a graph.

use super::RunError;
use crate::models::{AggregationEntry, DenseExtractor, Device, Manifest, ModelEntry, ModelError};

/// A dense network's file and that of its retrieval head, read and checked.
pub struct NetworkFiles {
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "networks need ONNX Runtime"))]
    dense: (ModelEntry, Vec<u8>),
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "networks need ONNX Runtime"))]
    head: Option<(AggregationEntry, Vec<u8>)>,
}

impl NetworkFiles {
    /// Reads the files of a model of the manifest.
    ///
    /// # Errors
    /// When a file is not there, or is another than the manifest says.
    pub fn load(manifest: &Manifest, entry: &ModelEntry) -> Result<Self, ModelError> {
        let head = manifest.aggregation_of(entry).map(|head| Ok((head.clone(), manifest.load_aggregation(head)?)));
        Ok(Self { dense: (entry.clone(), manifest.load(entry)?), head: head.transpose()? })
    }

    /// A network of its own.
    ///
    /// # Errors
    /// When the device is not there, or the runtime refuses the network.
    #[cfg(feature = "onnx")]
    pub fn network(&self, device: Device, threads: usize) -> Result<Box<dyn DenseExtractor>, ModelError> {
        use crate::models::{OnnxAggregation, OnnxDense};
        let (entry, bytes) = &self.dense;
        let head = self.head.as_ref().map(|(entry, bytes)| OnnxAggregation::from_bytes(entry.clone(), bytes, threads));
        Ok(Box::new(OnnxDense::from_bytes(entry.clone(), bytes, device, threads)?.with_aggregation(head.transpose()?)))
    }

    /// A network of its own, which this build cannot have.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "onnx"))]
    pub fn network(&self, _: Device, _: usize) -> Result<Box<dyn DenseExtractor>, ModelError> {
        Err(ModelError::Runtime("this skyfix was built without the onnx feature".into()))
    }
}

/// A network for each worker, each with its number of threads.
///
/// # Errors
/// When the model or the device is not there.
pub fn networks(model: &str, device: Device, workers: usize, threads: usize) -> Result<Vec<Box<dyn DenseExtractor>>, RunError> {
    let manifest = Manifest::find()?;
    let files = NetworkFiles::load(&manifest, manifest.entry(model)?)?;
    (0..workers).map(|_| Ok(files.network(device, threads)?)).collect()
}
