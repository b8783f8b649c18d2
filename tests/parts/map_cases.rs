//! Maps as people bring them (`../shared/cases/maps`): read and in the right place, or refused for the true reason.

use skyfix::map::{BuildOptions, MapStore, MetricView, build};
use std::path::{Path, PathBuf};

/// Colours may differ by so much: compression, resampling.
const MOST_OFF: i32 = 25;

/// What is right of a case.
enum Right {
    /// It is read.
    Read,
    /// It is read, within 5 m of its place: its datum is not known better.
    Within5m,
    /// It is read, with nothing where it has a wedge without imagery.
    WithWedge,
    /// It is read; the colours are stretched, so that only their order is compared.
    Stretched,
    /// It is refused, with all of these words.
    Refused(&'static [&'static str]),
}
use Right::{Read, Refused, Stretched, WithWedge, Within5m};

const CASES: &[(&str, Right)] = &[
    ("a1_tms_folder", Read),
    ("a2_ed50.jpg", Within5m),
    ("a3_utm_feet.tif", Read),
    ("a4_local_metres.jpg", Refused(&["no degrees", ".prj", "no place on earth"])),
    ("b1_aux_xml.jpg", Read),
    ("b2_compound_prj.jpg", Read),
    ("b3_bom.jpg", Read),
    ("b4_odm_results", WithWedge),
    ("c1_cog_mask.tif", Refused(&["mask", "gdal_translate", "-b mask"])),
    ("c2_grey_alpha.tif", WithWedge),
    ("c3_int16.tif", Stretched),
    ("c4_zstd.tif", Read),
    ("c5_palette.tif", Refused(&["palette", "gdal_translate -expand rgb"])),
    ("c6_sparse.tif", WithWedge),
    ("e1_html_tile", Read),
    ("e2_at2x", Read),
    ("r1_comma_crlf.jpg", Read),
    ("r2_wkt2.jpg", Read),
    ("R3.JPG", Read),
    ("r4_jpeg_rgba.tif", WithWedge),
    ("r5_u16_big_endian.tif", Stretched),
    ("r6_pixel_is_point.tif", Read),
    ("r8_south_up.tif", Read),
    ("r9_rgb_nir.tif", Read),
    ("r11_exif_turned.jpg", Read),
    ("r12_compound.tif", Read),
];

const STORES: &[(&str, Right)] = &[
    ("d1_metadata_null.mbtiles", Read),
    ("d2_metadata_numbers.mbtiles", Read),
    ("d3_read_only/wal.mbtiles", Read),
    ("d4_512px.mbtiles", Read),
    ("d5_vector.mbtiles", Refused(&["vector"])),
    ("d6_bounds_country.mbtiles", Read),
    ("r10_view.mbtiles", Read),
];

#[derive(Clone, Copy)]
struct Place {
    lat: f64,
    lon: f64,
    rgb: [i32; 3],
    in_wedge: bool,
}

/// The folder of cases; `None` where it is not there.
fn cases() -> Option<PathBuf> {
    let folder = crate::data::data()?.join("../cases/maps");
    if !folder.is_dir() {
        eprintln!("skipped: no cases in {}", folder.display());
        return None;
    }
    Some(folder)
}

fn places(folder: &Path) -> Vec<Place> {
    let text = std::fs::read_to_string(folder.join("expected.csv")).unwrap();
    let place = |line: &str| {
        let v: Vec<&str> = line.split(',').collect();
        let rgb = [3, 4, 5].map(|i| v[i].parse().unwrap());
        Place { lat: v[1].parse().unwrap(), lon: v[2].parse().unwrap(), rgb, in_wedge: v[6].trim() == "yes" }
    };
    text.lines().skip(1).map(place).collect()
}

/// The colour at a place, a mean of a few pixels; `None` where there is no imagery.
fn colour(map: &MapStore, place: &Place) -> Option<[i32; 3]> {
    map.regions().iter().find_map(|region| {
        let at = region.plane.ground_from_lat_lon(place.lat, place.lon);
        let view = map.view(region, &MetricView::centred(at.e_m, at.n_m, 0.8, 3, 3)).ok()?;
        (view.covered_share() == 1.0).then(|| view.image.get_pixel(1, 1).0.map(i32::from))
    })
}

/// Of the colours up to so many metres around a place, the one nearest to what is expected.
fn nearest_colour(map: &MapStore, place: &Place, reach_m: i32) -> Option<[i32; 3]> {
    let plane = skyfix::geo::EnuPlane::at(skyfix::geo::Geodetic::ground(place.lat, place.lon));
    let around = (-reach_m..=reach_m).flat_map(|e| (-reach_m..=reach_m).map(move |n| (e, n)));
    let colours = around.filter_map(|(e, n)| {
        let (lat, lon) = plane.lat_lon_from_ground(f64::from(e), f64::from(n));
        colour(map, &Place { lat, lon, ..*place })
    });
    colours.min_by_key(|found| (0..3).map(|c| (found[c] - place.rgb[c]).abs()).max())
}

