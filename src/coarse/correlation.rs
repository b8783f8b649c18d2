//! Dense correlation: a view's features slid over a region's as a nearly rigid template.
//!
//! A tilt, heading or height that is a little off bends the view against the map by a cell or two. So the template is cut into up to
//! 2 × 2 parts that each may sit up to `SLACK` cells off their place: the score of a position is the sum of the parts' best.
//!
//! The score of a position is the sum of cosines over the template's cells divided by the geometric mean of the template's size
//! and its overlap with the map's imagery, so that a small overlap must match better. Each hypothesis is then normalised by mean
//! and spread of its own score map: what is compared across rotations and scales is how much a place stands out.

use std::sync::OnceLock;

use pulp::Arch;
use realfft::num_complex::Complex32;

use super::kernel::Kernel;
use super::peaks::{Peak, Response, Window, parabola, suppress};
use super::template::{MAX_TEMPLATE, Template, parts};
use super::tensor::Planes;
use crate::math::fft::{BlockFft, fast_length};
use crate::retrieve::{LevelModel, RegionLevel};

/// Side of a block where the map does not fit one transform, cells.
const BLOCK_SIDE: usize = 256;
/// A single block may be up to this side, where it is smaller than all blocks together would be.
const SINGLE_BLOCK_SIDE: usize = 540;
/// Padding around the map, cells: half a template, so that a frame may reach over the map's edge, and room for the slack.
const PAD: usize = MAX_TEMPLATE / 2 + SLACK;
/// Spectra of this many blocks are kept (6 MB each, a single block up to 28); others are computed anew each time.
const CACHED_BLOCKS: usize = 64;
/// A part may sit this far off its place in the template, cells.
const SLACK: usize = 2;
/// Share of the template that must lie on imagery.
const MIN_OVERLAP: f32 = 0.6;

/// A region's features prepared for search.
pub struct SearchGrid {
    rows: usize,
    columns: usize,
    channels: usize,
    /// `channels + 1` planes: the projected features, zero where there is no imagery, and the coverage.
    planes: Vec<f32>,
    fft: BlockFft,
    blocks: Vec<Block>,
}

struct Block {
    /// First padded row and column.
    row: usize,
    column: usize,
    /// Positions that the block answers for, from the `SLACK`-th on: those before and behind serve the slack of the others.
    rows: usize,
    columns: usize,
    spectra: OnceLock<Vec<Complex32>>,
    cached: bool,
}

impl SearchGrid {
    /// Projects a region's features.
    pub fn new(level: &RegionLevel, model: &LevelModel) -> Self {
        let channels = model.projection.components;
        let plane = level.rows * level.columns;
        let mut planes = vec![0.0; (channels + 1) * plane];
        let (mut scratch, mut projected) = (Vec::new(), vec![0.0; channels]);
        let mut unit = vec![0.0; level.channels];
        for cell in 0..plane {
            let (row, column) = (cell / level.columns, cell % level.columns);
            let Some(d) = level.descriptor(row as i64, column as i64) else { continue };
            unit.iter_mut().zip(d).for_each(|(u, v)| *u = f32::from(*v) / 127.0);
            model.projection.apply(&unit, &mut scratch, &mut projected);
            for (k, value) in projected.iter().enumerate() {
                planes[k * plane + cell] = *value;
            }
            planes[channels * plane + cell] = 1.0;
        }
        Self::from_planes(level.rows, level.columns, channels, planes)
    }

