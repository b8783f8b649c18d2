//! Files, whole and broken.

use std::time::Duration;

use image::{Rgb, RgbImage};
use skyfix::source::video::{VideoError, VideoInput, VideoSettings};

use crate::clips::{H264, Read, clip, file, launch, make, pictures, read, timed_clip};

fn whole(read: &Read, count: usize) {
    assert_eq!(read.failure, None);
    assert_eq!(read.frames.len(), count, "{:?}", read.counters);
    let indices: Vec<u64> = read.frames.iter().map(|f| f.index).collect();
    assert_eq!(indices, (0..count as u64).collect::<Vec<_>>());
}

fn failure_of(read: Read) -> VideoError {
    read.failure.expect("an error")
}

#[test]
fn stamps_are_the_containers_own_and_start_where_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let late = "videotestsrc num-buffers=6 timestamp-offset=40000000 ! video/x-raw,width=64,height=48,framerate=25/1";
    let mkv = clip(folder.path(), "a.mkv", &format!("{late} ! {H264} ! matroskamux"));
    let r = read(file(&mkv));
    whole(&r, 6);
    assert_eq!(r.stamps_ms(), [40.0, 80.0, 120.0, 160.0, 200.0, 240.0]);
    assert!(r.frames.iter().all(|f| f.captured_ns.is_none()));
    // MP4 written from these pictures starts its track at zero.
    let mp4 = clip(folder.path(), "a.mp4", &format!("{late} ! {H264} ! mp4mux"));
    let r = read(file(&mp4));
    whole(&r, 6);
    assert_eq!(r.stamps_ms(), [0.0, 40.0, 80.0, 120.0, 160.0, 200.0]);
    // MPEG-TS counts from its first program clock.
    let ts = clip(folder.path(), "a.ts", &format!("{late} ! {H264} ! mpegtsmux"));
    let r = read(file(&ts));
    whole(&r, 6);
    assert!(r.frames.windows(2).all(|w| w[1].pts_ns - w[0].pts_ns == 40_000_000), "{:?}", r.stamps_ms());
}

#[test]
fn other_codecs_and_containers_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = pictures(5, "width=80,height=60,framerate=25/1");
    for (name, chain) in [
        ("a.avi", "jpegenc ! avimux"),
        ("a.webm", "vp8enc deadline=1 ! webmmux"),
        ("a.mov", "jpegenc ! qtmux"),
        ("a.ogv", "theoraenc ! oggmux"),
        ("c.mkv", "avenc_ffv1 ! matroskamux"),
    ] {
        let path = clip(folder.path(), name, &format!("{source} ! {chain}"));
        let r = read(file(&path));
        whole(&r, 5);
        assert_eq!(r.sizes(), [(80, 60)], "{name}");
        assert!(r.stamps_ms().windows(2).all(|w| (w[1] - w[0] - 40.0).abs() < 1.0), "{name} {:?}", r.stamps_ms());
    }
}

#[test]
fn odd_sizes_keep_every_pixel_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let caps = "width=1919,height=1079,framerate=5/1,format=I420";
    let chain = format!("videotestsrc num-buffers=2 pattern=smpte ! video/x-raw,{caps} ! avenc_ffv1 ! matroskamux");
    let r = read(file(&clip(folder.path(), "odd.mkv", &chain)));
    whole(&r, 2);
    assert_eq!(r.sizes(), [(1919, 1079)]);
    let image = &r.frames[0].image;
    // The seven bars from grey to blue: a wrong stride would shear them.
    let rows = [0u32, 300, 600];
    let bars: Vec<Vec<bool>> =
        rows.map(|y| (0..7).map(|i| image.get_pixel(1919 * (2 * i + 1) / 14, y)).map(|p| p.0[1] > 90).collect()).into();
    assert_eq!(bars[0], [true, true, true, true, false, false, false]);
    assert!(bars.iter().all(|b| *b == bars[0]));

    let chain = format!("{} ! {H264} ! matroskamux", pictures(3, "width=322,height=182,framerate=5/1"));
    assert_eq!(read(file(&clip(folder.path(), "even.mkv", &chain))).sizes(), [(322, 182)]);
}

