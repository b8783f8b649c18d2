//! Error-state Kalman filter after Solà 2017 (arXiv 1711.02508): position, velocity, attitude, accelerometer and gyroscope bias; the lean
//! of the camera and the offsets of map and barometer, errors that many measurements share;
//! and the wind.
//!
//! The nominal state lives in an east-north-up plane; the error state is (δp, δv, δθ, δa_b, δω_b, δlean, δoffset, δbaro, δwind), the attitude
//! error a rotation vector in the body frame (Solà's local form). Updates use the Joseph form; the attitude error is injected with the
//! reset Jacobian `I − [δθ/2]×` (Solà eq. 287).
//!
//! The lean (see [`crate::types::FreePose`]) walks slowly. The map's offset, which nothing but another source of positions could tell from
//! the position, is a first-order Gauss–Markov process: what a map is off by here it is off by next door, less and less. So are the
//! barometer's, in time, and the wind.

use nalgebra::{Matrix3, SMatrix, SVector, UnitQuaternion, Vector3};

use super::anchor::Anchor;
use super::noise::{Kept, NoiseDensities};
use super::state::{
    ACCEL_BIAS, ATTITUDE, BARO_OFFSET, Covariance, ErrorState, GYRO_BIAS, LEAN, MAP_OFFSET, STATES, State, VELOCITY, WIND,
    worst_sigma,
};
use super::strays::Doubt;
use super::transition::Transition;
use super::update::{LastSeen, Measurement, Related, Seen, Update, is_covariance};
use crate::geo::{enu_from_body, heading_pitch_roll};

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
    /// The pose that a relative pose will refer to.
    pub anchor: Option<Box<Anchor>>,
    /// The displacement that was used last, while a smoother asks for the transitions.
    pub(super) displaced: Option<Box<Related<2>>>,
    /// The last measurement, whatever came of it.
    pub(super) seen: LastSeen,
}

impl Eskf {
    /// A filter that has measured nothing yet.
    pub fn new(state: State, covariance: Covariance, gravity_m_s2: f64, noise: NoiseDensities) -> Self {
        Self {
            state,
            covariance,
            gravity_m_s2,
            noise,
            transition: None,
            anchor: None,
            displaced: None,
            seen: LastSeen::default(),
        }
    }

    /// Makes an offset's error the height's, with its sign changed, and a noise of its own: it was set by the height.
    pub(super) fn set_offset_by_height(&mut self, offset: usize, sigma: f64) {
        let mut rows = Covariance::identity();
        rows[(offset, offset)] = 0.0;
        rows[(offset, 2)] = -1.0;
        self.covariance = rows * self.covariance * rows.transpose();
        self.covariance[(offset, offset)] += sigma * sigma;
        if let Some(transition) = &mut self.transition {
            **transition = rows * **transition;
        }
        if let Some(anchor) = &mut self.anchor {
            anchor.cross = rows * anchor.cross;
        }
    }

    /// Advances by `dt_s` with specific force and angular rate measured in the body frame, both means over the step.
    pub fn predict(&mut self, accel_m_s2: &Vector3<f64>, gyro_rad_s: &Vector3<f64>, dt_s: f64) {
        let s = &mut self.state;
        let force = accel_m_s2 - s.accel_bias_m_s2;
        let rate = gyro_rad_s - s.gyro_bias_rad_s;
        // The mean force of a step belongs to the attitude halfway through it.
        let half_turn = UnitQuaternion::from_scaled_axis(rate * (0.5 * dt_s));
        let halfway = s.enu_from_body * half_turn;
        let rotation = halfway.to_rotation_matrix().into_inner();
        let acceleration = rotation * force - Vector3::new(0.0, 0.0, self.gravity_m_s2);
        s.position_m += s.velocity_m_s * dt_s + acceleration * (0.5 * dt_s * dt_s);
        s.velocity_m_s += acceleration * dt_s;
        s.enu_from_body = UnitQuaternion::new_normalize((halfway * half_turn).into_inner());
        let kept = self.noise.kept(dt_s);
        let transition = Transition::measured(&force, &rate, &half_turn, &rotation, dt_s, kept);
        self.propagate(&transition, dt_s, kept, [self.noise.accel, self.noise.gyro]);
    }

    /// Adds what is not known of the motion in a gap of T seconds between two samples. A force and a turning that walk at random leave
    /// integrals of variance `q T³/12` about the mean of the two, and of `q T³/3` about the first alone: `cubed_s3` is what `q` is times.
    pub fn add_gap(&mut self, [jerk, turn]: &[Vector3<f64>; 2], cubed_s3: f64) {
        let rotation = self.state.enu_from_body.to_rotation_matrix().into_inner();
        let pushed = rotation * Matrix3::from_diagonal(&(jerk * cubed_s3)) * rotation.transpose();
        let mut velocity = self.covariance.fixed_view_mut::<3, 3>(VELOCITY, VELOCITY);
        velocity += (pushed + pushed.transpose()) * 0.5;
        let mut attitude = self.covariance.fixed_view_mut::<3, 3>(ATTITUDE, ATTITUDE);
        attitude += Matrix3::from_diagonal(&(turn * cubed_s3));
    }

