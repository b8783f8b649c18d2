//! Cameras and relays with habits: they begin late, send what nobody asked for, and another codec than they were said to.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use skyfix::source::video::{RtspTransport, VideoError, VideoInput, VideoSettings, VideoSource};

use crate::clips::{Read, launch, poll_until};
use crate::mutator::mutated;
use crate::senders::{listen, play_rtsp, rtp_packets, send_interleaved};

/// A picture every 50 ms, key frames every five.
fn pictures(count: u32) -> Vec<Vec<u8>> {
    rtp_packets(&format!("videotestsrc num-buffers={count} pattern=ball ! video/x-raw,width=64,height=48,framerate=20/1"), 5)
}

/// RTP as `kind = "rtp"` reads it, and a socket that sends there.
fn rtp(depayloader: &str) -> (VideoSettings, UdpSocket) {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let encoding = if depayloader.contains("h264") { "H264" } else { "H265" };
    let mut settings = launch(&format!(
        "udpsrc address=127.0.0.1 port={port} caps=\"application/x-rtp,media=video,clock-rate=90000,encoding-name={encoding}\" ! \
         rtpjitterbuffer mode=synced latency=50 ! {depayloader}"
    ));
    (settings.live, settings.reconnect, settings.queue) = (true, true, 64);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    (settings, socket)
}

#[test]
fn one_packet_of_a_kind_that_nobody_knows_does_not_end_a_live_flight() {
    let packets = pictures(100);
    let (settings, socket) = rtp("rtph264depay ! h264parse");
    let mut source = VideoSource::start(settings).unwrap();
    let sender = std::thread::spawn(move || {
        for (i, packet) in packets.iter().enumerate() {
            let mut packet = packet.clone();
            if i == packets.len() / 3 {
                // A NAL unit of type 26, which no element unpacks.
                packet.truncate(12);
                packet.extend([0x7a; 41]);
            }
            let _ = socket.send(&packet);
            std::thread::sleep(Duration::from_millis(25));
        }
    });
    // A third was sent before, and of the rest a few were lost with the connection.
    let r = poll_until(&mut source, |r| !r.reconnects.is_empty() && r.frames.len() > 50);
    sender.join().unwrap();
    assert_eq!(r.failure, None);
    assert_eq!(r.counters.reconnects, 1);
}

#[test]
fn a_sender_of_mutated_packets_ends_nothing_either() {
    let seconds = std::env::var("SKYFIX_MUTATION_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let end = Instant::now() + Duration::from_secs(seconds);
    let packets = pictures(40);
    let (settings, socket) = rtp("rtph264depay ! h264parse");
    let mut source = VideoSource::start(settings).unwrap();
    let sender = std::thread::spawn(move || {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (number, packet) in (0u16..=u16::MAX).cycle().zip(packets.iter().cycle()) {
            if Instant::now() > end {
                return;
            }
            let mut packet = packet.clone();
            packet[2..4].copy_from_slice(&number.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(number) * 2250).to_be_bytes());
            if rng.random::<f64>() < 0.05 {
                packet = mutated(&packet, &packets[rng.random_range(0..packets.len())], &mut rng);
                packet.truncate(60_000);
            }
            let _ = socket.send(&packet);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let r = poll_until_time(&mut source, end);
    sender.join().unwrap();
    assert_eq!(r.failure, None);
    assert!(!r.frames.is_empty(), "{:?}", r.counters);
}

/// What comes until a time.
fn poll_until_time(source: &mut VideoSource, end: Instant) -> Read {
    // The frames themselves would be too many for memory.
    let mut all = poll_until(source, |r| r.frames.len() >= 10 || Instant::now() > end);
    while Instant::now() < end && all.failure.is_none() {
        let more = poll_until(source, |r| r.frames.len() >= 10 || Instant::now() > end);
        (all.failure, all.counters) = (more.failure, more.counters);
        all.reconnects.truncate(10);
    }
    all
}

#[test]
fn a_stream_of_another_codec_than_was_configured_is_named() {
    let (settings, socket) = rtp("rtph264depay ! h264parse");
    let mut source = VideoSource::start(settings).unwrap();
    let sender = std::thread::spawn(move || {
        // The parameter sets of H.265, a key frame in parts, and frames.
        for (number, kind) in (0u16..400).zip([0x40u8, 0x42, 0x44, 0x62, 0x62, 0x62, 0x02, 0x02].into_iter().cycle()) {
            let [high, low] = number.to_be_bytes();
            let header = [0x80, 0x80 | 96, high, low, 0, 0, high, low, 0, 0, 0, 7];
            let _ = socket.send(&[&header[..], &[kind, 1], &[0x55; 60]].concat());
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let r = poll_until(&mut source, |r| !r.reconnects.is_empty());
    drop(source);
    sender.join().unwrap();
    assert!(matches!(r.reconnects[0], VideoError::Codec { .. }), "{:?}", r.reconnects);
    assert!(r.reconnects[0].to_string().contains("codec = \"h265\""), "{}", r.reconnects[0]);
}

#[test]
fn a_camera_whose_first_picture_comes_late_is_waited_for_longer_than_one_that_falls_silent() {
    let packets = pictures(40);
    let listener = listen(None);
    let url = format!("rtsp://127.0.0.1:{}/clip", listener.local_addr().unwrap().port());
    let sender = std::thread::spawn(move || {
        let mut stream = play_rtsp(&listener);
        std::thread::sleep(Duration::from_millis(2500));
        packets.iter().take_while(|packet| send_interleaved(&mut stream, packet).is_ok()).count();
        std::thread::sleep(Duration::from_millis(2500));
    });
    let mut settings = VideoSettings::new(VideoInput::Rtsp { url, latency_ms: 50, transport: RtspTransport::Tcp });
    (settings.queue, settings.stall_timeout) = (64, Duration::from_millis(1000));
    assert!(settings.first_picture_timeout > Duration::from_secs(10));
    let mut source = VideoSource::start(settings).unwrap();
    let r = poll_until(&mut source, |r| !r.frames.is_empty() && !r.reconnects.is_empty());
    drop(source);
    sender.join().unwrap();
    // Once it has begun, silence counts as before.
    assert!(r.reconnects[0].to_string().contains("nothing came for"), "{:?}", r.reconnects);
}