/// Colours of the corners: upper left, upper right, lower right, lower left.
fn corners(image: &RgbImage) -> [Rgb<u8>; 4] {
    let (w, h) = (image.width() - 3, image.height() - 3);
    [(2, 2), (w, 2), (w, h), (2, h)].map(|(x, y)| *image.get_pixel(x, y))
}

#[test]
fn a_portrait_video_with_a_rotation_tag_stands_upright() {
    let folder = tempfile::tempdir().unwrap();
    let chain =
        "videotestsrc num-buffers=2 pattern=smpte ! video/x-raw,width=160,height=120,framerate=5/1 ! jpegenc quality=95 ! qtmux";
    let path = clip(folder.path(), "a.mov", chain);
    let stored = read(file(&path));
    whole(&stored, 2);
    assert_eq!(stored.sizes(), [(160, 120)]);

    // What a phone held upright writes: the matrix of the track header turns by 90° clockwise.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|w| w == b"tkhd").unwrap();
    let matrix = at + 4 + 4 + if bytes[at + 4] == 1 { 32 } else { 20 } + 16;
    let turn: [u32; 9] = [0, 0x0001_0000, 0, 0xffff_0000, 0, 0, 120 << 16, 0, 0x4000_0000];
    for (i, value) in turn.iter().enumerate() {
        bytes[matrix + 4 * i..][..4].copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    let turned = read(file(&path));
    whole(&turned, 2);
    assert_eq!(turned.sizes(), [(120, 160)]);
    let [a, b, c, d] = corners(&stored.frames[0].image);
    // Clockwise: the lower left corner becomes the upper left one.
    assert_eq!(corners(&turned.frames[0].image), [d, a, b, c]);
}

#[test]
fn the_orientation_tag_of_a_stream_is_applied_too() {
    let source = "videotestsrc num-buffers=2 pattern=smpte ! video/x-raw,width=160,height=120,framerate=5/1";
    let plain = read(launch(source));
    let turned = read(launch(&format!("{source} ! taginject tags=\"image-orientation=rotate-180\"")));
    whole(&turned, 2);
    assert_eq!(turned.sizes(), [(160, 120)]);
    let [a, b, c, d] = corners(&plain.frames[0].image);
    assert_eq!(corners(&turned.frames[0].image), [c, d, a, b]);
}

#[test]
fn other_colour_formats_give_the_same_picture() {
    let folder = tempfile::tempdir().unwrap();
    let of = |format: &str| {
        let caps = format!("width=96,height=64,framerate=5/1,format={format}");
        let chain = format!("videotestsrc num-buffers=2 pattern=smpte ! video/x-raw,{caps} ! avenc_ffv1 ! matroskamux");
        let r = read(file(&clip(folder.path(), &format!("{format}.mkv"), &chain)));
        whole(&r, 2);
        r.frames[0].image.clone()
    };
    let reference = of("I420");
    // 4:2:2, 4:4:4, and 4:2:2 with ten bits.
    for format in ["Y42B", "Y444", "I422_10LE"] {
        let image = of(format);
        let middle = |i: u32| 96 * (2 * i + 1) / 14;
        for i in 0..7 {
            let (a, b) = (reference.get_pixel(middle(i), 20), image.get_pixel(middle(i), 20));
            assert!(a.0.iter().zip(b.0).all(|(x, y)| x.abs_diff(y) <= 8), "{format} bar {i}: {a:?} {b:?}");
        }
    }
}

#[test]
fn pixels_that_are_not_square_are_made_square() {
    let folder = tempfile::tempdir().unwrap();
    let caps = "width=72,height=60,framerate=5/1,pixel-aspect-ratio=2/1";
    let chain = format!("videotestsrc num-buffers=2 ! video/x-raw,{caps} ! avenc_ffv1 ! matroskamux");
    let r = read(file(&clip(folder.path(), "par.mkv", &chain)));
    whole(&r, 2);
    assert_eq!(r.sizes(), [(144, 60)]);
}

#[test]
fn a_resolution_that_changes_on_the_way_gives_frames_of_the_new_size() {
    let folder = tempfile::tempdir().unwrap();
    let part = |size: &str| {
        let chain =
            format!("{} ! openh264enc gop-size=5 ! h264parse config-interval=-1", pictures(5, &format!("{size},framerate=10/1")));
        format!("{chain} ! video/x-h264,stream-format=byte-stream,alignment=au ! c.")
    };
    let path = folder.path().join("a.ts");
    let (small, large) = (part("width=64,height=48"), part("width=96,height=64"));
    make(&format!("concat name=c ! mpegtsmux ! filesink location={} {small} {large}", path.display()));
    let r = read(file(&path));
    whole(&r, 10);
    assert_eq!(r.sizes(), [(64, 48), (96, 64)]);
    assert!(r.frames.windows(2).all(|w| w[1].pts_ns - w[0].pts_ns == 100_000_000), "{:?}", r.stamps_ms());
}

#[test]
fn a_variable_frame_rate_keeps_its_stamps_and_is_thinned_by_them() {
    let folder = tempfile::tempdir().unwrap();
    // 10 frames at 25/s, then 5 at 5/s.
    let expected: Vec<i64> = (0..10).map(|i| 40 * i).chain((0..5).map(|i| 400 + 200 * i)).collect();
    let joined = folder.path().join("vfr.mkv");
    timed_clip(&joined, "jpegenc ! matroskamux", &expected);
    let all = read(file(&joined));
    whole(&all, 15);
    let stamps: Vec<i64> = all.frames.iter().map(|f| f.pts_ns / 1_000_000).collect();
    assert_eq!(stamps, expected);

    let mut settings = file(&joined);
    settings.frame_rate = Some(4.0);
    let thinned = read(settings);
    // The first at or after 0, 250, 500, … ms.
    assert_eq!(thinned.stamps_ms(), [0.0, 280.0, 600.0, 800.0, 1000.0]);
    assert_eq!(thinned.frames.iter().map(|f| f.index).collect::<Vec<_>>(), [0, 7, 11, 12, 13]);
    let c = thinned.counters;
    assert_eq!((c.decoded, c.delivered, c.thinned), (15, 5, 10));
}

#[test]
fn a_video_without_times_is_refused_not_timed_by_guess() {
    let folder = tempfile::tempdir().unwrap();
    let source = pictures(5, "width=64,height=48,framerate=10/1");
    for (name, chain) in [
        ("a.h264", format!("{source} ! {H264} ! video/x-h264,stream-format=byte-stream")),
        ("a.m4v", format!("{source} ! avenc_mpeg4 ! mpeg4videoparse")),
        ("a.mjpg", format!("{source} ! jpegenc")),
    ] {
        let path = clip(folder.path(), name, &chain);
        let error = failure_of(read(file(&path)));
        assert!(matches!(error, VideoError::NoTimestamps { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name) && error.to_string().contains("ffmpeg"), "{error}");
    }
    // The same through a pipeline: every frame is counted, none is given a time.
    let r = read(launch(&format!("filesrc location={} ! h264parse", folder.path().join("a.h264").display())));
    assert_eq!((r.counters.decoded, r.counters.without_pts), (5, 5));
    assert!(matches!(failure_of(r), VideoError::NoTimestamps { .. }));
}

#[test]
fn a_truncated_file_gives_what_it_holds_or_says_that_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{} ! {H264}", pictures(40, "width=320,height=240,framerate=10/1"));
    for (name, mux) in [("a.mkv", "matroskamux"), ("a.ts", "mpegtsmux"), ("a.mp4", "mp4mux"), ("b.mp4", "mp4mux faststart=true")]
    {
        let path = clip(folder.path(), name, &format!("{source} ! {mux}"));
        let complete = read(file(&path));
        whole(&complete, 40);
        assert_eq!(complete.ended_early_s, None, "{name}");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 6 / 10]).unwrap();
        let r = read(file(&path));
        if mux == "mp4mux" {
            // Its table of contents was at the end.
            let error = failure_of(r);
            assert!(error.to_string().contains(name), "{error}");
            continue;
        }
        assert!((10..40).contains(&r.frames.len()), "{name}: {} frames, {:?}", r.frames.len(), r.failure);
        assert!(r.failure.as_ref().is_none_or(|e| matches!(e, VideoError::Damaged { .. })), "{name}: {:?}", r.failure);
        // MPEG-TS states no length.
        let told = r.failure.is_some() || r.ended_early_s.is_some_and(|s| s > 1.0);
        assert!(told || name == "a.ts", "{name}: {:?}", r.ended_early_s);
        // Up to the cut nothing differs but, at most, the picture that was cut.
        for (a, b) in r.frames.iter().zip(&complete.frames).take(r.frames.len() - 1) {
            assert_eq!((a.index, a.pts_ns), (b.index, b.pts_ns), "{name}");
            assert!(a.image == b.image, "{name} frame {}", a.index);
        }
    }
}

