//! Folders of pictures with a table of their corners: wildnav's `map.csv`, UAV-VisLoc's `satellite_ coordinates_range.csv`, and
//! tables with a north-west corner and a ground sampling distance.

use super::Layer;
use super::crs::{Crs, Placement};
use super::picture::{self, Pictures};
use super::raster::Raster;
use crate::files;
use crate::geo::mercator::{CIRCUMFERENCE_M, ground_sampling_distance_m};
use crate::map::MapError;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Names under which such tables are known, in order of preference.
const TABLES: [&str; 4] = ["map.csv", "satellite_ coordinates_range.csv", "satellite_coordinates_range.csv", "index.csv"];

/// Where a row says its picture lies.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// Latitude and longitude, degrees, of the north-west and the south-east corner.
    Corners([f64; 4]),
    /// Latitude and longitude, degrees, of the north-west corner, and metres a pixel.
    CornerAndSize([f64; 3]),
}

/// The table of corners in a folder, if there is one.
pub(crate) fn table_in(folder: &Path) -> Result<Option<PathBuf>, MapError> {
    for table in TABLES.iter().map(|name| folder.join(name)).filter(|p| p.is_file()) {
        let bytes = files::read(&table).map_err(|e| MapError::read(&table, e))?;
        if columns(&bytes).is_some() {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// The pictures of a table; those that are not there are named in `warnings` and left out.
pub(crate) fn open(table: &Path, pictures: &Pictures, warnings: &mut Vec<String>) -> Result<Vec<Box<dyn Layer>>, MapError> {
    let bytes = files::read(table).map_err(|e| MapError::read(table, e))?;
    let rows = parse(&bytes).map_err(|what| {
        MapError::source(
            table,
            what,
            "its columns must be Filename, Top_left_lat, Top_left_lon, Bottom_right_lat, Bottom_right_lon, or file, nw_lat, nw_lon, gsd_m",
        )
    })?;
    let folder = table.parent().unwrap_or(Path::new("."));
    let mut layers: Vec<Box<dyn Layer>> = Vec::new();
    for (name, place) in rows {
        if !Path::new(&name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            let what = format!("names {name}, which leads out of its folder");
            return Err(MapError::source(table, what, "put the pictures beside the table, and write their names alone"));
        }
        let files = files_of(folder, &name)?;
        if files.is_empty() {
            warnings.push(format!("{}: {name} is listed but not there; it was left out", table.display()));
        } else if let [file] = &files[..] {
            layers.push(Box::new(Raster::open(file, |size| placement(&place, size), pictures)?));
        } else {
            for (file, placement) in parts(table, &files, &place)? {
                layers.push(Box::new(Raster::open(&file, |_| placement, pictures)?));
            }
        }
    }
    if layers.is_empty() {
        return Err(MapError::source(table, "lists no picture that is there", "put the pictures beside the table"));
    }
    Ok(layers)
}

/// The files of a row: the one of that name beside the table or in the folder named after its number (`01/satellite01.tif`), else
/// its parts (`satellite01_01-02.tif`).
fn files_of(folder: &Path, name: &str) -> Result<Vec<PathBuf>, MapError> {
    let stem = Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let number: String = stem.chars().filter(char::is_ascii_digit).collect();
    let folders = [folder.to_owned(), folder.join(&number)];
    for folder in &folders {
        if folder.join(name).is_file() {
            return Ok(vec![folder.join(name)]);
        }
    }
    for folder in folders.iter().filter(|f| f.is_dir()) {
        let entries = std::fs::read_dir(folder).map_err(|e| MapError::read(folder, e))?;
        let mut found: Vec<PathBuf> =
            entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| part_number(p, &stem).is_some()).collect();
        found.sort();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Row and column in a part's name, `satellite01_02-03.tif` → (2, 3).
fn part_number(path: &Path, stem: &str) -> Option<(u32, u32)> {
    let own = path.file_stem()?.to_str()?;
    let (row, column) = own.strip_prefix(stem)?.strip_prefix('_')?.split_once('-')?;
    Some((row.parse().ok()?, column.parse().ok()?))
}

/// The placements of the parts of one raster whose corners are known: they tile it, row by row.
fn parts(table: &Path, files: &[PathBuf], place: &Place) -> Result<Vec<(PathBuf, Placement)>, MapError> {
    let mut sizes = BTreeMap::new();
    for file in files {
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let whole = stem.rsplit_once('_').map_or("", |s| s.0);
        let Some(number) = part_number(file, whole) else { continue };
        let size = if super::geotiff::is_tiff(&super::head(file)?) {
            super::geotiff::GeoTiff::open(file)?.size()
        } else {
            picture::size(file)?
        };
        sizes.insert(number, (file.clone(), size));
    }
    let (mut heights, mut widths) = (BTreeMap::new(), BTreeMap::new());
    for ((row, column), (_, (w, h))) in &sizes {
        let (height, width) = (heights.entry(*row).or_insert(*h), widths.entry(*column).or_insert(*w));
        if (*height, *width) != (*h, *w) {
            return Err(MapError::source(
                table,
                "its parts do not fit together",
                "check that all of them are there and unchanged",
            ));
        }
    }
    if heights.len() * widths.len() != sizes.len() {
        return Err(MapError::source(table, "some parts of a raster are missing", "put all of them into the folder"));
    }
    let total = (widths.values().sum(), heights.values().sum());
    let whole = placement(place, total);
    let [a, b, x0, d, e, y0] = whole.affine;
    Ok(sizes
        .into_iter()
        .map(|((row, column), (file, _))| {
            let left = f64::from(widths.range(..column).map(|(_, w)| w).sum::<u32>());
            let top = f64::from(heights.range(..row).map(|(_, h)| h).sum::<u32>());
            let affine = [a, b, x0 + a * left + b * top, d, e, y0 + d * left + e * top];
            (file, Placement { crs: whole.crs.clone(), affine })
        })
        .collect())
}

fn placement(place: &Place, size: (u32, u32)) -> Placement {
    match *place {
        Place::Corners([north, west, south, east]) => Placement {
            crs: Crs::Geographic,
            affine: [(east - west) / f64::from(size.0), 0.0, west, 0.0, (south - north) / f64::from(size.1), north],
        },
        Place::CornerAndSize([north, west, gsd]) => {
            // Such mosaics are put together from web tiles: square in Web Mercator, their pixel stated on the ground, rounded.
            let zoom_size = (0..=23u8).map(|z| ground_sampling_distance_m(z, north)).find(|g| (g / gsd - 1.0).abs() < 1e-3);
            let pixel = zoom_size.unwrap_or(gsd) / north.to_radians().cos();
            let x0 = west / 360.0 * CIRCUMFERENCE_M;
            let y0 = crate::geo::wgs84::SEMI_MAJOR_M * north.to_radians().tan().asinh();
            Placement { crs: Crs::WebMercator, affine: [pixel, 0.0, x0, 0.0, -pixel, y0] }
        }
    }
}

fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).quoting(false).has_headers(true).from_reader(bytes)
}

/// Name and positions of the columns that place a picture.
fn columns(bytes: &[u8]) -> Option<(usize, Vec<usize>)> {
    let mut reader = reader(bytes);
    let names: Vec<String> =
        reader.headers().ok()?.iter().map(|h| h.trim_matches(['\u{feff}', '"', ' ']).to_lowercase()).collect();
    let find = |options: &[&str]| names.iter().position(|n| options.contains(&n.as_str()));
    let file = find(&["filename", "file", "mapname", "name"])?;
    let (north, west) =
        (find(&["top_left_lat", "lt_lat_map", "nw_lat"])?, find(&["top_left_lon", "top_left_long", "lt_lon_map", "nw_lon"])?);
    let south = find(&["bottom_right_lat", "rb_lat_map", "se_lat"]);
    let east = find(&["bottom_right_lon", "bottom_right_long", "rb_lon_map", "se_lon"]);
    match (south, east) {
        (Some(south), Some(east)) => Some((file, vec![north, west, south, east])),
        _ => Some((file, vec![north, west, find(&["gsd_m"])?])),
    }
}

/// The rows of a table, or what is wrong with it.
fn parse(bytes: &[u8]) -> Result<Vec<(String, Place)>, String> {
    let (file, numbers) = columns(bytes).ok_or("is no table of corners")?;
    let mut rows = Vec::new();
    for (i, record) in reader(bytes).byte_records().enumerate() {
        let line = i + 2;
        let record = record.map_err(|e| format!("line {line} cannot be read ({e})"))?;
        // Quotes stand after stray spaces in some tables, where no CSV reader takes them as quotes.
        let cell = |c: usize| record.get(c).map(|v| String::from_utf8_lossy(v).trim_matches(['"', ' ']).to_owned());
        let name = cell(file).filter(|n| !n.is_empty()).ok_or_else(|| format!("line {line} names no file"))?;
        let v: Option<Vec<f64>> = numbers.iter().map(|&c| cell(c)?.parse().ok().filter(|v: &f64| v.is_finite())).collect();
        let place = match v.as_deref() {
            Some(&[n, w, s, e]) if n > s && e > w && n.abs() < 85.0 && s.abs() < 85.0 && w >= -180.0 && e <= 180.0 => {
                Place::Corners([n, w, s, e])
            }
            Some(&[n, w, gsd]) if gsd > 0.0 && n.abs() < 85.0 && w.abs() <= 180.0 => Place::CornerAndSize([n, w, gsd]),
            _ => return Err(format!("line {line} ({name}) does not give two corners, north-west first, in degrees")),
        };
        rows.push((name, place));
    }
    if rows.is_empty() { Err("has no rows".into()) } else { Ok(rows) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildnavs_quotes_and_stray_spaces_are_understood() {
        let table = b"Filename, Top_left_lat,Top_left_lon,Bottom_right_lat,Bottom_right_long\n\"sat_map_00.jpg\",   60.403962,    22.460441,   60.402409,    22.464059\n";
        assert_eq!(
            parse(table).unwrap(),
            [("sat_map_00.jpg".to_owned(), Place::Corners([60.403962, 22.460441, 60.402409, 22.464059]))]
        );
    }

    #[test]
    fn a_table_of_corner_and_pixel_size_is_understood() {
        let table = b"file,tiles,w,h,bbox_over_fill,nw_lat,nw_lon,gsd_m\na.jpg,16,1024,1024,1.0,0.348814,32.589569,0.0746\n";
        assert_eq!(parse(table).unwrap()[0].1, Place::CornerAndSize([0.348814, 32.589569, 0.0746]));
    }

    #[test]
    fn a_row_with_swapped_corners_is_named() {
        let table = b"mapname,LT_lat_map,LT_lon_map,RB_lat_map,RB_lon_map,region\ns.tif,29.7,115.9,29.8,116.0,x\n";
        assert!(parse(table).unwrap_err().contains("line 2 (s.tif)"));
    }

    #[test]
    fn a_row_that_leads_out_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("inside/map.csv");
        std::fs::create_dir(folder.path().join("inside")).unwrap();
        let outside = folder.path().join("a.png");
        image::RgbImage::new(8, 8).save(&outside).unwrap();
        for name in ["../a.png", outside.to_str().unwrap(), "./../a.png"] {
            std::fs::write(&table, format!("file,nw_lat,nw_lon,gsd_m\n{name},47.0,8.0,0.3\n")).unwrap();
            let error = open(&table, &Pictures::new(), &mut Vec::new()).err().unwrap().to_string();
            assert!(error.contains("leads out of its folder"), "{error}");
        }
    }

    #[test]
    fn parts_tile_the_raster_row_by_row() {
        assert_eq!(part_number(Path::new("satellite01_02-03.tif"), "satellite01"), Some((2, 3)));
        let folder = tempfile::tempdir().unwrap();
        for (name, w, h) in [("s01_01-01.png", 4, 3), ("s01_01-02.png", 6, 3), ("s01_02-01.png", 4, 5), ("s01_02-02.png", 6, 5)] {
            image::RgbImage::new(w, h).save(folder.path().join(name)).unwrap();
        }
        let files = files_of(folder.path(), "s01.tif").unwrap();
        let parts = parts(Path::new("t.csv"), &files, &Place::Corners([8.0, 0.0, 0.0, 10.0])).unwrap();
        let origins: Vec<_> = parts.iter().map(|p| (p.1.affine[2], p.1.affine[5])).collect();
        assert_eq!(origins, [(0.0, 8.0), (4.0, 8.0), (0.0, 5.0), (4.0, 5.0)]);
    }

    proptest! {
        #[test]
        fn any_table_is_survived(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
            let mut table = b"file,nw_lat,nw_lon,gsd_m\n".to_vec();
            table.extend(body);
            let _ = parse(&table);
        }
    }
}
