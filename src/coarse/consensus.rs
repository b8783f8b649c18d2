//! The neighbourhood consensus network (NC-Net, Rocco et al. 2018, section 3.2): 4D convolutions over the correlation tensor that
//! strengthen a match whose neighbours match alike, applied to both directions: y = N(x) + (N(xᵀ))ᵀ.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::conv4d::{Conv4d, Volume};
use super::tensor::Tensor4;
use crate::files;

/// Layers of the fixed network: as many as the learned ones of the literature have.
const FIXED_LAYERS: usize = 3;
const FIXED_KERNEL: usize = 3;
/// Spread of the fixed kernel over displacements, regions: a neighbour that moved by one region more or less still counts a
/// little (the quantisation of regions alone moves it by up to half of one).
const FIXED_SIGMA: f32 = 0.5;

/// What is wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no safetensors file.
    #[error("not a safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// Nothing in it.
    #[error("no tensor layer0.weight: these are no weights of a consensus network")]
    Empty,
    /// A layer lacks a tensor, or the numbers of the layers have a gap.
    #[error("tensor {name} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor that belongs to no layer.
    #[error("tensor {name} is not known; expected layer0.weight, layer0.bias, layer1.weight and so on")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A tensor of the wrong shape or type.
    #[error("tensor {name} is {found}, expected {expected}")]
    Shape {
        /// Its name.
        name: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A weight that is no finite number.
    #[error("tensor {name} holds a value that is not finite")]
    NotFinite {
        /// Its name.
        name: String,
    },
}

/// Layers of 4D convolution from one channel to one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsensusNetwork {
    layers: Vec<Conv4d>,
    /// The layers for swapped sides; none when the layers are their own.
    transposed: Vec<Conv4d>,
    pad: usize,
}

impl ConsensusNetwork {
    /// From layers whose channels chain from one to one; `None` when they do not.
    pub fn new(layers: Vec<Conv4d>) -> Option<Self> {
        let mut channels = 1;
        for layer in &layers {
            let (inputs, outputs, _) = layer.shape();
            if inputs != channels {
                return None;
            }
            channels = outputs;
        }
        if channels != 1 || layers.is_empty() {
            return None;
        }
        let pad = layers.iter().map(|l| l.shape().2 / 2).max().unwrap_or(0);
        let mut transposed: Vec<Conv4d> = layers.iter().map(Conv4d::transposed).collect();
        if transposed == layers {
            transposed.clear();
        }
        Some(Self { layers, transposed, pad })
    }

    /// A network without learned weights.
    ///
    /// Assumption: the view is north-up and at the map's scale to within some degrees and per cent, so neighbouring regions of a
    /// right match are displaced alike. Each layer's kernel is g(a − c) · g(b − d) for the offsets (a, b) in the frame and (c, d) in
    /// the map, g a Gaussian of half a region: what moves together supports each other, wherever it moves. Three layers of side 3
    /// reach three regions to each side with weights that fall off binomially, and let the displacement drift as a small rotation
    /// or change of scale does. Normalised so that a tensor of constant value stays as it is, away from the edges.
    pub fn fixed() -> Self {
        let half = (FIXED_KERNEL / 2) as f32;
        let offset = |i: usize| i as f32 - half;
        let gauss = |d: f32| (-0.5 * (d / FIXED_SIGMA).powi(2)).exp();
        let side: Vec<(f32, f32)> =
            (0..FIXED_KERNEL * FIXED_KERNEL).map(|t| (offset(t / FIXED_KERNEL), offset(t % FIXED_KERNEL))).collect();
        let weights: Vec<f32> =
            side.iter().flat_map(|(a, b)| side.iter().map(move |(c, d)| gauss(a - c) * gauss(b - d))).collect();
        let sum: f32 = weights.iter().sum();
        let layers = (0..FIXED_LAYERS).filter_map(|layer| {
            // The last layer halves what the two directions add up to.
            let scale = if layer + 1 == FIXED_LAYERS { 0.5 } else { 1.0 } / sum;
            Conv4d::new(1, 1, FIXED_KERNEL, weights.iter().map(|w| w * scale).collect(), vec![0.0])
        });
        let layers: Vec<Conv4d> = layers.collect();
        let transposed = Vec::new();
        Self { layers, transposed, pad: FIXED_KERNEL / 2 }
    }

