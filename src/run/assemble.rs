//! Map, index, networks, edits and source of a plan made ready.

use std::path::Path;
use std::sync::Arc;

use super::networks::NetworkFiles;
use super::{Observer, RunError, Session, Work, elsewhere, input, networks, processors};
use crate::coarse::consensus::ConsensusNetwork;
use crate::config::FlightPlan;
use crate::config::explain::explain;
use crate::config::layers::BUNDLED_WEIGHTS;
use crate::flow::catalogue::{Catalogue, MapEdits};
use crate::flow::graph::GraphOptions;
use crate::geo::Geodetic;
use crate::localize::Localizer;
use crate::map::{Dem, GroundModel, MapStore};
use crate::models::{Device, Manifest, ModelEntry};
use crate::progress;
use crate::recording::Truth;
use crate::retrieve::build::{IndexOptions, build_index};
use crate::retrieve::{Detail, IndexError, MapIndex};
use crate::source::FrameSource;
use crate::types::Inputs;

/// What frames are matched against, and how.
pub struct Matching {
    /// The map.
    pub map: Arc<MapStore>,
    /// The localizer.
    pub localizer: Arc<Localizer>,
    /// Edits of the map, made ready.
    pub catalogue: Catalogue,
}

/// A flight and what it is matched against.
pub struct Assembled {
    /// Map, localizer and edits.
    pub matching: Matching,
    /// The frames.
    pub frames: Box<dyn FrameSource>,
    /// True positions, for scoring only.
    pub truth: Truth,
    /// How the graph runs.
    pub options: GraphOptions,
    /// What the files said.
    pub inputs: Inputs,
}

/// Opens the source, map and index of a plan; computes the index where there is none yet, and what the edits need.
///
/// # Errors
/// What is missing or broken, and what to do.
pub fn assemble(plan: &FlightPlan, observer: &dyn Observer) -> Result<Assembled, RunError> {
    let edits = plan.map_edits.as_deref().map_or_else(|| Ok(MapEdits::default()), MapEdits::read)?;
    let flight = {
        let _stage = progress::begin("opening the source");
        input::open(plan)?
    };
    if observer.is_stopped() {
        return Err(RunError::Stopped);
    }
    for warning in &flight.warnings {
        observer.warning(warning);
    }
    let kept = plan.map.is_some() || !flight.map_lies_elsewhere;
    if let Some(missing) = flight.map.as_deref().filter(|map| plan.map.is_none() && !map.is_file()) {
        let what = format!(
            "the recording's map ([map] path of its flight.toml) is {}, which is no file; give `map.path`",
            missing.display()
        );
        return Err(RunError::Setting(what));
    }
    let map = plan.map.clone().or(flight.map);
    let map = map.ok_or_else(|| RunError::Setting("the source brings no map of its own; give `map.path`".into()))?;
    let start = plan.start.or(flight.start);
    if let Some(start) = start.filter(|s| !plan.fusion.plausible.start(&s.position, s.sigma_m)) {
        let what = format!(
            "the start has a sigma of {} m: nothing is known so well or so badly (`filter.plausible.sigma`)",
            start.sigma_m
        );
        return Err(RunError::Setting(what));
    }
    let ground = ground(plan.dem.as_deref(), plan.takeoff, start.map(|s| s.position))?;
    let matching = matching(plan, (&map, kept), ground, edits, observer)?;
    let mut inputs = flight.inputs;
    elsewhere::tell(&flight.truth, &matching.map, &mut inputs);
    inputs.iter().for_each(|input| observer.input(input));
    let options = GraphOptions {
        lag: plan.lag,
        use_prior: plan.prior,
        previews: plan.outputs.pictures(),
        fusion: plan.fusion,
        track: plan.track,
        start: start.filter(|_| plan.prior).map(|s| (s.position, s.sigma_m)),
        catalogue: matching.catalogue.clone(),
        // A frame that waits for others grows old: live, no more are taken than can be worked on.
        in_flight: plan.live.then(|| workers(plan) as u64),
        stop: Arc::default(),
    };
    Ok(Assembled { matching, frames: flight.frames, truth: flight.truth, options, inputs })
}

/// Workers of a plan.
pub fn workers(plan: &FlightPlan) -> usize {
    plan.workers.unwrap_or_else(processors)
}

impl Assembled {
    /// A flight about to be localized, with the networks of its plan.
    ///
    /// # Errors
    /// When the model or the device is not there.
    pub fn session(self, plan: &FlightPlan) -> Result<Session, RunError> {
        let networks = networks(&plan.model, plan.device, workers(plan), plan.threads)?;
        let Self { matching: Matching { map, localizer, .. }, frames, truth, options, inputs } = self;
        let about = format!("```text\n{}```\n", explain(plan));
        Ok(Session { map, localizer, networks, frames, truth, options, about, inputs })
    }
}

