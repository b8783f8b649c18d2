//! Running scores of a flight as a differential collection over its track: a position that is revised (a smoother, a late fix) revises the
//! scores of the flight and of the map's cells that it concerns, and no other cell.
//!
//! ```text
//!     (frame, position against truth) ──┬── by flight ──► frames, success, percentiles
//!                                       └── by map cell ──► frames, success      (coverage)
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use differential_dataflow::VecCollection;
use differential_dataflow::input::Input as _;
use serde::Serialize;
use timely::dataflow::operators::probe::Handle;

use crate::geo::mercator::{Tile, pixel_from_lat_lon};
use crate::geo::{EnuPlane, Geodetic};
use crate::math::percentile::nearest_rank;

/// Zoom of the map cells that coverage is told by: 305 m at the equator, 200 m at 49°.
pub const CELL_ZOOM: u8 = 17;
/// The paper's success, millimetres.
const SUCCESS_MM: u64 = 25_000;
/// The paper's drift, millimetres.
const DRIFT_MM: u64 = 50_000;

/// A frame's position against its truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub struct Placed {
    /// The map cell of the truth.
    pub cell: Tile,
    /// Horizontal error, millimetres; `None` without a position.
    pub error_mm: Option<u64>,
}

impl Placed {
    /// A position, or none, against the truth; `None` where the truth is off the map's projection.
    pub fn of(truth: Geodetic, found: Option<Geodetic>) -> Option<Self> {
        let (x_px, y_px) = pixel_from_lat_lon(CELL_ZOOM, truth.lat_deg, truth.lon_deg);
        let tiles = f64::from(1u32 << CELL_ZOOM);
        let (x, y) = ((x_px / 256.0).floor(), (y_px / 256.0).floor());
        if !(0.0..tiles).contains(&x) || !(0.0..tiles).contains(&y) {
            return None;
        }
        let plane = EnuPlane::at(Geodetic { alt_m: 0.0, ..truth });
        let error_mm = found.map(|found| {
            let off = plane.ground_from_lat_lon(found.lat_deg, found.lon_deg);
            off.e_m.hypot(off.n_m) * 1e3
        });
        // A position that is no number is none.
        let error_mm = error_mm.filter(|mm| mm.is_finite()).map(|mm| mm.round() as u64);
        Some(Self { cell: Tile { z: CELL_ZOOM, x: x as u32, y: y as u32 }, error_mm })
    }
}

/// What becomes of a frame's position: a first one, another one, or none of the flight's any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The frame's ordinal.
    pub frame: u64,
    /// What it is from now on.
    pub placed: Option<Placed>,
}

/// Counts of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, serde::Deserialize)]
pub struct Counts {
    /// Frames with truth.
    pub frames: u64,
    /// Of these, with a position.
    pub with_position: u64,
    /// Under 25 m: the paper's success.
    pub success: u64,
    /// Wrong by more than 50 m: the paper's drift.
    pub drift: u64,
}

/// Score of a flight. Percentiles are over all frames; `None` is "infinite": no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, serde::Deserialize)]
pub struct FlightScore {
    /// Counts.
    pub counts: Counts,
    /// 50th, 90th and 99th percentile of the error, millimetres.
    pub percentiles_mm: [Option<u64>; 3],
}

/// Scores at one time.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scores {
    /// The flight; `None` without a frame.
    pub flight: Option<FlightScore>,
    /// Each map cell that was flown over.
    pub cells: BTreeMap<Tile, Counts>,
}

/// Counts of errors with their multiplicities.
fn counts<'a>(errors: impl Iterator<Item = (&'a Option<u64>, u64)>) -> Counts {
    errors.fold(Counts::default(), |sum, (error_mm, times)| {
        let of = |wanted: bool| if wanted { times } else { 0 };
        Counts {
            frames: sum.frames + times,
            with_position: sum.with_position + of(error_mm.is_some()),
            success: sum.success + of(error_mm.is_some_and(|mm| mm < SUCCESS_MM)),
            drift: sum.drift + of(error_mm.is_some_and(|mm| mm > DRIFT_MM)),
        }
    })
}

/// How often a row is there; what is there less than once is not.
fn times(multiplicity: isize) -> u64 {
    u64::try_from(multiplicity).unwrap_or(0)
}

/// Nearest-rank percentile of errors in order, each with its multiplicity, those without a position last.
fn percentile(ordered: &[(Option<u64>, u64)], frames: u64, percent: u64) -> Option<u64> {
    let rank = nearest_rank(frames, percent)?;
    let mut passed = 0;
    ordered
        .iter()
        .find(|(_, times)| {
            passed += times;
            passed > rank
        })?
        .0
}

fn flight_score(errors: &[(&Option<u64>, isize)]) -> FlightScore {
    let mut ordered: Vec<(Option<u64>, u64)> = errors.iter().map(|(error, n)| (**error, times(*n))).collect();
    ordered.sort_by_key(|(error, _)| error.unwrap_or(u64::MAX));
    let counts = counts(ordered.iter().map(|(error, times)| (error, *times)));
    FlightScore { counts, percentiles_mm: [50, 90, 99].map(|p| percentile(&ordered, counts.frames, p)) }
}

