//! `skyfix config`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use skyfix::config::explain::keys;
use skyfix::config::{ConfigBuilder, ConfigError, Door, Effective, FlightPlan};

use super::arguments::{FLAGS, LocalizeArguments, SetArguments};
use super::run::file;
use super::session;

const EXAMPLES: &str = "Examples:
  skyfix config                                          every key with its default and its meaning
  skyfix config pipelines/rtsp.toml                      what that file gives, and what it leaves
  skyfix config pipelines/rtsp.toml --set match.lag=8
  skyfix config recordings/demo > demo.toml              a pipeline file that does what `skyfix replay recordings/demo` does

What was given has its origin behind it; everything else is a comment. Credentials are not shown.";

/// Print the configuration that a pipeline file, or a source, has in effect, and where each value came from.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A pipeline file, or a source as of `skyfix replay`
    input: Option<std::path::PathBuf>,
    #[command(flatten)]
    set: SetArguments,
}

impl Arguments {
    fn effective(&self) -> Result<Effective, ConfigError> {
        let config = match &self.input {
            None => ConfigBuilder::new(Door::CommandLine(FLAGS)),
            Some(path) if is_pipeline(path) => file(path)?,
            Some(path) => LocalizeArguments::of_source(path).fill()?,
        };
        self.set.fill(config)?.finish()
    }
}

fn is_pipeline(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "toml")
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    let checked = arguments.effective().and_then(|effective| {
        // A configuration without a source is one to read.
        if arguments.input.is_some() {
            FlightPlan::of(&effective)?;
        }
        Ok(effective)
    });
    match checked {
        Ok(effective) => {
            say!("{}", keys(&effective).trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => session::complain(&error),
    }
}
