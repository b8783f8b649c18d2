//! A pipeline file, run by the command.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::bundled::{self, map, root};

/// A guard against hanging; nothing here takes this long, even on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A key of a pipeline file, and its value as TOML.
pub type Override<'a> = (&'a str, String);

/// A text or path as a value of TOML.
pub fn text(value: impl AsRef<Path>) -> String {
    toml::Value::from(value.as_ref().to_str().unwrap()).to_string()
}

/// A UDP port that nobody listens to.
pub fn port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `skyfix run` on a file: no viewer nor recording for it, JSON lines on standard output, one worker, the bundled map.
fn command(file: &str, overrides: &[Override], folder: &Path) -> Command {
    let always: [Override; 4] = [
        ("sinks.viewer", text("off")),
        ("sinks.rrd", "false".into()),
        ("sinks.jsonl", "[\"stdout\"]".into()),
        ("match.workers", "1".into()),
    ];
    let mut command = bundled::command();
    command
        .arg("run")
        .arg(root().join("pipelines").join(file))
        .args(always.iter().chain(overrides).flat_map(|(key, value)| ["--set".into(), format!("{key}={value}")]))
        .args(["--map", &map(), "--out"])
        .arg(folder.join("out"))
        .stdin(Stdio::null());
    command
}

/// Exit code and standard error of `skyfix run --check`.
pub fn check(file: &str, overrides: &[Override]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = command(file, overrides, folder.path()).arg("--check").output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A run under way.
pub struct Run {
    child: Child,
    begun: Instant,
    lines: Vec<Value>,
    said: Receiver<String>,
    errors: String,
    complained: Receiver<String>,
    folder: TempDir,
}

/// The lines of a child's output, as they come.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (line, lines) = channel();
    std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|l| line.send(l)));
    lines
}

fn object(line: String) -> Value {
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"))
}

impl Run {
    /// Starts it.
    pub fn start(file: &str, overrides: &[Override], options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(file, overrides, folder.path());
        let mut child = command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, complained) = (lines_of(child.stdout.take().unwrap()), lines_of(child.stderr.take().unwrap()));
        Self { child, begun: Instant::now(), lines: Vec::new(), said, errors: String::new(), complained, folder }
    }

    fn left(&self) -> Duration {
        PATIENCE.saturating_sub(self.begun.elapsed())
    }

    /// Waits until everything is loaded and the source is read.
    pub fn wait_until_live(&mut self) {
        while !self.errors.contains("Ctrl-C ends it") {
            match self.complained.recv_timeout(self.left()) {
                Ok(line) => self.errors += &format!("{line}\n"),
                Err(error) => panic!("{error} before it was live:\n{}", self.errors),
            }
        }
    }

    /// Waits until the JSON lines so far are enough.
    pub fn wait_for_lines(&mut self, enough: impl Fn(&[Value]) -> bool) {
        while !enough(&self.lines) {
            match self.said.recv_timeout(self.left()) {
                Ok(line) => self.lines.push(object(line)),
                Err(error) => {
                    let _ = self.child.kill();
                    self.errors.extend(self.complained.iter().map(|l| l + "\n"));
                    panic!("{error} after {:#?}\n{}", self.lines.last(), self.errors)
                }
            }
        }
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits until it has ended.
    pub fn end(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.left().is_zero() {
                let _ = self.child.kill();
                self.errors.extend(self.complained.iter().map(|l| l + "\n"));
                panic!("does not end:\n{}", self.errors);
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.lines.extend(self.said.iter().map(object));
        self.errors.extend(self.complained.iter().map(|l| l + "\n"));
        assert!(!self.errors.contains("panicked"), "{}", self.errors);
        let (lines, errors) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.errors));
        Ended { code: status.code(), lines, errors, out: self.folder.path().join("out"), _run: self }
    }
}

/// A test that fails leaves nothing behind.
impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run that has ended.
pub struct Ended {
    code: Option<i32>,
    /// JSON lines of standard output.
    pub lines: Vec<Value>,
    /// Standard error.
    pub errors: String,
    /// The folder of the results.
    pub out: PathBuf,
    /// Keeps the folder.
    _run: Run,
}

impl Ended {
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}", self.errors);
    }

    /// The summary. Every file is complete, and they agree with each other and with what was said.
    pub fn results(&self) -> Value {
        let read = |name: &str| std::fs::read_to_string(self.out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let json = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let rows = |name: &str| -> Vec<csv::StringRecord> {
            let table = read(name);
            assert!(table.ends_with('\n'), "{name} is cut off");
            // A row with too few fields is an error.
            csv::Reader::from_reader(table.as_bytes()).records().map(|r| r.unwrap_or_else(|e| panic!("{name}: {e}"))).collect()
        };
        let summary = json("summary.json");
        let intake = |name: &str| summary["intake"][name].as_u64().unwrap();
        assert_eq!(intake("received"), intake("served") + intake("dropped"), "{summary:#}");
        let [fixes, timing, track] = ["fixes.csv", "timing.csv", "track.csv"].map(rows);
        assert_eq!(fixes.len() as u64, intake("served"), "{summary:#}");
        assert_eq!((fixes.len() as u64, timing.len()), (summary["frames"].as_u64().unwrap(), fixes.len()));
        let frames: BTreeSet<&str> = fixes.iter().map(|r| &r[0]).collect();
        assert!(track.iter().all(|r| r[0].is_empty() || frames.contains(&r[0])) && track.len() >= fixes.len());
        if self.out.join("track_smoothed.csv").exists() {
            rows("track_smoothed.csv");
        }
        assert_eq!(json("track.geojson")["type"], "FeatureCollection");
        let said: Vec<&str> = self.lines.iter().filter_map(|l| l["frame"].as_str()).collect();
        assert!(!said.is_empty() && said.iter().all(|frame| frames.contains(frame)), "{said:?} {frames:?}");
        summary
    }
}
