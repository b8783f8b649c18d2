//! Simulates a flight into a folder and prints what was made:
//! `cargo run --release --no-default-features --example simulate -- OUT [SEED] [PHOTOS_PER_S] [MAP.mbtiles]`.

use skyfix::map::MapStore;
use skyfix::simulate::{Settings, WorldSource, simulate};
use std::path::PathBuf;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = || anyhow::anyhow!("usage: simulate OUT [SEED] [PHOTOS_PER_S] [MAP.mbtiles]");
    let out = PathBuf::from(arguments.first().ok_or_else(usage)?);
    let mut settings = Settings::default();
    if let Some(seed) = arguments.get(1) {
        settings.seed = seed.parse()?;
    }
    if let Some(rate) = arguments.get(2) {
        settings.photos_per_s = rate.parse()?;
    }
    if let Some(map) = arguments.get(3) {
        // The maps at hand are small.
        settings = Settings { world: WorldSource::Raster(map.into()), leg_m: 100.0, map_gsd_m: 0.28, ..settings };
    }
    let start = Instant::now();
    let report = simulate(&settings, &out, &|done, total| eprint!("\r{done}/{total} "))?;
    println!("\n{report:#?} in {:.1?}", start.elapsed());
    let map = MapStore::open(&out.join("map.mbtiles"))?;
    for region in map.regions() {
        map.overview(region, 1400)?.0.image.save(out.with_extension("overview.png"))?;
    }
    Ok(())
}
