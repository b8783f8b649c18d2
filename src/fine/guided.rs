//! Guided mutual nearest neighbours between a view's keypoints and the map's dense descriptors.
//!
//! A keypoint of a sharp frame need not be a keypoint of a blurred map, so only the frame's side is sparse: each keypoint's
//! descriptor is compared with every map cell near its predicted place, the best is interpolated to a fraction of a cell, and the
//! map's descriptor there must find its way back to the keypoint.

use pulp::{Arch, Simd, WithSimd};

use crate::coarse::field::UnitField;
use crate::geo::MetricView;
use crate::models::DenseFeatures;
use crate::retrieve::RegionLevel;

/// Most keypoints of a view.
const MAX_KEYPOINTS: usize = 1200;
/// The way back must end within this distance of the keypoint, cells.
const MUTUAL_RADIUS: f64 = 1.5;

/// A keypoint of the view and where it lies on the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuidedMatch {
    /// Metres east and north of the point below the camera, under the view's hypothesis.
    pub view_m: [f64; 2],
    /// Metres east and north in the region's plane.
    pub map_m: [f64; 2],
    /// Cosine similarity after the mean is removed.
    pub similarity: f32,
    /// Keypoint probability times reliability.
    pub weight: f32,
}

/// A view's descriptors and keypoints.
pub struct ViewField {
    /// The descriptors with the level's mean removed.
    pub field: UnitField,
    /// Row, column (cells, continuous) and weight of the keypoints, in cell order.
    keypoints: Vec<(f64, f64, f32)>,
    /// Where its pixels lie, relative to the point below the camera.
    pub view: MetricView,
    /// Side of a cell, metres.
    pub cell_m: f64,
}

impl ViewField {
    /// Prepares a view.
    pub fn new(features: &DenseFeatures, covered: &[bool], view: &MetricView, mean: &[f32]) -> Self {
        let mut keypoints = Vec::new();
        let stride = features.stride_px as f64;
        for cell in (0..covered.len()).filter(|c| covered[*c]) {
            let (row, column) = (cell / features.columns, cell % features.columns);
            let [x, y, probability] = features.keypoints[cell];
            let weight = probability * features.reliability[cell];
            keypoints.push((row as f64 + f64::from(y) / stride, column as f64 + f64::from(x) / stride, weight));
        }
        if keypoints.len() > MAX_KEYPOINTS {
            keypoints = strongest(keypoints);
        }
        let field = UnitField::of_view(features, covered, mean);
        Self { field, keypoints, view: *view, cell_m: view.ground_sampling_distance_m * stride }
    }

    /// Number of keypoints.
    pub fn keypoints(&self) -> usize {
        self.keypoints.len()
    }

    /// Row and column of each keypoint, cells.
    pub fn keypoint_cells(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.keypoints.iter().map(|(row, column, _)| (*row, *column))
    }

    /// Number of keypoints that lie on another view when cell (0, 0) of this one lies at `offset`, row and column, of that.
    pub fn keypoints_on(&self, other: &Self, (row, column): (f64, f64)) -> usize {
        let there = |k: &&(f64, f64, f32)| other.field.cell((k.0 + row).floor() as i64, (k.1 + column).floor() as i64).is_some();
        self.keypoints.iter().filter(there).count()
    }

    /// Row and column of a place, metres from the point below the camera.
    pub fn cell_at(&self, [e, n]: [f64; 2]) -> (f64, f64) {
        ((self.view.north_m - n) / self.cell_m, (e - self.view.west_m) / self.cell_m)
    }

    /// Row and column, in cells of `other`, on which cell (0, 0) of this view lies when its camera is `moved_m`, metres east and north, from
    /// the other's.
    pub fn offset_on(&self, other: &Self, moved_m: [f64; 2]) -> (f64, f64) {
        let (a, b) = (&self.view, &other.view);
        ((b.north_m - a.north_m - moved_m[1]) / self.cell_m, (a.west_m + moved_m[0] - b.west_m) / self.cell_m)
    }

