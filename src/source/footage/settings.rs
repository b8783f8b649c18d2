//! What becomes frames of a flight, and what is known of it beforehand.

use std::path::PathBuf;

use super::LiveTelemetry;
use crate::recording::rows::FrameRow;
use crate::recording::{RecordingWriter, Told, VideoPart};
use crate::source::cameras;
use crate::source::photos::CameraOptions;
use crate::source::telemetry::srt::SrtTelemetry;
use crate::source::video::VideoSettings;
use crate::source::zoom::{FILM_MM, Zoom};
use crate::source::{KnowledgeOptions, Setting};
use crate::types::{Camera, Inputs, Intrinsics, Standing, TelemetryBatch};

/// What to do about a video whose camera is not known; keys of the configuration in backquotes.
pub const GIVE_A_FOCAL_LENGTH: &str = "give `source.camera.hfov_deg`, `source.camera.calibration` or `source.camera.model`";
/// How the camera of a video is known.
#[derive(Clone, Copy, Debug)]
pub enum FootageCamera {
    /// Calibrated, for frames of its intrinsics' aspect ratio.
    Known(Camera),
    /// From the horizontal field of view, radians, of the first frame as it is shown; the rest as here.
    FieldOfView(f64, Camera),
}

/// How a video becomes frames of a flight.
pub struct FootageSettings {
    /// The video.
    pub video: VideoSettings,
    /// The files of a recorded video, instead of the input above; none for any other.
    pub parts: Vec<VideoPart>,
    /// The files of a video in parts that is no recording, each with the time at which it begins, nanoseconds.
    pub files: Vec<(PathBuf, Option<i64>)>,
    /// Its camera.
    pub camera: FootageCamera,
    /// Zoom that changes while it films.
    pub zoom: Option<Zoom>,
    /// What the localizer may know.
    pub knowledge: KnowledgeOptions,
    /// Telemetry that is known beforehand, on the frames' clock.
    pub telemetry: TelemetryBatch,
    /// Exact stamps of its frames, which a container rounds. Rows of a live flight say which frames were served, and what was known of
    /// each; then only these are used.
    pub frames: Vec<FrameRow>,
    /// Stamp of the first frame, where it is not the video's own.
    pub first_stamp_ns: Option<i64>,
    /// Telemetry that arrives while flying.
    pub live: Option<LiveTelemetry>,
    /// How often a live video that gives no frames tells what is known of the time, nanoseconds.
    pub pause_interval_ns: Option<i64>,
    /// Where to record what comes in, and what a replay should be told.
    pub record: Option<(RecordingWriter, Told)>,
}

impl FootageCamera {
    /// The same camera with a digital zoom.
    #[must_use]
    pub fn zoomed(&self, factor: f64) -> Self {
        match self {
            Self::Known(camera) => Self::Known(Camera { intrinsics: camera.intrinsics.zoomed(factor), ..*camera }),
            Self::FieldOfView(hfov_rad, camera) => Self::FieldOfView(2.0 * ((hfov_rad / 2.0).tan() / factor).atan(), *camera),
        }
    }

    /// From a calibration, a field of view, or a model of the table of sensors.
    ///
    /// # Errors
    /// In words, when none of them tells the focal length.
    pub fn from_options(options: &CameraOptions, model: Option<&str>) -> Result<Self, String> {
        let with = |intrinsics| {
            let default = Camera::nadir(intrinsics);
            let tilt_sigma_rad = options.tilt_sigma_rad.unwrap_or(default.tilt_sigma_rad);
            Camera { mounting: options.mounting, tilt_sigma_rad, ..default }
        };
        let wide = |hfov_rad| Self::FieldOfView(hfov_rad, with(Intrinsics::centred(1, 1, 1.0)));
        match (options.calibration, options.hfov_rad, model) {
            (Some((intrinsics, distortion)), ..) => Ok(Self::Known(Camera { distortion, ..with(intrinsics) })),
            (None, Some(hfov_rad), _) => Ok(wide(hfov_rad)),
            (None, None, Some(model)) => cameras::find(None, model)
                .and_then(cameras::KnownCamera::field_of_view_rad)
                .map(wide)
                .ok_or_else(|| format!("the table of cameras (`skyfix cameras`) does not tell the lens of '{model}'")),
            (None, None, None) => Err("a video does not tell its camera's focal length".into()),
        }
    }
}

