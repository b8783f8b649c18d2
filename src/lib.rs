//! skyfix tells a drone without GNSS where it is: a camera looks down, each frame is matched against georeferenced imagery, coarse
//! to fine (the method of arXiv 2506.09748), and an error-state Kalman filter fuses the fixes with the IMU.
//!
//! ```text
//!     source ──► admit ──► rectify ──► retrieve ──► coarse ──► fine ──► fix ──┐
//!     (photos,   bounded   decode,     views at     FFT or     guided   e, n,  │
//!      video,    window    pyramid     map scale,   4D conv    matches  P, why │
//!      live)                           top-k cells                             ▼
//!                                          ▲                                   │
//!                                          └─────── prior (feedback) ◄───── fuse ──► track ──► sinks
//!     telemetry ──────────────────────────────────────────────────────────►  ESKF
//!     map edits ──► differential collection of cells ──► (to retrieve)
//! ```
//!
//! Layers, each uses only those before it:
//!
//! 1. [`types`] data that travels, [`time`], [`geo`] the earth and its maps, [`camera`] rays, views
//! 2. [`map`] the tile store and its importers, [`models`] networks behind a checked manifest
//! 3. [`retrieve`] the index and its search, [`coarse`] places, [`fine`] matches, [`fix`] position or why not, [`fuse`] the filter
//! 4. [`source`] photos and recordings, [`flow`] the timely graph, [`sink`] files and viewer, [`eval`] measures, [`simulate`] worlds
//! 5. [`pipeline`] files that say what runs together
//! 6. `cli`, in the binary
//!
//! # Decisions beyond the first design
//!
//! - Views come in the levels of the index (0.15 m · 2^k): the frame is resampled to a level, never the map to the frame.
//! - The prior of a frame stays out of its fix: a fix carries only what the frame, its sensors and the map say.
//! - Ground slope is estimated with the pose: without it the keystone of a slope is taken for a tilt, and the fix is overconfident.
//! - The views of a frame are decided where its prior is known (`retrieve`): the height above ground depends on the place.
//! - A replaced tile is a patch: a further region of the index, in the plane of the one that it covers, whose cells the catalogue trades
//!   for those that the tile touches. Fixes name the map's own region.
//! - Sources are polled and never wait, so that results flow while nothing comes in; live, the graph takes a frame only when a worker is
//!   free, and the source drops what is overtaken.
//! - A fix goes to the filter as a pose free of what was assumed of lean and map offset ([`types::FreePose`]): both are states of the
//!   filter, because they last from frame to frame. Files and viewer show the frame's own fix, with those assumptions in its covariance.
//! - The way between frames (`fine::registration`) comes from the features that each frame's own matching made. What a frame saw goes to the
//!   worker that matches the next one, which registers the two between `fix` and `fuse`: the conductor stays free, nothing but the frames
//!   decides the result, and no more waits than is admitted. The filter needs no prediction for it, nor it one of the filter.
//! - A frame's sway, what its own lean moves of what it sees, ends one displacement and begins the next: the filter's past pose (stochastic
//!   cloning) holds it, so a chain of displacements drifts by its matches only. A lasting lean is a state, and enters where headings change.
//! - Late measurements: [`fuse::History`] reverts to their time and takes everything after it again, so the result is that of having had
//!   them in time, to the last bit. A frame's own lateness needs none of it: fusion takes frames in order and predicts ahead.
//! - While the filter is sure of its place, no agreement of refused fixes moves it: wrong fixes agree with each other. It re-acquires once
//!   three sigma pass 50 m, and a place that the filter once ruled out does not win by waiting for its sigma to grow. With an IMU, an outage after which a place 50 m off would pass the gate ends only when several fixes agree
//!   (`fuse::hypotheses`): dead reckoning can be waited on; and what it ends with is as open to doubt as a start, for six seconds. Without an IMU the next fix is better than none. A start from nothing is
//!   `visual` at its first fix, until another place speaks against it.
//! - A thorough search (`flow::stages`): many views are sifted on the next coarser level; a frame that would abstain after that is searched
//!   for once more on the level that refines, where ground with little to see at half the detail still stands out. Of many views, places are
//!   verified in the middle, as much of it as a template holds; the narrow match that makes the fix sees the whole.
//! - The narrow match resamples the frame at the pose that its first matches alone tell, where the heading is known: matches are drawn to
//!   where they are expected, and in the view of an upright camera they tell of too little lean.
//! - Early exit (`flow::stages`): a glance with a confident prior is one pass of the network, one place and one round of matching; it
//!   settles a frame or escalates it, and never decides that a position is not known.
//! - A retrieval head belongs to one dense network and takes its descriptors, so that frame and map pass through that network only.
//! - A live flight with a recording works with samples as the recording holds them, so that its replay gives the same bytes.
//! - One worker more than match frames: the first conducts (source, fusion, sinks) and is never busy with a frame when another waits for
//!   a prior. A worker that matches leads one frame at a time from retrieval to its fix, and is told only the priors of its own frames.
//! - A single process: what workers exchange travels as it is ([`flow::message::InProcess`]); several processes are refused.

pub mod camera;
pub mod coarse;
pub mod config;
pub mod eval;
pub mod fine;
pub mod flow;
pub mod fuse;
pub mod geo;
pub mod localize;
pub mod map;
pub mod math;
pub mod models;
pub mod recording;
pub mod retrieve;
pub mod run;
pub mod settings;
pub mod simulate;
pub mod sink;
pub mod source;
pub mod time;
pub mod types;
