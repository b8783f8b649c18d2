//! `skyfix doctor`: what is there, what is missing, and what to do about it.

use std::path::{Path, PathBuf};

use skyfix::map::MapStore;
use skyfix::models::{AggregationEntry, Manifest, ModelEntry};
use skyfix::retrieve::{IndexError, MapIndex};
use skyfix::text::shell_word;

const SETUP: &str = "run `make setup`";

/// How a thing stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// Not there, and not needed for the main job.
    Absent,
    /// Needed and missing or broken.
    Missing,
}

/// A line of the table.
struct Finding {
    what: String,
    state: State,
    detail: String,
    /// What to do; empty when nothing is to be done.
    advice: String,
}

impl Finding {
    fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Ok, detail: detail.into(), advice: String::new() }
    }

    fn absent(what: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Absent, detail: detail.into(), advice: advice.into() }
    }

    fn missing(what: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Missing, detail: detail.into(), advice: advice.into() }
    }
}

/// Checks the machine, and a map when one is given, for use with a model (the manifest's first when none is named); prints a
/// table. True when everything that the main job needs is there.
pub fn run(map: Option<&Path>, model: Option<&str>) -> bool {
    let mut findings = vec![Finding::ok("skyfix", env!("CARGO_PKG_VERSION"))];
    findings.extend(video::check());
    findings.extend(inference::check());
    let manifest = Manifest::find();
    match &manifest {
        Ok(manifest) => findings.extend(models(manifest, model)),
        Err(error) => findings.push(Finding::missing("models", error.to_string(), "run from the clone, or set SKYFIX_MODELS")),
    }
    findings.push(viewer());
    if let Some(path) = map {
        let used = manifest.as_ref().ok().and_then(|m| chosen(m, model).map(|entry| (entry, m.aggregation_of(entry))));
        findings.extend(check_map(path, used));
    }
    print!("{}", table(&findings));
    let missing = findings.iter().filter(|f| f.state == State::Missing).count();
    match missing {
        0 => say!("\nEverything that is needed is there."),
        1 => say!("\nOne thing that is needed is missing."),
        n => say!("\n{n} things that are needed are missing."),
    }
    missing == 0
}

fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.what.chars().count()).max().unwrap_or(0);
    let line = |f: &Finding| {
        let state = match f.state {
            State::Ok => "ok",
            State::Absent => "-",
            State::Missing => "MISSING",
        };
        let advice = if f.advice.is_empty() { String::new() } else { format!("\n{:width$}  {:7}  → {}", "", "", f.advice) };
        format!("{:width$}  {state:7}  {}{advice}\n", f.what, f.detail)
    };
    findings.iter().map(line).collect()
}

fn chosen<'a>(manifest: &'a Manifest, name: Option<&str>) -> Option<&'a ModelEntry> {
    match name {
        Some(name) => manifest.entry(name).ok(),
        None => manifest.models().first(),
    }
}

/// The model in use must be there and unharmed; others are extras.
fn models(manifest: &Manifest, name: Option<&str>) -> Vec<Finding> {
    let used = chosen(manifest, name);
    let check = |entry: &ModelEntry| {
        let what = format!("model {}", entry.name);
        let found = manifest.load(entry).and_then(|bytes| Ok((manifest.locate(entry)?, bytes.len())));
        match found {
            Ok((path, size)) => Finding::ok(what, format!("{}, {:.1} MB, checksum right", path.display(), size as f64 / 1e6)),
            Err(error) if used == Some(entry) => {
                Finding::missing(what, error.to_string(), "restore the file: git checkout models")
            }
            Err(error) => Finding::absent(what, error.to_string(), "only needed for --model ".to_owned() + &entry.name),
        }
    };
    let mut findings: Vec<Finding> = manifest.models().iter().map(check).collect();
    findings.extend(used.and_then(|entry| manifest.aggregation_of(entry)).map(|head| {
        let what = format!("retrieval head {}", head.name);
        match manifest.load_aggregation(head) {
            Ok(bytes) => Finding::ok(what, format!("{:.1} MB, checksum right", bytes.len() as f64 / 1e6)),
            Err(error) => Finding::missing(what, error.to_string(), "restore the file: git checkout models"),
        }
    }));
    if used.is_none() {
        let detail = name.map_or("the manifest names no model".into(), |name| format!("'{name}' is not in the manifest"));
        findings.push(Finding::missing("model", detail, "`skyfix models` lists those there are"));
    }
    findings
}

