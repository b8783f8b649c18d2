//! Photos of ground that a map does not show: what comes of them as a position is wrong. The ground itself is written beside them, so that a
//! map that does show it can be built, and abstaining from everything is seen for what it is.
//!
//! Seven kinds of ground, mixed: tiles of a northern town and its woods, of dry hills, of a village, drone mosaics of settlements, forest from
//! close by, crops of other cities (photos of another year than the map where there are some), and simulated land.

use std::path::{Path, PathBuf};

use image::RgbImage;
use image::imageops::{crop_imm, replace};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::cross_date::{APART_NS, CORNER, HEIGHT_M, JPEG_QUALITY, TILT_SIGMA_DEG, between, gaussian, still};
use super::ground::{Cell, Corner, Crop, Sheet, layout};
use super::imagery::{self, Imagery};
use super::photo::{Look, Shot};
use super::sources::{Crops, Place};
use crate::geo::mercator::{ground_sampling_distance_m, lat_lon_from_pixel};
use crate::simulate::SimulateError;
use crate::simulate::look::Look as Season;
use crate::simulate::noise::mix;
use crate::simulate::scene::{Scene, WorldScene};
use crate::simulate::stills::{Still, StillsWriter};
use crate::simulate::world::World;
use crate::types::{Camera, Intrinsics};

/// Finest pixels that a photo at these heights resolves, metres.
const RESOLVED_M: f64 = 0.14;
/// Degrees of longitude between sheets, so that each is a region of its own.
const APART_DEG: f64 = 0.1;
/// Crops of each city, at most.
const CROPS: usize = 36;
/// Pixel size of those crops, metres.
const CROP_GSD_M: f64 = 0.6;
/// Forest: pixel size, metres, and pictures of the mosaic.
const FOREST: (f64, usize) = (0.1, 49);
/// Simulated land: side, metres; pixel sizes of the map and of what is flown over, metres; share of parcels that changed.
const LAND: (f64, f64, f64, f64) = (360.0, 0.3, 0.15, 0.4);
/// Shots that are tried for each photo, at most.
const TRIES: u64 = 5000;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The development data.
    pub data: PathBuf,
    /// Photos, of all kinds of ground in turn.
    pub frames: u64,
    /// Everything random follows from it.
    pub seed: u64,
    /// Cities of the map, whose crops are left out.
    pub mapped: Vec<String>,
}

/// What was made: the kinds of ground with their sheets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignMade {
    /// Names of the kinds and how many photos show each.
    pub kinds: Vec<(String, u64)>,
}

/// A kind of ground.
struct Kind {
    name: &'static str,
    sheets: Vec<Sheet>,
    /// Whether photos are taken of imagery that is not the map's own.
    other_date: bool,
}

