//! Sessions of ONNX Runtime.

use ort::ep::ExecutionProvider as _;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use super::{Device, ModelError, runtime};

/// A session on a network's file.
pub(super) fn session(name: &str, bytes: &[u8], device: Device, intra_threads: usize) -> Result<Session, ModelError> {
    let environment = runtime::environment()?;
    let failed = |e: String| ModelError::Inference { name: name.into(), reason: e };
    let mut builder = Session::builder(environment)
        .and_then(|b| Ok(b.with_optimization_level(GraphOptimizationLevel::Level3)?))
        .and_then(|b| Ok(b.with_intra_threads(intra_threads)?))
        .and_then(|b| Ok(b.with_inter_threads(1)?))
        .and_then(|b| Ok(b.with_intra_op_spinning(false)?))
        // One is kept for each size of view ever seen, for good.
        .and_then(|b| Ok(b.with_memory_pattern(false)?))
        .map_err(|e| failed(e.to_string()))?;
    if let Device::Cuda(number) = device {
        let unusable = |reason: String| ModelError::Device { device, reason };
        if !ort::ep::CUDA::is_available().unwrap_or(false) {
            return Err(unusable("this ONNX Runtime library was built without the CUDA provider".into()));
        }
        let id = i32::try_from(number).map_err(|e| unusable(e.to_string()))?;
        // What a search finds depends on what else ran meanwhile, and each size of view would be searched for anew; TF32 rounds to 10 bits.
        let provider = ort::ep::CUDA::default()
            .with_device_id(id)
            .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
            .with_tf32(false)
            .build()
            .error_on_failure();
        builder = builder.with_execution_providers([provider]).map_err(|e| unusable(e.to_string()))?;
    }
    builder.commit_from_memory(bytes).map_err(|e| failed(e.to_string()))
}
