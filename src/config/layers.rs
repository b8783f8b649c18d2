//! Values in layers: defaults, a pipeline file, flags, `--set`; each key keeps where its value came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;

use super::recorded::is_recorded;
use super::schema::{FlightConfig, SourceKind};
use crate::files;
use crate::recording::{reader, toml_reason};
use crate::settings::{SetError, Table};

/// Keys whose paths are read: in a file they lie relative to that file.
pub(super) const READ_PATHS: [&str; 8] = [
    "source.path",
    "source.camera.calibration",
    "telemetry.sidecars",
    "telemetry.srt",
    "telemetry.dem",
    "map.path",
    "map.edits",
    "match.consensus",
];
/// In place of a file of consensus weights: those that come with the model.
pub(crate) const BUNDLED_WEIGHTS: &str = "bundled";
/// Why an address is no path.
const ADDRESS: &str = "is an address, not a path: download what it names; a live stream is read by `skyfix run`, with source.kind = \"rtsp\" and \
     its source.url in a pipeline file (pipelines/rtsp.toml)";
/// Names this similar are taken for a slip of the pen (Jaro–Winkler).
const SIMILAR: f64 = 0.85;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A pipeline file.
    File(PathBuf),
    /// An argument of the command line, by its name: `--hfov`.
    Flag(&'static str),
    /// `--set` of the command line.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Flag(flag) => f.write_str(flag),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// How somebody came in, and so by what name a key is known there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// The command line: keys with their flags; the others are reached by `--set`.
    CommandLine(&'static [(&'static str, &'static str)]),
    /// A pipeline file.
    File(PathBuf),
}

impl Door {
    /// What a key is called at this door.
    pub fn name(&self, key: &str) -> String {
        match self {
            Self::CommandLine(flags) => {
                let flag = flags.iter().find(|(of, _)| *of == key).map(|(_, flag)| (*flag).to_owned());
                flag.unwrap_or_else(|| format!("--set {key}=…"))
            }
            Self::File(_) => in_file(key),
        }
    }

    /// A message whose keys, written `` `source.path` ``, are called what they are called at this door.
    pub fn spell(&self, message: &str) -> String {
        let mut known = BTreeSet::new();
        FlightConfig::default().visit("", &mut |key| {
            known.insert(key.path);
        });
        let mut out = String::new();
        let mut rest = message;
        while let Some((before, quoted)) = rest.split_once('`') {
            out += before;
            match quoted.split_once('`') {
                Some((key, after)) if known.contains(key) => {
                    out += &self.name(key);
                    rest = after;
                }
                _ => {
                    out.push('`');
                    rest = quoted;
                }
            }
        }
        out + rest
    }
}

/// `[source.camera] hfov_deg`.
fn in_file(key: &str) -> String {
    key.rsplit_once('.').map_or_else(|| key.to_owned(), |(table, name)| format!("[{table}] {name}"))
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read or is no TOML.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key is none, or its value is none for it.
    #[error("{}{reason}", file.as_ref().map(|f| format!("{}: ", f.display())).unwrap_or_default())]
    Key {
        /// The file that it stands in, if it does.
        file: Option<PathBuf>,
        /// The key's path.
        key: String,
        /// What is wrong and what to do, with the name under which the key was written.
        reason: String,
    },
}

/// Fills a configuration layer by layer; later layers win.
#[derive(Clone, Debug)]
pub struct ConfigBuilder {
    config: FlightConfig,
    origins: BTreeMap<String, Origin>,
    door: Door,
}

impl ConfigBuilder {
    /// All defaults.
    pub fn new(door: Door) -> Self {
        Self { config: FlightConfig::default(), origins: BTreeMap::new(), door }
    }

    /// Takes a pipeline file.
    ///
    /// # Errors
    /// When it cannot be read, has an unknown key, or a value is none for its key.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let fail = |reason: String| ConfigError::File { path: path.into(), reason };
        let text = files::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        self.text(&text, path)
    }

    /// Takes the text of a pipeline file that lies at a path.
    ///
    /// # Errors
    /// As [`ConfigBuilder::file`].
    pub fn text(mut self, text: &str, path: &Path) -> Result<Self, ConfigError> {
        let fail = |reason: String| ConfigError::File { path: path.into(), reason };
        let table: toml::Table = toml::from_str(text).map_err(|e| fail(toml_reason(&e, text)))?;
        let mut leaves = Vec::new();
        flatten("", &Value::Table(table), &mut leaves);
        let folder = path.parent().unwrap_or(Path::new(""));
        for (key, value) in leaves {
            self.apply(&key, &beside(folder, &key, value), Origin::File(path.into()))?;
        }
        Ok(self)
    }

    /// Takes the value of a flag as it was written, where it was given.
    ///
    /// # Errors
    /// When the value is none for the key.
    pub fn flag(self, key: &str, text: Option<impl ToString>, flag: &'static str) -> Result<Self, ConfigError> {
        match text {
            Some(text) => self.assign(key, &text.to_string(), Origin::Flag(flag)),
            None => Ok(self),
        }
    }

    /// Takes `key=value`.
    ///
    /// # Errors
    /// When it is no assignment, there is no such key, or the value is none for it.
    pub fn set(self, assignment: &str) -> Result<Self, ConfigError> {
        let Some((key, text)) = assignment.split_once('=') else {
            let reason = format!("--set {assignment}: write --set KEY=VALUE; 'skyfix config' lists the keys");
            return Err(ConfigError::Key { file: None, key: assignment.into(), reason });
        };
        self.assign(key.trim(), text.trim(), Origin::Set)
    }

    /// Sets a key to a text: as it stands (whoever writes at a shell seldom writes quotes), else as it is written in a file, else as a list.
    fn assign(mut self, key: &str, text: &str, origin: Origin) -> Result<Self, ConfigError> {
        let parsed = |text: &str| toml::from_str::<toml::Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
        // In quotes it is what is within them.
        let as_text = || parsed(text).filter(Value::is_str).unwrap_or_else(|| Value::String(text.to_owned()));
        let item = |item: &str| parsed(item).unwrap_or_else(|| Value::String(item.trim().to_owned()));
        let as_list = Value::Array(text.split(',').map(item).collect());
        // What is wrong with the text is what is wrong with it as it stands.
        let plain = match self.apply(key, &as_text(), origin.clone()) {
            Ok(()) => return Ok(self),
            Err(error) => error,
        };
        for value in parsed(text).into_iter().chain([as_list]) {
            if self.apply(key, &value, origin.clone()).is_ok() {
                return Ok(self);
            }
        }
        Err(plain)
    }

    /// Takes what the recording was told that a configuration names, where nobody says otherwise. A recording that cannot be read is an error
    /// of whoever opens it.
    ///
    /// # Errors
    /// When it was told what is no key, or no value of it.
    fn with_recording(mut self) -> Result<Self, ConfigError> {
        let source = &self.config.source;
        let Some(folder) = source.path.clone().filter(|_| source.kind == Some(SourceKind::Recording)) else { return Ok(self) };
        let path = folder.join("flight.toml");
        let Ok((file, _)) = reader::read_description(&path) else { return Ok(self) };
        let mut leaves = Vec::new();
        flatten("", &Value::Table(file.settings), &mut leaves);
        for (key, value) in leaves {
            if !is_recorded(&key) {
                let reason = format!("[settings] {key}: a recording does not say that; remove it");
                return Err(ConfigError::Key { file: Some(path), key, reason });
            }
            if !self.origins.contains_key(&key) {
                self.apply(&key, &beside(&folder, &key, value), Origin::File(path.clone()))?;
            }
        }
        Ok(self)
    }

    fn apply(&mut self, key: &str, value: &Value, origin: Origin) -> Result<(), ConfigError> {
        let set = match value {
            Value::String(text) if READ_PATHS.contains(&key) && is_address(text) => Err(SetError::Value(ADDRESS.into())),
            _ => self.config.set(key, value),
        };
        let fail = |reason: String| {
            let file = if let Origin::File(path) = &origin { Some(path.clone()) } else { None };
            Err(ConfigError::Key { file, key: key.into(), reason })
        };
        let written = written(key, &origin, &self.door);
        match set {
            Ok(()) => {
                self.origins.insert(key.to_owned(), origin);
                Ok(())
            }
            Err(SetError::Unknown) => fail(format!("there is no key {written}{}", like(key, &origin))),
            Err(SetError::Value(reason)) => {
                let separator = if matches!(origin, Origin::Flag(_)) { " " } else { " = " };
                fail(format!("{written}{separator}{}: {reason}", shown(value)))
            }
        }
    }

    /// The configuration, with what its recording was told, its bounds checked.
    ///
    /// # Errors
    /// When a number is out of its bounds, or the recording was told what is no key.
    pub fn finish(self) -> Result<Effective, ConfigError> {
        let Self { config, origins, door } = self.with_recording()?;
        let effective = Effective { config, origins, door };
        let mut wrong = None;
        effective.config.visit("", &mut |key| {
            if let (None, Some(value)) = (&wrong, key.outside()) {
                wrong = Some(effective.error(&key.path, &format!("{value}: give {}", key.bound)));
            }
        });
        wrong.map_or(Ok(effective), Err)
    }
}

