//! What skyfix reads, each kind with real files of it.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use skyfix::config::{ConfigBuilder, Door, FlightPlan};
use skyfix::map::{BuildOptions, Dem, MapStore, build};
use skyfix::models::Manifest;
use skyfix::source::photos::CameraOptions;
use skyfix::source::{KnowledgeOptions, VideoOptions};

use super::{Files, Kind, campaign};
use crate::metadata::{ratio, text, tiff, with_metadata, xmp};

/// Each kind a test of its own.
macro_rules! kinds {
    ($($name:ident, $seeds:expr, $read:expr;)*) => {
        $(#[test] fn $name() {
            static KIND: Kind = Kind { name: stringify!($name), seeds: $seeds, read: $read };
            campaign(&KIND);
        })*
    };
}

kinds! {
    subtitles, subtitles_seeds, read_subtitles;
    photos, photos_seeds, read_photos;
    recordings, recordings_seeds, read_recording;
    pipelines, pipelines_seeds, read_pipeline;
    calibrations, calibrations_seeds, read_calibration;
    geotiffs, geotiffs_seeds, |folder| read_imagery(folder, "a.tif");
    world_files, world_files_seeds, |folder| read_imagery(folder, "a.png");
    corner_tables, corner_tables_seeds, |folder| read_imagery(folder, "");
    tile_folders, tile_folders_seeds, |folder| read_imagery(folder, "");
    mbtiles, mbtiles_seeds, read_map;
    manifests, manifests_seeds, |folder| drop(Manifest::read(&folder.join("manifest.toml")));
    elevation_models, elevation_seeds, read_elevation;
}

#[cfg(feature = "onnx")]
kinds! {
    indices, index_seeds, read_index;
}

#[cfg(feature = "mavlink")]
kinds! {
    mavlink_datagrams, mavlink_seeds, read_mavlink;
}

fn files<const N: usize>(files: [(&str, Vec<u8>); N]) -> Files {
    files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A picture of ground that is not plain.
fn picture(size: u32) -> RgbImage {
    RgbImage::from_fn(size, size, |x, y| Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x + y) * 3 % 256) as u8]))
}

