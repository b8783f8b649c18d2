//! A filter as it starts: at a position that is known, at one of GNSS, or at a fix.

use std::f64::consts::PI;

use nalgebra::{Matrix2, Vector3};

use crate::fuse::eskf::Eskf;
use crate::fuse::hypotheses::{Hypotheses, NEAR};
use crate::fuse::initial::InitialSigmas;
use crate::fuse::measurement::Aids;
use crate::fuse::navigator::Navigator;
use crate::fuse::offers::Offers;
use crate::fuse::running::Running;
use crate::fuse::settings::FusionSettings;
use crate::fuse::state::{State, gravity_m_s2};
use crate::geo::{EnuPlane, Geodetic, enu_from_body};
use crate::types::{AidSourceKind, AttitudeSample, Estimate, Fix, GnssSample, Known};

/// 1 sigma of a position of which nothing is known before the first fix, metres.
pub(super) const ANYWHERE_SIGMA_M: f64 = 1e4;
/// The least 1 sigma of an attitude that is measured, radians.
const LEAST_ATTITUDE_SIGMA_RAD: f64 = 0.02;
/// What GNSS says of its error is taken this many times larger for its gate: errors that last make it weigh less, but not lie further off.
const GNSS_GATE_FACTOR: f64 = 1.5;
/// Height over ground where nobody knows it, metres.
const UNKNOWN_HEIGHT: Estimate = Estimate { value: 100.0, sigma: 100.0 };

/// What the sensors say as a filter starts.
pub(super) struct Sensed<'a> {
    /// The last attitude, where one was measured.
    pub attitude: Option<&'a AttitudeSample>,
    /// Height, heading and tilt, as far as they are known.
    pub known: &'a Known,
}

/// A filter at a position whose 1 sigma along each axis is known, metres.
fn initialise(settings: &FusionSettings, stamp_ns: i64, position: Geodetic, sigma_m: f64, sensed: &Sensed<'_>) -> Running {
    let Sensed { attitude: measured, known } = *sensed;
    let plane = EnuPlane::at(Geodetic { alt_m: 0.0, ..position });
    let height = known.height_agl_m.unwrap_or(UNKNOWN_HEIGHT);
    let (pitch, roll) = known.pitch_roll_rad.unwrap_or((0.0, 0.0));
    let heading = known.heading_rad;
    let attitude = measured.map_or_else(|| enu_from_body(heading.map_or(0.0, |h| h.value), pitch, roll), |a| a.enu_from_body);
    let tilt_sigma = measured.map_or(settings.level_sigma_rad, |a| a.sigma_rad.max(LEAST_ATTITUDE_SIGMA_RAD));
    let heading_sigma = heading.map_or(PI, |h| h.sigma).min(PI);
    let sigmas = InitialSigmas {
        position_m: sigma_m,
        height_m: height.sigma,
        velocity_m_s: settings.speed_sigma_m_s,
        attitude_rad: [tilt_sigma, tilt_sigma, heading_sigma],
        accel_bias_m_s2: settings.accel_bias_sigma_m_s2,
        gyro_bias_rad_s: settings.gyro_bias_sigma_rad_s,
        // The first frame tells what to expect of these two.
        lean: 0.0,
        map_offset_m: 0.0,
        baro_offset_m: settings.noise.baro_offset_m,
        wind_m_s: settings.noise.wind_m_s,
    };
    let state = State::at(Vector3::new(0.0, 0.0, height.value), attitude);
    let filter = Eskf::new(state, sigmas.covariance(&attitude), gravity_m_s2(position.lat_deg), settings.noise);
    let mut navigator = Navigator::new(filter, stamp_ns);
    navigator.aids = Aids::new(&settings.sources);
    navigator.sure_m = settings.sure_m;
    navigator.plausible = settings.plausible;
    navigator.jumps = (settings.sources.imu.jump_m_s2, settings.sources.imu.jump_rad_s);
    navigator.gnss_gate_scale = (GNSS_GATE_FACTOR / settings.sources.gnss.sigma_factor).powi(2).min(1.0);
    Running {
        plane,
        navigator,
        last_fix_ns: None,
        frames_without_fix: 0,
        height_known: known.height_agl_m.is_some(),
        confirmed: true,
        confirmation: NEAR,
        hypotheses: Hypotheses::new(settings.restart_fixes),
        last_gnss_ns: None,
        barometer_zero_m: None,
        offers: Offers::default(),
        rival: None,
        doubt_m2: Matrix2::zeros(),
        told_heading: None,
    }
}

/// A filter at a position that is known, with its 1 sigma, metres.
pub(super) fn at_position(
    settings: &FusionSettings,
    stamp_ns: i64,
    (position, sigma_m): (Geodetic, f64),
    sensed: &Sensed<'_>,
) -> Running {
    let mut running = initialise(settings, stamp_ns, position, sigma_m, sensed);
    // A place known so roughly is no more than a hint of where the first fix may lie.
    running.confirmed = !running.is_wide(settings);
    running
}

/// A filter at a position of GNSS.
pub(super) fn at_gnss(settings: &FusionSettings, sample: &GnssSample, sensed: &Sensed<'_>) -> Running {
    let position = Geodetic::ground(sample.lat_deg, sample.lon_deg);
    let mut running = initialise(settings, sample.stamp_ns, position, sample.sigma_m, sensed);
    running.last_gnss_ns = Some(sample.stamp_ns);
    // Fixes that agree with each other outvote the position that it began with.
    running.confirmed = false;
    running.navigator.aids.get_mut(AidSourceKind::Gnss).begun_by(sample.stamp_ns);
    running
}

/// A filter that knows of its position just what a fix says.
pub(super) fn at_fix(settings: &FusionSettings, stamp_ns: i64, fix: &Fix, sensed: &Sensed<'_>) -> Running {
    let mut running = initialise(settings, stamp_ns, fix.free.camera, ANYWHERE_SIGMA_M, sensed);
    running.expect(&fix.free);
    running.navigator.filter.fuse(&running.visual_fix(&fix.free, &settings.sources.visual), f64::INFINITY);
    running.last_fix_ns = Some(stamp_ns);
    running.offers.note(true);
    running.navigator.filter.set_swaying_anchor(stamp_ns);
    running
}

/// A filter that starts from nothing with its first fix, which others have yet to confirm.
pub(super) fn at_first_fix(settings: &FusionSettings, stamp_ns: i64, fix: &Fix, sensed: &Sensed<'_>) -> Running {
    let told = |(value, sigma)| Some(Estimate { value, sigma });
    let known = Known {
        heading_rad: sensed.known.heading_rad.or(told(fix.heading_rad)),
        height_agl_m: sensed.known.height_agl_m.or(told(fix.height_agl_m)),
        ..*sensed.known
    };
    let mut running = at_fix(settings, stamp_ns, fix, &Sensed { known: &known, ..*sensed });
    running.confirmed = false;
    running.hypotheses.follow(running.sighting(stamp_ns, fix, &settings.sources.visual));
    running
}