/// Writes `ground/*.png` with world files, and `flight` with its truth on that ground and `kinds.csv`, into a folder.
///
/// # Errors
/// When the data are not there or something cannot be written.
pub fn foreign(settings: &Foreign, out: &Path) -> Result<ForeignMade, SimulateError> {
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed ^ 0x0f0e);
    let mut kinds = kinds(settings, &mut random)?;
    let mut longitude = CORNER.lon_deg;
    for sheet in kinds.iter_mut().flat_map(|k| &mut k.sheets) {
        longitude += APART_DEG;
        sheet.corner = Corner { lon_deg: longitude, ..CORNER };
        sheet.write(&out.join("ground"))?;
    }
    let lens = Intrinsics::centred(640, 480, 466.0);
    let mut planned: Vec<(&Kind, &Cell, Shot, Look, Still)> = Vec::new();
    for number in 0..settings.frames {
        let kind = &kinds[number as usize % kinds.len()];
        let (sheet, cell, shot) = shot_of(kind, &lens, &mut random).ok_or_else(|| SimulateError::Material {
            path: settings.data.clone(),
            what: format!("no photo fits into the imagery of {}", kind.name),
        })?;
        let look = look(kind, &mut random);
        planned.push((kind, cell, shot, look, still(&shot, sheet, cell, &lens, (number as i64 + 1) * APART_NS, &mut random)));
    }
    let noise = mix(settings.seed ^ 0x0f0e_d00d);
    let images: Vec<RgbImage> = planned
        .par_iter()
        .enumerate()
        .map(|(i, (_, cell, shot, look, _))| shot.take(&cell.flown, &lens, look, mix(noise ^ (i as u64 + 1))))
        .collect();
    let made_by = format!(
        "skyfix eval scenes foreign --frames {} --seed {} --mapped {}",
        settings.frames,
        settings.seed,
        settings.mapped.join(",")
    );
    let folder = out.join("flight");
    let mut stills =
        StillsWriter::begin(&folder, "Photos of ground of several kinds, made by skyfix.", &Camera::nadir(lens), &made_by)?;
    let mut table = String::from("frame,kind\n");
    for (i, ((kind, _, _, _, still), image)) in planned.iter().zip(&images).enumerate() {
        stills.add(image, JPEG_QUALITY, still)?;
        table += &format!("{},{}\n", crate::simulate::record::photo_name(i as u64 + 1), kind.name);
    }
    stills.finish()?;
    let path = folder.join("kinds.csv");
    std::fs::write(&path, table).map_err(|source| SimulateError::Write { path, source })?;
    let count = |kind: &Kind| planned.iter().filter(|p| p.0.name == kind.name).count() as u64;
    Ok(ForeignMade { kinds: kinds.iter().map(|k| (k.name.to_owned(), count(k))).collect() })
}

/// A shot that fits into some imagery of a kind.
fn shot_of<'a>(kind: &'a Kind, lens: &Intrinsics, random: &mut ChaCha8Rng) -> Option<(&'a Sheet, &'a Cell, Shot)> {
    let cells: Vec<(&Sheet, &Cell)> = kind.sheets.iter().flat_map(|s| s.cells.iter().map(move |c| (s, c))).collect();
    (0..TRIES).find_map(|_| {
        let (sheet, cell) = *cells.get(between(random, (0.0, cells.len() as f64)) as usize)?;
        let (width, height) = cell.flown.size_px();
        let shot = Shot {
            below_px: (between(random, (0.0, width)), between(random, (0.0, height))),
            height_m: between(random, HEIGHT_M),
            heading_rad: between(random, (0.0, std::f64::consts::TAU)),
            tilt_rad: [0; 2].map(|_| gaussian(random, TILT_SIGMA_DEG.to_radians())),
            velocity_en_m_s: [0.0; 2],
        };
        shot.fits(&cell.flown, lens).then_some((sheet, cell, shot))
    })
}

/// A photo of the map's own imagery at least has another light.
fn look(kind: &Kind, random: &mut ChaCha8Rng) -> Look {
    if kind.other_date {
        return Look::AS_IT_IS;
    }
    Look {
        gain: [0; 3].map(|_| between(random, (0.85, 1.15)) as f32),
        gamma: between(random, (0.8, 1.25)) as f32,
        ..Look::AS_IT_IS
    }
}

fn kinds(settings: &Foreign, random: &mut ChaCha8Rng) -> Result<Vec<Kind>, SimulateError> {
    let data = &settings.data;
    let own = |name, sheets| Kind { name, sheets, other_date: false };
    Ok(vec![
        own("wildnav", wildnav(&data.join("wildnav"))?),
        own("ariel_tiles", vec![tiles(&data.join("ariel_tiles"))?]),
        own("fengyuan", vec![fengyuan(&data.join("fengyuan/map.jpg"))?]),
        own("oam_drone", mosaics(&data.join("train/oam_drone"))?),
        own("neon_single", vec![forest(&data.join("train/neon_single"), random)?]),
        Kind { name: "naip", sheets: cities(&data.join("train/naip_multiyear"), &settings.mapped, random)?, other_date: true },
        Kind { name: "simulated", sheets: vec![simulated(settings.seed)], other_date: true },
    ])
}

