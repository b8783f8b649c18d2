//! Pictures that show no ground, drawn by code: what a camera, a cable or a screen gives when nothing of the earth is seen. No position may
//! come of them.
//!
//! Half of the kinds are there while acceptance is built, the other half were drawn up afterwards and clearly differ from them, so that a
//! rule made for the first half shows what it is worth on the second.

mod afterwards;
mod building;
mod canvas;
mod font;

use std::path::Path;

use image::RgbImage;
use rayon::prelude::*;

use super::SimulateError;
use super::noise::{hash2, mix};
use super::sensor::{blur, normal};
use super::stills::{Still, StillsWriter};
use crate::time::NANOS_PER_SEC;
use crate::types::{Camera, Intrinsics};
use canvas::{Canvas, Dice};

/// When a kind was drawn up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawnUp {
    /// While acceptance was built.
    Building,
    /// Afterwards.
    Afterwards,
}

/// A kind of pictures without ground.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// When it was drawn up.
    pub drawn_up: DrawnUp,
    paint: fn(&mut Canvas, &mut Dice),
}

const fn building(name: &'static str, paint: fn(&mut Canvas, &mut Dice)) -> Kind {
    Kind { name, drawn_up: DrawnUp::Building, paint }
}

const fn afterwards(name: &'static str, paint: fn(&mut Canvas, &mut Dice)) -> Kind {
    Kind { name, drawn_up: DrawnUp::Afterwards, paint }
}

/// All kinds.
pub const KINDS: [Kind; 20] = [
    building("colour_bars", building::colour_bars),
    building("no_signal", building::no_signal),
    building("menu", building::menu),
    building("checkerboard", building::checkerboard),
    building("zone_plate", building::zone_plate),
    building("white_noise", building::white_noise),
    building("gradient", building::gradient),
    building("test_card", building::test_card),
    building("page_of_text", building::page_of_text),
    building("desktop", building::desktop),
    afterwards("sky", afterwards::sky),
    afterwards("siemens_star", afterwards::siemens_star),
    afterwards("matrix_code", afterwards::matrix_code),
    afterwards("analogue_snow", afterwards::analogue_snow),
    afterwards("plasma", afterwards::plasma),
    afterwards("room", afterwards::room),
    afterwards("ripples", afterwards::ripples),
    afterwards("bricks", afterwards::bricks),
    afterwards("fractal", afterwards::fractal),
    afterwards("lens_cap", afterwards::lens_cap),
];

const WIDTH_PX: u32 = 640;
const HEIGHT_PX: u32 = 480;
const FOCAL_PX: f64 = 466.0;
/// Time between two frames: what follows each other so soon is one motion for a filter.
const FRAME_NS: i64 = NANOS_PER_SEC / 2;
const HEIGHT_SIGMA_M: f64 = 3.0;
const HEADING_SIGMA_DEG: f64 = 3.0;
/// Frames after which the pattern of pictures that change and pictures that stand begins anew.
const RUN: u64 = 10;

/// Which picture a frame shows: of ten frames five each their own, and five one that stands, as a screen does.
fn shown(frame: u64) -> u64 {
    if frame % RUN < RUN / 2 { frame } else { frame / RUN * RUN + RUN / 2 }
}

/// Position of a kind in [`KINDS`]: what is random in it does not depend on which others are asked for.
fn lane(kind: &Kind) -> u64 {
    KINDS.iter().position(|k| k.name == kind.name).unwrap_or(KINDS.len()) as u64
}

/// A frame of a kind, and the quality with which it is compressed.
pub fn picture(kind: &Kind, seed: u64, frame: u64) -> (RgbImage, u8) {
    let mut canvas = Canvas::new(WIDTH_PX as usize, HEIGHT_PX as usize);
    let mut dice = Dice::new(seed, &[lane(kind), shown(frame)]);
    (kind.paint)(&mut canvas, &mut dice);
    // How it came to the camera belongs to the picture, its noise to the frame.
    let (softness, noise) = (dice.between(0.0, 0.9).max(0.3) - 0.3, dice.between(0.0, 3.0) as f32);
    let quality = dice.whole(70, 95) as u8;
    let pixels = blur(&canvas.pixels, canvas.width, canvas.height, softness as f32);
    let hash = mix(Dice::new(seed, &[lane(kind), frame, 1]).hash());
    let image = RgbImage::from_fn(WIDTH_PX, HEIGHT_PX, |x, y| {
        let grain = hash2(hash, i64::from(x), i64::from(y));
        let pixel = pixels[y as usize * canvas.width + x as usize];
        image::Rgb([0, 1, 2].map(|k| {
            let noise = noise * (0.8 * normal(grain) + 0.5 * normal(mix(grain ^ (k as u64 + 1))));
            (pixel[k] + noise + 0.5).clamp(0.0, 255.0) as u8
        }))
    });
    (image, quality)
}

