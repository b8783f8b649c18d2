//! Guided mutual nearest neighbours between a view's keypoints and the map's dense descriptors.
//!
//! A keypoint of a sharp frame need not be a keypoint of a blurred map, so only the frame's side is sparse: each keypoint's
//! descriptor is compared with every map cell near its predicted place, the best is interpolated to a fraction of a cell, and the
//! map's descriptor there must find its way back to the keypoint.

use crate::coarse::peaks::parabola;
use crate::coarse::refine::dot;
use crate::geo::MetricView;
use crate::models::DenseFeatures;
use crate::retrieve::RegionLevel;
use crate::retrieve::projection::remove_mean;

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

/// A view's descriptors with the level's mean removed.
pub struct ViewField {
    rows: usize,
    columns: usize,
    channels: usize,
    /// Unit descriptors, zero where the frame does not reach.
    unit: Vec<f32>,
    covered: Vec<bool>,
    /// Row, column (cells, continuous) and weight of the keypoints, in cell order.
    keypoints: Vec<(f64, f64, f32)>,
    view: MetricView,
    cell_m: f64,
}

impl ViewField {
    /// Prepares a view: `view` is where its pixels lie, relative to the point below the camera.
    pub fn new(features: &DenseFeatures, covered: &[bool], view: &MetricView, mean: &[f32]) -> Self {
        let mut unit = vec![0.0; features.descriptors.len()];
        let mut keypoints = Vec::new();
        let stride = features.stride_px as f64;
        for cell in (0..covered.len()).filter(|c| covered[*c]) {
            let (row, column) = (cell / features.columns, cell % features.columns);
            let to = cell * features.channels;
            remove_mean(features.descriptor(row, column), mean, &mut unit[to..to + features.channels]);
            let [x, y, probability] = features.keypoints[cell];
            let weight = probability * features.reliability[cell];
            keypoints.push((row as f64 + f64::from(y) / stride, column as f64 + f64::from(x) / stride, weight));
        }
        if keypoints.len() > MAX_KEYPOINTS {
            let mut weights: Vec<f32> = keypoints.iter().map(|k| k.2).collect();
            weights.sort_by(|a, b| b.total_cmp(a));
            let threshold = weights[MAX_KEYPOINTS - 1];
            keypoints.retain(|k| k.2 >= threshold);
            keypoints.truncate(MAX_KEYPOINTS);
        }
        Self {
            rows: features.rows,
            columns: features.columns,
            channels: features.channels,
            unit,
            covered: covered.to_vec(),
            keypoints,
            view: *view,
            cell_m: view.ground_sampling_distance_m * stride,
        }
    }

    /// Number of keypoints.
    pub fn keypoints(&self) -> usize {
        self.keypoints.len()
    }

    fn cell(&self, row: i64, column: i64) -> Option<&[f32]> {
        if row < 0 || column < 0 || row >= self.rows as i64 || column >= self.columns as i64 {
            return None;
        }
        let cell = row as usize * self.columns + column as usize;
        self.covered[cell].then(|| &self.unit[cell * self.channels..(cell + 1) * self.channels])
    }
}

/// The part of the map that a view can match, mean-free and of unit length.
struct MapField {
    row0: i64,
    column0: i64,
    rows: usize,
    columns: usize,
    channels: usize,
    unit: Vec<f32>,
    present: Vec<bool>,
}

impl MapField {
    fn new(level: &RegionLevel, mean: &[f32], row0: i64, column0: i64, rows: usize, columns: usize) -> Self {
        let channels = level.channels;
        let mut field = Self {
            row0,
            column0,
            rows,
            columns,
            channels,
            unit: vec![0.0; rows * columns * channels],
            present: vec![false; rows * columns],
        };
        let mut raw = vec![0.0; channels];
        for r in 0..rows {
            for c in 0..columns {
                let Some(d) = level.descriptor(row0 + r as i64, column0 + c as i64) else { continue };
                raw.iter_mut().zip(d).for_each(|(u, v)| *u = f32::from(*v) / 127.0);
                let at = r * columns + c;
                remove_mean(&raw, mean, &mut field.unit[at * channels..(at + 1) * channels]);
                field.present[at] = true;
            }
        }
        field
    }

