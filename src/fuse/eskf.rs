//! Error-state Kalman filter after Solà 2017 (arXiv 1711.02508): position, velocity, attitude, accelerometer and gyroscope bias; the lean
//! of the camera and the offset of the map, two errors that all fixes share.
//!
//! The nominal state lives in an east-north-up plane; the error state is (δp, δv, δθ, δa_b, δω_b, δlean, δoffset), the attitude error a
//! rotation vector in the body frame (Solà's local form). Updates use the Joseph form; the attitude error is injected with the reset
//! Jacobian `I − [δθ/2]×` (Solà eq. 287).
//!
//! The lean (see [`FreePose`]) walks slowly. The map's offset, which nothing but another source of positions could tell from the
//! position, is a first-order Gauss–Markov process: what a map is off by here it is off by next door, less and less.

use nalgebra::{Matrix3, SMatrix, SVector, UnitQuaternion, Vector2, Vector3, Vector4};

use crate::types::FreePose;

/// Size of the error state.
pub const STATES: usize = 19;
/// Where the lean begins in the error state.
pub const LEAN: usize = 15;
/// Where the map's offset begins in the error state.
pub const MAP_OFFSET: usize = 17;
/// A covariance of the error state.
pub type Covariance = SMatrix<f64, STATES, STATES>;
/// An error state.
pub type ErrorState = SVector<f64, STATES>;

/// The nominal state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Position in the plane, metres east, north, up.
    pub position_m: Vector3<f64>,
    /// Velocity, m/s.
    pub velocity_m_s: Vector3<f64>,
    /// Attitude: rotation from body (forward-right-down) to east-north-up.
    pub enu_from_body: UnitQuaternion<f64>,
    /// Accelerometer bias, m/s², body frame.
    pub accel_bias_m_s2: Vector3<f64>,
    /// Gyroscope bias, rad/s, body frame.
    pub gyro_bias_rad_s: Vector3<f64>,
    /// Lean of the camera, tangents to the right and down in the image.
    pub lean: Vector2<f64>,
    /// What the map shows, less where it is, metres east and north.
    pub map_offset_m: Vector2<f64>,
}

impl State {
    /// The state with an error added.
    pub fn plus(&self, error: &ErrorState) -> Self {
        let part = |i: usize| Vector3::new(error[i], error[i + 1], error[i + 2]);
        let turned = self.enu_from_body * UnitQuaternion::from_scaled_axis(part(6));
        Self {
            position_m: self.position_m + part(0),
            velocity_m_s: self.velocity_m_s + part(3),
            enu_from_body: UnitQuaternion::new_normalize(turned.into_inner()),
            accel_bias_m_s2: self.accel_bias_m_s2 + part(9),
            gyro_bias_rad_s: self.gyro_bias_rad_s + part(12),
            lean: self.lean + Vector2::new(error[LEAN], error[LEAN + 1]),
            map_offset_m: self.map_offset_m + Vector2::new(error[MAP_OFFSET], error[MAP_OFFSET + 1]),
        }
    }

    /// The error that leads from another state to this one: the inverse of [`State::plus`].
    pub fn minus(&self, from: &Self) -> ErrorState {
        let mut error = ErrorState::zeros();
        let mut put = |at: usize, v: Vector3<f64>| error.fixed_rows_mut::<3>(at).copy_from(&v);
        put(0, self.position_m - from.position_m);
        put(3, self.velocity_m_s - from.velocity_m_s);
        put(6, (from.enu_from_body.inverse() * self.enu_from_body).scaled_axis());
        put(9, self.accel_bias_m_s2 - from.accel_bias_m_s2);
        put(12, self.gyro_bias_rad_s - from.gyro_bias_rad_s);
        error.fixed_rows_mut::<2>(LEAN).copy_from(&(self.lean - from.lean));
        error.fixed_rows_mut::<2>(MAP_OFFSET).copy_from(&(self.map_offset_m - from.map_offset_m));
        error
    }
}

