//! The procedural world: fields, woods, roads, a river, villages. Everything follows from a seed and is known at any place without a
//! raster behind it.

use super::land::{Crop, Land};
use super::lines::{LineKind, Lines, curve};
use super::noise::{fbm, hash2, mix, signed, unit};
use super::objects::{Object, ObjectKind, Objects, tree};

/// A garden or yard around a house.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plot {
    pub e: f64,
    pub n: f64,
    pub axis: (f64, f64),
    pub half_length: f64,
    pub half_width: f64,
    pub hash: u64,
}

/// A world of a seed.
pub(crate) struct World {
    pub seed: u64,
    pub land: Land,
    pub lines: Lines,
    pub objects: Objects,
    plots: Vec<Plot>,
    plot_cells: Vec<Vec<u32>>,
    half_extent: f64,
}

const PLOT_CELL_M: f64 = 40.0;

/// Where the woods are: positive inside.
pub(crate) fn wood(seed: u64, e: f64, n: f64) -> f32 {
    fbm(seed ^ 0xf0, e / 380.0, n / 380.0, 4) - 0.2
}

impl World {
    /// The world of a seed, in a square of twice the half extent (metres) around the origin.
    pub fn new(seed: u64, half_extent: f64, crop_change: f64) -> Self {
        let land = Land::new(seed, crop_change);
        let mut lines = Lines::new(half_extent);
        let mut builder = Builder { seed, half_extent, objects: Vec::new(), plots: Vec::new() };
        let lanes = builder.lines(&mut lines);
        for lane in &lanes {
            builder.houses_along(lane);
        }
        builder.farms(&lines);
        builder.cars(&lines, &lanes);
        let mut world = Self {
            seed,
            land,
            lines,
            objects: Objects::new(Vec::new(), half_extent),
            plots: builder.plots.clone(),
            plot_cells: Vec::new(),
            half_extent,
        };
        world.index_plots();
        builder.trees(&world);
        world.objects = Objects::new(builder.objects, half_extent);
        world
    }

    fn plot_side(&self) -> usize {
        (2.0 * self.half_extent / PLOT_CELL_M).ceil() as usize + 1
    }

    fn plot_cell(&self, v: f64) -> usize {
        (((v + self.half_extent) / PLOT_CELL_M).max(0.0) as usize).min(self.plot_side() - 1)
    }

    fn index_plots(&mut self) {
        let side = self.plot_side();
        let mut cells = vec![Vec::new(); side * side];
        for (i, p) in self.plots.iter().enumerate() {
            let r = p.half_length.hypot(p.half_width);
            for row in self.plot_cell(p.n - r)..=self.plot_cell(p.n + r) {
                for column in self.plot_cell(p.e - r)..=self.plot_cell(p.e + r) {
                    cells[row * side + column].push(i as u32);
                }
            }
        }
        self.plot_cells = cells;
    }

    /// The plot at a place, and own coordinates in it.
    pub fn plot(&self, e: f64, n: f64) -> Option<(&Plot, f64, f64)> {
        let cell = self.plot_cells.get(self.plot_cell(n) * self.plot_side() + self.plot_cell(e))?;
        cell.iter().map(|&i| &self.plots[i as usize]).find_map(|p| {
            let (de, dn) = (e - p.e, n - p.n);
            let (u, v) = (de * p.axis.0 + dn * p.axis.1, dn * p.axis.0 - de * p.axis.1);
            (u.abs() < p.half_length && v.abs() < p.half_width).then_some((p, u, v))
        })
    }
}

struct Builder {
    seed: u64,
    half_extent: f64,
    objects: Vec<Object>,
    plots: Vec<Plot>,
}

