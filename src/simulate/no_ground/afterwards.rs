//! Kinds of pictures without ground that were drawn up afterwards: what else a camera or a cable may give.

use super::canvas::{BLACK, Canvas, Dice, WHITE, blend, grey, text_width};
use crate::simulate::noise::{fbm, hash2, unit};

/// Sky with clouds, brighter towards one edge.
pub(super) fn sky(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let (seed, scale) = (dice.hash(), dice.between(70.0, 320.0));
    let (x0, y0) = (dice.between(0.0, 1e4), dice.between(0.0, 1e4));
    let (deep, pale) = ([40.0, 90.0, dice.between(150.0, 220.0) as f32], [170.0, 200.0, 235.0]);
    let clouded = dice.between(-0.25, 0.35) as f32;
    let stretch = dice.between(1.0, 2.5);
    canvas.shade(|x, y| {
        let blue = blend(deep, pale, (y / height) as f32);
        let (u, v) = ((x + x0) / scale, (y + y0) / scale * stretch);
        let thickness = ((fbm(seed, u, v, 6) + clouded) * 2.6).clamp(0.0, 1.0);
        let shade = 0.5 + 0.5 * fbm(seed ^ 5, u + 0.15, v - 0.2, 4);
        blend(blue, [205.0 + 45.0 * shade, 208.0 + 42.0 * shade, 214.0 + 38.0 * shade], thickness)
    });
    if dice.chance(0.25) {
        canvas.disc((dice.between(0.0, width), dice.between(0.0, height / 2.0)), dice.between(12.0, 40.0), WHITE);
    }
}

/// Siemens stars, one large or several.
pub(super) fn siemens_star(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let stars: Vec<(f64, f64, f64, f64, f64)> = (0..dice.pick(&[1u32, 1, 4, 9], 1))
        .map(|i| {
            let (column, row) = (f64::from(i % 3) - 0.5, f64::from(i / 3) - 0.5);
            let centre = (width / 2.0 + column * 190.0, height / 2.0 + row * 160.0);
            (
                centre.0 + dice.between(-60.0, 60.0),
                centre.1 + dice.between(-40.0, 40.0),
                f64::from(dice.whole(8, 48)),
                dice.between(0.0, 6.3),
                dice.between(90.0, 420.0),
            )
        })
        .collect();
    let (dark, bright) = (grey(dice.between(0.0, 60.0)), grey(dice.between(180.0, 255.0)));
    canvas.shade(|x, y| {
        let near = stars.iter().min_by(|a, b| (x - a.0).hypot(y - a.1).total_cmp(&(x - b.0).hypot(y - b.1)));
        let Some(&(cx, cy, spokes, phase, radius)) = near else { return bright };
        let r = (x - cx).hypot(y - cy);
        if r > radius {
            return bright;
        }
        // Edges as soft as a pixel at this distance from the middle.
        let wave = ((y - cy).atan2(x - cx) * spokes + phase).sin() * (r / spokes).max(0.2);
        blend(dark, bright, (0.5 + wave).clamp(0.0, 1.0) as f32)
    });
}

/// A code of black and white squares with three finders.
pub(super) fn matrix_code(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    canvas.fill(if dice.chance(0.5) { WHITE } else { dice.colour(180.0, 255.0) });
    let modules = i64::from(dice.whole(5, 14) * 4 + 1);
    let side = (dice.between(0.6, 1.6) * height / modules as f64).max(2.0);
    let size = side * modules as f64;
    let (left, top) = (dice.between(-0.2, 0.6) * width * 0.5, dice.between(-0.3, 0.3) * height * 0.5 + (height - size) / 2.0);
    let turn = if dice.chance(0.6) { 0.0 } else { dice.between(-0.4, 0.4) };
    let (s, c) = turn.sin_cos();
    let (seed, ink) = (dice.hash(), grey(dice.between(0.0, 50.0)));
    let finder = |u: i64, v: i64| {
        [(0, 0), (modules - 7, 0), (0, modules - 7)].iter().find_map(|(fu, fv)| {
            let (du, dv) = (u - fu, v - fv);
            let inside = (-1..8).contains(&du) && (-1..8).contains(&dv);
            let ring = (du - 3).abs().max((dv - 3).abs());
            inside.then_some(ring == 3 || ring <= 1)
        })
    };
    canvas.cover([0.0, 0.0, width, height], ink, |x, y| {
        let (dx, dy) = (x - left - size / 2.0, y - top - size / 2.0);
        let (u, v) = ((c * dx + s * dy + size / 2.0) / side, (c * dy - s * dx + size / 2.0) / side);
        let (u, v) = (u.floor() as i64, v.floor() as i64);
        if !(0..modules).contains(&u) || !(0..modules).contains(&v) {
            return 0.0;
        }
        f64::from(u8::from(finder(u, v).unwrap_or_else(|| unit(hash2(seed, u, v), 3) < 0.5)))
    });
}

