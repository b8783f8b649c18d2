//! Well-known text of a coordinate reference system (OGC 01-009, ISO 19162; ESRI's spelling alike): parsed, never searched.

use super::crs::{Crs, UNPLACED};

/// Longer texts are no description of a system.
const LONGEST: usize = 64 * 1024;
/// Nor are deeper ones: a compound system of projected and height systems has 7 levels.
const DEEPEST: usize = 24;
/// Code and parameters of one text may put a point so far apart, metres: as much as datums differ.
const APART_M: f64 = 1_000.0;

/// The system that a text describes: well-known text, or `EPSG:code`.
pub(crate) fn crs(text: &str) -> Result<Crs, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Some((authority, code)) = text.split_once(':')
        && authority.eq_ignore_ascii_case("epsg")
    {
        let code: u32 = code.trim().parse().map_err(|_| format!("says `{text}`, which is no code"))?;
        return Crs::from_epsg(code);
    }
    if text.len() > LONGEST || depth(text) > DEEPEST {
        return Err("is no description of a coordinate system".into());
    }
    let horizontal = horizontal(text);
    let by_code = code_of(horizontal).and_then(|code| Crs::from_epsg(code).ok());
    let unusual = unusual(horizontal);
    let by_parameters = match extension(horizontal) {
        Some(definition) => of_extension(&definition),
        None if unusual.is_none() => proj4wkt::wkt_to_projstring(horizontal).ok().as_deref().and_then(Crs::from_definition),
        None => None,
    };
    match (by_code, by_parameters) {
        (Some(code), Some(parameters)) => {
            let apart_m = code.apart_m(&parameters);
            if apart_m.is_some_and(|m| m > APART_M) {
                return Err("has a code and parameters that contradict each other".into());
            }
            Ok(code)
        }
        (Some(code), None) => Ok(code),
        (None, Some(parameters)) if parameters.is_on_known_datum() || shifts(horizontal) => Ok(parameters),
        (None, Some(_)) => Err(format!("is {UNPLACED}")),
        (None, None) => Err(unusual.unwrap_or("describes a coordinate system that is not known here").into()),
    }
}

/// The part of a compound system that tells the place; the system itself where it is none.
fn horizontal(text: &str) -> &str {
    let Some((keyword, parts)) = parts(text) else { return text };
    let within = |keyword: &str| parts.iter().copied().find(|p| p.trim_start().to_ascii_uppercase().starts_with(keyword));
    match keyword.to_ascii_uppercase().as_str() {
        "COMPD_CS" | "COMPOUNDCRS" => parts.get(1).map_or(text, |part| horizontal(part.trim())),
        "BOUNDCRS" => within("SOURCECRS").and_then(|p| self::parts(p)?.1.first().copied()).map_or(text, |p| horizontal(p.trim())),
        _ => text,
    }
}

/// The EPSG code of the system itself, not of what it is made of.
fn code_of(text: &str) -> Option<u32> {
    let (_, own) = parts(text)?;
    own.iter().find_map(|part| {
        let (keyword, parts) = parts(part.trim())?;
        let is_code = ["AUTHORITY", "ID"].iter().any(|k| keyword.eq_ignore_ascii_case(k));
        let [authority, code, ..] = parts[..] else { return None };
        let plain = |text: &str| text.trim().trim_matches('"').to_owned();
        (is_code && plain(authority).eq_ignore_ascii_case("epsg")).then(|| plain(code).parse().ok()).flatten()
    })
}

/// The definition for PROJ that GDAL adds where the text itself cannot say what is meant: `EXTENSION["PROJ4","..."]`.
fn extension(text: &str) -> Option<String> {
    let mut found = None;
    each(text, &mut |keyword, parts, _| {
        let plain = |at: usize| parts.get(at).map(|part| part.trim().trim_matches('"'));
        if keyword.eq_ignore_ascii_case("EXTENSION") && plain(0) == Some("PROJ4") {
            found = plain(1).map(str::to_owned);
        }
    });
    found
}

/// The system of such a definition. Web Mercator is a Mercator on a sphere there, whose latitudes are those of the ellipsoid (`nadgrids=@null`).
fn of_extension(definition: &str) -> Option<Crs> {
    let words: Vec<&str> = definition.split_whitespace().collect();
    let has = |word| words.contains(&word);
    if has("+nadgrids=@null") {
        let web = ["+proj=merc", "+a=6378137", "+b=6378137", "+lon_0=0", "+x_0=0", "+y_0=0"].into_iter().all(has);
        return web.then_some(Crs::WebMercator);
    }
    Crs::from_definition(definition)
}

