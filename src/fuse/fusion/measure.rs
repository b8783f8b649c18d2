//! What sensors tell of a frame, as the filter measures it.

use crate::fuse::measurement::{Attitude, Displacement, Heading, Height, Observation, Taken};
use crate::fuse::running::Running;
use crate::fuse::sources::{FrameAid, SourceSettings};
use crate::fuse::update::Update;
use crate::types::{AttitudeSample, Estimate, FusionCounters, Known};

impl Running {
    /// Measures the way since the frame before, where consecutive frames told it; a frame begins the next way in any case.
    pub fn measure_way(
        &mut self,
        stamp_ns: i64,
        way: Option<&Displacement>,
        displacement: &FrameAid,
        counters: &mut FusionCounters,
    ) {
        let way = way.map(|w| Displacement { covariance_m2: w.covariance_m2 * displacement.variance_factor(), ..*w });
        match way.map(|way| self.measure(stamp_ns, &Observation::Displacement(way))) {
            Some(Taken::Updated(Update::Used(_))) => counters.displacements_used += 1,
            Some(Taken::Updated(Update::Gated(_)) | Taken::Starting(_)) => counters.displacements_gated += 1,
            Some(Taken::Updated(Update::Refused) | Taken::Repeated) => counters.displacements_refused += 1,
            None => self.filters_mut().for_each(|filter| filter.set_swaying_anchor(stamp_ns)),
        }
    }

    /// Measures height and attitude at a frame; without an attitude, the heading.
    pub fn measure_known(&mut self, stamp_ns: i64, known: &Known, attitude: Option<&AttitudeSample>, sources: &SourceSettings) {
        self.height_known = known.height_agl_m.is_some();
        if let Some(Estimate { value, sigma }) = known.height_agl_m {
            let measured = Height { up_m: value, sigma_m: sources.height.sigma_factor * sigma };
            self.measure(stamp_ns, &Observation::Height(measured));
        }
        match (attitude, known.heading_rad) {
            (Some(a), _) => {
                let sigma_rad = sources.attitude.sigma_factor * a.sigma_rad;
                let measured = Attitude { enu_from_body: a.enu_from_body, sigma_rad };
                self.measure(stamp_ns, &Observation::Attitude(measured));
            }
            (None, Some(Estimate { value, sigma })) => self.measure_heading(stamp_ns, value, sigma, &sources.heading),
            (None, None) => {}
        }
    }

    /// Measures a heading of a compass or of a match, radians.
    pub fn measure_heading(&mut self, stamp_ns: i64, heading_rad: f64, sigma_rad: f64, heading: &FrameAid) {
        let measured = Heading { heading_rad, sigma_rad: heading.sigma_factor * sigma_rad };
        self.measure(stamp_ns, &Observation::Heading(measured));
    }
}
