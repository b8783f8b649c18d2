//! Filters led along a recorded flight: in order, live with fixes that come late, and smoothed afterwards.

use nalgebra::{Matrix3, UnitQuaternion, Vector2, Vector3};

use super::data::{GnssPoint, Recorded};
use super::degrade::{LateFix, START_SIGMAS, Start};
use crate::fuse::initial::InitialSigmas;
use crate::fuse::measurement::{Airflow, Gnss, Observation};
use crate::fuse::smoother::{Believed, Filtered, Passage, SmootherNode, smooth};
use crate::fuse::state::Covariance;
use crate::fuse::{Eskf, History, Navigator, NoiseDensities, State};
use crate::time::{NANOS_PER_SEC, nanos_from_seconds};
use crate::types::{AidSourceKind, ImuSample};

/// 1 sigma of the biases at the start: accelerometer, m/s², and gyroscope, rad/s.
const BIAS_SIGMAS: [f64; 2] = [0.2, 0.005];
/// How late a fix may come.
const SPAN_NS: i64 = 5 * NANOS_PER_SEC / 2;

/// A filter that can be compared: samples and fixes come in order.
pub trait PositionFilter: Clone {
    /// Goes on to an inertial sample.
    fn take_sample(&mut self, sample: &ImuSample);
    /// Takes a position, metres, of an equal sigma an axis; the filter may have to go on to its stamp.
    fn take_fix(&mut self, stamp_ns: i64, position_m: &Vector3<f64>, sigma_m: f64);
    /// Where it is at a stamp that does not lie before the last sample or fix, metres.
    fn place_m(&self, stamp_ns: i64) -> Vector3<f64>;
}

/// This project's filter at the start.
pub fn begin(start: &Start, noise: &NoiseDensities) -> Navigator {
    let [position, velocity, tilt, heading] = START_SIGMAS;
    let sigmas = InitialSigmas {
        position_m: position,
        height_m: position,
        velocity_m_s: velocity,
        attitude_rad: [tilt, tilt, heading],
        accel_bias_m_s2: BIAS_SIGMAS[0],
        gyro_bias_rad_s: BIAS_SIGMAS[1],
        lean: noise.lean_jitter,
        map_offset_m: noise.map_offset_m,
        baro_offset_m: noise.baro_offset_m,
        wind_m_s: noise.wind_m_s,
    };
    let covariance = sigmas.covariance(&start.enu_from_body);
    let state = State { velocity_m_s: start.velocity_m_s, ..State::at(start.position_m, start.enu_from_body) };
    let mut navigator = Navigator::new(Eskf::new(state, covariance, start.gravity_m_s2, *noise), start.stamp_ns);
    // It was in use until the flight began.
    navigator.aids.get_mut(AidSourceKind::Gnss).settings.confirmations = 0;
    navigator
}

/// What the wings of an aeroplane tell, see [`Airflow`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wings {
    /// 1 sigma of the motion across, m/s.
    pub sigma_m_s: f64,
    /// How often it is taken, seconds.
    pub interval_s: f64,
}

impl Default for Wings {
    /// 5° of slip and angle of attack at 17 m/s are 1.5 m/s; lasting for 2 s, they err as white noise of 3 m/s would, taken each second.
    fn default() -> Self {
        Self { sigma_m_s: 3.0, interval_s: 1.0 }
    }
}

impl Wings {
    /// When they are asked, after one stamp up to another, nanoseconds.
    fn stamps(&self, from_ns: i64, until_ns: i64) -> impl Iterator<Item = i64> {
        let interval_ns = nanos_from_seconds(self.interval_s).max(1);
        (1..=until_ns.saturating_sub(from_ns) / interval_ns).map(move |i| from_ns + i * interval_ns)
    }

    fn observation(&self) -> Observation {
        Observation::Airflow(Airflow { sigma_m_s: self.sigma_m_s })
    }
}

/// This project's filter, fed in order, with wings.
#[derive(Clone, Debug)]
pub struct Winged {
    /// The filter.
    pub navigator: Navigator,
    /// Its wings.
    pub wings: Wings,
    /// When they were asked last, nanoseconds.
    pub asked_ns: i64,
}

