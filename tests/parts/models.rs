//! Any dense network serves: here one with the stride, channels and fixed input of a vision transformer, which tells no keypoints and no
//! reliability and whose retrieval head takes whole images.

use std::sync::Arc;

use image::{Rgb, RgbImage};
use skyfix::geo::MetricView;
use skyfix::localize::sequential::match_frame;
use skyfix::localize::{CoarseMethod, Localizer, MatchSettings};
use skyfix::map::{BuildOptions, MapStore, build};
use skyfix::models::{AggregationEntry, DenseExtractor, DenseFeatures, ImageDescriber, Manifest, ModelEntry, ModelError};
use skyfix::retrieve::build::{IndexOptions, build_index};
use skyfix::types::{Camera, Estimate, Frame, ImageTensor, Intake, Intrinsics, Known, Outcome, Pixels, TelemetryBatch};

const MANIFEST: &str = r#"
[[model]]
name = "patches"
role = "dense"
file = "patches.onnx"
sha256 = "00"
input = { name = "image", channels = 3, multiple_of_px = 14, fixed_px = 224, range = "unit", order = "rgb", mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }
descriptors = { name = "descriptors", channels = 384 }
class_token = { name = "class_token", channels = 384 }
stride_px = 14
licence = "none"
source = "this test"

[[aggregation]]
name = "patches-whole"
of = "patches"
file = "whole.onnx"
sha256 = "11"
input = { name = "descriptors", channels = 384 }
class_token = { name = "class_token", channels = 384 }
global = { name = "global", channels = 8448 }
clusters = 64
licence = "none"
source = "this test"
"#;
/// Pixel of the map, metres.
const GSD_M: f64 = 0.4;
/// Cells to each side whose brightness makes a cell's descriptor.
const AROUND: i64 = 4;

fn manifest(text: &str) -> Result<Manifest, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.toml");
    std::fs::write(&path, text).unwrap();
    Manifest::read(&path)
}

/// Describes a cell by the brightness of the cells around it, an image by the mean colours of its quarters.
struct Patches {
    entry: ModelEntry,
    head: AggregationEntry,
}

impl Patches {
    fn new() -> Self {
        let manifest = manifest(MANIFEST).unwrap();
        let entry = manifest.entry("patches").unwrap().clone();
        Self { head: manifest.aggregation_of(&entry).unwrap().clone(), entry }
    }
}

/// Mean brightness of blocks of pixels.
fn means(image: &ImageTensor, width_px: usize, height_px: usize) -> Vec<f32> {
    let plane = image.width_px * image.height_px;
    let block = |row: usize, column: usize| {
        let pixels = (0..width_px * height_px)
            .map(|p| (row * height_px + p / width_px) * image.width_px + column * width_px + p % width_px);
        pixels.map(|at| image.data[at] + image.data[plane + at] + image.data[2 * plane + at]).sum::<f32>()
    };
    let (rows, columns) = (image.height_px / height_px, image.width_px / width_px);
    (0..rows * columns).map(|at| block(at / columns, at % columns)).collect()
}

fn without_mean(values: &mut [f32]) {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    values.iter_mut().for_each(|v| *v -= mean);
    let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    values.iter_mut().for_each(|v| *v /= norm);
}

impl DenseExtractor for Patches {
    fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    fn extract(&mut self, image: &ImageTensor) -> Result<DenseFeatures, ModelError> {
        let (stride_px, channels) = (self.entry.stride_px, self.entry.descriptors.channels);
        let (rows, columns) = (image.height_px / stride_px, image.width_px / stride_px);
        let brightness = means(image, stride_px, stride_px);
        let mut descriptors = Vec::new();
        for cell in 0..rows * columns {
            let at = |d: i64, from: usize, size: usize| (from as i64 + d).clamp(0, size as i64 - 1) as usize;
            let near = (-AROUND..=AROUND).flat_map(|r| (-AROUND..=AROUND).map(move |c| (r, c)));
            let mut around: Vec<f32> =
                near.map(|(r, c)| brightness[at(r, cell / columns, rows) * columns + at(c, cell % columns, columns)]).collect();
            without_mean(&mut around);
            around.resize(channels, 0.0);
            descriptors.extend(around);
        }
        let middle = stride_px as f32 / 2.0;
        let cells = rows * columns;
        let (reliability, keypoints) = (vec![1.0; cells], vec![[middle, middle, 1.0]; cells]);
        Ok(DenseFeatures { rows, columns, channels, stride_px, descriptors, reliability, keypoints })
    }

    fn image_describer(&mut self) -> Option<Box<dyn ImageDescriber + '_>> {
        Some(Box::new(Whole(&self.head)))
    }
}

struct Whole<'a>(&'a AggregationEntry);

impl ImageDescriber for Whole<'_> {
    fn head(&self) -> &AggregationEntry {
        self.0
    }

    fn side_px(&self) -> usize {
        224
    }

    fn describe_image(&mut self, image: &ImageTensor) -> Result<Vec<f32>, ModelError> {
        let plane = image.width_px * image.height_px;
        let quarter = |colour: &[f32], at: usize| {
            let (row, column) = (at / 2 * image.height_px / 2, at % 2 * image.width_px / 2);
            let pixels =
                (0..plane / 4).map(|p| (row + p / (image.width_px / 2)) * image.width_px + column + p % (image.width_px / 2));
            4.0 / plane as f32 * pixels.map(|at| colour[at]).sum::<f32>()
        };
        let colours = image.data.chunks_exact(plane).flat_map(|colour| (0..4).map(move |at| quarter(colour, at)));
        let mut values: Vec<f32> = colours.flat_map(|mean| [(8.0 * mean).sin(), (8.0 * mean).cos()]).collect();
        values.resize(self.0.global.channels, 0.0);
        without_mean(&mut values);
        Ok(values)
    }
}

