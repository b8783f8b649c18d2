//! Imagery in, a map out, and everything where it belongs.

use image::{Rgb, RgbImage};
use skyfix::geo::{EnuPlane, Geodetic};
use skyfix::map::{BuildOptions, BuildReport, MapStore, MergeOrder, MetricView, build};
use std::path::{Path, PathBuf};

const LAT: f64 = 47.3;
const LON: f64 = 9.1;
/// Pixel size of the synthetic imagery, metres.
const GSD: f64 = 0.4;

/// Landmarks: metres east and north of the place where the picture is to lie.
const LANDMARKS: [(f64, f64); 5] = [(0.0, 0.0), (-70.0, 60.0), (75.0, 65.0), (-68.0, -71.0), (66.0, -60.0)];

/// A picture of `size` px with a soft bright blob at each landmark, given by its continuous pixel position.
fn picture(size: u32, landmarks: &[(f64, f64)]) -> RgbImage {
    RgbImage::from_fn(size, size, |x, y| {
        let (cx, cy) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
        let bright = landmarks.iter().map(|(u, v)| (-((cx - u).powi(2) + (cy - v).powi(2)) / 18.0).exp()).fold(0.0, f64::max);
        Rgb([40 + (200.0 * bright) as u8, 60 + (180.0 * bright) as u8, 50 + (190.0 * bright) as u8])
    })
}

/// Latitude and longitude of a landmark.
fn lat_lon(landmark: (f64, f64)) -> (f64, f64) {
    EnuPlane::at(Geodetic::ground(LAT, LON)).lat_lon_from_ground(landmark.0, landmark.1)
}

/// How far, in metres, the landmarks' centroids in the built map lie from where they belong, at most.
fn worst_error_m(map: &Path) -> f64 {
    let map = MapStore::open(map).unwrap();
    let region = &map.regions()[0];
    let mut worst = 0f64;
    for landmark in LANDMARKS {
        let (lat, lon) = lat_lon(landmark);
        let at = region.plane.ground_from_lat_lon(lat, lon);
        let view = MetricView::centred(at.e_m, at.n_m, 0.3, 60, 60);
        let image = map.view(region, &view).unwrap();
        assert!(image.covered_share() == 1.0, "no imagery around {landmark:?}");
        let (mut sum, mut e, mut n) = (0.0, 0.0, 0.0);
        for (x, y, p) in image.image.enumerate_pixels() {
            let w = f64::from(p.0[0].saturating_sub(80));
            let (pe, pn) = view.ground_from_pixel(f64::from(x) + 0.5, f64::from(y) + 0.5);
            sum += w;
            e += w * pe;
            n += w * pn;
        }
        assert!(sum > 0.0, "landmark {landmark:?} is not in the map");
        worst = worst.max((e / sum - at.e_m).hypot(n / sum - at.n_m));
    }
    worst
}

fn build_one(source: &Path) -> (tempfile::TempDir, PathBuf, BuildReport) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.mbtiles");
    let report = build(&[source.to_owned()], &out, &BuildOptions::default(), &|_| {}).unwrap();
    (folder, out, report)
}

/// The affine map from continuous pixels to degrees of a picture turned by some degrees around the middle of its ground.
fn rotated_affine(size: u32, turn_deg: f64) -> [f64; 6] {
    let plane = EnuPlane::at(Geodetic::ground(LAT, LON));
    let (north, east) = (plane.lat_lon_from_ground(0.0, 1.0).0 - LAT, plane.lat_lon_from_ground(1.0, 0.0).1 - LON);
    let (s, c) = turn_deg.to_radians().sin_cos();
    let (a, b, d, e) = (GSD * c * east, GSD * s * east, GSD * s * north, -GSD * c * north);
    let half = f64::from(size) / 2.0;
    [a, b, LON - (a + b) * half, d, e, LAT - (d + e) * half]
}

/// Continuous pixels of the landmarks under an affine map to coordinates that `project` makes of latitude and longitude.
fn pixels(affine: [f64; 6], project: impl Fn(f64, f64) -> (f64, f64)) -> Vec<(f64, f64)> {
    let [a, b, x0, d, e, y0] = affine;
    let det = a * e - b * d;
    LANDMARKS
        .iter()
        .map(|&l| {
            let (lat, lon) = lat_lon(l);
            let (x, y) = project(lat, lon);
            ((e * (x - x0) - b * (y - y0)) / det, (-d * (x - x0) + a * (y - y0)) / det)
        })
        .collect()
}

