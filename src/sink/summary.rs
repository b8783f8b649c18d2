//! `summary.json` and the table on the terminal.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Sink, SinkError, create};
use crate::eval::score::{Score, Scorer};
use crate::eval::scores::{Counts, Placed, Revision, RunningScores};
use crate::geo::Geodetic;
use crate::geo::mercator::Tile;
use crate::math::percentile::percentile;
use crate::recording::Truth;
use crate::types::{AidCounters, FrameReport, FusionCounters, Intake, Outcome, StageTimes, TrackPoint};

/// A flight in numbers.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Summary {
    /// Frames that came in and what became of them.
    pub intake: Intake,
    /// Frames that entered.
    pub frames: u64,
    /// Of these, with a fix.
    pub fixes: u64,
    /// Fixes that the filter used.
    pub fixes_used: u64,
    /// Frames without a fix, by reason.
    pub abstained: BTreeMap<&'static str, u64>,
    /// Frames by how they were searched for: settled by an early exit, escalated after one, in full, in full and by the fallback search.
    pub search: BTreeMap<&'static str, u64>,
    /// Ways since the frame before, by what became of them: used, not used, or why there was none.
    pub odometry: BTreeMap<&'static str, u64>,
    /// What became of the measurements of each of the filter's sources.
    pub sources: BTreeMap<&'static str, AidCounters>,
    /// What the filter used and refused, and how often it began anew.
    pub filter: FusionCounters,
    /// Points of the track, and fixes, that the last check kept from leaving: with numbers that no aircraft can have.
    pub outputs_refused: u64,
    /// Outputs that failed and were closed while the flight went on, each with its reason.
    pub outputs_closed: Vec<String>,
    /// Track points by source.
    pub track: BTreeMap<&'static str, u64>,
    /// Median 1 sigma of the fixes, metres.
    pub median_sigma_m: Option<f64>,
    /// The camera's position of the fixes against truth.
    pub camera: Option<Score>,
    /// The image centre of the fixes against truth.
    pub centre: Option<Score>,
    /// The fused track against truth.
    pub fused: Option<Score>,
    /// The smoothed track against truth.
    pub smoothed: Option<Score>,
    /// The track over each cell of the map that was flown over, smoothed where that is there.
    pub coverage: Vec<Covered>,
    /// Median and 99th percentile, milliseconds, of each stage, of the work of all stages on a frame, of a frame's wait in the admission
    /// window, and live of the time from its capture to its fix.
    pub latency_ms: BTreeMap<&'static str, [f64; 2]>,
    /// Frames per second of the whole run.
    pub frames_per_s: f64,
}

/// How well a cell of the map was located over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Covered {
    /// The cell, in Web Mercator.
    pub tile: Tile,
    /// Its frames.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Collects the summary.
pub struct SummarySink {
    path: PathBuf,
    truth: Truth,
    begun: std::time::Instant,
    summary: Summary,
    sigmas: Vec<f64>,
    latencies: BTreeMap<&'static str, Vec<f64>>,
    scorers: [Scorer; 4],
    /// Of the track as it is known now; begins with the first frame whose truth is known.
    running: Option<RunningScores>,
    /// Ordinals of the frames whose smoothed place is still to come.
    unsettled: VecDeque<u64>,
}

impl SummarySink {
    /// Will write `summary.json` in a folder.
    pub fn create(folder: &Path, truth: Truth) -> Result<Self, SinkError> {
        let path = folder.join("summary.json");
        create(&path)?;
        Ok(Self {
            path,
            truth,
            begun: std::time::Instant::now(),
            summary: Summary::default(),
            sigmas: Vec::new(),
            latencies: BTreeMap::new(),
            scorers: Default::default(),
            running: None,
            unsettled: VecDeque::new(),
        })
    }

    /// What became of the frames that came in, at the end.
    pub fn intake(&mut self, intake: Intake) {
        self.summary.intake = intake;
    }

    /// So many outputs were refused by the last check.
    pub fn refused(&mut self, outputs: u64) {
        self.summary.outputs_refused += outputs;
    }