impl Builder {
    /// Adds roads, tracks and the river; returns the lanes of villages.
    fn lines(&self, lines: &mut Lines) -> Vec<Vec<(f64, f64)>> {
        let x = self.half_extent;
        let h = |k: u64| mix(self.seed ^ 0x7000 ^ k);
        // A river from west to east, in bends.
        let offset = 0.55 * x * signed(h(1), 1).signum() * (0.5 + 0.5 * unit(h(1), 2));
        let course: Vec<(f64, f64)> = (-8..=8)
            .map(|k| {
                let e = f64::from(k) * x / 7.5;
                (e, offset + 130.0 * signed(h(2), (k + 50) as u64) + 60.0 * (e / 170.0).sin())
            })
            .collect();
        let river: Vec<(f64, f64, f64)> =
            curve(&course, 6.0).iter().enumerate().map(|(i, p)| (p.0, p.1, 8.0 + 2.5 * (i as f64 / 9.0).sin())).collect();
        lines.add(LineKind::River, &river);
        // Main roads cross near the middle, each in wide curves.
        let mut roads = Vec::new();
        for k in 0..3u64 {
            let turn = unit(h(10), 1) * std::f64::consts::PI + k as f64 * 1.05 + 0.25 * signed(h(11 + k), 2);
            let aside = if k == 0 { 120.0 * signed(h(11), 3) } else { 420.0 * signed(h(11 + k), 3) };
            let points: Vec<(f64, f64)> = (-7..=7)
                .map(|i| {
                    let along = f64::from(i) * x / 5.0;
                    let across = aside + 60.0 * signed(h(20 + k), (i + 30) as u64);
                    (along * turn.cos() - across * turn.sin(), along * turn.sin() + across * turn.cos())
                })
                .collect();
            roads.push(curve(&points, 6.0));
        }
        for (k, road) in roads.iter().enumerate() {
            let (kind, half) = if k == 0 { (LineKind::Road, 3.4) } else { (LineKind::Lane, 2.5) };
            lines.add(kind, &road.iter().map(|p| (p.0, p.1, half)).collect::<Vec<_>>());
        }
        // Villages: at the middle of the first road, and along the others.
        let mut lanes = Vec::new();
        let centres = [(0usize, 0.5 + 0.03 * signed(h(40), 1)), (0, 0.27), (1, 0.62), (2, 0.36), (1, 0.3), (0, 0.72)];
        for (v, (road, at)) in centres.into_iter().enumerate() {
            let road = &roads[road];
            let middle = (at * road.len() as f64) as usize;
            let span = 26 + (12.0 * unit(h(50 + v as u64), 1)) as usize;
            let main: Vec<(f64, f64)> = road[middle.saturating_sub(span)..(middle + span).min(road.len())].to_vec();
            for (b, k) in (4..main.len().saturating_sub(4)).step_by(11).enumerate() {
                let (p, q) = (main[k], main[k + 1]);
                let (dx, dy) = (q.0 - p.0, q.1 - p.1);
                let l = dx.hypot(dy).max(1e-6);
                let side = if (b as u64 + v as u64).is_multiple_of(2) { 1.0 } else { -1.0 };
                let hash = h(100 + v as u64 * 20 + b as u64);
                let length = 90.0 + 110.0 * unit(hash, 1);
                let bend = 0.5 * signed(hash, 2);
                let points: Vec<(f64, f64)> = (0..5)
                    .map(|i| {
                        let s = f64::from(i) / 4.0 * length;
                        let (ax, ay) = (-dy / l * side, dx / l * side);
                        let drift = bend * s * s / length;
                        (p.0 + ax * s + dx / l * drift, p.1 + ay * s + dy / l * drift)
                    })
                    .collect();
                let lane = curve(&points, 5.0);
                lines.add(LineKind::Lane, &lane.iter().map(|p| (p.0, p.1, 2.3)).collect::<Vec<_>>());
                lanes.push(lane);
            }
            lanes.push(main);
        }
        // Field tracks wander between the blocks; a few winding ones here connect them.
        for k in 0..14u64 {
            let hash = h(300 + k);
            let mut p = (0.9 * x * signed(hash, 1), 0.9 * x * signed(hash, 2));
            let mut turn = unit(hash, 3) * std::f64::consts::TAU;
            let points: Vec<(f64, f64)> = (0..9)
                .map(|i| {
                    turn += 0.5 * signed(hash, 10 + i);
                    p = (p.0 + 75.0 * turn.cos(), p.1 + 75.0 * turn.sin());
                    p
                })
                .collect();
            lines.add(LineKind::Track, &curve(&points, 5.0).iter().map(|p| (p.0, p.1, 1.7)).collect::<Vec<_>>());
        }
        lanes
    }

