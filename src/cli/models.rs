//! `skyfix models`.

use std::process::ExitCode;

use skyfix::models::Manifest;

/// Lists the models and checks their files; exit code 1 when the default model cannot be used.
pub fn run() -> anyhow::Result<ExitCode> {
    let manifest = Manifest::find()?;
    let mut default_ok = false;
    for (i, entry) in manifest.models().iter().enumerate() {
        let state = match manifest.load(entry) {
            Ok(bytes) => {
                default_ok |= i == 0;
                format!("ok, {:.1} MB", bytes.len() as f64 / 1e6)
            }
            Err(error) => error.to_string(),
        };
        say!("{:<16} {} channels, stride {} px; {}", entry.name, entry.descriptors.channels, entry.stride_px, entry.licence);
        say!("{:<16} {state}", "");
    }
    for head in manifest.aggregations() {
        let state = match manifest.load_aggregation(head) {
            Ok(bytes) => format!("ok, {:.1} MB", bytes.len() as f64 / 1e6),
            Err(error) => {
                default_ok &= manifest.models().first().is_none_or(|first| first.name != head.of);
                error.to_string()
            }
        };
        say!("{:<16} retrieval head of {}, {} channels; {}", head.name, head.of, head.global.channels, head.licence);
        say!("{:<16} {state}", "");
    }
    for weights in manifest.consensus() {
        let state = match manifest.load_consensus(weights) {
            Ok(bytes) => format!("ok, {:.1} MB", bytes.len() as f64 / 1e6),
            Err(error) => error.to_string(),
        };
        say!("{:<16} consensus weights of {}; {}", weights.name, weights.of, weights.licence);
        say!("{:<16} {state}", "");
    }
    Ok(if default_ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
