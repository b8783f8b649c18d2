//! Writes recordings: `flight.toml`, telemetry with its stamps, which frames there are, and the truth where it is known.
//!
//! Pixels are written by whoever has them. A recording of a live flight serves the same frames with the same knowledge when it is replayed,
//! so it gives the same fixes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::rows::{FrameRow, Recorded, SidecarRow};
use super::truth::TruthRecord;
use super::{FileError, Start, reader, sidecars};
use crate::types::{Camera, Mounting, TelemetryBatch, nadir_body_from_camera, telemetry_kinds};

/// Name of the video of a recording that skyfix writes.
pub const VIDEO: &str = "video.mkv";
/// The table of a video's frames.
pub const FRAMES: &str = "frames.csv";
/// The table of photos.
pub const PHOTOS: &str = "photos.csv";
/// The table of what is true.
pub const TRUTH: &str = "truth.csv";

/// What `flight.toml` says.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// The first line: what the recording is.
    pub title: &'a str,
    /// The camera.
    pub camera: &'a Camera,
    /// What a replay should be told.
    pub told: &'a Told,
    /// Licence of what is in the folder.
    pub licence: Option<&'a str>,
    /// How it was made.
    pub made_by: &'a str,
}

/// What a flight was told beside what its sensors say, and its replay has to be told as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// What is known at the start.
    pub start: Option<Start>,
    /// The map, where it is not `map.mbtiles` in the folder.
    pub map: Option<PathBuf>,
    /// Keys of the configuration, as tables.
    pub settings: toml::Table,
}

/// A row of `frames.csv` or `photos.csv` that gives no more than a stamp.
#[derive(Serialize)]
struct StampRow<'a> {
    frame: &'a str,
    stamp_ns: i64,
}

/// A recording being written.
pub struct RecordingWriter {
    folder: PathBuf,
    /// Tables by their name; each appears with its first row.
    tables: BTreeMap<&'static str, csv::Writer<File>>,
}

impl RecordingWriter {
    /// Starts a recording in a folder, which must be empty or not there yet.
    ///
    /// # Errors
    /// When the folder holds something or cannot be written.
    pub fn create(folder: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Io { path: folder.into(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        if std::fs::read_dir(folder).map_err(failed)?.next().is_some() {
            let reason = "the folder to record into is not empty; give another, so that no recording is overwritten".into();
            return Err(FileError::Nothing { path: folder.into(), reason });
        }
        Ok(Self { folder: folder.into(), tables: BTreeMap::new() })
    }

    /// Starts a recording in a folder whose tables and video, where it has some, are removed first.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn replace(folder: &Path) -> Result<Self, FileError> {
        std::fs::create_dir_all(folder).map_err(|source| FileError::Io { path: folder.into(), source })?;
        for name in sidecars::NAMES.iter().chain(&[VIDEO, FRAMES, PHOTOS, TRUTH]) {
            let path = folder.join(name);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(FileError::Io { path, source }),
                _ => {}
            }
        }
        Ok(Self { folder: folder.into(), tables: BTreeMap::new() })
    }

    /// Where the video belongs.
    pub fn video(&self) -> PathBuf {
        self.folder.join(VIDEO)
    }

