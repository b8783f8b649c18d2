//! Telemetry sidecars of a recording, one table for each kind of sample (`imu.csv`, `height.csv` and so on), in time order.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::FileError;
use super::rows::{Recorded, SidecarRow};
use crate::types::{TelemetryBatch, telemetry_kinds};

macro_rules! sidecars {
    ($($(#[$doc:meta])* $list:ident: $kind:ident($sample:ident),)*) => {
        /// Names of all sidecars.
        pub const NAMES: &[&str] = &[$(concat!(stringify!($list), ".csv")),*];

        /// Reads the sidecars that are there; stamps are shifted by `-telemetry_minus_video_ns` to the frames' clock.
        ///
        /// # Errors
        /// When a file cannot be read or a row makes no sense.
        pub fn read(folder: &Path, telemetry_minus_video_ns: i64) -> Result<TelemetryBatch, FileError> {
            Ok(TelemetryBatch {
                $($list: samples(&folder.join(concat!(stringify!($list), ".csv")), telemetry_minus_video_ns)?,)*
            })
        }

        /// Reads one sidecar. `None` when a file of this name is no sidecar.
        ///
        /// # Errors
        /// As [`read`].
        pub fn read_one(path: &Path) -> Option<Result<TelemetryBatch, FileError>> {
            match path.file_name()?.to_str()? {
                $(name if name == concat!(stringify!($list), ".csv") => {
                    Some(samples(path, 0).map(|$list| TelemetryBatch { $list, ..TelemetryBatch::default() }))
                })*
                _ => None,
            }
        }
    };
}
telemetry_kinds!(sidecars);

fn samples<S: Recorded>(path: &Path, shift_ns: i64) -> Result<Vec<S>, FileError> {
    rows(path, |row: S::Row| Ok((row.stamp_ns(), row.sample(shift_ns)?)))
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
