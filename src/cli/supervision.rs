//! A thread that dies ends the process, with its name: what is left of a graph without one of its workers waits for it for ever.

use std::thread;

use skyfix::flow::stage_under_way;

/// Exit status of a process of which a thread died (`EX_SOFTWARE`).
const DIED: i32 = 70;
/// Threads whose death ends nothing but what they do: sinks, and an evaluation's own.
const EXPENDABLE: &[&str] = &["stdout", "viewer", "viewer-close", "scores"];

/// From here on the death of a thread, but for those of sinks, ends the process.
pub fn end_when_a_thread_dies() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        let current = thread::current();
        let name = current.name().unwrap_or("without a name");
        if EXPENDABLE.contains(&name) {
            return;
        }
        let stage = stage_under_way().map_or(String::new(), |stage| format!(" in the stage {stage}"));
        eprintln!("skyfix: the thread {name} died{stage}; this is a mistake of skyfix: please report it with the lines above");
        std::process::exit(DIED);
    }));
}
