//! Faults of the sensors and photos of a recorded flight, from 7 to 13 s of its 20.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Expected, FAULTS, Fault, Found, Part, Point, Row, judged};
use crate::bundled::{map, root};

const FROM_S: f64 = 7.0;
const TO_S: f64 = 13.0;
const PHOTOS: usize = 40;
/// The recorded parts, each with all its faults.
pub const ALL: [(Part, Fault); 42] = all();

const fn all() -> [(Part, Fault); 42] {
    let parts = [Part::Photos, Part::Imu, Part::Height, Part::Heading, Part::Attitude, Part::Gnss];
    let mut out = [(Part::Photos, Fault::Off); 42];
    let mut i = 0;
    while i < 42 {
        out[i] = (parts[i / 7], FAULTS[i % 7]);
        i += 1;
    }
    out
}

const VISUAL: &[&str] = &["visual"];
/// While no fix comes.
const COASTING: &[&str] = &["visual", "inertial", "lost", "unconfirmed"];

/// Written down before the run: the photos alone suffice for a position, so that whatever a sensor does the track stays with them.
fn expected(part: Part, fault: Fault) -> Expected {
    let seen = |error_m, counter| Expected { sources: VISUAL, error_m, back_s: 3.0, counter };
    match (part, fault) {
        // Without pictures the IMU leads for a while; a picture of another place, or of nothing, is no fix.
        (Part::Photos, Fault::Off | Fault::Stuck | Fault::Garbage | Fault::Wrong) => {
            let counter = match fault {
                Fault::Garbage => Some("/abstained/unreadable"),
                _ => None,
            };
            Expected { sources: COASTING, error_m: 25.0, back_s: 3.0, counter }
        }
        (Part::Photos, Fault::Delayed) => Expected { sources: COASTING, error_m: 25.0, back_s: 3.0, counter: None },
        (Part::Photos, Fault::Slow | Fault::Intermittent) => seen(20.0, None),
        (Part::Imu, Fault::Garbage) => seen(20.0, Some("/intake/telemetry_refused/imu")),
        (Part::Imu, Fault::Stuck | Fault::Wrong) => seen(20.0, None),
        (Part::Imu, _) => seen(20.0, None),
        (Part::Height, Fault::Garbage) => seen(20.0, Some("/intake/telemetry_refused/height")),
        // A wrong height or heading that is believed hides the place: frames abstain, and the IMU leads.
        (Part::Height | Part::Heading, Fault::Wrong) => Expected { sources: COASTING, error_m: 25.0, back_s: 3.0, counter: None },
        (Part::Heading, Fault::Garbage) => seen(20.0, Some("/intake/telemetry_refused/heading")),
        (Part::Attitude, Fault::Garbage) => seen(20.0, Some("/intake/telemetry_refused/attitude")),
        (Part::Gnss, Fault::Garbage) => seen(20.0, Some("/intake/telemetry_refused/gnss")),
        (Part::Gnss, Fault::Wrong) => seen(20.0, Some("/sources/gnss/gated")),
        _ => seen(20.0, None),
    }
}

fn table_of(part: Part) -> &'static str {
    match part {
        Part::Imu => "imu.csv",
        Part::Height => "height.csv",
        Part::Heading => "heading.csv",
        Part::Attitude => "attitude.csv",
        _ => "gnss.csv",
    }
}

/// What is done to a table.
fn done(part: Part, fault: Fault) -> &'static str {
    match (part, fault) {
        (Part::Photos, Fault::Off) => "no photos",
        (Part::Photos, Fault::Stuck) => "the same photo again",
        (Part::Photos, Fault::Garbage) => "files of random bytes",
        (Part::Photos, Fault::Wrong) => "photos of elsewhere on the map",
        (Part::Photos, Fault::Slow) => "each third photo",
        (Part::Photos, Fault::Delayed) => "each photo a second late",
        (Part::Photos, Fault::Intermittent) => "none for every other second",
        (_, Fault::Off) => "no samples",
        (_, Fault::Stuck) => "the last sample repeated",
        (_, Fault::Garbage) => "numbers that no sensor can measure",
        (Part::Imu, Fault::Wrong) => "3 m/s² and 0.3 rad/s more on an axis",
        (Part::Height, Fault::Wrong) => "half as high again",
        (Part::Heading, Fault::Wrong) => "60° to the right",
        (Part::Attitude, Fault::Wrong) => "turned by 30° about all axes",
        (_, Fault::Wrong) => "400 m to the east",
        (_, Fault::Slow) => "each twentieth sample",
        (_, Fault::Delayed) => "each sample a second late",
        (_, Fault::Intermittent) => "none for every other second",
    }
}

