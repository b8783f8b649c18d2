//! `summary.json` and the table on the terminal.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::background::LeftOut;
use super::file::whole;
use super::spread::Spread;
use super::{SinkError, written_time};
use crate::eval::offsets::{OffsetEstimator, Offsets};
use crate::eval::score::{Score, Scorer};
use crate::eval::scores::{Counts, Placed, Revision, RunningScores, Stopped};
use crate::geo::Geodetic;
use crate::geo::mercator::Tile;
use crate::recording::Truth;
use crate::source::{IntakeHealth, TelemetryHealth, VideoHealth};
use crate::types::{AidCounters, FrameReport, FusionCounters, Inputs, Intake, Outcome, Report, StageTimes, TrackPoint};

/// A flight in numbers.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct Summary {
    /// What the files said of camera, attitude, height, time and place, what was missing, what was contradicted.
    pub inputs: Inputs,
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
    /// What was left out for outputs that did not keep up, by output.
    pub outputs_left_out: BTreeMap<String, LeftOut>,
    /// Coordinated universal time of the first and the last frame for which it is known.
    pub utc: Option<[String; 2]>,
    /// The same by the clock of this computer, of a flight that was localized live.
    pub wall: Option<[String; 2]>,
    /// What happened to telemetry on its way in.
    pub telemetry: Option<TelemetryHealth>,
    /// Pictures of the video that were lost or could not be used.
    pub video: Option<VideoHealth>,
    /// Photos of which the end is missing: what there was of them was used.
    pub pictures_cut_off: u64,
    /// Track points by source.
    pub track: BTreeMap<&'static str, u64>,
    /// Median 1 sigma of the fixes, metres, to a thousandth of itself.
    pub median_sigma_m: Option<f64>,
    /// What the fixes state of being wrong.
    pub p_wrong: Option<StatedWrong>,
    /// The camera's position of the fixes against truth.
    pub camera: Option<Score>,
    /// The image centre of the fixes against truth.
    pub centre: Option<Score>,
    /// The fused track against truth.
    pub fused: Option<Score>,
    /// The smoothed track against truth.
    pub smoothed: Option<Score>,
    /// What the fixes as a whole differ by from the positions that came along.
    pub offsets: Offsets,
    /// The track over each cell of the map that was flown over, smoothed where that is there.
    pub coverage: Vec<Covered>,
    /// Median and 99th percentile, milliseconds (to a thousandth of themselves), of each stage, of the work of all stages on a frame, of a frame's wait in the admission
    /// window, and live of the time from its capture to its fix.
    pub latency_ms: BTreeMap<&'static str, [f64; 2]>,
    /// Frames per second of the whole run.
    pub frames_per_s: f64,
}

/// What the fixes of a flight state of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize)]
pub struct StatedWrong {
    /// How many of them are wrong by that: the sum of their probabilities.
    pub expected: f64,
    /// The largest probability of one.
    pub most: f64,
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
    truth: Truth,
    begun: std::time::Instant,
    summary: Summary,
    sigmas: Spread,
    latencies: BTreeMap<&'static str, Spread>,
    scorers: [Scorer; 4],
    offsets: OffsetEstimator,
    /// Of the track as it is known now; begins with the first frame whose truth is known.
    running: Option<RunningScores>,
    /// Ordinals of the frames whose smoothed place is still to come; none where nothing is scored.
    unsettled: VecDeque<u64>,
}

impl SummarySink {
    /// Of a flight without a frame yet.
    pub fn new(truth: Truth) -> Self {
        Self {
            truth,
            begun: std::time::Instant::now(),
            summary: Summary::default(),
            sigmas: Spread::default(),
            latencies: BTreeMap::new(),
            scorers: Default::default(),
            offsets: OffsetEstimator::default(),
            running: None,
            unsettled: VecDeque::new(),
        }
    }

    /// What the files said.
    pub fn inputs(&mut self, inputs: Inputs) {
        self.summary.inputs = inputs;
    }

