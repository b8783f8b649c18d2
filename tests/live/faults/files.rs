//! What a flight reads at its start and writes to: what is not there, or not what it should be.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Fault, Part, Row};
use crate::bundled::{MODEL, map, recording, root};

/// Why a cell is none.
pub fn why_not(part: Part, fault: Fault) -> &'static str {
    match (part, fault) {
        (Part::Video, Fault::Wrong) => "as wrong photos",
        (Part::Mavlink, Fault::Wrong) => "as wrong heights, headings and attitudes",
        (Part::Viewer, Fault::Garbage | Fault::Wrong) | (Part::Stdout, Fault::Garbage | Fault::Wrong) => {
            "it is written to, not read"
        }
        (Part::Disk, Fault::Garbage | Fault::Wrong) => "what is read back is checked as map, index and model",
        (Part::Map | Part::Index | Part::Model, _) => "it is read once, at the start",
        _ => "as slow, with the queue's bound",
    }
}

fn skyfix(words: &[&str], environment: &[(&str, &Path)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skyfix"));
    command.current_dir(root()).args(words).stdin(Stdio::null());
    for (name, value) in environment {
        command.env(name, value);
    }
    command
}

/// A cell: what was done, what the command must say or do, and what it did.
fn cell(part: Part, fault: Fault, done: &str, expected: &str, output: &Output, holds: impl Fn(i32, &str) -> bool) -> Row {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap_or(-1);
    let last = errors.lines().last().unwrap_or_default().replace('|', "/");
    let faults = if holds(code, &errors) { Vec::new() } else { vec![format!("exit {code}: {errors}")] };
    println!("{part:?} {fault:?}: exit {code}, {last}");
    let shown: String = last.chars().take(100).collect();
    Row { part, fault, done: done.into(), expected: expected.into(), found: format!("exit {code}; {shown}"), faults }
}

/// The bundled flight's beginning with a map and a model of its own to spoil.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(map(), folder.path().join("m.mbtiles")).unwrap();
        std::fs::copy(
            skyfix::retrieve::index_path(Path::new(&map()), MODEL),
            folder.path().join(format!("m.{MODEL}.safetensors")),
        )
        .unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        for entry in std::fs::read_dir(root().join("models")).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
            std::fs::copy(entry.path(), folder.path().join("models").join(entry.file_name())).unwrap();
        }
        Self { folder }
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn index(&self) -> std::path::PathBuf {
        self.at(&format!("m.{MODEL}.safetensors"))
    }

    fn replay(&self) -> Command {
        let (source, map, out) = (recording().display().to_string(), self.at("m.mbtiles"), self.at("out"));
        let words = ["replay", &source, "--map", map.to_str().unwrap(), "--out", out.to_str().unwrap(), "--no-viewer", "-w", "2"];
        skyfix(&words, &[("SKYFIX_MODELS", &self.at("models")), ("XDG_CACHE_HOME", &self.at("cache"))])
    }
}

/// Replaces some bytes in the middle of a file.
fn spoil(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x5a);
    std::fs::write(path, bytes).unwrap();
}

fn files_read() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut run = |part, fault, done: &str, expected: &str, break_it: &dyn Fn(&Place), holds: &dyn Fn(i32, &str) -> bool| {
        let place = Place::new();
        break_it(&place);
        rows.push(cell(part, fault, done, expected, &place.replay().output().unwrap(), holds));
    };
    let refused = |code: i32, errors: &str, name: &str| code == 1 && errors.contains(name);
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    run(Part::Map, Fault::Off, "the file is not there", "refused, with its name", &|p| remove(&p.at("m.mbtiles")), &|c, e| {
        refused(c, e, "m.mbtiles")
    });
    run(
        Part::Map,
        Fault::Garbage,
        "a file of random bytes",
        "refused, with its name",
        &|p| std::fs::write(p.at("m.mbtiles"), vec![0x5a; 50_000]).unwrap(),
        &|c, e| refused(c, e, "m.mbtiles"),
    );
    run(
        Part::Map,
        Fault::Wrong,
        "another map than the index was made of",
        "refused, with the index's name and what to do",
        &|p| {
            let connection = rusqlite::Connection::open(p.at("m.mbtiles")).unwrap();
            connection.execute("DELETE FROM tiles WHERE rowid IN (SELECT rowid FROM tiles LIMIT 3)", []).unwrap();
        },
        &|c, e| refused(c, e, "map index"),
    );
    run(Part::Index, Fault::Off, "the file is not there", "it is computed, and told", &|p| remove(&p.index()), &|c, e| {
        c == 0 && e.contains("no index yet")
    });
    run(Part::Index, Fault::Garbage, "some bytes are others", "refused, with its name", &|p| spoil(&p.index()), &|c, e| {
        refused(c, e, "safetensors")
    });
    run(
        Part::Index,
        Fault::Wrong,
        "cut off in the middle",
        "refused, with its name",
        &|p| {
            let bytes = std::fs::read(p.index()).unwrap();
            std::fs::write(p.index(), &bytes[..bytes.len() / 2]).unwrap();
        },
        &|c, e| refused(c, e, "safetensors"),
    );
    let network = |p: &Place| p.at("models").join("skyfix-dense.onnx");
    run(Part::Model, Fault::Off, "the file is not there", "refused, with its name", &|p| remove(&network(p)), &|c, e| {
        refused(c, e, "skyfix-dense")
    });
    run(Part::Model, Fault::Garbage, "some bytes are others", "refused, with its name", &|p| spoil(&network(p)), &|c, e| {
        refused(c, e, "skyfix-dense")
    });
    run(
        Part::Model,
        Fault::Wrong,
        "another file in its place",
        "refused, with its name",
        &|p| std::fs::write(network(p), "no network").unwrap(),
        &|c, e| refused(c, e, "skyfix-dense"),
    );
    rows
}

fn outputs() -> Vec<Row> {
    let place = Place::new();
    let mut rows = Vec::new();
    // A folder that cannot be one.
    std::fs::write(place.at("out"), "a file").unwrap();
    let output = place.replay().output().unwrap();
    rows.push(cell(
        Part::Disk,
        Fault::Off,
        "the output folder cannot be made",
        "refused, with its name",
        &output,
        |code, errors| code == 1 && errors.contains("out"),
    ));
    std::fs::remove_file(place.at("out")).unwrap();
    // A table on a full disk.
    std::fs::create_dir(place.at("out")).unwrap();
    std::os::unix::fs::symlink("/dev/full", place.at("out/evidence.csv")).unwrap();
    let output = place.replay().output().unwrap();
    rows.push(cell(
        Part::Disk,
        Fault::Stuck,
        "the disk is full",
        "the table is closed and named, the flight goes on; exit 4",
        &output,
        |code, errors| code == 4 && errors.contains("evidence.csv"),
    ));
    // Nobody reads, and nobody will.
    let mut lines = place.replay();
    lines.args(["--set", "sinks.jsonl=stdout", "--set", "sinks.out=out-faults"]).current_dir(place.folder.path());
    let mut child = lines.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    rows.push(cell(Part::Stdout, Fault::Off, "the reader has gone", "the flight goes on", &output, |code, _| {
        code == 0 || code == 4
    }));
    rows
}

pub fn rows() -> Vec<Row> {
    let mut rows = files_read();
    rows.extend(outputs());
    rows
}
