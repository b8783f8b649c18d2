//! The frames of a video, recorded or live, with what is known of each: camera, telemetry, pose.

mod frame_table;
mod live;
mod settings;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::film;
use super::flight::{Flight, VideoOptions};
use super::frames::{FrameEvent, FrameSource};
use super::health::{HealthWatch, SharedHealth, VideoHealth};
use super::photos::CameraOptions;
use super::video::{MonotonicClock, VideoEvent, VideoFrame, VideoInput, VideoParts, VideoSettings};
use super::zoom::Zoom;
use super::{KnowledgeOptions, SourceError, TelemetryBuffer};
use crate::recording::rows::FrameRow;
use crate::recording::{Description, FileError, Recording, RecordingWriter, Told, Truth, as_recorded};
use crate::types::{Camera, Clocks, Frame, Intake, Intrinsics, Known, Pause, Pixels, Refusals};

use frame_table::FrameTable;
pub use live::LiveTelemetry;
use live::{LATEST_FRAME_NS, PauseClock};
pub use settings::{FootageCamera, FootageSettings, GIVE_A_FOCAL_LENGTH};

/// Aspect ratios further apart than this are of different pictures: cropped, or turned.
const MAX_ASPECT_DIFFERENCE: f64 = 0.01;

/// A video as frames of a flight.
pub struct Footage {
    name: String,
    video: VideoParts,
    camera: FootageCamera,
    zoom: Option<Zoom>,
    knowledge: KnowledgeOptions,
    recorded: TelemetryBuffer,
    rows: FrameTable,
    /// Stamp of the first frame that is asked for, and once it is there what is added to all.
    first_stamp_ns: Option<i64>,
    shift_ns: i64,
    live: Option<LiveTelemetry>,
    clock: MonotonicClock,
    pauses: PauseClock,
    health: HealthWatch,
    record: Option<(RecordingWriter, Told)>,
    /// The picture of the frame before.
    before: Option<Arc<RgbImage>>,
    /// A frame that waits for its telemetry, and since when.
    held: Option<(VideoFrame, Instant)>,
    next_ordinal: u64,
    /// Frames of a recording without a row: those that were not served when it was made.
    unserved: u64,
    /// Whether a change of the picture's shape has been told.
    told: bool,
}

/// The frames of a recording's video.
pub(super) fn recorded(
    recording: &Recording,
    knowledge: &KnowledgeOptions,
    options: &VideoOptions,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let first = recording.video.first().map_or(Path::new(""), |part| &part.path);
    let settings = FootageSettings {
        telemetry: recording.telemetry.clone(),
        frames: recording.frames.clone(),
        parts: recording.video.clone(),
        ..FootageSettings::new(file(first, options), FootageCamera::Known(recording.camera), knowledge)
    };
    Ok(Box::new(Footage::start(settings)?))
}

fn file(path: &Path, options: &VideoOptions) -> VideoSettings {
    let settings = VideoSettings::new(VideoInput::File(path.into()));
    let read_timeout = options.read_timeout.unwrap_or(settings.read_timeout);
    VideoSettings { frame_rate: options.frame_rate, read_timeout, ..settings }
}

/// A video file without a recording around it, or a folder of its parts.
pub(super) fn open(
    path: &Path,
    knowledge: &KnowledgeOptions,
    camera: &CameraOptions,
    options: &VideoOptions,
) -> Result<Flight, SourceError> {
    let film = film::of(path, options.telemetry.is_some())?;
    let camera = FootageCamera::from_options(camera, None).map_err(|reason| {
        let reason = format!("{reason}; {GIVE_A_FOCAL_LENGTH}");
        FileError::Bad { path: path.into(), line: None, reason }
    })?;
    let mut settings = FootageSettings { files: film.parts, ..FootageSettings::new(file(path, options), camera, knowledge) };
    let (mut known, mut inputs) = (film.telemetry, film.inputs);
    if let Some(given) = options.telemetry.as_deref() {
        known.append(film::telemetry(given)?);
    }
    settings.take(&known, &mut inputs);
    let frames = Box::new(Footage::start(settings)?);
    let (truth, warnings) = (Truth::of_track(known.truth), known.warnings);
    Ok(Flight { frames, start: None, truth, map: None, map_lies_elsewhere: false, warnings, inputs })
}

