//! What sensors tell, as the filter measures it: between the frames, and of a frame itself.

use nalgebra::{Matrix3, Vector3};

use crate::fuse::aiding::Told;
use crate::fuse::counters::Counters;
use crate::fuse::measurement::{Attitude, Barometer, Displacement, Gnss, Heading, Height, Observation, Taken, ZeroVelocity};
use crate::fuse::running::Running;
use crate::fuse::sources::{FrameAid, SourceSettings};
use crate::fuse::state::BARO_OFFSET;
use crate::fuse::update::Update;
use crate::types::{AttitudeSample, Estimate, Known};

/// 1 sigma of the height of a GNSS antenna in the plane, metres: nobody says how high the ground lies, so it tells nothing.
const NO_HEIGHT_SIGMA_M: f64 = 1e4;

impl Running {
    /// Measures what was told; the filter is at its stamp.
    pub fn measure_told(&mut self, told: &Told, sources: &SourceSettings) {
        let stamp_ns = told.stamp_ns();
        let observation = match told {
            Told::Barometer(sample) => {
                let sigma_m = sources.barometer.sigma_factor * sample.sigma_m;
                let Some(zero_m) = self.barometer_zero_m(sample.alt_m, sigma_m) else { return };
                Observation::Barometer(Barometer { up_m: sample.alt_m - zero_m, sigma_m })
            }
            Told::Gnss(sample) => {
                let here = self.plane.ground_from_lat_lon(sample.lat_deg, sample.lon_deg);
                let up_m = self.navigator.filter.state.position_m.z;
                let sigma_m = sources.gnss.sigma_factor * sample.sigma_m;
                let sigmas_m = Vector3::new(sigma_m, sigma_m, NO_HEIGHT_SIGMA_M);
                let covariance = Matrix3::from_diagonal(&sigmas_m.component_mul(&sigmas_m));
                let antenna_m = Vector3::new(here.e_m, here.n_m, up_m);
                Observation::Gnss(Gnss { antenna_m, covariance, lever_arm_m: Vector3::zeros() })
            }
            Told::Landed(_) => Observation::ZeroVelocity(ZeroVelocity { sigma_m_s: sources.zero_velocity.sigma_m_s }),
        };
        let taken = self.navigator.measure(stamp_ns, &observation);
        if matches!((told, taken), (Told::Gnss(_), Taken::Updated(Update::Used(_)))) {
            self.last_gnss_ns = Some(stamp_ns);
        }
    }

    /// What the barometer tells at height 0 of the plane, metres. It is set by the filter's own height, once that is known better than
    /// the barometer's offset will be: until then `None`, and the barometer is not used.
    fn barometer_zero_m(&mut self, alt_m: f64, sigma_m: f64) -> Option<f64> {
        let filter = &mut self.navigator.filter;
        if self.barometer_zero_m.is_none() && filter.sigma(2) < filter.noise.baro_offset_m {
            self.barometer_zero_m = Some(alt_m - filter.state.position_m.z);
            filter.set_offset_by_height(BARO_OFFSET, sigma_m);
        }
        self.barometer_zero_m
    }
    /// Measures the way since the frame before, where consecutive frames told it; a frame begins the next way in any case.
    pub fn measure_way(&mut self, stamp_ns: i64, way: Option<&Displacement>, displacement: &FrameAid, counters: &mut Counters) {
        let navigator = &mut self.navigator;
        let way = way.map(|w| Displacement { covariance_m2: w.covariance_m2 * displacement.variance_factor(), ..*w });
        match way.map(|way| navigator.measure(stamp_ns, &Observation::Displacement(way))) {
            Some(Taken::Updated(Update::Used(_))) => counters.displacements_used += 1,
            Some(Taken::Updated(Update::Gated(_)) | Taken::Starting(_)) => counters.displacements_gated += 1,
            Some(Taken::Updated(Update::Refused) | Taken::Repeated) => counters.displacements_refused += 1,
            None => navigator.filter.set_swaying_anchor(stamp_ns),
        }
    }

    /// Measures height and attitude at a frame; without an attitude, the heading.
    pub fn measure_known(&mut self, stamp_ns: i64, known: &Known, attitude: Option<&AttitudeSample>, sources: &SourceSettings) {
        self.height_known = known.height_agl_m.is_some();
        if let Some(Estimate { value, sigma }) = known.height_agl_m {
            let measured = Height { up_m: value, sigma_m: sources.height.sigma_factor * sigma };
            self.navigator.measure(stamp_ns, &Observation::Height(measured));
        }
        match (attitude, known.heading_rad) {
            (Some(a), _) => {
                let sigma_rad = sources.attitude.sigma_factor * a.sigma_rad;
                let measured = Attitude { enu_from_body: a.enu_from_body, sigma_rad };
                self.navigator.measure(stamp_ns, &Observation::Attitude(measured));
            }
            (None, Some(Estimate { value, sigma })) => self.measure_heading(stamp_ns, value, sigma, &sources.heading),
            (None, None) => {}
        }
    }

    /// Measures a heading of a compass or of a match, radians.
    pub fn measure_heading(&mut self, stamp_ns: i64, heading_rad: f64, sigma_rad: f64, heading: &FrameAid) {
        let measured = Heading { heading_rad, sigma_rad: heading.sigma_factor * sigma_rad };
        self.navigator.measure(stamp_ns, &Observation::Heading(measured));
    }
}
