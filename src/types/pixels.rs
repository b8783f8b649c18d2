//! The pixels of a frame.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::metadata::Orientation;
use image::{ImageError, ImageReader, RgbImage};

/// The frame's image: decoded where it is needed, so that decoding runs in parallel and a broken file costs one frame.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// A file still to be decoded.
    File(PathBuf),
    /// The same, of a picture that is to be turned.
    Turned(PathBuf, Orientation),
    /// Decoded pixels.
    Decoded(Arc<RgbImage>),
    /// The same picture as that of the frame before: what it shows, it showed then.
    Repeated(Box<Pixels>),
}

impl Pixels {
    /// These, of a frame whose picture is that of the frame before, or is not.
    #[must_use]
    pub fn repeated(self, repeated: bool) -> Self {
        if repeated { Self::Repeated(Box::new(self)) } else { self }
    }

    /// The file that they are in; none for decoded ones.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Turned(path, _) => Some(path),
            Self::Decoded(_) => None,
            Self::Repeated(pixels) => pixels.path(),
        }
    }

    /// The picture, upright, and whether the end of its file is missing. A file is decoded by what it holds, not by what it is called.
    ///
    /// # Errors
    /// When the file cannot be read or decoded.
    pub fn decode(&self) -> Result<(Arc<RgbImage>, bool), ImageError> {
        let (path, orientation) = match self {
            Self::Repeated(pixels) => return pixels.decode(),
            Self::Decoded(image) => return Ok((Arc::clone(image), false)),
            Self::File(path) => (path, Orientation::NoTransforms),
            Self::Turned(path, orientation) => (path, *orientation),
        };
        let bytes = std::fs::read(path)?;
        let mut image = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?.decode()?;
        image.apply_orientation(orientation);
        Ok((Arc::new(image.into_rgb8()), is_cut_off(&bytes)))
    }
}

/// Whether a JPEG file has no end-of-image marker after its (first) scan: a decoder makes up the rest of the picture.
fn is_cut_off(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return false;
    }
    let mut at = 2;
    // Segments up to the scan; those of metadata may hold whole pictures.
    while let Some([0xff, marker, high, low]) = bytes.get(at..at + 4) {
        at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
        if *marker == 0xda {
            break;
        }
    }
    !bytes.get(at..).is_some_and(|scan| scan.windows(2).any(|pair| pair == [0xff, 0xd9]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_without_its_end_is_cut_off_whatever_its_metadata_hold_and_whatever_follows_it() {
        let mut whole = Vec::new();
        let picture = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * 4) as u8, (y * 4) as u8, (x ^ y) as u8]));
        picture.write_with_encoder(image::codecs::jpeg::JpegEncoder::new(&mut whole)).unwrap();
        assert!(!is_cut_off(&whole));
        assert!(!is_cut_off(&[&whole[..], b"trailer"].concat()));
        // A thumbnail in the metadata.
        let thumbnail = [&[0xff, 0xe1, 0, 8, 1, 2, 0xff, 0xd9, 3, 4][..], &whole[2..]].concat();
        let with_thumbnail = [&whole[..2], &thumbnail].concat();
        assert!(!is_cut_off(&with_thumbnail));
        assert!(is_cut_off(&with_thumbnail[..with_thumbnail.len() * 3 / 4]) && is_cut_off(&whole[..whole.len() * 3 / 4]));
        assert!(is_cut_off(&whole[..4]) && !is_cut_off(b"\x89PNG"));
    }
}
