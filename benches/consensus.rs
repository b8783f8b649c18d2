//! The neighbourhood consensus on 16⁴ regions with kernels 3, 3, 3 and 16, 16, 1 channels, against the 185 ms of the PyTorch reference
//! (a loop of 3D convolutions, both cores of the same kind of machine) and against what the cores can do.
//!
//!     cargo bench --bench consensus
//!
//! Rounds take turns, so that a busy machine slows all rows alike; the fastest round counts, for it was disturbed least. The peak
//! is measured by chains of fused multiply-adds that never leave the registers. "One way" is N(x), what the reference was timed at;
//! the network is N(x) + (N(xᵀ))ᵀ.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use skyfix::coarse::consensus::ConsensusNetwork;
use skyfix::coarse::conv4d::{Conv4d, Volume};
use skyfix::coarse::tensor::Tensor4;

const SHAPE: [usize; 4] = [16; 4];
const ROUNDS: usize = 120;
const REFERENCE_MS: f64 = 185.0;

fn wave(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7).sin() * 0.1).collect()
}

fn layers(kernel: usize, channels: &[usize]) -> Vec<Conv4d> {
    let inputs = std::iter::once(&1).chain(channels);
    let layer = |(inputs, outputs): (&usize, &usize)| {
        let weights = wave(inputs * outputs * kernel.pow(4));
        Conv4d::new(*inputs, *outputs, kernel, weights, vec![0.1; *outputs]).unwrap()
    };
    inputs.zip(channels).map(layer).collect()
}

/// Independent chains of fused multiply-adds: enough to fill the pipelines of two units of latency 4.
struct Peak;

const CHAINS: usize = 12;
const LINKS: usize = 2_000_000;

impl WithSimd for Peak {
    /// Operations.
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let mut sums = [simd.splat_f32s(black_box(1.0)); CHAINS];
        for _ in 0..LINKS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(simd.reduce_sum_f32s(sum));
        }
        2.0 * (CHAINS * LINKS * S::F32_LANES) as f64
    }
}

struct Row<'a> {
    what: String,
    threads: usize,
    /// Operations of all threads together.
    operations: f64,
    work: Box<dyn Fn() + 'a>,
    fastest_s: f64,
}

impl<'a> Row<'a> {
    fn new(what: &str, threads: usize, operations: f64, work: impl Fn() + 'a) -> Self {
        Self { what: what.into(), threads, operations, work: Box::new(work), fastest_s: f64::INFINITY }
    }

    fn round(&mut self) {
        let begun = Instant::now();
        (self.work)();
        self.fastest_s = self.fastest_s.min(begun.elapsed().as_secs_f64());
    }

    fn gflop_per_s(&self) -> f64 {
        self.operations / self.fastest_s / 1e9
    }
}

/// Both at once, each on a thread.
fn side_by_side(a: impl FnOnce() + Send, b: impl FnOnce()) {
    std::thread::scope(|scope| {
        scope.spawn(a);
        b();
    });
}

fn main() {
    let trained = layers(3, &[16, 16, 1]);
    let network = ConsensusNetwork::new(trained.clone()).unwrap();
    let (wide, fixed) = (ConsensusNetwork::new(layers(5, &[16, 16, 1])).unwrap(), ConsensusNetwork::fixed());
    let tensor = Tensor4 { shape: SHAPE, values: wave(SHAPE.iter().product()) };
    let input = Volume::from_tensor(&tensor, 1);
    let first = trained[0].apply(&input).unwrap();
    let second = trained[1].apply(&first).unwrap();
    let volumes = [&input, &first, &second];
    let run = |layers: &[Conv4d], input: &Volume| {
        let (first, rest) = layers.split_first().unwrap();
        let begin = first.apply(input).unwrap();
        black_box(rest.iter().fold(begin, |volume, layer| layer.apply(&volume).unwrap()));
    };
    let turned: Vec<Conv4d> = trained.iter().map(Conv4d::transposed).collect();
    let operations = |layers: &[Conv4d]| layers.iter().map(|l| l.operations(SHAPE)).sum::<f64>();
    let peak = || {
        black_box(Arch::new().dispatch(Peak));
    };
    let peak_operations = Arch::new().dispatch(Peak);
    let mut rows = vec![
        Row::new("peak, 1 thread", 1, peak_operations, peak),
        Row::new("peak, 2 threads", 2, 2.0 * peak_operations, || side_by_side(peak, peak)),
        Row::new("3,3,3 / 16,16,1, one way, 1 thread", 1, operations(&trained), || run(&trained, &input)),
        Row::new("3,3,3 / 16,16,1, both ways, 1 thread", 1, network.operations(SHAPE), || {
            black_box(network.apply(&tensor));
        }),
        Row::new("3,3,3 / 16,16,1, both ways, each on one of 2 threads", 2, network.operations(SHAPE), || {
            side_by_side(|| run(&trained, &input), || run(&turned, &input));
        }),
        Row::new("5,5,5 / 16,16,1, both ways, 1 thread", 1, wide.operations(SHAPE), || {
            black_box(wide.apply(&tensor));
        }),
        Row::new("fixed kernel, 1 thread", 1, fixed.operations(SHAPE), || {
            black_box(fixed.apply(&tensor));
        }),
    ];
    for ((layer, volume), what) in trained.iter().zip(volumes).zip(["1 to 16", "16 to 16", "16 to 1"]) {
        let work = move || {
            black_box(layer.apply(volume));
        };
        rows.push(Row::new(&format!("layer of {what} channels, 1 thread"), 1, layer.operations(SHAPE), work));
    }
    for round in 0..ROUNDS {
        for row in &mut rows {
            // The widest takes as long as all others together.
            if !row.what.starts_with("5,5,5") || round % 30 == 0 {
                row.round();
            }
        }
    }
    let peaks = [rows[0].gflop_per_s(), rows[1].gflop_per_s()];
    println!("{:<56} {:>8} {:>9} {:>8}", format!("fastest of {ROUNDS} rounds"), "ms", "GFLOP/s", "of peak");
    for row in &rows {
        let (ms, speed) = (row.fastest_s * 1e3, row.gflop_per_s());
        println!("{:<56} {ms:>8.2} {speed:>9.1} {:>7.0}%", row.what, 100.0 * speed / peaks[row.threads - 1]);
    }
    let times = REFERENCE_MS / 1e3 / rows[2].fastest_s;
    println!(
        "one way is the 3.06 GFLOP that took the reference {REFERENCE_MS} ms on two cores: {times:.1} times faster on one thread"
    );
}