/// Noise of an IMU and of what is not measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseDensities {
    /// Accelerometer white noise, m/s²/√Hz.
    pub accel: f64,
    /// Gyroscope white noise, rad/s/√Hz.
    pub gyro: f64,
    /// Accelerometer bias random walk, m/s³/√Hz.
    pub accel_bias: f64,
    /// Gyroscope bias random walk, rad/s²/√Hz.
    pub gyro_bias: f64,
    /// Acceleration of an aircraft whose IMU is not there, m/s²/√Hz.
    pub unmeasured_accel: f64,
    /// Its turning, rad/s/√Hz.
    pub unmeasured_turn: f64,
    /// Random walk of the camera's lean, rad/√s.
    pub lean_walk: f64,
    /// What a frame's lean differs from the lasting one by, 1 sigma an axis, radians: a gimbal that swings, an attitude that is off.
    pub lean_jitter: f64,
    /// The map's offset, 1 sigma an axis, metres.
    pub map_offset_m: f64,
    /// Time in which it becomes another one, seconds.
    pub map_offset_time_s: f64,
}

impl Default for NoiseDensities {
    /// A consumer MEMS unit on a vibrating airframe, and a multirotor that brakes and turns at will. The lean walks by half a degree in
    /// a minute; a map is off by as much as satellite imagery typically is, over some kilometres.
    fn default() -> Self {
        Self {
            accel: 0.03,
            gyro: 2e-3,
            accel_bias: 2e-3,
            gyro_bias: 1e-4,
            unmeasured_accel: 1.5,
            unmeasured_turn: 0.3,
            lean_walk: 1.1e-3,
            lean_jitter: 0.0175,
            map_offset_m: 2.5,
            map_offset_time_s: 300.0,
        }
    }
}

/// Gravity on the WGS84 ellipsoid at a latitude, m/s² (Somigliana).
pub fn gravity_m_s2(lat_deg: f64) -> f64 {
    let s = lat_deg.to_radians().sin().powi(2);
    9.780_325_335_9 * (1.0 + 0.001_931_852_652_41 * s) / (1.0 - crate::geo::wgs84::ECCENTRICITY_SQUARED * s).sqrt()
}

/// The filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Eskf {
    /// Nominal state.
    pub state: State,
    /// Covariance of the error state.
    pub covariance: Covariance,
    /// Gravity, m/s², downwards.
    pub gravity_m_s2: f64,
    /// Noise.
    pub noise: NoiseDensities,
    /// Product of the transitions since somebody began to ask for it, for a smoother.
    pub transition: Option<Box<Covariance>>,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// Used; squared Mahalanobis distance of the innovation.
    Used(f64),
    /// Beyond the gate; squared Mahalanobis distance of the innovation.
    Gated(f64),
    /// Not finite, or its covariance is not positive definite; the state is untouched.
    Refused,
}

fn skew(v: &Vector3<f64>) -> Matrix3<f64> {
    v.cross_matrix()
}

impl Eskf {
    /// Advances by `dt_s` with specific force and angular rate measured in the body frame.
    pub fn predict(&mut self, accel_m_s2: &Vector3<f64>, gyro_rad_s: &Vector3<f64>, dt_s: f64) {
        let s = &mut self.state;
        let force = accel_m_s2 - s.accel_bias_m_s2;
        let rate = gyro_rad_s - s.gyro_bias_rad_s;
        let rotation = s.enu_from_body.to_rotation_matrix().into_inner();
        let acceleration = rotation * force - Vector3::new(0.0, 0.0, self.gravity_m_s2);
        s.position_m += s.velocity_m_s * dt_s + acceleration * (0.5 * dt_s * dt_s);
        s.velocity_m_s += acceleration * dt_s;
        let turn = UnitQuaternion::from_scaled_axis(rate * dt_s);
        s.enu_from_body = UnitQuaternion::new_normalize((s.enu_from_body * turn).into_inner());

        let mut f = Covariance::identity();
        f.fixed_view_mut::<3, 3>(0, 3).copy_from(&(Matrix3::identity() * dt_s));
        f.fixed_view_mut::<3, 3>(3, 6).copy_from(&(-rotation * skew(&force) * dt_s));
        f.fixed_view_mut::<3, 3>(3, 9).copy_from(&(-rotation * dt_s));
        f.fixed_view_mut::<3, 3>(6, 6).copy_from(&turn.inverse().to_rotation_matrix().into_inner());
        f.fixed_view_mut::<3, 3>(6, 12).copy_from(&(-Matrix3::identity() * dt_s));
        let n = self.noise;
        self.propagate(f, [0.0, n.accel, n.gyro, n.accel_bias, n.gyro_bias], dt_s);
    }

