//! What replay and bench share: map, index, networks and flight made ready.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use skyfix::coarse::consensus::ConsensusNetwork;
use skyfix::flow::catalogue::{Catalogue, MapEdits};
use skyfix::fuse::Odometry;
use skyfix::geo::Geodetic;
use skyfix::localize::{CoarseMethod, Localizer, MatchSettings};
use skyfix::map::{Dem, GroundModel, MapStore};
use skyfix::models::{AggregationEntry, DenseExtractor, Device, Manifest, ModelEntry, ModelError};
use skyfix::retrieve::build::{IndexOptions, build_index};
use skyfix::retrieve::{IndexError, MapIndex, index_path};
use skyfix::source::photos::CameraOptions;
use skyfix::source::{self, Flight, KnowledgeOptions, Setting, VideoOptions};
use skyfix::types::Mounting;

use super::progress_bar;

/// Model and device.
#[derive(Args, Clone)]
pub struct ModelArguments {
    /// Model of the manifest (`skyfix models` lists them)
    #[arg(long, default_value = "skyfix-dense")]
    pub model: String,
    /// Where inference runs: cpu or cuda:N; a device that is not there is an error
    #[arg(long, default_value = "cpu")]
    pub device: Device,
}

/// Everything that decides how a flight is localized.
#[derive(Args, Clone)]
pub struct LocalizeArguments {
    /// A folder of photos, a video file, or a recording (a folder with flight.toml)
    pub source: PathBuf,
    /// The map; a recording may bring its own
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArguments,
    /// Search the whole map for every frame: no start position, nothing from the filter
    #[arg(long)]
    pub no_prior: bool,
    /// Look at every frame in full, also where the filter's prediction is confident
    #[arg(long)]
    pub no_early_exit: bool,
    /// Whether the way between consecutive frames is found by what both see, too, and given to the filter; auto: for frames without an IMU
    #[arg(long, default_value = "auto", value_name = "auto|on|off")]
    pub odometry: Odometry,
    /// Heading: exif (metadata or telemetry), none, or degrees with their sigma: 152±5
    #[arg(long, default_value = "exif", value_name = "exif|none|DEG±S")]
    pub heading: Setting,
    /// Height above ground: exif (metadata or telemetry), none (search for it), or metres with their sigma: 120±6
    #[arg(long, default_value = "exif", value_name = "exif|none|M±S")]
    pub height: Setting,
    /// Scale each frame's height by a random factor in 1 ± F, to measure how well that is borne
    #[arg(long, default_value_t = 0.0, value_name = "F")]
    pub height_error: f64,
    /// Seed of --height-error
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Frames of a video to use, a second: the first at or after each step, by their times; or all [default: 2]
    #[arg(long, value_name = "N|all", value_parser = parse_frame_rate)]
    pub frame_rate: Option<FrameRate>,
    /// Telemetry of a video file: a folder with any of imu.csv, height.csv, heading.csv, attitude.csv, barometer.csv, gnss.csv,
    /// landed.csv, or one of these
    #[arg(long, value_name = "DIR|FILE")]
    pub telemetry: Option<PathBuf>,
    /// How the camera of a photo folder or video is fixed: stabilised or strapdown
    #[arg(long, default_value = "stabilised", value_parser = parse_mounting)]
    pub mounting: Mounting,
    /// Horizontal field of view of photos, instead of their metadata, or of a video as it is shown, degrees
    #[arg(long, value_name = "DEG")]
    pub hfov: Option<f64>,
    /// Calibration of the camera of photos or a video: OpenCV or Kalibr YAML
    #[arg(long, value_name = "FILE", conflicts_with = "hfov")]
    pub calibration: Option<PathBuf>,
    /// How far the photos' camera may be from nadir (stabilised) or from the stated attitude (strapdown), degrees
    #[arg(long, value_name = "DEG")]
    pub tilt_sigma: Option<f64>,
    /// Elevation model (GeoTIFF): the heights are above take-off then, and are corrected by the ground below
    #[arg(long, value_name = "FILE")]
    pub dem: Option<PathBuf>,
    /// Where the aircraft took off: the heights are above that place, and grow uncertain with the distance from it
    #[arg(long, value_name = "LAT,LON", value_parser = parse_position, allow_hyphen_values = true)]
    pub takeoff: Option<Geodetic>,
    /// Coarse matching: correlation or sascm; as ablations, none (fine matching straight in the cells that retrieval ranks best) or
    /// retrieval (the position is the middle of the best cell)
    #[arg(long, default_value = "correlation", value_name = "correlation|sascm|none|retrieval")]
    pub coarse: CoarseMethod,
    /// Learned weights of the neighbourhood consensus of SASCM, which decide among what a fixed kernel finds best: a safetensors file, or
    /// "bundled" for those that come with the model
    #[arg(long, value_name = "FILE|bundled")]
    pub consensus: Option<PathBuf>,
}

