//! Builds a map out of sources and prints what was made: `cargo run --release --no-default-features --example build_map -- OUT SRC...`
//!
//! `build_map OUT generate:WIDTHxHEIGHT` first writes a tiled GeoTIFF of that size beside OUT, to see how memory and time grow.

use skyfix::map::{BuildOptions, MapStore, MetricView, build};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or_else(|| anyhow::anyhow!("usage: build_map OUT SRC..."))?;
    let mut sources: Vec<PathBuf> = arguments.collect();
    for source in &mut sources {
        let size = source.to_str().and_then(|s| s.strip_prefix("generate:")).and_then(|s| s.split_once('x'));
        if let Some((w, h)) = size {
            let path = out.with_extension("tif");
            generate(&path, w.parse()?, h.parse()?)?;
            *source = path;
        }
    }
    let start = Instant::now();
    let report = build(&sources, &out, &BuildOptions::default(), &|p| eprint!("\r{} {}/{} ", p.what, p.done, p.total))?;
    println!("\n{} tiles, {} bytes, zooms {:?}, {:.1?}", report.tiles, report.bytes, report.zooms, start.elapsed());
    for warning in &report.warnings {
        println!("warning: {warning}");
    }
    let map = MapStore::open(&out)?;
    for region in map.regions() {
        let (w, s, e, n) = region.extent_m();
        println!(
            "region {}: {:?}, {:.0} x {:.0} m, {:.4} m/px",
            region.id,
            region.bounds,
            e - w,
            n - s,
            region.ground_sampling_distance_m
        );
        map.overview(region, 800)?.0.image.save(out.with_extension(format!("region{}.png", region.id)))?;
        let view = MetricView::centred(0.0, 0.0, region.ground_sampling_distance_m * 2.0, 1000, 1000);
        map.view(region, &view)?;
        let start = Instant::now();
        map.view(region, &view)?;
        println!("  a view of 1000 x 1000 px: {:.1?}", start.elapsed());
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default());
    }
    Ok(())
}

/// A tiled RGB GeoTIFF in degrees, written by hand so that it needs no memory: tiles of 256 px, uncompressed.
fn generate(path: &Path, width: u32, height: u32) -> anyhow::Result<()> {
    let (across, down) = (width.div_ceil(256), height.div_ceil(256));
    let (tiles, tile_bytes) = (u64::from(across * down), 256 * 256 * 3u32);
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let data = 16u64;
    let end = data + tiles * u64::from(tile_bytes);
    // BigTIFF, because the file may pass 4 GiB.
    file.write_all(b"II\x2b\0\x08\0\0\0")?;
    file.write_all(&end.to_le_bytes())?;
    let mut tile = vec![0u8; tile_bytes as usize];
    for t in 0..tiles {
        for (i, p) in tile.chunks_exact_mut(3).enumerate() {
            let (x, y) = (i as u64 % 256 + t % u64::from(across) * 256, i as u64 / 256 + t / u64::from(across) * 256);
            p.copy_from_slice(&[((x / 3) ^ (y / 5)) as u8, (x / 16 + y / 16) as u8, ((x / 64) % 2 * 200) as u8]);
        }
        file.write_all(&tile)?;
    }
    let doubles = |v: &[f64]| v.iter().flat_map(|d| d.to_le_bytes()).collect::<Vec<u8>>();
    let shorts = |v: &[u16]| v.iter().flat_map(|d| d.to_le_bytes()).collect::<Vec<u8>>();
    let longs = |v: Vec<u64>| v.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<u8>>();
    let entries: Vec<(u16, u16, u64, Vec<u8>)> = vec![
        (256, 4, 1, width.to_le_bytes().to_vec()),
        (257, 4, 1, height.to_le_bytes().to_vec()),
        (258, 3, 3, shorts(&[8, 8, 8])),
        (259, 3, 1, shorts(&[1])),
        (262, 3, 1, shorts(&[2])),
        (277, 3, 1, shorts(&[3])),
        (322, 3, 1, shorts(&[256])),
        (323, 3, 1, shorts(&[256])),
        (324, 16, tiles, longs((0..tiles).map(|t| data + t * u64::from(tile_bytes)).collect())),
        (325, 16, tiles, longs(vec![u64::from(tile_bytes); tiles as usize])),
        (33550, 12, 3, doubles(&[2.7e-6, 2.7e-6, 0.0])),
        (33922, 12, 6, doubles(&[0.0, 0.0, 0.0, 115.9, 29.8, 0.0])),
        (34735, 3, 12, shorts(&[1, 1, 0, 2, 1024, 0, 1, 2, 2048, 0, 1, 4326])),
    ];
    file.seek(SeekFrom::Start(end))?;
    let mut values = end + 8 + 20 * entries.len() as u64 + 8;
    file.write_all(&(entries.len() as u64).to_le_bytes())?;
    for (tag, kind, count, value) in &entries {
        file.write_all(&tag.to_le_bytes())?;
        file.write_all(&kind.to_le_bytes())?;
        file.write_all(&count.to_le_bytes())?;
        let mut field = value.clone();
        if value.len() > 8 {
            field = values.to_le_bytes().to_vec();
            values += value.len() as u64;
        }
        field.resize(8, 0);
        file.write_all(&field)?;
    }
    file.write_all(&[0; 8])?;
    for (_, _, _, value) in entries.iter().filter(|e| e.3.len() > 8) {
        file.write_all(value)?;
    }
    file.flush()?;
    Ok(())
}
