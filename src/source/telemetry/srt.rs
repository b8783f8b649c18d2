//! Subtitles that aircraft of DJI and Autel write beside their videos (`DJI_0001.SRT`).
//!
//! Four families are read, and any mix of them:
//!
//! - bracketed, newer: `[fnum: 1.8] [focal_len: 24.00] [latitude: 1.0] [longitude: 2.0] [rel_alt: 31.0 abs_alt: 731.5]`, on some
//!   aircraft with `[gb_yaw: 30.0 gb_pitch: -90.0 gb_roll: 0.0]`;
//! - bracketed, older: the same with numbers scaled to integers, `[fnum : 170]` for 1.7 and `[focal_len : 240]` for 24 mm. What is
//!   written without a decimal point is scaled. `longtitude` (sic) is understood;
//! - Autel's: `GPS(E: 10.9, N: 47.8, 118.3m)`, whose height is above take-off;
//! - inline: `GPS(lon,lat,alt) BAROMETER:64.3`, or `GPS (lon, lat, satellites), D 12.1m, H 85.8m, … F.PRY (p°, r°, y°)`.
//!
//! The order inside `GPS(…)` differs between firmwares, so it is decided once for a file: a first number beyond ±90 makes it
//! longitude first, a second one beyond ±90 latitude first; else latitude comes first where the height has a unit
//! (`GPS(36.6,-6.1,0.0M)`, Matrice 300) or the barometer parentheses (`BAROMETER(91.2)`, Avata 2), and longitude first everywhere
//! else (Mavic Pro, Phantom 4), with a warning that this was assumed.
//!
//! Stamps are the start times of the subtitles: the time in the video. Heights are above take-off. Positions come from GNSS, so they
//! are truth for scoring and nothing else.

use std::path::Path;

use super::srt_fields::{Field, fields, without_tags};
use crate::files;
use crate::geo::Geodetic;
use crate::recording::FileError;
use crate::source::attitude::of_forward_lens;
use crate::source::knowledge::{HEADING_SIGMA_RAD, height_sigma_m};
use crate::source::time_text::parse_time;
use crate::text::decoded;
use crate::types::{HeadingSample, HeightSample, TelemetryBatch};

/// A gimbal further than this from straight down is worth a warning, degrees.
const NADIR_TOLERANCE_DEG: f64 = 15.0;
/// Heights beyond this are no heights of an aircraft above its take-off, metres.
const MAX_HEIGHT_M: f64 = 20_000.0;

/// What a subtitle file says.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SrtTelemetry {
    /// Heights above take-off and headings, by the time in the video.
    pub samples: TelemetryBatch,
    /// GNSS positions by the time in the video, nanoseconds; heights above sea level where stated, else 0. For scoring only.
    pub truth: Vec<(i64, Geodetic)>,
    /// Focal length and digital zoom, by the time in the video from which on they hold, nanoseconds.
    pub optics: Vec<(i64, StatedOptics)>,
    /// When the last subtitle begins and how long subtitles last, nanoseconds: where the next part of a video that was split begins.
    pub ends_ns: Option<i64>,
    /// Date and time of the first subtitle by the aircraft's clock, nanoseconds since 1970 as if that were UTC.
    pub begins_at_ns: Option<i64>,
    /// F-number at the start.
    pub f_number: Option<f64>,
    /// Things a user should know.
    pub warnings: Vec<String>,
}

/// What subtitles say of the lens.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct StatedOptics {
    /// The equivalent for a 36 mm wide picture, millimetres; with or without the digital zoom.
    pub equivalent_mm: Option<f64>,
    /// Digital zoom, 1 for none.
    pub digital_zoom: Option<f64>,
}

impl SrtTelemetry {
    /// The same at other times.
    pub fn shifted(mut self, by_ns: i64) -> Self {
        self.samples.shift(by_ns);
        let later = |stamp_ns: &mut i64| *stamp_ns = stamp_ns.saturating_add(by_ns);
        self.truth.iter_mut().for_each(|(stamp_ns, _)| later(stamp_ns));
        self.optics.iter_mut().for_each(|(stamp_ns, _)| later(stamp_ns));
        self
    }

