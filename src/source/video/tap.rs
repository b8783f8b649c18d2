//! The tap on the decoded frames: counts each, gives it its number and stamp, and decides whether it goes on to be converted.
//! Pure bookkeeping, called from GStreamer's streaming threads under a lock.

use std::collections::VecDeque;

use super::thin::Thinner;

/// What became of the frames: `decoded = delivered + thinned + dropped + without_pts + time_went_back + waiting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct VideoCounters {
    /// Frames that left the decoder.
    pub decoded: u64,
    /// Frames handed over.
    pub delivered: u64,
    /// Frames left out by the frame rate asked for.
    pub thinned: u64,
    /// Frames overtaken by newer ones before they were served (live only), or lost with a connection.
    pub dropped: u64,
    /// Frames without a time of their own.
    pub without_pts: u64,
    /// Frames whose time is not after that of the frame before.
    pub time_went_back: u64,
    /// Frames that are decoded and not served yet.
    pub waiting: u64,
    /// Encoded pictures before the first key frame: not decodable, so never decoded nor recorded.
    pub before_keyframe: u64,
    /// Encoded pictures between a loss of others and the next key frame: a decoder would make them out of pictures that it never had, so they
    /// are neither decoded nor recorded.
    pub after_loss: u64,
    /// Encoded pictures that could not be recorded.
    pub not_recorded: u64,
    /// Connections beyond the first.
    pub reconnects: u64,
}

/// Which clock the stamps of a source follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeline {
    /// The container's own times.
    Container,
    /// Running time of the pipeline's monotonic clock, whose zone is the same over all connections.
    Live {
        /// The clock's reading at running time zero.
        base_ns: i64,
    },
}

/// A frame that went on to conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub index: u64,
    pub stamp_ns: i64,
    pub captured_ns: Option<i64>,
}

/// Presentation times of encoded pictures that are remembered while they are decoded: more than any codec reorders.
const REMEMBERED: usize = 256;
/// Delta pictures after which a stream is taken to have no key frames at all (intra refresh).
const MAX_BEFORE_KEYFRAME: u64 = 300;

/// How long pictures may be missing since the last key frame before those that are told by their difference from them are left out,
/// nanoseconds: what is shown lags behind the aircraft by as much.
const MOST_MISSING_NS: i64 = 250_000_000;

/// The least step of time from one connection to the next: what containers that round to a millisecond can still tell apart.
const APART_NS: i64 = 1_000_000;

/// State over all connections of a source.
pub(super) struct Tap {
    timeline: Timeline,
    thinner: Thinner,
    counters: VideoCounters,
    last_ns: Option<i64>,
    admitted: VecDeque<Admitted>,
    /// The connection whose frames count; late ones of an older one are ignored.
    connection: u64,
    /// Number of the first frame of this connection.
    first_frame: u64,
    /// Added to the times of this connection.
    offset_ns: Option<i64>,
    /// Whether the source's times are unrelated to the clock, so that its first frame is taken to come without delay.
    anchored_at_arrival: bool,
    encoded: Encoded,
}

#[derive(Default)]
struct Encoded {
    seen: u64,
    keyframe_seen: bool,
    before_keyframe: u64,
    without_pts: u64,
    pts: VecDeque<u64>,
    /// The newest time and the last step to a newer one.
    newest_ns: Option<i64>,
    step_ns: i64,
    /// What is missing since the last key frame.
    missing_ns: i64,
    after_loss: u64,
}

impl Encoded {
    /// Takes note of a picture's place in time: whether the decoder lacks what it needs for it.
    fn lacks(&mut self, picture: &Picture) -> bool {
        if !picture.delta {
            self.missing_ns = 0;
            self.after_loss = 0;
        }
        if let Some(time_ns) = picture.time_ns {
            let step_ns = self.newest_ns.map_or(0, |newest| time_ns.saturating_sub(newest));
            if picture.follows_loss && picture.delta {
                self.missing_ns = self.missing_ns.saturating_add(step_ns.saturating_sub(self.step_ns).max(0));
            } else if step_ns > 0 {
                self.step_ns = step_ns;
            }
            self.newest_ns = self.newest_ns.max(picture.time_ns);
        }
        // A stream without key frames refreshes its pictures by parts.
        let lacks = self.missing_ns > MOST_MISSING_NS && self.after_loss < MAX_BEFORE_KEYFRAME;
        self.after_loss += u64::from(lacks);
        if !lacks {
            self.missing_ns = self.missing_ns.min(MOST_MISSING_NS);
        }
        lacks
    }
}

