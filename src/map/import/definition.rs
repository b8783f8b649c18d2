//! Definitions of coordinate reference systems for PROJ, put as the projection library reads them, and how their datums lie to WGS 84.
//!
//! proj4rs reads the scale of a projection as `+k`, not as `+k_0`, takes the degrees of a prime meridian for radians, and puts a transverse Mercator on an
//! ellipsoid given by its minor axis up to 70 m off. And the shifts to WGS 84 that come
//! with the definitions are now and then old, of the wrong sign, or missing: those of `datum_shifts.csv` go before them.

/// Shift, accuracy and codes of systems (`scripts/datum_shifts.py`).
const SHIFTS: &str = include_str!("datum_shifts.csv");
/// An accuracy that is said not to be known.
const UNKNOWN_M: f64 = 999.0;
/// Longitudes of prime meridians by the names that PROJ has for them, degrees east of Greenwich.
const PRIME_MERIDIANS: &[(&str, f64)] = &[
    ("greenwich", 0.0),
    ("lisbon", -9.131_906_111_111),
    ("paris", 2.337_229_166_667),
    ("bogota", -74.080_916_666_667),
    ("madrid", -3.687_938_888_889),
    ("rome", 12.452_333_333_333),
    ("bern", 7.439_583_333_333),
    ("jakarta", 106.807_719_444_444),
    ("ferro", -17.666_666_666_667),
    ("brussels", 4.367_975),
    ("stockholm", 18.058_277_777_778),
    ("athens", 23.716_337_5),
    ("oslo", 10.722_916_666_667),
    ("copenhagen", 12.577_88),
];
/// Ellipsoids of the datums that definitions name and that are no WGS 84.
const NAMED_DATUMS: &[(&str, &str)] = &[
    ("GGRS87", "GRS80"),
    ("NAD83", "GRS80"),
    ("OSGB36", "airy"),
    ("WGS84", "WGS84"),
    ("carthage", "clrk80ign"),
    ("hermannskogel", "bessel"),
    ("ire65", "mod_airy"),
    ("nzgd49", "intl"),
    ("potsdam", "bessel"),
];
/// Ellipsoids that the library knows by their minor axis: equatorial radius and that, metres.
const BY_MINOR_AXIS: &[(&str, f64, f64)] = &[("clrk66", 6_378_206.4, 6_356_583.8), ("mod_airy", 6_377_340.189, 6_356_034.446)];
/// Codes whose definition for PROJ is not what EPSG says: the latitudes of an ellipsoid on a sphere, grads, another method or another origin. Found by converting
/// points of the area of use of every code.
const NOT_AS_DEFINED: &[u16] = &[3973, 3974, 4055, 4805, 4807, 4810, 4811, 4816, 6200, 6990, 6991, 6996, 6997, 26591];

/// How a datum lies to WGS 84.
struct Shift {
    /// Parameters of `+towgs84`, with spaces between them.
    parameters: &'static str,
    /// How well that is known, metres; infinite where nobody says.
    accuracy_m: f64,
    /// Codes of systems on that datum, with spaces between them.
    codes: &'static str,
}

fn shifts() -> impl Iterator<Item = Shift> {
    SHIFTS.lines().skip(1).filter_map(|line| {
        let mut parts = line.split(',');
        let (parameters, accuracy_m, codes) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        Some(Shift { parameters, accuracy_m: if accuracy_m >= UNKNOWN_M { f64::INFINITY } else { accuracy_m }, codes })
    })
}

/// The definition of a code, with the best shift that is known of its datum.
pub(super) fn of_code(code: u32) -> Option<String> {
    let code = u16::try_from(code).ok().filter(|code| !NOT_AS_DEFINED.contains(code))?;
    let definition = crs_definitions::from_code(code)?.proj4;
    let told = code.to_string();
    let Some(shift) = shifts().find(|shift| shift.codes.split(' ').any(|code| code == told)) else {
        return Some(definition.to_owned());
    };
    let mut words: Vec<String> = Vec::new();
    for word in definition.split_whitespace().filter(|word| !word.starts_with("+towgs84=")) {
        words.push(match word.strip_prefix("+datum=") {
            Some(datum) => format!("+ellps={}", NAMED_DATUMS.iter().find(|(name, _)| *name == datum)?.1),
            None => word.to_owned(),
        });
    }
    words.push(format!("+towgs84={}", shift.parameters.replace(' ', ",")));
    Some(words.join(" "))
}

/// How well it is known how the datum of a definition lies to WGS 84, metres; `None` where nothing is told of that.
pub(super) fn accuracy_m(definition: &str) -> Option<f64> {
    let told = parameter(definition, "towgs84")?;
    if told.split(',').all(|value| value.parse() == Ok(0.0)) {
        return None;
    }
    let told = told.replace(',', " ");
    let known = shifts().filter(|shift| shift.parameters == told).map(|shift| shift.accuracy_m).reduce(f64::max);
    Some(known.unwrap_or(f64::INFINITY))
}

/// The value of a parameter of a definition.
pub(super) fn parameter<'a>(definition: &'a str, name: &str) -> Option<&'a str> {
    definition.split_whitespace().find_map(|word| word.strip_prefix('+')?.strip_prefix(name)?.strip_prefix('='))
}

/// Degrees east of Greenwich of the prime meridian that a definition counts longitudes from; `None` where it is none that is known.
pub(super) fn prime_meridian_deg(definition: &str) -> Option<f64> {
    let Some(told) = parameter(definition, "pm") else { return Some(0.0) };
    let named = PRIME_MERIDIANS.iter().find(|(name, _)| told.eq_ignore_ascii_case(name)).map(|(_, deg)| *deg);
    named.or_else(|| told.parse().ok()).filter(|deg: &f64| deg.is_finite())
}

/// Whether a definition is of longitudes and latitudes.
fn is_geographic(definition: &str) -> bool {
    parameter(definition, "proj").is_some_and(|p| matches!(p, "longlat" | "latlong" | "lonlat" | "latlon"))
}

/// Radius and flattening of a definition whose ellipsoid has a minor axis, as the library reads them right.
fn by_flattening(definition: &str) -> Option<String> {
    let number = |name: &str| parameter(definition, name)?.parse::<f64>().ok();
    let named = parameter(definition, "ellps").and_then(|ellps| BY_MINOR_AXIS.iter().find(|(name, ..)| *name == ellps));
    let (a, b) = named.map(|(_, a, b)| (*a, *b)).or_else(|| number("a").zip(number("b")))?;
    (a > b && b > 0.0).then(|| format!("+a={a} +rf={}", a / (a - b)))
}

/// A definition as the library reads it, and the degrees that are to be added to its longitudes. A projection's prime meridian is within its central meridian then.
pub(super) fn for_library(definition: &str) -> Option<(String, f64)> {
    let pm_deg = prime_meridian_deg(definition)?;
    let (is_geographic, ellipsoid) = (is_geographic(definition), by_flattening(definition));
    let mut words: Vec<String> = Vec::new();
    for word in definition.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "+pm" => {}
            "+lon_0" if !is_geographic => {}
            "+a" | "+b" | "+ellps" if ellipsoid.is_some() => {}
            "+k_0" => words.push(format!("+k={value}")),
            _ => words.push(word.to_owned()),
        }
    }
    words.extend(ellipsoid);
    if is_geographic {
        return Some((words.join(" "), pm_deg));
    }
    let lon_0 = parameter(definition, "lon_0").map_or(Some(0.0), |value| value.parse::<f64>().ok())?;
    words.push(format!("+lon_0={}", lon_0 + pm_deg));
    Some((words.join(" "), 0.0))
}