    /// What became of the frames that came in, at the end.
    pub fn intake(&mut self, intake: Intake) {
        self.summary.intake = intake;
    }

    /// What went wrong with what came in.
    pub fn health(&mut self, health: IntakeHealth) {
        self.summary.telemetry = Some(health.telemetry);
        self.summary.video = health.video;
    }

    /// So many outputs were refused by the last check.
    pub fn refused(&mut self, outputs: u64) {
        self.summary.outputs_refused += outputs;
    }

    /// An output was closed.
    pub fn closed(&mut self, reason: String) {
        self.summary.outputs_closed.push(reason);
    }

    /// What was left out for an output.
    pub fn left_out(&mut self, output: &str, left_out: LeftOut) {
        if left_out != LeftOut::default() {
            self.summary.outputs_left_out.insert(output.into(), left_out);
        }
    }

    /// The summary so far; complete after [`SummarySink::finish`].
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Takes a report.
    pub fn take(&mut self, report: &Report) {
        let revisions = match report {
            Report::Frame(frame) => self.frame(frame),
            Report::Between(_) => return,
            Report::Settled(points) | Report::Smoothed(points) => self.smoothed(points),
        };
        if let Err(error) = self.revise(revisions) {
            // Without the scores of the places that were flown over.
            tracing::warn!("summary.json: {error}");
            self.summary.outputs_closed.push(format!("summary.json: coverage: {error}"));
            self.truth = Truth::default();
            self.running = None;
        }
    }

    /// Scores a frame's point of a track, live or smoothed, and says what it revises.
    fn score(&mut self, scorer: usize, frame: u64, truth: Geodetic, point: &TrackPoint) -> Revision {
        let state = point.state.as_ref();
        self.scorers[scorer].add(truth, state.map(|s| (s.position, Some(s.covariance_en_m2))));
        Revision { frame, placed: Placed::of(truth, state.map(|s| s.position)) }
    }

    /// Tells the running scores where frames are from now on.
    fn revise(&mut self, revisions: Vec<Revision>) -> Result<(), Stopped> {
        if revisions.is_empty() {
            return Ok(());
        }
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(RunningScores::start().map_err(|_| Stopped)?),
        };
        running.revise(revisions)
    }

    fn frame(&mut self, report: &FrameReport) -> Vec<Revision> {
        let s = &mut self.summary;
        s.frames += 1;
        s.intake = report.intake;
        s.filter = report.filter;
        s.fixes_used += u64::from(report.track.fix_used);
        s.pictures_cut_off += u64::from(report.picture_cut_off);
        if report.picture_cut_off && s.pictures_cut_off == 1 {
            let what = "the end of the picture is missing, and what there is of it is used";
            tracing::warn!("{}: {what}; from now on this is counted only (`pictures_cut_off` of summary.json)", report.name);
        }
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
        for (span, clock) in [(&mut s.utc, report.clocks.utc_ns), (&mut s.wall, report.clocks.wall_ns)] {
            let Some(time) = clock.map(written_time) else { continue };
            let first = span.take().map_or_else(|| time.clone(), |[first, _]| first);
            *span = Some([first, time]);
        }
        let fix = match &report.matched.outcome {
            Outcome::Fix(fix) => {
                s.fixes += 1;
                self.sigmas.add((fix.camera_covariance_m2().trace() / 2.0).sqrt());
                if let Some(evidence) = report.matched.evidence {
                    let stated = s.p_wrong.get_or_insert_default();
                    stated.expected += evidence.p_wrong;
                    stated.most = stated.most.max(evidence.p_wrong);
                }
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
            if let Some(ms) = ms {
                self.latencies.entry(stage).or_default().add(ms);
            }
        }
        if self.truth.is_empty() {
            return Vec::new();
        }
        self.unsettled.push_back(report.ordinal);
        let Some(truth) = self.truth.at(&report.name, report.stamp_ns) else { return Vec::new() };
        self.scorers[0].add(truth.camera, fix.map(|f| (f.camera, Some(f.camera_covariance_m2()))));
        if let Some(fix) = fix {
            self.offsets.add(fix.camera, truth.camera, self.truth.velocity_m_s(report.stamp_ns));
        }
        if let Some(centre) = truth.centre {
            self.scorers[1].add(centre, fix.map(|f| (f.centre, None)));
        }
        vec![self.score(2, report.ordinal, truth.camera, &report.track)]
    }

    fn smoothed(&mut self, points: &[(String, TrackPoint)]) -> Vec<Revision> {
        let mut revisions = Vec::new();
        for (name, point) in points {
            let frame = self.unsettled.pop_front();
            if let (Some(truth), Some(frame)) = (self.truth.at(name, point.stamp_ns), frame) {
                revisions.push(self.score(3, frame, truth.camera, point));
            }
        }
        revisions
    }

    /// Completes the numbers.
    pub fn finish(&mut self) {
        let scores = self.running.as_ref().map(RunningScores::now).transpose();
        let s = &mut self.summary;
        match scores {
            Ok(Some((scores, _))) => {
                s.coverage = scores.cells.into_iter().map(|(tile, counts)| Covered { tile, counts }).collect();
            }
            Ok(None) => {}
            Err(error) => s.outputs_closed.push(format!("summary.json: coverage: {error}")),
        }
        s.median_sigma_m = self.sigmas.percentile(50.0);
        s.offsets = self.offsets.estimate();
        s.camera = self.scorers[0].score();
        s.centre = self.scorers[1].score();
        s.fused = self.scorers[2].score();
        s.smoothed = self.scorers[3].score();
        for (stage, values) in &self.latencies {
            if let (Some(p50), Some(p99)) = (values.percentile(50.0), values.percentile(99.0)) {
                s.latency_ms.insert(stage, [p50, p99]);
            }
        }
        s.frames_per_s = s.frames as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
    }
}