/// A configuration with the origin of each of its values.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The values.
    pub config: FlightConfig,
    origins: BTreeMap<String, Origin>,
    door: Door,
}

impl Effective {
    /// How it came in.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Where a key's value came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// Whether somebody gave the key.
    pub fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// The keys that somebody gave.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.origins.keys().map(String::as_str)
    }

    /// A key by the name under which it was written, else by its name at the door.
    pub fn written(&self, key: &str) -> String {
        written(key, self.origin(key), &self.door)
    }

    /// What is wrong with a key's value.
    pub(super) fn error(&self, key: &str, reason: &str) -> ConfigError {
        let separator = if matches!(self.origin(key), Origin::Flag(_)) { " " } else { " = " };
        self.complaint(key, &format!("{}{separator}{reason}", self.written(key)))
    }

    /// What is wrong, in words of its own; keys in backquotes are called by their name at the door.
    pub(super) fn complaint(&self, key: &str, reason: &str) -> ConfigError {
        let file = match (self.origin(key), &self.door) {
            (Origin::File(path), _) | (Origin::Default, Door::File(path)) => Some(path.clone()),
            _ => None,
        };
        ConfigError::Key { file, key: key.into(), reason: self.door.spell(reason) }
    }
}

fn written(key: &str, origin: &Origin, door: &Door) -> String {
    match origin {
        Origin::Default => door.name(key),
        Origin::File(_) => in_file(key),
        Origin::Flag(flag) => (*flag).to_owned(),
        Origin::Set => format!("--set {key}"),
    }
}

