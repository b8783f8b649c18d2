//! Videos as people bring them: split into parts, zoomed, with subtitles beside them.

use std::path::Path;

use skyfix::source::frames::collect;
use skyfix::source::photos::CameraOptions;
use skyfix::source::{self, KnowledgeOptions, VideoOptions};
use skyfix::types::Frame;

use crate::clips::{H264, clip, pictures};

fn read(path: &Path, telemetry: Option<&Path>) -> (Vec<Frame>, String) {
    let camera = CameraOptions { hfov_rad: Some(68.96f64.to_radians()), ..CameraOptions::default() };
    let options = VideoOptions { telemetry: telemetry.map(Into::into), ..VideoOptions::default() };
    let mut flight = source::open(path, &KnowledgeOptions::default(), &camera, &options).unwrap();
    let told = flight.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    (collect(flight.frames.as_mut()).unwrap(), told)
}

/// Subtitles, five a second: height and zoom of each.
fn subtitles(heights_and_zooms: &[(f64, f64)]) -> String {
    let cue = |(i, (height, zoom)): (usize, &(f64, f64))| {
        let body = format!("[focal_len: {:.2}] [dzoom_ratio: {zoom:.2}] [rel_alt: {height:.1} abs_alt: 0.0]", 24.0 * zoom);
        format!("{}\n00:00:00,{}00 --> 00:00:00,{}00\n{body}\n\n", i + 1, 2 * i, 2 * i + 2)
    };
    heights_and_zooms.iter().enumerate().map(cue).collect()
}

#[test]
fn the_parts_that_a_camera_split_a_video_into_are_one_flight() {
    let folder = tempfile::tempdir().unwrap();
    let chain = format!("{} ! {H264} ! mp4mux", pictures(10, "width=64,height=48,framerate=10/1"));
    for (name, height) in [("DJI_0001", 50.0), ("DJI_0002", 70.0)] {
        clip(folder.path(), &format!("{name}.MP4"), &chain);
        std::fs::write(folder.path().join(format!("{name}.SRT")), subtitles(&[(height, 1.0); 5])).unwrap();
    }
    let (frames, told) = read(folder.path(), None);
    let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    assert_eq!(frames.iter().map(|f| f.name.clone()).collect::<Vec<_>>(), names);
    assert!(frames.windows(2).all(|w| (w[1].stamp_ns - w[0].stamp_ns - 100_000_000).abs() < 2_000_000), "{frames:?}");
    let heights: Vec<f64> = [1, 3, 12, 18].iter().map(|i| frames[*i].known.height_agl_m.unwrap().value).collect();
    assert_eq!(heights, [50.0, 50.0, 70.0, 70.0]);
    assert!(told.contains("DJI_0001.MP4, DJI_0002.MP4, one right after the other"), "{told}");
}

#[test]
fn a_zoom_that_the_subtitles_state_is_taken_into_the_camera_from_when_on_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path =
        clip(folder.path(), "a.mkv", &format!("{} ! {H264} ! matroskamux", pictures(8, "width=64,height=48,framerate=10/1")));
    let zoomed = folder.path().join("b.srt");
    let focal =
        |frames: &[Frame], i: usize| frames[i].camera.unwrap().intrinsics.fx_px / (32.0 / (68.96f64.to_radians() / 2.0).tan());
    std::fs::write(&zoomed, subtitles(&[(50.0, 1.0), (50.0, 1.0), (50.0, 2.0), (50.0, 4.0)])).unwrap();
    let (frames, told) = read(&path, Some(&zoomed));
    for (i, factor) in [(0, 1.0), (3, 1.0), (4, 2.0), (5, 2.0), (6, 4.0)] {
        assert!((focal(&frames, i) - factor).abs() < 1e-6, "{i}: {}", focal(&frames, i));
    }
    assert!(told.contains("changing 2 times") && told.contains("narrowed by 1.00 to 4.00"), "{told}");
    std::fs::write(&zoomed, subtitles(&[(50.0, 2.0); 4])).unwrap();
    let (frames, told) = read(&path, Some(&zoomed));
    assert!((focal(&frames, 0) - 2.0).abs() < 1e-6 && told.contains("a digital zoom of 2.00"), "{told}");
    // Beside the video, and not given: told, not taken.
    std::fs::rename(&zoomed, folder.path().join("a.SRT")).unwrap();
    let (frames, told) = read(&path, None);
    assert!((focal(&frames, 0) - 1.0).abs() < 1e-6 && told.contains("a.SRT lies beside the video"), "{told}");
    assert!(told.contains("height missing, 0: nothing tells the height"), "{told}");
}
