//! The whole-frame pass of the bundled network against XFeat's: 800×800 pixels, two threads inside ONNX Runtime, in one run.
//!
//!     cargo bench --bench backbone                                     [-- MODEL MODEL ...]
//!
//! Models of the manifest, by name; `skyfix-dense` and `xfeat` unless others are given. Passes take turns, so that a busy machine slows all
//! alike; each row has the fastest and the median pass, and the median of the ratios to the last model's pass of the same round.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::time::Instant;

use skyfix::models::{DenseExtractor, Device, Manifest, OnnxDense};
use skyfix::types::ImageTensor;

const SIDE_PX: usize = 800;
const THREADS: usize = 2;
const ROUNDS: usize = 40;

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let names = if asked.is_empty() { vec!["skyfix-dense".into(), "xfeat".into()] } else { asked };
    let manifest = Manifest::find().unwrap();
    let mut image = ImageTensor::zeros(SIDE_PX, SIDE_PX);
    image.data.iter_mut().enumerate().for_each(|(at, v)| *v = (at * 7_919 % 1_013) as f32 / 1_013.0);
    let mut networks: Vec<OnnxDense> =
        names.iter().map(|name| OnnxDense::load(&manifest, name, Device::Cpu, THREADS).unwrap()).collect();
    // Once each beforehand: the first pass allocates.
    networks.iter_mut().for_each(|network| drop(network.extract(&image).unwrap()));
    let mut seconds = vec![Vec::new(); networks.len()];
    for _ in 0..ROUNDS {
        for (network, seconds) in networks.iter_mut().zip(&mut seconds) {
            let begun = Instant::now();
            network.extract(&image).unwrap();
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    println!("{SIDE_PX}×{SIDE_PX} pixels, {THREADS} threads, {ROUNDS} rounds: what the network and reading its outputs take");
    for (name, own) in names.iter().zip(&seconds) {
        let fastest = own.iter().copied().fold(f64::INFINITY, f64::min);
        let to_last = median(own.iter().zip(&seconds[seconds.len() - 1]).map(|(a, b)| a / b));
        let middle = median(own.iter().copied());
        println!(
            "{name:<24} fastest {:>7.1} ms   median {:>7.1} ms   {to_last:.2} of {}",
            fastest * 1e3,
            middle * 1e3,
            names[names.len() - 1]
        );
    }
}
