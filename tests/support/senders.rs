//! Senders that can be killed: bytes over TCP, and a small RTSP server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

/// A port of this machine that listens no more when dropped, and can be taken again.
pub fn listen(at: Option<SocketAddr>) -> TcpListener {
    let address = at.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
    // Another socket may hold a just closed port for a moment.
    for _ in 0..200 {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    panic!("{address} stays taken");
}

/// RTP packets of the pictures that the beginning of a pipeline gives, H.264 with a key frame every so many pictures, times from
/// zero; the marker bit ends a picture.
pub fn rtp_packets(pictures: &str, key_every: u32) -> Vec<Vec<u8>> {
    gst::init().unwrap();
    let text = format!(
        "{pictures} ! openh264enc gop-size={key_every} bitrate=4000000 ! h264parse ! rtph264pay config-interval=-1 pt=96 \
         timestamp-offset=0 seqnum-offset=0 ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut packets = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let lists = sample.buffer_list().map(|l| l.iter_owned().collect::<Vec<_>>());
        for buffer in lists.unwrap_or_else(|| sample.buffer_owned().into_iter().collect()) {
            packets.push(buffer.map_readable().unwrap().to_vec());
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    packets
}

/// Whether a packet is the last one of its picture: the marker bit.
pub fn ends_picture(packet: &[u8]) -> bool {
    packet[1] & 0x80 != 0
}

/// Answers an RTSP client until it plays.
pub fn play_rtsp(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let address = listener.local_addr().unwrap();
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the client went away");
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let header = |name: &str| lines.iter().find_map(|l| l.strip_prefix(name)).unwrap_or("0").trim().to_owned();
        let length: usize = header("Content-Length:").parse().unwrap();
        reader.read_exact(&mut vec![0; length]).unwrap();
        let verb = lines[0].split(' ').next().unwrap().to_owned();
        let (more, body) = match verb.as_str() {
            "OPTIONS" => ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n".into(), String::new()),
            "DESCRIBE" => {
                let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\na=control:sound\r\n\
                           m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:video\r\n";
                (format!("Content-Type: application/sdp\r\nContent-Base: rtsp://{address}/clip/\r\n"), sdp.to_owned())
            }
            "SETUP" => ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n".into(), String::new()),
            _ => ("Session: 1\r\n".into(), String::new()),
        };
        let cseq = header("CSeq:");
        write!(stream, "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        if verb == "PLAY" {
            return stream;
        }
    }
}

/// Sends a packet to an RTSP client that plays.
pub fn send_interleaved(stream: &mut TcpStream, packet: &[u8]) -> std::io::Result<()> {
    let mut framed = vec![b'$', 0];
    framed.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
    framed.extend(packet);
    stream.write_all(&framed)
}

/// Serves one RTSP client: the packets once it plays, each picture after its own pause.
#[allow(dead_code, reason = "not every test binary uses it")]
pub fn serve_rtsp(listener: &TcpListener, packets: &[Vec<u8>], pauses_ms: &[u64]) -> TcpStream {
    let mut stream = play_rtsp(listener);
    let mut picture = 0;
    for packet in packets {
        if send_interleaved(&mut stream, packet).is_err() {
            break;
        }
        if ends_picture(packet) {
            std::thread::sleep(Duration::from_millis(pauses_ms[picture % pauses_ms.len()]));
            picture += 1;
        }
    }
    stream
}