/// What the parser of texts does not heed in a system: it takes all angles for degrees.
fn unusual(text: &str) -> Option<&'static str> {
    let mut found = None;
    each(text, &mut |keyword, parts, above| {
        let is = |of: &str, names: &[&str]| names.iter().any(|name| of.eq_ignore_ascii_case(name));
        let of_angles = is(keyword, &["ANGLEUNIT", "ANGULARUNIT"]) || is(keyword, &["UNIT"]) && is(above, &["GEOGCS"]);
        let rad = parts.get(1).and_then(|value| value.trim().parse::<f64>().ok());
        if of_angles && rad.is_none_or(|rad| (rad - 1f64.to_radians()).abs() > 1e-9) {
            found = Some("has angles that are no degrees, and no code that is known here");
        }
    });
    found
}

/// Shows each `KEYWORD[...]` of a text with its parts and the keyword of what it is a part of.
fn each(text: &str, see: &mut impl FnMut(&str, &[&str], &str)) {
    fn below(text: &str, above: &str, see: &mut impl FnMut(&str, &[&str], &str)) {
        if let Some((keyword, parts)) = parts(text) {
            see(keyword, &parts, above);
            parts.iter().for_each(|part| below(part, keyword, see));
        }
    }
    below(text, "", see);
}

/// Whether the text says how its datum lies to WGS 84.
fn shifts(text: &str) -> bool {
    let mut found = false;
    each(text, &mut |keyword, _, _| found |= keyword.eq_ignore_ascii_case("TOWGS84"));
    found
}

/// `KEYWORD[a,b[c],...]` as its keyword and its parts.
fn parts(text: &str) -> Option<(&str, Vec<&str>)> {
    let text = text.trim();
    let open = text.find(['[', '('])?;
    let keyword = text[..open].trim();
    if keyword.is_empty() || !keyword.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let (mut quoted, mut depth, mut from) = (false, 0usize, open + 1);
    let mut parts = Vec::new();
    for (at, c) in text[open..].char_indices().map(|(at, c)| (at + open, c)) {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '[' | '(' => depth += 1,
            ']' | ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    parts.push(&text[from..at]);
                    return Some((keyword, parts));
                }
            }
            ',' if depth == 1 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

