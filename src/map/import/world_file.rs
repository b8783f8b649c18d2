//! World files and the `.prj` beside them.

use super::crs::{Crs, Placement};
use crate::map::MapError;
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

/// The placement of a picture by the world file beside it and the `.prj`, if there is one.
pub(crate) fn placement(image: &Path, size: (u32, u32)) -> Result<Option<Placement>, MapError> {
    let Some(path) = beside(image) else { return Ok(None) };
    let text = read_text(&path)?;
    let affine = parse(&text).ok_or_else(|| {
        MapError::source(
            &path,
            "is not a world file",
            "it must hold six numbers: x and y per column, x and y per row, x and y of the first pixel's centre",
        )
    })?;
    let prj = ["prj", "PRJ"].iter().map(|e| image.with_extension(e)).find(|p| p.is_file());
    let crs = match prj {
        Some(path) => {
            let text = read_text(&path)?;
            crs_from_prj(&text)
                .ok_or_else(|| MapError::source(&path, "names a coordinate system that is not known here", Crs::SUPPORTED))?
        }
        None if looks_like_degrees(&affine, size) => Crs::Geographic,
        None => {
            return Err(MapError::source(
                image,
                "its world file has coordinates that are no degrees, and there is no .prj that says what they are",
                format!("put one beside it, e.g. {} with the text EPSG:32651", image.with_extension("prj").display()),
            ));
        }
    };
    Ok(Some(Placement { crs, affine }))
}

/// Reads a small text file; anything that is not UTF-8 is replaced, as only numbers and keywords matter.
pub(crate) fn read_text(path: &Path) -> Result<String, MapError> {
    let bytes = std::fs::read(path).map_err(|e| MapError::read(path, e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether all corners are latitudes and longitudes, and the pixels smaller than those of any imagery in metres.
fn looks_like_degrees(affine: &[f64; 6], size: (u32, u32)) -> bool {
    let (w, h) = (f64::from(size.0), f64::from(size.1));
    let [a, b, x0, d, e, y0] = *affine;
    let inside = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)]
        .iter()
        .all(|&(c, r)| (a * c + b * r + x0).abs() <= 180.0 && (d * c + e * r + y0).abs() <= 90.0);
    // 0.01° are about a kilometre.
    inside && [a, b, d, e].iter().all(|v| v.abs() < 0.01)
}

/// The system that a `.prj` names: well-known text of WGS84 geographic, UTM or Web Mercator coordinates (ESRI's or OGC's
/// spelling, version 1 or 2), or `EPSG:code`.
pub(crate) fn crs_from_prj(text: &str) -> Option<Crs> {
    let flat: String = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_uppercase).collect();
    if let Some(code) = flat.strip_prefix("EPSG:") {
        return Crs::from_epsg(code.parse().ok()?);
    }
    // An authority code of the whole is its last one.
    if let Some(i) = flat.rfind("[\"EPSG\",") {
        let digits: String = flat[i + 8..].chars().skip_while(|c| *c == '"').take_while(char::is_ascii_digit).collect();
        if let Some(crs) = digits.parse().ok().and_then(Crs::from_epsg) {
            return Some(crs);
        }
    }
    let plain = flat.replace(['_', '-'], "");
    let projected = plain.starts_with("PROJCS[") || plain.starts_with("PROJCRS[");
    if plain.contains("PSEUDOMERCATOR") || plain.contains("MERCATORAUXILIARYSPHERE") || plain.contains("POPULARVISUALISATION") {
        return projected.then_some(Crs::WebMercator);
    }
    if !(plain.contains("WGS84") || plain.contains("WGS1984") || plain.contains("CGCS2000") || plain.contains("CHINA2000")) {
        return None;
    }
    if plain.starts_with("GEOGCS[") || plain.starts_with("GEOGCRS[") {
        return plain.contains("0.01745").then_some(Crs::Geographic);
    }
    if !projected {
        return None;
    }
    let after = plain.find("UTMZONE").map(|i| &plain[i + 7..])?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let zone: u8 = digits.parse().ok().filter(|z| (1..=60).contains(z))?;
    let south = match after[digits.len()..].chars().next() {
        Some('S') => true,
        Some('N') => false,
        _ => plain.contains("\"FALSENORTHING\",10000000"),
    };
    Some(Crs::Utm { zone, south })
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

    #[test]
    fn projections_are_recognised_in_both_spellings() {
        let esri = r#"PROJCS["WGS_1984_UTM_Zone_35N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"]]"#;
        assert_eq!(crs_from_prj(esri), Some(Crs::Utm { zone: 35, south: false }));
        let ogc = r#"PROJCS["WGS 84 / UTM zone 51S",GEOGCS["WGS 84",DATUM["WGS_1984"]],AUTHORITY["EPSG","32751"]]"#;
        assert_eq!(crs_from_prj(ogc), Some(Crs::Utm { zone: 51, south: true }));
        let web = r#"PROJCS["WGS_1984_Web_Mercator_Auxiliary_Sphere",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984"]],PROJECTION["Mercator_Auxiliary_Sphere"]]"#;
        assert_eq!(crs_from_prj(web), Some(Crs::WebMercator));
        let degrees = r#"GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]"#;
        assert_eq!(crs_from_prj(degrees), Some(Crs::Geographic));
        assert_eq!(crs_from_prj("EPSG:32651"), Some(Crs::Utm { zone: 51, south: false }));
        assert_eq!(crs_from_prj(r#"GEOGCS["NAD27",DATUM["North_American_1927"]]"#), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}") {
            let _ = parse(&text);
            let _ = crs_from_prj(&text);
        }

        #[test]
        fn broken_projections_are_survived(cut in 0usize..120, tail in "[A-Z0-9\\[\\]\",]{0,20}") {
            let text = r#"PROJCS["WGS 84 / UTM zone 51S",GEOGCS["WGS 84",DATUM["WGS_1984"]],AUTHORITY["EPSG","32751"]]"#;
            let _ = crs_from_prj(&format!("{}{tail}", &text[..cut.min(text.len())]));
        }
    }
}
