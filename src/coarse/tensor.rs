//! Regions and the 4D correlation tensor between two grids of them (NC-Net, Rocco et al. 2018, equation 1).
//!
//! A region is a square of dense cells whose features are averaged; frame and map use the same side in metres. The features have
//! had the map's mean removed, so that a cosine below zero says "unlike": such entries are set to zero, which the soft mutual
//! matching that follows needs (its ratios are meant for scores that are not negative).

/// Share of a region's dense cells that must be covered for it to count.
const MIN_COVERED: f32 = 0.5;

/// Dense features as planes, the last of them the coverage.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// Rows of dense cells.
    pub rows: usize,
    /// Columns of dense cells.
    pub columns: usize,
    /// Channels without the coverage.
    pub channels: usize,
    /// `(channels + 1) · rows · columns` values: features, zero where nothing is known, then coverage (0 or 1).
    pub values: &'a [f32],
}

/// A grid of regions with features of unit length.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionGrid {
    /// Rows of regions.
    pub rows: usize,
    /// Columns of regions.
    pub columns: usize,
    /// Length of a feature.
    pub channels: usize,
    /// `channels · rows · columns`, plane by plane; unit length over the channels, zero where not covered.
    pub features: Vec<f32>,
    /// `rows · columns`: regions that count.
    pub covered: Vec<bool>,
}

impl RegionGrid {
    /// Averages `side × side` dense cells into each of `rows × columns` regions whose first begins at dense cell `origin` (row,
    /// column; may lie outside of the planes), then scales to unit length.
    pub fn pooled(planes: &Planes<'_>, origin: (i64, i64), side: usize, (rows, columns): (usize, usize)) -> Self {
        let cells = rows * columns;
        let mut features = vec![0.0f32; (planes.channels + 1) * cells];
        let clip = |from: i64, limit: usize| from.clamp(0, limit as i64) as usize;
        for row in 0..rows {
            let top = origin.0 + (row * side) as i64;
            let dense_rows = clip(top, planes.rows)..clip(top + side as i64, planes.rows);
            for column in 0..columns {
                let left = origin.1 + (column * side) as i64;
                let (first, last) = (clip(left, planes.columns), clip(left + side as i64, planes.columns));
                for r in dense_rows.clone() {
                    for k in 0..=planes.channels {
                        let at = (k * planes.rows + r) * planes.columns;
                        features[k * cells + row * columns + column] += planes.values[at + first..at + last].iter().sum::<f32>();
                    }
                }
            }
        }
        let enough = MIN_COVERED * (side * side) as f32;
        let coverage = features.split_off(planes.channels * cells);
        let mut covered: Vec<bool> = coverage.iter().map(|c| *c >= enough && *c > 0.0).collect();
        let mut squares = vec![0.0f32; cells];
        for plane in features.chunks_exact(cells.max(1)) {
            squares.iter_mut().zip(plane).for_each(|(s, v)| *s += v * v);
        }
        // A feature of no length points nowhere.
        covered.iter_mut().zip(&squares).for_each(|(c, s)| *c &= *s > 1e-12);
        for plane in features.chunks_exact_mut(cells.max(1)) {
            for ((v, s), c) in plane.iter_mut().zip(&squares).zip(&covered) {
                *v = if *c { *v / s.sqrt() } else { 0.0 };
            }
        }
        Self { rows, columns, channels: planes.channels, features, covered }
    }

    /// Number of regions that count.
    pub fn count(&self) -> usize {
        self.covered.iter().filter(|c| **c).count()
    }
}

/// A value for each pair of a region (i, j) of the frame and a region (k, l) of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor4 {
    /// Rows and columns of the frame, rows and columns of the map: I, J, K, L.
    pub shape: [usize; 4],
    /// `I · J · K · L` values, row-major.
    pub values: Vec<f32>,
}

impl Tensor4 {
    /// All zeros.
    pub fn zeros(shape: [usize; 4]) -> Self {
        Self { shape, values: vec![0.0; shape.iter().product()] }
    }

    /// c\[ij\]\[kl\] = max(0, f_A\[ij\] · f_B\[kl\]); zero where either region is not covered.
    pub fn correlation(a: &RegionGrid, b: &RegionGrid) -> Self {
        let mut out = Self::zeros([a.rows, a.columns, b.rows, b.columns]);
        let (from, to) = (a.rows * a.columns, out.map_regions());
        if from == 0 || to == 0 {
            return out;
        }
        for (i, line) in out.values.chunks_exact_mut(to).enumerate().filter(|(i, _)| a.covered[*i]) {
            for (plane, f) in b.features.chunks_exact(to).zip(a.features[i..].iter().step_by(from)) {
                line.iter_mut().zip(plane).for_each(|(v, g)| *v += f * g);
            }
            line.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        out
    }

    /// Regions of the map: the length of a line.
    pub fn map_regions(&self) -> usize {
        self.shape[2] * self.shape[3]
    }

    /// Swaps frame and map: (i, j, k, l) → (k, l, i, j).
    pub fn transposed(&self) -> Self {
        let [i, j, k, l] = self.shape;
        let (from, to) = (i * j, k * l);
        let values = (0..to).flat_map(|m| (0..from).map(move |f| self.values[f * to + m])).collect();
        Self { shape: [k, l, i, j], values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, pair by pair.
    fn oracle_correlation(a: &RegionGrid, b: &RegionGrid) -> Vec<f32> {
        let (from, to) = (a.rows * a.columns, b.rows * b.columns);
        let mut out = Vec::new();
        for i in 0..from {
            for k in 0..to {
                let dot: f32 = (0..a.channels).map(|c| a.features[c * from + i] * b.features[c * to + k]).sum();
                out.push(if a.covered[i] && b.covered[k] { dot.max(0.0) } else { 0.0 });
            }
        }
        out
    }

    fn planes(rows: usize, columns: usize, values: &[f32]) -> Vec<f32> {
        let mut planes: Vec<f32> = values[..3 * rows * columns].to_vec();
        planes.extend((0..rows * columns).map(|i| f32::from(u8::from(i % 7 != 3))));
        planes
    }

    proptest! {
        #[test]
        fn correlation_equals_its_oracle_and_is_symmetric(values in prop::collection::vec(-1.0..1.0f32, 3 * 9 * 8)) {
            let values = planes(9, 8, &values);
            let view = Planes { rows: 9, columns: 8, channels: 3, values: &values };
            let a = RegionGrid::pooled(&view, (0, 0), 2, (4, 3));
            let b = RegionGrid::pooled(&view, (-1, 1), 2, (5, 4));
            let c = Tensor4::correlation(&a, &b);
            for (fast, slow) in c.values.iter().zip(oracle_correlation(&a, &b)) {
                prop_assert!((fast - slow).abs() < 1e-5);
            }
            prop_assert_eq!(c.transposed(), Tensor4::correlation(&b, &a));
        }
    }

    #[test]
    fn regions_beyond_the_map_or_mostly_uncovered_do_not_count() {
        let mut values = vec![1.0; 2 * 16];
        // Of the second region of the first row three of four dense cells are not covered.
        for at in [2, 3, 6] {
            values[16 + at] = 0.0;
        }
        let view = Planes { rows: 4, columns: 4, channels: 1, values: &values };
        let grid = RegionGrid::pooled(&view, (0, 0), 2, (2, 3));
        assert_eq!(grid.covered, [true, false, false, true, true, false]);
        assert_eq!(grid.count(), 3);
        assert!(grid.features.iter().zip(&grid.covered).all(|(f, c)| *f == if *c { 1.0 } else { 0.0 }));
    }
}
