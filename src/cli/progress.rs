//! Progress and warnings on the terminal's standard error.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use skyfix::config::Door;
use skyfix::run::{Observer, Work};
use skyfix::types::Input;

/// A progress bar; invisible where standard error is no terminal.
pub fn progress_bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_message(what);
    let template = "{msg:>12} [{bar:32}] {human_pos}/{human_len} {elapsed} left {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// Turns a bar into a counter, for work whose end is not known.
pub fn as_counter(bar: &ProgressBar) {
    if let Ok(style) = ProgressStyle::with_template("{msg:>12} {human_pos} {elapsed} {per_sec}") {
        bar.set_style(style);
    }
}

/// Shows what happens to a flight, in the words of the door it came through.
pub struct Terminal {
    door: Option<Door>,
    bar: Mutex<Option<ProgressBar>>,
}

impl Terminal {
    /// For a flight that came through a door; none for work that no configuration decides.
    pub fn new(door: Option<&Door>) -> Self {
        Self { door: door.cloned(), bar: Mutex::new(None) }
    }

    fn with_bar(&self, apply: impl FnOnce(&mut Option<ProgressBar>)) {
        apply(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Terminal {
    fn warning(&self, message: &str) {
        let message = self.door.as_ref().map_or_else(|| message.to_owned(), |door| door.spell(message));
        tell!("{message}");
    }

    fn input(&self, input: &Input) {
        self.warning(&input.to_string());
    }

    fn index_is_missing(&self, path: &Path) {
        tell!("no index yet; computing {} (once)", path.display());
    }

    fn progress(&self, work: Work, done: u64, total: Option<u64>) {
        self.with_bar(|bar| {
            let bar = bar.get_or_insert_with(|| {
                let bar = progress_bar(match work {
                    Work::Index => "index",
                    Work::Frames => "frames",
                });
                if total.is_none() {
                    as_counter(&bar);
                }
                bar
            });
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        });
    }

    fn done(&self, _: Work) {
        self.with_bar(|bar| {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        });
    }

    fn live(&self) {
        tell!("live; Ctrl-C ends it");
    }
}
