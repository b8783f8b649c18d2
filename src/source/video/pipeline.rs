//! One connection to a source, as a GStreamer pipeline:
//!
//! ```text
//!     source ──► parsebin ──┬─► decodebin ──┬─► queue ──► videoconvert ──► videoscale ──► RGB, square pixels ──► videoflip ──► appsink
//!                           │               └─ tap: number, stamp, thinning
//!                           └─ recorder; first key frame
//! ```
//!
//! Frames that thinning leaves out never reach the queue, so they cost no conversion. The appsink is where a live source loses its oldest
//! frames: were they to wait before conversion, the next one served would have been converted, and grown old, since the one before.
//! A file waits in the queue.

use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use gstreamer_video as gst_video;

use super::error::{self, VideoError};
use super::watch::{self, Findings, Shared, lock, watch_decoded, watch_packets, watch_parsed};
use super::{RtspTransport, VideoInput, VideoSettings};
use crate::source::redact;

/// Frames between decoding and conversion: enough to keep both threads busy.
const QUEUE: u32 = 2;
/// Name of the element that user descriptions are linked to.
const PARSE_NAME: &str = "skyfix-parse";

pub(super) struct Connection {
    pipeline: gst::Pipeline,
    parse: gst::Element,
    decode: gst::Element,
    pub sink: AppSink,
    pub bus: gst::Bus,
    pub findings: Arc<Findings>,
}

fn make(input: &str, factory: &str) -> Result<gst::Element, VideoError> {
    gst::ElementFactory::make(factory).build().map_err(|_| VideoError::MissingElement {
        input: input.to_owned(),
        element: factory.to_owned(),
        package: error::package_of_element(factory).into(),
    })
}

impl Connection {
    /// Builds the pipeline; `start` sets it going.
    pub fn build(settings: &VideoSettings, shared: &Arc<Shared>) -> Result<Self, VideoError> {
        let input = shared.input.as_str();
        let number = lock(&shared.tap).connect();
        let findings = Arc::new(Findings::default());
        let (pipeline, parse) = source(settings, input)?;
        let broken = |what: &str| VideoError::Negotiation { input: input.to_owned(), reason: what.to_owned() };

        let decode = make(input, "decodebin")?;
        // Decoders of graphics cards must hand over ordinary memory.
        decode.set_property("caps", gst::Caps::new_empty_simple("video/x-raw"));
        let queue = make(input, "queue")?;
        queue.set_property("max-size-buffers", QUEUE);
        queue.set_property("max-size-bytes", 0u32);
        queue.set_property("max-size-time", 0u64);
        let convert = make(input, "videoconvert")?;
        let scale = make(input, "videoscale")?;
        scale.set_property("add-borders", false);
        let square = make(input, "capsfilter")?;
        let rgb = gst_video::VideoCapsBuilder::new()
            .format(gst_video::VideoFormat::Rgb)
            .pixel_aspect_ratio(gst::Fraction::new(1, 1))
            .build();
        square.set_property("caps", &rgb);
        let flip = make(input, "videoflip")?;
        flip.set_property_from_str("video-direction", "auto");
        let waiting = if settings.live { settings.queue.max(1) as u32 } else { 1 };
        let sink = AppSink::builder().sync(false).max_buffers(waiting).drop(settings.live).enable_last_sample(false).build();
        let chain = [&queue, &convert, &scale, &square, &flip, sink.upcast_ref()];
        pipeline.add(&decode).and_then(|()| pipeline.add_many(chain)).map_err(|e| broken(&e.to_string()))?;
        gst::Element::link_many(chain).map_err(|e| broken(&e.to_string()))?;

        let is_file = matches!(settings.input, VideoInput::File(_));
        watch_parsed(&parse, &decode, number, is_file, shared, &findings);
        watch_decoded(&decode, &queue, number, shared, &findings);
        watch_packets(&pipeline, input, &findings);
        let bus = pipeline.bus().ok_or_else(|| broken("the pipeline has no bus"))?;
        pipeline.use_clock(Some(shared.clock.of_pipelines()));
        // One zero of running time for all connections, instead of a new one at each start.
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(shared.base);
        Ok(Self { pipeline, parse, decode, sink, bus, findings })
    }

    /// Starts the pipeline without waiting: a camera may take its time to answer.
    pub fn start(&self, shared: &Arc<Shared>) {
        let shared = Arc::clone(shared);
        let findings = Arc::clone(&self.findings);
        self.pipeline.call_async(move |pipeline| {
            let paused = pipeline.set_state(gst::State::Paused);
            if matches!(paused, Ok(gst::StateChangeSuccess::NoPreroll)) {
                // Live sources stamp with the pipeline's clock.
                lock(&shared.tap).set_clocked();
            }
            let started = paused
                .and_then(|paused| if findings.is_stopped() { Ok(paused) } else { pipeline.set_state(gst::State::Playing) });
            // It may have been stopped while it started: whoever comes last ends it.
            if findings.is_stopped() {
                let _ = pipeline.set_state(gst::State::Null);
            } else if let Err(error) = started {
                // The bus has the cause, if there is one; this is for elements that post none.
                tracing::debug!("{}: {error}", shared.input);
                if pipeline.bus().is_none_or(|bus| !bus.have_pending()) {
                    let (input, advice) = (shared.input.clone(), shared.advice);
                    findings.fail(VideoError::Open { input, reason: error.to_string(), advice });
                }
            }
        });
    }

