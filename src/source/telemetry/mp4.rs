//! What an MP4 or QuickTime file holds beside its picture: its length, the kinds of its tracks, and subtitles inside.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::files;
use crate::time::NANOS_PER_SEC;

/// The table of contents is no longer than this, bytes.
const MAX_CONTENTS_BYTES: u64 = 256 << 20;
/// Subtitles of a file: four hours at sixty a second; each no longer than this, bytes.
const MAX_SUBTITLES: usize = 1_000_000;
const MAX_SUBTITLE_BYTES: usize = 16 << 10;
/// Boxes of the whole file that are looked at.
const MAX_BOXES: usize = 10_000;

/// A file's table of contents.
#[derive(Debug, Default, PartialEq)]
pub struct Contents {
    /// Length of the whole, nanoseconds.
    pub duration_ns: Option<i64>,
    /// Kinds of samples, one a track: `avc1`, `tx3g`, `djmd`.
    pub kinds: Vec<[u8; 4]>,
    moov: Vec<u8>,
}

/// Reads a file's table of contents; `None` where it is no such file or has none.
pub fn contents(path: &Path) -> Option<Contents> {
    let mut file = files::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut at = 0u64;
    for _ in 0..MAX_BOXES {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut head[..8]).ok()?;
        let (mut size, mut header) = (u64::from(u32_at(&head, 0)?), 8);
        if size == 1 {
            file.read_exact(&mut head[8..]).ok()?;
            (size, header) = (u64::from_be_bytes(head[8..].try_into().ok()?), 16);
        } else if size == 0 {
            size = length - at;
        }
        let end = at.checked_add(size).filter(|_| size >= header)?;
        if &head[4..8] == b"moov" {
            let mut moov = Vec::new();
            file.take((size - header).min(MAX_CONTENTS_BYTES)).read_to_end(&mut moov).ok()?;
            return Some(parse(moov));
        }
        if end >= length || !head[4..8].iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
            return None;
        }
        at = end;
    }
    None
}

fn parse(moov: Vec<u8>) -> Contents {
    let duration = child(&moov, b"mvhd").and_then(seconds).filter(|s| *s > 0.0);
    let kinds =
        tracks(&moov).filter_map(|trak| child_of(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?.get(12..16)?.try_into().ok());
    Contents { duration_ns: duration.map(crate::time::nanos_from_seconds), kinds: kinds.collect(), moov }
}

/// Length of a header box (`mvhd`, `mdhd`), seconds.
fn seconds(header: &[u8]) -> Option<f64> {
    let (timescale, duration) = match header.first()? {
        0 => (u32_at(header, 12)?, u64::from(u32_at(header, 16)?)),
        _ => (u32_at(header, 20)?, u64_at(header, 24)?),
    };
    (timescale > 0).then(|| duration as f64 / f64::from(timescale))
}

impl Contents {
    /// Whether a track of subtitles is there that is not read here, and what it is called.
    pub fn other_subtitles(&self) -> Option<String> {
        let other = [b"text", b"sbtl", b"wvtt", b"stpp"];
        self.kinds.iter().find(|k| other.contains(k)).map(|k| String::from_utf8_lossy(k).into_owned())
    }

    /// Tracks of a maker's own telemetry, in words.
    pub fn telemetry(&self) -> Option<&'static str> {
        self.kinds.iter().find_map(|kind| match kind {
            b"gpmd" => Some("GoPro's telemetry (GPMF)"),
            b"djmd" => Some("DJI's telemetry (djmd)"),
            b"camm" => Some("camera motion metadata (camm)"),
            b"rtmd" => Some("Sony's telemetry (rtmd)"),
            b"mebx" | b"mett" => Some("timed metadata"),
            _ => None,
        })
    }

    /// The texts of the first track of subtitles, each with its time, nanoseconds.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn subtitles(&self, path: &Path) -> std::io::Result<Vec<(i64, String)>> {
        let Some(trak) = tracks(&self.moov)
            .find(|t| child_of(t, &[b"mdia", b"minf", b"stbl", b"stsd"]).is_some_and(|s| s.get(12..16) == Some(b"tx3g")))
        else {
            return Ok(Vec::new());
        };
        let samples = samples(trak).unwrap_or_default();
        let mut file = files::open(path)?;
        let mut out = Vec::new();
        for Sample { at, length, time_ns } in samples {
            if !(3..=MAX_SUBTITLE_BYTES).contains(&length) {
                continue;
            }
            file.seek(SeekFrom::Start(at))?;
            let mut bytes = vec![0; length];
            if file.read_exact(&mut bytes).is_err() {
                // The end of a file that was cut off.
                break;
            }
            let text = usize::from(u16::from_be_bytes([bytes[0], bytes[1]])).min(length - 2);
            out.push((time_ns, String::from_utf8_lossy(&bytes[2..2 + text]).into_owned()));
        }
        Ok(out)
    }
}

struct Sample {
    at: u64,
    length: usize,
    time_ns: i64,
}