/// An encoded picture on its way to the decoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    /// Its presentation time as on the buffer.
    pub pts: Option<u64>,
    /// That time on the source's timeline before any shift.
    pub time_ns: Option<i64>,
    /// Running time of the clock now.
    pub arrival_ns: i64,
    /// Whether it needs pictures before it.
    pub delta: bool,
    /// Whether something between it and the picture before it was lost.
    pub follows_loss: bool,
}

impl Tap {
    pub fn new(timeline: Timeline, rate_hz: Option<f64>) -> Self {
        Self {
            timeline,
            thinner: Thinner::new(rate_hz),
            counters: VideoCounters::default(),
            last_ns: None,
            admitted: VecDeque::new(),
            connection: 0,
            first_frame: 0,
            offset_ns: None,
            anchored_at_arrival: true,
            encoded: Encoded::default(),
        }
    }

    /// A new connection begins; returns its number.
    pub fn connect(&mut self) -> u64 {
        self.abandon();
        self.connection += 1;
        self.first_frame = self.counters.decoded;
        self.counters.reconnects = self.connection - 1;
        self.offset_ns = None;
        self.anchored_at_arrival = true;
        self.encoded = Encoded::default();
        self.connection
    }

    /// Frames on their way are lost with their connection.
    pub fn abandon(&mut self) {
        self.counters.dropped += self.admitted.len() as u64;
        self.admitted.clear();
    }

    pub fn is_current(&self, connection: u64) -> bool {
        self.connection == connection
    }

    /// Number that the first frame of this connection has, or will have.
    pub fn first_frame(&self) -> u64 {
        self.first_frame
    }

    /// The source stamps with the pipeline's clock by itself.
    pub fn set_clocked(&mut self) {
        self.anchored_at_arrival = false;
    }

    pub fn counters(&self) -> VideoCounters {
        VideoCounters { waiting: self.admitted.len() as u64, ..self.counters }
    }

    /// Changes whenever something came from the source.
    pub fn activity(&self) -> u64 {
        self.connection + self.encoded.seen + self.counters.decoded
    }

    /// Whether this connection has brought a picture.
    pub fn has_pictures(&self) -> bool {
        self.encoded.seen > 0
    }

    pub fn decoded(&self) -> u64 {
        self.counters.decoded
    }

    /// Stamp of the newest frame.
    pub fn last_ns(&self) -> Option<i64> {
        self.last_ns
    }

    pub fn count_not_recorded(&mut self) {
        self.counters.not_recorded += 1;
    }

    /// Whether pictures came and not one had a time.
    pub fn never_timed(&self) -> bool {
        self.counters.decoded > 0 && self.counters.decoded == self.counters.without_pts
    }

    /// An encoded picture arrives: `None` drops it, because a key frame must come before it first; else its stamp, where it has one.
    pub fn picture(&mut self, picture: Picture) -> Option<Option<i64>> {
        let encoded = &mut self.encoded;
        encoded.seen += 1;
        if !encoded.keyframe_seen {
            if picture.delta && encoded.before_keyframe < MAX_BEFORE_KEYFRAME {
                encoded.before_keyframe += 1;
                self.counters.before_keyframe += 1;
                return None;
            }
            encoded.keyframe_seen = true;
        }
        if encoded.lacks(&picture) {
            self.counters.after_loss += 1;
            return None;
        }
        match picture.pts {
            Some(pts) => {
                encoded.pts.push_back(pts);
                if encoded.pts.len() > REMEMBERED {
                    encoded.pts.pop_front();
                }
            }
            None => encoded.without_pts += 1,
        }
        Some(picture.time_ns.map(|time_ns| self.shifted(time_ns, picture.arrival_ns)))
    }

    /// The stamp of a time. The first time of a connection settles the shift.
    fn shifted(&mut self, time_ns: i64, arrival_ns: i64) -> i64 {
        let offset_ns = *self.offset_ns.get_or_insert_with(|| {
            if self.timeline == Timeline::Container {
                return 0;
            }
            let offset = if self.anchored_at_arrival { arrival_ns.saturating_sub(time_ns) } else { 0 };
            // The clock never goes back, and neither do stamps: not even when a source sent ahead of its time before it broke off.
            let earliest = self.last_ns.map_or(i64::MIN, |last| last.saturating_add(APART_NS).saturating_sub(time_ns));
            offset.max(earliest)
        });
        time_ns.saturating_add(offset_ns)
    }

