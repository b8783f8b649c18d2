//! The files of a folder of photos: which of them are photos, by what they hold, and what was left out.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::recording::FileError;
use crate::types::{Inputs, Standing};

/// Endings of files that are taken for photos, whatever of these formats they hold.
const PHOTOS: [&str; 9] = ["jpg", "jpeg", "jpe", "jfif", "png", "tif", "tiff", "webp", ""];
const RAW: [&str; 14] = ["dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "gpr", "pef", "srw", "3fr", "iiq", "raw"];
/// Videos, and the small copies of them that cameras keep.
pub const VIDEOS: [&str; 11] = ["mp4", "mov", "mkv", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "m4v", "webm"];
const PREVIEWS: [&str; 4] = ["thm", "lrv", "lrf", "scr"];
/// What systems and programs leave in folders.
const LITTER: [&str; 6] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"];
const LITTER_FOLDERS: [&str; 5] = ["__macosx", "@eadir", "$recycle.bin", "system volume information", "lost.dir"];
/// Files that are named of each kind that is left out.
const NAMED: usize = 3;
/// A photo is no longer than this, bytes.
const MAX_PHOTO_BYTES: u64 = 1 << 30;

/// A file that is a photo by its content.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Path relative to the folder, with `/`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// What a file is by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Photo,
    Heif,
    Other,
}

fn content(path: &Path) -> std::io::Result<Content> {
    let mut head = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut head)?;
    let brand = head.get(8..12).unwrap_or_default();
    let heif =
        head.get(4..8) == Some(b"ftyp") && [b"heic", b"heix", b"mif1", b"msf1", b"avif", b"hevc"].iter().any(|b| *b == brand);
    let photo = head.starts_with(&[0xff, 0xd8, 0xff])
        || head.starts_with(b"\x89PNG\r\n\x1a\n")
        || head.starts_with(b"II*\0")
        || head.starts_with(b"MM\0*")
        || head.starts_with(b"RIFF") && brand == b"WEBP";
    Ok(if photo {
        Content::Photo
    } else if heif {
        Content::Heif
    } else {
        Content::Other
    })
}