#[test]
fn landmarks_of_a_rotated_picture_with_world_file_are_in_place() {
    for turn_deg in [0.0, 3.0, -31.0, 118.0] {
        let folder = tempfile::tempdir().unwrap();
        let affine = rotated_affine(600, turn_deg);
        picture(600, &pixels(affine, |lat, lon| (lon, lat))).save(folder.path().join("p.png")).unwrap();
        let [a, b, x0, d, e, y0] = affine;
        let text = format!("{a:e}\n{d:e}\n{b:e}\n{e:e}\n{:.14}\n{:.14}\n", x0 + (a + b) / 2.0, y0 + (d + e) / 2.0);
        std::fs::write(folder.path().join("p.pgw"), text).unwrap();
        let (_keep, map, report) = build_one(&folder.path().join("p.png"));
        assert!((report.sources[0].ground_sampling_distance_m - GSD).abs() < 0.002);
        let error = worst_error_m(&map);
        assert!(error < 0.3 * GSD, "turned by {turn_deg}°: {error} m");
    }
}

/// A GeoTIFF with the given tags.
fn write_tiff(path: &Path, image: &RgbImage, keys: &[[u16; 4]], scale_and_tie: Result<([f64; 3], [f64; 6]), [f64; 16]>) {
    use tiff::encoder::TiffEncoder;
    use tiff::encoder::colortype::RGB8;
    use tiff::tags::Tag;
    let mut encoder = TiffEncoder::new(std::fs::File::create(path).unwrap()).unwrap();
    let mut file = encoder.new_image::<RGB8>(image.width(), image.height()).unwrap();
    let mut directory = vec![1, 1, 0, keys.len() as u16];
    directory.extend(keys.iter().flatten());
    file.encoder().write_tag(Tag::GeoKeyDirectoryTag, &directory[..]).unwrap();
    match scale_and_tie {
        Ok((scale, tie)) => {
            file.encoder().write_tag(Tag::ModelPixelScaleTag, &scale[..]).unwrap();
            file.encoder().write_tag(Tag::ModelTiepointTag, &tie[..]).unwrap();
        }
        Err(matrix) => file.encoder().write_tag(Tag::ModelTransformationTag, &matrix[..]).unwrap(),
    }
    file.write_data(image.as_raw()).unwrap();
}

/// Forward transverse Mercator by the series of Snyder, "Map projections: a working manual" (8-9 to 8-15): independent of the library.
fn utm32(lat_deg: f64, lon_deg: f64) -> (f64, f64) {
    let (a, f) = (6_378_137.0f64, 1.0 / 298.257_223_563);
    let e2 = f * (2.0 - f);
    let (lat, dl) = (lat_deg.to_radians(), (lon_deg - 9.0f64).to_radians());
    let ep2 = e2 / (1.0 - e2);
    let nu = a / (1.0 - e2 * lat.sin().powi(2)).sqrt();
    let (t, c, aa) = (lat.tan().powi(2), ep2 * lat.cos().powi(2), dl * lat.cos());
    let m = a
        * ((1.0 - e2 / 4.0 - 3.0 * e2 * e2 / 64.0 - 5.0 * e2.powi(3) / 256.0) * lat
            - (3.0 * e2 / 8.0 + 3.0 * e2 * e2 / 32.0 + 45.0 * e2.powi(3) / 1024.0) * (2.0 * lat).sin()
            + (15.0 * e2 * e2 / 256.0 + 45.0 * e2.powi(3) / 1024.0) * (4.0 * lat).sin()
            - (35.0 * e2.powi(3) / 3072.0) * (6.0 * lat).sin());
    let x = aa + (1.0 - t + c) * aa.powi(3) / 6.0;
    let y = m + nu * lat.tan() * (aa * aa / 2.0 + (5.0 - t + 9.0 * c + 4.0 * c * c) * aa.powi(4) / 24.0);
    (500_000.0 + 0.9996 * nu * x, 0.9996 * y)
}

fn web_mercator(lat_deg: f64, lon_deg: f64) -> (f64, f64) {
    let r = 6_378_137.0f64;
    (r * lon_deg.to_radians(), r * lat_deg.to_radians().tan().asinh())
}

