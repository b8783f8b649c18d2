//! The way between consecutive frames.

use skyfix::geo::EnuPlane;

use super::*;

#[test]
fn consecutive_frames_tell_the_true_way_between_them() {
    let (matcher, mut network) = (matcher(), network());
    let truth = flight().truth;
    let mut before: Option<(Seen, Geodetic)> = None;
    let mut told = 0;
    for frame in &frames() {
        let seen = match_and_see(&matcher, frame, None, None, network.as_mut()).1.unwrap();
        let camera = truth.at(&frame.name, frame.stamp_ns).unwrap().camera;
        if let Some((then, there)) = &before {
            let way = way_between(Some(then), Some(&seen)).unwrap();
            let enu = EnuPlane::at(*there).ground_from_lat_lon(camera.lat_deg, camera.lon_deg);
            let off = (way.moved_m.x - enu.e_m).hypot(way.moved_m.y - enu.n_m);
            // Half a metre for the matches; the rest is what the camera sways from frame to frame, which the filter accounts for.
            assert!(off < 2.0, "{}: {off} m of {} m", frame.name, enu.e_m.hypot(enu.n_m));
            told += usize::from(off < 0.5);
        }
        before = Some((seen, camera));
    }
    assert!(told >= (FRAMES - 1) / 2, "{told} of {} within 0.5 m", FRAMES - 1);
}

#[test]
fn frames_whose_fixes_are_withheld_keep_the_track_whatever_the_number_of_workers() {
    let withheld = |odometry: bool, workers: usize| {
        run(workers, |options| {
            options.fusion.withhold = Some("2:1".parse().unwrap());
            options.fusion.odometry = odometry;
        })
    };
    let one = withheld(true, 1);
    assert_eq!(essence(&one), essence(&withheld(true, 3)));
    assert!(one.iter().skip(1).all(|r| r.odometry == Some("used")), "{:?}", one.iter().map(|r| r.odometry).collect::<Vec<_>>());
    assert!(withheld(false, 2).iter().all(|r| r.odometry.is_none()));
}
