//! How the land is divided: blocks of fields between tracks, each cut into parcels along its own direction.

use super::noise::{fbm, hash2, signed, unit};

/// Size of a block, metres.
const BLOCK_M: f64 = 300.0;

/// What grows on a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crop {
    /// Wheat, barley: green, golden, then stubble.
    Cereal,
    /// Maize: late and tall.
    Maize,
    /// Grass.
    Meadow,
    /// Oilseed rape.
    Rape,
    /// Potatoes, beets: broad rows.
    Roots,
    /// Ploughed, harrowed.
    Bare,
    /// Trees in rows.
    Orchard,
}

/// A place on the fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Random number of the parcel, the same at both epochs unless it was re-parcelled.
    pub parcel: u64,
    /// Random number of the block.
    pub block: u64,
    /// Random number of the border between this block and the next, the same from both sides.
    pub border: u64,
    /// Distance to the block's border, metres.
    pub to_block_m: f64,
    /// Distance to the parcel's border, metres.
    pub to_parcel_m: f64,
    /// Coordinates along and across the parcel's rows, metres.
    pub uv: (f64, f64),
}

/// The division of the land of a seed.
pub(crate) struct Land {
    seed: u64,
    crop_change: f64,
    /// Centres of the blocks within [`CACHED`] of the origin, row by row: each place asks for nine.
    centres: Vec<(f64, f64, u64)>,
}

/// Blocks from the origin to the edge of the stored ones.
const CACHED: i64 = 12;

impl Land {
    /// The land of a seed; `crop_change` is the share of arable parcels whose crop changes.
    pub fn new(seed: u64, crop_change: f64) -> Self {
        let all = (-CACHED..=CACHED).flat_map(|j| (-CACHED..=CACHED).map(move |i| block_centre(seed, i, j)));
        Self { seed, crop_change, centres: all.collect() }
    }

    fn block_centre(&self, i: i64, j: i64) -> (f64, f64, u64) {
        if i.abs() <= CACHED && j.abs() <= CACHED {
            let at = (j + CACHED) * (2 * CACHED + 1) + i + CACHED;
            if let Some(found) = self.centres.get(at as usize) {
                return *found;
            }
        }
        block_centre(self.seed, i, j)
    }

    /// The field at a place and an epoch.
    pub fn at(&self, e: f64, n: f64, epoch: usize) -> Field {
        // Old borders are not straight.
        let (e, n) = (
            e + 9.0 * f64::from(fbm(self.seed ^ 0x77, e / 120.0, n / 120.0, 2)),
            n + 9.0 * f64::from(fbm(self.seed ^ 0x78, e / 120.0, n / 120.0, 2)),
        );
        let (ci, cj) = ((e / BLOCK_M).floor() as i64, (n / BLOCK_M).floor() as i64);
        let (mut best, mut second) = ((f64::INFINITY, 0.0, 0.0, 0u64), (f64::INFINITY, 0.0, 0.0, 0u64));
        for j in cj - 1..=cj + 1 {
            for i in ci - 1..=ci + 1 {
                let (x, y, h) = self.block_centre(i, j);
                let d = (e - x).powi(2) + (n - y).powi(2);
                if d < best.0 {
                    second = best;
                    best = (d, x, y, h);
                } else if d < second.0 {
                    second = (d, x, y, h);
                }
            }
        }
        let apart = ((best.1 - second.1).powi(2) + (best.2 - second.2).powi(2)).sqrt().max(1.0);
        let to_block_m = (second.0 - best.0) / (2.0 * apart);
        let block = best.3;
        let turn = unit(block, 3) * std::f64::consts::PI;
        let (s, c) = turn.sin_cos();
        let (dx, dy) = (e - best.1, n - best.2);
        let (u, v) = (dx * c + dy * s, dy * c - dx * s);
        let length = 110.0 + 130.0 * unit(block, 4);
        let width = 26.0 + 44.0 * unit(block, 5).powi(2);
        let (row, to_row) = strip(block ^ 0xa1, u, length);
        let (mut column, mut to_column) = strip(block ^ (row as u64).wrapping_mul(77), v, width);
        // Some neighbours were joined between the map and the flight.
        if epoch == 1 && unit(block, 6) < 0.18 {
            let joined = column.div_euclid(2);
            let other = if column.rem_euclid(2) == 0 { column + 1 } else { column };
            let shared = edge(block ^ (row as u64).wrapping_mul(77), other, width);
            if (v - shared).abs() <= to_column + 1e-9 {
                to_column = width * 0.5;
            }
            column = joined + 1_000_003;
        }
        Field {
            parcel: hash2(block, row, column),
            block,
            border: best.3 ^ second.3,
            to_block_m,
            to_parcel_m: to_row.min(to_column).min(to_block_m),
            uv: (u, v),
        }
    }

    /// What grows on a parcel at an epoch.
    pub fn crop(&self, field: &Field, epoch: usize) -> Crop {
        let of = |p: f64| match p {
            p if p < 0.30 => Crop::Cereal,
            p if p < 0.45 => Crop::Maize,
            p if p < 0.68 => Crop::Meadow,
            p if p < 0.77 => Crop::Rape,
            p if p < 0.86 => Crop::Roots,
            p if p < 0.95 => Crop::Bare,
            _ => Crop::Orchard,
        };
        let lasting = of(unit(field.parcel, 11));
        // Meadows and orchards stay, arable land rotates.
        if matches!(lasting, Crop::Meadow | Crop::Orchard) || epoch == 0 || unit(field.parcel, 12) >= self.crop_change {
            return lasting;
        }
        match of(unit(field.parcel, 13)) {
            Crop::Meadow | Crop::Orchard => Crop::Bare,
            other => other,
        }
    }
}

fn block_centre(seed: u64, i: i64, j: i64) -> (f64, f64, u64) {
    let h = hash2(seed ^ 0x51, i, j);
    ((i as f64 + 0.5 + 0.36 * signed(h, 1)) * BLOCK_M, (j as f64 + 0.5 + 0.36 * signed(h, 2)) * BLOCK_M, h)
}

/// The border number `k` of irregular strips.
fn edge(hash: u64, k: i64, width: f64) -> f64 {
    (k as f64 + 0.3 * signed(hash2(hash, k, 5), 1)) * width
}

/// Which strip a coordinate lies in, and the distance to its nearer border.
fn strip(hash: u64, x: f64, width: f64) -> (i64, f64) {
    let mut k = (x / width).floor() as i64;
    if x < edge(hash, k, width) {
        k -= 1;
    } else if x >= edge(hash, k + 1, width) {
        k += 1;
    }
    (k, (x - edge(hash, k, width)).min(edge(hash, k + 1, width) - x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_place_lies_inside_its_strip(hash: u64, x in -1e4..1e4f64, width in 10.0..200.0f64) {
            let (k, to_border) = strip(hash, x, width);
            prop_assert!(to_border >= -1e-9 && edge(hash, k, width) <= x && x <= edge(hash, k + 1, width));
        }

        #[test]
        fn distances_to_borders_are_never_negative(seed: u64, e in -2e3..2e3f64, n in -2e3..2e3f64) {
            for epoch in [0, 1] {
                let f = Land::new(seed, 0.4).at(e, n, epoch);
                prop_assert!(f.to_parcel_m >= -1e-9 && f.to_parcel_m <= f.to_block_m + 1e-9);
            }
        }
    }
}
