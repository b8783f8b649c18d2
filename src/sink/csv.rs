//! `fixes.csv`, `track.csv` and `timing.csv`; `track_smoothed.csv`, a lag behind or after a replay. Numbers have fixed precision, so that a replay gives the same bytes.

use std::path::{Path, PathBuf};

use super::file::Growing;
use super::{Clocked, Sink, SinkError, written_clocks};
use crate::types::{FrameReport, Outcome, SearchRoute, TrackPoint};

const FIXES: &str = "frame,stamp_ns,outcome,lat_deg,lon_deg,sigma_e_m,sigma_n_m,corr_en,centre_lat_deg,centre_lon_deg,heading_deg,tilt_deg,candidates,inliers,score,reason,p_wrong,wall,utc";
const TRACK: &str = "frame,stamp_ns,lat_deg,lon_deg,alt_m,height_agl_m,vel_e_m_s,vel_n_m_s,vel_u_m_s,qw,qx,qy,qz,sigma_e_m,sigma_n_m,corr_en,sigma_u_m,source,fix_age_s,wall,utc";
const TIMING: &str = "frame,rectify_ms,retrieve_ms,coarse_ms,fine_ms,fix_ms,register_ms,capture_to_fix_ms,observe_ms,early_exit_ms,fallback_search_ms,fuse_ms,work_ms,wait_ms,route,wall,utc";

/// The tables of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// What became of each frame.
    Fixes,
    /// The track.
    Track,
    /// The smoothed track.
    Smoothed,
    /// How long each frame took.
    Timing,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fixes, Self::Track, Self::Smoothed, Self::Timing];

    /// The name of the file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Fixes => "fixes.csv",
            Self::Track => "track.csv",
            Self::Smoothed => "track_smoothed.csv",
            Self::Timing => "timing.csv",
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::Fixes => FIXES,
            Self::Track | Self::Smoothed => TRACK,
            Self::Timing => TIMING,
        }
    }
}

/// A table in its file, which takes the place of the one of another run with the first frame.
pub struct CsvSink {
    table: Table,
    path: PathBuf,
    file: Option<Growing>,
    /// Whether the first frame has come.
    begun: bool,
    clocks: Clocked,
}

impl CsvSink {
    /// Will write a table into a folder.
    pub fn new(table: Table, folder: &Path) -> Self {
        Self { table, path: folder.join(table.file_name()), file: None, begun: false, clocks: Clocked::default() }
    }

    /// The smoothed track of another run is none of this one.
    fn remove_stale(&mut self) -> Result<(), SinkError> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(SinkError::Io { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), SinkError> {
        match &mut self.file {
            Some(file) => file.line(line),
            none => {
                *none = Some(Growing::begin(&self.path, &format!("{}\n{line}\n", self.table.header()))?);
                Ok(())
            }
        }
    }
}

impl Sink for CsvSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        self.clocks.frame(report);
        match self.table {
            Table::Fixes => self.line(&fix_row(report, &self.clocks)),
            Table::Track => self.line(&track_row(&report.name, &report.track, &self.clocks)),
            Table::Timing => self.line(&timing_row(report)),
            Table::Smoothed => self.remove_stale(),
        }
    }

    fn between(&mut self, point: &TrackPoint) -> Result<(), SinkError> {
        if self.table == Table::Track { self.line(&track_row("", point, &self.clocks)) } else { Ok(()) }
    }

    fn smoothed(&mut self, points: &[(String, TrackPoint)]) -> Result<(), SinkError> {
        if self.table != Table::Smoothed {
            return Ok(());
        }
        points.iter().try_for_each(|(name, point)| self.line(&track_row(name, point, &self.clocks)))
    }

    /// A flight without a row leaves an empty table.
    fn finish(&mut self) -> Result<(), SinkError> {
        match &self.file {
            Some(file) => file.check(),
            None if self.table == Table::Smoothed => Ok(()),
            None => Growing::begin(&self.path, &format!("{}\n", self.table.header())).map(drop),
        }
    }
}

/// A field as CSV wants it: quoted when it holds a comma, a quote or a line break.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

