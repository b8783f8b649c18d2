//! What the world looks like at an epoch: colours of the season, sun, sky and haze.
//!
//! Colours are linear reflectances; [`Look::develop`] makes the picture's values of them.

use super::land::{Crop, Field};
use super::lines::LineKind;
use super::noise::{fbm, mix, smooth, unit, value};
use super::objects::{Object, ObjectKind};
use super::world::{World, wood};

/// Linear red, green and blue.
pub(crate) type Colour = [f32; 3];

/// Light and season of a rendering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// 0 as mapped, 1 as flown.
    pub epoch: usize,
    /// Unit vector to the sun: east, north, up.
    pub sun: [f64; 3],
    /// Colour of direct light.
    pub sunlight: Colour,
    /// Colour of the light of the sky.
    pub sky: Colour,
    /// Haze that is added.
    pub haze: Colour,
    /// Share of the scene's own light that passes the haze.
    pub clear: f32,
    /// Gains of the white balance and exposure.
    pub gain: Colour,
    /// Exponent of the picture's values.
    pub gamma: f32,
}

fn sun(azimuth_deg: f64, elevation_deg: f64) -> [f64; 3] {
    let (a, e) = (azimuth_deg.to_radians(), elevation_deg.to_radians());
    [e.cos() * a.sin(), e.cos() * a.cos(), e.sin()]
}

impl Look {
    /// The satellite's: a hazy late morning in June.
    pub fn mapped() -> Self {
        Self {
            epoch: 0,
            sun: sun(148.0, 55.0),
            sunlight: [1.02, 0.98, 0.92],
            sky: [0.20, 0.23, 0.28],
            haze: [0.018, 0.024, 0.032],
            clear: 0.88,
            gain: [1.25, 1.25, 1.2],
            gamma: 1.0 / 2.1,
        }
    }

    /// The camera's: a clear afternoon in October.
    pub fn flown() -> Self {
        Self {
            epoch: 1,
            sun: sun(228.0, 34.0),
            sunlight: [1.25, 1.08, 0.85],
            sky: [0.22, 0.27, 0.36],
            haze: [0.003, 0.004, 0.005],
            clear: 0.98,
            gain: [1.5, 1.5, 1.42],
            gamma: 1.0 / 2.2,
        }
    }

    /// Light on a surface of this reflectance: `lambert` is the cosine between its normal and the sun, `lit` 0 in shadow.
    pub fn illuminate(&self, reflectance: Colour, lambert: f32, lit: f32) -> Colour {
        [0, 1, 2].map(|c| reflectance[c] * (self.sunlight[c] * lambert.max(0.0) * lit + self.sky[c]))
    }

    /// The picture's values, 0..=255, of light.
    pub fn develop(&self, light: Colour) -> Colour {
        [0, 1, 2].map(|c| {
            let v = (light[c] * self.clear + self.haze[c]) * self.gain[c];
            // A soft shoulder instead of clipped roofs.
            let v = v / (1.0 + 0.18 * v);
            255.0 * v.max(0.0).powf(self.gamma)
        })
    }
}

fn scale(c: Colour, f: f32) -> Colour {
    c.map(|v| v * f)
}

fn blend(a: Colour, b: Colour, t: f32) -> Colour {
    [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * t)
}

/// How much of a texture of a period survives a footprint of a pixel.
fn visible(period: f64, footprint: f64) -> f32 {
    1.0 - smooth(0.35, 0.9, footprint / period)
}

/// A stripe pattern: 1 in the middle of each stripe of `width` every `period`, softened by the footprint.
fn stripes(x: f64, period: f64, width: f64, footprint: f64) -> f32 {
    let d = (x - (x / period).round() * period).abs();
    let soft = 0.5 * footprint.max(0.05);
    (1.0 - smooth(width / 2.0 - soft, width / 2.0 + soft, d)) * (width / footprint).min(1.0) as f32
}

