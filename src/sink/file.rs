//! Files of results. What lay in a file's place before stays until there is something to put there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::SinkError;
use crate::map::part_file;

/// A file that grows line by line, each of which is handed to the system at once: it is there whatever becomes of the process.
pub(super) struct Growing {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Growing {
    /// Puts a new file with its first lines, each with its line break, into the place of the old one.
    pub fn begin(path: &Path, lines: &str) -> Result<Self, SinkError> {
        let written = written(path, |file| file.write_all(lines.as_bytes()));
        written.map(|file| Self { path: path.into(), file }).map_err(|source| SinkError::Io { path: path.into(), source })
    }

    /// Appends a line; fails, too, where the file is not in its place any more, for nobody will find what goes there.
    pub fn line(&mut self, line: &str) -> Result<(), SinkError> {
        let appended = writeln!(self.file, "{line}").and_then(|()| self.file.flush());
        appended.map_err(|source| SinkError::Io { path: self.path.clone(), source }).and_then(|()| self.check())
    }

    /// Fails where the file is not in its place any more.
    pub fn check(&self) -> Result<(), SinkError> {
        self.is_in_place().map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }

    fn is_in_place(&self) -> io::Result<()> {
        let there = std::fs::metadata(&self.path)?;
        if is_same(&there, &self.file.get_ref().metadata()?) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its place"))
    }
}

#[cfg(unix)]
fn is_same(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    true
}

/// Writes a file that appears only when it is complete and on disk.
pub(super) fn whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), SinkError> {
    written(path, write).map(drop).map_err(|source| SinkError::Io { path: path.into(), source })
}

/// Writes a file aside, and moves it to its place once it is on disk. What is no file but a device or a pipe is written to as it is.
fn written(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<BufWriter<File>> {
    let place = match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            let mut file = BufWriter::new(std::fs::OpenOptions::new().write(true).open(path)?);
            write(&mut file).and_then(|()| file.flush())?;
            return Ok(file);
        }
        // A link stays one.
        Ok(_) => std::fs::canonicalize(path)?,
        Err(_) => path.into(),
    };
    let part = part_file::beside(&place).ok_or(io::ErrorKind::InvalidFilename)?;
    let mut file = BufWriter::new(File::create_new(&part)?);
    let moved = write(&mut file).and_then(|()| file.flush()).and_then(|()| part_file::finish(&part, &place));
    if let Err(error) = moved {
        // The error that matters is the first.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lay_there_stays_until_the_first_lines_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
        std::fs::write(&target, "old").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&target, &path).unwrap();
        #[cfg(not(unix))]
        std::fs::copy(&target, &path).unwrap();
        assert!(whole(&path, |_| Err(io::Error::other("no"))).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut file = Growing::begin(&path, "x\n1\n").unwrap();
        file.line("2").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x\n1\n2\n");
        assert!(cfg!(not(unix)) || std::fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no part is left");
    }

    #[test]
    #[cfg(unix)]
    fn a_full_disk_a_file_that_is_gone_and_one_that_was_replaced_are_errors_that_name_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        if Path::new("/dev/full").exists() {
            std::os::unix::fs::symlink("/dev/full", &path).unwrap();
            let error = Growing::begin(&path, "x\n").err().unwrap().to_string();
            assert!(error.contains("a.csv") && error.contains("No space"), "{error}");
            std::fs::remove_file(&path).unwrap();
        }
        let mut file = Growing::begin(&path, "x\n").unwrap();
        std::fs::rename(&path, folder.path().join("b.csv")).unwrap();
        assert!(file.line("1").unwrap_err().to_string().contains("a.csv"));
        std::fs::write(&path, "other").unwrap();
        assert!(file.line("1").unwrap_err().to_string().contains("taken its place"));
        let nowhere = folder.path().join("nowhere").join("a.csv");
        assert!(Growing::begin(&nowhere, "x\n").err().unwrap().to_string().contains("nowhere"));
    }
}
