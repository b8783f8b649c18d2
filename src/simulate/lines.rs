//! Roads, lanes, tracks and rivers: curves on the ground, found by a grid of their segments.

/// What a curve is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LineKind {
    /// Water; roads cross it on bridges.
    River,
    /// Two wheel tracks with grass between.
    Track,
    /// A narrow paved road.
    Lane,
    /// A road with markings.
    Road,
}

/// The nearest curve at a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineHit {
    /// What it is.
    pub kind: LineKind,
    /// Distance from its middle, metres, positive to its left.
    pub across_m: f64,
    /// Distance along it, metres.
    pub along_m: f64,
    /// Half of its width, metres.
    pub half_width_m: f64,
}

impl LineHit {
    /// Distance outside of its edge, metres; negative inside.
    pub fn outside_m(&self) -> f64 {
        self.across_m.abs() - self.half_width_m
    }
}

struct Segment {
    kind: LineKind,
    start: (f64, f64),
    direction: (f64, f64),
    length: f64,
    along: f64,
    half_width: (f64, f64),
}

/// All curves of a world.
pub(crate) struct Lines {
    segments: Vec<Segment>,
    cells: Vec<Vec<u32>>,
    half_extent: f64,
    side: usize,
}

const CELL_M: f64 = 32.0;
/// Curves are found from this far outside of their edge, metres.
pub(crate) const REACH_M: f64 = 14.0;

impl Lines {
    /// No curves yet, in a square of twice the half extent.
    pub fn new(half_extent: f64) -> Self {
        let side = (2.0 * half_extent / CELL_M).ceil() as usize + 1;
        Self { segments: Vec::new(), cells: vec![Vec::new(); side * side], half_extent, side }
    }

    fn cell(&self, v: f64) -> usize {
        (((v + self.half_extent) / CELL_M).max(0.0) as usize).min(self.side - 1)
    }

    /// Adds a curve through points, with the half width at each.
    pub fn add(&mut self, kind: LineKind, points: &[(f64, f64, f64)]) {
        let mut along = 0.0;
        for pair in points.windows(2) {
            let [(ax, ay, aw), (bx, by, bw)] = [pair[0], pair[1]];
            let length = (bx - ax).hypot(by - ay);
            if length < 1e-6 {
                continue;
            }
            let reach = aw.max(bw) + REACH_M;
            let id = self.segments.len() as u32;
            for row in self.cell(ay.min(by) - reach)..=self.cell(ay.max(by) + reach) {
                for column in self.cell(ax.min(bx) - reach)..=self.cell(ax.max(bx) + reach) {
                    self.cells[row * self.side + column].push(id);
                }
            }
            self.segments.push(Segment {
                kind,
                start: (ax, ay),
                direction: ((bx - ax) / length, (by - ay) / length),
                length,
                along,
                half_width: (aw, bw),
            });
            along += length;
        }
    }

    /// The nearest road, lane or track (the more important where several overlap), and the nearest river.
    pub fn at(&self, e: f64, n: f64) -> (Option<LineHit>, Option<LineHit>) {
        let (mut road, mut river): (Option<LineHit>, Option<LineHit>) = (None, None);
        for &id in &self.cells[self.cell(n) * self.side + self.cell(e)] {
            let s = &self.segments[id as usize];
            let (dx, dy) = (e - s.start.0, n - s.start.1);
            let t = (dx * s.direction.0 + dy * s.direction.1).clamp(0.0, s.length);
            let (px, py) = (dx - t * s.direction.0, dy - t * s.direction.1);
            let half_width_m = s.half_width.0 + (s.half_width.1 - s.half_width.0) * t / s.length;
            let distance2 = px * px + py * py;
            if distance2 > (half_width_m + REACH_M).powi(2) {
                continue;
            }
            let distance = distance2.sqrt();
            let side = if s.direction.0 * dy - s.direction.1 * dx < 0.0 { -1.0 } else { 1.0 };
            let hit = LineHit { kind: s.kind, across_m: side * distance, along_m: s.along + t, half_width_m };
            let best = if s.kind == LineKind::River { &mut river } else { &mut road };
            let better = best.is_none_or(|b| {
                let (inside, best_inside) = (hit.outside_m() < 0.0, b.outside_m() < 0.0);
                match (inside, best_inside) {
                    (true, true) => (hit.kind, -hit.across_m.abs()) > (b.kind, -b.across_m.abs()),
                    (false, false) => hit.outside_m() < b.outside_m(),
                    (inside, _) => inside,
                }
            });
            if better {
                *best = Some(hit);
            }
        }
        (road, river)
    }
}

/// A Catmull-Rom curve through points, sampled about every `step` metres.
pub(crate) fn curve(points: &[(f64, f64)], step: f64) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
    for i in 0..points.len().saturating_sub(1) as isize {
        let (p0, p1, p2, p3) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        let pieces = ((p2.0 - p1.0).hypot(p2.1 - p1.1) / step).ceil().max(1.0) as usize;
        for k in 0..pieces {
            let t = k as f64 / pieces as f64;
            let f = |a: f64, b: f64, c: f64, d: f64| {
                0.5 * (2.0 * b
                    + (c - a) * t
                    + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                    + (3.0 * b - a - 3.0 * c + d) * t * t * t)
            };
            out.push((f(p0.0, p1.0, p2.0, p3.0), f(p0.1, p1.1, p2.1, p3.1)));
        }
    }
    out.extend(points.last());
    out
}
