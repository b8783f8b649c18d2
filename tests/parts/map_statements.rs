//! Statements about where imagery lies, by tiles, bounds, sidecars: those that agree are one, those that contradict each other are refused.

use skyfix::map::{BuildOptions, MapStore, TileRows, build};
use std::path::{Path, PathBuf};

/// A tile around 47.8 N 10.9 E, and its row from the south.
const TILE: (u8, u32, u32) = (17, 69_504, 45_671);
const FROM_SOUTH: u32 = (1 << 17) - 1 - TILE.2;
const BOUNDS: &str = "10.89,47.79,10.91,47.81";

fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_fn(256, 256, |x, y| image::Rgb([(x / 2) as u8, (y / 2) as u8, 90]));
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// An MBTiles file of one tile.
fn tiles(folder: &Path, row: u32, metadata: &[(&str, &str)]) -> PathBuf {
    let path = folder.join(format!("{row}-{}.mbtiles", metadata.len()));
    let _ = std::fs::remove_file(&path);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB)").unwrap();
    file.execute("INSERT INTO tiles VALUES (?1, ?2, ?3, ?4)", (TILE.0, TILE.1, row, picture())).unwrap();
    if !metadata.is_empty() {
        file.execute_batch("CREATE TABLE metadata (name TEXT, value TEXT)").unwrap();
        for row in metadata {
            file.execute("INSERT INTO metadata VALUES (?1, ?2)", *row).unwrap();
        }
    }
    path
}

/// Latitude of the middle of a map, and the colour there.
fn seen(map: &MapStore) -> (f64, [u8; 3]) {
    let region = &map.regions()[0];
    let (view, _) = map.overview(region, 64).unwrap();
    (region.bounds.centre().lat_deg, view.image.get_pixel(view.image.width() / 2, view.image.height() / 2).0)
}

fn opened(path: &Path) -> Result<(f64, [u8; 3]), String> {
    MapStore::open(path).map(|map| seen(&map)).map_err(|e| e.to_string())
}

fn is_here((lat_deg, colour): (f64, [u8; 3])) -> bool {
    (lat_deg - 47.8).abs() < 0.02 && colour != [0; 3]
}

#[test]
fn the_rows_of_an_mbtiles_file_are_counted_as_its_bounds_tell() {
    let folder = tempfile::tempdir().unwrap();
    let at = |row, metadata: &[(&str, &str)]| opened(&tiles(folder.path(), row, metadata));
    for metadata in [&[][..], &[("bounds", BOUNDS)], &[("bounds", BOUNDS), ("scheme", "xyz")], &[("bounds", "-180,-85,180,85")]] {
        assert!(is_here(at(FROM_SOUTH, metadata).unwrap()), "{metadata:?}");
    }
    for metadata in [&[("bounds", BOUNDS)][..], &[("bounds", "5,45,15,55"), ("scheme", "xyz")]] {
        assert!(is_here(at(TILE.2, metadata).unwrap()), "{metadata:?}");
    }
    assert!(at(TILE.2, &[("scheme", "xyz")]).unwrap_err().contains("no bounds"));
}

#[test]
fn tiles_outside_of_the_bounds_that_are_stated_are_a_contradiction_that_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    // Latitude before longitude, as some tools write.
    let path = tiles(folder.path(), FROM_SOUTH, &[("bounds", "47.79,10.89,47.81,10.91")]);
    let message = opened(&path).unwrap_err();
    assert!(
        message.contains("contradicts itself") && message.contains("DELETE FROM metadata WHERE name = 'bounds'"),
        "{message}"
    );
    rusqlite::Connection::open(&path).unwrap().execute_batch("DELETE FROM metadata WHERE name = 'bounds'").unwrap();
    assert!(is_here(opened(&path).unwrap()));
}

#[test]
fn databases_of_other_kinds_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, sql: &str| {
        let path = folder.path().join(name);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        (
            opened(&path).unwrap_err(),
            build(&[path], &folder.path().join("o.mbtiles"), &BuildOptions::default(), &|_| {}).unwrap_err().to_string(),
        )
    };
    // The mark of a GeoPackage: "GPKG".
    let (opened, built) = made("a.gpkg", "PRAGMA application_id = 1196444487; CREATE TABLE gpkg_contents (a)");
    assert!(opened.contains("GeoPackage") && opened.contains("gdal_translate"), "{opened}");
    assert!(built.contains("gdal_translate") && !built.contains("already a map"), "{built}");
    let (opened, _) = made("b.sqlite", "CREATE TABLE other (a)");
    assert!(opened.contains("without the tiles of an MBTiles map"), "{opened}");
}