fn material(path: &Path, what: impl ToString) -> SimulateError {
    SimulateError::Material { path: path.into(), what: what.to_string() }
}

/// Files of a folder with an ending, in order of their names.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, SimulateError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| material(folder, e))? {
        let path = entry.map_err(|e| material(folder, e))?.path();
        found.extend(path.to_string_lossy().ends_with(ending).then_some(path));
    }
    found.sort();
    if found.is_empty() { Err(material(folder, format!("holds no {ending}"))) } else { Ok(found) }
}

/// Tiles whose size on the ground is that of the first row of their table of corners.
fn wildnav(folder: &Path) -> Result<Vec<Sheet>, SimulateError> {
    let table = folder.join("map.csv");
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&table).map_err(|e| material(&table, e))?;
    let mut sheets = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|e| material(&table, e))?;
        let number = |i: usize| {
            row.get(i)
                .and_then(|v| v.parse::<f64>().ok())
                .ok_or_else(|| material(&table, format!("{row:?} is no row of corners")))
        };
        let (name, north, south) = (row.get(0).unwrap_or_default().trim_matches('"'), number(1)?, number(3)?);
        let path = folder.join(name);
        // The table names some that are not there.
        if !path.is_file() {
            continue;
        }
        let image = imagery::read(&path)?;
        // Of a degree of latitude at 60°, metres.
        let gsd_m = (north - south) * 111_415.0 / f64::from(image.height());
        let stem = name.split('.').next().unwrap_or_default();
        sheets.push(Sheet::of_picture(&format!("wildnav_{stem}"), Imagery { image, gsd_m }.no_finer_than(RESOLVED_M), CORNER));
    }
    if sheets.is_empty() { Err(material(&table, "names no tile that is there")) } else { Ok(sheets) }
}

/// The tiles of a folder z/x/y as one picture.
fn tiles(folder: &Path) -> Result<Sheet, SimulateError> {
    let number = |path: &Path| path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u32>().ok());
    let zoom_folder =
        files(folder, "")?.into_iter().find(|p| number(p).is_some()).ok_or_else(|| material(folder, "holds no zoom"))?;
    let zoom = number(&zoom_folder).and_then(|z| u8::try_from(z).ok()).ok_or_else(|| material(folder, "holds no zoom"))?;
    let mut found: Vec<(u32, u32, PathBuf)> = Vec::new();
    for column in files(&zoom_folder, "")? {
        for tile in files(&column, ".jpg")? {
            found.extend(number(&column).zip(number(&tile)).map(|(x, y)| (x, y, tile)));
        }
    }
    let range = |of: fn(&(u32, u32, PathBuf)) -> u32| found.iter().map(of).fold((u32::MAX, 0), |(a, b), v| (a.min(v), b.max(v)));
    let ((west, east), (north, south)) = (range(|t| t.0), range(|t| t.1));
    if found.is_empty() || east - west > 64 || south - north > 64 {
        return Err(material(&zoom_folder, "is no small rectangle of tiles"));
    }
    let mut image = RgbImage::new((east - west + 1) * 256, (south - north + 1) * 256);
    for (x, y, path) in &found {
        replace(&mut image, &imagery::read(path)?, i64::from((x - west) * 256), i64::from((y - north) * 256));
    }
    let (lat_deg, _) = lat_lon_from_pixel(zoom, f64::from(west) * 256.0, f64::from(north) * 256.0);
    Ok(Sheet::of_picture("ariel_tiles", Imagery { image, gsd_m: ground_sampling_distance_m(zoom, lat_deg) }, CORNER))
}

/// The map of the real flight: looked at as it is, without regard to its turn by less than a degree.
fn fengyuan(path: &Path) -> Result<Sheet, SimulateError> {
    const GSD_M: f64 = 0.162;
    Ok(Sheet::of_picture("fengyuan", Imagery { image: imagery::read(path)?, gsd_m: GSD_M }, CORNER))
}