fn encoded(size: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture(size).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn subtitles_seeds() -> Vec<Files> {
    let mini = "1\n00:00:00,000 --> 00:00:00,033\n<font size=\"28\">FrameCnt: 1, DiffTime: 33ms\n2026-05-01 10:00:00.000\n[iso: 100] [fnum: 1.8] \
                [focal_len: 24.00] [dzoom_ratio: 1.00] [latitude: 47.8] [longitude: 10.9] [rel_alt: 120.0 abs_alt: 720.0] [gb_yaw: 12.0 \
                gb_pitch: -90.0 gb_roll: 0.0] </font>\n\n2\n00:00:00,033 --> 00:00:00,066\n[rel_alt: 121.0 abs_alt: 721.0]\n\n";
    let old = "1\n00:00:01,000 --> 00:00:02,000\nHOME(10.9,47.8) 2026.05.01 10:00:00\nGPS(10.9024,47.8005,19) BAROMETER:85.8\nISO:100 Shutter:60 EV:0\n\n\
               2\n00:00:02,000 --> 00:00:03,000\nF/2.8, SS 206.14, ISO 150, EV 0, GPS (10.9, 47.8, 15), D 24.5m, H 85.8m, H.S 0.5m/s\n\n";
    [mini, old].map(|text| files([("a.srt", text.as_bytes().to_vec())])).into()
}

fn read_subtitles(folder: &Path) {
    let _ = skyfix::source::telemetry::srt::read(&folder.join("a.srt"));
}

fn photos_seeds() -> Vec<Files> {
    use exif::Tag;
    let fields = [
        text(Tag::Model, "FC7303"),
        text(Tag::DateTimeOriginal, "2026:05:01 10:00:00"),
        text(Tag::SubSecTimeOriginal, "47"),
        text(Tag::OffsetTimeOriginal, "+02:00"),
        ratio(Tag::FocalLength, &[4.49]),
        text(Tag::GPSLatitudeRef, "N"),
        ratio(Tag::GPSLatitude, &[47.0, 48.0, 2.0]),
        text(Tag::GPSLongitudeRef, "E"),
        ratio(Tag::GPSLongitude, &[10.0, 54.0, 9.0]),
    ];
    let packet = xmp(
        "d:RelativeAltitude=\"+119.7\" d:GimbalYawDegree=\"+12.0\" d:GimbalPitchDegree=\"-90.00\" d:GimbalRollDegree=\"+0.00\"",
    );
    let jpeg = encoded(48, ImageFormat::Jpeg);
    vec![
        files([("a.jpg", with_metadata(&jpeg, &fields, &packet)), ("b.png", encoded(32, ImageFormat::Png))]),
        files([("a.jpg", jpeg), ("c.tif", tiff(&fields))]),
    ]
}

fn read_photos(folder: &Path) {
    let camera = CameraOptions { hfov_rad: Some(1.2), ..CameraOptions::default() };
    for camera in [camera, CameraOptions::default()] {
        let opened = skyfix::source::open(folder, &KnowledgeOptions::default(), &camera, &VideoOptions::default());
        if let Ok(mut flight) = opened {
            let frames = skyfix::source::frames::collect(flight.frames.as_mut()).unwrap_or_default();
            frames.iter().for_each(|frame| drop(frame.pixels.decode()));
        }
    }
}

/// The bundled flight's tables, the first lines of each.
fn recordings_seeds() -> Vec<Files> {
    let read = |of: &str, name: &str| {
        let text = std::fs::read_to_string(root().join("recordings").join(of).join(name)).unwrap();
        let lines = if name.ends_with(".toml") { usize::MAX } else { 30 };
        (name.to_owned(), text.split_inclusive('\n').take(lines).collect::<String>().into_bytes())
    };
    let mut photos: Files = ["flight.toml", "imu.csv", "height.csv", "heading.csv", "attitude.csv", "photos.csv", "truth.csv"]
        .map(|n| read("demo", n))
        .into();
    photos.insert("photos/000001.jpg".into(), encoded(16, ImageFormat::Jpeg));
    photos.insert("barometer.csv".into(), b"t_ns,alt_m,sigma_m\n1000000000,120.5,0.5\n1500000000,121.5,0.5\n".to_vec());
    photos.insert("gnss.csv".into(), b"t_ns,lat_deg,lon_deg,sigma_m\n1000000000,47.8,10.9,2.5\n".to_vec());
    photos.insert("landed.csv".into(), b"t_ns,landed\n1000000000,true\n".to_vec());
    let mut video: Files = ["flight.toml", "frames.csv", "height.csv"].map(|n| read("demo-video", n)).into();
    video.insert("video_parts.csv".into(), b"file,first_frame\nvideo.mkv,0\n".to_vec());
    video.insert("video.mkv".into(), vec![0x1a, 0x45, 0xdf, 0xa3]);
    vec![photos, video]
}

fn read_recording(folder: &Path) {
    let _ = skyfix::recording::read(folder);
    let _ = skyfix::recording::Truth::read(&folder.join("truth.csv"));
    let _ = skyfix::recording::sidecars::read(folder, 0);
    read_photos(&folder.join("photos"));
}

fn pipelines_seeds() -> Vec<Files> {
    let entries = std::fs::read_dir(root().join("pipelines")).unwrap();
    let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| files([("p.toml", std::fs::read(path).unwrap())])).collect()
}

fn read_pipeline(folder: &Path) {
    let path = folder.join("p.toml");
    let built = ConfigBuilder::new(Door::File(path.clone())).file(&path).and_then(ConfigBuilder::finish);
    if let Ok(effective) = built {
        let _ = FlightPlan::of(&effective);
    }
}

fn calibrations_seeds() -> Vec<Files> {
    let opencv = "%YAML:1.0\n---\nimage_width: 640\nimage_height: 480\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: [ 466., 0., \
                  320., 0., 466., 240., 0., 0., 1. ]\ndistortion_coefficients: !!opencv-matrix\n   rows: 1\n   cols: 5\n   dt: d\n   data: [ 0.1, -0.02, 0., \
                  0., 0. ]\n";
    let kalibr = "cam0:\n  camera_model: pinhole\n  distortion_model: radtan\n  distortion_coeffs: [0.1, -0.02, 0.0, 0.0]\n  intrinsics: [466.0, 466.0, \
                  320.0, 240.0]\n  resolution: [640, 480]\n";
    [opencv, kalibr].map(|text| files([("c.yaml", text.as_bytes().to_vec())])).into()
}

fn read_calibration(folder: &Path) {
    let path = folder.join("p.toml");
    let text = "[source]\nkind = \"photos\"\npath = \".\"\n[source.camera]\ncalibration = \"c.yaml\"\n";
    let built = ConfigBuilder::new(Door::File(path.clone())).text(text, &path).and_then(ConfigBuilder::finish);
    if let Ok(effective) = built {
        let _ = FlightPlan::of(&effective);
    }
}

