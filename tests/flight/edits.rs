//! Edits of the map while flying: withdrawn, restored and replaced tiles.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use skyfix::flow::catalogue::{Action, Catalogue, MapEdit, MapEdits};
use skyfix::geo::mercator::{Tile, pixel_from_lat_lon};
use skyfix::localize::Localizer;
use skyfix::types::{FrameReport, Outcome};

use super::{FRAMES, credulous, essence, flight, map_and_index, network, run, run_against};

/// The tile around the true place of the first frame.
fn tile_of_the_flight(z: u8) -> Tile {
    let truth = flight().truth.at("000001.jpg", 0).unwrap().camera;
    let (x, y) = pixel_from_lat_lon(z, truth.lat_deg, truth.lon_deg);
    Tile { z, x: (x / 256.0) as u32, y: (y / 256.0) as u32 }
}

fn edit_of(tile: Tile, frame: u64, action: Action, image: Option<&Path>) -> MapEdit {
    MapEdit { frame, action, z: tile.z, x: tile.x, y: tile.y, image: image.map(Path::to_path_buf) }
}

/// The graph with edits, without prior, with one and two workers: the same both times.
fn run_edited(edits: MapEdits) -> (Arc<Localizer>, Vec<FrameReport>) {
    let (map, mut index) = map_and_index();
    let catalogue = Catalogue::prepare(edits, &mut index, &map, network().as_mut()).unwrap();
    let localizer = Arc::new(Localizer::new(Arc::new(index), credulous()));
    let [one, two] = [1, 2].map(|workers| {
        run_against(Arc::clone(&localizer), workers, |o| {
            o.use_prior = false;
            o.catalogue = catalogue.clone();
        })
    });
    assert_eq!(essence(&one), essence(&two));
    (localizer, one)
}

/// The graph without edits, without prior: flown once for all of these tests.
fn plain() -> &'static [FrameReport] {
    static FLOWN: OnceLock<Vec<FrameReport>> = OnceLock::new();
    FLOWN.get_or_init(|| run(2, |o| o.use_prior = false))
}

#[test]
fn a_withdrawn_tile_changes_only_the_frames_from_then_on_and_only_its_cells() {
    let tile = tile_of_the_flight(15);
    let edits = [edit_of(tile, 4, Action::Withdraw, None), edit_of(tile, 7, Action::Restore, None)];
    let plain = plain();
    let (localizer, edited) = run_edited(MapEdits { edit: edits.to_vec() });
    for i in 0..FRAMES {
        let (p, e) = (&plain[i].matched, &edited[i].matched);
        if (4..7).contains(&i) {
            let gone = localizer.index.cells_touched(tile);
            assert!(p.candidates > e.candidates && p.candidates - e.candidates <= gone.len(), "frame {i}");
        } else {
            assert_eq!(p, e, "frame {i}");
        }
    }
}

#[test]
fn a_tile_replaced_by_its_own_picture_trades_rows_one_for_one_and_leaves_the_positions() {
    let tile = tile_of_the_flight(18);
    let (map, index) = map_and_index();
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("same.png");
    let pixels = map.tile(tile).unwrap().unwrap();
    image::RgbaImage::from_raw(256, 256, pixels.rgba().to_vec()).unwrap().save(&picture).unwrap();
    let plain = plain();
    let edits = [edit_of(tile, 3, Action::Replace, Some(&picture)), edit_of(tile, 8, Action::Restore, None)];
    let (localizer, edited) = run_edited(MapEdits { edit: edits.to_vec() });
    assert_eq!(localizer.index.regions.len(), index.regions.len() + 1);
    let touched = index.cells_touched(tile).len();
    let patch: usize = localizer.index.levels.iter().map(|l| l.cells.iter().filter(|c| c.region == 1).count()).sum();
    assert_eq!(patch, touched);
    let mut short = 0;
    for i in 0..FRAMES {
        let (p, e) = (&plain[i].matched, &edited[i].matched);
        assert_eq!(p.candidates, e.candidates, "frame {i}");
        if !(3..8).contains(&i) {
            assert_eq!(p, e, "frame {i}");
        } else if let (Outcome::Fix(p), Outcome::Fix(e)) = (&p.outcome, &e.outcome) {
            assert!((p.centre_m - e.centre_m).norm() < 2.0 && e.region == 0, "frame {i}: {} {}", p.centre_m, e.centre_m);
        } else {
            // At this test's coarse index places hardly stand out, and one may fall just short of doing so.
            assert!((e.score / p.score - 1.0).abs() < 0.1, "frame {i}: {} {}", p.score, e.score);
            short += 1;
        }
    }
    assert!(short <= 2, "{short} of 5");
}

#[test]
fn what_a_replaced_tile_showed_is_found_no_more_until_it_is_restored() {
    // The frames are 260 m and more from the rim of this tile. The picture shows nothing that is on the ground there.
    let tile = tile_of_the_flight(14);
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("other.png");
    image::RgbImage::from_fn(256, 256, |x, y| image::Rgb([((x * 7 + y * y) % 251) as u8, ((x * x + 3 * y) % 241) as u8, 90]))
        .save(&picture)
        .unwrap();
    let edits = [edit_of(tile, 2, Action::Replace, Some(&picture)), edit_of(tile, 6, Action::Restore, None)];
    let plain = plain();
    let (_, edited) = run_edited(MapEdits { edit: edits.to_vec() });
    for i in 0..FRAMES {
        let (p, e) = (&plain[i].matched, &edited[i].matched);
        if (2..6).contains(&i) {
            let found = match (&p.outcome, &e.outcome) {
                (Outcome::Fix(p), Outcome::Fix(e)) => (p.centre_m - e.centre_m).norm() < 50.0,
                _ => false,
            };
            assert!(!found && p.candidates == e.candidates, "frame {i}");
        } else {
            assert_eq!(p, e, "frame {i}");
        }
    }
}

#[test]
fn edits_that_make_no_sense_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edits.toml");
    let refused = |text: &str| {
        std::fs::write(&file, text).unwrap();
        MapEdits::read(&file).unwrap_err().to_string()
    };
    let edit = |rest: &str| format!("[[edit]]\nframe = 1\nz = 14\nx = 5\ny = 6\n{rest}");
    assert!(refused(&edit("action = \"replace\"")).contains("image"));
    assert!(refused(&edit("action = \"withdraw\"\nimage = \"a.png\"")).contains("14/5/6"));
    assert!(refused(&edit("action = \"explode\"")).contains("edits.toml"));
    assert!(refused("[[edit]]\nframe = 1\nz = 3\nx = 9\ny = 6\naction = \"withdraw\"").contains("3/9/6"));
    let (map, mut index) = map_and_index();
    let edits = MapEdits { edit: vec![edit_of(tile_of_the_flight(18), 1, Action::Replace, Some(Path::new("/nowhere.png")))] };
    let error = Catalogue::prepare(edits, &mut index, &map, network().as_mut()).unwrap_err().to_string();
    assert!(error.contains("/nowhere.png"), "{error}");
}
