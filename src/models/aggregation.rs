//! A retrieval head on ONNX Runtime.

use ort::session::Session;
use ort::value::TensorRef;

use super::{AggregationEntry, Aggregator, Device, ModelError, session};

/// A retrieval head in its own session, on the processor: it is far smaller than the network whose descriptors it takes.
pub struct OnnxAggregation {
    entry: AggregationEntry,
    session: Session,
}

impl OnnxAggregation {
    /// Starts a session on a head already read and checked.
    ///
    /// # Errors
    /// When the file is no such network.
    pub fn from_bytes(entry: AggregationEntry, bytes: &[u8], intra_threads: usize) -> Result<Self, ModelError> {
        let session = session::session(&entry.name, bytes, Device::Cpu, intra_threads)?;
        let inputs: Vec<&str> = session.inputs().iter().map(|i| i.name()).collect();
        let outputs: Vec<&str> = session.outputs().iter().map(|o| o.name()).collect();
        let wanted = [("input", Some(&entry.input), &inputs), ("input", entry.class_token.as_ref(), &inputs)];
        for (what, wanted, there) in wanted.into_iter().chain([("output", Some(&entry.global), &outputs)]) {
            let Some(wanted) = wanted else { continue };
            if !there.contains(&wanted.name.as_str()) {
                let (name, expected) = (entry.name.clone(), wanted.name.clone());
                return Err(ModelError::Interface { name, what: what.into(), expected, found: there.join(", ") });
            }
        }
        Ok(Self { entry, session })
    }

    /// Whether it takes the network's class token, too.
    pub fn takes_class_token(&self) -> bool {
        self.entry.class_token.is_some()
    }

    /// The global descriptor of all that a pass gave: `channels` planes of descriptors and the class token.
    ///
    /// # Errors
    /// When there are too few descriptors, or the network fails.
    pub fn aggregate_pass(&mut self, planes: &[f32], class_token: &[f32]) -> Result<Vec<f32>, ModelError> {
        let output = self.entry.global.name.clone();
        let n = planes.len() / self.entry.input.channels.max(1);
        let found = self.run(planes, Some(class_token), &output)?;
        self.checked(found, n)
    }

    /// An output for `channels` planes of descriptors, as it is.
    fn run(&mut self, planes: &[f32], class_token: Option<&[f32]>, output: &str) -> Result<Vec<f32>, ModelError> {
        let failed = |reason: String| ModelError::Inference { name: self.entry.name.clone(), reason };
        let channels = self.entry.input.channels;
        let n = planes.len() / channels.max(1);
        let tensor = TensorRef::from_array_view(([1usize, channels, n], planes)).map_err(|e| failed(e.to_string()))?;
        let mut inputs = ort::inputs![self.entry.input.name.as_str() => tensor];
        if let (Some(input), Some(values)) = (&self.entry.class_token, class_token) {
            let token = TensorRef::from_array_view(([1usize, values.len()], values)).map_err(|e| failed(e.to_string()))?;
            inputs.extend(ort::inputs![input.name.as_str() => token]);
        }
        let outputs = self.session.run(inputs).map_err(|e| failed(e.to_string()))?;
        let value = outputs.get(output).ok_or_else(|| failed(format!("no output {output}")))?;
        let (_, values) = value.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
        Ok(values.to_vec())
    }

    /// A global descriptor of `n` descriptors, when it is one.
    fn checked(&self, found: Vec<f32>, n: usize) -> Result<Vec<f32>, ModelError> {
        let length = self.entry.global.channels;
        if found.len() == length && found.iter().all(|v| v.is_finite()) {
            return Ok(found);
        }
        Err(ModelError::Interface {
            name: self.entry.name.clone(),
            what: format!("{} of {n} descriptors", self.entry.global.name),
            expected: format!("{length} finite values"),
            found: format!("{} values", found.len()),
        })
    }
}

/// Descriptors one after the other to planes of channels.
fn planes(descriptors: &[f32], channels: usize) -> Vec<f32> {
    let n = descriptors.len() / channels.max(1);
    let mut planes = vec![0.0; n * channels];
    for (i, descriptor) in descriptors.chunks_exact(channels.max(1)).enumerate() {
        descriptor.iter().enumerate().for_each(|(k, v)| planes[k * n + i] = *v);
    }
    planes
}

impl Aggregator for OnnxAggregation {
    fn entry(&self) -> &AggregationEntry {
        &self.entry
    }

    fn aggregate(&mut self, descriptors: &[f32]) -> Result<Vec<f32>, ModelError> {
        let channels = self.entry.input.channels;
        let n = descriptors.len() / channels.max(1);
        if n <= self.entry.clusters {
            return Ok(vec![0.0; self.entry.global.channels]);
        }
        let output = self.entry.global.name.clone();
        let found = self.run(&planes(descriptors, channels), None, &output)?;
        self.checked(found, n)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::math::sinkhorn::{sinkhorn, to_unit_length};
    use crate::models::Manifest;

    fn bundled() -> OnnxAggregation {
        let manifest = Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/manifest.toml")).unwrap();
        let entry = manifest.aggregation_of(manifest.entry("skyfix-dense").unwrap()).unwrap().clone();
        let bytes = manifest.load_aggregation(&entry).unwrap();
        OnnxAggregation::from_bytes(entry, &bytes, 1).unwrap()
    }

    fn descriptors(n: usize) -> Vec<f32> {
        let mut out: Vec<f32> =
            (0..n * 64).map(|i| ((i * 7_919 % 1_013) as f32 / 506.0 - 1.0) * ((i / 64 % 5) as f32 + 0.2)).collect();
        out.chunks_exact_mut(64).for_each(to_unit_length);
        out
    }

    /// The aggregation step by step, from the scores, features and token that the network gives out beside the result.
    #[test]
    fn the_bundled_head_equals_its_oracle() {
        let mut head = bundled();
        for n in [head.entry.clusters + 1, 300, 1024] {
            let given = descriptors(n);
            let global = head.aggregate(&given).unwrap();
            let [scores, features, token, dustbin] =
                ["scores", "features", "token", "dustbin"].map(|output| head.run(&planes(&given, 64), None, output).unwrap());
            let (clusters, length) = (head.entry.clusters, features.len() / n);
            let plan = sinkhorn(&scores, clusters, n, dustbin[0]);
            let mut wanted = token;
            to_unit_length(&mut wanted);
            for m in 0..clusters {
                let mut sum: Vec<f32> =
                    (0..length).map(|l| (0..n).map(|i| features[l * n + i] * plan[m * n + i]).sum()).collect();
                to_unit_length(&mut sum);
                wanted.extend(sum);
            }
            to_unit_length(&mut wanted);
            assert_eq!(global.len(), wanted.len());
            for (a, b) in global.iter().zip(&wanted) {
                assert!((a - b).abs() < 1e-4, "{n}: {a} {b}");
            }
        }
    }

    #[test]
    fn the_order_of_the_descriptors_does_not_matter_and_too_few_give_none() {
        let mut head = bundled();
        let given = descriptors(100);
        let reversed: Vec<f32> = given.chunks_exact(64).rev().flatten().copied().collect();
        let (a, b) = (head.aggregate(&given).unwrap(), head.aggregate(&reversed).unwrap());
        assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4));
        let none = head.aggregate(&descriptors(head.entry.clusters)).unwrap();
        assert!(none.len() == a.len() && none.iter().all(|v| *v == 0.0));
    }
}
