//! How matches agree: in number, over the frame, and against every other displacement.
//!
//! Guided matches are drawn to where they are expected, so that a share of them agrees with any place; and neighbours lie on the same edge,
//! so that their number overstates what speaks for it. Two things tell a place from chance. Agreement over many *blocks* of the view, each
//! about as large as what a descriptor sees. And a *peak* of the displacements: at the right place matches lie where the transform says and
//! nowhere else, while on ground that is another's, or that repeats itself, or that is all one edge, some other displacement within the window
//! does as well. The peak is looked for in the whole view and in each of its quarters, which see different ground.

use super::{Consensus, GuidedMatch, ViewField};
use crate::types::Agreement;

/// Side of a block, cells.
const BLOCK_CELLS: f64 = 4.0;
/// Keypoints that a block must hold to count.
const MIN_IN_BLOCK: u32 = 4;
/// Displacements nearer than this to the transform are its own peak, cells.
const OWN_PEAK_CELLS: f64 = 2.5;
/// Matches that a part must hold to have a peak.
const MIN_IN_PART: u32 = 12;

/// How matches within `radius` cells of their prediction agree with their consensus.
pub fn agreement(view: &ViewField, matches: &[GuidedMatch], consensus: &Consensus, radius: usize) -> Agreement {
    let keypoints: Vec<(f64, f64)> = view.keypoint_cells().collect();
    let middle = middle_of(&keypoints);
    let columns = (view.field.size().1 as f64 / BLOCK_CELLS).ceil() as usize + 1;
    let rows = (view.field.size().0 as f64 / BLOCK_CELLS).ceil() as usize + 1;
    let block = |(row, column): (f64, f64)| {
        let at = |v: f64, n: usize| ((v / BLOCK_CELLS).max(0.0) as usize).min(n - 1);
        at(row, rows) * columns + at(column, columns)
    };
    let mut there = vec![0u32; rows * columns];
    keypoints.iter().for_each(|k| there[block(*k)] += 1);
    let mut agree = vec![0u32; rows * columns];
    let mut whole = Displacements::new(radius);
    let mut quarters = [(); 4].map(|()| Displacements::new(radius));
    let mut squares = 0.0;
    for (m, inlier) in matches.iter().zip(&consensus.inliers) {
        let at = view.cell_at(m.view_m);
        if *inlier {
            agree[block(at)] += 1;
        }
        let Some((e, n)) = consensus.map_from_view.apply(m.view_m[0], m.view_m[1]) else { continue };
        let off = [(m.map_m[0] - e) / view.cell_m, (m.map_m[1] - n) / view.cell_m];
        if *inlier {
            squares += off[0] * off[0] + off[1] * off[1];
        }
        whole.add(off);
        quarters[usize::from(at.0 > middle.0) * 2 + usize::from(at.1 > middle.1)].add(off);
    }
    let mut out = Agreement {
        keypoints: keypoints.len() as u32,
        matches: matches.len() as u32,
        inliers: consensus.count as u32,
        peak: whole.peak(),
        quarter_peaks: quarters.map(|q| q.peak()),
        residual_cells: (squares / consensus.count.max(1) as f64).sqrt(),
        ..Agreement::default()
    };
    out.quarter_peaks.sort_by(f64::total_cmp);
    for (agree, there) in agree.iter().zip(&there).filter(|(_, there)| **there >= MIN_IN_BLOCK) {
        out.blocks += 1;
        for (k, count) in out.agreeing_blocks.iter_mut().enumerate() {
            *count += u32::from(4 * agree >= (k as u32 + 1) * there);
        }
    }
    out
}

/// Mean row and column.
fn middle_of(cells: &[(f64, f64)]) -> (f64, f64) {
    let n = cells.len().max(1) as f64;
    let (r, c) = cells.iter().fold((0.0, 0.0), |(r, c), k| (r + k.0, c + k.1));
    (r / n, c / n)
}

/// A histogram of displacements from where a transform says, in cells.
struct Displacements {
    /// Cells to each side.
    reach: i64,
    counts: Vec<u32>,
    total: u32,
}

impl Displacements {
    fn new(radius: usize) -> Self {
        let reach = radius as i64 + 2;
        let side = 2 * reach as usize + 1;
        Self { reach, counts: vec![0; side * side], total: 0 }
    }

    fn add(&mut self, [e, n]: [f64; 2]) {
        self.total += 1;
        let (x, y) = (e.round() as i64 + self.reach, n.round() as i64 + self.reach);
        let side = 2 * self.reach + 1;
        if (0..side).contains(&x) && (0..side).contains(&y) {
            self.counts[(y * side + x) as usize] += 1;
        }
    }