#[test]
fn landmarks_of_a_geotiff_are_in_place_in_every_system() {
    type Project = fn(f64, f64) -> (f64, f64);
    let degrees: Project = |lat, lon| (lon, lat);
    let metres_lat = 111_180.0;
    let metres_lon = 111_320.0 * LAT.to_radians().cos();
    let cases = [
        ("4326", degrees, (GSD / metres_lon, GSD / metres_lat), 2, 4326),
        ("3857", web_mercator as Project, (GSD / LAT.to_radians().cos(), GSD / LAT.to_radians().cos()), 1, 3857),
        ("utm", utm32 as Project, (GSD, GSD), 1u16, 32632u16),
    ];
    for (name, project, (sx, sy), model, code) in cases {
        for raster_type in [1u16, 2] {
            for matrix in [false, true] {
                let (cx, cy) = project(LAT, LON);
                let affine = [sx, 0.0, cx - 300.0 * sx, 0.0, -sy, cy + 300.0 * sy];
                // The file's raster coordinate (0, 0): the corner of the first pixel, or its centre.
                let shift = if raster_type == 2 { 0.5 } else { 0.0 };
                let (ox, oy) = (affine[2] + shift * sx, affine[5] - shift * sy);
                let place = if matrix {
                    Err([sx, 0.0, 0.0, ox, 0.0, -sy, 0.0, oy, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
                } else {
                    Ok(([sx, sy, 0.0], [10.0, 20.0, 0.0, ox + 10.0 * sx, oy - 20.0 * sy, 0.0]))
                };
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("p.tif");
                let crs_key = if model == 2 { 2048 } else { 3072 };
                let keys = [[1024, 0, 1, model], [1025, 0, 1, raster_type], [crs_key, 0, 1, code]];
                write_tiff(&file, &picture(600, &pixels(affine, project)), &keys, place);
                let (_keep, map, _) = build_one(&file);
                let error = worst_error_m(&map);
                assert!(error < 0.3 * GSD, "{name}, raster type {raster_type}, matrix {matrix}: {error} m");
            }
        }
    }
}

#[test]
fn landmarks_of_a_picture_in_a_corner_table_are_in_place_and_missing_pictures_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let plane = EnuPlane::at(Geodetic::ground(LAT, LON));
    let (north, west) = plane.lat_lon_from_ground(-120.0, 120.0);
    let (south, east) = plane.lat_lon_from_ground(120.0, -120.0);
    let affine = [(east - west) / 600.0, 0.0, west, 0.0, (south - north) / 600.0, north];
    picture(600, &pixels(affine, |lat, lon| (lon, lat))).save(folder.path().join("p.png")).unwrap();
    let table = format!(
        "Filename, Top_left_lat,Top_left_lon,Bottom_right_lat,Bottom_right_long\n\"p.png\",  {north:.12}, {west:.12},{south:.12},{east:.12}\n\"gone.png\", 1.0, 1.0, 0.9, 1.1\n"
    );
    std::fs::write(folder.path().join("map.csv"), table).unwrap();
    let (_keep, map, report) = build_one(folder.path());
    assert!(worst_error_m(&map) < 0.3 * GSD);
    assert!(report.warnings.len() == 1 && report.warnings[0].contains("gone.png"), "{:?}", report.warnings);
}

/// A plain picture with a world file, 0.4 m/px, its north-west corner at the given metres from the usual place.
fn plain(folder: &Path, name: &str, colour: [u8; 3], corner_m: (f64, f64), size: u32) -> PathBuf {
    let path = folder.join(name);
    RgbImage::from_pixel(size, size, Rgb(colour)).save(&path).unwrap();
    let plane = EnuPlane::at(Geodetic::ground(LAT, LON));
    let (lat, lon) = plane.lat_lon_from_ground(corner_m.0, corner_m.1);
    let (north, east) = (plane.lat_lon_from_ground(0.0, 0.4).0 - LAT, plane.lat_lon_from_ground(0.4, 0.0).1 - LON);
    let world = format!("{east:e}\n0\n0\n{:e}\n{:.14}\n{:.14}\n", -north, lon + east / 2.0, lat - north / 2.0);
    std::fs::write(path.with_extension("pgw"), world).unwrap();
    path
}

fn colour_at(map: &MapStore, e_m: f64, n_m: f64) -> Option<[u8; 3]> {
    let (lat, lon) = EnuPlane::at(Geodetic::ground(LAT, LON)).lat_lon_from_ground(e_m, n_m);
    map.regions().iter().find(|r| r.bounds.contains(lat, lon)).and_then(|region| {
        let at = region.plane.ground_from_lat_lon(lat, lon);
        let view = map.view(region, &MetricView::centred(at.e_m, at.n_m, 0.4, 1, 1)).unwrap();
        (view.coverage[0] > 0).then(|| view.image.get_pixel(0, 0).0)
    })
}

fn near(colour: Option<[u8; 3]>, wanted: [u8; 3]) -> bool {
    colour.is_some_and(|c| c.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) < 12))
}

