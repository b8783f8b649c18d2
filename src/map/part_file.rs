//! A file in the making beside the one that it will become: its name is nobody else's, it is on disk before it takes its place, and those that
//! killed processes left behind are tidied up.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A name beside `out` for a file in the making.
pub(crate) fn beside(out: &Path) -> Option<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = out.file_name()?.to_string_lossy().into_owned();
    tidy(out, &name);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    Some(out.with_file_name(format!("{name}.part-{}-{number}", std::process::id())))
}

/// Moves a finished file to its place, once it is on disk.
pub(crate) fn finish(part: &Path, out: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    std::fs::rename(part, out)?;
    // The new name is on disk with its folder; where folders cannot be opened they need not be.
    if let Ok(folder) = File::open(folder_of(out)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes files in the making whose process is gone. What cannot be removed does no harm.
fn tidy(out: &Path, name: &str) {
    for entry in std::fs::read_dir(folder_of(out)).into_iter().flatten().flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let Some(of) = found.strip_prefix(name).and_then(|rest| rest.strip_prefix(".part-")) else { continue };
        let process = of.split('-').next().and_then(|id| id.parse::<u32>().ok());
        if process.is_some_and(|id| id != std::process::id() && !is_running(id)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(target_os = "linux")]
fn is_running(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(not(target_os = "linux"))]
fn is_running(_: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_shared_and_what_killed_processes_left_goes() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a.mbtiles");
        let left = folder.path().join("a.mbtiles.part-999999999-0");
        let other = folder.path().join("ab.mbtiles.part-999999999-0");
        for path in [&left, &other] {
            std::fs::write(path, "half").unwrap();
        }
        let (a, b) = (beside(&out).unwrap(), beside(&out).unwrap());
        assert_ne!(a, b);
        assert!(cfg!(not(target_os = "linux")) || !left.exists());
        assert!(other.exists());
        std::fs::write(&a, "whole").unwrap();
        finish(&a, &out).unwrap();
        assert!(!a.exists() && std::fs::read(&out).unwrap() == b"whole");
    }
}
