//! One decoded tile of the pyramid.

use crate::geo::mercator::TILE_PX;
use image::{ExtendedColorType, ImageEncoder, ImageError};

const SIDE: usize = TILE_PX as usize;

/// Column and row of a quarter of a tile of twice the size: it is the tile of the next finer zoom.
pub(crate) type Quarter = (u32, u32);

/// A decoded tile: 256 × 256 pixels, row-major from the north-west, red, green, blue and coverage (0 = no imagery).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TilePixels {
    rgba: Vec<u8>,
}

impl Default for TilePixels {
    fn default() -> Self {
        Self { rgba: vec![0; SIDE * SIDE * 4] }
    }
}

impl TilePixels {
    /// The samples, 256 · 256 · 4 bytes.
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// The samples, to be drawn on.
    pub fn rgba_mut(&mut self) -> &mut [u8] {
        &mut self.rgba
    }

    /// Whether no pixel has imagery.
    pub fn is_empty(&self) -> bool {
        self.rgba.chunks_exact(4).all(|p| p[3] == 0)
    }

    /// Whether every pixel has imagery.
    pub fn is_full(&self) -> bool {
        self.rgba.chunks_exact(4).all(|p| p[3] == 255)
    }

    /// Decodes a JPEG, PNG or WebP tile of 256 × 256 pixels.
    ///
    /// # Errors
    /// In words, when the bytes are no such picture.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        Self::decode_part(bytes, None)
    }

    /// The same of a quarter of a tile of 512 × 512 pixels: its column and row in 0..2, row 0 the north.
    ///
    /// # Errors
    /// See [`TilePixels::decode`].
    pub(crate) fn decode_part(bytes: &[u8], quarter: Option<Quarter>) -> Result<Self, String> {
        let mut image = image::load_from_memory(bytes).map_err(|e| e.to_string())?;
        if let Some((column, row)) = quarter
            && (image.width(), image.height()) == (2 * TILE_PX, 2 * TILE_PX)
        {
            image = image.crop_imm(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX);
        }
        if (image.width(), image.height()) != (TILE_PX, TILE_PX) {
            return Err(format!(
                "the tile is {} x {} px, and only tiles of 256 x 256 px are known",
                image.width(),
                image.height()
            ));
        }
        Ok(Self { rgba: image.into_rgba8().into_raw() })
    }

    /// Encodes as JPEG when fully covered, else as PNG with alpha; the flag says whether it is a JPEG.
    pub(crate) fn encode(&self, jpeg_quality: u8) -> Result<(Vec<u8>, bool), ImageError> {
        let mut bytes = Vec::new();
        let jpeg = self.is_full();
        if jpeg {
            let rgb: Vec<u8> = self.rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
            image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, jpeg_quality).write_image(
                &rgb,
                TILE_PX,
                TILE_PX,
                ExtendedColorType::Rgb8,
            )?;
        } else {
            image::codecs::png::PngEncoder::new(&mut bytes).write_image(
                &self.rgba,
                TILE_PX,
                TILE_PX,
                ExtendedColorType::Rgba8,
            )?;
        }
        Ok((bytes, jpeg))
    }

    /// Draws the 2 × 2 averages of a child tile into one quarter of this one (`column`, `row` in 0..2, row 0 the north).
    pub(crate) fn draw_child(&mut self, child: &Self, column: usize, row: usize) {
        for y in 0..SIDE / 2 {
            for x in 0..SIDE / 2 {
                let mut sum = [0u32; 4];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let i = ((2 * y + dy) * SIDE + 2 * x + dx) * 4;
                    let p = &child.rgba[i..i + 4];
                    let alpha = u32::from(p[3]);
                    for c in 0..3 {
                        sum[c] += alpha * u32::from(p[c]);
                    }
                    sum[3] += alpha;
                }
                let o = ((row * SIDE / 2 + y) * SIDE + column * SIDE / 2 + x) * 4;
                for c in 0..3 {
                    self.rgba[o + c] = (sum[c] + sum[3] / 2).checked_div(sum[3]).unwrap_or(0) as u8;
                }
                self.rgba[o + 3] = ((sum[3] + 2) / 4) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_tile_becomes_a_jpeg_and_a_partial_one_keeps_its_alpha() {
        let mut tile = TilePixels::default();
        for p in tile.rgba_mut().chunks_exact_mut(4) {
            p.copy_from_slice(&[90, 120, 60, 255]);
        }
        let (bytes, jpeg) = tile.encode(92).unwrap();
        assert!(jpeg && TilePixels::decode(&bytes).unwrap().is_full());
        tile.rgba_mut()[3] = 0;
        let (bytes, jpeg) = tile.encode(92).unwrap();
        assert!(!jpeg);
        assert_eq!(TilePixels::decode(&bytes).unwrap(), tile);
    }

    #[test]
    fn averaging_ignores_pixels_without_imagery() {
        let mut child = TilePixels::default();
        child.rgba_mut()[..4].copy_from_slice(&[200, 100, 50, 255]);
        let mut parent = TilePixels::default();
        parent.draw_child(&child, 1, 1);
        let i = (128 * SIDE + 128) * 4;
        assert_eq!(&parent.rgba()[i..i + 4], &[200, 100, 50, 64]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(TilePixels::decode(&bytes).is_err());
        }
    }
}
