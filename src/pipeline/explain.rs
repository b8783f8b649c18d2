//! What a pipeline would do, in words (`skyfix run --check`). Credentials never appear.

use std::fmt::Write;

use super::resolve::{Pipeline, Source, TelemetrySource};
use crate::fuse::Smoothing;
use crate::sink::ViewerTarget;
use crate::source::{Setting, redact};

/// A line for each thing that a pipeline would do, and for what it would do it with.
pub fn explain(pipeline: &Pipeline) -> String {
    let mut out = String::new();
    let mut line = |what: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{what:<10} {text}");
    };
    let p = pipeline;
    line("source", source(p));
    if !matches!(p.source, Source::Folder(_)) {
        line("camera", camera(p));
    }
    for telemetry in &p.telemetry {
        line(
            "telemetry",
            match telemetry {
                TelemetrySource::Sidecars(path) => format!("CSV files in {}", path.display()),
                TelemetrySource::Srt(path) => format!("DJI subtitles {}", path.display()),
                TelemetrySource::Mavlink(at) => format!("MAVLink over UDP at {at}{}", exposed(at)),
            },
        );
    }
    if p.telemetry_minus_video_s != 0.0 {
        line("", format!("its clock is {} s ahead of the video's", p.telemetry_minus_video_s));
    }
    line("heading", known(&p.knowledge.heading, "deg") + if p.declination_date.is_some() { ", magnetic" } else { "" });
    let ground = match (&p.dem, p.takeoff) {
        (Some(dem), Some(_)) => format!(", above the ground of {}", dem.display()),
        (Some(dem), None) => format!(", above the ground of {} (take-off: the first frame's place)", dem.display()),
        (None, _) => String::new(),
    };
    line("height", known(&p.knowledge.height, "m") + &ground);
    line("map", p.map.as_ref().map_or("the recording's own".into(), |m| m.display().to_string()));
    if let Some(edits) = &p.map_edits {
        line("", format!("edited by {}", edits.display()));
    }
    line("model", format!("{} on {}", p.model, p.device));
    let workers = p.workers.map_or("a worker for each processor".into(), |n| format!("{n} workers"));
    let prior = if p.prior { format!("the prediction of {} frames before narrows the search", p.lag) } else { "no prior".into() };
    line("match", format!("{:?}, {workers}, {prior}", p.coarse).to_lowercase());
    if let Some(start) = &p.start {
        let at = &start.position;
        line("start", format!("{:.5}, {:.5}, give or take {} m", at.lat_deg, at.lon_deg, start.sigma_m));
    }
    if let Some(interval_ns) = p.track.interval_ns {
        line("track", format!("a point every {:.2} s besides those of the frames", interval_ns as f64 / 1e9));
    }
    if let Smoothing::Lag(lag_ns) = p.track.smoothing {
        line("", format!("smoothed {:.1} s behind", lag_ns as f64 / 1e9));
    }
    line("results", format!("{}{}", p.out.display(), if p.rrd { ", with flight.rrd" } else { "" }));
    match &p.viewer {
        Some(ViewerTarget::Spawn { port }) => {
            line("viewer", format!("a window is opened, port {port} on the loopback interface"))
        }
        Some(ViewerTarget::Connect(at)) => line("viewer", format!("the one at {at}")),
        Some(ViewerTarget::Serve(at)) => line("viewer", format!("viewers may connect to {at}{}", exposed(at))),
        None => {}
    }
    if p.jsonl_file {
        line("JSON lines", p.out.join("fixes.jsonl").display().to_string());
    }
    if p.jsonl_stdout {
        line("JSON lines", "standard output".into());
    }
    for to in &p.jsonl_udp {
        line("JSON lines", format!("datagrams to {to}"));
    }
    if let Some(record) = &p.record {
        line("record", format!("what comes in, into {}", record.display()));
    }
    out
}

fn source(p: &Pipeline) -> String {
    let rate = p.frame_rate.map_or("every frame".into(), |r| format!("{r} frames a second"));
    let pace = match (p.live, p.reconnect) {
        (false, _) => "as fast as they can be matched",
        (true, false) => "live: a frame that cannot be served in time is dropped",
        (true, true) => "live: a frame that cannot be served in time is dropped; connects again when the stream breaks off",
    };
    match &p.source {
        Source::Folder(path) => format!("{}, as fast as it can be matched", path.display()),
        Source::Video(path) => format!("{}, {rate}, {pace}", path.display()),
        Source::Rtsp { url, transport, .. } => format!("{} over {transport:?}, {rate}, {pace}", redact(url)),
        Source::Launch(text) => format!("{}, {rate}, {pace}", redact(text)),
    }
}

fn camera(p: &Pipeline) -> String {
    let options = &p.camera.options;
    let focal = match (&options.calibration, options.hfov_rad, &p.camera.model) {
        (Some(_), ..) => "calibrated".into(),
        (None, Some(hfov), _) => format!("{:.1}° wide", hfov.to_degrees()),
        (None, None, Some(model)) => model.clone(),
        (None, None, None) => "its focal length is not given: only what the telemetry says of it helps".into(),
    };
    format!("{focal}, {:?}", options.mounting).to_lowercase()
}

fn known(setting: &Setting, unit: &str) -> String {
    match setting {
        Setting::Sensor => "from telemetry".into(),
        Setting::None => "not known: searched for".into(),
        Setting::Given(value, Some(sigma)) => format!("{value} ± {sigma} {unit}"),
        Setting::Given(value, None) => format!("{value} {unit}"),
    }
}

fn exposed(at: &std::net::SocketAddr) -> &'static str {
    if at.ip().is_loopback() { "" } else { " (anybody who reaches this address can use it)" }
}
