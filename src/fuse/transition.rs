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
//! C = exp(−φ), E = −J(φ) dt. Biases and lean stay; the offsets of map and barometer decay.

use nalgebra::{Matrix3, SMatrix, UnitQuaternion, Vector3};

use super::state::{ACCEL_BIAS, ATTITUDE, BARO_OFFSET, Covariance, GYRO_BIAS, MAP_OFFSET, STATES, VELOCITY};

/// A transition of the error state.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    dt_s: f64,
    velocity_from_attitude: Matrix3<f64>,
    velocity_from_accel_bias: Matrix3<f64>,
    velocity_from_gyro_bias: Matrix3<f64>,
    attitude_from_attitude: Matrix3<f64>,
    attitude_from_gyro_bias: Matrix3<f64>,
    map_offset_kept: f64,
    baro_offset_kept: f64,
}

impl Transition {
    /// A step without an IMU: velocity and attitude stay, nothing ties them to the biases.
    pub fn unmeasured(dt_s: f64, [map_offset_kept, baro_offset_kept]: [f64; 2]) -> Self {
        Self {
            dt_s,
            velocity_from_attitude: Matrix3::zeros(),
            velocity_from_accel_bias: Matrix3::zeros(),
            velocity_from_gyro_bias: Matrix3::zeros(),
            attitude_from_attitude: Matrix3::identity(),
            attitude_from_gyro_bias: Matrix3::zeros(),
            map_offset_kept,
            baro_offset_kept,
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
        kept: [f64; 2],
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
            column[MAP_OFFSET] *= self.map_offset_kept;
            column[MAP_OFFSET + 1] *= self.map_offset_kept;
            column[BARO_OFFSET] *= self.baro_offset_kept;
        }
    }

    /// Φ P Φᵀ of a symmetric P; the result is symmetric to the last bit.
    pub fn conjugate(&self, covariance: &mut Covariance) {
        const MOVED: usize = ACCEL_BIAS;
        let columns = &covariance.data.0;
        // P Φᵀ: its first columns are sums of whole columns, which lie in memory without gaps.
        let mut right: SMatrix<f64, STATES, MOVED> = SMatrix::zeros();
        let combined = &mut right.data.0;
        for i in 0..3 {
            let mut pushed = [0.0; STATES];
            let mut turned = [0.0; STATES];
            for k in 0..3 {
                let (attitude, accel_bias, gyro_bias) =
                    (&columns[ATTITUDE + k], &columns[ACCEL_BIAS + k], &columns[GYRO_BIAS + k]);
                let (a, b, d) = (
                    self.velocity_from_attitude[(i, k)],
                    self.velocity_from_accel_bias[(i, k)],
                    self.velocity_from_gyro_bias[(i, k)],
                );
                let (c, e) = (self.attitude_from_attitude[(i, k)], self.attitude_from_gyro_bias[(i, k)]);
                for r in 0..STATES {
                    pushed[r] += a * attitude[r] + b * accel_bias[r] + d * gyro_bias[r];
                    turned[r] += c * attitude[r] + e * gyro_bias[r];
                }
            }
            let (position, velocity) = (&columns[i], &columns[VELOCITY + i]);
            for r in 0..STATES {
                combined[i][r] = position[r] + self.dt_s * (velocity[r] + 0.5 * pushed[r]);
                combined[VELOCITY + i][r] = velocity[r] + pushed[r];
            }
            combined[ATTITUDE + i] = turned;
        }
        self.apply(&mut right);
        for j in 0..MOVED {
            for i in 0..=j {
                put(covariance, i, j, 0.5 * (right[(i, j)] + right[(j, i)]));
            }
            for i in MOVED..STATES {
                put(covariance, i, j, right[(i, j)]);
            }
        }
        // What does not move but decays.
        let kept = |i: usize| match i {
            BARO_OFFSET => self.baro_offset_kept,
            MAP_OFFSET.. => self.map_offset_kept,
            _ => 1.0,
        };
        for j in MOVED..STATES {
            for i in MAP_OFFSET.max(j)..STATES {
                put(covariance, i, j, covariance[(i, j)] * (kept(i) * kept(j)));
            }
        }
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
        f[(MAP_OFFSET, MAP_OFFSET)] = t.map_offset_kept;
        f[(MAP_OFFSET + 1, MAP_OFFSET + 1)] = t.map_offset_kept;
        f[(BARO_OFFSET, BARO_OFFSET)] = t.baro_offset_kept;
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
            for transition in
                [Transition::measured(&force, &rate, &half, &halfway, dt, [0.98, 0.95]), Transition::unmeasured(dt, [0.97, 0.9])]
            {
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
