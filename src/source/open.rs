//! Opens what a flight was kept in: a recording, a folder of photos, a video file.
//!
//! Photos are listed beforehand and decoded where they are matched; a video is decoded as it is asked for.

use std::path::Path;

use image::metadata::Orientation;

use super::buffer::TelemetryBuffer;
use super::flight::{Flight, VideoOptions};
#[cfg(feature = "gst")]
use super::footage;
use super::frames::{FrameList, FrameSource};
use super::photos::{self, CameraOptions, Photo};
use super::{KnowledgeOptions, Setting, SourceError};
use crate::files;
use crate::geo::Geodetic;
use crate::recording;
use crate::recording::{FileError, Recording, Start, Truth, TruthRow};
use crate::types::{Clocks, Estimate, Frame, Inputs, Intake, Known, Pixels, Refusals, Standing, TelemetryBatch};

/// Opens a recording (a folder with `flight.toml`), a folder of photos, or a video file.
pub fn open(
    path: &Path,
    knowledge: &KnowledgeOptions,
    camera: &CameraOptions,
    video: &VideoOptions,
) -> Result<Flight, SourceError> {
    if path.is_file() {
        return footage::open(path, knowledge, camera, video);
    }
    if !path.is_dir() {
        return Err(FileError::Nothing { path: path.into(), reason: files::why_nothing(path).into() }.into());
    }
    #[cfg(feature = "gst")]
    if !path.join("flight.toml").is_file() && super::holds_only_videos(path) {
        return footage::open(path, knowledge, camera, video);
    }
    if video.telemetry.is_some() {
        let reason = "`telemetry.sidecars` goes with a video file; photos and recordings bring their own";
        return Err(FileError::Nothing { path: path.into(), reason: reason.into() }.into());
    }
    if path.join("flight.toml").is_file() {
        open_recording(path, knowledge, video)
    } else {
        let mut flight = open_photos(path, knowledge, camera)?;
        flight.warnings.extend(all_photos(video));
        Ok(flight)
    }
}

/// What to say to somebody who would thin photos.
fn all_photos(options: &VideoOptions) -> Option<String> {
    options.frame_rate_asked.then(|| "`source.frame_rate` thins videos; of photos all are used".into())
}

fn open_photos(folder: &Path, knowledge: &KnowledgeOptions, options: &CameraOptions) -> Result<Flight, SourceError> {
    let mut inputs = Inputs::default();
    let photos = photos::listed(folder, &mut inputs)?;
    let cameras: Vec<_> = photos.iter().map(|photo| photos::described_camera(photo, options)).collect();
    let mut warnings = Vec::new();
    let unknown: Vec<&String> =
        photos.iter().zip(&cameras).filter(|(p, _)| p.size_px.is_some()).filter_map(|(_, c)| c.as_ref().err()).collect();
    if let Some(why) = unknown.first() {
        let give = "give `source.camera.hfov_deg` or `source.camera.calibration`";
        let text = format!("the focal length of {} photos is not known ({why}); {give}", unknown.len());
        if cameras.iter().all(Result::is_err) {
            return Err(FileError::Bad { path: folder.into(), line: None, reason: text }.into());
        }
        warnings.push(text);
    }
    let mut truth = Truth::read(&folder.join("truth.csv"))?;
    let mut telemetry_refused = Refusals::default();
    let mut frames = Vec::with_capacity(photos.len());
    for (i, ((photo, camera), repeated)) in photos.iter().zip(cameras).zip(photos::repeats(&photos)).enumerate() {
        if let Some((lat, lon)) = photo.metadata.gnss_deg {
            truth.add(photo.name.clone(), TruthRow { camera: Geodetic::ground(lat, lon), centre: None });
        }
        match &camera {
            Ok(c) => inputs.count("camera", c.standing, c.words.as_str()),
            Err(why) => inputs.count("camera", Standing::Missing, why.as_str()),
        }
        let orientation = photo.orientation();
        if orientation != Orientation::NoTransforms {
            inputs.count(
                "camera",
                Standing::Taken,
                format!("the picture is turned as EXIF's orientation says ({})", orientation.to_exif()),
            );
        }
        photos::tell(&photo.metadata, knowledge, &mut inputs);
        let sensed = photos::known(&photo.metadata);
        telemetry_refused = telemetry_refused.plus(refused(&sensed, knowledge));
        let mut known = knowledge.apply(i as u64, sensed);
        // What is not known of the focal length is not known of the scale, as with the height.
        let part = camera.as_ref().map_or(0.0, |c| c.focal_sigma_part);
        known.height_agl_m = known.height_agl_m.map(|h| Estimate { sigma: h.sigma.hypot(h.value * part), ..h });
        let pixels = match orientation {
            Orientation::NoTransforms => Pixels::File(photo.path.clone()),
            turned => Pixels::Turned(photo.path.clone(), turned),
        }
        .repeated(repeated);
        frames.push(Frame {
            ordinal: i as u64,
            name: photo.name.clone(),
            stamp_ns: photo.stamp_ns,
            pixels,
            camera: camera.ok().map(|c| c.camera),
            known,
            telemetry: TelemetryBatch::default(),
            captured: None,
            clocks: Clocks { utc_ns: photo.utc_ns, wall_ns: None },
            intake: Intake { telemetry_refused, ..Intake::all(i as u64 + 1) },
        });
    }
    Ok(Flight {
        frames: Box::new(FrameList::from(frames)),
        start: None,
        truth,
        map: None,
        map_lies_elsewhere: false,
        warnings,
        inputs,
    })
}