impl Winged {
    /// A filter that asks its wings from where it is on.
    pub fn new(navigator: Navigator, wings: Wings) -> Self {
        Self { asked_ns: navigator.stamp_ns, navigator, wings }
    }
}

impl PositionFilter for Winged {
    fn take_sample(&mut self, sample: &ImuSample) {
        let due_ns = self.asked_ns.saturating_add(nanos_from_seconds(self.wings.interval_s).max(1));
        if sample.stamp_ns >= due_ns {
            self.navigator.measure(due_ns, &self.wings.observation());
            self.asked_ns = due_ns;
        }
        self.navigator.take_sample(sample);
    }

    fn take_fix(&mut self, stamp_ns: i64, position_m: &Vector3<f64>, sigma_m: f64) {
        self.navigator.take_fix(stamp_ns, position_m, sigma_m);
    }

    fn place_m(&self, stamp_ns: i64) -> Vector3<f64> {
        self.navigator.place_m(stamp_ns)
    }
}

fn observation(position_m: &Vector3<f64>, sigma_m: f64) -> Observation {
    let covariance = Matrix3::identity() * (sigma_m * sigma_m);
    Observation::Gnss(Gnss { antenna_m: *position_m, covariance, lever_arm_m: Vector3::zeros() })
}

impl PositionFilter for Navigator {
    fn take_sample(&mut self, sample: &ImuSample) {
        self.imu(sample);
    }

    fn take_fix(&mut self, stamp_ns: i64, position_m: &Vector3<f64>, sigma_m: f64) {
        self.measure(stamp_ns, &observation(position_m, sigma_m));
    }

    fn place_m(&self, stamp_ns: i64) -> Vector3<f64> {
        let mut there = self.clone();
        there.advance(stamp_ns);
        there.filter.state.position_m
    }
}

/// Samples after one stamp up to another, both nanoseconds.
fn samples(flight: &Recorded, after_ns: i64, until_ns: i64) -> &[ImuSample] {
    let at = |stamp_ns: i64| flight.imu.partition_point(|s| s.stamp_ns <= stamp_ns);
    flight.imu.get(at(after_ns)..at(until_ns)).unwrap_or_default()
}

/// The points of the truth after one stamp up to another.
pub(super) fn truth(flight: &Recorded, after_ns: i64, until_ns: i64) -> &[GnssPoint] {
    let at = |stamp_ns: i64| flight.gnss.partition_point(|p| p.stamp_ns <= stamp_ns);
    flight.gnss.get(at(after_ns)..at(until_ns)).unwrap_or_default()
}

/// Leads a filter from one stamp to another, with the fixes between in order of their validity; it stops at each point of the truth.
pub fn lead<F: PositionFilter>(
    flight: &Recorded,
    fixes: &[LateFix],
    sigma_m: f64,
    [from_ns, until_ns]: [i64; 2],
    filter: &mut F,
    mut stop: impl FnMut(&GnssPoint, &F),
) {
    let mut at_ns = from_ns;
    let mut fixes = fixes.iter().filter(|f| f.stamp_ns > from_ns).peekable();
    for point in truth(flight, from_ns, until_ns) {
        while let Some(fix) = fixes.next_if(|f| f.stamp_ns <= point.stamp_ns) {
            samples(flight, at_ns, fix.stamp_ns).iter().for_each(|s| filter.take_sample(s));
            filter.take_fix(fix.stamp_ns, &fix.position_m, sigma_m);
            at_ns = fix.stamp_ns;
        }
        samples(flight, at_ns, point.stamp_ns).iter().for_each(|s| filter.take_sample(s));
        at_ns = point.stamp_ns;
        stop(point, filter);
    }
}

/// An estimate at a point of the truth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimated {
    pub stamp_ns: i64,
    pub error_m: Vector3<f64>,
    /// Squared horizontal error in units of its covariance.
    pub normalised: f64,
    pub enu_from_body: UnitQuaternion<f64>,
}

fn estimated(point: &GnssPoint, (state, covariance): &Believed) -> Estimated {
    let error_m = state.position_m - point.position_m;
    let horizontal: Vector2<f64> = error_m.xy();
    let inverse = covariance.fixed_view::<2, 2>(0, 0).into_owned().try_inverse();
    let normalised = inverse.map_or(f64::NAN, |inverse| (horizontal.transpose() * inverse * horizontal)[(0, 0)]);
    Estimated { stamp_ns: point.stamp_ns, error_m, normalised, enu_from_body: state.enu_from_body }
}