/// Snow of an analogue receiver: streaks, a bar that rolls, lines that tear.
pub(super) fn analogue_snow(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let (seed, length) = (dice.hash(), dice.between(1.0, 5.0));
    let (bar, thickness) = (dice.between(0.0, height), dice.between(10.0, 60.0));
    let (level, contrast) = (dice.between(60.0, 130.0), dice.between(60.0, 160.0));
    let (ghost, tear) = (dice.between(0.0, 60.0), dice.between(0.0, 40.0));
    let hum = dice.between(1.0, 3.0) * std::f64::consts::TAU / height;
    canvas.shade(|x, y| {
        let row = y as i64;
        let shift = tear * unit(hash2(seed ^ 1, 0, row / 3), 2).powi(4);
        let into = (y - bar).rem_euclid(height);
        if into < thickness {
            return grey(if (x + shift + 0.3 * into).rem_euclid(width) < width * 0.08 { 30.0 } else { 6.0 });
        }
        let noise = unit(hash2(seed, ((x + shift) / length) as i64, row), 0) - 0.5;
        let echo = ghost * ((x + 3.0 * shift) * 0.02 + (y * hum).sin()).sin();
        grey(level + contrast * noise * 1.6 + echo + 20.0 * (y * hum).sin())
    });
}

/// Plasma of sines in colours, with a ramp that moves and a number.
pub(super) fn plasma(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let waves: Vec<[f64; 4]> = (0..dice.whole(3, 5))
        .map(|_| [dice.between(-0.05, 0.05), dice.between(-0.05, 0.05), dice.between(0.0, 6.3), dice.between(0.004, 0.03)])
        .collect();
    let phases = [0; 3].map(|_| dice.between(0.0, 6.3));
    let (cx, cy) = (dice.between(0.0, width), dice.between(0.0, height));
    canvas.shade(|x, y| {
        let sum: f64 = waves.iter().map(|w| (x * w[0] + y * w[1] + w[2]).sin() + ((x - cx).hypot(y - cy) * w[3]).sin()).sum();
        [0, 1, 2].map(|k| (127.0 + 127.0 * (sum * 1.3 + phases[k]).sin()) as f32)
    });
    let at = dice.between(0.0, width);
    canvas.cover([0.0, height * 0.82, width, height * 0.18], WHITE, |x, _| ((x - at).rem_euclid(width)) / width);
    let number = dice.whole(0, 9999).to_string();
    let dot = dice.between(4.0, 9.0);
    let corner = (dice.between(0.0, width - text_width(&number, dot)), dice.between(0.0, height * 0.7));
    canvas.rectangle([corner.0 - dot, corner.1 - dot, text_width(&number, dot) + 2.0 * dot, 9.0 * dot], BLACK);
    canvas.text(corner, dot, &number, WHITE);
}