    /// Advances by `dt_s` without an IMU: constant velocity and attitude, white acceleration and turning.
    pub fn predict_unmeasured(&mut self, dt_s: f64) {
        self.state.position_m += self.state.velocity_m_s * dt_s;
        let mut f = Covariance::identity();
        f.fixed_view_mut::<3, 3>(0, 3).copy_from(&(Matrix3::identity() * dt_s));
        let n = self.noise;
        self.propagate(f, [0.0, n.unmeasured_accel, n.unmeasured_turn, 0.0, 0.0], dt_s);
        // White acceleration over a long step also moves the position: its exact discrete form, not the first order.
        let q = n.unmeasured_accel * n.unmeasured_accel;
        for i in 0..3 {
            self.covariance[(i, i)] += q * dt_s.powi(3) / 3.0;
            self.covariance[(i, i + 3)] += q * dt_s.powi(2) / 2.0;
            self.covariance[(i + 3, i)] += q * dt_s.powi(2) / 2.0;
        }
    }

    fn propagate(&mut self, mut f: Covariance, densities: [f64; 5], dt_s: f64) {
        let n = self.noise;
        let kept = (-dt_s / n.map_offset_time_s).exp();
        self.state.map_offset_m *= kept;
        for i in 0..2 {
            f[(MAP_OFFSET + i, MAP_OFFSET + i)] = kept;
        }
        self.covariance = f * self.covariance * f.transpose();
        if let Some(transition) = &mut self.transition {
            **transition = f * **transition;
        }
        for i in 0..2 {
            self.covariance[(LEAN + i, LEAN + i)] += n.lean_walk * n.lean_walk * dt_s;
            self.covariance[(MAP_OFFSET + i, MAP_OFFSET + i)] += n.map_offset_m * n.map_offset_m * (1.0 - kept * kept);
        }
        for (block, density) in densities.iter().enumerate() {
            for i in 0..3 {
                self.covariance[(3 * block + i, 3 * block + i)] += density * density * dt_s;
            }
        }
        self.symmetrise();
    }

    fn symmetrise(&mut self) {
        self.covariance = (self.covariance + self.covariance.transpose()) * 0.5;
    }

    /// Fuses a linear measurement: `innovation = z − h(x)`, its Jacobian with respect to the error state, its covariance. Beyond
    /// `gate` (squared Mahalanobis distance) the state stays as it was.
    pub fn update<const M: usize>(
        &mut self,
        innovation: &SVector<f64, M>,
        jacobian: &SMatrix<f64, M, STATES>,
        covariance: &SMatrix<f64, M, M>,
        gate: f64,
    ) -> Update {
        if !innovation.iter().chain(covariance.iter()).all(|v| v.is_finite()) || covariance.cholesky().is_none() {
            return Update::Refused;
        }
        let s = jacobian * self.covariance * jacobian.transpose() + covariance;
        let Some(s_inverse) = s.try_inverse() else { return Update::Refused };
        let nis = (innovation.transpose() * s_inverse * innovation)[(0, 0)];
        if !(nis >= 0.0) {
            return Update::Refused;
        }
        if nis > gate {
            return Update::Gated(nis);
        }
        let gain = self.covariance * jacobian.transpose() * s_inverse;
        let error: ErrorState = gain * innovation;
        let keep = Covariance::identity() - gain * jacobian;
        self.covariance = keep * self.covariance * keep.transpose() + gain * covariance * gain.transpose();
        self.inject(&error);
        Update::Used(nis)
    }

