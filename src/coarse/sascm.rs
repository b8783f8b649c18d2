//! Semantic-aware, structure-constrained coarse matching (arXiv 2506.09748, section III-C): the regions of a frame against those
//! of a window of the map.
//!
//! 4D cosine tensor → soft mutual matching → neighbourhood consensus → soft mutual matching → hard assignment to region matches →
//! the translation most of them agree on and a similarity on its supporters. The paper and the method it builds on differ on
//! whether soft mutual matching comes before or after the convolutions; both are switches here and both are on by default, as in
//! NC-Net.
//!
//! The paper matches within one retrieved tile. A frame that straddles tiles has no such tile, so here a candidate cell's window
//! is the frame's side and one step of the lattice of cells: wherever in the cell's share of the map the frame's middle lies, the
//! whole frame lies inside of the window ([`Layout`]). The 4D tensor is therefore not square.

use super::consensus::ConsensusNetwork;
use super::mutual::soft_mutual;
use super::peaks::parabola;
use super::tensor::{RegionGrid, Tensor4};
use super::vote::{Elected, Vote, VoteSettings, elect};
use crate::settings::{Bound, settings, words};

/// Most regions along a side of the frame.
pub const MAX_FRAME_REGIONS: usize = 16;
/// Most regions along a side of the window, less the one that the rounding of its origin may add.
const MAX_WINDOW_REGIONS: usize = 24;

words! {
    /// Which assignments become region matches.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub enum Assignment: "assignment" {
        /// The best map region of each frame region and the best frame region of each map region where they agree.
        #[default]
        Mutual = "mutual",
        /// The best map region of each frame region.
        Forward = "forward",
    }
}

settings! {
    /// How regions are matched.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct SascmSettings {
        /// Soft mutual matching before the convolutions.
        key mutual_before: bool = true, Bound::Any;
        /// Soft mutual matching after the convolutions.
        key mutual_after: bool = true, Bound::Any;
        /// The convolutions themselves; off is an ablation.
        key consensus: bool = true, Bound::Any;
        /// Which assignments count: mutual, or forward.
        key assignment: Assignment = Assignment::default(), Bound::Any;
        /// Temperature of the softmax that says how sure an assignment is, as a share of the tensor's largest value.
        key temperature: f64 = 0.1, Bound::Positive;
        /// How the place is elected.
        table vote: VoteSettings;
        /// So many of the windows that the fixed kernel finds best are matched again with learned weights, where there are any.
        key rescored: usize = 16, Bound::AtLeast(1.0);
    }
}

/// A region of the frame and the region of the map it was assigned to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionMatch {
    /// Row and column in the frame.
    pub frame: [usize; 2],
    /// Row and column in the window.
    pub map: [usize; 2],
    /// Continuous position in the window (a region's centre at .5), by parabolas through the neighbouring scores.
    pub position: [f64; 2],
    /// The tensor's value.
    pub strength: f32,
    /// Softmax over the window's regions, 0..1.
    pub confidence: f32,
}

/// Region matches with what they agree on.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionPlacement {
    /// The matches.
    pub matches: Vec<RegionMatch>,
    /// Transform from the frame's to the window's region coordinates, and each match's fit to it.
    pub elected: Elected,
    /// Support divided by the number of the frame's regions: how strongly an average region agrees.
    pub score: f64,
}

/// How a frame and the windows are cut into regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Dense cells along a region's side, the same for frame and map.
    pub side: usize,
    /// Rows and columns of regions of the frame.
    pub frame: [usize; 2],
    /// Rows and columns of regions of a window.
    pub window: [usize; 2],
}

impl Layout {
    /// For a frame of `rows × columns` dense cells and candidate cells `step` dense cells apart: the smallest regions with which
    /// the frame has at most 16 and the window at most 24 along a side. A window reaches half a step beyond the frame on each side.
    pub fn new(rows: usize, columns: usize, step: usize) -> Self {
        let longest = rows.max(columns).max(1);
        let side = longest.div_ceil(MAX_FRAME_REGIONS).max((longest + step).div_ceil(MAX_WINDOW_REGIONS));
        let (frame, window) = ([rows, columns].map(|n| n.div_ceil(side)), [rows, columns].map(|n| (n + step).div_ceil(side)));
        Self { side, frame, window }
    }

    /// First dense cell of the window around a point (row, column of the map's grid).
    pub fn window_origin(&self, centre: [f64; 2]) -> (i64, i64) {
        let [row, column] = [0, 1].map(|d| (centre[d] - (self.window[d] * self.side) as f64 / 2.0).round() as i64);
        (row, column)
    }
}

