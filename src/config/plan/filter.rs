//! The filter of a plan.

use crate::config::layers::{ConfigError, Effective};
use crate::fuse::{Smoothing, TrackOptions};
use crate::geo::Geodetic;
use crate::recording::Start;
use crate::time::nanos_from_seconds;

/// Points of the track a second between the frames of a live flight.
const LIVE_TRACK_RATE_HZ: f64 = 5.0;
/// How far behind a live flight its smoothed track is, seconds.
const LIVE_SMOOTHER_LAG_S: f64 = 10.0;

/// What is known of the position at the start.
pub(super) fn start(effective: &Effective) -> Result<Option<Start>, ConfigError> {
    let table = &effective.config.filter.start;
    match (table.lat_deg, table.lon_deg, table.sigma_m) {
        (None, None, None) => Ok(None),
        (Some(lat_deg), Some(lon_deg), Some(sigma_m)) => {
            let position = Geodetic::ground(lat_deg, lon_deg);
            if !effective.config.filter.fusion.plausible.start(&position, sigma_m) {
                let key = "filter.start.sigma_m";
                return Err(
                    effective.error(key, &format!("{sigma_m}: nothing is known so well or so badly (`filter.plausible.sigma`)"))
                );
            }
            Ok(Some(Start { position, sigma_m }))
        }
        (lat_deg, lon_deg, _) => {
            let missing = match (lat_deg, lon_deg) {
                (None, _) => "filter.start.lat_deg",
                (_, None) => "filter.start.lon_deg",
                _ => "filter.start.sigma_m",
            };
            Err(effective.complaint(missing, &format!("a start needs `{missing}`, too")))
        }
    }
}

/// The points of the track, and what is smoothed.
pub(super) fn track(effective: &Effective, live: bool) -> TrackOptions {
    let table = &effective.config.filter;
    let track_rate_hz = table.track_rate_hz.unwrap_or(if live { LIVE_TRACK_RATE_HZ } else { 0.0 });
    let interval_ns = (track_rate_hz > 0.0).then(|| nanos_from_seconds(1.0 / track_rate_hz));
    let smoothing = if live {
        Smoothing::Lag(nanos_from_seconds(table.smoother_lag_s.unwrap_or(LIVE_SMOOTHER_LAG_S)))
    } else {
        Smoothing::Flight
    };
    TrackOptions { interval_ns, smoothing }
}