    fn cell(&self, row: i64, column: i64) -> Option<&[f32]> {
        let (r, c) = (row - self.row0, column - self.column0);
        if r < 0 || c < 0 || r >= self.rows as i64 || c >= self.columns as i64 {
            return None;
        }
        let at = r as usize * self.columns + c as usize;
        self.present[at].then(|| &self.unit[at * self.channels..(at + 1) * self.channels])
    }
}

/// Bilinear descriptor at continuous cell coordinates (a cell's centre at .5), of unit length; `None` next to a hole.
fn sample<'a>(cell: impl Fn(i64, i64) -> Option<&'a [f32]>, row: f64, column: f64, out: &mut [f32]) -> Option<()> {
    let (r, c) = (row - 0.5, column - 0.5);
    let (r0, c0) = (r.floor(), c.floor());
    let (fr, fc) = ((r - r0) as f32, (c - c0) as f32);
    let (r0, c0) = (r0 as i64, c0 as i64);
    out.fill(0.0);
    let corners = [(0, 0, (1.0 - fr) * (1.0 - fc)), (0, 1, (1.0 - fr) * fc), (1, 0, fr * (1.0 - fc)), (1, 1, fr * fc)];
    for (dr, dc, weight) in corners {
        if weight > 0.0 {
            let d = cell(r0 + dr, c0 + dc)?;
            out.iter_mut().zip(d).for_each(|(o, v)| *o += weight * v);
        }
    }
    let scale = 1.0 / out.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    out.iter_mut().for_each(|v| *v *= scale);
    Some(())
}

/// The best cell within ±`radius` of a place, interpolated; with its similarity. `None` when the best lies on the window's rim,
/// where the true one may be outside.
fn best_near<'a>(
    cell: impl Fn(i64, i64) -> Option<&'a [f32]>,
    descriptor: &[f32],
    row: f64,
    column: f64,
    radius: i64,
    scores: &mut Vec<f32>,
) -> Option<(f64, f64, f32)> {
    let side = 2 * radius + 1;
    let (row0, column0) = (row.floor() as i64 - radius, column.floor() as i64 - radius);
    scores.clear();
    let mut best = (f32::NEG_INFINITY, 0i64);
    for r in 0..side {
        for c in 0..side {
            let s = cell(row0 + r, column0 + c).map_or(f32::NEG_INFINITY, |d| dot(descriptor, d));
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

/// Matches of a view on a level, when the point below the camera lies at `camera_m` (metres east and north in the region's
/// plane). `radius` is how far the prediction may be off, cells.
pub fn guided_matches(
    field: &ViewField,
    level: &RegionLevel,
    mean: &[f32],
    camera_m: [f64; 2],
    radius: usize,
) -> Vec<GuidedMatch> {
    let (west, north) = (camera_m[0] + field.view.west_m, camera_m[1] + field.view.north_m);
    let (row_shift, column_shift) = level.grid_from_ground(west, north);
    let reach = radius as i64 + 1;
    let map = MapField::new(
        level,
        mean,
        row_shift.floor() as i64 - reach,
        column_shift.floor() as i64 - reach,
        field.rows + 2 * reach as usize + 1,
        field.columns + 2 * reach as usize + 1,
    );
    let mut out = Vec::new();
    let mut descriptor = vec![0.0; field.channels];
    let mut scores = Vec::new();
    for (row, column, weight) in &field.keypoints {
        if sample(|r, c| field.cell(r, c), *row, *column, &mut descriptor).is_none() {
            continue;
        }
        let predicted = (row + row_shift, column + column_shift);
        let found = best_near(|r, c| map.cell(r, c), &descriptor, predicted.0, predicted.1, radius as i64, &mut scores);
        let Some((map_row, map_column, similarity)) = found else { continue };
        if sample(|r, c| map.cell(r, c), map_row, map_column, &mut descriptor).is_none() {
            continue;
        }
        let back = best_near(|r, c| field.cell(r, c), &descriptor, *row, *column, radius as i64, &mut scores);
        if !back.is_some_and(|(r, c, _)| (r - row).hypot(c - column) <= MUTUAL_RADIUS) {
            continue;
        }
        let (e, n) = level.ground_from_grid(map_row, map_column);
        out.push(GuidedMatch {
            view_m: [field.view.west_m + column * field.cell_m, field.view.north_m - row * field.cell_m],
            map_m: [e, n],
            similarity,
            weight: *weight,
        });
    }
    out
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
