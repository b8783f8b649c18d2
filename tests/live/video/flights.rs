//! Videos as flights: names, stamps, cameras, telemetry.

use std::path::Path;

use skyfix::simulate::{Settings, simulate};
use skyfix::source::frames::collect;
use skyfix::source::photos::CameraOptions;
use skyfix::source::{self, Flight, KnowledgeOptions, Setting, SourceError, VideoOptions};
use skyfix::types::{Distortion, Frame, Intrinsics, Standing};

use crate::clips::{H264, clip, make, pictures, timed_clip};

fn open(path: &Path, camera: &CameraOptions, video: &VideoOptions) -> Result<Flight, SourceError> {
    source::open(path, &KnowledgeOptions::default(), camera, video)
}

fn hfov() -> CameraOptions {
    CameraOptions { hfov_rad: Some(1.2), ..CameraOptions::default() }
}

fn calibrated(width_px: u32, height_px: u32) -> CameraOptions {
    let intrinsics = Intrinsics::centred(width_px, height_px, f64::from(width_px));
    CameraOptions { calibration: Some((intrinsics, Distortion::default())), ..CameraOptions::default() }
}

fn frames(path: &Path, camera: &CameraOptions, video: &VideoOptions) -> Vec<Frame> {
    let mut flight = open(path, camera, video).unwrap();
    assert_eq!(flight.frames.len_hint(), None);
    collect(flight.frames.as_mut()).unwrap()
}

fn error_of(path: &Path, camera: &CameraOptions, video: &VideoOptions) -> String {
    let result = open(path, camera, video).and_then(|mut flight| collect(flight.frames.as_mut()));
    result.expect_err("an error").to_string()
}

#[test]
fn frames_are_named_by_their_number_and_stamped_by_the_container() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    timed_clip(&path, "jpegenc ! matroskamux", &[100, 350, 600, 1100, 1150, 2200]);
    let thin = VideoOptions { frame_rate: Some(2.0), ..VideoOptions::default() };
    let frames = frames(&path, &hfov(), &thin);
    let of: Vec<(u64, &str, i64)> = frames.iter().map(|f| (f.ordinal, f.name.as_str(), f.stamp_ns / 1_000_000)).collect();
    assert_eq!(of, [(0, "0", 100), (1, "2", 600), (2, "3", 1100), (3, "5", 2200)]);
}

#[test]
fn the_camera_of_a_video_must_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    timed_clip(&path, "jpegenc ! matroskamux", &[0, 100]);
    let text = error_of(&path, &CameraOptions::default(), &VideoOptions::default());
    assert!(text.contains("`source.camera.hfov_deg`") && text.contains("a.mkv"), "{text}");
    let camera = frames(&path, &hfov(), &VideoOptions::default())[0].camera.unwrap();
    assert!((camera.intrinsics.fx_px - 32.0 / 0.6f64.tan()).abs() < 1e-9 && camera.intrinsics.width_px == 64);
    // The same lens, its frames scaled.
    let camera = frames(&path, &calibrated(640, 480), &VideoOptions::default())[0].camera.unwrap();
    assert_eq!(camera.intrinsics.scaled_to(64, 48).fx_px, 64.0);
}

#[test]
fn a_picture_of_another_shape_than_the_calibration_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    timed_clip(&path, "jpegenc ! matroskamux", &[0, 100]);
    let text = error_of(&path, &calibrated(480, 640), &VideoOptions::default());
    assert!(text.contains("64×48") && text.contains("turned") && text.contains("480×640"), "{text}");
    let text = error_of(&path, &calibrated(1920, 1080), &VideoOptions::default());
    assert!(text.contains("another shape"), "{text}");
}

#[test]
fn a_shape_that_changes_on_the_way_costs_those_frames_their_camera() {
    let folder = tempfile::tempdir().unwrap();
    let part = |size: &str| {
        let chain = format!("{} ! openh264enc ! h264parse config-interval=-1", pictures(3, &format!("{size},framerate=10/1")));
        format!("{chain} ! video/x-h264,stream-format=byte-stream,alignment=au ! c.")
    };
    let path = folder.path().join("a.ts");
    let parts = [part("width=64,height=48"), part("width=128,height=96"), part("width=96,height=48")].join(" ");
    make(&format!("concat name=c ! mpegtsmux ! filesink location={} {parts}", path.display()));
    let frames = frames(&path, &calibrated(640, 480), &VideoOptions::default());
    let known: Vec<bool> = frames.iter().map(|f| f.camera.is_some()).collect();
    assert_eq!(known, [true, true, true, true, true, true, false, false, false]);
}

