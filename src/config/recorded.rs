//! Which keys of a configuration a recording holds.

/// Tables and keys that a recording does not hold: where the flight came from and where its results went, what was worked into its samples
/// when they came in, what of it only a live flight has, and what the machine is like. Its start and its map have tables of their own.
const NOT_RECORDED: [&str; 15] = [
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
pub(super) fn is_recorded(key: &str) -> bool {
    // The date serves the declination alone.
    key != "telemetry.date" && !NOT_RECORDED.iter().any(|not| key.starts_with(not))
}