    fn free(&self, e: f64, n: f64, radius: f64) -> bool {
        e.abs() < self.half_extent
            && n.abs() < self.half_extent
            && !self.plots.iter().any(|p| (p.e - e).hypot(p.n - n) < radius + p.half_width.min(p.half_length) * 0.95)
    }

    fn houses_along(&mut self, lane: &[(f64, f64)]) {
        let step = 22.0;
        let mut travelled = 8.0;
        for pair in lane.windows(2) {
            let [(ax, ay), (bx, by)] = [pair[0], pair[1]];
            let (dx, dy) = (bx - ax, by - ay);
            let l = dx.hypot(dy).max(1e-6);
            travelled += l;
            if travelled < step {
                continue;
            }
            travelled = 0.0;
            for side in [-1.0, 1.0] {
                let hash = hash2(self.seed ^ 0xb0, (ax * 3.0) as i64, (ay * 3.0) as i64 * 2 + side as i64);
                if unit(hash, 1) < 0.12 {
                    continue;
                }
                let depth = 15.0 + 4.0 * unit(hash, 2);
                let (e, n) = (ax - dy / l * side * depth, ay + dx / l * side * depth);
                if !self.free(e, n, 10.0) {
                    continue;
                }
                let along = unit(hash, 3) < 0.55;
                let turn = dy.atan2(dx) + if along { 0.0 } else { std::f64::consts::FRAC_PI_2 } + 0.06 * signed(hash, 4);
                let axis = (turn.cos(), turn.sin());
                let eaves = 3.2 + 2.6 * unit(hash, 5);
                let half_width = 3.8 + 1.5 * unit(hash, 6);
                // New houses are only in the flight, a few old ones only in the map.
                let fate = unit(hash, 7);
                self.objects.push(Object {
                    kind: ObjectKind::House,
                    e,
                    n,
                    axis,
                    half_length: 4.8 + 3.0 * unit(hash, 8),
                    half_width,
                    eaves,
                    top: eaves + half_width * (0.55 + 0.4 * unit(hash, 9)),
                    hash,
                    present: [fate > 0.07, fate < 0.96],
                });
                if unit(hash, 10) < 0.6 {
                    let (su, sv) = (7.5 * signed(hash, 11).signum(), 5.0 * signed(hash, 12));
                    self.objects.push(Object {
                        kind: ObjectKind::Hall,
                        e: e + su * dx / l + sv * -dy / l,
                        n: n + su * dy / l + sv * dx / l,
                        axis,
                        half_length: 2.8 + 1.4 * unit(hash, 13),
                        half_width: 1.9 + 0.8 * unit(hash, 14),
                        eaves: 2.4,
                        top: 2.8,
                        hash: mix(hash),
                        present: [fate > 0.07, true],
                    });
                }
                let road = (dx / l, dy / l);
                self.plots.push(Plot { e, n, axis: road, half_length: 10.8, half_width: 12.5, hash });
                for k in 0..5u64 {
                    let t = mix(hash ^ k);
                    let (u, v) = (9.5 * signed(t, 1), 11.0 * signed(t, 2));
                    let clear = u.abs() > 7.5 || v.abs() > 8.0;
                    if clear && unit(t, 3) < 0.75 {
                        let radius = 1.1 + 2.0 * unit(t, 4);
                        let (te, tn) = (e + u * road.0 - v * road.1, n + u * road.1 + v * road.0);
                        self.objects.push(tree(ObjectKind::Tree, te, tn, radius, 1.5 + 1.9 * radius, t));
                    }
                }
                if unit(hash, 20) < 0.7 {
                    for (epoch, lane) in [(0usize, 21u64), (1, 22)] {
                        let mut present = [false, false];
                        present[epoch] = true;
                        let v = -side * (7.5 + 2.0 * unit(hash, lane));
                        let u = 6.0 * signed(hash, lane + 5);
                        self.car(e + u * road.0 - v * road.1, n + u * road.1 + v * road.0, road, mix(hash ^ lane), present);
                    }
                }
            }
        }
    }

