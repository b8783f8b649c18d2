//! Where the tiles of a map lie: by their numbers, and by what is stated of them, which must agree.

use super::MapError;
use super::region::{Region, SourceRecord, cluster};
use crate::geo::mercator::{TILE_PX, ground_sampling_distance_m, lat_lon_from_pixel};
use crate::geo::{EnuPlane, GeodeticBounds};
use crate::text::shell_word;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// Metadata row that holds the sources as JSON.
pub(super) const SOURCES_KEY: &str = "skyfix:sources";

/// How tiles lie to the bounds that are stated of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// They share ground.
    AsCounted,
    /// They do when the rows are counted from the other side.
    OtherSide,
    /// They do not.
    Nowhere,
}

/// The same tiles with rows counted from the other side.
pub(super) fn mirrored(bounds: &GeodeticBounds) -> GeodeticBounds {
    GeodeticBounds { south_deg: -bounds.north_deg, north_deg: -bounds.south_deg, ..*bounds }
}

/// How the areas of tiles lie to the bounds that are stated.
pub(super) fn agreement(areas: &[GeodeticBounds], stated: &GeodeticBounds) -> Agreement {
    let share = |area: GeodeticBounds| area.intersection(stated).is_some();
    if areas.iter().any(|area| share(*area)) {
        Agreement::AsCounted
    } else if areas.iter().any(|area| share(mirrored(area))) {
        Agreement::OtherSide
    } else {
        Agreement::Nowhere
    }
}

/// Bounds in words.
pub(super) fn in_words(b: &GeodeticBounds) -> String {
    format!("{:.4} {:.4} to {:.4} {:.4}", b.south_deg, b.west_deg, b.north_deg, b.east_deg)
}

/// What an MBTiles file is made of, and whether its rows are counted from the north, against the specification.
pub(super) struct Description {
    pub sources: Vec<SourceRecord>,
    pub rows_from_north: bool,
}

impl Description {
    /// By the records of the builder, else by the tiles of the finest zoom and what is stated of them.
    pub fn read(
        path: &Path,
        connection: &Connection,
        metadata: &BTreeMap<String, String>,
        (max_zoom, doubled): (u8, bool),
    ) -> Result<Self, MapError> {
        if let Some(json) = metadata.get(SOURCES_KEY) {
            let sources: Vec<SourceRecord> = serde_json::from_str(json)
                .map_err(|e| MapError::store(path, format!("metadata row {SOURCES_KEY} cannot be read ({e})")))?;
            if !sources.is_empty() {
                return Ok(Self { sources, rows_from_north: false });
            }
        }
        let mut areas = areas_of_tiles(path, connection, max_zoom)?;
        let stated = metadata.get("bounds").and_then(|text| bounds_from_text(text));
        let rows_from_north = are_from_north(path, metadata, &areas, stated.as_ref())?;
        if rows_from_north {
            areas = areas.iter().map(mirrored).collect();
        }
        let name = metadata.get("name").cloned().unwrap_or_else(|| path.display().to_string());
        let several = areas.len() > 1;
        let record = |(i, area): (usize, GeodeticBounds)| {
            // Bounds may cut the tiles at the edge; where there are no tiles, they say nothing.
            let bounds = stated.as_ref().and_then(|stated| stated.intersection(&area)).unwrap_or(area);
            SourceRecord {
                name: if several { format!("{name} #{}", i + 1) } else { name.clone() },
                bounds,
                corners_deg: None,
                ground_sampling_distance_m: ground_sampling_distance_m(max_zoom + u8::from(doubled), bounds.centre().lat_deg),
                date: None,
                licence: metadata.get("attribution").cloned(),
            }
        };
        Ok(Self { sources: areas.into_iter().enumerate().map(record).collect(), rows_from_north })
    }
}

