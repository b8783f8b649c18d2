//! A flight over real ground of another date: the map is a mosaic of crops of one year, the photos are taken of the same crops of another.
//!
//! Crops lie side by side in the mosaic without regard to where they belong. Each photo sees one crop only, at a random heading, height,
//! lean and place; neither its lean nor where it is is told. Passes are flights of their own: frames one second apart along a straight line
//! over one crop, with a narrower view, so that several of them fit.

use std::path::{Path, PathBuf};

use image::RgbImage;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::ground::{Cell, Corner, Crop, Sheet, layout};
use super::photo::{Look, Shot};
use super::sources::{Crops, Place};
use crate::simulate::SimulateError;
use crate::simulate::noise::mix;
use crate::simulate::stills::{Still, StillsWriter};
use crate::time::NANOS_PER_SEC;
use crate::types::{Camera, Intrinsics};

/// Where the mosaic's north-west corner is put.
pub(super) const CORNER: Corner = Corner { lat_deg: 34.0, lon_deg: -117.5 };
/// Width, height and focal length of a whole photo, pixels.
const LENS: (u32, u32, f64) = (640, 480, 466.0);
/// Pixel size of the crops as they are, metres.
const OWN_GSD_M: f64 = 0.6;
/// Least and greatest height above ground over ground of that pixel size, metres.
pub(super) const HEIGHT_M: (f64, f64) = (62.0, 80.0);
/// How far from the middle of its crop a photo is taken, pixels.
const OFF_MIDDLE_PX: f64 = 25.0;
/// 1 sigma of the lean, degrees.
pub(super) const TILT_SIGMA_DEG: f64 = 2.0;
/// What the sensors tell of height and heading is that good, 1 sigma.
pub(super) const TOLD_SIGMA: (f64, f64) = (3.0, 3.0);
pub(super) const JPEG_QUALITY: u8 = 92;
/// Time between photos of which each is on its own.
pub(super) const APART_NS: i64 = 20 * NANOS_PER_SEC;
/// Frames of a pass, and their distance in time, seconds.
const PASS_FRAMES: usize = 10;
const PASS_STEP_S: f64 = 1.0;
/// Speed on a pass over ground of the crops' own pixel size, m/s.
const PASS_SPEED_M_S: (f64, f64) = (5.0, 12.0);
/// 1 sigma of what the lean does from frame to frame on a pass, degrees.
const PASS_SWAY_DEG: f64 = 0.5;
/// Shots that are tried for each that is taken, at most: most fail by reaching over the edge of their crop.
const TRIES: u64 = 2000;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct CrossDate {
    /// The folder of crops, with `pairs.csv`.
    pub folder: PathBuf,
    /// Cities that are flown over.
    pub cities: Vec<String>,
    /// Year of the map, year of the photos.
    pub years: [String; 2],
    /// What size the mosaic's pixels are said to have, metres; heights grow with it.
    pub gsd_m: f64,
    /// Photos.
    pub frames: u64,
    /// Passes.
    pub passes: u64,
    /// Width of the view on a pass, of that of a photo.
    pub pass_part: f64,
    /// Everything random follows from it.
    pub seed: u64,
    /// Cities whose crops are in the map as well.
    pub distractors: Vec<String>,
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Crops in the map.
    pub crops: usize,
    /// Columns and lines of the mosaic.
    pub layout: (usize, usize),
    /// Crops that photos show.
    pub flown: usize,
    /// Photos of the flight.
    pub photos: u64,
    /// Passes.
    pub passes: u64,
}

/// Writes `map.png` with its world file, `flight` and `passes/000` and so on into a folder.
///
/// # Errors
/// When there is no such imagery, settings make no sense, or something cannot be written.
pub fn cross_date(settings: &CrossDate, out: &Path) -> Result<Made, SimulateError> {
    settings.check()?;
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    let (sheet, crops) = mosaic(settings, &mut random)?;
    sheet.write(out)?;
    let mut order: Vec<&Cell> = sheet.cells.iter().collect();
    order.shuffle(&mut random);
    let flight = Flown { settings, sheet: &sheet, order: &order };
    let photos = flight.photos(&out.join("flight"), &mut random)?;
    let passes = flight.passes(&out.join("passes"), &mut random)?;
    Ok(Made { crops, layout: layout(crops), flown: order.len(), photos, passes })
}