#[test]
fn telemetry_of_a_video_comes_from_a_folder_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path =
        clip(folder.path(), "a.mkv", &format!("{} ! {H264} ! matroskamux", pictures(11, "width=64,height=48,framerate=10/1")));
    let sidecars = folder.path().join("sidecars");
    std::fs::create_dir(&sidecars).unwrap();
    std::fs::write(sidecars.join("height.csv"), "t_ns,height_agl_m,sigma_m\n0,100,2\n1000000000,110,2\n").unwrap();
    std::fs::write(sidecars.join("heading.csv"), "t_ns,heading_deg,sigma_deg\n0,90,3\n900000000,90,3\n").unwrap();
    let with = |telemetry: &Path| {
        let options = VideoOptions { telemetry: Some(telemetry.to_owned()), ..VideoOptions::default() };
        frames(&path, &hfov(), &options)
    };
    let both = with(&sidecars);
    assert_eq!(both[5].known.height_agl_m.unwrap().value, 105.0);
    assert!((both[5].known.heading_rad.unwrap().value - 90f64.to_radians()).abs() < 1e-12);
    // Every sample goes to one frame, none is lost before the last.
    assert_eq!(both.iter().map(|f| f.telemetry.height.len()).sum::<usize>(), 2);
    assert_eq!(both.iter().map(|f| f.telemetry.heading.len()).sum::<usize>(), 2);
    let one = with(&sidecars.join("height.csv"));
    assert!(one[5].known.height_agl_m.is_some() && one[5].known.heading_rad.is_none());

    let wrong = VideoOptions { telemetry: Some(folder.path().join("a.mkv")), ..VideoOptions::default() };
    assert!(error_of(&path, &hfov(), &wrong).contains("is no telemetry"));
    let missing = VideoOptions { telemetry: Some("/nowhere".into()), ..VideoOptions::default() };
    assert!(error_of(&path, &hfov(), &missing).contains("/nowhere"));
}

#[test]
fn a_height_that_nothing_tells_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    timed_clip(&path, "jpegenc ! matroskamux", &[0, 100]);
    let missing = |flight: &Flight| flight.inputs.iter().any(|i| i.quantity == "height" && i.standing == Standing::Missing);
    let flight = open(&path, &hfov(), &VideoOptions::default()).unwrap();
    assert!(missing(&flight) && flight.inputs.iter().any(|i| i.words.contains("`telemetry.height`")), "{:?}", flight.inputs);
    let given = KnowledgeOptions { height: Setting::Given(120.0, None), ..KnowledgeOptions::default() };
    let flight = source::open(&path, &given, &hfov(), &VideoOptions::default()).unwrap();
    assert!(!missing(&flight));
}

const FLIGHT: &str = "[camera]\nwidth_px = 64\nheight_px = 48\nfx_px = 50.0\n";

#[test]
fn a_recording_takes_exact_stamps_from_its_table_and_its_map_from_where_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    timed_clip(&at("video.mkv"), "jpegenc ! matroskamux", &[0, 33, 67, 100]);
    std::fs::write(at("flight.toml"), format!("{FLIGHT}[map]\npath = \"the.mbtiles\"\n")).unwrap();
    std::fs::write(at("the.mbtiles"), "").unwrap();
    std::fs::write(at("frames.csv"), "frame,stamp_ns\n0,1000\n1,33334333\n3,100001000\n").unwrap();
    let mut flight = open(folder.path(), &CameraOptions::default(), &VideoOptions::default()).unwrap();
    assert_eq!(flight.map.as_deref(), Some(at("the.mbtiles").as_path()));
    let frames = collect(flight.frames.as_mut()).unwrap();
    let of: Vec<(u64, &str, i64)> = frames.iter().map(|f| (f.ordinal, f.name.as_str(), f.stamp_ns)).collect();
    // A frame without a row is left out: its own time is of another clock.
    assert_eq!(of, [(0, "0", 1000), (1, "1", 33_334_333), (2, "3", 100_001_000)]);
}

#[test]
fn a_recording_has_one_video_or_photos() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("flight.toml"), FLIGHT).unwrap();
    let error = || error_of(folder.path(), &CameraOptions::default(), &VideoOptions::default());
    assert!(error().contains("neither photos/ nor a video"), "{}", error());
    timed_clip(&at("video.mkv"), "jpegenc ! matroskamux", &[0, 100]);
    std::fs::copy(at("video.mkv"), at("video.mp4")).unwrap();
    assert!(error().contains("two videos"), "{}", error());
    std::fs::remove_file(at("video.mp4")).unwrap();
    std::fs::create_dir(at("photos")).unwrap();
    assert!(error().contains("keep one"), "{}", error());
}