/// Reflectance of the bare ground at a place.
pub(crate) fn ground(world: &World, look: &Look, e: f64, n: f64, footprint: f64) -> Colour {
    let seed = world.seed;
    let grain = value(seed ^ 0x91, e / 1.7, n / 1.7) * visible(3.4, footprint);
    let mottle = fbm(seed ^ 0x92, e / 13.0, n / 13.0, 3);
    let (road, river) = world.lines.at(e, n);
    if let Some(r) = road.filter(|r| r.outside_m() < 0.0) {
        let lasting = 1.0 + 0.08 * mottle + 0.05 * grain;
        return match r.kind {
            LineKind::Road => {
                let edge = stripes(r.across_m.abs() - (r.half_width_m - 0.35), 50.0, 0.22, footprint);
                let dash = if (r.along_m / 9.0).fract() < 0.5 { stripes(r.across_m, 50.0, 0.22, footprint) } else { 0.0 };
                blend(scale([0.125, 0.125, 0.13], lasting), [0.6, 0.6, 0.58], 0.8 * edge.max(dash))
            }
            LineKind::Lane => scale([0.17, 0.165, 0.16], lasting),
            _ => {
                let wheel = stripes(r.across_m.abs() - 0.85, 50.0, 0.7, footprint);
                blend(season_grass(look, mottle), scale([0.34, 0.29, 0.22], 1.0 + 0.15 * grain), 0.35 + 0.6 * wheel)
            }
        };
    }
    if let Some(r) = river.filter(|r| r.outside_m() < 0.6) {
        if r.outside_m() < 0.0 {
            let depth = smooth(0.0, 5.0, -r.outside_m());
            let water = if look.epoch == 0 { [0.035, 0.055, 0.045] } else { [0.03, 0.045, 0.05] };
            return blend([0.14, 0.13, 0.09], scale(water, 1.0 + 0.15 * mottle), depth);
        }
        return [0.2, 0.18, 0.13];
    }
    if let Some((plot, u, v)) = world.plot(e, n) {
        let yard = plot.half_length > 30.0;
        let drive =
            if yard { u.abs() < 20.0 && v.abs() < 16.0 } else { (u - 6.0 * (unit(plot.hash, 31) - 0.5)).abs() < 2.2 && v < 6.0 };
        let terrace = !yard && u.abs() < 6.5 && v.abs() < 6.5 && unit(plot.hash, 32) < 0.6;
        if drive || terrace {
            let tone = 0.16 + 0.2 * unit(plot.hash, 33) as f32;
            return scale([tone * 1.03, tone, tone * 0.94], 1.0 + 0.1 * mottle + 0.1 * grain);
        }
        let hedge = !yard && unit(plot.hash, 35) < 0.5 && (plot.half_length - u.abs()).min(plot.half_width - v.abs()) < 0.6;
        let grass = scale(season_grass(look, mottle), 0.8 + 0.5 * unit(plot.hash, 34) as f32);
        return if hedge { scale([0.05, 0.08, 0.035], 1.0 + 0.3 * grain) } else { scale(grass, 1.0 + 0.12 * grain) };
    }
    let w = wood(seed, e, n);
    if w > -0.01 {
        let clearing = look.epoch == 1 && fbm(seed ^ 0x5c, e / 70.0, n / 70.0, 2) > 0.42;
        let floor = if clearing { [0.20, 0.17, 0.11] } else { [0.06, 0.065, 0.035] };
        return scale(floor, 1.0 + 0.3 * mottle + 0.3 * grain);
    }
    let verge = road.map_or(9.0, |r| r.outside_m());
    let bank = river.map_or(9.0, |r| r.outside_m());
    let field = world.land.at(e, n, look.epoch);
    let margin = if unit(field.border, 4) < 0.7 { 2.6 } else { 1.2 };
    if verge < 1.6 || bank < 4.0 || field.to_block_m < margin {
        let track = unit(field.border, 4) > 0.6 && field.to_block_m < 1.5;
        let base = season_grass(look, mottle);
        return if track { scale([0.3, 0.26, 0.19], 1.0 + 0.12 * grain) } else { scale(base, 0.85 + 0.15 * grain) };
    }
    if field.to_parcel_m < 0.5 {
        return scale(season_grass(look, mottle), 0.8 + 0.2 * grain);
    }
    crop(world, look, &field, e, n, footprint, mottle, grain)
}

fn season_grass(look: &Look, mottle: f32) -> Colour {
    let base = if look.epoch == 0 { [0.125, 0.185, 0.06] } else { [0.15, 0.175, 0.065] };
    scale(base, 1.0 + 0.22 * mottle)
}

