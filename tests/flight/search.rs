//! Ways of coarse search on the bundled flight: each finds the place on its own.

use std::sync::Arc;

use skyfix::coarse::consensus::ConsensusNetwork;
use skyfix::geo::EnuPlane;
use skyfix::localize::sequential::match_frame;
use skyfix::localize::{CoarseMethod, Localizer, MatchSettings};
use skyfix::models::Manifest;
use skyfix::retrieve::{Bounds, Detail};
use skyfix::types::{Frame, FrameMatch, Known, Outcome};

use super::{MODEL, credulous, frames, map_and_index, network, root};

fn localizer(settings: MatchSettings) -> Localizer {
    Localizer::new(Arc::new(map_and_index().1), settings)
}

fn centre_m(matched: &FrameMatch) -> Option<nalgebra::Vector2<f64>> {
    match &matched.outcome {
        Outcome::Fix(fix) => Some(fix.centre_m),
        Outcome::Abstained(_) => None,
    }
}

/// The index is too coarse for one frame to be sure of its place when its heading is not known: what counts is which place the search comes to.
#[test]
fn a_frame_whose_first_search_verified_nothing_is_found_by_a_search_at_the_refining_level() {
    let settings = MatchSettings::default();
    let (both, first_only) = (localizer(settings), localizer(MatchSettings { fallback_views: 0, ..settings }));
    let sure_of_anything = localizer(credulous());
    let mut network = network();
    let mut right = 0;
    for known in frames().into_iter().step_by(3).take(4) {
        let Outcome::Fix(there) = match_frame(&sure_of_anything, &known, None, None, network.as_mut()).outcome else {
            panic!("{}: not found with its heading known", known.name)
        };
        let unknown = Frame { known: Known { heading_rad: None, ..known.known }, ..known };
        let decoded = Arc::new(both.rectify(&unknown).unwrap());
        let observation = both.observe(&decoded, None).unwrap();
        assert!(observation.hypotheses.len() > 20 && observation.search_level != observation.refine_level);
        let retrieved = both.retrieve(&observation, None, None, network.as_mut()).unwrap();
        let decision = both.fix(&observation, &retrieved, &[], network.as_mut());
        assert_eq!(centre_m(&decision.matched), None);
        assert!(both.needs_fallback(&observation, &decision) && !first_only.needs_fallback(&observation, &decision));
        let matched = both.fallback_search(&observation, &retrieved, &[], &[], decision, network.as_mut());
        let place = matched.evidence.expect("a search that finds something says what speaks for it").centre;
        let off = EnuPlane::at(there.centre).ground_from_lat_lon(place.lat_deg, place.lon_deg);
        let is_right = off.e_m.hypot(off.n_m) < 5.0;
        assert!(is_right || centre_m(&matched).is_none(), "{}: a fix that is wrong", unknown.name);
        right += usize::from(is_right);
    }
    assert!(right >= 1, "none of 4");
}

#[test]
fn a_frame_in_doubt_has_further_places_verified_and_keeps_the_best() {
    let mut first_only = MatchSettings { places: 2, fallback_places: 0, ..MatchSettings::default() };
    // Nothing is sure enough: every frame is in doubt.
    first_only.evidence.max_p_wrong = 1e-9;
    let (few, more) = (localizer(first_only), localizer(MatchSettings { fallback_places: 24, ..first_only }));
    let mut network = network();
    for frame in frames().iter().step_by(4).take(3) {
        let mut of = |localizer: &Localizer| {
            let matched = match_frame(localizer, frame, None, None, network.as_mut());
            assert_eq!(centre_m(&matched), None);
            matched.evidence.expect("a place")
        };
        let (first, further) = (of(&few), of(&more));
        assert!(first.places <= 2 && further.places > 8, "{}: {}, {}", frame.name, first.places, further.places);
        let off = EnuPlane::at(first.centre).ground_from_lat_lon(further.centre.lat_deg, further.centre.lon_deg);
        assert!(off.e_m.hypot(off.n_m) < 5.0, "{}: {off:?}", frame.name);
    }
}

#[test]
fn region_consensus_finds_the_place_that_correlation_finds_with_the_fixed_kernel_and_with_learned_weights() {
    let correlation = localizer(credulous());
    let by_regions = MatchSettings { coarse: CoarseMethod::Sascm, ..credulous() };
    let manifest = Manifest::read(&root().join("models/manifest.toml")).unwrap();
    let entry = manifest.consensus_of(manifest.entry(MODEL).unwrap()).unwrap();
    let learned = ConsensusNetwork::from_bytes(&manifest.load_consensus(entry).unwrap()).unwrap();
    let mut network = network();
    // The first frame's two coarse places lie six cells apart at this sampling, and guided matching goes with either.
    let matchers = [localizer(by_regions), localizer(by_regions).with_consensus(learned)];
    for frame in frames().iter().skip(1).take(2) {
        let there = centre_m(&match_frame(&correlation, frame, None, None, network.as_mut())).unwrap();
        for by_regions in &matchers {
            let found = centre_m(&match_frame(by_regions, frame, None, None, network.as_mut())).unwrap();
            assert!((found - there).norm() < 3.0, "{}: {found} {there}", frame.name);
        }
    }
}

#[test]
fn the_map_in_detail_is_the_index_where_the_index_has_that_level() {
    let (map, index) = map_and_index();
    let (level, stride) = (&index.levels[0], index.identity.stride_px);
    let grid = level.regions[0].as_ref().unwrap();
    let detail = Detail::new(Arc::new(map));
    let mut network = network();
    let bounds = Bounds { west_m: -40.0, south_m: -70.0, east_m: 55.0, north_m: 20.0 };
    let first = detail.window((0, level.level), &bounds, stride, network.as_mut()).unwrap().unwrap();
    assert!(first.west_m <= bounds.west_m && first.north_m >= bounds.north_m);
    let (south_east, cell_m) = (first.ground_from_grid(first.rows as f64, first.columns as f64), first.cell_m);
    assert!(
        (0.0..=cell_m).contains(&(south_east.0 - bounds.east_m)) && (0.0..=cell_m).contains(&(bounds.south_m - south_east.1))
    );
    let (mut cells, mut alike, mut beside) = (0, 0.0, 0.0);
    let cosine = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() / (127.0 * 127.0);
    for row in 0..first.rows {
        for column in 0..first.columns {
            let (e, n) = first.ground_from_grid(row as f64 + 0.5, column as f64 + 0.5);
            let (r, c) = grid.grid_from_ground(e, n);
            let (r, c) = (r.floor() as i64, c.floor() as i64);
            let here = first.descriptor(row as i64, column as i64);
            let (Some(here), Some(there), Some(next)) = (here, grid.descriptor(r, c), grid.descriptor(r, c + 2)) else {
                continue;
            };
            (cells, alike, beside) = (cells + 1, alike + cosine(here, there), beside + cosine(here, next));
        }
    }
    let (alike, beside) = (alike / f64::from(cells), beside / f64::from(cells));
    assert!(cells > 300 && alike > 0.9 && alike > beside + 0.2, "{cells} cells, {alike:.3}, beside {beside:.3}");
    let nowhere = detail.window((9, level.level), &bounds, stride, network.as_mut()).unwrap();
    assert!(nowhere.is_none());
}
