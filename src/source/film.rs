//! What belongs to a video file: the parts that a camera split it into, and the telemetry beside and inside of it.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::listing::{self, VIDEOS};
use super::telemetry::srt::{self, SrtTelemetry};
use super::telemetry::{foreign, mp4};
use crate::files;
use crate::recording::{FileError, sidecars};
use crate::text::shell_word;
use crate::time::NANOS_PER_SEC;
use crate::types::{Inputs, Standing};

/// A clock that says that a part begins so much before the one before ends is not the clock of both.
const MOST_OVERLAP_NS: i64 = NANOS_PER_SEC / 2;
/// Parts of a flight lie no further apart.
const MOST_APART_NS: i64 = 86_400 * NANOS_PER_SEC;

/// A video with what came along.
#[derive(Debug, Default)]
pub struct Film {
    /// Its files in order where it is a folder of them, each with the time at which it begins where that is known, nanoseconds.
    pub parts: Vec<(PathBuf, Option<i64>)>,
    /// What lay beside and inside, unless telemetry was given.
    pub telemetry: SrtTelemetry,
    /// What was taken and what was not.
    pub inputs: Inputs,
}

/// Whether a folder holds videos and no photos.
pub fn holds_only_videos(folder: &Path) -> bool {
    let mut videos = false;
    for entry in WalkDir::new(folder).max_depth(4).into_iter().filter_map(Result::ok).filter(|e| e.file_type().is_file()) {
        let ending = entry.path().extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if listing::is_photo_ending(&ending) {
            return false;
        }
        videos |= VIDEOS.contains(&ending.as_str());
    }
    videos
}

/// A video file, or a folder of the parts of one. `given`: whether telemetry was given, so that what lies beside is not asked.
///
/// # Errors
/// When a folder holds no videos, or how its parts follow each other is not known.
pub fn of(path: &Path, given: bool) -> Result<Film, FileError> {
    if path.is_dir() {
        return of_folder(path, given);
    }
    let mut film = Film::default();
    if given || !path.is_file() {
        return Ok(film);
    }
    let contents = mp4::contents(path);
    if let Some(inside) = inside(path, contents.as_ref(), &mut film.inputs) {
        film.telemetry = inside;
    } else if let Some(words) = foreign::inside(path, contents.as_ref()) {
        film.inputs.count("files", Standing::LeftOut, words);
    }
    if let Some(beside) = subtitles_beside(path) {
        film.inputs.count(
            "files",
            Standing::LeftOut,
            format!("{} lies beside the video; give it as `telemetry.sidecars`", beside.display()),
        );
    }
    Ok(film)
}

/// The file of subtitles of a video's own name.
fn subtitles_beside(video: &Path) -> Option<PathBuf> {
    ["SRT", "srt", "Srt"].map(|ending| video.with_extension(ending)).into_iter().find(|p| p.is_file())
}

/// Telemetry of the subtitles inside a video, where there are any.
fn inside(video: &Path, contents: Option<&mp4::Contents>, said: &mut Inputs) -> Option<SrtTelemetry> {
    let texts = contents?.subtitles(video).ok().filter(|texts| !texts.is_empty())?;
    let count = texts.len() as u64;
    match srt::of_texts(texts) {
        Ok(telemetry) => {
            said.add("files", Standing::Taken, count, format!("subtitles inside {}", video.display()));
            Some(telemetry)
        }
        Err(reason) => {
            said.add("files", Standing::LeftOut, count, format!("subtitles inside {}: {reason}", video.display()));
            None
        }
    }
}