    /// The planes with their shape.
    pub fn as_planes(&self) -> Planes<'_> {
        Planes { rows: self.rows, columns: self.columns, channels: self.channels, values: &self.planes }
    }

    /// From `channels + 1` planes, the last of them the coverage.
    pub fn from_planes(rows: usize, columns: usize, channels: usize, planes: Vec<f32>) -> Self {
        let whole = fast_length(rows.max(columns) + 2 * PAD);
        let step = BLOCK_SIDE - MAX_TEMPLATE - 2 * SLACK;
        let blocks = (rows + MAX_TEMPLATE).div_ceil(step) * (columns + MAX_TEMPLATE).div_ceil(step);
        let side =
            if whole * whole <= blocks * BLOCK_SIDE * BLOCK_SIDE && whole <= SINGLE_BLOCK_SIDE { whole } else { BLOCK_SIDE };
        Self::with_blocks(rows, columns, channels, planes, side)
    }

    fn with_blocks(rows: usize, columns: usize, channels: usize, planes: Vec<f32>, side: usize) -> Self {
        let (positions_down, positions_across) = (rows + MAX_TEMPLATE, columns + MAX_TEMPLATE);
        let single = side >= rows.max(columns) + 2 * PAD;
        let step = if single { side } else { side - MAX_TEMPLATE - 2 * SLACK };
        let mut blocks = Vec::new();
        for row in (0..positions_down).step_by(step) {
            for column in (0..positions_across).step_by(step) {
                blocks.push(Block {
                    row,
                    column,
                    rows: step.min(positions_down - row),
                    columns: step.min(positions_across - column),
                    spectra: OnceLock::new(),
                    cached: blocks.len() < CACHED_BLOCKS,
                });
            }
        }
        Self { rows, columns, channels, planes, fft: BlockFft::new(side), blocks }
    }

    /// Makes all spectra that are kept, so that memory and time of a search are from now on what they will be. Of a grid that has more
    /// blocks than are kept they stay to be made where they are needed.
    pub fn prepare(&self) {
        if self.blocks.iter().all(|block| block.cached) {
            for block in &self.blocks {
                block.spectra.get_or_init(|| self.block_spectra(block));
            }
        }
    }

    fn block_spectra(&self, block: &Block) -> Vec<Complex32> {
        let len = self.fft.spectrum_len();
        let plane = self.rows * self.columns;
        let mut spectra = vec![Complex32::default(); (self.channels + 1) * len];
        for (k, spectrum) in spectra.chunks_exact_mut(len).enumerate() {
            let values = &self.planes[k * plane..(k + 1) * plane];
            let fill = |r: usize, line: &mut [f32]| {
                let row = (block.row + r) as i64 - PAD as i64;
                if row < 0 || row >= self.rows as i64 {
                    return;
                }
                let first = PAD.saturating_sub(block.column);
                let from = (block.column + first) - PAD;
                let n = line.len().saturating_sub(first).min(self.columns.saturating_sub(from));
                let at = row as usize * self.columns + from;
                if n > 0 && from < self.columns {
                    line[first..first + n].copy_from_slice(&values[at..at + n]);
                }
            };
            self.fft.forward(0..self.fft.side(), fill, spectrum);
        }
        spectra
    }

    /// Slides a template over the windows (everywhere when there are none) and keeps the best peaks. Scores outside of the
    /// windows, in the blocks that had to be computed, still count for the spread.
    pub fn search(&self, template: &Template, windows: &[Window], keep: usize) -> Response {
        let mut out = Response::default();
        if template.cells == 0 || template.planes.len() != (self.channels + 1) * template.rows * template.columns {
            return out;
        }
        let half = (MAX_TEMPLATE / 2) as i64;
        let origin = |block: &Block| (block.row as i64 - half, block.column as i64 - half);
        let touched = |block: &&Block| {
            let (row0, column0) = origin(block);
            let meets = |w: &Window| {
                w.rows.0 < row0 + block.rows as i64
                    && w.rows.1 > row0
                    && w.columns.0 < column0 + block.columns as i64
                    && w.columns.1 > column0
            };
            windows.is_empty() || windows.iter().any(meets)
        };
        let blocks: Vec<&Block> = self.blocks.iter().filter(touched).collect();
        if blocks.is_empty() {
            return out;
        }
        let (side, len) = (self.fft.side(), self.fft.spectrum_len());
        let parts = parts(template.rows, template.columns);
        let mut kernel = Kernel::new(&self.fft, blocks.len() > 1);
        for channel in 0..self.channels {
            parts.iter().for_each(|(rows, columns)| kernel.add(template, channel, rows, columns));
        }
        kernel.add(template, self.channels, &(0..template.rows), &(0..template.columns));
        let arch = Arch::new();
        // Of each part, and of the mask.
        let mut products = vec![Complex32::default(); (parts.len() + 1) * len];
        let [mut sums, mut overlaps, mut response, mut widened] = [(); 4].map(|()| vec![0.0; side * side]);
        for block in blocks {
            let computed;
            let spectra = if block.cached {
                block.spectra.get_or_init(|| self.block_spectra(block))
            } else {
                computed = self.block_spectra(block);
                &computed
            };
            self.multiply(spectra, &mut kernel, parts.len(), &mut products);
            sums.fill(0.0);
            for product in products.chunks_exact(len).take(parts.len()) {
                self.fft.inverse_rows(product, &mut response);
                if parts.len() > 1 {
                    arch.dispatch(|| best_nearby(&mut response, &mut widened, side, SLACK));
                }
                sums.iter_mut().zip(&response).for_each(|(s, r)| *s += r);
            }
            self.fft.inverse_rows(&products[parts.len() * len..], &mut overlaps);
            collect_peaks(&sums, &overlaps, side, block, template.cells, origin(block), windows, &mut out);
        }
        suppress(&mut out.peaks, keep);
        out
    }

    /// The products of a block's spectra with a template's, summed over the channels, columns transformed back: of each part, and of the
    /// mask. Column by column, so that sums and spectra stay in the first cache.
    fn multiply(&self, spectra: &[Complex32], kernel: &mut Kernel<'_>, parts: usize, products: &mut [Complex32]) {
        let (side, len) = (self.fft.side(), self.fft.spectrum_len());
        let arch = Arch::new();
        let mut scratch = Vec::new();
        let mut sums = vec![Complex32::default(); (parts + 1) * side];
        for k in 0..self.fft.columns() {
            sums.fill(Complex32::default());
            for (channel, map) in spectra.chunks_exact(len).enumerate() {
                let map = &map[k * side..(k + 1) * side];
                // The last plane is the mask, which has no parts.
                let (first, n) = if channel < self.channels { (0, parts) } else { (parts, 1) };
                for (part, sum) in sums[first * side..].chunks_exact_mut(side).take(n).enumerate() {
                    let view = kernel.column(channel * parts + part, k);
                    arch.dispatch(|| {
                        for ((s, m), v) in sum.iter_mut().zip(map).zip(view) {
                            *s += m * v.conj();
                        }
                    });
                }
            }
            for (sum, product) in sums.chunks_exact_mut(side).zip(products.chunks_exact_mut(len)) {
                self.fft.inverse_column(sum, &mut scratch);
                product[k * side..(k + 1) * side].copy_from_slice(sum);
            }
        }
    }
}

