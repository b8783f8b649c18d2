//! Kinds of pictures without ground that are there while acceptance is built: test signals, screens and patterns.

use super::canvas::{BLACK, Canvas, Dice, WHITE, blend, grey, text_width};
use crate::simulate::look::Colour;
use crate::simulate::noise::{hash2, unit};

const BARS: [Colour; 7] = [
    [191.0, 191.0, 191.0],
    [191.0, 191.0, 0.0],
    [0.0, 191.0, 191.0],
    [0.0, 191.0, 0.0],
    [191.0, 0.0, 191.0],
    [191.0, 0.0, 0.0],
    [0.0, 0.0, 191.0],
];

/// A time of day as a counter shows it.
fn counter(dice: &mut Dice) -> String {
    format!("{:02}:{:02}:{:02}", dice.whole(0, 23), dice.whole(0, 59), dice.whole(0, 59))
}

/// Colour bars in three rows, as television's engineers know them, at times cut, with a station's name or with snow in a corner.
pub(super) fn colour_bars(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let zoom = dice.between(1.0, 1.3);
    let (left, top) = (dice.between(0.0, zoom - 1.0) * width, dice.between(0.0, zoom - 1.0) * height);
    let (level, snow) = (dice.between(0.9, 1.3) as f32, dice.chance(0.6).then(|| dice.hash()));
    let low: [Colour; 6] = [[0.0, 33.0, 76.0], WHITE, [50.0, 0.0, 106.0], grey(19.0), grey(9.0), grey(29.0)];
    canvas.shade(|x, y| {
        let (u, v) = ((x + left) / (width * zoom), (y + top) / (height * zoom));
        let bar = ((u * 7.0) as usize).min(6);
        let colour = if v < 2.0 / 3.0 {
            BARS[bar]
        } else if v < 0.75 {
            if bar.is_multiple_of(2) { BARS[6 - bar] } else { grey(19.0) }
        } else {
            let part = ((u * 6.0) as usize).min(5);
            match snow {
                Some(seed) if part == 5 => return grey(255.0 * unit(hash2(seed, x as i64, y as i64), 1)),
                _ => low[part],
            }
        };
        colour.map(|c| c * level)
    });
    if dice.chance(0.5) {
        let (text, dot) = (dice.sentence(14), f64::from(dice.whole(2, 5)));
        let (w, h) = (text_width(&text, dot), 7.0 * dot);
        let at = (dice.between(0.0, (width - w).max(1.0)), dice.between(0.1, 0.8) * height);
        canvas.rectangle([at.0 - dot, at.1 - dot, w + 2.0 * dot, h + 2.0 * dot], BLACK);
        canvas.text(at, dot, &text, WHITE);
    }
}

/// A blue picture that says that there is no signal.
pub(super) fn no_signal(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let colour = [dice.between(0.0, 40.0) as f32, dice.between(0.0, 70.0) as f32, dice.between(130.0, 255.0) as f32];
    canvas.fill(colour);
    let text = dice.pick(&["NO SIGNAL", "NO VIDEO", "SIGNAL LOST", "NO INPUT", "CHECK CABLE"], "NO SIGNAL");
    let dot = f64::from(dice.whole(3, 9));
    let (w, h) = (text_width(text, dot), 7.0 * dot);
    let at = (dice.between(0.0, (width - w).max(1.0)), dice.between(0.0, height - h));
    if dice.chance(0.4) {
        let margin = 2.0 * dot;
        let area = [at.0 - margin, at.1 - margin, w + 2.0 * margin, h + 2.0 * margin];
        canvas.rectangle(area, blend(colour, BLACK, 0.6));
        canvas.frame(area, dot.max(2.0), WHITE);
    }
    canvas.text(at, dot, text, if dice.chance(0.7) { WHITE } else { [255.0, 230.0, 0.0] });
    if dice.chance(0.5) {
        let line = format!("CH {} {}", dice.whole(1, 40), counter(dice));
        canvas.text((dice.between(8.0, 200.0), if at.1 > height / 2.0 { 12.0 } else { height - 40.0 }), 3.0, &line, WHITE);
    }
}

