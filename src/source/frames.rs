//! Frames one after the other, from wherever they come: a list of photos, a video, a camera.

use super::health::{HealthWatch, SharedHealth};
use super::{SourceError, TelemetryCounters};
use crate::types::{Frame, Intake, Pause, Refusals};

/// What polling a source gives.
#[derive(Debug)]
pub enum FrameEvent {
    /// A frame. Ordinals count up from 0 without gaps, stamps increase.
    Frame(Box<Frame>),
    /// No frame now, and what is known of the time since the last.
    Pause(Box<Pause>),
    /// Nothing now; ask again.
    Pending,
    /// No more frames will come.
    Ended,
    /// No more frames will come, and why. Frames before the failure are good.
    Failed(SourceError),
}

/// Gives frames without ever waiting, so that whoever asks can do other work.
pub trait FrameSource: Send {
    /// What there is now.
    fn poll(&mut self) -> FrameEvent;

    /// How many frames will come in all, where that is known.
    fn len_hint(&self) -> Option<u64> {
        None
    }

    /// What goes wrong with what comes in, where anybody watches that.
    fn health(&self) -> Option<SharedHealth> {
        None
    }

    /// Completes what the source writes, if anything, and says what became of the frames that came in. Called once, when no more are
    /// wanted.
    ///
    /// # Errors
    /// When something could not be written.
    fn finish(&mut self) -> Result<Intake, SourceError>;
}

impl FrameSource for Box<dyn FrameSource> {
    fn poll(&mut self) -> FrameEvent {
        (**self).poll()
    }

    fn len_hint(&self) -> Option<u64> {
        (**self).len_hint()
    }

    fn health(&self) -> Option<SharedHealth> {
        (**self).health()
    }

    fn finish(&mut self) -> Result<Intake, SourceError> {
        (**self).finish()
    }
}

/// Frames that are all known beforehand.
pub struct FrameList {
    rest: std::vec::IntoIter<Frame>,
    count: u64,
    /// Of the frames given so far.
    telemetry_refused: Refusals,
    health: HealthWatch,
    /// Of the telemetry of all frames.
    counters: TelemetryCounters,
}

impl FrameList {
    /// The same with what became of the telemetry that its frames hold.
    pub fn with_counters(self, counters: TelemetryCounters) -> Self {
        Self { counters, ..self }
    }
}

impl From<Vec<Frame>> for FrameList {
    fn from(frames: Vec<Frame>) -> Self {
        Self {
            count: frames.len() as u64,
            rest: frames.into_iter(),
            telemetry_refused: Refusals::default(),
            health: HealthWatch::default(),
            counters: TelemetryCounters::default(),
        }
    }
}

impl FrameSource for FrameList {
    fn poll(&mut self) -> FrameEvent {
        let Some(frame) = self.rest.next() else { return FrameEvent::Ended };
        self.telemetry_refused = frame.intake.telemetry_refused;
        self.health.telemetry(frame.stamp_ns, &frame.telemetry);
        self.health.counters(None, TelemetryCounters { implausible: self.telemetry_refused, ..self.counters });
        FrameEvent::Frame(Box::new(frame))
    }

    fn len_hint(&self) -> Option<u64> {
        Some(self.count)
    }

    fn health(&self) -> Option<SharedHealth> {
        Some(self.health.shared())
    }

    fn finish(&mut self) -> Result<Intake, SourceError> {
        Ok(Intake { telemetry_refused: self.telemetry_refused, ..Intake::all(self.count - self.rest.len() as u64) })
    }
}

/// All frames of a source, waiting for each: for short flights and tests.
///
/// # Errors
/// The source's own.
pub fn collect(source: &mut dyn FrameSource) -> Result<Vec<Frame>, SourceError> {
    let mut frames = Vec::new();
    loop {
        match source.poll() {
            FrameEvent::Frame(frame) => frames.push(*frame),
            FrameEvent::Pause(_) => {}
            FrameEvent::Pending => std::thread::sleep(std::time::Duration::from_millis(1)),
            FrameEvent::Ended => return Ok(frames),
            FrameEvent::Failed(error) => return Err(error),
        }
    }
}
