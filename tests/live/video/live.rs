//! Live sources: what they drop, what their stamps say, and how they come back.

use std::time::Duration;

use skyfix::source::video::{RtspTransport, VideoEvent, VideoFrame, VideoInput, VideoSettings, VideoSource};

use crate::clips::{H264, assert_adds_up, clip, launch, pictures, poll_until, read};
use crate::senders::{listen, rtp_packets, serve_rtsp};

fn increasing(frames: &[VideoFrame]) -> bool {
    frames.windows(2).all(|w| w[0].pts_ns < w[1].pts_ns && w[0].index < w[1].index)
}

#[test]
fn a_live_source_drops_its_oldest_frames_and_counts_them() {
    let mut settings = launch(&pictures(100, "width=64,height=48,framerate=100/1"));
    (settings.live, settings.queue) = (true, 4);
    let mut source = VideoSource::start(settings).unwrap();
    // Nobody asks until all have come.
    poll_until(&mut source, |_| true);
    for _ in 0..12_000 {
        if source.counters().decoded == 100 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let waiting = source.counters();
    assert_adds_up(&waiting);
    assert_eq!((waiting.decoded, waiting.delivered), (100, 0));
    let r = poll_until(&mut source, |_| false);
    assert_eq!(r.failure, None);
    // The queue, one in conversion, one in the sink, and one that the queue's thread holds.
    assert!((4..=7).contains(&r.frames.len()), "{:?}", r.counters);
    let last: Vec<u64> = r.frames.iter().rev().take(4).map(|f| f.index).collect();
    assert_eq!(last, [99, 98, 97, 96], "the newest are kept");
    assert_eq!(r.counters.dropped, 100 - r.frames.len() as u64);
    for pair in r.frames.windows(2) {
        assert_eq!(pair[1].pts_ns - pair[0].pts_ns, 10_000_000 * (pair[1].index - pair[0].index) as i64);
    }
    assert!(r.frames.iter().all(|f| f.captured_ns.is_some_and(|c| c > f.pts_ns)));
}

#[test]
fn what_is_not_live_is_never_dropped_however_slowly_it_is_read() {
    let mut settings = launch(&pictures(30, "width=64,height=48,framerate=100/1"));
    settings.queue = 1;
    let mut source = VideoSource::start(settings).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let held = source.counters();
    assert!(held.decoded <= 8, "bounded while nobody reads: {held:?}");
    let r = poll_until(&mut source, |_| false);
    assert_eq!((r.frames.len(), r.counters.dropped), (30, 0));
}

#[test]
fn a_camera_stamps_with_the_clock_and_its_own_intervals() {
    let caps = "width=64,height=48,framerate=50/1";
    let mut settings = launch(&format!("videotestsrc is-live=true num-buffers=20 ! video/x-raw,{caps} ! {H264}"));
    (settings.live, settings.queue) = (true, 64);
    let r = read(settings);
    assert_eq!((r.failure, r.frames.len()), (None, 20));
    assert!(increasing(&r.frames));
    let base: Vec<i64> = r.frames.iter().map(|f| f.captured_ns.unwrap() - f.pts_ns).collect();
    assert!(base.iter().all(|b| *b == base[0]));
}

#[test]
fn a_sender_over_tcp_is_found_again_after_it_was_killed_and_time_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let ts = clip(folder.path(), "a.ts", &format!("{} ! {H264} ! mpegtsmux", pictures(20, "width=64,height=48,framerate=10/1")));
    let bytes = std::fs::read(ts).unwrap();
    let listener = listen(None);
    let address = listener.local_addr().unwrap();
    let sent = bytes.clone();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&sent[..sent.len() / 188 / 2 * 188]).unwrap();
        drop((stream, listener));
        std::thread::sleep(Duration::from_millis(400));
        let again = listen(Some(address));
        let (mut stream, _) = again.accept().unwrap();
        stream.write_all(&sent).unwrap();
    });
    let mut settings = launch(&format!("tcpclientsrc host=127.0.0.1 port={}", address.port()));
    (settings.live, settings.reconnect, settings.queue) = (true, true, 64);
    settings.stall_timeout = Duration::from_secs(30);
    let mut source = VideoSource::start(settings).unwrap();
    let r = poll_until(&mut source, |r| r.frames.len() >= 24 && !r.reconnects.is_empty());
    sender.join().unwrap();
    assert!(increasing(&r.frames), "{:?}", r.stamps_ms());
    assert!(r.counters.reconnects >= 1 && !r.reconnects.is_empty());
    // Within a connection the sender's own intervals, and one step of another length between the two.
    let steps: Vec<i64> = r.frames.windows(2).map(|w| w[1].pts_ns - w[0].pts_ns).collect();
    assert_eq!(steps.iter().filter(|s| **s != 100_000_000).count(), 1, "{steps:?}");
}