    fn inject(&mut self, error: &ErrorState) {
        let turn = Vector3::new(error[6], error[7], error[8]);
        self.state = self.state.plus(error);
        let mut reset = Covariance::identity();
        reset.fixed_view_mut::<3, 3>(6, 6).copy_from(&(Matrix3::identity() - skew(&(turn * 0.5))));
        self.covariance = reset * self.covariance * reset.transpose();
        self.symmetrise();
    }

    /// Fuses a frame's pose, whose camera lies at `en_m`, metres east and north.
    pub fn update_pose(&mut self, en_m: &Vector2<f64>, pose: &FreePose, gate: f64) -> Update {
        let mut h = SMatrix::<f64, 4, STATES>::zeros();
        for i in 0..2 {
            h[(i, i)] = 1.0;
            h[(i, MAP_OFFSET + i)] = 1.0;
            h[(2 + i, LEAN + i)] = 1.0;
        }
        let place = en_m - self.state.position_m.xy() - self.state.map_offset_m;
        let lean = pose.lean - self.state.lean;
        let jitter = self.noise.lean_jitter * self.noise.lean_jitter;
        let covariance = pose.covariance + SMatrix::<f64, 4, 4>::from_diagonal(&Vector4::new(0.0, 0.0, jitter, jitter));
        self.update(&Vector4::new(place.x, place.y, lean.x, lean.y), &h, &covariance, gate)
    }

    /// Fuses a horizontal position, metres east and north.
    pub fn update_position(&mut self, en_m: &Vector2<f64>, covariance: &nalgebra::Matrix2<f64>, gate: f64) -> Update {
        let mut h = SMatrix::<f64, 2, STATES>::zeros();
        h[(0, 0)] = 1.0;
        h[(1, 1)] = 1.0;
        self.update(&(en_m - self.state.position_m.xy()), &h, covariance, gate)
    }

    /// Fuses a height in the plane.
    pub fn update_height(&mut self, up_m: f64, sigma_m: f64, gate: f64) -> Update {
        let mut h = SMatrix::<f64, 1, STATES>::zeros();
        h[(0, 2)] = 1.0;
        let innovation = SVector::<f64, 1>::new(up_m - self.state.position_m.z);
        self.update(&innovation, &h, &SMatrix::<f64, 1, 1>::new(sigma_m * sigma_m), gate)
    }

    /// Fuses an attitude: the rotation vector between state and measurement, in the body frame.
    pub fn update_attitude(&mut self, enu_from_body: &UnitQuaternion<f64>, sigma_rad: f64, gate: f64) -> Update {
        let mut h = SMatrix::<f64, 3, STATES>::zeros();
        h.fixed_view_mut::<3, 3>(0, 6).copy_from(&Matrix3::identity());
        let innovation = (self.state.enu_from_body.inverse() * enu_from_body).scaled_axis();
        self.update(&innovation, &h, &(Matrix3::identity() * sigma_rad * sigma_rad), gate)
    }