/// What a recording of a live flight says of itself.
fn recorded_by_run<'a>(camera: &'a Camera, told: &'a Told) -> Description<'a> {
    let title = "Recorded by skyfix. frames.csv lists the frames of the video that were served, and what was known of each.";
    Description { title, camera, told, licence: None, made_by: "skyfix run" }
}

impl Footage {
    /// Opens the video.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn start(mut settings: FootageSettings) -> Result<Self, SourceError> {
        let rows = FrameTable::new(settings.frames);
        if rows.is_live() {
            // The recording says which frames.
            settings.video.frame_rate = None;
        }
        if let Some((writer, _)) = &settings.record {
            settings.video.record = Some(writer.video());
        }
        Ok(Self {
            name: settings.video.input.shown(),
            video: if settings.files.is_empty() {
                VideoParts::start(settings.video, settings.parts)?
            } else {
                VideoParts::start_sequence(settings.video, settings.files)?
            },
            camera: settings.camera,
            zoom: settings.zoom,
            knowledge: settings.knowledge,
            recorded: TelemetryBuffer::of_recording(&settings.telemetry, settings.knowledge.plausible),
            rows,
            first_stamp_ns: settings.first_stamp_ns,
            shift_ns: 0,
            live: settings.live.map(|live| live.with_door(settings.knowledge.plausible)),
            clock: MonotonicClock::obtain()?,
            pauses: PauseClock::new(settings.pause_interval_ns),
            health: HealthWatch::default(),
            record: settings.record,
            before: None,
            held: None,
            next_ordinal: 0,
            unserved: 0,
            told: false,
        })
    }

    fn frame(&mut self, mut shown: VideoFrame) -> FrameEvent {
        let row = self.rows.row(shown.index, shown.pts_ns);
        if let Some(wanted) = self.first_stamp_ns.take() {
            self.shift_ns = wanted.saturating_sub(shown.pts_ns);
        }
        shown.pts_ns = shown.pts_ns.saturating_add(self.shift_ns);
        if row.is_none() && !self.rows.is_empty() {
            if !self.rows.is_live() {
                tracing::warn!("{}: frame {} has no row in frames.csv and is left out", self.name, shown.index);
            }
            self.unserved += 1;
            return FrameEvent::Pending;
        }
        let stamp_ns = row.as_ref().map_or(shown.pts_ns, |r| r.stamp_ns);
        let camera = match self.camera_for(shown.image.dimensions()) {
            Ok(camera) => Some(
                self.zoom
                    .as_ref()
                    .map_or(camera, |zoom| Camera { intrinsics: camera.intrinsics.zoomed(zoom.at(stamp_ns)), ..camera }),
            ),
            Err(reason) if self.next_ordinal == 0 => {
                return FrameEvent::Failed(FileError::Bad { path: self.name.clone().into(), line: None, reason }.into());
            }
            Err(reason) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!("{}: from frame {} on: {reason}", self.name, shown.index);
                }
                None
            }
        };
        let (mut telemetry, mut known) = self.recorded.take(stamp_ns);
        if let Some(live) = &mut self.live {
            let (arrived, now) = live.take(shown.captured_ns, shown.pts_ns);
            telemetry.append(arrived);
            known = Known {
                height_agl_m: now.height_agl_m.or(known.height_agl_m),
                heading_rad: now.heading_rad.or(known.heading_rad),
                pitch_roll_rad: now.pitch_roll_rad.or(known.pitch_roll_rad),
            };
        }
        if let Some(row) = row.as_ref().filter(|row| row.is_live()) {
            known = row.known();
        }
        let clocks = row
            .as_ref()
            .map(FrameRow::clocks)
            .filter(|c| *c != Clocks::default())
            .unwrap_or_else(|| self.clocks(shown.captured_ns));
        if let Some((writer, _)) = &mut self.record {
            let row = FrameRow::of(shown.index, stamp_ns, &known).with_clocks(clocks);
            telemetry = as_recorded(&telemetry);
            if let Err(error) = writer.frame(&row, &telemetry) {
                return FrameEvent::Failed(error.into());
            }
            known = row.known();
        }
        self.pauses.frame(stamp_ns, shown.captured_ns);
        self.health.telemetry(stamp_ns, &telemetry);
        self.count();
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        // Sensors have noise, and so has what encoders make of it.
        let repeated = self.before.replace(Arc::clone(&shown.image)).is_some_and(|before| *before == *shown.image);
        let captured = shown.captured_ns.and_then(|captured| {
            let age_ns = u64::try_from(self.clock.now_ns().saturating_sub(captured)).ok()?;
            Instant::now().checked_sub(Duration::from_nanos(age_ns))
        });
        FrameEvent::Frame(Box::new(Frame {
            ordinal,
            name: shown.index.to_string(),
            stamp_ns,
            pixels: Pixels::Decoded(shown.image).repeated(repeated),
            camera,
            known: self.knowledge.apply(ordinal, known),
            telemetry,
            captured,
            clocks,
            intake: self.intake_so_far(),
        }))
    }

    /// Other clocks when a frame was captured just now.
    fn clocks(&self, captured_ns: Option<i64>) -> Clocks {
        let wall_ns = captured_ns.and_then(|captured_ns| {
            let age_ns = self.clock.now_ns().saturating_sub(captured_ns);
            i64::try_from(jiff::Timestamp::now().as_nanosecond()).ok()?.checked_sub(age_ns)
        });
        Clocks { utc_ns: self.live.as_ref().and_then(|live| live.utc_ns(captured_ns)), wall_ns }
    }

    /// Frames whose fate is decided.
    fn intake_so_far(&self) -> Intake {
        let c = self.video.counters();
        Intake {
            received: self.next_ordinal + c.dropped,
            served: self.next_ordinal,
            dropped: c.dropped,
            reconnects: c.reconnects,
            telemetry_refused: self.telemetry_refused(),
        }
    }

    fn count(&mut self) {
        let live = self.live.as_ref();
        let of_live = live.map(|live| live.buffer.counters()).unwrap_or_default();
        self.health.counters(live.map(|live| live.stream.counters()), self.recorded.counters().plus(of_live));
        let video = self.video.counters();
        self.health.video(VideoHealth {
            before_keyframe: video.before_keyframe,
            after_loss: video.after_loss,
            missing: self.rows.missing(),
            without_time: video.without_pts,
            time_went_back: video.time_went_back,
            not_recorded: video.not_recorded,
        });
    }

    /// Telemetry that did not pass the door so far.
    fn telemetry_refused(&self) -> Refusals {
        let live = self.live.as_ref().map(|live| live.buffer.counters().implausible).unwrap_or_default();
        self.recorded.counters().implausible.plus(live)
    }

    /// The camera for frames of a size. A lens whose frames are scaled is the same lens; one whose frames are cropped or turned is
    /// not known, and guessing which would give wrong positions.
    fn camera_for(&mut self, (width, height): (u32, u32)) -> Result<Camera, String> {
        if let FootageCamera::FieldOfView(hfov_rad, camera) = &self.camera {
            let intrinsics = Intrinsics::from_horizontal_field_of_view(width, height, *hfov_rad);
            self.camera = FootageCamera::Known(Camera { intrinsics, ..*camera });
        }
        if self.next_ordinal == 0
            && let Some((writer, told)) = &self.record
            && let FootageCamera::Known(camera) = &self.camera
        {
            // The camera that a replay will read, to the last bit.
            let camera = writer.describe(&recorded_by_run(camera, told)).map_err(|e| e.to_string())?;
            self.camera = FootageCamera::Known(camera);
        }
        let (FootageCamera::Known(camera) | FootageCamera::FieldOfView(_, camera)) = &self.camera;
        let of = &camera.intrinsics;
        let ratio = (f64::from(width) * f64::from(of.height_px)) / (f64::from(height) * f64::from(of.width_px));
        if (ratio - 1.0).abs() <= MAX_ASPECT_DIFFERENCE {
            return Ok(*camera);
        }
        let turned = (width > height) != (of.width_px > of.height_px);
        let how = if turned { "turned (by its rotation tag)" } else { "of another shape" };
        Err(format!(
            "the picture of {width}×{height} px is {how}, the camera is known for {}×{} px; give a calibration for the picture as \
             it is shown",
            of.width_px, of.height_px
        ))
    }

    /// What is known of the time since the last frame, when that is long ago.
    fn pause(&mut self) -> FrameEvent {
        let now_ns = self.clock.now_ns();
        let Some(stamp_ns) = self.pauses.due(now_ns) else { return FrameEvent::Pending };
        let settled_ns = stamp_ns.saturating_sub(LATEST_FRAME_NS);
        let (mut telemetry, _) = self.recorded.take(settled_ns);
        let mut ahead = self.recorded.ahead(stamp_ns);
        if let Some(live) = &mut self.live {
            telemetry.append(live.take(Some(now_ns.saturating_sub(LATEST_FRAME_NS)), settled_ns).0);
            ahead.append(live.ahead(now_ns, stamp_ns));
        }
        if let Some((writer, _)) = &mut self.record {
            (telemetry, ahead) = (as_recorded(&telemetry), as_recorded(&ahead));
            if let Err(error) = writer.telemetry(&telemetry) {
                return FrameEvent::Failed(error.into());
            }
        }
        self.health.telemetry(settled_ns, &telemetry);
        self.count();
        FrameEvent::Pause(Box::new(Pause { stamp_ns, telemetry, ahead }))
    }

    fn next(&mut self) -> Option<FrameEvent> {
        match self.video.poll() {
            VideoEvent::Frame(frame) => self.held = Some((frame, Instant::now())),
            VideoEvent::Pending => return Some(FrameEvent::Pending),
            VideoEvent::Reconnecting { attempt, reason } => {
                tracing::warn!("{reason}; attempt {attempt} to connect again");
                return Some(FrameEvent::Pending);
            }
            VideoEvent::Ended => {
                if let Some(missing_s) = self.video.ended_early_s() {
                    let file = &self.name;
                    tracing::warn!("{file}: ends {missing_s:.1} s before the end that it states; was it cut off?");
                }
                return Some(FrameEvent::Ended);
            }
            VideoEvent::Failed(error) => return Some(FrameEvent::Failed(error.into())),
        }
        None
    }
}

