mod told;

use super::explain::keys;
use super::*;
use crate::settings::{Bound, Key, Table};
use std::path::Path;
use toml::Value;

/// Flags as a command line may have them.
const FLAGS: &[(&str, &str)] = &[("match.lag", "--lag"), ("source.camera.hfov_deg", "--hfov")];

/// Configurations under which every key does something for one of them.
const BASES: [&str; 8] = [
    "source.kind = 'recording'\nsource.path = 'r'\n",
    "source.kind = 'photos'\nsource.path = 'p'\n",
    "source.kind = 'video'\nsource.path = 'v.mp4'\ntelemetry.height_error = 0.1\n",
    "source.kind = 'rtsp'\nsource.url = 'rtsp://a/b'\ntelemetry.mavlink = '14550'\nsinks.viewer = 'serve'\n",
    "source.kind = 'rtp'\nsource.listen = '5600'\n",
    "source.kind = 'v4l2'\n",
    "source.kind = 'gstreamer'\nsource.launch = 'videotestsrc'\n",
    "source.kind = 'video'\nsource.path = 'v.mp4'\ntelemetry.date = '2026-05-01'\ntelemetry.heading_is_magnetic = true\n\
     filter.start.lat_deg = 47.0\nfilter.start.lon_deg = 8.0\nfilter.start.sigma_m = 9.0\n",
];

fn all() -> Vec<Key> {
    let mut all = Vec::new();
    FlightConfig::default().visit("", &mut |key| all.push(key));
    all
}

/// Another value than the one a key has.
fn other(key: &Key, calibration: &Path) -> Value {
    let text = |t: &str| Value::String(t.into());
    match key.path.as_str() {
        "source.kind" => text("photos"),
        "source.path" => text("elsewhere"),
        "source.url" => text("rtsp://c/d"),
        "source.transport" => text("tcp"),
        "source.listen" => text("5601"),
        "source.codec" => text("h265"),
        "source.device" => text("/dev/video7"),
        "source.launch" => text("videotestsrc pattern=ball"),
        "source.reconnect" => Value::Boolean(false),
        "source.frame_rate" => text("7"),
        "source.camera.calibration" => text(&calibration.display().to_string()),
        "source.camera.model" => text("FC7303"),
        "source.camera.mounting" => text("strapdown"),
        "telemetry.mavlink" => text("14551"),
        "telemetry.heading" => text("12±3"),
        "telemetry.height" => text("none"),
        "telemetry.date" => text("2025-01-02"),
        "telemetry.takeoff_deg" => Value::Array(vec![Value::Float(47.0), Value::Float(8.0)]),
        "model.device" => text("cuda:1"),
        "match.coarse" => text("sascm"),
        "match.sascm.assignment" => text("forward"),
        "filter.odometry" => text("off"),
        "filter.gnss" => text("on"),
        "filter.withhold" => text("3:1"),
        "sinks.viewer" => text("spawn"),
        "sinks.viewer_address" => text("127.0.0.1:9999"),
        "sinks.jsonl" => Value::Array(vec![text("file")]),
        _ => match &key.value {
            Some(Value::Boolean(b)) => Value::Boolean(!b),
            Some(Value::Integer(i)) => {
                let near = [i + 1, i - 1].into_iter().find(|v| key.bound.holds(*v as f64));
                Value::Integer(near.unwrap_or_else(|| panic!("{}: no other value in {}", key.path, key.bound)))
            }
            Some(Value::Float(x)) => Value::Float(nearby(*x, key.bound)),
            Some(Value::Array(list)) if list.iter().all(Value::is_float) => {
                let change = |v: &Value| Value::Float(nearby(v.as_float().unwrap(), key.bound));
                Value::Array(list.iter().map(change).collect())
            }
            Some(Value::String(_)) => text("other"),
            None if key.bound == Bound::Any && !key.path.ends_with("_s") => text("other"),
            None => Value::Float(nearby(7.0, key.bound)),
            Some(value) => panic!("{}: {value}", key.path),
        },
    }
}

fn nearby(x: f64, bound: Bound) -> f64 {
    [x * 1.25 + 0.01, x * 0.75, 0.5, 3.0].into_iter().find(|v| *v != x && bound.holds(*v)).unwrap()
}

/// A number without decimals where the key takes no others.
fn whole(value: &Value) -> Value {
    value.as_float().map_or_else(|| value.clone(), |v| Value::Integer(v.round() as i64))
}