/// A value in a message: without credentials.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", crate::source::redact(text)),
        other => crate::source::redact(&other.to_string()),
    }
}

/// The keys of a table of TOML with their values; lists are values.
fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&path, value, out);
            }
        }
        value => out.push((prefix.to_owned(), value.clone())),
    }
}

/// A path to read that stands in a file of this folder.
fn beside(folder: &Path, key: &str, value: Value) -> Value {
    match value {
        Value::String(text) if is_path(key, &text) => Value::String(folder.join(text).to_string_lossy().into_owned()),
        other => other,
    }
}

/// Whether a text is the path of a file or folder that is read, by its key.
fn is_path(key: &str, text: &str) -> bool {
    READ_PATHS.contains(&key) && !(key == "match.consensus" && text == BUNDLED_WEIGHTS) && !is_address(text)
}

/// Whether a text is the address of a stream.
fn is_address(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'))
}

/// The key that was most likely meant.
fn like(key: &str, origin: &Origin) -> String {
    let mut best: Option<(f64, String)> = None;
    FlightConfig::default().visit("", &mut |known| {
        let score = strsim::jaro_winkler(key, &known.path);
        if score >= SIMILAR && best.as_ref().is_none_or(|(top, _)| score > *top) {
            best = Some((score, known.path));
        }
    });
    best.map_or_else(
        || "; 'skyfix config' lists all".to_owned(),
        |(_, known)| {
            let name = if matches!(origin, Origin::File(_)) { in_file(&known) } else { known };
            format!("; is {name} meant?")
        },
    )
}
