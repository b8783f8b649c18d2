//! A dense network on ONNX Runtime, with its retrieval head where it has one.

use ort::session::Session;
use ort::value::TensorRef;

use super::aggregation::OnnxAggregation;
use super::manifest::{Order, Output, Range};
use super::session::session;
use super::windows::in_windows;
use super::{
    AggregationEntry, Aggregator, DenseExtractor, DenseFeatures, Device, ImageDescriber, Manifest, ModelEntry, ModelError,
};
use crate::types::ImageTensor;

/// A dense network in its own session.
pub struct OnnxDense {
    entry: ModelEntry,
    session: Session,
    aggregation: Option<OnnxAggregation>,
}

impl OnnxDense {
    /// Loads a model, and its retrieval head if it has one, after checking checksums and interfaces.
    ///
    /// `intra_threads` is the number of threads of one pass. The streaming graph gives each of its workers a session with one.
    pub fn load(manifest: &Manifest, name: &str, device: Device, intra_threads: usize) -> Result<Self, ModelError> {
        let entry = manifest.entry(name)?.clone();
        let bytes = manifest.load(&entry)?;
        let aggregation = match manifest.aggregation_of(&entry) {
            Some(head) => Some(OnnxAggregation::from_bytes(head.clone(), &manifest.load_aggregation(head)?, intra_threads)?),
            None => None,
        };
        Ok(Self { aggregation, ..Self::from_bytes(entry, &bytes, device, intra_threads)? })
    }

    /// With a retrieval head.
    pub fn with_aggregation(self, aggregation: Option<OnnxAggregation>) -> Self {
        Self { aggregation, ..self }
    }

    /// Starts a session on a model already read and checked.
    pub fn from_bytes(entry: ModelEntry, bytes: &[u8], device: Device, intra_threads: usize) -> Result<Self, ModelError> {
        let session = session(&entry.name, bytes, device, intra_threads)?;
        let this = Self { entry, session, aggregation: None };
        this.check_interface()?;
        Ok(this)
    }

    fn check_interface(&self) -> Result<(), ModelError> {
        let mismatch = |what: &str, expected: &str, found: String| ModelError::Interface {
            name: self.entry.name.clone(),
            what: what.into(),
            expected: expected.into(),
            found,
        };
        let inputs: Vec<&str> = self.session.inputs().iter().map(|i| i.name()).collect();
        if inputs != [self.entry.input.name.as_str()] {
            return Err(mismatch("input", &self.entry.input.name, inputs.join(", ")));
        }
        let outputs: Vec<&str> = self.session.outputs().iter().map(|o| o.name()).collect();
        let Self { entry, .. } = self;
        let optional = [&entry.keypoint_logits, &entry.reliability, &entry.class_token];
        for output in optional.into_iter().flatten().chain([&entry.descriptors]) {
            if !outputs.contains(&output.name.as_str()) {
                return Err(mismatch("output", &output.name, outputs.join(", ")));
            }
        }
        let positions = entry.stride_px * entry.stride_px + 1;
        if let Some(keypoints) = entry.keypoint_logits.as_ref().filter(|k| k.channels != positions) {
            let found = keypoints.channels.to_string();
            return Err(mismatch("keypoint channels (stride² + 1)", &positions.to_string(), found));
        }
        Ok(())
    }

    /// One pass over an image of a size that the network takes.
    fn pass(&mut self, image: &ImageTensor) -> Result<DenseFeatures, ModelError> {
        let entry = &self.entry;
        let (rows, columns) = (image.height_px / entry.stride_px, image.width_px / entry.stride_px);
        let plane = rows * columns;
        let outputs = Outputs::run(entry, &mut self.session, image)?;
        let features = DenseFeatures {
            rows,
            columns,
            channels: entry.descriptors.channels,
            stride_px: entry.stride_px,
            descriptors: channels_last_unit(outputs.read(&entry.descriptors, plane)?, entry.descriptors.channels),
            reliability: match &entry.reliability {
                Some(output) => outputs.read(output, plane)?.to_vec(),
                None => vec![1.0; plane],
            },
            keypoints: match &entry.keypoint_logits {
                Some(output) => best_keypoints(outputs.read(output, plane)?, plane, entry.stride_px),
                None => vec![[entry.stride_px as f32 / 2.0, entry.stride_px as f32 / 2.0, 1.0]; plane],
            },
        };
        if features.descriptors.iter().any(|v| !v.is_finite()) {
            return Err(ModelError::Inference { name: entry.name.clone(), reason: "descriptors are not finite".into() });
        }
        Ok(features)
    }
}

/// What a pass gave.
struct Outputs<'a> {
    entry: &'a ModelEntry,
    values: ort::session::SessionOutputs<'a>,
}

impl<'a> Outputs<'a> {
    fn run(entry: &'a ModelEntry, session: &'a mut Session, image: &ImageTensor) -> Result<Self, ModelError> {
        let failed = |reason: String| ModelError::Inference { name: entry.name.clone(), reason };
        let prepared = prepare(entry, image);
        let shape = [1usize, 3, image.height_px, image.width_px];
        let tensor = TensorRef::from_array_view((shape, &*prepared)).map_err(|e| failed(e.to_string()))?;
        let values = session.run(ort::inputs![entry.input.name.as_str() => tensor]).map_err(|e| failed(e.to_string()))?;
        Ok(Self { entry, values })
    }