    /// Writes `flight.toml` and returns the camera that a replay will read out of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn describe(&self, description: &Description<'_>) -> Result<Camera, FileError> {
        let path = self.folder.join("flight.toml");
        std::fs::write(&path, flight_toml(description)).map_err(|source| FileError::Io { path: path.clone(), source })?;
        Ok(reader::read_description(&path)?.1)
    }

    /// Adds a frame that was served and the telemetry that it took.
    ///
    /// # Errors
    /// When a table cannot be written.
    pub fn frame(&mut self, row: &FrameRow, telemetry: &TelemetryBatch) -> Result<(), FileError> {
        self.add_telemetry(telemetry)?;
        self.add(FRAMES, row)?;
        self.flush()
    }

    /// Adds the stamp of a frame of the video, or of a photo where `table` is [`PHOTOS`].
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn stamp(&mut self, table: &'static str, frame: &str, stamp_ns: i64) -> Result<(), FileError> {
        self.add(table, StampRow { frame, stamp_ns })
    }

    /// Adds what is true of a frame.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn truth(&mut self, row: &TruthRecord) -> Result<(), FileError> {
        self.add(TRUTH, row)
    }

    /// Completes the tables; returns their size, bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(&mut self) -> Result<u64, FileError> {
        self.flush()?;
        let size = |(name, table): (&&'static str, &csv::Writer<File>)| {
            let metadata = table.get_ref().metadata();
            metadata.map(|m| m.len()).map_err(|source| FileError::Io { path: self.folder.join(name), source })
        };
        self.tables.iter().map(size).sum()
    }

    /// Hands the rows to the system: they are there whatever becomes of the process.
    fn flush(&mut self) -> Result<(), FileError> {
        let folder = &self.folder;
        self.tables
            .iter_mut()
            .try_for_each(|(name, table)| table.flush().map_err(|source| FileError::Io { path: folder.join(name), source }))
    }

    fn add(&mut self, name: &'static str, row: impl Serialize) -> Result<(), FileError> {
        let path = || self.folder.join(name);
        let table = match self.tables.entry(name) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let file = File::create(path()).map_err(|source| FileError::Io { path: path(), source })?;
                entry.insert(csv::Writer::from_writer(file))
            }
        };
        table.serialize(row).map_err(|e| FileError::Io { path: path(), source: e.into() })
    }
}

