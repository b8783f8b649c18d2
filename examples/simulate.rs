//! Simulates a flight into a folder and prints what was made and how much its frames look like its map:
//! `cargo run --release --no-default-features --example simulate -- OUT [SEED] [MAP.mbtiles]`.

use skyfix::eval::appearance::{PosedFrame, correlation, median};
use skyfix::geo::Enu;
use skyfix::map::MapStore;
use skyfix::simulate::{Settings, WorldSource, simulate};
use std::path::PathBuf;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let out = PathBuf::from(arguments.first().ok_or_else(|| anyhow::anyhow!("usage: simulate OUT [SEED] [MAP.mbtiles]"))?);
    let mut settings = Settings::default();
    if let Some(seed) = arguments.get(1) {
        settings.seed = seed.parse()?;
    }
    if let Some(map) = arguments.get(2) {
        settings.world = WorldSource::Raster(map.into());
        settings.leg_m = 120.0;
        settings.duration_s = 40.0;
    }
    let start = Instant::now();
    let report = simulate(&settings, &out, &|done, total| eprint!("\r{done}/{total} "))?;
    println!("\n{report:?} in {:.1?}", start.elapsed());

    // The camera's attitude is not in the recording: the true image centre stands for it, as with a real flight.
    let map = MapStore::open(&out.join("map.mbtiles"))?;
    let region = map.regions().first().ok_or_else(|| anyhow::anyhow!("the map has no region"))?;
    map.overview(region, 1400)?.0.image.save(out.join("overview.png"))?;
    let mut values = Vec::new();
    let mut reader = csv::Reader::from_path(out.join("truth.csv"))?;
    for row in reader.records() {
        let row = row?;
        let number = |i: usize| row.get(i).unwrap_or_default().parse::<f64>();
        let image = image::open(out.join("photos").join(row.get(0).unwrap_or_default()))?.into_rgb8();
        let at = region.plane.ground_from_lat_lon(number(13)?, number(14)?);
        let body = nalgebra::UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(number(9)?, number(10)?, number(11)?, number(12)?));
        let ahead = body * nalgebra::Vector3::x();
        let frame = PosedFrame {
            image: &image,
            focal_px: settings.focal_px,
            centre_px: (f64::from(settings.width_px) / 2.0, f64::from(settings.height_px) / 2.0),
            position: Enu { e_m: at.e_m, n_m: at.n_m, u_m: number(5)? },
            enu_from_camera: skyfix::eval::appearance::nadir_attitude(ahead.x.atan2(ahead.y).to_degrees()),
        };
        values.extend(correlation(&map, region, &frame, 0.6)?);
    }
    println!("{} frames, median correlation with the map {:?}", values.len(), median(values));
    Ok(())
}
