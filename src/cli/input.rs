//! The source of a pipeline, opened.

use skyfix::pipeline::{Pipeline, Source};
use skyfix::source::{self, Flight, VideoOptions};

/// Opens the source of a pipeline.
pub fn open(pipeline: &Pipeline) -> anyhow::Result<Flight> {
    match &pipeline.source {
        Source::Folder(path) => Ok(source::open(path, &pipeline.knowledge, &pipeline.camera.options, &VideoOptions::default())?),
        _ => video(pipeline),
    }
}

#[cfg(not(feature = "gst"))]
fn video(_: &Pipeline) -> anyhow::Result<Flight> {
    anyhow::bail!("this skyfix was built without video (feature gst)")
}

#[cfg(feature = "gst")]
fn video(pipeline: &Pipeline) -> anyhow::Result<Flight> {
    use skyfix::pipeline::{TelemetrySource, Transport};
    use skyfix::recording::RecordingWriter;
    use skyfix::source::footage::{Footage, FootageCamera, FootageSettings, telemetry};
    use skyfix::source::video::{RtspTransport, VideoInput, VideoSettings};

    let input = match &pipeline.source {
        Source::Folder(path) | Source::Video(path) => VideoInput::File(path.clone()),
        Source::Rtsp { url, transport, latency_ms } => VideoInput::Rtsp {
            url: url.clone(),
            latency_ms: *latency_ms,
            transport: match transport {
                Transport::Auto => RtspTransport::Auto,
                Transport::Tcp => RtspTransport::Tcp,
                Transport::Udp => RtspTransport::Udp,
            },
        },
        Source::Launch(description) => VideoInput::Launch(description.clone()),
    };
    let video = VideoSettings {
        frame_rate: pipeline.frame_rate,
        live: pipeline.live,
        reconnect: pipeline.reconnect,
        queue: pipeline.queue,
        ..VideoSettings::new(input)
    };
    let camera = FootageCamera::from_options(&pipeline.camera.options, pipeline.camera.model.as_deref())
        .map_err(|reason| anyhow::anyhow!("{reason}; give [source.camera] hfov_deg, calibration or model"))?;
    let mut settings = FootageSettings::new(video, camera, &pipeline.knowledge);
    settings.first_stamp_ns = pipeline.first_stamp_ns;
    settings.pause_interval_ns = pipeline.track.interval_ns;
    let mut warnings = Vec::new();
    let mut truth = Vec::new();
    let declination_rad = declination(pipeline, &mut warnings)?.unwrap_or(0.0);
    let offset_ns = skyfix::time::nanos_from_seconds(pipeline.telemetry_minus_video_s);
    for from in &pipeline.telemetry {
        match from {
            TelemetrySource::Sidecars(path) | TelemetrySource::Srt(path) => {
                let mut known = telemetry(path)?;
                known.samples.shift(-offset_ns);
                truth.extend(known.truth.iter().map(|(stamp_ns, at)| (stamp_ns.saturating_sub(offset_ns), *at)));
                settings.telemetry.append(known.samples);
                warnings.extend(known.warnings);
            }
            TelemetrySource::Mavlink(bind) => settings.live = Some(mavlink(pipeline, *bind, declination_rad)?),
        }
    }
    if pipeline.declination_date.is_some() {
        settings.telemetry.turn_headings(declination_rad);
    }
    if let Some(folder) = &pipeline.record {
        settings.record = Some((RecordingWriter::create(folder)?, pipeline.start));
    }
    let frames = Box::new(Footage::start(settings)?);
    Ok(Flight { frames, truth: skyfix::recording::Truth::of_track(truth), start: None, map: None, warnings })
}

/// What is added to magnetic headings.
#[cfg(feature = "gst")]
fn declination(pipeline: &Pipeline, warnings: &mut Vec<String>) -> anyhow::Result<Option<f64>> {
    use anyhow::Context;
    let Some(date) = pipeline.declination_date else { return Ok(None) };
    let path =
        pipeline.map.as_ref().context("heading_is_magnetic: the declination is that of the map's middle; give [map] path")?;
    let map = skyfix::map::MapStore::open(path)?;
    let middle = map.regions().first().map(|r| r.bounds.centre()).context("heading_is_magnetic: the map is empty")?;
    let declination = skyfix::geo::magnetic::declination(middle, date)?;
    warnings.extend(declination.warning.map(String::from));
    Ok(Some(declination.angle_rad))
}

#[cfg(all(feature = "gst", feature = "mavlink"))]
fn mavlink(
    pipeline: &Pipeline,
    bind: std::net::SocketAddr,
    declination_rad: f64,
) -> anyhow::Result<skyfix::source::footage::LiveTelemetry> {
    use skyfix::source::telemetry::mavlink::{HeightChoice, MavlinkSettings, MavlinkStream};
    let settings = MavlinkSettings {
        bind,
        telemetry_minus_video_s: pipeline.telemetry_minus_video_s,
        // An elevation model knows the ground better than the autopilot's guess of it.
        heights: if pipeline.dem.is_some() { HeightChoice::AboveTakeoff } else { HeightChoice::Best },
        declination_rad,
        ..MavlinkSettings::default()
    };
    let epoch = std::time::Instant::now();
    let wait = std::time::Duration::from_secs_f64(pipeline.wait_s);
    let stream = MavlinkStream::open(settings, epoch)?;
    Ok(skyfix::source::footage::LiveTelemetry::new(Box::new(stream), epoch, wait))
}

#[cfg(all(feature = "gst", not(feature = "mavlink")))]
fn mavlink(_: &Pipeline, _: std::net::SocketAddr, _: f64) -> anyhow::Result<skyfix::source::footage::LiveTelemetry> {
    anyhow::bail!("this skyfix was built without MAVLink (feature mavlink)")
}
