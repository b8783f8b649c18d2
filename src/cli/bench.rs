//! `skyfix bench`.

use std::process::ExitCode;

use clap::Args;
use skyfix::config::{Door, FlightPlan};
use skyfix::flow::graph::{GraphOptions, run_graph};
use skyfix::fuse::Smoothing;
use skyfix::run::{Assembled, Matching, assemble, networks};
use skyfix::sink::summary::SummarySink;

use super::arguments::LocalizeArguments;
use super::progress::Terminal;
use super::session::{planned, spelled};

const EXAMPLES: &str = "Examples:
  skyfix bench photos/ --map area.mbtiles --no-prior
  skyfix bench recordings/demo

Each setting replays the flight once: workers × threads inside ONNX Runtime.";

/// Measure frames per second and latency of each stage on a flight.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    localize: LocalizeArguments,
    /// Settings to compare: workers x threads inside ONNX Runtime
    #[arg(long, value_delimiter = ',', default_value = "1x1,1x2,2x1", value_name = "WxT,...", value_parser = parse_setting)]
    settings: Vec<(usize, usize)>,
}

fn parse_setting(text: &str) -> Result<(usize, usize), String> {
    let allowed = 1..=64;
    let parts = super::pair(text).filter(|(w, t)| allowed.contains(w) && allowed.contains(t));
    parts.ok_or_else(|| format!("'{text}': write workers x threads, such as 2x1"))
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (plan, door) = match planned(arguments.localize.effective()) {
        Ok(planned) => planned,
        Err(code) => return Ok(code),
    };
    measure(&arguments.settings, &plan, &door).map(|()| ExitCode::SUCCESS)
}

fn measure(settings: &[(usize, usize)], plan: &FlightPlan, door: &Door) -> anyhow::Result<()> {
    for (workers, threads) in settings {
        let Assembled { matching: Matching { localizer, .. }, frames, truth, options, .. } =
            assemble(plan, &Terminal::new(Some(door))).map_err(|e| spelled(e, door))?;
        let networks = networks(&plan.model, plan.device, *workers, *threads)?;
        let mut options = GraphOptions { previews: false, ..options };
        options.track.smoothing = Smoothing::Off;
        let busy = processor_seconds();
        let begun = std::time::Instant::now();
        let mut summary = SummarySink::new(truth);
        run_graph(localizer, networks, frames, options, |report| {
            summary.take(&report);
            true
        })?;
        summary.finish();
        say!("== workers {workers}, threads inside ONNX Runtime {threads}");
        say!("{}", summary.summary());
        if let (Some(before), Some(after)) = (busy, processor_seconds()) {
            let cores = (after - before) / begun.elapsed().as_secs_f64();
            say!("cores busy     {cores:.2}");
        }
        say!("peak memory    {}\n", peak_memory_mib().map_or("-".into(), |m| format!("{m} MiB (of the process so far)")));
    }
    Ok(())
}

/// Processor time of this process, seconds, from `/proc`.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // Linux reports 100 ticks a second to programs on every machine skyfix runs on.
    Some(ticks as f64 / 100.0)
}

fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