    fn car(&mut self, e: f64, n: f64, axis: (f64, f64), hash: u64, present: [bool; 2]) {
        self.objects.push(Object {
            kind: ObjectKind::Car,
            e,
            n,
            axis,
            half_length: 2.1 + 0.4 * unit(hash, 1),
            half_width: 0.9,
            eaves: 1.0,
            top: 1.6,
            hash,
            present,
        });
    }

    fn farms(&mut self, lines: &Lines) {
        for k in 0..16i64 {
            let hash = hash2(self.seed ^ 0xfa, k, 0);
            let (e, n) = (0.85 * self.half_extent * signed(hash, 1), 0.85 * self.half_extent * signed(hash, 2));
            if wood(self.seed, e, n) > 0.0 || !self.free(e, n, 45.0) {
                continue;
            }
            let turn = unit(hash, 3) * std::f64::consts::PI;
            let axis = (turn.cos(), turn.sin());
            for b in 0..4u64 {
                let t = mix(hash ^ (b + 9));
                let (u, v) = ([-24.0, 22.0, -16.0, 24.0][b as usize], [-16.0, -18.0, 20.0, 17.0][b as usize]);
                let (u, v) = (u + 4.0 * signed(t, 1), v + 3.0 * signed(t, 2));
                let (be, bn) = (e + u * axis.0 - v * axis.1, n + u * axis.1 + v * axis.0);
                let (road, river) = lines.at(be, bn);
                if road.is_some_and(|r| r.outside_m() < 10.0) || river.is_some_and(|r| r.outside_m() < 10.0) {
                    continue;
                }
                let half_width = 6.0 + 3.0 * unit(t, 3);
                let hall = unit(t, 4) < 0.6;
                let fate = unit(t, 8);
                self.objects.push(Object {
                    kind: if hall { ObjectKind::Hall } else { ObjectKind::House },
                    e: be,
                    n: bn,
                    axis: if b % 2 == 0 { axis } else { (-axis.1, axis.0) },
                    half_length: 9.0 + 8.0 * unit(t, 5),
                    half_width,
                    eaves: 4.5 + unit(t, 6),
                    top: if hall { 7.0 } else { 9.5 },
                    hash: t,
                    present: [fate > 0.1, fate < 0.97],
                });
            }
            self.plots.push(Plot { e, n, axis, half_length: 40.0, half_width: 34.0, hash: mix(hash ^ 0x1000) | 1 });
        }
    }

    fn cars(&mut self, lines: &Lines, lanes: &[Vec<(f64, f64)>]) {
        for (i, lane) in lanes.iter().enumerate() {
            for (k, pair) in lane.windows(2).enumerate() {
                for epoch in 0..2usize {
                    let hash = hash2(self.seed ^ 0xca ^ epoch as u64, i as i64, k as i64);
                    if unit(hash, 1) > 0.07 {
                        continue;
                    }
                    let [(ax, ay), (bx, by)] = [pair[0], pair[1]];
                    let l = (bx - ax).hypot(by - ay).max(1e-6);
                    let axis = ((bx - ax) / l, (by - ay) / l);
                    let aside = 1.5 * signed(hash, 2).signum();
                    let (e, n) = (ax - axis.1 * aside, ay + axis.0 * aside);
                    if lines.at(e, n).0.is_some() {
                        let mut present = [false, false];
                        present[epoch] = true;
                        self.car(e, n, axis, hash, present);
                    }
                }
            }
        }
    }

