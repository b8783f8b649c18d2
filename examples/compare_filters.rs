//! This project's filter beside two others on a recorded flight, all fed the same: the `eskf` crate (the same kind of filter, f32), and a
//! constant-velocity Kalman filter made with `adskalman`, which has no IMU.
//!
//! ```text
//! cargo run --release --example compare_filters -- FOLDER [RUNS]
//! ```

use std::path::PathBuf;
use std::time::Duration;

use adskalman::{KalmanFilterNoControl, ObservationModel, StateAndCovariance, TransitionModelLinearNoControl};
use nalgebra::{Matrix3, Matrix3x6, Matrix6, Matrix6x3, U3, U6, UnitQuaternion, Vector3, Vector6};
use skyfix::eval::inertial::report::comparison;
use skyfix::eval::inertial::{
    PositionFilter, Recorded, START_SIGMAS, Scoring, Start, Winged, Wings, begin, compare, compare_own, score,
};
use skyfix::fuse::NoiseDensities;
use skyfix::fuse::measurement::{Attitude, Observation};
use skyfix::time::seconds_between;
use skyfix::types::ImuSample;

/// Acceleration of an aeroplane that circles, m/s²/√Hz: 30° of bank are 5.7 m/s². With less, the gate shuts it out of its own turns.
const TURNING: f64 = 6.0;
/// Beyond this squared Mahalanobis distance (99.9 % of three dimensions) no filter takes a fix.
const GATE: f64 = 16.27;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder: PathBuf = arguments.next().ok_or("give the folder of the flight")?.into();
    let runs = arguments.next().map_or(Ok(5), |n| n.parse())?;
    let flight = Recorded::read(&folder)?;
    let scoring = Scoring { runs, ..Scoring::default() };
    let runs = scoring.runs(&flight)?;
    for wings in [scoring.wings, None] {
        println!("{}", score(&Scoring { wings, ..scoring }, &runs).table());
    }
    let noise = scoring.noise;
    println!(
        "{}",
        comparison(&[
            compare_own("skyfix, with wings", &runs, &noise, scoring.wings),
            compare_own("skyfix, IMU and fixes alone", &runs, &noise, None),
            compare("the same, told the reference attitude", &runs, |start| Told::begin(start, &noise, &flight.attitude)),
            compare("eskf 0.2, gated", &runs, |start| Other::begin(start, &noise)),
            compare("constant velocity, adskalman, gated", &runs, |start| Straight::begin(start, TURNING)),
        ])
    );
    Ok(())
}

/// This project's filter, told at each moment what no filter has: the attitude that the flight's own reference was given afterwards. What
/// is left of its error is not for a better estimate of attitude to take away.
#[derive(Clone)]
struct Told<'a> {
    filter: Winged,
    attitude: &'a [(i64, UnitQuaternion<f64>)],
}

/// 1 sigma an axis of an attitude that is told, radians: the reference's degree lasts for a second, and it is told ten times in one.
const TOLD_SIGMA_RAD: f64 = 0.052;

impl<'a> Told<'a> {
    fn begin(start: &Start, noise: &NoiseDensities, attitude: &'a [(i64, UnitQuaternion<f64>)]) -> Self {
        let after = attitude.partition_point(|(stamp_ns, _)| *stamp_ns <= start.stamp_ns);
        Self { filter: Winged::new(begin(start, noise), Wings::default()), attitude: attitude.get(after..).unwrap_or_default() }
    }
}

impl PositionFilter for Told<'_> {
    fn take_sample(&mut self, sample: &ImuSample) {
        while let Some(((stamp_ns, enu_from_body), rest)) = self.attitude.split_first().filter(|(a, _)| a.0 <= sample.stamp_ns) {
            let told = Attitude { enu_from_body: *enu_from_body, sigma_rad: TOLD_SIGMA_RAD };
            if *stamp_ns >= self.filter.navigator.stamp_ns {
                self.filter.navigator.measure(*stamp_ns, &Observation::Attitude(told));
            }
            self.attitude = rest;
        }
        self.filter.take_sample(sample);
    }

    fn take_fix(&mut self, stamp_ns: i64, position_m: &Vector3<f64>, sigma_m: f64) {
        self.filter.take_fix(stamp_ns, position_m, sigma_m);
    }

    fn place_m(&self, stamp_ns: i64) -> Vector3<f64> {
        self.filter.place_m(stamp_ns)
    }
}

