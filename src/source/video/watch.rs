//! What happens in GStreamer's streaming threads: streams are found and linked, encoded pictures recorded, decoded frames counted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::clock::MonotonicClock;
use super::error::VideoError;
use super::record::Recorder;
use super::rtp::{CodecWatch, RtpCodec};
use super::tap::{Picture, Tap, Timeline};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What outlives a connection.
pub(super) struct Shared {
    /// Input as shown to users.
    pub input: String,
    /// What to do when it cannot be opened.
    pub advice: &'static str,
    pub timeline: Timeline,
    pub clock: MonotonicClock,
    pub base: gst::ClockTime,
    pub tap: Mutex<Tap>,
    pub recorder: Option<Mutex<Recorder>>,
}

impl Shared {
    /// Running time now.
    fn now_ns(&self) -> i64 {
        nanos(self.clock.time()).saturating_sub(nanos(self.base))
    }
}

/// What the streaming threads found out, for the thread that polls.
#[derive(Default)]
pub(super) struct Findings {
    failure: Mutex<Option<VideoError>>,
    /// Streams other than video, by format.
    others: Mutex<Vec<String>>,
    has_video: AtomicBool,
    no_more_streams: AtomicBool,
    /// Nobody wants the connection any more.
    stopped: AtomicBool,
    /// The container's times stand on the buffers, not in their segments.
    times_on_buffers: AtomicBool,
}

impl Findings {
    pub fn fail(&self, error: VideoError) {
        lock(&self.failure).get_or_insert(error);
    }

    pub fn failure(&self) -> Option<VideoError> {
        lock(&self.failure).clone()
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub fn has_video(&self) -> bool {
        self.has_video.load(Ordering::Acquire)
    }

    pub fn is_without_video(&self) -> bool {
        self.no_more_streams.load(Ordering::Acquire) && !self.has_video()
    }

    /// Formats found, for a message.
    pub fn others(&self) -> String {
        lock(&self.others).join(", ")
    }
}

fn nanos(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX)
}

/// Links the first video stream to the decoder and watches what it carries; takes note of others.
pub(super) fn watch_parsed(
    parse: &gst::Element,
    decode: &gst::Element,
    connection: u64,
    is_file: bool,
    shared: &Arc<Shared>,
    findings: &Arc<Findings>,
) {
    let (decode, shared, found) = (decode.clone(), Arc::clone(shared), Arc::clone(findings));
    parse.connect_pad_added(move |parse, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map_or("unknown", |s| s.name().as_str());
        if found.has_video() || !(name.starts_with("video/") || name.starts_with("image/")) {
            lock(&found.others).push(name.to_owned());
            swallow(pad);
            return;
        }
        let factories = factories_around(parse);
        let demuxed = factories.iter().any(|f| f.metadata("klass").is_some_and(|k| k.contains("Demux")));
        if is_file && !demuxed {
            // Parsers and decoders make up times for what has none.
            found.fail(VideoError::NoTimestamps { input: shared.input.clone() });
            return;
        }
        // Its segments shift a track that starts late to zero; every other demuxer's give the container's own time.
        found.times_on_buffers.store(factories.iter().any(|f| f.name() == "matroskademux"), Ordering::Release);
        found.has_video.store(true, Ordering::Release);
        watch_pictures(pad, connection, &shared, &found);
        let linked = decode.static_pad("sink").ok_or(gst::PadLinkError::Refused).and_then(|sink| pad.link(&sink));
        if let Err(error) = linked {
            found.fail(VideoError::Negotiation { input: shared.input.clone(), reason: format!("{name}: {error}") });
        }
    });
    let found = Arc::clone(findings);
    parse.connect_no_more_pads(move |_| found.no_more_streams.store(true, Ordering::Release));
}