#[test]
fn the_source_given_last_lies_on_top_or_the_newest_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let new = plain(folder.path(), "a_2024-05-01.png", [200, 40, 40], (0.0, 100.0), 250);
    let old = plain(folder.path(), "b_2020-05-01.png", [40, 40, 200], (50.0, 100.0), 250);
    let out = folder.path().join("m.mbtiles");
    let sources = [new, old];
    let mut options = BuildOptions { force: true, ..BuildOptions::default() };
    build(&sources, &out, &options, &|_| {}).unwrap();
    let map = MapStore::open(&out).unwrap();
    assert_eq!(map.regions().len(), 1);
    assert!(near(colour_at(&map, 20.0, 50.0), [200, 40, 40]));
    assert!(near(colour_at(&map, 75.0, 50.0), [40, 40, 200]));
    assert_eq!(colour_at(&map, -20.0, 50.0), None);
    options.order = MergeOrder::NewestDate;
    build(&sources, &out, &options, &|_| {}).unwrap();
    let map = MapStore::open(&out).unwrap();
    assert!(near(colour_at(&map, 75.0, 50.0), [200, 40, 40]));
    assert!(near(colour_at(&map, 120.0, 50.0), [40, 40, 200]));
}

#[test]
fn far_apart_sources_make_regions_of_their_own_in_one_small_file() {
    let folder = tempfile::tempdir().unwrap();
    let here = plain(folder.path(), "a.png", [200, 40, 40], (0.0, 0.0), 300);
    let there = folder.path().join("b.png");
    RgbImage::from_pixel(300, 300, Rgb([40, 160, 60])).save(&there).unwrap();
    std::fs::write(there.with_extension("pgw"), "4e-6\n0\n0\n-4e-6\n120.5\n-24.5\n").unwrap();
    let out = folder.path().join("m.mbtiles");
    let report = build(&[here, there], &out, &BuildOptions::default(), &|_| {}).unwrap();
    assert!(report.tiles < 80, "{} tiles", report.tiles);
    let map = MapStore::open(&out).unwrap();
    assert_eq!(map.regions().len(), 2);
    let (view, _) = map.overview(&map.regions()[1], 100).unwrap();
    assert!(view.covered_share() > 0.95);
    assert!(near(Some(view.image.get_pixel(50, 50).0), [40, 160, 60]));
}

#[test]
fn a_coarse_source_beside_a_fine_one_is_enlarged_in_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let fine = plain(folder.path(), "fine.png", [200, 40, 40], (0.0, 0.0), 300);
    let coarse = folder.path().join("coarse.png");
    RgbImage::from_pixel(100, 100, Rgb([40, 160, 60])).save(&coarse).unwrap();
    let plane = EnuPlane::at(Geodetic::ground(LAT, LON));
    let (lat, lon) = plane.lat_lon_from_ground(300.0, 0.0);
    std::fs::write(coarse.with_extension("pgw"), format!("4e-5\n0\n0\n-3e-5\n{lon}\n{lat}\n")).unwrap();
    let out = folder.path().join("m.mbtiles");
    build(&[fine, coarse], &out, &BuildOptions::default(), &|_| {}).unwrap();
    let map = MapStore::open(&out).unwrap();
    assert_eq!(map.regions().len(), 1);
    assert!((map.regions()[0].ground_sampling_distance_m - 0.4).abs() < 0.01);
    assert!(near(colour_at(&map, 50.0, -50.0), [200, 40, 40]));
    let colour = colour_at(&map, 450.0, -150.0);
    assert!(near(colour, [40, 160, 60]), "{colour:?}");
}

