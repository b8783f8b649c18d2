//! The transition of the error state over one step, kept as its few blocks that are neither zero nor identity.
//!
//! ```text
//!     δp' = δp + dt δv + dt/2 w      w = A δθ + B δa_b + D δω_b
//!     δv' = δv + w
//!     δθ' = C δθ + E δω_b
//! ```
//!
//! The force is turned by the attitude in the middle of the step, so with φ the turn of the step, R½ the attitude halfway, f the force and
//! J the right Jacobian of SO(3) (Solà 2017, eq. 183): A = −R½ [f]× exp(−φ/2) dt, B = −R½ dt, D = R½ [f]× J(φ/2) dt²/2,
//! C = exp(−φ), E = −J(φ) dt. Biases and lean stay; the offsets of map and barometer and the wind decay.

use nalgebra::{Matrix3, SMatrix, UnitQuaternion, Vector3};

use super::noise::Kept;
use super::state::{ACCEL_BIAS, ATTITUDE, BARO_OFFSET, Covariance, GYRO_BIAS, LEAN, MAP_OFFSET, STATES, VELOCITY, WIND};

/// The states before this one move: position, velocity, attitude. Those before the lean move them.
const MOVED: usize = ACCEL_BIAS;
/// Their number, up to whole vectors of the processor.
const PADDED: usize = 12;

/// A transition of the error state.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    dt_s: f64,
    velocity_from_attitude: Matrix3<f64>,
    velocity_from_accel_bias: Matrix3<f64>,
    velocity_from_gyro_bias: Matrix3<f64>,
    attitude_from_attitude: Matrix3<f64>,
    attitude_from_gyro_bias: Matrix3<f64>,
    kept: Kept,
}

impl Transition {
    /// A step without an IMU: velocity and attitude stay, nothing ties them to the biases.
    pub fn unmeasured(dt_s: f64, kept: Kept) -> Self {
        Self {
            dt_s,
            velocity_from_attitude: Matrix3::zeros(),
            velocity_from_accel_bias: Matrix3::zeros(),
            velocity_from_gyro_bias: Matrix3::zeros(),
            attitude_from_attitude: Matrix3::identity(),
            attitude_from_gyro_bias: Matrix3::zeros(),
            kept,
        }
    }

    /// A step with the force and the rate of the body, biases taken off; `half_turn` is the turn of half the step, `halfway` the attitude
    /// in its middle.
    pub fn measured(
        force: &Vector3<f64>,
        rate: &Vector3<f64>,
        half_turn: &UnitQuaternion<f64>,
        halfway: &Matrix3<f64>,
        dt_s: f64,
        kept: Kept,
    ) -> Self {
        let back_half = half_turn.to_rotation_matrix().into_inner().transpose();
        let pushed = halfway * force.cross_matrix();
        Self {
            velocity_from_attitude: pushed * back_half * -dt_s,
            velocity_from_accel_bias: halfway * -dt_s,
            velocity_from_gyro_bias: pushed * right_jacobian(&(rate * (0.5 * dt_s))) * (0.5 * dt_s * dt_s),
            attitude_from_attitude: back_half * back_half,
            attitude_from_gyro_bias: right_jacobian(&(rate * dt_s)) * -dt_s,
            ..Self::unmeasured(dt_s, kept)
        }
    }

    /// Φ M for a matrix of any width.
    pub fn apply<const N: usize>(&self, matrix: &mut SMatrix<f64, STATES, N>) {
        for mut column in matrix.column_iter_mut() {
            let part = |i: usize| Vector3::new(column[i], column[i + 1], column[i + 2]);
            let (velocity, attitude, gyro_bias) = (part(VELOCITY), part(ATTITUDE), part(GYRO_BIAS));
            let pushed = self.velocity_from_attitude * attitude
                + self.velocity_from_accel_bias * part(ACCEL_BIAS)
                + self.velocity_from_gyro_bias * gyro_bias;
            let turned = self.attitude_from_attitude * attitude + self.attitude_from_gyro_bias * gyro_bias;
            for i in 0..3 {
                column[i] += self.dt_s * (velocity[i] + 0.5 * pushed[i]);
                column[VELOCITY + i] += pushed[i];
                column[ATTITUDE + i] = turned[i];
            }
            for i in MAP_OFFSET..STATES {
                column[i] *= self.kept(i);
            }
        }
    }

