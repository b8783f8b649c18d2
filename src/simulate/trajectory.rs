//! The flight: a smooth path at constant ground speed, and the attitude that a multirotor needs for it in the wind.
//!
//! Courses are closed-form and twice differentiable; positions are their integral by Simpson's rule, so that IMU, truth and photos
//! agree to well under a millimetre.

use super::noise::{mix, signed, unit};
use super::settings::Settings;
use crate::types::Mounting;
use nalgebra::{Matrix3, Rotation3, UnitQuaternion, Vector3};
use std::f64::consts::{PI, TAU};

/// Standard gravity, m/s².
pub(crate) const GRAVITY_M_S2: f64 = 9.806_65;
/// Drag per mass and speed through the air, 1/s: 12 m/s need about 12° of tilt.
const DRAG_PER_S: f64 = 0.17;
/// Step of the stored positions, seconds.
const STEP_S: f64 = 0.01;
/// Peak rate of the smooth turn, relative to its mean.
const PEAK: f64 = 1.875;
/// Largest sideways acceleration in a turn, m/s².
const TURN_ACCELERATION_M_S2: f64 = 4.5;

/// A flight in east, north, up of the region's plane; time in seconds since its start.
pub(crate) struct Flight {
    settings: Settings,
    course0: f64,
    turn_s: f64,
    leg_s: f64,
    wind: (f64, f64),
    lean: UnitQuaternion<f64>,
    phases: [f64; 8],
    origin: (f64, f64),
    positions: Vec<(f64, f64)>,
}

impl Flight {
    /// The flight of some settings, its middle over `centre` (east, north).
    pub fn new(settings: &Settings, centre: (f64, f64)) -> Self {
        let hash = mix(settings.seed ^ 0xf119);
        let v = settings.speed_m_s;
        let wind_from = unit(hash, 2) * TAU;
        let lean_to = unit(hash, 3) * TAU;
        let axis = nalgebra::Unit::new_normalize(Vector3::new(lean_to.cos(), lean_to.sin(), 0.0));
        let mut phases = [0.0; 8];
        for (i, p) in phases.iter_mut().enumerate() {
            *p = unit(hash, 10 + i as u64) * TAU;
        }
        let mut flight = Self {
            settings: settings.clone(),
            course0: unit(hash, 1) * TAU,
            // v · dψ/dt stays within the allowed acceleration; not faster than 6 s however slow the flight.
            turn_s: (PEAK * PI * v / TURN_ACCELERATION_M_S2).max(6.0),
            leg_s: settings.leg_m / v,
            wind: (settings.wind_m_s * wind_from.cos(), settings.wind_m_s * wind_from.sin()),
            lean: UnitQuaternion::from_axis_angle(&axis, settings.mount_tilt_deg.to_radians()),
            phases,
            origin: (0.0, 0.0),
            positions: Vec::new(),
        };
        let steps = (settings.duration_s / STEP_S).ceil() as usize + 101;
        let mut p = (0.0, 0.0);
        let mut positions = vec![p];
        for i in 0..steps {
            let d = flight.moved(i as f64 * STEP_S, STEP_S);
            p = (p.0 + d.0, p.1 + d.1);
            positions.push(p);
        }
        let span = |f: fn(&(f64, f64)) -> f64| {
            let (a, b) = positions.iter().map(f).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
            (a + b) / 2.0
        };
        flight.origin = (centre.0 - span(|p| p.0), centre.1 - span(|p| p.1));
        flight.positions = positions;
        flight
    }

    /// Horizontal displacement over a short time from `t`, by Simpson's rule.
    fn moved(&self, t: f64, dt: f64) -> (f64, f64) {
        let v = |t: f64| {
            let (s, c) = self.course(t).0.sin_cos();
            (self.settings.speed_m_s * s, self.settings.speed_m_s * c)
        };
        let (a, m, b) = (v(t), v(t + dt / 2.0), v(t + dt));
        (dt / 6.0 * (a.0 + 4.0 * m.0 + b.0), dt / 6.0 * (a.1 + 4.0 * m.1 + b.1))
    }