/// The beginning of the bundled flight, with GNSS as a receiver would have given it.
fn flight(folder: &Path) {
    let demo = root().join("recordings/demo");
    std::fs::create_dir_all(folder.join("photos")).unwrap();
    let toml = std::fs::read_to_string(demo.join("flight.toml")).unwrap();
    std::fs::write(folder.join("flight.toml"), format!("{toml}\n[map]\npath = {:?}\n", map())).unwrap();
    for name in ["imu.csv", "height.csv", "heading.csv", "attitude.csv"] {
        let text = std::fs::read_to_string(demo.join(name)).unwrap();
        let end_ns = 1_000_000_000 * (PHOTOS as i64 / 2 + 2);
        let kept =
            text.lines().enumerate().filter(|(i, line)| *i == 0 || stamp(line) <= end_ns).map(|(_, line)| format!("{line}\n"));
        std::fs::write(folder.join(name), kept.collect::<String>()).unwrap();
    }
    let truth = std::fs::read_to_string(demo.join("truth.csv")).unwrap();
    let mut gnss = String::from("t_ns,lat_deg,lon_deg,sigma_m\n");
    for line in truth.lines().skip(1).take(PHOTOS) {
        let v: Vec<&str> = line.split(',').collect();
        gnss += &format!("{},{},{},3.0\n", v[1], v[2], v[3]);
    }
    std::fs::write(folder.join("gnss.csv"), gnss).unwrap();
    let mut photos = String::from("frame,stamp_ns\n");
    for i in 1..=PHOTOS {
        let name = format!("{i:06}.jpg");
        std::fs::copy(demo.join("photos").join(&name), folder.join("photos").join(&name)).unwrap();
        photos += &format!("{name},{}\n", 1_000_000_000 + 500_000_000 * (i as i64 - 1));
    }
    std::fs::write(folder.join("photos.csv"), photos).unwrap();
}

fn stamp(line: &str) -> i64 {
    line.split(',').next().unwrap().parse().unwrap()
}

/// Whether every other second is without.
fn is_gap(t_s: f64) -> bool {
    (t_s - FROM_S) as i64 % 2 == 0
}

fn break_table(folder: &Path, part: Part, fault: Fault) {
    let path = folder.join(table_of(part));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let mut out = vec![(i64::MIN, lines.next().unwrap().to_owned())];
    let mut last: Option<String> = None;
    for (number, line) in lines.enumerate() {
        let (t_ns, values) = line.split_once(',').unwrap();
        let t_ns: i64 = t_ns.parse().unwrap();
        let t_s = t_ns as f64 / 1e9;
        if !(FROM_S..TO_S).contains(&t_s) {
            last = Some(values.to_owned());
            out.push((t_ns, line.to_owned()));
            continue;
        }
        let numbers: Vec<f64> = values.split(',').map(|v| v.parse().unwrap()).collect();
        let changed = |numbers: Vec<f64>| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let row = match fault {
            Fault::Off => None,
            Fault::Stuck => Some((t_ns, last.clone().unwrap())),
            Fault::Garbage => {
                Some((t_ns, changed(numbers.iter().enumerate().map(|(i, v)| if i == 0 { 1e300 } else { *v }).collect())))
            }
            Fault::Wrong => Some((t_ns, changed(wrong(part, numbers)))),
            Fault::Slow => (number % 20 == 0).then(|| (t_ns, values.to_owned())),
            Fault::Delayed => Some((t_ns + 1_000_700_000, values.to_owned())),
            Fault::Intermittent => (!is_gap(t_s)).then(|| (t_ns, values.to_owned())),
        };
        out.extend(row.map(|(t_ns, values)| (t_ns, format!("{t_ns},{values}"))));
    }
    out.sort_by_key(|(t_ns, _)| *t_ns);
    std::fs::write(path, out.into_iter().map(|(_, line)| line + "\n").collect::<String>()).unwrap();
}

fn wrong(part: Part, mut v: Vec<f64>) -> Vec<f64> {
    match part {
        Part::Imu => {
            v[0] += 0.3;
            v[3] += 3.0;
        }
        Part::Height => v[0] *= 1.5,
        Part::Heading => v[0] = (v[0] + 60.0).rem_euclid(360.0),
        Part::Attitude => {
            use nalgebra::{Quaternion, UnitQuaternion};
            let q = UnitQuaternion::from_quaternion(Quaternion::new(v[0], v[1], v[2], v[3]));
            let q = q * UnitQuaternion::from_euler_angles(0.52, 0.52, 0.52);
            v[..4].copy_from_slice(&[q.w, q.i, q.j, q.k]);
        }
        _ => v[1] += 400.0 / 75_000.0,
    }
    v
}