    /// Adds to the variances an axis of velocity, (m/s)², and attitude, rad²: what a sample was noisier by than is assumed.
    pub fn add_scatter(&mut self, [velocity, attitude]: [f64; 2]) {
        for (block, variance) in [(VELOCITY, velocity), (ATTITUDE, attitude)] {
            for i in block..block + 3 {
                self.covariance[(i, i)] += variance;
            }
        }
    }

    /// Advances by `dt_s` without an IMU: constant velocity and attitude, white acceleration and turning.
    pub fn predict_unmeasured(&mut self, dt_s: f64) {
        self.state.position_m += self.state.velocity_m_s * dt_s;
        let n = self.noise;
        let kept = self.noise.kept(dt_s);
        self.propagate(&Transition::unmeasured(dt_s, kept), dt_s, kept, [n.unmeasured_accel, n.unmeasured_turn]);
        // White acceleration over a long step also moves the position: its exact discrete form, not the first order.
        let q = n.unmeasured_accel * n.unmeasured_accel;
        for i in 0..3 {
            self.covariance[(i, i)] += q * dt_s.powi(3) / 3.0;
            self.covariance[(i, VELOCITY + i)] += q * dt_s.powi(2) / 2.0;
            self.covariance[(VELOCITY + i, i)] += q * dt_s.powi(2) / 2.0;
        }
    }

    fn propagate(&mut self, transition: &Transition, dt_s: f64, kept: Kept, [accel, gyro]: [f64; 2]) {
        let n = self.noise;
        let [map_kept, baro_kept, wind_kept] = kept;
        self.state.map_offset_m *= map_kept;
        self.state.baro_offset_m *= baro_kept;
        self.state.wind_m_s *= wind_kept;
        transition.conjugate(&mut self.covariance);
        if let Some(product) = &mut self.transition {
            transition.apply(product);
        }
        if let Some(anchor) = &mut self.anchor {
            transition.apply(&mut anchor.cross);
        }
        for (block, density) in [(VELOCITY, accel), (ATTITUDE, gyro), (ACCEL_BIAS, n.accel_bias), (GYRO_BIAS, n.gyro_bias)] {
            for i in block..block + 3 {
                self.covariance[(i, i)] += density * density * dt_s;
            }
        }
        for i in 0..2 {
            self.covariance[(LEAN + i, LEAN + i)] += n.lean_walk * n.lean_walk * dt_s;
        }
        // A first-order Gauss–Markov process keeps its variance.
        for (first, size, sigma, kept) in [
            (MAP_OFFSET, 2, n.map_offset_m, map_kept),
            (BARO_OFFSET, 1, n.baro_offset_m, baro_kept),
            (WIND, 2, n.wind_m_s, wind_kept),
        ] {
            for i in first..first + size {
                self.covariance[(i, i)] += sigma * sigma * (1.0 - kept * kept);
            }
        }
    }

    /// Fuses a measurement. Beyond `gate` (squared Mahalanobis distance) the state stays as it was.
    pub fn fuse<const M: usize>(&mut self, measurement: &impl Measurement<M>, gate: f64) -> Update {
        self.update(&measurement.innovation(&self.state), &measurement.jacobian(&self.state), &measurement.covariance(), gate)
    }

    /// Squared Mahalanobis distance of a measurement; infinite where it has none.
    pub fn distance<const M: usize>(&self, measurement: &impl Measurement<M>) -> f64 {
        let (innovation, h) = (measurement.innovation(&self.state), measurement.jacobian(&self.state));
        let s = h * self.covariance * h.transpose() + measurement.covariance();
        let nis = s.try_inverse().map(|inverse| (innovation.transpose() * inverse * innovation)[(0, 0)]);
        nis.filter(|nis| *nis >= 0.0).unwrap_or(f64::INFINITY)
    }

    /// Fuses a linear measurement: `innovation = z − h(x)`, its Jacobian with respect to the error state, its covariance.
    fn update<const M: usize>(
        &mut self,
        innovation: &SVector<f64, M>,
        jacobian: &SMatrix<f64, M, STATES>,
        covariance: &SMatrix<f64, M, M>,
        gate: f64,
    ) -> Update {
        let finite = |mut numbers: std::slice::Iter<'_, f64>| numbers.all(|v| v.is_finite());
        if !finite(innovation.as_slice().iter()) || !finite(jacobian.as_slice().iter()) || !is_covariance(covariance) {
            return Update::Refused;
        }
        let projected = self.covariance * jacobian.transpose();
        let s = jacobian * projected + covariance;
        let Some(s_inverse) = s.try_inverse() else { return Update::Refused };
        let nis = (innovation.transpose() * s_inverse * innovation)[(0, 0)];
        if !(nis >= 0.0) {
            return Update::Refused;
        }
        self.seen = LastSeen(Seen::of(innovation, &s, nis));
        if nis > gate {
            return Update::Gated(nis);
        }
        let gain = projected * s_inverse;
        // Joseph's (I − K H) P (I − K H)ᵀ + K R Kᵀ, from the left to the right, without the dense I − K H.
        let kept = self.covariance - gain * (jacobian * self.covariance);
        self.covariance = kept - (kept * jacobian.transpose()) * gain.transpose() + gain * covariance * gain.transpose();
        if let Some(anchor) = &mut self.anchor {
            let anchor_gain = anchor.cross.transpose() * jacobian.transpose() * s_inverse;
            anchor.correct(&gain, &anchor_gain, &s, innovation);
        }
        self.inject(&(gain * innovation));
        Update::Used(nis)
    }