#[test]
fn what_is_no_video_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        failure_of(read(file(&path)))
    };
    let text = with("text.mp4", "latitude, longitude\n".repeat(50).as_bytes());
    assert!(matches!(text, VideoError::NoVideo { .. }), "{text}");
    let noise: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let noise = with("noise.mp4", &noise);
    assert!(matches!(noise, VideoError::NoVideo { .. } | VideoError::Damaged { .. }), "{noise}");
    let empty = with("empty.mp4", b"");
    assert!(empty.to_string().contains("empty.mp4: cannot be opened: the file is empty"), "{empty}");
    let sound = clip(folder.path(), "sound.wav", "audiotestsrc num-buffers=20 ! wavenc");
    let sound = failure_of(read(file(&sound)));
    assert!(matches!(&sound, VideoError::NoVideo { .. }), "{sound}");
    let missing = failure_of(read(file(&folder.path().join("missing.mp4"))));
    assert!(missing.to_string().contains("missing.mp4: cannot be opened"), "{missing}");
    let directory = failure_of(read(file(folder.path())));
    assert!(directory.to_string().contains("it is a folder"), "{directory}");
    for error in [text, noise, sound] {
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    }
}

/// A clip with sound beside its five pictures.
fn with_sound(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("both.mkv");
    make(&format!(
        "matroskamux name=m ! filesink location={} audiotestsrc num-buffers=20 ! m. {} ! {H264} ! m.",
        path.display(),
        pictures(5, "width=64,height=48,framerate=10/1")
    ));
    path
}

