//! The frames of a video with what is known of each: camera, telemetry, pose.

use std::collections::HashMap;
use std::path::PathBuf;

use super::flight::{Remaining, known_at};
use super::frames::{FrameEvent, FrameSource};
use super::video::{VideoEvent, VideoFrame, VideoSource};
use super::{KnowledgeOptions, SourceError};
use crate::camera::{Camera, Intrinsics};
use crate::types::{Frame, Pixels, TelemetryBatch};

/// Aspect ratios further apart than this are of different pictures: cropped, or turned.
const MAX_ASPECT_DIFFERENCE: f64 = 0.01;

/// How the camera of a video is known.
pub(super) enum FootageCamera {
    /// Calibrated, for frames of its intrinsics' aspect ratio.
    Known(Camera),
    /// From the horizontal field of view, radians, of the first frame as it is shown; the rest as here.
    FieldOfView(f64, Camera),
}

/// A video as frames of a flight.
pub(super) struct Footage {
    pub video: VideoSource,
    /// For messages.
    pub path: PathBuf,
    pub camera: FootageCamera,
    pub knowledge: KnowledgeOptions,
    pub telemetry: TelemetryBatch,
    pub rest: Remaining,
    /// Exact stamps by frame number, where a table gives them; then only these frames are used.
    pub stamps: HashMap<u64, i64>,
    pub next_ordinal: u64,
    /// Whether a change of the picture's shape has been told.
    pub told: bool,
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