    /// Adds what another says of later times.
    pub fn append(&mut self, other: Self) {
        self.samples.append(other.samples);
        self.truth.extend(other.truth);
        self.optics.extend(other.optics);
        self.warnings.extend(other.warnings);
    }
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read, holds no subtitles, or subtitles without telemetry.
pub fn read(path: &Path) -> Result<SrtTelemetry, FileError> {
    let bytes = files::read(path).map_err(|source| FileError::Io { path: path.into(), source })?;
    // The degree sign of inline files comes in several encodings; nothing that is read here needs it.
    parse(&decoded(&bytes)).map_err(|reason| FileError::Bad { path: path.into(), line: None, reason })
}

/// A subtitle: its start and its text without tags.
struct Cue {
    start_ns: i64,
    text: String,
}

/// Reads the text of a file.
///
/// # Errors
/// The reason why there is nothing to read.
pub fn parse(text: &str) -> Result<SrtTelemetry, String> {
    let mut warnings = Vec::new();
    let cues = cues(text, &mut warnings);
    if cues.is_empty() {
        return Err(
            "no subtitle in it (a line such as 00:00:01,000 --> 00:00:01,033); give the .SRT that the aircraft wrote".into()
        );
    }
    of_cues(&cues, warnings)
}

/// Subtitles that come out of a video: the time of each, nanoseconds, and its text.
///
/// # Errors
/// The reason why there is nothing to read.
pub fn of_texts(texts: Vec<(i64, String)>) -> Result<SrtTelemetry, String> {
    let of = |(start_ns, text): (i64, String)| Cue { start_ns, text: text.lines().map(|l| without_tags(l) + "\n").collect() };
    of_cues(&texts.into_iter().map(of).collect::<Vec<_>>(), Vec::new())
}

fn of_cues(cues: &[Cue], warnings: Vec<String>) -> Result<SrtTelemetry, String> {
    let mut out = SrtTelemetry { warnings, ..SrtTelemetry::default() };
    let parsed: Vec<(i64, Vec<Field>)> = cues.iter().map(|c| (c.start_ns, fields(&c.text))).collect();
    let order = coordinate_order(&parsed, &mut out.warnings);
    let (mut oblique, mut unmeasured) = (0, 0);
    if let [.., before, last] = cues {
        out.ends_ns = last.start_ns.checked_add(last.start_ns - before.start_ns);
    }
    out.begins_at_ns = cues.first().and_then(|cue| date_in(&cue.text));
    for (stamp_ns, fields) in &parsed {
        let read = Reading { fields };
        let position = read.position(order);
        let height = read.height_m();
        // Zeros are what is written before the first fix.
        let nothing_yet = height == Some(0.0) && position.is_none();
        unmeasured += usize::from(nothing_yet);
        if let Some(h) = height.filter(|_| !nothing_yet) {
            out.samples.height.push(HeightSample { stamp_ns: *stamp_ns, height_agl_m: h, sigma_m: height_sigma_m(h) });
        }
        if let Some(heading_rad) = read.heading_rad() {
            let heading_rad = heading_rad.rem_euclid(std::f64::consts::TAU);
            out.samples.heading.push(HeadingSample { stamp_ns: *stamp_ns, heading_rad, sigma_rad: HEADING_SIGMA_RAD });
        }
        oblique += usize::from(read.gimbal_pitch_deg().is_some_and(|p| (p + 90.0).abs() > NADIR_TOLERANCE_DEG));
        if let Some(position) = position {
            out.truth.push((*stamp_ns, position));
        }
        let now = StatedOptics { equivalent_mm: read.focal_length_mm(), digital_zoom: read.digital_zoom() };
        if now != StatedOptics::default() && out.optics.last().is_none_or(|(_, before)| *before != now) {
            out.optics.push((*stamp_ns, now));
        }
        out.f_number = out.f_number.or_else(|| read.f_number());
    }
    if unmeasured > 0 {
        out.warnings
            .push(format!("{unmeasured} subtitles have a height of 0 and no position, as before the first fix: left out"));
    }
    if oblique > 0 {
        let of = parsed.len();
        out.warnings.push(format!("the gimbal is over {NADIR_TOLERANCE_DEG}° off straight down in {oblique} of {of} subtitles"));
    }
    if out.samples.height.is_empty() && out.samples.heading.is_empty() && out.truth.is_empty() {
        return Err(
            "its subtitles hold neither height, heading nor position; switch on the video captions of the aircraft's app".into(),
        );
    }
    if out.samples.height.is_empty() {
        out.warnings.push("no height above take-off (rel_alt, BAROMETER or H) in it; give `telemetry.height`".into());
    }
    Ok(out)
}

/// Splits a file into subtitles. Blank lines and numbers between them may be missing; what is cut off at the end is left out.
fn cues(text: &str, warnings: &mut Vec<String>) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    let (mut broken, mut backwards) = (Vec::new(), Vec::new());
    // Whether the text that follows belongs to the last subtitle.
    let mut open = false;
    for (i, raw) in text.split_inclusive('\n').enumerate() {
        let line = raw.trim();
        if let Some((start, _)) = line.split_once("-->") {
            open = false;
            match time_ns(start.trim()) {
                None => broken.push(i + 1),
                Some(t) if cues.last().is_some_and(|last| t <= last.start_ns) => backwards.push(i + 1),
                Some(start_ns) => {
                    cues.push(Cue { start_ns, text: String::new() });
                    open = true;
                }
            }
        } else if let Some(cue) = cues.last_mut().filter(|_| open) {
            cue.text.push_str(&without_tags(line));
            // The end of a line ends a number; the end of a file may have cut it.
            if raw.ends_with('\n') || line.ends_with("</font>") {
                cue.text.push('\n');
            }
        }
    }
    for (lines, what) in [(broken, "have no time that can be read"), (backwards, "do not come after the one before")] {
        if let Some(first) = lines.first() {
            warnings.push(format!("{} subtitles {what} and are left out, the first in line {first}", lines.len()));
        }
    }
    cues
}

