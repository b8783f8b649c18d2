//! What ends the process whatever else stands still: a thread that dies, a stage that does not get on, a signal.
//!
//! What is left of a graph without one of its workers waits for it for ever, and a stage that hangs in a driver never comes back: a process
//! that has ended can at least be started again.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use skyfix::config::FlightPlan;
use skyfix::progress::{Stalled, stage_under_way, stalled};
use skyfix::sink::background::THREAD;

/// Exit status of a process of which a thread died or a stage stood still (`EX_SOFTWARE`).
const DIED: i32 = 70;
/// Exit status of a process that a second Ctrl-C broke off, or that was stopped before it began.
pub const BROKEN_OFF: u8 = 130;
/// How the names of threads begin whose death ends nothing but what they do: those of outputs, an evaluation's own, and those of the viewer's
/// library.
const EXPENDABLE: [&str; 9] =
    [THREAD, "viewer-close", "scores", "re_", "rerun", "message_proxy", "chunk_batcher", "file_writer", "tokio-"];
/// The watchdog looks this often.
const LOOK: Duration = Duration::from_millis(200);
/// What the ordinary end of the process may take; libraries have their say in it.
const EXIT: Duration = Duration::from_secs(2);
/// A stage may take this part of the time that the end of the process may take.
const STAGE_OF_END: u32 = 6;

/// Milliseconds that a stage may take without getting on, and that the process may take to end after a signal.
static STAGE_TIMEOUT_MS: AtomicU64 = AtomicU64::new(300_000);
static END_TIMEOUT_MS: AtomicU64 = AtomicU64::new(60_000);
/// When the first signal came.
static STOPPED: OnceLock<Instant> = OnceLock::new();

/// From here on the death of a thread, but for those of outputs, ends the process, and so does a stage that stands still.
pub fn begin() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        let current = thread::current();
        let name = current.name().unwrap_or("without a name");
        if is_expendable(name) {
            return;
        }
        let stage = stage_under_way().map_or(String::new(), |stage| format!(" in the stage {stage}"));
        end(&format!("the thread {name} died{stage}; this is a mistake of skyfix: please report it with the lines above"));
    }));
    if let Err(error) = thread::Builder::new().name("watchdog".into()).spawn(watch) {
        tracing::warn!("there is no watchdog: {error}");
    }
}

/// Sets the time-outs of a flight.
pub fn configure(plan: &FlightPlan) {
    let milliseconds = |seconds: f64| (seconds * 1e3).round() as u64;
    STAGE_TIMEOUT_MS.store(milliseconds(plan.supervision.stage_timeout_s), Ordering::Relaxed);
    END_TIMEOUT_MS.store(milliseconds(plan.supervision.end_timeout_s), Ordering::Relaxed);
}

/// The first Ctrl-C or SIGTERM sets `stop`, which ends the flight in order; the second one ends the process at once.
pub fn stop_on_signal(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    let handler = move || {
        let _ = STOPPED.set(Instant::now());
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(BROKEN_OFF.into());
        }
        if std::io::stderr().is_terminal() {
            // Behind the terminal's ^C.
            eprintln!();
            tell!("finishing; once more to break off");
        }
    };
    // A handler that is there already serves as well.
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::debug!("no handler for Ctrl-C: {error}");
    }
}

fn is_expendable(thread: &str) -> bool {
    EXPENDABLE.iter().any(|begins| thread.starts_with(begins))
}

fn watch() {
    loop {
        thread::sleep(LOOK);
        let of = |timeout: &AtomicU64| Duration::from_millis(timeout.load(Ordering::Relaxed));
        let (stage, all) = (of(&STAGE_TIMEOUT_MS), of(&END_TIMEOUT_MS));
        if let Some(why) = verdict(STOPPED.get().map(Instant::elapsed), stage, all, stalled) {
            end(&why);
        }
    }
}

/// Why the process must end, if it must. `stopped` is how long ago it was asked to.
fn verdict(
    stopped: Option<Duration>,
    stage_timeout: Duration,
    end_timeout: Duration,
    stalled: impl Fn(Duration) -> Option<Stalled>,
) -> Option<String> {
    let limit = match stopped {
        Some(_) => stage_timeout.min(end_timeout / STAGE_OF_END),
        None => stage_timeout,
    };
    let of = |Stalled { stage, thread, elapsed }| {
        let key = if stopped.is_some() { "end_timeout_s" } else { "stage_timeout_s" };
        let seconds = elapsed.as_secs_f64();
        format!("the stage {stage} (thread {thread}) has not got on for {seconds:.0} s ([supervision] {key})")
    };
    // Outputs and recordings have time-outs of their own, and all the time that the end may take.
    let found = stalled(limit).filter(|s| stopped.is_none() || !["outputs", "dataflow", "source"].contains(&s.stage));
    let late = || {
        let since = stopped.filter(|since| *since > end_timeout)?.as_secs_f64();
        Some(format!("not at an end {since:.0} s after it was told to stop ([supervision] end_timeout_s)"))
    };
    found.map(of).or_else(late)
}

fn end(why: &str) -> ! {
    tell!("{why}");
    // What hangs may be what the ordinary end waits for.
    let _ = thread::Builder::new().name("end".into()).spawn(|| {
        thread::sleep(EXIT);
        std::process::abort();
    });
    std::process::exit(DIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: Duration = Duration::from_secs(300);
    const END: Duration = Duration::from_secs(60);

    fn of(stopped: Option<u64>, stage: &'static str, for_s: u64) -> Option<String> {
        let found = |limit: Duration| {
            let elapsed = Duration::from_secs(for_s);
            (elapsed > limit).then(|| Stalled { stage, thread: "w".into(), elapsed })
        };
        verdict(stopped.map(Duration::from_secs), STAGE, END, found)
    }

    #[test]
    fn a_stage_ends_the_process_when_it_stands_still_and_sooner_once_that_was_told_to_stop() {
        assert_eq!(of(None, "fine", 299), None);
        let told = of(None, "fine", 301).unwrap_or_default();
        assert!(told.contains("the stage fine (thread w)") && told.contains("stage_timeout_s"), "{told}");
        assert_eq!(of(Some(1), "fine", 9), None);
        assert!(of(Some(1), "fine", 11).is_some_and(|told| told.contains("end_timeout_s")));
        assert!(of(Some(1), "outputs", 11).is_none() && of(None, "outputs", 301).is_some());
        assert!(of(Some(61), "fine", 0).is_some_and(|told| told.contains("told to stop")));
    }

    #[test]
    fn an_output_is_expendable_and_a_worker_is_not() {
        assert!(is_expendable("output track.csv") && is_expendable("scores"));
        assert!(!is_expendable("timely:work-1") && !is_expendable("main") && !is_expendable("without a name"));
    }
}
