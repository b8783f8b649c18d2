//! A flight recorded with IMU, GNSS and a reference attitude: `imu.csv`, `gnss.csv`, `attitude_reference.csv` of one folder.

use std::path::{Path, PathBuf};

use nalgebra::{UnitQuaternion, Vector3};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::geo::{EnuPlane, Geodetic, enu_from_body};
use crate::recording::rows::{ImuRow, SidecarRow};
use crate::types::ImuSample;

/// Why a flight cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FlightError {
    /// A file is not there or is no table of the kind that it should be.
    #[error("{}: {reason}; it needs the columns {columns}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        columns: &'static str,
        /// Why.
        reason: csv::Error,
    },
    /// A file holds nothing, no numbers, or times that go back.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The flight does not reach as far as it is to be scored.
    #[error(
        "the flight ends before {from_s} s, where the scoring begins, or less than {least_s} s after it; score from an earlier time"
    )]
    Short {
        /// Where the scoring was to begin, seconds.
        from_s: f64,
        /// What it needs at least, seconds.
        least_s: f64,
    },
}

/// Position and velocity by GNSS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GnssPoint {
    /// Time, nanoseconds.
    pub stamp_ns: i64,
    /// Metres east, north, up in the plane of the first point.
    pub position_m: Vector3<f64>,
    /// m/s east, north, up.
    pub velocity_m_s: Vector3<f64>,
}

/// A flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The IMU, in order of time.
    pub imu: Vec<ImuSample>,
    /// GNSS, in order of time: the truth.
    pub gnss: Vec<GnssPoint>,
    /// Reference attitudes, in order of time.
    pub attitude: Vec<(i64, UnitQuaternion<f64>)>,
    /// Latitude, degrees: for gravity.
    pub lat_deg: f64,
}

#[derive(Deserialize)]
struct GnssRow {
    t_ns: i64,
    lat_deg: f64,
    lon_deg: f64,
    alt_m: f64,
    vel_n_m_s: f64,
    vel_e_m_s: f64,
    vel_d_m_s: f64,
}

#[derive(Deserialize)]
struct AttitudeRow {
    t_ns: i64,
    roll_deg: f64,
    pitch_deg: f64,
    yaw_deg: f64,
}

fn table<R: DeserializeOwned>(
    folder: &Path,
    name: &str,
    columns: &'static str,
    stamp: fn(&R) -> i64,
) -> Result<Vec<R>, FlightError> {
    let path = folder.join(name);
    let rows: Result<Vec<R>, csv::Error> = csv::Reader::from_path(&path).and_then(|mut reader| reader.deserialize().collect());
    let rows = rows.map_err(|reason| FlightError::Table { path: path.clone(), columns, reason })?;
    if rows.is_empty() {
        return Err(FlightError::Content { path, what: "holds no rows" });
    }
    if !rows.is_sorted_by(|a, b| stamp(a) < stamp(b)) {
        return Err(FlightError::Content { path, what: "its times do not grow from row to row" });
    }
    Ok(rows)
}

impl Recorded {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a table is missing, holds no numbers or is out of order.
    pub fn read(folder: &Path) -> Result<Self, FlightError> {
        const IMU: &str = "t_ns, gyro_x_rad_s, gyro_y_rad_s, gyro_z_rad_s, accel_x_m_s2, accel_y_m_s2, accel_z_m_s2";
        const GNSS: &str = "t_ns, lat_deg, lon_deg, alt_m, vel_n_m_s, vel_e_m_s, vel_d_m_s";
        let imu = table(folder, "imu.csv", IMU, ImuRow::stamp_ns)?;
        let gnss = table(folder, "gnss.csv", GNSS, |r: &GnssRow| r.t_ns)?;
        let attitude = table(folder, "attitude_reference.csv", "t_ns, roll_deg, pitch_deg, yaw_deg", |r: &AttitudeRow| r.t_ns)?;
        let imu: Result<Vec<ImuSample>, String> = imu.iter().map(|row| row.sample(0)).collect();
        let imu = imu.map_err(|_| FlightError::Content { path: folder.join("imu.csv"), what: "holds what is no number" })?;
        let place = |r: &GnssRow| Geodetic { lat_deg: r.lat_deg, lon_deg: r.lon_deg, alt_m: r.alt_m };
        if !gnss.iter().all(|r| place(r).is_valid()) {
            return Err(FlightError::Content { path: folder.join("gnss.csv"), what: "holds what is no position" });
        }
        let Some(origin) = gnss.first().map(place) else {
            return Err(FlightError::Content { path: folder.join("gnss.csv"), what: "holds no rows" });
        };
        let plane = EnuPlane::at(origin);
        let gnss = gnss
            .iter()
            .map(|r| {
                let enu = plane.enu_from_geodetic(place(r));
                GnssPoint {
                    stamp_ns: r.t_ns,
                    position_m: Vector3::new(enu.e_m, enu.n_m, enu.u_m),
                    velocity_m_s: Vector3::new(r.vel_e_m_s, r.vel_n_m_s, -r.vel_d_m_s),
                }
            })
            .collect();
        let attitude = attitude
            .iter()
            .map(|r| (r.t_ns, enu_from_body(r.yaw_deg.to_radians(), r.pitch_deg.to_radians(), r.roll_deg.to_radians())))
            .collect();
        Ok(Self { imu, gnss, attitude, lat_deg: origin.lat_deg })
    }
}