    /// Matches within one cell of a displacement, along each axis.
    fn around(&self, x: i64, y: i64) -> u32 {
        let side = 2 * self.reach + 1;
        let cell = |x: i64, y: i64| {
            let inside = (0..side).contains(&x) && (0..side).contains(&y);
            if inside { self.counts[(y * side + x) as usize] } else { 0 }
        };
        (-1..=1).map(|dy| (-1..=1).map(|dx| cell(x + dx, y + dy)).sum::<u32>()).sum()
    }

    fn peak(&self) -> f64 {
        if self.total < MIN_IN_PART {
            return 0.0;
        }
        let side = 2 * self.reach + 1;
        let own = self.around(self.reach, self.reach);
        let far = |x: i64, y: i64| ((x - self.reach) as f64).hypot((y - self.reach) as f64) > OWN_PEAK_CELLS;
        let positions = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
        let other = positions.filter(|(x, y)| far(*x, *y)).map(|(x, y)| self.around(x, y)).max().unwrap_or(0);
        // One more to each, so that few matches say little.
        ((f64::from(own) + 1.0) / (f64::from(other) + 1.0)).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fine::consensus::{ConsensusSettings, consensus};
    use crate::geo::MetricView;
    use crate::models::DenseFeatures;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn view() -> ViewField {
        let (rows, columns) = (24, 32);
        let features = DenseFeatures {
            rows,
            columns,
            channels: 1,
            stride_px: 8,
            descriptors: vec![1.0; rows * columns],
            reliability: vec![1.0; rows * columns],
            keypoints: vec![[4.0, 4.0, 1.0]; rows * columns],
        };
        let view = MetricView { west_m: -16.0, north_m: 12.0, ground_sampling_distance_m: 0.125, width_px: 256, height_px: 192 };
        ViewField::new(&features, &vec![true; rows * columns], &view, &[0.0])
    }

    /// Matches of every cell, displaced by what the function says, cells.
    fn matches(mut off: impl FnMut(usize, usize) -> [f64; 2]) -> Vec<GuidedMatch> {
        let at = |r: usize, c: usize| [-16.0 + c as f64 + 0.5, 12.0 - r as f64 - 0.5];
        let mut out = Vec::new();
        for r in 0..24 {
            for c in 0..32 {
                let (view_m, off) = (at(r, c), off(r, c));
                let map_m = [view_m[0] + off[0] + 500.0, view_m[1] + off[1] + 70.0];
                out.push(GuidedMatch { view_m, map_m, similarity: 0.5, weight: 1.0 });
            }
        }
        out
    }

    fn agreed(matches: &[GuidedMatch]) -> Agreement {
        let settings = ConsensusSettings { max_rotation_rad: 0.26, max_log_scale: 0.2, tolerance_m: 1.5, seed: 1 };
        let found = consensus(matches, 768, &settings).unwrap();
        agreement(&view(), matches, &found, 6)
    }

    fn anywhere(rng: &mut ChaCha8Rng) -> [f64; 2] {
        [rng.random_range(-6.0..6.0), rng.random_range(-6.0..6.0)]
    }

    #[test]
    fn a_right_place_has_a_peak_in_every_quarter_and_chance_has_none() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let right = agreed(&matches(|r, c| if (r + c) % 2 == 0 { [0.2, -0.3] } else { anywhere(&mut rng) }));
        assert!(right.peak > 1.5 && right.quarter_peaks[0] > 1.0, "{right:?}");
        assert!(right.blocks == 48 && right.agreeing_blocks[1] > 24, "{right:?}");
        let chance = agreed(&matches(|_, _| anywhere(&mut rng)));
        assert!(chance.peak < 0.6 && chance.quarter_peaks[1] < 0.6, "{chance:?}");
        assert!(chance.agreeing_blocks[1] < 4, "{chance:?}");
    }

    #[test]
    fn ground_that_repeats_itself_has_no_peak() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let rows = agreed(&matches(|_, _| [if rng.random::<bool>() { 0.0 } else { 4.0 }, 0.0]));
        assert!(rows.peak < 0.3, "{rows:?}");
    }

    #[test]
    fn a_peak_in_one_quarter_is_one_in_one_quarter() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let one = agreed(&matches(|r, c| if r < 12 && c < 16 { [0.0, 0.0] } else { anywhere(&mut rng) }));
        assert!(one.quarter_peaks[3] > 1.5 && one.quarter_peaks[1] < 0.8, "{one:?}");
    }
}