/// The eight things a crop's look depends on are all known at the one place it is called from.
#[allow(clippy::too_many_arguments, reason = "one caller, and a struct of them would be made for each pixel")]
fn crop(world: &World, look: &Look, field: &Field, e: f64, n: f64, footprint: f64, mottle: f32, grain: f32) -> Colour {
    let seed = world.seed;
    let kind = world.land.crop(field, look.epoch);
    let own = mix(field.parcel ^ (look.epoch as u64 + 1).wrapping_mul(0x9e37));
    let chance = unit(own, 1);
    let summer = look.epoch == 0;
    let base: Colour = match (kind, summer) {
        (Crop::Cereal, true) => {
            if chance < 0.5 {
                [0.30, 0.27, 0.11]
            } else {
                [0.15, 0.21, 0.07]
            }
        }
        (Crop::Cereal, false) => match chance {
            c if c < 0.5 => [0.33, 0.27, 0.16],
            c if c < 0.75 => [0.17, 0.125, 0.085],
            _ => [0.17, 0.21, 0.08],
        },
        (Crop::Maize, true) => [0.17, 0.19, 0.085],
        (Crop::Maize, false) => {
            if chance < 0.5 {
                [0.25, 0.22, 0.11]
            } else {
                [0.22, 0.175, 0.12]
            }
        }
        (Crop::Meadow | Crop::Orchard, true) => [0.11, 0.185, 0.055],
        (Crop::Meadow | Crop::Orchard, false) => [0.14, 0.185, 0.065],
        (Crop::Rape, true) => [0.21, 0.24, 0.06],
        (Crop::Rape, false) => [0.09, 0.165, 0.06],
        (Crop::Roots, true) => [0.10, 0.18, 0.06],
        (Crop::Roots, false) => [0.20, 0.15, 0.105],
        (Crop::Bare, true) => [0.24, 0.185, 0.125],
        (Crop::Bare, false) => [0.15, 0.11, 0.078],
    };
    let bare = base[0] > base[1];
    // Soil differs for good; how much of it shows depends on what grows. Dry patches ripen early and stand pale.
    let soil = fbm(seed ^ 0x93, e / 38.0, n / 38.0, 4);
    let lush = fbm(seed ^ 0x94 ^ ((look.epoch as u64) << 9), e / 24.0, n / 24.0, 3);
    let mut tone = 1.0 + 0.26 * (unit(own, 2) as f32 - 0.5);
    tone += soil * if bare { 0.32 } else { 0.2 } + 0.14 * lush + 0.06 * mottle + 0.07 * grain;
    let (u, v) = field.uv;
    // Wheel tracks of the sprayer every 18 or 24 m, for as long as the parcel is worked the same way.
    let spacing = if unit(field.parcel, 14) < 0.5 { 18.0 } else { 24.0 };
    let phase = 18.0 * unit(field.parcel, 15);
    if matches!(kind, Crop::Cereal | Crop::Rape | Crop::Maize | Crop::Roots) {
        let wheels = stripes(v + phase, spacing, 0.55, footprint).max(stripes(v + phase + 1.9, spacing, 0.55, footprint));
        tone *= 1.0 - if bare { 0.22 } else { 0.34 } * wheels;
    }
    // Headlands are worked across.
    let headland = 1.0 - smooth(7.0, 9.0, field.to_parcel_m);
    tone *= 1.0 + 0.09 * headland * if unit(own, 3) < 0.5 { 1.0 } else { -1.0 };
    let across = if headland > 0.5 { u } else { v };
    let (period, depth) = match kind {
        Crop::Meadow => (6.5, if unit(own, 4) < 0.5 { 0.10 } else { 0.02 }),
        Crop::Maize => (1.5, 0.16),
        Crop::Roots => (2.2, 0.2),
        Crop::Bare => (2.8, 0.14),
        _ => (3.0, 0.07),
    };
    let row = (across * std::f64::consts::TAU / period + 0.6 * f64::from(lush)).sin() as f32;
    tone *= 1.0 + depth * row * visible(period, footprint);
    // Passes of the machine differ a little.
    let pass = unit(mix(own ^ (((v + phase) / (spacing / 3.0)).floor() as i64 as u64)), 5) as f32 - 0.5;
    tone *= 1.0 + 0.07 * pass;
    scale(base, tone.max(0.3))
}