impl Summary {
    /// Writes `summary.json` in a folder; it appears there when it is complete and on disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), SinkError> {
        whole(&folder.join("summary.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, self).map_err(std::io::Error::from).and_then(|()| writeln!(file))
        })
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
        if !self.outputs_left_out.is_empty() {
            let left_out = |(name, l): (&String, &LeftOut)| format!("{name} {} reports, {} pictures", l.reports, l.pictures);
            let all: Vec<String> = self.outputs_left_out.iter().map(left_out).collect();
            writeln!(f, "left out    {}   (outputs that did not keep up)", all.join("; "))?;
        }
        write!(f, "fixes       {}   used by the filter {}", self.fixes, self.fixes_used)?;
        write!(f, "{}", self.median_sigma_m.map_or(String::new(), |s| format!("   median sigma {s:.1} m")))?;
        writeln!(f, "{}", self.p_wrong.map_or(String::new(), |p| format!("   expected wrong {:.3}", p.expected)))?;
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
        write!(f, "{}", self.offsets)?;
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
        let mut sink = SummarySink::new(truth);
        (0..3).for_each(|frame| sink.take(&Report::Frame(Box::new(abstained(frame)))));
        let state = TrackState {
            position: here,
            height_agl_m: None,
            velocity_enu_m_s: [0.0; 3],
            enu_from_body: UnitQuaternion::identity(),
            covariance_en_m2: Matrix2::identity(),
            sigma_u_m: 1.0,
        };
        let found = TrackPoint { source: TrackSource::Visual, state: Some(state), ..abstained(0).track };
        sink.take(&Report::Settled(vec![("0".into(), abstained(0).track)]));
        sink.take(&Report::Smoothed(vec![("1".into(), found)]));
        sink.finish();
        sink.summary().write(folder.path()).unwrap();
        let [covered] = sink.summary().coverage.as_slice() else { panic!("{:?}", sink.summary().coverage) };
        assert_eq!(covered.counts, Counts { frames: 3, with_position: 1, success: 1, drift: 0 });
        let json = std::fs::read_to_string(folder.path().join("summary.json")).unwrap();
        assert!(json.contains("\"tile\"") && json.contains("\"with_position\": 1"), "{json}");
    }
}
