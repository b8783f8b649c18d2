//! Recording: what is decoded from the file is what was seen.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use skyfix::recording::{Description, RecordingWriter, Told, reader};
use skyfix::source::video::{VideoError, VideoEvent, VideoParts, VideoSource};
use skyfix::types::{Camera, Intrinsics};

use crate::clips::{H264, Read, clip, file, launch, pictures, poll_until, read};
use crate::senders::listen;

/// Frame n of the run is frame n of the file: same pixels, and the same time to the millisecond that Matroska keeps.
fn assert_recorded(run: &Read, path: &Path) -> Read {
    let recorded = read(file(path));
    assert_eq!(recorded.failure, None);
    assert_eq!(run.counters.not_recorded, 0);
    assert_eq!(recorded.frames.len() as u64, run.counters.decoded, "{:?}", run.counters);
    assert!(!run.frames.is_empty());
    for seen in &run.frames {
        let kept = &recorded.frames[usize::try_from(seen.index).unwrap()];
        assert!((kept.pts_ns - seen.pts_ns).abs() <= 500_000, "frame {}: {} {}", seen.index, kept.pts_ns, seen.pts_ns);
        assert!(kept.image == seen.image, "frame {}", seen.index);
    }
    recorded
}

#[test]
fn an_encoded_stream_is_recorded_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mkv");
    let chain = format!("{} ! openh264enc gop-size=7", pictures(30, "width=320,height=240,framerate=30/1"));
    let mut settings = launch(&chain);
    settings.record = Some(path.clone());
    let run = read(settings);
    assert_eq!((run.failure.clone(), run.frames.len()), (None, 30));
    assert_recorded(&run, &path);
}

#[test]
fn thinning_does_not_thin_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mkv");
    let mut settings = launch(&format!("{} ! {H264}", pictures(30, "width=96,height=64,framerate=30/1")));
    settings.record = Some(path.clone());
    settings.frame_rate = Some(5.0);
    let run = read(settings);
    assert_eq!(run.frames.iter().map(|f| f.index).collect::<Vec<_>>(), [0, 6, 12, 18, 24]);
    assert_eq!(assert_recorded(&run, &path).frames.len(), 30);
}

#[test]
fn a_raw_stream_is_recorded_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["I420", "YUY2", "NV12"] {
        let path = folder.path().join(format!("{format}.mkv"));
        let mut settings = launch(&pictures(6, &format!("width=98,height=66,framerate=10/1,format={format}")));
        settings.record = Some(path.clone());
        let run = read(settings);
        assert_eq!((run.failure.clone(), run.frames.len()), (None, 6));
        assert_recorded(&run, &path);
    }
}

#[test]
fn a_recording_begins_with_the_first_key_frame_and_goes_on_over_reconnections() {
    let folder = tempfile::tempdir().unwrap();
    let chain = format!(
        "{} ! openh264enc gop-size=6 ! h264parse config-interval=-1 ! mpegtsmux",
        pictures(40, "width=96,height=64,framerate=10/1")
    );
    let bytes = std::fs::read(clip(folder.path(), "a.ts", &chain)).unwrap();
    let packets = bytes.len() / 188;
    // Where pictures begin: the multiplexer gives video the identifier 65.
    let begins: Vec<usize> = (0..packets).filter(|i| bytes[188 * i + 1] & 0x5f == 0x40 && bytes[188 * i + 2] == 65).collect();
    // Joined in the middle of a picture; cut between two, because half a picture is decoded as the decoder happens to guess.
    let (from, to) = (packets / 5, begins[begins.len() / 2]);
    let sent = begins.iter().filter(|i| (from..to).contains(*i)).count() + begins.iter().filter(|i| **i >= from).count();
    assert!(sent > 30);
    let listener = listen(None);
    let address = listener.local_addr().unwrap();
    let sender = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&bytes[from * 188..to * 188]).unwrap();
        drop((stream, listener));
        std::thread::sleep(Duration::from_millis(300));
        let again = listen(Some(address));
        let (mut stream, _) = again.accept().unwrap();
        stream.write_all(&bytes[from * 188..]).unwrap();
    });
    let path = folder.path().join("video.mkv");
    let mut settings = launch(&format!("tcpclientsrc host=127.0.0.1 port={}", address.port()));
    (settings.live, settings.reconnect, settings.queue) = (true, true, 64);
    settings.stall_timeout = Duration::from_secs(30);
    settings.record = Some(path.clone());
    let mut source = VideoSource::start(settings).unwrap();
    // Two connections, the second to its end.
    let run =
        poll_until(&mut source, |r| r.reconnects.iter().filter(|e| e.to_string().contains("the sender ended it")).count() >= 2);
    sender.join().unwrap();
    source.finish().unwrap();
    // What came before the key frames could not be decoded.
    assert!(run.counters.decoded < sent as u64, "{:?} of {sent}", run.counters);
    // All that was recorded was decoded: one file holds it.
    assert!(!folder.path().join("video_parts.csv").exists());
    assert_recorded(&run, &path);
}

