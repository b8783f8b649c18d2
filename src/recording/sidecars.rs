//! Telemetry sidecars of a recording, one table for each kind of sample (`imu.csv`, `height.csv` and so on), in time order.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::FileError;
use super::rows::{Recorded, SidecarRow};
use crate::files;
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

/// Rows of a CSV file; an absent file is no rows, and a last row that breaks off is left out. Stamps must increase.
pub fn rows<R: DeserializeOwned, T>(
    path: &Path,
    mut convert: impl FnMut(R) -> Result<(i64, T), String>,
) -> Result<Vec<T>, FileError> {
    let text = match files::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FileError::Io { path: path.into(), source }),
    };
    let mut out = Vec::new();
    let mut last = i64::MIN;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_slice());
    let mut rows = reader.deserialize::<R>().enumerate().peekable();
    while let Some((i, row)) = rows.next() {
        let line = Some(i as u64 + 2);
        let bad = |reason: String| FileError::Bad { path: path.into(), line, reason };
        let read = row.map_err(|e| bad(e.to_string())).and_then(|r| convert(r).map_err(bad));
        if read.is_err() && rows.peek().is_none() && !text.ends_with(b"\n") {
            // A process that was killed, or a disk that was full.
            tracing::warn!("{}: the last row, line {}, is incomplete and was left out", path.display(), i + 2);
            break;
        }
        let (stamp, value) = read?;
        if stamp <= last {
            return Err(bad(format!("time goes back: {stamp} ns after {last} ns")));
        }
        last = stamp;
        out.push(value);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::rows::HeightRow;

    #[test]
    fn a_last_row_that_breaks_off_is_left_out_and_one_in_the_middle_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("height.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            rows(&path, |row: HeightRow| Ok((row.stamp_ns(), ()))).map(|rows| rows.len()).map_err(|e| e.to_string())
        };
        let whole = "t_ns,height_agl_m,sigma_m\n1,100.0,2.0\n2,101.0,2.0\n";
        assert_eq!(read(whole), Ok(2));
        assert_eq!(read(&whole[..whole.len() - 1]), Ok(2));
        assert_eq!(read(&whole[..whole.len() - 7]), Ok(1));
        assert!(read("t_ns,height_agl_m,sigma_m\n1,100.0\n2,101.0,2.0\n").unwrap_err().contains("line 2"));
        assert!(read("t_ns,height_agl_m,sigma_m\n1,100.0,2.0\n2,101.0\n").is_err());
    }
}
