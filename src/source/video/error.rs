//! What can go wrong with a video, as a user should read it: which input, what is wrong, what to do. Every text that comes from
//! outside passes through [`redact`].

use std::path::PathBuf;

use crate::source::redact;

/// Why there is no (more) video. `input` is the file, address or description, without credentials.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VideoError {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {reason}; run `make setup`")]
    GStreamer {
        /// Its words.
        reason: String,
    },
    /// A setting makes no sense.
    #[error("{name} = {value}: {wanted}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A pipeline description that GStreamer does not understand.
    #[error("the pipeline \"{input}\" is not understood: {reason}; try it with gst-launch-1.0 and a sink at its end")]
    Description {
        /// The description.
        input: String,
        /// Its words.
        reason: String,
    },
    /// A GStreamer element is not installed.
    #[error("{input}: GStreamer has no element '{element}'; install {package}")]
    MissingElement {
        /// The input.
        input: String,
        /// The element.
        element: String,
        /// Debian package that has it.
        package: String,
    },
    /// The video's format has no decoder (or demuxer, or parser) on this machine.
    #[error("{input}: nothing here decodes {format}; install {package}")]
    MissingDecoder {
        /// The input.
        input: String,
        /// The format, as GStreamer's caps or in words.
        format: String,
        /// Debian package that has it.
        package: String,
    },
    /// The input cannot be opened or reached.
    #[error("{input}: cannot be opened: {reason}; {advice}")]
    Open {
        /// The input.
        input: String,
        /// Why.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The server refuses the credentials.
    #[error("{input}: the server refuses access: {reason}; check user and password in the address")]
    Refused {
        /// The input.
        input: String,
        /// Its words.
        reason: String,
    },
    /// The input holds something else.
    #[error("{input}: no video can be read from it{}; give a complete file or stream with a video track", if found.is_empty() { String::new() } else { format!(" (found: {found})") })]
    NoVideo {
        /// The input.
        input: String,
        /// What it holds instead.
        found: String,
    },
    /// The input ended before its first frame.
    #[error("{input}: ended before its first frame; is it complete?")]
    NoFrames {
        /// The input.
        input: String,
    },
    /// The data are damaged or incomplete.
    #[error("{input}: damaged or incomplete: {reason}; what came before is kept, copy or record it again")]
    Damaged {
        /// The input.
        input: String,
        /// GStreamer's words.
        reason: String,
    },
    /// Elements that do not fit together.
    #[error("{input}: the format cannot be passed on: {reason}; does the pipeline end in video, and do its caps exist?")]
    Negotiation {
        /// The input.
        input: String,
        /// GStreamer's words.
        reason: String,
    },
    /// No frame says when it was taken.
    #[error(
        "{input}: its frames carry no times (an elementary stream has none); put it into a container with its true frame rate: \
         ffmpeg -framerate FPS -i INPUT -c copy OUTPUT.mkv"
    )]
    NoTimestamps {
        /// The input.
        input: String,
    },
    /// The stream is of another codec than the one that is configured.
    #[error("{input}: its packets are of another codec than `source.codec` says; give codec = \"{codec}\"")]
    Codec {
        /// The input.
        input: String,
        /// The codec of the packets, as it is written in a configuration.
        codec: &'static str,
    },
    /// A stream broke off.
    #[error("{input}: the stream broke off: {reason}")]
    Lost {
        /// The input.
        input: String,
        /// Why.
        reason: String,
    },
    /// Nothing comes of what should be read as fast as it is asked for.
    #[error(
        "{input}: no frame came for {quiet_s:.0} s ([supervision] stage_timeout_s); does another player show the rest of it?"
    )]
    Silent {
        /// The input.
        input: String,
        /// How long, seconds.
        quiet_s: f64,
    },
    /// The copy of the stream cannot be written.
    #[error("{}: the video cannot be recorded: {reason}; is there space, and may the folder be written to?", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl VideoError {
    /// Whether another attempt may go better: true for what networks and cameras do, false for what stays wrong.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Open { .. }
                | Self::NoFrames { .. }
                | Self::Damaged { .. }
                | Self::Lost { .. }
                | Self::NoVideo { .. }
                | Self::Codec { .. }
        )
    }

    /// Whether no frame can be on its way any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::MissingElement { .. }
                | Self::MissingDecoder { .. }
                | Self::NoTimestamps { .. }
                | Self::Refused { .. }
                | Self::Codec { .. }
                | Self::Silent { .. }
        )
    }
}

/// An error message of the bus, classified. `started` says whether frames have come: then a read error is a stream that broke off.
/// `advice` is what to do about an input that cannot be opened.
pub(super) fn from_message(input: &str, advice: &'static str, error: &gstreamer::message::Error, started: bool) -> VideoError {
    let cause = error.error();
    let detail = error.debug().map(|d| d.to_string()).unwrap_or_default();
    // The last line of the debug text is the reason; what is before it names a source file of GStreamer.
    let detail = detail.lines().last().filter(|l| !l.contains("gst_")).unwrap_or_default();
    let text = if detail.is_empty() { cause.message().to_string() } else { format!("{} ({detail})", cause.message()) };
    classify(input, advice, &cause, redact(&text), started)
}

