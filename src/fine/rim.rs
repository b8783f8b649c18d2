//! How deep inside a view its cells lie.
//!
//! A dense network sees the edge of what is covered from some cells away. Two views of one camera have the same edge, so that near it they
//! look alike wherever the camera went: on the bundled flight, a way of 1.2 cells found from the matches within a cell of the rim is 15 %
//! too short, from those seven cells inside 1 %.

use crate::coarse::field::UnitField;

/// So far inside, cells, the rim has no influence any more.
const REACH_CELLS: u8 = 8;
/// A match whose depths in both views differ by more does not lie near the same part of their rims, cells.
const SAME_RIM_CELLS: u8 = 3;
/// Share of its weight that a match at the rim keeps.
const MIN_WEIGHT: f64 = 0.02;

/// Distance to the nearest cell that is not covered, for each cell.
pub(super) struct Rim {
    rows: usize,
    columns: usize,
    cells: Vec<u8>,
}

impl Rim {
    /// Of a view, whose first cell is (0, 0).
    pub fn of(field: &UnitField) -> Self {
        let (rows, columns) = field.size();
        let mut rim = Self { rows, columns, cells: Vec::with_capacity(rows * columns) };
        for row in 0..rows as i64 {
            for column in 0..columns as i64 {
                rim.cells.push(if field.cell(row, column).is_some() { REACH_CELLS } else { 0 });
            }
        }
        // Each pass carries what is known on from one corner to the other (Rosenfeld & Pfaltz 1966).
        let before = [(-1, -1), (-1, 0), (-1, 1), (0, -1)];
        for cell in 0..rim.cells.len() {
            rim.lower(cell, before);
        }
        for cell in (0..rim.cells.len()).rev() {
            rim.lower(cell, before.map(|(r, c)| (-r, -c)));
        }
        rim
    }

    fn lower(&mut self, cell: usize, neighbours: [(i64, i64); 4]) {
        let (row, column) = ((cell / self.columns) as i64, (cell % self.columns) as i64);
        let nearest = neighbours.iter().map(|(r, c)| self.at(row + r, column + c)).min().unwrap_or(0);
        self.cells[cell] = self.cells[cell].min(nearest + 1);
    }

    fn at(&self, row: i64, column: i64) -> u8 {
        let inside = (0..self.rows as i64).contains(&row) && (0..self.columns as i64).contains(&column);
        if inside { self.cells[row as usize * self.columns + column as usize] } else { 0 }
    }

    /// How far inside a place lies, cells, up to the reach of the rim.
    fn depth(&self, (row, column): (f64, f64)) -> u8 {
        self.at(row.floor() as i64, column.floor() as i64)
    }
}

/// The weight of a match between two views by where it lies on each: only a rim that is near on both, and about as near, draws them
/// together.
pub(super) fn weight(now: (&Rim, (f64, f64)), then: (&Rim, (f64, f64))) -> f64 {
    let (a, b) = (now.0.depth(now.1), then.0.depth(then.1));
    if a.abs_diff(b) > SAME_RIM_CELLS {
        return 1.0;
    }
    (f64::from(a.min(b)) / f64::from(REACH_CELLS)).powi(2).max(MIN_WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::DenseFeatures;

    /// A view of 20 by 30 cells; those for which the function says so are covered.
    fn view(covered: impl Fn(usize, usize) -> bool) -> UnitField {
        let (rows, columns) = (20, 30);
        let features = DenseFeatures {
            rows,
            columns,
            channels: 1,
            stride_px: 8,
            descriptors: vec![1.0; rows * columns],
            reliability: vec![1.0; rows * columns],
            keypoints: vec![[4.0, 4.0, 1.0]; rows * columns],
        };
        let covered: Vec<bool> = (0..rows * columns).map(|cell| covered(cell / columns, cell % columns)).collect();
        UnitField::of_view(&features, &covered, &[0.0])
    }

    #[test]
    fn the_depth_is_the_chessboard_distance_to_what_is_not_covered() {
        let open = |r: usize, c: usize| r < 4 && c > 20 || (r, c) == (12, 9) || r + c < 5;
        let covered = |r: usize, c: usize| !open(r, c);
        let rim = Rim::of(&view(covered));
        for row in 0..20_i64 {
            for column in 0..30_i64 {
                let outside = |r: i64, c: i64| !(0..20).contains(&r) || !(0..30).contains(&c) || open(r as usize, c as usize);
                let around = |d: i64| (-d..=d).any(|r| (-d..=d).any(|c| outside(row + r, column + c)));
                let slow = (0..8).find(|d| around(*d)).unwrap_or(8);
                assert_eq!(i64::from(rim.depth((row as f64 + 0.3, column as f64 + 0.9))), slow, "{row} {column}");
            }
        }
        assert_eq!(rim.depth((-0.1, 3.0)), 0);
    }

    #[test]
    fn only_what_lies_at_the_rim_of_both_views_loses_weight() {
        let rim = Rim::of(&view(|_, _| true));
        let (edge, middle) = ((0.5, 15.0), (10.0, 15.0));
        assert_eq!(weight((&rim, middle), (&rim, edge)), 1.0);
        assert_eq!(weight((&rim, edge), (&rim, middle)), 1.0);
        assert!(weight((&rim, edge), (&rim, edge)) < 0.05);
        let deeper = weight((&rim, (4.5, 15.0)), (&rim, (3.5, 15.0)));
        assert!(0.1 < deeper && deeper < 0.5);
    }
}
