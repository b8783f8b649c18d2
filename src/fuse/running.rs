//! The filter while it runs: predicted from sample to sample, and what the track and the prior are where it stands.

use nalgebra::{Matrix2, Vector2};

use super::eskf::Eskf;
use super::gyro_check::ToldAttitude;
use super::hypotheses::{Demand, Hypotheses, NEAR};
use super::measurement::{Observation, Taken, VisualFix};
use super::navigator::{Navigator, Sampled};
use super::offers::Offers;
use super::rival::{Judgement, Rival};
use super::settings::FusionSettings;
use super::sources::{FrameAid, ImuAid};
use super::state::{LEAN, MAP_OFFSET, VELOCITY, worst_sigma};
use super::track_point::{lost, track_point};
use crate::geo::{EnuPlane, heading_pitch_roll, turn_between};
use crate::time::seconds_between;
use crate::types::{AttitudeSample, Estimate, FreePose, ImuSample, Known, Plausible, Prior, TrackPoint, TrackSource, TrackState};

/// Without a sample or a frame for so long the track is lost, seconds.
const MAX_BLIND_S: f64 = 300.0;
/// No filter goes so far from the origin of its plane between two frames, metres.
const FARTHEST_M: f64 = 2e6;
/// Over a longer time a turn says little of the way, seconds.
const LONGEST_BEND_S: f64 = 1.5;

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
    /// The same filter without the IMU, or with it where this one goes without; none where there never was one.
    pub rival: Option<Box<Rival>>,
    /// What the fear that the rival is right adds to the covariance that is told of the position, m².
    pub doubt_m2: Matrix2<f64>,
    /// The heading that was told last, radians, and when.
    pub told_heading: Option<(i64, f64)>,
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
        let mut covariance = filter.covariance;
        let mut horizontal = covariance.fixed_view_mut::<2, 2>(0, 0);
        horizontal += self.doubt_m2;
        let mut point = track_point(&self.plane, &filter.state, &covariance, self.height_known, &like, settings);
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
        !self.confirmed && self.confirmation == NEAR && self.last_fix_ns.is_some()
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
        let mut there = Self { rival: None, navigator: self.navigator.clone(), hypotheses: self.hypotheses.clone(), ..*self };
        there.navigator.advance(stamp_ns);
        there.track(stamp_ns, settings)
    }

    /// The leading filter and its rival.
    pub fn filters_mut(&mut self) -> impl Iterator<Item = &mut Eskf> {
        std::iter::once(&mut self.navigator.filter).chain(self.rival.as_mut().map(|rival| &mut rival.navigator.filter))
    }

    /// Samples come: from now on the filter has a rival.
    pub fn expect_imu(&mut self, imu: &[ImuSample], settings: &ImuAid) {
        if self.rival.is_none() && !imu.is_empty() {
            self.rival = Some(Box::new(Rival::beside(&self.navigator, settings)));
        }
    }

    /// Goes on to an inertial sample.
    pub fn imu(&mut self, sample: &ImuSample) -> Sampled {
        let sampled = self.navigator.imu(sample);
        if let (Some(rival), Sampled::Used | Sampled::Ignored | Sampled::HeldBack) = (&mut self.rival, sampled) {
            rival.imu(sample, &self.navigator);
        }
        sampled
    }

    /// Bends the way to a frame, where no IMU measured it, by how much the heading that is told has turned since the frame before.
    pub fn bend(&mut self, stamp_ns: i64, attitude: Option<&AttitudeSample>, known: &Known) {
        let heading_rad = attitude.map(|a| heading_pitch_roll(&a.enu_from_body).0).or(known.heading_rad.map(|h| h.value));
        let before = std::mem::replace(&mut self.told_heading, heading_rad.map(|h| (stamp_ns, h)));
        let Some(((from_ns, from), to)) = before.zip(heading_rad) else { return };
        let dt_s = seconds_between(from_ns, stamp_ns);
        if !(dt_s > 0.0 && dt_s <= LONGEST_BEND_S) {
            return;
        }
        let turn_rad = turn_between(from, to);
        let Some(rival) = &mut self.rival else { return };
        let free = if self.navigator.inertial { &mut rival.navigator } else { &mut self.navigator };
        free.filter.bend(turn_rad, dt_s);
    }

    /// Goes on from the last sample to a stamp.
    pub fn advance(&mut self, stamp_ns: i64) {
        self.navigator.advance(stamp_ns);
        if let Some(rival) = &mut self.rival {
            rival.navigator.advance(stamp_ns);
        }
    }

    /// Fuses a measurement of a stamp that does not lie before the filter; so does the rival.
    pub fn measure(&mut self, stamp_ns: i64, observation: &Observation) -> Taken {
        let taken = self.navigator.measure(stamp_ns, observation);
        self.compare(stamp_ns, observation);
        taken
    }

    /// The rival measures what the filter has just measured.
    fn compare(&mut self, stamp_ns: i64, observation: &Observation) {
        if let Some(rival) = &mut self.rival {
            rival.measure(stamp_ns, observation, &mut self.navigator.filter);
        }
    }

    /// Compares the turn by the gyroscopes with that of the attitude, or the heading, that is told at a frame.
    pub fn compare_turn(&mut self, stamp_ns: i64, attitude: Option<&AttitudeSample>, known: &Known) {
        let Some(rival) = &mut self.rival else { return };
        let inertial = if self.navigator.inertial { &self.navigator } else { &rival.navigator };
        let believed = inertial.filter.state.enu_from_body;
        let (told_ns, told) = match (attitude, known.heading_rad) {
            (Some(a), _) => (a.stamp_ns, ToldAttitude::Attitude(a.enu_from_body, a.sigma_rad)),
            (None, Some(h)) => (stamp_ns, ToldAttitude::Heading(h.value, h.sigma, believed)),
            (None, None) => return,
        };
        if let Some(evidence) = rival.gyro().compare(told_ns, told) {
            rival.heed_turn(evidence);
        }
    }

    /// Judges the IMU after a frame at which everything is measured. Where the rival leads from here on: whether it used the frame's fix.
    pub fn judge(&mut self, stamp_ns: i64) -> Option<bool> {
        self.doubt_m2 = Matrix2::zeros();
        let used = self.last_fix_ns == Some(stamp_ns);
        let rival = self.rival.as_mut()?;
        if rival.judge(stamp_ns, &self.navigator, used) == Judgement::Same {
            let off_m = (rival.navigator.filter.state.position_m - self.navigator.filter.state.position_m).xy();
            self.doubt_m2 = off_m * off_m.transpose() * rival.doubt(stamp_ns);
            return None;
        }
        let used = rival.used_at(stamp_ns);
        rival.change(&mut self.navigator);
        if used {
            self.last_fix_ns = Some(stamp_ns);
            self.frames_without_fix = 0;
            self.hypotheses.clear();
        }
        Some(used)
    }

    /// Where to search for later frames, while that is trusted.
    pub fn prior(&self, stamp_ns: i64, state: &TrackState, settings: &FusionSettings) -> Option<Prior> {
        let [east, north, up] = state.velocity_enu_m_s;
        (self.frames_without_fix < settings.distrust_frames).then(|| Prior {
            position: state.position,
            sigma_m: worst_sigma(&state.covariance_en_m2),
            velocity_en_m_s: [east, north],
            velocity_sigma_m_s: self.navigator.filter.horizontal_sigma(VELOCITY),
            height_agl_m: Estimate { value: self.navigator.filter.state.position_m.z, sigma: state.sigma_u_m },
            climb_m_s: Estimate { value: up, sigma: self.navigator.filter.sigma(VELOCITY + 2) },
            stamp_ns,
        })
    }

    /// 1 sigma of the horizontal position along its worst axis, metres.
    pub fn horizontal_sigma_m(&self) -> f64 {
        self.navigator.filter.horizontal_sigma(0)
    }

    /// What is known of lean and map before their first frame.
    pub fn expect(&mut self, pose: &FreePose) {
        for filter in self.filters_mut() {
            filter.noise.map_offset_m = pose.map_sigma_m;
            for (first, sigma) in [(LEAN, pose.lean_sigma), (MAP_OFFSET, pose.map_sigma_m)] {
                for i in first..first + 2 {
                    filter.covariance.row_mut(i).fill(0.0);
                    filter.covariance.column_mut(i).fill(0.0);
                    filter.covariance[(i, i)] = sigma * sigma;
                }
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
        self.compare(stamp_ns, &fix);
        let filter = &self.navigator.filter;
        let (lean, sigma) = (filter.state.lean, [0, 1].map(|i| filter.sigma(LEAN + i)));
        tracing::debug!("{taken:?}, lean {:.4} ± {:.4}, {:.4} ± {:.4}", lean.x, sigma[0], lean.y, sigma[1]);
        taken
    }
}
