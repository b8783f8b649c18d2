//! Light from a scene along a ray: the procedural world, or a raster.

use super::look::{Colour, Look, ground, top, wall};
use super::noise::{hash2, signed, unit, value};
use super::world::World;
use crate::map::{MapView, MetricView};
use std::sync::Arc;

/// Something that can be looked at from above.
pub(crate) trait Scene: Send + Sync {
    /// The picture's values, 0..=255, where a ray meets the scene. The ray passes the ground at `(e, n)` and goes up by `lean` (east
    /// and north metres per metre of height); `footprint` is the size of a pixel on the ground, metres.
    fn seen(&self, e: f64, n: f64, lean: (f64, f64), footprint: f64) -> Colour;

    /// Whether the scene is known at a place.
    fn covers(&self, _e: f64, _n: f64) -> bool {
        true
    }
}

/// The procedural world in a light.
pub(crate) struct WorldScene {
    /// The world.
    pub world: Arc<World>,
    /// The light and season.
    pub look: Look,
}

/// Height steps along rays, metres: below the height of a car.
const VIEW_STEP_M: f64 = 0.7;
const SUN_STEP_M: f64 = 0.9;

impl WorldScene {
    /// Where the ray meets something: place, height, and the thing; the ground otherwise.
    pub fn hit(&self, e: f64, n: f64, lean: (f64, f64)) -> (f64, f64, f64, Option<u32>) {
        let objects = &self.world.objects;
        let mut z = objects.tallest_near(e, n);
        if z <= 0.0 {
            return (e, n, 0.0, None);
        }
        let place = |z: f64| (e + lean.0 * z, n + lean.1 * z);
        while z > 0.0 {
            let (pe, pn) = place(z);
            if let Some((h, id)) = objects.at(pe, pn, self.look.epoch, z) {
                // The surface lies between here and the step above.
                let (mut low, mut high, mut found) = (z, z + VIEW_STEP_M, (h, id));
                for _ in 0..5 {
                    let middle = 0.5 * (low + high);
                    let (pe, pn) = place(middle);
                    match objects.at(pe, pn, self.look.epoch, middle) {
                        Some(f) => {
                            low = middle;
                            found = f;
                        }
                        None => high = middle,
                    }
                }
                let (pe, pn) = place(low);
                return (pe, pn, low, Some(found.1));
            }
            z -= VIEW_STEP_M;
        }
        (e, n, 0.0, None)
    }

    /// 1 in the sun, 0 in shadow.
    fn lit(&self, e: f64, n: f64, z: f64) -> f32 {
        let objects = &self.world.objects;
        let tallest = objects.tallest_near(e, n);
        let (se, sn) = (self.look.sun[0] / self.look.sun[2], self.look.sun[1] / self.look.sun[2]);
        let mut h = z + 0.45;
        while h < tallest {
            let rise = h - z;
            if objects.at(e + se * rise, n + sn * rise, self.look.epoch, h).is_some() {
                return 0.0;
            }
            h += SUN_STEP_M;
        }
        1.0
    }
}

impl Scene for WorldScene {
    fn seen(&self, e: f64, n: f64, lean: (f64, f64), footprint: f64) -> Colour {
        let look = &self.look;
        let (pe, pn, z, id) = self.hit(e, n, lean);
        let lit = self.lit(pe, pn, z);
        let light = match id.map(|id| &self.world.objects.all[id as usize]) {
            None => look.illuminate(ground(&self.world, look, pe, pn, footprint), look.sun[2] as f32, lit),
            // Well below the top: the ray met a side.
            Some(o) if z < o.height(pe, pn) - 0.8 => {
                let (colour, lambert) = wall(look, o);
                look.illuminate(colour, lambert, lit)
            }
            Some(o) => {
                let (colour, normal) = top(look, o, pe, pn);
                let lambert = normal[0] * look.sun[0] as f32 + normal[1] * look.sun[1] as f32 + normal[2] * look.sun[2] as f32;
                look.illuminate(colour, lambert, lit)
            }
        };
        look.develop(light)
    }
}

