//! Every parser meets mutated files: no panic, no abort, no hang over ten seconds, and no more than a gibibyte of memory.
//!
//! Each kind of file is mutated for ten seconds with a new seed; `make test-mutations` is the long form (ten minutes each), and `SKYFIX_MUTATION_SEED` repeats one. What is tried lies in
//! `target/tmp/mutations/KIND` while it is tried, and stays there when it ends the process. What was found lies in `tests/corpus/KIND` and is
//! tried first.

mod kinds;
#[path = "../../support/mutator.rs"]
mod mutator;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One try may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Memory that the process may gain meanwhile, MiB.
const MEMORY_MIB: u64 = 1024;

/// Files of an input, by their names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A kind of input.
pub struct Kind {
    pub name: &'static str,
    /// Real ones.
    pub seeds: fn() -> Vec<Files>,
    /// Reads what lies in a folder, whatever comes of it.
    pub read: fn(&Path),
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Anonymous and mapped memory of this process, MiB.
fn memory_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|p| p.parse::<u64>().ok()).map_or(0, |p| p * 4 / 1024)
}

fn write(folder: &Path, files: &Files) {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn read_folder(folder: &Path, below: &Path, into: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            read_folder(&path, below, into);
        } else {
            let name = path.strip_prefix(below).unwrap().to_str().unwrap().to_owned();
            into.insert(name, std::fs::read(path).unwrap());
        }
    }
}

/// What was found before.
fn corpus(kind: &str) -> Vec<Files> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut cases: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    cases.sort();
    let files = |case: PathBuf| {
        let mut files = Files::new();
        read_folder(&case, &case, &mut files);
        files
    };
    cases.into_iter().map(files).collect()
}

/// One of the seeds with one or two of its files mutated.
fn input(seeds: &[Files], rng: &mut ChaCha8Rng) -> Files {
    let mut files = seeds[rng.random_range(0..seeds.len())].clone();
    let others = &seeds[rng.random_range(0..seeds.len())];
    let names: Vec<String> = files.keys().cloned().collect();
    for _ in 0..rng.random_range(1..=2) {
        let name = &names[rng.random_range(0..names.len())];
        let other = others.get(name).or_else(|| others.values().next()).unwrap();
        let mutated = mutator::mutated(&files[name], other, rng);
        files.insert(name.clone(), mutated);
    }
    files
}

pub fn campaign(kind: &'static Kind) {
    let seconds = variable("SKYFIX_MUTATION_SECONDS").unwrap_or(10);
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = variable("SKYFIX_MUTATION_SEED").unwrap_or_else(now);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mutations").join(kind.name);
    let seeds = (kind.seeds)();
    seeds.iter().for_each(|files| {
        write(&folder, files);
        (kind.read)(&folder);
    });
    let before_mib = memory_mib();
    let (begin, begun) = channel();
    let at = folder.clone();
    let tries = std::thread::spawn(move || {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut tried = 0u64;
        let mut known = corpus(kind.name).into_iter();
        while let Some(files) = known.next().or_else(|| (Instant::now() < end).then(|| input(&seeds, &mut rng))) {
            write(&at, &files);
            let _ = begin.send(());
            (kind.read)(&at);
            tried += 1;
        }
        tried
    });
    let (mut last, mut most_mib) = (Instant::now(), before_mib);
    let told = format!("seed {seed}; the input lies in {}", folder.display());
    loop {
        match begun.recv_timeout(Duration::from_millis(50)) {
            Ok(()) => last = Instant::now(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        assert!(last.elapsed() < PATIENCE, "{} hangs; {told}", kind.name);
        most_mib = most_mib.max(memory_mib());
        assert!(most_mib < before_mib + MEMORY_MIB, "{} takes {most_mib} MiB; {told}", kind.name);
    }
    let tried = tries.join().unwrap_or_else(|_| panic!("{} panics; {told}", kind.name));
    println!("{}: {tried} inputs in {seconds} s, {} MiB more memory at most", kind.name, most_mib - before_mib);
    std::fs::remove_dir_all(&folder).unwrap();
}
