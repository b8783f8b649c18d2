//! What a flight was told, as its recording keeps it, and a replay is told in turn.

use std::path::Path;

use toml::{Table as Toml, Value};

use super::layers::{ConfigBuilder, ConfigError, Effective, Origin, READ_PATHS, flatten};
use super::schema::SourceKind;
use crate::recording::reader;
use crate::settings::Table;

/// Tables and keys that a recording does not hold: where the flight came from and where its results went, what was worked into its samples
/// when they came in, what of it only a live flight has, and what the machine is like. Its start and its map have tables of their own.
const NOT_TOLD: [&str; 15] = [
    "source.",
    "sinks.",
    "supervision.",
    "map.path",
    "model.device",
    "model.threads",
    "match.workers",
    "filter.start.",
    "filter.smoother_lag_s",
    "telemetry.sidecars",
    "telemetry.srt",
    "telemetry.mavlink",
    "telemetry.wait_s",
    "telemetry.telemetry_minus_video_s",
    "telemetry.heading_is_magnetic",
];

/// Whether a recording holds a key.
fn is_told(key: &str) -> bool {
    // The date serves the declination alone.
    key != "telemetry.date" && !NOT_TOLD.iter().any(|not| key.starts_with(not))
}

/// The keys that were given and that a replay has to know, as tables. Paths are absolute: the recording may lie anywhere.
pub(super) fn of(effective: &Effective) -> Toml {
    let mut out = Toml::new();
    effective.config.visit("", &mut |key| {
        let Some(value) = key.value.filter(|_| effective.is_given(&key.path) && is_told(&key.path)) else { return };
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

/// Takes what the recording was told that a configuration names, where nobody says otherwise. A recording that cannot be read is an error
/// of whoever opens it.
///
/// # Errors
/// When it was told what is no key, or no value of it.
pub(super) fn take(mut config: ConfigBuilder) -> Result<ConfigBuilder, ConfigError> {
    let source = config.source();
    let Some(folder) = source.path.clone().filter(|_| source.kind == Some(SourceKind::Recording)) else { return Ok(config) };
    let path = folder.join("flight.toml");
    let Ok((file, _)) = reader::read_description(&path) else { return Ok(config) };
    let mut leaves = Vec::new();
    flatten("", &Value::Table(file.settings), &mut leaves);
    for (key, value) in leaves {
        if !is_told(&key) {
            let reason = format!("[settings] {key}: a recording does not say that; remove it");
            return Err(ConfigError::Key { file: Some(path), key, reason });
        }
        config.apply_unless_given(&key, &value, Origin::File(path.clone()))?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Door, FlightPlan};

    const FLIGHT: &str = "[camera]\nwidth_px = 64\nheight_px = 48\nfx_px = 50.0\n";

    fn builder() -> ConfigBuilder {
        ConfigBuilder::new(Door::CommandLine(&[]))
    }

    #[test]
    fn a_recording_keeps_what_decides_its_fixes_and_nothing_of_where_it_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let map = folder.path().join("area.mbtiles");
        std::fs::write(&map, "").unwrap();
        let text = "[source]\nkind = 'test'\n[source.camera]\nhfov_deg = 60.0\n[telemetry]\nheight = '120±6'\nwait_s = 0.2\n\
                    mavlink = '14999'\n[match]\nworkers = 3\nlag = 2\nfix.min_inliers = 30\n[map]\npath = 'area.mbtiles'\n[sinks]\nout = 'o'\n\
                    [filter.start]\nlat_deg = 47.0\nlon_deg = 8.0\nsigma_m = 9.0\n";
        let effective = builder().text(text, &folder.path().join("p.toml")).unwrap().finish().unwrap();
        let told = FlightPlan::of(&effective).unwrap().told;
        let wanted = "telemetry.height = '120±6'\nmatch.lag = 2\nmatch.fix.min_inliers = 30\n";
        assert_eq!(told.settings, toml::from_str(wanted).unwrap());
        assert_eq!(told.map.unwrap(), map.canonicalize().unwrap());
        assert_eq!(told.start.unwrap().sigma_m, 9.0);
    }

    #[test]
    fn a_replay_is_told_what_its_recording_was_unless_somebody_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flight.toml");
        std::fs::write(&path, format!("{FLIGHT}[settings]\ntelemetry.height = '120±6'\nmatch.lag = 2\n")).unwrap();
        let replay = |more: &[&str]| {
            let named = format!("source.path={}", folder.path().display());
            let all = ["source.kind=recording", &named].into_iter().chain(more.iter().copied());
            all.fold(builder(), |b, set| b.set(set).unwrap()).finish()
        };
        let told = replay(&["match.lag=7"]).unwrap();
        assert_eq!((told.config.telemetry.height.to_string().as_str(), told.config.r#match.lag), ("120±6", 7));
        assert_eq!(told.origin("telemetry.height"), &Origin::File(path.clone()));
        for (wrong, why) in
            [("sinks.out = 'x'", "does not say that"), ("match.lagg = 1", "no key"), ("match.lag = 900", "give 1 to 64")]
        {
            std::fs::write(&path, format!("{FLIGHT}[settings]\n{wrong}\n")).unwrap();
            let error = replay(&[]).unwrap_err().to_string();
            assert!(error.contains("flight.toml") && error.contains(why), "{error}");
        }
    }
}