#[test]
fn tiles_of_an_xyz_folder_keep_their_bytes() {
    let Some(data) = crate::data::data() else { return };
    let (_keep, map, report) = build_one(&data.join("ariel_tiles"));
    assert_eq!(report.zooms.1, 18);
    let map = MapStore::open(&map).unwrap();
    let original = std::fs::read(data.join("ariel_tiles/18/156713/106362.jpg")).unwrap();
    let decoded = image::load_from_memory(&original).unwrap().into_rgba8();
    let tile = map.tile(skyfix::geo::mercator::Tile { z: 18, x: 156_713, y: 106_362 }).unwrap().unwrap();
    assert!(tile.rgba() == decoded.as_raw().as_slice());
}

#[test]
fn real_sources_of_two_countries_build_into_one_map() {
    let Some(data) = crate::data::data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("m.mbtiles");
    let options = BuildOptions { max_zoom: Some(17), ..BuildOptions::default() };
    let report = build(&[data.join("wildnav"), data.join("ariel_tiles")], &out, &options, &|_| {}).unwrap();
    assert_eq!(report.warnings.len(), 3, "{:?}", report.warnings);
    assert_eq!(report.sources.len(), 13);
    assert!((report.sources[0].ground_sampling_distance_m - 0.138).abs() < 0.01);
    assert_eq!(MapStore::open(&out).unwrap().regions().len(), 2);
}

#[test]
fn a_build_gives_the_same_bytes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let source = plain(folder.path(), "a.png", [120, 140, 40], (0.0, 0.0), 700);
    let (a, b) = (folder.path().join("a.mbtiles"), folder.path().join("b.mbtiles"));
    let options = BuildOptions { name: Some("same".into()), ..BuildOptions::default() };
    let first = build(std::slice::from_ref(&source), &a, &options, &|_| {}).unwrap();
    build(&[source], &b, &options, &|_| {}).unwrap();
    assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap());
    let store = MapStore::open(&a).unwrap();
    assert_eq!(store.metadata()["skyfix:digest"], first.checksum);
    assert_eq!(store.checksum().unwrap(), MapStore::open(&b).unwrap().checksum().unwrap());
}

#[test]
fn a_tile_that_is_gone_or_another_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let source = plain(folder.path(), "a.png", [120, 140, 40], (0.0, 0.0), 700);
    let built = |name: &str, edit: &str| {
        let path = folder.path().join(name);
        build(std::slice::from_ref(&source), &path, &BuildOptions::default(), &|_| {}).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute_batch(edit).unwrap();
        let store = MapStore::open(&path).unwrap();
        (store.checksum().unwrap(), store.verify().unwrap())
    };
    let (whole, holds) = built("whole.mbtiles", "");
    assert_eq!(holds, Some(true));
    let one = "WHERE rowid = (SELECT min(rowid) FROM tiles)";
    let (gone, holds) = built("gone.mbtiles", &format!("DELETE FROM tiles {one}"));
    assert!(gone != whole && holds == Some(false));
    // Bytes of the same length cost a look at each of them, which a flight does not take and `skyfix doctor` does.
    let other = format!("UPDATE tiles SET tile_data = CAST(replace(hex(tile_data), 'F', 'E') AS BLOB) {one}");
    assert_eq!(built("other.mbtiles", &other).1, Some(false));
    assert_eq!(built("elsewhere.mbtiles", "DELETE FROM metadata WHERE name LIKE 'skyfix:%'").1, None);
}

#[test]
fn a_damaged_tile_is_found_when_it_is_read_though_it_still_is_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mbtiles");
    let source = plain(folder.path(), "a.png", [120, 140, 40], (0.0, 0.0), 700);
    build(&[source], &path, &BuildOptions::default(), &|_| {}).unwrap();
    let stores = rusqlite::Connection::open(&path).unwrap();
    // Another tile's picture, and the last byte of its own.
    for edit in
        ["(SELECT tile_data FROM tiles WHERE rowid = 1)", "CAST(substr(tile_data, 1, length(tile_data) - 1) || x'00' AS BLOB)"]
    {
        stores
            .execute_batch(&format!(
                "CREATE TEMP TABLE kept AS SELECT rowid AS id, tile_data FROM tiles; UPDATE tiles SET tile_data = {edit}"
            ))
            .unwrap();
        let map = MapStore::open(&path).unwrap();
        let message = map.overview(&map.regions()[0], 40).err().unwrap().to_string();
        assert!(message.contains("m.mbtiles: tile ") && message.contains("its checksum is not that of its content"), "{message}");
        stores
            .execute_batch("UPDATE tiles SET tile_data = (SELECT tile_data FROM kept WHERE id = tiles.rowid); DROP TABLE kept")
            .unwrap();
    }
    let map = MapStore::open(&path).unwrap();
    assert!(map.overview(&map.regions()[0], 40).is_ok());
}

