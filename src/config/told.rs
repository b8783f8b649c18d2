//! What a flight was told, for its recording to keep.

use std::path::Path;

use toml::{Table as Toml, Value};

use super::layers::{Effective, READ_PATHS};
use super::recorded::is_recorded;
use crate::settings::Table;

/// The keys that were given and that a replay has to know, as tables. Paths are absolute: the recording may lie anywhere.
pub(super) fn of(effective: &Effective) -> Toml {
    let mut out = Toml::new();
    effective.config.visit("", &mut |key| {
        let Some(value) = key.value.filter(|_| effective.is_given(&key.path) && is_recorded(&key.path)) else { return };
        let value = match &value {
            Value::String(path) if READ_PATHS.contains(&key.path.as_str()) => Value::String(absolute(path)),
            _ => value,
        };
        let mut table = &mut out;
        let mut names = key.path.split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                table.insert(name.into(), value);
                return;
            }
            let Some(inner) = table.entry(name).or_insert_with(|| Value::Table(Toml::new())).as_table_mut() else { return };
            table = inner;
        }
    });
    out
}

/// A path that holds from everywhere; one that leads nowhere (the name of something bundled) stays as it is.
pub(super) fn absolute(path: &str) -> String {
    Path::new(path).canonicalize().map_or_else(|_| path.into(), |p| p.to_string_lossy().into_owned())
}
