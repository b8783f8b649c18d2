//! What no sensor can measure and no aircraft can do: the one table of it, and the door that every number passes on its way in and out.

use std::f64::consts::PI;

use super::{Estimate, Fix, Known, TelemetrySample, TrackState};
use crate::geo::Geodetic;
use crate::settings::{Bound, settings};

settings! {
    /// What a number may be before it enters anything: samples, fixes, the start. What lies outside is refused and counted; a point of the
    /// track that lies outside leaves as `lost`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Plausible {
        /// Angular rate along each axis of the body, rad/s: twice what the fastest gyroscopes of drones measure.
        key gyro_rad_s: f64 = 70.0, Bound::Positive;
        /// Specific force along each axis of the body, m/s²: twice what the accelerometers of drones measure.
        key accel_m_s2: f64 = 320.0, Bound::Positive;
        /// Speed over ground, m/s.
        key speed_m_s: f64 = 200.0, Bound::Positive;
        /// Least and most height above ground or any other level, metres.
        key height_m: [f64; 2] = [-500.0, 15_000.0], Bound::Any;
        /// Headings lie within plus and minus this, radians.
        key heading_rad: f64 = 4.0 * PI, Bound::Positive;
        /// Least and most 1 sigma of anything, in its own unit (metres, radians).
        key sigma: [f64; 2] = [1e-6, 1e6], Bound::Positive;
        /// A sample that is so much older than the frame that would take it is none of this flight, seconds.
        key stamp_age_s: f64 = 86_400.0, Bound::Positive;
        /// Live: a sample whose stamp lies so far ahead of every frame and sample before it is none of this flight, seconds.
        key stamp_lead_s: f64 = 600.0, Bound::Positive;
    }
}

fn within(value: f64, [low, high]: [f64; 2]) -> bool {
    // A comparison with what is no number is false.
    value >= low && value <= high
}

impl Plausible {
    /// Whether a sample's numbers are what a sensor can measure, and its sigma one that a sensor can have.
    pub fn sample(&self, sample: &TelemetrySample) -> bool {
        match sample {
            TelemetrySample::Imu(s) => {
                s.gyro_rad_s.iter().all(|v| v.abs() <= self.gyro_rad_s) && s.accel_m_s2.iter().all(|v| v.abs() <= self.accel_m_s2)
            }
            TelemetrySample::Height(s) => self.height(s.height_agl_m) && self.sigma(s.sigma_m),
            TelemetrySample::Heading(s) => self.heading(s.heading_rad) && self.sigma(s.sigma_rad),
            TelemetrySample::Attitude(s) => s.enu_from_body.coords.iter().all(|v| v.is_finite()) && self.sigma(s.sigma_rad),
            TelemetrySample::Barometer(s) => self.height(s.alt_m) && self.sigma(s.sigma_m),
            TelemetrySample::Gnss(s) => self.start(&Geodetic::ground(s.lat_deg, s.lon_deg), s.sigma_m),
            TelemetrySample::Landed(_) => true,
        }
    }

    /// Whether a height is one, metres.
    pub fn height(&self, height_m: f64) -> bool {
        within(height_m, self.height_m)
    }

    /// Whether a heading is one, radians.
    pub fn heading(&self, heading_rad: f64) -> bool {
        heading_rad.abs() <= self.heading_rad
    }

    /// Whether a number is a standard deviation that something can have.
    pub fn sigma(&self, sigma: f64) -> bool {
        within(sigma, self.sigma)
    }

    /// Whether a position and its 1 sigma, metres, are what a flight can start with.
    pub fn start(&self, position: &Geodetic, sigma_m: f64) -> bool {
        position.is_valid() && self.sigma(sigma_m)
    }

    /// What is left of what is known of a frame's pose.
    pub fn known(&self, known: Known) -> Known {
        let keep =
            |estimate: Option<Estimate>, holds: &dyn Fn(f64) -> bool| estimate.filter(|e| holds(e.value) && self.sigma(e.sigma));
        Known {
            height_agl_m: keep(known.height_agl_m, &|v| self.height(v)),
            heading_rad: keep(known.heading_rad, &|v| self.heading(v)),
            pitch_roll_rad: known.pitch_roll_rad.filter(|(pitch, roll)| pitch.abs() <= PI && roll.abs() <= PI),
        }
    }

    /// Whether every number of a fix is one that a camera over a map can give, and its covariances are covariances.
    pub fn fix(&self, fix: &Fix) -> bool {
        let camera = fix.camera_covariance_m2();
        let (height_m, height_sigma_m) = fix.height_agl_m;
        let (heading_rad, heading_sigma_rad) = fix.heading_rad;
        let planar = fix.camera_m.iter().chain(fix.centre_m.iter());
        let rest = planar.chain(fix.covariance_m2.iter()).chain([&fix.tilt_rad, &fix.score]);
        let free_sigmas = [fix.free.covariance[(0, 0)].sqrt(), fix.free.covariance[(1, 1)].sqrt()];
        fix.camera.is_valid()
            && fix.centre.is_valid()
            && rest.into_iter().all(|v| v.is_finite())
            && camera.cholesky().is_some()
            && [camera[(0, 0)].sqrt(), camera[(1, 1)].sqrt()].into_iter().chain(free_sigmas).all(|s| self.sigma(s))
            && self.height(height_m)
            && self.heading(heading_rad)
            && [height_sigma_m, heading_sigma_rad].iter().all(|s| within(*s, [0.0, self.sigma[1]]))
            && fix.free.is_valid()
    }

