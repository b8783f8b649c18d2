//! `fixes.csv`, `track.csv` and `timing.csv`; `track_smoothed.csv`, a lag behind or after a replay. Numbers have fixed precision, so that a replay gives the same bytes.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::{Sink, SinkError, create, write_line};
use crate::types::{FrameReport, Outcome, SearchRoute, TrackPoint};

const FIXES: &str = "frame,stamp_ns,outcome,lat_deg,lon_deg,sigma_e_m,sigma_n_m,corr_en,centre_lat_deg,centre_lon_deg,heading_deg,tilt_deg,candidates,inliers,score,reason,p_wrong";
const TRACK: &str = "frame,stamp_ns,lat_deg,lon_deg,alt_m,height_agl_m,vel_e_m_s,vel_n_m_s,vel_u_m_s,qw,qx,qy,qz,sigma_e_m,sigma_n_m,corr_en,sigma_u_m,source,fix_age_s";
const SMOOTHED: &str = "track_smoothed.csv";
const TIMING: &str = "frame,rectify_ms,retrieve_ms,coarse_ms,fine_ms,fix_ms,register_ms,capture_to_fix_ms,observe_ms,early_exit_ms,fallback_search_ms,fuse_ms,work_ms,wait_ms,route";

/// The tables of a flight.
pub struct CsvSink {
    folder: PathBuf,
    files: Vec<(PathBuf, BufWriter<File>)>,
    /// Made when the first of it comes.
    smoothed: Option<(PathBuf, BufWriter<File>)>,
}

impl CsvSink {
    /// Creates the files in a folder and writes their headers.
    pub fn create(folder: &Path) -> Result<Self, SinkError> {
        let mut files = Vec::new();
        for (name, header) in [("fixes.csv", FIXES), ("track.csv", TRACK), ("timing.csv", TIMING)] {
            let path = folder.join(name);
            let file = create(&path)?;
            files.push((path, file));
            let last = files.len() - 1;
            write_to(&mut files[last], header)?;
        }
        let stale = folder.join(SMOOTHED);
        match std::fs::remove_file(&stale) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(SinkError::Io { path: stale, source }),
            _ => Ok(Self { folder: folder.into(), files, smoothed: None }),
        }
    }
}

fn write_to((path, file): &mut (PathBuf, BufWriter<File>), line: &str) -> Result<(), SinkError> {
    write_line(path, file, line)
}

impl Sink for CsvSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        let lines = [fix_row(report), track_row(&report.name, &report.track), timing_row(report)];
        self.files.iter_mut().zip(lines).try_for_each(|(file, line)| write_to(file, &line))
    }

    fn between(&mut self, point: &TrackPoint) -> Result<(), SinkError> {
        self.files.iter_mut().skip(1).take(1).try_for_each(|track| write_to(track, &track_row("", point)))
    }

    fn smoothed(&mut self, points: &[(String, TrackPoint)]) -> Result<(), SinkError> {
        let table = match &mut self.smoothed {
            Some(table) => table,
            none => {
                let path = self.folder.join(SMOOTHED);
                let file = create(&path)?;
                let table = none.insert((path, file));
                write_to(table, TRACK)?;
                table
            }
        };
        points.iter().try_for_each(|(name, point)| write_to(table, &track_row(name, point)))
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A field as CSV wants it: quoted when it holds a comma, a quote or a line break.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

fn timing_row(report: &FrameReport) -> String {
    let t = &report.times;
    format!(
        "{},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{}",
        quoted(&report.name),
        t.rectify_ms,
        t.retrieve_ms,
        t.coarse_ms,
        t.fine_ms,
        t.fix_ms,
        t.register_ms,
        t.capture_to_fix_ms.map_or(String::new(), |ms| format!("{ms:.3}")),
        t.observe_ms,
        t.early_exit_ms,
        t.fallback_search_ms,
        t.fuse_ms,
        t.work_ms(),
        t.wait_ms,
        report.route.map_or("", SearchRoute::as_str),
    )
}

fn fix_row(report: &FrameReport) -> String {
    let name = quoted(&report.name);
    let (stamp, candidates) = (report.stamp_ns, report.matched.candidates);
    let p_wrong = report.matched.evidence.map_or(String::new(), |e| format!("{:.6}", e.p_wrong));
    match &report.matched.outcome {
        Outcome::Abstained(reason) => {
            let score = report.matched.score;
            format!("{name},{stamp},abstained,,,,,,,,,,{candidates},,{score:.4},{},{p_wrong}", reason.as_str())
        }
        Outcome::Fix(fix) => {
            let p = fix.camera_covariance_m2();
            let (se, sn) = (p[(0, 0)].sqrt(), p[(1, 1)].sqrt());
            format!(
                "{name},{stamp},fix,{:.8},{:.8},{se:.3},{sn:.3},{:.4},{:.8},{:.8},{:.2},{:.2},{candidates},{},{:.4},,{p_wrong}",
                fix.camera.lat_deg,
                fix.camera.lon_deg,
                p[(0, 1)] / (se * sn),
                fix.centre.lat_deg,
                fix.centre.lon_deg,
                fix.heading_rad.0.to_degrees(),
                fix.tilt_rad.to_degrees(),
                fix.inliers,
                fix.score,
            )
        }
    }
}

fn track_row(name: &str, track: &TrackPoint) -> String {
    let name = quoted(name);
    let age = track.fix_age_s.map_or(String::new(), |a| format!("{a:.3}"));
    let Some(state) = &track.state else {
        return format!("{name},{},,,,,,,,,,,,,,,,{},{age}", track.stamp_ns, track.source.as_str());
    };
    let [ve, vn, vu] = state.velocity_enu_m_s;
    let q = state.enu_from_body.quaternion();
    // The same rotation has two quaternions: write the one whose w is not negative.
    let sign = if q.w < 0.0 { -1.0 } else { 1.0 };
    let p = state.covariance_en_m2;
    let (se, sn) = (p[(0, 0)].sqrt(), p[(1, 1)].sqrt());
    format!(
        "{name},{},{:.8},{:.8},,{},{ve:.3},{vn:.3},{vu:.3},{:.6},{:.6},{:.6},{:.6},{se:.3},{sn:.3},{:.4},{:.3},{},{age}",
        track.stamp_ns,
        state.position.lat_deg,
        state.position.lon_deg,
        state.height_agl_m.map_or(String::new(), |h| format!("{h:.2}")),
        sign * q.w,
        sign * q.i,
        sign * q.j,
        sign * q.k,
        p[(0, 1)] / (se * sn),
        state.sigma_u_m,
        track.source.as_str(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::abstained;

    fn report() -> FrameReport {
        FrameReport { name: "a,b.jpg".into(), ..abstained(0) }
    }

    #[test]
    fn every_row_has_as_many_fields_as_its_header_and_unknown_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = CsvSink::create(folder.path()).unwrap();
        sink.frame(&report()).unwrap();
        sink.finish().unwrap();
        for name in ["fixes.csv", "track.csv", "timing.csv"] {
            let mut reader = csv::Reader::from_path(folder.path().join(name)).unwrap();
            let header = reader.headers().unwrap().clone();
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(row.len(), header.len(), "{name}");
            assert_eq!(&row[0], "a,b.jpg");
        }
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let mut sink = CsvSink { folder: "/dev".into(), files: vec![(full.into(), create(full).unwrap())], smoothed: None };
            assert!(sink.frame(&report()).unwrap_err().to_string().starts_with("/dev/full"));
        }
    }
}
