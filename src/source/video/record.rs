//! The stream as it came, in a Matroska file: encoded pictures are copied, raw ones encoded without loss (FFV1).
//!
//! The file starts with the first key frame and holds every picture that went to the decoder, in order: the n-th frame decoded from
//! it is the frame numbered n. Matroska rounds times to a millisecond; exact stamps go into a table beside it. A file that is cut
//! off can be read up to the cut.
//!
//! A further file (`video.2.mkv`, …) is begun when the format changes on the way, and when a connection broke off before all that it had
//! brought was decoded, for a replay decodes all. Then `video_parts.csv` says with which number each begins.

use std::path::{Path, PathBuf};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSrc, AppStreamType};

use super::error::{self, VideoError};
use crate::recording::reader::{PartRow, parts_table};
use crate::source::redact;

/// What may wait for a slow disk; then the stream waits.
const WAITING_BYTES: u64 = 64 << 20;
/// How long a finished file may take to reach the disk.
const FINISH: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// Writes a stream into a file.
pub(super) struct Recorder {
    path: PathBuf,
    parts: Vec<PartRow>,
    file: Option<File>,
    failure: Option<VideoError>,
    last_ns: i64,
    connection: u64,
    /// Number of the frame that the next picture becomes.
    next_frame: u64,
}

struct File {
    path: PathBuf,
    caps: gst::Caps,
    pipeline: gst::Pipeline,
    source: AppSrc,
    bus: gst::Bus,
}

impl Recorder {
    /// Will record into `path`, which must be writable.
    pub fn create(path: &Path) -> Result<Self, VideoError> {
        std::fs::File::create(path).map_err(|e| VideoError::Record { path: path.to_owned(), reason: e.to_string() })?;
        Ok(Self { path: path.to_owned(), parts: Vec::new(), file: None, failure: None, last_ns: 0, connection: 0, next_frame: 0 })
    }

    /// Records a picture of a connection, of which the number and that of its first frame are given; false when that is not possible
    /// (any more).
    pub fn push(
        &mut self,
        caps: &gst::Caps,
        buffer: &gst::Buffer,
        stamp_ns: Option<i64>,
        (connection, first_frame): (u64, u64),
    ) -> bool {
        if self.failure.is_some() {
            return false;
        }
        if connection < self.connection {
            // Given up while the picture was on its way; its frame will not count either.
            return true;
        }
        let written = self.connected(connection, first_frame).and_then(|()| self.write(caps, buffer, stamp_ns));
        if let Err(error) = written {
            tracing::error!("{error}");
            self.failure = Some(error);
        }
        self.failure.is_none()
    }

    fn connected(&mut self, connection: u64, first_frame: u64) -> Result<(), VideoError> {
        if connection == self.connection {
            return Ok(());
        }
        self.connection = connection;
        if self.next_frame == first_frame {
            return Ok(());
        }
        self.next_frame = first_frame;
        self.close()
    }

    fn write(&mut self, caps: &gst::Caps, buffer: &gst::Buffer, stamp_ns: Option<i64>) -> Result<(), VideoError> {
        if self.file.as_ref().is_some_and(|file| file.caps != *caps) {
            self.close()?;
        }
        let file = match &self.file {
            Some(file) => file,
            None => {
                let path = part(&self.path, self.parts.len() + 1);
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.parts.push(PartRow { file, first_frame: self.next_frame });
                if self.parts.len() > 1 {
                    self.list_parts()?;
                }
                self.file.insert(File::begin(path, caps)?)
            }
        };
        // A picture without a time is needed by those after it: it keeps the time of the one before.
        self.last_ns = stamp_ns.unwrap_or(self.last_ns).max(0);
        let mut copy = buffer.copy();
        {
            let copy = copy.make_mut();
            copy.set_pts(gst::ClockTime::from_nseconds(self.last_ns.unsigned_abs()));
            copy.set_dts(gst::ClockTime::NONE);
        }
        self.next_frame += 1;
        file.check()?;
        file.source.push_buffer(copy).map(|_| ()).map_err(|flow| {
            file.check().err().unwrap_or(VideoError::Record { path: file.path.clone(), reason: flow.to_string() })
        })
    }

    fn list_parts(&self) -> Result<(), VideoError> {
        let path = parts_table(&self.path);
        let write = || {
            let mut table = csv::Writer::from_path(&path)?;
            self.parts.iter().try_for_each(|part| table.serialize(part))?;
            table.flush().map_err(csv::Error::from)
        };
        write().map_err(|e| VideoError::Record { path: path.clone(), reason: e.to_string() })
    }

    fn close(&mut self) -> Result<(), VideoError> {
        self.file.take().map_or(Ok(()), |file| file.finish())
    }

    /// Completes the file; the first failure, if there was one.
    pub fn finish(&mut self) -> Result<(), VideoError> {
        let closed = self.close();
        self.failure.clone().map_or(closed, Err)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!("{error}");
        }
    }
}

/// Path of the n-th file, from 1.
fn part(path: &Path, number: usize) -> PathBuf {
    if number <= 1 {
        return path.to_owned();
    }
    let extension = path.extension().map_or("mkv".into(), |e| e.to_string_lossy().into_owned());
    path.with_extension(format!("{number}.{extension}"))
}