/// The `eskf` crate: north, east, down, as its gravity demands.
#[derive(Clone)]
struct Other {
    filter: eskf::ESKF,
    last: Option<ImuSample>,
    stamp_ns: i64,
}

/// Between east-north-up and north-east-down; its own inverse.
fn swapped(v: &Vector3<f64>) -> [f32; 3] {
    [v.y as f32, v.x as f32, -v.z as f32]
}

type V3 = old_nalgebra::Vector3<f32>;

impl Other {
    fn begin(start: &Start, noise: &NoiseDensities) -> Self {
        // Its noise of a step is the variance times dt²: that of a step of 20 ms.
        let step = 0.02f64.sqrt();
        let mut filter = eskf::Builder::new()
            .acceleration_variance((noise.accel / step) as f32)
            .rotation_variance((noise.gyro / step) as f32)
            .acceleration_bias(noise.accel_bias as f32)
            .rotation_bias(noise.gyro_bias as f32)
            // One number for all of its states; that of the attitude, which it needs most.
            .initial_covariance((START_SIGMAS[2] * START_SIGMAS[2]) as f32)
            .build();
        let ned_from_enu = nalgebra::Rotation3::from_matrix_unchecked(Matrix3::new(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0));
        let q = nalgebra::UnitQuaternion::from_rotation_matrix(&(ned_from_enu * start.enu_from_body.to_rotation_matrix()));
        let [x, y, z] = swapped(&start.position_m);
        filter.position = old_nalgebra::Point3::new(x, y, z);
        filter.velocity = V3::from(swapped(&start.velocity_m_s));
        filter.orientation = old_nalgebra::UnitQuaternion::from_quaternion(old_nalgebra::Quaternion::new(
            q.w as f32, q.i as f32, q.j as f32, q.k as f32,
        ));
        filter.gravity = V3::new(0.0, 0.0, start.gravity_m_s2 as f32);
        Self { filter, last: None, stamp_ns: start.stamp_ns }
    }

    fn go(&mut self, accel: &Vector3<f64>, gyro: &Vector3<f64>, stamp_ns: i64) {
        let dt = seconds_between(self.stamp_ns, stamp_ns).max(0.0);
        let single = |v: &Vector3<f64>| V3::new(v.x as f32, v.y as f32, v.z as f32);
        self.filter.predict(single(accel), single(gyro), Duration::from_secs_f64(dt));
        self.stamp_ns = stamp_ns;
    }
}

impl PositionFilter for Other {
    fn take_sample(&mut self, sample: &ImuSample) {
        // Gaps bridged as this project's filter bridges them.
        let bridged = self.last.filter(|_| seconds_between(self.stamp_ns, sample.stamp_ns) > 0.06);
        let (accel, gyro) = bridged.map_or((sample.accel_m_s2, sample.gyro_rad_s), |last| {
            ((last.accel_m_s2 + sample.accel_m_s2) * 0.5, (last.gyro_rad_s + sample.gyro_rad_s) * 0.5)
        });
        self.go(&accel, &gyro, sample.stamp_ns);
        self.last = Some(*sample);
    }

    fn take_fix(&mut self, stamp_ns: i64, position_m: &Vector3<f64>, sigma_m: f64) {
        if let Some(last) = self.last {
            self.go(&last.accel_m_s2, &last.gyro_rad_s, stamp_ns);
        }
        let [x, y, z] = swapped(position_m);
        let measured = old_nalgebra::Point3::new(x, y, z);
        let variance = eskf::ESKF::variance_from_element((sigma_m * sigma_m) as f32);
        // It has no gate and shows but the diagonal of its covariance.
        let innovation = measured - self.filter.position;
        let sigma = self.filter.position_uncertainty();
        let nis: f32 = (0..3).map(|i| innovation[i].powi(2) / (sigma[i].powi(2) + variance[(i, i)])).sum();
        if f64::from(nis) <= GATE && self.filter.observe_position(measured, variance).is_err() {
            eprintln!("eskf refused a fix");
        }
    }

