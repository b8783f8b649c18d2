//! The source of a plan, and which keys serve it.

use std::path::Path;

use super::{CameraSource, Source, address, is_path};
use crate::config::layers::{ConfigError, Effective};
use crate::config::schema::{Codec, SourceKind};
use crate::source::calibration;
use crate::source::photos::CameraOptions;

/// Frames a second of a video file that are matched where nothing is said: what a filter needs.
const VIDEO_FRAME_RATE: f64 = 2.0;

/// The rate where nothing is said. A recording's photos are never thinned, its video is.
pub(super) fn default_frame_rate(kind: SourceKind) -> Option<f64> {
    matches!(kind, SourceKind::Video | SourceKind::Recording).then_some(VIDEO_FRAME_RATE)
}

/// The source and whether it is live.
pub(super) fn source(effective: &Effective, kind: SourceKind) -> Result<(Source, bool), ConfigError> {
    let table = &effective.config.source;
    let needed = |key: &str| effective.complaint(key, &format!("`source.kind` = {kind} needs `{key}`"));
    let path = || table.path.clone().ok_or_else(|| needed("source.path"));
    let listen = || {
        let text = table.listen.as_deref().ok_or_else(|| needed("source.listen"))?;
        address(effective, "source.listen", text, None)
    };
    let source = match kind {
        SourceKind::Recording | SourceKind::Photos => Source::Folder(path()?),
        SourceKind::Video => Source::Video(path()?),
        SourceKind::Rtsp => {
            let url = table.url.clone().ok_or_else(|| needed("source.url"))?;
            if !(url.starts_with("rtsp://") || url.starts_with("rtsps://")) {
                let what = format!("{}: an address that begins with rtsp:// or rtsps://", effective.written("source.url"));
                return Err(effective.complaint("source.url", &what));
            }
            Source::Rtsp { url, transport: table.transport, latency_ms: table.latency_ms }
        }
        SourceKind::Rtp => {
            let (at, latency_ms) = (listen()?, table.latency_ms);
            let (encoding, depay, parse) = match table.codec {
                Codec::H264 => ("H264", "rtph264depay", "h264parse"),
                Codec::H265 => ("H265", "rtph265depay", "h265parse"),
            };
            // The jitter buffer does not bend stamps towards arrival, so that they stay the sender's.
            Source::Launch(format!(
                "udpsrc address={} port={} caps=\"application/x-rtp,media=video,clock-rate=90000,encoding-name={encoding}\" ! \
                 rtpjitterbuffer mode=synced latency={latency_ms} ! {depay} ! {parse}",
                at.ip(),
                at.port()
            ))
        }
        SourceKind::MpegTs => {
            let at = listen()?;
            Source::Launch(format!("udpsrc address={} port={} ! video/mpegts,systemstream=true", at.ip(), at.port()))
        }
        SourceKind::V4l2 => Source::Device(table.device.clone()),
        SourceKind::Test => Source::Launch("videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=10/1".into()),
        SourceKind::Gstreamer => Source::Launch(table.launch.clone().ok_or_else(|| needed("source.launch"))?),
    };
    let live = match kind {
        SourceKind::Recording | SourceKind::Photos | SourceKind::Video => false,
        SourceKind::Gstreamer => table.live,
        SourceKind::Rtsp | SourceKind::Rtp | SourceKind::MpegTs | SourceKind::V4l2 | SourceKind::Test => true,
    };
    Ok((source, live))
}