/// A room: walls, floor, a window, a table, a lamp.
pub(super) fn room(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let (wall, floor, ceiling) = (dice.colour(120.0, 230.0), dice.colour(60.0, 150.0), grey(dice.between(190.0, 245.0)));
    let vanishing = (dice.between(0.35, 0.65) * width, dice.between(0.35, 0.55) * height);
    let back = dice.between(0.3, 0.5);
    let boards = f64::from(dice.whole(6, 18));
    let seed = dice.hash();
    canvas.shade(|x, y| {
        let (u, v) = ((x - vanishing.0) / (width / 2.0), (y - vanishing.1) / (height / 2.0));
        let depth = back / u.abs().max(v.abs()).max(back);
        let light = (0.55 + 0.45 * (1.0 - depth)) as f32 * (1.0 - 0.25 * fbm(seed, x / 180.0, y / 180.0, 2).abs());
        let base = if u.abs().max(v.abs()) <= back {
            wall
        } else if v.abs() >= u.abs() {
            if v > 0.0 {
                let board = (u / v * boards).floor() as i64;
                blend(floor, BLACK, (0.25 * unit(hash2(seed, board, 0), 1)) as f32)
            } else {
                ceiling
            }
        } else {
            blend(wall, BLACK, 0.2)
        };
        base.map(|c| c * light)
    });
    let window = [
        vanishing.0 + dice.between(-80.0, 20.0),
        vanishing.1 - dice.between(50.0, 90.0),
        dice.between(50.0, 100.0),
        dice.between(50.0, 90.0),
    ];
    canvas.rectangle(window, [225.0, 238.0, 255.0]);
    canvas.frame(window, 5.0, dice.colour(40.0, 120.0));
    canvas.rectangle([window[0] + window[2] / 2.0 - 2.0, window[1], 4.0, window[3]], grey(70.0));
    let (table, wood) = (dice.between(0.62, 0.75) * height, dice.colour(50.0, 140.0));
    let (left, right) = (dice.between(0.1, 0.3) * width, dice.between(0.6, 0.9) * width);
    for leg in [left + 8.0, right - 18.0] {
        canvas.rectangle([leg, table, 10.0, height - table], blend(wood, BLACK, 0.4));
    }
    canvas.rectangle([left, table, right - left, 16.0], wood);
    let lamp = (dice.between(left + 40.0, right - 40.0), table - dice.between(60.0, 120.0));
    canvas.line((lamp.0, table), lamp, 5.0, grey(60.0));
    let glow = dice.between(30.0, 60.0);
    let area = [lamp.0 - 3.0 * glow, lamp.1 - 3.0 * glow, 6.0 * glow, 6.0 * glow];
    canvas.cover(area, [255.0, 235.0, 180.0], |x, y| (-((x - lamp.0).hypot(y - lamp.1) / glow).powi(2)).exp());
    canvas.disc(lamp, glow * 0.4, [255.0, 245.0, 215.0]);
}

/// Ripples on water: waves of several sources under a slanting light.
pub(super) fn ripples(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let sources: Vec<[f64; 4]> = (0..dice.whole(3, 7))
        .map(|_| {
            let at = (dice.between(-0.5, 1.5) * width, dice.between(-0.5, 1.5) * height);
            [at.0, at.1, dice.between(0.04, 0.35), dice.between(0.0, 6.3)]
        })
        .collect();
    let (seed, colour) =
        (dice.hash(), [dice.between(20.0, 90.0) as f32, dice.between(70.0, 130.0) as f32, dice.between(90.0, 160.0) as f32]);
    canvas.shade(|x, y| {
        let bend = 6.0 * f64::from(fbm(seed, x / 60.0, y / 60.0, 3));
        let slope: f64 = sources.iter().map(|s| ((x - s[0] + bend).hypot(y - s[1] - bend) * s[2] + s[3]).cos()).sum();
        let light = slope / (sources.len() as f64).sqrt();
        blend(colour, [235.0, 245.0, 250.0], (0.25 + 0.35 * light).clamp(0.0, 1.0) as f32)
    });
}

