//! Recordings of single pictures that no simulated sensor took: each with its time, its height, its heading, and its truth where it has one.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::{SimulateError, record};
use crate::recording::writer::PHOTOS;
use crate::recording::{Description, RecordingWriter, Told, TruthRecord};
use crate::types::{Camera, HeadingSample, HeightSample, TelemetryBatch};

/// Time before and after a picture for which its height and heading are told as well, nanoseconds: what reads them between two samples
/// finds some on either side.
const TOLD_AROUND_NS: i64 = 100_000_000;

/// What is told of a picture.
pub(super) struct Still {
    /// Time of capture.
    pub stamp_ns: i64,
    /// Height above ground as a sensor tells it, metres.
    pub height_m: f64,
    /// Its 1 sigma, metres.
    pub height_sigma_m: f64,
    /// Heading as a sensor tells it, degrees clockwise from north.
    pub heading_deg: f64,
    /// Its 1 sigma, degrees.
    pub heading_sigma_deg: f64,
    /// What is true of it; its frame's name and stamp are filled in.
    pub truth: Option<TruthRecord>,
}

/// A recording being written.
pub(super) struct StillsWriter {
    photos: PathBuf,
    writer: RecordingWriter,
    count: u64,
    photo_bytes: u64,
}

impl StillsWriter {
    /// Begins a recording in a folder; one that was made there before is replaced.
    pub fn begin(out: &Path, title: &str, camera: &Camera, made_by: &str) -> Result<Self, SimulateError> {
        let writer = record::begin(out)?;
        let photos = out.join("photos");
        std::fs::create_dir_all(&photos).map_err(|source| SimulateError::Write { path: photos.clone(), source })?;
        writer.describe(&Description { title, camera, told: &Told::default(), licence: None, made_by })?;
        Ok(Self { photos, writer, count: 0, photo_bytes: 0 })
    }

    /// Adds a picture; stamps must increase by more than twice the time around a picture for which it tells.
    pub fn add(&mut self, image: &RgbImage, jpeg_quality: u8, still: &Still) -> Result<(), SimulateError> {
        self.count += 1;
        let name = record::photo_name(self.count);
        self.photo_bytes += record::write_photo(&self.photos.join(&name), image, jpeg_quality)?;
        let stamps = [-TOLD_AROUND_NS, 0, TOLD_AROUND_NS].map(|dt| still.stamp_ns + dt);
        let rounded = record::rounded;
        let height =
            |stamp_ns| HeightSample { stamp_ns, height_agl_m: rounded(still.height_m, 3), sigma_m: still.height_sigma_m };
        let heading = |stamp_ns| HeadingSample {
            stamp_ns,
            heading_rad: rounded(still.heading_deg, 3).to_radians(),
            sigma_rad: still.heading_sigma_deg.to_radians(),
        };
        self.writer.telemetry(&TelemetryBatch {
            height: stamps.map(height).into(),
            heading: stamps.map(heading).into(),
            ..TelemetryBatch::default()
        })?;
        self.writer.stamp(PHOTOS, &name, still.stamp_ns)?;
        if let Some(truth) = &still.truth {
            self.writer.truth(&TruthRecord { frame: name, stamp_ns: still.stamp_ns, ..truth.clone() })?;
        }
        Ok(())
    }

    /// Completes the recording; returns its bytes.
    pub fn finish(mut self) -> Result<u64, SimulateError> {
        Ok(self.photo_bytes + self.writer.finish()?)
    }
}