/// The dataflow: frames' positions in, the flight's score and each cell's counts out.
pub fn scores<'scope>(
    placed: VecCollection<'scope, u64, (u64, Placed)>,
) -> (VecCollection<'scope, u64, FlightScore>, VecCollection<'scope, u64, (Tile, Counts)>) {
    let flight = placed
        .clone()
        .map(|(_, placed)| ((), placed.error_mm))
        .reduce(|_, errors, out| out.push((flight_score(errors), 1isize)))
        .map(|((), score)| score);
    let cells = placed
        .map(|(_, placed)| (placed.cell, placed.error_mm))
        .reduce(|_, errors, out| out.push((counts(errors.iter().map(|(error, n)| (*error, times(*n)))), 1isize)));
    (flight, cells)
}

/// What the dataflow has told so far: each row and how often it is there.
struct Told<T>(Rc<RefCell<BTreeMap<T, isize>>>);

impl<T: Ord + Clone> Told<T> {
    fn new() -> Self {
        Self(Rc::default())
    }

    fn add(&self, row: &T, diff: isize) {
        let mut rows = self.0.borrow_mut();
        let times = rows.entry(row.clone()).or_default();
        *times += diff;
        if *times == 0 {
            rows.remove(row);
        }
    }

    fn rows(&self) -> Vec<T> {
        self.0.borrow().keys().cloned().collect()
    }
}

/// The dataflow while a flight goes on, on a thread of its own: revisions in, the scores as of all of them out.
pub struct RunningScores {
    ask: Option<SyncSender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

enum Ask {
    Revise(Vec<Revision>),
    /// The scores, and how many rows of cells the dataflow touched since it was asked last.
    Tell(SyncSender<(Scores, usize)>),
}

/// Revisions that may wait for the dataflow.
const QUEUE: usize = 64;

/// The dataflow ended early.
#[derive(Debug, thiserror::Error)]
#[error("the running scores have stopped; the log above says where")]
pub struct Stopped;

impl RunningScores {
    /// Begins without a frame.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start() -> std::io::Result<Self> {
        let (ask, asked) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("scores".into()).spawn(move || serve(asked))?;
        Ok(Self { ask: Some(ask), thread: Some(thread) })
    }

    /// Takes what becomes of some frames.
    ///
    /// # Errors
    /// When the dataflow has stopped.
    pub fn revise(&self, revisions: Vec<Revision>) -> Result<(), Stopped> {
        self.ask.as_ref().ok_or(Stopped)?.send(Ask::Revise(revisions)).map_err(|_| Stopped)
    }

    /// The scores now, and how many rows of cells changed since they were asked for last.
    ///
    /// # Errors
    /// When the dataflow has stopped.
    pub fn now(&self) -> Result<(Scores, usize), Stopped> {
        let (tell, told) = sync_channel(1);
        self.ask.as_ref().ok_or(Stopped)?.send(Ask::Tell(tell)).map_err(|_| Stopped)?;
        told.recv().map_err(|_| Stopped)
    }
}

