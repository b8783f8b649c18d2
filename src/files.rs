//! Files that others name. What is no regular file is not read as one: a pipe nobody writes into never begins, a device never ends.

use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// What is neither a file nor a folder, and what to do about it.
pub const SPECIAL: &str = "a pipe, a socket or a device, not a file: copy what it gives into one";

/// Whether a path is a pipe, a socket or a device.
pub fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| special(&found))
}

fn special(found: &Metadata) -> bool {
    !found.is_file() && !found.is_dir()
}

/// Why a path is neither file nor folder.
pub fn why_nothing(path: &Path) -> &'static str {
    if is_special(path) { SPECIAL } else { "no such file or folder" }
}

/// Whether a path may be opened.
///
/// # Errors
/// When nothing is there, or what is neither file nor folder.
pub fn check(path: &Path) -> Result<()> {
    if special(&std::fs::metadata(path)?) { Err(Error::new(ErrorKind::InvalidInput, SPECIAL)) } else { Ok(()) }
}

/// Opens a file.
///
/// # Errors
/// When it cannot be opened, or is a special one.
pub fn open(path: &Path) -> Result<File> {
    check(path)?;
    File::open(path)
}

/// All bytes of a regular file.
///
/// # Errors
/// As [`open`], and when it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file in UTF-8.
///
/// # Errors
/// As [`read`], and when it is no text.
pub fn read_to_string(path: &Path) -> Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_begins_or_never_ends_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, socket) = (folder.path().join("a.txt"), folder.path().join("link"), folder.path().join("socket"));
        std::fs::write(&file, "1").unwrap();
        assert_eq!((read(&file).unwrap(), read_to_string(&file).unwrap()), (b"1".to_vec(), "1".to_owned()));
        assert_eq!(read(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        #[cfg(unix)]
        {
            let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
            for special in [&socket, &link] {
                assert_eq!(read(special).unwrap_err().to_string(), SPECIAL);
            }
        }
    }
}