#[test]
fn every_key_arrives_from_both_doors_and_changes_what_is_planned() {
    let folder = tempfile::tempdir().unwrap();
    let calibration = folder.path().join("camera.yaml");
    let yaml = "cam0:\n  camera_model: pinhole\n  intrinsics: [458.6, 457.3, 367.2, 248.4]\n  resolution: [752, 480]\n";
    std::fs::write(&calibration, yaml).unwrap();
    let file = folder.path().join("flight.toml");
    for key in all() {
        let value = other(&key, &calibration);
        let arrives = |value: &Value| {
            BASES.iter().any(|base| {
                let planned = |builder: ConfigBuilder| {
                    let effective = builder.finish().ok()?;
                    Some((format!("{:?}", FlightPlan::of(&effective).ok()?), effective.config.clone()))
                };
                let in_file = |text: &str| ConfigBuilder::new(Door::File(file.clone())).text(text, &file);
                let Some((before, _)) = in_file(base).ok().and_then(planned) else { return false };
                // A key of the base is replaced, any other is added.
                let mut rest: Vec<&str> = base.lines().filter(|l| !l.starts_with(&format!("{} ", key.path))).collect();
                let line = format!("{} = {value}", key.path);
                rest.push(&line);
                // Neither goes without the other.
                let companion = (key.path == "telemetry.heading_is_magnetic").then_some("telemetry.date = '2026-05-01'");
                rest.extend(companion.filter(|line| !base.contains(line)));
                let by_file = in_file(&rest.join("\n")).ok().and_then(planned);
                let by_set =
                    base.lines().chain(companion).try_fold(ConfigBuilder::new(Door::CommandLine(FLAGS)), |config, line| {
                        let (name, text) = line.split_once(" = ").unwrap();
                        let text = text.trim_matches('\'');
                        // Paths of the file lie beside it.
                        let beside =
                            if name == "source.path" { folder.path().join(text).display().to_string() } else { text.into() };
                        config.set(&format!("{name}={beside}"))
                    });
                let by_set = by_set.ok().and_then(|config| {
                    let mut written = value.to_string();
                    if let (Value::String(text), true) = (value, super::layers::READ_PATHS.contains(&key.path.as_str())) {
                        written = folder.path().join(text).display().to_string();
                    }
                    planned(config.set(&format!("{}={written}", key.path)).ok()?)
                });
                let (Some((by_file, in_config)), Some((by_set, set_config))) = (by_file, by_set) else { return false };
                assert_eq!(in_config, set_config, "{}", key.path);
                assert_eq!(by_file, by_set, "{}", key.path);
                by_file != before
            })
        };
        assert!(arrives(&value) || arrives(&whole(&value)), "{} = {value} changes nothing", key.path);
        assert!(!key.meaning.trim().is_empty(), "{} has no meaning", key.path);
    }
}

#[test]
fn both_doors_refuse_the_same_values_each_in_its_own_words() {
    let by_flag = |flag: &'static str, key: &str, text: &str| {
        let config = ConfigBuilder::new(Door::CommandLine(FLAGS)).flag(key, Some(text), flag);
        config.and_then(ConfigBuilder::finish).unwrap_err().to_string()
    };
    assert_eq!(by_flag("--lag", "match.lag", "65"), "--lag 65: give 1 to 64");
    assert!(by_flag("--lag", "match.lag", "many").starts_with("--lag \"many\": "));
    assert_eq!(by_flag("--hfov", "source.camera.hfov_deg", "190"), "--hfov 190: give more than 1 and less than 170");
    let by_set = |assignment: &str| {
        let config = ConfigBuilder::new(Door::CommandLine(FLAGS)).set(assignment);
        config.and_then(ConfigBuilder::finish).unwrap_err().to_string()
    };
    assert_eq!(by_set("match.lag=65"), "--set match.lag = 65: give 1 to 64");
    assert!(by_set("match.lagg=5").contains("match.lag meant"));
    assert!(by_set("nonsense").contains("KEY=VALUE"));
    assert!(by_set("filter.lost_sigma_m=nan").contains("give a positive number"));
}

#[test]
fn a_message_calls_keys_by_their_names_at_the_door() {
    let message = "give `source.camera.hfov_deg` or `source.camera.model`, or run `skyfix doctor`";
    let command_line = Door::CommandLine(FLAGS).spell(message);
    assert_eq!(command_line, "give --hfov or --set source.camera.model=…, or run `skyfix doctor`");
    let file = Door::File("a.toml".into()).spell(message);
    assert_eq!(file, "give [source.camera] hfov_deg or [source.camera] model, or run `skyfix doctor`");
    assert_eq!(file.matches("--").count(), 0);
    assert_eq!(Door::File("a.toml".into()).spell("a ` alone"), "a ` alone");
}

#[test]
fn what_is_printed_says_where_each_value_came_from_and_is_a_file_of_the_same_meaning() {
    let path = Path::new("/flights/a.toml");
    let config = ConfigBuilder::new(Door::File(path.into())).text(BASES[7], path).unwrap();
    let effective = config.set("match.lag=9").unwrap().finish().unwrap();
    let printed = keys(&effective);
    assert!(printed.contains("lag = 9    # --set") && printed.contains("# workers is not given"), "{printed}");
    assert!(printed.contains("path = \"/flights/v.mp4\"    # /flights/a.toml"), "{printed}");
    assert!(printed.contains("# places = 16    (default)"), "{printed}");
    for key in all() {
        let name = key.path.rsplit('.').next().unwrap().to_owned();
        assert!(printed.lines().any(|l| l.trim_start_matches("# ").starts_with(&format!("{name} "))), "{}", key.path);
    }
    let again = ConfigBuilder::new(Door::File("/else/b.toml".into())).text(&printed, Path::new("/else/b.toml")).unwrap();
    assert_eq!(again.finish().unwrap().config, effective.config);
    let secret = ConfigBuilder::new(Door::CommandLine(FLAGS)).set("source.url=rtsp://me:secret@a/b").unwrap();
    assert!(!keys(&secret.finish().unwrap()).contains("secret"));
}
