//! Points of the track.

use nalgebra::Matrix2;

use super::settings::FusionSettings;
use super::state::{Covariance, State, worst_sigma};
use crate::geo::{EnuPlane, Geodetic};
use crate::types::{TrackPoint, TrackSource, TrackState};

/// The point of a track that does not know where it is.
pub(super) fn lost(stamp_ns: i64, fix_age_s: Option<f64>) -> TrackPoint {
    TrackPoint { stamp_ns, source: TrackSource::Lost, state: None, fix_age_s, nis: None, fix_used: false }
}

/// A point of the track from a filter's state, with the stamp, and what is known of its fix, of GNSS and of
/// whether anything confirms it, of another point.
pub(super) fn track_point(
    plane: &EnuPlane,
    state: &State,
    covariance: &Covariance,
    height_known: bool,
    like: &TrackPoint,
    settings: &FusionSettings,
) -> TrackPoint {
    let horizontal: Matrix2<f64> = covariance.fixed_view::<2, 2>(0, 0).into_owned();
    let p = state.position_m;
    if !(worst_sigma(&horizontal) <= settings.lost_sigma_m) || !p.iter().all(|v| v.is_finite()) {
        return lost(like.stamp_ns, like.fix_age_s);
    }
    let (lat, lon) = plane.lat_lon_from_ground(p.x, p.y);
    let v = state.velocity_m_s;
    let visual = like.fix_age_s.is_some_and(|age| age <= settings.visual_age_s);
    let source = match like.source {
        TrackSource::Unconfirmed => TrackSource::Unconfirmed,
        _ if visual => TrackSource::Visual,
        TrackSource::Gnss => TrackSource::Gnss,
        _ => TrackSource::Inertial,
    };
    let state = TrackState {
        position: Geodetic::ground(lat, lon),
        height_agl_m: height_known.then_some(p.z),
        velocity_enu_m_s: [v.x, v.y, v.z],
        enu_from_body: state.enu_from_body,
        covariance_en_m2: horizontal,
        sigma_u_m: covariance[(2, 2)].max(0.0).sqrt(),
    };
    TrackPoint { source, state: Some(state), ..like.clone() }
}
