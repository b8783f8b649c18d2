//! The files of one video, one after the other.

use std::collections::VecDeque;

use super::{VideoCounters, VideoError, VideoEvent, VideoInput, VideoSettings, VideoSource};
use crate::recording::VideoPart;

/// A video of one or several files, or of any other single input.
pub struct VideoParts {
    settings: VideoSettings,
    current: VideoSource,
    first_frame: u64,
    rest: VecDeque<VideoPart>,
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
        let mut rest: VecDeque<VideoPart> =
            parts.into_iter().zip(ends).filter(|(part, end)| *end != Some(part.first_frame)).map(|(part, _)| part).collect();
        let first = rest.pop_front();
        let first_frame = first.as_ref().map_or(0, |part| part.first_frame);
        let current = match first {
            Some(part) => open(&settings, part)?,
            None => VideoSource::start(settings.clone())?,
        };
        Ok(Self { settings, current, first_frame, rest, past: VideoCounters::default(), surplus: 0 })
    }

    /// What there is now; never waits. Frames are numbered over all files.
    pub fn poll(&mut self) -> VideoEvent {
        match self.current.poll() {
            VideoEvent::Frame(mut frame) => {
                frame.index += self.first_frame;
                if self.rest.front().is_some_and(|next| frame.index >= next.first_frame) {
                    self.surplus += 1;
                    return VideoEvent::Pending;
                }
                VideoEvent::Frame(frame)
            }
            VideoEvent::Ended => match self.rest.pop_front() {
                Some(part) => self.go_on(part).map_or_else(VideoEvent::Failed, |()| VideoEvent::Pending),
                None => VideoEvent::Ended,
            },
            other => other,
        }
    }

    fn go_on(&mut self, part: VideoPart) -> Result<(), VideoError> {
        self.past = add(self.past, self.current.counters());
        self.first_frame = part.first_frame;
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

fn open(settings: &VideoSettings, part: VideoPart) -> Result<VideoSource, VideoError> {
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
        not_recorded: a.not_recorded + b.not_recorded,
        reconnects: a.reconnects + b.reconnects,
    }
}
