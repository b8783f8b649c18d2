//! Faults of a live stream and its autopilot, from 8 to 13 s of a flight of 22.

use std::collections::VecDeque;

use serde_json::Value;

use super::{Expected, FAULTS, Fault, Found, Part, Point, Row, judged};
use crate::bundled::root;
use crate::pipelines::flight::{Change, send_changed, unchanged};
use crate::pipelines::running::{Run, port, text};

const FROM_S: f64 = 8.0;
const TO_S: f64 = 13.0;
const END_S: f64 = 22.0;

const VISUAL: &[&str] = &["visual"];
const COASTING: &[&str] = &["visual", "inertial", "lost", "unconfirmed"];

/// Written down before the run. A picture needs a key frame to be decoded again, and there is one a second.
fn expected(part: Part, fault: Fault) -> Expected {
    let outage = |counter| Expected { sources: COASTING, error_m: 25.0, back_s: 5.0, counter };
    match (part, fault) {
        // Nothing of a stream that stands still, is delayed or shows other things may be taken for the flight.
        (Part::Video, Fault::Off) => outage(None),
        (Part::Video, Fault::Slow) => Expected { sources: VISUAL, error_m: 25.0, back_s: 5.0, counter: None },
        (Part::Video, _) => outage(None),
        // The autopilot's heights and headings are what frames are searched for with: without them they abstain, and nothing leads.
        (Part::Mavlink, Fault::Slow) => Expected { sources: VISUAL, error_m: 25.0, back_s: 5.0, counter: None },
        (Part::Mavlink, _) => outage(None),
        _ => outage(None),
    }
}

fn done(part: Part, fault: Fault) -> &'static str {
    match (part, fault) {
        (Part::Video, Fault::Off) => "no packets",
        (Part::Video, Fault::Stuck) => "packets of the second before, again and again",
        (Part::Video, Fault::Garbage) => "payloads of random bytes",
        (Part::Video, Fault::Wrong) => "pictures of half a minute later",
        (Part::Video, Fault::Slow) => "every third second is sent",
        (Part::Video, Fault::Delayed) => "packets come a second late",
        (Part::Video, Fault::Intermittent) => "no packets for every other second",
        (_, Fault::Off) => "no messages",
        (_, Fault::Stuck) => "the messages of the last second, again and again",
        (_, Fault::Garbage) => "random bytes",
        (_, Fault::Wrong) => "another vehicle with the same numbers, from elsewhere",
        (_, Fault::Slow) => "each tenth message",
        (_, Fault::Delayed) => "messages come a second late",
        (_, Fault::Intermittent) => "no messages for every other second",
    }
}

/// What becomes of datagrams.
fn change(part: Part, fault: Fault) -> Change {
    let mut waiting: VecDeque<(f64, Vec<u8>)> = VecDeque::new();
    let mut before: VecDeque<(f64, Vec<u8>)> = VecDeque::new();
    let mut number = 0u64;
    Box::new(move |t_s, datagram| {
        number += 1;
        let due = |waiting: &mut VecDeque<(f64, Vec<u8>)>| {
            let count = waiting.iter().take_while(|(at, _)| *at <= t_s).count();
            waiting.drain(..count).map(|(_, d)| d).collect::<Vec<_>>()
        };
        if !(FROM_S..TO_S).contains(&t_s) {
            before.push_back((t_s, datagram.to_vec()));
            while before.front().is_some_and(|(at, _)| *at < t_s - 1.0) {
                before.pop_front();
            }
            let mut out = due(&mut waiting);
            out.push(datagram.to_vec());
            return out;
        }
        let is_gap = (t_s - FROM_S) as i64 % 2 == 0;
        match fault {
            Fault::Off => Vec::new(),
            Fault::Stuck => {
                let Some((at, old)) = before.pop_front() else { return Vec::new() };
                before.push_back((at, old.clone()));
                vec![old]
            }
            Fault::Garbage if part == Part::Video => {
                let mut packet = datagram.to_vec();
                packet
                    .iter_mut()
                    .skip(12)
                    .enumerate()
                    .for_each(|(i, b)| *b = (number.wrapping_mul(31).wrapping_add(i as u64 * 97) >> 3) as u8);
                vec![packet]
            }
            Fault::Garbage => {
                vec![(0..datagram.len() as u64).map(|i| (number.wrapping_mul(17).wrapping_add(i * 91) >> 2) as u8).collect()]
            }
            Fault::Wrong => Vec::new(),
            Fault::Slow if part == Part::Video => {
                if (t_s as i64) % 3 == 0 {
                    vec![datagram.to_vec()]
                } else {
                    Vec::new()
                }
            }
            Fault::Slow => {
                if number % 10 == 0 {
                    vec![datagram.to_vec()]
                } else {
                    Vec::new()
                }
            }
            Fault::Delayed => {
                waiting.push_back((t_s + 1.0, datagram.to_vec()));
                due(&mut waiting)
            }
            Fault::Intermittent => {
                if is_gap {
                    Vec::new()
                } else {
                    vec![datagram.to_vec()]
                }
            }
        }
    })
}

