use std::sync::mpsc::{Receiver, sync_channel};

use image::RgbImage;

use super::*;
use crate::sink::tests::abstained;

const LONG: Patience = Patience { report: Duration::from_secs(600), end: Duration::from_secs(600) };
const SHORT: Patience = Patience { report: Duration::from_millis(20), end: Duration::from_millis(20) };

fn frame(ordinal: u64) -> Arc<Report> {
    Arc::new(Report::Frame(Box::new(abstained(ordinal))))
}

/// What an output was given: the frames' ordinals, each with whether it had a picture, and at the end `u64::MAX`.
type Seen = Arc<Mutex<Vec<(u64, bool)>>>;

/// Takes a report whenever it is let.
struct Gated {
    seen: Seen,
    gate: Option<Receiver<()>>,
}

impl Sink for Gated {
    fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        self.seen.lock().unwrap().push((report.ordinal, report.preview.is_some()));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.seen.lock().unwrap().push((u64::MAX, false));
        Ok(())
    }
}

fn start(pace: Pace, patience: Patience, gate: Option<Receiver<()>>) -> (BackgroundSink, Seen) {
    let seen = Seen::default();
    let sink = Gated { seen: Arc::clone(&seen), gate };
    let make: Make = Box::new(move || Ok(Box::new(sink)));
    (BackgroundSink::start("test", pace, patience, false, make).unwrap(), seen)
}

fn ordinals(seen: &Seen) -> Vec<u64> {
    seen.lock().unwrap().iter().map(|(ordinal, _)| *ordinal).collect()
}

fn finish(sink: &mut BackgroundSink) -> Result<(), String> {
    sink.end();
    sink.wait()
}

#[test]
fn a_flight_that_waits_loses_nothing_however_slow_the_output() {
    let (let_through, gate) = sync_channel(0);
    let (mut sink, seen) = start(Pace::Waits, LONG, Some(gate));
    let count = 5 * QUEUE as u64;
    let slow = std::thread::spawn(move || (0..count).for_each(|_| let_through.send(()).unwrap()));
    (0..count).for_each(|ordinal| sink.take(&frame(ordinal)).unwrap());
    finish(&mut sink).unwrap();
    slow.join().unwrap();
    assert_eq!(ordinals(&seen), (0..count).chain([u64::MAX]).collect::<Vec<_>>());
    assert_eq!(sink.left_out(), LeftOut::default());
}

#[test]
fn a_flight_that_does_not_wait_leaves_out_pictures_first_then_the_oldest_reports_and_counts() {
    let (let_through, gate) = sync_channel(0);
    let (mut sink, seen) = start(Pace::Drops, LONG, Some(gate));
    let picture = Some((Arc::new(RgbImage::new(1, 1)), 1.0));
    let with_picture =
        |ordinal| Arc::new(Report::Frame(Box::new(FrameReport { preview: picture.clone(), ..abstained(ordinal) })));
    // The first one is in the output's hands.
    sink.take(&with_picture(0)).unwrap();
    while sink.shared.lock().busy.is_none() || !sink.shared.lock().reports.is_empty() {
        std::thread::yield_now();
    }
    let waiting = QUEUE as u64 + 10;
    (1..=waiting).for_each(|ordinal| sink.take(&with_picture(ordinal)).unwrap());
    assert_eq!(sink.left_out().reports, 10);
    assert!(sink.left_out().pictures >= (QUEUE - PICTURES) as u64, "{:?}", sink.left_out());
    sink.end();
    drop(let_through);
    sink.wait().unwrap();
    assert_eq!(ordinals(&seen), [0].into_iter().chain(11..=waiting).chain([u64::MAX]).collect::<Vec<_>>());
    let pictures: Vec<u64> = seen.lock().unwrap().iter().filter(|(_, picture)| *picture).map(|(ordinal, _)| *ordinal).collect();
    assert_eq!(pictures, [0].into_iter().chain(waiting - PICTURES as u64 + 1..=waiting).collect::<Vec<_>>());
}

#[test]
fn an_output_that_stands_still_is_closed_once_and_by_its_name_whether_the_flight_waits_or_not() {
    for pace in [Pace::Waits, Pace::Drops] {
        let (let_through, gate) = sync_channel(0);
        let (mut sink, _) = start(pace, SHORT, Some(gate));
        let mut told = Vec::new();
        while told.is_empty() {
            told.extend(sink.take(&frame(0)).err());
        }
        assert!(told[0].contains("test: took nothing for 0.0 s (`sinks.timeout_s`)"), "{told:?}");
        assert_eq!(sink.take(&frame(1)), Ok(()), "it is told once");
        assert_eq!(finish(&mut sink), Ok(()));
        drop(let_through);
    }
}

#[test]
fn an_output_that_does_not_end_is_left_behind() {
    let (let_through, gate) = sync_channel(0);
    let (mut sink, _) = start(Pace::Drops, Patience { end: Duration::from_millis(1), ..LONG }, Some(gate));
    sink.take(&frame(0)).unwrap();
    assert!(finish(&mut sink).unwrap_err().contains("did not take the rest within 0.0 s"));
    drop(let_through);
}

#[test]
fn an_output_that_fails_or_dies_is_closed_with_the_reason() {
    struct Dies;
    impl Sink for Dies {
        fn frame(&mut self, report: &FrameReport) -> Result<(), SinkError> {
            panic!("at frame {}", report.ordinal);
        }
        fn finish(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
    }
    let fails: Make = Box::new(|| Err(SinkError::Viewer { path: "the viewer".into(), reason: "closed".into() }));
    let dies: Make = Box::new(|| Ok(Box::new(Dies)));
    for (make, reason) in [(fails, "test: the viewer: closed"), (dies, "test: its thread died: at frame 0")] {
        let mut sink = BackgroundSink::start("test", Pace::Waits, LONG, false, make).unwrap();
        let closed = (0..1000 * QUEUE as u64).find_map(|ordinal| sink.take(&frame(ordinal)).err());
        assert_eq!(closed.as_deref(), Some(reason));
    }
}

#[test]
fn an_output_of_no_report_is_made_and_completed_at_the_end_and_not_before() {
    let (mut sink, seen) = start(Pace::Waits, LONG, None);
    finish(&mut sink).unwrap();
    assert_eq!(ordinals(&seen), [u64::MAX]);
}

#[test]
fn an_output_that_is_given_up_before_its_first_report_makes_nothing() {
    let (sink, seen) = start(Pace::Waits, LONG, None);
    let shared = Arc::downgrade(&sink.shared);
    drop(sink);
    while shared.strong_count() > 0 {
        std::thread::yield_now();
    }
    assert!(ordinals(&seen).is_empty());
}