/// The menu of a display: a title, rows with values, one of them chosen.
pub(super) fn menu(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    canvas.fill(if dice.chance(0.7) { BLACK } else { dice.colour(0.0, 45.0) });
    let ink = dice.pick(&[WHITE, [0.0, 255.0, 80.0], [255.0, 220.0, 60.0], [90.0, 200.0, 255.0]], WHITE);
    let dot = dice.between(1.6, 3.2);
    let (left, right) = (dice.between(0.03, 0.2) * width, dice.between(0.6, 0.95) * width);
    let mut y = dice.between(0.02, 0.12) * height;
    let title = dice.sentence(16);
    canvas.text((left, y), dot * 1.5, &title, ink);
    y += 7.0 * dot * 1.5 + 3.0 * dot;
    canvas.rectangle([left, y, right - left, dot.max(1.5)], ink);
    y += 4.0 * dot;
    let step = dot * dice.between(9.0, 14.0);
    let rows = ((height - y) / step) as u32;
    let rows = dice.whole(rows.min(4), rows);
    let chosen = dice.whole(0, rows);
    for row in 0..rows {
        let name = dice.sentence(((right - left) / dot / 9.0) as usize);
        let value = match dice.whole(0, 3) {
            0 => "ON".to_owned(),
            1 => format!("{}%", dice.whole(0, 100)),
            2 => format!("{}.{}", dice.whole(0, 30), dice.whole(0, 9)),
            _ => dice.word(),
        };
        let mut colour = ink;
        if row == chosen {
            canvas.rectangle([left - 2.0 * dot, y - 1.5 * dot, right - left + 4.0 * dot, 10.0 * dot], ink);
            colour = BLACK;
        }
        canvas.text((left, y), dot, &name, colour);
        canvas.text((right - text_width(&value, dot), y), dot, &value, colour);
        y += step;
    }
}

/// A checkerboard, upright or turned.
pub(super) fn checkerboard(canvas: &mut Canvas, dice: &mut Dice) {
    let side = dice.between(6.0, 70.0);
    let turn = if dice.chance(0.5) { 0.0 } else { dice.between(-0.8, 0.8) };
    let (s, c) = turn.sin_cos();
    let (x0, y0) = (dice.between(0.0, side), dice.between(0.0, side));
    let (dark, bright) = if dice.chance(0.7) { (BLACK, WHITE) } else { (dice.colour(0.0, 120.0), dice.colour(130.0, 255.0)) };
    canvas.shade(|x, y| {
        let (u, v) = ((c * x + s * y + x0) / side, (c * y - s * x + y0) / side);
        if (u.floor() as i64 + v.floor() as i64).rem_euclid(2) == 0 { dark } else { bright }
    });
}

/// A zone plate or a sweep: sines whose frequency grows outward or along the picture.
pub(super) fn zone_plate(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let (cx, cy) = (dice.between(0.2, 0.8) * width, dice.between(0.2, 0.8) * height);
    let finest = dice.between(0.3, 1.0) * std::f64::consts::PI;
    let (phase, contrast) = (dice.between(0.0, 6.3), dice.between(60.0, 127.0));
    let sweep = dice.chance(0.4);
    canvas.shade(|x, y| {
        // The derivative of the phase reaches the finest frequency at one width from the middle.
        let along = if sweep { x * x } else { (x - cx).powi(2) + (y - cy).powi(2) };
        let bands = if sweep { ((y / height * 3.0).floor() + 1.0) / 3.0 } else { 1.0 };
        grey(127.0 + contrast * (along * bands * finest / (2.0 * width) + phase).cos())
    });
}