/// Whether the rows of an MBTiles file are counted from the north. The specification has them from the south; files that are not so are told by
/// their bounds, not by a `scheme`, which tools copy from elsewhere.
fn are_from_north(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    areas: &[GeodeticBounds],
    stated: Option<&GeodeticBounds>,
) -> Result<bool, MapError> {
    let (file, word) = (path.display(), shell_word(path));
    let says_so = metadata.get("scheme").is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("xyz"));
    let Some(stated) = stated else {
        if !says_so {
            return Ok(false);
        }
        return Err(MapError::source(
            path,
            "says that its rows are counted from the north (scheme xyz), which no MBTiles file should, and has no bounds that tell whether they are",
            format!(
                "write its bounds into it, west, south, east, north: `sqlite3 {word} \"INSERT INTO metadata VALUES('bounds', '8.1,47.2,8.3,47.4')\"`"
            ),
        ));
    };
    match agreement(areas, stated) {
        Agreement::AsCounted => Ok(false),
        Agreement::OtherSide => {
            tracing::warn!(
                "{file}: its rows are counted from the north, as its bounds tell; MBTiles files should have them from the south"
            );
            Ok(true)
        }
        Agreement::Nowhere => Err(MapError::source(
            path,
            format!(
                "contradicts itself: its bounds are {}, its tiles lie at {}",
                in_words(stated),
                areas.first().map(in_words).unwrap_or_default()
            ),
            format!(
                "where the tiles are right, remove the bounds: `sqlite3 {word} \"DELETE FROM metadata WHERE name = 'bounds'\"`"
            ),
        )),
    }
}

/// MBTiles' `west,south,east,north`.
pub(super) fn bounds_from_text(text: &str) -> Option<GeodeticBounds> {
    let v: Vec<f64> = text.split(',').map(|v| v.trim().parse().ok()).collect::<Option<_>>()?;
    let [west_deg, south_deg, east_deg, north_deg] = v.try_into().ok()?;
    let sane = west_deg.abs() <= 180.0 && east_deg.abs() <= 180.0 && south_deg.abs() <= 90.0 && north_deg.abs() <= 90.0;
    // Tools that do not know the bounds write those of the world: then the tiles themselves say more.
    (sane && west_deg < east_deg && south_deg < north_deg && east_deg - west_deg < 300.0).then_some(GeodeticBounds {
        west_deg,
        south_deg,
        east_deg,
        north_deg,
    })
}

/// The rectangles around the tiles of a zoom: one for each group of tiles that lie near each other.
fn areas_of_tiles(path: &Path, connection: &Connection, zoom: u8) -> Result<Vec<GeodeticBounds>, MapError> {
    let runs = runs_of_tiles(path, connection, zoom)?;
    Ok(cluster(&runs).into_iter().map(|(bounds, _)| bounds).collect())
}

/// The rectangles around the tiles of a zoom that lie side by side in a row.
fn runs_of_tiles(path: &Path, connection: &Connection, zoom: u8) -> Result<Vec<GeodeticBounds>, MapError> {
    let fail = |e: rusqlite::Error| MapError::store(path, e);
    let side = 1u32 << zoom;
    let mut statement = connection
        .prepare(
            "SELECT tile_row, min(tile_column), max(tile_column) FROM (
                 SELECT tile_row, tile_column, tile_column - row_number() OVER (PARTITION BY tile_row ORDER BY tile_column) AS run
                 FROM (SELECT DISTINCT tile_row, tile_column FROM tiles WHERE zoom_level = ?1)
             ) GROUP BY tile_row, run ORDER BY 1, 2",
        )
        .map_err(fail)?;
    let rows = statement.query_map([zoom], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).map_err(fail)?;
    let corner = |x: u32, tms: u32| {
        lat_lon_from_pixel(zoom, f64::from(x) * f64::from(TILE_PX), f64::from(side - tms) * f64::from(TILE_PX))
    };
    let mut rectangles = Vec::new();
    for row in rows {
        let (tms, x0, x1): (u32, u32, u32) = row.map_err(fail)?;
        if x1 >= side || tms >= side {
            return Err(MapError::store(path, format!("has tiles outside of zoom {zoom}")));
        }
        let ((south_deg, west_deg), (north_deg, east_deg)) = (corner(x0, tms), corner(x1 + 1, tms + 1));
        rectangles.push(GeodeticBounds { west_deg, south_deg, east_deg, north_deg });
    }
    Ok(rectangles)
}

