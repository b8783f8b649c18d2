//! EXIF and XMP of a photo.

use std::path::Path;

use exif::{Exif, In, Tag, Value};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// What a photo says of itself. Everything that is absent or nonsense is `None`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PhotoMetadata {
    /// Time of capture, nanoseconds since 1970 of UTC when `utc`, else of the camera's own clock.
    pub time_ns: Option<i64>,
    /// Whether the time zone is known.
    pub utc: bool,
    /// Whether the time has parts of a second.
    pub subsecond: bool,
    /// Camera model.
    pub model: Option<String>,
    /// Focal length, millimetres.
    pub focal_mm: Option<f64>,
    /// Height above take-off, metres.
    pub relative_height_m: Option<f64>,
    /// Airframe yaw, pitch, roll, degrees.
    pub flight_deg: Option<[f64; 3]>,
    /// Gimbal yaw, pitch, roll, degrees; absent when all are zero, which means "not measured".
    pub gimbal_deg: Option<[f64; 3]>,
    /// GNSS latitude and longitude, degrees: truth for scoring, never used to localize.
    pub gnss_deg: Option<(f64, f64)>,
}

/// Reads the metadata of a file's bytes; whatever cannot be read is absent.
pub fn read(path: &Path, bytes: &[u8]) -> PhotoMetadata {
    let mut out = PhotoMetadata::default();
    match exif::Reader::new().read_from_container(&mut std::io::Cursor::new(bytes)) {
        Ok(exif) => read_exif(&exif, &mut out),
        Err(error) => tracing::debug!("{}: no EXIF: {error}", path.display()),
    }
    if let Some(xmp) = find_xmp(bytes) {
        read_xmp(&xmp, &mut out);
    }
    out
}

fn read_exif(exif: &Exif, out: &mut PhotoMetadata) {
    let text = |tag: Tag| {
        let field = exif.get_field(tag, In::PRIMARY)?;
        let Value::Ascii(parts) = &field.value else { return None };
        let text = String::from_utf8_lossy(parts.first()?).trim_matches(['\0', ' ']).to_string();
        (!text.is_empty()).then_some(text)
    };
    let rational = |tag: Tag, index: usize| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(v) => v.get(index).map(exif::Rational::to_f64).filter(|x| x.is_finite()),
        _ => None,
    };
    out.model = text(Tag::Model);
    out.focal_mm = rational(Tag::FocalLength, 0).filter(|f| *f > 0.0);
    let time = text(Tag::DateTimeOriginal).or_else(|| text(Tag::DateTime));
    if let Some(civil) = time.and_then(|t| parse_exif_time(&t)) {
        let offset = text(Tag::OffsetTimeOriginal).or_else(|| text(Tag::OffsetTime)).and_then(|o| parse_offset(&o));
        let zone = TimeZone::fixed(offset.unwrap_or(Offset::UTC));
        if let Ok(zoned) = civil.to_zoned(zone) {
            let subsecond = text(Tag::SubSecTimeOriginal).and_then(|s| parse_subsecond(&s));
            out.time_ns = i64::try_from(zoned.timestamp().as_nanosecond()).ok().map(|t| t + subsecond.unwrap_or(0));
            out.subsecond = subsecond.is_some();
            out.utc = offset.is_some();
        }
    }
    let degrees = |tag: Tag| Some(rational(tag, 0)? + rational(tag, 1)? / 60.0 + rational(tag, 2)? / 3600.0);
    if let (Some(lat), Some(lon)) = (degrees(Tag::GPSLatitude), degrees(Tag::GPSLongitude)) {
        let sign = |tag: Tag, negative: &str| if text(tag).as_deref() == Some(negative) { -1.0 } else { 1.0 };
        out.gnss_deg = Some((lat * sign(Tag::GPSLatitudeRef, "S"), lon * sign(Tag::GPSLongitudeRef, "W")));
    }
}