/// A wall of bricks.
pub(super) fn bricks(canvas: &mut Canvas, dice: &mut Dice) {
    let brick = (dice.between(28.0, 110.0), dice.between(12.0, 40.0));
    let joint = dice.between(2.0, 6.0);
    let turn = if dice.chance(0.5) { 0.0 } else { dice.between(-0.5, 0.5) };
    let (s, c) = turn.sin_cos();
    let (seed, stone, mortar) = (dice.hash(), dice.colour(70.0, 180.0), grey(dice.between(150.0, 220.0)));
    let (x0, y0) = (dice.between(0.0, 100.0), dice.between(0.0, 100.0));
    canvas.shade(|x, y| {
        let (u, v) = (c * x + s * y + x0 + 1000.0, c * y - s * x + y0 + 1000.0);
        let row = (v / brick.1).floor();
        let along = u / brick.0 + if row as i64 % 2 == 0 { 0.0 } else { 0.5 };
        let (du, dv) = ((along - along.floor()) * brick.0, (v / brick.1 - row) * brick.1);
        let rough = 1.0 + 0.12 * fbm(seed ^ 9, x / 5.0, y / 5.0, 3);
        if du < joint || dv < joint {
            return mortar.map(|m| m * rough);
        }
        let tint = (0.7 + 0.6 * unit(hash2(seed, along.floor() as i64, row as i64), 2)) as f32;
        stone.map(|m| m * tint * rough)
    });
}

/// A part of the Mandelbrot set, coloured by how soon its points escape.
pub(super) fn fractal(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let spots = [(-0.745, 0.113), (-0.16, 1.0405), (-1.25, 0.02), (0.285, 0.01), (-0.088, 0.654), (-1.4, 0.001)];
    let (cx, cy) = dice.pick(&spots, (-0.16, 1.0405));
    let scale = 10f64.powf(dice.between(-2.6, 0.2)) / width;
    let (cx, cy) = (cx + scale * dice.between(-80.0, 80.0), cy + scale * dice.between(-80.0, 80.0));
    let (phases, speed) = ([0; 3].map(|_| dice.between(0.0, 6.3)), dice.between(0.08, 0.5));
    const MOST: u32 = 160;
    canvas.shade(|x, y| {
        let (a, b) = (cx + (x - width / 2.0) * scale * 2.0, cy + (y - height / 2.0) * scale * 2.0);
        let (mut u, mut v, mut n) = (0.0f64, 0.0f64, 0);
        while n < MOST && u * u + v * v < 64.0 {
            (u, v) = (u * u - v * v + a, 2.0 * u * v + b);
            n += 1;
        }
        if n == MOST {
            return BLACK;
        }
        let soft = f64::from(n) + 1.0 - (u * u + v * v).ln().max(1e-9).log2() * 0.5;
        [0, 1, 2].map(|k| (127.0 + 127.0 * (soft * speed + phases[k]).sin()) as f32)
    });
}

/// The cap on the lens: nearly dark, a glow at an edge, dust, darker corners.
pub(super) fn lens_cap(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let (level, tint) = (dice.between(18.0, 60.0), dice.colour(0.7, 1.3));
    let (edge, glow) = (dice.between(0.0, 6.3), dice.between(10.0, 90.0));
    let seed = dice.hash();
    canvas.shade(|x, y| {
        let (u, v) = ((x - width / 2.0) / (width / 2.0), (y - height / 2.0) / (width / 2.0));
        let toward = ((u * edge.cos() + v * edge.sin()) - 0.3).max(0.0);
        let value =
            level * (1.0 - 0.5 * (u * u + v * v)) + glow * toward * toward + 5.0 * f64::from(fbm(seed, x / 90.0, y / 90.0, 3));
        tint.map(|t| t * value as f32)
    });
    for _ in 0..dice.whole(10, 70) {
        let (centre, radius) = ((dice.between(0.0, width), dice.between(0.0, height)), dice.between(1.0, 9.0));
        let (strength, bright) = (dice.between(0.1, 0.5), dice.chance(0.6));
        let area = [centre.0 - 2.0 * radius, centre.1 - 2.0 * radius, 4.0 * radius, 4.0 * radius];
        canvas.cover(area, if bright { grey(150.0) } else { BLACK }, |x, y| {
            strength * (-((x - centre.0).hypot(y - centre.1) / radius).powi(2)).exp()
        });
    }
}
