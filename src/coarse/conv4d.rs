//! 4D convolution with bias and ReLU, zero padding of half a kernel, on the CPU's vector unit.
//!
//! A volume keeps its last two axes padded, so that a shift within the (k, l) plane is a constant offset and the innermost loop
//! runs contiguously over whole planes. For each block of positions a group of output channels is summed in registers over all
//! taps: one load of the input serves the whole group. Vectors come from `pulp`, which picks the widest instruction set the
//! machine has; sums always run in the same order.

use pulp::{Arch, Simd, WithSimd};

use super::tensor::Tensor4;

/// Room behind a plane for the last block of positions, at least the longest block (`Group::run`).
const SLACK: usize = 128;

/// Several channels of a 4D tensor, the last two axes padded with zeros.
#[derive(Clone, Debug)]
pub struct Volume {
    shape: [usize; 4],
    channels: usize,
    pad: usize,
    /// Length of a padded row and of a padded plane with its slack.
    stride: usize,
    plane: usize,
    values: Vec<f32>,
}

impl Volume {
    fn zeros(shape: [usize; 4], channels: usize, pad: usize) -> Self {
        let stride = shape[3] + 2 * pad;
        let plane = (shape[2] + 2 * pad) * stride + SLACK;
        Self { shape, channels, pad, stride, plane, values: vec![0.0; channels * shape[0] * shape[1] * plane] }
    }

    /// One channel, padded for kernels of up to `2 · pad + 1`.
    pub fn from_tensor(tensor: &Tensor4, pad: usize) -> Self {
        let mut out = Self::zeros(tensor.shape, 1, pad);
        let [_, _, rows, columns] = tensor.shape;
        if tensor.values.is_empty() {
            return out;
        }
        for (plane, from) in out.values.chunks_exact_mut(out.plane).zip(tensor.values.chunks_exact(rows * columns)) {
            for (row, values) in from.chunks_exact(columns).enumerate() {
                let at = (row + pad) * out.stride + pad;
                plane[at..at + columns].copy_from_slice(values);
            }
        }
        out
    }

    /// Adds the first channel times `factor` to a tensor of the same shape.
    pub fn add_to(&self, tensor: &mut Tensor4, factor: f32) {
        let [_, _, rows, columns] = self.shape;
        if tensor.shape != self.shape || tensor.values.is_empty() {
            return;
        }
        for (plane, to) in self.values.chunks_exact(self.plane).zip(tensor.values.chunks_exact_mut(rows * columns)) {
            for (row, values) in to.chunks_exact_mut(columns).enumerate() {
                let at = (row + self.pad) * self.stride + self.pad;
                values.iter_mut().zip(&plane[at..at + columns]).for_each(|(v, p)| *v += factor * p);
            }
        }
    }
}

/// One layer: convolution, bias, ReLU.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv4d {
    inputs: usize,
    outputs: usize,
    kernel: usize,
    /// `[outputs, inputs, k, k, k, k]`, row-major: the last four axes are the offsets in i, j, k, l.
    weights: Vec<f32>,
    bias: Vec<f32>,
    groups: Vec<Group>,
}

/// Output channels that are summed together, with their weights in the order in which they are used.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    first: usize,
    size: usize,
    /// `[offset i, offset j][input][offset k, offset l][output of the group]`.
    packed: Vec<f32>,
}

impl Conv4d {
    /// A layer from weights `[outputs, inputs, k, k, k, k]` and a bias for each output; `None` when the lengths disagree or the
    /// kernel is even.
    pub fn new(inputs: usize, outputs: usize, kernel: usize, weights: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let taps = kernel.pow(4);
        if kernel.is_multiple_of(2) || weights.len() != outputs * inputs * taps || bias.len() != outputs {
            return None;
        }
        let mut groups = Vec::new();
        let mut first = 0;
        while first < outputs {
            let size = [8, 4, 2, 1].into_iter().find(|s| first + s <= outputs).unwrap_or(1);
            let square = kernel * kernel;
            let mut packed = Vec::with_capacity(size * inputs * taps);
            for pq in 0..square {
                for input in 0..inputs {
                    for rs in 0..square {
                        packed.extend((first..first + size).map(|o| weights[(o * inputs + input) * taps + pq * square + rs]));
                    }
                }
            }
            groups.push(Group { first, size, packed });
            first += size;
        }
        Some(Self { inputs, outputs, kernel, weights, bias, groups })
    }