/// White noise of grains of one size, grey or coloured.
pub(super) fn white_noise(canvas: &mut Canvas, dice: &mut Dice) {
    let grain = f64::from(dice.whole(1, 6));
    let (seed, coloured) = (dice.hash(), dice.chance(0.4));
    let binary = dice.chance(0.3);
    canvas.shade(|x, y| {
        let hash = hash2(seed, (x / grain) as i64, (y / grain) as i64);
        let value = |lane| {
            let v = unit(hash, lane);
            255.0 * if binary { v.round() } else { v }
        };
        if coloured { [0, 1, 2].map(|k| value(k) as f32) } else { grey(value(0)) }
    });
}

/// A grey gradient, along a line or outward, smooth or in steps.
pub(super) fn gradient(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let turn = dice.between(0.0, 6.3);
    let (s, c) = turn.sin_cos();
    let (from, to) = (dice.between(0.0, 120.0), dice.between(140.0, 255.0));
    let steps = if dice.chance(0.5) { f64::from(dice.whole(5, 16)) } else { 0.0 };
    let outward = dice.chance(0.3);
    let (cx, cy) = (dice.between(0.0, width), dice.between(0.0, height));
    canvas.shade(|x, y| {
        let reach = width.hypot(height);
        let t =
            if outward { (x - cx).hypot(y - cy) / reach } else { 0.5 + ((x - width / 2.0) * c + (y - height / 2.0) * s) / reach };
        let t = if steps > 0.0 { (t * steps).floor() / steps } else { t };
        grey(from + (to - from) * t)
    });
}

/// A test card: lines, a circle, wedges and a name.
pub(super) fn test_card(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let (dark, ink) = if dice.chance(0.6) { (dice.colour(60.0, 130.0), WHITE) } else { (WHITE, BLACK) };
    canvas.fill(dark);
    let step = dice.between(24.0, 64.0);
    let (x0, y0) = (dice.between(0.0, step), dice.between(0.0, step));
    let thickness = dice.between(1.0, 3.0);
    for i in 0..=(width / step) as u32 {
        canvas.rectangle([(x0 + f64::from(i) * step).round(), 0.0, thickness.round(), height], ink);
    }
    for i in 0..=(height / step) as u32 {
        canvas.rectangle([0.0, (y0 + f64::from(i) * step).round(), width, thickness.round()], ink);
    }
    let centre = (width / 2.0 + dice.between(-30.0, 30.0), height / 2.0 + dice.between(-20.0, 20.0));
    let radius = dice.between(0.3, 0.47) * height;
    let bars = dice.between(3.0, 14.0);
    for row in 0..6 {
        let top = centre.1 - radius * 0.8 + f64::from(row) * radius * 0.27;
        let half = (radius * radius - (top + radius * 0.13 - centre.1).powi(2)).max(0.0).sqrt() * 0.95;
        let area = [centre.0 - half, top, 2.0 * half, radius * 0.25];
        match row {
            0 | 3 => {
                for i in 0..8 {
                    let part = 2.0 * half / 8.0;
                    let of = BARS.get(i).copied().unwrap_or(BLACK);
                    canvas.rectangle(
                        [area[0] + i as f64 * part, top, part, area[3]],
                        if row == 0 { of } else { grey(i as f64 * 36.0) },
                    );
                }
            }
            1 | 4 => canvas.cover(area, BLACK, |x, _| f64::from(u8::from((((x - area[0]) / bars) as u32).is_multiple_of(2)))),
            _ => {
                let name = dice.word();
                let dot = (area[3] / 9.0).max(1.0);
                canvas.rectangle(area, BLACK);
                canvas.text((centre.0 - text_width(&name, dot) / 2.0, top + dot), dot, &name, WHITE);
            }
        }
    }
    canvas.circle(centre, radius, 3.0, ink);
}