impl FootageSettings {
    /// A video with nothing known of it but its camera.
    pub fn new(video: VideoSettings, camera: FootageCamera, knowledge: &KnowledgeOptions) -> Self {
        let telemetry = TelemetryBatch::default();
        Self {
            video,
            parts: Vec::new(),
            files: Vec::new(),
            camera,
            zoom: None,
            knowledge: *knowledge,
            telemetry,
            frames: Vec::new(),
            first_stamp_ns: None,
            live: None,
            pause_interval_ns: None,
            record: None,
        }
    }

    /// Takes telemetry that came along, with the zoom that it states, and notes what is known by it and what is not.
    pub fn take(&mut self, known: &SrtTelemetry, said: &mut Inputs) {
        self.telemetry.append(known.samples.clone());
        let given = match &self.camera {
            FootageCamera::FieldOfView(hfov_rad, _) => 0.5 / (hfov_rad / 2.0).tan(),
            FootageCamera::Known(camera) => camera.intrinsics.fx_px / f64::from(camera.intrinsics.width_px),
        };
        said.count(
            "camera",
            Standing::Taken,
            format!("a horizontal field of view of {:.1}°, as given", (0.5 / given).atan().to_degrees() * 2.0),
        );
        let zoom = Zoom::of(&known.optics, given * FILM_MM);
        if let Some(words) = &zoom.words {
            let standing = if zoom.contradicts { Standing::Contradicted } else { Standing::Taken };
            said.add("camera", standing, known.optics.len() as u64, words.as_str());
        }
        match zoom.steps.as_slice() {
            // One zoom all along is the camera's own, in a recording as well.
            [(_, factor)] => self.camera = self.camera.zoomed(*factor),
            _ => self.zoom = Some(zoom),
        }
        if self.zoom.as_ref().is_some_and(|z| z.steps.len() > 1) && self.record.is_some() {
            said.count("camera", Standing::LeftOut, "a recording has one camera: the zoom's changes are not in it");
        }
        let (heights, headings) = (self.telemetry.height.len(), self.telemetry.heading.len().max(self.telemetry.attitude.len()));
        let live = self.live.is_some();
        let mut quantity = |name, setting: Setting, samples: usize, missing: String| match setting {
            Setting::Sensor if samples > 0 => said.add(name, Standing::Taken, samples as u64, "samples of the telemetry"),
            Setting::Sensor if live => {}
            Setting::Sensor => said.add(name, Standing::Missing, 0, missing),
            given => said.count(name, Standing::Taken, format!("`telemetry.{name}` = {given}")),
        };
        quantity("height", self.knowledge.height, heights, self.warning().unwrap_or_default());
        let all_tried = "nothing tells the heading: all are tried; give `telemetry.heading` if it is known".into();
        quantity("heading", self.knowledge.heading, headings, all_tried);
        if !known.truth.is_empty() {
            said.add("position", Standing::Taken, known.truth.len() as u64, "positions of the subtitles, for scoring only");
        }
    }

    /// What a user should know: that nothing will tell the height, if so.
    pub fn warning(&self) -> Option<String> {
        let unknown = self.live.is_none() && self.telemetry.height.is_empty() && self.knowledge.height == Setting::Sensor;
        let give = "give `telemetry.height` (metres with their sigma, or none: search for it) or `telemetry.sidecars`";
        unknown.then(|| format!("nothing tells the height; {give}"))
    }
}