/// What a photo's metadata say that no sensor can measure.
fn refused(sensed: &Known, knowledge: &KnowledgeOptions) -> Refusals {
    let kept = knowledge.plausible.known(*sensed);
    let lost = |was: bool, is: bool| u64::from(was && !is);
    Refusals {
        height: lost(sensed.height_agl_m.is_some(), kept.height_agl_m.is_some()),
        heading: lost(sensed.heading_rad.is_some(), kept.heading_rad.is_some()),
        attitude: lost(sensed.pitch_roll_rad.is_some(), kept.pitch_roll_rad.is_some()),
        ..Refusals::default()
    }
}

fn open_recording(folder: &Path, knowledge: &KnowledgeOptions, options: &VideoOptions) -> Result<Flight, SourceError> {
    let recording = recording::read(folder)?;
    let nothing = |reason: &str| FileError::Nothing { path: folder.into(), reason: reason.into() };
    let mut warnings = Vec::new();
    let start = recording.file.start.map(|s| Start { position: Geodetic::ground(s.lat_deg, s.lon_deg), sigma_m: s.sigma_m });
    let map = recording.map.clone();
    let frames = match (&recording.photos, recording.video.as_slice()) {
        (Some(photos), []) => {
            warnings.extend(all_photos(options));
            recorded_photos(&recording, photos, knowledge, &mut warnings)?
        }
        (None, [_, ..]) => footage::recorded(&recording, knowledge, options)?,
        (Some(_), [_, ..]) => return Err(nothing("the recording has photos/ and a video; keep one of them").into()),
        (None, []) => return Err(nothing("the recording has neither photos/ nor a video (video.mkv, video.mp4, …)").into()),
    };
    let map_lies_elsewhere = map.as_deref().is_some_and(|map| !recording::lies_with(map, folder));
    Ok(Flight {
        frames,
        start,
        truth: Truth::read(&folder.join("truth.csv"))?,
        map,
        map_lies_elsewhere,
        warnings,
        inputs: recorded_inputs(&recording, knowledge),
    })
}