    /// Course, radians clockwise from north, and its rate.
    fn course(&self, t: f64) -> (f64, f64) {
        let lap = self.leg_s + self.turn_s;
        let (mut course, mut rate) = (self.course0, 0.0);
        // The first leg is half as long, so that short flights turn too.
        let since = t + 0.5 * self.leg_s;
        let laps = (since / lap).floor().max(0.0);
        // Back and forth: turns alternate between right and left.
        let full = (laps as i64).rem_euclid(2) as f64;
        course += PI * full;
        let x = ((since - laps * lap - self.leg_s) / self.turn_s).clamp(0.0, 1.0);
        let sign = if full == 0.0 { 1.0 } else { -1.0 };
        course += sign * PI * x * x * x * (10.0 - 15.0 * x + 6.0 * x * x);
        rate += sign * PI * 30.0 * x * x * (1.0 - x) * (1.0 - x) / self.turn_s;
        for (k, (amplitude_deg, period)) in [(4.0f64, 31.0), (2.0, 13.0)].into_iter().enumerate() {
            let (a, w) = (amplitude_deg.to_radians(), TAU / period);
            course += a * (w * t + self.phases[k]).sin();
            rate += a * w * (w * t + self.phases[k]).cos();
        }
        (course, rate)
    }

    /// Position, metres.
    pub fn position(&self, t: f64) -> Vector3<f64> {
        let i = ((t / STEP_S).floor().max(0.0) as usize).min(self.positions.len() - 1);
        let from = i as f64 * STEP_S;
        let d = self.moved(from, t - from);
        let p = self.positions[i];
        Vector3::new(self.origin.0 + p.0 + d.0, self.origin.1 + p.1 + d.1, self.up(t).0)
    }

    /// Height, its rate and its second derivative.
    fn up(&self, t: f64) -> (f64, f64, f64) {
        let (mut h, mut v, mut a) = (self.settings.height_m, 0.0, 0.0);
        for (k, (amplitude, period)) in [(1.6, 43.0), (0.5, 17.0)].into_iter().enumerate() {
            let w = TAU / period;
            let x = w * t + self.phases[2 + k];
            h += amplitude * x.sin();
            v += amplitude * w * x.cos();
            a -= amplitude * w * w * x.sin();
        }
        (h, v, a)
    }

    /// Velocity, m/s.
    pub fn velocity(&self, t: f64) -> Vector3<f64> {
        let (s, c) = self.course(t).0.sin_cos();
        Vector3::new(self.settings.speed_m_s * s, self.settings.speed_m_s * c, self.up(t).1)
    }

    /// Acceleration, m/s².
    pub fn acceleration(&self, t: f64) -> Vector3<f64> {
        let (course, rate) = self.course(t);
        let (s, c) = course.sin_cos();
        let v = self.settings.speed_m_s;
        Vector3::new(v * rate * c, -v * rate * s, self.up(t).2)
    }

    /// Heading of the body's x axis, radians clockwise from north: the course, and the few degrees that it is off.
    pub fn heading(&self, t: f64) -> f64 {
        self.course(t).0 + 0.04 + 0.02 * (TAU / 9.0 * t + self.phases[4]).sin()
    }

    /// Attitude of the airframe, `enu_from_body`.
    pub fn attitude(&self, t: f64) -> UnitQuaternion<f64> {
        let gust = |period: f64, phase: f64| self.settings.wind_m_s * 0.17 * (TAU / period * t + phase).sin();
        let wind = Vector3::new(
            self.wind.0 + gust(5.3, self.phases[5]) + gust(2.1, self.phases[6]),
            self.wind.1 + gust(6.7, self.phases[7]) + gust(1.7, self.phases[5]),
            0.0,
        );
        let mut air = self.velocity(t) - wind;
        air.z = 0.0;
        let thrust = self.acceleration(t) + Vector3::new(0.0, 0.0, GRAVITY_M_S2) + DRAG_PER_S * air;
        frame(&-thrust, self.heading(t))
    }

