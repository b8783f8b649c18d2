//! The `skyfix` command.

mod cli;

use std::process::ExitCode;

/// Pictures and views of ever other sizes are freed by other threads than made them: over an hour the system's allocator keeps twice what is used.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SKYFIX_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,skyfix::source::telemetry=info")),
        )
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    cli::supervision::begin();
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("skyfix: {error:#}");
            ExitCode::from(1)
        }
    }
}