fn classify(input: &str, advice: &'static str, cause: &gstreamer::glib::Error, reason: String, started: bool) -> VideoError {
    use gstreamer::{CoreError, ResourceError, StreamError};
    let input = input.to_owned();
    let missing = |reason: &str| VideoError::MissingDecoder {
        input: input.clone(),
        format: reason.to_owned(),
        package: package_of_format("").into(),
    };
    if let Some(kind) = cause.kind::<ResourceError>() {
        return match kind {
            ResourceError::NotAuthorized => VideoError::Refused { input, reason },
            ResourceError::Settings => VideoError::Negotiation { input, reason },
            _ if started => VideoError::Lost { input, reason },
            _ => VideoError::Open { input, reason, advice },
        };
    }
    match (cause.kind::<StreamError>(), cause.kind::<CoreError>()) {
        (Some(StreamError::CodecNotFound), _) | (_, Some(CoreError::MissingPlugin)) => missing(&reason),
        (Some(StreamError::TypeNotFound | StreamError::WrongType), _) => VideoError::NoVideo { input, found: reason },
        (Some(StreamError::Format), _) | (_, Some(CoreError::Negotiation | CoreError::Caps | CoreError::Pad)) => {
            VideoError::Negotiation { input, reason }
        }
        _ if reason.contains("not-negotiated") => VideoError::Negotiation { input, reason },
        _ => VideoError::Damaged { input, reason },
    }
}

/// Debian's package with a decoder for caps such as `video/x-h264, …`.
pub(super) fn package_of_format(caps: &str) -> &'static str {
    let known = [
        ("video/x-h264", "gstreamer1.0-libav"),
        ("video/x-h265", "gstreamer1.0-libav"),
        ("video/mpeg", "gstreamer1.0-libav"),
        ("video/x-vp8", "gstreamer1.0-plugins-good"),
        ("video/x-vp9", "gstreamer1.0-plugins-good"),
        ("image/jpeg", "gstreamer1.0-plugins-good"),
        ("video/quicktime", "gstreamer1.0-plugins-good"),
        ("video/x-matroska", "gstreamer1.0-plugins-good"),
        ("video/x-av1", "gstreamer1.0-plugins-bad"),
        ("application/x-rtp", "gstreamer1.0-plugins-good"),
    ];
    known
        .iter()
        .find(|(name, _)| caps.starts_with(name))
        .map_or("gstreamer1.0-libav, gstreamer1.0-plugins-bad or gstreamer1.0-plugins-ugly", |(_, package)| package)
}

/// Debian's package with an element.
pub(super) fn package_of_element(element: &str) -> &'static str {
    match element {
        "rtspsrc" | "udpsrc" | "v4l2src" | "matroskamux" | "matroskademux" | "qtdemux" | "videoflip" | "jpegenc" | "jpegdec"
        | "rtpjitterbuffer" | "souphttpsrc" | "multifilesrc" => "gstreamer1.0-plugins-good",
        "parsebin" | "decodebin" | "urisourcebin" | "videoconvert" | "videoscale" | "videorate" | "videotestsrc"
        | "tcpclientsrc" | "appsink" | "appsrc" => "gstreamer1.0-plugins-base",
        "h264parse" | "h265parse" | "tsdemux" | "srtsrc" | "openh264enc" | "openh264dec" => "gstreamer1.0-plugins-bad",
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "libcamerasrc" => "gstreamer1.0-libcamera",
        e if e.starts_with("avdec_") || e.starts_with("avenc_") => "gstreamer1.0-libav",
        e if e.starts_with("nv") || e.starts_with("va") => "gstreamer1.0-plugins-bad and the driver of the GPU",
        _ => "the package that has it (apt-cache search gstreamer1.0)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstreamer::glib::Error;
    use gstreamer::{CoreError, ResourceError, StreamError};

    #[test]
    fn errors_of_gstreamer_are_told_apart() {
        let of = |cause: Error, started| classify("x", "is it on?", &cause, cause.message().to_owned(), started);
        let refused = of(Error::new(ResourceError::NotAuthorized, "401"), false);
        assert!(matches!(refused, VideoError::Refused { .. }) && !refused.may_pass());
        assert!(matches!(of(Error::new(ResourceError::Read, "gone"), true), VideoError::Lost { .. }));
        assert!(matches!(of(Error::new(ResourceError::OpenRead, "no"), false), VideoError::Open { .. }));
        assert!(matches!(of(Error::new(StreamError::CodecNotFound, "no"), false), VideoError::MissingDecoder { .. }));
        assert!(matches!(of(Error::new(CoreError::Negotiation, "no"), false), VideoError::Negotiation { .. }));
        assert!(matches!(of(Error::new(StreamError::Demux, "no"), true), VideoError::Damaged { .. }));
    }

    #[test]
    fn messages_say_what_to_install() {
        let error = VideoError::MissingDecoder {
            input: "a.mp4".into(),
            format: "video/x-h264".into(),
            package: package_of_format("video/x-h264, level=4").into(),
        };
        assert_eq!(error.to_string(), "a.mp4: nothing here decodes video/x-h264; install gstreamer1.0-libav");
    }
}
