//! What a photo says of itself, by EXIF and XMP of any maker: the one place where their tags become camera, attitude, height and time.

use exif::{Exif, In, Tag, Value};
use image::metadata::Orientation;

use super::attitude::of_forward_lens;
use super::time_text::{parse_gps_time, parse_offset, parse_subsecond, parse_time};
use super::xmp::Xmp;
use crate::types::{Inputs, Standing};

/// Positions nearer than this to 0° N 0° E are what is written before the first fix, degrees.
const NULL_ISLAND_DEG: f64 = 1e-3;
/// Angles beyond this are none, degrees.
const MAX_ANGLE_DEG: f64 = 720.0;
/// A pitch of a camera that Pix4D's convention would have look this far up from straight down is more likely of another one, degrees.
const OBLIQUE_DEG: f64 = 70.0;
/// 1 sigma of a gimbal's stated attitude, radians: good gimbals hold a degree or two against the airframe's own error.
const GIMBAL_SIGMA_RAD: f64 = 2.0 * std::f64::consts::PI / 180.0;

/// What a photo says of itself. Everything that is absent or nonsense is `None`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PhotoMetadata {
    /// Time of capture by the camera's own clock, nanoseconds since 1970 as if that were UTC.
    pub clock_ns: Option<i64>,
    /// Whether that is the time of the file's last change: nothing else is there.
    pub clock_is_of_change: bool,
    /// Whether it has parts of a second.
    pub subsecond: bool,
    /// What that clock is ahead of UTC, seconds.
    pub offset_s: Option<i32>,
    /// Time of the GNSS position, nanoseconds since 1970, UTC.
    pub gps_time_ns: Option<i64>,
    /// Camera maker.
    pub maker: Option<String>,
    /// Camera model.
    pub model: Option<String>,
    /// Focal length, millimetres.
    pub focal_mm: Option<f64>,
    /// The "35 mm equivalent" of the focal length, millimetres.
    pub focal_35mm_mm: Option<f64>,
    /// Digital zoom; 1 and 0 are none.
    pub digital_zoom: Option<f64>,
    /// Pitch of the sensor's pixels, millimetres.
    pub pixel_pitch_mm: Option<f64>,
    /// The longer side of the picture as it was taken, pixels.
    pub recorded_longer_px: Option<u32>,
    /// How the stored picture is to be turned.
    pub orientation: Option<Orientation>,
    /// Height above take-off, metres.
    pub relative_height_m: Option<f64>,
    /// Height above ground, metres.
    pub height_above_ground_m: Option<f64>,
    /// Attitude.
    pub attitude: Option<Attitude>,
    /// GNSS latitude and longitude, degrees: truth for scoring, never used to localize.
    pub gnss_deg: Option<(f64, f64)>,
    /// What of it was contradicted or left out, and why.
    pub said: Inputs,
}

/// An attitude that a photo states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attitude {
    /// Of what.
    pub of: AttitudeOf,
    /// Heading of what a camera that looks down is fixed to, radians.
    pub heading_rad: f64,
    /// Pitch and roll of the same, radians.
    pub pitch_roll_rad: Option<(f64, f64)>,
    /// Who says so.
    pub by: &'static str,
}

/// What an attitude is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttitudeOf {
    /// The camera itself, with 1 sigma of its tilt, radians.
    Camera(f64),
    /// The aircraft.
    Airframe,
}

/// Reads the metadata of a file's bytes; whatever cannot be read is absent.
pub fn read(bytes: &[u8]) -> PhotoMetadata {
    let mut out = PhotoMetadata::default();
    let mut reader = exif::Reader::new();
    reader.continue_on_error(true);
    let read = reader.read_from_container(&mut std::io::Cursor::new(bytes));
    match read.or_else(|error| error.distill_partial_result(|errors| tracing::debug!("EXIF: {errors:?}"))) {
        Ok(exif) => read_exif(&exif, &mut out),
        Err(error) => tracing::debug!("no EXIF: {error}"),
    }
    read_xmp(&Xmp::of_file(bytes), &mut out);
    out
}

