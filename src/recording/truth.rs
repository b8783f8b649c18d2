//! True positions: for scoring only, never for localizing.

use std::collections::HashMap;
use std::path::Path;

use nalgebra::Vector2;
use serde::{Deserialize, Serialize};

use super::{FileError, sidecars};
use crate::geo::{EnuPlane, Geodetic};
use crate::time::{NANOS_PER_SEC, seconds_between};

/// Positions further apart than this say nothing of the time between them, nanoseconds.
const MAX_GAP_NS: i64 = 2 * NANOS_PER_SEC;

/// The true position of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TruthRow {
    /// The camera over ground.
    pub camera: Geodetic,
    /// The image centre on the ground, where known.
    pub centre: Option<Geodetic>,
}

/// The truth of a flight, by frame or by time.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Truth {
    frames: HashMap<String, TruthRow>,
    /// The camera over ground, in order of time, nanoseconds.
    track: Vec<(i64, Geodetic)>,
}

/// A row of `truth.csv`: further columns are allowed.
#[derive(Deserialize)]
struct TruthCsv {
    frame: Option<String>,
    stamp_ns: Option<i64>,
    lat: f64,
    lon: f64,
    centre_lat: Option<f64>,
    centre_lon: Option<f64>,
    centre_trusted: Option<String>,
}

/// A row of `truth.csv` as it is written: all that a simulator knows of a frame.
#[derive(Clone, Debug, Serialize)]
pub struct TruthRecord {
    /// The frame's name.
    pub frame: String,
    /// Time of capture.
    pub stamp_ns: i64,
    /// Latitude of the camera, degrees.
    pub lat: f64,
    /// Longitude of the camera, degrees.
    pub lon: f64,
    /// Height of the camera above the ellipsoid, metres.
    pub alt_m: f64,
    /// Its height above ground, metres.
    pub height_agl_m: f64,
    /// Velocity, east, m/s.
    pub vel_e_m_s: f64,
    /// Velocity, north, m/s.
    pub vel_n_m_s: f64,
    /// Velocity, up, m/s.
    pub vel_u_m_s: f64,
    /// `enu_from_body`, scalar part.
    pub qw: f64,
    /// `enu_from_body`, x.
    pub qx: f64,
    /// `enu_from_body`, y.
    pub qy: f64,
    /// `enu_from_body`, z.
    pub qz: f64,
    /// Latitude of the ground in the middle of the frame, degrees.
    pub centre_lat: Option<f64>,
    /// Longitude of the ground in the middle of the frame, degrees.
    pub centre_lon: Option<f64>,
    /// "yes" where the middle may be scored, "no" where it is not known.
    pub centre_trusted: &'static str,
}

/// What a row of `truth.csv` goes by.
enum Key {
    Frame(String),
    Time(i64),
}

impl Truth {
    /// Positions by time, in any order.
    pub fn of_track(mut track: Vec<(i64, Geodetic)>) -> Self {
        track.sort_by_key(|(stamp_ns, _)| *stamp_ns);
        Self { frames: HashMap::new(), track }
    }

