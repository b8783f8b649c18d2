//! A picture being drawn, and the dice that decide what is drawn.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::font;
use crate::simulate::look::Colour;
use crate::simulate::noise::mix;

/// White, of 255.
pub(super) const WHITE: Colour = [255.0; 3];
/// Black.
pub(super) const BLACK: Colour = [0.0; 3];

/// A picture being drawn. Coordinates are continuous pixels from the upper left corner.
pub(super) struct Canvas {
    /// Width, pixels.
    pub width: usize,
    /// Height, pixels.
    pub height: usize,
    /// Red, green and blue of 255, row by row.
    pub pixels: Vec<Colour>,
}

impl Canvas {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![BLACK; width * height] }
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (f64, f64) {
        (self.width as f64, self.height as f64)
    }

    /// One colour everywhere.
    pub fn fill(&mut self, colour: Colour) {
        self.pixels.fill(colour);
    }

    /// The colour of every pixel's middle.
    pub fn shade(&mut self, colour_at: impl Fn(f64, f64) -> Colour) {
        let width = self.width;
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            *pixel = colour_at((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
        }
    }

    /// Lays a colour over the pixels of a rectangle (left, top, width, height) by the share that `cover` says of each pixel's middle.
    pub fn cover(&mut self, area: [f64; 4], colour: Colour, cover: impl Fn(f64, f64) -> f64) {
        let [left, top, width, height] = area;
        let range = |from: f64, length: f64, most: usize| {
            (from.floor().max(0.0) as usize).min(most)..((from + length).ceil().max(0.0) as usize).min(most)
        };
        for y in range(top, height, self.height) {
            for x in range(left, width, self.width) {
                let share = cover(x as f64 + 0.5, y as f64 + 0.5).clamp(0.0, 1.0) as f32;
                let pixel = &mut self.pixels[y * self.width + x];
                *pixel = blend(*pixel, colour, share);
            }
        }
    }

    /// A rectangle: left, top, width, height.
    pub fn rectangle(&mut self, area: [f64; 4], colour: Colour) {
        let [left, top, width, height] = area;
        self.cover(area, colour, |x, y| f64::from(u8::from(x >= left && x < left + width && y >= top && y < top + height)));
    }

    /// The outline of a rectangle.
    pub fn frame(&mut self, [left, top, width, height]: [f64; 4], thickness: f64, colour: Colour) {
        self.rectangle([left, top, width, thickness], colour);
        self.rectangle([left, top + height - thickness, width, thickness], colour);
        self.rectangle([left, top, thickness, height], colour);
        self.rectangle([left + width - thickness, top, thickness, height], colour);
    }

    /// A disc.
    pub fn disc(&mut self, (cx, cy): (f64, f64), radius: f64, colour: Colour) {
        let area = [cx - radius - 1.0, cy - radius - 1.0, 2.0 * radius + 2.0, 2.0 * radius + 2.0];
        self.cover(area, colour, |x, y| 0.5 + radius - (x - cx).hypot(y - cy));
    }

    /// A circle's line.
    pub fn circle(&mut self, (cx, cy): (f64, f64), radius: f64, thickness: f64, colour: Colour) {
        let reach = radius + thickness;
        let area = [cx - reach, cy - reach, 2.0 * reach, 2.0 * reach];
        self.cover(area, colour, |x, y| 0.5 + thickness / 2.0 - ((x - cx).hypot(y - cy) - radius).abs());
    }

    /// A straight line with round ends.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), thickness: f64, colour: Colour) {
        let half = thickness / 2.0;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length2 = (dx * dx + dy * dy).max(1e-9);
        let area = [
            from.0.min(to.0) - half - 1.0,
            from.1.min(to.1) - half - 1.0,
            dx.abs() + thickness + 2.0,
            dy.abs() + thickness + 2.0,
        ];
        self.cover(area, colour, |x, y| {
            let t = (((x - from.0) * dx + (y - from.1) * dy) / length2).clamp(0.0, 1.0);
            0.5 + half - (x - from.0 - t * dx).hypot(y - from.1 - t * dy)
        });
    }

    /// A line of text whose dots are squares of so many pixels; `at` is its upper left corner.
    pub fn text(&mut self, at: (f64, f64), dot_px: f64, text: &str, colour: Colour) {
        for (x, y) in font::dots(text) {
            // Edges of neighbouring dots are rounded to the same pixel, so that strokes have no gaps.
            let edge = |start: f64, i: usize| (start + i as f64 * dot_px).round();
            let (left, top) = (edge(at.0, x), edge(at.1, y));
            self.rectangle([left, top, edge(at.0, x + 1) - left, edge(at.1, y + 1) - top], colour);
        }
    }
}

/// Width of a line of text, pixels.
pub(super) fn text_width(text: &str, dot_px: f64) -> f64 {
    ((text.chars().count() * font::ADVANCE) as f64 - 1.0).max(0.0) * dot_px
}

/// Part of the way from one colour to another.
pub(super) fn blend(from: Colour, to: Colour, share: f32) -> Colour {
    [0, 1, 2].map(|k| from[k] + (to[k] - from[k]) * share)
}

/// A grey, of 255.
pub(super) fn grey(value: f64) -> Colour {
    [value as f32; 3]
}

/// What is random in a picture.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice of their own for each seed and each of several lanes.
    pub fn new(seed: u64, lanes: &[u64]) -> Self {
        Self(ChaCha8Rng::seed_from_u64(lanes.iter().fold(mix(seed ^ 0x0906), |hash, lane| mix(hash.wrapping_add(mix(*lane))))))
    }

    /// A number between two.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// A whole number from `low` to `high`, both included.
    pub fn whole(&mut self, low: u32, high: u32) -> u32 {
        self.0.random_range(low..=high.max(low))
    }

    /// True in so many cases of one.
    pub fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    /// Any hash.
    pub fn hash(&mut self) -> u64 {
        self.0.random()
    }

    /// One of several; `default` of none.
    pub fn pick<T: Copy>(&mut self, from: &[T], default: T) -> T {
        from.choose(&mut self.0).copied().unwrap_or(default)
    }

    /// A colour whose channels lie between two values.
    pub fn colour(&mut self, low: f64, high: f64) -> Colour {
        [0; 3].map(|_| self.between(low, high) as f32)
    }

    /// A word that nobody knows.
    pub fn word(&mut self) -> String {
        const BEGIN: [&str; 12] = ["B", "C", "D", "F", "G", "L", "M", "N", "P", "R", "S", "T"];
        const MIDDLE: [&str; 8] = ["A", "E", "I", "O", "U", "AR", "EN", "OL"];
        const END: [&str; 6] = ["", "", "N", "S", "T", "X"];
        (0..self.whole(1, 4)).map(|_| [self.pick(&BEGIN, "B"), self.pick(&MIDDLE, "A"), self.pick(&END, "")].concat()).collect()
    }

    /// A line of words of at most so many letters.
    pub fn sentence(&mut self, most: usize) -> String {
        let mut line = self.word();
        loop {
            let next = self.word();
            if line.len() + 1 + next.len() > most {
                line.truncate(most);
                return line;
            }
            line = format!("{line} {next}");
        }
    }
}