fn read_exif(exif: &Exif, out: &mut PhotoMetadata) {
    let text = |tag: Tag| {
        let field = exif.get_field(tag, In::PRIMARY)?;
        let Value::Ascii(parts) = &field.value else { return None };
        let text = String::from_utf8_lossy(parts.first()?).trim_matches(['\0', ' ']).to_string();
        (!text.is_empty()).then_some(text)
    };
    let number = |tag: Tag, index: usize| {
        let value = match &exif.get_field(tag, In::PRIMARY)?.value {
            Value::Rational(v) => v.get(index)?.to_f64(),
            Value::SRational(v) => v.get(index)?.to_f64(),
            other => f64::from(other.get_uint(index)?),
        };
        value.is_finite().then_some(value)
    };
    let positive = |tag: Tag| number(tag, 0).filter(|v| *v > 0.0);
    out.maker = text(Tag::Make);
    out.model = text(Tag::Model);
    out.focal_mm = positive(Tag::FocalLength);
    out.focal_35mm_mm = positive(Tag::FocalLengthIn35mmFilm);
    out.digital_zoom = positive(Tag::DigitalZoomRatio);
    // Inches, where no unit is given.
    let unit_mm = [25.4, 10.0, 1.0, 0.001];
    let unit_mm = number(Tag::FocalPlaneResolutionUnit, 0).map_or(Some(&25.4), |u| unit_mm.get((u as usize).checked_sub(2)?));
    out.pixel_pitch_mm = unit_mm.zip(positive(Tag::FocalPlaneXResolution)).map(|(unit, per_unit)| unit / per_unit);
    let sides = [Tag::PixelXDimension, Tag::PixelYDimension].map(positive);
    out.recorded_longer_px = sides.into_iter().flatten().map(|px| px as u32).max();
    out.orientation = number(Tag::Orientation, 0).and_then(|o| Orientation::from_exif(o as u8));
    let taken = [
        (Tag::DateTimeOriginal, Tag::SubSecTimeOriginal, Tag::OffsetTimeOriginal),
        (Tag::DateTimeDigitized, Tag::SubSecTimeDigitized, Tag::OffsetTimeDigitized),
        (Tag::DateTime, Tag::SubSecTime, Tag::OffsetTime),
    ];
    for (time, part, offset) in taken {
        let Some(whole_ns) = text(time).and_then(|t| parse_time(&t)) else { continue };
        let subsecond_ns = text(part).and_then(|s| parse_subsecond(&s));
        out.clock_ns = whole_ns.checked_add(subsecond_ns.unwrap_or(0));
        out.subsecond = subsecond_ns.is_some();
        out.clock_is_of_change = time == Tag::DateTime;
        out.offset_s = text(offset).or_else(|| text(Tag::OffsetTime)).and_then(|o| parse_offset(&o));
        break;
    }
    let clock = [0, 1, 2].map(|i| number(Tag::GPSTimeStamp, i));
    if let (Some(date), [Some(hours), minutes, seconds]) = (text(Tag::GPSDateStamp), clock) {
        out.gps_time_ns = parse_gps_time(&date, [hours, minutes.unwrap_or(0.0), seconds.unwrap_or(0.0)]);
    }
    let degrees = |tag: Tag| {
        let part = |i| number(tag, i).unwrap_or(0.0);
        number(tag, 0).map(|d| d + part(1) / 60.0 + part(2) / 3600.0)
    };
    let sign = |tag: Tag, positive: &str, negative: &str| match text(tag)?.to_ascii_uppercase().as_str() {
        s if s == positive => Some(1.0),
        s if s == negative => Some(-1.0),
        _ => None,
    };
    if let (Some(lat), Some(lon)) = (degrees(Tag::GPSLatitude), degrees(Tag::GPSLongitude)) {
        let signs = sign(Tag::GPSLatitudeRef, "N", "S").zip(sign(Tag::GPSLongitudeRef, "E", "W"));
        let void = text(Tag::GPSStatus).is_some_and(|s| s.eq_ignore_ascii_case("v"));
        match signs {
            _ if void => out.said.count("position", Standing::LeftOut, "GNSS says itself that it had no fix (GPSStatus V)"),
            Some((north, east)) => position(lat * north, lon * east, out),
            None if lat.hypot(lon) < NULL_ISLAND_DEG => position(lat, lon, out),
            None => out.said.count(
                "position",
                Standing::LeftOut,
                "GNSS tags without their hemisphere (GPSLatitudeRef, GPSLongitudeRef)",
            ),
        }
    }
}

