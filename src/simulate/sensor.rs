//! The camera: rays through a pinhole with distortion, then what optics and sensor do to the picture.

use super::look::Colour;
use super::noise::{hash2, mix, unit};
use super::scene::Scene;
use super::settings::Settings;
use crate::geo::Enu;
use image::RgbImage;
use nalgebra::{UnitQuaternion, Vector3};

/// Softness of the optics: standard deviation, pixels.
const OPTICS_BLUR_PX: f32 = 0.5;
/// Loss of light at the corners.
const VIGNETTING: f32 = 0.22;
/// Mean value that the exposure aims at, of 255.
const EXPOSURE_TARGET: f32 = 112.0;

/// Undistorted normalised coordinates of distorted ones (Brown-Conrady; fixed point, as in OpenCV's `undistortPoints`).
pub(crate) fn undistort(k: &[f64; 5], xd: f64, yd: f64) -> (f64, f64) {
    let (mut x, mut y) = (xd, yd);
    if k.iter().all(|&v| v == 0.0) {
        return (x, y);
    }
    for _ in 0..12 {
        let r2 = x * x + y * y;
        let radial = 1.0 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]));
        let dx = 2.0 * k[2] * x * y + k[3] * (r2 + 2.0 * x * x);
        let dy = k[2] * (r2 + 2.0 * y * y) + 2.0 * k[3] * x * y;
        x = (xd - dx) / radial;
        y = (yd - dy) / radial;
    }
    (x, y)
}

/// Where the ray of a pixel (continuous coordinates) meets the ground plane: east, north, metres; `None` at or above the horizon.
pub(crate) fn ground_of_pixel(
    settings: &Settings,
    position: &Vector3<f64>,
    enu_from_camera: &UnitQuaternion<f64>,
    x_px: f64,
    y_px: f64,
) -> Option<Enu> {
    let (cx, cy) = (f64::from(settings.width_px) / 2.0, f64::from(settings.height_px) / 2.0);
    let (x, y) = undistort(&settings.distortion, (x_px - cx) / settings.focal_px, (y_px - cy) / settings.focal_px);
    let d = enu_from_camera * Vector3::new(x, y, 1.0);
    (d.z < -0.08).then(|| Enu::ground(position.x - d.x * position.z / d.z, position.y - d.y * position.z / d.z))
}

/// Takes a photo.
pub(crate) fn photo(
    settings: &Settings,
    scene: &dyn Scene,
    position: &Vector3<f64>,
    enu_from_camera: &UnitQuaternion<f64>,
    velocity: &Vector3<f64>,
    frame: u64,
) -> RgbImage {
    let (w, h) = (settings.width_px as usize, settings.height_px as usize);
    let footprint = position.z / settings.focal_px;
    let offsets: &[(f64, f64)] = match settings.rays_per_px {
        1 => &[(0.5, 0.5)],
        2 => &[(0.25, 0.25), (0.75, 0.75)],
        _ => &[(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)],
    };
    let mut light: Vec<Colour> = Vec::with_capacity(w * h);
    for row in 0..h {
        for column in 0..w {
            let mut sum = [0f32; 3];
            for (ox, oy) in offsets {
                let hit = ground_of_pixel(settings, position, enu_from_camera, column as f64 + ox, row as f64 + oy);
                let seen = hit.map_or([170.0, 180.0, 190.0], |g| {
                    let lean = ((position.x - g.e_m) / position.z, (position.y - g.n_m) / position.z);
                    scene.seen(g.e_m, g.n_m, lean, footprint)
                });
                for c in 0..3 {
                    sum[c] += seen[c] / offsets.len() as f32;
                }
            }
            light.push(sum);
        }
    }
    let mut light = blur(&light, w, h, OPTICS_BLUR_PX);
    let moved = enu_from_camera.inverse() * velocity * (settings.exposure_s / footprint);
    light = smear(&light, w, h, moved.x, moved.y);
    develop(settings, &light, w, h, frame)
}

