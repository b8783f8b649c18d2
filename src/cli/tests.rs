use clap::Parser;
use skyfix::config::FlightConfig;
use skyfix::settings::Table;

use super::arguments::FLAGS;
use super::{replay, run};

#[derive(Parser)]
struct Replay {
    #[command(flatten)]
    arguments: replay::Arguments,
}

#[derive(Parser)]
struct Run {
    #[command(flatten)]
    arguments: run::Arguments,
}

/// A flag with a value that is not its default.
fn with_value(flag: &'static str) -> Vec<&'static str> {
    let value = match flag {
        "--no-prior" | "--no-early-exit" | "--no-viewer" | "--jsonl" => return vec![flag],
        "--mounting" => "strapdown",
        "--telemetry" | "--calibration" | "--dem" | "--map" | "--map-edits" | "--out" | "--record" => "a/file",
        "--model" => "xfeat",
        "--device" => "cuda:0",
        "--coarse" => "sascm",
        "--consensus" => "bundled",
        "--odometry" | "--gnss" => "on",
        "--withhold" => "3:1",
        "--heading" | "--height" => "none",
        "--height-error" => "0.2",
        "--takeoff" => "47.5,-8.5",
        "--start" => "47.5,-8.5±30",
        _ => "7",
    };
    vec![flag, value]
}

#[test]
fn every_flag_arrives_at_its_key_and_says_that_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flight.toml");
    std::fs::write(&file, "[source]\nkind = \"test\"\n").unwrap();
    let file = file.to_str().unwrap();
    let before = FlightConfig::default();
    for (key, flag) in FLAGS {
        let effective = match *flag {
            "SOURCE" => Replay::parse_from(["replay", "photos"]).arguments.effective(),
            "--record" | "--for" => Run::parse_from([vec!["run", file], with_value(flag)].concat()).arguments.effective(),
            flag => Replay::parse_from([vec!["replay", "photos"], with_value(flag)].concat()).arguments.effective(),
        };
        let effective = effective.unwrap_or_else(|error| panic!("{flag}: {error}"));
        assert_eq!(effective.origin(key).to_string(), *flag, "{key}");
        assert_ne!(value(&effective.config, key), value(&before, key), "{flag} leaves {key} as it is");
    }
}

fn value(config: &FlightConfig, path: &str) -> Option<toml::Value> {
    let mut found = None;
    config.visit("", &mut |key| {
        if key.path == path {
            found = Some(key.value);
        }
    });
    found.unwrap_or_else(|| panic!("{path} is no key"))
}

#[test]
fn every_flag_of_a_flight_names_a_key() {
    // Neither settings of the flight nor of its outputs.
    let others = ["help", "set", "check"];
    for command in [<Replay as clap::CommandFactory>::command(), <Run as clap::CommandFactory>::command()] {
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long().filter(|long| !others.contains(long)) else { continue };
            assert!(FLAGS.iter().any(|(_, flag)| *flag == format!("--{long}")), "--{long} fills no key");
        }
    }
}