impl CrossDate {
    fn check(&self) -> Result<(), SimulateError> {
        let ranges = [
            ("gsd_m", self.gsd_m, 0.05, 10.0, "must lie between 0.05 and 10 m"),
            ("pass_part", self.pass_part, 0.05, 1.0, "must lie between 0.05 and 1"),
        ];
        let bad = ranges.into_iter().find(|(_, value, low, high, _)| !(low..=high).contains(&value));
        if let Some((name, value, _, _, wanted)) = bad {
            return Err(SimulateError::Setting { name, value, wanted });
        }
        match self.distractors.iter().find(|city| self.cities.contains(city)) {
            Some(city) => Err(SimulateError::Material {
                path: self.folder.clone(),
                what: format!("{city} is the flight's own ground, and cannot distract from it"),
            }),
            None => Ok(()),
        }
    }
}

/// The map's sheet, and how many crops it holds.
fn mosaic(settings: &CrossDate, random: &mut ChaCha8Rng) -> Result<(Sheet, usize), SimulateError> {
    let source = Crops::open(&settings.folder)?;
    let [year_a, year_b] = &settings.years;
    let (mut places, mut shifts): (Vec<Place>, Vec<Option<(f64, f64)>>) = (Vec::new(), Vec::new());
    for city in &settings.cities {
        let pairs = source.pairs(city, year_a, year_b);
        if pairs.is_empty() {
            return Err(source.error(format!("there is no pair of {city} of {year_a} and {year_b}")));
        }
        for (place, shift) in pairs {
            places.push(place);
            shifts.push(Some(shift));
        }
    }
    for city in &settings.distractors {
        let found = source.places(city, year_a)?;
        if found.is_empty() {
            return Err(source.error(format!("there is no imagery of {city} of {year_a}")));
        }
        shifts.extend(found.iter().map(|_| None));
        places.extend(found);
    }
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.shuffle(random);
    let places: Vec<Place> = order.iter().map(|&i| places[i].clone()).collect();
    let shifts: Vec<Option<(f64, f64)>> = order.iter().map(|&i| shifts[i]).collect();
    let mapped = source.read(&places, year_a)?;
    let seen: Vec<Place> = places.iter().zip(&shifts).filter(|(_, s)| s.is_some()).map(|(p, _)| p.clone()).collect();
    let mut flown = source.read(&seen, year_b)?.into_iter();
    let crop =
        |(mapped, shift): (RgbImage, Option<(f64, f64)>)| Crop { mapped, flown: shift.and_then(|s| Some((flown.next()?, s))) };
    let crops: Vec<Crop> = mapped.into_iter().zip(shifts).map(crop).collect();
    let count = crops.len();
    Ok((Sheet::of_crops("map", crops, settings.gsd_m, CORNER), count))
}

/// A number between two.
pub(super) fn between(random: &mut ChaCha8Rng, (low, high): (f64, f64)) -> f64 {
    low + (high - low) * random.random::<f64>()
}

/// A normal number.
pub(super) fn gaussian(random: &mut ChaCha8Rng, sigma: f64) -> f64 {
    let unit: f64 = StandardNormal.sample(random);
    sigma * unit
}

/// What a photo of a cell is told to show: height, heading and lean as sensors have them, with what is true.
pub(super) fn still(shot: &Shot, sheet: &Sheet, cell: &Cell, lens: &Intrinsics, stamp_ns: i64, random: &mut ChaCha8Rng) -> Still {
    Still {
        stamp_ns,
        height_m: shot.height_m,
        height_sigma_m: TOLD_SIGMA.0,
        heading_deg: (shot.heading_rad.to_degrees() + gaussian(random, TOLD_SIGMA.1)).rem_euclid(360.0),
        heading_sigma_deg: TOLD_SIGMA.1,
        truth: Some(shot.truth(sheet, cell, lens)),
    }
}