/// Takes a position of GNSS, unless it is none.
fn position(lat_deg: f64, lon_deg: f64, out: &mut PhotoMetadata) {
    if lat_deg.abs() < NULL_ISLAND_DEG && lon_deg.abs() < NULL_ISLAND_DEG {
        out.said.count("position", Standing::LeftOut, "GNSS tags of 0°, 0° are what is written before the first fix");
    } else if lat_deg.abs() > 90.0 || lon_deg.abs() > 180.0 {
        out.said.count("position", Standing::Contradicted, "GNSS tags that are no latitude and longitude");
    } else {
        out.gnss_deg = Some((lat_deg, lon_deg));
    }
}

fn read_xmp(xmp: &Xmp, out: &mut PhotoMetadata) {
    let height = |names: &[&str]| xmp.number(names);
    out.relative_height_m = height(&["RelativeAltitude", "RelativeAltitudeMeters"]);
    out.height_above_ground_m = height(&["AboveGroundAltitude", "AltitudeAboveGround"]);
    out.attitude = attitude(xmp, out);
    if out.gnss_deg.is_none() {
        let lat = xmp.number(&["GpsLatitude", "GPSLatitude", "Latitude"]);
        let lon = xmp.number(&["GpsLongitude", "GpsLongtitude", "GPSLongitude", "Longitude"]);
        if let (Some(lat), Some(lon)) = (lat, lon) {
            position(lat, lon, out);
        }
    }
    if out.clock_ns.is_none() || out.clock_is_of_change {
        let stated = ["DateTimeOriginal", "DateCreated", "CreateDate"].iter().find_map(|name| xmp.text(name));
        if let Some((text, clock_ns)) = stated.and_then(|t| Some((t, parse_time(t)?))) {
            out.clock_ns = Some(clock_ns);
            out.clock_is_of_change = false;
            out.subsecond = clock_ns % crate::time::NANOS_PER_SEC != 0;
            out.offset_s =
                text.get(19..).and_then(|rest| parse_offset(rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit())));
        }
    }
}

/// Names of yaw, pitch and roll of cameras, with a lens along x: gimbals of DJI and those that follow it, Parrot's, Skydio's.
const LENSES: [(&str, [&str; 3]); 5] = [
    ("the gimbal (GimbalYawDegree …)", ["GimbalYawDegree", "GimbalPitchDegree", "GimbalRollDegree"]),
    ("the camera (CameraYawDegree …)", ["CameraYawDegree", "CameraPitchDegree", "CameraRollDegree"]),
    (
        "the camera (CameraOrientationNED)",
        ["CameraOrientationNED_Yaw", "CameraOrientationNED_Pitch", "CameraOrientationNED_Roll"],
    ),
    ("the camera (CameraOrientationNED)", ["CameraOrientationNEDYaw", "CameraOrientationNEDPitch", "CameraOrientationNEDRoll"]),
    ("the camera (CameraYaw …)", ["CameraYaw", "CameraPitch", "CameraRoll"]),
];
const AIRFRAMES: [(&str, [&str; 3]); 2] = [
    ("the aircraft (FlightYawDegree …)", ["FlightYawDegree", "FlightPitchDegree", "FlightRollDegree"]),
    ("the aircraft (DroneYawDegree …)", ["DroneYawDegree", "DronePitchDegree", "DroneRollDegree"]),
];