/// What the tables of a recording tell, and what they do not.
fn recorded_inputs(recording: &Recording, knowledge: &KnowledgeOptions) -> Inputs {
    let mut said = Inputs::default();
    said.count("camera", Standing::Taken, "[camera] of flight.toml");
    let telemetry = &recording.telemetry;
    let live = recording.frames.iter().filter(|row| row.is_live()).count();
    let mut quantity = |name, setting, (table, samples): (&str, usize), missing: &str| match setting {
        Setting::Sensor if live > 0 => {
            said.add(name, Standing::Taken, live as u64, "frames.csv: what was known of each frame when it was flown");
        }
        Setting::Sensor if samples > 0 => said.add(name, Standing::Taken, samples as u64, table),
        Setting::Sensor => said.add(name, Standing::Missing, 0, missing),
        given => said.count(name, Standing::Taken, format!("`telemetry.{name}` = {given}")),
    };
    quantity("height", knowledge.height, ("height.csv", telemetry.height.len()), "no height.csv; give `telemetry.height`");
    let all_tried = "neither heading.csv nor attitude.csv: all are tried; give `telemetry.heading` if it is known";
    let headings = match telemetry.heading.len() {
        0 => ("attitude.csv", telemetry.attitude.len()),
        samples => ("heading.csv", samples),
    };
    quantity("heading", knowledge.heading, headings, all_tried);
    match (recording.stamps.len(), recording.frames.len()) {
        (0, 0) if recording.photos.is_some() => said.count("time", Standing::Taken, "the photos' own: there is no photos.csv"),
        (0, 0) => said.count("time", Standing::Taken, "the video's own: there is no frames.csv"),
        (0, frames) => said.add("time", Standing::Taken, frames as u64, "frames.csv"),
        (photos, _) => said.add("time", Standing::Taken, photos as u64, "photos.csv"),
    }
    said
}

fn recorded_photos(
    recording: &Recording,
    folder: &Path,
    knowledge: &KnowledgeOptions,
    warnings: &mut Vec<String>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let mut photos: Vec<Photo> = photos::list(folder)?;
    if !recording.stamps.is_empty() {
        let before = photos.len();
        photos.retain(|p| recording.stamps.contains_key(&p.name));
        if photos.len() < before {
            warnings.push(format!("{} photos have no row in photos.csv and are left out", before - photos.len()));
        }
        for photo in &mut photos {
            photo.stamp_ns = recording.stamps.get(&photo.name).copied().unwrap_or(photo.stamp_ns);
        }
        photos.sort_by_key(|p| p.stamp_ns);
    }
    let mut buffer = TelemetryBuffer::of_recording(&recording.telemetry, knowledge.plausible);
    let frames: Vec<Frame> = photos
        .iter()
        .enumerate()
        .zip(photos::repeats(&photos))
        .map(|((i, photo), repeated)| {
            let (telemetry, known) = buffer.take(photo.stamp_ns);
            Frame {
                ordinal: i as u64,
                name: photo.name.clone(),
                stamp_ns: photo.stamp_ns,
                pixels: Pixels::File(photo.path.clone()).repeated(repeated),
                camera: Some(recording.camera),
                known: knowledge.apply(i as u64, known),
                telemetry,
                captured: None,
                clocks: Clocks::default(),
                intake: Intake { telemetry_refused: buffer.counters().implausible, ..Intake::all(i as u64 + 1) },
            }
        })
        .collect();
    Ok(Box::new(FrameList::from(frames).with_counters(buffer.counters())))
}

#[cfg(not(feature = "gst"))]
mod footage {
    use super::{CameraOptions, Flight, FrameSource, KnowledgeOptions, Path, Recording, SourceError, VideoOptions};

    pub(super) fn recorded(
        recording: &Recording,
        _: &KnowledgeOptions,
        _: &VideoOptions,
    ) -> Result<Box<dyn FrameSource>, SourceError> {
        Err(no_video(recording.video.first().map_or(Path::new(""), |part| &part.path)))
    }

    pub(super) fn open(path: &Path, _: &KnowledgeOptions, _: &CameraOptions, _: &VideoOptions) -> Result<Flight, SourceError> {
        Err(no_video(path))
    }

    fn no_video(path: &Path) -> SourceError {
        crate::recording::FileError::Nothing {
            path: path.into(),
            reason: "this skyfix was built without video (feature gst)".into(),
        }
        .into()
    }
}
