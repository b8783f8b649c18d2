//! What replay and run share: a configured flight localized, and its end told.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use skyfix::config::{ConfigError, Door, Effective, FlightPlan};
use skyfix::run::{RunEnd, RunError};
use skyfix::sink::summary::Summary;
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
    let ended = skyfix::run::run(plan, &Terminal::new(Some(door)), stop);
    if let Err(error @ RunError::Stopped) = ended {
        eprintln!("skyfix: {error}");
        return Ok(ExitCode::from(BROKEN_OFF));
    }
    let RunEnd { summary, outputs } = ended.map_err(|e| spelled(e, door))?;
    let mut words = format!("{summary}\n\nresults in {}", outputs.folder.display());
    if outputs.rrd && cfg!(feature = "viz") {
        words += &format!("\nlook at them: .venv/bin/rerun {}", outputs.folder.join("flight.rrd").display());
    }
    if jsonl_stdout {
        eprintln!("{words}")
    } else {
        say!("{words}")
    }
    for reason in &summary.outputs_closed {
        eprintln!("skyfix: an output was closed before the end: {}", door.spell(reason));
    }
    if summary.fixes == 0 {
        eprintln!("skyfix: {}", door.spell(&nothing_localized(&summary)));
    }
    Ok(match (summary.outputs_closed.is_empty(), summary.fixes) {
        (false, _) => ExitCode::from(OUTPUT_CLOSED),
        (true, 0) => ExitCode::from(NOTHING_LOCALIZED),
        (true, _) => ExitCode::SUCCESS,
    })
}

/// Why not one frame was localized: the reason that most had and what to do about it, and whether they are of another place.
fn nothing_localized(summary: &Summary) -> String {
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
    words + " (fixes.csv has the reason of each)"
}

/// An error in the words of the door that the flight came through.
pub fn spelled(error: RunError, door: &Door) -> anyhow::Error {
    anyhow::anyhow!("{}", door.spell(&format!("{:#}", anyhow::Error::from(error))))
}

/// Says what is wrong with a configuration: wrong usage where it was written at the command line, an error in a file.
pub fn complain(error: &ConfigError) -> ExitCode {
    eprintln!("skyfix: {error}");
    ExitCode::from(if matches!(error, ConfigError::Key { file: None, .. }) { WRONG_USAGE } else { 1 })
}
