//! Writes what comes in while flying as a recording: telemetry with its stamps, and which frames of the video were served.
//!
//! The video itself is recorded as it came by the source of the frames. A replay of the recording serves the same frames with the same
//! knowledge, so it gives the same fixes.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::rows::{AttitudeRow, BarometerRow, FrameRow, GnssRow, HeadingRow, HeightRow, ImuRow, LandedRow, SidecarRow};
use super::{FileError, Start, reader};
use crate::types::{Camera, Mounting, TelemetryBatch, nadir_body_from_camera};

/// Name of the video in a recording made while flying.
pub const VIDEO: &str = "video.mkv";

/// A recording being written.
pub struct RecordingWriter {
    folder: PathBuf,
    frames: Table,
    imu: Table,
    height: Table,
    heading: Table,
    attitude: Table,
    barometer: Table,
    gnss: Table,
    landed: Table,
}

/// A CSV file that appears with its first row.
struct Table {
    path: PathBuf,
    writer: Option<csv::Writer<File>>,
}

impl Table {
    fn add(&mut self, row: impl Serialize) -> Result<(), FileError> {
        let failed = |path: &Path, source: std::io::Error| FileError::Io { path: path.into(), source };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let file = File::create(&self.path).map_err(|e| failed(&self.path, e))?;
                none.insert(csv::Writer::from_writer(file))
            }
        };
        writer.serialize(row).map_err(|e| failed(&self.path, e.into()))
    }

    fn finish(&mut self) -> Result<(), FileError> {
        let flushed = self.writer.as_mut().map_or(Ok(()), csv::Writer::flush);
        flushed.map_err(|source| FileError::Io { path: self.path.clone(), source })
    }
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
        let table = |name: &str| Table { path: folder.join(name), writer: None };
        Ok(Self {
            folder: folder.into(),
            frames: table("frames.csv"),
            imu: table("imu.csv"),
            height: table("height.csv"),
            heading: table("heading.csv"),
            attitude: table("attitude.csv"),
            barometer: table("barometer.csv"),
            gnss: table("gnss.csv"),
            landed: table("landed.csv"),
        })
    }

    /// Where the video belongs.
    pub fn video(&self) -> PathBuf {
        self.folder.join(VIDEO)
    }

    /// Writes `flight.toml` and returns the camera that a replay will read out of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn describe(&self, camera: &Camera, start: Option<&Start>) -> Result<Camera, FileError> {
        let path = self.folder.join("flight.toml");
        std::fs::write(&path, flight_toml(camera, start)).map_err(|source| FileError::Io { path, source })?;
        Ok(reader::read(&self.folder)?.camera)
    }

    /// Adds a frame that was served and the telemetry that it took.
    ///
    /// # Errors
    /// When a table cannot be written.
    pub fn frame(&mut self, row: &FrameRow, telemetry: &TelemetryBatch) -> Result<(), FileError> {
        self.telemetry(telemetry)?;
        self.frames.add(row)
    }

    /// Adds telemetry that no frame took.
    ///
    /// # Errors
    /// When a table cannot be written.
    pub fn telemetry(&mut self, telemetry: &TelemetryBatch) -> Result<(), FileError> {
        telemetry.imu.iter().try_for_each(|s| self.imu.add(ImuRow::of(s)))?;
        telemetry.height.iter().try_for_each(|s| self.height.add(HeightRow::of(s)))?;
        telemetry.heading.iter().try_for_each(|s| self.heading.add(HeadingRow::of(s)))?;
        telemetry.attitude.iter().try_for_each(|s| self.attitude.add(AttitudeRow::of(s)))?;
        telemetry.barometer.iter().try_for_each(|s| self.barometer.add(BarometerRow::of(s)))?;
        telemetry.gnss.iter().try_for_each(|s| self.gnss.add(GnssRow::of(s)))?;
        telemetry.landed.iter().try_for_each(|s| self.landed.add(LandedRow::of(s)))
    }

    /// Completes the tables.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(&mut self) -> Result<(), FileError> {
        let Self { folder: _, frames, imu, height, heading, attitude, barometer, gnss, landed } = self;
        [frames, imu, height, heading, attitude, barometer, gnss, landed].into_iter().try_for_each(Table::finish)
    }
}

/// A batch as a replay of its recording reads it; samples that cannot be written are left out.
pub fn as_recorded(batch: &TelemetryBatch) -> TelemetryBatch {
    fn all<R: SidecarRow>(samples: &[R::Sample]) -> Vec<R::Sample> {
        samples.iter().filter_map(R::as_recorded).collect()
    }
    TelemetryBatch {
        imu: all::<ImuRow>(&batch.imu),
        height: all::<HeightRow>(&batch.height),
        heading: all::<HeadingRow>(&batch.heading),
        attitude: all::<AttitudeRow>(&batch.attitude),
        barometer: all::<BarometerRow>(&batch.barometer),
        gnss: all::<GnssRow>(&batch.gnss),
        landed: all::<LandedRow>(&batch.landed),
    }
}

fn flight_toml(camera: &Camera, start: Option<&Start>) -> String {
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
    let start = start.map_or(String::new(), |s| {
        format!(
            "\n[start]\n# What was known of the position at the start, and its standard deviation an axis, metres.\nlat_deg = {:?}\nlon_deg = {:?}\nsigma_m = {:?}\n",
            s.position.lat_deg, s.position.lon_deg, s.sigma_m
        )
    });
    format!(
        r#"# Recorded by skyfix. frames.csv lists the frames of the video that were served, and what was known of each.

[camera]
# Size of the frames, pixels.
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
# "stabilised": a gimbal keeps the camera looking down; "strapdown": it tilts with the airframe.
mounting = "{mounting}"
{body_from_camera}# How far from nominal the camera may lean, standard deviation, degrees.
tilt_sigma_deg = {tilt:?}

[clock]
# The telemetry's stamps are on the video's clock already.
telemetry_minus_video_s = 0.0
{start}
[about]
# How it was made.
made_by = "skyfix run"
"#,
        width = i.width_px,
        height = i.height_px,
        fx = i.fx_px,
        fy = i.fy_px,
        cx = i.cx_px,
        cy = i.cy_px,
        tilt = camera.tilt_sigma_rad.to_degrees(),
    )
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
        let read = writer.describe(&camera, Some(&start)).unwrap();
        assert_eq!(read.intrinsics, camera.intrinsics);
        assert_eq!(writer.describe(&read, Some(&start)).unwrap(), read);
        let known = Known { height_agl_m: Some(Estimate { value: 120.25, sigma: 3.0 }), ..Known::default() };
        let sample = HeightSample { stamp_ns: 5, height_agl_m: 120.25, sigma_m: 3.0 };
        let telemetry = TelemetryBatch { height: vec![sample], ..TelemetryBatch::default() };
        writer.frame(&FrameRow::of(3, 7, &known), &telemetry).unwrap();
        writer.finish().unwrap();
        let recording = reader::read(&into).unwrap();
        assert_eq!(recording.telemetry, telemetry);
        assert_eq!(recording.file.start.unwrap().sigma_m, 55.5);
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
