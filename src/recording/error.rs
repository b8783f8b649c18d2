//! What can go wrong with a recording's files.

use std::path::PathBuf;

/// What can go wrong with a file of a recording, or of telemetry beside a video.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing to read.
    #[error("{path}: {reason}")]
    Nothing {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}{}: {reason}", line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Line, from 1, where known.
        line: Option<u64>,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// What is wrong with a TOML text and where, without the line itself: that may hold a password.
pub(crate) fn toml_reason(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let message = error.message().trim();
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}: {message}")
        }
        None => message.to_owned(),
    }
}
