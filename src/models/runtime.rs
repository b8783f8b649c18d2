//! ONNX Runtime: finding its shared library and starting it once.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use ort::environment::Environment;

use super::{ModelError, variable};

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// The shared library: `ORT_DYLIB_PATH`, else the one that `make setup` put into the clone's virtual environment, looked for in
/// the folders above the executable and the working folder.
pub fn find_library() -> Result<PathBuf, ModelError> {
    if let Some(path) = variable("ORT_DYLIB_PATH").map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(ModelError::Runtime(format!("ORT_DYLIB_PATH names {}, which is not there", path.display())))
        };
    }
    let starts = [std::env::current_exe().ok().and_then(|p| p.canonicalize().ok()), std::env::current_dir().ok()];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .find_map(|folder| library_in(&folder.join(".venv/lib")))
        .ok_or_else(|| ModelError::Runtime("libonnxruntime.so not found in .venv of the clone".into()))
}

fn library_in(lib: &std::path::Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(lib)
        .ok()?
        .flatten()
        .filter_map(|python| std::fs::read_dir(python.path().join("site-packages/onnxruntime/capi")).ok())
        .flatten()
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(|name| name.starts_with("libonnxruntime.so")))
        .collect();
    found.sort();
    found.pop()
}

/// The process's environment, started at the first call.
pub fn environment() -> Result<&'static Environment, ModelError> {
    let _one_at_a_time = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let library = find_library()?;
    let failed = |e: String| ModelError::Runtime(format!("{}: {e}", library.display()));
    let environment = ort::init_from(&library)
        .map_err(|e| failed(e.to_string()))?
        .with_name("skyfix")
        .with_telemetry(false)
        .build()
        .map_err(|e| failed(e.to_string()))?;
    environment.set_log_level(ort::logging::LogLevel::Error);
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// Build information of the library that is loaded.
pub fn version() -> Result<String, ModelError> {
    environment()?;
    Ok(ort::info().to_string())
}