/// `00:00:50,044`; a full stop does as well.
fn time_ns(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once([',', '.'])?;
    let mut parts = clock.split(':').map(|p| p.parse::<u32>().ok().filter(|_| p.len() <= 3));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || minutes > 59 || seconds > 59 || !digits || !(1..=9).contains(&fraction.len()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    Some((i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds)) * 1_000_000_000 + nanos)
}

/// The first date and time in a text.
fn date_in(text: &str) -> Option<i64> {
    let starts = text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at);
    starts.filter_map(|at| parse_time(text.get(at..)?.lines().next()?)).next()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    LatLon,
    LonLat,
    /// Numbers beyond ±90 in both places.
    Unknown,
}

/// See the module's documentation.
fn coordinate_order(cues: &[(i64, Vec<Field>)], warnings: &mut Vec<String>) -> Order {
    let named = |f: &Field| f.numbers.iter().any(|n| !n.name.is_empty());
    let places = || cues.iter().flat_map(|(_, fields)| fields).filter(|f| f.key == "gps" && f.numbers.len() >= 2 && !named(f));
    let beyond = |i: usize| places().any(|f| f.numbers[i].value.abs() > 90.0);
    match (beyond(0), beyond(1)) {
        (true, true) => {
            warnings.push("GPS(…) holds numbers beyond ±90 in both places; its positions are left out".into());
            Order::Unknown
        }
        (true, false) => Order::LonLat,
        (false, true) => Order::LatLon,
        (false, false) if places().next().is_none() => Order::LonLat,
        (false, false) => {
            let unit = places().any(|f| f.numbers.get(2).is_some_and(|n| n.unit.eq_ignore_ascii_case("m")));
            let parenthesised = cues.iter().flat_map(|(_, fields)| fields).any(|f| f.key == "barometer" && f.parenthesised);
            let (order, words) = if unit || parenthesised { (Order::LatLon, "latitude") } else { (Order::LonLat, "longitude") };
            warnings.push(format!("which number of GPS(…) is the latitude is not certain; it is taken that {words} comes first"));
            order
        }
    }
}

/// The quantities of a subtitle.
struct Reading<'a> {
    fields: &'a [Field],
}

