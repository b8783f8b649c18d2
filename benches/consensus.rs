//! The neighbourhood consensus on 16⁴ regions with kernels 3, 3, 3 and 16, 16, 1 channels, against the 185 ms of the PyTorch reference
//! (a loop of 3D convolutions, both cores of the same kind of machine) and against what the cores can do.
//!
//!     cargo bench --bench consensus
//!
//! Rounds take turns, so that a busy machine slows all rows alike; the fastest round counts, for it was disturbed least. Beside the
//! wall clock stands the processor time of the fastest round: other work that takes turns on the core is no part of it. The peak is
//! measured by chains of fused multiply-adds that never leave the registers.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use skyfix::coarse::consensus::ConsensusNetwork;
use skyfix::coarse::conv4d::{Conv4d, Volume};
use skyfix::coarse::tensor::Tensor4;

const SHAPE: [usize; 4] = [16; 4];
const ROUNDS: usize = 60;
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
    /// Threads that run the work side by side, each all of it.
    threads: usize,
    /// Operations of one thread.
    operations: f64,
    work: Box<dyn Fn() + Sync + 'a>,
    fastest_s: f64,
    /// Processor time of this thread.
    fastest_busy_s: f64,
}

/// Seconds that this thread has spent on a processor; none where the kernel does not tell.
fn busy_s() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

impl<'a> Row<'a> {
    fn new(what: &str, threads: usize, operations: f64, work: impl Fn() + Sync + 'a) -> Self {
        Self {
            what: what.into(),
            threads,
            operations,
            work: Box::new(work),
            fastest_s: f64::INFINITY,
            fastest_busy_s: f64::INFINITY,
        }
    }

    fn round(&mut self) {
        let (begun, busy) = (Instant::now(), busy_s());
        std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(|| (self.work)());
            }
            (self.work)();
        });
        self.fastest_s = self.fastest_s.min(begun.elapsed().as_secs_f64());
        if let (Some(from), Some(to)) = (busy, busy_s()) {
            self.fastest_busy_s = self.fastest_busy_s.min(to - from);
        }
    }

    /// Of all threads together by the wall clock, and by this thread's processor time.
    fn gflop_per_s(&self) -> [f64; 2] {
        let all = self.threads as f64 * self.operations / 1e9;
        [all / self.fastest_s, all / self.fastest_busy_s]
    }
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
    let one_way = || {
        let first = trained[0].apply(&input).unwrap();
        black_box(trained[2].apply(&trained[1].apply(&first).unwrap()));
    };
    let operations = |layers: &[Conv4d]| layers.iter().map(|l| l.operations(SHAPE)).sum::<f64>();
    let peak = || {
        Arch::new().dispatch(Peak);
    };
    let peak_operations = Arch::new().dispatch(Peak);
    let mut rows = vec![
        Row::new("peak, 1 thread", 1, peak_operations, peak),
        Row::new("peak, 2 threads", 2, peak_operations, peak),
        Row::new("3,3,3 / 16,16,1, one way, 1 thread", 1, operations(&trained), one_way),
        Row::new("3,3,3 / 16,16,1, both ways, 1 thread", 1, network.operations(SHAPE), || {
            black_box(network.apply(&tensor));
        }),
        Row::new("3,3,3 / 16,16,1, both ways, 2 threads, each its own", 2, network.operations(SHAPE), || {
            black_box(network.apply(&tensor));
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
            if !row.what.starts_with("5,5,5") || round % 10 == 0 {
                row.round();
            }
        }
    }
    let peaks = [rows[0].gflop_per_s(), rows[1].gflop_per_s()];
    println!("{:<52} | {:^27} | {:^27}", format!("fastest of {ROUNDS} rounds"), "wall clock", "processor time");
    let heads = format!("{:>8} {:>9} {:>8}", "ms", "GFLOP/s", "of peak");
    println!("{:<52} | {heads} | {heads}", "");
    for row in &rows {
        let column = |k: usize| {
            let (ms, speed) = ([row.fastest_s, row.fastest_busy_s][k] * 1e3, row.gflop_per_s()[k]);
            format!("{ms:>8.2} {speed:>9.1} {:>7.0}%", 100.0 * speed / peaks[row.threads - 1][k])
        };
        println!("{:<52} | {} | {}", row.what, column(0), column(1));
    }
    let [wall, busy] = [rows[2].fastest_s, rows[2].fastest_busy_s].map(|s| REFERENCE_MS / 1e3 / s);
    println!(
        "one way is the 3.06 GFLOP that took the reference {REFERENCE_MS} ms on two cores: one thread is {wall:.1} times faster by the"
    );
    println!("wall clock, {busy:.1} times by its processor time");
}