    /// Woods, hedges, trees along water, orchards and single trees.
    fn trees(&mut self, world: &World) {
        let spacing = 5.6;
        let side = (self.half_extent / spacing) as i64;
        for j in -side..side {
            for i in -side..side {
                let hash = hash2(self.seed ^ 0x7ee, i, j);
                let e = (i as f64 + 0.5 + 0.42 * signed(hash, 1)) * spacing;
                let n = (j as f64 + 0.5 + 0.42 * signed(hash, 2)) * spacing;
                let w = wood(self.seed, e, n);
                let (road, river) = world.lines.at(e, n);
                let to_road = road.map_or(99.0, |r| r.outside_m());
                let to_river = river.map_or(99.0, |r| r.outside_m());
                if to_road < 2.5 || to_river < 0.8 || world.plot(e, n).is_some() {
                    continue;
                }
                let chance = unit(hash, 3);
                let field = world.land.at(e, n, 0);
                // Kind of wood by stands, so that a wood has parts of different colour and height.
                let stand = fbm(self.seed ^ 0x57a, e / 90.0, n / 90.0, 2);
                let (likely, radius, top) = if w > 0.0 {
                    let young = fbm(self.seed ^ 0x59, e / 130.0, n / 130.0, 2) > 0.35;
                    if young { (0.6, 1.3, 4.0) } else { (0.93, 3.1, 15.0) }
                } else if to_river < 8.0 && fbm(self.seed ^ 0x5a, e / 60.0, n / 60.0, 2) > -0.2 {
                    (0.75, 2.9, 11.0)
                } else if field.to_block_m < 3.6 && unit(field.border, 4) < 0.45 {
                    (0.8, 1.9, 5.5)
                } else if to_road < 6.5 && fbm(self.seed ^ 0x5b, e / 150.0, n / 150.0, 2) > 0.15 {
                    (0.5, 2.6, 9.0)
                } else if world.land.crop(&field, 0) == Crop::Meadow {
                    (0.012, 3.0, 9.0)
                } else {
                    (0.0008, 3.5, 11.0)
                };
                if chance < likely {
                    let radius = radius * (0.72 + 0.5 * unit(hash, 4));
                    let conifer = w > 0.0 && stand > 0.1;
                    let kind = if conifer { ObjectKind::Conifer } else { ObjectKind::Tree };
                    let mut new = tree(kind, e, n, radius, top * (0.7 + 0.5 * unit(hash, 5)), hash);
                    // Clearings were felled after the map was made; single trees come and go.
                    let felled = w > 0.0 && fbm(self.seed ^ 0x5c, e / 70.0, n / 70.0, 2) > 0.42;
                    let fate = unit(hash, 6);
                    new.present = [fate > 0.04, !felled && fate < 0.96];
                    self.objects.push(new);
                }
            }
        }
        self.orchards(world);
    }

    fn orchards(&mut self, world: &World) {
        let spacing = 6.0;
        let side = (self.half_extent / 3.0) as i64;
        for j in -side..side {
            for i in -side..side {
                let (e, n) = (i as f64 * 3.0, j as f64 * 3.0);
                let field = world.land.at(e, n, 0);
                if world.land.crop(&field, 0) != Crop::Orchard || field.to_parcel_m < 4.0 || wood(self.seed, e, n) > -0.02 {
                    continue;
                }
                // The lattice of the rows passes within the search cell of exactly one place in four.
                let (u, v) = field.uv;
                let (du, dv) = (u - (u / spacing).round() * spacing, v - (v / spacing).round() * spacing);
                if du.abs() > 1.5 || dv.abs() > 1.5 || world.plot(e, n).is_some() {
                    continue;
                }
                let (road, river) = world.lines.at(e, n);
                if road.is_some_and(|r| r.outside_m() < 2.5) || river.is_some_and(|r| r.outside_m() < 2.5) {
                    continue;
                }
                let hash = hash2(
                    self.seed ^ 0x0c,
                    (u / spacing).round() as i64,
                    (v / spacing).round() as i64 ^ (field.parcel as i64 & 0xffff),
                );
                if unit(hash, 1) < 0.93 {
                    let turn = unit(field.block, 3) * std::f64::consts::PI;
                    let (s, c) = turn.sin_cos();
                    let (te, tn) = (e - du * c + dv * s, n - du * s - dv * c);
                    self.objects.push(tree(ObjectKind::Tree, te, tn, 1.5 + 0.8 * unit(hash, 2), 3.2 + unit(hash, 3), hash));
                }
            }
        }
    }
}
