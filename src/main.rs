//! The `skyfix` command.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use skyfix::source::redact;

/// Pictures and views of ever other sizes are freed by other threads than made them: of that the system's allocator keeps
/// twice what is used.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SKYFIX_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,skyfix::source::telemetry=info")),
        )
        .with_writer(|| Redacted)
        .without_time()
        .init();
    cli::supervision::begin();
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            cli::complain(&told(&error));
            ExitCode::from(1)
        }
    }
}

/// Standard error, without credentials: the log's lines come whole.
struct Redacted;

impl Write for Redacted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().write_all(redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// An error and its causes, each said once: most errors of the library have their cause in their own words.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += &cause;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let within = skyfix::map::MapError::Read { path: "a.tif".into(), source: missing };
        assert_eq!(told(&anyhow::Error::from(within).context("the map")), "the map: a.tif: cannot be read: no such file");
    }
}