macro_rules! recorded {
    ($($(#[$doc:meta])* $list:ident: $kind:ident($sample:ident),)*) => {
        impl RecordingWriter {
            /// Adds telemetry that no frame took.
            ///
            /// # Errors
            /// When a table cannot be written.
            pub fn telemetry(&mut self, telemetry: &TelemetryBatch) -> Result<(), FileError> {
                self.add_telemetry(telemetry)?;
                self.flush()
            }

            fn add_telemetry(&mut self, telemetry: &TelemetryBatch) -> Result<(), FileError> {
                $(telemetry.$list.iter().try_for_each(|s| self.add(concat!(stringify!($list), ".csv"), row_of(s)))?;)*
                Ok(())
            }
        }

        /// A batch as a replay of its recording reads it; samples that cannot be written are left out.
        pub fn as_recorded(batch: &TelemetryBatch) -> TelemetryBatch {
            TelemetryBatch {
                $($list: batch.$list.iter().filter_map(<crate::types::$sample as Recorded>::Row::as_recorded).collect(),)*
            }
        }
    };
}
telemetry_kinds!(recorded);

fn row_of<S: Recorded>(sample: &S) -> S::Row {
    S::Row::of(sample)
}

fn flight_toml(description: &Description<'_>) -> String {
    let Description { title, camera, told, licence, made_by } = description;
    let i = &camera.intrinsics;
    let [k1, k2, p1, p2, k3] = <[f64; 5]>::from(camera.distortion);
    let mounting = match camera.mounting {
        Mounting::Stabilised => "stabilised",
        Mounting::Strapdown => "strapdown",
    };
    let q = camera.body_from_camera.quaternion();
    let body_from_camera = if camera.body_from_camera == nadir_body_from_camera() {
        String::new()
    } else {
        format!(
            "# Attitude of the camera in the body (x forward, y right, z down): qw qx qy qz.\nbody_from_camera = [{:?}, {:?}, {:?}, {:?}]\n",
            q.w, q.i, q.j, q.k
        )
    };
    let start = told.start.map_or(String::new(), |s| {
        format!(
            "\n[start]\n# What is known of the position at the start, and its standard deviation an axis, metres.\nlat_deg = {:?}\nlon_deg = {:?}\nsigma_m = {:?}\n",
            s.position.lat_deg, s.position.lon_deg, s.sigma_m
        )
    });
    let map = told
        .map
        .as_ref()
        .map_or(String::new(), |map| format!("\n[map]\n# Where the map lay.\npath = {}\n", quoted(&map.to_string_lossy())));
    let licence =
        licence.map_or(String::new(), |l| format!("# Licence of everything in this folder.\nlicence = {}\n", quoted(l)));
    format!(
        r#"# {title}

[camera]
# Size of the frames as stored, pixels.
width_px = {width}
height_px = {height}
# Focal length, pixels.
fx_px = {fx:?}
fy_px = {fy:?}
# Principal point, pixels from the upper left corner of the picture.
cx_px = {cx:?}
cy_px = {cy:?}
# Brown-Conrady k1 k2 p1 p2 k3, as in OpenCV.
distortion = [{k1:?}, {k2:?}, {p1:?}, {p2:?}, {k3:?}]
# "stabilised": a gimbal keeps the camera looking down and follows the heading; "strapdown": it tilts with the airframe.
mounting = "{mounting}"
{body_from_camera}# How far from nominal the camera may lean, standard deviation, degrees.
tilt_sigma_deg = {tilt:?}

[clock]
# Seconds that the clock of the telemetry is ahead of that of the frames.
telemetry_minus_video_s = 0.0
{start}{map}
[about]
{licence}# How it was made.
made_by = {made_by}
{settings}"#,
        settings = settings(&told.settings),
        made_by = quoted(made_by),
        width = i.width_px,
        height = i.height_px,
        fx = i.fx_px,
        fy = i.fy_px,
        cx = i.cx_px,
        cy = i.cy_px,
        tilt = camera.tilt_sigma_rad.to_degrees(),
    )
}

/// What else the flight was told.
fn settings(keys: &toml::Table) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let under = toml::Table::from_iter([("settings".to_owned(), toml::Value::Table(keys.clone()))]);
    format!("\n# What the flight was told, and a replay is told as well unless it is told otherwise.\n{under}")
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Geodetic;
    use crate::types::{Estimate, HeightSample, Intrinsics, Known};

    #[test]
    fn what_was_recorded_is_read_again_and_a_camera_keeps_its_bits() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("new");
        let mut writer = RecordingWriter::create(&into).unwrap();
        let mut camera = Camera::nadir(Intrinsics::centred(1919, 1079, 1_234.567_890_123));
        camera.tilt_sigma_rad = 0.1;
        camera.mounting = Mounting::Strapdown;
        let start = Start { position: Geodetic::ground(47.1, 8.3), sigma_m: 55.5 };
        let settings: toml::Table = toml::from_str("[match.fix]\nmin_inliers = 40\n[telemetry]\nheight = \"120±6\"").unwrap();
        let told = Told { start: Some(start), map: Some("/maps/the \"one\".mbtiles".into()), settings: settings.clone() };
        let describe = |camera: &Camera| {
            writer
                .describe(&Description { title: "A test.", camera, told: &told, licence: Some("\"his\" own"), made_by: "hand" })
                .unwrap()
        };
        let read = describe(&camera);
        assert_eq!(read.intrinsics, camera.intrinsics);
        assert_eq!(describe(&read), read);
        let known = Known { height_agl_m: Some(Estimate { value: 120.25, sigma: 3.0 }), ..Known::default() };
        let sample = HeightSample { stamp_ns: 5, height_agl_m: 120.25, sigma_m: 3.0 };
        let telemetry = TelemetryBatch { height: vec![sample], ..TelemetryBatch::default() };
        writer.frame(&FrameRow::of(3, 7, &known), &telemetry).unwrap();
        writer.finish().unwrap();
        let recording = reader::read(&into).unwrap();
        assert_eq!(recording.telemetry, telemetry);
        assert_eq!(recording.file.start.unwrap().sigma_m, 55.5);
        assert_eq!((recording.map, recording.file.settings), (told.map, settings));
        assert_eq!(recording.file.about.unwrap().licence.as_deref(), Some("\"his\" own"));
        assert!(!into.join("imu.csv").exists());
    }

    #[test]
    fn a_folder_that_holds_something_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flight.toml"), "x").unwrap();
        let error = RecordingWriter::create(folder.path()).err().unwrap().to_string();
        assert!(error.contains("not empty"), "{error}");
    }
}
