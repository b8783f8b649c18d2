//! A plan in words, and a configuration key by key. Credentials never appear.

use std::fmt::Write;

use super::layers::{BUNDLED_WEIGHTS, Effective, Origin, READ_PATHS};
use super::plan::{FlightPlan, Source, TelemetrySource};
use super::schema::Transport;
use crate::fuse::Smoothing;
use crate::settings::Table;
use crate::sink::ViewerTarget;
use crate::source::{Setting, redact};

/// Every key with its value, where that came from, and what it means: a pipeline file in which only what was given is no comment. What
/// is read has its whole path, so that the file may lie anywhere.
pub fn keys(effective: &Effective) -> String {
    // A table's own keys come before those of tables within, wherever it declares them.
    let mut tables: Vec<(String, String)> = Vec::new();
    effective.config.visit("", &mut |key| {
        let (of, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
        let at = tables.iter().position(|(table, _)| table == of).unwrap_or_else(|| {
            tables.push((of.to_owned(), format!("[{of}]\n")));
            tables.len() - 1
        });
        let out = &mut tables[at].1;
        for line in key.meaning.lines() {
            let _ = writeln!(out, "#{}{}", if line.starts_with(' ') { "" } else { " " }, line.trim_end());
        }
        let origin = effective.origin(&key.path);
        // Writing to a string cannot fail.
        let _ = match (&key.value, origin) {
            (Some(value), Origin::Default) => writeln!(out, "# {name} = {value}    (default)"),
            (Some(value), _) => writeln!(out, "{name} = {}    # {origin}", shown(&key.path, value)),
            (None, _) => writeln!(out, "# {name} is not given"),
        };
    });
    tables.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// A value as it may be shown.
fn shown(key: &str, value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) if READ_PATHS.contains(&key) && text != BUNDLED_WEIGHTS => {
            let whole = std::path::absolute(text).unwrap_or_else(|_| text.into());
            toml::Value::String(whole.to_string_lossy().into_owned()).to_string()
        }
        toml::Value::String(text) => toml::Value::String(redact(text)).to_string(),
        other => other.to_string(),
    }
}

/// A line for each thing that a plan would do, and for what it would do it with.
pub fn explain(plan: &FlightPlan) -> String {
    let mut out = String::new();
    let mut line = |what: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{what:<10} {text}");
    };
    let (p, o) = (plan, &plan.outputs);
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
                TelemetrySource::Mavlink(link) => format!("MAVLink over UDP at {}{}", link.bind, exposed(&link.bind)),
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
    line("match", format!("{}, {workers}, {prior}", p.matching.coarse));
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
    line("results", format!("{}{}", o.folder.display(), if o.rrd { ", with flight.rrd" } else { "" }));
    match &o.viewer {
        Some(ViewerTarget::Spawn { port }) => {
            line("viewer", format!("a window is opened, port {port} on the loopback interface"))
        }
        Some(ViewerTarget::Connect(at)) => line("viewer", format!("the one at {at}")),
        Some(ViewerTarget::Serve(at)) => line("viewer", format!("viewers may connect to {at}{}", exposed(at))),
        None => {}
    }
    if o.jsonl_file {
        line("JSON lines", o.folder.join("fixes.jsonl").display().to_string());
    }
    if o.jsonl_stdout {
        line("JSON lines", "standard output".into());
    }
    for to in &o.jsonl_udp {
        line("JSON lines", format!("datagrams to {to}"));
    }
    if let Some(record) = &p.record {
        line("record", format!("what comes in, into {}", record.display()));
    }
    out
}

fn source(p: &FlightPlan) -> String {
    let rate = p.frame_rate.map_or("every frame".into(), |r| format!("{r} frames a second"));
    let pace = match (p.live, p.reconnect) {
        (false, _) => "as fast as they can be matched",
        (true, false) => "live: a frame that cannot be served in time is dropped",
        (true, true) => "live: a frame that cannot be served in time is dropped; connects again when the stream breaks off",
    };
    match &p.source {
        Source::Folder(path) => format!("{}, as fast as it can be matched", path.display()),
        Source::Video(path) => format!("{}, {rate}, {pace}", path.display()),
        Source::Rtsp { url, transport, .. } => {
            let transport = match transport {
                Transport::Auto => "UDP or TCP",
                Transport::Tcp => "TCP",
                Transport::Udp => "UDP",
            };
            format!("{} over {transport}, {rate}, {pace}", redact(url))
        }
        Source::Device(path) => format!("the camera {}, {rate}, {pace}", path.display()),
        Source::Launch(text) => format!("{}, {rate}, {pace}", redact(text)),
    }
}

fn camera(p: &FlightPlan) -> String {
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
