//! What lies beside a raster and says where it is, or what of it is imagery: other programs heed it, so it is heeded here, or refused.

use super::crs::{Crs, Georeference, Placement};
use super::{well_known_text, world_file};
use crate::map::{MapError, advice};
use std::path::{Path, PathBuf};

/// Statements that put a corner further apart than this contradict each other, pixels: some programs mean a pixel's corner where others mean
/// its centre.
const APART_PX: f64 = 2.0;

/// Where a raster lies, by its own tags and by what lies beside it. Whatever states it must agree.
pub(crate) fn placement(raster: &Path, size: (u32, u32), own: Option<Placement>) -> Result<Option<Placement>, MapError> {
    let has_own = own.is_some();
    let system = own.as_ref().map(|own| own.crs.clone());
    let mut stated: Vec<(String, Placement)> = own.map(|own| ("the tags inside".into(), own)).into_iter().collect();
    for beside in [by_world_file(raster, size, system.as_ref()), by_auxiliary(raster, size, system.as_ref())] {
        match beside {
            Ok(found) => stated.extend(found),
            // What cannot be read contradicts nothing.
            Err(error) if has_own => tracing::debug!("{error}"),
            Err(error) => return Err(error),
        }
    }
    let mut stated = stated.into_iter();
    let Some((first, placement)) = stated.next() else { return Ok(None) };
    for (other, differs) in stated {
        let apart_px = apart_px(&placement, &differs, size).unwrap_or(f64::INFINITY);
        if apart_px > APART_PX {
            return Err(MapError::source(
                raster,
                format!("is put in two places, {apart_px:.0} px apart: by {first} and by {other}"),
                format!("take away the one that is wrong ({other}, if the other is right)"),
            ));
        }
    }
    Ok(Some(placement))
}

/// How far apart two placements put the corners of a raster, pixels of the second.
fn apart_px(a: &Placement, b: &Placement, (width, height): (u32, u32)) -> Option<f64> {
    let (a, b) = (Georeference::new(a)?, Georeference::new(b)?);
    let (w, h) = (f64::from(width), f64::from(height));
    let corners = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].map(|(column, row)| {
        let (lat_deg, lon_deg) = a.lat_lon(column, row)?;
        let there = b.pixel(lat_deg, lon_deg)?;
        Some((there.0 - column).hypot(there.1 - row))
    });
    corners.into_iter().try_fold(0.0, |worst: f64, apart| apart.map(|apart| worst.max(apart)))
}

fn by_world_file(raster: &Path, size: (u32, u32), own: Option<&Crs>) -> Result<Option<(String, Placement)>, MapError> {
    let Some(path) = world_file::beside(raster) else { return Ok(None) };
    let affine = world_file::affine(&path)?;
    let stated = match world_file::system_beside(raster)? {
        Some(stated) => Some(stated),
        None => Auxiliary::beside(raster)?.map_or(Ok(None), |beside| beside.system())?,
    };
    let crs = system_of(stated, &affine, size, own).ok_or_else(|| no_system(raster, "its world file has"))?;
    Ok(Some((path.display().to_string(), Placement { crs, affine })))
}

fn by_auxiliary(raster: &Path, size: (u32, u32), own: Option<&Crs>) -> Result<Option<(String, Placement)>, MapError> {
    let Some(beside) = Auxiliary::beside(raster)? else { return Ok(None) };
    let Some(affine) = beside.affine() else { return Ok(None) };
    let stated = match beside.system()? {
        Some(stated) => Some(stated),
        None => world_file::system_beside(raster)?,
    };
    let crs = system_of(stated, &affine, size, own).ok_or_else(|| no_system(raster, "its .aux.xml has"))?;
    Ok(Some((beside.path.display().to_string(), Placement { crs, affine })))
}

/// The system of an affine map: the one that is stated, degrees where it looks like them, else that of the raster's own tags.
fn system_of(stated: Option<Crs>, affine: &[f64; 6], size: (u32, u32), own: Option<&Crs>) -> Option<Crs> {
    let degrees = || world_file::looks_like_degrees(affine, size).then_some(Crs::Geographic);
    stated.or_else(degrees).or_else(|| own.cloned())
}

fn no_system(raster: &Path, what_has: &str) -> MapError {
    MapError::source(
        raster,
        format!("{what_has} coordinates that are no degrees, and there is no .prj or .aux.xml that says what they are"),
        format!(
            "put one beside it, {} with the text EPSG:32651 where they are metres of UTM zone 51; coordinates of a local system have no \
             place on earth: export the picture in WGS 84",
            raster.with_extension("prj").display()
        ),
    )
}

/// What GDAL, QGIS or ArcGIS wrote beside a raster: `map.jpg.aux.xml`.
struct Auxiliary {
    raster: PathBuf,
    path: PathBuf,
    text: String,
}

impl Auxiliary {
    fn beside(raster: &Path) -> Result<Option<Self>, MapError> {
        let path = PathBuf::from(format!("{}.aux.xml", raster.display()));
        if !path.is_file() {
            return Ok(None);
        }
        Ok(Some(Self { raster: raster.to_owned(), text: world_file::read_text(&path)?, path }))
    }

