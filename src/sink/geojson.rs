//! `track.geojson`: the track as a line and the fixes as points, for QGIS and web maps.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::file::whole;
use super::{Clocked, Sink, SinkError};
use crate::types::{FrameReport, Outcome, TrackPoint};

/// Gathers line and points on disk, and writes the file at the end.
pub struct GeoJsonSink {
    path: PathBuf,
    line: List,
    points: List,
    clocks: Clocked,
}

/// Parts of a JSON list in a file without a name, which is gone with the process.
struct List {
    file: BufWriter<File>,
    count: u64,
}

impl List {
    fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile_in(folder)?), count: 0 })
    }

    fn push(&mut self, item: &impl std::fmt::Display) -> io::Result<()> {
        self.count += 1;
        write!(self.file, "{}{item}", if self.count > 1 { "," } else { "" })?;
        // A disk that is full is found out now, not after the flight.
        self.file.flush()
    }

    fn copy_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        let file = self.file.get_mut();
        file.rewind()?;
        io::copy(file, out).map(drop)
    }
}

impl GeoJsonSink {
    /// Will write `track.geojson` in a folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self, SinkError> {
        let path = folder.join("track.geojson");
        let list = || List::new(folder).map_err(|source| SinkError::Io { path: path.clone(), source });
        Ok(Self { line: list()?, points: list()?, clocks: Clocked::default(), path })
    }

    fn check(&self, written: io::Result<()>) -> Result<(), SinkError> {
        written.map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }
}

/// Eight decimals of a degree: about a millimetre.
fn rounded(degrees: f64) -> f64 {
    (degrees * 1e8).round() / 1e8
}

impl Sink for GeoJsonSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        self.clocks.frame(report);
        self.between(&report.track)?;
        let Outcome::Fix(fix) = &report.matched.outcome else { return Ok(()) };
        let p = fix.camera_covariance_m2();
        let [_, utc] = self.clocks.written(report.stamp_ns);
        let mut feature = json!({
            "type": "Feature",
            "geometry": { "type": "Point", "coordinates": [rounded(fix.camera.lon_deg), rounded(fix.camera.lat_deg)] },
            "properties": {
                "frame": report.name,
                "stamp_ns": report.stamp_ns,
                "sigma_m": ((p.trace() / 2.0).sqrt() * 1e3).round() / 1e3,
                "used": report.track.fix_used,
            },
        });
        if let Some(evidence) = report.matched.evidence {
            feature["properties"]["p_wrong"] = ((evidence.p_wrong * 1e6).round() / 1e6).into();
        }
        if !utc.is_empty() {
            feature["properties"]["utc"] = utc.into();
        }
        let written = self.points.push(&feature);
        self.check(written)
    }

    fn between(&mut self, point: &TrackPoint) -> Result<(), SinkError> {
        let Some(state) = &point.state else { return Ok(()) };
        let written = self.line.push(&json!([rounded(state.position.lon_deg), rounded(state.position.lat_deg)]));
        self.check(written)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let (line, points) = (&mut self.line, &mut self.points);
        whole(&self.path, |file| {
            write!(file, "{{\"features\":[{{\"geometry\":")?;
            // One point is no line.
            if line.count < 2 {
                write!(file, "null")?;
            } else {
                write!(file, "{{\"coordinates\":[")?;
                line.copy_to(file)?;
                write!(file, "],\"type\":\"LineString\"}}")?;
            }
            write!(file, ",\"properties\":{{\"name\":\"fused track\"}},\"type\":\"Feature\"}}")?;
            if points.count > 0 {
                write!(file, ",")?;
                points.copy_to(file)?;
            }
            writeln!(file, "],\"type\":\"FeatureCollection\"}}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Geodetic;
    use crate::sink::tests::abstained;
    use crate::types::TrackState;
    use nalgebra::{Matrix2, UnitQuaternion};

    fn at(lat_deg: f64) -> TrackPoint {
        let state = TrackState {
            position: Geodetic::ground(lat_deg, 8.0),
            height_agl_m: None,
            velocity_enu_m_s: [0.0; 3],
            enu_from_body: UnitQuaternion::identity(),
            covariance_en_m2: Matrix2::identity(),
            sigma_u_m: 1.0,
        };
        TrackPoint { state: Some(state), ..abstained(0).track }
    }

    #[test]
    fn the_file_is_a_valid_collection_however_few_points_and_appears_only_at_the_end() {
        for count in [0, 1, 2, 500] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("track.geojson");
            std::fs::write(&path, "old").unwrap();
            let mut sink = GeoJsonSink::create(folder.path()).unwrap();
            (0..count).for_each(|i| sink.between(&at(47.0 + f64::from(i) * 1e-4)).unwrap());
            sink.frame(&abstained(0)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"old");
            sink.finish().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{read}\n"), text, "keys and numbers as this crate writes them");
            let line = &read["features"][0]["geometry"];
            match count {
                0 | 1 => assert!(line.is_null()),
                n => assert_eq!(line["coordinates"].as_array().unwrap().len(), n as usize),
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
