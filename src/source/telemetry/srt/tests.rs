use super::*;
use proptest::prelude::*;

const NEWER: &str = "1\n00:00:01,000 --> 00:00:01,033\n<font size=\"28\">FrameCnt: 1, DiffTime: 33ms\n2025-03-04 10:00:00.462\n\
    [iso: 100] [shutter: 1/800.0] [fnum: 2.8] [ev: 0] [color_md: default] [focal_len: 35.00] [latitude: -33.250001] \
    [longitude: 18.500002] [rel_alt: 61.200 abs_alt: 240.125] [ct: 5300] </font>\n\n2\n00:00:01,033 --> 00:00:01,066\n\
    <font size=\"28\">FrameCnt: 2, DiffTime: 33ms\n2025-03-04 10:00:00.495\n[iso: 100] [fnum: 2.8] [focal_len: 35.00] \
    [latitude: -33.250011] [longitude: 18.500012] [rel_alt: 61.300 abs_alt: 240.225] [ct: 5300] </font>\n\n";

fn height(t: &SrtTelemetry) -> Vec<(i64, f64)> {
    t.samples.height.iter().map(|h| (h.stamp_ns / 1_000_000, h.height_agl_m)).collect()
}

fn optics(t: &SrtTelemetry) -> Vec<(i64, Option<f64>, Option<f64>)> {
    t.optics.iter().map(|(at, o)| (at / 1_000_000, o.equivalent_mm, o.digital_zoom)).collect()
}

#[test]
fn autels_form_names_its_directions_and_its_height_is_above_take_off() {
    let cue = |gps: &str| {
        let gimbal = "F.PRY (-1.0\u{b0}, 1.0\u{b0}, 127.3\u{b0}), G.PRY (-90.0\u{b0}, 0.0\u{b0}, 120.0\u{b0})";
        format!(
            "1\n00:00:00,000 --> 00:00:00,200\nHOME(E: 1.0, N: 2.0) 2024-06-19 10:00:00\nGPS({gps}, 118.33m) \nISO:100\n{gimbal}\n\n"
        )
    };
    let t = parse(&cue("E: 10.902609, N: 47.801024")).unwrap();
    assert_eq!((t.truth[0].1.lat_deg, t.truth[0].1.lon_deg, height(&t)), (47.801024, 10.902609, vec![(0, 118.33)]));
    assert!((t.samples.heading[0].heading_rad.to_degrees() - 120.0).abs() < 1e-9 && t.warnings.is_empty(), "{:?}", t.warnings);
    let t = parse(&cue("W: 10.5, S: 47.5")).unwrap();
    assert_eq!((t.truth[0].1.lat_deg, t.truth[0].1.lon_deg), (-47.5, -10.5));
}

#[test]
fn heights_are_read_in_their_unit_and_none_is_guessed() {
    let of = |height: &str| height_of(&format!("GPS(E: 10.9, N: 47.8, {height})"));
    assert_eq!(of("118.5m"), Some(118.5));
    assert!(of("388.8ft").is_some_and(|h| (h - 118.506).abs() < 1e-3));
    assert_eq!(of("0.1km"), None);
    assert!(height_of("GPS (10.9, 47.8, 15), D 12.1ft, H 281.5ft, H.S 0.0ft/s").is_some_and(|h| (h - 85.801).abs() < 1e-3));
    assert!(height_of("GPS(10.9,47.8,16) BAROMETER:200.0ft").is_some_and(|h| (h - 60.96).abs() < 1e-3));
}

fn height_of(body: &str) -> Option<f64> {
    let t = parse(&format!("1\n00:00:00,000 --> 00:00:00,200\n{body}\n\n")).unwrap();
    t.samples.height.first().map(|h| h.height_agl_m)
}

#[test]
fn a_file_that_an_editor_saved_as_unicode_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("DJI_0001.SRT");
    let bytes: Vec<u8> = [0xfeff].into_iter().chain(NEWER.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read(&path).unwrap(), parse(NEWER).unwrap());
}

#[test]
fn a_gimbal_that_is_rolled_while_it_looks_straight_down_turns_the_picture_and_one_of_zeros_says_nothing() {
    let heading = |gimbal: &str| {
        let t = parse(&format!("1\n00:00:00,000 --> 00:00:00,033\n[rel_alt: 50.0 abs_alt: 90.0] {gimbal}\n")).unwrap();
        t.samples.heading.first().map(|h| h.heading_rad.to_degrees().round())
    };
    assert_eq!(heading("[gb_yaw: 30.0 gb_pitch: -90.0 gb_roll: 90.0]"), Some(120.0));
    assert_eq!(heading("[gb_yaw: 0.0 gb_pitch: 0.0 gb_roll: 0.0] F.PRY (1.0, 2.0, 33.0)"), Some(33.0));
}

