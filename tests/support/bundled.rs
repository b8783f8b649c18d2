//! The bundled flight, cut short, with its map indexed coarsely, so that tests can fly it in seconds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use skyfix::map::MapStore;
use skyfix::models::{DenseExtractor, Device, Manifest, OnnxDense};
use skyfix::retrieve::build::{IndexOptions, build_index};
use skyfix::retrieve::index_path;

pub const MODEL: &str = "skyfix-dense";
/// Frames of the bundled flight that these tests use.
pub const FRAMES: usize = 10;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The command, at the root of the repository, with a cache folder of these tests' own.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skyfix"));
    command
        .current_dir(root())
        .env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/", env!("CARGO_CRATE_NAME"), "-cache"));
    command
}

pub fn network() -> Box<dyn DenseExtractor> {
    let manifest = Manifest::read(&root().join("models/manifest.toml")).unwrap();
    Box::new(OnnxDense::load(&manifest, MODEL, Device::Cpu, 1).unwrap())
}

/// A folder with the first photos of the bundled flight, its telemetry, and its map indexed at 0.6 m/px: made once.
pub fn recording() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let from = root().join("recordings/demo");
        let to = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(to.join("photos")).unwrap();
        for entry in std::fs::read_dir(&from).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.extension().is_none_or(|e| e != "safetensors") {
                std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
        let mut photos: Vec<PathBuf> = std::fs::read_dir(from.join("photos")).unwrap().map(|e| e.unwrap().path()).collect();
        photos.sort();
        for photo in &photos[..FRAMES] {
            std::fs::copy(photo, to.join("photos").join(photo.file_name().unwrap())).unwrap();
        }
        let map = MapStore::open(&to.join("map.mbtiles")).unwrap();
        let options = IndexOptions { finest_gsd_m: Some(0.6), threads: 2 };
        let index = build_index(&map, &|| Ok(network()), &options, &|_, _| true).unwrap();
        index.save(&index_path(map.path(), MODEL)).unwrap();
        to
    })
}

pub fn map() -> String {
    recording().join("map.mbtiles").display().to_string()
}
