//! What is to be simulated.

use super::SimulateError;
use crate::types::Mounting;
use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The world that is flown over.
#[derive(Clone, Debug, PartialEq)]
pub enum WorldSource {
    /// A made-up landscape that follows from the seed.
    Procedural,
    /// A map as built by `skyfix map build`; its first region, flat, with changes of appearance.
    Raster(PathBuf),
}

/// Errors of an inertial sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImuGrade {
    /// White noise of the gyroscopes, rad/s/√Hz.
    pub gyro_noise: f64,
    /// Random walk of their bias, rad/s²/√Hz.
    pub gyro_walk: f64,
    /// Standard deviation of their bias at the start, rad/s.
    pub gyro_bias: f64,
    /// White noise of the accelerometers, m/s²/√Hz.
    pub accel_noise: f64,
    /// Random walk of their bias, m/s³/√Hz.
    pub accel_walk: f64,
    /// Standard deviation of their bias at the start, m/s².
    pub accel_bias: f64,
}

impl ImuGrade {
    /// Consumer MEMS, as in small drones and telephones.
    pub const CONSUMER: Self =
        Self { gyro_noise: 1.7e-4, gyro_walk: 2e-5, gyro_bias: 5e-3, accel_noise: 2e-3, accel_walk: 3e-3, accel_bias: 8e-2 };
    /// Tactical grade.
    pub const TACTICAL: Self =
        Self { gyro_noise: 2e-5, gyro_walk: 1e-6, gyro_bias: 1e-5, accel_noise: 4e-4, accel_walk: 5e-5, accel_bias: 5e-3 };
    /// No errors at all, for tests.
    pub const PERFECT: Self =
        Self { gyro_noise: 0.0, gyro_walk: 0.0, gyro_bias: 0.0, accel_noise: 0.0, accel_walk: 0.0, accel_bias: 0.0 };
}

/// All settings; the defaults give the bundled demonstration flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Everything that is random follows from it.
    pub seed: u64,
    /// What is flown over.
    pub world: WorldSource,
    /// Where a procedural world is put: latitude, degrees (moved by less than 500 m to fit the tile grid).
    pub lat_deg: f64,
    /// Where a procedural world is put: longitude, degrees.
    pub lon_deg: f64,
    /// Share of the arable parcels of a procedural world that grow something else when the camera flies than on the map, 0..=1.
    pub crop_change: f64,
    /// Side of the mapped square, metres (rounded up to whole tiles).
    pub map_side_m: f64,
    /// Wanted pixel size of the map, metres (the nearest zoom that is not coarser is taken).
    pub map_gsd_m: f64,
    /// How far off its true place the whole map lies, metres, in a direction that follows from the seed: satellite imagery is
    /// typically off by a few metres.
    pub map_offset_m: f64,
    /// Blur of the satellite's optics: standard deviation, metres.
    pub map_blur_m: f64,
    /// Quality of the map's JPEG tiles, 1..=100.
    pub map_jpeg_quality: u8,
    /// Width of the photos, pixels.
    pub width_px: u32,
    /// Height of the photos, pixels.
    pub height_px: u32,
    /// Focal length, pixels.
    pub focal_px: f64,
    /// Brown-Conrady distortion k1, k2, p1, p2, k3, as in OpenCV.
    pub distortion: [f64; 5],
    /// Quality of the photos' JPEG, 1..=100.
    pub photo_jpeg_quality: u8,
    /// Rays per pixel, 1, 2 or 4.
    pub rays_per_px: u32,
    /// Exposure time, seconds: it makes motion blur.
    pub exposure_s: f64,
    /// Noise of the sensor: standard deviation, of 255.
    pub sensor_noise: f64,
    /// How the camera is fixed.
    pub mounting: Mounting,
    /// Constant tilt of the camera against its nominal mounting, degrees, in a direction that follows from the seed. The recording
    /// does not tell it.
    pub mount_tilt_deg: f64,
    /// Height above ground, metres.
    pub height_m: f64,
    /// Speed over ground, metres per second.
    pub speed_m_s: f64,
    /// Duration, seconds.
    pub duration_s: f64,
    /// Photos per second.
    pub photos_per_s: f64,
    /// A video with this many frames per second instead of photos.
    pub video_per_s: Option<f64>,
    /// Length of the straight legs, metres.
    pub leg_m: f64,
    /// Mean wind, metres per second; gusts are a third of it.
    pub wind_m_s: f64,
    /// Rate of the inertial sensor, hertz.
    pub imu_hz: f64,
    /// Errors of the inertial sensor.
    pub imu: ImuGrade,
    /// Noise of the height, metres.
    pub height_sigma_m: f64,
    /// Noise of the heading, degrees.
    pub heading_sigma_deg: f64,
    /// Noise of the attitude, degrees.
    pub attitude_sigma_deg: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 7,
            world: WorldSource::Procedural,
            lat_deg: 47.8,
            lon_deg: 10.9,
            crop_change: 0.4,
            map_side_m: 2040.0,
            map_gsd_m: 0.41,
            map_offset_m: 3.5,
            map_blur_m: 0.28,
            map_jpeg_quality: 84,
            width_px: 640,
            height_px: 480,
            focal_px: 466.0,
            distortion: [0.0; 5],
            photo_jpeg_quality: 78,
            rays_per_px: 2,
            exposure_s: 1.0 / 400.0,
            sensor_noise: 1.6,
            mounting: Mounting::Stabilised,
            mount_tilt_deg: 5.0,
            height_m: 120.0,
            speed_m_s: 12.0,
            duration_s: 110.0,
            photos_per_s: 2.0,
            video_per_s: None,
            leg_m: 330.0,
            wind_m_s: 5.0,
            imu_hz: 200.0,
            imu: ImuGrade::CONSUMER,
            height_sigma_m: 1.0,
            heading_sigma_deg: 2.0,
            attitude_sigma_deg: 0.7,
        }
    }
}

