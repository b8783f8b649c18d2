//! How much a frame looks like the map at its true place: the normalised cross-correlation of both, the yardstick by which a
//! simulated flight is compared with a real one.
//!
//! The frame is resampled north-up with its true pose to the ground sampling distance of a map view; both are made grey, smoothed by
//! the same Gaussian of one pixel, freed of their mean, and multiplied: `Σ(a−ā)(b−b̄) / √(Σ(a−ā)² Σ(b−b̄)²)`, −1 to 1.

use crate::geo::Enu;
use crate::map::{MapError, MapStore, MetricView, Region};
use image::{GrayImage, RgbImage};
use nalgebra::{UnitQuaternion, Vector3};

/// A frame with its true pose, without distortion.
#[derive(Clone, Copy, Debug)]
pub struct PosedFrame<'a> {
    /// The picture.
    pub image: &'a RgbImage,
    /// Focal length, pixels.
    pub focal_px: f64,
    /// Principal point, continuous pixel coordinates.
    pub centre_px: (f64, f64),
    /// Position in the region's plane; `u_m` is the height above ground, metres.
    pub position: Enu,
    /// Attitude of the camera (x right and y down in the image, z along the optical axis).
    pub enu_from_camera: UnitQuaternion<f64>,
}

/// The attitude of a camera that looks straight down with the image's top towards a heading, degrees clockwise from north.
pub fn nadir_attitude(heading_deg: f64) -> UnitQuaternion<f64> {
    let (s, c) = heading_deg.to_radians().sin_cos();
    let columns = [Vector3::new(c, -s, 0.0), Vector3::new(-s, -c, 0.0), Vector3::new(0.0, 0.0, -1.0)];
    let matrix = nalgebra::Matrix3::from_columns(&columns);
    UnitQuaternion::from_rotation_matrix(&nalgebra::Rotation3::from_matrix_unchecked(matrix))
}

/// Correlation of a frame with the map at its true place, at a ground sampling distance in metres; `None` where they do not overlap
/// enough or one of them is flat.
///
/// # Errors
/// When the map cannot be read.
pub fn correlation(map: &MapStore, region: &Region, frame: &PosedFrame<'_>, gsd_m: f64) -> Result<Option<f64>, MapError> {
    let Some((view, seen, valid)) = rectify(frame, gsd_m) else { return Ok(None) };
    let reference = map.view(region, &view)?;
    let covered = reference.coverage.iter().zip(&valid).map(|(&c, &v)| c > 0 && v > 0.5).collect::<Vec<bool>>();
    let (w, h) = (view.width_px as usize, view.height_px as usize);
    let a = smooth(&grey(&reference.image), w, h);
    let b = smooth(&seen, w, h);
    // Smoothing brings in what lies outside: only pixels whose surroundings are known count.
    let known = smooth(&covered.iter().map(|&c| f32::from(u8::from(c))).collect::<Vec<_>>(), w, h);
    let pairs: Vec<(f64, f64)> = (0..w * h).filter(|&i| known[i] > 0.999).map(|i| (f64::from(a[i]), f64::from(b[i]))).collect();
    const FEWEST_PX: usize = 400;
    if pairs.len() < FEWEST_PX {
        return Ok(None);
    }
    let n = pairs.len() as f64;
    let (ma, mb) = pairs.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
    let (ab, aa, bb) = pairs.iter().fold((0.0, 0.0, 0.0), |s, p| {
        let (x, y) = (p.0 - ma, p.1 - mb);
        (s.0 + x * y, s.1 + x * x, s.2 + y * y)
    });
    Ok((aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt()))
}

/// The median of some values; `None` without any. NaN sorts last.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let (low, high) = (values.get(n.checked_sub(1)? / 2)?, values.get(n / 2)?);
    Some((low + high) / 2.0)
}