/// Points of the JSON lines: times count from the first frame, which is the flight's second 1.
fn track(lines: &[Value]) -> Vec<Point> {
    let truth: Vec<[f64; 3]> = csv::Reader::from_path(root().join("recordings/demo-video/truth.csv"))
        .unwrap()
        .records()
        .map(Result::unwrap)
        .map(|r| [r[1].parse::<f64>().unwrap() / 1e9, r[2].parse().unwrap(), r[3].parse().unwrap()])
        .collect();
    let stamp = |line: &Value| line["stamp_ns"].as_f64().unwrap() / 1e9;
    let first = lines.iter().find(|l| l["frame"].is_string()).map_or(0.0, stamp);
    let point = |line: &Value| {
        let t_s = stamp(line) - first + 1.0;
        let place = |row: &[f64; 3], lat: f64, lon: f64| {
            ((lat - row[1]) * 111_200.0).hypot((lon - row[2]) * 111_320.0 * lat.to_radians().cos())
        };
        let track = &line["track"];
        let off_m = track["lat_deg"].as_f64().zip(track["lon_deg"].as_f64()).map(|(lat, lon)| {
            // The first frame's time is known to a frame's interval.
            let near = truth.iter().filter(|row| (row[0] - t_s).abs() < 0.5).map(|row| place(row, lat, lon));
            let sigma = track["sigma_e_m"].as_f64().unwrap_or(f64::NAN).max(track["sigma_n_m"].as_f64().unwrap_or(f64::NAN));
            (near.fold(f64::INFINITY, f64::min), sigma)
        });
        Point {
            t_s,
            source: line["source"].as_str().unwrap_or_default().to_owned(),
            off_m: off_m.filter(|(off, _)| off.is_finite()),
        }
    };
    lines.iter().filter(|l| l["stamp_ns"].is_i64() && l["source"].is_string()).map(point).collect()
}

fn flown(part: Part, fault: Fault) -> Found {
    let (to, telemetry_to) = (port(), port());
    let overrides = [
        ("source.listen", text(format!("127.0.0.1:{to}"))),
        ("telemetry.mavlink", text(format!("127.0.0.1:{telemetry_to}"))),
        ("source.stall_timeout_s", "2.0".into()),
    ];
    let mut run = Run::start("rtp-h264.toml", &overrides, &[]);
    run.wait_until_live();
    let [picture, message] = match part {
        Part::Video => [change(part, fault), unchanged()],
        _ => [unchanged(), change(part, fault)],
    };
    let senders = send_changed(to, telemetry_to, picture, message);
    run.wait_for_lines(|lines| track(lines).last().is_some_and(|p| p.t_s >= END_S));
    run.interrupt();
    let ended = run.end();
    drop(senders);
    let points: Vec<Point> = track(&ended.lines).into_iter().filter(|p| p.t_s < END_S).collect();
    judged(&points, &ended.results(), FROM_S, TO_S, &expected(part, fault))
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for part in [Part::Video, Part::Mavlink] {
        // Other contents are those of the recorded photos and sensors.
        for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::Wrong) {
            let found = flown(part, fault);
            println!("{part:?} {fault:?}: {found:?}");
            rows.push(Row::of(part, fault, done(part, fault), &expected(part, fault), found));
        }
    }
    rows
}