    /// Reads weights: a safetensors file with `layer{i}.weight` of shape \[out, in, k, k, k, k\] (k = 3 or 5; offsets in the frame's
    /// rows and columns, then the map's) and `layer{i}.bias` of shape \[out\], both F32.
    pub fn load(path: &Path) -> Result<Self, ConsensusError> {
        let bytes = files::read(path).map_err(|source| ConsensusError::Io { path: path.into(), source })?;
        Self::from_bytes(&bytes)
    }

    /// See [`ConsensusNetwork::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ConsensusError> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let names = tensors.names();
        let count = names.iter().filter(|n| n.ends_with(".weight")).count();
        let known = |name: &str| (0..count).any(|i| name == format!("layer{i}.weight") || name == format!("layer{i}.bias"));
        if count == 0 {
            return Err(ConsensusError::Empty);
        }
        let mut layers = Vec::with_capacity(count);
        let mut channels = 1;
        for i in 0..count {
            let name = format!("layer{i}.weight");
            let (shape, weights) = read(&tensors, &name)?;
            let outputs = shape.first().copied().unwrap_or(0);
            let kernel = shape.get(2).copied().unwrap_or(0);
            let wanted_outputs = if i + 1 == count { 1 } else { outputs };
            let fits =
                matches!(kernel, 3 | 5) && outputs > 0 && shape == [wanted_outputs, channels, kernel, kernel, kernel, kernel];
            if !fits {
                let outputs = if i + 1 == count { "1" } else { "out" };
                let expected = format!("[{outputs}, {channels}, k, k, k, k] with k = 3 or 5");
                return Err(ConsensusError::Shape { name, found: format!("{shape:?}"), expected });
            }
            let name = format!("layer{i}.bias");
            let (shape, bias) = read(&tensors, &name)?;
            let mismatch = |name, shape: &[usize]| ConsensusError::Shape {
                name,
                found: format!("{shape:?}"),
                expected: format!("[{outputs}]"),
            };
            if shape != [outputs] {
                return Err(mismatch(name, &shape));
            }
            layers.push(Conv4d::new(channels, outputs, kernel, weights, bias).ok_or_else(|| mismatch(name, &shape))?);
            channels = outputs;
        }
        if let Some(name) = names.iter().find(|n| !known(n)) {
            return Err(ConsensusError::Unknown { name: (*name).to_string() });
        }
        Self::new(layers).ok_or(ConsensusError::Empty)
    }

    /// y = N(x) + (N(xᵀ))ᵀ, of the shape of x.
    pub fn apply(&self, x: &Tensor4) -> Tensor4 {
        let mut out = Tensor4::zeros(x.shape);
        // A network that is its own transpose gives the same both ways.
        let factor = if self.transposed.is_empty() { 2.0 } else { 1.0 };
        for layers in [&self.layers, &self.transposed] {
            let result = layers.iter().try_fold(None, |volume: Option<Volume>, layer| {
                let from = volume.unwrap_or_else(|| Volume::from_tensor(x, self.pad));
                layer.apply(&from).map(Some)
            });
            if let Some(Some(volume)) = result {
                volume.add_to(&mut out, factor);
            }
        }
        out
    }

    /// Floating-point operations of both directions on a tensor of a shape.
    pub fn operations(&self, shape: [usize; 4]) -> f64 {
        self.layers.iter().chain(&self.transposed).map(|l| l.operations(shape)).sum()
    }
}

