//! `skyfix map`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use skyfix::config::{Door, FlightConfig};
use skyfix::geo::EnuPlane;
use skyfix::map::{BuildOptions, MapStore, MergeOrder, TileRows, build};
use skyfix::models::{Device, Manifest};
use skyfix::retrieve::MapIndex;
use skyfix::retrieve::build::IndexOptions;
use skyfix::retrieve::index::level_gsd_m;
use skyfix::run::compute_index;
use skyfix::text::shell_word;

use super::progress::{Terminal, progress_bar};
use super::session::spelled;

/// Flags of `map index` that are keys of a flight.
const FLAGS: &[(&str, &str)] = &[("model.device", "--device"), ("model.name", "--model")];

/// Verbs on maps.
#[derive(Subcommand)]
pub enum Verb {
    /// Build a map (MBTiles) out of imagery.
    Build(BuildArguments),
    /// Compute a map's features for a model, once.
    Index(IndexArguments),
    /// Show what a map and its index hold.
    Info(InfoArguments),
}

const BUILD_EXAMPLES: &str = "Sources:
  area.tif                GeoTIFF, in any system with an EPSG code that needs no grid
  area.jpg + area.jgw     image with a world file (and .prj or .aux.xml)
  folder/ with map.csv    images with corner coordinates (wildnav, UAV-VisLoc)
  folder/z/x/y.jpg        XYZ tiles, or TMS (gdal2tiles)

Examples:
  skyfix map build area.tif -o area.mbtiles
  skyfix map build old.tif new.tif -o area.mbtiles        the later one lies on top
  skyfix map build tiles/ mosaic.tif --newest -o area.mbtiles";

/// Arguments of `map build`.
#[derive(Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub struct BuildArguments {
    /// Imagery: files or folders
    #[arg(required = true, value_name = "SRC")]
    sources: Vec<PathBuf>,
    /// The map to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Where sources overlap the newest date wins, not the one given last
    #[arg(long)]
    newest: bool,
    /// Quality of JPEG tiles, 1 to 100
    #[arg(long, default_value_t = 92, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Rows of folders z/x/y are counted from the south (TMS); a folder with a tilemapresource.xml needs no telling
    #[arg(long)]
    tms: bool,
    /// Replace the map where it is there already
    #[arg(long)]
    force: bool,
    /// Finest zoom, instead of the one that the sources deserve
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=24))]
    max_zoom: Option<u8>,
}

/// Arguments of `map index`.
#[derive(Args)]
pub struct IndexArguments {
    /// The map
    map: PathBuf,
    /// Model of the manifest (`skyfix models` lists them)
    #[arg(long, default_value_t = FlightConfig::default().model.name)]
    model: String,
    /// Where inference runs: cpu or cuda:N; a device that is not there is an error
    #[arg(long, default_value_t = Device::default())]
    device: Device,
    /// Finest ground sampling distance, metres: 0.15 for frames that see little ground, 0.6 for large areas seen from high up [default: 0.3; 0.15
    /// for sharp maps of up to 1.4 km²]
    #[arg(long, value_name = "M")]
    finest: Option<f64>,
}

/// Arguments of `map info`.
#[derive(Args)]
pub struct InfoArguments {
    /// The map
    map: PathBuf,
    /// Model whose index is shown
    #[arg(long, default_value_t = FlightConfig::default().model.name)]
    model: String,
    /// Also write a picture of each region: NAME.png, NAME-1.png, …
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Build(arguments) => build_map(arguments),
        Verb::Index(arguments) => index(arguments),
        Verb::Info(arguments) => info(arguments),
    }
}

fn build_map(arguments: &BuildArguments) -> anyhow::Result<()> {
    let order = if arguments.newest { MergeOrder::NewestDate } else { MergeOrder::Given };
    let tile_rows = if arguments.tms { TileRows::FromSouth } else { TileRows::AsTheFolderSays };
    let options = BuildOptions {
        order,
        jpeg_quality: arguments.quality,
        max_zoom: arguments.max_zoom,
        tile_rows,
        force: arguments.force,
        ..BuildOptions::default()
    };
    let bar = progress_bar("tiles");
    let report = build(&arguments.sources, &arguments.out, &options, &|progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.what);
    })?;
    bar.finish_and_clear();
    for warning in &report.warnings {
        tell!("{warning}");
    }
    say!(
        "{}: {} tiles, {:.1} MB, zoom {} to {}",
        arguments.out.display(),
        report.tiles,
        report.bytes as f64 / 1e6,
        report.zooms.0,
        report.zooms.1
    );
    say!("  {} of imagery, {:.0} % of the rectangles around it", area(report.imagery_m2), 100.0 * report.imagery_share);
    let today = jiff::Zoned::now().date();
    for source in &report.sources {
        let centre = source.bounds.centre();
        let (west, south, east, north) = source.bounds.extent_m(&EnuPlane::at(centre));
        say!(
            "  {}: {:.5} {:.5} in the middle, {:.0} x {:.0} m, {:.3} m/px, {}",
            source.name,
            centre.lat_deg,
            centre.lon_deg,
            east - west,
            north - south,
            source.ground_sampling_distance_m,
            source.date.as_deref().map_or("without a date".into(), |date| dated(date, today))
        );
    }
    say!("next: skyfix map index {}", shell_word(&arguments.out));
    Ok(())
}