fn timing_row(report: &FrameReport) -> String {
    let t = &report.times;
    let [wall, utc] = written_clocks(report.clocks);
    format!(
        "{},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{},{wall},{utc}",
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

fn fix_row(report: &FrameReport, clocks: &Clocked) -> String {
    let name = quoted(&report.name);
    let [wall, utc] = clocks.written(report.stamp_ns);
    let (stamp, candidates) = (report.stamp_ns, report.matched.candidates);
    let p_wrong = report.matched.evidence.map_or(String::new(), |e| format!("{:.6}", e.p_wrong));
    match &report.matched.outcome {
        Outcome::Abstained(reason) => {
            let score = report.matched.score;
            format!("{name},{stamp},abstained,,,,,,,,,,{candidates},,{score:.4},{},{p_wrong},{wall},{utc}", reason.as_str())
        }
        Outcome::Fix(fix) => {
            let p = fix.camera_covariance_m2();
            let (se, sn) = (p[(0, 0)].sqrt(), p[(1, 1)].sqrt());
            format!(
                "{name},{stamp},fix,{:.8},{:.8},{se:.3},{sn:.3},{:.4},{:.8},{:.8},{:.2},{:.2},{candidates},{},{:.4},,{p_wrong},{wall},{utc}",
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

fn track_row(name: &str, track: &TrackPoint, clocks: &Clocked) -> String {
    let name = quoted(name);
    let [wall, utc] = clocks.written(track.stamp_ns);
    let age = track.fix_age_s.map_or(String::new(), |a| format!("{a:.3}"));
    let Some(state) = &track.state else {
        return format!("{name},{},,,,,,,,,,,,,,,,{},{age},{wall},{utc}", track.stamp_ns, track.source.as_str());
    };
    let [ve, vn, vu] = state.velocity_enu_m_s;
    let q = state.enu_from_body.quaternion();
    // The same rotation has two quaternions: write the one whose w is not negative.
    let sign = if q.w < 0.0 { -1.0 } else { 1.0 };
    let p = state.covariance_en_m2;
    let (se, sn) = (p[(0, 0)].sqrt(), p[(1, 1)].sqrt());
    format!(
        "{name},{},{:.8},{:.8},,{},{ve:.3},{vn:.3},{vu:.3},{:.6},{:.6},{:.6},{:.6},{se:.3},{sn:.3},{:.4},{:.3},{},{age},{wall},{utc}",
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
    use crate::types::Clocks;

    fn report(ordinal: u64) -> FrameReport {
        let clocks = Clocks { utc_ns: Some(1_777_777_777_000_000_000 + ordinal as i64), wall_ns: None };
        FrameReport { name: "a,b.jpg".into(), clocks, ..abstained(ordinal) }
    }

    #[test]
    fn every_row_has_as_many_fields_as_its_header_and_unknown_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        for table in Table::ALL {
            let mut sink = CsvSink::new(table, folder.path());
            sink.frame(&report(0)).unwrap();
            sink.smoothed(&[("a,b.jpg".into(), report(0).track)]).unwrap();
            sink.finish().unwrap();
            let mut reader = csv::Reader::from_path(folder.path().join(table.file_name())).unwrap();
            let header = reader.headers().unwrap().clone();
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(row.len(), header.len(), "{table:?}");
            assert_eq!(&row[0], "a,b.jpg");
            if table != Table::Timing {
                assert_eq!((&row[row.len() - 2], &row[row.len() - 1]), ("", "2026-05-03T03:09:37.000000Z"), "{table:?}");
            }
        }
    }

    #[test]
    fn tables_of_another_run_stay_until_the_first_frame_and_a_flight_without_frames_leaves_empty_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = |table: Table| folder.path().join(table.file_name());
        Table::ALL.iter().for_each(|table| std::fs::write(path(*table), "old").unwrap());
        let mut sinks = Table::ALL.map(|table| CsvSink::new(table, folder.path()));
        assert!(Table::ALL.iter().all(|table| std::fs::read(path(*table)).unwrap() == b"old"));
        sinks.iter_mut().for_each(|sink| sink.frame(&report(0)).unwrap());
        assert!(!path(Table::Smoothed).exists());
        let rows = |table: Table| std::fs::read_to_string(path(table)).unwrap().lines().count();
        assert_eq!([Table::Fixes, Table::Track, Table::Timing].map(rows), [2, 2, 2]);
        let mut empty = CsvSink::new(Table::Fixes, folder.path());
        empty.finish().unwrap();
        assert_eq!(rows(Table::Fixes), 1);
    }

    #[test]
    fn points_between_frames_have_the_clocks_of_the_last_frame() {
        let mut clocks = Clocked::default();
        assert_eq!(clocks.written(5), [String::new(), String::new()]);
        clocks.frame(&FrameReport { clocks: Clocks { utc_ns: Some(0), wall_ns: Some(i64::MAX) }, ..abstained(1_000) });
        assert_eq!(clocks.written(2_500), [String::new(), "1970-01-01T00:00:00.000001Z".to_owned()]);
    }
}