/// Watches what goes into an unpacker of RTP for another codec than its own, which it would take for damage without end.
pub(super) fn watch_packets(pipeline: &gst::Pipeline, input: &str, findings: &Arc<Findings>) {
    for element in elements_of(pipeline) {
        let expected = match element.factory().map(|f| f.name().to_string()).as_deref() {
            Some("rtph264depay") => RtpCodec::H264,
            Some("rtph265depay") => RtpCodec::H265,
            _ => continue,
        };
        let Some(pad) = element.static_pad("sink") else { continue };
        let (watch, input, found) = (Mutex::new(CodecWatch::new(expected)), input.to_owned(), Arc::clone(findings));
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
            let take = |buffer: &gst::BufferRef| {
                let other = buffer.map_readable().ok().and_then(|bytes| lock(&watch).take(&bytes));
                if let Some(other) = other {
                    found.fail(VideoError::Codec { input: input.clone(), codec: other.name() });
                }
            };
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => take(buffer),
                Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(take),
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// Lets a stream that nobody wants end nowhere. Unlinked as it is, its first buffer would be an error, which `parsebin` keeps back
/// at times, and then nothing would ever come; a sink for it would wait for the pipeline to play, and hold the demuxer meanwhile. Events
/// do no harm there, and GStreamer before 1.24.8 cannot drop them: it complains of each.
fn swallow(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, |_, _| gst::PadProbeReturn::Drop);
}

/// All elements of a bin, whatever their depth.
pub(super) fn elements_of(bin: &impl IsA<gst::Object>) -> Vec<gst::Element> {
    let bin = bin.upcast_ref::<gst::Object>().downcast_ref::<gst::Bin>();
    bin.map_or_else(Vec::new, |bin| bin.iterate_recurse().into_iter().flatten().collect())
}

/// The kinds of all elements of the pipeline.
fn factories_around(parse: &gst::Element) -> Vec<gst::ElementFactory> {
    let all = parse.parent().map(|pipeline| elements_of(&pipeline)).unwrap_or_default();
    all.into_iter().filter_map(|e| e.factory()).collect()
}

fn watch_pictures(pad: &gst::Pad, connection: u64, shared: &Arc<Shared>, found: &Arc<Findings>) {
    let (shared, found) = (Arc::clone(shared), Arc::clone(found));
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |pad, info| {
        let kept = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => picture(pad, buffer, connection, &shared, &found),
            Some(gst::PadProbeData::BufferList(list)) => {
                // Not `any`, which would stop at the first.
                list.iter_owned().fold(false, |any, buffer| any | picture(pad, &buffer, connection, &shared, &found))
            }
            _ => true,
        };
        if kept { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
    });
}

/// An encoded picture: whether it goes on to the decoder.
fn picture(pad: &gst::Pad, buffer: &gst::Buffer, connection: u64, shared: &Shared, found: &Findings) -> bool {
    let (stamp, first_frame) = {
        let mut tap = lock(&shared.tap);
        if !tap.is_current(connection) {
            return false;
        }
        let stamp = tap.picture(Picture {
            pts: buffer.pts().map(gst::ClockTime::nseconds),
            time_ns: time_ns(pad, buffer, shared.timeline, found),
            arrival_ns: shared.now_ns(),
            delta: buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            follows_loss: buffer.flags().contains(gst::BufferFlags::DISCONT),
        });
        let Some(stamp) = stamp else { return false };
        (stamp, tap.first_frame())
    };
    // Outside the tap's lock: a slow disk may hold this thread, not the one that polls.
    if let (Some(recorder), Some(caps)) = (&shared.recorder, pad.current_caps())
        && !lock(recorder).push(&caps, buffer, stamp, (connection, first_frame))
    {
        lock(&shared.tap).count_not_recorded();
    }
    true
}

/// A buffer's time on the source's timeline.
fn time_ns(pad: &gst::Pad, buffer: &gst::Buffer, timeline: Timeline, found: &Findings) -> Option<i64> {
    let pts = buffer.pts()?;
    if timeline == Timeline::Container && found.times_on_buffers.load(Ordering::Acquire) {
        return Some(nanos(pts));
    }
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let time = match timeline {
        Timeline::Container => segment.to_stream_time_full(pts),
        Timeline::Live { .. } => segment.to_running_time_full(pts),
    };
    match time? {
        gst::Signed::Positive(time) => Some(nanos(time)),
        gst::Signed::Negative(time) => Some(-nanos(time)),
    }
}

/// Links the decoder to the queue and taps the frames.
pub(super) fn watch_decoded(
    decode: &gst::Element,
    queue: &gst::Element,
    connection: u64,
    shared: &Arc<Shared>,
    findings: &Arc<Findings>,
) {
    let (queue, shared, found) = (queue.clone(), Arc::clone(shared), Arc::clone(findings));
    decode.connect_pad_added(move |_, pad| {
        let Some(sink) = queue.static_pad("sink").filter(|p| !p.is_linked()) else { return };
        let (probe_shared, probe_found) = (Arc::clone(&shared), Arc::clone(&found));
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
            let mut tap = lock(&probe_shared.tap);
            if !tap.is_current(connection) {
                return gst::PadProbeReturn::Drop;
            }
            let pts = buffer.pts().map(gst::ClockTime::nseconds);
            let time = time_ns(pad, buffer, probe_shared.timeline, &probe_found);
            match tap.frame(pts, time, probe_shared.now_ns()) {
                // The number travels in the one field that converters hand on untouched.
                Some(index) => buffer.make_mut().set_offset(index),
                None => return gst::PadProbeReturn::Drop,
            }
            gst::PadProbeReturn::Ok
        });
        if let Err(error) = pad.link(&sink) {
            found.fail(VideoError::Negotiation { input: shared.input.clone(), reason: error.to_string() });
        }
    });
}
