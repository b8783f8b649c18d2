use super::*;
use proptest::prelude::*;

/// A TIFF of EXIF: fields of the first directory and of the one of GNSS.
fn exif(fields: &[exif::Field]) -> Vec<u8> {
    let mut writer = exif::experimental::Writer::new();
    fields.iter().for_each(|f| writer.push_field(f));
    let mut out = std::io::Cursor::new(Vec::new());
    writer.write(&mut out, false).unwrap();
    out.into_inner()
}

fn field(tag: Tag, value: Value) -> exif::Field {
    exif::Field { tag, ifd_num: In::PRIMARY, value }
}

fn text(tag: Tag, text: &str) -> exif::Field {
    field(tag, Value::Ascii(vec![text.as_bytes().to_vec()]))
}

fn ratios(tag: Tag, ratios: &[(u32, u32)]) -> exif::Field {
    field(tag, Value::Rational(ratios.iter().map(|(num, denom)| exif::Rational { num: *num, denom: *denom }).collect()))
}

fn gnss(lat: [(u32, u32); 3], lon: [(u32, u32); 3]) -> PhotoMetadata {
    read(&exif(&[
        ratios(Tag::GPSLatitude, &lat),
        text(Tag::GPSLatitudeRef, "N"),
        ratios(Tag::GPSLongitude, &lon),
        text(Tag::GPSLongitudeRef, "W"),
    ]))
}

fn xmp(attributes: &str) -> PhotoMetadata {
    read(format!("junk<rdf:RDF xmlns:rdf=\"r\" xmlns:d=\"d\"><rdf:Description {attributes}/></rdf:RDF>").as_bytes())
}

