//! Telemetry sidecars of a recording: `imu.csv`, `height.csv`, `heading.csv`, `attitude.csv`, in time order.

use std::path::Path;

use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::source::SourceError;
use crate::types::{AttitudeSample, HeadingSample, HeightSample, ImuSample, TelemetryBatch};

#[derive(Deserialize)]
struct ImuRow {
    t_ns: i64,
    gyro_x_rad_s: f64,
    gyro_y_rad_s: f64,
    gyro_z_rad_s: f64,
    accel_x_m_s2: f64,
    accel_y_m_s2: f64,
    accel_z_m_s2: f64,
}

#[derive(Deserialize)]
struct HeightRow {
    t_ns: i64,
    height_agl_m: f64,
    sigma_m: f64,
}

#[derive(Deserialize)]
struct HeadingRow {
    t_ns: i64,
    heading_deg: f64,
    sigma_deg: f64,
}

#[derive(Deserialize)]
struct AttitudeRow {
    t_ns: i64,
    qw: f64,
    qx: f64,
    qy: f64,
    qz: f64,
    sigma_deg: f64,
}

/// Reads the sidecars that are there; stamps are shifted by `-telemetry_minus_video_ns` to the frames' clock.
pub fn read(folder: &Path, telemetry_minus_video_ns: i64) -> Result<TelemetryBatch, SourceError> {
    let shift = telemetry_minus_video_ns;
    Ok(TelemetryBatch {
        imu: rows(&folder.join("imu.csv"), |r: ImuRow| {
            let gyro_rad_s = Vector3::new(r.gyro_x_rad_s, r.gyro_y_rad_s, r.gyro_z_rad_s);
            let accel_m_s2 = Vector3::new(r.accel_x_m_s2, r.accel_y_m_s2, r.accel_z_m_s2);
            if !gyro_rad_s.iter().chain(accel_m_s2.iter()).all(|v| v.is_finite()) {
                return Err("a number is not finite".into());
            }
            Ok((r.t_ns, ImuSample { stamp_ns: r.t_ns.saturating_sub(shift), gyro_rad_s, accel_m_s2 }))
        })?,
        height: rows(&folder.join("height.csv"), |r: HeightRow| {
            positive_sigma(r.sigma_m)?;
            finite(r.height_agl_m)?;
            let stamp_ns = r.t_ns.saturating_sub(shift);
            Ok((r.t_ns, HeightSample { stamp_ns, height_agl_m: r.height_agl_m, sigma_m: r.sigma_m }))
        })?,
        heading: rows(&folder.join("heading.csv"), |r: HeadingRow| {
            positive_sigma(r.sigma_deg)?;
            finite(r.heading_deg)?;
            Ok((
                r.t_ns,
                HeadingSample {
                    stamp_ns: r.t_ns.saturating_sub(shift),
                    heading_rad: r.heading_deg.to_radians(),
                    sigma_rad: r.sigma_deg.to_radians(),
                },
            ))
        })?,
        attitude: rows(&folder.join("attitude.csv"), |r: AttitudeRow| {
            positive_sigma(r.sigma_deg)?;
            let q = Quaternion::new(r.qw, r.qx, r.qy, r.qz);
            if !((q.norm() - 1.0).abs() < 0.01) {
                return Err(format!("the quaternion has length {}, not 1", q.norm()));
            }
            Ok((
                r.t_ns,
                AttitudeSample {
                    stamp_ns: r.t_ns.saturating_sub(shift),
                    enu_from_body: UnitQuaternion::from_quaternion(q),
                    sigma_rad: r.sigma_deg.to_radians(),
                },
            ))
        })?,
    })
}

fn positive_sigma(sigma: f64) -> Result<(), String> {
    if sigma > 0.0 && sigma.is_finite() { Ok(()) } else { Err(format!("sigma is {sigma}, but must be positive")) }
}

fn finite(value: f64) -> Result<(), String> {
    if value.is_finite() { Ok(()) } else { Err("a number is not finite".into()) }
}

/// Rows of a CSV file; an absent file is no rows. Stamps must increase.
pub(in crate::source) fn rows<R: DeserializeOwned, T>(
    path: &Path,
    mut convert: impl FnMut(R) -> Result<(i64, T), String>,
) -> Result<Vec<T>, SourceError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(SourceError::Io { path: path.into(), source }),
    };
    let mut out = Vec::new();
    let mut last = i64::MIN;
    for (i, row) in csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file).deserialize::<R>().enumerate() {
        let line = Some(i as u64 + 2);
        let bad = |reason: String| SourceError::Bad { path: path.into(), line, reason };
        let (stamp, value) = row.map_err(|e| bad(e.to_string())).and_then(|r| convert(r).map_err(bad))?;
        if stamp <= last {
            return Err(bad(format!("time goes back: {stamp} ns after {last} ns")));
        }
        last = stamp;
        out.push(value);
    }
    Ok(out)
}