struct Flown<'a> {
    settings: &'a CrossDate,
    sheet: &'a Sheet,
    order: &'a [&'a Cell],
}

/// A photo that is to be taken.
type Planned<'a> = (&'a Cell, Shot, Still);

impl Flown<'_> {
    fn made_by(&self) -> String {
        let s = self.settings;
        let distractors =
            if s.distractors.is_empty() { String::new() } else { format!(" --distractors {}", s.distractors.join(",")) };
        format!(
            "skyfix eval scenes cross-date --cities {} --years {} --gsd {} --frames {} --passes {} --part {} --seed {}{distractors}",
            s.cities.join(","),
            s.years.join(","),
            s.gsd_m,
            s.frames,
            s.passes,
            s.pass_part,
            s.seed
        )
    }

    /// As much larger than on ground of its own pixel size.
    fn scale(&self) -> f64 {
        self.settings.gsd_m / OWN_GSD_M
    }

    fn too_small(&self) -> SimulateError {
        SimulateError::Material { path: self.settings.folder.clone(), what: "no photo fits into its crops".into() }
    }

    /// A place near the middle of a cell.
    fn near_the_middle(cell: &Cell, random: &mut ChaCha8Rng) -> (f64, f64) {
        let (width, height) = cell.flown.size_px();
        let mut off = || between(random, (-OFF_MIDDLE_PX, OFF_MIDDLE_PX));
        (width / 2.0 + off(), height / 2.0 + off())
    }

    fn photos(&self, out: &Path, random: &mut ChaCha8Rng) -> Result<u64, SimulateError> {
        let lens = Intrinsics::centred(LENS.0, LENS.1, LENS.2);
        let mut planned: Vec<Planned<'_>> = Vec::new();
        for number in 0..self.settings.frames {
            let cell = self.order[number as usize % self.order.len()];
            let shot = (0..TRIES).find_map(|_| {
                let shot = Shot {
                    height_m: between(random, HEIGHT_M) * self.scale(),
                    heading_rad: between(random, (0.0, std::f64::consts::TAU)),
                    tilt_rad: [0; 2].map(|_| gaussian(random, TILT_SIGMA_DEG.to_radians())),
                    below_px: Self::near_the_middle(cell, random),
                    velocity_en_m_s: [0.0; 2],
                };
                shot.fits(&cell.flown, &lens).then_some(shot)
            });
            let shot = shot.ok_or_else(|| self.too_small())?;
            planned.push((cell, shot, still(&shot, self.sheet, cell, &lens, (number as i64 + 1) * APART_NS, random)));
        }
        self.write(out, "A flight over real ground of another date, made by skyfix.", &lens, &planned, 0)
    }

    fn passes(&self, out: &Path, random: &mut ChaCha8Rng) -> Result<u64, SimulateError> {
        let px = |whole: u32| ((f64::from(whole) * self.settings.pass_part).round() as u32).max(1);
        let lens = Intrinsics::centred(px(LENS.0), px(LENS.1), LENS.2);
        for number in 0..self.settings.passes {
            let cell = self.order[number as usize % self.order.len()];
            let shots = (0..TRIES).find_map(|_| {
                let shots = self.pass(cell, random);
                shots.iter().all(|shot| shot.fits(&cell.flown, &lens)).then_some(shots)
            });
            let shots = shots.ok_or_else(|| self.too_small())?;
            let planned: Vec<Planned<'_>> = shots
                .into_iter()
                .enumerate()
                .map(|(i, shot)| {
                    let stamp_ns = crate::time::nanos_from_seconds((i + 1) as f64 * PASS_STEP_S);
                    (cell, shot, still(&shot, self.sheet, cell, &lens, stamp_ns, random))
                })
                .collect();
            let title = "A pass over real ground of another date, made by skyfix.";
            self.write(&out.join(format!("{number:03}")), title, &lens, &planned, number + 1)?;
        }
        Ok(self.settings.passes)
    }

    /// Shots a second apart along a straight line that passes near the middle of a cell.
    fn pass(&self, cell: &Cell, random: &mut ChaCha8Rng) -> Vec<Shot> {
        let heading_rad = between(random, (0.0, std::f64::consts::TAU));
        let speed_m_s = between(random, PASS_SPEED_M_S) * self.scale();
        let height_m = between(random, HEIGHT_M) * self.scale();
        let lean = [0; 2].map(|_| gaussian(random, TILT_SIGMA_DEG));
        let middle = Self::near_the_middle(cell, random);
        let velocity = [speed_m_s * heading_rad.sin(), speed_m_s * heading_rad.cos()];
        (0..PASS_FRAMES)
            .map(|i| {
                let t = (i as f64 - (PASS_FRAMES - 1) as f64 / 2.0) * PASS_STEP_S / cell.flown.gsd_m;
                Shot {
                    below_px: (middle.0 + velocity[0] * t, middle.1 - velocity[1] * t),
                    height_m,
                    heading_rad,
                    tilt_rad: lean.map(|deg| (deg + gaussian(random, PASS_SWAY_DEG)).to_radians()),
                    velocity_en_m_s: velocity,
                }
            })
            .collect()
    }

    /// Takes photos and writes them as a recording.
    fn write(
        &self,
        out: &Path,
        title: &str,
        lens: &Intrinsics,
        planned: &[Planned<'_>],
        lane: u64,
    ) -> Result<u64, SimulateError> {
        let noise = mix(self.settings.seed ^ mix(lane));
        let take = |(i, (cell, shot, _)): (usize, &Planned<'_>)| {
            shot.take(&cell.flown, lens, &Look::AS_IT_IS, mix(noise ^ (i as u64 + 1)))
        };
        let images: Vec<RgbImage> = planned.par_iter().enumerate().map(take).collect();
        let mut stills = StillsWriter::begin(out, title, &Camera::nadir(*lens), &self.made_by())?;
        for ((_, _, still), image) in planned.iter().zip(&images) {
            stills.add(image, JPEG_QUALITY, still)?;
        }
        stills.finish()?;
        Ok(planned.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::noise::fbm;
    use image::Rgb;

    /// A folder of crops of two cities and two years: the second year is shifted by 2 px to the right, and brighter.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut pairs = String::from("city,id,year_a,year_b,dx_px,dy_px,peak,ncc_aligned,ncc_raw\n");
        for (city, count) in [("here", 5u32), ("there", 2)] {
            for id in 0..count {
                for (year, shift, bright) in [(2016, 0i64, 0.0), (2020, 2, 20.0)] {
                    let seed = u64::from(id) + 100 * city.len() as u64;
                    let image = RgbImage::from_fn(256, 256, |x, y| {
                        let v = fbm(seed, (i64::from(x) - shift) as f64 / 12.0, f64::from(y) / 12.0, 3);
                        Rgb([(110.0 + 100.0 * v + bright) as u8; 3])
                    });
                    image.save(folder.path().join(format!("{city}_{id:03}_{year}.jpg"))).unwrap();
                }
                // The last one was not aligned.
                let ncc = if id == 4 { 0.1 } else { 0.8 };
                pairs += &format!("{city},{id},2016,2020,2.0,0.0,0.6,{ncc},0.7\n");
            }
        }
        std::fs::write(folder.path().join("pairs.csv"), pairs).unwrap();
        folder
    }

    fn settings(folder: &Path) -> CrossDate {
        CrossDate {
            folder: folder.into(),
            cities: vec!["here".into()],
            years: ["2016".into(), "2020".into()],
            gsd_m: 0.6,
            frames: 3,
            passes: 1,
            pass_part: 0.25,
            seed: 11,
            distractors: vec!["there".into()],
        }
    }

    fn truth(out: &Path) -> Vec<csv::StringRecord> {
        csv::Reader::from_path(out.join("truth.csv")).unwrap().records().map(Result::unwrap).collect()
    }

    #[test]
    fn photos_show_the_maps_ground_where_the_truth_says_and_the_same_seed_gives_the_same_bytes() {
        let folder = folder();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let made = cross_date(&settings(folder.path()), &a).unwrap();
        assert_eq!(made, Made { crops: 6, layout: (3, 2), flown: 4, photos: 3, passes: 1 });
        cross_date(&settings(folder.path()), &b).unwrap();
        for name in
            ["map.png", "flight/photos/000002.jpg", "flight/truth.csv", "flight/heading.csv", "passes/000/photos/000010.jpg"]
        {
            assert_eq!(std::fs::read(a.join(name)).unwrap(), std::fs::read(b.join(name)).unwrap(), "{name}");
        }
        let map = folder.path().join("map.mbtiles");
        crate::map::build(&[a.join("map.png")], &map, &crate::map::BuildOptions::default(), &|_| {}).unwrap();
        let map = crate::map::MapStore::open(&map).unwrap();
        let region = &map.regions()[0];
        for flight in ["flight", "passes/000"] {
            let recording = crate::recording::read(&a.join(flight)).unwrap();
            for row in truth(&a.join(flight)) {
                let number = |i: usize| row[i].parse::<f64>().unwrap();
                let image = image::open(a.join(flight).join("photos").join(&row[0])).unwrap().into_rgb8();
                let i = recording.camera.intrinsics;
                let at = region.plane.ground_from_lat_lon(number(2), number(3));
                let body = nalgebra::UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(
                    number(9),
                    number(10),
                    number(11),
                    number(12),
                ));
                let frame = crate::simulate::appearance::PosedFrame {
                    image: &image,
                    focal_px: i.fx_px,
                    centre_px: (i.cx_px, i.cy_px),
                    position: crate::geo::Enu { u_m: number(5), ..at },
                    enu_from_camera: body * crate::types::nadir_body_from_camera(),
                };
                let seen = crate::simulate::appearance::correlation(&map, region, &frame, 0.6).unwrap().unwrap();
                assert!(seen > 0.8, "{flight} {}: {seen}", &row[0]);
            }
        }
    }

    #[test]
    fn a_pass_is_a_straight_line_of_ten_seconds() {
        let folder = folder();
        let out = folder.path().join("out");
        cross_date(&settings(folder.path()), &out).unwrap();
        let rows = truth(&out.join("passes/000"));
        assert_eq!(rows.len(), 10);
        let number = |row: &csv::StringRecord, i: usize| row[i].parse::<f64>().unwrap();
        let plane = crate::geo::EnuPlane::at(crate::geo::Geodetic::ground(number(&rows[0], 2), number(&rows[0], 3)));
        let speed = number(&rows[0], 6).hypot(number(&rows[0], 7));
        let last = plane.ground_from_lat_lon(number(&rows[9], 2), number(&rows[9], 3));
        assert!((last.e_m.hypot(last.n_m) - 9.0 * speed).abs() < 0.05 && (5.0..=12.0).contains(&speed), "{last:?} {speed}");
        assert_eq!(&rows[9][1], "10000000000");
    }

    #[test]
    fn what_cannot_be_made_gets_an_error_that_says_why() {
        let folder = folder();
        let out = folder.path().join("out");
        let error = |edit: fn(&mut CrossDate)| {
            let mut settings = settings(folder.path());
            edit(&mut settings);
            cross_date(&settings, &out).unwrap_err().to_string()
        };
        assert!(error(|s| s.cities = vec!["nowhere".into()]).contains("no pair of nowhere"));
        assert!(error(|s| s.years[1] = "2018".into()).contains("2018"));
        assert!(error(|s| s.distractors = vec!["here".into()]).contains("own ground"));
        assert!(error(|s| s.distractors = vec!["far".into()]).contains("no imagery of far"));
        assert!(error(|s| s.gsd_m = f64::NAN).contains("gsd_m"));
        assert!(error(|s| s.folder = "/nowhere".into()).contains("/nowhere/pairs.csv"));
    }
}