/// A region of which less than this part is imagery is taken apart.
const LEAST_FILLED: f64 = 0.25;
/// One that is smaller costs too little to be taken apart, square metres.
const SMALLEST_M2: f64 = 4e6;
/// Parts are no shorter, metres.
const SHORTEST_M: f64 = 1000.0;
/// How far parts reach into each other, metres, so that what lies between two is seen whole in one of them.
const OVERLAP_M: f64 = 250.0;

/// The regions, with those that are mostly empty taken apart: work on a region costs by its rectangle, and should by its imagery.
pub(super) fn taken_apart(
    path: &Path,
    connection: &Connection,
    regions: Vec<Region>,
    (zooms, rows_from_north): ((u8, u8), bool),
) -> Result<Vec<Region>, MapError> {
    if regions.iter().all(|region| region.area_m2() < SMALLEST_M2) {
        return Ok(regions);
    }
    // Where the coarsest source still has tiles.
    let coarsest_m = regions.iter().map(|r| r.ground_sampling_distance_m).fold(0.0, f64::max).max(1e-3);
    let fitting = (zooms.0..=zooms.1).rev().find(|zoom| {
        let lat_deg = regions.first().map_or(0.0, |r| r.bounds.centre().lat_deg);
        *zoom <= 17 && ground_sampling_distance_m(*zoom, lat_deg) >= coarsest_m
    });
    let mut runs = runs_of_tiles(path, connection, fitting.unwrap_or(zooms.1))?;
    if rows_from_north {
        runs = runs.iter().map(mirrored).collect();
    }
    let mut parts = Vec::new();
    for region in regions {
        let inside: Vec<GeodeticBounds> = runs.iter().filter_map(|run| run.intersection(&region.bounds)).collect();
        if region.area_m2() < SMALLEST_M2 || inside.is_empty() || filled(&region.bounds, &inside) >= LEAST_FILLED {
            parts.push(region);
            continue;
        }
        let pieces = pieces(&inside);
        let reach = |piece: &GeodeticBounds| wider(piece).intersection(&region.bounds).unwrap_or(*piece);
        parts.extend(pieces.iter().map(|piece| {
            let bounds = if pieces.len() > 1 { reach(piece) } else { *piece };
            Region { bounds, plane: EnuPlane::at(bounds.centre()), ..region.clone() }
        }));
    }
    parts.iter_mut().enumerate().for_each(|(id, region)| region.id = id as u32);
    Ok(parts)
}

fn area(b: &GeodeticBounds) -> f64 {
    (b.east_deg - b.west_deg) * (b.north_deg - b.south_deg)
}

/// Which part of a rectangle is filled by others that do not overlap.
fn filled(bounds: &GeodeticBounds, inside: &[GeodeticBounds]) -> f64 {
    inside.iter().map(area).sum::<f64>() / area(bounds)
}

fn wider(b: &GeodeticBounds) -> GeodeticBounds {
    let plane = EnuPlane::at(b.centre());
    let (west, south, east, north) = b.extent_m(&plane);
    let ((south_deg, west_deg), (north_deg, east_deg)) = (
        plane.lat_lon_from_ground(west - OVERLAP_M, south - OVERLAP_M),
        plane.lat_lon_from_ground(east + OVERLAP_M, north + OVERLAP_M),
    );
    GeodeticBounds { west_deg, south_deg, east_deg, north_deg }
}