    /// The text of an element; nothing where this is no XML.
    fn element(&self, name: &str) -> Option<String> {
        let document = roxmltree::Document::parse(&self.text).ok()?;
        Some(document.descendants().find(|n| n.has_tag_name(name))?.text()?.trim().to_owned())
    }

    /// The text of an element of each band that has it.
    fn of_bands(&self, name: &str) -> Vec<String> {
        let Ok(document) = roxmltree::Document::parse(&self.text) else { return Vec::new() };
        let bands = document.descendants().filter(|n| n.has_tag_name("PAMRasterBand"));
        let texts = bands.filter_map(|band| band.children().find(|n| n.has_tag_name(name))?.text());
        texts.map(|text| text.trim().to_owned()).collect()
    }

    /// An item of the metadata.
    fn item(&self, key: &str) -> Option<String> {
        let document = roxmltree::Document::parse(&self.text).ok()?;
        let item = document.descendants().find(|n| n.has_tag_name("MDI") && n.attribute("key") == Some(key))?;
        Some(item.text()?.to_owned())
    }

    fn system(&self) -> Result<Option<Crs>, MapError> {
        let Some(system) = self.element("SRS") else { return Ok(None) };
        let put = format!("put a .prj with its EPSG code beside the picture: {}", self.raster.with_extension("prj").display());
        well_known_text::crs(&system).map(Some).map_err(|what| MapError::source(&self.path, what, put))
    }

    /// GDAL's order: x of the corner, x per column, x per row, y of the corner, y per column, y per row.
    fn affine(&self) -> Option<[f64; 6]> {
        let text = self.element("GeoTransform")?;
        let numbers: Vec<f64> = text.split(',').map(|v| v.trim().parse().ok()).collect::<Option<_>>()?;
        let [x0, a, b, y0, d, e]: [f64; 6] = numbers.try_into().ok()?;
        let affine = [a, b, x0, d, e, y0];
        (affine.iter().all(|v| v.is_finite()) && a * e != b * d).then_some(affine)
    }
}

/// The value of each band that means no imagery or no elevation, as a file beside the raster says.
pub(crate) fn nodata(raster: &Path) -> Vec<f64> {
    let Some(beside) = Auxiliary::beside(raster).ok().flatten() else { return Vec::new() };
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let together =
        beside.item("NODATA_VALUES").and_then(|text| text.split_whitespace().map(number).collect::<Option<Vec<f64>>>());
    together.unwrap_or_else(|| beside.of_bands("NoDataValue").iter().filter_map(|text| number(text)).collect())
}

/// What a file beside an elevation model says of the numbers in it.
#[derive(Default)]
pub(crate) struct Numbers {
    pub scale: Option<f64>,
    pub offset: Option<f64>,
    pub unit: Option<String>,
}

/// See [`Numbers`].
pub(crate) fn numbers(raster: &Path) -> Numbers {
    let Some(beside) = Auxiliary::beside(raster).ok().flatten() else { return Numbers::default() };
    let first = |name: &str| beside.of_bands(name).into_iter().next();
    let number = |name: &str| first(name).and_then(|text| text.parse::<f64>().ok()).filter(|v| v.is_finite());
    Numbers { scale: number("Scale"), offset: number("Offset"), unit: first("UnitType") }
}

/// Whether something beside a picture places it.
pub(crate) fn is_placed(raster: &Path) -> bool {
    let by_auxiliary = || Auxiliary::beside(raster).ok().flatten().and_then(|beside| beside.affine());
    world_file::beside(raster).is_some() || by_auxiliary().is_some()
}

/// Refuses a raster that a file beside it says the imagery of (`map.tif.msk`), which GDAL heeds.
pub(crate) fn refuse_mask(raster: &Path, bands: usize) -> Result<(), MapError> {
    let mask = PathBuf::from(format!("{}.msk", raster.display()));
    if !mask.is_file() {
        return Ok(());
    }
    Err(masked(raster, &format!("says by a mask beside it, {},", mask.display()), bands))
}

/// The error of a raster with a mask.
pub(crate) fn masked(raster: &Path, says: &str, bands: usize) -> MapError {
    let take = if bands < 3 { "-b 1 -b mask -colorinterp_2 alpha" } else { "-b 1 -b 2 -b 3 -b mask -colorinterp_4 alpha" };
    let program = format!("gdal_translate {take} -co ALPHA=YES -co COMPRESS=DEFLATE");
    MapError::source(raster, format!("{says} what is imagery, which is not read here"), translate(&program, raster, "alpha"))
}

/// What to do with GDAL, told of a `.prj`, which it does not heed beside a picture.
pub(crate) fn translate(program: &str, raster: &Path, ending: &str) -> String {
    let prj = raster.with_extension("prj");
    if prj.is_file() {
        advice::convert_from(&format!("{program} -a_srs"), &prj, raster, ending)
    } else {
        advice::convert(program, raster, ending)
    }
}

