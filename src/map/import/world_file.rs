//! World files and the `.prj` beside them.

use super::crs::Crs;
use super::well_known_text;
use crate::files;
use crate::map::{MapError, advice};
use crate::text::decoded;
use std::path::{Path, PathBuf};

/// The six numbers of a world file: x and y per column, x and y per row, and the centre of the first pixel.
pub(crate) fn parse(text: &str) -> Option<[f64; 6]> {
    let v: Vec<f64> = text.split_whitespace().map(|w| w.replace(',', ".").parse().ok()).collect::<Option<_>>()?;
    let [a, d, b, e, x, y]: [f64; 6] = v.try_into().ok()?;
    // World files speak of pixel centres, placements of corners.
    let affine = [a, b, x - a / 2.0 - b / 2.0, d, e, y - d / 2.0 - e / 2.0];
    (affine.iter().all(|v| v.is_finite()) && (a * e - b * d) != 0.0).then_some(affine)
}

/// The world file beside a picture: `map.jpg` → `map.jgw`, `map.jpgw` or `map.wld`, in any case.
pub(crate) fn beside(image: &Path) -> Option<PathBuf> {
    let extension = image.extension()?.to_str()?.to_lowercase();
    let letters: Vec<char> = extension.chars().collect();
    let short: String = [letters.first()?, letters.last()?, &'w'].into_iter().collect();
    [short, format!("{extension}w"), "wld".to_owned()]
        .into_iter()
        .flat_map(|e| [e.clone(), e.to_uppercase()])
        .flat_map(|e| {
            let appended = PathBuf::from(format!("{}.{e}", image.display()));
            [image.with_extension(&e), appended]
        })
        .find(|p| p.is_file() && p != image)
}

/// The affine map that a world file states.
pub(crate) fn affine(path: &Path) -> Result<[f64; 6], MapError> {
    parse(&read_text(path)?).ok_or_else(|| {
        MapError::source(
            path,
            "is not a world file",
            "it must hold six numbers: x and y per column, x and y per row, x and y of the first pixel's centre",
        )
    })
}

/// The system that the `.prj` beside a picture states.
pub(crate) fn system_beside(image: &Path) -> Result<Option<Crs>, MapError> {
    let Some(path) = ["prj", "PRJ"].iter().map(|e| image.with_extension(e)).find(|p| p.is_file()) else { return Ok(None) };
    well_known_text::crs(&read_text(&path)?).map(Some).map_err(|what| {
        MapError::source(&path, what, advice::convert_from("gdalwarp -t_srs EPSG:4326 -s_srs", &path, image, "wgs84"))
    })
}

/// Reads a small text file, in whatever encoding.
pub(crate) fn read_text(path: &Path) -> Result<String, MapError> {
    files::read(path).map(|bytes| decoded(&bytes)).map_err(|e| MapError::read(path, e))
}

/// Whether all corners are latitudes and longitudes, and the pixels smaller than those of any imagery in metres.
pub(crate) fn looks_like_degrees(affine: &[f64; 6], size: (u32, u32)) -> bool {
    let (w, h) = (f64::from(size.0), f64::from(size.1));
    let [a, b, x0, d, e, y0] = *affine;
    let inside = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)]
        .iter()
        .all(|&(c, r)| (a * c + b * r + x0).abs() <= 180.0 && (d * c + e * r + y0).abs() <= 90.0);
    // 0.0002° are 22 m: no imagery that is matched is coarser, and no local metres are finer.
    inside && [a, b, d, e].iter().all(|v| v.abs() < 0.000_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_world_file_speaks_of_pixel_centres() {
        let affine = parse("2.0\n0\n0\n-2.0\n101.0\n199.0\n").unwrap();
        assert_eq!(affine, [2.0, 0.0, 100.0, 0.0, -2.0, 200.0]);
    }

    #[test]
    fn a_world_file_with_too_few_numbers_or_no_size_is_refused() {
        assert_eq!(parse("1 0 0 -1 5"), None);
        assert_eq!(parse("0 0 0 0 5 5"), None);
        assert_eq!(parse("1 0 0 x 5 5"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