/// The viewer is looked for where `make setup` puts it, in the folders above the executable and the working folder, then in PATH.
fn viewer() -> Finding {
    let starts = [std::env::current_exe().ok().and_then(|p| p.canonicalize().ok()), std::env::current_dir().ok()];
    let of_clone = starts.iter().flatten().flat_map(|start| start.ancestors()).map(|folder| folder.join(".venv/bin/rerun"));
    let of_path: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|list| std::env::split_paths(&list).map(|folder| folder.join("rerun")).collect())
        .unwrap_or_default();
    match of_clone.chain(of_path).find(|path| path.is_file()) {
        Some(path) => Finding::ok("Rerun viewer", path.display().to_string()),
        None => Finding::absent(
            "Rerun viewer",
            "not in .venv and not in PATH",
            SETUP.to_owned() + "; only needed to look at flight.rrd",
        ),
    }
}

fn check_map(path: &Path, used: Option<(&ModelEntry, Option<&AggregationEntry>)>) -> Vec<Finding> {
    let map = match MapStore::open(path) {
        Ok(map) => map,
        Err(error) => return vec![Finding::missing("map", error.to_string(), "build one: skyfix map build SRC... -o FILE")],
    };
    let regions = map.regions().iter().map(|region| {
        let (west_m, south_m, east_m, north_m) = region.extent_m();
        let centre = region.bounds.centre();
        let detail = format!(
            "{:.2} × {:.2} km around {:.5}, {:.5}; {:.2} m a pixel",
            (east_m - west_m) / 1e3,
            (north_m - south_m) / 1e3,
            centre.lat_deg,
            centre.lon_deg,
            region.ground_sampling_distance_m
        );
        Finding::ok(format!("map region {}", region.id), detail)
    });
    let mut findings = vec![Finding::ok("map", format!("{}, zoom {:?}", path.display(), map.zoom_range()))];
    findings.push(match map.verify() {
        Ok(Some(true)) => Finding::ok("map content", "every tile is as it was built"),
        Ok(None) => Finding::ok("map content", "made elsewhere: it does not say what its tiles were"),
        Ok(Some(false)) => {
            let advice = "build it again, or copy it again";
            Finding::missing("map content", "its tiles are not those that it was built with", advice)
        }
        Err(error) => Finding::missing("map content", error.to_string(), "build it again, or copy it again"),
    });
    findings.extend(regions);
    if let Some((model, head)) = used {
        findings.push(match MapIndex::load(&map, model, head) {
            Ok(index) => {
                let cells: usize = index.levels.iter().map(|level| level.cells.len()).sum();
                Finding::ok("map index", format!("of model {}, {} levels, {cells} cells", model.name, index.levels.len()))
            }
            // Not missing: `replay` computes an index that is not there.
            Err(error @ IndexError::Missing { .. }) => Finding::absent("map index", error.to_string(), ""),
            Err(error) => Finding::missing("map index", error.to_string(), format!("skyfix map index {}", shell_word(path))),
        });
    }
    findings
}

#[cfg(feature = "gst")]
mod video {
    use super::{Finding, SETUP};