impl File {
    fn begin(path: PathBuf, caps: &gst::Caps) -> Result<Self, VideoError> {
        let failed = |reason: String| VideoError::Record { path: path.clone(), reason: redact(&reason) };
        let name = caps.structure(0).map_or("", |s| s.name().as_str());
        // Matroska wants some formats in a form of its own.
        let between: &[&str] = match name {
            "video/x-raw" => &["videoconvert", "avenc_ffv1"],
            "video/x-h264" => &["h264parse"],
            "video/x-h265" => &["h265parse"],
            _ => &[],
        };
        let pipeline = gst::Pipeline::new();
        let source = AppSrc::builder()
            .caps(caps)
            .format(gst::Format::Time)
            .stream_type(AppStreamType::Stream)
            .block(true)
            .max_bytes(WAITING_BYTES)
            .build();
        let mut chain: Vec<gst::Element> = vec![source.clone().upcast()];
        for factory in between.iter().chain(&["matroskamux", "filesink"]) {
            let element = gst::ElementFactory::make(factory)
                .build()
                .map_err(|_| failed(format!("no element '{factory}', install {}", error::package_of_element(factory))))?;
            chain.push(element);
        }
        if let Some(sink) = chain.last() {
            sink.set_property("location", path.as_path());
            sink.set_property("sync", false);
            sink.set_property("async", false);
            // Nothing waits in a buffer of this process when it is killed.
            sink.set_property_from_str("buffer-mode", "unbuffered");
        }
        pipeline.add_many(&chain).and_then(|()| gst::Element::link_many(&chain)).map_err(|e| failed(e.to_string()))?;
        let bus = pipeline.bus().ok_or_else(|| failed("the pipeline has no bus".into()))?;
        let file = Self { path: path.clone(), caps: caps.clone(), pipeline, source, bus };
        if let Err(error) = file.pipeline.set_state(gst::State::Playing) {
            return Err(file.check().err().unwrap_or_else(|| failed(error.to_string())));
        }
        Ok(file)
    }

    /// An error of the bus, if there is one.
    fn check(&self) -> Result<(), VideoError> {
        self.bus.pop_filtered(&[gst::MessageType::Error]).map_or(Ok(()), |message| Err(self.failure(&message)))
    }

    fn failure(&self, message: &gst::Message) -> VideoError {
        let reason = match message.view() {
            gst::MessageView::Error(error) => redact(error.error().message()),
            _ => "no answer".into(),
        };
        VideoError::Record { path: self.path.clone(), reason }
    }

    fn finish(self) -> Result<(), VideoError> {
        let ended = self.source.end_of_stream().is_ok();
        let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = if ended { self.bus.timed_pop_filtered(FINISH, &wanted) } else { self.bus.pop_filtered(&wanted) };
        match message {
            Some(message) if message.type_() == gst::MessageType::Eos => Ok(()),
            Some(message) => Err(self.failure(&message)),
            None => Err(VideoError::Record { path: self.path.clone(), reason: "the disk does not take the rest".into() }),
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{VideoEvent, VideoInput, VideoParts, VideoSettings};
    use super::*;
    use crate::recording::VideoPart;

    #[test]
    fn pictures_that_a_broken_connection_left_undecoded_are_no_frames_of_a_replay() {
        gst::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mkv");
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "GRAY8")
            .field("width", 64)
            .field("height", 48)
            .field("framerate", gst::Fraction::new(10, 1))
            .build();
        let mut recorder = Recorder::create(&path).unwrap();
        let mut push = |grey: u8, connection: (u64, u64)| {
            let picture = gst::Buffer::from_slice(vec![grey; 64 * 48]);
            assert!(recorder.push(&caps, &picture, Some(i64::from(grey) * 10_000_000), connection));
        };
        // The first connection brought four pictures, of which two were decoded, the second one of which none was, the third two.
        [10, 20, 30, 40].into_iter().for_each(|grey| push(grey, (1, 0)));
        push(50, (2, 2));
        push(60, (1, 0));
        [70, 80].into_iter().for_each(|grey| push(grey, (3, 2)));
        recorder.finish().unwrap();
        let rows: Vec<PartRow> = csv::Reader::from_path(parts_table(&path)).unwrap().deserialize().map(Result::unwrap).collect();
        let parts: Vec<VideoPart> =
            rows.into_iter().map(|r| VideoPart { path: folder.path().join(r.file), first_frame: r.first_frame }).collect();
        assert_eq!(parts.iter().map(|p| p.first_frame).collect::<Vec<_>>(), [0, 2, 2]);
        let settings = VideoSettings::new(VideoInput::File(path));
        let mut video = VideoParts::start(settings, parts).unwrap();
        let mut seen = Vec::new();
        loop {
            match video.poll() {
                VideoEvent::Frame(frame) => seen.push((frame.index, frame.image.as_raw()[0])),
                VideoEvent::Pending => std::thread::sleep(std::time::Duration::from_millis(1)),
                VideoEvent::Ended => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, [(0, 10), (1, 20), (2, 70), (3, 80)]);
        assert_eq!((video.counters().decoded, video.counters().delivered), (4, 4));
    }

    #[test]
    fn further_files_are_numbered_before_the_extension() {
        assert_eq!(part(Path::new("/a/video.mkv"), 1), Path::new("/a/video.mkv"));
        assert_eq!(part(Path::new("/a/video.mkv"), 3), Path::new("/a/video.3.mkv"));
    }
}
