//! The filter while it runs: predicted from sample to sample, and what the track and the prior are where it stands.

use nalgebra::Vector2;

use super::hypotheses::{Demand, Hypotheses, NEAR};
use super::measurement::{Observation, Taken, VisualFix};
use super::navigator::Navigator;
use super::offers::Offers;
use super::settings::FusionSettings;
use super::sources::FrameAid;
use super::state::{LEAN, MAP_OFFSET, VELOCITY, worst_sigma};
use super::track_point::{lost, track_point};
use crate::geo::EnuPlane;
use crate::time::seconds_between;
use crate::types::{FreePose, Plausible, Prior, TrackPoint, TrackSource, TrackState};

/// Without a sample or a frame for so long the track is lost, seconds.
const MAX_BLIND_S: f64 = 300.0;
/// No filter goes so far from the origin of its plane between two frames, metres.
const FARTHEST_M: f64 = 2e6;

/// A filter and what goes with it.
#[derive(Clone)]
pub(super) struct Running {
    pub plane: EnuPlane,
    pub navigator: Navigator,
    pub last_fix_ns: Option<i64>,
    pub frames_without_fix: usize,
    /// Whether the last frame's height was known.
    pub height_known: bool,
    /// Whether what `confirmation` demands speaks for where it is.
    pub confirmed: bool,
    /// What has to speak for it, besides enough fixes.
    pub confirmation: Demand,
    /// Places that fixes speak for and that the filter does not follow.
    pub hypotheses: Hypotheses,
    /// When a position of GNSS was used last.
    pub last_gnss_ns: Option<i64>,
    /// What the barometer tells at height 0 of the plane, metres; it is set by the filter's own height.
    pub barometer_zero_m: Option<f64>,
    /// What became of the fixes of late.
    pub offers: Offers,
}

impl Running {
    /// The track where the filter is.
    pub fn track(&self, stamp_ns: i64, settings: &FusionSettings) -> TrackPoint {
        let fix_age_s = self.last_fix_ns.map(|t| seconds_between(t, stamp_ns));
        let filter = &self.navigator.filter;
        let by_gnss = self.last_gnss_ns.is_some_and(|t| seconds_between(t, stamp_ns) <= settings.visual_age_s);
        let without_fix = if by_gnss { TrackSource::Gnss } else { TrackSource::Inertial };
        let like = if self.is_from_nothing() && !by_gnss { TrackSource::Unconfirmed } else { without_fix };
        let like = TrackPoint { source: like, ..lost(stamp_ns, fix_age_s) };
        let mut point = track_point(&self.plane, &filter.state, &filter.covariance, self.height_known, &like, settings);
        if point.source == TrackSource::Visual {
            if self.offers.are_refused() {
                point.source = TrackSource::Unconfirmed;
            } else if !self.confirmed && self.hypotheses.is_opposed() {
                point.source = without_fix;
            }
        }
        point
    }

    /// Whether it began with a fix that nothing has confirmed yet.
    fn is_from_nothing(&self) -> bool {
        !self.confirmed && self.confirmation == NEAR
    }

    /// Takes note of a fix that came, and whether it was used.
    pub fn offered(&mut self, used: bool) {
        self.offers.note(used);
    }

    /// Whether the filter says what no aircraft can do: whatever led it there, nothing of it is of use.
    pub fn is_absurd(&self, plausible: &Plausible) -> bool {
        let filter = &self.navigator.filter;
        let state = &filter.state;
        let numbers = [state.position_m, state.velocity_m_s, state.accel_bias_m_s2, state.gyro_bias_rad_s];
        let finite = numbers.iter().flat_map(|v| v.iter()).chain(filter.covariance.iter()).all(|v| v.is_finite())
            && state.enu_from_body.coords.iter().all(|v| v.is_finite());
        let sure = (0..6).all(|i| filter.covariance[(i, i)] >= 0.0);
        !(finite && sure && state.velocity_m_s.norm() <= plausible.speed_m_s && state.position_m.xy().norm() <= FARTHEST_M)
    }

    /// The track at a later stamp, without going there. What was not measured for so long is not predicted.
    pub fn track_at(&self, stamp_ns: i64, settings: &FusionSettings) -> TrackPoint {
        if seconds_between(self.navigator.stamp_ns, stamp_ns) > MAX_BLIND_S {
            return lost(stamp_ns, self.last_fix_ns.map(|t| seconds_between(t, stamp_ns)));
        }
        let mut there = self.clone();
        there.navigator.advance(stamp_ns);
        there.track(stamp_ns, settings)
    }

    /// Where to search for later frames, while that is trusted.
    pub fn prior(&self, stamp_ns: i64, state: &TrackState, settings: &FusionSettings) -> Option<Prior> {
        let [east, north, _] = state.velocity_enu_m_s;
        (self.frames_without_fix < settings.distrust_frames).then(|| Prior {
            position: state.position,
            sigma_m: worst_sigma(&state.covariance_en_m2),
            velocity_en_m_s: [east, north],
            velocity_sigma_m_s: self.navigator.filter.horizontal_sigma(VELOCITY),
            stamp_ns,
        })
    }

    /// 1 sigma of the horizontal position along its worst axis, metres.
    pub fn horizontal_sigma_m(&self) -> f64 {
        self.navigator.filter.horizontal_sigma(0)
    }

    /// What is known of lean and map before their first frame.
    pub fn expect(&mut self, pose: &FreePose) {
        let filter = &mut self.navigator.filter;
        filter.noise.map_offset_m = pose.map_sigma_m;
        for (first, sigma) in [(LEAN, pose.lean_sigma), (MAP_OFFSET, pose.map_sigma_m)] {
            for i in first..first + 2 {
                filter.covariance.row_mut(i).fill(0.0);
                filter.covariance.column_mut(i).fill(0.0);
                filter.covariance[(i, i)] = sigma * sigma;
            }
        }
    }

    /// A frame's pose as the filter takes it.
    pub fn visual_fix(&self, pose: &FreePose, visual: &FrameAid) -> VisualFix {
        let here = self.plane.ground_from_lat_lon(pose.camera.lat_deg, pose.camera.lon_deg);
        let pose = FreePose { covariance: pose.covariance * visual.variance_factor(), ..*pose };
        VisualFix::of(&pose, Vector2::new(here.e_m, here.n_m), self.navigator.filter.noise.lean_jitter)
    }

    /// Fuses a frame's pose; one that is shunned is measured, and refused whatever comes of it.
    pub fn take_pose(&mut self, stamp_ns: i64, pose: &FreePose, visual: &FrameAid, shunned: bool) -> Taken {
        let fix = Observation::Visual(self.visual_fix(pose, visual));
        let taken = if shunned { self.navigator.refuse(stamp_ns, &fix) } else { self.navigator.measure(stamp_ns, &fix) };
        let filter = &self.navigator.filter;
        let (lean, sigma) = (filter.state.lean, [0, 1].map(|i| filter.sigma(LEAN + i)));
        tracing::debug!("{taken:?}, lean {:.4} ± {:.4}, {:.4} ± {:.4}", lean.x, sigma[0], lean.y, sigma[1]);
        taken
    }
}