fn depth(text: &str) -> usize {
    let (mut quoted, mut depth, mut deepest) = (false, 0usize, 0);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '(' if !quoted => depth += 1,
            ']' | ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::import::crs::Projection;
    use proptest::prelude::*;

    const ESRI: &str = r#"PROJCS["WGS_1984_UTM_Zone_35N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",27.0],PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]"#;
    const ED50: &str = r#"PROJCS["ED50 / UTM zone 32N",GEOGCS["ED50",DATUM["European_Datum_1950",SPHEROID["International 1924",6378388,297,AUTHORITY["EPSG","7022"]],TOWGS84[-87,-98,-121,0,0,0,0],AUTHORITY["EPSG","6230"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4230"]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",9],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1]]"#;

    fn near(crs: &Crs, (x, y): (f64, f64), lat: f64, lon: f64) {
        let (found_lat, found_lon) = Projection::of(crs).unwrap().lat_lon(x, y).unwrap();
        assert!((found_lat - lat).abs() < 1e-5 && (found_lon - lon).abs() < 1e-5, "{crs:?}: {found_lat} {found_lon}");
    }

    #[test]
    fn the_parameters_decide_not_the_name() {
        near(&crs(ESRI).unwrap(), (500_000.0, 0.0), 0.0, 27.0);
        let renamed = ESRI.replace("WGS_1984_UTM_Zone_35N", "My_System");
        assert_eq!(crs(&renamed), crs(ESRI));
        let moved = ESRI.replace("27.0", "-3.0");
        near(&crs(&moved).unwrap(), (500_000.0, 0.0), 0.0, -3.0);
    }

    #[test]
    fn another_datum_is_heeded_and_an_unknown_one_refused() {
        // 84 m west and 200 m south of the coordinates that the place has in UTM on WGS 84; GDAL reads a picture with this text within 5 m of there
        // (`a2_ed50.jpg` in `tests/parts/map_cases.rs`).
        near(&crs(ED50).unwrap(), (642_359.99, 5_296_019.60), 47.8, 10.9);
        let without = ED50.replace("TOWGS84[-87,-98,-121,0,0,0,0],", "");
        assert!(crs(&without).unwrap_err().contains("datum"));
        let coded = without.replace(r#"UNIT["metre",1]]"#, r#"UNIT["metre",1],AUTHORITY["EPSG","23032"]]"#);
        near(&crs(&coded).unwrap(), (642_359.99, 5_296_019.60), 47.8, 10.9);
    }

    #[test]
    fn a_compound_system_is_its_horizontal_part() {
        let compound = format!(r#"COMPD_CS["with heights",{ESRI},VERT_CS["EGM96 height",VERT_DATUM["EGM96 geoid",2005]]]"#);
        assert_eq!(crs(&compound), crs(ESRI));
    }

    #[test]
    fn a_code_that_contradicts_its_parameters_is_refused() {
        let wrong = format!(r#"{},AUTHORITY["EPSG","32632"]]"#, ESRI.strip_suffix(']').unwrap());
        assert!(crs(&wrong).unwrap_err().contains("contradict"));
    }

    #[test]
    fn codes_marks_and_degrees() {
        assert_eq!(crs("EPSG:4326"), Ok(Crs::Geographic));
        assert_eq!(crs("\u{feff}epsg: 32651\r\n"), Ok(Crs::from_epsg(32651).unwrap()));
        assert!(crs("EPSG:999").unwrap_err().contains("EPSG:999"));
        let degrees = r#"GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]"#;
        near(&crs(degrees).unwrap(), (11.0, 47.0), 47.0, 11.0);
        let web = r#"PROJCS["WGS_1984_Web_Mercator_Auxiliary_Sphere",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Mercator_Auxiliary_Sphere"],PARAMETER["False_Easting",0.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",0.0],PARAMETER["Standard_Parallel_1",0.0],PARAMETER["Auxiliary_Sphere_Type",0.0],UNIT["Meter",1.0]]"#;
        near(&crs(web).unwrap(), (1_213_382.449_6, 6_073_646.223_4), 47.8, 10.9);
    }

    #[test]
    fn grads_are_read_by_their_code_or_refused_and_meridians_are_heeded() {
        let lambert = r#"PROJCS["NTF (Paris) / Lambert zone II",GEOGCS["NTF (Paris)",DATUM["Nouvelle_Triangulation_Francaise_Paris",SPHEROID["Clarke 1880 (IGN)",6378249.2,293.466021293627],TOWGS84[-168,-60,320,0,0,0,0]],PRIMEM["Paris",2.33722917],UNIT["grad",0.0157079632679489]],PROJECTION["Lambert_Conformal_Conic_1SP"],PARAMETER["latitude_of_origin",52],PARAMETER["central_meridian",0],PARAMETER["scale_factor",0.99987742],PARAMETER["false_easting",600000],PARAMETER["false_northing",2200000],UNIT["metre",1]]"#;
        assert!(crs(lambert).unwrap_err().contains("degrees"));
        let coded = lambert.replace(r#"UNIT["metre",1]]"#, r#"UNIT["metre",1],AUTHORITY["EPSG","27572"]]"#);
        assert_eq!(crs(&coded), Crs::from_epsg(27572));
        let degrees =
            lambert.replace("grad\",0.0157079632679489", "degree\",0.0174532925199433").replace("origin\",52", "origin\",46.8");
        assert!(crs(&degrees).unwrap().apart_m(&Crs::from_epsg(27572).unwrap()).unwrap() < 0.1);
    }

    #[test]
    fn what_gdal_adds_for_web_mercator_is_heeded() {
        let gdal = r#"PROJCS["WGS 84 / Pseudo-Mercator",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]],PROJECTION["Mercator_1SP"],PARAMETER["central_meridian",0],PARAMETER["scale_factor",1],PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],AXIS["Northing",NORTH],EXTENSION["PROJ4","+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m +nadgrids=@null +wktext +no_defs"],AUTHORITY["EPSG","3857"]]"#;
        assert_eq!(crs(gdal), Ok(Crs::WebMercator));
        assert_eq!(crs(&gdal.replace(r#",AUTHORITY["EPSG","3857"]"#, "")), Ok(Crs::WebMercator));
        let other = gdal.replace(r#",AUTHORITY["EPSG","3857"]"#, "").replace("+lon_0=0", "+lon_0=9");
        assert!(crs(&other).is_err());
    }

    #[test]
    fn a_cone_that_touches_has_its_scale() {
        // EPSG:26191 without its code; a point of PROJ.
        let morocco = r#"PROJCS["Nord_Maroc",GEOGCS["GCS_Merchich",DATUM["D_Merchich",SPHEROID["Clarke_1880_IGN",6378249.2,293.466021293627],TOWGS84[31,146,47,0,0,0,0]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Lambert_Conformal_Conic_1SP"],PARAMETER["latitude_of_origin",33.3],PARAMETER["central_meridian",-5.4],PARAMETER["scale_factor",0.999625769],PARAMETER["false_easting",500000],PARAMETER["false_northing",300000],UNIT["Meter",1.0]]"#;
        near(&crs(morocco).unwrap(), (289_678.679_234_13, 226_048.801_788_42), 32.61, -7.64);
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(crs(&"A[".repeat(60_000)).is_err());
        assert!(crs(&"GEOGCS[\"x\",".repeat(2_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}") {
            let _ = crs(&text);
        }

        #[test]
        fn broken_descriptions_are_survived(cut in 0usize..600, tail in "[A-Z0-9\\[\\]\",]{0,20}") {
            let _ = crs(&format!("{}{tail}", &ED50[..cut.min(ED50.len())]));
        }
    }
}
