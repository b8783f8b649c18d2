use super::*;
use crate::geo::MetricView;
use crate::models::DenseFeatures;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CHANNELS: usize = 16;
const CELL_M: f64 = 2.0;

/// Ground that looks different everywhere, or repeats every `period_m` to the east.
struct Ground {
    waves: Vec<(f64, f64, f64)>,
    period_m: Option<f64>,
}

impl Ground {
    fn new(seed: u64, period_m: Option<f64>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut number = |scale: f64| (rng.random::<f64>() - 0.5) * scale;
        Self { waves: (0..CHANNELS * 6).map(|_| (number(0.5), number(0.5), number(6.3))).collect(), period_m }
    }

    fn descriptor(&self, e: f64, n: f64) -> Vec<f32> {
        let e = self.period_m.map_or(e, |p| e.rem_euclid(p));
        let channel =
            |k: usize| self.waves[k * 6..k * 6 + 6].iter().map(|(a, b, c)| (a * e + b * n + c).sin() as f32).sum::<f32>();
        let raw: Vec<f32> = (0..CHANNELS).map(channel).collect();
        let norm = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
        raw.iter().map(|v| v / norm).collect()
    }

    /// What a camera at a place sees, its directions turned counter-clockwise by an angle.
    fn seen_from(&self, at: [f64; 2], turned_rad: f64) -> ViewField {
        let (rows, columns) = (40, 50);
        let view = MetricView { west_m: -50.0, north_m: 40.0, ground_sampling_distance_m: 0.25, width_px: 400, height_px: 320 };
        let (s, c) = turned_rad.sin_cos();
        let mut descriptors = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                let (x, y) = (view.west_m + (column as f64 + 0.5) * CELL_M, view.north_m - (row as f64 + 0.5) * CELL_M);
                descriptors.extend(self.descriptor(at[0] + c * x + s * y, at[1] - s * x + c * y));
            }
        }
        let features = DenseFeatures {
            rows,
            columns,
            channels: CHANNELS,
            stride_px: 8,
            descriptors,
            reliability: vec![1.0; rows * columns],
            keypoints: vec![[4.0, 4.0, 1.0]; rows * columns],
        };
        ViewField::new(&features, &vec![true; rows * columns], &view, &[0.0; CHANNELS])
    }
}

fn prior() -> RegistrationPrior {
    RegistrationPrior { rotation_sigma_rad: 0.1, log_scale_sigma: 0.03, seed: 1 }
}

#[test]
fn the_way_is_found_without_a_prediction_as_far_as_half_the_view() {
    let ground = Ground::new(3, None);
    let then = ground.seen_from([100.0, 200.0], 0.0);
    for (moved, turned) in
        [([0.0, 0.0], 0.0), ([3.3, -1.7], 0.02), ([45.0, 10.0], 0.03), ([-20.0, 38.0], -0.03), ([52.0, 0.0], 0.0)]
    {
        let now = ground.seen_from([100.0 + moved[0], 200.0 + moved[1]], turned);
        let found = register(&now, &then, &prior()).unwrap();
        let off = found.moved_m - Vector2::from(moved);
        assert!(off.norm() < 0.4, "{moved:?} {turned}: {off:?}");
        assert!((found.rotation_rad + turned).abs() < 0.01, "{turned} {}", found.rotation_rad);
        let nis = (off.transpose() * found.covariance_m2.try_inverse().unwrap() * off)[(0, 0)];
        assert!(nis < 16.0, "{moved:?}: {off:?} of {}", found.covariance_m2);
        assert!(found.covariance_m2.symmetric_eigenvalues().max() < 1.0);
    }
}

#[test]
fn other_ground_no_overlap_and_repeated_ground_tell_no_way() {
    let ground = Ground::new(3, None);
    let then = ground.seen_from([0.0, 0.0], 0.0);
    assert!(register(&ground.seen_from([400.0, 0.0], 0.0), &then, &prior()).is_err());
    assert!(register(&Ground::new(4, None).seen_from([0.0, 0.0], 0.0), &then, &prior()).is_err());
    let repeated = Ground::new(5, Some(30.0));
    let (then, now) = (repeated.seen_from([0.0, 0.0], 0.0), repeated.seen_from([15.0, 0.0], 0.0));
    assert_eq!(register(&now, &then, &prior()), Err(Unregistered::Ambiguous));
}

#[test]
fn views_of_other_scales_are_refused() {
    let ground = Ground::new(3, None);
    let (now, mut then) = (ground.seen_from([0.0, 0.0], 0.0), ground.seen_from([0.0, 0.0], 0.0));
    then.cell_m = 4.0;
    assert_eq!(register(&now, &then, &prior()), Err(Unregistered::OtherScale));
}

#[test]
fn errors_of_the_way_have_the_size_that_its_covariance_says() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut sum = 0.0;
    const TRIALS: usize = 300;
    for _ in 0..TRIALS {
        let mut number = |scale: f64| (rng.random::<f64>() - 0.5) * scale;
        // Matches of a shift, errors shared by patches of 25 m.
        let shared: Vec<[f64; 2]> = (0..16).map(|_| [number(2.0), number(2.0)]).collect();
        let matches: Vec<(GuidedMatch, f64)> = (0..400)
            .map(|i| {
                let p = [f64::from(i % 20) * 5.0 + 2.5, f64::from(i / 20) * 5.0 + 2.5];
                let patch = &shared[(p[1] / 25.0) as usize * 4 + (p[0] / 25.0) as usize];
                let map_m = [p[0] + 20.0 + patch[0] + number(1.0), p[1] - 10.0 + patch[1] + number(1.0)];
                (GuidedMatch { view_m: p, map_m, similarity: 1.0, weight: 1.0 }, if i % 3 == 0 { 0.2 } else { 1.0 })
            })
            .collect();
        let fitted = fit(&matches, CELL_M, &prior()).unwrap();
        let covariance = fitted.way_covariance(&matches, CELL_M, &prior()).unwrap();
        let off = fitted.moved_m() - Vector2::new(20.0, -10.0);
        sum += (off.transpose() * covariance.try_inverse().unwrap() * off)[(0, 0)];
    }
    let mean = sum / TRIALS as f64;
    // Two of a chi-squared distribution; few clusters make it vary.
    assert!((1.0..3.5).contains(&mean), "{mean}");
}
