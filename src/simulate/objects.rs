//! Things with a height: houses, trees, cars; found by a grid of small cells.

use super::noise::{signed, value};

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    /// A house with a gable roof along its length.
    House,
    /// A hall with a nearly flat roof.
    Hall,
    /// A broad-leaved tree.
    Tree,
    /// A conifer.
    Conifer,
    /// A car.
    Car,
}

/// A thing on the ground. Its length runs along its own axis `(cos, sin)` in east and north.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// East, metres.
    pub e: f64,
    /// North, metres.
    pub n: f64,
    /// Direction of its length.
    pub axis: (f64, f64),
    /// Half of its length, or its radius, metres.
    pub half_length: f64,
    /// Half of its width, metres.
    pub half_width: f64,
    /// Height of the eaves, or of the crown's rim, metres.
    pub eaves: f64,
    /// Height of its top, metres.
    pub top: f64,
    /// Its own random number.
    pub hash: u64,
    /// Whether it is there when the map is made and when the camera flies.
    pub present: [bool; 2],
}

impl Object {
    /// Own coordinates of a place: along and across.
    #[inline]
    pub fn local(&self, e: f64, n: f64) -> (f64, f64) {
        let (de, dn) = (e - self.e, n - self.n);
        (de * self.axis.0 + dn * self.axis.1, dn * self.axis.0 - de * self.axis.1)
    }

    /// Height above ground at a place, metres; 0 outside.
    #[inline]
    pub fn height(&self, e: f64, n: f64) -> f64 {
        let (u, v) = self.local(e, n);
        match self.kind {
            ObjectKind::House | ObjectKind::Hall | ObjectKind::Car => {
                if u.abs() > self.half_length || v.abs() > self.half_width {
                    0.0
                } else {
                    self.top - (self.top - self.eaves) * v.abs() / self.half_width
                }
            }
            ObjectKind::Tree | ObjectKind::Conifer => {
                let r2 = (u * u + v * v) / (self.half_length * self.half_length);
                if r2 > 1.4 {
                    return 0.0;
                }
                // Crowns have lobes.
                let lobes = 0.28 * f64::from(value(self.hash, u * 0.8 + 50.0, v * 0.8));
                let r2 = r2 * (1.0 + lobes);
                if r2 > 1.0 {
                    0.0
                } else if self.kind == ObjectKind::Tree {
                    self.top - (self.top - self.eaves) * r2
                } else {
                    self.top - (self.top - self.eaves) * r2.sqrt()
                }
            }
        }
    }

    fn reach(&self) -> f64 {
        match self.kind {
            // The lobes reach out to the square root of 1.4.
            ObjectKind::Tree | ObjectKind::Conifer => self.half_length * 1.19,
            _ => self.half_length.hypot(self.half_width) * 1.01,
        }
    }
}

const CELL_M: f64 = 8.0;
/// Around every place the tallest thing within this distance is known, metres.
const NEIGHBOURHOOD_M: f64 = 32.0;

/// All things of a world.
pub(crate) struct Objects {
    /// The things.
    pub all: Vec<Object>,
    first: Vec<u32>,
    ids: Vec<u32>,
    /// East, north, square of the reach and top of each of `ids`: enough to pass over most without touching them.
    outlines: Vec<[f32; 4]>,
    tallest: Vec<f32>,
    own: Vec<f32>,
    half_extent: f64,
    side: usize,
}

impl Objects {
    /// Sorts things into cells.
    pub fn new(all: Vec<Object>, half_extent: f64) -> Self {
        let side = (2.0 * half_extent / CELL_M).ceil() as usize + 1;
        let cell = |v: f64| (((v + half_extent) / CELL_M).max(0.0) as usize).min(side - 1);
        let mut cells = vec![Vec::new(); side * side];
        for (id, o) in all.iter().enumerate() {
            let r = o.reach();
            for row in cell(o.n - r)..=cell(o.n + r) {
                for column in cell(o.e - r)..=cell(o.e + r) {
                    cells[row * side + column].push(id as u32);
                }
            }
        }
        let own: Vec<f32> =
            cells.iter().map(|c| c.iter().map(|&i| all[i as usize].top as f32 + 0.001).fold(0.0, f32::max)).collect();
        let reach = (NEIGHBOURHOOD_M / CELL_M).ceil() as usize;
        let spread = |input: &[f32], horizontal: bool| -> Vec<f32> {
            (0..side * side)
                .map(|i| {
                    let (row, column) = (i / side, i % side);
                    let along = if horizontal { column } else { row };
                    (along.saturating_sub(reach)..=(along + reach).min(side - 1))
                        .map(|k| input[if horizontal { row * side + k } else { k * side + column }])
                        .fold(0.0, f32::max)
                })
                .collect()
        };
        let tallest = spread(&spread(&own, true), false);
        let mut first = vec![0];
        let mut ids = Vec::new();
        for c in &cells {
            ids.extend(c);
            first.push(ids.len() as u32);
        }
        // A little larger than they are, for what single precision rounds away.
        let outlines = ids
            .iter()
            .map(|&i: &u32| {
                let o = &all[i as usize];
                [o.e as f32, o.n as f32, (o.reach() + 0.01).powi(2) as f32, o.top as f32 + 0.001]
            })
            .collect();
        Self { all, first, ids, outlines, tallest, own, half_extent, side }
    }

