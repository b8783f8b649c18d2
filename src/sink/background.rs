//! Every output on a thread of its own behind a bounded queue: one that fails, dies or stands still is closed, and the flight goes on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Sink, SinkError};
use crate::progress::injected;
use crate::types::{FrameReport, Report};

/// Reports that may wait.
const QUEUE: usize = 64;
/// Of these, the pictures that may wait.
const PICTURES: usize = 8;
/// What the thread of an output is called: this and the output's name.
pub const THREAD: &str = "output ";

/// How an output is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing is left out: the flight waits for it, as long as it gets on.
    Waits,
    /// The flight goes on: what the output does not keep up with is left out and counted, pictures first.
    Drops,
}

/// What an output may take its time for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// With a single report; then it stands still.
    pub report: Duration,
    /// At the end, with all that still waits for it, where the flight does not wait for it.
    pub end: Duration,
}

/// What was left out for an output that did not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct LeftOut {
    /// Pictures of frames that went there without.
    pub pictures: u64,
    /// Reports.
    pub reports: u64,
}

/// Makes an output, on the output's own thread.
pub type Make = Box<dyn FnOnce() -> Result<Box<dyn Sink>, SinkError> + Send>;

/// An output on its thread.
pub struct BackgroundSink {
    name: String,
    pace: Pace,
    patience: Patience,
    shared: Arc<Shared>,
    is_closed: bool,
    asked_to_end: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    reports: VecDeque<Arc<Report>>,
    /// Since when the output has had something in hand.
    busy: Option<Instant>,
    is_to_end: bool,
    /// Nobody asks for it any more.
    is_abandoned: bool,
    /// How the thread ended; in words where it failed.
    ended: Option<Result<(), String>>,
    left_out: LeftOut,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl BackgroundSink {
    /// Starts the thread. `make` runs on it: at once, or with the first report where the output is to leave alone until then what another run
    /// left in its place.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(name: &str, pace: Pace, patience: Patience, at_once: bool, make: Make) -> Result<Self, SinkError> {
        let shared = Arc::new(Shared::default());
        if at_once {
            shared.lock().busy = Some(Instant::now());
        }
        let (of_thread, stage) = (Arc::clone(&shared), format!("{THREAD}{name}"));
        let run = move || {
            let ran = catch_unwind(AssertUnwindSafe(|| serve(&of_thread, &stage, at_once, make)));
            let ended = match ran {
                Ok(ran) => ran.map_err(|error| error.to_string()),
                Err(panic) => Err(format!("its thread died: {}", words(panic.as_ref()))),
            };
            let mut state = of_thread.lock();
            (state.ended, state.busy) = (Some(ended), None);
            state.reports.clear();
            of_thread.changed.notify_all();
        };
        let spawned = std::thread::Builder::new().name(format!("{THREAD}{name}")).spawn(run);
        spawned.map_err(|source| SinkError::Io { path: name.into(), source })?;
        Ok(Self { name: name.into(), pace, patience, shared, is_closed: false, asked_to_end: None })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was left out so far.
    pub fn left_out(&self) -> LeftOut {
        self.shared.lock().left_out
    }

    /// Hands over a report.
    ///
    /// # Errors
    /// In words, once, when the output has failed, has died or stands still: it is closed from then on.
    pub fn take(&mut self, report: &Arc<Report>) -> Result<(), String> {
        if self.is_closed {
            return Ok(());
        }
        let handed = self.hand_over(report);
        self.is_closed = handed.is_err();
        handed
    }

    fn hand_over(&self, report: &Arc<Report>) -> Result<(), String> {
        let mut state = self.shared.lock();
        loop {
            self.check(&state)?;
            if self.pace == Pace::Drops || state.reports.len() < QUEUE {
                break;
            }
            state = self.shared.wait(state, self.patience.report);
        }
        state.reports.push_back(Arc::clone(report));
        if self.pace == Pace::Drops {
            state.make_room();
        }
        self.shared.changed.notify_all();
        Ok(())
    }

    fn check(&self, state: &State) -> Result<(), String> {
        if let Some(ended) = &state.ended {
            return ended.clone().map_err(|reason| self.named(&reason));
        }
        match state.busy {
            Some(since) if since.elapsed() > self.patience.report => Err(self.stands_still()),
            _ => Ok(()),
        }
    }

    fn stands_still(&self) -> String {
        self.named(&format!("took nothing for {:.1} s (`sinks.timeout_s`)", self.patience.report.as_secs_f64()))
    }

    fn named(&self, reason: &str) -> String {
        if reason.contains(&self.name) { reason.into() } else { format!("{}: {reason}", self.name) }
    }

    /// Says that no more will come. All outputs are told before the first one is waited for.
    pub fn end(&mut self) {
        self.asked_to_end = Some(Instant::now());
        self.shared.lock().is_to_end = true;
        self.shared.changed.notify_all();
    }

    /// Waits until the output is complete.
    ///
    /// # Errors
    /// In words, when it is not: it has failed, or stands still and is left behind.
    pub fn wait(&mut self) -> Result<(), String> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        let asked = self.asked_to_end.unwrap_or_else(Instant::now);
        let mut state = self.shared.lock();
        loop {
            if let Some(ended) = &state.ended {
                return ended.clone().map_err(|reason| self.named(&reason));
            }
            self.check(&state)?;
            let left = match self.pace {
                Pace::Waits => self.patience.report,
                Pace::Drops => self.patience.end.saturating_sub(asked.elapsed()),
            };
            if left.is_zero() {
                let reason =
                    format!("did not take the rest within {:.1} s (`sinks.end_timeout_s`)", self.patience.end.as_secs_f64());
                return Err(self.named(&reason));
            }
            state = self.shared.wait(state, left.min(self.patience.report));
        }
    }
}

/// An output that was not ended keeps what it has.
impl Drop for BackgroundSink {
    fn drop(&mut self) {
        self.shared.lock().is_abandoned = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    /// The oldest go first: who reads along wants to know what is now.
    fn make_room(&mut self) {
        if self.reports.len() > QUEUE {
            self.reports.pop_front();
            self.left_out.reports += 1;
        }
        let with_picture = |report: &Arc<Report>| matches!(report.as_ref(), Report::Frame(frame) if frame.preview.is_some());
        if self.reports.iter().filter(|report| with_picture(report)).count() <= PICTURES {
            return;
        }
        if let Some(oldest) = self.reports.iter_mut().find(|report| with_picture(report))
            && let Report::Frame(frame) = oldest.as_ref()
        {
            *oldest = Arc::new(Report::Frame(Box::new(FrameReport { preview: None, ..(**frame).clone() })));
            self.left_out.pictures += 1;
        }
    }
}

/// Feeds an output until no more will come.
fn serve(shared: &Shared, stage: &str, at_once: bool, make: Make) -> Result<(), SinkError> {
    let mut make = Some(make);
    let mut sink: Option<Box<dyn Sink>> = None;
    if at_once && let Some(make) = make.take() {
        sink = Some(make()?);
    }
    loop {
        let report = {
            let mut state = shared.lock();
            state.busy = None;
            // One that waits for room may go on.
            shared.changed.notify_all();
            while state.reports.is_empty() && !state.is_to_end && !state.is_abandoned {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_abandoned {
                return Ok(());
            }
            state.busy = Some(Instant::now());
            state.reports.pop_front()
        };
        injected::fault(stage);
        if let Some(make) = make.take() {
            sink = Some(make()?);
        }
        let Some(sink) = &mut sink else { return Ok(()) };
        match report {
            Some(report) => sink.take(&report)?,
            None => return sink.finish(),
        }
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests;