    /// Whether a file was given up without a word: no video found, and nothing left that looks for it. `parsebin` keeps back errors
    /// that come while it is plugging.
    pub fn is_given_up(&self) -> bool {
        let upstream = watch::elements_of(&self.parse);
        let source = self.parse.static_pad("sink").and_then(|pad| pad.peer()).and_then(|pad| pad.parent_element());
        let busy = |e: &gst::Element| e.pads().iter().any(|pad| pad.task_state() == gst::TaskState::Started);
        !self.findings.has_video() && !upstream.is_empty() && !upstream.iter().chain(&source).any(busy)
    }

    /// Names of what has looked at the input, for a message.
    pub fn readers(&self) -> String {
        let factories = watch::elements_of(&self.parse).into_iter().filter_map(|e| e.factory());
        factories.map(|f| f.name().to_string()).filter(|name| name != "typefind").collect::<Vec<_>>().join(", ")
    }

    /// Length as the container states it, nanoseconds.
    pub fn duration_ns(&self) -> Option<i64> {
        let duration = self.pipeline.query_duration::<gst::ClockTime>()?;
        i64::try_from(duration.nseconds()).ok()
    }

    /// Lets the decoder give out what it holds after the source has failed.
    pub fn drain(&self) {
        self.decode.call_async(|decode| {
            if let Some(pad) = decode.static_pad("sink") {
                pad.send_event(gst::event::Eos::new());
            }
        });
    }

    /// Ends the pipeline in the background, because a dead network makes that take long.
    pub fn abandon(self) {
        self.findings.stop();
        self.pipeline.call_async(|pipeline| {
            let _ = pipeline.set_state(gst::State::Null);
        });
    }

    /// Ends the pipeline and waits for it.
    pub fn stop(&self) {
        self.findings.stop();
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::debug!("stopping: {error}");
        }
    }
}

/// The pipeline up to and with `parsebin`.
fn source(settings: &VideoSettings, input: &str) -> Result<(gst::Pipeline, gst::Element), VideoError> {
    let source = match &settings.input {
        VideoInput::Launch(description) => return launch(description, input),
        VideoInput::File(path) => {
            let source = make(input, "filesrc")?;
            source.set_property("location", path.as_path());
            source
        }
        VideoInput::Device(path) => {
            let source = make(input, "v4l2src")?;
            source.set_property("device", path.display().to_string());
            source
        }
        VideoInput::Rtsp { url, latency_ms, transport } => {
            let source = make(input, "rtspsrc")?;
            source.set_property("location", url);
            source.set_property("latency", *latency_ms);
            source.set_property_from_str(
                "protocols",
                match transport {
                    RtspTransport::Auto => "udp+udp-mcast+tcp",
                    RtspTransport::Tcp => "tcp",
                    RtspTransport::Udp => "udp",
                },
            );
            // `synced`: the first packet's arrival and from there on the sender's clock alone. The default, `slave`, bends stamps
            // towards the times of arrival; `none` would lose the tie to the clock.
            source.set_property_from_str("buffer-mode", "synced");
            // An answer may come as late as the first picture; UDP that brings nothing for a stall gives way to TCP.
            source.set_property("tcp-timeout", micros(settings.first_picture_timeout));
            source.set_property("timeout", micros(settings.stall_timeout));
            // One stream only: with several, sender reports shift streams against each other while they play.
            source.connect("select-stream", false, |values| {
                let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
                let media = caps.as_ref().and_then(|c| c.structure(0)).and_then(|s| s.get::<String>("media").ok());
                Some((media.as_deref() == Some("video")).to_value())
            });
            source
        }
        VideoInput::Uri(uri) => {
            let source = make(input, "urisourcebin")?;
            source.set_property("uri", uri);
            source
        }
    };
    let pipeline = gst::Pipeline::new();
    let parse = make(input, "parsebin")?;
    let broken = |e: gst::glib::BoolError| VideoError::Negotiation { input: input.to_owned(), reason: e.to_string() };
    pipeline.add_many([&source, &parse]).map_err(broken)?;
    if source.static_pad("src").is_some() {
        source.link(&parse).map_err(broken)?;
    } else {
        let parse = parse.clone();
        source.connect_pad_added(move |_, pad| {
            // A second stream finds the pad taken, and stays where it is.
            if let Some(sink) = parse.static_pad("sink").filter(|p| !p.is_linked())
                && let Err(error) = pad.link(&sink)
            {
                tracing::warn!("{}: {error}", pad.name());
            }
        });
    }
    Ok((pipeline, parse))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn launch(description: &str, input: &str) -> Result<(gst::Pipeline, gst::Element), VideoError> {
    let bad = |reason: String| VideoError::Description { input: input.to_owned(), reason: redact(&reason) };
    let description = description.trim().trim_end_matches('!').trim_end();
    let text = format!("{description} ! parsebin name={PARSE_NAME}");
    let element = gst::parse::launch(&text).map_err(|e| {
        let missing = e.kind::<gst::ParseError>() == Some(gst::ParseError::NoSuchElement);
        match e.message().split('"').nth(1).filter(|_| missing) {
            Some(element) => VideoError::MissingElement {
                input: input.to_owned(),
                element: element.to_owned(),
                package: error::package_of_element(element).into(),
            },
            None => bad(e.message().to_owned()),
        }
    })?;
    let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| bad("it is no chain of elements".into()))?;
    let parse = pipeline.by_name(PARSE_NAME).ok_or_else(|| bad("its end cannot be linked".into()))?;
    Ok((pipeline, parse))
}
