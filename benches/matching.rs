//! What a frame costs outside of the network: aggregation, dense correlation, agreement of matches.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use divan::counter::ItemsCount;
use skyfix::coarse::correlation::SearchGrid;
use skyfix::coarse::template::Template;
use skyfix::fine::consensus::ConsensusSettings;
use skyfix::fine::{GuidedMatch, consensus};
use skyfix::retrieve::aggregate::aggregate;

const CHANNELS: usize = 24;

fn main() {
    divan::main();
}

/// Numbers without structure, the same every time.
fn noise(n: usize) -> Vec<f32> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..n).map(|_| next()).collect()
}

/// The global descriptor of a retrieval cell: 32 × 32 features, 32 clusters.
#[divan::bench]
fn aggregate_a_cell(bencher: divan::Bencher<'_, '_>) {
    let (features, centres) = (noise(32 * 32 * CHANNELS), noise(32 * CHANNELS));
    bencher.bench_local(|| aggregate(&features, &centres, CHANNELS));
}

/// A template of 48 × 36 cells over a square region of this many cells a side, everywhere.
#[divan::bench(args = [128, 256, 512], sample_count = 10)]
fn correlate(bencher: divan::Bencher<'_, '_>, side: usize) {
    let mut planes = noise(CHANNELS * side * side);
    planes.extend(std::iter::repeat_n(1.0, side * side));
    let grid = SearchGrid::from_planes(side, side, CHANNELS, planes);
    let (rows, columns) = (36, 48);
    let mut view = noise(CHANNELS * rows * columns);
    view.extend(std::iter::repeat_n(1.0, rows * columns));
    let template = Template { rows, columns, planes: view, cells: rows * columns, cropped: (0, 0) };
    // Spectra of the map are kept from the first frame on.
    grid.search(&template, &[], 10);
    bencher.counter(ItemsCount::new(side * side)).bench_local(|| grid.search(&template, &[], 10));
}

/// A thousand matches, half of them wrong.
#[divan::bench]
fn agree_on_a_homography(bencher: divan::Bencher<'_, '_>) {
    let random = noise(4_000);
    let matches: Vec<GuidedMatch> = (0..1_000)
        .map(|i| {
            let r = |k: usize| f64::from(random[4 * i + k]);
            let view_m = [r(0) * 200.0, r(1) * 150.0];
            let spread = if i % 2 == 0 { 1.0 } else { 40.0 };
            GuidedMatch { view_m, map_m: [view_m[0] + r(2) * spread, view_m[1] + r(3) * spread], similarity: 0.5, weight: 1.0 }
        })
        .collect();
    let settings = ConsensusSettings { max_rotation_rad: 0.26, max_log_scale: 0.2, tolerance_m: 3.6, seed: 1 };
    bencher.bench_local(|| consensus(&matches, 1_000, &settings));
}
