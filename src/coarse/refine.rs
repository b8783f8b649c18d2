//! The best places again, with all channels on a finer level: direct correlation in a small window.

use pulp::{Arch, Simd, WithSimd};

use super::field::UnitField;
use super::peaks::parabola;
use crate::retrieve::RegionLevel;
use crate::retrieve::projection::dot;

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

/// Slides a view within ±`radius` cells of a position (row, column) and takes the best, by every `every`-th of its cells each way. `None`
/// when less than half of the view lies on imagery anywhere in the window.
pub fn refine(
    view: &UnitField,
    level: &RegionLevel,
    mean: &[f32],
    (row, column): (f64, f64),
    radius: usize,
    every: usize,
) -> Option<Refined> {
    let (row0, column0) = (row.round() as i64 - radius as i64, column.round() as i64 - radius as i64);
    let side = 2 * radius + 1;
    let (rows, columns) = view.size();
    let map =
        UnitField::of_map(level, mean, row0..row0 + (rows + 2 * radius) as i64, column0..column0 + (columns + 2 * radius) as i64);
    let Slid { sums, counts, cells } = Arch::new().dispatch(Slide { view, map: &map, row0, column0, side, every });
    let enough = (cells / 2).max(1) as u32;
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

struct Slide<'a> {
    view: &'a UnitField,
    map: &'a UnitField,
    row0: i64,
    column0: i64,
    side: usize,
    every: usize,
}

/// For each position the sum of cosines and the number of cells that lie on imagery; the number of the view's cells.
struct Slid {
    sums: Vec<f32>,
    counts: Vec<u32>,
    cells: usize,
}

impl WithSimd for Slide<'_> {
    type Output = Slid;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Slid {
        let Self { view, map, row0, column0, side, every } = self;
        let mut slid = Slid { sums: vec![0.0; side * side], counts: vec![0; side * side], cells: 0 };
        let (rows, columns) = view.size();
        for r in (0..rows as i64).step_by(every.max(1)) {
            for c in (0..columns as i64).step_by(every.max(1)) {
                let Some(unit) = view.cell(r, c) else { continue };
                slid.cells += 1;
                for (dr, (sums, counts)) in slid.sums.chunks_exact_mut(side).zip(slid.counts.chunks_exact_mut(side)).enumerate() {
                    let run = map.run(row0 + r + dr as i64, column0 + c, side);
                    for ((sum, count), there) in sums.iter_mut().zip(counts).zip(run) {
                        if let Some(d) = there {
                            *sum += dot(unit, d);
                            *count += 1;
                        }
                    }
                }
            }
        }
        slid
    }
}
