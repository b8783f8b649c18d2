//! What replay and run share: a configured flight localized, and its end told.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use skyfix::config::{ConfigError, Door, Effective, FlightPlan, TelemetrySource};
use skyfix::run::{RunEnd, RunError};
use skyfix::sink::summary::Summary;
use skyfix::text::shell_word;
use skyfix::types::{AbstainReason, Standing};

use super::progress::Terminal;
use super::supervision::{BROKEN_OFF, configure, stop_on_signal};

/// Exit code of wrong usage.
const WRONG_USAGE: u8 = 2;
/// Exit code of a run in which not one frame was localized.
const NOTHING_LOCALIZED: u8 = 3;
/// Exit code of a run of which an output failed and was closed.
const OUTPUT_CLOSED: u8 = 4;

/// What a configuration means, with the door that it came through; else what is wrong with it is said.
pub fn planned(effective: Result<Effective, ConfigError>) -> Result<(FlightPlan, Door), ExitCode> {
    let plan = |effective: Effective| Ok((FlightPlan::of(&effective)?, effective.door().clone()));
    effective.and_then(plan).map_err(|error| complain(&error))
}

/// Localizes a flight. Ctrl-C and SIGTERM finish what is under way and complete every file.
pub fn run(plan: FlightPlan, door: &Door) -> anyhow::Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(&stop);
    configure(&plan);
    let jsonl_stdout = plan.outputs.jsonl_stdout;
    let listening = plan.telemetry.iter().find_map(|source| match source {
        TelemetrySource::Mavlink(link) => Some(link.bind),
        _ => None,
    });
    let ended = skyfix::run::run(plan, &Terminal::new(Some(door)), stop);
    if let Err(error @ RunError::Stopped) = ended {
        tell!("{error}");
        return Ok(ExitCode::from(BROKEN_OFF));
    }
    let RunEnd { summary, outputs } = ended.map_err(|e| spelled(e, door))?;
    let mut words = format!("{summary}\n\nresults in {}", outputs.folder.display());
    if outputs.rrd && cfg!(feature = "viz") {
        words += &format!("\nlook at them: .venv/bin/rerun {}", shell_word(&outputs.folder.join("flight.rrd")));
    }
    if jsonl_stdout {
        eprintln!("{words}")
    } else {
        say!("{words}")
    }
    for reason in &summary.outputs_closed {
        tell!("an output was closed before the end: {}", door.spell(reason));
    }
    if summary.fixes == 0 {
        tell!("{}", door.spell(&nothing_localized(&summary, listening)));
    }
    Ok(match (summary.outputs_closed.is_empty(), summary.fixes) {
        (false, _) => ExitCode::from(OUTPUT_CLOSED),
        (true, 0) => ExitCode::from(NOTHING_LOCALIZED),
        (true, _) => ExitCode::SUCCESS,
    })
}

/// Why not one frame was localized: the reason that most had and what to do about it, whether they are of another place, and whether a link
/// brought nothing.
fn nothing_localized(summary: &Summary, listening: Option<SocketAddr>) -> String {
    if summary.frames == 0 {
        return "not one frame came in".into();
    }
    let most = summary.abstained.iter().max_by_key(|(reason, count)| (**count, std::cmp::Reverse(**reason)));
    let reason = most.and_then(|(name, count)| Some((AbstainReason::ALL.into_iter().find(|r| r.as_str() == *name)?, count)));
    let mut words = "not one frame was localized".to_owned();
    let said = summary.inputs.iter();
    for elsewhere in said.filter(|i| i.quantity == "position" && i.standing == Standing::Contradicted) {
        words += &format!("; {}", elsewhere.words);
    }
    if let Some((reason, count)) = reason {
        words += &format!("; {count} of {} frames `{}`: {}", summary.frames, reason.as_str(), reason.remedy());
    }
    let link = summary.telemetry.as_ref().and_then(|t| t.link);
    if let Some((address, link)) = listening.zip(link).filter(|(_, link)| link.messages == 0) {
        let came = if link.datagrams == 0 { "nothing came" } else { "no MAVLink telemetry came" };
        words += &format!("; {came} at {address}: does the autopilot send there?");
    }
    words + " (fixes.csv has the reason of each)"
}

/// An error in the words of the door that the flight came through.
pub fn spelled(error: RunError, door: &Door) -> anyhow::Error {
    anyhow::anyhow!("{}", door.spell(&format!("{:#}", anyhow::Error::from(error))))
}

/// Says what is wrong with a configuration: wrong usage where it was written at the command line, an error in a file.
pub fn complain(error: &ConfigError) -> ExitCode {
    tell!("{error}");
    ExitCode::from(if matches!(error, ConfigError::Key { file: None, .. }) { WRONG_USAGE } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfix::source::{StreamCounters, TelemetryHealth};

    #[test]
    fn a_flight_whose_link_brought_nothing_says_so_beside_the_reason_of_its_frames() {
        let told = |datagrams: u64, messages: u64| {
            let link = Some(StreamCounters { datagrams, messages, ..StreamCounters::default() });
            let telemetry = Some(TelemetryHealth { link, ..TelemetryHealth::default() });
            let abstained = [("no_height", 9)].into();
            let summary = Summary { frames: 9, abstained, telemetry, ..Summary::default() };
            nothing_localized(&summary, Some(SocketAddr::from(([127, 0, 0, 1], 14550))))
        };
        assert!(told(0, 0).contains("9 of 9 frames `no_height`") && told(0, 0).contains("nothing came at 127.0.0.1:14550"));
        assert!(told(7, 0).contains("no MAVLink telemetry came at"));
        assert!(!told(7, 7).contains("14550"));
    }
}