    /// Channels in and out, and the kernel's side.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.inputs, self.outputs, self.kernel)
    }

    /// The layer for swapped sides: N'(x) = (N(xᵀ))ᵀ, so that the tensor itself need not be turned.
    pub fn transposed(&self) -> Self {
        let square = self.kernel * self.kernel;
        let weights = self
            .weights
            .chunks_exact(square * square)
            .flat_map(|w| (0..square * square).map(move |at| w[(at % square) * square + at / square]))
            .collect();
        // The lengths are those of a layer that exists.
        Self::new(self.inputs, self.outputs, self.kernel, weights, self.bias.clone()).unwrap_or_else(|| self.clone())
    }

    /// Floating-point operations on a tensor of a shape, padding counted as if it were data.
    pub fn operations(&self, shape: [usize; 4]) -> f64 {
        2.0 * (self.weights.len() * shape.iter().product::<usize>()) as f64
    }

    /// Applies the layer; `None` when the channels do not fit or the padding is less than half the kernel.
    pub fn apply(&self, input: &Volume) -> Option<Volume> {
        if input.channels != self.inputs || input.pad < self.kernel / 2 {
            return None;
        }
        let mut output = Volume::zeros(input.shape, self.outputs, input.pad);
        if output.shape.contains(&0) {
            return Some(output);
        }
        Arch::new().dispatch(Run { layer: self, input, output: &mut output });
        Some(output)
    }
}

struct Run<'a> {
    layer: &'a Conv4d,
    input: &'a Volume,
    output: &'a mut Volume,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, input, output } = self;
        let [rows, columns, _, _] = input.shape;
        let half = layer.kernel / 2;
        // Offset of each (k, l) tap from the block's first position less half a kernel each way.
        let shifts: Vec<usize> =
            (0..layer.kernel * layer.kernel).map(|t| (t / layer.kernel) * input.stride + t % layer.kernel).collect();
        let mut planes: Vec<(usize, usize)> = Vec::with_capacity(shifts.len());
        for i in 0..rows {
            for j in 0..columns {
                planes.clear();
                for pq in 0..layer.kernel * layer.kernel {
                    let (p, q) = (i + pq / layer.kernel, j + pq % layer.kernel);
                    // Beyond the edge of (i, j) everything is zero.
                    if (half..rows + half).contains(&p) && (half..columns + half).contains(&q) {
                        planes.push((pq, (p - half) * columns + q - half));
                    }
                }
                for group in &layer.groups {
                    let place = Place { plane: i * columns + j, planes: &planes, shifts: &shifts, half };
                    // Wide registers are many (32 in AVX-512), narrow ones few (16).
                    match (group.size, S::REGISTER_COUNT >= 32) {
                        (8, true) => group.run::<S, 8, 2>(simd, &place, layer, input, output),
                        (8, false) => group.run::<S, 8, 1>(simd, &place, layer, input, output),
                        (4, true) => group.run::<S, 4, 4>(simd, &place, layer, input, output),
                        (4, false) => group.run::<S, 4, 2>(simd, &place, layer, input, output),
                        (2, _) => group.run::<S, 2, 4>(simd, &place, layer, input, output),
                        _ => group.run::<S, 1, 6>(simd, &place, layer, input, output),
                    }
                }
            }
        }
    }
}

