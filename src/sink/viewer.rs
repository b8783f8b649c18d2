//! The flight for Rerun, as a recording or in a live viewer: map, frame, matches, fixes, track and numbers over time, with a layout
//! of its own.
//!
//! - `scene`: the flight over the map.
//! - `pair`: frame and map side by side.
//! - `series`: plots over time.
//! - `text`: words: events, the current frame, the run.
//! - `blueprint`: how the viewer lays this out.

mod blueprint;
mod legend;
mod live;
mod pair;
mod palette;
mod scene;
mod series;
#[cfg(test)]
mod tests;
mod text;

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use image::RgbImage;
use rerun::{RecordingStream, RecordingStreamBuilder, TimeCell};

use super::{Clocked, Sink, SinkError};
use crate::geo::Geodetic;
use crate::map::MapStore;
use crate::recording::Truth;
use crate::types::{FrameReport, Outcome, SourceStatus, TrackPoint, TrackSource};

/// Name of the application in the viewer.
const APPLICATION: &str = "skyfix";
/// Timeline of the frames' ordinals.
const FRAME: &str = "frame";
/// Timeline of the time since the first frame.
const FLIGHT_TIME: &str = "flight_time";
/// Timelines of coordinated universal time and of this computer's clock in a live flight, where they are known.
const UTC: &str = "utc";
const WALL: &str = "wall";
/// Frames between two looks at whether the recording can still be written.
const FRAMES_PER_FLUSH: u64 = 16;
/// A disk that takes longer than this to take what is written is an error: the flight goes on.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);
/// A complete recording ends in a footer that holds this mark (`re_log_encoding`, `StreamFooter`).
const FOOTER_MARK: &[u8] = b"RRF2FOOT";
/// The footer lies within this many bytes of the end.
const FOOTER_BYTES: u64 = 64;

/// Shows a flight: writes a recording, or feeds a live viewer.
pub struct ViewerSink {
    /// The file, or what errors call the viewer.
    path: PathBuf,
    /// Whether `path` is a file that must be complete in the end.
    file: bool,
    /// Shortest time between two pictures, nanoseconds.
    picture_interval_ns: i64,
    last_picture_ns: Option<i64>,
    flush_timeout: Duration,
    recording: Option<RecordingStream>,
    map: MapStore,
    truth: Truth,
    scene: scene::Scene,
    start_ns: Option<i64>,
    clocks: Clocked,
    source: Option<TrackSource>,
    /// The filter's sources at the last frame.
    sources: Vec<SourceStatus>,
    shown: blueprint::Shown,
    frames: u64,
}

impl ViewerSink {
    /// Starts a recording. `truth` is empty when there is none.
    ///
    /// # Errors
    /// When the file cannot be written or the map cannot be read.
    pub fn create(path: &Path, map: &MapStore, truth: &Truth) -> Result<Self, SinkError> {
        let builder = RecordingStreamBuilder::new(APPLICATION).recording_name(path.display().to_string()).enabled(true);
        let recording = builder.save(path).map_err(|e| SinkError::Viewer { path: path.into(), reason: e.to_string() })?;
        let mut sink = Self::begin(path, recording, map.path(), truth, FLUSH_TIMEOUT)?;
        sink.file = true;
        Ok(sink)
    }

    fn begin(
        path: &Path,
        recording: RecordingStream,
        map: &Path,
        truth: &Truth,
        flush_timeout: Duration,
    ) -> Result<Self, SinkError> {
        let failed = |e: &dyn std::fmt::Display| SinkError::Viewer { path: path.into(), reason: e.to_string() };
        // A connection and a tile cache of its own, so that drawing does not disturb matching.
        let map = MapStore::open(map).map_err(|e| failed(&e))?;
        recording.set_log_time_enabled(false);
        let mut scene = scene::Scene::default();
        scene.settle(&map, None, &recording).map_err(|e| failed(&e))?;
        let shown = blueprint::Shown { map: scene.map_bounds(), pair: None };
        let prepare = || {
            blueprint::send(&recording, APPLICATION, shown)?;
            legend::log(&recording)?;
            series::style(&recording)
        };
        prepare().map_err(|e| failed(&e))?;
        let mut sink = Self {
            path: path.into(),
            file: false,
            picture_interval_ns: 0,
            last_picture_ns: None,
            flush_timeout,
            recording: None,
            map,
            truth: truth.clone(),
            scene,
            start_ns: None,
            clocks: Clocked::default(),
            source: None,
            sources: Vec::new(),
            shown,
            frames: 0,
        };
        sink.flush(&recording)?;
        sink.recording = Some(recording);
        Ok(sink)
    }