    /// Has every output take something; one that fails is closed: a flight is worth more than any of its outputs.
    pub fn outputs(&mut self, sinks: &mut Vec<Box<dyn Sink>>, mut take: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) {
        sinks.retain_mut(|sink| match take(sink.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("{error}; this output is closed, and the flight goes on without it");
                self.summary.outputs_closed.push(error.to_string());
                false
            }
        });
    }

    /// The summary, complete after `finish`.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Scores a frame's point of a track, live or smoothed, and says what it revises.
    fn score(&mut self, scorer: usize, frame: u64, truth: Geodetic, point: &TrackPoint) -> Revision {
        let state = point.state.as_ref();
        self.scorers[scorer].add(truth, state.map(|s| (s.position, Some(s.covariance_en_m2))));
        Revision { frame, placed: Placed::of(truth, state.map(|s| s.position)) }
    }

    /// Tells the running scores where frames are from now on.
    fn revise(&mut self, revisions: Vec<Revision>) -> Result<(), SinkError> {
        if revisions.is_empty() {
            return Ok(());
        }
        let running = match &mut self.running {
            Some(running) => running,
            none => {
                let io = |source| SinkError::Io { path: self.path.clone(), source };
                none.insert(RunningScores::start().map_err(io)?)
            }
        };
        Ok(running.revise(revisions)?)
    }
}