impl Drop for RunningScores {
    fn drop(&mut self) {
        self.ask = None;
        // It has nothing left to do but to end.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Serves until nobody can ask any more.
fn serve(asked: Receiver<Ask>) {
    let asked = Mutex::new(asked);
    timely::execute_directly(move |worker| {
        let asked = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (flight, cells) = (Told::<FlightScore>::new(), Told::<(Tile, Counts)>::new());
        let touched = Rc::new(RefCell::new(0));
        let probe = Handle::new();
        let mut input = worker.dataflow::<u64, _, _>(|scope| {
            let (input, placed) = scope.new_collection();
            let (flights, celled) = scores(placed);
            let (flight, cells, touched) = (Told(Rc::clone(&flight.0)), Told(Rc::clone(&cells.0)), Rc::clone(&touched));
            flights.inspect(move |(score, _, diff)| flight.add(score, *diff)).probe_with(&probe);
            celled
                .inspect(move |(row, _, diff)| {
                    cells.add(row, *diff);
                    *touched.borrow_mut() += 1;
                })
                .probe_with(&probe);
            input
        });
        let mut placed_now: BTreeMap<u64, Placed> = BTreeMap::new();
        let mut epoch = 0;
        for ask in asked {
            match ask {
                Ask::Revise(revisions) => {
                    for Revision { frame, placed } in revisions {
                        let before = match placed {
                            Some(placed) => placed_now.insert(frame, placed),
                            None => placed_now.remove(&frame),
                        };
                        if let Some(before) = before {
                            input.remove((frame, before));
                        }
                        if let Some(placed) = placed {
                            input.insert((frame, placed));
                        }
                    }
                    epoch += 1;
                    input.advance_to(epoch);
                    input.flush();
                    worker.step_while(|| probe.less_than(&epoch));
                }
                Ask::Tell(tell) => {
                    let scores = Scores { flight: flight.rows().first().copied(), cells: cells.rows().into_iter().collect() };
                    // Who asked may have gone.
                    drop(tell.send((scores, touched.replace(0))));
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::score::Scorer;
    use proptest::prelude::*;

    const ORIGIN: Geodetic = Geodetic::ground(47.0, 8.0);

    fn at(e_m: f64, n_m: f64) -> Geodetic {
        let (lat, lon) = EnuPlane::at(ORIGIN).lat_lon_from_ground(e_m, n_m);
        Geodetic::ground(lat, lon)
    }

    /// Truth and position of a frame.
    type Row = (Geodetic, Option<Geodetic>);

    /// All scores anew from the track as it is, by the scorer of whole flights.
    fn recomputed(track: &BTreeMap<u64, Row>) -> Scores {
        let (mut whole, mut by_cell) = (Scorer::default(), BTreeMap::<Tile, Scorer>::new());
        for (truth, found) in track.values() {
            let cell = Placed::of(*truth, None).unwrap().cell;
            for scorer in [&mut whole, by_cell.entry(cell).or_default()] {
                scorer.add(*truth, found.map(|f| (f, None)));
            }
        }
        let counts = |score: &crate::eval::score::Score| Counts {
            frames: score.frames as u64,
            with_position: score.with_position as u64,
            success: (score.success_25m * score.frames as f64).round() as u64,
            drift: score.wrong_50m as u64,
        };
        let mm = |metres: Option<f64>| metres.map(|m| (m * 1e3).round() as u64);
        Scores {
            flight: whole
                .score()
                .map(|s| FlightScore { counts: counts(&s), percentiles_mm: [mm(s.p50_m), mm(s.p90_m), mm(s.p99_m)] }),
            cells: by_cell.into_iter().filter_map(|(cell, scorer)| Some((cell, counts(&scorer.score()?)))).collect(),
        }
    }

    /// A frame and what becomes of it: taken out, without a position, or off by so much. Errors keep clear of the limits of 25 and 50 m,
    /// which a rounding to millimetres may cross.
    fn revision() -> impl Strategy<Value = (u64, Option<Option<f64>>)> {
        let off_m = (0u32..4, 0.001..0.999f64).prop_map(|(quarter, part)| 25.0 * (f64::from(quarter) + part));
        let placed = prop_oneof![1 => Just(None), 2 => Just(Some(None)), 7 => off_m.prop_map(|m| Some(Some(m)))];
        (0u64..40, placed)
    }

    /// The scores after each batch of revisions, and how many rows of cells changed for it.
    fn score_revisions(batches: Vec<Vec<Revision>>) -> Vec<(Scores, usize)> {
        let running = RunningScores::start().unwrap();
        let mut score = |batch| running.revise(batch).and_then(|()| running.now()).unwrap();
        batches.into_iter().map(&mut score).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn scores_under_revision_are_those_computed_anew(
            batches in prop::collection::vec(prop::collection::vec(revision(), 0..25), 1..12)
        ) {
            let mut track: BTreeMap<u64, Row> = BTreeMap::new();
            let (mut given, mut expected) = (Vec::new(), Vec::new());
            for batch in batches {
                let mut revisions = Vec::new();
                for (frame, change) in batch {
                    // Forty frames over half a dozen cells.
                    let (e_m, n_m) = (30.0 * frame as f64, 8.0 * frame as f64);
                    let row = change.map(|off_m| (at(e_m, n_m), off_m.map(|off_m| at(e_m + 0.6 * off_m, n_m - 0.8 * off_m))));
                    match row {
                        Some(row) => track.insert(frame, row),
                        None => track.remove(&frame),
                    };
                    revisions.push(Revision { frame, placed: row.and_then(|(truth, found)| Placed::of(truth, found)) });
                }
                given.push(revisions);
                expected.push(recomputed(&track));
            }
            let scored: Vec<Scores> = score_revisions(given).into_iter().map(|(scores, _)| scores).collect();
            prop_assert_eq!(scored, expected);
        }
    }

    #[test]
    fn a_revised_position_touches_its_own_cell_only() {
        let placed = |frame: u64, off_m: f64| {
            let e_m = 30.0 * frame as f64;
            Revision { frame, placed: Placed::of(at(e_m, 0.0), Some(at(e_m, off_m))) }
        };
        let first = (0..200).map(|frame| placed(frame, 60.0)).collect();
        let scored = score_revisions(vec![first, vec![placed(7, 3.0)], vec![placed(7, 3.0)]]);
        assert!(scored[0].0.cells.len() > 20 && scored[0].1 == scored[0].0.cells.len());
        assert_eq!(scored[0].0.flight.unwrap().counts.success, 0);
        // One row gone, one come.
        assert_eq!((scored[1].1, scored[1].0.flight.unwrap().counts.success), (2, 1));
        assert_eq!((scored[2].1, &scored[2].0), (0, &scored[1].0));
    }

    #[test]
    fn no_frames_no_score_and_a_position_that_is_no_number_is_none() {
        assert_eq!(score_revisions(vec![Vec::new()]), vec![(Scores::default(), 0)]);
        assert_eq!(Placed::of(ORIGIN, Some(Geodetic::ground(f64::NAN, 8.0))).unwrap().error_mm, None);
        assert_eq!(Placed::of(Geodetic::ground(f64::NAN, 8.0), None), None);
    }
}