/// Where the samples of a track lie in the file, and when each begins.
fn samples(trak: &[u8]) -> Option<Vec<Sample>> {
    let mdhd = child_of(trak, &[b"mdia", b"mdhd"])?;
    let timescale = u32_at(mdhd, if *mdhd.first()? == 0 { 12 } else { 20 }).filter(|t| *t > 0)?;
    let table = child_of(trak, &[b"mdia", b"minf", b"stbl"])?;
    let (stsz, stsc, stts) = (child(table, b"stsz")?, child(table, b"stsc")?, child(table, b"stts")?);
    let wide = child(table, b"co64");
    let offsets = wide.or_else(|| child(table, b"stco"))?;
    let (same, count) = (u32_at(stsz, 4)?, (u32_at(stsz, 8)? as usize).min(MAX_SUBTITLES));
    let mut durations = (0..u32_at(stts, 4)? as usize).map_while(|i| Some((u32_at(stts, 8 + 8 * i)?, u32_at(stts, 12 + 8 * i)?)));
    let mut runs =
        (0..u32_at(stsc, 4)? as usize).map_while(|i| Some((u32_at(stsc, 8 + 12 * i)?, u32_at(stsc, 12 + 12 * i)?))).peekable();
    let (mut out, mut in_chunk, mut now) = (Vec::new(), 0, 0i64);
    let (mut left, mut step) = (0, 0);
    for chunk in 0..u32_at(offsets, 4)? {
        while let Some((_, per_chunk)) = runs.next_if(|(first, _)| *first <= chunk + 1) {
            in_chunk = per_chunk;
        }
        let mut at = match wide {
            Some(co64) => u64_at(co64, 8 + 8 * chunk as usize)?,
            None => u64::from(u32_at(offsets, 8 + 4 * chunk as usize)?),
        };
        for _ in 0..in_chunk {
            if out.len() >= count {
                return Some(out);
            }
            let length = if same > 0 { same } else { u32_at(stsz, 12 + 4 * out.len())? };
            while left == 0 {
                (left, step) = durations.next()?;
            }
            left -= 1;
            let time_ns = i64::try_from(i128::from(now) * i128::from(NANOS_PER_SEC) / i128::from(timescale)).ok()?;
            out.push(Sample { at, length: length as usize, time_ns });
            now += i64::from(step);
            at = at.checked_add(u64::from(length))?;
        }
    }
    Some(out)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The boxes within a box, each with its kind.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let kind: [u8; 4] = rest.get(4..8)?.try_into().ok()?;
        let (size, header) = match u32_at(rest, 0)? {
            0 => (rest.len(), 8),
            1 => (usize::try_from(u64_at(rest, 8)?).ok()?, 16),
            size => (size as usize, 8),
        };
        let content = rest.get(header..size)?;
        rest = &rest[size..];
        Some((kind, content))
    })
}

fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(k, _)| k == kind).map(|(_, content)| content)
}

fn child_of<'a>(bytes: &'a [u8], kinds: &[&[u8; 4]]) -> Option<&'a [u8]> {
    kinds.iter().try_fold(bytes, |inside, kind| child(inside, kind))
}

fn tracks(moov: &[u8]) -> impl Iterator<Item = &[u8]> {
    boxes(moov).filter(|(kind, _)| kind == b"trak").map(|(_, content)| content)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrap(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes(), &kind[..], content].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    /// A file with subtitles inside, a fifth of a second each, and a track of a kind.
    pub(crate) fn with_subtitles(texts: &[&str], kind: &[u8; 4]) -> Vec<u8> {
        let mut out = wrap(b"ftyp", b"isom\0\0\0\0");
        let mut data = Vec::new();
        let sizes: Vec<u32> = texts
            .iter()
            .map(|text| {
                data.extend((text.len() as u16).to_be_bytes());
                data.extend(text.as_bytes());
                text.len() as u32 + 2
            })
            .collect();
        let first = out.len() as u32 + 8;
        out.extend(wrap(b"mdat", &data));
        let n = texts.len() as u32;
        let track = |kind: &[u8; 4]| {
            let stsd = wrap(b"stsd", &[words(&[0, 1, 16]), kind.to_vec(), vec![0; 8]].concat());
            let stbl = [
                stsd,
                wrap(b"stts", &words(&[0, 1, n, 200])),
                wrap(b"stsc", &words(&[0, 1, 1, n, 1])),
                wrap(b"stsz", &[words(&[0, 0, n]), words(&sizes)].concat()),
                wrap(b"stco", &words(&[0, 1, first])),
            ];
            let minf = wrap(b"minf", &wrap(b"stbl", &stbl.concat()));
            let mdhd = wrap(b"mdhd", &words(&[0, 0, 0, 1000, 200 * n, 0]));
            wrap(b"trak", &wrap(b"mdia", &[mdhd, minf].concat()))
        };
        let mvhd = wrap(b"mvhd", &words(&[0, 0, 0, 1000, 200 * n, 0]));
        out.extend(wrap(b"moov", &[mvhd, track(kind), track(b"tx3g")].concat()));
        out
    }

    fn read(bytes: &[u8]) -> Option<(Contents, Vec<(i64, String)>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.mp4");
        std::fs::write(&path, bytes).unwrap();
        let contents = contents(&path)?;
        let subtitles = contents.subtitles(&path).unwrap();
        Some((contents, subtitles))
    }

    #[test]
    fn length_kinds_and_subtitles_are_read() {
        let (contents, subtitles) = read(&with_subtitles(&["one", "two", ""], b"djmd")).unwrap();
        assert_eq!((contents.duration_ns, contents.telemetry()), (Some(600_000_000), Some("DJI's telemetry (djmd)")));
        assert_eq!(contents.kinds, [*b"djmd", *b"tx3g"]);
        assert_eq!(subtitles, [(0, "one".to_owned()), (200_000_000, "two".to_owned())]);
        assert!(read(b"hello, this is no video").is_none() && read(b"").is_none());
    }

    proptest! {
        #[test]
        fn mutated_and_cut_files_are_no_crash(changes in prop::collection::vec((0usize..600, any::<u8>()), 0..6), cut in 0usize..600) {
            let mut whole = with_subtitles(&["[rel_alt: 1.0]", "two"], b"avc1");
            let length = whole.len();
            changes.iter().for_each(|(at, to)| whole[at % length] = *to);
            read(&whole);
            read(&whole[..cut % length]);
        }
    }
}