/// The attitude: a camera's own says more than the aircraft's.
fn attitude(xmp: &Xmp, out: &mut PhotoMetadata) -> Option<Attitude> {
    let mut stated = |by: &'static str, names: &[&str; 3]| {
        let angles = names.map(|name| xmp.number(&[name]));
        let there: Vec<f64> = angles.into_iter().flatten().collect();
        if !there.is_empty() && angles.iter().all(|a| a.is_none_or(|a| a == 0.0)) {
            out.said.count(
                "attitude",
                Standing::LeftOut,
                format!("{by}: all angles are 0, which is what is written where nothing measures them"),
            );
            return None;
        }
        if there.iter().any(|a| a.abs() > MAX_ANGLE_DEG) {
            out.said.count("attitude", Standing::Contradicted, format!("{by}: numbers that are no angles"));
            return None;
        }
        let [yaw, pitch, roll] = angles;
        Some((yaw?, pitch.zip(roll)))
    };
    let of_camera = LENSES.iter().find_map(|(by, names)| {
        let (yaw, rest) = stated(by, names)?;
        Some(of_lens(by, yaw, rest))
    });
    let mut in_doubt = false;
    let of_camera = of_camera.or_else(|| {
        let by = "the camera (Camera:Yaw …)";
        let (yaw, rest) = stated(by, &["Yaw", "Pitch", "Roll"])?;
        Some(match rest {
            // Down is negative: as gimbals count it, not as Pix4D does.
            Some((pitch, _)) if pitch <= -OBLIQUE_DEG / 2.0 => of_lens(by, yaw, rest),
            Some((pitch, _)) if pitch.abs() >= OBLIQUE_DEG => {
                in_doubt = true;
                of_lens(by, yaw, None)
            }
            // 0 looks straight down, up is positive. Not all makers count roll to the same side.
            Some((pitch, roll)) => Attitude {
                of: AttitudeOf::Camera(GIMBAL_SIGMA_RAD.hypot(1.5 * roll.to_radians().abs()).min(0.15)),
                heading_rad: yaw.to_radians(),
                pitch_roll_rad: Some((pitch.to_radians(), roll.to_radians())),
                by,
            },
            None => of_lens(by, yaw, None),
        })
    });
    let attitude = of_camera.or_else(|| {
        AIRFRAMES.iter().find_map(|(by, names)| {
            let (yaw, rest) = stated(by, names)?;
            let pitch_roll_rad = rest.map(|(pitch, roll)| (pitch.to_radians(), roll.to_radians()));
            Some(Attitude { of: AttitudeOf::Airframe, heading_rad: yaw.to_radians(), pitch_roll_rad, by })
        })
    });
    if in_doubt {
        let words = "Camera:Pitch near 90° is straight down for some makers and the horizon for others; it is taken that the camera looks down";
        out.said.count("attitude", Standing::Contradicted, words);
    }
    attitude
}

/// The attitude of a lens along x, angles in degrees.
fn of_lens(by: &'static str, yaw: f64, pitch_roll: Option<(f64, f64)>) -> Attitude {
    let Some((pitch, roll)) = pitch_roll else {
        return Attitude { of: AttitudeOf::Airframe, heading_rad: yaw.to_radians(), pitch_roll_rad: None, by };
    };
    let (heading_rad, pitch, roll) = of_forward_lens(yaw.to_radians(), pitch.to_radians(), roll.to_radians());
    Attitude { of: AttitudeOf::Camera(GIMBAL_SIGMA_RAD), heading_rad, pitch_roll_rad: Some((pitch, roll)), by }
}

#[cfg(test)]
mod tests;