/// The frame as a north-up view: its place, grey values, and 1 where the frame shows the ground.
fn rectify(frame: &PosedFrame<'_>, gsd_m: f64) -> Option<(MetricView, Vec<f32>, Vec<f32>)> {
    let height_m = frame.position.u_m;
    let axis = frame.enu_from_camera * Vector3::z();
    if !(axis.z < -0.3 && height_m > 0.0 && frame.focal_px > 0.0 && gsd_m > 0.0) {
        return None;
    }
    let (e, n) = (frame.position.e_m - axis.x / axis.z * height_m, frame.position.n_m - axis.y / axis.z * height_m);
    let (fw, fh) = frame.image.dimensions();
    let side = (f64::from(fw).hypot(f64::from(fh)) * height_m / frame.focal_px / -axis.z / gsd_m).ceil().min(4096.0) as u32;
    let view = MetricView::centred(e, n, gsd_m, side, side);
    let camera_from_enu = frame.enu_from_camera.inverse();
    let image = grey(frame.image);
    let taps = (gsd_m * frame.focal_px / height_m).ceil().clamp(1.0, 32.0) as usize;
    let mut out = vec![0f32; (side * side) as usize];
    let mut valid = vec![0f32; (side * side) as usize];
    for row in 0..side {
        for column in 0..side {
            let (mut sum, mut count) = (0f32, 0u32);
            for k in 0..taps * taps {
                let offset = |k: usize| (k as f64 + 0.5) / taps as f64;
                let (x, y) = (f64::from(column) + offset(k % taps), f64::from(row) + offset(k / taps));
                let (pe, pn) = view.ground_from_pixel(x, y);
                let d = camera_from_enu * Vector3::new(pe - frame.position.e_m, pn - frame.position.n_m, -height_m);
                if d.z <= 0.0 {
                    continue;
                }
                let u = frame.centre_px.0 + frame.focal_px * d.x / d.z;
                let v = frame.centre_px.1 + frame.focal_px * d.y / d.z;
                if u >= 0.0 && v >= 0.0 && u < f64::from(fw) && v < f64::from(fh) {
                    sum += image[v as usize * fw as usize + u as usize];
                    count += 1;
                }
            }
            let i = (row * side + column) as usize;
            if count as usize == taps * taps {
                out[i] = sum / count as f32;
                valid[i] = 1.0;
            }
        }
    }
    Some((view, out, valid))
}

fn grey(image: &RgbImage) -> Vec<f32> {
    let grey: GrayImage = image::imageops::grayscale(image);
    grey.into_raw().into_iter().map(f32::from).collect()
}

/// Gaussian of one pixel.
fn smooth(input: &[f32], w: usize, h: usize) -> Vec<f32> {
    const KERNEL: [f32; 7] = [0.004_433, 0.054_006, 0.242_036, 0.399_05, 0.242_036, 0.054_006, 0.004_433];
    let pass = |input: &[f32], horizontal: bool| -> Vec<f32> {
        (0..w * h)
            .map(|i| {
                let (x, y) = ((i % w) as isize, (i / w) as isize);
                KERNEL
                    .iter()
                    .zip(-3isize..)
                    .map(|(weight, d)| {
                        let (x, y) = if horizontal { (x + d, y) } else { (x, y + d) };
                        weight * input[y.clamp(0, h as isize - 1) as usize * w + x.clamp(0, w as isize - 1) as usize]
                    })
                    .sum()
            })
            .collect()
    };
    pass(&pass(input, true), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nadir_camera_heading_north_has_east_to_the_right() {
        let q = nadir_attitude(0.0);
        assert!((q * Vector3::x() - Vector3::x()).norm() < 1e-12 && (q * Vector3::z() + Vector3::z()).norm() < 1e-12);
        let q = nadir_attitude(90.0);
        assert!((q * Vector3::y() + Vector3::x()).norm() < 1e-12, "the image's top points east");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn rectifying_undoes_the_heading() {
        // A bright spot ahead of the camera, in the upper half of the image, lies in the direction of the heading.
        let mut image = RgbImage::new(200, 200);
        for (x, y) in [(99, 40), (100, 40), (99, 41), (100, 41)] {
            image.put_pixel(x, y, image::Rgb([255; 3]));
        }
        for (heading, (de, dn)) in [(0.0, (0.0, 1.0)), (90.0, (1.0, 0.0)), (200.0, (-0.342, -0.94))] {
            let position = Enu { e_m: 10.0, n_m: -20.0, u_m: 100.0 };
            let frame = PosedFrame {
                image: &image,
                focal_px: 200.0,
                centre_px: (100.0, 100.0),
                position,
                enu_from_camera: nadir_attitude(heading),
            };
            let (view, seen, _) = rectify(&frame, 0.5).unwrap();
            let (mut e, mut n, mut sum) = (0.0, 0.0, 0.0);
            for (i, v) in seen.iter().enumerate() {
                let w = view.width_px as usize;
                let p = view.ground_from_pixel((i % w) as f64 + 0.5, (i / w) as f64 + 0.5);
                (e, n, sum) = (e + p.0 * f64::from(*v), n + p.1 * f64::from(*v), sum + f64::from(*v));
            }
            let distance = 59.0 / 200.0 * 100.0;
            assert!((e / sum - 10.0 - distance * de).hypot(n / sum + 20.0 - distance * dn) < 0.5, "{heading}");
        }
    }
}