/// A raster with its place in the Universal Transverse Mercator system, and one of heights where `heights` says so.
fn geotiff(heights: bool, compressed: bool) -> Vec<u8> {
    use tiff::encoder::colortype::{Gray32Float, RGB8};
    use tiff::encoder::{Compression, TiffEncoder};
    use tiff::tags::Tag;
    let mut bytes = Cursor::new(Vec::new());
    let encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut encoder = if compressed { encoder.with_compression(Compression::Deflate(Default::default())) } else { encoder };
    macro_rules! image {
        ($colour:ty, $data:expr) => {{
            let mut image = encoder.new_image::<$colour>(64, 64).unwrap();
            let keys = [1u16, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632];
            image.encoder().write_tag(Tag::GeoKeyDirectoryTag, &keys[..]).unwrap();
            image.encoder().write_tag(Tag::ModelPixelScaleTag, &[0.4, 0.4, 0.0][..]).unwrap();
            image.encoder().write_tag(Tag::ModelTiepointTag, &[0.0, 0.0, 0.0, 500_000.0, 5_240_000.0, 0.0][..]).unwrap();
            image.encoder().write_tag(Tag::GdalNodata, "-9999").unwrap();
            image.write_data(&$data).unwrap();
        }};
    }
    if heights {
        image!(Gray32Float, (0..64 * 64).map(|i| 400.0 + i as f32 * 0.01).collect::<Vec<f32>>());
    } else {
        image!(RGB8, picture(64).into_raw());
    }
    bytes.into_inner()
}

fn geotiffs_seeds() -> Vec<Files> {
    [false, true].map(|compressed| files([("a.tif", geotiff(false, compressed))])).into()
}

fn elevation_seeds() -> Vec<Files> {
    [false, true].map(|compressed| files([("dem.tif", geotiff(true, compressed))])).into()
}

fn read_elevation(folder: &Path) {
    if let Ok(dem) = Dem::open(&folder.join("dem.tif"), None) {
        let _ = dem.elevation_m(47.313, 9.0001);
    }
}

fn world_files_seeds() -> Vec<Files> {
    let world = b"0.4\n0\n0\n-0.4\n500000\n5240000\n".to_vec();
    let utm = "PROJCS[\"WGS 84 / UTM zone 32N\",GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563]],PRIMEM[\"Greenwich\",0],\
               UNIT[\"degree\",0.0174532925199433]],PROJECTION[\"Transverse_Mercator\"],PARAMETER[\"latitude_of_origin\",0],PARAMETER[\"central_meridian\",9],\
               PARAMETER[\"scale_factor\",0.9996],PARAMETER[\"false_easting\",500000],PARAMETER[\"false_northing\",0],UNIT[\"metre\",1],\
               AUTHORITY[\"EPSG\",\"32632\"]]";
    let aux = format!(
        "<PAMDataset><SRS>{}</SRS><GeoTransform>500000, 0.4, 0, 5240000, 0, -0.4</GeoTransform></PAMDataset>",
        utm.replace('"', "&quot;")
    );
    let png = || encoded(64, ImageFormat::Png);
    vec![
        files([("a.png", png()), ("a.pgw", world), ("a.prj", utm.as_bytes().to_vec())]),
        files([("a.png", png()), ("a.png.aux.xml", aux.into_bytes())]),
    ]
}

fn corner_tables_seeds() -> Vec<Files> {
    let table = "filename,Top_left_lat,Top_left_lon,Bottom_right_lat,Bottom_right_long\na.png,47.31,9.01,47.3098,9.0103\n";
    vec![files([("map.csv", table.as_bytes().to_vec()), ("a.png", encoded(64, ImageFormat::Png))])]
}

fn tile_folders_seeds() -> Vec<Files> {
    let xml = "<?xml version=\"1.0\"?><TileMap version=\"1.0.0\"><SRS>EPSG:3857</SRS><TileFormat width=\"256\" height=\"256\" mime-type=\"image/png\" \
               extension=\"png\"/><TileSets profile=\"mercator\"><TileSet href=\"18\" units-per-pixel=\"0.597\" order=\"18\"/></TileSets></TileMap>";
    let tile = || encoded(256, ImageFormat::Png);
    vec![
        files([("18/137626/91782.png", tile()), ("18/137627/91782.png", tile())]),
        files([("18/137626/170361.png", tile()), ("tilemapresource.xml", xml.as_bytes().to_vec())]),
    ]
}

/// Builds a map of what lies there: one file, or the folder.
fn read_imagery(folder: &Path, name: &str) {
    let out = folder.with_extension("mbtiles");
    let source = if name.is_empty() { folder.to_owned() } else { folder.join(name) };
    let _ = build(&[source], &out, &BuildOptions { force: true, ..BuildOptions::default() }, &|_| {});
    let _ = std::fs::remove_file(out);
}

fn mbtiles_seeds() -> Vec<Files> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.tif"), geotiff(false, false)).unwrap();
    let out = folder.path().join("m.mbtiles");
    build(&[folder.path().join("a.tif")], &out, &BuildOptions::default(), &|_| {}).unwrap();
    vec![files([("m.mbtiles", std::fs::read(out).unwrap())])]
}

