//! Where one view lies on another, when nothing is known of it: their descriptors, halved in detail, compared at every offset.
//!
//! What all cells of a view have in common, land of one kind, would let any large overlap look like a good one: each view's own mean is taken
//! off its descriptors.

use pulp::{Arch, Simd, WithSimd};

use super::field::UnitField;
use super::peaks::{Peak, suppress};
use crate::retrieve::projection::dot;

/// Cells of a field that become one, each way.
pub const HALVING: usize = 2;
/// At least this part of the smaller view has to lie on the other.
const MIN_OVERLAP: f64 = 0.15;

/// Offsets of `view` on `other` that stand out, best first, at most `keep`: row and column of `other`, in its cells, on which cell (0, 0) of
/// the view lies, to a cell or two. The score is the mean cosine of the cells that meet times the square root of their number: how far it
/// stands out of chance.
pub fn overlaps(view: &UnitField, other: &UnitField, keep: usize) -> Vec<Peak> {
    let (view, other) = (Halved::of(view), Halved::of(other));
    let cells = view.count().min(other.count());
    let enough = ((MIN_OVERLAP * cells as f64).ceil() as u32).max(4);
    let (top, left) = (1 - view.rows as i64, 1 - view.columns as i64);
    let (rows, columns) = (other.rows as i64 - top, other.columns as i64 - left);
    if rows <= 0 || columns <= 0 {
        return Vec::new();
    }
    let scores = Arch::new().dispatch(Slide { view: &view, other: &other, top, left, rows, columns, enough });
    let score = |r: i64, c: i64| {
        let inside = r >= 0 && c >= 0 && r < rows && c < columns;
        if inside { scores[(r * columns + c) as usize] } else { f32::NEG_INFINITY }
    };
    let mut peaks = Vec::new();
    for r in 0..rows {
        for c in 0..columns {
            let here = score(r, c);
            let around = (-1..=1).flat_map(|dr| (-1..=1).map(move |dc| (dr, dc))).filter(|d| *d != (0, 0));
            if here > 0.0 && around.into_iter().all(|(dr, dc)| score(r + dr, c + dc) <= here) {
                let cell = |at: i64| (at * HALVING as i64) as f64;
                peaks.push(Peak { row: cell(top + r), column: cell(left + c), score: f64::from(here) });
            }
        }
    }
    suppress(&mut peaks, keep);
    peaks
}

/// A field whose cells are means of several of another, of unit length.
struct Halved {
    rows: usize,
    columns: usize,
    channels: usize,
    unit: Vec<f32>,
    present: Vec<bool>,
}

impl Halved {
    fn of(field: &UnitField) -> Self {
        let (rows, columns) = field.size();
        let (rows, columns, channels) = (rows / HALVING, columns / HALVING, field.channels());
        let mut halved = Self { rows, columns, channels, unit: vec![0.0; rows * columns * channels], present: Vec::new() };
        for at in 0..rows * columns {
            let (row, column) = ((at / columns * HALVING) as i64, (at % columns * HALVING) as i64);
            let part = &mut halved.unit[at * channels..(at + 1) * channels];
            let mut whole = true;
            for (dr, dc) in (0..HALVING as i64).flat_map(|dr| (0..HALVING as i64).map(move |dc| (dr, dc))) {
                match field.cell(row + dr, column + dc) {
                    Some(cell) => part.iter_mut().zip(cell).for_each(|(sum, v)| *sum += v),
                    None => whole = false,
                }
            }
            halved.present.push(whole);
        }
        halved.remove_mean();
        halved
    }

    fn remove_mean(&mut self) {
        let count = self.count().max(1) as f32;
        let mut mean = vec![0.0; self.channels];
        for (part, _) in self.unit.chunks_exact(self.channels).zip(&self.present).filter(|(_, whole)| **whole) {
            mean.iter_mut().zip(part).for_each(|(sum, v)| *sum += *v / count);
        }
        for part in self.unit.chunks_exact_mut(self.channels) {
            part.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
            let scale = 1.0 / dot(part, part).sqrt().max(1e-6);
            part.iter_mut().for_each(|v| *v *= scale);
        }
    }

    fn count(&self) -> usize {
        self.present.iter().filter(|p| **p).count()
    }

    #[inline(always)]
    fn cell(&self, row: usize, column: usize) -> Option<&[f32]> {
        let at = row * self.columns + column;
        self.present[at].then(|| &self.unit[at * self.channels..(at + 1) * self.channels])
    }
}

struct Slide<'a> {
    view: &'a Halved,
    other: &'a Halved,
    top: i64,
    left: i64,
    rows: i64,
    columns: i64,
    enough: u32,
}

impl WithSimd for Slide<'_> {
    /// The score of each offset, row-major; minus infinity where too few cells meet.
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f32> {
        let Self { view, other, top, left, rows, columns, enough } = self;
        let mut scores = Vec::with_capacity((rows * columns) as usize);
        for at in 0..rows * columns {
            let (row, column) = (top + at / columns, left + at % columns);
            let common = |offset: i64, size: usize, others: usize| {
                let first = (-offset).max(0);
                first as usize..(others as i64 - offset).min(size as i64).max(first) as usize
            };
            let (mut sum, mut count) = (0.0f32, 0u32);
            for r in common(row, view.rows, other.rows) {
                for c in common(column, view.columns, other.columns) {
                    let there = other.cell((r as i64 + row) as usize, (c as i64 + column) as usize);
                    if let Some((a, b)) = view.cell(r, c).zip(there) {
                        sum += dot(a, b);
                        count += 1;
                    }
                }
            }
            scores.push(if count >= enough { sum / (count as f32).sqrt() } else { f32::NEG_INFINITY });
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::DenseFeatures;

    /// A part of ground whose cells share most of what they are; some of its cells are not covered.
    fn part(row: usize, column: usize, rows: usize, columns: usize) -> UnitField {
        const CHANNELS: usize = 16;
        let value = |k: usize, r: usize, c: usize| {
            // The finalizer of splitmix64: no pattern from cell to cell.
            let mut x = ((k + 31 * (r / 2) + 10_007 * (c / 2)) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let of_cell = ((x ^ (x >> 31)) % 1009) as f32 / 1009.0 - 0.5;
            if k == 0 { 1.0 } else { 0.3 * of_cell }
        };
        let cells = (0..rows * columns).map(|at| (row + at / columns, column + at % columns));
        let descriptors = cells.flat_map(|(r, c)| (0..CHANNELS).map(move |k| value(k, r, c))).collect();
        let (reliability, keypoints) = (vec![1.0; rows * columns], vec![[4.0, 4.0, 1.0]; rows * columns]);
        let features = DenseFeatures { rows, columns, channels: CHANNELS, stride_px: 8, descriptors, reliability, keypoints };
        let covered: Vec<bool> = (0..rows * columns).map(|at| at % 37 != 0).collect();
        UnitField::of_view(&features, &covered, &[0.0; CHANNELS])
    }

    #[test]
    fn the_overlap_of_ground_that_is_all_of_one_kind_is_found_to_a_third_of_the_view() {
        let other = part(40, 40, 36, 48);
        for (row, column) in [(0i32, 0i32), (4, -2), (-24, 6), (10, 30)] {
            let view = part((40 + row) as usize, (40 + column) as usize, 36, 48);
            let best = overlaps(&view, &other, 3).first().copied().unwrap();
            assert_eq!((best.row, best.column), (f64::from(row), f64::from(column)));
        }
    }
}