/// Noise without structure on a lattice, smooth between its points.
fn noise(x: f64, y: f64, seed: u64) -> f64 {
    let at = |i: i64, j: i64| {
        let mixed = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (j as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f) ^ seed;
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 32)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let (i, j) = (x.floor(), y.floor());
    let smooth = |t: f64| t * t * (3.0 - 2.0 * t);
    let (u, v, i, j) = (smooth(x - i), smooth(y - j), i as i64, j as i64);
    let row = |j: i64| at(i, j) * (1.0 - u) + at(i + 1, j) * u;
    row(j) * (1.0 - v) + row(j + 1) * v
}

/// A map of soft patches of several sizes, tinted from place to place.
fn map(folder: &std::path::Path) -> MapStore {
    let picture = RgbImage::from_fn(1100, 1000, |x, y| {
        let octave = |k: u64, size: f64| noise(f64::from(x) / size, f64::from(y) / size, k);
        let sum = octave(1, 18.0) + octave(2, 40.0) + octave(3, 90.0);
        Rgb([4, 5, 6].map(|k| (128.0 + 70.0 * sum + 160.0 * octave(k, 320.0)).clamp(0.0, 255.0) as u8))
    });
    picture.save(folder.join("area.png")).unwrap();
    let (metre_lat, metre_lon) = (1.0 / 111_132.0, 1.0 / (111_320.0 * 47f64.to_radians().cos()));
    let world = [GSD_M * metre_lon, 0.0, 0.0, -GSD_M * metre_lat, 9.0, 47.0].map(|v| format!("{v:.15}")).join("\n");
    std::fs::write(folder.join("area.pgw"), world).unwrap();
    let path = folder.join("area.mbtiles");
    build(&[folder.join("area.png")], &path, &BuildOptions::default(), &|_| {}).unwrap();
    MapStore::open(&path).unwrap()
}

#[test]
fn a_network_without_keypoints_and_with_a_head_for_whole_images_serves_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let map = map(folder.path());
    let index = build_index(&map, &|| Ok(Box::new(Patches::new())), &IndexOptions::default(), &|_, _| true).unwrap();
    assert_eq!((index.identity.stride_px, index.identity.aggregation_sha256.as_deref()), (14, Some("11")));
    assert!(index.levels.iter().all(|l| l.cells.is_empty() || l.global_length() == 8448));
    assert!(index.levels[0].cells.len() > 8 && index.levels[0].regions[0].as_ref().unwrap().channels == 384);
    let index = Arc::new(index);

    let region = &map.regions()[0];
    let (west, south, east, north) = region.extent_m();
    let mut network = Patches::new();
    let exhaustive = MatchSettings::default();
    let by = |coarse| MatchSettings { coarse, ..exhaustive };
    let few_cells = MatchSettings { exhaustive_cells: 0, top_cells: 4, ..exhaustive };
    // Half the diagonal of a cell's share of the map is how far its middle may be off; more where the neighbour looks more alike.
    let cell_m = 0.3 * 14.0 * 16.0;
    let cases = [
        (exhaustive, 2.0),
        (few_cells, 2.0),
        (by(CoarseMethod::Sascm), 2.0),
        (by(CoarseMethod::None), 2.0),
        (by(CoarseMethod::Retrieval), cell_m),
    ];
    for (right, up) in [(0.35, 0.4), (0.61, 0.55)] {
        let truth = [west + right * (east - west), south + up * (north - south)];
        let view = MetricView::centred(truth[0], truth[1], 0.2, 640, 480);
        let camera = Camera::nadir(Intrinsics::centred(640, 480, 500.0));
        let frame = Frame {
            ordinal: 0,
            name: "a".into(),
            stamp_ns: 0,
            pixels: Pixels::Decoded(Arc::new(map.view(region, &view).unwrap().image)),
            camera: Some(camera),
            known: Known {
                height_agl_m: Some(Estimate { value: 100.0, sigma: 3.0 }),
                heading_rad: Some(Estimate { value: 0.0, sigma: 0.05 }),
                pitch_roll_rad: None,
            },
            telemetry: TelemetryBatch::default(),
            captured: None,
            clocks: skyfix::types::Clocks::default(),
            intake: Intake::all(1),
        };
        for (settings, most_m) in cases {
            let matched = match_frame(&Localizer::new(Arc::clone(&index), settings), &frame, None, None, &mut network);
            let Outcome::Fix(fix) = &matched.outcome else { panic!("{:?}: {:?}", settings.coarse, matched.outcome) };
            let error_m = (fix.centre_m.x - truth[0]).hypot(fix.centre_m.y - truth[1]);
            assert!(error_m < most_m && fix.free.is_valid(), "{:?}: {error_m} m off {truth:?}: {fix:?}", settings.coarse);
        }
    }
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let refused = |from: &str, to: &str| {
        assert!(MANIFEST.contains(from));
        manifest(&MANIFEST.replacen(from, to, 1)).unwrap_err().to_string()
    };
    assert!(manifest(MANIFEST).is_ok());
    assert!(refused("fixed_px = 224", "fixed_px = 225").contains("multiples of stride_px"));
    assert!(refused("stride_px = 14", "stride_px = 0").contains("multiples of stride_px"));
    assert!(refused("std = [0.229", "std = [0.0").contains("std positive"));
    assert!(refused("fixed_px = 224, ", "").contains("patches-whole: takes a class token"));
    assert!(refused("class_token = { name = \"class_token\", channels = 384 }\n", "").contains("takes a class token"));
    assert!(refused("role = \"dense\"", "role = \"dense\"\ncolour = 1").contains("colour"));
}