fn parse_position(text: &str) -> Result<Geodetic, String> {
    let number = |t: &str| t.trim().parse::<f64>().ok();
    let position = text.split_once(',').and_then(|(lat, lon)| Some(Geodetic::ground(number(lat)?, number(lon)?)));
    position.filter(Geodetic::is_valid).ok_or_else(|| "write latitude and longitude in degrees: 47.80,10.90".into())
}

fn parse_mounting(text: &str) -> Result<Mounting, String> {
    match text {
        "stabilised" => Ok(Mounting::Stabilised),
        "strapdown" => Ok(Mounting::Strapdown),
        _ => Err("write stabilised or strapdown".into()),
    }
}

/// `None` is every frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameRate(Option<f64>);

impl FrameRate {
    /// Two frames a second are what a filter needs.
    const DEFAULT: Self = Self(Some(2.0));
}

fn parse_frame_rate(text: &str) -> Result<FrameRate, String> {
    if text == "all" {
        return Ok(FrameRate(None));
    }
    let rate = text.parse::<f64>().ok().filter(|r| (1e-3..=1e3).contains(r));
    rate.map(|r| FrameRate(Some(r))).ok_or_else(|| "write frames a second, from 0.001 to 1000, or all".into())
}

/// A flight and what it is matched against.
pub struct Prepared {
    /// The map.
    pub map: MapStore,
    /// The localizer.
    pub localizer: Arc<Localizer>,
    /// The flight.
    pub flight: Flight,
    /// Edits of the map, made ready.
    pub catalogue: Catalogue,
}

/// Opens flight, map and index; computes the index where there is none yet, and what the edits need.
pub fn prepare(arguments: &LocalizeArguments, edits: MapEdits) -> anyhow::Result<Prepared> {
    let hfov_rad = match arguments.hfov {
        Some(degrees) if !(degrees > 1.0 && degrees < 170.0) => bail!("--hfov {degrees}: give degrees between 1 and 170"),
        other => other.map(f64::to_radians),
    };
    if !(0.0..0.9).contains(&arguments.height_error) {
        bail!("--height-error {}: give a factor from 0 to 0.9", arguments.height_error);
    }
    let camera = CameraOptions {
        hfov_rad,
        calibration: arguments.calibration.as_deref().map(source::calibration::read).transpose()?,
        mounting: arguments.mounting,
        tilt_sigma_rad: arguments.tilt_sigma.map(f64::to_radians),
    };
    let knowledge = KnowledgeOptions {
        heading: arguments.heading,
        height: arguments.height,
        height_error: arguments.height_error,
        seed: arguments.seed,
    };
    let frame_rate = arguments.frame_rate.unwrap_or(FrameRate::DEFAULT).0;
    let video =
        VideoOptions { frame_rate, frame_rate_asked: arguments.frame_rate.is_some(), telemetry: arguments.telemetry.clone() };
    let flight = source::open(&arguments.source, &knowledge, &camera, &video)?;
    for warning in &flight.warnings {
        eprintln!("skyfix: {}: {warning}", arguments.source.display());
    }
    let Some(map) = arguments.map.clone().or_else(|| flight.map.clone()) else {
        bail!("{}: brings no map of its own; give --map FILE.mbtiles", arguments.source.display());
    };
    let start = flight.start.map(|s| s.position);
    let options = MatchingOptions {
        map,
        model: arguments.model.model.clone(),
        device: arguments.model.device,
        coarse: arguments.coarse,
        consensus: arguments.consensus.clone(),
        early_exit: !arguments.no_early_exit,
        search_heights: arguments.height == Setting::None,
        ground: ground(arguments.dem.as_deref(), arguments.takeoff, start)?,
    };
    let Matching { map, localizer, catalogue } = matching(options, edits)?;
    Ok(Prepared { localizer, map, flight, catalogue })
}