    /// Reads a `truth.csv`; an absent one is no truth.
    ///
    /// # Errors
    /// When a row names neither frame nor time, or is no position.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let mut ordinal = 0;
        let rows = sidecars::rows(path, |row: TruthCsv| {
            // Rows need not be in order of time here, so the row number stands in for the stamp.
            ordinal += 1;
            let camera = Geodetic::ground(row.lat, row.lon);
            if !camera.is_valid() {
                return Err(format!("{}, {} is no latitude and longitude", row.lat, row.lon));
            }
            let trusted = row.centre_trusted.as_deref().is_none_or(|t| t == "yes");
            let centre = row.centre_lat.zip(row.centre_lon).filter(|_| trusted).map(|(lat, lon)| Geodetic::ground(lat, lon));
            let key = match (row.frame.filter(|name| !name.is_empty()), row.stamp_ns) {
                (Some(name), _) => Key::Frame(name),
                (None, Some(stamp_ns)) => Key::Time(stamp_ns),
                (None, None) => return Err("neither frame nor stamp_ns is given".into()),
            };
            Ok((ordinal, (key, TruthRow { camera, centre })))
        })?;
        let (mut frames, mut track) = (HashMap::new(), Vec::new());
        for (key, row) in rows {
            match key {
                Key::Frame(name) => {
                    frames.insert(name, row);
                }
                Key::Time(stamp_ns) => track.push((stamp_ns, row.camera)),
            }
        }
        Ok(Self { frames, ..Self::of_track(track) })
    }

    /// Whether nothing is known to be true.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.track.is_empty()
    }

    /// Adds what is true of a frame, unless that is known already.
    pub fn add(&mut self, frame: String, row: TruthRow) {
        self.frames.entry(frame).or_insert(row);
    }

    /// Every position, in no order.
    pub fn positions(&self) -> impl Iterator<Item = Geodetic> {
        self.frames.values().map(|row| row.camera).chain(self.track.iter().map(|(_, position)| *position))
    }

    /// Velocity over ground at a time, metres a second east and north, between positions half a second before and after.
    pub fn velocity_m_s(&self, stamp_ns: i64) -> Option<Vector2<f64>> {
        let at = |by_ns: i64| self.by_time(stamp_ns.saturating_add(by_ns)).map(|row| row.camera);
        let (before, after) = (at(-NANOS_PER_SEC / 2)?, at(NANOS_PER_SEC / 2)?);
        let moved = EnuPlane::at(before).ground_from_lat_lon(after.lat_deg, after.lon_deg);
        Some(Vector2::new(moved.e_m, moved.n_m))
    }

    /// What is true of a frame: by its name, else by its time, between two positions at most two seconds apart.
    pub fn at(&self, frame: &str, stamp_ns: i64) -> Option<TruthRow> {
        if let Some(row) = self.frames.get(frame) {
            return Some(*row);
        }
        self.by_time(stamp_ns)
    }

    fn by_time(&self, stamp_ns: i64) -> Option<TruthRow> {
        let after = self.track.partition_point(|(at, _)| *at < stamp_ns);
        let (to_ns, to) = *self.track.get(after)?;
        let of = |camera| Some(TruthRow { camera, centre: None });
        if to_ns == stamp_ns {
            return of(to);
        }
        let (from_ns, from) = *self.track.get(after.checked_sub(1)?)?;
        if to_ns.saturating_sub(from_ns) > MAX_GAP_NS {
            return None;
        }
        let t = seconds_between(from_ns, stamp_ns) / seconds_between(from_ns, to_ns);
        // The short way where the longitude jumps.
        let turn = (to.lon_deg - from.lon_deg + 180.0).rem_euclid(360.0) - 180.0;
        let lon_deg = (from.lon_deg + t * turn + 180.0).rem_euclid(360.0) - 180.0;
        of(Geodetic::ground(from.lat_deg + t * (to.lat_deg - from.lat_deg), lon_deg))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = NANOS_PER_SEC;

    #[test]
    fn between_two_positions_the_truth_is_on_the_line_and_across_a_gap_it_is_not_known() {
        let place = |lat, lon| Geodetic::ground(lat, lon);
        let track = vec![(SECOND, place(47.001, -179.999)), (0, place(47.0, 179.999)), (9 * SECOND, place(48.0, 170.0))];
        let truth = Truth::of_track(track);
        let camera = truth.at("7", SECOND / 2).unwrap().camera;
        assert!((camera.lat_deg - 47.0005).abs() < 1e-9 && camera.lon_deg.abs() > 179.999_99, "{camera:?}");
        assert_eq!(truth.at("7", 9 * SECOND).unwrap().camera, place(48.0, 170.0));
        assert_eq!([-1, 5 * SECOND, 10 * SECOND].map(|t| truth.at("7", t)), [None; 3]);
    }

    #[test]
    fn a_table_may_go_by_frame_or_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.csv");
        std::fs::write(&path, "stamp_ns,lat,lon\n1000,47.5,8.5\n").unwrap();
        assert_eq!(Truth::read(&path).unwrap().at("any", 1000).unwrap().camera, Geodetic::ground(47.5, 8.5));
        std::fs::write(&path, "frame,lat,lon,centre_lat,centre_lon\na.jpg,47.5,8.5,47.6,8.6\n").unwrap();
        let row = Truth::read(&path).unwrap().at("a.jpg", 0).unwrap();
        assert_eq!(row.centre, Some(Geodetic::ground(47.6, 8.6)));
        std::fs::write(&path, "lat,lon\n47.5,8.5\n").unwrap();
        assert!(Truth::read(&path).unwrap_err().to_string().contains("neither frame nor stamp_ns"));
        assert_eq!(Truth::read(&folder.path().join("absent.csv")).unwrap(), Truth::default());
    }
}