    /// The inverse of [`ViewField::offset_on`].
    pub fn moved_m(&self, other: &Self, (row, column): (f64, f64)) -> [f64; 2] {
        let (a, b) = (&self.view, &other.view);
        [b.west_m - a.west_m + column * self.cell_m, b.north_m - a.north_m - row * self.cell_m]
    }
}

/// The `MAX_KEYPOINTS` of most weight, in their order. Of those that weigh the same as the least, which are all where a network tells no
/// keypoints, evenly many from everywhere.
fn strongest(keypoints: Vec<(f64, f64, f32)>) -> Vec<(f64, f64, f32)> {
    let mut weights: Vec<f32> = keypoints.iter().map(|k| k.2).collect();
    weights.sort_by(|a, b| b.total_cmp(a));
    let threshold = weights[MAX_KEYPOINTS - 1];
    let above = weights.partition_point(|w| *w > threshold);
    let (equal, wanted) = (weights.partition_point(|w| *w >= threshold) - above, MAX_KEYPOINTS - above);
    let mut at = 0;
    let mut kept = |weight: f32| {
        if weight != threshold {
            return weight > threshold;
        }
        at += 1;
        at * wanted / equal > (at - 1) * wanted / equal
    };
    keypoints.into_iter().filter(|k| kept(k.2)).collect()
}

/// Matches of a view on a level, when the point below the camera lies at `camera_m` (metres east and north in the region's
/// plane). `radius` is how far the prediction may be off, cells.
pub fn guided_matches(
    view: &ViewField,
    level: &RegionLevel,
    mean: &[f32],
    camera_m: [f64; 2],
    radius: usize,
) -> Vec<GuidedMatch> {
    let (west, north) = (camera_m[0] + view.view.west_m, camera_m[1] + view.view.north_m);
    let shift = level.grid_from_ground(west, north);
    let reach = radius as i64 + 1;
    let (row0, column0) = (shift.0.floor() as i64 - reach, shift.1.floor() as i64 - reach);
    let (rows, columns) = view.field.size();
    let (rows, columns) = (rows as i64 + 2 * reach + 1, columns as i64 + 2 * reach + 1);
    let map = UnitField::of_map(level, mean, row0..row0 + rows, column0..column0 + columns);
    let found = Arch::new().dispatch(Guided { view, map: &map, shift, radius });
    let to_ground = |(keypoint, place): ((f64, f64, f32), (f64, f64, f32))| {
        let (row, column, weight) = keypoint;
        let (e, n) = level.ground_from_grid(place.0, place.1);
        GuidedMatch {
            view_m: [view.view.west_m + column * view.cell_m, view.view.north_m - row * view.cell_m],
            map_m: [e, n],
            similarity: place.2,
            weight,
        }
    };
    found.into_iter().map(to_ground).collect()
}

/// Matches of a view on another of the same level; `map_m` of a match is what it is from the point below the other's camera. `offset` is
/// where cell (0, 0) of the view lies on the other, `radius` how far that may be off, cells.
pub fn matches_between(view: &ViewField, other: &ViewField, offset: (f64, f64), radius: usize) -> Vec<GuidedMatch> {
    let found = Arch::new().dispatch(Guided { view, map: &other.field, shift: offset, radius });
    let ground = |v: &ViewField, row: f64, column: f64| [v.view.west_m + column * v.cell_m, v.view.north_m - row * v.cell_m];
    let matched = |((row, column, weight), place): ((f64, f64, f32), (f64, f64, f32))| GuidedMatch {
        view_m: ground(view, row, column),
        map_m: ground(other, place.0, place.1),
        similarity: place.2,
        weight,
    };
    found.into_iter().map(matched).collect()
}

struct Guided<'a> {
    view: &'a ViewField,
    map: &'a UnitField,
    /// Rows and columns from the view's grid to the map's.
    shift: (f64, f64),
    radius: usize,
}

