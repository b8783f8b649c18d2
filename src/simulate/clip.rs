//! A simulated flight in memory: frames as a video would have them, and telemetry, for what needs no recording on a disk.

use image::RgbImage;
use rayon::prelude::*;

use super::settings::Settings;
use super::{FIRST_PHOTO_S, Plan, SimulateError, photo_times, plan, sensor, telemetry};
use crate::time::nanos_from_seconds;
use crate::types::{AttitudeSample, Camera, HeadingSample, HeightSample, ImuSample, Intrinsics, Mounting, TelemetryBatch};

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
    let Plan { flight, flown, .. } = plan(settings)?;
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
    let imu = telemetry::imu(settings, &flight, end_s).into_iter().map(|s| ImuSample {
        stamp_ns: nanos_from_seconds(s.t_s),
        gyro_rad_s: s.gyro,
        accel_m_s2: s.accel,
    });
    let height = telemetry::heights(settings, &flight, end_s).into_iter().map(|(t, h)| HeightSample {
        stamp_ns: nanos_from_seconds(t),
        height_agl_m: h,
        sigma_m: settings.height_sigma_m,
    });
    let heading = telemetry::headings(settings, &flight, end_s).into_iter().map(|(t, deg)| HeadingSample {
        stamp_ns: nanos_from_seconds(t),
        heading_rad: deg.to_radians(),
        sigma_rad: settings.heading_sigma_deg.to_radians(),
    });
    let attitude = telemetry::attitudes(settings, &flight, end_s).into_iter().map(|(t, enu_from_body)| AttitudeSample {
        stamp_ns: nanos_from_seconds(t),
        enu_from_body,
        sigma_rad: settings.attitude_sigma_deg.to_radians(),
    });
    let telemetry = TelemetryBatch {
        imu: imu.collect(),
        height: height.collect(),
        heading: heading.collect(),
        attitude: attitude.collect(),
        ..TelemetryBatch::default()
    };
    let mounting = match settings.mounting {
        super::Mounting::Stabilised => Mounting::Stabilised,
        super::Mounting::Strapdown => Mounting::Strapdown,
    };
    let intrinsics = Intrinsics::centred(settings.width_px, settings.height_px, settings.focal_px);
    let camera = Camera { mounting, distortion: settings.distortion.into(), ..Camera::nadir(intrinsics) };
    Ok(Clip { frames, telemetry, camera })
}