/// A folder of one tile by its numbers, and what is stated of it.
fn folder_of(z: u8, x: u32, y: u32, stated: Option<(&str, &str)>, extension: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let column = folder.path().join(format!("tiles/{z}/{x}"));
    std::fs::create_dir_all(&column).unwrap();
    std::fs::write(column.join(format!("{y}{extension}")), picture()).unwrap();
    if let Some((name, text)) = stated {
        std::fs::write(folder.path().join("tiles").join(name), text).unwrap();
    }
    folder
}

fn built(folder: &Path, tile_rows: TileRows) -> Result<(f64, usize), String> {
    let out = folder.join("o.mbtiles");
    let options = BuildOptions { tile_rows, force: true, ..BuildOptions::default() };
    let report = build(&[folder.join("tiles")], &out, &options, &|_| {}).map_err(|e| e.to_string())?;
    let (lat_deg, _) = seen(&MapStore::open(&out).unwrap());
    Ok((lat_deg, report.warnings.len()))
}

#[test]
fn the_rows_of_a_folder_are_counted_as_it_says_and_its_bounds_have_the_last_word() {
    let (z, x, y) = TILE;
    let as_it_says = |row, stated: Option<(&str, &str)>, extension: &str| {
        built(folder_of(z, x, row, stated, extension).path(), TileRows::AsTheFolderSays)
    };
    let tile_json = |scheme: &str| format!("{{\"scheme\": \"{scheme}\", \"bounds\": [{BOUNDS}]}}");
    assert!(as_it_says(y, None, ".png").unwrap().0 > 0.0);
    assert!(as_it_says(y, None, "").unwrap().0 > 0.0, "tiles without an extension");
    assert!(as_it_says(FROM_SOUTH, Some(("metadata.json", "{\"scheme\": \"tms\"}")), ".png").unwrap().0 > 0.0);
    assert_eq!(as_it_says(FROM_SOUTH, Some(("tiles.json", &tile_json("tms"))), ".png").unwrap().1, 0);
    // What is stated of the rows is wrong, and told.
    let (lat_deg, warnings) = as_it_says(y, Some(("tiles.json", &tile_json("tms"))), ".png").unwrap();
    assert!(lat_deg > 0.0 && warnings == 1);
    let bounds_only = format!("{{\"bounds\": \"{BOUNDS}\"}}");
    assert!(as_it_says(FROM_SOUTH, Some(("metadata.json", &bounds_only)), ".png").unwrap().0 > 0.0);
    let asked = built(folder_of(z, x, y, Some(("metadata.json", &bounds_only)), ".png").path(), TileRows::FromSouth).unwrap_err();
    assert!(asked.contains("other side of the equator") && asked.contains("--tms"), "{asked}");
}

#[test]
fn a_folder_of_tiles_of_the_other_order_and_one_that_lies_deeper_are_named() {
    let (z, x, y) = TILE;
    let bounds_only = format!("{{\"bounds\": \"{BOUNDS}\"}}");
    let swapped =
        built(folder_of(z, y, x, Some(("metadata.json", &bounds_only)), ".png").path(), TileRows::AsTheFolderSays).unwrap_err();
    assert!(swapped.contains("z/y/x"), "{swapped}");
    let folder = folder_of(z, x, y, None, ".png");
    let out = folder.path().join("o.mbtiles");
    let message = build(&[folder.path().to_owned()], &out, &BuildOptions::default(), &|_| {}).unwrap_err().to_string();
    assert!(message.contains("tiles: give that folder"), "{message}");
}

/// An MBTiles file of one zoom with a tile at each of some columns and rows from the north.
fn scattered(folder: &Path, tiles: impl Iterator<Item = (u32, u32)>) -> PathBuf {
    let path = folder.join("scattered.mbtiles");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB); BEGIN")
        .unwrap();
    let picture = picture();
    for (column, row) in tiles {
        file.execute("INSERT INTO tiles VALUES (17, ?1, ?2, ?3)", (column, (1 << 17) - 1 - row, &picture)).unwrap();
    }
    file.execute_batch("COMMIT").unwrap();
    path
}

