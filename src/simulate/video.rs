//! Writes frames as H.264 in Matroska.

use std::path::{Path, PathBuf};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use image::RgbImage;

use super::SimulateError;

/// Bits for each pixel of a second: textured ground, seen from a moving camera, is still told apart from its neighbours.
const BITS_PER_PX: f64 = 0.17;
/// Longest stretch between key frames, seconds.
const KEY_FRAME_S: f64 = 4.0;
/// How long the encoder may take for what waits in it.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// A video being written.
pub(super) struct VideoWriter {
    path: PathBuf,
    pipeline: gst::Pipeline,
    source: AppSrc,
}

impl VideoWriter {
    /// Begins a video of frames of one size, so many a second.
    pub(super) fn create(path: &Path, (width, height): (u32, u32), rate_hz: f64) -> Result<Self, SimulateError> {
        let failed = |what: String| SimulateError::Video { path: path.to_owned(), what };
        gst::init().map_err(|e| failed(e.to_string()))?;
        let make = |factory: &str| {
            let element = gst::ElementFactory::make(factory).build();
            element.map_err(|_| failed(format!("GStreamer has no element '{factory}'; run `make setup`")))
        };
        let rate = gst::Fraction::approximate_f64(rate_hz).unwrap_or(gst::Fraction::new(1, 1));
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "RGB")
            .field("width", width as i32)
            .field("height", height as i32)
            .field("framerate", rate)
            .build();
        let source = AppSrc::builder().caps(&caps).format(gst::Format::Time).block(true).max_bytes(64 << 20).build();
        let encoder = make("openh264enc")?;
        encoder.set_property("bitrate", (BITS_PER_PX * f64::from(width) * f64::from(height) * rate_hz) as u32);
        encoder.set_property("gop-size", (KEY_FRAME_S * rate_hz).ceil() as u32);
        encoder.set_property_from_str("complexity", "high");
        // One thread, so that the same frames give the same bytes.
        encoder.set_property("multi-thread", 1u32);
        let sink = make("filesink")?;
        sink.set_property("location", path);
        sink.set_property("sync", false);
        let pipeline = gst::Pipeline::new();
        let chain = [source.clone().upcast(), make("videoconvert")?, encoder, make("h264parse")?, make("matroskamux")?, sink];
        pipeline.add_many(&chain).and_then(|()| gst::Element::link_many(&chain)).map_err(|e| failed(e.to_string()))?;
        pipeline.set_state(gst::State::Playing).map_err(|e| failed(e.to_string()))?;
        Ok(Self { path: path.to_owned(), pipeline, source })
    }

    /// Appends a frame with its time.
    pub(super) fn push(&mut self, image: RgbImage, stamp_ns: i64) -> Result<(), SimulateError> {
        let (width, row) = (image.width() as usize, (image.width() as usize * 3).next_multiple_of(4));
        // GStreamer's rows of RGB end at a multiple of four bytes.
        let pixels = if row == width * 3 {
            image.into_raw()
        } else {
            image
                .as_raw()
                .chunks(width * 3)
                .flat_map(|r| r.iter().copied().chain(std::iter::repeat_n(0, row - width * 3)))
                .collect()
        };
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(stamp_ns.unsigned_abs()));
        self.source.push_buffer(buffer).map(|_| ()).map_err(|flow| self.failure(flow.to_string()))
    }

    /// Completes the file; its size, bytes.
    pub(super) fn finish(self) -> Result<u64, SimulateError> {
        self.source.end_of_stream().map_err(|flow| self.failure(flow.to_string()))?;
        let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = self.pipeline.bus().and_then(|bus| bus.timed_pop_filtered(PATIENCE, &wanted));
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Eos(_)) => {}
            Some(gst::MessageView::Error(error)) => return Err(self.failed(error.error().to_string())),
            _ => return Err(self.failed("the encoder does not answer".into())),
        }
        let _ = self.pipeline.set_state(gst::State::Null);
        let written = std::fs::metadata(&self.path);
        Ok(written.map_err(|source| SimulateError::Write { path: self.path.clone(), source })?.len())
    }

    fn failed(&self, what: String) -> SimulateError {
        SimulateError::Video { path: self.path.clone(), what }
    }

    /// The bus's error, or else what the caller saw.
    fn failure(&self, otherwise: String) -> SimulateError {
        let message = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(error)) => self.failed(error.error().to_string()),
            _ => self.failed(otherwise),
        }
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
