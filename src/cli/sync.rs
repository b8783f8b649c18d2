//! `skyfix sync`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use image::RgbImage;
use skyfix::eval::clock_offset::{MotionTracker, check_rate, estimate};
use skyfix::source::{photos, recording};

use super::progress_bar;

const EXAMPLES: &str = "Examples:
  skyfix sync flight/
  skyfix sync flight/ --max-offset 5 --from 30 --seconds 120

The gyroscope of imu.csv is compared with how the picture turns. Frames must come at 4 per second and more, so photos are usually
too sparse: use the video. With a camera on a gimbal the gimbal's lag is part of the result.";

/// Estimate the offset between the clocks of telemetry and camera, from the turns of the flight.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A recording: a folder with flight.toml, photos/ and imu.csv
    recording: PathBuf,
    /// Largest offset that is searched for, seconds
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = positive)]
    max_offset: f64,
    /// Where the piece of the flight that is used begins, seconds after the first frame
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", value_parser = not_negative)]
    from: f64,
    /// How long that piece is, seconds
    #[arg(long, default_value_t = 300.0, value_name = "SECONDS", value_parser = positive)]
    seconds: f64,
}

fn positive(text: &str) -> Result<f64, String> {
    not_negative(text).and_then(|v| if v > 0.0 { Ok(v) } else { Err("must be positive".into()) })
}

fn not_negative(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "must be a number of seconds".to_string())?;
    if (0.0..=1e5).contains(&value) { Ok(value) } else { Err("must lie between 0 and 100000 s".into()) }
}

/// Frames with their stamps in nanoseconds, in order.
type Frames = Box<dyn Iterator<Item = anyhow::Result<(i64, RgbImage)>>>;

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let recording = recording::read(&arguments.recording)?;
    let (from, to) = (arguments.from, arguments.from + arguments.seconds);
    let (frames, count) = frames_of_photos(&recording, &arguments.recording, from, to)?;
    let bar = progress_bar("frames");
    bar.set_length(count);
    let mut tracker = MotionTracker::new();
    for frame in frames {
        let (stamp_ns, image) = frame?;
        tracker.frame(stamp_ns, &image);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let found = estimate(tracker.motions(), &recording.telemetry, &recording.camera, arguments.max_offset)
        .with_context(|| arguments.recording.display().to_string())?;
    // The telemetry was read with the offset that the recording states.
    let offset_s = recording.file.clock.telemetry_minus_video_s + found.telemetry_minus_video_s;
    say!(
        "telemetry minus video: {offset_s:+.3} s ± {:.3} s (correlation {:.3}, {} pairs of frames)",
        found.sigma_s,
        found.correlation,
        found.pairs
    );
    say!("\nIn {}:\n\n[clock]\ntelemetry_minus_video_s = {offset_s:.3}", arguments.recording.join("flight.toml").display());
    Ok(())
}

/// The photos of a recording between two times after the first one, and how many there are.
fn frames_of_photos(recording: &recording::Recording, path: &Path, from_s: f64, to_s: f64) -> anyhow::Result<(Frames, u64)> {
    let folder = recording.photos.as_ref().with_context(|| format!("{}: there are no photos/ in it", path.display()))?;
    let mut photos = photos::list(folder)?;
    if !recording.stamps.is_empty() {
        photos.retain(|p| recording.stamps.contains_key(&p.name));
        photos.iter_mut().for_each(|p| p.stamp_ns = recording.stamps.get(&p.name).copied().unwrap_or(p.stamp_ns));
        photos.sort_by_key(|p| p.stamp_ns);
    }
    let first_ns = photos.first().map_or(0, |p| p.stamp_ns);
    photos.retain(|p| (from_s..=to_s).contains(&skyfix::time::seconds_between(first_ns, p.stamp_ns)));
    let stamps: Vec<i64> = photos.iter().map(|p| p.stamp_ns).collect();
    check_rate(&stamps).with_context(|| folder.display().to_string())?;
    let count = photos.len() as u64;
    let open = |p: photos::Photo| {
        let image = image::open(&p.path).with_context(|| format!("{}: cannot be decoded", p.path.display()))?;
        Ok((p.stamp_ns, image.into_rgb8()))
    };
    Ok((Box::new(photos.into_iter().map(open)), count))
}