    /// Adds a description of the run, in markdown: settings, model, map.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn describe(&mut self, markdown: &str) -> Result<(), SinkError> {
        match &self.recording {
            Some(recording) => text::about(recording, markdown).map_err(|e| self.failed(e)),
            None => Ok(()),
        }
    }

    fn flush(&self, recording: &RecordingStream) -> Result<(), SinkError> {
        recording.flush_with_timeout(self.flush_timeout).map_err(|e| {
            let why = if self.file { "cannot be written; is the disk full?" } else { "the viewer does not take it" };
            self.failed(format!("{why} ({e})"))
        })
    }

    fn failed(&self, reason: impl std::fmt::Display) -> SinkError {
        SinkError::Viewer { path: self.path.clone(), reason: reason.to_string() }
    }

    /// What is logged next is of this stamp.
    fn set_time(&self, recording: &RecordingStream, stamp_ns: i64, start_ns: i64) {
        recording.set_time(FLIGHT_TIME, TimeCell::from_duration_nanos(stamp_ns.saturating_sub(start_ns)));
        let clocks = self.clocks.at(stamp_ns);
        for (timeline, shown_ns) in [(UTC, clocks.utc_ns), (WALL, clocks.wall_ns)] {
            match shown_ns {
                Some(ns) => recording.set_time(timeline, TimeCell::from_timestamp_nanos_since_epoch(ns)),
                None => recording.disable_timeline(timeline),
            }
        }
    }

    fn log(&mut self, recording: &RecordingStream, report: &FrameReport) -> Result<(), scene::SceneError> {
        let start_ns = *self.start_ns.get_or_insert(report.stamp_ns);
        recording.set_time_sequence(FRAME, report.ordinal as i64);
        self.clocks.frame(report);
        self.set_time(recording, report.stamp_ns, start_ns);

        let truth = self.truth.at(&report.name, report.stamp_ns);
        let fix = match &report.matched.outcome {
            Outcome::Fix(fix) => Some(fix.camera),
            Outcome::Abstained(_) => None,
        };
        let track = report.track.state.as_ref().map(|s| s.position);
        self.scene.settle(&self.map, truth.map(|t| t.camera).or(fix).or(track), recording)?;
        let pair = report.preview.as_ref().map(|(image, _)| pair::bounds(image.dimensions()));
        let shown = blueprint::Shown { map: self.scene.map_bounds(), pair: self.shown.pair.or(pair) };
        if shown != std::mem::replace(&mut self.shown, shown) {
            blueprint::send(recording, APPLICATION, shown)?;
        }
        self.scene.log(recording, &self.map, report, truth.as_ref())?;
        pair::log(recording, &self.map, report)?;
        let error_m = |at: Option<Geodetic>| Some(distance_m(at?, truth?.camera));
        series::log(recording, report, error_m(fix), error_m(track))?;
        text::log(recording, report, self.source.replace(report.track.source), error_m(fix))?;
        series::log_sources(recording, &self.sources, &report.sources)?;
        text::log_sources(recording, &self.sources, &report.sources)?;
        self.sources.clone_from(&report.sources);
        Ok(())
    }
}

impl Sink for ViewerSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        let Some(recording) = self.recording.clone() else { return Ok(()) };
        let stamp_ns = report.stamp_ns;
        let soon = self.last_picture_ns.is_some_and(|last| stamp_ns.saturating_sub(last) < self.picture_interval_ns);
        if soon && report.preview.is_some() {
            let without_picture = FrameReport { preview: None, ..report.clone() };
            self.log(&recording, &without_picture).map_err(|e| self.failed(e))?;
        } else {
            self.last_picture_ns = Some(stamp_ns);
            self.log(&recording, report).map_err(|e| self.failed(e))?;
        }
        self.frames += 1;
        if self.frames.is_multiple_of(FRAMES_PER_FLUSH) { self.flush(&recording) } else { Ok(()) }
    }

    fn between(&mut self, point: &TrackPoint) -> Result<(), SinkError> {
        let (Some(recording), Some(start_ns)) = (self.recording.clone(), self.start_ns) else { return Ok(()) };
        self.set_time(&recording, point.stamp_ns, start_ns);
        let logged = self.scene.log_track(&recording, point).and_then(|()| series::log_sigma(&recording, point));
        logged.map_err(|e| self.failed(e))
    }

    fn settled(&mut self, points: &[(String, TrackPoint)]) -> Result<(), SinkError> {
        let Some(recording) = self.recording.clone() else { return Ok(()) };
        points.iter().try_for_each(|(_, point)| self.scene.log_settled(&recording, point)).map_err(|e| self.failed(e))
    }

    fn smoothed(&mut self, points: &[(String, TrackPoint)]) -> Result<(), SinkError> {
        let Some(recording) = self.recording.clone() else { return Ok(()) };
        self.scene.log_smoothed(&recording, points).map_err(|e| self.failed(e))
    }

    /// Completes the recording, and fails when the file is not complete.
    fn finish(&mut self) -> Result<(), SinkError> {
        let Some(recording) = self.recording.take() else { return Ok(()) };
        // Now that the flight is known, the map opens on it.
        let shown = blueprint::Shown { map: self.scene.flown_bounds(), ..self.shown };
        blueprint::send(&recording, APPLICATION, shown).map_err(|e| self.failed(e))?;
        self.flush(&recording)?;
        // Closing waits for the file's writer without a limit, so another thread does it.
        let (closed, wait) = mpsc::sync_channel(1);
        let close = move || {
            recording.disconnect();
            // Nobody listens after the time limit.
            let _ = closed.send(());
        };
        std::thread::Builder::new().name("viewer-close".into()).spawn(close).map_err(|e| self.failed(e))?;
        wait.recv_timeout(self.flush_timeout).map_err(|_| self.failed("closing the recording took too long"))?;
        if !self.file {
            return Ok(());
        }
        // The writer only logs what goes wrong while it closes; the footer says whether all was written.
        match ends_in_footer(&self.path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.failed("the recording is incomplete; is the disk full?")),
            Err(e) => Err(self.failed(e)),
        }
    }
}

fn ends_in_footer(path: &Path) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(FOOTER_BYTES)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(end.windows(FOOTER_MARK.len()).any(|window| window == FOOTER_MARK))
}

fn distance_m(a: Geodetic, b: Geodetic) -> f64 {
    let plane = crate::geo::EnuPlane::at(Geodetic::ground(b.lat_deg, b.lon_deg));
    let enu = plane.ground_from_lat_lon(a.lat_deg, a.lon_deg);
    enu.e_m.hypot(enu.n_m)
}

fn jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    image.write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality))?;
    Ok(bytes)
}