fn rectangles_km2(map: &MapStore) -> f64 {
    let of = |(west, south, east, north): (f64, f64, f64, f64)| (east - west) * (north - south) / 1e6;
    map.regions().iter().map(|region| of(region.extent_m())).sum()
}

#[test]
fn a_map_that_is_mostly_empty_costs_by_its_imagery() {
    let folder = tempfile::tempdir().unwrap();
    let (_, x, y) = TILE;
    // A strip of 100 tiles of 205 m: 4 km² of imagery in a rectangle of 420.
    let strip = MapStore::open(&scattered(folder.path(), (0..100).map(|i| (x + i, y + i)))).unwrap();
    assert!(rectangles_km2(&strip) < 60.0, "{} in {} regions", rectangles_km2(&strip), strip.regions().len());
    for i in 0..100 {
        let at =
            skyfix::geo::mercator::lat_lon_from_pixel(17, (f64::from(x + i) + 0.5) * 256.0, (f64::from(y + i) + 0.5) * 256.0);
        assert!(strip.regions().iter().any(|region| region.bounds.contains(at.0, at.1)), "tile {i}");
    }
}

#[test]
fn a_sparse_picture_of_a_country_costs_by_the_two_villages_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.tif");
    // 200 km a side, in tiles of 256 px of 1 m, of which two are in the file.
    let tiles = sparse_tiff(&path, 782, &[(100, 100), (700, 650)]);
    let out = folder.path().join("o.mbtiles");
    let report = build(&[path], &out, &BuildOptions::default(), &|_| {}).unwrap();
    assert!((report.imagery_m2 / 1e6 - 2.0 * 0.0655).abs() < 0.01, "{} of {tiles} tiles: {report:?}", report.imagery_m2);
    assert!(report.tiles < 200, "{}", report.tiles);
    let map = MapStore::open(&out).unwrap();
    assert!(
        map.regions().len() == 2 && rectangles_km2(&map) < 6.0,
        "{} in {} regions",
        rectangles_km2(&map),
        map.regions().len()
    );
}

/// A TIFF of so many tiles a side, UTM zone 32 N, of which some are written.
fn sparse_tiff(path: &Path, side: u32, written: &[(u32, u32)]) -> u32 {
    const TILE_PX: u32 = 256;
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    let entries = 12u32;
    let after = 8 + 2 + 12 * entries + 4;
    let count = side * side;
    let (scale, tie, keys) = (after, after + 24, after + 24 + 48);
    let (offsets, counts) = (keys + 32, keys + 32 + 4 * count);
    let data = counts + 4 * count;
    let tile: Vec<u8> = (0..TILE_PX * TILE_PX).map(|i| (60 + (i / TILE_PX + i) % 120) as u8).collect();
    bytes.extend(u16::try_from(entries).unwrap().to_le_bytes());
    let mut entry = |tag: u16, kind: u16, count: u32, value: u32| {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    };
    let (short, long, double) = (3, 4, 12);
    entry(256, long, 1, side * TILE_PX);
    entry(257, long, 1, side * TILE_PX);
    for (tag, value) in [(258, 8), (259, 1), (262, 1), (322, TILE_PX), (323, TILE_PX)] {
        entry(tag, short, 1, value);
    }
    entry(324, long, count, offsets);
    entry(325, long, count, counts);
    entry(33_550, double, 3, scale);
    entry(33_922, double, 6, tie);
    entry(34_735, short, 16, keys);
    bytes.extend([0; 4]);
    for value in [1.0f64, 1.0, 0.0, 0.0, 0.0, 0.0, 500_000.0, 5_400_000.0, 0.0] {
        bytes.extend(value.to_le_bytes());
    }
    for key in [1u16, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32_632] {
        bytes.extend(key.to_le_bytes());
    }
    let at = |number: u32| written.iter().position(|(column, row)| row * side + column == number);
    for number in 0..count {
        bytes.extend(at(number).map_or(0, |place| data + place as u32 * TILE_PX * TILE_PX).to_le_bytes());
    }
    for number in 0..count {
        bytes.extend(at(number).map_or(0, |_| TILE_PX * TILE_PX).to_le_bytes());
    }
    written.iter().for_each(|_| bytes.extend(&tile));
    std::fs::write(path, bytes).unwrap();
    count
}