/// Matches a frame's regions with a window's. `None` when nothing matches.
pub fn match_regions(
    frame: &RegionGrid,
    window: &RegionGrid,
    network: &ConsensusNetwork,
    settings: &SascmSettings,
) -> Option<RegionPlacement> {
    let mut tensor = Tensor4::correlation(frame, window);
    if settings.mutual_before {
        soft_mutual(&mut tensor);
    }
    if settings.consensus {
        tensor = network.apply(&tensor);
        // The convolution also fills in pairs of regions that nothing is known of.
        clear_uncovered(&mut tensor, frame, window);
    }
    if settings.mutual_after {
        soft_mutual(&mut tensor);
    }
    let matches = assign(&tensor, settings);
    let votes: Vec<Vote> = matches
        .iter()
        .map(|m| Vote { frame: m.frame.map(|x| x as f64 + 0.5), map: m.position, weight: f64::from(m.strength) })
        .collect();
    let elected = elect(&votes, [frame.rows, frame.columns], [window.rows, window.columns], &settings.vote)?;
    let score = elected.support / frame.count().max(1) as f64;
    Some(RegionPlacement { matches, elected, score })
}

fn clear_uncovered(tensor: &mut Tensor4, frame: &RegionGrid, window: &RegionGrid) {
    let to = tensor.map_regions();
    for (line, covered) in tensor.values.chunks_exact_mut(to.max(1)).zip(&frame.covered) {
        if *covered {
            line.iter_mut().zip(&window.covered).filter(|(_, c)| !**c).for_each(|(v, _)| *v = 0.0);
        } else {
            line.fill(0.0);
        }
    }
}

