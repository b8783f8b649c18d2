use super::*;
use crate::simulate::Settings;
use crate::simulate::clip::{Clip, clip};
use crate::time::nanos_from_seconds;
use crate::types::{Camera, Mounting, TelemetryBatch};

/// A low and slow flight with two turns, small frames.
fn settings(mounting: Mounting) -> Settings {
    Settings {
        seed: 21,
        mounting,
        width_px: 112,
        height_px: 84,
        focal_px: 81.5,
        rays_per_px: 1,
        map_side_m: 300.0,
        speed_m_s: 8.0,
        leg_m: 50.0,
        duration_s: 26.0,
        photos_per_s: 10.0,
        ..Settings::default()
    }
}

fn tracked(clip: &Clip) -> MotionTracker {
    let mut tracker = MotionTracker::new();
    clip.frames.iter().for_each(|(stamp, image)| tracker.frame(*stamp, image));
    tracker
}

/// Telemetry whose clock is ahead by so much.
fn ahead(telemetry: &TelemetryBatch, offset_s: f64) -> TelemetryBatch {
    let shift = nanos_from_seconds(offset_s);
    let mut out = telemetry.clone();
    out.imu.iter_mut().for_each(|s| s.stamp_ns += shift);
    out.attitude.iter_mut().for_each(|s| s.stamp_ns += shift);
    out.heading.iter_mut().for_each(|s| s.stamp_ns += shift);
    out
}

fn check(mounting: Mounting) {
    let clip = clip(&settings(mounting)).unwrap();
    let tracker = tracked(&clip);
    assert!(tracker.failed() < 5, "{} of {}", tracker.failed(), tracker.frames());
    for truth_s in [-0.4, 0.0, 0.13, 0.4] {
        let telemetry = ahead(&clip.telemetry, truth_s);
        let found = estimate(tracker.motions(), &telemetry, &clip.camera, 1.0).unwrap();
        println!("{mounting:?} {truth_s}: {found:?}");
        assert!((found.telemetry_minus_video_s - truth_s).abs() < 0.02, "{truth_s}: {found:?}");
        assert!((found.telemetry_minus_video_s - truth_s).abs() < 5.0 * found.sigma_s, "{truth_s}: {found:?}");
    }
}

#[test]
fn the_offset_of_a_stabilised_camera_is_found_to_20_ms() {
    check(Mounting::Stabilised);
}

#[test]
fn the_offset_of_a_fixed_camera_is_found_to_20_ms() {
    check(Mounting::Strapdown);
}

/// Motions as a perfect camera would see them for a rate about the optical axis, 10 a second.
fn seen(rate: impl Fn(f64) -> f64, seconds: usize) -> Vec<Motion> {
    (10..10 * seconds - 10)
        .map(|i| {
            let (a, b) = (i as f64 / 10.0, (i + 1) as f64 / 10.0);
            // A little noise that is no function of the rate.
            let noise = 1e-3 * ((i * 7919 % 101) as f64 / 50.0 - 1.0);
            let rotation_rad = -0.1 * rate((a + b) / 2.0) + noise;
            Motion { from_ns: nanos_from_seconds(a), to_ns: nanos_from_seconds(b), rotation_rad, shift: [0.0; 2] }
        })
        .collect()
}

fn gyro(rate: impl Fn(f64) -> f64, seconds: usize) -> TelemetryBatch {
    let sample = |i: usize| {
        let t = i as f64 / 100.0;
        let gyro_rad_s = nalgebra::Vector3::new(0.0, 0.0, rate(t));
        crate::types::ImuSample { stamp_ns: nanos_from_seconds(t), gyro_rad_s, accel_m_s2: nalgebra::Vector3::zeros() }
    };
    TelemetryBatch { imu: (0..100 * seconds).map(sample).collect(), ..TelemetryBatch::default() }
}

fn camera() -> Camera {
    Camera::nadir(crate::types::Intrinsics::centred(640, 480, 466.0))
}

/// A turn about a time.
fn turn(t: f64, at: f64) -> f64 {
    0.4 * (-(t - at).powi(2)).exp()
}

#[test]
fn what_cannot_be_told_is_refused_with_the_reason() {
    let turns = |t: f64| turn(t, 9.0) - turn(t, 17.0);
    let good = estimate(&seen(turns, 30), &gyro(turns, 30), &camera(), 1.0).unwrap();
    assert!(good.telemetry_minus_video_s.abs() < 0.01 && good.sigma_s < 0.01, "{good:?}");

    let still = estimate(&seen(|_| 0.0, 30), &gyro(|t| 1e-3 * (t * 3.0).sin(), 30), &camera(), 1.0);
    assert!(matches!(still, Err(ClockOffsetError::TooLittleRotation { .. })), "{still:?}");

    let other = estimate(&seen(|t| 0.4 * (1.3 * t * t).sin(), 30), &gyro(turns, 30), &camera(), 1.0);
    assert!(matches!(other, Err(ClockOffsetError::Disagree { .. })), "{other:?}");

    let rocking = |t: f64| 0.4 * (std::f64::consts::TAU * t / 0.8).sin();
    let periodic = estimate(&seen(rocking, 30), &gyro(rocking, 30), &camera(), 1.0);
    assert!(matches!(periodic, Err(ClockOffsetError::Ambiguous { .. })), "{periodic:?}");

    let late = |t: f64| turns(t - 1.5);
    let beyond = estimate(&seen(turns, 30), &gyro(late, 30), &camera(), 1.0);
    assert!(matches!(beyond, Err(ClockOffsetError::AtTheLimit { .. })), "{beyond:?}");
    assert!((estimate(&seen(turns, 30), &gyro(late, 30), &camera(), 2.0).unwrap().telemetry_minus_video_s - 1.5).abs() < 0.01);

    let sparse: Vec<Motion> = seen(turns, 60).into_iter().map(|m| Motion { to_ns: m.from_ns + 500_000_000, ..m }).collect();
    assert!(matches!(estimate(&sparse, &gyro(turns, 60), &camera(), 1.0), Err(ClockOffsetError::TooSparse { .. })));
    assert!(matches!(check_rate(&[0, 500_000_000, 1_000_000_000]), Err(ClockOffsetError::TooSparse { interval_s: 0.5 })));
    assert!(check_rate(&[0, 100_000_000, 200_000_000]).is_ok() && check_rate(&[]).is_ok());
    assert_eq!(estimate(&seen(turns, 30), &gyro(turns, 4), &camera(), 1.0), Err(ClockOffsetError::TooFew { pairs: 19 }));
    assert_eq!(estimate(&seen(turns, 30), &TelemetryBatch::default(), &camera(), 1.0), Err(ClockOffsetError::NoGyro));
}