#[test]
fn a_frame_rate_for_photos_is_not_ignored_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("flight.toml"), FLIGHT).unwrap();
    std::fs::create_dir(at("photos")).unwrap();
    image::RgbImage::new(64, 48).save(at("photos/1.jpg")).unwrap();
    let slow = VideoOptions { frame_rate: Some(1.0), frame_rate_asked: true, ..VideoOptions::default() };
    let flight = open(folder.path(), &CameraOptions::default(), &slow).unwrap();
    assert!(flight.warnings.iter().any(|w| w.contains("`source.frame_rate`")), "{:?}", flight.warnings);
}

#[test]
fn a_simulated_flight_is_filmed_as_it_is_photographed() {
    let out = tempfile::tempdir().unwrap();
    let film = Settings {
        video_per_s: Some(3.0),
        duration_s: 2.0,
        width_px: 160,
        height_px: 120,
        focal_px: 120.0,
        map_side_m: 150.0,
        rays_per_px: 1,
        ..Settings::default()
    };
    let report = simulate(&film, out.path(), &|_, _| {}).unwrap();
    assert_eq!(report.photos, 6);
    assert_eq!(report.photo_bytes, out.path().join("video.mkv").metadata().unwrap().len());
    assert!(!out.path().join("photos").exists());
    let mut flight = open(out.path(), &CameraOptions::default(), &VideoOptions::default()).unwrap();
    let filmed = collect(flight.frames.as_mut()).unwrap();
    let stamps: Vec<i64> = filmed.iter().map(|f| f.stamp_ns).collect();
    // Exact, though the container keeps milliseconds.
    assert_eq!(stamps, [0, 333_333_333, 666_666_667, 1_000_000_000, 1_333_333_333, 1_666_666_667].map(|t| t + 1_000_000_000));
    assert!(filmed.iter().all(|f| flight.truth.at(&f.name, f.stamp_ns).is_some() && f.known.height_agl_m.is_some()));

    let photos = Settings { video_per_s: None, photos_per_s: 3.0, ..film };
    simulate(&photos, out.path(), &|_, _| {}).unwrap();
    assert!(!out.path().join("video.mkv").exists() && !out.path().join("frames.csv").exists());
    for (i, frame) in filmed.iter().enumerate() {
        let photo = image::open(out.path().join(format!("photos/{:06}.jpg", i + 1))).unwrap().into_rgb8();
        let skyfix::types::Pixels::Decoded(image) = &frame.pixels else { panic!("a frame of a video is decoded") };
        let off: u64 = photo.iter().zip(image.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = off as f64 / photo.len() as f64;
        assert!(mean < 12.0, "frame {i}: {mean}");
    }
}

#[test]
fn subtitles_tell_the_height_and_score_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{} ! {H264} ! matroskamux", pictures(20, "width=64,height=48,framerate=10/1"));
    let video = clip(folder.path(), "DJI_0001.mkv", &source);
    let subtitles = folder.path().join("DJI_0001.SRT");
    let cue = |n: u32, lat: f64| {
        format!(
            "{}\n00:00:0{n},000 --> 00:00:0{},000\n[fnum: 1.8] [latitude: {lat}] [longitude: 8.5] [rel_alt: 80.0 abs_alt: 480.0]\n\n",
            n + 1,
            n + 1
        )
    };
    std::fs::write(&subtitles, cue(0, 47.5) + &cue(1, 47.51)).unwrap();
    let options = VideoOptions { frame_rate: Some(2.0), telemetry: Some(subtitles), ..VideoOptions::default() };
    let mut flight = open(&video, &hfov(), &options).unwrap();
    let frames = collect(flight.frames.as_mut()).unwrap();
    let height_m = frames[0].known.height_agl_m.unwrap().value;
    assert!((height_m - 80.0).abs() < 1e-6);
    let latitudes: Vec<f64> =
        frames.iter().filter_map(|f| flight.truth.at(&f.name, f.stamp_ns)).map(|t| t.camera.lat_deg).collect();
    assert!((latitudes[0] - 47.5).abs() < 1e-6 && (latitudes[1] - 47.505).abs() < 1e-6, "{latitudes:?}");
}