fn of_folder(folder: &Path, given: bool) -> Result<Film, FileError> {
    let mut film = Film::default();
    let (_, videos) = listing::candidates(folder, &mut Inputs::default())?;
    if videos.is_empty() {
        let reason = format!("no videos (.{}) in this folder or below it", VIDEOS.join(", ."));
        return Err(FileError::Nothing { path: folder.into(), reason });
    }
    let mut starts: Vec<Option<i64>> = vec![Some(0)];
    let mut known: Vec<Option<SrtTelemetry>> = Vec::new();
    let mut lengths = Vec::new();
    for video in &videos {
        let contents = mp4::contents(video);
        let telemetry = match subtitles_beside(video).filter(|_| !given) {
            Some(beside) => Some(srt::read(&beside)?),
            None if !given => inside(video, contents.as_ref(), &mut film.inputs),
            None => None,
        };
        lengths.push(contents.and_then(|c| c.duration_ns).or(telemetry.as_ref().and_then(|t| t.ends_ns)));
        known.push(telemetry);
    }
    let clocks: Option<Vec<i64>> = known.iter().map(|t| t.as_ref()?.begins_at_ns).collect();
    let gaps = |clocks: &[i64]| -> Option<Vec<i64>> {
        clocks.windows(2).zip(&lengths).map(|(w, length)| w[1].checked_sub(w[0])?.checked_sub((*length)?)).collect()
    };
    let by_clock =
        clocks.as_ref().filter(|c| gaps(c).is_some_and(|g| g.iter().all(|g| (-MOST_OVERLAP_NS..MOST_APART_NS).contains(g))));
    for i in 1..videos.len() {
        let next = match by_clock {
            Some(clocks) => clocks[i].checked_sub(clocks[0]),
            None => starts[i - 1].zip(lengths[i - 1]).and_then(|(start, length)| start.checked_add(length)),
        };
        if next.is_none() && (given || known[i].is_some()) {
            let video = &videos[i - 1];
            let ending = video.extension().unwrap_or_default().to_string_lossy();
            let reason = format!(
                "how long {} lasts is not known, so the telemetry of what follows has no time; join the parts and give what comes of it: \
                 (cd {} && printf \"file '%s'\\n\" *.{ending} > parts.txt && ffmpeg -f concat -safe 0 -i parts.txt -c copy ../joined.mkv)",
                video.display(),
                shell_word(folder)
            );
            return Err(FileError::Bad { path: folder.into(), line: None, reason });
        }
        starts.push(next);
    }
    let names: Vec<String> = videos.iter().take(4).filter_map(|v| Some(v.file_name()?.to_string_lossy().into_owned())).collect();
    let more = if videos.len() > 4 { ", …" } else { "" };
    let how = match (by_clock.is_some(), clocks.is_some()) {
        _ if videos.len() == 1 => "",
        (true, _) => ", at the times that their subtitles state",
        (false, true) => {
            ", one right after the other: the times that their subtitles state contradict that they are parts of one"
        }
        (false, false) => ", one right after the other",
    };
    film.inputs.add(
        "files",
        Standing::Taken,
        videos.len() as u64,
        format!("videos read as one flight in the order of their names: {}{more}{how}", names.join(", ")),
    );
    let subtitles = known.iter().flatten().count();
    if subtitles > 0 {
        film.inputs.add("files", Standing::Taken, subtitles as u64, "subtitles of the videos");
    }
    for (telemetry, start) in known.into_iter().zip(&starts) {
        if let Some(telemetry) = telemetry {
            film.telemetry.append(telemetry.shifted(start.unwrap_or(0)));
        }
    }
    film.parts = videos.into_iter().zip(starts).collect();
    Ok(film)
}

