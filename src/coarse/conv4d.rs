//! 4D convolution with bias and ReLU, zero padding of half a kernel, on the CPU's vector unit.
//!
//! A volume keeps its last two axes padded, so that a shift within the (k, l) plane is a constant offset and the innermost loop
//! runs contiguously over whole planes. For each block of positions a group of sums is kept in registers: one load of the input serves
//! the whole group. A group is made of output channels, and the (i, j) taps follow one after the other where all their input planes
//! would not fit the first cache together; where there are too few output channels, a group is made of the (i, j) taps themselves, whose
//! sums go to as many output planes. Vectors come from `pulp`, which picks the widest instruction set the machine has; sums always run in the same
//! order.

use pulp::{Arch, Simd, WithSimd};

use super::tensor::Tensor4;

/// Room behind a plane for the last block of positions, at least the longest block (`Planes::sum`).
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

/// An (i, j) tap and an output channel for each of some sums.
type Sums = Vec<(usize, usize)>;

/// Sums that are computed together, over one plane of every input channel for each of some (i, j) taps.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    /// The (i, j) taps by which the input planes are reached.
    from: Vec<usize>,
    /// For each sum the (i, j) tap by which its output plane is reached, and the output channel. Of the two taps one is the middle.
    sums: Sums,
    /// In the order in which they are used: `[from][input][offset k, offset l][sum]`.
    weights: Vec<f32>,
}

/// With fewer output channels than this the (i, j) taps make up the groups, too.
const FEW_OUTPUTS: usize = 3;
/// With fewer input channels than this the planes of all (i, j) taps fit the first cache together.
const FEW_INPUTS: usize = 4;

impl Conv4d {
    /// A layer from weights `[outputs, inputs, k, k, k, k]` and a bias for each output; `None` when the lengths disagree or the
    /// kernel is even.
    pub fn new(inputs: usize, outputs: usize, kernel: usize, weights: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let (square, taps) = (kernel * kernel, kernel.pow(4));
        if kernel.is_multiple_of(2) || weights.len() != outputs * inputs * taps || bias.len() != outputs {
            return None;
        }
        let middle = square / 2;
        let outputs_of = |pq: usize| (0..outputs).map(move |o| (pq, o));
        let (all, middle_only) = ((0..square).collect::<Vec<_>>(), outputs_of(middle).collect::<Sums>());
        let together: Vec<(Vec<usize>, Sums)> = if outputs < FEW_OUTPUTS {
            vec![(vec![middle], all.into_iter().flat_map(outputs_of).collect())]
        } else if inputs < FEW_INPUTS {
            vec![(all, middle_only)]
        } else {
            all.into_iter().map(|pq| (vec![pq], middle_only.clone())).collect()
        };
        let mut groups = Vec::new();
        for (from, sums) in together {
            let mut rest = &sums[..];
            while !rest.is_empty() {
                // Nine is a whole kernel of 3 × 3.
                let size = if rest.len().is_multiple_of(9) { 9 } else { 8.min(1 << rest.len().ilog2()) };
                let (sums, others) = rest.split_at(size);
                rest = others;
                let mut packed = Vec::with_capacity(from.len() * size * inputs * square);
                for from in &from {
                    for input in 0..inputs {
                        for rs in 0..square {
                            packed.extend(sums.iter().map(|(to, o)| {
                                let pq = if outputs < FEW_OUTPUTS { to } else { from };
                                weights[(o * inputs + input) * taps + pq * square + rs]
                            }));
                        }
                    }
                }
                groups.push(Group { from: from.clone(), sums: sums.to_vec(), weights: packed });
            }
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
        let [rows, columns, height, width] = input.shape;
        let planes = Planes::of(layer, input);
        let (mut parts, mut sums) = (Vec::new(), Vec::new());
        for at in 0..rows * columns {
            for group in &layer.groups {
                parts.clear();
                let weights = group.weights.chunks_exact(group.weights.len() / group.from.len().max(1));
                let reached = group.from.iter().zip(weights);
                parts.extend(reached.filter_map(|(pq, weights)| Some((planes.shifted(at, *pq, false)? * input.plane, weights))));
                // Wide registers are many (32 in AVX-512), narrow ones few (16).
                let (values, out) = (&input.values, &mut sums);
                match (group.sums.len(), S::REGISTER_COUNT >= 32) {
                    (9, true) => planes.sum::<S, 9, 2>(simd, &parts, values, out),
                    (9, false) => planes.sum::<S, 9, 1>(simd, &parts, values, out),
                    (8, true) => planes.sum::<S, 8, 3>(simd, &parts, values, out),
                    (8, false) => planes.sum::<S, 8, 1>(simd, &parts, values, out),
                    (4, true) => planes.sum::<S, 4, 6>(simd, &parts, values, out),
                    (4, false) => planes.sum::<S, 4, 2>(simd, &parts, values, out),
                    (2, _) => planes.sum::<S, 2, 4>(simd, &parts, values, out),
                    _ => planes.sum::<S, 1, 6>(simd, &parts, values, out),
                }

                for ((pq, channel), sums) in group.sums.iter().zip(sums.chunks_exact(planes.padded)) {
                    let Some(to) = planes.shifted(at, *pq, true) else { continue };
                    let begin = (channel * rows * columns + to) * output.plane + planes.first;
                    output.values[begin..begin + planes.length].iter_mut().zip(sums).for_each(|(v, s)| *v += s);
                }
            }
        }
        // Bias and ReLU on the data; what was computed on the padding is none.
        for (channel, values) in output.values.chunks_exact_mut(output.plane * rows * columns).enumerate() {
            let bias = layer.bias[channel];
            for plane in values.chunks_exact_mut(output.plane) {
                for row in 0..height {
                    let begin = planes.first + row * output.stride;
                    plane[begin..begin + width].iter_mut().for_each(|v| *v = (*v + bias).max(0.0));
                    let next = if row + 1 < height { begin + output.stride } else { output.plane };
                    plane[begin + width..next].fill(0.0);
                }
            }
        }
    }
}

/// How the planes of an input lie and which reach which under a layer.
struct Planes {
    rows: usize,
    columns: usize,
    kernel: usize,
    /// From one channel's plane to the next channel's.
    per_channel: usize,
    /// The first position in a plane, and from there the first value that its sum needs.
    first: usize,
    back: usize,
    /// Positions from the first to the last, and the same filled up to whole blocks.
    length: usize,
    padded: usize,
    /// Offset of each (k, l) tap from the block's first position less half a kernel each way.
    shifts: Vec<usize>,
}

impl Planes {
    fn of(layer: &Conv4d, input: &Volume) -> Self {
        let [rows, columns, height, width] = input.shape;
        let half = layer.kernel / 2;
        let length = (height - 1) * input.stride + width;
        Self {
            rows,
            columns,
            kernel: layer.kernel,
            per_channel: rows * columns * input.plane,
            first: input.pad * input.stride + input.pad,
            back: half * input.stride + half,
            length,
            padded: length + SLACK,
            shifts: (0..layer.kernel.pow(2)).map(|t| (t / layer.kernel) * input.stride + t % layer.kernel).collect(),
        }
    }