/// Exposure, vignetting, noise and rounding.
fn develop(settings: &Settings, light: &[Colour], w: usize, h: usize, frame: u64) -> RgbImage {
    let mean = light.iter().map(|c| c[1]).sum::<f32>() / light.len().max(1) as f32;
    // The automatic exposure goes part of the way.
    let gain = (EXPOSURE_TARGET / mean.max(1.0)).powf(0.6).clamp(0.5, 2.0);
    let hash = mix(settings.seed ^ 0x5e50 ^ frame);
    let (cx, cy) = (w as f32 / 2.0, h as f32 / 2.0);
    let corner = cx * cx + cy * cy;
    RgbImage::from_fn(w as u32, h as u32, |x, y| {
        let c = light[y as usize * w + x as usize];
        let r2 = ((x as f32 + 0.5 - cx).powi(2) + (y as f32 + 0.5 - cy).powi(2)) / corner;
        let n = hash2(hash, i64::from(x), i64::from(y));
        let grey = normal(n);
        image::Rgb([0, 1, 2].map(|k| {
            let v = c[k] * gain * (1.0 - VIGNETTING * r2);
            // Mostly common to the channels, as after demosaicing and the camera's own denoising.
            let noise = settings.sensor_noise as f32 * (0.8 * grey + 0.45 * normal(mix(n ^ (k as u64 + 1))));
            (v + noise + 0.5).clamp(0.0, 255.0) as u8
        }))
    })
}

/// About a standard normal number out of a hash: the sum of four uniform ones.
pub(crate) fn normal(hash: u64) -> f32 {
    let sum: f64 = (0..4).map(|i| unit(hash, 100 + i)).sum();
    ((sum - 2.0) * 3f64.sqrt()) as f32
}

/// Gaussian blur, standard deviation in pixels; edges are repeated.
pub(crate) fn blur(light: &[Colour], w: usize, h: usize, sigma: f32) -> Vec<Colour> {
    if sigma <= 0.05 {
        return light.to_vec();
    }
    let radius = (3.0 * sigma).ceil() as isize;
    let kernel: Vec<f32> = (-radius..=radius).map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp()).collect();
    let norm: f32 = kernel.iter().sum();
    let pass = |input: &[Colour], horizontal: bool| -> Vec<Colour> {
        let mut out = Vec::with_capacity(w * h);
        for row in 0..h as isize {
            for column in 0..w as isize {
                let mut sum = [0f32; 3];
                for (k, weight) in (-radius..=radius).zip(&kernel) {
                    let (x, y) = if horizontal { (column + k, row) } else { (column, row + k) };
                    let p = input[y.clamp(0, h as isize - 1) as usize * w + x.clamp(0, w as isize - 1) as usize];
                    for c in 0..3 {
                        sum[c] += weight * p[c];
                    }
                }
                out.push(sum.map(|v| v / norm));
            }
        }
        out
    };
    pass(&pass(light, true), false)
}

/// Motion blur along a displacement in pixels.
fn smear(light: &[Colour], w: usize, h: usize, dx: f64, dy: f64) -> Vec<Colour> {
    let length = dx.hypot(dy);
    if length < 0.3 {
        return light.to_vec();
    }
    let taps = (2.0 * length).ceil().clamp(2.0, 64.0) as usize;
    let at = |x: f64, y: f64| {
        let (x, y) = (x.clamp(0.0, (w - 1) as f64), y.clamp(0.0, (h - 1) as f64));
        let (ix, iy) = (x as usize, y as usize);
        let (jx, jy) = ((ix + 1).min(w - 1), (iy + 1).min(h - 1));
        let (tx, ty) = ((x - ix as f64) as f32, (y - iy as f64) as f32);
        let (a, b, c, d) = (light[iy * w + ix], light[iy * w + jx], light[jy * w + ix], light[jy * w + jx]);
        [0, 1, 2].map(|k| (a[k] * (1.0 - tx) + b[k] * tx) * (1.0 - ty) + (c[k] * (1.0 - tx) + d[k] * tx) * ty)
    };
    (0..w * h)
        .map(|i| {
            let mut sum = [0f32; 3];
            for k in 0..taps {
                let s = (k as f64 + 0.5) / taps as f64 - 0.5;
                let p = at((i % w) as f64 + s * dx, (i / w) as f64 + s * dy);
                for c in 0..3 {
                    sum[c] += p[c] / taps as f32;
                }
            }
            sum
        })
        .collect()
}
