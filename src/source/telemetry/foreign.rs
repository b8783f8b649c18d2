//! Logs and videos whose telemetry is not read here: what each is, and how to come by files that are.

use std::io::Read;
use std::path::Path;

use super::mp4;
use crate::files;
use crate::text::shell_word;

/// What makes `height.csv` and `heading.csv` out of logs; it comes with the repository.
const CONVERTER: &str = "scripts/telemetry.py";
/// The start of a file that is looked at, bytes.
const HEAD_BYTES: u64 = 1 << 20;

/// What a file of telemetry is that is not read, and what to do about it; `None` where it is nothing known.
pub fn advice(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    files::open(path).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let (what, needs) = log(&ending, &head)?;
    let file = shell_word(path);
    Some(match needs {
        Needs::Airdata => format!(
            "it is {what}: upload it to airdata.com and download its CSV, then `python3 {CONVERTER} CSV telemetry` writes telemetry/height.csv and \
             telemetry/heading.csv"
        ),
        Needs::Module(module) => format!(
            "it is {what}: `python3 {CONVERTER} {file} telemetry` (in skyfix's repository{module}) writes telemetry/height.csv and, where it is known, \
             telemetry/heading.csv; give that folder"
        ),
    })
}

enum Needs {
    /// A module of Python, in words, or none.
    Module(&'static str),
    Airdata,
}

fn log(ending: &str, head: &[u8]) -> Option<(&'static str, Needs)> {
    let begins = |with: &[u8]| head.starts_with(with);
    let first_line =
        String::from_utf8_lossy(&head[..head.len().min(4000)]).lines().next().unwrap_or_default().to_ascii_lowercase();
    let pymavlink = Needs::Module("; pip install pymavlink");
    Some(match ending {
        _ if begins(b"ULog") => ("a log of PX4", Needs::Module("; pip install pyulog")),
        _ if begins(b"\x89MCAP") => ("a recording of ROS (MCAP)", Needs::Module("; pip install rosbags")),
        _ if begins(b"#ROSBAG") => ("a recording of ROS", Needs::Module("; pip install rosbags")),
        _ if begins(&[0xa3, 0x95]) || ending == "bin" => ("a log of ArduPilot", pymavlink),
        "tlog" | "rlog" => ("a log of MAVLink", pymavlink),
        "gpx" => ("a GPX track, whose heights are above sea level and which has no headings", Needs::Module("")),
        "klv" => ("KLV metadata (MISB 0601)", Needs::Module("; pip install klvdata")),
        "csv" if first_line.contains("height_above_takeoff") || first_line.contains("compass_heading") => {
            ("a table of Airdata or Litchi", Needs::Module(""))
        }
        "csv" if first_line.contains("osd.height") => ("a table of a DJI flight record", Needs::Module("")),
        "csv" if first_line.contains("altitude") && first_line.contains("latitude") => ("a table of a flight", Needs::Module("")),
        "txt" | "dat" if !head.is_ascii() => ("a flight record of DJI, which is encrypted", Needs::Airdata),
        _ => return None,
    })
}

/// What a video has inside that is not read, with what to do; `None` where there is nothing.
pub fn inside(video: &Path, contents: Option<&mp4::Contents>) -> Option<String> {
    let file = shell_word(video);
    let by_ffmpeg = |what: &str| {
        Some(format!("{what}: ffmpeg -i {file} -map 0:s:0 subtitles.srt takes them out; give that file as `telemetry.sidecars`"))
    };
    if let Some(kind) = contents.and_then(mp4::Contents::other_subtitles) {
        return by_ffmpeg(&format!("it has subtitles inside ({kind})"));
    }
    if let Some(what) = contents.and_then(mp4::Contents::telemetry) {
        return Some(format!(
            "it has {what} inside, which is not read: where the aircraft wrote a .SRT beside it give that as `telemetry.sidecars`, else make height.csv \
             and heading.csv from the maker's program (exiftool -ee -p shows what is there)"
        ));
    }
    let mut head = Vec::new();
    files::open(video).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    let holds = |needle: &[u8]| head.windows(needle.len()).any(|w| w == needle);
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) && holds(b"S_TEXT/") {
        return by_ffmpeg("it has subtitles inside");
    }
    if head.first() == Some(&0x47) && holds(b"KLVA") {
        return Some(format!(
            "it has KLV metadata inside, which is not read: ffmpeg -i {file} -map 0:d:0 -c copy -f data flight.klv, then \
             `python3 {CONVERTER} flight.klv telemetry` (pip install klvdata) writes telemetry/height.csv and telemetry/heading.csv"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        advice(&folder.path().join(name))
    }

    #[test]
    fn every_known_log_is_named_with_how_to_convert_it_and_others_are_not() {
        let known: [(&str, &[u8], &str); 11] = [
            ("a.tlog", b"\0\x01", "pymavlink"),
            ("a.BIN", &[0xa3, 0x95, 0x80], "pymavlink"),
            ("a.log", &[0xa3, 0x95, 0x80], "ArduPilot"),
            ("a.ulg", b"ULog\x01", "pyulog"),
            ("a.mcap", b"\x89MCAP0\r\n", "rosbags"),
            ("a.bag", b"#ROSBAG V2.0", "rosbags"),
            ("a.gpx", b"<gpx/>", "GPX"),
            ("FlightRecord.txt", &[0xff, 0xfe, 3], "airdata.com"),
            ("a.csv", b"time(millisecond),datetime(utc),height_above_takeoff(feet)\n", "Airdata"),
            ("b.csv", b"CUSTOM.date [local],OSD.height [ft]\n", "DJI"),
            ("a.klv", b"\x06\x0e", "klvdata"),
        ];
        for (name, bytes, part) in known {
            let advice = of(name, bytes).unwrap_or_default();
            assert!(advice.contains(part) && advice.contains("height.csv"), "{name}: {advice}");
        }
        assert!(of("notes.txt", b"hello").is_none() && of("a.csv", b"a,b\n1,2\n").is_none());
    }

    #[test]
    fn what_a_video_has_inside_is_told_with_the_command_that_takes_it_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            folder.path().join(name)
        };
        let mkv = at("a.mkv", b"\x1a\x45\xdf\xa3....S_TEXT/UTF8");
        assert!(inside(&mkv, None).unwrap().contains("-map 0:s:0"));
        assert!(inside(&at("a.ts", b"G....KLVA"), None).unwrap().contains("KLV"));
        let gopro = at("a.mp4", &mp4::tests::with_subtitles(&[], b"gpmd"));
        assert!(inside(&gopro, mp4::contents(&gopro).as_ref()).unwrap().contains("GPMF"));
        assert!(inside(&at("b.mkv", b"\x1a\x45\xdf\xa3"), None).is_none());
    }
}