/// One (i, j) plane of the output and the input planes that reach it.
struct Place<'a> {
    plane: usize,
    /// Index of the (i, j) tap and of the input plane.
    planes: &'a [(usize, usize)],
    shifts: &'a [usize],
    half: usize,
}

impl Group {
    /// Computes one plane of the group's `OUT` channels, `VECTORS` vectors of positions at a time.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "see below: the sums must stay in registers")]
    fn run<S: Simd, const OUT: usize, const VECTORS: usize>(
        &self,
        simd: S,
        place: &Place<'_>,
        layer: &Conv4d,
        input: &Volume,
        output: &mut Volume,
    ) {
        let block = VECTORS * S::F32_LANES;
        debug_assert!(block <= SLACK && OUT == self.size);
        let [rows, columns, height, width] = input.shape;
        let per_channel = rows * columns * input.plane;
        let (stride, pad) = (input.stride, input.pad);
        let first = pad * stride + pad;
        let length = (height - 1) * stride + width;
        let back = place.half * stride + place.half;
        let taps = OUT * place.shifts.len();
        for start in (0..length).step_by(block) {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; OUT];
            for (pq, plane) in place.planes {
                let weights = &self.packed[pq * layer.inputs * taps..(pq + 1) * layer.inputs * taps];
                for (channel, weights) in weights.chunks_exact(taps).enumerate() {
                    let at = channel * per_channel + plane * input.plane;
                    let values = &input.values[at..at + input.plane];
                    let values = &values[first - back + start..];
                    for (shift, weights) in place.shifts.iter().zip(weights.as_chunks::<OUT>().0) {
                        // An array, not a slice: its loops unroll and the sums stay in registers.
                        let (x, _) = S::as_simd_f32s(&values[*shift..*shift + block]);
                        let Some(x) = x.first_chunk::<VECTORS>() else { continue };
                        for o in 0..OUT {
                            let weight = simd.splat_f32s(weights[o]);
                            for v in 0..VECTORS {
                                sums[o][v] = simd.mul_add_e_f32s(weight, x[v], sums[o][v]);
                            }
                        }
                    }
                }
            }
            // Indices, not iterators: no reference to the sums may leave this function, or they would live in memory.
            for o in 0..OUT {
                let channel = self.first + o;
                let bias = simd.splat_f32s(layer.bias[channel]);
                let at = channel * per_channel + place.plane * output.plane + first + start;
                let (to, _) = S::as_mut_simd_f32s(&mut output.values[at..at + block]);
                let Some(to) = to.first_chunk_mut::<VECTORS>() else { continue };
                for v in 0..VECTORS {
                    to[v] = simd.max_f32s(simd.add_f32s(sums[o][v], bias), simd.splat_f32s(0.0));
                }
            }
        }
        // What was computed on the padding is not data.
        for channel in self.first..self.first + OUT {
            let at = channel * per_channel + place.plane * output.plane;
            let values = &mut output.values[at..at + output.plane];
            for row in 0..height {
                let end = first + row * stride + width;
                let next = if row + 1 < height { end + 2 * pad } else { values.len() };
                values[end..next].fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The definition in nine loops: `channels` tensors in and out.
    fn oracle_conv4d(layer: &Conv4d, shape: [usize; 4], input: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let k = layer.kernel as i64;
        let n = shape.map(|s| s as i64);
        let mut out = Vec::new();
        for o in 0..layer.outputs {
            let mut values = Vec::new();
            for at in 0..shape.iter().product::<usize>() as i64 {
                let x = [at / (n[1] * n[2] * n[3]), at / (n[2] * n[3]) % n[1], at / n[3] % n[2], at % n[3]];
                let mut sum = layer.bias[o];
                for (i, channel) in input.iter().enumerate() {
                    for t in 0..k.pow(4) {
                        let tap = [t / k.pow(3), t / k.pow(2) % k, t / k % k, t % k];
                        let y: Vec<i64> = (0..4).map(|d| x[d] + tap[d] - k / 2).collect();
                        if (0..4).all(|d| (0..n[d]).contains(&y[d])) {
                            let from = ((y[0] * n[1] + y[1]) * n[2] + y[2]) * n[3] + y[3];
                            sum +=
                                layer.weights[(o * layer.inputs + i) * layer.kernel.pow(4) + t as usize] * channel[from as usize];
                        }
                    }
                }
                values.push(sum.max(0.0));
            }
            out.push(values);
        }
        out
    }

    fn random(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.random::<f32>() - 0.5).collect()
    }

    fn layer(rng: &mut ChaCha8Rng, inputs: usize, outputs: usize, kernel: usize) -> Conv4d {
        let weights = random(rng, inputs * outputs * kernel.pow(4));
        let bias = random(rng, outputs);
        Conv4d::new(inputs, outputs, kernel, weights, bias).unwrap()
    }

    fn channel(volume: &Volume, channel: usize) -> Vec<f32> {
        let planes = volume.shape[0] * volume.shape[1] * volume.plane;
        let one =
            Volume { channels: 1, values: volume.values[channel * planes..(channel + 1) * planes].to_vec(), ..volume.clone() };
        let mut out = Tensor4::zeros(volume.shape);
        one.add_to(&mut out, 1.0);
        out.values
    }

    #[test]
    fn two_layers_equal_their_oracle_for_all_group_sizes_and_odd_shapes() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (shape, hidden, kernels) in
            [([3, 4, 5, 6], 15, (3, 3)), ([2, 3, 1, 7], 4, (5, 3)), ([5, 2, 4, 17], 10, (3, 5)), ([1, 1, 8, 9], 1, (5, 5))]
        {
            let (a, b) = (layer(&mut rng, 1, hidden, kernels.0), layer(&mut rng, hidden, 3, kernels.1));
            let tensor = Tensor4 { shape, values: random(&mut rng, shape.iter().product()) };
            let slow = oracle_conv4d(&b, shape, &oracle_conv4d(&a, shape, std::slice::from_ref(&tensor.values)));
            let fast = b.apply(&a.apply(&Volume::from_tensor(&tensor, 2)).unwrap()).unwrap();
            for (o, slow) in slow.iter().enumerate() {
                for (f, s) in channel(&fast, o).iter().zip(slow) {
                    assert!((f - s).abs() < 1e-4 * (1.0 + s.abs()), "{shape:?}: {f} {s}");
                }
            }
        }
    }

