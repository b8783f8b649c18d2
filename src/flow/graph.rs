//! The graph:
//!
//! ```text
//!     frames ──► admit ──► rectify ──► observe ──► early_exit ──► retrieve ──► coarse ──► fine ──► fix ──► fallback_search ──┐
//!                                         ▲            └ settled: past the search ──────────────────────────────────────────┤
//!     map edits ──► catalogue ────────────┤                                                                                 ▼
//!                                         └───────────── priors, L frames later ◄──── sinks ◄──── fuse ◄──── register ◄─────┘
//!                                                                                                  ▲           ▲  next │
//!                                                                                        pauses ───┘           └───────┘
//! ```
//!
//! The timestamp is the frame's ordinal. Observing frame t waits until the catalogue and the prior of frame t − L are complete,
//! whatever the number of workers: so a replay gives the same bytes with one, two or four.
//!
//! A pause is a stretch of time that shows no frame: it keeps the track going, and has the timestamp of the frame after it.
//!
//! Worker 0 coordinates: it feeds the frames, fuses and hands out. The others take a frame from `rectify` to `register`, in turn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use differential_dataflow::input::Input as _;
use timely::dataflow::operators::{Concat, ConnectLoop, Feedback, Input, Probe};

use super::active_cells::ActiveCells;
use super::catalogue::{Catalogue, CatalogueInput};
use super::message::{InFlight, InProcess};
use super::operators::admit::Admit;
use super::operators::coarse::Coarse;
use super::operators::early_exit::EarlyExit;
use super::operators::fallback_search::FallbackSearch;
use super::operators::fine::Fine;
use super::operators::fix::MakeFix;
use super::operators::fuse::{self, Fuse};
use super::operators::observe::Observe;
use super::operators::rectify::Rectify;
use super::operators::register::Register;
use super::operators::retrieve::Retrieve;
use super::operators::sinks::Sinks;
use super::operators::{Network, catalogue};
use super::permit::FramePermit;
use crate::fuse::{Fusion, FusionSettings, Smoothing, TrackOptions};
use crate::geo::Geodetic;
use crate::localize::Localizer;
use crate::models::DenseExtractor;
use crate::progress;
use crate::source::{FrameEvent, FrameSource, SourceError};
use crate::types::{Intake, Report};

/// Reports that may wait for the thread that writes.
const REPORT_QUEUE: usize = 16;
/// How long a worker without work sleeps at most before it looks again.
const IDLE: Duration = Duration::from_millis(2);

/// How the graph runs.
#[derive(Clone, Debug)]
pub struct GraphOptions {
    /// Frames between a prediction and the search that uses it.
    pub lag: u64,
    /// Whether the filter's prediction goes back to retrieval.
    pub use_prior: bool,
    /// Whether small copies of the frames are kept for the viewer.
    pub previews: bool,
    /// Filter settings.
    pub fusion: FusionSettings,
    /// What of the track is asked for.
    pub track: TrackOptions,
    /// A known start: position and 1 sigma, metres.
    pub start: Option<(Geodetic, f64)>,
    /// Edits of the tile catalogue.
    pub catalogue: Catalogue,
    /// Frames under way at once; by default as many as keep every worker busy. Live, few: a frame that waits grows old.
    pub in_flight: Option<u64>,
    /// Set to stop: frames under way are finished, no more are admitted.
    pub stop: Arc<AtomicBool>,
}

/// What can go wrong with the graph itself.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The dataflow could not start or a worker ended early.
    #[error("the dataflow failed: {0}; the log above says where")]
    Dataflow(String),
    /// The source failed. All frames before that have been reported.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What a worker takes with it when it starts: its network if it matches, the way out for reports if it coordinates.
#[derive(Default)]
struct Equipment {
    network: Option<Box<dyn DenseExtractor>>,
    reports: Option<SyncSender<Report>>,
}

