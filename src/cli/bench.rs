//! `skyfix bench`.

use clap::Args;
use skyfix::flow::catalogue::MapEdits;
use skyfix::flow::graph::{GraphOptions, run_graph};
use skyfix::fuse::{FusionSettings, TrackOptions};
use skyfix::sink::Sink;
use skyfix::sink::summary::SummarySink;

use super::localize::{LocalizeArguments, Prepared, networks, prepare};
use super::replay::LAG;

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
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("skyfix-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(arguments, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn measure(arguments: &Arguments, folder: &std::path::Path) -> anyhow::Result<()> {
    for (workers, threads) in &arguments.settings {
        let Prepared { localizer, flight, catalogue, .. } = prepare(&arguments.localize, MapEdits::default())?;
        let networks = networks(&arguments.localize.model.model, arguments.localize.model.device, *workers, *threads)?;
        let options = GraphOptions {
            lag: LAG,
            use_prior: !arguments.localize.no_prior,
            previews: false,
            fusion: FusionSettings { odometry: arguments.localize.odometry, ..FusionSettings::default() },
            track: TrackOptions::default(),
            start: flight.start.filter(|_| !arguments.localize.no_prior).map(|s| (s.position, s.sigma_m)),
            catalogue,
            in_flight: None,
            stop: Default::default(),
        };
        let busy = processor_seconds();
        let begun = std::time::Instant::now();
        let mut summary = SummarySink::create(folder, flight.truth.clone())?;
        let mut failure = None;
        run_graph(localizer, networks, flight.frames, options, |report| {
            failure = summary.take(&report).err();
            failure.is_none()
        })?;
        if let Some(error) = failure {
            return Err(error.into());
        }
        summary.finish()?;
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
