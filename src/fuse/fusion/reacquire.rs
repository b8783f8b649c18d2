//! What has to speak for a place before it is believed: near the filter's own, after an outage, and against what the filter holds.

use nalgebra::{Matrix2, Vector2};

use crate::fuse::hypotheses::{Demand, NEAR, POSSIBLE, Sighting};
use crate::fuse::running::Running;
use crate::fuse::settings::FusionSettings;
use crate::fuse::sources::FrameAid;
use crate::fuse::state::VELOCITY;
use crate::time::seconds_between;
use crate::types::Fix;

/// 95 % of a chi-squared distribution of two dimensions.
const LIKELY: f64 = 5.99;
/// What speaks for a place, besides enough fixes ([`NEAR`] where nothing speaks against it), where dead reckoning does,
const DOUBTFUL: Demand = Demand { fixes: 0, spread_m: 100.0, span_s: 5.5 };
/// and where dead reckoning rules it out. What repeats on the ground seldom does so for longer.
pub(super) const FAR: Demand = Demand { fixes: 0, spread_m: 100.0, span_s: 20.0 };
/// What has to speak for a place at which an outage ended, until nothing else can take it from there as from a start.
pub(super) const RETURNED: Demand = Demand { fixes: 0, spread_m: 150.0, span_s: 6.0 };

impl Running {
    /// A fix as seen from where the filter is.
    pub fn sighting(&self, stamp_ns: i64, fix: &Fix, visual: &FrameAid) -> Sighting {
        let covariance: Matrix2<f64> = fix.camera_covariance_m2() * visual.variance_factor();
        let here = self.plane.ground_from_lat_lon(fix.camera.lat_deg, fix.camera.lon_deg);
        let en_m = Vector2::new(here.e_m, here.n_m);
        let off_m = en_m - self.navigator.filter.state.position_m.xy();
        let together = self.navigator.filter.covariance.fixed_view::<2, 2>(0, 0) + covariance;
        let distance_squared =
            together.try_inverse().map_or(f64::INFINITY, |inverse| (off_m.transpose() * inverse * off_m)[(0, 0)]);
        Sighting { stamp_ns, en_m, off_m, variance_m2: covariance.trace(), distance_squared }
    }

    /// How far off its speed may be: 3 sigma, m/s.
    pub fn speed_error_m_s(&self) -> f64 {
        3.0 * self.navigator.filter.horizontal_sigma(VELOCITY)
    }

    /// Whether the filter has gone without fixes for so long that its gate is wide, by dead reckoning that
    /// can be waited on. Without an IMU it cannot: then the next fix is better than none.
    pub fn is_acquiring(&self, stamp_ns: i64, settings: &FusionSettings) -> bool {
        let long_ago = self.last_fix_ns.is_none_or(|t| seconds_between(t, stamp_ns) > settings.visual_age_s);
        self.confirmed && long_ago && self.is_wide(settings) && self.navigator.is_inertial()
    }

    /// Whether a place `sure_m` off would pass its gate.
    pub fn is_wide(&self, settings: &FusionSettings) -> bool {
        settings.sources.visual.aid.gate.sqrt() * self.horizontal_sigma_m() > settings.sure_m
    }

    /// What has to speak for a place that lies so far from the dead-reckoned one before an outage ends there; `None` beyond what dead
    /// reckoning can be off by. The less likely the place, the more.
    pub fn demand_of_return(&self, sighting: &Sighting, fixes: usize) -> Option<Demand> {
        if sighting.distance_squared <= LIKELY {
            Some(Demand { fixes, ..NEAR })
        } else if sighting.distance_squared <= POSSIBLE {
            Some(Demand { fixes: fixes + 1, ..DOUBTFUL })
        } else {
            None
        }
    }

    /// What has to speak for a place that the filter does not follow before it starts anew there, once it is not sure of its own.
    pub fn demand_of_restart(&self, acquiring: bool, fixes: usize) -> Demand {
        match (acquiring, self.confirmed) {
            (true, _) => Demand { fixes, ..FAR },
            // Dead reckoning and several fixes speak for its own.
            (false, false) if self.confirmation == RETURNED => Demand { fixes: fixes + 1, ..DOUBTFUL },
            _ => Demand { fixes, ..NEAR },
        }
    }
}