impl FrameSource for Footage {
    fn health(&self) -> Option<SharedHealth> {
        Some(self.health.shared())
    }

    fn poll(&mut self) -> FrameEvent {
        if let Some(live) = &mut self.live {
            live.stream.drain(&mut live.buffer);
        }
        if self.held.is_none()
            && let Some(event) = self.next()
        {
            return match event {
                FrameEvent::Pending => self.pause(),
                other => other,
            };
        }
        let waits = |(frame, since): &(VideoFrame, Instant)| {
            self.live.as_ref().is_some_and(|live| !live.is_complete_for(frame.captured_ns) && since.elapsed() < live.wait)
        };
        if self.held.as_ref().is_some_and(waits) {
            return FrameEvent::Pending;
        }
        self.held.take().map_or(FrameEvent::Pending, |(frame, _)| self.frame(frame))
    }

    /// Ends the recording. What was decoded and not served by now counts as dropped.
    fn finish(&mut self) -> Result<Intake, SourceError> {
        self.video.finish()?;
        if let Some((writer, _)) = &mut self.record {
            writer.finish()?;
        }
        let c = self.video.counters();
        let left = u64::from(self.held.is_some()) + c.waiting;
        let dropped = c.dropped + left;
        self.count();
        Ok(Intake {
            received: c.delivered + c.dropped + c.waiting - self.unserved,
            served: self.next_ordinal,
            dropped,
            reconnects: c.reconnects,
            telemetry_refused: self.telemetry_refused(),
        })
    }
}
