//! The short form of what `scripts/acceptance.py` measures at length: where nothing of the map is seen, no position may be given.

use skyfix::retrieve::build::{IndexOptions, build_index};
use skyfix::simulate::no_ground::{DrawnUp, KINDS, picture};
use skyfix::simulate::{Settings, simulate};
use skyfix::types::{Estimate, Known, Pixels};

use super::*;

/// Frames of each kind.
const OF_EACH_KIND: u64 = 3;

/// Positions that were given, one line each.
fn given(localizer: &Localizer, frames: impl Iterator<Item = Frame>) -> Vec<String> {
    let mut network = network();
    frames
        .filter_map(|frame| match match_frame(localizer, &frame, None, None, network.as_mut()).outcome {
            Outcome::Fix(fix) => Some(format!("{}: {} inliers, score {:.2}", frame.name, fix.inliers, fix.score)),
            Outcome::Abstained(_) => None,
        })
        .collect()
}

#[test]
fn pictures_without_ground_have_no_position() {
    let first = frames().swap_remove(0);
    let shown = KINDS.iter().filter(|kind| kind.drawn_up == DrawnUp::Building).flat_map(|kind| {
        let first = first.clone();
        (0..OF_EACH_KIND).map(move |number| {
            let (image, _) = picture(kind, 1, number);
            let known = Known { height_agl_m: Some(Estimate { value: 80.0, sigma: 3.0 }), ..first.known };
            Frame { name: format!("{} {number}", kind.name), pixels: Pixels::Decoded(Arc::new(image)), known, ..first.clone() }
        })
    });
    let localizer = Localizer::new(Arc::new(map_and_index().1), MatchSettings::default());
    let wrong = given(&localizer, shown);
    assert!(wrong.is_empty(), "{} of 30 have a position:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_flight_has_no_position_on_a_map_of_other_ground() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { seed: 99, duration_s: 1.0, photos_per_s: 1.0, map_side_m: 1200.0, ..Settings::default() };
    simulate(&settings, folder.path(), &|_, _| {}).unwrap();
    let map = MapStore::open(&folder.path().join("map.mbtiles")).unwrap();
    let index =
        build_index(&map, &|| Ok(network()), &IndexOptions { finest_gsd_m: Some(0.6), threads: 2 }, &|_, _| true).unwrap();
    let localizer = Localizer::new(Arc::new(index), MatchSettings::default());
    let wrong = given(&localizer, frames().into_iter());
    assert!(wrong.is_empty(), "{} of {FRAMES} have a position:\n{}", wrong.len(), wrong.join("\n"));
}