#[test]
fn sound_beside_the_video_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    whole(&read(file(&with_sound(folder.path()))), 5);
}

/// GStreamer complains without end where events of a second stream are dropped.
#[cfg(all(feature = "onnx", feature = "mavlink"))]
#[test]
fn sound_beside_the_video_brings_no_complaints() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_sound(folder.path());
    let output = crate::bundled::command()
        .args(["replay", "--hfov", "69", "--height", "100", "--heading", "0", "--frame-rate", "1", "--no-viewer", "-w", "1"])
        .args(["--map", &crate::bundled::map(), "--out"])
        .args([&folder.path().join("out"), &path])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(!errors.contains("CRITICAL"), "{errors}");
}

#[test]
fn a_source_that_ends_at_once_is_an_error() {
    let error = failure_of(read(launch("videotestsrc num-buffers=0")));
    assert!(matches!(error, VideoError::NoFrames { .. }), "{error}");
}

#[test]
fn what_is_no_live_source_and_brings_nothing_is_given_up() {
    let mut settings = launch("appsrc caps=video/x-raw,format=RGB,width=64,height=48,framerate=10/1");
    settings.read_timeout = Duration::from_millis(300);
    let error = failure_of(read(settings));
    assert!(matches!(error, VideoError::Silent { quiet_s, .. } if quiet_s > 0.3), "{error}");
}

