//! The best places again, with all channels on a finer level: direct correlation in a small window.

use super::peaks::parabola;
use crate::models::DenseFeatures;
use crate::retrieve::RegionLevel;
use crate::retrieve::projection::remove_mean;

/// A refined place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refined {
    /// Position of the view's north-west corner on the level's grid, cells, to a fraction of a cell.
    pub row: f64,
    /// See `row`.
    pub column: f64,
    /// Mean cosine over the cells that lie on imagery.
    pub mean_cosine: f64,
}

/// A view's covered cells with the mean removed, ready to be slid over several places.
pub struct FineTemplate {
    channels: usize,
    cells: Vec<(i64, i64)>,
    unit: Vec<f32>,
}

impl FineTemplate {
    /// Removes the level's mean.
    pub fn new(features: &DenseFeatures, covered: &[bool], mean: &[f32]) -> Self {
        let mut cells = Vec::new();
        let mut unit = Vec::new();
        let mut scratch = vec![0.0; features.channels];
        for (cell, _) in covered.iter().enumerate().filter(|(_, c)| **c) {
            let (row, column) = (cell / features.columns, cell % features.columns);
            remove_mean(features.descriptor(row, column), mean, &mut scratch);
            cells.push((row as i64, column as i64));
            unit.extend_from_slice(&scratch);
        }
        Self { channels: features.channels, cells, unit }
    }

    /// Slides the view within ±`radius` cells of a position and takes the best. `None` when less than half of the view lies on
    /// imagery anywhere in the window.
    pub fn refine(&self, level: &RegionLevel, mean: &[f32], row: f64, column: f64, radius: usize) -> Option<Refined> {
        let (row0, column0) = (row.round() as i64 - radius as i64, column.round() as i64 - radius as i64);
        let side = 2 * radius + 1;
        let mut sums = vec![0.0f32; side * side];
        let mut counts = vec![0u32; side * side];
        // The map's window once, mean-free and of unit length; `None` where there is no imagery.
        let (last_row, last_column) =
            self.cells.iter().fold((0, 0), |(r, c), cell| (r.max(cell.0 as usize), c.max(cell.1 as usize)));
        let (rows, columns) = (last_row + side, last_column + side);
        let mut window = vec![0.0f32; rows * columns * self.channels];
        let mut present = vec![false; rows * columns];
        let mut raw = vec![0.0; self.channels];
        for r in 0..rows {
            for c in 0..columns {
                let Some(d) = level.descriptor(row0 + r as i64, column0 + c as i64) else { continue };
                raw.iter_mut().zip(d).for_each(|(u, v)| *u = f32::from(*v) / 127.0);
                let at = r * columns + c;
                remove_mean(&raw, mean, &mut window[at * self.channels..(at + 1) * self.channels]);
                present[at] = true;
            }
        }
        for ((r, c), unit) in self.cells.iter().zip(self.unit.chunks_exact(self.channels)) {
            for dr in 0..side {
                for dc in 0..side {
                    let at = (*r as usize + dr) * columns + *c as usize + dc;
                    if present[at] {
                        sums[dr * side + dc] += dot(unit, &window[at * self.channels..(at + 1) * self.channels]);
                        counts[dr * side + dc] += 1;
                    }
                }
            }
        }
        let enough = (self.cells.len() / 2).max(1) as u32;
        let score = |r: i64, c: i64| {
            let inside = r >= 0 && c >= 0 && r < side as i64 && c < side as i64;
            let at = (r * side as i64 + c) as usize;
            if inside && counts[at] >= enough { sums[at] / counts[at] as f32 } else { f32::NEG_INFINITY }
        };
        let mut best = (f32::NEG_INFINITY, 0, 0);
        for r in 0..side as i64 {
            for c in 0..side as i64 {
                if score(r, c) > best.0 {
                    best = (score(r, c), r, c);
                }
            }
        }
        let (top, r, c) = best;
        (top > f32::NEG_INFINITY).then(|| Refined {
            row: (row0 + r) as f64 + parabola(score(r - 1, c), top, score(r + 1, c)),
            column: (column0 + c) as f64 + parabola(score(r, c - 1), top, score(r, c + 1)),
            mean_cosine: f64::from(top),
        })
    }
}

/// Dot product in eight independent sums, so that it vectorises and its order is fixed.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for (lane, (p, q)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += p * q;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