/// Tight rectangles around rectangles, halved until they are filled or short.
fn pieces(inside: &[GeodeticBounds]) -> Vec<GeodeticBounds> {
    let Some(tight) = inside.iter().copied().reduce(|a, b| a.union(&b)) else { return Vec::new() };
    let (west, south, east, north) = tight.extent_m(&EnuPlane::at(tight.centre()));
    let (width, height) = (east - west, north - south);
    if filled(&tight, inside) >= 2.0 * LEAST_FILLED || width.max(height) < 2.0 * SHORTEST_M {
        return vec![tight];
    }
    let centre = tight.centre();
    let halves = if width > height {
        [GeodeticBounds { east_deg: centre.lon_deg, ..tight }, GeodeticBounds { west_deg: centre.lon_deg, ..tight }]
    } else {
        [GeodeticBounds { south_deg: centre.lat_deg, ..tight }, GeodeticBounds { north_deg: centre.lat_deg, ..tight }]
    };
    let of_half = |half: &GeodeticBounds| inside.iter().filter_map(|b| b.intersection(half)).collect::<Vec<_>>();
    halves.iter().flat_map(|half| pieces(&of_half(half))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_of_the_whole_world_are_not_believed() {
        assert!(bounds_from_text("-180,-85,180,85").is_none());
        assert_eq!(bounds_from_text("10, 50,11,51").unwrap().south_deg, 50.0);
    }

    #[test]
    fn rows_from_the_other_side_are_told_by_the_bounds() {
        let village = GeodeticBounds { west_deg: 10.9, south_deg: 47.7, east_deg: 11.0, north_deg: 47.9 };
        let country = GeodeticBounds { west_deg: 5.0, south_deg: 45.0, east_deg: 15.0, north_deg: 55.0 };
        assert_eq!(agreement(&[village], &country), Agreement::AsCounted);
        assert_eq!(agreement(&[mirrored(&village)], &country), Agreement::OtherSide);
        let elsewhere = GeodeticBounds { west_deg: 100.0, east_deg: 101.0, ..village };
        assert_eq!(agreement(&[elsewhere], &country), Agreement::Nowhere);
        let of_no_file = BTreeMap::from([("scheme".to_owned(), "xyz".to_owned())]);
        let refused = are_from_north(Path::new("a.mbtiles"), &of_no_file, &[village], None).unwrap_err().to_string();
        assert!(refused.contains("scheme xyz"), "{refused}");
    }

    /// Squares of 300 m along a diagonal of so many kilometres.
    fn diagonal(km: f64) -> Vec<GeodeticBounds> {
        let plane = EnuPlane::at(crate::geo::Geodetic::ground(47.0, 8.0));
        let square = |at: f64| {
            let ((south_deg, west_deg), (north_deg, east_deg)) =
                (plane.lat_lon_from_ground(at, at), plane.lat_lon_from_ground(at + 300.0, at + 300.0));
            GeodeticBounds { west_deg, south_deg, east_deg, north_deg }
        };
        (0..(km * 1000.0 / 300.0) as u32).map(|i| square(f64::from(i) * 300.0)).collect()
    }

    #[test]
    fn a_diagonal_strip_is_taken_apart_into_pieces_that_hold_all_of_it() {
        let squares = diagonal(16.0);
        let pieces = pieces(&squares);
        let of = |pieces: &[GeodeticBounds]| pieces.iter().map(area).sum::<f64>();
        let whole = squares.iter().copied().reduce(|a, b| a.union(&b)).unwrap();
        assert!(of(&pieces) < 0.1 * area(&whole), "{}", of(&pieces) / area(&whole));
        let held = |b: &GeodeticBounds| pieces.iter().filter_map(|p| p.intersection(b)).map(|i| area(&i)).sum::<f64>() / area(b);
        assert!(squares.iter().all(|square| (held(square) - 1.0).abs() < 1e-6));
        // What is nearly full stays whole.
        assert_eq!(super::pieces(&[whole]), [whole]);
    }

    proptest! {
        #[test]
        fn any_metadata_text_is_survived(text in ".{0,60}") {
            let _ = bounds_from_text(&text);
        }
    }
}