/// Writes a recording of frames of a kind into a folder: photos half a second apart, a height and a heading that turns slowly, no truth,
/// since there is none.
///
/// # Errors
/// When something cannot be written.
pub fn write(kind: &Kind, out: &Path, frames: u64, height_m: f64, seed: u64) -> Result<u64, SimulateError> {
    let camera = Camera::nadir(Intrinsics::centred(WIDTH_PX, HEIGHT_PX, FOCAL_PX));
    let made_by =
        format!("skyfix eval scenes no-ground --kinds {} --frames {frames} --height {height_m} --seed {seed}", kind.name);
    let mut stills =
        StillsWriter::begin(out, &format!("Pictures without ground: {}, made by skyfix.", kind.name), &camera, &made_by)?;
    let first_deg = Dice::new(seed, &[lane(kind), u64::MAX]).between(0.0, 360.0);
    let numbers: Vec<u64> = (0..frames).collect();
    for chunk in numbers.chunks(16) {
        let pictures: Vec<(RgbImage, u8)> = chunk.par_iter().map(|&frame| picture(kind, seed, frame)).collect();
        for (&frame, (image, quality)) in chunk.iter().zip(&pictures) {
            stills.add(
                image,
                *quality,
                &Still {
                    stamp_ns: (frame as i64 + 2) * FRAME_NS,
                    height_m,
                    height_sigma_m: HEIGHT_SIGMA_M,
                    heading_deg: (first_deg + 2.0 * frame as f64).rem_euclid(360.0),
                    heading_sigma_deg: HEADING_SIGMA_DEG,
                    truth: None,
                },
            )?;
        }
    }
    stills.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_half_of_the_kinds_were_drawn_up_afterwards() {
        let names: std::collections::BTreeSet<&str> = KINDS.iter().map(|k| k.name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert_eq!(KINDS.iter().filter(|k| k.drawn_up == DrawnUp::Building).count(), 10);
    }

    #[test]
    fn every_kind_draws_the_same_picture_for_the_same_seed_and_others_for_others() {
        KINDS.par_iter().for_each(|kind| {
            let (first, quality) = picture(kind, 1, 0);
            assert_eq!(picture(kind, 1, 0), (first.clone(), quality), "{}", kind.name);
            for (seed, frame) in [(2, 0), (1, 1)] {
                assert_ne!(picture(kind, seed, frame).0, first, "{}", kind.name);
            }
            let mean = first.as_raw().iter().map(|v| f64::from(*v)).sum::<f64>() / first.as_raw().len() as f64;
            let spread = first.as_raw().iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / first.as_raw().len() as f64;
            assert!(spread.sqrt() > 3.0, "{} is flat: {:.1}", kind.name, spread.sqrt());
        });
    }

    #[test]
    fn some_pictures_stand_for_several_frames_but_for_their_noise() {
        assert_eq!((0..12).map(shown).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 10, 11]);
        let kind = KINDS.iter().find(|k| k.name == "checkerboard").unwrap();
        let (a, b) = (picture(kind, 1, 5).0, picture(kind, 1, 6).0);
        let most = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most > 0 && most < 40, "{most}");
    }

    #[test]
    fn a_recording_of_a_kind_is_one_that_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("menu");
        write(&KINDS[2], &out, 3, 80.0, 1).unwrap();
        let recording = crate::recording::read(&out).unwrap();
        assert_eq!(recording.stamps.len(), 3);
        assert_eq!(recording.telemetry.height.len(), 9);
        assert!(recording.photos.is_some() && !out.join("truth.csv").exists());
        assert!(out.join("photos/000003.jpg").is_file());
    }
}