fn read_map(folder: &Path) {
    let Ok(map) = MapStore::open(&folder.join("m.mbtiles")) else { return };
    let _ = map.checksum();
    for region in map.regions().iter().take(4) {
        let _ = map.overview(region, 64);
    }
}

fn manifests_seeds() -> Vec<Files> {
    vec![files([("manifest.toml", std::fs::read(root().join("models/manifest.toml")).unwrap())])]
}

#[cfg(feature = "onnx")]
fn index_seeds() -> Vec<Files> {
    use skyfix::models::{Device, OnnxDense};
    use skyfix::retrieve::build::{IndexOptions, build_index};
    let mut seeds = mbtiles_seeds();
    let folder = tempfile::tempdir().unwrap();
    super::write(folder.path(), &seeds[0]);
    let manifest = Manifest::read(&root().join("models/manifest.toml")).unwrap();
    let network = || Ok(Box::new(OnnxDense::load(&manifest, "skyfix-dense", Device::Cpu, 1).unwrap()) as _);
    let map = MapStore::open(&folder.path().join("m.mbtiles")).unwrap();
    let index = build_index(&map, &network, &IndexOptions { finest_gsd_m: Some(0.6), threads: 1 }, &|_, _| true).unwrap();
    let path = skyfix::retrieve::index_path(map.path(), "skyfix-dense");
    index.save(&path).unwrap();
    seeds[0].insert(path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
    seeds
}

#[cfg(feature = "onnx")]
fn read_index(folder: &Path) {
    let manifest = Manifest::read(&root().join("models/manifest.toml")).unwrap();
    let entry = manifest.entry("skyfix-dense").unwrap();
    if let Ok(map) = MapStore::open(&folder.join("m.mbtiles")) {
        let _ = skyfix::retrieve::MapIndex::load(&map, entry, manifest.aggregation_of(entry));
    }
}

/// Datagrams one after the other, each behind its length.
#[cfg(feature = "mavlink")]
fn mavlink_seeds() -> Vec<Files> {
    use mavlink::dialects::common::{
        ALTITUDE_DATA, ATTITUDE_DATA, GLOBAL_POSITION_INT_DATA, HEARTBEAT_DATA, HIGHRES_IMU_DATA, MavMessage, TIMESYNC_DATA,
    };
    use mavlink::{MavHeader, MavlinkVersion, write_versioned_msg};
    let mut bytes = Vec::new();
    for i in 0u8..40 {
        let ms = u32::from(i) * 100;
        let message = match i % 6 {
            0 => MavMessage::HEARTBEAT(HEARTBEAT_DATA::default()),
            1 => MavMessage::ATTITUDE(ATTITUDE_DATA { time_boot_ms: ms, ..Default::default() }),
            2 => MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA {
                time_boot_ms: ms,
                relative_alt: 120_000,
                ..Default::default()
            }),
            3 => MavMessage::HIGHRES_IMU(HIGHRES_IMU_DATA { time_usec: u64::from(ms) * 1000, zacc: -9.8, ..Default::default() }),
            4 => MavMessage::ALTITUDE(ALTITUDE_DATA { time_usec: u64::from(ms) * 1000, ..Default::default() }),
            _ => MavMessage::TIMESYNC(TIMESYNC_DATA { tc1: 0, ts1: 7 }),
        };
        let version = if i % 3 == 0 { MavlinkVersion::V1 } else { MavlinkVersion::V2 };
        let mut datagram = Vec::new();
        write_versioned_msg(&mut datagram, version, MavHeader { system_id: 1, component_id: 1, sequence: i }, &message).unwrap();
        bytes.push(u8::try_from(datagram.len()).unwrap());
        bytes.extend(datagram);
    }
    vec![files([("datagrams", bytes)])]
}

#[cfg(feature = "mavlink")]
fn read_mavlink(folder: &Path) {
    use skyfix::source::TelemetryBuffer;
    use skyfix::source::telemetry::mavlink::{MavlinkClock, MavlinkDecoder, MavlinkSettings};
    let bytes = std::fs::read(folder.join("datagrams")).unwrap();
    for clock in [MavlinkClock::Local, MavlinkClock::Boot] {
        let mut decoder = MavlinkDecoder::new(MavlinkSettings { clock, ..MavlinkSettings::default() });
        let (mut buffer, mut samples, mut rest, mut now_ns) = (TelemetryBuffer::new(10.0), Vec::new(), bytes.as_slice(), 0i64);
        while let Some((length, after)) = rest.split_first() {
            let (datagram, after) = after.split_at(usize::from(*length).min(after.len()));
            decoder.datagram(datagram, ([127, 0, 0, 1], 14_555).into(), now_ns, &mut samples);
            samples.drain(..).for_each(|sample| buffer.push(sample));
            now_ns += 100_000_000;
            let _ = buffer.take(now_ns - 500_000_000);
            rest = after;
        }
    }
}