/// What is wrong with a map of the cases' picture, in words.
fn faults(map: &MapStore, places: &[Place], right: &Right) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let reach = if matches!(right, Within5m) { 4 } else { 0 };
        let found = nearest_colour(map, place, reach);
        let wedge = matches!(right, WithWedge) && place.in_wedge;
        match found {
            None if wedge => {}
            None => faults.push(format!("place {number}: no imagery")),
            Some(found) if wedge => faults.push(format!("place {number}: imagery in the wedge: {found:?}")),
            Some(found) => {
                let grey = found[0] == found[1] && found[1] == found[2];
                let mean = |rgb: [i32; 3]| (299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2]) / 1000;
                let off = if grey {
                    (mean(found) - mean(place.rgb)).abs()
                } else {
                    (0..3).map(|c| (found[c] - place.rgb[c]).abs()).max().unwrap()
                };
                if !matches!(right, Stretched) && off > MOST_OFF {
                    faults.push(format!("place {number}: {found:?}, not {:?}", place.rgb));
                }
                seen.push((mean(place.rgb), mean(found)));
            }
        }
    }
    seen.sort_unstable();
    // Places much brighter on the original are brighter here.
    let swapped = seen.iter().any(|a| seen.iter().any(|b| b.0 > a.0 + 40 && b.1 <= a.1));
    if swapped {
        faults.push(format!("brightness in another order: {seen:?}"));
    }
    faults
}

fn judge(name: &str, right: &Right, opened: Result<MapStore, String>, places: &[Place]) -> Vec<String> {
    let faults = match (opened, right) {
        (Err(message), Refused(words)) => {
            words.iter().filter(|w| !message.contains(**w)).map(|w| format!("no `{w}` in: {message}")).collect()
        }
        (Ok(_), Refused(_)) => vec!["is read".into()],
        (Err(message), _) => vec![format!("is refused: {message}")],
        (Ok(map), right) => faults(&map, places, right),
    };
    faults.into_iter().map(|fault| format!("{name}: {fault}")).collect()
}