    /// An output of `plane` values a channel.
    fn read(&self, output: &Output, plane: usize) -> Result<&[f32], ModelError> {
        let failed = |reason: String| ModelError::Inference { name: self.entry.name.clone(), reason };
        let value = self.values.get(&output.name).ok_or_else(|| failed(format!("no output {}", output.name)))?;
        let (shape, data) = value.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
        if data.len() != output.channels * plane {
            return Err(ModelError::Interface {
                name: self.entry.name.clone(),
                what: format!("shape of {}", output.name),
                expected: format!("{} channels of {plane} values", output.channels),
                found: format!("{shape:?}"),
            });
        }
        Ok(data)
    }
}

impl DenseExtractor for OnnxDense {
    fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    fn aggregator(&mut self) -> Option<&mut dyn Aggregator> {
        self.aggregation.as_mut().filter(|head| !head.takes_class_token()).map(|head| head as &mut dyn Aggregator)
    }

    fn image_describer(&mut self) -> Option<Box<dyn ImageDescriber + '_>> {
        let Self { entry, session, aggregation } = self;
        let (side_px, class_token) = entry.input.fixed_px.zip(entry.class_token.as_ref())?;
        let head = aggregation.as_mut().filter(|head| head.takes_class_token())?;
        Some(Box::new(WholeImages { entry, session, head, side_px, class_token }))
    }

    fn extract(&mut self, image: &ImageTensor) -> Result<DenseFeatures, ModelError> {
        let entry = &self.entry;
        let failed = |reason: String| ModelError::Inference { name: entry.name.clone(), reason };
        let multiple = entry.input.multiple_of_px;
        if image.width_px == 0
            || image.height_px == 0
            || !image.width_px.is_multiple_of(multiple)
            || !image.height_px.is_multiple_of(multiple)
        {
            return Err(failed(format!(
                "input of {}×{} px, but sides must be multiples of {multiple}",
                image.width_px, image.height_px
            )));
        }
        match entry.input.fixed_px {
            Some(side) => in_windows(image, side, entry.stride_px, |window| self.pass(window)),
            None => self.pass(image),
        }
    }
}

/// Network and head for whole images.
struct WholeImages<'a> {
    entry: &'a ModelEntry,
    session: &'a mut Session,
    head: &'a mut OnnxAggregation,
    side_px: usize,
    class_token: &'a Output,
}

impl ImageDescriber for WholeImages<'_> {
    fn head(&self) -> &AggregationEntry {
        self.head.entry()
    }

    fn side_px(&self) -> usize {
        self.side_px
    }

    fn describe_image(&mut self, image: &ImageTensor) -> Result<Vec<f32>, ModelError> {
        if (image.width_px, image.height_px) != (self.side_px, self.side_px) {
            let (name, side) = (self.entry.name.clone(), self.side_px);
            let reason = format!("image of {}×{} px, but it takes {side}×{side}", image.width_px, image.height_px);
            return Err(ModelError::Inference { name, reason });
        }
        let cells = (self.side_px / self.entry.stride_px).pow(2);
        let outputs = Outputs::run(self.entry, self.session, image)?;
        let (planes, token) = (outputs.read(&self.entry.descriptors, cells)?, outputs.read(self.class_token, 1)?);
        self.head.aggregate_pass(planes, token)
    }
}

fn prepare<'a>(entry: &ModelEntry, image: &'a ImageTensor) -> std::borrow::Cow<'a, [f32]> {
    let input = &entry.input;
    if input.is_plain() {
        return image.data.as_slice().into();
    }
    let scale = if input.range == Range::Byte { 255.0 } else { 1.0 };
    let plane = image.width_px * image.height_px;
    let planes: [usize; 3] = if input.order == Order::Bgr { [2, 1, 0] } else { [0, 1, 2] };
    let mut out = Vec::with_capacity(image.data.len());
    for (p, (mean, std)) in planes.into_iter().zip(input.mean.iter().zip(&input.std)) {
        out.extend(image.data[p * plane..(p + 1) * plane].iter().map(|v| (v * scale - mean) / std));
    }
    out.into()
}

/// Planes to channels-last descriptors of unit length.
fn channels_last_unit(planes: &[f32], channels: usize) -> Vec<f32> {
    let plane = planes.len() / channels;
    let mut out = vec![0.0; planes.len()];
    for (channel, values) in planes.chunks_exact(plane).enumerate() {
        for (cell, value) in values.iter().enumerate() {
            out[cell * channels + channel] = *value;
        }
    }
    for descriptor in out.chunks_exact_mut(channels) {
        let norm = descriptor.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        descriptor.iter_mut().for_each(|v| *v /= norm);
    }
    out
}

/// The likeliest position of each cell and its softmax probability against all positions and "none". Plane by plane, as the logits lie
/// in memory.
fn best_keypoints(logits: &[f32], plane: usize, stride_px: usize) -> Vec<[f32; 3]> {
    let positions = stride_px * stride_px;
    let (mut best, mut top) = (vec![0u32; plane], vec![f32::NEG_INFINITY; plane]);
    for (position, values) in logits.chunks_exact(plane).take(positions).enumerate() {
        for ((best, top), value) in best.iter_mut().zip(&mut top).zip(values) {
            let better = *value > *top;
            *best = if better { position as u32 } else { *best };
            *top = if better { *value } else { *top };
        }
    }
    let highest: Vec<f32> = top.iter().zip(&logits[positions * plane..]).map(|(top, none)| top.max(*none)).collect();
    let mut totals = vec![0.0; plane];
    for values in logits.chunks_exact(plane) {
        for ((total, value), highest) in totals.iter_mut().zip(values).zip(&highest) {
            *total += (value - highest).exp();
        }
    }
    let keypoint = |cell: usize| {
        let (column, row) = (best[cell] as usize % stride_px, best[cell] as usize / stride_px);
        [column as f32 + 0.5, row as f32 + 0.5, (top[cell] - highest[cell]).exp() / totals[cell]]
    };
    (0..plane).map(keypoint).collect()
}
