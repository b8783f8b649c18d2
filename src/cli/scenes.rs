//! `skyfix eval scenes`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use skyfix::simulate::acceptance::crop::crop;
use skyfix::simulate::acceptance::cross_date::{CrossDate, cross_date};
use skyfix::simulate::acceptance::foreign::{Foreign, foreign};
use skyfix::simulate::no_ground::{self, DrawnUp, KINDS, Kind};
use skyfix::text::shell_word;

use super::progress::progress_bar;

/// Make the flights that acceptance of fixes is measured on.
#[derive(Subcommand)]
pub enum Verb {
    /// Pictures that show no ground: test signals, screens, sky and the like
    NoGround(NoGroundArguments),
    /// Photos of real ground of another date than the map, one by one and in passes
    CrossDate(CrossDateArguments),
    /// Photos of ground that the map does not show
    Foreign(ForeignArguments),
    /// The middle of every photo of a flight, as a narrower lens would see it
    Crop(CropArguments),
}

const NO_GROUND_EXAMPLES: &str = "Examples:
  skyfix eval scenes no-ground out/no_ground --kinds building --frames 20 --height 80
  skyfix eval scenes no-ground out/sky --kinds sky,room --seed 7
  skyfix replay out/no_ground/menu --map area.mbtiles --no-prior --out out/menu

Each kind becomes a recording OUT/KIND: photos half a second apart with a height and a heading, and no truth, since there is none. Of ten
frames five are a picture each and five show one that stands. Half of the kinds (building) are there while acceptance is built, half
(afterwards) were drawn up afterwards.";

/// Pictures without ground.
#[derive(Args)]
#[command(after_help = NO_GROUND_EXAMPLES)]
pub struct NoGroundArguments {
    /// Folder for the recordings
    out: PathBuf,
    /// Kinds: building, afterwards, all, or names
    #[arg(long, default_value = "all", value_name = "building|afterwards|all|NAME,...", value_parser = kinds)]
    kinds: Kinds,
    /// Frames of each kind
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    frames: u64,
    /// Height above ground that is told, metres
    #[arg(long, default_value_t = 80.0, value_name = "METRES", value_parser = height)]
    height: f64,
    /// Everything random follows from it: the same seed gives the same bytes
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// Kinds that were asked for.
#[derive(Clone)]
struct Kinds(Vec<Kind>);

fn kinds(text: &str) -> Result<Kinds, String> {
    let of = |when| KINDS.into_iter().filter(|k: &Kind| k.drawn_up == when).collect();
    match text {
        "all" => return Ok(Kinds(KINDS.into())),
        "building" => return Ok(Kinds(of(DrawnUp::Building))),
        "afterwards" => return Ok(Kinds(of(DrawnUp::Afterwards))),
        _ => {}
    }
    let one = |name: &str| {
        KINDS.into_iter().find(|k| k.name == name).ok_or_else(|| {
            let names = KINDS.map(|k| k.name).join(", ");
            format!("there is no kind '{name}': give building, afterwards, all or some of {names}")
        })
    };
    text.split(',').map(one).collect::<Result<_, _>>().map(Kinds)
}

fn height(text: &str) -> Result<f64, String> {
    between(text, 10.0, 5000.0, "metres")
}

fn between(text: &str, low: f64, high: f64, unit: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("give {low} to {high} {unit}")) }
}

const CROSS_DATE_EXAMPLES: &str = "Examples:
  skyfix eval scenes cross-date ../shared/data/train/naip_multiyear out/cd --cities riverside,claremont --years 2016,2020
  skyfix eval scenes cross-date ../shared/data/train/naip_multiyear out/cd --cities chico --years 2018,2020 --gsd 0.595 --frames 60
  skyfix map build out/cd/map.png -o out/cd/map.mbtiles && skyfix map index out/cd/map.mbtiles
  skyfix replay out/cd/flight --map out/cd/map.mbtiles --no-prior --odometry off --out out/cd/run

Writes OUT/map.png with its world file, OUT/flight, and OUT/passes/000 and so on: each pass is a recording of ten frames a second apart
along a straight line over one crop, with a view of --part of the whole one, and no IMU.";

/// A flight over real ground of another date.
#[derive(Args)]
#[command(after_help = CROSS_DATE_EXAMPLES)]
pub struct CrossDateArguments {
    /// Folder of crops with pairs.csv (train/naip_multiyear)
    data: PathBuf,
    /// Folder to write into
    out: PathBuf,
    /// Cities that are flown over
    #[arg(long, required = true, value_delimiter = ',', value_name = "CITY,...")]
    cities: Vec<String>,
    /// Year of the map and year of the photos
    #[arg(long, required = true, value_name = "YEAR,YEAR", value_parser = years)]
    years: Years,
    /// What pixel size the map is said to have, metres; heights grow with it
    #[arg(long, default_value_t = 0.6, value_name = "M")]
    gsd: f64,
    /// Photos
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100_000))]
    frames: u64,
    /// Passes
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    passes: u64,
    /// Width of the view on a pass, of that of a photo
    #[arg(long, default_value_t = 0.25, value_name = "SHARE", value_parser = part)]
    part: f64,
    /// Everything random follows from it: the same seed gives the same bytes
    #[arg(long, default_value_t = 11, value_name = "N")]
    seed: u64,
    /// Cities whose crops are in the map as well
    #[arg(long, value_delimiter = ',', value_name = "CITY,...")]
    distractors: Vec<String>,
}

/// Year of the map, year of the photos.
#[derive(Clone)]
struct Years([String; 2]);