impl Sink for SummarySink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        let s = &mut self.summary;
        s.frames += 1;
        s.intake = report.intake;
        s.filter = report.filter;
        s.fixes_used += u64::from(report.track.fix_used);
        *s.track.entry(report.track.source.as_str()).or_default() += 1;
        if let Some(route) = report.route {
            *s.search.entry(route.as_str()).or_default() += 1;
        }
        if let Some(odometry) = report.odometry {
            *s.odometry.entry(odometry).or_default() += 1;
        }
        if !report.sources.is_empty() {
            s.sources = report.sources.iter().map(|status| (status.source.as_str(), status.counters)).collect();
        }
        let fix = match &report.matched.outcome {
            Outcome::Fix(fix) => {
                s.fixes += 1;
                self.sigmas.push((fix.camera_covariance_m2().trace() / 2.0).sqrt());
                Some(fix)
            }
            Outcome::Abstained(reason) => {
                *s.abstained.entry(reason.as_str()).or_default() += 1;
                None
            }
        };
        let t = &report.times;
        let more = [("work", Some(t.work_ms())), ("wait", Some(t.wait_ms)), ("capture_to_fix", t.capture_to_fix_ms)];
        for (stage, ms) in t.stages().into_iter().map(|(stage, ms)| (stage, Some(ms))).chain(more) {
            self.latencies.entry(stage).or_default().extend(ms);
        }
        if let Some(truth) = self.truth.at(&report.name, report.stamp_ns) {
            self.scorers[0].add(truth.camera, fix.map(|f| (f.camera, Some(f.camera_covariance_m2()))));
            if let Some(centre) = truth.centre {
                self.scorers[1].add(centre, fix.map(|f| (f.centre, None)));
            }
            let revision = self.score(2, report.ordinal, truth.camera, &report.track);
            self.revise(vec![revision])?;
        }
        self.unsettled.push_back(report.ordinal);
        Ok(())
    }

    fn smoothed(&mut self, points: &[(String, TrackPoint)]) -> Result<(), SinkError> {
        let mut revisions = Vec::new();
        for (name, point) in points {
            let frame = self.unsettled.pop_front();
            if let (Some(truth), Some(frame)) = (self.truth.at(name, point.stamp_ns), frame) {
                revisions.push(self.score(3, frame, truth.camera, point));
            }
        }
        self.revise(revisions)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let scores = self.running.as_ref().map(RunningScores::now).transpose()?;
        let s = &mut self.summary;
        if let Some((scores, _)) = scores {
            s.coverage = scores.cells.into_iter().map(|(tile, counts)| Covered { tile, counts }).collect();
        }
        self.sigmas.sort_by(f64::total_cmp);
        s.median_sigma_m = percentile(&self.sigmas, 50);
        s.camera = self.scorers[0].score();
        s.centre = self.scorers[1].score();
        s.fused = self.scorers[2].score();
        s.smoothed = self.scorers[3].score();
        for (stage, values) in &mut self.latencies {
            values.sort_by(f64::total_cmp);
            if let (Some(p50), Some(p99)) = (percentile(values, 50), percentile(values, 99)) {
                s.latency_ms.insert(stage, [p50, p99]);
            }
        }
        s.frames_per_s = s.frames as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let mut file = create(&self.path)?;
        serde_json::to_writer_pretty(&mut file, s)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(file))
            .and_then(|()| file.flush())
            .map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list =
            |counts: &BTreeMap<&'static str, u64>| counts.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", ");
        writeln!(f, "frames      {}   {:.2} frames/s", self.frames, self.frames_per_s)?;
        let Intake { received, served, dropped, reconnects, telemetry_refused } = self.intake;
        if dropped > 0 || reconnects > 0 {
            writeln!(f, "came in     {received} = {served} served + {dropped} dropped   connected again {reconnects} times")?;
        }
        let refused: Vec<String> = telemetry_refused.told().map(|(kind, count)| format!("{kind} {count}")).collect();
        if !refused.is_empty() {
            writeln!(f, "refused     {}   (telemetry that no sensor can measure)", refused.join(", "))?;
        }
        if self.outputs_refused > 0 {
            writeln!(f, "kept back   {}   (outputs with numbers that no aircraft can have)", self.outputs_refused)?;
        }
        write!(f, "fixes       {}   used by the filter {}", self.fixes, self.fixes_used)?;
        writeln!(f, "{}", self.median_sigma_m.map_or(String::new(), |s| format!("   median sigma {s:.1} m")))?;
        if !self.abstained.is_empty() {
            writeln!(f, "abstained   {}", list(&self.abstained))?;
        }
        if !self.search.is_empty() {
            writeln!(f, "searched    {}", list(&self.search))?;
        }
        if !self.odometry.is_empty() {
            writeln!(f, "odometry    {}", list(&self.odometry))?;
        }
        if !self.sources.is_empty() {
            let used = self.sources.iter().map(|(source, c)| format!("{source} {} of {}", c.used, c.all()));
            writeln!(f, "used        {}", used.collect::<Vec<_>>().join(", "))?;
        }
        writeln!(f, "track       {}", list(&self.track))?;
        let metres = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.1}"));
        let scores = [("camera", &self.camera), ("centre", &self.centre), ("fused", &self.fused), ("smoothed", &self.smoothed)];
        if scores.iter().any(|(_, s)| s.is_some()) {
            writeln!(f, "\nagainst truth   <5 m   <25 m   P50 m   P90 m   P99 m   wrong >50 m   inside 1/2/3 sigma")?;
        }
        for (name, score) in scores {
            let Some(s) = score else { continue };
            let inside = s.inside_sigma.map_or("-".into(), |v| v.map(|x| format!("{x:.2}")).join(" "));
            writeln!(
                f,
                "{name:<13} {:>6.3} {:>7.3} {:>7} {:>7} {:>7} {:>13}   {inside}",
                s.success_5m,
                s.success_25m,
                metres(s.p50_m),
                metres(s.p90_m),
                metres(s.p99_m),
                s.wrong_50m,
            )?;
        }
        write!(f, "\nlatency ms         P50     P99")?;
        let stages = StageTimes::default().stages().map(|(stage, _)| stage);
        for stage in stages.into_iter().chain(["work", "wait", "capture_to_fix"]) {
            if let Some([p50, p99]) = self.latency_ms.get(stage) {
                write!(f, "\n{stage:<15} {p50:>6.1} {p99:>7.1}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::TruthRow;
    use crate::sink::tests::abstained;
    use crate::types::{TrackSource, TrackState};
    use nalgebra::{Matrix2, UnitQuaternion};

    #[test]
    fn a_place_that_the_smoother_tells_later_revises_the_coverage() {
        let here = Geodetic::ground(47.0, 8.0);
        let mut truth = Truth::default();
        for frame in 0..3 {
            truth.add(frame.to_string(), TruthRow { camera: here, centre: None });
        }
        let folder = tempfile::tempdir().unwrap();
        let mut sink = SummarySink::create(folder.path(), truth).unwrap();
        (0..3).for_each(|frame| sink.frame(&abstained(frame)).unwrap());
        let state = TrackState {
            position: here,
            height_agl_m: None,
            velocity_enu_m_s: [0.0; 3],
            enu_from_body: UnitQuaternion::identity(),
            covariance_en_m2: Matrix2::identity(),
            sigma_u_m: 1.0,
        };
        let found = TrackPoint { source: TrackSource::Visual, state: Some(state), ..abstained(0).track };
        sink.settled(&[("0".into(), abstained(0).track)]).unwrap();
        sink.smoothed(&[("1".into(), found)]).unwrap();
        sink.finish().unwrap();
        let [covered] = sink.summary().coverage.as_slice() else { panic!("{:?}", sink.summary().coverage) };
        assert_eq!(covered.counts, Counts { frames: 3, with_position: 1, success: 1, drift: 0 });
        let json = std::fs::read_to_string(folder.path().join("summary.json")).unwrap();
        assert!(json.contains("\"tile\"") && json.contains("\"with_position\": 1"), "{json}");
    }
}
