//! The features of a view as a template to be slid over a map.

use super::tensor::Planes;
use crate::models::DenseFeatures;
use crate::retrieve::projection::Projection;

/// Longest side of a template, cells; longer ones are cropped around their middle.
pub const MAX_TEMPLATE: usize = 64;
/// Parts are at least this long, cells: smaller ones find their best anywhere.
const MIN_PART: usize = 12;

/// Features of a view as a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Rows of cells.
    pub rows: usize,
    /// Columns of cells.
    pub columns: usize,
    /// `channels + 1` planes: projected features, zero where the frame does not reach, and the mask.
    pub planes: Vec<f32>,
    /// Cells that count.
    pub cells: usize,
    /// Rows and columns cropped off before the first.
    pub cropped: (usize, usize),
}

impl Template {
    /// Projects dense features (channels last) where `covered`; crops to at most 64 cells a side.
    pub fn new(features: &DenseFeatures, covered: &[bool], projection: &Projection) -> Self {
        let crop = |n: usize| (n.saturating_sub(MAX_TEMPLATE) / 2, n.min(MAX_TEMPLATE));
        let ((r0, rows), (c0, columns)) = (crop(features.rows), crop(features.columns));
        let plane = rows * columns;
        let mut planes = vec![0.0; (projection.components + 1) * plane];
        let (mut scratch, mut projected) = (Vec::new(), vec![0.0; projection.components]);
        let mut cells = 0;
        for r in 0..rows {
            for c in 0..columns {
                if !covered[(r + r0) * features.columns + c + c0] {
                    continue;
                }
                cells += 1;
                projection.apply(features.descriptor(r + r0, c + c0), &mut scratch, &mut projected);
                for (k, value) in projected.iter().enumerate() {
                    planes[k * plane + r * columns + c] = *value;
                }
                planes[projection.components * plane + r * columns + c] = 1.0;
            }
        }
        Self { rows, columns, planes, cells, cropped: (r0, c0) }
    }

    /// The planes with their shape.
    pub fn as_planes(&self) -> Planes<'_> {
        let channels = (self.planes.len() / (self.rows * self.columns).max(1)).saturating_sub(1);
        Planes { rows: self.rows, columns: self.columns, channels, values: &self.planes }
    }
}

/// Rows and columns of the parts of a template: up to 2 × 2.
pub(super) fn parts(rows: usize, columns: usize) -> Vec<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let cut = |n: usize| if n >= 2 * MIN_PART { vec![0..n / 2, n / 2..n] } else { std::iter::once(0..n).collect() };
    let across = cut(columns);
    cut(rows).into_iter().flat_map(|r| across.iter().map(move |c| (r.clone(), c.clone()))).collect()
}
