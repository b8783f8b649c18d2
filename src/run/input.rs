//! The source of a plan, opened.

use std::time::Duration;

use super::RunError;
use crate::config::{FlightPlan, Source};
use crate::source::{self, Flight, VideoOptions};

/// Opens the source of a plan.
///
/// # Errors
/// When it is not there, or tells too little.
pub fn open(plan: &FlightPlan) -> Result<Flight, RunError> {
    match &plan.source {
        Source::Folder(path) => {
            let (frame_rate, frame_rate_asked) = (plan.frame_rate, plan.frame_rate_asked);
            let read_timeout = Some(Duration::from_secs_f64(plan.supervision.stage_timeout_s));
            let video = VideoOptions { frame_rate, frame_rate_asked, telemetry: None, read_timeout };
            Ok(source::open(path, &plan.knowledge, &plan.camera.options, &video)?)
        }
        _ => video(plan),
    }
}

#[cfg(not(feature = "gst"))]
fn video(_: &FlightPlan) -> Result<Flight, RunError> {
    Err(RunError::Setting("this skyfix was built without video (feature gst)".into()))
}

#[cfg(feature = "gst")]
fn video(plan: &FlightPlan) -> Result<Flight, RunError> {
    use crate::config::TelemetrySource;
    use crate::config::schema::Transport;
    use crate::recording::{RecordingWriter, Truth};
    use crate::source::film;
    use crate::source::footage::{Footage, FootageCamera, FootageSettings, GIVE_A_FOCAL_LENGTH};
    use crate::source::telemetry::srt::SrtTelemetry;
    use crate::source::video::{RtspTransport, VideoInput, VideoSettings};
    use crate::types::Inputs;

    let input = match &plan.source {
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
        Source::Device(path) => VideoInput::Device(path.clone()),
        Source::Launch(description) => VideoInput::Launch(description.clone()),
    };
    let shown = input.shown();
    let video = VideoSettings {
        frame_rate: plan.frame_rate,
        live: plan.live,
        reconnect: plan.reconnect,
        queue: plan.queue,
        stall_timeout: Duration::from_secs_f64(plan.stall_timeout_s),
        first_picture_timeout: Duration::from_secs_f64(plan.first_picture_timeout_s),
        read_timeout: Duration::from_secs_f64(plan.supervision.stage_timeout_s),
        ..VideoSettings::new(input)
    };
    let camera = FootageCamera::from_options(&plan.camera.options, plan.camera.model.as_deref())
        .map_err(|reason| RunError::Setting(format!("{shown}: {reason}; {GIVE_A_FOCAL_LENGTH}")))?;
    let mut settings = FootageSettings::new(video, camera, &plan.knowledge);
    settings.first_stamp_ns = plan.first_stamp_ns;
    settings.pause_interval_ns = plan.track.interval_ns;
    let (mut warnings, mut known) = (Vec::new(), SrtTelemetry::default());
    let mut inputs = Inputs::default();
    if let Source::Video(path) | Source::Folder(path) = &plan.source {
        let given = plan.telemetry.iter().any(|t| !matches!(t, TelemetrySource::Mavlink(_)));
        let film = film::of(path, given)?;
        (settings.files, inputs) = (film.parts, film.inputs);
        known.append(film.telemetry);
    }
    let declination_rad = declination(plan, &mut warnings)?.unwrap_or(0.0);
    let offset_ns = crate::time::nanos_from_seconds(plan.telemetry_minus_video_s);
    for from in &plan.telemetry {
        match from {
            TelemetrySource::Sidecars(path) | TelemetrySource::Srt(path) => {
                known.append(film::telemetry(path)?);
            }
            TelemetrySource::Mavlink(link) => settings.live = Some(mavlink(plan, link, declination_rad)?),
        }
    }
    known = known.shifted(-offset_ns);
    if plan.declination_date.is_some() {
        known.samples.turn_headings(declination_rad);
    }
    if let Some(folder) = &plan.record {
        settings.record = Some((RecordingWriter::create(folder)?, plan.told.clone()));
    }
    settings.take(&known, &mut inputs);
    warnings.extend(known.warnings);
    let frames = Box::new(Footage::start(settings)?);
    Ok(Flight {
        frames,
        truth: Truth::of_track(known.truth),
        start: None,
        map: None,
        map_lies_elsewhere: false,
        warnings,
        inputs,
    })
}

/// What is added to magnetic headings.
#[cfg(feature = "gst")]
fn declination(plan: &FlightPlan, warnings: &mut Vec<String>) -> Result<Option<f64>, RunError> {
    let Some(date) = plan.declination_date else { return Ok(None) };
    let fail = |reason: &str| RunError::Setting(format!("`telemetry.heading_is_magnetic`: {reason}"));
    let path = plan.map.as_ref().ok_or_else(|| fail("the declination is that of the map's middle; give `map.path`"))?;
    let map = crate::map::MapStore::open(path)?;
    let middle = map.regions().first().map(|r| r.bounds.centre()).ok_or_else(|| fail("the map is empty"))?;
    let declination = crate::geo::magnetic::declination(middle, date)?;
    warnings.extend(declination.warning.map(String::from));
    Ok(Some(declination.angle_rad))
}

#[cfg(all(feature = "gst", feature = "mavlink"))]
fn mavlink(
    plan: &FlightPlan,
    link: &crate::config::plan::MavlinkLink,
    declination_rad: f64,
) -> Result<crate::source::footage::LiveTelemetry, RunError> {
    use crate::source::telemetry::mavlink::{HeightChoice, MavlinkSettings, MavlinkStream};
    let settings = MavlinkSettings {
        bind: link.bind,
        system_id: link.system_id,
        component_id: link.component_id,
        attitude_sigma_rad: link.attitude_sigma_rad,
        heading_sigma_rad: link.heading_sigma_rad,
        height_sigma_m: link.height_sigma_m,
        telemetry_minus_video_s: plan.telemetry_minus_video_s,
        // An elevation model knows the ground better than the autopilot's guess of it.
        heights: if plan.dem.is_some() { HeightChoice::AboveTakeoff } else { HeightChoice::Best },
        declination_rad,
        ..MavlinkSettings::default()
    };
    let epoch = std::time::Instant::now();
    let wait = std::time::Duration::from_secs_f64(plan.wait_s);
    let stream = MavlinkStream::open(settings, epoch)?;
    Ok(crate::source::footage::LiveTelemetry::new(Box::new(stream), epoch, wait).map_err(crate::source::SourceError::from)?)
}

#[cfg(all(feature = "gst", not(feature = "mavlink")))]
fn mavlink(
    _: &FlightPlan,
    _: &crate::config::plan::MavlinkLink,
    _: f64,
) -> Result<crate::source::footage::LiveTelemetry, RunError> {
    Err(RunError::Setting("this skyfix was built without MAVLink (feature mavlink)".into()))
}
