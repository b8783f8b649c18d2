//! The last check before anything leaves: whatever went wrong within, no number goes out that no aircraft can have.

use crate::types::{AbstainReason, FrameReport, Outcome, Plausible, Report, TrackPoint, TrackSource};

/// Turns points of the track that no aircraft can be at into `lost`, and fixes that no camera can give into abstentions. Returns how many.
pub fn check(report: &mut Report, plausible: &Plausible) -> u64 {
    match report {
        Report::Frame(frame) => check_frame(frame, plausible),
        Report::Between(points) => points.iter_mut().map(|point| check_point(point, plausible)).sum(),
        Report::Settled(points) | Report::Smoothed(points) => {
            points.iter_mut().map(|(_, point)| check_point(point, plausible)).sum()
        }
    }
}

fn check_frame(frame: &mut FrameReport, plausible: &Plausible) -> u64 {
    let mut refused = check_point(&mut frame.track, plausible);
    if let Outcome::Fix(fix) = &frame.matched.outcome
        && !plausible.fix(fix)
    {
        tracing::warn!("{}: a fix with numbers that no camera can give is left out", frame.name);
        frame.matched.outcome = Outcome::Abstained(AbstainReason::Failed);
        refused += 1;
    }
    refused
}

fn check_point(point: &mut TrackPoint, plausible: &Plausible) -> u64 {
    point.nis = point.nis.filter(|nis| nis.is_finite());
    if point.state.as_ref().is_none_or(|state| plausible.state(state)) {
        return 0;
    }
    tracing::warn!("a point of the track that no aircraft can be at, {} ns, is lost", point.stamp_ns);
    point.state = None;
    point.source = TrackSource::Lost;
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Geodetic;
    use crate::sink::tests::abstained;
    use crate::types::TrackState;
    use nalgebra::{Matrix2, UnitQuaternion};

    fn point(east_m_s: f64, lat_deg: f64) -> TrackPoint {
        let state = TrackState {
            position: Geodetic::ground(lat_deg, 8.0),
            height_agl_m: None,
            velocity_enu_m_s: [east_m_s, 0.0, 0.0],
            enu_from_body: UnitQuaternion::identity(),
            covariance_en_m2: Matrix2::identity(),
            sigma_u_m: 1.0,
        };
        TrackPoint { source: TrackSource::Visual, state: Some(state), nis: Some(f64::NAN), ..abstained(0).track }
    }

    #[test]
    fn what_no_aircraft_can_do_leaves_as_lost_and_is_counted() {
        let door = Plausible::default();
        let mut between = Report::Between(vec![point(10.0, 47.0), point(1e4, 47.0), point(10.0, f64::NAN)]);
        assert_eq!(check(&mut between, &door), 2);
        let Report::Between(points) = between else { return };
        assert_eq!(
            points.iter().map(|p| p.source).collect::<Vec<_>>(),
            [TrackSource::Visual, TrackSource::Lost, TrackSource::Lost]
        );
        assert!(points.iter().all(|p| p.nis.is_none()) && points[1].state.is_none());
        let mut frame = Report::Frame(Box::new(FrameReport { track: point(f64::INFINITY, 47.0), ..abstained(0) }));
        assert_eq!(check(&mut frame, &door), 1);
        assert_eq!(check(&mut frame, &door), 0);
    }
}