/// Drone mosaics, those that are large enough for a photo.
fn mosaics(folder: &Path) -> Result<Vec<Sheet>, SimulateError> {
    let table = folder.join("index.csv");
    let mut reader = csv::Reader::from_path(&table).map_err(|e| material(&table, e))?;
    let mut sheets = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|e| material(&table, e))?;
        let gsd_m: f64 =
            row.get(7).and_then(|v| v.parse().ok()).ok_or_else(|| material(&table, format!("{row:?} has no gsd_m")))?;
        let name = row.get(0).unwrap_or_default();
        let image = imagery::read(&folder.join(name))?;
        // Shorter than the shorter side of what the lowest photo sees: none would ever fit.
        if f64::from(image.width().min(image.height())) * gsd_m > 100.0 {
            let stem = name.split('.').next().unwrap_or_default();
            sheets.push(Sheet::of_picture(stem, Imagery { image, gsd_m }.no_finer_than(RESOLVED_M), CORNER));
        }
    }
    if sheets.is_empty() { Err(material(&table, "names no large mosaic")) } else { Ok(sheets) }
}

/// Crops of forest side by side as one ground: each alone is smaller than what a photo sees.
fn forest(folder: &Path, random: &mut ChaCha8Rng) -> Result<Sheet, SimulateError> {
    let mut paths = files(folder, ".jpg")?;
    paths.shuffle(random);
    let images: Vec<RgbImage> = paths.iter().take(FOREST.1).map(|p| imagery::read(p)).collect::<Result<_, _>>()?;
    let side = images.iter().map(|i| i.width().min(i.height())).min().unwrap_or(1);
    // Full lines only.
    let columns = layout(images.len()).0;
    let lines = images.len() / columns;
    let mut image = RgbImage::new(columns as u32 * side, lines as u32 * side);
    for (i, crop) in images.iter().take(columns * lines).enumerate() {
        let at = ((i % columns) as i64 * i64::from(side), (i / columns) as i64 * i64::from(side));
        replace(&mut image, &crop_imm(crop, 0, 0, side, side).to_image(), at.0, at.1);
    }
    Ok(Sheet::of_picture("neon_single", Imagery { image, gsd_m: FOREST.0 }.no_finer_than(RESOLVED_M), CORNER))
}

/// Cities that the map does not show. Photos are of 2020, the map of the earliest year of which there are pairs, or of 2020 as well.
fn cities(folder: &Path, mapped: &[String], random: &mut ChaCha8Rng) -> Result<Vec<Sheet>, SimulateError> {
    const ALL: [&str; 7] = ["bishop", "chico", "claremont", "eureka", "long_beach", "palm_springs", "riverside"];
    let source = Crops::open(folder)?;
    let mut sheets = Vec::new();
    for city in ALL.into_iter().filter(|c| !mapped.iter().any(|m| m == c)) {
        let early =
            ["2016", "2018"].into_iter().map(|year| (year, source.pairs(city, year, "2020"))).find(|(_, p)| !p.is_empty());
        let (year, shifts) = match early {
            Some((year, pairs)) => (year, pairs.into_iter().collect::<Vec<_>>()),
            None => ("2020", source.places(city, "2020")?.into_iter().map(|place| (place, (0.0, 0.0))).collect()),
        };
        let mut chosen: Vec<(Place, (f64, f64))> = shifts;
        chosen.shuffle(random);
        chosen.truncate(CROPS);
        let places: Vec<Place> = chosen.iter().map(|c| c.0.clone()).collect();
        let (maps, photos) = (source.read(&places, year)?, source.read(&places, "2020")?);
        let crops: Vec<Crop> = maps
            .into_iter()
            .zip(photos)
            .zip(&chosen)
            .map(|((mapped, flown), (_, shift))| Crop { mapped, flown: Some((flown, *shift)) })
            .collect();
        if !crops.is_empty() {
            sheets.push(Sheet::of_crops(&format!("naip_{city}"), crops, CROP_GSD_M, CORNER));
        }
    }
    if sheets.is_empty() { Err(source.error("every city is in the map".into())) } else { Ok(sheets) }
}

