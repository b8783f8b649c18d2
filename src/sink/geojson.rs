//! `track.geojson`: the track as a line and the fixes as points, for QGIS and web maps.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Sink, SinkError, create};
use crate::types::{FrameReport, Outcome, TrackPoint};

/// Collects the track and writes it at the end.
pub struct GeoJsonSink {
    path: PathBuf,
    line: Vec<[f64; 2]>,
    points: Vec<Value>,
}

impl GeoJsonSink {
    /// Will write `track.geojson` in a folder.
    pub fn create(folder: &Path) -> Result<Self, SinkError> {
        let path = folder.join("track.geojson");
        // So that a folder that cannot be written is found out now, not after the flight.
        create(&path)?;
        Ok(Self { path, line: Vec::new(), points: Vec::new() })
    }
}

/// Eight decimals of a degree: about a millimetre.
fn rounded(degrees: f64) -> f64 {
    (degrees * 1e8).round() / 1e8
}

impl Sink for GeoJsonSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        self.between(&report.track)?;
        if let Outcome::Fix(fix) = &report.matched.outcome {
            let p = fix.camera_covariance_m2();
            self.points.push(json!({
                "type": "Feature",
                "geometry": { "type": "Point", "coordinates": [rounded(fix.camera.lon_deg), rounded(fix.camera.lat_deg)] },
                "properties": {
                    "frame": report.name,
                    "stamp_ns": report.stamp_ns,
                    "sigma_m": ((p.trace() / 2.0).sqrt() * 1e3).round() / 1e3,
                    "used": report.track.fix_used,
                },
            }));
        }
        Ok(())
    }

    fn between(&mut self, point: &TrackPoint) -> Result<(), SinkError> {
        if let Some(state) = &point.state {
            self.line.push([rounded(state.position.lon_deg), rounded(state.position.lat_deg)]);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let mut features = vec![json!({
            "type": "Feature",
            "geometry": { "type": "LineString", "coordinates": self.line },
            "properties": { "name": "fused track" },
        })];
        features.append(&mut self.points);
        let collection = json!({ "type": "FeatureCollection", "features": features });
        let mut file = create(&self.path)?;
        writeln!(file, "{collection}")
            .and_then(|()| file.flush())
            .map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }
}