    /// Attitude of the camera, `enu_from_camera`: x right in the image, y down in the image, z along the optical axis.
    pub fn camera(&self, t: f64) -> UnitQuaternion<f64> {
        let carrier = match self.settings.mounting {
            Mounting::Strapdown => self.attitude(t),
            Mounting::Stabilised => {
                // What a gimbal leaves: a few tenths of a degree.
                let shake = |period: f64, phase: f64| 0.2f64.to_radians() * (TAU / period * t + phase).sin();
                let rest = UnitQuaternion::from_scaled_axis(Vector3::new(
                    shake(1.3, self.phases[0]),
                    shake(1.9, self.phases[1]),
                    2.0 * shake(4.1, self.phases[2]),
                ));
                frame(&-Vector3::z(), self.heading(t)) * rest
            }
        };
        carrier * self.lean * body_from_camera()
    }

    /// Angular rate in the body frame, rad/s, by a central difference over 2 ms.
    pub fn angular_rate(&self, t: f64) -> Vector3<f64> {
        let h = 1e-3;
        let change = self.attitude(t - h).inverse() * self.attitude(t + h);
        change.scaled_axis() / (2.0 * h)
    }

    /// Specific force in the body frame, m/s².
    pub fn specific_force(&self, t: f64) -> Vector3<f64> {
        self.attitude(t).inverse() * (self.acceleration(t) + Vector3::new(0.0, 0.0, GRAVITY_M_S2))
    }

    /// A constant offset of a sensor, −1..1, of this flight.
    pub fn offset(&self, lane: u64) -> f64 {
        signed(mix(self.settings.seed ^ 0x0ff5e7), lane)
    }
}

/// A nadir camera whose image top points forward.
pub(crate) fn body_from_camera() -> UnitQuaternion<f64> {
    UnitQuaternion::from_axis_angle(&Vector3::z_axis(), PI / 2.0)
}

/// The frame (forward, right, down) with the given down direction and heading, as `enu_from_body`.
fn frame(down: &Vector3<f64>, heading: f64) -> UnitQuaternion<f64> {
    let z = down.normalize();
    let ahead = Vector3::new(heading.sin(), heading.cos(), 0.0);
    let x = (ahead - z * z.dot(&ahead)).normalize();
    let y = z.cross(&x);
    UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(Matrix3::from_columns(&[x, y, z])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight() -> Flight {
        Flight::new(&Settings::default(), (0.0, 0.0))
    }

    #[test]
    fn velocity_and_acceleration_are_the_derivatives_of_position() {
        let f = flight();
        for k in 0..60 {
            let (t, h) = (1.0 + 1.7 * f64::from(k), 1e-3);
            let v = (f.position(t + h) - f.position(t - h)) / (2.0 * h);
            assert!((v - f.velocity(t)).norm() < 1e-5, "{t}");
            let a = (f.velocity(t + h) - f.velocity(t - h)) / (2.0 * h);
            assert!((a - f.acceleration(t)).norm() < 1e-5, "{t}");
        }
    }

    #[test]
    fn a_level_nadir_camera_sees_north_up_when_flying_north() {
        let level = frame(&-Vector3::z(), 0.0) * body_from_camera();
        assert!((level * Vector3::x() - Vector3::x()).norm() < 1e-12);
        assert!((level * Vector3::y() + Vector3::y()).norm() < 1e-12);
        assert!((level * Vector3::z() + Vector3::z()).norm() < 1e-12);
    }

    #[test]
    fn the_flight_turns_and_stays_together() {
        let f = flight();
        let far = (0..110).map(|t| f.position(f64::from(t)).xy().norm()).fold(0.0, f64::max);
        assert!(far < 400.0, "{far}");
        assert!((0..110).any(|t| f.angular_rate(f64::from(t)).norm() > 0.1));
    }

    #[test]
    fn the_airframe_leans_into_its_way() {
        // At 12 m/s through the air the thrust leans forward by some ten degrees.
        let f = Flight::new(&Settings { wind_m_s: 0.0, ..Settings::default() }, (0.0, 0.0));
        let down = f.attitude(5.0) * Vector3::z();
        let ahead = f.velocity(5.0).normalize();
        assert!(down.dot(&ahead) < -0.12 && down.dot(&ahead) > -0.35, "{}", down.dot(&ahead));
    }
}