impl Settings {
    /// Offset of the map, metres east and north.
    pub(crate) fn map_offset_en_m(&self) -> [f64; 2] {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0x000f_f5e7);
        let (s, c) = (rng.random::<f64>() * std::f64::consts::TAU).sin_cos();
        [self.map_offset_m * c, self.map_offset_m * s]
    }

    /// Refuses what cannot be flown.
    pub(crate) fn check(&self) -> Result<(), SimulateError> {
        let wrong = |name: &'static str, value: f64, wanted: &'static str| Err(SimulateError::Setting { name, value, wanted });
        let ranges = [
            ("height_m", self.height_m, 10.0, 5000.0, "must lie between 10 and 5000 m above ground"),
            ("speed_m_s", self.speed_m_s, 0.5, 100.0, "must lie between 0.5 and 100 m/s"),
            ("duration_s", self.duration_s, 1.0, 7200.0, "must lie between 1 and 7200 s"),
            ("photos_per_s", self.photos_per_s, 0.01, 60.0, "must lie between 0.01 and 60 per second"),
            ("video_per_s", self.video_per_s.unwrap_or(1.0), 0.1, 60.0, "must lie between 0.1 and 60 per second"),
            ("leg_m", self.leg_m, 1.0, 1e5, "must be positive"),
            ("wind_m_s", self.wind_m_s, 0.0, 30.0, "must lie between 0 and 30 m/s"),
            ("mount_tilt_deg", self.mount_tilt_deg, 0.0, 45.0, "must lie between 0° and 45°"),
            ("focal_px", self.focal_px, 10.0, 1e5, "must lie between 10 and 100000 px"),
            ("width_px", f64::from(self.width_px), 16.0, 8192.0, "must lie between 16 and 8192"),
            ("height_px", f64::from(self.height_px), 16.0, 8192.0, "must lie between 16 and 8192"),
            ("imu_hz", self.imu_hz, 1.0, 2000.0, "must lie between 1 and 2000 Hz"),
            ("crop_change", self.crop_change, 0.0, 1.0, "must lie between 0 and 1"),
            ("map_side_m", self.map_side_m, 100.0, 20_000.0, "must lie between 100 and 20000 m"),
            ("map_gsd_m", self.map_gsd_m, 0.05, 10.0, "must lie between 0.05 and 10 m"),
            ("map_offset_m", self.map_offset_m, 0.0, 100.0, "must lie between 0 and 100 m"),
            ("map_blur_m", self.map_blur_m, 0.0, 20.0, "must lie between 0 and 20 m"),
            ("exposure_s", self.exposure_s, 0.0, 0.5, "must lie between 0 and 0.5 s"),
            ("sensor_noise", self.sensor_noise, 0.0, 100.0, "must lie between 0 and 100"),
            ("lat_deg", self.lat_deg, -80.0, 80.0, "must lie between -80° and 80°"),
            ("lon_deg", self.lon_deg, -179.0, 179.0, "must lie between -179° and 179°"),
            ("height_sigma_m", self.height_sigma_m, 0.0, 1000.0, "must not be negative"),
            ("heading_sigma_deg", self.heading_sigma_deg, 0.0, 180.0, "must lie between 0° and 180°"),
            ("attitude_sigma_deg", self.attitude_sigma_deg, 0.0, 90.0, "must lie between 0° and 90°"),
            ("map_jpeg_quality", f64::from(self.map_jpeg_quality), 1.0, 100.0, "must lie between 1 and 100"),
            ("photo_jpeg_quality", f64::from(self.photo_jpeg_quality), 1.0, 100.0, "must lie between 1 and 100"),
        ];
        for (name, value, low, high, wanted) in ranges {
            if !(low..=high).contains(&value) {
                return wrong(name, value, wanted);
            }
        }
        if ![1, 2, 4].contains(&self.rays_per_px) {
            return wrong("rays_per_px", f64::from(self.rays_per_px), "must be 1, 2 or 4");
        }
        if let Some(&k) = self.distortion.iter().find(|k| k.abs() > 1.0 || k.is_nan()) {
            return wrong("distortion", k, "must have coefficients between -1 and 1");
        }
        Ok(())
    }
}
