//! The command line: one file a verb.

/// Prints a line without credentials; a reader that has gone away (`| head`) is no reason to fail.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), "{}", skyfix::source::redact(&format!($($text)*)));
    }};
}

/// The same on standard error, for whoever runs the command.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skyfix: {}", skyfix::source::redact(&format!($($text)*)));
    }};
}

mod arguments;
mod bench;
mod cameras;
mod config;
mod doctor;
mod eval;
mod map;
mod models;
mod progress;
mod replay;
mod run;
mod scenes;
mod session;
mod simulate;
pub mod supervision;
mod sync;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;

use skyfix::source::redact;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Tells a drone without GNSS where it is: camera frames matched against satellite imagery, fused with the IMU.
///
/// Not a primary navigation source: fly with other means.
#[derive(Parser)]
#[command(name = "skyfix", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  skyfix map build area.tif -o area.mbtiles     a map out of a GeoTIFF
  skyfix map index area.mbtiles                 its features, once
  skyfix replay photos/ --map area.mbtiles --out out
  .venv/bin/rerun out/flight.rrd                look at it
  skyfix sync flight/                           the offset between the clocks of telemetry and camera

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but not one frame was localized; 4 done, but an output was closed before the
end; 70 a thread died or a stage stood still; 130 broken off.
Environment: SKYFIX_LOG=debug for a log, ORT_DYLIB_PATH, SKYFIX_MODELS, SKYFIX_MODEL_PATH.";

#[derive(Subcommand)]
enum Verb {
    /// Localize a recorded flight: photos, a video or a recording in, positions and a picture out.
    Replay(Box<replay::Arguments>),
    /// Localize what a pipeline file describes: a live stream, a video, a recording.
    Run(Box<run::Arguments>),
    /// Print the configuration that is in effect, and where each value came from.
    Config(config::Arguments),
    /// Build, index and inspect maps.
    #[command(subcommand)]
    Map(map::Verb),
    /// List the models and check their files.
    Models,
    /// Print the table of cameras whose sensor and lens are known.
    Cameras(cameras::Arguments),
    /// Fly a camera over a made-up or a mapped world and write a recording.
    Simulate(Box<simulate::Arguments>),
    /// Measure frames per second and latency of each stage on a flight.
    Bench(Box<bench::Arguments>),
    /// Measure the filter: its consistency, its resistance to attacks, its errors on a recorded flight; make scenes for acceptance.
    #[command(subcommand)]
    Eval(eval::Verb),
    /// Estimate the offset between the clocks of telemetry and camera.
    Sync(Box<sync::Arguments>),
    /// Check what skyfix needs: video, inference, models, viewer, and a map when one is given.
    Doctor {
        /// A map to check, with its index
        #[arg(long, value_name = "FILE")]
        map: Option<std::path::PathBuf>,
        /// The model to check it for
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Parses the command line and runs the verb.
pub fn run() -> anyhow::Result<ExitCode> {
    let command = arguments::with_defaults(Cli::command());
    let parsed = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| usage(&error));
    match cli.verb {
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Config(arguments) => Ok(config::run(&arguments)),
        Verb::Map(verb) => map::run(&verb).map(|()| ExitCode::SUCCESS),
        Verb::Models => models::run(),
        Verb::Cameras(arguments) => cameras::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Simulate(arguments) => simulate::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Eval(verb) => eval::run(&verb),
        Verb::Sync(arguments) => sync::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Doctor { map, model } => {
            let complete = doctor::run(map.as_deref(), model.as_deref());
            Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "skyfix", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Says what ended the command.
pub fn complain(why: &str) {
    tell!("{why}");
}

/// Says what is wrong with the command line, or the help that was asked for, and ends.
fn usage(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let styled = error.render();
    let text = if std::io::stderr().is_terminal() { styled.ansi().to_string() } else { styled.to_string() };
    let _ = std::io::stderr().write_all(redact(&text).as_bytes());
    std::process::exit(error.exit_code())
}

/// Two numbers with an x between them: 1920x1080.
fn pair<T: std::str::FromStr>(text: &str) -> Option<(T, T)> {
    let (a, b) = text.split_once('x')?;
    a.parse().ok().zip(b.parse().ok())
}