/// In place of a file of weights: those that come with the model.
const BUNDLED_WEIGHTS: &str = "bundled";

/// What frames are matched against, and how.
pub struct MatchingOptions {
    /// The map.
    pub map: PathBuf,
    /// Model of the manifest.
    pub model: String,
    /// Where inference runs.
    pub device: Device,
    /// The coarse method.
    pub coarse: CoarseMethod,
    /// Weights of the neighbourhood consensus.
    pub consensus: Option<PathBuf>,
    /// Whether a confident prediction allows to go straight to fine matching.
    pub early_exit: bool,
    /// Whether heights that are not known are searched for.
    pub search_heights: bool,
    /// What turns heights above take-off into heights above ground.
    pub ground: Option<GroundModel>,
}

/// Map, index and edits made ready.
pub struct Matching {
    /// The map.
    pub map: MapStore,
    /// The localizer.
    pub localizer: Arc<Localizer>,
    /// Edits of the map.
    pub catalogue: Catalogue,
}

/// Opens map and index; computes the index where there is none yet, and what the edits need.
pub fn matching(options: MatchingOptions, edits: MapEdits) -> anyhow::Result<Matching> {
    let map = MapStore::open(&options.map)?;
    let manifest = Manifest::find()?;
    let entry = manifest.entry(&options.model)?;
    let mut index = match MapIndex::load(&map, entry, manifest.aggregation_of(entry)) {
        Ok(index) => index,
        Err(IndexError::Missing { path, .. }) => {
            eprintln!("skyfix: no index yet; computing {} (once)", path.display());
            compute_index(&map, &manifest, entry, options.device, &IndexOptions::default())?
        }
        Err(error) => return Err(error.into()),
    };
    let settings = MatchSettings {
        coarse: options.coarse,
        early_exit: options.early_exit,
        search_heights: options.search_heights,
        ..MatchSettings::default()
    };
    let catalogue = if edits.edit.is_empty() {
        Catalogue::default()
    } else {
        let mut network = NetworkFiles::load(&manifest, entry)?.network(options.device, 1)?;
        Catalogue::prepare(edits, &mut index, &map, network.as_mut())?
    };
    for tile in catalogue.beside_the_map(&index) {
        let at = format!("{}/{}/{}", tile.z, tile.x, tile.y);
        eprintln!("skyfix: the edit of tile {at} changes nothing: {} has nothing there", options.map.display());
    }
    let mut localizer = Localizer::new(Arc::new(index), settings);
    if let Some(network) = consensus(options.consensus.as_deref(), &manifest, entry)? {
        localizer = localizer.with_consensus(network);
    }
    if let Some(ground) = options.ground {
        localizer = localizer.with_ground(ground);
    }
    Ok(Matching { map, localizer: Arc::new(localizer), catalogue })
}

/// The weights of a file, or those that come with the model; none for the fixed kernel.
fn consensus(asked: Option<&Path>, manifest: &Manifest, model: &ModelEntry) -> anyhow::Result<Option<ConsensusNetwork>> {
    let Some(asked) = asked else { return Ok(None) };
    if asked != Path::new(BUNDLED_WEIGHTS) {
        return Ok(Some(ConsensusNetwork::load(asked)?));
    }
    let Some(entry) = manifest.consensus_of(model) else {
        bail!("--consensus {BUNDLED_WEIGHTS}: no weights come with model {}; give a file, or leave it out", model.name);
    };
    let bytes = manifest.load_consensus(entry)?;
    Ok(Some(ConsensusNetwork::from_bytes(&bytes).with_context(|| entry.file.clone())?))
}