fn lines(metadata: &PhotoMetadata) -> String {
    metadata.said.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn degrees(metadata: &PhotoMetadata) -> Option<[f64; 3]> {
    let a = metadata.attitude?;
    let (pitch, roll) = a.pitch_roll_rad?;
    Some([a.heading_rad, pitch, roll].map(|v| v.to_degrees().round()))
}

#[test]
fn exif_tells_camera_zoom_orientation_time_and_place() {
    let short = |tag, v| field(tag, Value::Short(vec![v]));
    let read = read(&exif(&[
        text(Tag::Make, "DJI"),
        text(Tag::Model, "FC7303"),
        short(Tag::Orientation, 6),
        text(Tag::DateTimeOriginal, "2024:06:19 10:00:01"),
        text(Tag::SubSecTimeOriginal, "5"),
        text(Tag::OffsetTimeOriginal, "+02:00"),
        ratios(Tag::FocalLength, &[(449, 100)]),
        short(Tag::FocalLengthIn35mmFilm, 24),
        ratios(Tag::DigitalZoomRatio, &[(3, 2)]),
        ratios(Tag::FocalPlaneXResolution, &[(10_000_000, 24)]),
        short(Tag::FocalPlaneResolutionUnit, 3),
        short(Tag::PixelXDimension, 4000),
        ratios(Tag::GPSTimeStamp, &[(8, 1), (0, 1), (2, 1)]),
        text(Tag::GPSDateStamp, "2024:06:19"),
    ]));
    assert_eq!((read.maker.as_deref(), read.model.as_deref()), (Some("DJI"), Some("FC7303")));
    assert_eq!((read.focal_mm, read.focal_35mm_mm, read.digital_zoom), (Some(4.49), Some(24.0), Some(1.5)));
    assert!((read.pixel_pitch_mm.unwrap() - 2.4e-5).abs() < 1e-9);
    assert_eq!((read.recorded_longer_px, read.orientation), (Some(4000), Orientation::from_exif(6)));
    assert_eq!((read.subsecond, read.offset_s, read.clock_is_of_change), (true, Some(7200), false));
    assert_eq!(read.clock_ns.unwrap() - read.gps_time_ns.unwrap(), 7_199_500_000_000);
}

#[test]
fn zeros_and_what_is_no_number_are_no_position() {
    let place = gnss([(47, 1), (48, 1), (3660, 1000)], [(10, 1), (54, 1), (0, 0)]).gnss_deg.unwrap();
    assert!((place.0 - 47.801_017).abs() < 1e-5 && (place.1 + 10.9).abs() < 1e-9, "{place:?}");
    for (zero, words) in [((0, 1), "before the first fix"), ((0, 0), ""), ((400, 1), "no latitude and longitude")] {
        let read = gnss([zero, (0, 1), (0, 1)], [zero, (0, 1), (0, 1)]);
        assert_eq!(read.gnss_deg, None);
        assert!(lines(&read).contains(words), "{}", lines(&read));
    }
    let nowhere = read(&exif(&[ratios(Tag::GPSLatitude, &[(47, 1)]), ratios(Tag::GPSLongitude, &[(8, 1)])]));
    assert!(nowhere.gnss_deg.is_none() && lines(&nowhere).contains("hemisphere"));
    assert_eq!(xmp(r#"d:GpsLatitude="+47.5" d:GpsLongtitude="-8.25""#).gnss_deg, Some((47.5, -8.25)));
    assert_eq!(xmp(r#"d:GpsLatitude="0.0" d:GpsLongitude="0.0""#).gnss_deg, None);
}

#[test]
fn every_makers_camera_that_looks_straight_down_is_read_as_that() {
    let makers = [
        r#"d:GimbalYawDegree="+40.0" d:GimbalPitchDegree="-90.0" d:GimbalRollDegree="0.0" d:FlightYawDegree="11" d:FlightPitchDegree="9" d:FlightRollDegree="8""#,
        r#"d:CameraYawDegree="40" d:CameraPitchDegree="-90" d:CameraRollDegree="0" d:DroneYawDegree="1" d:DronePitchDegree="2" d:DroneRollDegree="3""#,
        r#"d:CameraOrientationNED_Yaw="40" d:CameraOrientationNED_Pitch="-90" d:CameraOrientationNED_Roll="0""#,
        r#"d:Yaw="40" d:Pitch="0" d:Roll="0""#,
        r#"d:Yaw="40" d:Pitch="-90" d:Roll="0""#,
        r#"d:GimbalYawDegree="-50.0" d:GimbalPitchDegree="-90.0" d:GimbalRollDegree="90.0""#,
    ];
    for maker in makers {
        let read = xmp(maker);
        assert_eq!(degrees(&read), Some([40.0, 0.0, 0.0]), "{maker}");
        assert!(matches!(read.attitude.unwrap().of, AttitudeOf::Camera(_)), "{maker}");
    }
    let airframe = xmp(r#"d:FlightYawDegree="+152.10" d:FlightPitchDegree="3.1" d:FlightRollDegree="-3.9""#);
    assert_eq!((degrees(&airframe), airframe.attitude.unwrap().of), (Some([152.0, 3.0, -4.0]), AttitudeOf::Airframe));
}

#[test]
fn angles_that_nothing_measured_and_those_that_mean_two_things_are_not_believed() {
    let zero = xmp(
        r#"d:GimbalYawDegree="0" d:GimbalPitchDegree="0.0" d:GimbalRollDegree="+0.00" d:FlightYawDegree="12" d:FlightPitchDegree="1" d:FlightRollDegree="1""#,
    );
    assert_eq!(degrees(&zero), Some([12.0, 1.0, 1.0]));
    assert!(lines(&zero).contains("all angles are 0"));
    let doubtful = xmp(r#"d:Yaw="40" d:Pitch="90" d:Roll="0""#);
    assert_eq!((doubtful.attitude.unwrap().heading_rad.to_degrees().round(), degrees(&doubtful)), (40.0, None));
    assert!(lines(&doubtful).contains("straight down for some makers"));
    let alone = xmp(r#"d:GimbalYawDegree="40" d:GimbalPitchDegree="nan""#);
    assert!(alone.attitude.unwrap().pitch_roll_rad.is_none());
    let absurd = xmp(r#"d:GimbalYawDegree="4000" d:GimbalPitchDegree="-90" d:GimbalRollDegree="0""#);
    assert!(absurd.attitude.is_none() && lines(&absurd).contains("no angles"));
}

#[test]
fn heights_are_above_ground_or_above_take_off() {
    let read = xmp(r#"d:RelativeAltitude="+119.70" d:AboveGroundAltitude="101""#);
    assert_eq!((read.relative_height_m, read.height_above_ground_m), (Some(119.7), Some(101.0)));
    assert_eq!(xmp(r#"d:RelativeAltitude="nan""#).relative_height_m, None);
    assert_eq!(xmp(r#"d:CreateDate="2024-06-19T10:00:01.5+02:00""#).offset_s, Some(7200));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_crash(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe1, 0, 200];
        jpeg.extend_from_slice(b"Exif\0\0II*\0\x08\0\0\0");
        jpeg.extend(&bytes);
        read(&jpeg);
        read(&[b"II*\0\x08\0\0\0", bytes.as_slice()].concat());
    }

    #[test]
    fn mutated_exif_is_no_crash(at in 0usize..400, to in any::<u8>(), cut in 0usize..400) {
        let mut whole = exif(&[
            text(Tag::Model, "FC7303"), ratios(Tag::FocalLength, &[(449, 100)]), text(Tag::DateTimeOriginal, "2024:06:19 10:00:01"),
            ratios(Tag::GPSLatitude, &[(47, 1), (0, 1), (0, 1)]), text(Tag::GPSLatitudeRef, "N"),
        ]);
        let length = whole.len();
        whole[at % length] = to;
        read(&whole);
        read(&whole[..cut % length]);
    }
}