fn read(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f32>), ConsensusError> {
    let view = tensors.tensor(name).map_err(|_| ConsensusError::Missing { name: name.into() })?;
    if view.dtype() != Dtype::F32 {
        return Err(ConsensusError::Shape { name: name.into(), found: format!("{:?}", view.dtype()), expected: "F32".into() });
    }
    let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    if values.iter().any(|v| !v.is_finite()) {
        return Err(ConsensusError::NotFinite { name: name.into() });
    }
    Ok((view.shape().to_vec(), values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

    type Named = (&'static str, Vec<usize>, Vec<f32>);

    fn file(tensors: &[Named]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.2.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|(t, b)| (t.0, TensorView::new(Dtype::F32, t.1.clone(), b).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn wave(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 1.7 + phase).sin() * 0.3).collect()
    }

    fn weights() -> Vec<Named> {
        vec![
            ("layer0.weight", vec![3, 1, 3, 3, 3, 3], wave(243, 0.0)),
            ("layer0.bias", vec![3], wave(3, 1.0)),
            ("layer1.weight", vec![1, 3, 5, 5, 5, 5], wave(1875, 2.0)),
            ("layer1.bias", vec![1], vec![0.1]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn swapping_frame_and_map_swaps_the_result(values in prop::collection::vec(0.0..1.0f32, 3 * 4 * 5 * 3)) {
            let x = Tensor4 { shape: [3, 4, 5, 3], values };
            for network in [ConsensusNetwork::from_bytes(&file(&weights())).unwrap(), ConsensusNetwork::fixed()] {
                let (y, swapped) = (network.apply(&x), network.apply(&x.transposed()).transposed());
                for (a, b) in y.values.iter().zip(&swapped.values) {
                    prop_assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{} {}", a, b);
                }
            }
        }
    }

    #[test]
    fn the_fixed_network_is_its_own_transpose_and_keeps_a_constant() {
        let fixed = ConsensusNetwork::fixed();
        assert_eq!(ConsensusNetwork::new(fixed.layers.clone()), Some(fixed.clone()));
        let y = fixed.apply(&Tensor4 { shape: [9; 4], values: vec![0.7; 9 * 9 * 9 * 9] });
        assert!((y.values[((4 * 9 + 4) * 9 + 4) * 9 + 4] - 0.7).abs() < 1e-4);
    }

    #[test]
    fn the_fixed_network_prefers_a_match_whose_neighbours_move_alike() {
        let mut x = Tensor4::zeros([5, 5, 8, 8]);
        let at = |i: usize, j: usize, k: usize, l: usize| ((i * 5 + j) * 8 + k) * 8 + l;
        for i in 0..5 {
            for j in 0..5 {
                x.values[at(i, j, i + 1, j + 2)] = 0.5;
            }
        }
        // A stronger match that stands alone.
        x.values[at(2, 2, 7, 0)] = 1.0;
        let y = ConsensusNetwork::fixed().apply(&x);
        assert!(y.values[at(2, 2, 3, 4)] > 3.0 * y.values[at(2, 2, 7, 0)]);
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_with_both_values() {
        let refuse = |change: &dyn Fn(&mut Vec<Named>)| {
            let mut tensors = weights();
            change(&mut tensors);
            ConsensusNetwork::from_bytes(&file(&tensors)).unwrap_err().to_string()
        };
        assert!(ConsensusNetwork::from_bytes(&file(&weights())).is_ok());
        assert_eq!(refuse(&|t| t.truncate(3)), "tensor layer1.bias is missing");
        assert!(refuse(&|t| t.clear()).contains("no tensor layer0.weight"));
        assert!(refuse(&|t| t[0].0 = "layer7.weight").contains("layer0.weight is missing"));
        assert!(refuse(&|t| t.push(("extra", vec![1], vec![0.0]))).contains("extra is not known"));
        let wrong = refuse(&|t| t[1] = ("layer0.bias", vec![2], vec![0.0; 2]));
        assert_eq!(wrong, "tensor layer0.bias is [2], expected [3]");
        let wrong = refuse(&|t| t[2].1 = vec![3, 1, 5, 5, 5, 5]);
        assert_eq!(wrong, "tensor layer1.weight is [3, 1, 5, 5, 5, 5], expected [1, 3, k, k, k, k] with k = 3 or 5");
        assert!(refuse(&|t| t[3].2[0] = f32::NAN).contains("not finite"));
        assert!(matches!(ConsensusNetwork::from_bytes(b"no"), Err(ConsensusError::Format(_))));
    }
}