    /// Φ P Φᵀ of a symmetric P; the result is symmetric to the last bit.
    ///
    /// Sums of whole columns, which lie in memory without gaps: P Φᵀ, then, of its first rows turned into columns, Φ (P Φᵀ).
    #[allow(clippy::needless_range_loop, reason = "both sides of the diagonal are read and written by their indices")]
    pub fn conjugate(&self, covariance: &mut Covariance) {
        let columns: [&[f64; STATES]; LEAN] = std::array::from_fn(|k| &covariance.data.0[k]);
        let right = self.combine(&columns);
        let mut rows = [[0.0; PADDED]; LEAN];
        for (column, values) in right.iter().enumerate() {
            for (row, value) in rows.iter_mut().zip(values) {
                row[column] = *value;
            }
        }
        let both = self.combine(&std::array::from_fn(|k| &rows[k]));
        for j in 0..MOVED {
            for i in 0..=j {
                put(covariance, i, j, 0.5 * (both[i][j] + both[j][i]));
            }
            for i in MOVED..STATES {
                put(covariance, i, j, right[j][i] * self.kept(i));
            }
        }
        for j in MOVED..STATES {
            for i in MAP_OFFSET.max(j)..STATES {
                put(covariance, i, j, covariance[(i, j)] * (self.kept(i) * self.kept(j)));
            }
        }
    }

    /// What is left of a state that neither moves nor is moved.
    fn kept(&self, state: usize) -> f64 {
        let [map, baro, wind] = self.kept;
        match state {
            WIND.. => wind,
            BARO_OFFSET => baro,
            MAP_OFFSET.. => map,
            _ => 1.0,
        }
    }

    /// The rows of Φ that are not trivial, as sums of vectors that stand for the states.
    #[allow(clippy::needless_range_loop, reason = "a dozen vectors that run along together")]
    fn combine<const N: usize>(&self, states: &[&[f64; N]; LEAN]) -> [[f64; N]; MOVED] {
        let mut out = [[0.0; N]; MOVED];
        for i in 0..3 {
            let mut pushed = [0.0; N];
            let mut turned = [0.0; N];
            for k in 0..3 {
                let (attitude, accel_bias, gyro_bias) = (states[ATTITUDE + k], states[ACCEL_BIAS + k], states[GYRO_BIAS + k]);
                let a = self.velocity_from_attitude[(i, k)];
                let b = self.velocity_from_accel_bias[(i, k)];
                let d = self.velocity_from_gyro_bias[(i, k)];
                let c = self.attitude_from_attitude[(i, k)];
                let e = self.attitude_from_gyro_bias[(i, k)];
                for n in 0..N {
                    pushed[n] += a * attitude[n] + b * accel_bias[n] + d * gyro_bias[n];
                    turned[n] += c * attitude[n] + e * gyro_bias[n];
                }
            }
            let (position, velocity) = (states[i], states[VELOCITY + i]);
            for n in 0..N {
                out[i][n] = position[n] + self.dt_s * (velocity[n] + 0.5 * pushed[n]);
                out[VELOCITY + i][n] = velocity[n] + pushed[n];
            }
            out[ATTITUDE + i] = turned;
        }
        out
    }
}

/// Puts a value on both sides of the diagonal.
fn put(covariance: &mut Covariance, i: usize, j: usize, value: f64) {
    covariance[(i, j)] = value;
    covariance[(j, i)] = value;
}

