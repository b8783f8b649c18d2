//! Sheets of imagery with a place on earth, as a map is built of them.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use image::imageops::{flip_vertical_in_place, replace};

use super::imagery::Imagery;
use crate::geo::Geodetic;
use crate::simulate::SimulateError;

/// What a `.prj` says of latitude and longitude on WGS84.
const PRJ: &str = r#"GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]
"#;
/// Semi-major axis, metres, and first eccentricity squared of WGS84.
const ELLIPSOID: (f64, f64) = (6_378_137.0, 6.694_379_990_14e-3);

/// Where a sheet lies: its north-west corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Corner {
    /// Latitude, degrees.
    pub lat_deg: f64,
    /// Longitude, degrees.
    pub lon_deg: f64,
}

impl Corner {
    /// Degrees of latitude and of longitude a metre, of a sheet that is flat in both.
    fn degrees_a_metre(self) -> (f64, f64) {
        let (axis, e2) = ELLIPSOID;
        let (sin, cos) = self.lat_deg.to_radians().sin_cos();
        let w = (1.0 - e2 * sin * sin).sqrt();
        let (along_meridian, along_parallel) = (axis * (1.0 - e2) / w.powi(3), axis / w * cos);
        (along_meridian.recip().to_degrees(), along_parallel.recip().to_degrees())
    }

    /// The place so many metres east and south of the corner.
    pub fn place(self, east_m: f64, south_m: f64) -> Geodetic {
        let (lat, lon) = self.degrees_a_metre();
        Geodetic::ground(self.lat_deg - south_m * lat, self.lon_deg + east_m * lon)
    }
}

/// Ground of a sheet that photos may show.
pub(super) struct Cell {
    /// What photos of it are taken of: the sheet's own imagery, or that of another date.
    pub flown: Arc<Imagery>,
    /// How far its upper left corner lies east and south of the sheet's, metres.
    pub origin_m: (f64, f64),
    /// How much further right and down a place lies in `flown` than its cell of the sheet has it, pixels of `flown`.
    pub shift_px: (f64, f64),
}

/// Imagery with a place.
pub(super) struct Sheet {
    /// The name of its files.
    pub name: String,
    /// As the map shows it.
    pub picture: RgbImage,
    /// Size of its pixels, metres.
    pub gsd_m: f64,
    /// Its place.
    pub corner: Corner,
    /// What photos may show of it.
    pub cells: Vec<Cell>,
}

/// A crop of a mosaic: as the map shows it, and what a camera sees of it where photos are taken of it.
pub(super) struct Crop {
    /// As the map shows it.
    pub mapped: RgbImage,
    /// What photos are taken of, and its shift against `mapped`, pixels.
    pub flown: Option<(RgbImage, (f64, f64))>,
}

impl Sheet {
    /// One picture, all of which may be seen.
    pub fn of_picture(name: &str, imagery: Imagery, corner: Corner) -> Self {
        let (picture, gsd_m) = (imagery.image.clone(), imagery.gsd_m);
        let cell = Cell { flown: Arc::new(imagery), origin_m: (0.0, 0.0), shift_px: (0.0, 0.0) };
        Self { name: name.into(), picture, gsd_m, corner, cells: vec![cell] }
    }

    /// Crops of one size side by side. The last line is filled up with mirrored crops, which look like no turned copy.
    pub fn of_crops(name: &str, crops: Vec<Crop>, gsd_m: f64, corner: Corner) -> Self {
        let (columns, lines) = layout(crops.len());
        let (width, height) = crops.first().map_or((1, 1), |c| c.mapped.dimensions());
        let mut picture = RgbImage::new(width * columns as u32, height * lines as u32);
        for i in 0..columns * lines {
            let at = (((i % columns) as u32 * width) as i64, ((i / columns) as u32 * height) as i64);
            match crops.get(i) {
                Some(crop) => replace(&mut picture, &crop.mapped, at.0, at.1),
                None => {
                    let mut mirrored = crops[i * 7 % crops.len()].mapped.clone();
                    flip_vertical_in_place(&mut mirrored);
                    replace(&mut picture, &mirrored, at.0, at.1);
                }
            }
        }
        let cell = |(i, crop): (usize, Crop)| {
            let (flown, shift_px) = crop.flown?;
            let origin = |step: usize, px: u32| step as f64 * f64::from(px) * gsd_m;
            let origin_m = (origin(i % columns, width), origin(i / columns, height));
            Some(Cell { flown: Arc::new(Imagery { image: flown, gsd_m }), origin_m, shift_px })
        };
        let cells = crops.into_iter().enumerate().filter_map(cell).collect();
        Self { name: name.into(), picture, gsd_m, corner, cells }
    }

