//! A sink on a thread of its own, behind a bounded queue: one that is slow, wedged or closed by its user slows nothing.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::{Sink, SinkError};
use crate::types::{FrameReport, Report, TrackPoint};

/// Reports that may wait.
const QUEUE: usize = 8;

/// Hands reports to another sink as long as that keeps up; what it cannot take is dropped and counted. Its errors end it, with a
/// warning, and nothing else.
pub struct BackgroundSink {
    reports: Option<SyncSender<Report>>,
    finished: Receiver<()>,
    patience: Duration,
    dropped: u64,
    name: String,
}

impl BackgroundSink {
    /// Starts the thread. `make` runs on it; at the end the sink has `patience` to finish.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start<S: Sink + 'static>(
        name: &str,
        patience: Duration,
        make: impl FnOnce() -> Result<S, SinkError> + Send + 'static,
    ) -> Result<Self, SinkError> {
        let (reports, queue) = sync_channel::<Report>(QUEUE);
        let (done, finished) = sync_channel(1);
        let run = move || -> Result<(), SinkError> {
            let mut sink = make()?;
            queue.into_iter().try_for_each(|report| sink.take(&report))?;
            sink.finish()
        };
        let thread = std::thread::Builder::new().name(name.into());
        let spawned = thread.spawn(move || {
            if let Err(error) = run() {
                tracing::warn!("{error}; the flight goes on without");
            }
            // Nobody waits after the patience is over.
            let _ = done.send(());
        });
        spawned.map_err(|source| SinkError::Io { path: name.into(), source })?;
        Ok(Self { reports: Some(reports), finished, patience, dropped: 0, name: name.into() })
    }

    fn hand_over(&mut self, report: Report) {
        if let Some(reports) = &self.reports
            && let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = reports.try_send(report)
        {
            self.dropped += 1;
        }
    }
}

impl Sink for BackgroundSink {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        self.hand_over(Report::Frame(Box::new(report.clone())));
        Ok(())
    }

    fn between(&mut self, point: &TrackPoint) -> Result<(), SinkError> {
        self.hand_over(Report::Between(vec![point.clone()]));
        Ok(())
    }

    fn take(&mut self, report: &Report) -> Result<(), SinkError> {
        self.hand_over(report.clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.reports = None;
        if let Err(RecvTimeoutError::Timeout) = self.finished.recv_timeout(self.patience) {
            tracing::warn!("{}: did not finish in time and is left behind", self.name);
        }
        if self.dropped > 0 {
            tracing::warn!("{}: did not keep up; {} reports were left out", self.name, self.dropped);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::abstained;
    use std::sync::{Arc, Mutex};

    struct Collects(Arc<Mutex<Vec<u64>>>);

    impl Sink for Collects {
        fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
            self.0.lock().unwrap().push(report.ordinal);
            Ok(())
        }

        fn finish(&mut self) -> Result<(), SinkError> {
            self.0.lock().unwrap().push(u64::MAX);
            Ok(())
        }
    }

    struct Wedged(Receiver<()>);

    impl Sink for Wedged {
        fn frame(&mut self, _: &FrameReport) -> Result<(), SinkError> {
            let _ = self.0.recv();
            Ok(())
        }

        fn finish(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_keeps_up_gets_every_report_and_finishes() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let collects = Collects(Arc::clone(&seen));
        let mut sink = BackgroundSink::start("test", Duration::from_secs(60), move || Ok(collects)).unwrap();
        for ordinal in 0..QUEUE as u64 {
            sink.frame(&abstained(ordinal)).unwrap();
        }
        sink.finish().unwrap();
        assert_eq!(sink.dropped, 0);
        let expected: Vec<u64> = (0..QUEUE as u64).chain([u64::MAX]).collect();
        assert_eq!(*seen.lock().unwrap(), expected);
    }

    #[test]
    fn a_wedged_sink_holds_nothing_up_and_what_it_misses_is_counted() {
        let (release, wait) = sync_channel(0);
        let mut sink = BackgroundSink::start("test", Duration::from_millis(1), move || Ok(Wedged(wait))).unwrap();
        for ordinal in 0..100 {
            sink.frame(&abstained(ordinal)).unwrap();
        }
        // One may be in the sink's hands, and the queue is full.
        assert!((100 - QUEUE as u64 - 1..=100 - QUEUE as u64).contains(&sink.dropped));
        sink.finish().unwrap();
        drop(release);
    }

    #[test]
    fn a_sink_that_fails_ends_alone() {
        let fail = || -> Result<Wedged, SinkError> { Err(SinkError::Viewer { path: "viewer".into(), reason: "closed".into() }) };
        let mut sink = BackgroundSink::start("test", Duration::from_secs(60), fail).unwrap();
        sink.frame(&abstained(0)).unwrap();
        sink.finish().unwrap();
    }
}