    /// Elements with what each is for.
    const ELEMENTS: [(&str, &str); 20] = [
        ("filesrc", "video files"),
        ("urisourcebin", "video from addresses"),
        ("parsebin", "every video"),
        ("decodebin", "every video"),
        ("queue", "every video"),
        ("videoconvert", "every video"),
        ("videoscale", "every video"),
        ("videoflip", "every video"),
        ("appsink", "every video"),
        ("qtdemux", "MP4 files"),
        ("matroskademux", "Matroska files"),
        ("tsdemux", "MPEG-TS"),
        ("rtspsrc", "network cameras"),
        ("udpsrc", "MPEG-TS and RTP streams"),
        ("v4l2src", "cameras of this machine"),
        ("h264parse", "H.264"),
        ("avdec_h264", "H.264"),
        ("matroskamux", "recording video"),
        ("avenc_ffv1", "recording raw video"),
        ("openh264enc", "skyfix simulate --video"),
    ];

    pub fn check() -> Vec<Finding> {
        if let Err(error) = gstreamer::init() {
            return vec![Finding::missing("GStreamer", error.to_string(), SETUP)];
        }
        let mut findings = vec![Finding::ok("GStreamer", gstreamer::version_string().to_string())];
        let (there, missing): (Vec<_>, Vec<_>) =
            ELEMENTS.into_iter().partition(|(name, _)| gstreamer::ElementFactory::find(name).is_some());
        let names = |elements: &[(&str, &str)]| elements.iter().map(|e| e.0).collect::<Vec<_>>().join(", ");
        if !there.is_empty() {
            findings.push(Finding::ok("GStreamer elements", names(&there)));
        }
        let lacking = |(name, purpose): (&str, &str)| {
            Finding::missing(format!("GStreamer {name}"), format!("not installed; for {purpose}"), SETUP)
        };
        findings.extend(missing.into_iter().map(lacking));
        findings
    }
}

#[cfg(not(feature = "gst"))]
mod video {
    use super::Finding;

    pub fn check() -> Vec<Finding> {
        vec![Finding::absent("GStreamer", "this build has no video (feature gst)", "")]
    }
}

#[cfg(feature = "onnx")]
mod inference {
    use ort::ep::{CUDA, ExecutionProvider};
    use skyfix::models::runtime;

    use super::{Finding, SETUP};

    pub fn check() -> Vec<Finding> {
        let advice = SETUP.to_owned() + ", or set ORT_DYLIB_PATH to libonnxruntime.so";
        let library = match runtime::find_library() {
            Ok(path) => path,
            Err(error) => return vec![Finding::missing("ONNX Runtime", error.to_string(), advice)],
        };
        let version = match runtime::version() {
            Ok(version) => version,
            Err(error) => return vec![Finding::missing("ONNX Runtime", error.to_string(), advice)],
        };
        // The build's description leaves the version out; the library's file name has it.
        let number =
            library.to_string_lossy().split_once(".so.").map_or("not in its name".into(), |(_, number)| number.to_owned());
        let version = format!("{number}; {}", version.lines().next().unwrap_or_default());
        let has_cuda = CUDA::is_available().unwrap_or(false);
        let cuda = if has_cuda {
            Finding::ok("--device cuda", "the library has the CUDA provider; whether a GPU is usable shows when it is asked for")
        } else {
            let advice = "only needed for --device cuda: set ORT_DYLIB_PATH to the library of the onnxruntime-gpu wheel";
            Finding::absent("--device cuda", "the library has no CUDA provider", advice)
        };
        let providers = if has_cuda { "CPU, CUDA" } else { "CPU" };
        vec![
            Finding::ok("ONNX Runtime", library.display().to_string()),
            Finding::ok("ONNX Runtime version", version),
            Finding::ok("ONNX Runtime providers", providers),
            cuda,
        ]
    }
}

#[cfg(not(feature = "onnx"))]
mod inference {
    use super::Finding;

    pub fn check() -> Vec<Finding> {
        vec![Finding::missing("ONNX Runtime", "this build has no inference (feature onnx)", "build with the default features")]
    }
}