fn area(m2: f64) -> String {
    if m2 < 1e4 { format!("{m2:.0} m²") } else { format!("{:.2} km²", m2 / 1e6) }
}

/// A date of imagery (ISO 8601, perhaps a year or a month only), and how long ago that is.
fn dated(date: &str, today: jiff::civil::Date) -> String {
    let mut parts = date.split(['-', 'T', ' ']).map(|part| part.parse::<i32>().ok());
    let month = |year: i32, month: i32| 12 * year + month;
    let Some(year) = parts.next().flatten() else { return date.into() };
    let of_year = parts.next().flatten();
    let months = month(today.year().into(), today.month().into()) - month(year, of_year.unwrap_or(1));
    let age = match (months, of_year) {
        (..=-1, _) => "which is still to come".into(),
        (_, None) => format!("about {} years old", i32::from(today.year()) - year),
        (0, _) => "of this month".into(),
        (1, _) => "1 month old".into(),
        (2..=23, _) => format!("{months} months old"),
        _ => format!("{} years old", months / 12),
    };
    format!("{date}, {age}")
}

fn index(arguments: &IndexArguments) -> anyhow::Result<()> {
    if let Some(finest) = arguments.finest.filter(|finest| !(0.05..=20.0).contains(finest)) {
        anyhow::bail!("--finest {finest}: give metres from 0.05 to 20");
    }
    let map = MapStore::open(&arguments.map)?;
    let manifest = Manifest::find()?;
    let entry = manifest.entry(&arguments.model)?;
    let options = IndexOptions { finest_gsd_m: arguments.finest, ..IndexOptions::default() };
    let computed = compute_index(&map, &manifest, entry, arguments.device, &options, &Terminal::new(None));
    let kept = computed.and_then(|index| Ok((index.keep(&map, &entry.name, true)?, index)));
    let (path, index) = kept.map_err(|error| spelled(error, &Door::CommandLine(FLAGS)))?;
    let bytes = std::fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    say!("{}: {:.1} MB", path.display(), bytes as f64 / 1e6);
    print_levels(&index);
    Ok(())
}

fn print_levels(index: &MapIndex) {
    say!("level   m/px   dense cells   retrieval cells");
    for level in &index.levels {
        let dense: usize = level.regions.iter().flatten().map(|r| r.covered.iter().filter(|c| **c != 0).count()).sum();
        say!("{:>5} {:>6.2} {dense:>13} {:>17}", level.level, level_gsd_m(level.level), level.cells.len());
    }
}

fn info(arguments: &InfoArguments) -> anyhow::Result<()> {
    let map = MapStore::open(&arguments.map)?;
    let (low, high) = map.zoom_range();
    say!("{}: zoom {low} to {high}, checksum {}", arguments.map.display(), map.checksum()?);
    say!("\nsources                         m/px   date         west       south      east       north");
    for s in map.sources() {
        let b = s.bounds;
        say!(
            "{:<30} {:>5.3}   {:<10} {:>10.5} {:>10.5} {:>10.5} {:>10.5}",
            s.name,
            s.ground_sampling_distance_m,
            s.date.as_deref().unwrap_or("-"),
            b.west_deg,
            b.south_deg,
            b.east_deg,
            b.north_deg
        );
    }
    say!("\nregion    m/px   size m");
    for region in map.regions() {
        let (w, s, e, n) = region.extent_m();
        say!("{:>6} {:>7.3}   {:.0} x {:.0}", region.id, region.ground_sampling_distance_m, e - w, n - s);
    }
    let manifest = Manifest::find()?;
    let model = manifest.entry(&arguments.model)?;
    match MapIndex::load(&map, model, manifest.aggregation_of(model)) {
        Ok(index) => {
            say!("\nindex for {} ({}…)", index.identity.model, index.identity.model_sha256.get(..12).unwrap_or_default());
            print_levels(&index);
        }
        Err(error) => say!("\nno usable index: {error}"),
    }
    if let Some(picture) = &arguments.picture {
        for region in map.regions() {
            let path = match region.id {
                0 => picture.clone(),
                id => {
                    let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
                    picture.with_file_name(format!("{stem}-{id}.png"))
                }
            };
            let (view, _) = map.overview(region, 1400)?;
            view.image.save(&path).with_context(|| path.display().to_string())?;
            say!("picture of region {}: {}", region.id, path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imagery_says_how_old_it_is() {
        let today = jiff::civil::date(2026, 12, 1);
        assert_eq!(dated("2026-11-30", today), "2026-11-30, 1 month old");
        assert_eq!(dated("2019-05-04T10:00:00", today), "2019-05-04T10:00:00, 7 years old");
        assert_eq!(dated("2019", today), "2019, about 7 years old");
        assert_eq!(dated("2027-05-04", today), "2027-05-04, which is still to come");
        assert_eq!(dated("2026-12-24", today), "2026-12-24, of this month");
        assert_eq!(dated("2026-09", jiff::civil::date(2026, 3, 1)), "2026-09, which is still to come");
        assert_eq!(dated("in spring", today), "in spring");
    }
}
