//! The files of one video, one after the other.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::{VideoCounters, VideoError, VideoEvent, VideoInput, VideoSettings, VideoSource};
use crate::recording::VideoPart;

/// A file that comes after others.
struct Next {
    path: PathBuf,
    /// Its first frame's number, of a recording; of any other file it follows from the files before.
    first_frame: Option<u64>,
    /// When it begins, where its frames count from 0 and that is known.
    start_ns: Option<i64>,
}

/// A video of one or several files, or of any other single input.
pub struct VideoParts {
    settings: VideoSettings,
    current: VideoSource,
    first_frame: u64,
    /// What is added to the times of the current file, nanoseconds.
    start_ns: i64,
    /// Time of the last frame, and the step to it.
    last_ns: Option<i64>,
    step_ns: i64,
    rest: VecDeque<Next>,
    /// What the files before this one gave.
    past: VideoCounters,
    /// Frames of this and the files before that have a number of the file after them: they were not decoded when it was recorded.
    surplus: u64,
}

impl VideoParts {
    /// Starts reading `parts` in order, or the settings' own input when there are none.
    ///
    /// # Errors
    /// As [`VideoSource::start`].
    pub fn start(settings: VideoSettings, parts: Vec<VideoPart>) -> Result<Self, VideoError> {
        // Not one frame of a part was decoded if the next begins with the same number.
        let ends: Vec<Option<u64>> = parts.iter().skip(1).map(|p| Some(p.first_frame)).chain([None]).collect();
        let next = |part: VideoPart| Next { path: part.path, first_frame: Some(part.first_frame), start_ns: Some(0) };
        let rest = parts.into_iter().zip(ends).filter(|(part, end)| *end != Some(part.first_frame)).map(|(part, _)| next(part));
        Self::start_first(settings, rest.collect())
    }

    /// Starts reading files one after the other as one video: each begins at its time, nanoseconds, or where the one before ends.
    ///
    /// # Errors
    /// As [`VideoSource::start`].
    pub fn start_sequence(settings: VideoSettings, files: Vec<(PathBuf, Option<i64>)>) -> Result<Self, VideoError> {
        let next = |(path, start_ns)| Next { path, first_frame: None, start_ns };
        Self::start_first(settings, files.into_iter().map(next).collect())
    }

    fn start_first(settings: VideoSettings, mut rest: VecDeque<Next>) -> Result<Self, VideoError> {
        let first = rest.pop_front();
        let first_frame = first.as_ref().and_then(|part| part.first_frame).unwrap_or(0);
        let start_ns = first.as_ref().and_then(|part| part.start_ns).unwrap_or(0);
        let current = match first {
            Some(part) => open(&settings, part)?,
            None => VideoSource::start(settings.clone())?,
        };
        let past = VideoCounters::default();
        Ok(Self { settings, current, first_frame, start_ns, last_ns: None, step_ns: 1, rest, past, surplus: 0 })
    }

    /// What there is now; never waits. Frames are numbered over all files.
    pub fn poll(&mut self) -> VideoEvent {
        match self.current.poll() {
            VideoEvent::Frame(mut frame) => {
                frame.index += self.first_frame;
                if self.rest.front().and_then(|next| next.first_frame).is_some_and(|first| frame.index >= first) {
                    self.surplus += 1;
                    return VideoEvent::Pending;
                }
                frame.pts_ns = frame.pts_ns.saturating_add(self.start_ns);
                if let Some(last_ns) = self.last_ns.filter(|_| self.start_ns > 0) {
                    // A file may begin a little before the one before ends.
                    let early_ns = last_ns.saturating_add(1).saturating_sub(frame.pts_ns).max(0);
                    self.start_ns = self.start_ns.saturating_add(early_ns);
                    frame.pts_ns = frame.pts_ns.saturating_add(early_ns);
                }
                self.step_ns = self.last_ns.map_or(1, |last_ns| frame.pts_ns.saturating_sub(last_ns));
                self.last_ns = Some(frame.pts_ns);
                VideoEvent::Frame(frame)
            }
            VideoEvent::Ended => match self.rest.pop_front() {
                Some(part) => self.go_on(part).map_or_else(VideoEvent::Failed, |()| VideoEvent::Pending),
                None => VideoEvent::Ended,
            },
            other => other,
        }
    }

    fn go_on(&mut self, part: Next) -> Result<(), VideoError> {
        self.past = add(self.past, self.current.counters());
        self.first_frame = part.first_frame.unwrap_or(self.past.decoded);
        let after = self.last_ns.map_or(0, |last_ns| last_ns.saturating_add(self.step_ns));
        self.start_ns = part.start_ns.unwrap_or(after);
        self.current = open(&self.settings, part)?;
        Ok(())
    }

    /// What became of the frames so far, over all files.
    pub fn counters(&self) -> VideoCounters {
        let c = add(self.past, self.current.counters());
        VideoCounters { decoded: c.decoded - self.surplus, delivered: c.delivered - self.surplus, ..c }
    }

    /// As [`VideoSource::ended_early_s`], of the last file.
    pub fn ended_early_s(&self) -> Option<f64> {
        self.current.ended_early_s()
    }

    /// As [`VideoSource::finish`].
    ///
    /// # Errors
    /// As [`VideoSource::finish`].
    pub fn finish(&mut self) -> Result<(), VideoError> {
        self.current.finish()
    }
}

fn open(settings: &VideoSettings, part: Next) -> Result<VideoSource, VideoError> {
    VideoSource::start(VideoSettings { input: VideoInput::File(part.path), ..settings.clone() })
}

fn add(a: VideoCounters, b: VideoCounters) -> VideoCounters {
    VideoCounters {
        decoded: a.decoded + b.decoded,
        delivered: a.delivered + b.delivered,
        thinned: a.thinned + b.thinned,
        dropped: a.dropped + b.dropped,
        without_pts: a.without_pts + b.without_pts,
        time_went_back: a.time_went_back + b.time_went_back,
        waiting: a.waiting + b.waiting,
        before_keyframe: a.before_keyframe + b.before_keyframe,
        after_loss: a.after_loss + b.after_loss,
        not_recorded: a.not_recorded + b.not_recorded,
        reconnects: a.reconnects + b.reconnects,
    }
}
