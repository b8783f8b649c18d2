//! Telemetry sidecars of a recording: `imu.csv`, `height.csv`, `heading.csv`, `attitude.csv`, `barometer.csv`, `gnss.csv`, `landed.csv`, in time
//! order.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::FileError;
use super::rows::{AttitudeRow, BarometerRow, GnssRow, HeadingRow, HeightRow, ImuRow, LandedRow, SidecarRow};
use crate::types::TelemetryBatch;

/// Reads the sidecars that are there; stamps are shifted by `-telemetry_minus_video_ns` to the frames' clock.
///
/// # Errors
/// When a file cannot be read or a row makes no sense.
pub fn read(folder: &Path, telemetry_minus_video_ns: i64) -> Result<TelemetryBatch, FileError> {
    fn all<R: SidecarRow>(folder: &Path, name: &str, shift_ns: i64) -> Result<Vec<R::Sample>, FileError> {
        rows(&folder.join(name), |row: R| Ok((row.stamp_ns(), row.sample(shift_ns)?)))
    }
    let shift_ns = telemetry_minus_video_ns;
    Ok(TelemetryBatch {
        imu: all::<ImuRow>(folder, "imu.csv", shift_ns)?,
        height: all::<HeightRow>(folder, "height.csv", shift_ns)?,
        heading: all::<HeadingRow>(folder, "heading.csv", shift_ns)?,
        attitude: all::<AttitudeRow>(folder, "attitude.csv", shift_ns)?,
        barometer: all::<BarometerRow>(folder, "barometer.csv", shift_ns)?,
        gnss: all::<GnssRow>(folder, "gnss.csv", shift_ns)?,
        landed: all::<LandedRow>(folder, "landed.csv", shift_ns)?,
    })
}

/// Rows of a CSV file; an absent file is no rows. Stamps must increase.
pub fn rows<R: DeserializeOwned, T>(
    path: &Path,
    mut convert: impl FnMut(R) -> Result<(i64, T), String>,
) -> Result<Vec<T>, FileError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FileError::Io { path: path.into(), source }),
    };
    let mut out = Vec::new();
    let mut last = i64::MIN;
    for (i, row) in csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file).deserialize::<R>().enumerate() {
        let line = Some(i as u64 + 2);
        let bad = |reason: String| FileError::Bad { path: path.into(), line, reason };
        let (stamp, value) = row.map_err(|e| bad(e.to_string())).and_then(|r| convert(r).map_err(bad))?;
        if stamp <= last {
            return Err(bad(format!("time goes back: {stamp} ns after {last} ns")));
        }
        last = stamp;
        out.push(value);
    }
    Ok(out)
}