/// Whether an ending, in lower case, is one of photos.
#[cfg(feature = "gst")]
pub fn is_photo_ending(ending: &str) -> bool {
    !ending.is_empty() && PHOTOS.contains(&ending)
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn is_litter(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy().to_lowercase();
    let list: &[&str] = if entry.file_type().is_dir() { &LITTER_FOLDERS } else { &LITTER };
    entry.depth() > 0 && (name.starts_with('.') || list.contains(&name.as_str()))
}

fn name_in(folder: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(folder).unwrap_or(path);
    inside.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Why files are left out, with the first of each.
#[derive(Default)]
struct LeftOut(BTreeMap<&'static str, (u64, Vec<String>)>);

impl LeftOut {
    fn add(&mut self, why: &'static str, name: String) {
        let (count, names) = self.0.entry(why).or_default();
        *count += 1;
        if names.len() < NAMED {
            names.push(name);
        }
    }

    fn tell(self, said: &mut Inputs) {
        for (why, (count, names)) in self.0 {
            let more = if count > names.len() as u64 { ", …" } else { "" };
            said.add("files", Standing::LeftOut, count, format!("{} ({}{more})", why, names.join(", ")));
        }
    }
}

/// Photos of a folder and below it, in the order of their names, by what they hold and not by what they are called; and the videos there.
///
/// # Errors
/// When the folder cannot be read.
pub fn candidates(folder: &Path, said: &mut Inputs) -> Result<(Vec<Candidate>, Vec<PathBuf>), FileError> {
    let (mut photos, mut videos, mut raws, mut left_out) = (Vec::new(), Vec::new(), Vec::new(), LeftOut::default());
    let mut litter = 0;
    let mut walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) if e.depth() == 0 => {
                let source = e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links"));
                return Err(FileError::Io { path: folder.into(), source });
            }
            Err(e) => {
                let name = e.path().map_or_else(String::new, |p| name_in(folder, p));
                left_out.add("links that lead nowhere or round in a circle, or what may not be read", name);
                continue;
            }
        };
        if is_litter(&entry) {
            litter += 1;
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        if entry.file_type().is_dir() {
            continue;
        }
        let (path, name) = (entry.path(), name_in(folder, entry.path()));
        if !entry.file_type().is_file() {
            left_out.add("no regular files: pipes, sockets, devices", name);
            continue;
        }
        let ending = ending(path);
        if RAW.contains(&ending.as_str()) {
            raws.push(name);
            continue;
        }
        if VIDEOS.contains(&ending.as_str()) {
            videos.push(path.to_path_buf());
            continue;
        }
        let is_photo = PHOTOS.contains(&ending.as_str());
        if entry.metadata().is_ok_and(|m| m.len() > MAX_PHOTO_BYTES) && is_photo {
            left_out.add("larger than 1 GiB: no photo", name);
            continue;
        }
        match content(path) {
            Ok(Content::Photo) if is_photo => photos.push(Candidate { name, path: path.into() }),
            Ok(Content::Photo) if PREVIEWS.contains(&ending.as_str()) => left_out.add("small copies that a camera keeps", name),
            Ok(Content::Photo) => {
                left_out.add("photos by what they hold, not by their ending; rename those that belong to the flight", name)
            }
            Ok(Content::Heif) => left_out.add("HEIF is not read; convert it: heif-convert FILE FILE.jpg", name),
            // A photo that was cut off, or written over: its row says that it cannot be read.
            Ok(Content::Other) if is_photo && !ending.is_empty() => photos.push(Candidate { name, path: path.into() }),
            Ok(Content::Other) => {}
            Err(_) => left_out.add("links that lead nowhere or round in a circle, or what may not be read", name),
        }
    }
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_lowercase();
    let stems: HashSet<String> = photos.iter().map(|p| stem(&p.name)).collect();
    for raw in raws {
        let why = if stems.contains(&stem(&raw)) {
            "raw photos beside photos of the same name"
        } else {
            "raw photos are not read; take the JPEG out of them: exiftool -b -JpgFromRaw -w .jpg -ext dng FOLDER (or -PreviewImage)"
        };
        left_out.add(why, raw);
    }
    if litter > 0 {
        said.add("files", Standing::LeftOut, litter, "what systems leave behind (._…, .DS_Store, Thumbs.db, __MACOSX)");
    }
    left_out.tell(said);
    Ok((photos, videos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 0, 16];

    #[test]
    fn photos_are_what_they_hold_and_what_is_left_out_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "A.JPG",
            "b.Jpg",
            "c.png",
            "d",
            "e.tif",
            "._A.JPG",
            "A.JPG_original",
            "A.DNG",
            "X.DNG",
            "v.THM",
            "__MACOSX/._A.JPG",
            ".x/y.jpg",
        ] {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), JPEG).unwrap();
        }
        std::fs::write(at("Thumbs.db"), b"\xd0\xcf").unwrap();
        std::fs::write(at("notes.txt"), "hello").unwrap();
        std::fs::write(at("broken.jpg"), "").unwrap();
        std::fs::write(at("i.heic"), b"\0\0\0\x18ftypheic\0\0\0\0").unwrap();
        std::fs::write(at("v.MP4"), b"\0\0\0\x18ftypisom").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("nowhere.jpg"), at("dangling.jpg")).unwrap();
            std::os::unix::net::UnixListener::bind(at("socket.jpg")).unwrap();
        }
        let mut said = Inputs::default();
        let (photos, videos) = candidates(folder.path(), &mut said).unwrap();
        let names: Vec<&str> = photos.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["A.JPG", "b.Jpg", "broken.jpg", "c.png", "d", "e.tif"]);
        assert_eq!(videos, [at("v.MP4")]);
        let lines: Vec<String> = said.iter().map(ToString::to_string).collect();
        let told = |part: &str| lines.iter().any(|l| l.contains(part));
        for part in [
            "4: what systems leave",
            "beside photos of the same name (A.DNG)",
            "exiftool",
            "(X.DNG)",
            "(A.JPG_original)",
            "HEIF",
            "(v.THM)",
        ] {
            assert!(told(part), "{part}: {lines:#?}");
        }
        #[cfg(unix)]
        assert!(told("lead nowhere") && told("(socket.jpg)"), "{lines:#?}");
        assert!(!told("notes.txt"));
        assert!(candidates(&at("absent"), &mut said).is_err());
    }
}
