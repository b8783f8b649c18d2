//! `evidence.csv`: what spoke for the best place of each frame, whether it became a fix or not. What the probability of a wrong fix is made
//! of, and what it is calibrated with.

use std::path::{Path, PathBuf};

use super::csv::quoted;
use super::file::Growing;
use super::{Sink, SinkError, written_clocks};
use crate::types::{Agreement, Evidence, FrameReport, Outcome};

const OF_A_ROUND: &str = "support,keypoints,matches,inliers,blocks,blocks_25,blocks_50,blocks_75,peak,quarter_1,quarter_2,quarter_3,quarter_4,residual";

/// The table, which takes the place of the one of another run with the first frame.
pub struct EvidenceSink {
    path: PathBuf,
    file: Option<Growing>,
}

impl EvidenceSink {
    /// Will write the file into a folder.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("evidence.csv"), file: None }
    }

    fn file(&mut self) -> Result<&mut Growing, SinkError> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(Growing::begin(&self.path, &header())?)),
        }
    }
}

fn header() -> String {
    let of = |round: &str| OF_A_ROUND.split(',').map(|c| format!(",{round}_{c}")).collect::<String>();
    let (wide, narrow) = (of("wide"), of("narrow"));
    format!(
        "frame,stamp_ns,outcome,centre_lat_deg,centre_lon_deg,views,places,coarse,coarse_lead,lead,gsd_m{wide}{narrow},p_wrong,wall,utc\n"
    )
}

fn round(support: f64, a: &Agreement) -> String {
    let [q1, q2, q3, q4] = a.quarter_peaks;
    let [b25, b50, b75] = a.agreeing_blocks;
    let (keypoints, matches, inliers, blocks) = (a.keypoints, a.matches, a.inliers, a.blocks);
    let (peak, residual) = (a.peak, a.residual_cells);
    format!(
        "{support:.4},{keypoints},{matches},{inliers},{blocks},{b25},{b50},{b75},{peak:.4},{q1:.4},{q2:.4},{q3:.4},{q4:.4},{residual:.3}"
    )
}

fn row(report: &FrameReport, e: &Evidence) -> String {
    let [wall, utc] = written_clocks(report.clocks);
    let outcome = match &report.matched.outcome {
        Outcome::Fix(_) => "fix",
        Outcome::Abstained(reason) => reason.as_str(),
    };
    format!(
        "{},{},{outcome},{:.8},{:.8},{},{},{:.3},{:.3},{:.4},{:.4},{},{},{:.6},{wall},{utc}",
        quoted(&report.name),
        report.stamp_ns,
        e.centre.lat_deg,
        e.centre.lon_deg,
        e.views,
        e.places,
        e.coarse,
        e.coarse_lead,
        e.lead,
        e.ground_sampling_distance_m,
        round(e.wide_support, &e.wide),
        round(e.narrow_support, &e.narrow),
        e.p_wrong,
    )
}

impl Sink for EvidenceSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        let file = self.file()?;
        report.matched.evidence.as_ref().map_or(Ok(()), |evidence| file.line(&row(report, evidence)))
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.file()?.check()
    }
}