#[test]
fn what_is_not_installed_is_named_with_its_package() {
    let error = failure_of(read(launch("videotestsrc num-buffers=3 ! x264encoder2 ! identity")));
    assert!(matches!(&error, VideoError::MissingElement { element, .. } if element == "x264encoder2"), "{error}");
    let unknown = "jpegenc ! capssetter caps=video/x-nonsense join=false replace=true";
    let error = failure_of(read(launch(&format!("videotestsrc num-buffers=3 ! {unknown}"))));
    assert!(matches!(&error, VideoError::MissingDecoder { format, .. } if format.contains("video/x-nonsense")), "{error}");
    assert!(error.to_string().contains("gstreamer1.0-"), "{error}");
}

#[test]
fn a_description_that_is_not_understood_is_an_error_without_its_password() {
    let error = failure_of(read(launch("rtspsrc location=rtsp://me:secret@host/x nonsense=3 ! identity")));
    assert!(matches!(error, VideoError::Description { .. }), "{error}");
    assert!(error.to_string().contains("rtsp://***@host/x") && !error.to_string().contains("secret"), "{error}");
    let error = failure_of(read(launch("videotestsrc num-buffers=2 ! audioconvert")));
    assert!(matches!(error, VideoError::Description { .. } | VideoError::Negotiation { .. }), "{error}");
}

#[test]
fn settings_out_of_range_are_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut settings = launch("videotestsrc num-buffers=1");
        settings.frame_rate = Some(rate);
        assert!(matches!(failure_of(read(settings)), VideoError::Setting { name: "frame rate", .. }));
    }
    let mut settings = launch("videotestsrc num-buffers=1");
    settings.queue = 0;
    assert!(matches!(failure_of(read(settings)), VideoError::Setting { name: "queue", .. }));
}

#[test]
fn a_slow_reader_of_a_file_gets_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let chain = format!("{} ! {H264} ! matroskamux", pictures(30, "width=64,height=48,framerate=30/1"));
    let path = clip(folder.path(), "a.mkv", &chain);
    let mut source = skyfix::source::video::VideoSource::start(file(&path)).unwrap();
    let r = crate::clips::poll_until(&mut source, |_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        // Bounded: what waits is what queue, converter and sink hold.
        false
    });
    whole(&r, 30);
}

#[test]
fn the_same_file_gives_the_same_frames_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let chain = format!("{} ! {H264} ! mp4mux", pictures(20, "width=318,height=178,framerate=15/1"));
    let path = clip(folder.path(), "a.mp4", &chain);
    let essence = |r: Read| r.frames.into_iter().map(|f| (f.index, f.pts_ns, f.image.to_vec())).collect::<Vec<_>>();
    let first = essence(read(file(&path)));
    assert_eq!(first.len(), 20);
    assert!(first == essence(read(file(&path))));
}

#[test]
fn an_address_gives_what_the_file_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    timed_clip(&path, "jpegenc ! matroskamux", &[40, 140, 300]);
    let settings = VideoSettings::new(VideoInput::Uri(format!("file://{}", path.display())));
    assert!(!settings.live && !settings.reconnect);
    let (by_address, by_path) = (read(settings), read(file(&path)));
    whole(&by_address, 3);
    assert_eq!(by_address.stamps_ms(), [40.0, 140.0, 300.0]);
    assert!(by_address.frames.iter().zip(&by_path.frames).all(|(a, b)| a.image == b.image));

    let missing = failure_of(read(VideoSettings::new(VideoInput::Uri("file:///nowhere/me:secret@x.mkv".into()))));
    assert!(matches!(missing, VideoError::Open { .. }), "{missing}");
    let unknown = failure_of(read(VideoSettings::new(VideoInput::Uri("nonsense://me:secret@host/x".into()))));
    assert!(!unknown.to_string().contains("secret") && unknown.to_string().contains("nonsense://***@host/x"), "{unknown}");
}