    /// A frame left the decoder: its number when it goes on. `pts` and `time_ns` as for [`Tap::picture`].
    pub fn frame(&mut self, pts: Option<u64>, time_ns: Option<i64>, arrival_ns: i64) -> Option<u64> {
        let index = self.counters.decoded;
        self.counters.decoded += 1;
        // A decoder makes up times for pictures that have none: a time that no picture brought is such a one.
        let invented = |p: &u64| self.encoded.without_pts > 0 && !self.encoded.pts.contains(p);
        let (Some(_), Some(time_ns)) = (pts.filter(|p| !invented(p)), time_ns) else {
            self.counters.without_pts += 1;
            return None;
        };
        let stamp_ns = self.shifted(time_ns, arrival_ns);
        if self.last_ns.is_some_and(|last| stamp_ns <= last) {
            self.counters.time_went_back += 1;
            return None;
        }
        self.last_ns = Some(stamp_ns);
        if !self.thinner.keep(stamp_ns) {
            self.counters.thinned += 1;
            return None;
        }
        let captured_ns = match self.timeline {
            Timeline::Container => None,
            Timeline::Live { base_ns } => Some(base_ns.saturating_add(stamp_ns)),
        };
        self.admitted.push_back(Admitted { index, stamp_ns, captured_ns });
        Some(index)
    }

    /// The converted frame of this number is handed over; those before it were dropped on the way.
    pub fn deliver(&mut self, index: u64) -> Option<Admitted> {
        while let Some(next) = self.admitted.pop_front() {
            if next.index == index {
                self.counters.delivered += 1;
                return Some(next);
            }
            self.counters.dropped += 1;
        }
        None
    }

