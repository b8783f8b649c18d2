//! The neighbourhood consensus on 16⁴ regions, both directions, one thread. Counted: floating-point operations as "items".

use divan::counter::ItemsCount;
use skyfix::coarse::consensus::ConsensusNetwork;
use skyfix::coarse::conv4d::Conv4d;
use skyfix::coarse::tensor::Tensor4;

const SHAPE: [usize; 4] = [16; 4];

fn main() {
    divan::main();
}

fn wave(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7).sin() * 0.1).collect()
}

fn network(kernel: usize, channels: &[usize]) -> Option<ConsensusNetwork> {
    let mut inputs = 1;
    let mut layers = Vec::new();
    for outputs in channels {
        let weights = wave(inputs * outputs * kernel.pow(4));
        layers.push(Conv4d::new(inputs, *outputs, kernel, weights, vec![0.1; *outputs])?);
        inputs = *outputs;
    }
    ConsensusNetwork::new(layers)
}

fn run(bencher: divan::Bencher<'_, '_>, network: Option<ConsensusNetwork>) {
    let Some(network) = network else { return };
    let tensor = Tensor4 { shape: SHAPE, values: wave(SHAPE.iter().product()) };
    bencher.counter(ItemsCount::new(network.operations(SHAPE) as u64)).bench_local(|| network.apply(&tensor));
}

#[divan::bench(sample_count = 10)]
fn kernel_3_channels_16_16_1(bencher: divan::Bencher<'_, '_>) {
    run(bencher, network(3, &[16, 16, 1]));
}

#[divan::bench(sample_count = 5)]
fn kernel_5_channels_16_16_1(bencher: divan::Bencher<'_, '_>) {
    run(bencher, network(5, &[16, 16, 1]));
}

#[divan::bench(sample_count = 10)]
fn kernel_3_channels_10_10_1(bencher: divan::Bencher<'_, '_>) {
    run(bencher, network(3, &[10, 10, 1]));
}

#[divan::bench]
fn fixed(bencher: divan::Bencher<'_, '_>) {
    run(bencher, Some(ConsensusNetwork::fixed()));
}
