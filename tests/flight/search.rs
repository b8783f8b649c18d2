//! Ways of coarse search on the bundled flight: each finds the place on its own.

use std::sync::Arc;

use skyfix::coarse::consensus::ConsensusNetwork;
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

#[test]
fn a_frame_whose_first_search_verified_nothing_is_found_by_a_search_at_the_refining_level() {
    let settings = credulous();
    let (both, first_only) = (localizer(settings), localizer(MatchSettings { fallback_views: 0, ..settings }));
    let mut network = network();
    let mut right = 0;
    for known in frames().into_iter().take(4) {
        let there = centre_m(&match_frame(&both, &known, None, None, network.as_mut())).unwrap();
        let unknown = Frame { known: Known { heading_rad: None, ..known.known }, ..known };
        let decoded = Arc::new(both.rectify(&unknown).unwrap());
        let observation = both.observe(&decoded, None).unwrap();
        assert!(observation.hypotheses.len() > 20 && observation.search_level != observation.refine_level);
        let retrieved = both.retrieve(&observation, None, None, network.as_mut()).unwrap();
        let decision = both.fix(&observation, &retrieved, &[], network.as_mut());
        assert_eq!(centre_m(&decision.matched), None);
        assert!(both.needs_fallback(&observation, &decision) && !first_only.needs_fallback(&observation, &decision));
        if let Some(found) = centre_m(&both.fallback_search(&observation, &retrieved, &[], decision, network.as_mut())) {
            assert!((found - there).norm() < 5.0, "{}: {found}", unknown.name);
            right += 1;
        }
    }
    assert!(right >= 1, "none of 4");
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
