//! The frames of a video with what is known of each: camera, telemetry, pose.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::flight::{Flight, Remaining, VideoOptions, known_at};
use super::frames::{FrameEvent, FrameSource};
use super::photos::CameraOptions;
use super::recording::Recording;
use super::video::{VideoEvent, VideoFrame, VideoInput, VideoSettings, VideoSource};
use super::{KnowledgeOptions, Setting, SourceError, telemetry};
use crate::camera::{Camera, Intrinsics};
use crate::types::{Frame, Pixels, TelemetryBatch};

/// Aspect ratios further apart than this are of different pictures: cropped, or turned.
const MAX_ASPECT_DIFFERENCE: f64 = 0.01;

/// The frames of a recording's video.
pub(super) fn recorded(
    recording: &Recording,
    video: &Path,
    knowledge: &KnowledgeOptions,
    options: &VideoOptions,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let camera = FootageCamera::Known(recording.camera);
    start(video, camera, recording.telemetry.clone(), recording.frame_stamps.clone(), knowledge, options)
}

/// A video file without a recording around it.
pub(super) fn open(
    path: &Path,
    knowledge: &KnowledgeOptions,
    camera: &CameraOptions,
    options: &VideoOptions,
) -> Result<Flight, SourceError> {
    let with = |intrinsics| {
        let default = Camera::nadir(intrinsics);
        let tilt_sigma_rad = camera.tilt_sigma_rad.unwrap_or(default.tilt_sigma_rad);
        Camera { mounting: camera.mounting, tilt_sigma_rad, ..default }
    };
    let footage_camera = match (camera.calibration, camera.hfov_rad) {
        (Some((intrinsics, distortion)), _) => FootageCamera::Known(Camera { distortion, ..with(intrinsics) }),
        (None, Some(hfov_rad)) => FootageCamera::FieldOfView(hfov_rad, with(Intrinsics::centred(1, 1, 1.0))),
        (None, None) => {
            let reason = "a video does not tell its camera's focal length; give --hfov DEG or --calibration FILE".into();
            return Err(SourceError::Bad { path: path.into(), line: None, reason });
        }
    };
    let telemetry = options.telemetry.as_deref().map(sidecars).transpose()?.unwrap_or_default();
    let mut warnings = Vec::new();
    if telemetry.height.is_empty() && knowledge.height == Setting::Sensor {
        warnings.push("nothing tells the height; give --height M±S, --height none (search for it) or --telemetry".into());
    }
    let frames = start(path, footage_camera, telemetry, HashMap::new(), knowledge, options)?;
    Ok(Flight { frames, start: None, truth: HashMap::new(), map: None, warnings })
}

/// Telemetry named on the command line: a folder with sidecars, or one of them. The one place where such a path is looked at.
fn sidecars(path: &Path) -> Result<TelemetryBatch, SourceError> {
    if path.is_dir() {
        return telemetry::read(path, 0);
    }
    let nothing = |reason: String| Err(SourceError::Nothing { path: path.into(), reason });
    if !path.is_file() {
        return nothing("no such file or folder".into());
    }
    let all = path.parent().map_or_else(|| telemetry::read(Path::new("."), 0), |folder| telemetry::read(folder, 0))?;
    let none = TelemetryBatch::default();
    match path.file_name().and_then(|n| n.to_str()).unwrap_or_default() {
        "imu.csv" => Ok(TelemetryBatch { imu: all.imu, ..none }),
        "height.csv" => Ok(TelemetryBatch { height: all.height, ..none }),
        "heading.csv" => Ok(TelemetryBatch { heading: all.heading, ..none }),
        "attitude.csv" => Ok(TelemetryBatch { attitude: all.attitude, ..none }),
        other => {
            nothing(format!("'{other}' is no telemetry; give imu.csv, height.csv, heading.csv, attitude.csv or their folder"))
        }
    }
}