/// Reflectance of a thing's upper side and its normal (east, north, up) at a place.
pub(crate) fn top(look: &Look, o: &Object, e: f64, n: f64) -> (Colour, [f32; 3]) {
    let (u, v) = o.local(e, n);
    let side = if v < 0.0 { -1.0 } else { 1.0 };
    match o.kind {
        ObjectKind::House | ObjectKind::Hall => {
            let slope = (o.top - o.eaves) / o.half_width;
            let length = (1.0 + slope * slope).sqrt();
            let (nx, ny) = (-o.axis.1 * side * slope / length, o.axis.0 * side * slope / length);
            let p = unit(o.hash, 40);
            let colour = if o.kind == ObjectKind::Hall {
                if p < 0.5 {
                    [0.30, 0.30, 0.31]
                } else if p < 0.75 {
                    [0.22, 0.13, 0.10]
                } else {
                    [0.42, 0.41, 0.40]
                }
            } else if p < 0.55 {
                [0.28, 0.125, 0.075]
            } else if p < 0.8 {
                [0.19, 0.105, 0.08]
            } else {
                [0.105, 0.105, 0.115]
            };
            // Solar panels on one side of some roofs, newer than the map.
            let panels = look.epoch == 1 && unit(o.hash, 41) < 0.25 && side > 0.0;
            let inside = u.abs() < o.half_length * 0.8 && v.abs() > o.half_width * 0.15 && v.abs() < o.half_width * 0.85;
            let colour = if panels && inside { [0.03, 0.035, 0.06] } else { colour };
            let tiles = 1.0 + 0.07 * value(o.hash, u / 0.9, v / 0.9) + 0.1 * (unit(o.hash, 42) as f32 - 0.5);
            let chimney = o.kind == ObjectKind::House && (u - 0.4 * o.half_length).abs() < 0.45 && (v - 0.6).abs() < 0.45;
            (if chimney { [0.4, 0.36, 0.33] } else { scale(colour, tiles) }, [nx as f32, ny as f32, (1.0 / length) as f32])
        }
        ObjectKind::Car => {
            let paint = match (unit(o.hash, 40) * 6.0) as u32 {
                0 => [0.55, 0.55, 0.56],
                1 => [0.03, 0.03, 0.035],
                2 => [0.3, 0.04, 0.035],
                3 => [0.06, 0.1, 0.25],
                4 => [0.2, 0.2, 0.21],
                _ => [0.7, 0.7, 0.7],
            };
            let glass = (u - 0.3).abs() > 0.75 && (u - 0.3).abs() < 1.25;
            (if glass { [0.03, 0.035, 0.04] } else { paint }, [0.0, 0.0, 1.0])
        }
        ObjectKind::Tree | ObjectKind::Conifer => {
            let r = o.half_length;
            let (x, y) = ((e - o.e) / r, (n - o.n) / r);
            let steep = if o.kind == ObjectKind::Tree { 0.95 } else { 0.75 };
            let leaf = value(o.hash ^ 3, u * 1.3, v * 1.3);
            let (bx, by) = (0.45 * f64::from(leaf), 0.45 * f64::from(value(o.hash ^ 4, u * 1.3, v * 1.3)));
            let (nx, ny) = (steep * x + bx, steep * y + by);
            let length = (nx * nx + ny * ny + 0.55).sqrt();
            let p = unit(o.hash, 40) as f32;
            let base = match (o.kind, look.epoch) {
                (ObjectKind::Conifer, 0) => [0.04, 0.07, 0.035],
                (ObjectKind::Conifer, _) => [0.045, 0.065, 0.035],
                (_, 0) => [0.075 + 0.03 * p, 0.12 + 0.03 * p, 0.045],
                // Each broad-leaved tree turns at its own time.
                _ => blend([0.11, 0.13, 0.05], [0.24, 0.155, 0.055], p * p),
            };
            (scale(base, 1.0 + 0.3 * leaf), [(nx / length) as f32, (ny / length) as f32, (0.74 / length) as f32])
        }
    }
}

/// Reflectance of a thing's side, and the cosine to the sun that stands for all of its sides.
pub(crate) fn wall(look: &Look, o: &Object) -> (Colour, f32) {
    match o.kind {
        ObjectKind::House => {
            let p = unit(o.hash, 43) as f32;
            ([0.45 + 0.2 * p, 0.43 + 0.18 * p, 0.38 + 0.15 * p], 0.35)
        }
        ObjectKind::Hall => ([0.32, 0.32, 0.31], 0.35),
        ObjectKind::Car => ([0.1, 0.1, 0.1], 0.3),
        ObjectKind::Tree | ObjectKind::Conifer => {
            let (c, _) = top(look, o, o.e, o.n);
            (scale(c, 0.75), 0.3)
        }
    }
}