/// Land of the simulator, as a satellite saw it and, of another season and sharper, as it is flown over.
fn simulated(seed: u64) -> Sheet {
    let (side_m, map_gsd_m, flown_gsd_m, changed) = LAND;
    let world = std::sync::Arc::new(World::new(seed, side_m / 2.0 + 60.0, changed));
    let seen = |look: Season, gsd_m: f64| {
        let scene = WorldScene { world: std::sync::Arc::clone(&world), look };
        let side = (side_m / gsd_m).round() as u32;
        let pixels: Vec<[u8; 3]> = (0..side * side)
            .into_par_iter()
            .map(|i| {
                let metres = |px: u32| (f64::from(px) + 0.5) * gsd_m - side_m / 2.0;
                scene.seen(metres(i % side), -metres(i / side), (0.0, 0.0), gsd_m).map(|v| (v + 0.5).clamp(0.0, 255.0) as u8)
            })
            .collect();
        RgbImage::from_fn(side, side, |x, y| image::Rgb(pixels[(y * side + x) as usize]))
    };
    let flown = Imagery { image: seen(Season::flown(), flown_gsd_m), gsd_m: flown_gsd_m };
    let cell = Cell { flown: std::sync::Arc::new(flown), origin_m: (0.0, 0.0), shift_px: (0.0, 0.0) };
    Sheet {
        name: "simulated".into(),
        picture: seen(Season::mapped(), map_gsd_m),
        gsd_m: map_gsd_m,
        corner: CORNER,
        cells: vec![cell],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_land_is_the_same_ground_in_both_seasons() {
        let sheet = simulated(3);
        let flown = &sheet.cells[0].flown.image;
        let grey = |p: &image::Rgb<u8>| f64::from(p.0[1]);
        let pairs: Vec<(f64, f64)> = (0..100)
            .flat_map(|j| (0..100).map(move |i| (10 * i + 100, 10 * j + 100)))
            .map(|(x, y)| (grey(sheet.picture.get_pixel(x, y)), grey(flown.get_pixel(2 * x, 2 * y))))
            .collect();
        let n = pairs.len() as f64;
        let mean = pairs.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
        let (ab, aa, bb) = pairs.iter().fold((0.0, 0.0, 0.0), |s, p| {
            let (a, b) = (p.0 - mean.0, p.1 - mean.1);
            (s.0 + a * b, s.1 + a * a, s.2 + b * b)
        });
        assert!(ab / (aa * bb).sqrt() > 0.2, "{}", ab / (aa * bb).sqrt());
    }

    #[test]
    fn data_that_are_not_there_are_named() {
        let settings = Foreign { data: "/nowhere".into(), frames: 1, seed: 1, mapped: Vec::new() };
        let error = foreign(&settings, Path::new("/nowhere/out")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/wildnav/map.csv"), "{error}");
    }

    #[test]
    fn tiles_of_a_folder_lie_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        for (x, y, value) in [(7u32, 5u32, 10u8), (8, 5, 90), (7, 6, 200)] {
            let place = folder.path().join(format!("18/{x}"));
            std::fs::create_dir_all(&place).unwrap();
            RgbImage::from_pixel(256, 256, image::Rgb([value; 3])).save(place.join(format!("{y}.jpg"))).unwrap();
        }
        let sheet = tiles(folder.path()).unwrap();
        assert_eq!(sheet.picture.dimensions(), (512, 512));
        let value = |x, y| sheet.picture.get_pixel(x, y).0[0];
        assert!(value(300, 100).abs_diff(90) < 3 && value(100, 300).abs_diff(200) < 3 && value(300, 300) == 0);
    }
}