    /// Adds an error to the state, and turns the covariance into the frame of the attitude that results.
    pub(super) fn inject(&mut self, error: &ErrorState) {
        self.state = self.state.plus(error);
        let turn = Vector3::new(error[ATTITUDE], error[ATTITUDE + 1], error[ATTITUDE + 2]);
        let reset = Matrix3::identity() - (turn * 0.5).cross_matrix();
        let rows = reset * self.covariance.fixed_rows::<3>(ATTITUDE);
        self.covariance.fixed_rows_mut::<3>(ATTITUDE).copy_from(&rows);
        let columns = self.covariance.fixed_columns::<3>(ATTITUDE) * reset.transpose();
        self.covariance.fixed_columns_mut::<3>(ATTITUDE).copy_from(&columns);
        if let Some(anchor) = &mut self.anchor {
            let rows = reset * anchor.cross.fixed_rows::<3>(ATTITUDE);
            anchor.cross.fixed_rows_mut::<3>(ATTITUDE).copy_from(&rows);
        }
        self.covariance = (self.covariance + self.covariance.transpose()) * 0.5;
    }

    /// Where the tilt is known worse than so, radians, forgets it: level, give or take so much. The heading stays.
    pub fn level(&mut self, sigma_rad: f64) {
        let rotation = self.state.enu_from_body.to_rotation_matrix().into_inner();
        let own = self.covariance.fixed_view::<3, 3>(ATTITUDE, ATTITUDE).into_owned();
        let world = rotation * own * rotation.transpose();
        if !(world[(0, 0)].max(world[(1, 1)]) > sigma_rad * sigma_rad) {
            return;
        }
        let (heading, _, _) = heading_pitch_roll(&self.state.enu_from_body);
        self.state.enu_from_body = enu_from_body(heading, 0.0, 0.0);
        for i in ATTITUDE..ATTITUDE + 3 {
            self.covariance.row_mut(i).fill(0.0);
            self.covariance.column_mut(i).fill(0.0);
        }
        let variances = Vector3::new(sigma_rad * sigma_rad, sigma_rad * sigma_rad, world[(2, 2)]);
        let level = self.state.enu_from_body.to_rotation_matrix().into_inner();
        let block = level.transpose() * Matrix3::from_diagonal(&variances) * level;
        self.covariance.fixed_view_mut::<3, 3>(ATTITUDE, ATTITUDE).copy_from(&block);
    }

    /// Bends the last `dt_s` of a motion that no IMU measured: the aircraft turned by so much, clockwise from above, and flew where it
    /// pointed, or did not: half of the turn is taken, and both whole and none lie within 1 sigma.
    pub fn bend(&mut self, turn_rad: f64, dt_s: f64) {
        let v = self.state.velocity_m_s;
        let by = |angle: f64| UnitQuaternion::from_axis_angle(&Vector3::z_axis(), -angle) * v - v;
        let (half, full) = (by(0.5 * turn_rad), by(turn_rad));
        self.state.velocity_m_s += half;
        self.state.position_m += half * (0.5 * dt_s);
        let spread = full * 0.5;
        let variance = spread * spread.transpose();
        for (row, column, scale) in
            [(VELOCITY, VELOCITY, 1.0), (0, VELOCITY, 0.5 * dt_s), (VELOCITY, 0, 0.5 * dt_s), (0, 0, 0.25 * dt_s * dt_s)]
        {
            let mut block = self.covariance.fixed_view_mut::<3, 3>(row, column);
            block += variance * scale;
        }
    }

    /// Adds to the variances of position and velocity: the filter has been surer than it had reason to be.
    pub(super) fn doubt(&mut self, doubt: &Doubt) {
        for (first, sigmas) in [(0, doubt.position_m), (VELOCITY, doubt.velocity_m_s)] {
            for i in 0..3 {
                self.covariance[(first + i, first + i)] += sigmas[i] * sigmas[i];
            }
        }
    }

    /// Standard deviation along the worst horizontal axis of what begins at an element of the error state, position or velocity.
    pub fn horizontal_sigma(&self, first: usize) -> f64 {
        worst_sigma(&self.covariance.fixed_view::<2, 2>(first, first).into_owned())
    }

    /// Standard deviation of an element of the error state.
    pub fn sigma(&self, element: usize) -> f64 {
        self.covariance[(element, element)].max(0.0).sqrt()
    }
}

#[cfg(test)]
pub(super) mod tests;