    /// A frame that was handed over cannot be used after all.
    pub fn leave_out(&mut self) {
        self.counters.delivered = self.counters.delivered.saturating_sub(1);
        self.counters.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn picture(pts_ms: Option<i64>) -> Picture {
        let time_ns = pts_ms.map(|t| t * MS);
        Picture { pts: time_ns.map(|t| t as u64), time_ns, arrival_ns: 0, delta: false, follows_loss: false }
    }

    fn frame(tap: &mut Tap, pts_ms: i64, arrival_ms: i64) -> Option<u64> {
        tap.frame(Some((pts_ms * MS) as u64), Some(pts_ms * MS), arrival_ms * MS)
    }

    #[test]
    fn a_frame_without_a_time_is_counted_and_gets_none() {
        let mut tap = Tap::new(Timeline::Container, None);
        tap.connect();
        assert_eq!(frame(&mut tap, 40, 0), Some(0));
        assert_eq!(tap.frame(None, None, 0), None);
        assert_eq!(frame(&mut tap, 120, 0), Some(2));
        assert_eq!(tap.deliver(0).unwrap().stamp_ns, 40 * MS);
        let c = tap.counters();
        assert_eq!((c.decoded, c.delivered, c.without_pts, c.waiting), (3, 1, 1, 1));
        assert!(!tap.never_timed());
    }

    #[test]
    fn a_time_that_the_decoder_made_up_is_no_time() {
        let mut tap = Tap::new(Timeline::Container, None);
        tap.connect();
        for pts in [Some(0), None, Some(80)] {
            assert!(tap.picture(picture(pts)).is_some());
        }
        assert_eq!([0, 40, 80].map(|t| frame(&mut tap, t, 0)), [Some(0), None, Some(2)]);
        assert_eq!(tap.counters().without_pts, 1);
    }

    #[test]
    fn pictures_before_the_first_key_frame_go_no_further_unless_there_never_is_one() {
        let mut tap = Tap::new(Timeline::Container, None);
        tap.connect();
        let delta = Picture { delta: true, ..picture(Some(0)) };
        assert!(tap.picture(delta).is_none());
        assert!(tap.picture(picture(Some(40))).is_some() && tap.picture(delta).is_some());
        assert_eq!(tap.counters().before_keyframe, 1);
        tap.connect();
        let passed = (0..400).filter(|_| tap.picture(delta).is_some()).count();
        assert_eq!(passed, 100);
    }

    #[test]
    fn pictures_after_a_loss_go_no_further_than_what_is_shown_may_lag() {
        let delta = |t_ms: i64, follows_loss: bool| Picture { delta: true, follows_loss, ..picture(Some(t_ms)) };
        let mut tap = Tap::new(Timeline::Container, None);
        tap.connect();
        assert!(tap.picture(picture(Some(0))).is_some());
        // A picture here and there is made up for; a second is not, nor are many of them.
        assert!(
            [delta(40, false), delta(120, true), delta(160, false)].map(|p| tap.picture(p).is_some()).iter().all(|kept| *kept)
        );
        assert!(tap.picture(delta(1_200, true)).is_none() && tap.picture(delta(1_240, false)).is_none());
        assert!(tap.picture(picture(Some(1_280))).is_some() && tap.picture(delta(1_320, false)).is_some());
        let often: Vec<bool> = (1..=8).map(|i| tap.picture(delta(1_320 + 120 * i, true)).is_some()).collect();
        assert_eq!(often, [true, true, true, false, false, false, false, false]);
        assert_eq!(tap.counters().after_loss, 7);
        // A gap without a loss is a pause of the camera.
        assert!(tap.picture(picture(Some(3_000))).is_some() && tap.picture(delta(9_000, false)).is_some());
        // Where no key frame ever comes, the pictures are shown again in the end.
        let passed = (0..400).filter(|i| tap.picture(delta(20_000 + 40 * i, *i == 0)).is_some()).count();
        assert_eq!(passed, 100);
    }

    #[test]
    fn a_source_that_starts_at_zero_again_goes_on_in_time_after_a_reconnection() {
        let mut tap = Tap::new(Timeline::Live { base_ns: 5_000 * MS }, None);
        tap.connect();
        for t in [0, 40, 80] {
            frame(&mut tap, t, 100 + t);
        }
        tap.connect();
        for t in [0, 40] {
            frame(&mut tap, t, 900 + t);
        }
        // The third connection's clock reading is overtaken by what came before: time still goes on.
        tap.connect();
        frame(&mut tap, 3, 901);
        let counters = tap.counters();
        assert_eq!((counters.decoded, counters.dropped, counters.reconnects, counters.time_went_back), (6, 5, 2, 0));
        let last = tap.deliver(5).unwrap();
        assert_eq!((last.stamp_ns, last.captured_ns), (941 * MS, Some(5_941 * MS)));
    }

    #[test]
    fn a_source_on_the_clock_keeps_its_times() {
        let mut tap = Tap::new(Timeline::Live { base_ns: 0 }, None);
        tap.connect();
        tap.set_clocked();
        frame(&mut tap, 700, 750);
        assert_eq!(tap.deliver(0).unwrap().stamp_ns, 700 * MS);
    }

    proptest! {
        /// Whatever comes and whatever is served: every frame is accounted for, and delivered stamps increase.
        #[test]
        fn counters_add_up(
            steps in prop::collection::vec((prop::option::of(0i64..2_000), 0u8..4, any::<bool>()), 1..200),
            rate in prop::option::of(0.5f64..40.0),
            live in any::<bool>(),
        ) {
            let timeline = if live { Timeline::Live { base_ns: 0 } } else { Timeline::Container };
            let mut tap = Tap::new(timeline, rate);
            tap.connect();
            let mut last = i64::MIN;
            for (pts_ms, action, timed) in steps {
                let time_ns = pts_ms.filter(|_| timed).map(|t| t * MS);
                tap.picture(Picture { pts: pts_ms.map(|t| t as u64), time_ns, arrival_ns: 7, delta: action == 3, follows_loss: action == 2 });
                let admitted = tap.frame(pts_ms.map(|t| t as u64), time_ns, 7);
                if let (Some(index), 0) = (admitted, action) {
                    let frame = tap.deliver(index).unwrap();
                    prop_assert!(frame.stamp_ns > last);
                    last = frame.stamp_ns;
                } else if action == 1 && live {
                    tap.connect();
                }
                let c = tap.counters();
                let known = c.delivered + c.thinned + c.dropped + c.without_pts + c.time_went_back + c.waiting;
                prop_assert_eq!(c.decoded, known);
            }
        }
    }
}