/// The right Jacobian of SO(3): Exp(φ + δ) ≈ Exp(φ) Exp(J δ).
fn right_jacobian(phi: &Vector3<f64>) -> Matrix3<f64> {
    let squared = phi.norm_squared();
    let (a, b) = if squared < 0.01 {
        // The series to the order that double precision sees.
        (0.5 - squared / 24.0 + squared * squared / 720.0, 1.0 / 6.0 - squared / 120.0 + squared * squared / 5040.0)
    } else {
        let angle = squared.sqrt();
        ((1.0 - angle.cos()) / squared, (angle - angle.sin()) / (squared * angle))
    };
    let cross = phi.cross_matrix();
    Matrix3::identity() - cross * a + cross * cross * b
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The transition as a dense matrix: the slow oracle.
    fn dense(transition: &Transition) -> Covariance {
        let mut f = Covariance::identity();
        let t = transition;
        let half = 0.5 * t.dt_s;
        let mut put = |row, column, block: Matrix3<f64>| f.fixed_view_mut::<3, 3>(row, column).copy_from(&block);
        put(0, VELOCITY, Matrix3::identity() * t.dt_s);
        for (row, scale) in [(0, half), (VELOCITY, 1.0)] {
            put(row, ATTITUDE, t.velocity_from_attitude * scale);
            put(row, ACCEL_BIAS, t.velocity_from_accel_bias * scale);
            put(row, GYRO_BIAS, t.velocity_from_gyro_bias * scale);
        }
        put(ATTITUDE, ATTITUDE, t.attitude_from_attitude);
        put(ATTITUDE, GYRO_BIAS, t.attitude_from_gyro_bias);
        for (i, kept) in [0, 0, 1, 2, 2].into_iter().enumerate() {
            f[(MAP_OFFSET + i, MAP_OFFSET + i)] = t.kept[kept];
        }
        f
    }

    #[test]
    fn oracle_the_blocks_equal_dense_products() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..200 {
            let mut number = || rng.random::<f64>() - 0.5;
            let root = Covariance::from_fn(|_, _| number());
            let covariance = root * root.transpose();
            let covariance = (covariance + covariance.transpose()) * 0.5;
            let mut vector = |scale: f64| Vector3::new(number(), number(), number()) * scale;
            let (force, rate, attitude) = (vector(20.0), vector(8.0), vector(3.0));
            let dt = 0.02;
            let half = UnitQuaternion::from_scaled_axis(rate * (0.5 * dt));
            let halfway = (UnitQuaternion::from_scaled_axis(attitude) * half).to_rotation_matrix().into_inner();
            for transition in [
                Transition::measured(&force, &rate, &half, &halfway, dt, [0.98, 0.95, 0.99]),
                Transition::unmeasured(dt, [0.97, 0.9, 0.8]),
            ] {
                let f = dense(&transition);
                let mut fast = covariance;
                transition.conjugate(&mut fast);
                assert!((fast - f * covariance * f.transpose()).abs().max() < 1e-12);
                assert_eq!(fast, fast.transpose());
                let mut product = root;
                transition.apply(&mut product);
                assert!((product - f * root).abs().max() < 1e-12);
            }
        }
    }

    #[test]
    fn the_right_jacobian_equals_finite_differences_on_both_sides_of_its_series() {
        for phi in [Vector3::new(0.05, -0.03, 0.06), Vector3::new(0.06, -0.06, 0.07), Vector3::new(1.0, -0.7, 0.4)] {
            let jacobian = right_jacobian(&phi);
            for k in 0..3 {
                let mut step = Vector3::zeros();
                step[k] = 1e-6;
                let there = UnitQuaternion::from_scaled_axis(phi + step);
                let back = UnitQuaternion::from_scaled_axis(phi - step);
                let column = (back.inverse() * there).scaled_axis() / 2e-6;
                assert!((column - jacobian.column(k)).norm() < 1e-8, "{phi}");
            }
        }
    }
}
