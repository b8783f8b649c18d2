//! The way between consecutive frames.

use skyfix::geo::EnuPlane;

use super::*;

#[test]
fn consecutive_frames_tell_the_true_way_between_them() {
    let (localizer, mut network) = (localizer(), network());
    let truth = flight().truth;
    let mut before: Option<(FrameView, Geodetic)> = None;
    let mut off_m = Vec::new();
    for frame in &frames() {
        let seen = match_and_view(&localizer, frame, None, None, network.as_mut()).1.unwrap();
        // What a camera sees says where it seems to be: its place and its lean together, which is where the middle of its picture lies.
        let centre = truth.at(&frame.name, frame.stamp_ns).unwrap().centre.unwrap();
        if let Some((then, there)) = &before {
            let way = register_frames(Some(then), Some(&seen)).unwrap();
            let enu = EnuPlane::at(*there).ground_from_lat_lon(centre.lat_deg, centre.lon_deg);
            off_m.push((way.moved_m.x - enu.e_m).hypot(way.moved_m.y - enu.n_m));
        }
        before = Some((seen, centre));
    }
    // A third of a cell, which is 4.8 m here.
    assert!(off_m.iter().all(|off| *off < 1.6), "{off_m:?}");
}

#[test]
fn fixes_that_are_withheld_leave_a_track_that_does_not_depend_on_the_number_of_workers() {
    let withheld = |odometry: Odometry, workers: usize| {
        run(workers, |options| {
            options.fusion.withhold = Some("2:1".parse().unwrap());
            options.fusion.odometry = odometry;
        })
    };
    let one = withheld(Odometry::On, 1);
    assert_eq!(essence(&one), essence(&withheld(Odometry::On, 3)));
    assert!(one.iter().all(|r| r.ordinal % 2 == 0 || !r.track.fix_used));
    assert!(one.iter().filter(|r| r.odometry == Some("used")).count() >= FRAMES - 2);
    assert!(withheld(Odometry::Auto, 2).iter().all(|r| r.odometry.is_none()));
}