/// `2024:10:30 10:05:15`.
fn parse_exif_time(text: &str) -> Option<DateTime> {
    DateTime::strptime("%Y:%m:%d %H:%M:%S", text.get(..19)?).ok()
}

/// `+08:00`.
fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.trim().split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        ("Z", "") => return Some(Offset::UTC),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let seconds = hours.parse::<i32>().ok()?.checked_mul(3600)?.checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
    Offset::from_seconds(sign * seconds).ok()
}

/// `47` is 0.47 s; nanoseconds.
fn parse_subsecond(text: &str) -> Option<i64> {
    let digits: String = text.trim().chars().take(9).collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}").parse().ok()
}

fn find_xmp(bytes: &[u8]) -> Option<String> {
    let find = |needle: &[u8], from: usize| bytes[from..].windows(needle.len()).position(|w| w == needle).map(|p| p + from);
    let start = find(b"<x:xmpmeta", 0)?;
    let end = find(b"</x:xmpmeta>", start)? + b"</x:xmpmeta>".len();
    Some(String::from_utf8_lossy(&bytes[start..end]).into_owned())
}

fn read_xmp(xmp: &str, out: &mut PhotoMetadata) {
    let Ok(document) = roxmltree::Document::parse(xmp) else { return };
    let number = |name: &str| {
        let in_attributes = document.descendants().flat_map(|n| n.attributes()).find(|a| a.name() == name).map(|a| a.value());
        let in_elements = || document.descendants().find(|n| n.tag_name().name() == name).and_then(|n| n.text());
        in_attributes.or_else(in_elements)?.trim().parse::<f64>().ok().filter(|v| v.is_finite())
    };
    let triple = |kind: &str| {
        Some([
            number(&format!("{kind}YawDegree"))?,
            number(&format!("{kind}PitchDegree"))?,
            number(&format!("{kind}RollDegree"))?,
        ])
    };
    out.relative_height_m = number("RelativeAltitude");
    out.flight_deg = triple("Flight");
    out.gimbal_deg = triple("Gimbal").filter(|angles| angles.iter().any(|a| *a != 0.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_keep_their_zone_and_subseconds() {
        assert_eq!(parse_subsecond("47"), Some(470_000_000));
        assert_eq!(parse_subsecond("x"), None);
        assert_eq!(parse_offset("+08:00").map(Offset::seconds), Some(28_800));
        assert_eq!(parse_offset("-03:30").map(Offset::seconds), Some(-12_600));
        assert_eq!(parse_exif_time("0000:00:00 00:00:00"), None);
    }

    #[test]
    fn xmp_is_read_from_attributes_and_elements_and_an_all_zero_gimbal_is_no_gimbal() {
        let xmp = r#"junk<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r" xmlns:d="d"><rdf:Description d:RelativeAltitude="+119.70"
            d:FlightYawDegree="+152.10" d:FlightPitchDegree="3.1" d:FlightRollDegree="-3.9" d:GimbalYawDegree="0" d:GimbalPitchDegree="0.0">
            <d:GimbalRollDegree>0</d:GimbalRollDegree></rdf:Description></rdf:RDF></x:xmpmeta>junk"#;
        let read = read(Path::new("x"), xmp.as_bytes());
        assert_eq!(read.relative_height_m, Some(119.7));
        assert_eq!(read.flight_deg, Some([152.1, 3.1, -3.9]));
        assert_eq!(read.gimbal_deg, None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_crash(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            read(Path::new("x"), &bytes);
            let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe1, 0, 200];
            jpeg.extend_from_slice(b"Exif\0\0II*\0\x08\0\0\0");
            jpeg.extend(bytes);
            read(Path::new("x"), &jpeg);
        }

        #[test]
        fn arbitrary_text_is_no_crash(text in ".{0,40}") {
            parse_exif_time(&text);
            parse_offset(&text);
            parse_subsecond(&text);
            read_xmp(&text, &mut PhotoMetadata::default());
        }
    }
}