#[test]
fn decimal_commas_numbers_that_are_none_and_heights_before_the_first_fix_are_what_they_are() {
    let cue = |body: &str| format!("1\n00:00:00,000 --> 00:00:00,200\n{body}\n\n");
    let comma = parse(&cue("[latitude: 47,801024] [longitude: 10,902609] [rel_alt: 118,335 abs_alt: 849,335]")).unwrap();
    assert_eq!((height(&comma), comma.truth[0].1.lat_deg), (vec![(0, 118.335)], 47.801024));
    let nan = parse(&cue("[latitude: 47.8] [longitude: 10.9] [rel_alt: nan abs_alt: 849.335]")).unwrap();
    assert!(nan.samples.height.is_empty() && nan.warnings.iter().any(|w| w.contains("no height")));
    let zeros = cue("[latitude: 0.0] [longitude: 0.0] [rel_alt: 0.000 abs_alt: 0.000]");
    let later = "2\n00:00:01,000 --> 00:00:02,000\n[latitude: 47.8] [longitude: 10.9] [rel_alt: 50.000 abs_alt: 0.000]\n\n";
    let lock = parse(&format!("{zeros}{later}")).unwrap();
    assert_eq!((height(&lock), lock.truth.len()), (vec![(1000, 50.0)], 1));
    assert!(lock.warnings[0].contains("before the first fix"), "{:?}", lock.warnings);
}

#[test]
fn zoom_is_told_from_when_on_it_holds() {
    let cue = |s: i64, mm: f64, zoom: f64| {
        format!("{s}\n00:00:0{s},000 --> 00:00:0{s},500\n[focal_len: {mm:.2}] [dzoom_ratio: {zoom:.2}] [rel_alt: 9.0]\n\n")
    };
    let t = parse(&[cue(1, 24.0, 1.0), cue(2, 24.0, 1.0), cue(3, 48.0, 2.0)].concat()).unwrap();
    assert_eq!(optics(&t), [(1000, Some(24.0), Some(1.0)), (3000, Some(48.0), Some(2.0))]);
}

#[test]
fn the_newer_bracketed_form_is_read() {
    let t = parse(NEWER).unwrap();
    assert_eq!(height(&t), [(1000, 61.2), (1033, 61.3)]);
    assert_eq!(t.truth[1], (1_033_000_000, Geodetic { lat_deg: -33.250011, lon_deg: 18.500012, alt_m: 240.225 }));
    assert_eq!((optics(&t), t.f_number), (vec![(1000, Some(35.0), None)], Some(2.8)));
    assert_eq!((t.ends_ns, t.begins_at_ns), (Some(1_066_000_000), Some(1_741_082_400_462_000_000)));
    assert!((t.samples.height[0].sigma_m - height_sigma_m(61.2)).abs() < 1e-12);
    assert!(t.warnings.is_empty() && t.samples.heading.is_empty(), "{:?}", t.warnings);
}

#[test]
fn the_older_bracketed_form_has_its_scaled_integers_undone() {
    let text = "7\r\n00:01:02,500 --> 00:01:02,533\r\n<font size=\"36\">SrtCnt : 7, DiffTime : 33ms\r\n2021-09-01 08:00:00,085,332\r\n\
        [iso : 200] [shutter : 1/1000.0] [fnum : 280] [ev : 0.7] [ct : 5064] [color_md : default] [focal_len : 280] \
        [dzoom_ratio: 15000, delta:0],[latitude: 1.5] [longtitude: -2.25] [rel_alt: 99.900 abs_alt: 1429.698] </font>";
    let t = parse(text).unwrap();
    assert_eq!(height(&t), [(62_500, 99.9)]);
    assert_eq!((optics(&t), t.f_number), (vec![(62_500, Some(28.0), Some(1.5))], Some(2.8)));
    assert_eq!((t.truth[0].1.lat_deg, t.truth[0].1.lon_deg), (1.5, -2.25));
}

#[test]
fn the_inline_form_is_read_and_its_order_decided_by_the_file() {
    let cue = |body: &str| format!("1\n00:00:03,000 --> 00:00:04,000\n{body}\n\n");
    let place = |body: &str| {
        let t = parse(&cue(body)).unwrap();
        (t.truth.first().map(|t| (t.1.lat_deg, t.1.lon_deg)), height(&t), t.warnings.len())
    };
    // A longitude beyond 90° decides.
    let mavic = "HOME(149.02,-20.25) 2017.08.05 14:11:51\nGPS(149.02,-20.26,16) BAROMETER:1.9\nISO:100 Shutter:60 EV:0 Fnum:F2.2";
    assert_eq!(place(mavic), (Some((-20.26, 149.02)), vec![(3000, 1.9)], 0));
    assert_eq!(place("GPS(39.91,116.39,69.8) BAROMETER(91.2) HOME(39.9,116.4)"), (Some((39.91, 116.39)), vec![(3000, 91.2)], 0));
    // Nothing decides: the form does, with a warning.
    assert_eq!(place("GPS(36.5,-6.25,0.0M) BAROMETER:0.3M"), (Some((36.5, -6.25)), vec![(3000, 0.3)], 1));
    assert_eq!(place("GPS(-6.25,36.5,19) BAROMETER:64.3"), (Some((36.5, -6.25)), vec![(3000, 64.3)], 1));
    let phantom = "F/5.6, SS 320, ISO 100, EV 0, GPS (-6.25, 36.5, 17), D 12.1m, H 85.80m, H.S 2.50m/s, V.S 0.1m/s, \
        F.PRY (1.0\u{b0}, -2.0\u{b0}, 33.5\u{b0}), G.PRY (-90.0\u{b0}, 0.0\u{b0}, 34.5\u{b0})";
    assert_eq!(place(phantom), (Some((36.5, -6.25)), vec![(3000, 85.8)], 1));
    assert!((parse(&cue(phantom)).unwrap().samples.heading[0].heading_rad.to_degrees() - 34.5).abs() < 1e-9);
    // One file, both places beyond 90°: no position at all.
    let both =
        format!("{}{}", cue("GPS(149.0,-20.0,16) BAROMETER:1.9"), "00:00:05,000 --> 00:00:06,000\nGPS(-20.0,149.0,16)\n\n");
    assert!(parse(&both).unwrap().truth.is_empty());
}