fn years(text: &str) -> Result<Years, String> {
    let year = |text: &str| text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    match text.split_once(',') {
        Some((from, to)) if year(from) && year(to) => Ok(Years([from.into(), to.into()])),
        _ => Err("give the map's year and the photos', such as 2016,2020".into()),
    }
}

const FOREIGN_EXAMPLES: &str = "Examples:
  skyfix eval scenes foreign ../shared/data out/foreign --frames 200
  skyfix replay out/foreign/flight --map out/cd/map.mbtiles --no-prior --odometry off --out out/foreign/without
  skyfix map build out/cd/map.png out/foreign/ground -o out/foreign/with.mbtiles

Writes OUT/flight, photos of seven kinds of ground in turn (kinds.csv says which), and OUT/ground, that ground as pictures with world files.
On a map without it every position is wrong; on one with it truth.csv says where the photos were taken.";

/// Photos of ground that the map does not show.
#[derive(Args)]
#[command(after_help = FOREIGN_EXAMPLES)]
pub struct ForeignArguments {
    /// The development data
    data: PathBuf,
    /// Folder to write into
    out: PathBuf,
    /// Photos, of all kinds in turn
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    frames: u64,
    /// Everything random follows from it: the same seed gives the same bytes
    #[arg(long, default_value_t = 21, value_name = "N")]
    seed: u64,
    /// Cities that the map shows, and that are left out here
    #[arg(long, default_value = "riverside,claremont", value_delimiter = ',', value_name = "CITY,...")]
    mapped: Vec<String>,
}

const CROP_EXAMPLES: &str = "Examples:
  skyfix eval scenes crop out/cd/flight out/half --part 0.5
  skyfix eval scenes crop photos/ out/third --part 0.3333

Out of a folder of photos comes a folder of photos with their metadata; the --hfov that a replay of it needs is printed. Out of a recording
comes a recording; give its map with --map.";

/// The middle of every photo.
#[derive(Args)]
#[command(after_help = CROP_EXAMPLES)]
pub struct CropArguments {
    /// A recording, or a folder of photos
    from: PathBuf,
    /// Folder to write into: empty, or not there yet
    out: PathBuf,
    /// What is kept of width and height, 0.05 to 1
    #[arg(long, value_name = "SHARE", value_parser = part)]
    part: f64,
}

fn part(text: &str) -> Result<f64, String> {
    between(text, 0.05, 1.0, "of the whole")
}

/// Runs the verb.
pub fn run(verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::NoGround(a) => run_no_ground(a),
        Verb::CrossDate(a) => run_cross_date(a),
        Verb::Foreign(a) => run_foreign(a),
        Verb::Crop(a) => run_crop(a),
    }
}

fn run_no_ground(a: &NoGroundArguments) -> anyhow::Result<()> {
    let bar = progress_bar("kinds");
    bar.set_length(a.kinds.0.len() as u64);
    for kind in &a.kinds.0 {
        no_ground::write(kind, &a.out.join(kind.name), a.frames, a.height, a.seed)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let names: Vec<&str> = a.kinds.0.iter().map(|k| k.name).collect();
    say!("{}: {} frames each of {}", a.out.display(), a.frames, names.join(", "));
    Ok(())
}

fn run_cross_date(a: &CrossDateArguments) -> anyhow::Result<()> {
    let Years([from, to]) = &a.years;
    let made = cross_date(
        &CrossDate {
            folder: a.data.clone(),
            cities: a.cities.clone(),
            years: [from.clone(), to.clone()],
            gsd_m: a.gsd,
            frames: a.frames,
            passes: a.passes,
            pass_part: a.part,
            seed: a.seed,
            distractors: a.distractors.clone(),
        },
        &a.out,
    )?;
    let (columns, lines) = made.layout;
    say!("{}: {} crops in the map ({columns} x {lines}), {} with a photo of {to}", a.out.display(), made.crops, made.flown);
    say!("{} photos, {} passes", made.photos, made.passes);
    Ok(())
}

fn run_foreign(a: &ForeignArguments) -> anyhow::Result<()> {
    let settings = Foreign { data: a.data.clone(), frames: a.frames, seed: a.seed, mapped: a.mapped.clone() };
    let made = foreign(&settings, &a.out)?;
    let kinds: Vec<String> = made.kinds.iter().map(|(name, count)| format!("{count} {name}")).collect();
    say!("{}: photos of {}", a.out.display(), kinds.join(", "));
    Ok(())
}

fn run_crop(a: &CropArguments) -> anyhow::Result<()> {
    let made = crop(&a.from, &a.out, a.part)?;
    say!("{}: {} photos", a.out.display(), made.photos);
    if let Some(hfov) = made.hfov_rad {
        say!("next: skyfix replay {} --hfov {:.4}", shell_word(&a.out), hfov.to_degrees());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_asked_for_by_their_set_or_by_name() {
        let names = |text: &str| kinds(text).map(|k| k.0.iter().map(|k| k.name).collect::<Vec<_>>());
        assert_eq!(names("sky,menu").unwrap(), ["sky", "menu"]);
        assert_eq!(names("all").unwrap().len(), 20);
        let (building, afterwards) = (names("building").unwrap(), names("afterwards").unwrap());
        assert!(building.len() == 10 && afterwards.len() == 10 && building.iter().all(|n| !afterwards.contains(n)));
        assert!(names("sky,sea").unwrap_err().contains("'sea'"));
    }

    #[test]
    fn years_are_two() {
        assert_eq!(years("2016,2020").unwrap().0, ["2016", "2020"]);
        for bad in ["2016", "2016,20", "2016,2018,2020", ""] {
            assert!(years(bad).is_err(), "{bad}");
        }
    }
}