    /// Fuses a heading (clockwise from north).
    pub fn update_heading(&mut self, heading_rad: f64, sigma_rad: f64, gate: f64) -> Update {
        let (now, _, _) = crate::camera::heading_pitch_roll(&self.state.enu_from_body);
        let turn = (heading_rad - now + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI;
        // A heading clockwise from north is a rotation about "down"; seen from the body that axis is Rᵀ·down.
        let down_in_body = self.state.enu_from_body.inverse() * Vector3::new(0.0, 0.0, -1.0);
        let mut h = SMatrix::<f64, 1, STATES>::zeros();
        h.fixed_view_mut::<1, 3>(0, 6).copy_from(&down_in_body.transpose());
        self.update(&SVector::<f64, 1>::new(turn), &h, &SMatrix::<f64, 1, 1>::new(sigma_rad * sigma_rad), gate)
    }

    /// Standard deviation of an element of the error state.
    pub fn sigma(&self, element: usize) -> f64 {
        self.covariance[(element, element)].max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::enu_from_body;
    use nalgebra::Matrix2;

    fn filter() -> Eskf {
        let state = State {
            position_m: Vector3::new(1.0, 2.0, 100.0),
            velocity_m_s: Vector3::new(5.0, -3.0, 0.5),
            enu_from_body: enu_from_body(0.7, 0.1, -0.2),
            accel_bias_m_s2: Vector3::new(0.05, -0.02, 0.03),
            gyro_bias_rad_s: Vector3::new(0.001, 0.002, -0.001),
            lean: Vector2::new(0.02, -0.05),
            map_offset_m: Vector2::new(1.0, -2.0),
        };
        let noise = NoiseDensities::default();
        Eskf { state, covariance: Covariance::identity() * 0.5, gravity_m_s2: 9.81, noise, transition: None }
    }

    /// State after an error is injected.
    fn perturbed(filter: &Eskf, error: &ErrorState) -> Eskf {
        let mut out = filter.clone();
        out.inject(error);
        out
    }

    #[test]
    fn the_transition_of_the_covariance_equals_finite_differences() {
        let (accel, gyro, dt) = (Vector3::new(0.3, -0.2, -9.6), Vector3::new(0.1, -0.3, 0.2), 1e-3);
        let mut clean = filter();
        let n = clean.noise;
        let silent = NoiseDensities { accel: 0.0, gyro: 0.0, accel_bias: 0.0, gyro_bias: 0.0, ..n };
        clean.noise = NoiseDensities { lean_walk: 0.0, map_offset_m: 0.0, map_offset_time_s: 0.5, ..silent };
        let mut base = clean.clone();
        base.predict(&accel, &gyro, dt);
        let mut f = Covariance::zeros();
        for k in 0..STATES {
            let mut e = ErrorState::zeros();
            e[k] = 1e-5;
            let (mut plus, mut minus) = (perturbed(&clean, &e), perturbed(&clean, &-e));
            plus.predict(&accel, &gyro, dt);
            minus.predict(&accel, &gyro, dt);
            f.set_column(k, &(plus.state.minus(&minus.state) / 2e-5));
        }
        let expected = f * clean.covariance * f.transpose();
        assert!((expected - base.covariance).abs().max() < 1e-5, "{}", (expected - base.covariance).abs().max());
    }

    #[test]
    fn a_hovering_body_stays_where_it_is() {
        let mut f = filter();
        f.state.velocity_m_s = Vector3::zeros();
        let force = f.state.enu_from_body.inverse() * Vector3::new(0.0, 0.0, 9.81) + f.state.accel_bias_m_s2;
        let rate = f.state.gyro_bias_rad_s;
        let start = f.state.position_m;
        for _ in 0..1000 {
            f.predict(&force, &rate, 0.005);
        }
        assert!((f.state.position_m - start).norm() < 1e-6);
    }

    #[test]
    fn a_measurement_that_is_not_finite_or_has_no_covariance_leaves_the_state_untouched() {
        let before = filter();
        for (z, p) in [
            (Vector2::new(f64::NAN, 0.0), Matrix2::identity()),
            (Vector2::new(0.0, 0.0), -Matrix2::identity()),
            (Vector2::new(0.0, 0.0), Matrix2::new(1.0, f64::INFINITY, 0.0, 1.0)),
        ] {
            let mut f = before.clone();
            assert_eq!(f.update_position(&z, &p, 1e9), Update::Refused);
            assert_eq!(f, before);
        }
    }

    #[test]
    fn a_far_measurement_is_gated() {
        let before = filter();
        let mut f = before.clone();
        assert!(matches!(f.update_position(&Vector2::new(500.0, 0.0), &Matrix2::identity(), 13.8), Update::Gated(_)));
        assert_eq!(f, before);
    }

    #[test]
    fn the_covariance_stays_symmetric_and_positive() {
        let mut f = filter();
        for i in 0..20_000 {
            f.predict(&Vector3::new(0.1, 0.0, -9.8), &Vector3::new(0.0, 0.01, 0.3), 0.005);
            if i % 100 == 0 {
                let p = f.state.position_m.xy() + Vector2::new(0.3, -0.2);
                f.update_position(&p, &Matrix2::new(4.0, 1.0, 1.0, 3.0), 1e9);
                f.update_heading(f64::from(i) * 0.001, 0.1, 1e9);
                f.update_height(100.0, 2.0, 1e9);
            }
        }
        assert_eq!(f.covariance, f.covariance.transpose());
        assert!(f.covariance.symmetric_eigenvalues().min() > -1e-9);
    }

    #[test]
    fn a_heading_update_turns_towards_the_measurement() {
        let mut f = filter();
        f.update_heading(0.9, 0.01, 1e9);
        let (heading, pitch, roll) = crate::camera::heading_pitch_roll(&f.state.enu_from_body);
        assert!((heading - 0.9).abs() < 0.01, "{heading}");
        assert!((pitch - 0.1).abs() < 0.02 && (roll + 0.2).abs() < 0.02);
    }

    /// Without an IMU the horizontal filter is linear: it must equal an independent Kalman filter.
    #[test]
    fn without_an_imu_it_equals_the_constant_velocity_filter_of_another_library() {
        use adskalman::{KalmanFilterNoControl, ObservationModel, StateAndCovariance, TransitionModelLinearNoControl};
        use nalgebra as na;
        struct Motion(f64, f64);
        impl TransitionModelLinearNoControl<f64, na::U4> for Motion {
            fn F(&self) -> &na::Matrix4<f64> {
                Box::leak(Box::new(na::Matrix4::new(
                    1.0, 0.0, self.0, 0.0, 0.0, 1.0, 0.0, self.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0,
                )))
            }
            fn FT(&self) -> &na::Matrix4<f64> {
                Box::leak(Box::new(self.F().transpose()))
            }
            fn Q(&self) -> &na::Matrix4<f64> {
                let (t, q) = (self.0, self.1 * self.1);
                let (a, b, c) = (q * t.powi(3) / 3.0, q * t * t / 2.0, q * t);
                Box::leak(Box::new(na::Matrix4::new(a, 0.0, b, 0.0, 0.0, a, 0.0, b, b, 0.0, c, 0.0, 0.0, b, 0.0, c)))
            }
        }
        struct Position(na::Matrix2<f64>);
        impl ObservationModel<f64, na::U4, na::U2> for Position {
            fn H(&self) -> &na::Matrix2x4<f64> {
                Box::leak(Box::new(na::Matrix2x4::new(1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)))
            }
            fn HT(&self) -> &na::Matrix4x2<f64> {
                Box::leak(Box::new(self.H().transpose()))
            }
            fn R(&self) -> &na::Matrix2<f64> {
                &self.0
            }
        }
        let mut ours = filter();
        ours.covariance = Covariance::identity() * 4.0;
        let s = ours.state;
        let mut theirs = StateAndCovariance::new(
            na::Vector4::new(s.position_m.x, s.position_m.y, s.velocity_m_s.x, s.velocity_m_s.y),
            na::Matrix4::identity() * 4.0,
        );
        for i in 0..50 {
            let dt = 0.5 + 0.1 * f64::from(i % 3);
            let z = Vector2::new(5.0 * f64::from(i) * 0.6 + f64::from(i % 7), -3.0 * f64::from(i) * 0.6 - f64::from(i % 5));
            let r = Matrix2::new(9.0, 2.0, 2.0, 16.0);
            ours.predict_unmeasured(dt);
            ours.update_position(&z, &r, 1e12);
            let (motion, position) = (Motion(dt, ours.noise.unmeasured_accel), Position(r));
            theirs = KalmanFilterNoControl::new(&motion, &position).step(&theirs, &z).unwrap();
            let state = theirs.state();
            assert!((ours.state.position_m.xy() - state.xy()).norm() < 1e-8);
            assert!((ours.covariance[(0, 0)] - theirs.covariance()[(0, 0)]).abs() < 1e-8);
        }
    }
}
