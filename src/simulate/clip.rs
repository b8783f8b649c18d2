//! A simulated flight in memory: frames as a video would have them, and telemetry, for what needs no recording on a disk.

use image::RgbImage;
use rayon::prelude::*;

use super::settings::Settings;
use super::{FIRST_PHOTO_S, Plan, SimulateError, photo_times, plan, sensor, telemetry};
use crate::time::nanos_from_seconds;
use crate::types::{Camera, Intrinsics, TelemetryBatch};

/// Frames with their stamps, and what the sensors said meanwhile.
pub struct Clip {
    /// Stamps, nanoseconds since the start, and pictures.
    pub frames: Vec<(i64, RgbImage)>,
    /// All telemetry, by the same clock.
    pub telemetry: TelemetryBatch,
    /// The camera.
    pub camera: Camera,
}

/// Flies and keeps everything in memory. The same settings give the same frames as [`simulate`](super::simulate()), before JPEG.
///
/// # Errors
/// When settings make no sense, or a raster cannot be read or is too small.
pub fn clip(settings: &Settings) -> Result<Clip, SimulateError> {
    settings.check()?;
    let Plan { plane, flight, flown, .. } = plan(settings)?;
    let frames = photo_times(settings)
        .par_iter()
        .enumerate()
        .map(|(i, &t)| {
            let (position, attitude, velocity) = (flight.position(t), flight.camera(t), flight.velocity(t));
            let image = sensor::photo(settings, flown.as_ref(), &position, &attitude, &velocity, i as u64 + 1);
            (nanos_from_seconds(t), image)
        })
        .collect();
    let end_s = FIRST_PHOTO_S + settings.duration_s;
    let all = telemetry::batch(settings, &plane, &flight, end_s);
    // What looks at clips wants neither of the others.
    let telemetry = TelemetryBatch { barometer: Vec::new(), gnss: Vec::new(), ..all };
    let intrinsics = Intrinsics::centred(settings.width_px, settings.height_px, settings.focal_px);
    let camera = Camera { mounting: settings.mounting, distortion: settings.distortion.into(), ..Camera::nadir(intrinsics) };
    Ok(Clip { frames, telemetry, camera })
}