    fn place_m(&self, stamp_ns: i64) -> Vector3<f64> {
        let mut there = self.clone();
        if let Some(last) = self.last {
            there.go(&last.accel_m_s2, &last.gyro_rad_s, stamp_ns);
        }
        let p = there.filter.position;
        Vector3::new(f64::from(p.y), f64::from(p.x), -f64::from(p.z))
    }
}

/// Constant velocity.
#[derive(Clone)]
struct Straight {
    state: StateAndCovariance<f64, U6>,
    stamp_ns: i64,
    accel: f64,
}

/// A step of constant velocity under white acceleration.
struct Motion {
    f: Matrix6<f64>,
    ft: Matrix6<f64>,
    q: Matrix6<f64>,
}

impl Motion {
    fn over(dt: f64, accel: f64) -> Self {
        let (mut f, mut q) = (Matrix6::identity(), Matrix6::zeros());
        let density = accel * accel;
        for i in 0..3 {
            f[(i, i + 3)] = dt;
            q[(i, i)] = density * dt.powi(3) / 3.0;
            q[(i, i + 3)] = density * dt.powi(2) / 2.0;
            q[(i + 3, i)] = density * dt.powi(2) / 2.0;
            q[(i + 3, i + 3)] = density * dt;
        }
        Self { f, ft: f.transpose(), q }
    }
}

impl TransitionModelLinearNoControl<f64, U6> for Motion {
    fn F(&self) -> &Matrix6<f64> {
        &self.f
    }
    fn FT(&self) -> &Matrix6<f64> {
        &self.ft
    }
    fn Q(&self) -> &Matrix6<f64> {
        &self.q
    }
}

struct Position {
    h: Matrix3x6<f64>,
    ht: Matrix6x3<f64>,
    r: Matrix3<f64>,
}

impl ObservationModel<f64, U6, U3> for Position {
    fn H(&self) -> &Matrix3x6<f64> {
        &self.h
    }
    fn HT(&self) -> &Matrix6x3<f64> {
        &self.ht
    }
    fn R(&self) -> &Matrix3<f64> {
        &self.r
    }
}

impl Straight {
    fn begin(start: &Start, accel: f64) -> Self {
        let (p, v) = (start.position_m, start.velocity_m_s);
        let [position, velocity, ..] = START_SIGMAS.map(|s| s * s);
        let covariance = Matrix6::from_diagonal(&Vector6::new(position, position, position, velocity, velocity, velocity));
        let state = StateAndCovariance::new(Vector6::new(p.x, p.y, p.z, v.x, v.y, v.z), covariance);
        Self { state, stamp_ns: start.stamp_ns, accel }
    }
}

impl PositionFilter for Straight {
    fn take_sample(&mut self, _: &ImuSample) {}

    fn take_fix(&mut self, stamp_ns: i64, position_m: &Vector3<f64>, sigma_m: f64) {
        let motion = Motion::over(seconds_between(self.stamp_ns, stamp_ns), self.accel);
        let predicted = motion.predict(&self.state);
        self.stamp_ns = stamp_ns;
        let h = Matrix3x6::identity();
        let r = Matrix3::identity() * (sigma_m * sigma_m);
        let innovation = position_m - h * predicted.state();
        let s = h * predicted.covariance() * h.transpose() + r;
        let nis = s.try_inverse().map_or(f64::INFINITY, |inverse| (innovation.transpose() * inverse * innovation)[(0, 0)]);
        let model = Position { h, ht: h.transpose(), r };
        let filter = KalmanFilterNoControl::new(&motion, &model);
        self.state = match filter.step(&self.state, position_m) {
            Ok(updated) if nis <= GATE => updated,
            _ => predicted,
        };
    }

    fn place_m(&self, stamp_ns: i64) -> Vector3<f64> {
        let motion = Motion::over(seconds_between(self.stamp_ns, stamp_ns), self.accel);
        (motion.f * self.state.state()).fixed_rows::<3>(0).into_owned()
    }
}
