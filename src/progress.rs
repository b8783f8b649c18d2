//! What is under way on each thread and when it last got on: what a watchdog looks at, and whoever reports the death of a thread.
//!
//! A stage begins with [`begin`] and ends when that is dropped; within long work, [`feed`] says that it gets on. A thread without a stage is
//! idle, however long it waits.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A stage and when it last got on.
type Stage = (&'static str, Instant);

struct Slot {
    thread: String,
    stage: Mutex<Option<Stage>>,
}

static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());
/// Since when no frame has left the dataflow though some are in it.
static FRAMES: Mutex<Option<Instant>> = Mutex::new(None);
/// When any stage last got on.
static LATEST: Mutex<Option<Instant>> = Mutex::new(None);

thread_local! {
    static OWN: Arc<Slot> = register();
    /// For whoever may not wait for a lock: the hook of a panic.
    static NAME: Cell<Option<&'static str>> = const { Cell::new(None) };
}

fn register() -> Arc<Slot> {
    let current = std::thread::current();
    let slot = Arc::new(Slot { thread: current.name().unwrap_or("without a name").into(), stage: Mutex::new(None) });
    let mut slots = lock(&SLOTS);
    slots.retain(|slot| slot.strong_count() > 0);
    slots.push(Arc::downgrade(&slot));
    slot
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, when a stage gets on.
fn now() -> Instant {
    *lock(&LATEST).insert(Instant::now())
}

/// A stage that is under way on this thread until this is dropped.
pub struct UnderWay {
    /// What it interrupts.
    before: Option<Stage>,
    /// It belongs to its thread.
    _here: std::marker::PhantomData<*const ()>,
}

/// Begins a stage on this thread.
pub fn begin(stage: &'static str) -> UnderWay {
    NAME.set(Some(stage));
    let before = OWN.with(|own| lock(&own.stage).replace((stage, now())));
    injected::fault(stage);
    UnderWay { before, _here: std::marker::PhantomData }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        NAME.set(self.before.map(|(stage, _)| stage));
        now();
        // A thread that ends has nothing under way.
        let _ = OWN.try_with(|own| *lock(&own.stage) = self.before);
    }
}

/// The stage of this thread gets on.
pub fn feed() {
    OWN.with(|own| {
        if let Some((_, since)) = lock(&own.stage).as_mut() {
            *since = now();
        }
    });
}

/// The stage that this thread is in, for whoever reports what became of it.
pub fn stage_under_way() -> Option<&'static str> {
    NAME.try_with(Cell::get).ok().flatten()
}

/// Frames that the dataflow holds, and whether one has left it since this was told last.
pub fn frames(held: bool, one_left: bool) {
    let mut frames = lock(&FRAMES);
    *frames = match *frames {
        Some(since) if held && !one_left => Some(since),
        _ => held.then(Instant::now),
    };
}

/// A stage that does not get on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// The stage.
    pub stage: &'static str,
    /// Its thread.
    pub thread: String,
    /// For so long.
    pub elapsed: Duration,
}

/// The stage that has not got on for the longest time, where that is longer than a limit. Frames that wait in the dataflow while no stage is
/// under way at all count as the stage `dataflow`.
pub fn stalled(limit: Duration) -> Option<Stalled> {
    let slots: Vec<Arc<Slot>> = lock(&SLOTS).iter().filter_map(Weak::upgrade).collect();
    let under_way = slots.iter().filter_map(|slot| {
        let (stage, since) = (*lock(&slot.stage))?;
        Some(Stalled { stage, thread: slot.thread.clone(), elapsed: since.elapsed() })
    });
    let under_way: Vec<Stalled> = under_way.collect();
    if under_way.is_empty() {
        let elapsed = (*lock(&FRAMES))?.max(lock(&LATEST).unwrap_or_else(Instant::now)).elapsed();
        return (elapsed > limit).then(|| Stalled { stage: "dataflow", thread: "all".into(), elapsed });
    }
    under_way.into_iter().filter(|stalled| stalled.elapsed > limit).max_by_key(|stalled| stalled.elapsed)
}

/// Faults on demand, for tests of the supervision through the command. A build for flying (without debug assertions) has none of this.
pub mod injected {
    /// The variable that asks for a fault: `panic STAGE` or `stall STAGE`, where an output's stage is `output NAME`; `output` alone is all of them.
    #[cfg(debug_assertions)]
    const ASKED: &str = "SKYFIX_TEST_INJECT_FAULT";

    /// Panics or stalls where the environment asks for it.
    #[cfg(debug_assertions)]
    #[allow(clippy::panic, reason = "it is what the test asked for")]
    pub fn fault(stage: &str) {
        use std::sync::OnceLock;
        static FAULT: OnceLock<Option<(String, String)>> = OnceLock::new();
        let asked = || {
            let text = std::env::var(ASKED).ok()?;
            let (kind, stage) = text.split_once(' ')?;
            Some((kind.to_owned(), stage.to_owned()))
        };
        let Some((kind, at)) = FAULT.get_or_init(asked) else { return };
        if stage != at && !(at == "output" && stage.starts_with("output ")) {
            return;
        }
        match kind.as_str() {
            "panic" => panic!("asked for by {ASKED}"),
            "stall" => {
                tracing::info!("{stage} stalls, as {ASKED} asks");
                loop {
                    std::thread::park();
                }
            }
            _ => {}
        }
    }

    /// There are none.
    #[cfg(not(debug_assertions))]
    pub fn fault(_: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// How long the stage of this name has not got on; tests run side by side, so only its own stages concern a test.
    fn elapsed(stage: &str) -> Option<Duration> {
        let slots: Vec<Arc<Slot>> = lock(&SLOTS).iter().filter_map(Weak::upgrade).collect();
        slots.iter().filter_map(|slot| *lock(&slot.stage)).find(|(name, _)| *name == stage).map(|(_, since)| since.elapsed())
    }

    #[test]
    fn a_stage_is_under_way_until_it_ends_and_what_it_interrupted_goes_on() {
        assert_eq!(stage_under_way(), None);
        let outer = begin("outer test stage");
        {
            let _inner = begin("inner test stage");
            assert_eq!(stage_under_way(), Some("inner test stage"));
            assert!(elapsed("outer test stage").is_none());
        }
        assert_eq!(stage_under_way(), Some("outer test stage"));
        assert!(elapsed("outer test stage").is_some());
        drop(outer);
        assert_eq!((stage_under_way(), elapsed("outer test stage")), (None, None));
    }

    #[test]
    fn a_stage_that_is_fed_gets_on_and_one_that_is_not_is_found_by_its_thread() {
        let (ready, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let (end, ended) = std::sync::mpsc::sync_channel::<()>(0);
        let thread = std::thread::Builder::new().name("a thread that stalls".into()).spawn(move || {
            let _stage = begin("stalled test stage");
            ready.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        wait.recv().unwrap();
        while elapsed("stalled test stage").unwrap() == Duration::ZERO {
            std::thread::yield_now();
        }
        let found = stalled(Duration::ZERO).unwrap();
        assert!(found.elapsed > Duration::ZERO);
        assert_eq!(stalled(LONG), None);
        let before = elapsed("stalled test stage").unwrap();
        {
            let _stage = begin("fed test stage");
            feed();
        }
        assert!(elapsed("stalled test stage").unwrap() >= before, "another thread's progress is not its own");
        drop(end);
        thread.unwrap().join().unwrap();
        assert_eq!(elapsed("stalled test stage"), None);
    }
}