/// Replaces each value by the largest within ±`reach` rows and columns; the block wraps around, as the transform does. `widened` is
/// room for as many values.
#[inline(always)]
fn best_nearby(values: &mut [f32], widened: &mut [f32], side: usize, reach: usize) {
    let mut line = vec![0.0; side + 2 * reach];
    for (row, out) in values.chunks_exact(side).zip(widened.chunks_exact_mut(side)) {
        line[reach..side + reach].copy_from_slice(row);
        line[..reach].copy_from_slice(&row[side - reach..]);
        line[side + reach..].copy_from_slice(&row[..reach]);
        out.copy_from_slice(&line[..side]);
        for shift in 1..=2 * reach {
            out.iter_mut().zip(&line[shift..]).for_each(|(o, v)| *o = o.max(*v));
        }
    }
    for (r, out) in values.chunks_exact_mut(side).enumerate() {
        let row = |shift: usize| {
            let at = (r + side + shift - reach) % side * side;
            &widened[at..at + side]
        };
        out.copy_from_slice(row(0));
        for shift in 1..=2 * reach {
            out.iter_mut().zip(row(shift)).for_each(|(o, v)| *o = o.max(*v));
        }
    }
}

#[allow(clippy::too_many_arguments)] // one loop's worth of context, used once
fn collect_peaks(
    sums: &[f32],
    overlaps: &[f32],
    side: usize,
    block: &Block,
    cells: usize,
    (row0, column0): (i64, i64),
    windows: &[Window],
    out: &mut Response,
) {
    let n = cells as f32;
    let score = |r: usize, c: usize| {
        let (r, c) = (r + SLACK, c + SLACK);
        // A count of cells, up to the rounding of the transform.
        let overlap = overlaps[r * side + c].round();
        (overlap >= MIN_OVERLAP * n).then(|| sums[r * side + c] / (overlap * n).sqrt())
    };
    let mut scores = vec![f32::NEG_INFINITY; block.rows * block.columns];
    for r in 0..block.rows {
        for c in 0..block.columns {
            if let Some(s) = score(r, c) {
                scores[r * block.columns + c] = s;
                let s = f64::from(s);
                out.moments.0 += s;
                out.moments.1 += s * s;
                out.moments.2 += 1.0;
            }
        }
    }
    let at = |r: i64, c: i64| {
        let inside = r >= 0 && c >= 0 && r < block.rows as i64 && c < block.columns as i64;
        if inside { scores[r as usize * block.columns + c as usize] } else { f32::NEG_INFINITY }
    };
    for r in 0..block.rows as i64 {
        for c in 0..block.columns as i64 {
            let s = at(r, c);
            let neighbours = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)];
            if s == f32::NEG_INFINITY || neighbours.iter().any(|(dr, dc)| at(r + dr, c + dc) > s) {
                continue;
            }
            if !windows.is_empty() && !windows.iter().any(|w| w.contains(r + row0, c + column0)) {
                continue;
            }
            out.peaks.push(Peak {
                row: (r + row0) as f64 + parabola(at(r - 1, c), s, at(r + 1, c)),
                column: (c + column0) as f64 + parabola(at(r, c - 1), s, at(r, c + 1)),
                score: f64::from(s),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1u32 << 24) as f32) - 0.5
        }
    }

    /// The definition, cell by cell.
    fn oracle_score(grid: &SearchGrid, template: &Template, row: i64, column: i64) -> Option<f32> {
        let (map_plane, plane) = (grid.rows * grid.columns, template.rows * template.columns);
        let inside = |r: i64, c: i64| r >= 0 && c >= 0 && r < grid.rows as i64 && c < grid.columns as i64;
        let at = |r: i64, c: i64| r as usize * grid.columns + c as usize;
        let mut overlap = 0.0;
        for r in 0..template.rows {
            for c in 0..template.columns {
                let (mr, mc) = (row + r as i64, column + c as i64);
                if inside(mr, mc) {
                    let mask = template.planes[grid.channels * plane + r * template.columns + c];
                    overlap += grid.planes[grid.channels * map_plane + at(mr, mc)] * mask;
                }
            }
        }
        let parts = parts(template.rows, template.columns);
        let slack = if parts.len() > 1 { SLACK as i64 } else { 0 };
        let mut total = 0.0;
        for (rows, columns) in parts {
            let mut best = f32::NEG_INFINITY;
            for dr in -slack..=slack {
                for dc in -slack..=slack {
                    let mut sum = 0.0;
                    for r in rows.clone() {
                        for c in columns.clone() {
                            let (mr, mc) = (row + dr + r as i64, column + dc + c as i64);
                            if inside(mr, mc) {
                                for k in 0..grid.channels {
                                    let t = template.planes[k * plane + r * template.columns + c];
                                    sum += grid.planes[k * map_plane + at(mr, mc)] * t;
                                }
                            }
                        }
                    }
                    best = best.max(sum);
                }
            }
            total += best;
        }
        (overlap >= MIN_OVERLAP * template.cells as f32).then(|| total / (overlap * template.cells as f32).sqrt())
    }

    /// A grid of noise with a hole, and a template cut out of it at (20, 31).
    fn scene(rows: usize, columns: usize, (tr, tc): (usize, usize)) -> (SearchGrid, Template) {
        let mut random = noise(3);
        let channels = 3;
        let plane = rows * columns;
        let mut planes: Vec<f32> = (0..channels * plane).map(|_| random()).collect();
        planes.extend(std::iter::repeat_n(1.0, plane));
        for k in 0..=channels {
            for r in 5..9 {
                planes[k * plane + r * columns + 3..k * plane + r * columns + 12].fill(0.0);
            }
        }
        let mut cut = Vec::new();
        for k in 0..=channels {
            for r in 0..tr {
                let at = k * plane + (20 + r) * columns + 31;
                cut.extend_from_slice(&planes[at..at + tc]);
            }
        }
        let template = Template { rows: tr, columns: tc, planes: cut, cells: tr * tc, cropped: (0, 0) };
        (SearchGrid::from_planes(rows, columns, channels, planes), template)
    }

    #[test]
    fn the_best_peak_is_where_the_template_was_cut_out_and_scores_equal_the_oracle() {
        for (rows, columns, size) in [(60, 70, (9, 12)), (70, 300, (9, 12)), (60, 70, (24, 12)), (60, 70, (25, 27))] {
            let (grid, template) = scene(rows, columns, size);
            let found = grid.search(&template, &[], 5);
            // A part that may sit off its place makes the peak as flat as the slack is wide.
            let flat = if parts(size.0, size.1).len() > 1 { SLACK as f64 } else { 0.0 };
            let best = found.peaks[0];
            assert!((best.row - 20.0).abs() < 0.5 + flat && (best.column - 31.0).abs() < 0.5 + flat);
            for p in &found.peaks {
                let expected = oracle_score(&grid, &template, p.row.round() as i64, p.column.round() as i64).unwrap();
                assert!((p.score as f32 - expected).abs() < 1e-4, "{} {expected}", p.score);
            }
            let scores = (-32..rows as i64 + 32)
                .flat_map(|r| (-32..columns as i64 + 32).map(move |c| (r, c)))
                .filter_map(|(r, c)| oracle_score(&grid, &template, r, c));
            let (n, squares) = scores.fold((0.0, 0.0), |(n, q), s| (n + 1.0, q + f64::from(s * s)));
            assert_eq!(n, found.moments.2);
            assert!((squares - found.moments.1).abs() < 1e-3 * squares);
        }
    }

    #[test]
    fn a_map_cut_into_blocks_scores_like_a_whole_one_also_at_the_rims() {
        for size in [(9, 12), (24, 12), (25, 27)] {
            let (whole, template) = scene(60, 70, size);
            let blocks = SearchGrid::with_blocks(60, 70, 3, whole.planes.clone(), 96);
            assert!(whole.blocks.len() == 1 && blocks.blocks.len() > 9);
            let (a, b) = (whole.search(&template, &[], 1), blocks.search(&template, &[], 1));
            assert_eq!(a.moments.2, b.moments.2);
            assert!((a.moments.0 - b.moments.0).abs() < 1e-3 && (a.moments.1 - b.moments.1).abs() < 1e-4 * a.moments.1);
            assert!((a.peaks[0].score - b.peaks[0].score).abs() < 1e-4);
        }
    }

    #[test]
    fn a_prepared_grid_makes_nothing_more_and_answers_the_same() {
        let (grid, template) = scene(60, 70, (9, 12));
        let [lazy, prepared] = [(); 2].map(|()| SearchGrid::with_blocks(60, 70, 3, grid.planes.clone(), 96));
        let window = [Window { rows: (0, 20), columns: (0, 20) }];
        prepared.prepare();
        assert_eq!(lazy.search(&template, &window, 5), prepared.search(&template, &window, 5));
        let made = |grid: &SearchGrid| grid.blocks.iter().filter(|block| block.spectra.get().is_some()).count();
        assert!(made(&lazy) < lazy.blocks.len() && made(&prepared) == prepared.blocks.len());
    }

    #[test]
    fn a_part_that_sits_a_little_off_still_counts_in_full() {
        let (grid, template) = scene(60, 70, (24, 24));
        let mut bent = template.clone();
        let plane = 24 * 24;
        // The lower right quarter shows what lies two cells further down and right.
        for k in 0..3 {
            for r in 12..24 {
                for c in 12..24 {
                    bent.planes[k * plane + r * 24 + c] = grid.planes[k * 60 * 70 + (20 + r + 2) * 70 + 31 + c + 2];
                }
            }
        }
        let score = |t: &Template| oracle_score(&grid, t, 20, 31).unwrap();
        assert!(score(&bent) > 0.9 * score(&template));
        let best = grid.search(&bent, &[], 1).peaks[0];
        assert!((best.row - 20.0).abs() <= 2.5 && (best.column - 31.0).abs() <= 2.5);
    }

    #[test]
    fn a_window_excludes_what_lies_outside() {
        let (grid, template) = scene(60, 70, (9, 12));
        let window = Window { rows: (30, 50), columns: (0, 70) };
        let found = grid.search(&template, &[window], 5);
        assert!(found.peaks.iter().all(|p| p.row >= 29.5));
    }
}