#[test]
fn imagery_as_people_bring_it_is_read_in_the_right_place_or_refused_for_the_true_reason() {
    let Some(folder) = cases() else { return };
    let places = places(&folder);
    let scratch = tempfile::tempdir().unwrap();
    let mut faults = Vec::new();
    for (name, right) in CASES {
        let out = scratch.path().join(format!("{}.mbtiles", name.replace(['/', '.'], "-")));
        let built = build(&[folder.join(name)], &out, &BuildOptions::default(), &|_| {});
        let opened = built.map_err(|e| e.to_string()).and_then(|_| MapStore::open(&out).map_err(|e| e.to_string()));
        faults.extend(judge(name, right, opened, &places));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn maps_of_other_programs_are_opened_or_refused_for_the_true_reason() {
    let Some(folder) = cases() else { return };
    let places = places(&folder);
    let mut faults = Vec::new();
    for (name, right) in STORES {
        let opened = MapStore::open(&folder.join(name)).map_err(|e| e.to_string());
        if let Ok(map) = &opened {
            let (w, s, e, n) = map.regions()[0].extent_m();
            if (e - w) * (n - s) > 1e6 || map.regions().len() > 1 {
                faults.push(format!("{name}: {} regions, the first {:.0} x {:.0} m", map.regions().len(), e - w, n - s));
                continue;
            }
        }
        faults.extend(judge(name, right, opened, &places));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn shell(command: &str) -> bool {
    let output = std::process::Command::new("sh").args(["-c", command]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Files that are refused with a command: what makes each of the cases' GeoTIFF, by GDAL, from `$IN` as `$OUT`, and what is right of what the
/// advised command makes of it.
const MADE: &[(&str, &str, Right)] = &[
    ("mask.tif", "cp ${IN%/*}/c1_cog_mask.tif $OUT", WithWedge),
    ("palette.tif", "cp ${IN%/*}/c5_palette.tif $OUT", Read),
    ("lerc.tif", "gdal_translate -co COMPRESS=LERC_ZSTD $IN $OUT", Read),
    ("float.tif", "gdal_translate -ot Float32 $IN $OUT", Stretched),
    ("bits.tif", "gdal_translate -ot UInt16 -co NBITS=12 -scale 0 255 0 4095 $IN $OUT", Stretched),
    ("mollweide.tif", "gdalwarp -r bilinear -t_srs '+proj=moll +datum=WGS84' $IN $OUT", Read),
    (
        "beside.tif",
        "gdal_translate --config GDAL_TIFF_INTERNAL_MASK NO -b 1 -b 2 -b 3 -mask mask ${IN%/*}/c1_cog_mask.tif $OUT",
        WithWedge,
    ),
    (
        "oblique.jpg",
        "gdalwarp -r bilinear -t_srs '+proj=omerc +lat_0=47 +lonc=10 +alpha=30 +k=1 +datum=WGS84' $IN $OUT.tif && \
      gdal_translate -of JPEG -co WORLDFILE=YES -co QUALITY=97 $OUT.tif $OUT && mv ${OUT%.jpg}.wld ${OUT%.jpg}.jgw && \
      gdalsrsinfo -o wkt_esri $OUT.tif > ${OUT%.jpg}.prj && rm $OUT.tif $OUT.aux.xml",
        Read,
    ),
    ("wavelet.jp2", "gdal_translate -of JP2OpenJPEG -co REVERSIBLE=YES -co QUALITY=100 $IN $OUT", Read),
    ("erdas.img", "gdal_translate -of HFA $IN $OUT", Read),
    ("package.gpkg", "gdal_translate -of GPKG $IN $OUT", Read),
];

#[test]
fn what_a_refusal_advises_works_to_the_letter() {
    let Some(folder) = cases() else { return };
    if !shell("gdal_translate --version && gdalwarp --version && gdalsrsinfo --version") {
        eprintln!("skipped: GDAL is not installed");
        return;
    }
    let places = places(&folder);
    let scratch = tempfile::tempdir().unwrap();
    let mut sources: Vec<(PathBuf, &Right)> = Vec::new();
    for (name, command, right) in MADE {
        let plain = scratch.path().join("plain");
        std::fs::create_dir(&plain).unwrap();
        let input = folder.join("r12_compound.tif");
        let command = format!("IN='{}'; OUT='{}'; {command}", input.display(), plain.join(name).display());
        assert!(shell(&command), "{command}");
        let mine = scratch.path().join(format!("it's {name}"));
        std::fs::rename(&plain, &mine).unwrap();
        sources.push((mine.join(name), right));
    }
    let mut faults = Vec::new();
    for (source, right) in sources {
        let name = source.file_name().unwrap().to_string_lossy().into_owned();
        let out = scratch.path().join(format!("{name}.mbtiles"));
        let refused = build(std::slice::from_ref(&source), &out, &BuildOptions::default(), &|_| {});
        let Err(refused) = refused else {
            faults.push(format!("{name}: is read"));
            continue;
        };
        let refused = refused.to_string();
        let Some(command) = refused.split('`').nth(1).filter(|c| c.starts_with("gdal")) else {
            faults.push(format!("{name}: no command in: {refused}"));
            continue;
        };
        if !shell(command) {
            faults.push(format!("{name}: fails: {command}"));
            continue;
        }
        let beside = std::fs::read_dir(source.parent().unwrap()).unwrap().map(|e| e.unwrap().path());
        let made = beside.into_iter().find(|p| *p != source && p.extension().is_some_and(|e| e == "tif"));
        let built = build(&[made.unwrap()], &out, &BuildOptions::default(), &|_| {});
        let opened = built.map_err(|e| e.to_string()).and_then(|_| MapStore::open(&out).map_err(|e| e.to_string()));
        faults.extend(judge(&name, right, opened, &places));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn longitudes_from_0_to_360_are_those_of_the_west() {
    let Some(folder) = cases() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let report =
        build(&[folder.join("a5_lon_360.tif")], &scratch.path().join("a.mbtiles"), &BuildOptions::default(), &|_| {}).unwrap();
    let centre = report.sources[0].bounds.centre();
    assert!((centre.lon_deg + 10.9).abs() < 0.01, "{centre:?}");
}

#[test]
fn a_map_is_never_written_over_a_source_and_over_another_file_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("a.png");
    image::RgbImage::from_pixel(64, 64, image::Rgb([90, 120, 80])).save(&picture).unwrap();
    std::fs::write(folder.path().join("a.pgw"), "1e-5\n0\n0\n-1e-5\n9.1\n47.3\n").unwrap();
    let sources = [picture.clone()];
    let before = std::fs::read(&picture).unwrap();
    let refused = |out: &Path, options: &BuildOptions| build(&sources, out, options, &|_| {}).unwrap_err().to_string();
    let force = BuildOptions { force: true, ..BuildOptions::default() };
    assert!(refused(&picture, &BuildOptions::default()).contains("is one of the sources"));
    assert!(refused(&picture, &force).contains("is one of the sources"));
    assert_eq!(std::fs::read(&picture).unwrap(), before);
    let map = folder.path().join("a.mbtiles");
    build(&sources, &map, &BuildOptions::default(), &|_| {}).unwrap();
    assert!(refused(&map, &BuildOptions::default()).contains("--force"));
    build(&sources, &map, &force, &|_| {}).unwrap();
}

#[test]
fn a_corner_with_a_wrong_digit_is_refused_before_it_costs_anything() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::from_pixel(64, 64, image::Rgb([90, 120, 80])).save(folder.path().join("a.jpg")).unwrap();
    let table = "Filename,Top_left_lat,Top_left_lon,Bottom_right_lat,Bottom_right_long\na.jpg, 57.81, 10.90, 47.8094, 10.9010\n";
    std::fs::write(folder.path().join("map.csv"), table).unwrap();
    let out = folder.path().join("out.mbtiles");
    let message = build(&[folder.path().to_owned()], &out, &BuildOptions::default(), &|_| {}).unwrap_err().to_string();
    assert!(message.contains("times as long as wide") && message.contains("corner"), "{message}");
    assert!(!out.exists());
}