fn start(
    path: &Path,
    camera: FootageCamera,
    telemetry: TelemetryBatch,
    stamps: HashMap<u64, i64>,
    knowledge: &KnowledgeOptions,
    options: &VideoOptions,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let settings = VideoSettings { frame_rate: options.frame_rate, ..VideoSettings::new(VideoInput::File(path.into())) };
    Ok(Box::new(Footage {
        video: VideoSource::start(settings)?,
        path: path.into(),
        camera,
        knowledge: *knowledge,
        telemetry,
        rest: Remaining::default(),
        stamps,
        next_ordinal: 0,
        told: false,
    }))
}

/// How the camera of a video is known.
enum FootageCamera {
    /// Calibrated, for frames of its intrinsics' aspect ratio.
    Known(Camera),
    /// From the horizontal field of view, radians, of the first frame as it is shown; the rest as here.
    FieldOfView(f64, Camera),
}

/// A video as frames of a flight.
struct Footage {
    video: VideoSource,
    /// For messages.
    path: PathBuf,
    camera: FootageCamera,
    knowledge: KnowledgeOptions,
    telemetry: TelemetryBatch,
    rest: Remaining,
    /// Exact stamps by frame number, where a table gives them; then only these frames are used.
    stamps: HashMap<u64, i64>,
    next_ordinal: u64,
    /// Whether a change of the picture's shape has been told.
    told: bool,
}

impl Footage {
    fn frame(&mut self, shown: VideoFrame) -> FrameEvent {
        let stamp_ns = if self.stamps.is_empty() { Some(shown.pts_ns) } else { self.stamps.get(&shown.index).copied() };
        let Some(stamp_ns) = stamp_ns else {
            tracing::warn!("{}: frame {} has no row in frames.csv and is left out", self.path.display(), shown.index);
            return FrameEvent::Pending;
        };
        let size = shown.image.dimensions();
        let camera = match self.camera_for(size) {
            Ok(camera) => Some(camera),
            Err(reason) if self.next_ordinal == 0 => {
                return FrameEvent::Failed(SourceError::Bad { path: self.path.clone(), line: None, reason });
            }
            Err(reason) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!("{}: from frame {} on: {reason}", self.path.display(), shown.index);
                }
                None
            }
        };
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        FrameEvent::Frame(Box::new(Frame {
            ordinal,
            name: shown.index.to_string(),
            stamp_ns,
            pixels: Pixels::Decoded(shown.image),
            camera,
            known: self.knowledge.apply(ordinal, known_at(&self.telemetry, stamp_ns)),
            telemetry: self.rest.until(&self.telemetry, stamp_ns),
        }))
    }

    /// The camera for frames of a size. A lens whose frames are scaled is the same lens; one whose frames are cropped or turned is
    /// not known, and guessing which would give wrong positions.
    fn camera_for(&mut self, (width, height): (u32, u32)) -> Result<Camera, String> {
        if let FootageCamera::FieldOfView(hfov_rad, camera) = &self.camera {
            let intrinsics = Intrinsics::from_horizontal_field_of_view(width, height, *hfov_rad);
            self.camera = FootageCamera::Known(Camera { intrinsics, ..*camera });
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
}

impl FrameSource for Footage {
    fn poll(&mut self) -> FrameEvent {
        match self.video.poll() {
            VideoEvent::Frame(frame) => self.frame(frame),
            VideoEvent::Pending => FrameEvent::Pending,
            VideoEvent::Reconnecting { attempt, reason } => {
                tracing::warn!("{reason}; attempt {attempt} to connect again");
                FrameEvent::Pending
            }
            VideoEvent::Ended => {
                if let Some(missing_s) = self.video.ended_early_s() {
                    let file = self.path.display();
                    tracing::warn!("{file}: ends {missing_s:.1} s before the end that it states; was it cut off?");
                }
                let c = self.video.counters();
                if c.without_pts + c.time_went_back > 0 {
                    tracing::warn!(
                        "{}: {} frames without a time and {} whose time went back were left out",
                        self.path.display(),
                        c.without_pts,
                        c.time_went_back
                    );
                }
                FrameEvent::Ended
            }
            VideoEvent::Failed(error) => FrameEvent::Failed(error.into()),
        }
    }
}