impl Reading<'_> {
    fn field(&self, keys: &[&str]) -> Option<&Field> {
        keys.iter().find_map(|key| self.fields.iter().find(|f| f.key == *key))
    }

    fn number(&self, keys: &[&str]) -> Option<f64> {
        self.field(keys)?.numbers.first().map(|n| n.value)
    }

    /// A number that the older generation writes as an integer, scaled.
    fn scaled(&self, key: &str, scale: f64) -> Option<f64> {
        let n = self.field(&[key])?.numbers.first()?;
        Some(if n.decimal { n.value } else { n.value / scale }).filter(|v| *v > 0.0)
    }

    fn height_m(&self) -> Option<f64> {
        let autel = || self.field(&["gps"])?.numbers.get(2).filter(|_| self.by_name(["N", "S"]).is_some());
        let stated = self.field(&["rel_alt", "h", "barometer"]).and_then(|f| f.numbers.first()).or_else(autel)?;
        stated.metres().filter(|h| h.abs() < MAX_HEIGHT_M)
    }

    /// A part of `GPS(E: 10.9, N: 47.8)` by the direction that counts as positive, or the other one.
    fn by_name(&self, [positive, negative]: [&str; 2]) -> Option<f64> {
        let numbers = &self.field(&["gps"])?.numbers;
        let named = |name: &str| numbers.iter().find(|n| n.name == name).map(|n| n.value);
        named(positive).or_else(|| named(negative).map(|v| -v.abs()))
    }

    /// The heading of the picture's top by the gimbal, else of the airframe, radians.
    fn heading_rad(&self) -> Option<f64> {
        let third = |key: &str| self.field(&[key])?.numbers.get(2).map(|n| n.value);
        if let Some([yaw, pitch, roll]) = self.gimbal_deg() {
            return Some(of_forward_lens(yaw.to_radians(), pitch.to_radians(), roll.to_radians()).0);
        }
        let other = || self.number(&["yaw"]).or_else(|| third("f.pry"));
        let alone = self.number(&["gb_yaw", "gimbal_yaw"]).filter(|_| self.gimbal_pitch_deg().is_none());
        alone.or_else(other).map(f64::to_radians)
    }

    /// Yaw, pitch and roll of the gimbal, degrees; none where all are 0, which is what is written where nothing measures them.
    fn gimbal_deg(&self) -> Option<[f64; 3]> {
        let named = || {
            let angle = |part: &str| self.number(&[&format!("gb_{part}"), &format!("gimbal_{part}")]);
            Some([angle("yaw")?, angle("pitch")?, angle("roll")?])
        };
        let in_order = || match self.field(&["g.pry"])?.numbers.as_slice() {
            [pitch, roll, yaw, ..] => Some([yaw.value, pitch.value, roll.value]),
            _ => None,
        };
        named().or_else(in_order).filter(|angles| angles.iter().any(|a| *a != 0.0))
    }

    fn gimbal_pitch_deg(&self) -> Option<f64> {
        self.number(&["gb_pitch", "gimbal_pitch", "g.pry"])
    }

    fn position(&self, order: Order) -> Option<Geodetic> {
        let named = self.number(&["latitude"]).zip(self.number(&["longitude", "longtitude"]));
        let gps = || {
            let numbers = &self.field(&["gps"])?.numbers;
            let (a, b) = (numbers.first()?.value, numbers.get(1)?.value);
            match order {
                Order::LatLon => Some((a, b)),
                Order::LonLat => Some((b, a)),
                Order::Unknown => None,
            }
        };
        let directed = || self.by_name(["N", "S"]).zip(self.by_name(["E", "W"]));
        let (lat_deg, lon_deg) = named.or_else(directed).or_else(gps)?;
        let alt_m = self.number(&["abs_alt", "altitude"]).unwrap_or(0.0);
        // Zeros are what is written before the first fix.
        Some(Geodetic { lat_deg, lon_deg, alt_m }).filter(|p| p.is_valid() && (lat_deg, lon_deg) != (0.0, 0.0))
    }

    fn focal_length_mm(&self) -> Option<f64> {
        self.scaled("focal_len", 10.0)
    }

    fn digital_zoom(&self) -> Option<f64> {
        self.scaled("dzoom_ratio", 10_000.0)
    }

    fn f_number(&self) -> Option<f64> {
        self.scaled("fnum", 100.0)
    }
}

#[cfg(test)]
mod tests;