    /// The plane that an (i, j) tap reaches from a plane, or from which it reaches it (`inverse`); beyond the edge everything is zero.
    fn shifted(&self, plane: usize, pq: usize, inverse: bool) -> Option<usize> {
        let half = self.kernel / 2;
        let step = |at: usize, tap: usize, size: usize| {
            let tap = if inverse { self.kernel - 1 - tap } else { tap };
            (at + tap).checked_sub(half).filter(|to| *to < size)
        };
        let row = step(plane / self.columns, pq / self.kernel, self.rows)?;
        let column = step(plane % self.columns, pq % self.kernel, self.columns)?;
        Some(row * self.columns + column)
    }

    /// Sums over the planes of every input channel that begin, in the first channel, at each of `parts`, by its weights; `VECTORS` vectors
    /// of positions at a time. `padded` values for each of `SUMS`, of which `length` count.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "see below: the sums must stay in registers")]
    fn sum<S: Simd, const SUMS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        parts: &[(usize, &[f32])],
        values: &[f32],
        out: &mut Vec<f32>,
    ) {
        let block = VECTORS * S::F32_LANES;
        debug_assert!(block <= SLACK);
        out.resize(SUMS * self.padded, 0.0);
        let taps = SUMS * self.shifts.len();
        for start in (0..self.length).step_by(block) {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; SUMS];
            for (begin, weights) in parts {
                for (channel, weights) in weights.chunks_exact(taps).enumerate() {
                    let values = &values[begin + channel * self.per_channel + self.first - self.back + start..];
                    for (shift, weights) in self.shifts.iter().zip(weights.as_chunks::<SUMS>().0) {
                        // An array, not a slice: its loops unroll and the sums stay in registers.
                        let (x, _) = S::as_simd_f32s(&values[*shift..*shift + block]);
                        let Some(x) = x.first_chunk::<VECTORS>() else { continue };
                        for o in 0..SUMS {
                            let weight = simd.splat_f32s(weights[o]);
                            for v in 0..VECTORS {
                                sums[o][v] = simd.mul_add_e_f32s(weight, x[v], sums[o][v]);
                            }
                        }
                    }
                }
            }
            // Indices, not iterators: no reference to the sums may leave this function, or they would live in memory.
            for o in 0..SUMS {
                let at = o * self.padded + start;
                let (to, _) = S::as_mut_simd_f32s(&mut out[at..at + block]);
                let Some(to) = to.first_chunk_mut::<VECTORS>() else { continue };
                *to = sums[o];
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
        let cases = [
            ([3, 4, 5, 6], 15, 3, (3, 3)),
            ([2, 3, 1, 7], 4, 3, (5, 3)),
            ([5, 2, 4, 17], 10, 3, (3, 5)),
            ([1, 1, 8, 9], 1, 3, (5, 5)),
            ([4, 3, 5, 18], 18, 1, (3, 3)),
            ([3, 3, 6, 5], 5, 2, (5, 5)),
        ];
        for (shape, hidden, outputs, kernels) in cases {
            let (a, b) = (layer(&mut rng, 1, hidden, kernels.0), layer(&mut rng, hidden, outputs, kernels.1));
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