#[test]
fn yaw_becomes_a_heading_and_an_oblique_gimbal_a_warning() {
    let text = "1\n00:00:00,000 --> 00:00:00,033\n[rel_alt: 50.0 abs_alt: 90.0] [gb_yaw: -30.0 gb_pitch: -45.0 gb_roll: 0.0]\n";
    let t = parse(text).unwrap();
    assert!((t.samples.heading[0].heading_rad.to_degrees() - 330.0).abs() < 1e-9);
    assert!(t.warnings.iter().any(|w| w.contains("gimbal")), "{:?}", t.warnings);
}

#[test]
fn blank_lines_and_counters_may_be_missing() {
    let squeezed: String =
        NEWER.lines().filter(|l| !l.is_empty() && l.parse::<u32>().is_err()).map(|l| format!("{l}\n")).collect();
    assert_eq!(parse(&squeezed).unwrap(), parse(NEWER).unwrap());
    assert_eq!(parse(NEWER.trim_end()).unwrap(), parse(NEWER).unwrap());
}

#[test]
fn a_file_without_subtitles_or_without_telemetry_is_refused_with_a_hint() {
    assert!(parse("hello\n").unwrap_err().contains(".SRT"));
    assert!(parse("1\n00:00:01,000 --> 00:00:02,000\nHello.\n").unwrap_err().contains("captions"));
}

#[test]
fn subtitles_without_a_time_or_that_go_back_are_left_out_and_told() {
    let text =
        format!("{NEWER}3\n00:00:xx,000 --> 00:00:03,000\n[rel_alt: 1.0]\n\n4\n00:00:00,500 --> 00:00:01,000\n[rel_alt: 2.0]\n");
    let t = parse(&text).unwrap();
    assert_eq!(t.samples, parse(NEWER).unwrap().samples);
    assert_eq!(t.warnings.len(), 2);
    assert!(t.warnings[0].contains("line 14"), "{:?}", t.warnings);
}

proptest! {
    #[test]
    fn a_tail_cut_anywhere_never_makes_a_number_up(cut in 0..NEWER.len()) {
        let whole = parse(NEWER).unwrap();
        if let Ok(t) = parse(&NEWER[..cut]) {
            prop_assert_eq!(&whole.samples.height[..t.samples.height.len()], &t.samples.height[..]);
            for (got, want) in t.truth.iter().zip(&whole.truth) {
                // The height above sea level comes last, so it may be the part that is missing.
                prop_assert_eq!((got.0, got.1.lat_deg, got.1.lon_deg), (want.0, want.1.lat_deg, want.1.lon_deg));
                prop_assert!(got.1.alt_m == want.1.alt_m || got.1.alt_m == 0.0);
            }
        }
    }

    #[test]
    fn arbitrary_text_is_survived(text in "\\PC{0,200}", body in "[\\[\\]GPS():,.0-9a-z <>°\n\r-]{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("00:00:01,000 --> 00:00:02,000\n{body}"));
    }

    #[test]
    fn what_is_written_is_read(h in -50.0..500.0f64, lat in -89.0..89.0f64, lon in -179.0..179.0f64, ms in 0..3_600_000i64) {
        let (s, m) = (ms / 1000, ms % 1000);
        let text = format!(
            "1\n00:{:02}:{:02},{m:03} --> 01:00:00,000\n[latitude: {lat:.6}] [longitude: {lon:.6}] [rel_alt: {h:.3} abs_alt: 1.000]\n",
            s / 60, s % 60,
        );
        let t = parse(&text).unwrap();
        prop_assert_eq!(t.samples.height[0].stamp_ns, ms * 1_000_000);
        prop_assert!((t.samples.height[0].height_agl_m - h).abs() < 1e-3);
        prop_assert!((t.truth[0].1.lat_deg - lat).abs() < 1e-6 && (t.truth[0].1.lon_deg - lon).abs() < 1e-6);
    }
}
