//! Telemetry readers on files and sockets as users have them.

mod common;

use skyfix::source::telemetry::srt;

#[test]
fn subtitles_of_real_aircraft_of_both_generations_are_read() {
    let Some(data) = common::data() else { return };
    // Name, start of the first subtitle, subtitles, height and position there, focal length, f-number.
    let files = [
        ("dji_2024_focal240.srt", 50.044, 400, 118.4, (32.102_967, 35.208_747), 24.0, 1.7, Some(1.0)),
        ("dji_2026.srt", 30.027, 400, 31.0, (32.102_620, 35.209_667), 24.0, 1.8, None),
    ];
    for (name, start_s, count, height_m, (lat, lon), focal_mm, f_number, zoom) in files {
        let t = srt::read(&data.join("srt").join(name)).unwrap();
        assert_eq!(t.samples.height.len(), count, "{name}");
        let (first, position) = (t.samples.height[0], t.truth[0]);
        assert!((first.stamp_ns as f64 / 1e9 - start_s).abs() < 1e-6 && (first.height_agl_m - height_m).abs() < 1e-9, "{name}");
        assert_eq!((position.1.lat_deg, position.1.lon_deg, position.0), (lat, lon, first.stamp_ns), "{name}");
        assert_eq!(t.focal_length_35mm_equivalent_mm, Some(focal_mm), "{name}");
        assert_eq!((t.f_number, t.digital_zoom), (Some(f_number), zoom), "{name}");
        assert!(t.samples.height.windows(2).all(|w| w[0].stamp_ns < w[1].stamp_ns), "{name}");
        assert!(t.warnings.is_empty(), "{name}: {:?}", t.warnings);
    }
}