    /// Whether a point of the track says what an aircraft can do, and how sure it is of that.
    pub fn state(&self, state: &TrackState) -> bool {
        let speed_m_s = state.velocity_enu_m_s.iter().map(|v| v * v).sum::<f64>().sqrt();
        let covariance = &state.covariance_en_m2;
        state.position.is_valid()
            && state.height_agl_m.is_none_or(|h| self.height(h))
            && speed_m_s <= self.speed_m_s
            && state.enu_from_body.coords.iter().all(|v| v.is_finite())
            && covariance.iter().all(|v| v.is_finite())
            && [covariance[(0, 0)].sqrt(), covariance[(1, 1)].sqrt(), state.sigma_u_m].iter().all(|s| self.sigma(*s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Table;
    use crate::types::{GnssSample, HeadingSample, HeightSample, ImuSample};
    use nalgebra::{Matrix2, UnitQuaternion, Vector3};

    #[test]
    fn every_default_lies_inside_its_bound() {
        Plausible::default().visit("", &mut |key| assert_eq!(key.outside(), None, "{}", key.path));
    }

    #[test]
    fn what_no_sensor_can_measure_is_refused_of_every_kind() {
        let door = Plausible::default();
        let imu = |gyro: f64, accel: f64| {
            let (gyro_rad_s, accel_m_s2) = (Vector3::new(gyro, 0.0, 0.0), Vector3::new(0.0, accel, -9.8));
            door.sample(&TelemetrySample::Imu(ImuSample { stamp_ns: 0, gyro_rad_s, accel_m_s2 }))
        };
        assert!(imu(35.0, 160.0) && imu(-70.0, -320.0));
        for bad in [1e300, 1e4, f64::NAN, f64::INFINITY] {
            assert!(!imu(bad, 0.0) && !imu(0.0, bad) && !imu(-bad, 0.0), "{bad}");
            let height = HeightSample { stamp_ns: 0, height_agl_m: 100.0, sigma_m: 1.0 };
            let far = if bad == 1e4 { 1e5 } else { bad };
            assert!(!door.sample(&TelemetrySample::Height(HeightSample { height_agl_m: far, ..height })));
            assert!(!door.sample(&TelemetrySample::Height(HeightSample { sigma_m: 1e3 * bad, ..height })));
            assert!(!door.sample(&TelemetrySample::Height(HeightSample { sigma_m: 0.0, ..height })));
            let heading = HeadingSample { stamp_ns: 0, heading_rad: bad, sigma_rad: 0.1 };
            assert!(!door.sample(&TelemetrySample::Heading(heading)));
            let gnss = GnssSample { stamp_ns: 0, lat_deg: 47.0, lon_deg: 8.0, sigma_m: 3.0 };
            assert!(door.sample(&TelemetrySample::Gnss(gnss)));
            assert!(!door.sample(&TelemetrySample::Gnss(GnssSample { lat_deg: bad, ..gnss })));
        }
    }

    #[test]
    fn what_is_known_of_a_frame_loses_just_what_is_implausible() {
        let known = Known {
            height_agl_m: Some(Estimate { value: 1e9, sigma: 1.0 }),
            heading_rad: Some(Estimate { value: 1.0, sigma: 0.1 }),
            pitch_roll_rad: Some((f64::NAN, 0.0)),
        };
        let left = Plausible::default().known(known);
        assert_eq!(left, Known { heading_rad: known.heading_rad, ..Known::default() });
        assert_eq!(Plausible::default().known(left), left);
    }

    #[test]
    fn a_point_that_no_aircraft_can_be_at_is_none() {
        let door = Plausible::default();
        let state = TrackState {
            position: Geodetic::ground(47.0, 8.0),
            height_agl_m: Some(120.0),
            velocity_enu_m_s: [12.0, 0.0, 0.0],
            enu_from_body: UnitQuaternion::identity(),
            covariance_en_m2: Matrix2::identity(),
            sigma_u_m: 1.0,
        };
        assert!(door.state(&state));
        for absurd in [
            TrackState { position: Geodetic::ground(f64::NAN, 8.0), ..state.clone() },
            TrackState { velocity_enu_m_s: [200.0, 200.0, 0.0], ..state.clone() },
            TrackState { covariance_en_m2: -Matrix2::identity(), ..state.clone() },
            TrackState { covariance_en_m2: Matrix2::identity() * 1e13, ..state.clone() },
            TrackState { sigma_u_m: f64::INFINITY, ..state.clone() },
            TrackState { height_agl_m: Some(1e6), ..state.clone() },
        ] {
            assert!(!door.state(&absurd), "{absurd:?}");
        }
    }
}