/// Runs frames through the graph, one matching worker for each network, and hands over the reports in frame order. `report` returns
/// false to stop: frames under way are finished, no more are admitted. Returns how many frames came in and what became of them.
///
/// # Errors
/// A source that fails ends the run with its error after every frame under way has been finished and reported.
pub fn run_graph(
    localizer: Arc<Localizer>,
    networks: Vec<Box<dyn DenseExtractor>>,
    frames: impl FrameSource + 'static,
    options: GraphOptions,
    mut report: impl FnMut(Report) -> bool,
) -> Result<Intake, GraphError> {
    let workers = networks.len().max(1);
    // Enough that no worker waits for another. A frame needs none of the frames under way: its prior is older than they, or there is
    // none yet.
    let window = options.in_flight.map_or(options.lag + 1 + 2 * workers as u64, |n| n.max(1));
    let frames = Arc::new(Mutex::new(Some(frames)));
    let stop = Arc::clone(&options.stop);
    let end: Arc<Mutex<(Intake, Option<SourceError>)>> = Arc::default();
    let fusion = Fusion::new(options.fusion, options.track, options.start).over_map(localizer.index.area_m2());
    let fusion = Arc::new(Mutex::new(fusion));
    let smooths = options.track.smoothing != Smoothing::Off;
    let (sender, receiver) = sync_channel::<Report>(REPORT_QUEUE);
    let coordinator = Equipment { network: None, reports: Some(sender) };
    let matchers = networks.into_iter().map(|network| Equipment { network: Some(network), reports: None });
    let equipment: Vec<Mutex<Equipment>> = std::iter::once(coordinator).chain(matchers).map(Mutex::new).collect();

    // Every change of progress is told at once: the default keeps what is not yet the oldest to itself until the next step, which on
    // a worker that matches comes a whole stage later.
    let config = timely::Config {
        communication: timely::CommunicationConfig::Process(workers + 1),
        worker: timely::WorkerConfig::default().progress_mode(timely::worker::ProgressMode::Eager),
    };
    let guards = {
        let (end, fusion) = (Arc::clone(&end), Arc::clone(&fusion));
        timely::execute(config, move |worker| {
            let take = |e: &Mutex<Equipment>| std::mem::take(&mut *e.lock().unwrap_or_else(PoisonError::into_inner));
            let Equipment { network, reports } = equipment.get(worker.index()).map(take).unwrap_or_default();
            let network = Network::new(network);
            let first = worker.index() == 0;
            let peers = worker.peers() as u64;
            let matchers = peers - 1;
            let options = options.clone();
            let lag = options.lag.max(1);
            let localizer = Arc::clone(&localizer);

            let (mut input, mut pauses, probe, catalogue) = worker.dataflow::<u64, _, _>(|scope| {
                let (input, frames) = scope.new_input();
                let (pauses_input, pauses) = scope.new_input();
                let (cells_input, cells) = scope.new_collection();
                let (touches_input, touches) = scope.new_collection();
                let (withdrawn_input, withdrawn) = scope.new_collection();
                let catalogue = catalogue::broadcast(catalogue::rows(cells, touches, withdrawn), peers);
                let (feedback, priors) = scope.feedback(lag);
                let (permit, cells) = (FramePermit::default(), ActiveCells::of(&localizer.index));

                let odometry = options.fusion.odometry;
                let matched = frames
                    .admit(matchers)
                    .rectify(Arc::clone(&localizer), options.previews)
                    .observe(catalogue.concat(priors), Arc::clone(&localizer), cells.clone(), permit.clone())
                    .early_exit(Arc::clone(&localizer), network.clone(), odometry)
                    .retrieve(Arc::clone(&localizer), network.clone(), cells, odometry)
                    .coarse(Arc::clone(&localizer))
                    .fine(Arc::clone(&localizer), network.clone())
                    .fix(Arc::clone(&localizer), network.clone())
                    .fallback_search(Arc::clone(&localizer), network.clone(), permit);
                let registered = if odometry.is_possible() { matched.register(matchers, odometry) } else { matched };
                let finished = registered.fuse(pauses, Arc::clone(&fusion)).sinks(reports);
                let (probe, finished) = finished.probe();
                finished.priors(matchers, lag, options.use_prior).connect_loop(feedback);
                let catalogue = CatalogueInput { cells: cells_input, touches: touches_input, withdrawn: withdrawn_input };
                (input, pauses_input, probe, catalogue)
            });
            if !first {
                return;
            }
            catalogue.fill(&localizer.index, &options.catalogue);
            let Some(mut source) = frames.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
            let (mut next, mut oldest) = (0u64, 0u64);
            while !options.stop.load(Ordering::Relaxed) {
                let left = probe.with_frontier(|f| f.iter().copied().min()).unwrap_or(next);
                progress::frames(left < next, left != oldest);
                oldest = left;
                // Room first: a frame that is taken and then waits for room would be an old one.
                if probe.less_than(&(next + 1).saturating_sub(window)) {
                    worker.step_or_park(Some(IDLE));
                    continue;
                }
                let polled = {
                    let _stage = progress::begin("source");
                    source.poll()
                };
                let frame = match polled {
                    FrameEvent::Frame(frame) => frame,
                    FrameEvent::Pending => {
                        // What is under way goes on while the source waits.
                        worker.step_or_park(Some(IDLE));
                        continue;
                    }
                    FrameEvent::Pause(pause) => {
                        pauses.send(InProcess(*pause));
                        worker.step();
                        continue;
                    }
                    FrameEvent::Ended => break,
                    FrameEvent::Failed(error) => {
                        end.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(error);
                        break;
                    }
                };
                next = frame.ordinal + 1;
                input.send(InProcess(InFlight::admitted(Arc::from(frame))));
                input.advance_to(next);
                pauses.advance_to(next);
                worker.step();
            }
            let finished = {
                let _stage = progress::begin("source");
                source.finish()
            };
            let mut end = end.lock().unwrap_or_else(PoisonError::into_inner);
            match finished {
                Ok(intake) => end.0 = intake,
                Err(error) => end.1 = end.1.take().or(Some(error)),
            }
        })
        .map_err(GraphError::Dataflow)?
    };
    let mut wanted = true;
    // Of the frames whose smoothed place is still to come.
    let mut names = VecDeque::new();
    for finished in receiver {
        match &finished {
            Report::Frame(frame) if smooths => names.push_back(frame.name.clone()),
            Report::Settled(settled) => drop(names.drain(..settled.len().min(names.len()))),
            _ => {}
        }
        // A stop from outside loses no frame that was admitted; whoever refused a report gets no more.
        wanted = wanted && report(finished);
        if !wanted {
            stop.store(true, Ordering::Relaxed);
        }
    }
    for result in guards.join() {
        result.map_err(GraphError::Dataflow)?;
    }
    let smoothed: Vec<_> = names.into_iter().zip(fuse::lock(&fusion).smoothed()).collect();
    if wanted && !smoothed.is_empty() {
        report(Report::Smoothed(smoothed));
    }
    progress::frames(false, true);
    let (intake, failure) = std::mem::take(&mut *end.lock().unwrap_or_else(PoisonError::into_inner));
    failure.map_or(Ok(intake), |error| Err(error.into()))
}