#[test]
fn a_map_says_how_much_of_it_is_imagery() {
    let folder = tempfile::tempdir().unwrap();
    let near = [
        plain(folder.path(), "a.png", [120, 140, 40], (0.0, 0.0), 500),
        plain(folder.path(), "b.png", [90, 90, 90], (300.0, 300.0), 500),
    ];
    let report = build(&near, &folder.path().join("m.mbtiles"), &BuildOptions::default(), &|_| {}).unwrap();
    let side_m = 500.0 * GSD;
    assert!((report.imagery_m2 / (2.0 * side_m * side_m) - 1.0).abs() < 0.02, "{report:?}");
    let rectangle_m2 = (side_m + 300.0) * (side_m + 300.0);
    assert!((report.imagery_share - report.imagery_m2 / rectangle_m2).abs() < 0.02, "{report:?}");
}

#[test]
fn what_cannot_be_done_is_said_with_the_file_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("m.mbtiles");
    let mut messages = Vec::new();
    let mut refuse = |source: &Path, out: &Path| {
        messages.push(build(&[source.to_owned()], out, &BuildOptions::default(), &|_| {}).unwrap_err().to_string());
    };
    refuse(&folder.path().join("missing.tif"), &out);
    let bare = folder.path().join("bare.png");
    RgbImage::new(20, 20).save(&bare).unwrap();
    refuse(&bare, &out);
    std::fs::write(folder.path().join("bare.pgw"), "0.4\n0\n0\n-0.4\n512000\n5230000\n").unwrap();
    refuse(&bare, &out);
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no imagery at all").unwrap();
    refuse(&text, &out);
    let good = plain(folder.path(), "a.png", [1, 2, 3], (0.0, 0.0), 20);
    refuse(&good, &folder.path().join("no/such/folder/m.mbtiles"));
    let truncated = plain(folder.path(), "cut.png", [1, 2, 3], (0.0, 0.0), 200);
    let bytes = std::fs::read(&truncated).unwrap();
    std::fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    refuse(&truncated, &out);
    let said = ["missing.tif", "no world file", "no .prj", "notes.txt", "no/such/folder", "cut.png"];
    for (message, words) in messages.iter().zip(said) {
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().contains(".mbtiles")), "{left:?}");
}

#[test]
fn a_raster_in_strips_with_16_bits_and_nodata_is_stretched_and_leaves_its_gaps_open() {
    use tiff::encoder::TiffEncoder;
    use tiff::encoder::colortype::Gray16;
    use tiff::tags::Tag;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.tif");
    let mut encoder = TiffEncoder::new(std::fs::File::create(&file).unwrap()).unwrap();
    let mut image = encoder.new_image::<Gray16>(700, 900).unwrap();
    image.rows_per_strip(3).unwrap();
    image.encoder().write_tag(Tag::ModelPixelScaleTag, &[0.4, 0.4, 0.0][..]).unwrap();
    image.encoder().write_tag(Tag::ModelTiepointTag, &[0.0, 0.0, 0.0, 500_000.0, 5_240_000.0, 0.0][..]).unwrap();
    image.encoder().write_tag(Tag::GeoKeyDirectoryTag, &[1u16, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32632][..]).unwrap();
    image.encoder().write_tag(Tag::GdalNodata, "0").unwrap();
    // A 12-bit sensor: dark in the west, bright in the east, nothing in the southern third.
    let samples: Vec<u16> = (0..700 * 900u32).map(|i| if i / 700 >= 600 { 0 } else { 800 + (i % 700) as u16 * 3 }).collect();
    image.write_data(&samples).unwrap();
    let (_keep, map, _) = build_one(&file);
    let map = MapStore::open(&map).unwrap();
    let (view, _) = map.overview(&map.regions()[0], 90).unwrap();
    let (w, h) = view.image.dimensions();
    let grey = |x: u32, y: u32| view.image.get_pixel(x, y).0[0];
    assert!(grey(3, h / 3) < 30 && grey(w - 4, h / 3) > 225, "{} {}", grey(3, h / 3), grey(w - 4, h / 3));
    assert!(view.coverage[(h / 3 * w + w / 2) as usize] == 255 && view.coverage[(h * 5 / 6 * w + w / 2) as usize] == 0);
}
