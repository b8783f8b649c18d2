//! `fixes.jsonl`: one JSON object a frame, for programs that read along.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{FrameReport, Sink, SinkError, create};
use crate::types::Outcome;

/// Writes a line a frame and flushes it at once.
pub struct JsonLinesSink {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonLinesSink {
    /// Creates `fixes.jsonl` in a folder.
    pub fn create(folder: &Path) -> Result<Self, SinkError> {
        let path = folder.join("fixes.jsonl");
        Ok(Self { file: create(&path)?, path })
    }
}

impl Sink for JsonLinesSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        let fix = match &report.matched.outcome {
            Outcome::Abstained(reason) => json!({ "outcome": "abstained", "reason": reason.as_str() }),
            Outcome::Fix(f) => {
                let p = f.camera_covariance_m2();
                json!({
                    "outcome": "fix",
                    "lat_deg": f.camera.lat_deg,
                    "lon_deg": f.camera.lon_deg,
                    "centre_lat_deg": f.centre.lat_deg,
                    "centre_lon_deg": f.centre.lon_deg,
                    "covariance_en_m2": [p[(0, 0)], p[(0, 1)], p[(1, 1)]],
                    "heading_deg": f.heading_rad.0.to_degrees(),
                    "height_agl_m": f.height_agl_m.0,
                    "tilt_deg": f.tilt_rad.to_degrees(),
                    "inliers": f.inliers,
                    "score": f.score,
                })
            }
        };
        let track = report.track.state.as_ref().map(|s| {
            json!({
                "lat_deg": s.position.lat_deg,
                "lon_deg": s.position.lon_deg,
                "velocity_enu_m_s": s.velocity_enu_m_s,
                "covariance_en_m2": [s.covariance_en_m2[(0, 0)], s.covariance_en_m2[(0, 1)], s.covariance_en_m2[(1, 1)]],
            })
        });
        let line = json!({
            "frame": report.name,
            "stamp_ns": report.stamp_ns,
            "fix": fix,
            "source": report.track.source.as_str(),
            "track": track,
        });
        writeln!(self.file, "{line}")
            .and_then(|()| self.file.flush())
            .map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.file.flush().map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }
}