    #[test]
    fn a_transposed_layer_does_to_a_tensor_what_the_layer_does_to_its_transpose() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let layer = layer(&mut rng, 1, 1, 3);
        let tensor = Tensor4 { shape: [3, 4, 5, 2], values: random(&mut rng, 120) };
        let run = |l: &Conv4d, t: &Tensor4| {
            let mut out = Tensor4::zeros(t.shape);
            l.apply(&Volume::from_tensor(t, 1)).unwrap().add_to(&mut out, 1.0);
            out
        };
        let (direct, turned) = (run(&layer.transposed(), &tensor), run(&layer, &tensor.transposed()).transposed());
        assert!(direct.values.iter().zip(&turned.values).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(layer.transposed().transposed(), layer);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Conv4d::new(1, 1, 2, vec![0.0; 16], vec![0.0]).is_none());
        assert!(Conv4d::new(1, 1, 3, vec![0.0; 80], vec![0.0]).is_none());
        let layer = Conv4d::new(2, 1, 3, vec![0.0; 162], vec![0.0]).unwrap();
        assert!(layer.apply(&Volume::from_tensor(&Tensor4::zeros([2; 4]), 1)).is_none());
        let layer = Conv4d::new(1, 1, 5, vec![0.0; 625], vec![0.0]).unwrap();
        assert!(layer.apply(&Volume::from_tensor(&Tensor4::zeros([2; 4]), 1)).is_none());
    }
}