/// The error of a raster that nothing places.
pub(crate) fn unplaced(raster: &Path, what: &str) -> MapError {
    let tab = ["tab", "TAB"].iter().map(|e| raster.with_extension(e)).find(|p| p.is_file());
    match tab {
        Some(tab) => MapError::source(
            raster,
            format!("is placed by {}, which is not read here", tab.display()),
            "export it as a GeoTIFF, or put a world file and a .prj with its EPSG code beside it",
        ),
        None => MapError::source(raster, what, "put a world file beside it (.jgw, .pgw, .tfw, .wld) so that its place is known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (200, 100);
    const UTM: &str = "EPSG:32632";

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    fn placed(files: &[(&str, &str)], own: Option<[f64; 6]>) -> Result<Option<[f64; 6]>, String> {
        let folder = written(files);
        let own = own.map(|affine| Placement { crs: Crs::from_epsg(32632).unwrap(), affine });
        let found = placement(&folder.path().join("a.tif"), SIZE, own);
        found.map(|found| found.map(|p| p.affine)).map_err(|e| e.to_string())
    }

    const HERE: [f64; 6] = [0.5, 0.0, 642_000.0, 0.0, -0.5, 5_296_000.0];
    const WORLD: &str = "0.5\n0\n0\n-0.5\n642000.25\n5295999.75\n";
    const PAM: &str = "<PAMDataset><GeoTransform> 642000.0, 0.5, 0.0, 5296000.0, 0.0, -0.5</GeoTransform></PAMDataset>";

    #[test]
    fn each_statement_alone_places_a_raster() {
        assert_eq!(placed(&[], None), Ok(None));
        assert_eq!(placed(&[], Some(HERE)), Ok(Some(HERE)));
        assert_eq!(placed(&[("a.tfw", WORLD), ("a.prj", UTM)], None), Ok(Some(HERE)));
        assert_eq!(placed(&[("a.tif.aux.xml", PAM), ("a.prj", UTM)], None), Ok(Some(HERE)));
        assert!(placed(&[("a.tif.aux.xml", PAM)], None).unwrap_err().contains("no degrees"));
    }

    #[test]
    fn statements_that_agree_are_one_and_others_are_refused() {
        let all = [("a.tfw", WORLD), ("a.tif.aux.xml", PAM)];
        assert_eq!(placed(&all, Some(HERE)), Ok(Some(HERE)));
        // A world file that means the corner is half a pixel off.
        assert_eq!(placed(&[("a.tfw", "0.5\n0\n0\n-0.5\n642000\n5296000\n")], Some(HERE)), Ok(Some(HERE)));
        let elsewhere = placed(&[("a.tfw", "0.5\n0\n0\n-0.5\n642900\n5296000\n")], Some(HERE)).unwrap_err();
        assert!(elsewhere.contains("the tags inside") && elsewhere.contains("a.tfw"), "{elsewhere}");
        let pam = PAM.replace("642000.0", "642100.0");
        let beside = placed(&[("a.tfw", WORLD), ("a.prj", UTM), ("a.tif.aux.xml", &pam)], None).unwrap_err();
        assert!(beside.contains("two places, 200 px apart") && beside.contains("aux.xml"), "{beside}");
        assert_eq!(placed(&[("a.tfw", "no numbers")], Some(HERE)), Ok(Some(HERE)));
    }

    #[test]
    fn what_a_file_beside_says_of_the_numbers_is_read() {
        let bands = "<PAMDataset><PAMRasterBand band=\"1\"><NoDataValue>-9999</NoDataValue><Scale>0.1</Scale><UnitType>ft</UnitType></PAMRasterBand>\
                     <PAMRasterBand band=\"2\"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>";
        let together = "<PAMDataset><Metadata><MDI key=\"NODATA_VALUES\">1 2 3</MDI></Metadata></PAMDataset>";
        let folder = written(&[("a.tif.aux.xml", bands), ("b.png.aux.xml", together), ("c.png.aux.xml", "no XML")]);
        assert_eq!(nodata(&folder.path().join("a.tif")), [-9999.0, 7.0]);
        assert_eq!(nodata(&folder.path().join("b.png")), [1.0, 2.0, 3.0]);
        assert!(nodata(&folder.path().join("c.png")).is_empty());
        let said = numbers(&folder.path().join("a.tif"));
        assert_eq!((said.scale, said.offset, said.unit.as_deref()), (Some(0.1), None, Some("ft")));
    }

    #[test]
    fn a_mask_and_a_tab_beside_a_raster_are_not_passed_over() {
        let folder = written(&[("a.jpg.msk", ""), ("a.prj", UTM), ("a.tab", "")]);
        let raster = folder.path().join("a.jpg");
        let mask = refuse_mask(&raster, 3).unwrap_err().to_string();
        assert!(mask.contains("-b mask") && mask.contains("ALPHA=YES") && mask.contains("-a_srs"), "{mask}");
        assert!(refuse_mask(&folder.path().join("b.jpg"), 3).is_ok());
        assert!(unplaced(&raster, "x").to_string().contains("a.tab"));
    }
}
