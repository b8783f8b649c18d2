//! Descriptors on a grid, mean-free and of unit length, to be compared by their dot products.
//!
//! The comparisons are meant to be inlined into loops that run under [`pulp::Arch::dispatch`]: the compiler then uses the widest
//! vectors the machine has. Sums have a fixed order that does not depend on that width.

use std::ops::Range;

use super::peaks::parabola;
use crate::models::DenseFeatures;
use crate::retrieve::RegionLevel;
use crate::retrieve::projection::{dot, remove_mean};

/// A part of a view or of the map.
pub struct UnitField {
    /// First row and column.
    row0: i64,
    column0: i64,
    rows: usize,
    columns: usize,
    channels: usize,
    /// Channels last; zero where nothing is.
    unit: Vec<f32>,
    present: Vec<bool>,
}

impl UnitField {
    fn new(rows: Range<i64>, columns: Range<i64>, channels: usize) -> Self {
        let count = |range: &Range<i64>| range.end.saturating_sub(range.start).max(0) as usize;
        let (row0, column0, rows, columns) = (rows.start, columns.start, count(&rows), count(&columns));
        let cells = rows * columns;
        Self { row0, column0, rows, columns, channels, unit: vec![0.0; cells * channels], present: vec![false; cells] }
    }

    /// The covered cells of a view.
    pub fn of_view(features: &DenseFeatures, covered: &[bool], mean: &[f32]) -> Self {
        let mut field = Self::new(0..features.rows as i64, 0..features.columns as i64, features.channels);
        for (cell, unit) in field.unit.chunks_exact_mut(features.channels).enumerate().filter(|(cell, _)| covered[*cell]) {
            remove_mean(features.descriptor(cell / features.columns, cell % features.columns), mean, unit);
            field.present[cell] = true;
        }
        field
    }

    /// A window of the map, which may reach beyond it.
    pub fn of_map(level: &RegionLevel, mean: &[f32], rows: Range<i64>, columns: Range<i64>) -> Self {
        let mut field = Self::new(rows, columns, level.channels);
        let mut raw = vec![0.0; level.channels];
        for (at, unit) in field.unit.chunks_exact_mut(level.channels).enumerate() {
            let (row, column) = ((at / field.columns) as i64, (at % field.columns) as i64);
            let Some(d) = level.descriptor(field.row0 + row, field.column0 + column) else { continue };
            raw.iter_mut().zip(d).for_each(|(u, v)| *u = f32::from(*v) / 127.0);
            remove_mean(&raw, mean, unit);
            field.present[at] = true;
        }
        field
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The descriptor of a cell; `None` where nothing is.
    #[inline(always)]
    pub fn cell(&self, row: i64, column: i64) -> Option<&[f32]> {
        let (r, c) = (row - self.row0, column - self.column0);
        if r < 0 || c < 0 || r >= self.rows as i64 || c >= self.columns as i64 {
            return None;
        }
        let at = r as usize * self.columns + c as usize;
        self.present[at].then(|| &self.unit[at * self.channels..(at + 1) * self.channels])
    }

    /// The descriptors of up to `n` cells of a row, which lie within the field; each `None` where nothing is.
    #[inline(always)]
    pub fn run(&self, row: i64, column: i64, n: usize) -> impl Iterator<Item = Option<&[f32]>> {
        let at = ((row - self.row0) * self.columns as i64 + column - self.column0).max(0) as usize;
        let present = self.present.get(at..at + n).unwrap_or_default();
        let unit = self.unit.get(at * self.channels..(at + n) * self.channels).unwrap_or_default();
        present.iter().zip(unit.chunks_exact(self.channels)).map(|(present, d)| present.then_some(d))
    }

    /// Bilinear descriptor at continuous cell coordinates (a cell's centre at .5), of unit length; `None` next to a hole.
    #[inline(always)]
    pub fn sample(&self, row: f64, column: f64, out: &mut [f32]) -> Option<()> {
        let (r, c) = (row - 0.5, column - 0.5);
        let (r0, c0) = (r.floor(), c.floor());
        let (fr, fc) = ((r - r0) as f32, (c - c0) as f32);
        let (r0, c0) = (r0 as i64, c0 as i64);
        out.fill(0.0);
        let corners = [(0, 0, (1.0 - fr) * (1.0 - fc)), (0, 1, (1.0 - fr) * fc), (1, 0, fr * (1.0 - fc)), (1, 1, fr * fc)];
        for (dr, dc, weight) in corners {
            if weight > 0.0 {
                let d = self.cell(r0 + dr, c0 + dc)?;
                out.iter_mut().zip(d).for_each(|(o, v)| *o += weight * v);
            }
        }
        let scale = 1.0 / dot(out, out).sqrt().max(1e-6);
        out.iter_mut().for_each(|v| *v *= scale);
        Some(())
    }

    /// Row, column and similarity of the best cell within ±`radius` of a place, interpolated. `None` when the best lies on the
    /// window's rim, where the true one may be outside. `scores` is room for the window.
    #[inline(always)]
    pub fn best_near(
        &self,
        descriptor: &[f32],
        (row, column): (f64, f64),
        radius: usize,
        scores: &mut Vec<f32>,
    ) -> Option<(f64, f64, f32)> {
        let side = 2 * radius as i64 + 1;
        let (row0, column0) = (row.floor() as i64 - radius as i64, column.floor() as i64 - radius as i64);
        scores.clear();
        let mut best = (f32::NEG_INFINITY, 0i64);
        for r in 0..side {
            for c in 0..side {
                let s = self.cell(row0 + r, column0 + c).map_or(f32::NEG_INFINITY, |d| dot(descriptor, d));
                if s > best.0 {
                    best = (s, r * side + c);
                }
                scores.push(s);
            }
        }
        let (top, at) = best;
        let (r, c) = (at / side, at % side);
        if top == f32::NEG_INFINITY || r == 0 || c == 0 || r == side - 1 || c == side - 1 {
            return None;
        }
        let s = |dr: i64, dc: i64| scores[((r + dr) * side + c + dc) as usize];
        Some((
            (row0 + r) as f64 + 0.5 + parabola(s(-1, 0), top, s(1, 0)),
            (column0 + c) as f64 + 0.5 + parabola(s(0, -1), top, s(0, 1)),
            top,
        ))
    }
}