    #[inline]
    fn cell(&self, e: f64, n: f64) -> usize {
        let index = |v: f64| (((v + self.half_extent) / CELL_M).max(0.0) as usize).min(self.side - 1);
        index(n) * self.side + index(e)
    }

    /// Height of the tallest thing within some 32 m, metres.
    #[inline]
    pub fn tallest_near(&self, e: f64, n: f64) -> f64 {
        f64::from(self.tallest[self.cell(e, n)])
    }

    /// The tallest thing at a place at an epoch (0 as mapped, 1 as flown) that reaches the height `least` there: its height and its
    /// position in [`Objects::all`].
    #[inline]
    pub fn at(&self, e: f64, n: f64, epoch: usize, least: f64) -> Option<(f64, u32)> {
        let cell = self.cell(e, n);
        if f64::from(self.own[cell]) < least {
            return None;
        }
        let mut best: Option<(f64, u32)> = None;
        let range = self.first[cell] as usize..self.first[cell + 1] as usize;
        let (ef, nf, least_f) = (e as f32, n as f32, least as f32);
        for (&id, [oe, on, reach2, top]) in self.ids[range.clone()].iter().zip(&self.outlines[range]) {
            let (de, dn) = (ef - oe, nf - on);
            if *top < least_f || de * de + dn * dn > *reach2 {
                continue;
            }
            let o = &self.all[id as usize];
            if !o.present[epoch] {
                continue;
            }
            let h = o.height(e, n);
            if h >= least && h > best.map_or(0.0, |b| b.0) {
                best = Some((h, id));
            }
        }
        best
    }
}

/// A tree of a crown radius.
pub(crate) fn tree(kind: ObjectKind, e: f64, n: f64, radius: f64, top: f64, hash: u64) -> Object {
    let rim = if kind == ObjectKind::Tree { top * 0.45 } else { top * 0.15 };
    let turn = signed(hash, 71) * std::f64::consts::PI;
    Object {
        kind,
        e,
        n,
        axis: (turn.cos(), turn.sin()),
        half_length: radius,
        half_width: radius,
        eaves: rim,
        top,
        hash,
        present: [true, true],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house() -> Object {
        Object {
            kind: ObjectKind::House,
            e: 10.0,
            n: 20.0,
            axis: (0.6, 0.8),
            half_length: 6.0,
            half_width: 4.0,
            eaves: 4.0,
            top: 8.0,
            hash: 1,
            present: [true, false],
        }
    }

    #[test]
    fn a_gable_roof_is_highest_over_its_axis_and_ends_at_the_walls() {
        let o = house();
        assert!((o.height(10.0 + 3.0 * 0.6, 20.0 + 3.0 * 0.8) - 8.0).abs() < 1e-9);
        let wall = (10.0 - 3.99 * 0.8, 20.0 + 3.99 * 0.6);
        assert!((o.height(wall.0, wall.1) - 4.01).abs() < 0.01);
        assert_eq!(o.height(10.0 - 4.1 * 0.8, 20.0 + 4.1 * 0.6), 0.0);
    }

    #[test]
    fn a_thing_is_found_only_at_the_epoch_it_exists() {
        let objects = Objects::new(vec![house()], 100.0);
        assert!(objects.at(10.0, 20.0, 0, 0.0).is_some() && objects.at(10.0, 20.0, 1, 0.0).is_none());
        assert!((objects.tallest_near(30.0, 30.0) - 8.0).abs() < 0.01);
        assert_eq!(objects.tallest_near(90.0, 90.0), 0.0);
    }
}