/// A page of text, in one column or two, with headings.
pub(super) fn page_of_text(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let paper = grey(dice.between(215.0, 255.0));
    let ink = grey(dice.between(0.0, 60.0));
    canvas.fill(paper);
    let dot = dice.between(0.9, 2.4);
    let columns = dice.whole(1, 2);
    let margin = dice.between(10.0, 60.0);
    let column = (width - margin * f64::from(columns + 1)) / f64::from(columns);
    let line = dot * dice.between(9.5, 13.0);
    for i in 0..columns {
        let left = margin + f64::from(i) * (column + margin);
        let mut y = dice.between(-4.0, 50.0);
        while y < height {
            if dice.chance(0.07) {
                canvas.text((left, y + dot * 4.0), dot * 1.6, &dice.sentence((column / dot / 10.0) as usize), ink);
                y += dot * 20.0;
                continue;
            }
            let full = if dice.chance(0.12) { dice.between(0.2, 0.8) } else { 1.0 };
            canvas.text((left, y), dot, &dice.sentence((column * full / dot / 6.0) as usize), ink);
            y += line;
        }
    }
}

/// The desktop of a computer: windows, icons, a bar.
pub(super) fn desktop(canvas: &mut Canvas, dice: &mut Dice) {
    let (width, height) = canvas.size();
    let (upper, lower) = (dice.colour(0.0, 160.0), dice.colour(20.0, 200.0));
    canvas.shade(|_, y| blend(upper, lower, (y / height) as f32));
    let bar = dice.between(18.0, 40.0);
    for i in 0..dice.whole(3, 9) {
        let (x, y) = (16.0, 14.0 + f64::from(i) * 52.0);
        canvas.rectangle([x, y, 28.0, 28.0], dice.colour(40.0, 255.0));
        canvas.frame([x, y, 28.0, 28.0], 2.0, dice.colour(0.0, 120.0));
        canvas.text((x - 8.0, y + 32.0), 1.0, &dice.word(), WHITE);
    }
    for _ in 0..dice.whole(1, 5) {
        let (w, h) = (dice.between(180.0, 460.0), dice.between(130.0, 340.0));
        let (x, y) = (dice.between(30.0, width - 120.0), dice.between(5.0, height - 140.0));
        let dark = dice.chance(0.3);
        let (paper, ink) = if dark { (grey(30.0), grey(210.0)) } else { (grey(245.0), grey(30.0)) };
        canvas.rectangle([x + 5.0, y + 5.0, w, h], blend(lower, BLACK, 0.5));
        canvas.rectangle([x, y, w, h], paper);
        canvas.rectangle([x, y, w, 20.0], dice.colour(40.0, 190.0));
        canvas.text((x + 6.0, y + 5.0), 1.4, &dice.sentence(18), WHITE);
        for i in 0..3 {
            canvas.disc((x + w - 12.0 - 16.0 * f64::from(i), y + 10.0), 5.0, dice.colour(120.0, 255.0));
        }
        let dot = dice.between(1.0, 1.8);
        let rows = ((h - 34.0) / (dot * 10.0)) as u32;
        for row in 0..dice.whole(0, rows) {
            let most = dice.between(0.2, 1.0) * (w - 16.0) / dot / 6.0;
            canvas.text((x + 8.0, y + 28.0 + f64::from(row) * dot * 10.0), dot, &dice.sentence(most as usize), ink);
        }
        canvas.frame([x, y, w, h], 1.0, grey(90.0));
    }
    canvas.rectangle([0.0, height - bar, width, bar], dice.colour(0.0, 90.0));
    for i in 0..dice.whole(2, 8) {
        canvas.rectangle([8.0 + f64::from(i) * (bar + 6.0), height - bar + 4.0, bar - 8.0, bar - 8.0], dice.colour(60.0, 255.0));
    }
    let clock = counter(dice);
    canvas.text((width - text_width(&clock, 1.6) - 8.0, height - bar / 2.0 - 6.0), 1.6, &clock, WHITE);
}
