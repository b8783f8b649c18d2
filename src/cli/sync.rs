//! `skyfix sync`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use skyfix::eval::clock_offset::{MotionTracker, check_rate, estimate};
use skyfix::recording;
use skyfix::source::photos::CameraOptions;
use skyfix::source::{self, FrameEvent, KnowledgeOptions, VideoOptions};
use skyfix::time::seconds_between;

use super::progress::progress_bar;

const EXAMPLES: &str = "Examples:
  skyfix sync flight/
  skyfix sync flight/ --max-offset 5 --from 30 --seconds 120

The gyroscope of imu.csv is compared with how the picture turns. Frames must come at 4 per second and more, so photos are usually
too sparse: use the video. With a camera on a gimbal the gimbal's lag is part of the result.";

/// Estimate the offset between the clocks of telemetry and camera, from the turns of the flight.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A recording: a folder with flight.toml, a video (or photos) and imu.csv
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

/// After this many frames too slow a rate is an error, rather than after all of them.
const ENOUGH_TO_TELL_THE_RATE: usize = 16;

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let recording = recording::read(&arguments.recording)?;
    let piece = arguments.from..=arguments.from + arguments.seconds;
    let options = VideoOptions::default();
    let mut flight = source::open(&arguments.recording, &KnowledgeOptions::default(), &CameraOptions::default(), &options)?;
    let bar = progress_bar("frames");
    match flight.frames.len_hint() {
        Some(length) => bar.set_length(length),
        None => super::progress::as_counter(&bar),
    }
    let mut tracker = MotionTracker::new();
    let mut first_ns = None;
    let mut stamps = Vec::new();
    loop {
        let frame = match flight.frames.poll() {
            FrameEvent::Frame(frame) => frame,
            FrameEvent::Pause(_) | FrameEvent::Pending => {
                std::thread::sleep(std::time::Duration::from_millis(1));
                continue;
            }
            FrameEvent::Ended => break,
            FrameEvent::Failed(error) => return Err(error.into()),
        };
        bar.inc(1);
        let since_s = seconds_between(*first_ns.get_or_insert(frame.stamp_ns), frame.stamp_ns);
        if since_s > *piece.end() {
            break;
        }
        if piece.contains(&since_s) {
            stamps.push(frame.stamp_ns);
            if stamps.len() == ENOUGH_TO_TELL_THE_RATE {
                check_rate(&stamps).with_context(|| arguments.recording.display().to_string())?;
            }
            let (image, _) = frame.pixels.decode().with_context(|| format!("{}: cannot be decoded", frame.name))?;
            tracker.frame(frame.stamp_ns, &image);
        }
    }
    bar.finish_and_clear();
    check_rate(&stamps).with_context(|| arguments.recording.display().to_string())?;
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