    /// Where a place of a cell's flown imagery, continuous pixels, lies on earth.
    pub fn place(&self, cell: &Cell, (x, y): (f64, f64)) -> Geodetic {
        let metres = |origin: f64, px: f64, shift: f64| origin + (px - shift) * cell.flown.gsd_m;
        self.corner.place(metres(cell.origin_m.0, x, cell.shift_px.0), metres(cell.origin_m.1, y, cell.shift_px.1))
    }

    /// Writes the picture as PNG with its world file and its `.prj`.
    pub fn write(&self, folder: &Path) -> Result<(), SimulateError> {
        std::fs::create_dir_all(folder).map_err(|source| SimulateError::Write { path: folder.into(), source })?;
        let path = folder.join(&self.name).with_extension("png");
        self.picture.save(&path).map_err(|source| SimulateError::Encode { path: path.clone(), source })?;
        let (lat, lon) = self.corner.degrees_a_metre();
        let (dx, dy) = (self.gsd_m * lon, self.gsd_m * lat);
        // World files name the middle of the first pixel.
        let numbers = [dx, 0.0, 0.0, -dy, self.corner.lon_deg + dx / 2.0, self.corner.lat_deg - dy / 2.0];
        let world = numbers.map(|v| format!("{v:.14}\n")).concat();
        for (extension, text) in [("pgw", world.as_str()), ("prj", PRJ)] {
            let path = path.with_extension(extension);
            std::fs::write(&path, text).map_err(|source| SimulateError::Write { path: path.clone(), source })?;
        }
        Ok(())
    }
}

/// Columns and lines of a mosaic that is about square.
pub(super) fn layout(crops: usize) -> (usize, usize) {
    let columns = (crops as f64).sqrt().ceil().max(1.0) as usize;
    (columns, crops.div_ceil(columns).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::EnuPlane;
    use image::Rgb;

    #[test]
    fn a_place_of_a_cell_is_where_the_maps_plane_has_it() {
        let crop = |value| Crop {
            mapped: RgbImage::from_pixel(100, 100, Rgb([value; 3])),
            flown: (value > 1).then(|| (RgbImage::from_pixel(100, 100, Rgb([value; 3])), (2.0, -1.0))),
        };
        let corner = Corner { lat_deg: 34.0, lon_deg: -117.5 };
        let sheet = Sheet::of_crops("map", (1..=5).map(crop).collect(), 0.6, corner);
        assert_eq!(sheet.picture.dimensions(), (300, 200));
        assert_eq!(sheet.cells.len(), 4);
        // The fourth crop begins the second line; its places lie 2 px further right and 1 px further up in what is flown.
        let at = sheet.place(&sheet.cells[2], (52.0, 49.0));
        let plane = EnuPlane::at(Geodetic::ground(34.0, -117.5));
        let enu = plane.ground_from_lat_lon(at.lat_deg, at.lon_deg);
        assert!((enu.e_m - 30.0).abs() < 0.01 && (enu.n_m + 90.0).abs() < 0.01, "{enu:?}");
        assert_eq!(sheet.picture.get_pixel(50, 150), &Rgb([4; 3]));
    }

    #[test]
    fn a_sheet_becomes_a_map_that_shows_it_at_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let image = RgbImage::from_fn(64, 64, |x, _| if x < 32 { Rgb([200; 3]) } else { Rgb([20; 3]) });
        let sheet = Sheet::of_picture("half", Imagery { image, gsd_m: 1.0 }, Corner { lat_deg: 34.0, lon_deg: -117.5 });
        sheet.write(folder.path()).unwrap();
        let out = folder.path().join("map.mbtiles");
        crate::map::build(&[folder.path().join("half.png")], &out, &crate::map::BuildOptions::default(), &|_| {}).unwrap();
        let map = crate::map::MapStore::open(&out).unwrap();
        let region = &map.regions()[0];
        let value = |east_m: f64| {
            let at = sheet.corner.place(east_m, 32.0);
            let at = region.plane.ground_from_lat_lon(at.lat_deg, at.lon_deg);
            map.view(region, &crate::map::MetricView::centred(at.e_m, at.n_m, 0.5, 1, 1)).unwrap().image.get_pixel(0, 0).0[0]
        };
        assert!(value(26.0) > 150 && value(38.0) < 60, "{} {}", value(26.0), value(38.0));
    }
}