/// Refuses keys that do nothing for a kind of source.
pub(super) fn check_keys(effective: &Effective, kind: SourceKind, live: bool) -> Result<(), ConfigError> {
    use SourceKind::{Gstreamer, MpegTs, Recording, Rtp, Rtsp, V4l2};
    let camera = kind != Recording;
    let with_video = !matches!(kind, Recording | SourceKind::Photos);
    let serves: [(&str, bool); 31] = [
        ("source.path", is_path(kind)),
        ("source.url", kind == Rtsp),
        ("source.transport", kind == Rtsp),
        ("source.latency_ms", [Rtsp, Rtp].contains(&kind)),
        ("source.listen", [Rtp, MpegTs].contains(&kind)),
        ("source.codec", kind == Rtp),
        ("source.device", kind == V4l2),
        ("source.launch", kind == Gstreamer),
        ("source.live", kind == Gstreamer),
        ("source.reconnect", live),
        ("source.stall_timeout_s", live),
        ("source.first_picture_timeout_s", live),
        ("source.queue", live),
        ("source.first_stamp_s", live),
        ("source.camera.hfov_deg", camera),
        ("source.camera.calibration", camera),
        ("source.camera.model", camera),
        ("source.camera.mounting", camera),
        ("source.camera.tilt_sigma_deg", camera),
        ("telemetry.sidecars", with_video),
        ("telemetry.srt", with_video),
        ("telemetry.mavlink", live),
        ("telemetry.mavlink_system_id", live),
        ("telemetry.mavlink_component_id", live),
        ("telemetry.mavlink_attitude_sigma_deg", live),
        ("telemetry.mavlink_heading_sigma_deg", live),
        ("telemetry.mavlink_height_sigma_m", live),
        ("telemetry.wait_s", live),
        ("telemetry.telemetry_minus_video_s", with_video),
        ("filter.smoother_lag_s", live),
        ("sinks.record", with_video),
    ];
    let Some((key, _)) = serves.iter().find(|(key, serves)| !serves && effective.is_given(key)) else {
        return check_pairs(effective);
    };
    let why = match *key {
        key if key.starts_with("source.camera") => ": a recording brings its own camera",
        "telemetry.sidecars" | "telemetry.srt" => ": photos and recordings bring their own telemetry",
        "telemetry.telemetry_minus_video_s" if kind == Recording => ": it stands in the recording's flight.toml",
        "filter.smoother_lag_s" => ": a flight that is not live is smoothed as a whole",
        "sinks.record" => ": only what comes in as video can be recorded",
        _ => "",
    };
    let what = format!("{} does nothing for a source of kind {kind}{why}; leave it out", effective.written(key));
    Err(effective.complaint(key, &what))
}

/// Refuses keys that do nothing without another.
fn check_pairs(effective: &Effective) -> Result<(), ConfigError> {
    let config = &effective.config;
    let pairs = [
        ("sinks.viewer_address", config.sinks.viewer != super::ViewerMode::Off, "sinks.viewer"),
        ("telemetry.height_error_seed", config.telemetry.height_error > 0.0, "telemetry.height_error"),
    ];
    match pairs.iter().find(|(key, serves, _)| !serves && effective.is_given(key)) {
        Some((key, _, with)) => {
            let what = format!("{} does nothing without `{with}`; give that, too", effective.written(key));
            Err(effective.complaint(key, &what))
        }
        None => Ok(()),
    }
}

/// The camera, where the source brings none.
pub(super) fn camera(effective: &Effective) -> Result<CameraSource, ConfigError> {
    let table = &effective.config.source.camera;
    let ways = ["source.camera.hfov_deg", "source.camera.calibration", "source.camera.model"];
    let given: Vec<&str> = ways.into_iter().filter(|key| effective.is_given(key)).collect();
    if let [first, second, ..] = given[..] {
        let what = format!("{} and {}: give one of them", effective.written(first), effective.written(second));
        return Err(effective.complaint(second, &what));
    }
    let read = |path: &Path| {
        calibration::read(path).map_err(|error| {
            let (path, text) = (path.to_owned(), error.to_string());
            let reason = text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned();
            ConfigError::File { path, reason }
        })
    };
    let calibration = table.calibration.as_deref().map(read).transpose()?;
    let options = CameraOptions {
        hfov_rad: table.hfov_deg.map(f64::to_radians),
        calibration,
        mounting: table.mounting,
        tilt_sigma_rad: table.tilt_sigma_deg.map(f64::to_radians),
    };
    Ok(CameraSource { options, model: table.model.clone() })
}