impl WithSimd for Guided<'_> {
    /// Keypoints with row, column and similarity of their place on the map's grid.
    type Output = Vec<((f64, f64, f32), (f64, f64, f32))>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let Self { view, map, shift, radius } = self;
        let mut descriptor = vec![0.0; map.channels()];
        let mut scores = Vec::new();
        let mut out = Vec::new();
        for keypoint in &view.keypoints {
            let (row, column, _) = *keypoint;
            if view.field.sample(row, column, &mut descriptor).is_none() {
                continue;
            }
            let predicted = (row + shift.0, column + shift.1);
            let Some(place) = map.best_near(&descriptor, predicted, radius, &mut scores) else { continue };
            if map.sample(place.0, place.1, &mut descriptor).is_none() {
                continue;
            }
            let back = view.field.best_near(&descriptor, (row, column), radius, &mut scores);
            if back.is_some_and(|(r, c, _)| (r - row).hypot(c - column) <= MUTUAL_RADIUS) {
                out.push((*keypoint, place));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of smooth random descriptors and a view that is its part at cell (12, 17), shifted by a fraction of a cell.
    #[test]
    fn keypoints_are_found_again_to_a_fraction_of_a_cell() {
        let channels = 16;
        let value = |k: usize, r: f64, c: f64| {
            let (a, b) = ((k * 7 % 5) as f64 * 0.13 + 0.2, (k * 3 % 7) as f64 * 0.09 + 0.15);
            ((a * r + 0.3 * k as f64).sin() + (b * c + k as f64).cos()) as f32
        };
        let (rows, columns) = (50, 60);
        let mut descriptors = Vec::new();
        for r in 0..rows {
            for c in 0..columns {
                let d: Vec<f32> = (0..channels).map(|k| value(k, r as f64, c as f64)).collect();
                let norm = d.iter().map(|v| v * v).sum::<f32>().sqrt();
                descriptors.extend(d.iter().map(|v| (v / norm * 127.0).round() as i8));
            }
        }
        let level = RegionLevel {
            west_m: 100.0,
            north_m: 300.0,
            cell_m: 2.0,
            rows,
            columns,
            channels,
            descriptors,
            covered: vec![1; rows * columns],
        };
        let (vr, vc) = (20, 24);
        let (shift_r, shift_c) = (12.3, 17.4);
        let mut features = DenseFeatures {
            rows: vr,
            columns: vc,
            channels,
            stride_px: 8,
            descriptors: Vec::new(),
            reliability: vec![1.0; vr * vc],
            keypoints: vec![[4.0, 4.0, 1.0]; vr * vc],
        };
        for r in 0..vr {
            for c in 0..vc {
                let d: Vec<f32> = (0..channels).map(|k| value(k, r as f64 + shift_r, c as f64 + shift_c)).collect();
                let norm = d.iter().map(|v| v * v).sum::<f32>().sqrt();
                features.descriptors.extend(d.iter().map(|v| v / norm));
            }
        }
        let view = MetricView { west_m: -24.0, north_m: 20.0, ground_sampling_distance_m: 0.25, width_px: 192, height_px: 160 };
        let mean = vec![0.0; channels];
        let field = ViewField::new(&features, &vec![true; vr * vc], &view, &mean);
        // The true place, then a prediction 3 m off.
        let truth = [100.0 + shift_c * 2.0 + 24.0, 300.0 - shift_r * 2.0 - 20.0];
        let matches = guided_matches(&field, &level, &mean, [truth[0] + 2.0, truth[1] - 2.0], 4);
        assert!(matches.len() > 100, "{}", matches.len());
        let mut errors: Vec<f64> =
            matches.iter().map(|m| (m.map_m[0] - m.view_m[0] - truth[0]).hypot(m.map_m[1] - m.view_m[1] - truth[1])).collect();
        errors.sort_by(f64::total_cmp);
        assert!(errors[errors.len() / 2] < 0.4, "median {} m of a cell of 2 m", errors[errors.len() / 2]);
    }
}