/// A flat raster, seen with other colours than its own.
pub(crate) struct RasterScene {
    /// The imagery.
    pub view: Arc<MapView>,
    /// Where it lies.
    pub place: MetricView,
    /// Matrix from the raster's colours to those seen, rows red, green, blue.
    pub colours: [[f32; 3]; 3],
    /// Exponent applied to the values.
    pub gamma: f32,
    /// Strength of slow changes of brightness over the ground.
    pub uneven: f32,
    /// How much brighter plants are, per unit of greenness (logarithmic).
    pub plants: f32,
    /// Share of the ground that was built anew: patches of some 18 m that show another place of the raster.
    pub renewed: f64,
    /// Seed of these.
    pub seed: u64,
}

/// Size of the patches that change, metres.
const PATCH_M: f64 = 18.0;

impl RasterScene {
    /// The place of the raster that is shown at a place.
    fn source_of(&self, e: f64, n: f64) -> (f64, f64) {
        // Borders that are not straight.
        let (de, dn) = (value(self.seed ^ 5, e / 9.0, n / 9.0), value(self.seed ^ 6, e / 9.0, n / 9.0));
        let cell = |v: f64, d: f32| ((v + 4.0 * f64::from(d)) / PATCH_M).floor() as i64;
        let hash = hash2(self.seed, cell(e, de), cell(n, dn));
        if unit(hash, 1) >= self.renewed {
            return (e, n);
        }
        let moved = (e + 90.0 * signed(hash, 2), n + 90.0 * signed(hash, 3));
        if self.covers(moved.0, moved.1) { moved } else { (e, n) }
    }
}

impl Scene for RasterScene {
    fn seen(&self, e: f64, n: f64, _lean: (f64, f64), _footprint: f64) -> Colour {
        let (e0, n0) = (e, n);
        let (e, n) = self.source_of(e, n);
        let (x, y) = self.place.pixel_from_ground(e, n);
        let (w, h) = self.view.image.dimensions();
        let (fx, fy) = ((x - 0.5).clamp(0.0, f64::from(w - 1)), (y - 0.5).clamp(0.0, f64::from(h - 1)));
        let (ix, iy) = (fx as u32, fy as u32);
        let (tx, ty) = ((fx - f64::from(ix)) as f32, (fy - f64::from(iy)) as f32);
        let at = |dx: u32, dy: u32| self.view.image.get_pixel((ix + dx).min(w - 1), (iy + dy).min(h - 1)).0.map(f32::from);
        let (a, b, c, d) = (at(0, 0), at(1, 0), at(0, 1), at(1, 1));
        let mixed = [0, 1, 2].map(|k| {
            let (upper, lower) = (a[k] + (b[k] - a[k]) * tx, c[k] + (d[k] - c[k]) * tx);
            ((upper + (lower - upper) * ty) / 255.0).powf(self.gamma)
        });
        let uneven = self.uneven * super::noise::fbm(self.seed, e0 / 16.0, n0 / 16.0, 4);
        // Plants change more than anything else.
        let sum = mixed[0] + mixed[1] + mixed[2] + 0.05;
        let green = ((2.0 * mixed[1] - mixed[0] - mixed[2]) / sum).clamp(-0.3, 0.3);
        let tone = (uneven + self.plants * green).clamp(-1.6, 1.2).exp();
        self.colours.map(|row| 255.0 * tone * (row[0] * mixed[0] + row[1] * mixed[1] + row[2] * mixed[2]))
    }
    fn covers(&self, e: f64, n: f64) -> bool {
        let (x, y) = self.place.pixel_from_ground(e, n);
        let (w, h) = self.view.image.dimensions();
        x >= 0.0
            && y >= 0.0
            && x < f64::from(w)
            && y < f64::from(h)
            && self.view.coverage.get(y as usize * w as usize + x as usize).is_some_and(|&c| c > 0)
    }
}
