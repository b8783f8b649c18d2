//! The bundled network on a GPU against the CPU: `SKYFIX_TEST_DEVICE=cuda:0 cargo test --test parts gpu`, with `ORT_DYLIB_PATH` naming the library
//! of the onnxruntime-gpu wheel. Skipped, with a message, where no device is named.

use skyfix::models::{DenseExtractor, DenseFeatures, Device, Manifest, OnnxDense};
use skyfix::types::ImageTensor;

/// Sides of views as a flight has them: each is new to the device once.
const SIDES_PX: [[usize; 2]; 5] = [[256, 256], [320, 448], [512, 512], [128, 640], [256, 256]];

fn device() -> Option<Device> {
    let Ok(name) = std::env::var("SKYFIX_TEST_DEVICE") else {
        eprintln!("skipped: no GPU (set SKYFIX_TEST_DEVICE, for example to cuda:0)");
        return None;
    };
    Some(name.parse().unwrap())
}

/// Stripes and blobs of several scales.
fn picture([width_px, height_px]: [usize; 2]) -> ImageTensor {
    let mut image = ImageTensor::zeros(width_px, height_px);
    for (i, value) in image.data.iter_mut().enumerate() {
        let (x, y) = ((i % width_px) as f32, (i / width_px % height_px) as f32);
        let channel = (i / (width_px * height_px)) as f32;
        *value = 0.5 + 0.25 * (0.31 * x + channel).sin() * (0.17 * y).cos() + 0.25 * (0.013 * x * (1.0 + 0.02 * y)).sin();
    }
    image
}

fn features(device: Device) -> Vec<DenseFeatures> {
    let manifest = Manifest::find().unwrap();
    let mut network = OnnxDense::load(&manifest, "skyfix-dense", device, 1).unwrap();
    SIDES_PX.iter().map(|sides| network.extract(&picture(*sides)).unwrap()).collect()
}

#[test]
fn oracle_features_of_a_gpu_are_those_of_the_cpu_however_many_sessions_run_and_the_same_bytes_each_time() {
    let Some(device) = device() else { return };
    let on_cpu = features(Device::Cpu);
    let on_gpu: Vec<Vec<DenseFeatures>> = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..6).map(|_| scope.spawn(|| features(device))).collect();
        sessions.into_iter().map(|session| session.join().unwrap()).collect()
    });
    for (gpu, cpu) in on_gpu[0].iter().zip(&on_cpu) {
        let apart = gpu.descriptors.iter().zip(&cpu.descriptors).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gpu.descriptors.len() == cpu.descriptors.len() && apart < 1e-3, "{apart}");
    }
    assert!(on_gpu.iter().all(|session| session == &on_gpu[0]));
}

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let manifest = Manifest::find().unwrap();
    let Err(error) = OnnxDense::load(&manifest, "skyfix-dense", Device::Cuda(99), 1) else { unreachable!("no machine has it") };
    assert!(error.to_string().contains("cuda:99"), "{error}");
}
