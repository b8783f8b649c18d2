//! The smoothed track: of a whole flight at its end, or a lag behind.

use skyfix::fuse::Smoothing;

use super::*;

type Track = Vec<(String, TrackPoint)>;

/// The live track, the smoothed one as far as it was settled on the way, and the rest of it.
fn tracks(smoothing: Smoothing) -> (Track, Track, Track) {
    let flight = flight();
    let mut options = options(&flight);
    options.track.smoothing = smoothing;
    let (mut live, mut settled, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    run_graph(localizer(), (0..2).map(|_| network()).collect(), flight.frames, options, |report| {
        match report {
            Report::Frame(frame) => live.push((frame.name.clone(), frame.track)),
            Report::Between(points) => panic!("nobody asked for {points:?}"),
            Report::Settled(points) => settled.extend(points),
            Report::Smoothed(points) => rest = points,
        }
        true
    })
    .unwrap();
    (live, settled, rest)
}

fn same_frames<'a>(a: &Track, b: impl Iterator<Item = &'a (String, TrackPoint)>) -> bool {
    a.iter().map(|(name, p)| (name, p.stamp_ns)).eq(b.map(|(name, p)| (name, p.stamp_ns)))
}

#[test]
fn the_smoothed_track_has_a_point_for_each_frame_and_ends_where_the_live_one_does() {
    let (live, settled, smoothed) = tracks(Smoothing::Flight);
    assert!(settled.is_empty() && same_frames(&live, smoothed.iter()));
    // What is told live is widened while a source is in doubt.
    let last = |track: &Track| track.last().unwrap().1.state.clone().unwrap();
    let (now, then) = (last(&live), last(&smoothed));
    assert_eq!((now.position, now.velocity_enu_m_s), (then.position, then.velocity_enu_m_s));
    assert!((now.covariance_en_m2 - then.covariance_en_m2).norm() < 1e-3);
    let sigma = |track: &Track| track[1].1.state.as_ref().unwrap().covariance_en_m2[(0, 0)].sqrt();
    assert!(sigma(&smoothed) < sigma(&live));
}

#[test]
fn a_lag_settles_each_frame_once_and_the_end_the_rest() {
    let (live, settled, rest) = tracks(Smoothing::Lag(skyfix::time::NANOS_PER_SEC));
    assert!(!settled.is_empty() && !rest.is_empty());
    assert!(same_frames(&live, settled.iter().chain(&rest)));
}