/// The live track: samples at once, fixes when they are published; scored at each point of the truth with what is known by then.
pub(super) fn live(
    flight: &Recorded,
    fixes: &[LateFix],
    sigma_m: f64,
    until_ns: i64,
    start: Navigator,
    wings: Option<Wings>,
) -> (Vec<Estimated>, History) {
    let from_ns = start.stamp_ns;
    let mut history = History::new(start, SPAN_NS);
    let mut arrivals: Vec<&LateFix> = fixes.iter().collect();
    arrivals.sort_by_key(|f| f.published_ns);
    let mut arrivals = arrivals.into_iter().peekable();
    let across = wings.unwrap_or_default().observation();
    let mut asked = wings.iter().flat_map(|w| w.stamps(from_ns, until_ns)).collect::<Vec<_>>().into_iter().peekable();
    let mut at_ns = from_ns;
    let mut out = Vec::new();
    let feed = |history: &mut History, after_ns: i64, until_ns: i64| {
        for sample in samples(flight, after_ns, until_ns) {
            history.imu(sample);
        }
    };
    for point in truth(flight, from_ns, until_ns) {
        while let Some(fix) = arrivals.next_if(|f| f.published_ns <= point.stamp_ns) {
            feed(&mut history, at_ns, fix.published_ns);
            at_ns = fix.published_ns;
            history.measure(fix.stamp_ns, &observation(&fix.position_m, sigma_m));
        }
        feed(&mut history, at_ns, point.stamp_ns);
        at_ns = point.stamp_ns;
        // They are asked in time, or a moment after it: the history puts them in their place.
        while let Some(asked_ns) = asked.next_if(|t| *t <= point.stamp_ns) {
            history.measure(asked_ns, &across);
        }
        let filter = history.at(point.stamp_ns).filter;
        out.push(estimated(point, &(filter.state, filter.covariance)));
    }
    (out, history)
}

/// The track as the whole flight knows it: forward in order, then back (Rauch–Tung–Striebel).
pub(super) fn smoothed(
    flight: &Recorded,
    fixes: &[LateFix],
    sigma_m: f64,
    until_ns: i64,
    start: Navigator,
    wings: Option<Wings>,
) -> Vec<Estimated> {
    let mut navigator = start;
    let from_ns = navigator.stamp_ns;
    navigator.filter.transition = Some(Box::new(Covariance::identity()));
    // Each is about a point of the truth where it lies at one.
    let mut nodes: Vec<SmootherNode<Option<GnssPoint>>> = Vec::new();
    let points = truth(flight, from_ns, until_ns).iter().map(|p| (p.stamp_ns, None, Some(*p)));
    let fixes = fixes.iter().filter(|f| (from_ns..=until_ns).contains(&f.stamp_ns));
    let fixes = fixes.map(|f| (f.stamp_ns, Some(observation(&f.position_m, sigma_m)), None));
    let across = wings.iter().flat_map(|w| w.stamps(from_ns, until_ns).map(|t| (t, Some(w.observation()), None)));
    let mut stops: Vec<(i64, Option<Observation>, Option<GnssPoint>)> = across.chain(fixes).chain(points).collect();
    stops.sort_by_key(|(stamp_ns, ..)| *stamp_ns);
    let mut at_ns = from_ns;
    for (stamp_ns, observed, point) in stops {
        samples(flight, at_ns, stamp_ns).iter().for_each(|s| navigator.take_sample(s));
        navigator.advance(stamp_ns);
        at_ns = stamp_ns;
        let before = Passage::of(&mut navigator.filter);
        navigator.filter.transition = Some(Box::new(Covariance::identity()));
        if let Some(observed) = observed {
            navigator.measure(stamp_ns, &observed);
        }
        nodes.push(SmootherNode::new(point, Some(Filtered::of(&navigator.filter)), before));
    }
    let mut out = Vec::new();
    smooth(nodes.iter(), |point, believed| out.extend(point.as_ref().zip(believed).map(|(point, b)| estimated(point, b))));
    out.reverse();
    out
}