#[test]
fn a_sender_that_falls_silent_is_left_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let ts = clip(folder.path(), "a.ts", &format!("{} ! {H264} ! mpegtsmux", pictures(20, "width=64,height=48,framerate=10/1")));
    let bytes = std::fs::read(ts).unwrap();
    let listener = listen(None);
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let mut open = Vec::new();
        listener.set_nonblocking(true).unwrap();
        while stopped.recv_timeout(Duration::from_millis(20)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.write_all(&bytes).unwrap();
                // Kept open, and silent.
                open.push(stream);
            }
        }
        open.len()
    });
    let mut settings = launch(&format!("tcpclientsrc host=127.0.0.1 port={port}"));
    (settings.live, settings.reconnect) = (true, true);
    settings.stall_timeout = Duration::from_millis(1500);
    settings.first_picture_timeout = Duration::from_millis(1500);
    let mut source = VideoSource::start(settings).unwrap();
    let r = poll_until(&mut source, |r| r.reconnects.len() >= 2 && r.frames.last().is_some_and(|f| f.index > 20));
    drop(source);
    drop(stop);
    assert!(sender.join().unwrap() >= 2);
    assert!(increasing(&r.frames));
    assert!(r.reconnects.iter().all(|e| e.to_string().contains("nothing came for")), "{:?}", r.reconnects);
}

/// 20 pictures a second, key frames every five.
fn rtp_clip(pictures: u32) -> Vec<Vec<u8>> {
    let source = format!("videotestsrc num-buffers={pictures} pattern=ball ! video/x-raw,width=64,height=48,framerate=20/1");
    rtp_packets(&source, 5)
}

fn rtsp(port: u16) -> VideoSettings {
    let url = format!("rtsp://pilot:secret@127.0.0.1:{port}/clip");
    let mut settings = VideoSettings::new(VideoInput::Rtsp { url, latency_ms: 100, transport: RtspTransport::Tcp });
    assert!(settings.live && settings.reconnect);
    (settings.queue, settings.stall_timeout) = (64, Duration::from_secs(30));
    settings
}

#[test]
fn rtsp_comes_back_after_a_restart_and_keeps_the_senders_intervals() {
    let packets = rtp_clip(20);
    let listener = listen(None);
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        // Pictures arrive early and late, by far more than their interval of 50 ms.
        let jitter = [5, 5, 120, 40, 5, 90, 60];
        let killed = serve_rtsp(&listener, &packets, &jitter);
        drop((killed, listener));
        std::thread::sleep(Duration::from_millis(700));
        let stream = serve_rtsp(&listen(Some(address)), &packets, &jitter);
        let _ = stopped.recv();
        drop(stream);
    });
    let mut source = VideoSource::start(rtsp(address.port())).unwrap();
    let r = poll_until(&mut source, |r| r.frames.len() >= 36 && !r.reconnects.is_empty());
    drop(stop);
    drop(source);
    sender.join().unwrap();
    assert!(increasing(&r.frames), "{:?}", r.stamps_ms());
    assert_eq!(r.counters.reconnects, r.reconnects.len() as u64);
    assert!(r.reconnects.iter().all(|e| !e.to_string().contains("secret")), "{:?}", r.reconnects);
    let steps: Vec<i64> = r.frames.windows(2).map(|w| w[1].pts_ns - w[0].pts_ns).collect();
    let odd: Vec<&i64> = steps.iter().filter(|s| (**s - 50_000_000).abs() > 11_112).collect();
    // One step spans the restart, which took 700 ms at least.
    assert!(odd.len() == 1 && *odd[0] > 700_000_000, "{steps:?}");
}

#[test]
fn a_camera_that_is_not_there_is_tried_again_and_its_password_is_not_told() {
    let listener = listen(None);
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut source = VideoSource::start(rtsp(port)).unwrap();
    let r = poll_until(&mut source, |r| r.reconnects.len() >= 2);
    for reason in &r.reconnects {
        let text = reason.to_string();
        assert!(text.contains("127.0.0.1") && text.contains("***") && !text.contains("secret"), "{text}");
    }
    assert!(matches!(source.poll(), VideoEvent::Pending));
}

#[test]
fn a_camera_of_this_computer_that_does_not_open_at_the_start_is_an_error_that_names_it() {
    let no_camera = tempfile::NamedTempFile::new().unwrap();
    for device in [std::path::Path::new("/dev/video-none"), no_camera.path()] {
        let settings = VideoSettings::new(VideoInput::Device(device.to_owned()));
        assert!(settings.live && settings.reconnect);
        let r = read(settings);
        assert!(r.reconnects.is_empty(), "{:?}", r.reconnects);
        let text = r.failure.unwrap().to_string();
        assert!(text.starts_with(&device.display().to_string()) && text.contains("plugged in"), "{text}");
    }
}

#[test]
fn without_reconnection_a_stream_that_breaks_off_fails_after_its_last_frame() {
    let folder = tempfile::tempdir().unwrap();
    let ts = clip(folder.path(), "a.ts", &format!("{} ! {H264} ! mpegtsmux", pictures(10, "width=64,height=48,framerate=10/1")));
    let listener = listen(None);
    let port = listener.local_addr().unwrap().port();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&std::fs::read(ts).unwrap()).unwrap();
    });
    let r = read(launch(&format!("tcpclientsrc host=127.0.0.1 port={port}")));
    sender.join().unwrap();
    assert_eq!((r.failure, r.frames.len()), (None, 10));
}