/// What is known of the ground, where anything is: an elevation model, a place of take-off.
pub fn ground(dem: Option<&Path>, takeoff: Option<Geodetic>, start: Option<Geodetic>) -> anyhow::Result<Option<GroundModel>> {
    let Some(path) = dem else {
        return Ok(takeoff.map(|t| GroundModel { dem: None, takeoff: Some(t) }));
    };
    let Some(takeoff) = takeoff.or(start) else {
        bail!("{}: heights count from take-off, so an elevation model needs its place: give --takeoff LAT,LON", path.display());
    };
    let dem = Dem::open(path, None)?;
    if dem.elevation_m(takeoff.lat_deg, takeoff.lon_deg).is_none() {
        bail!("{}: knows no elevation at take-off ({}, {})", path.display(), takeoff.lat_deg, takeoff.lon_deg);
    }
    Ok(Some(GroundModel { dem: Some(dem), takeoff: Some(takeoff) }))
}

/// Processors to use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 64)
}

/// Computes the index of a map and saves it beside it.
pub fn compute_index(
    map: &MapStore,
    manifest: &Manifest,
    entry: &ModelEntry,
    device: Device,
    options: &IndexOptions,
) -> anyhow::Result<MapIndex> {
    let bar = progress_bar("index");
    let threads = processors().min(8);
    let options = IndexOptions { threads, ..*options };
    let files = NetworkFiles::load(manifest, entry)?;
    let index = build_index(map, &|| files.network(device, 1), &options, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let path = index_path(map.path(), &entry.name);
    index.save(&path).with_context(|| "the index could not be saved beside the map")?;
    Ok(index)
}

/// Networks for the workers of a graph, each with its number of threads.
pub fn networks(model: &str, device: Device, workers: usize, threads: usize) -> anyhow::Result<Vec<Box<dyn DenseExtractor>>> {
    let manifest = Manifest::find()?;
    let files = NetworkFiles::load(&manifest, manifest.entry(model)?)?;
    (0..workers).map(|_| Ok(files.network(device, threads)?)).collect()
}

/// A dense network's file and that of its retrieval head, read and checked.
struct NetworkFiles {
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "networks need ONNX Runtime"))]
    dense: (ModelEntry, Vec<u8>),
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "networks need ONNX Runtime"))]
    head: Option<(AggregationEntry, Vec<u8>)>,
}

impl NetworkFiles {
    fn load(manifest: &Manifest, entry: &ModelEntry) -> Result<Self, ModelError> {
        let head = manifest.aggregation_of(entry).map(|head| Ok((head.clone(), manifest.load_aggregation(head)?)));
        Ok(Self { dense: (entry.clone(), manifest.load(entry)?), head: head.transpose()? })
    }

    #[cfg(feature = "onnx")]
    fn network(&self, device: Device, threads: usize) -> Result<Box<dyn DenseExtractor>, ModelError> {
        use skyfix::models::{OnnxAggregation, OnnxDense};
        let (entry, bytes) = &self.dense;
        let head = self.head.as_ref().map(|(entry, bytes)| OnnxAggregation::from_bytes(entry.clone(), bytes, threads));
        Ok(Box::new(OnnxDense::from_bytes(entry.clone(), bytes, device, threads)?.with_aggregation(head.transpose()?)))
    }

    #[cfg(not(feature = "onnx"))]
    fn network(&self, _: Device, _: usize) -> Result<Box<dyn DenseExtractor>, ModelError> {
        Err(ModelError::Runtime("this skyfix was built without the onnx feature".into()))
    }
}

/// The folder for results, made where it is not there yet.
pub fn make_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("{}: cannot make the output folder", path.display()))
}