/// Hard assignment: the best map region of each frame region, kept as the settings say. Ties go to the first.
pub fn assign(tensor: &Tensor4, settings: &SascmSettings) -> Vec<RegionMatch> {
    let [_, frame_columns, map_rows, map_columns] = tensor.shape;
    let to = tensor.map_regions();
    if to == 0 {
        return Vec::new();
    }
    let mut best_frame = vec![(0.0f32, usize::MAX); to];
    for (i, line) in tensor.values.chunks_exact(to).enumerate() {
        for (best, v) in best_frame.iter_mut().zip(line) {
            if *v > best.0 {
                *best = (*v, i);
            }
        }
    }
    let largest = best_frame.iter().fold(0.0f32, |m, b| m.max(b.0));
    let sharpness = 1.0 / (settings.temperature as f32 * largest).max(f32::MIN_POSITIVE);
    let mut out = Vec::new();
    for (i, line) in tensor.values.chunks_exact(to).enumerate() {
        let (mut strength, mut at) = (0.0f32, usize::MAX);
        for (k, v) in line.iter().enumerate() {
            if *v > strength {
                (strength, at) = (*v, k);
            }
        }
        if at == usize::MAX || (settings.assignment == Assignment::Mutual && best_frame[at].1 != i) {
            continue;
        }
        let (row, column) = (at / map_columns, at % map_columns);
        let value = |dr: i64, dc: i64| {
            let (r, c) = (row as i64 + dr, column as i64 + dc);
            let inside = r >= 0 && c >= 0 && r < map_rows as i64 && c < map_columns as i64;
            if inside { line[r as usize * map_columns + c as usize] } else { f32::NEG_INFINITY }
        };
        let position = [
            row as f64 + 0.5 + parabola(value(-1, 0), strength, value(1, 0)),
            column as f64 + 0.5 + parabola(value(0, -1), strength, value(0, 1)),
        ];
        let total: f32 = line.iter().map(|v| ((v - strength) * sharpness).exp()).sum();
        let frame = [i / frame_columns, i % frame_columns];
        out.push(RegionMatch { frame, map: [row, column], position, strength, confidence: 1.0 / total });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coarse::tensor::Planes;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const CHANNELS: usize = 8;

    /// A random map, smooth over about two dense cells as features of a network are.
    fn map(rows: usize, columns: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let noise: Vec<f32> = (0..CHANNELS * rows * columns).map(|_| rng.random::<f32>() - 0.5).collect();
        let at = |k: usize, r: i64, c: i64| {
            let (r, c) = (r.rem_euclid(rows as i64) as usize, c.rem_euclid(columns as i64) as usize);
            noise[(k * rows + r) * columns + c]
        };
        let mut planes = Vec::new();
        for k in 0..CHANNELS {
            for r in 0..rows as i64 {
                for c in 0..columns as i64 {
                    planes.push(
                        (-1..=1).flat_map(|dr| (-1..=1).map(move |dc| (dr, dc))).map(|(dr, dc)| at(k, r + dr, c + dc)).sum(),
                    );
                }
            }
        }
        planes.extend(vec![1.0; rows * columns]);
        planes
    }

    fn cut(map: &[f32], columns: usize, (r0, c0): (usize, usize), (rows, width): (usize, usize), noise: f32) -> Vec<f32> {
        let plane = map.len() / (CHANNELS + 1);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut out = Vec::new();
        for k in 0..=CHANNELS {
            for r in 0..rows {
                for c in 0..width {
                    let v = map[k * plane + (r0 + r) * columns + c0 + c];
                    out.push(if k < CHANNELS { v + noise * (rng.random::<f32>() - 0.5) } else { v });
                }
            }
        }
        out
    }

    fn place(settings: &SascmSettings, at: (usize, usize), noise: f32) -> (RegionPlacement, [f64; 2]) {
        let map = map(100, 100);
        let frame = cut(&map, 100, at, (30, 40), noise);
        let layout = Layout::new(30, 40, 16);
        let frame = Planes { rows: 30, columns: 40, channels: CHANNELS, values: &frame };
        let frame = RegionGrid::pooled(&frame, (0, 0), layout.side, (layout.frame[0], layout.frame[1]));
        let view = Planes { rows: 100, columns: 100, channels: CHANNELS, values: &map };
        let origin = layout.window_origin([50.0, 50.0]);
        let window = RegionGrid::pooled(&view, origin, layout.side, (layout.window[0], layout.window[1]));
        let found = match_regions(&frame, &window, &ConsensusNetwork::fixed(), settings).unwrap();
        let side = layout.side as f64;
        let [row, column] = found.elected.map_from_frame.apply([15.0 / side, 20.0 / side]);
        (found, [row * side + origin.0 as f64, column * side + origin.1 as f64])
    }

    #[test]
    fn a_frame_is_found_wherever_its_middle_lies_in_the_cells_share() {
        // Middle of the frame: the origin and (15, 20); the window is centred at (50, 50) and reaches 8 beyond on each side.
        for (row, column) in [(35, 30), (28, 37), (42, 23), (43, 38), (31, 25)] {
            let (_, [r, c]) = place(&SascmSettings::default(), (row, column), 0.8);
            let error = (r - row as f64 - 15.0).hypot(c - column as f64 - 20.0);
            assert!(error < 1.5, "{row} {column}: {error}");
        }
    }

    #[test]
    fn every_order_of_soft_mutual_matching_finds_the_place() {
        for (mutual_before, mutual_after) in [(false, false), (true, false), (false, true), (true, true)] {
            for assignment in [Assignment::Mutual, Assignment::Forward] {
                let settings = SascmSettings { mutual_before, mutual_after, assignment, ..SascmSettings::default() };
                let (_, [r, c]) = place(&settings, (33, 29), 0.5);
                assert!((r - 48.0).hypot(c - 49.0) < 2.0, "{settings:?}: {r} {c}");
            }
        }
    }

    #[test]
    fn consensus_makes_a_noisy_frame_stand_out() {
        let supporters = |consensus| {
            let (found, _) = place(&SascmSettings { consensus, ..SascmSettings::default() }, (34, 31), 4.0);
            found.elected.fit.iter().filter(|f| **f > 0.5).count()
        };
        assert!(supporters(true) > supporters(false), "{} {}", supporters(true), supporters(false));
    }

    #[test]
    fn regions_stay_within_their_limits_for_every_template() {
        for (rows, columns) in [(1, 1), (8, 24), (24, 24), (33, 47), (48, 48), (64, 64)] {
            let layout = Layout::new(rows, columns, 16);
            assert!(layout.frame.iter().all(|n| *n <= MAX_FRAME_REGIONS), "{layout:?}");
            assert!(layout.window.iter().all(|n| *n <= MAX_WINDOW_REGIONS), "{layout:?}");
            assert!(layout.window[0] * layout.side >= rows + 16 && layout.frame[1] * layout.side >= columns);
        }
    }

    /// Each pair looked at on its own.
    fn oracle_mutual(t: &Tensor4) -> Vec<([usize; 2], [usize; 2])> {
        let (from, to) = (t.shape[0] * t.shape[1], t.map_regions());
        let mut out = Vec::new();
        for i in 0..from {
            for k in 0..to {
                let v = t.values[i * to + k];
                let first_of_line = (0..to).all(|m| t.values[i * to + m] < v || (m >= k && t.values[i * to + m] <= v));
                let first_of_column = (0..from).all(|m| t.values[m * to + k] < v || (m >= i && t.values[m * to + k] <= v));
                if v > 0.0 && first_of_line && first_of_column {
                    out.push(([i / t.shape[1], i % t.shape[1]], [k / t.shape[3], k % t.shape[3]]));
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn assignment_equals_its_oracle(values in prop::collection::vec(0u8..20, 2 * 3 * 4 * 2)) {
            let values = values.into_iter().map(f32::from).collect();
            let tensor = Tensor4 { shape: [2, 3, 4, 2], values };
            let fast = assign(&tensor, &SascmSettings::default());
            prop_assert!(fast.iter().all(|m| m.confidence > 0.0 && m.confidence <= 1.0));
            prop_assert_eq!(fast.iter().map(|m| (m.frame, m.map)).collect::<Vec<_>>(), oracle_mutual(&tensor));
        }
    }
}
