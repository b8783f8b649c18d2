//! Makes clips and reads videos.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use skyfix::source::video::{VideoCounters, VideoError, VideoEvent, VideoFrame, VideoInput, VideoSettings, VideoSource};

/// Nothing here takes this long, even on a loaded machine.
pub const LONG: Duration = Duration::from_secs(120);

/// Runs a pipeline to its end.
pub fn make(description: &str) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(description).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &wanted).expect("the pipeline ends");
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{description}: {message:?}");
}

/// A clip in a folder of its own: `source ! … ! filesink`.
pub fn clip(folder: &Path, name: &str, chain: &str) -> PathBuf {
    let path = folder.join(name);
    make(&format!("{chain} ! filesink location={}", path.display()));
    path
}

/// A clip whose pictures (64×48, each of one grey, 10 brighter than the one before) have these stamps.
pub fn timed_clip(path: &Path, chain: &str, stamps_ms: &[i64]) {
    gst::init().unwrap();
    let caps = "video/x-raw,format=I420,width=64,height=48,framerate=0/1";
    let text = format!("appsrc name=s format=time caps={caps} ! {chain} ! filesink location={}", path.display());
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("s").unwrap().downcast::<gstreamer_app::AppSrc>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for (i, stamp) in stamps_ms.iter().enumerate() {
        let mut pixels = vec![16 + 10 * (i % 20) as u8; 64 * 48];
        pixels.resize(64 * 48 * 3 / 2, 128);
        let mut buffer = gst::Buffer::from_slice(pixels);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(*stamp as u64));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(120), &wanted).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{text}: {message:?}");
}

/// Moving test pictures of a size, 10 a second unless the caps say otherwise.
pub fn pictures(count: u32, caps: &str) -> String {
    format!("videotestsrc num-buffers={count} pattern=ball ! video/x-raw,{caps}")
}

pub const H264: &str = "openh264enc gop-size=5 ! h264parse";

/// All that a video gave.
pub struct Read {
    pub frames: Vec<VideoFrame>,
    pub reconnects: Vec<VideoError>,
    pub failure: Option<VideoError>,
    pub counters: VideoCounters,
    pub ended_early_s: Option<f64>,
}

impl Read {
    pub fn stamps_ms(&self) -> Vec<f64> {
        self.frames.iter().map(|f| f.pts_ns as f64 / 1e6).collect()
    }

    pub fn sizes(&self) -> Vec<(u32, u32)> {
        let mut sizes: Vec<_> = self.frames.iter().map(|f| f.image.dimensions()).collect();
        sizes.dedup();
        sizes
    }
}

/// Every frame must be accounted for.
pub fn assert_adds_up(c: &VideoCounters) {
    assert_eq!(c.decoded, c.delivered + c.thinned + c.dropped + c.without_pts + c.time_went_back + c.waiting, "{c:?}");
}

/// Polls until the end, or until `enough` says so.
pub fn poll_until(source: &mut VideoSource, mut enough: impl FnMut(&Read) -> bool) -> Read {
    let mut read =
        Read { frames: Vec::new(), reconnects: Vec::new(), failure: None, counters: source.counters(), ended_early_s: None };
    let begun = Instant::now();
    while !enough(&read) {
        assert!(begun.elapsed() < LONG, "no end after {} frames, {:?}", read.frames.len(), source.counters());
        match source.poll() {
            VideoEvent::Frame(frame) => read.frames.push(frame),
            VideoEvent::Pending => std::thread::sleep(Duration::from_millis(1)),
            VideoEvent::Reconnecting { reason, .. } => read.reconnects.push(reason),
            VideoEvent::Ended => break,
            VideoEvent::Failed(error) => {
                read.failure = Some(error);
                break;
            }
        }
    }
    read.counters = source.counters();
    read.ended_early_s = source.ended_early_s();
    assert_adds_up(&read.counters);
    read
}

/// Reads a video to its end.
pub fn read(settings: VideoSettings) -> Read {
    match VideoSource::start(settings) {
        Ok(mut source) => {
            let read = poll_until(&mut source, |_| false);
            assert!(matches!(source.poll(), VideoEvent::Ended));
            assert_eq!(read.counters.waiting, 0);
            read
        }
        Err(error) => Read {
            frames: Vec::new(),
            reconnects: Vec::new(),
            failure: Some(error),
            counters: VideoCounters::default(),
            ended_early_s: None,
        },
    }
}

pub fn file(path: &Path) -> VideoSettings {
    VideoSettings::new(VideoInput::File(path.to_owned()))
}

pub fn launch(description: &str) -> VideoSettings {
    VideoSettings::new(VideoInput::Launch(description.to_owned()))
}