#[test]
fn a_stream_that_comes_back_in_another_size_is_recorded_in_parts_that_are_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let writer = RecordingWriter::create(&folder.path().join("recorded")).unwrap();
    writer.describe(&description(&Camera::nadir(Intrinsics::centred(96, 64, 80.0)), &Told::default())).unwrap();
    let stream = |name: &str, size: &str| {
        let chain = format!("{} ! openh264enc gop-size=6 ! h264parse config-interval=-1 ! mpegtsmux", pictures(20, size));
        std::fs::read(clip(folder.path(), name, &chain)).unwrap()
    };
    let streams = [stream("a.ts", "width=96,height=64,framerate=10/1"), stream("b.ts", "width=192,height=128,framerate=10/1")];
    let listener = listen(None);
    let address = listener.local_addr().unwrap();
    let sender = std::thread::spawn(move || {
        let mut listener = Some(listener);
        for stream in streams {
            let listener = listener.take().unwrap_or_else(|| listen(Some(address)));
            listener.accept().unwrap().0.write_all(&stream).unwrap();
            drop(listener);
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let mut settings = launch(&format!("tcpclientsrc host=127.0.0.1 port={}", address.port()));
    (settings.live, settings.reconnect, settings.queue) = (true, true, 64);
    settings.stall_timeout = Duration::from_secs(30);
    settings.record = Some(writer.video());
    let mut source = VideoSource::start(settings).unwrap();
    let run =
        poll_until(&mut source, |r| r.reconnects.iter().filter(|e| e.to_string().contains("the sender ended it")).count() >= 2);
    sender.join().unwrap();
    source.finish().unwrap();
    assert_eq!(run.sizes(), [(96, 64), (192, 128)]);

    let recorded = reader::read(&folder.path().join("recorded")).unwrap();
    assert_eq!(recorded.video.len(), 2, "{:?}", recorded.video);
    let mut video = VideoParts::start(file(&recorded.video[0].path), recorded.video).unwrap();
    let mut again = Vec::new();
    loop {
        match video.poll() {
            VideoEvent::Frame(frame) => again.push(frame),
            VideoEvent::Pending => std::thread::sleep(Duration::from_millis(1)),
            VideoEvent::Ended => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(again.iter().map(|f| f.index).eq(0..run.counters.decoded), "{:?}", run.counters);
    assert_eq!(video.counters().delivered, run.counters.decoded);
    for seen in &run.frames {
        assert!(again[usize::try_from(seen.index).unwrap()].image == seen.image, "frame {}", seen.index);
    }
}

#[test]
fn a_part_of_a_recording_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let writer = RecordingWriter::create(&folder.path().join("r")).unwrap();
    writer.describe(&description(&Camera::nadir(Intrinsics::centred(96, 64, 80.0)), &Told::default())).unwrap();
    let at = |name: &str| folder.path().join("r").join(name);
    std::fs::write(at("video.mkv"), "x").unwrap();
    let error = |rows: &str| {
        std::fs::write(at("video_parts.csv"), format!("file,first_frame\n{rows}")).unwrap();
        reader::read(&folder.path().join("r")).err().unwrap().to_string()
    };
    let text = error("video.mkv,0\nvideo.2.mkv,7\n");
    assert!(text.contains("video.2.mkv is not there") && text.contains("video_parts.csv"), "{text}");
    let text = error("video.mkv,9\nvideo.mkv,7\n");
    assert!(text.contains("goes back"), "{text}");
    for outside in ["../other.mkv", "/etc/hostname", ".."] {
        let text = error(&format!("{outside},0\n"));
        assert!(text.contains(&format!("{outside} is no name of a file beside this table")), "{text}");
    }
}

#[test]
fn a_recording_that_is_cut_off_can_be_read_up_to_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("video.mkv"), folder.path().join("copy.mkv"));
    let mut settings = launch(&format!("{} ! openh264enc gop-size=5", pictures(60, "width=160,height=120,framerate=10/1")));
    settings.record = Some(path.clone());
    let mut source = VideoSource::start(settings).unwrap();
    let run = poll_until(&mut source, |r| r.frames.len() == 40);
    // What a killed process leaves behind.
    std::fs::copy(&path, &copy).unwrap();
    drop(source);
    let left = read(file(&copy));
    assert!(left.frames.len() >= 25, "{} frames, {:?}", left.frames.len(), left.failure);
    for (kept, seen) in left.frames.iter().zip(&run.frames).take(left.frames.len() - 1) {
        assert!(kept.image == seen.image, "frame {}", seen.index);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_before_anything_is_read() {
    let mut settings = launch("videotestsrc num-buffers=3");
    settings.record = Some("/nowhere/video.mkv".into());
    let error = read(settings).failure.unwrap();
    assert!(matches!(error, VideoError::Record { .. }) && error.to_string().contains("/nowhere/video.mkv"), "{error}");
}

fn description<'a>(camera: &'a Camera, told: &'a Told) -> Description<'a> {
    Description { title: "A test.", camera, told, licence: None, made_by: "a test" }
}