/// Telemetry of files: a folder with sidecars, one of them, subtitles, or a video with subtitles inside.
///
/// # Errors
/// When there is no such file, or it holds no telemetry.
pub fn telemetry(path: &Path) -> Result<SrtTelemetry, FileError> {
    let samples = |samples| SrtTelemetry { samples, ..SrtTelemetry::default() };
    let nothing = |reason: String| Err(FileError::Nothing { path: path.into(), reason });
    let names = sidecars::NAMES.join(", ");
    if path.is_dir() {
        let read = sidecars::read(path, 0)?;
        if read.samples().next().is_none() {
            return nothing(format!("no telemetry in this folder: it holds none of {names}"));
        }
        return Ok(samples(read));
    }
    if !path.is_file() {
        return nothing(files::why_nothing(path).into());
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("srt")) {
        return srt::read(path);
    }
    if let Some(read) = sidecars::read_one(path) {
        return read.map(samples);
    }
    let contents = mp4::contents(path);
    let mut said = Inputs::default();
    if let Some(telemetry) = inside(path, contents.as_ref(), &mut said) {
        return Ok(telemetry);
    }
    let name = path.file_name().unwrap_or_default().display();
    let advice = foreign::advice(path).or_else(|| foreign::inside(path, contents.as_ref()));
    let why_not = said.iter().next().map(|i| i.words.clone()).or(advice);
    match why_not {
        Some(words) => nothing(words),
        None => nothing(format!("'{name}' is no telemetry; give {names}, their folder, or a .srt file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subtitles(date: &str, first_m: f64) -> String {
        let cue = |i: usize| {
            format!(
                "{}\n00:00:00,{}00 --> 00:00:00,{}00\n{date}\n[rel_alt: {:.1} abs_alt: 0.0]\n\n",
                i + 1,
                2 * i,
                2 * i + 2,
                first_m + i as f64
            )
        };
        (0..3).map(cue).collect()
    }

    fn heights(film: &Film) -> Vec<(i64, f64)> {
        film.telemetry.samples.height.iter().map(|h| (h.stamp_ns / 1_000_000, h.height_agl_m)).collect()
    }

    fn folder(dates: [&str; 2]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (i, date) in dates.iter().enumerate() {
            std::fs::write(at(&format!("DJI_000{}.MP4", i + 1)), mp4::tests::with_subtitles(&["x"; 5], b"avc1")).unwrap();
            std::fs::write(at(&format!("DJI_000{}.SRT", i + 1)), subtitles(date, 50.0 + 10.0 * i as f64)).unwrap();
        }
        folder
    }

    #[test]
    fn parts_follow_each_other_by_their_lengths_or_by_the_clock_of_their_subtitles() {
        let same = folder(["2024-06-19 10:00:00.000"; 2]);
        let film = of(same.path(), false).unwrap();
        assert_eq!(film.parts.iter().map(|p| p.1).collect::<Vec<_>>(), [Some(0), Some(1_000_000_000)]);
        assert_eq!(heights(&film), [(0, 50.0), (200, 51.0), (400, 52.0), (1000, 60.0), (1200, 61.0), (1400, 62.0)]);
        let words = film.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(words.contains("DJI_0001.MP4, DJI_0002.MP4, one right after the other: the times"), "{words}");
        let clock = folder(["2024-06-19 10:00:00.000", "2024-06-19 10:00:03.500"]);
        assert_eq!(of(clock.path(), false).unwrap().parts[1].1, Some(3_500_000_000));
        assert!(of(clock.path(), true).unwrap().telemetry.samples.height.is_empty(), "telemetry is given");
        assert!(holds_only_videos(clock.path()));
        std::fs::write(clock.path().join("a.JPG"), "").unwrap();
        assert!(!holds_only_videos(clock.path()));
    }

    #[test]
    fn a_part_of_unknown_length_is_an_error_with_the_command_that_joins_them() {
        let folder = folder(["2024-06-19 10:00:00.000"; 2]);
        std::fs::write(folder.path().join("DJI_0001.MP4"), "no video").unwrap();
        std::fs::remove_file(folder.path().join("DJI_0001.SRT")).unwrap();
        let error = of(folder.path(), false).unwrap_err().to_string();
        assert!(error.contains("ffmpeg -f concat"), "{error}");
        assert!(of(tempfile::tempdir().unwrap().path(), false).unwrap_err().to_string().contains("no videos"));
    }

    #[test]
    fn subtitles_inside_are_read_and_those_beside_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("v.MP4");
        std::fs::write(&video, mp4::tests::with_subtitles(&["[rel_alt: 50.0 abs_alt: 1.0]"], b"avc1")).unwrap();
        let film = of(&video, false).unwrap();
        assert_eq!(heights(&film), [(0, 50.0)]);
        assert_eq!(telemetry(&video).unwrap().samples.height.len(), 1);
        std::fs::write(folder.path().join("v.SRT"), "").unwrap();
        let film = of(&video, false).unwrap();
        assert!(film.inputs.iter().any(|i| i.words.contains("v.SRT lies beside the video")));
        std::fs::write(&video, mp4::tests::with_subtitles(&["Hello."], b"avc1")).unwrap();
        assert!(telemetry(&video).unwrap_err().to_string().contains("subtitles inside"), "{:?}", telemetry(&video));
        assert!(telemetry(folder.path()).unwrap_err().to_string().contains("no telemetry in this folder"));
    }
}
