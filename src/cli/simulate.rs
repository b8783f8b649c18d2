//! `skyfix simulate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use skyfix::simulate::{ImuGrade, Settings, WorldSource, simulate};
use skyfix::text::shell_word;
use skyfix::types::Mounting;

use super::progress::progress_bar;

const EXAMPLES: &str = "Examples:
  skyfix simulate flight --seed 7                        the bundled demonstration flight
  skyfix simulate flight --world area.mbtiles --leg 200  over a map of yours
  skyfix simulate flight --video 5 --size 1920x1080      a video instead of photos
  skyfix simulate flight --height 250 --speed 18 --wind 8 --mounting strapdown";

/// Fly a camera over a made-up or a mapped world and write a recording.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder for the recording
    out: PathBuf,
    /// Everything random follows from it: the same seed gives the same bytes
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// A map to fly over instead of a made-up world
    #[arg(long, value_name = "FILE.mbtiles")]
    world: Option<PathBuf>,
    /// Height above ground, metres
    #[arg(long, default_value_t = 120.0)]
    height: f64,
    /// Speed over ground, m/s
    #[arg(long, default_value_t = 12.0)]
    speed: f64,
    /// Duration, seconds
    #[arg(long, default_value_t = 110.0)]
    duration: f64,
    /// Photos a second
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// Write photos (the default)
    #[arg(long, conflicts_with = "video")]
    photos: bool,
    /// Write a video (video.mkv, H.264) with this many frames a second instead of photos
    #[arg(long, value_name = "FPS", conflicts_with = "rate")]
    video: Option<f64>,
    /// Size of the pictures, pixels; the field of view stays
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<(u32, u32)>,
    /// Length of the straight legs, metres
    #[arg(long)]
    leg: Option<f64>,
    /// Side of the mapped square of a made-up world, metres
    #[arg(long, default_value_t = 2040.0)]
    map_side: f64,
    /// Mean wind, m/s; gusts are a third of it
    #[arg(long)]
    wind: Option<f64>,
    /// Constant tilt of the camera that the recording does not tell, degrees
    #[arg(long)]
    tilt: Option<f64>,
    /// How the camera is fixed
    #[arg(long, value_enum, default_value_t = MountingName::Stabilised)]
    mounting: MountingName,
    /// Errors of the inertial sensor
    #[arg(long, value_enum, default_value_t = GradeName::Consumer)]
    imu: GradeName,
}

#[derive(Clone, Copy, ValueEnum)]
enum MountingName {
    Stabilised,
    Strapdown,
}

#[derive(Clone, Copy, ValueEnum)]
enum GradeName {
    Consumer,
    Tactical,
    Perfect,
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    super::pair(text).ok_or_else(|| format!("'{text}': write width x height in pixels, such as 1920x1080"))
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let defaults = Settings::default();
    let (width_px, height_px) = arguments.size.unwrap_or((defaults.width_px, defaults.height_px));
    let settings = Settings {
        width_px,
        height_px,
        focal_px: defaults.focal_px * f64::from(width_px) / f64::from(defaults.width_px),
        seed: arguments.seed,
        world: arguments.world.clone().map_or(WorldSource::Procedural, WorldSource::Raster),
        height_m: arguments.height,
        speed_m_s: arguments.speed,
        duration_s: arguments.duration,
        photos_per_s: arguments.rate,
        video_per_s: arguments.video.filter(|_| !arguments.photos),
        leg_m: arguments.leg.unwrap_or(defaults.leg_m),
        map_side_m: arguments.map_side,
        wind_m_s: arguments.wind.unwrap_or(defaults.wind_m_s),
        mount_tilt_deg: arguments.tilt.unwrap_or(defaults.mount_tilt_deg),
        mounting: match arguments.mounting {
            MountingName::Stabilised => Mounting::Stabilised,
            MountingName::Strapdown => Mounting::Strapdown,
        },
        imu: match arguments.imu {
            GradeName::Consumer => ImuGrade::CONSUMER,
            GradeName::Tactical => ImuGrade::TACTICAL,
            GradeName::Perfect => ImuGrade::PERFECT,
        },
        ..defaults
    };
    let bar = progress_bar("simulate");
    let report = simulate(&settings, &arguments.out, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let megabytes = (report.photo_bytes + report.map_bytes + report.table_bytes) as f64 / 1e6;
    let what = if arguments.video.is_some() { "frames" } else { "photos" };
    say!("{}: {} {what}, {megabytes:.1} MB", arguments.out.display(), report.photos);
    say!("next: skyfix replay {}", shell_word(&arguments.out));
    Ok(())
}