fn break_photos(folder: &Path, fault: Fault) {
    let demo = root().join("recordings/demo/photos");
    let file = |i: usize| folder.join(format!("photos/{i:06}.jpg"));
    let original = |i: usize| demo.join(format!("{i:06}.jpg"));
    for i in 1..=PHOTOS {
        let t_s = 1.0 + 0.5 * (i as f64 - 1.0);
        if !(FROM_S..TO_S).contains(&t_s) {
            continue;
        }
        let copy = |from: usize| {
            std::fs::copy(original(from), file(i)).unwrap();
        };
        match fault {
            Fault::Off => std::fs::remove_file(file(i)).unwrap(),
            Fault::Stuck => copy(((FROM_S - 1.0) / 0.5) as usize),
            Fault::Garbage => std::fs::write(file(i), vec![0x5a; 9_000]).unwrap(),
            Fault::Wrong => copy(i + 120),
            Fault::Slow if i % 3 != 0 => std::fs::remove_file(file(i)).unwrap(),
            Fault::Intermittent if is_gap(t_s) => std::fs::remove_file(file(i)).unwrap(),
            Fault::Delayed => copy(i - 2),
            Fault::Slow | Fault::Intermittent => {}
        }
    }
}

/// Points of a track with their distance from the truth.
fn track(out: &Path) -> Vec<Point> {
    let truth: Vec<[f64; 3]> = csv::Reader::from_path(root().join("recordings/demo/truth.csv"))
        .unwrap()
        .records()
        .map(|r| r.unwrap())
        .map(|r| [r[1].parse::<f64>().unwrap() / 1e9, r[2].parse().unwrap(), r[3].parse().unwrap()])
        .collect();
    let mut reader = csv::Reader::from_path(out.join("track.csv")).unwrap();
    let columns = reader.headers().unwrap().clone();
    let at = |name: &str| columns.iter().position(|c| c == name).unwrap();
    let (stamp, lat, lon, source) = (at("stamp_ns"), at("lat_deg"), at("lon_deg"), at("source"));
    let (sigma_e, sigma_n) = (at("sigma_e_m"), at("sigma_n_m"));
    let point = |r: csv::StringRecord| {
        let number = |i: usize| r[i].parse::<f64>().ok();
        let t_s = number(stamp).unwrap() / 1e9;
        let after = truth.partition_point(|row| row[0] < t_s).clamp(1, truth.len() - 1);
        let (a, b) = (truth[after - 1], truth[after]);
        let part = (t_s - a[0]) / (b[0] - a[0]);
        let off_m = number(lat).zip(number(lon)).map(|(lat, lon)| {
            let north = (lat - a[1] - part * (b[1] - a[1])) * 111_200.0;
            let east = (lon - a[2] - part * (b[2] - a[2])) * 111_320.0 * lat.to_radians().cos();
            (north.hypot(east), number(sigma_e).unwrap().max(number(sigma_n).unwrap()))
        });
        Point { t_s, source: r[source].to_owned(), off_m }
    };
    reader.records().map(|r| point(r.unwrap())).collect()
}

fn flown(part: Part, fault: Fault) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("flight");
    flight(&recording);
    match part {
        Part::Photos => break_photos(&recording, fault),
        _ => break_table(&recording, part, fault),
    }
    let out: PathBuf = folder.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_skyfix"));
    command.current_dir(root()).args(["replay", "--no-viewer", "--track-rate", "5", "-w", "2", "--out"]).args([&out, &recording]);
    if part == Part::Gnss {
        command.args(["--gnss", "on"]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{part:?} {fault:?}: {}", String::from_utf8_lossy(&output.stderr));
    let summary = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    judged(&track(&out), &summary, FROM_S, TO_S, &expected(part, fault))
}

pub fn rows(cells: &[(Part, Fault)]) -> Vec<Row> {
    let row = |(part, fault): &(Part, Fault)| {
        let found = flown(*part, *fault);
        println!("{part:?} {fault:?}: {found:?}");
        Row::of(*part, *fault, done(*part, *fault), &expected(*part, *fault), found)
    };
    cells.iter().map(row).collect()
}