/// Opens a map and its index; computes the index where there is none yet, and what the edits need. `kept`: whether an index that is computed may be
/// kept beside the map, and not only in the user's cache folder.
///
/// # Errors
/// When map, index, model, weights or edits cannot be read.
pub fn matching(
    plan: &FlightPlan,
    (map, kept): (&Path, bool),
    ground: Option<GroundModel>,
    edits: MapEdits,
    observer: &dyn Observer,
) -> Result<Matching, RunError> {
    let map = Arc::new(MapStore::open(map)?);
    let manifest = Manifest::find()?;
    let entry = manifest.entry(&plan.model)?;
    let mut index = match MapIndex::load(&map, entry, manifest.aggregation_of(entry)) {
        Ok(index) => index,
        Err(IndexError::Missing { path, .. }) => {
            observer.index_is_missing(&path);
            let index = compute_index(&map, &manifest, entry, plan.device, &IndexOptions::default(), observer)?;
            match index.keep(&map, &entry.name, kept) {
                Ok(at) if at == path => {}
                Ok(at) => observer.warning(&format!(
                    "the map's folder cannot be written, or is not the recording's: its index is kept in {}",
                    at.display()
                )),
                Err(error) => observer.warning(&format!(
                    "{error}; the flight goes on with the index in memory, and the next one computes it again"
                )),
            }
            index
        }
        Err(error) => return Err(error.into()),
    };
    let edited = !edits.edit.is_empty();
    let catalogue = if !edited {
        Catalogue::default()
    } else {
        let mut network = NetworkFiles::load(&manifest, entry)?.network(plan.device, 1)?;
        Catalogue::prepare(edits, &mut index, &map, network.as_mut())?
    };
    for tile in catalogue.beside_the_map(&index) {
        let at = format!("{}/{}/{}", tile.z, tile.x, tile.y);
        observer.warning(&format!("the edit of tile {at} changes nothing: {} has nothing there", map.path().display()));
    }
    let mut localizer = Localizer::new(Arc::new(index), plan.matching);
    if plan.live {
        localizer = localizer.with_whole_levels();
    }
    // A map that is edited in flight is described as its index says.
    if plan.matching.detail && !edited {
        localizer = localizer.with_detail(Detail::new(Arc::clone(&map)));
    }
    if let Some(network) = consensus(plan.consensus.as_deref(), &manifest, entry)? {
        localizer = localizer.with_consensus(network);
    }
    if let Some(ground) = ground {
        localizer = localizer.with_ground(ground);
    }
    Ok(Matching { map, localizer: Arc::new(localizer), catalogue })
}

/// The weights of a file, or those that come with the model; none for the fixed kernel.
fn consensus(asked: Option<&Path>, manifest: &Manifest, model: &ModelEntry) -> Result<Option<ConsensusNetwork>, RunError> {
    let Some(asked) = asked else { return Ok(None) };
    if asked != Path::new(BUNDLED_WEIGHTS) {
        return Ok(Some(ConsensusNetwork::load(asked)?));
    }
    let Some(entry) = manifest.consensus_of(model) else {
        let what = format!(
            "`match.consensus` {BUNDLED_WEIGHTS}: no weights come with model {}; give a file, or leave it out",
            model.name
        );
        return Err(RunError::Setting(what));
    };
    let bytes = manifest.load_consensus(entry)?;
    Ok(Some(ConsensusNetwork::from_bytes(&bytes)?))
}

/// What is known of the ground, where anything is: an elevation model, a place of take-off.
fn ground(dem: Option<&Path>, takeoff: Option<Geodetic>, start: Option<Geodetic>) -> Result<Option<GroundModel>, RunError> {
    let Some(path) = dem else {
        return Ok(takeoff.map(|t| GroundModel { dem: None, takeoff: Some(t) }));
    };
    let Some(takeoff) = takeoff.or(start) else {
        let what = "heights count from take-off, so an elevation model needs its place: give `telemetry.takeoff_deg`";
        return Err(RunError::Setting(format!("{}: {what}", path.display())));
    };
    let dem = Dem::open(path, None)?;
    if dem.elevation_m(takeoff.lat_deg, takeoff.lon_deg).is_none() {
        let at = format!("{}, {}", takeoff.lat_deg, takeoff.lon_deg);
        return Err(RunError::Setting(format!("{}: knows no elevation at take-off ({at})", path.display())));
    }
    Ok(Some(GroundModel { dem: Some(dem), takeoff: Some(takeoff) }))
}

/// Computes the index of a map; [`MapIndex::save`] keeps it.
///
/// # Errors
/// When the map cannot be read or the network fails.
pub fn compute_index(
    map: &MapStore,
    manifest: &Manifest,
    entry: &ModelEntry,
    device: Device,
    options: &IndexOptions,
    observer: &dyn Observer,
) -> Result<MapIndex, RunError> {
    let options = IndexOptions { threads: processors().min(8), ..*options };
    let files = NetworkFiles::load(manifest, entry)?;
    let index = build_index(map, &|| files.network(device, 1), &options, &|done, total| {
        observer.progress(Work::Index, done, Some(total));
        !observer.is_stopped()
    });
    observer.done(Work::Index);
    Ok(index?)
}
