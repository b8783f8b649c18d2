//! Reads crops of several years (`train/naip_multiyear`): pictures of the same ground on the same grid, and how well they lie on each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;
use serde::Deserialize;

use super::imagery;
use crate::simulate::SimulateError;

/// Side of a crop, pixels.
pub(super) const CROP_PX: u32 = 256;
/// Most shift between the dates of a pair, pixels, and least correlation: what misses them is a failed estimate.
const MOST_SHIFT_PX: f64 = 4.0;
const LEAST_CORRELATION: f64 = 0.25;

/// A crop's city and number.
pub(super) type Place = (String, u32);

/// A row of `pairs.csv`; further columns are left alone.
#[derive(Deserialize)]
struct PairRow {
    city: String,
    id: u32,
    year_a: String,
    year_b: String,
    dx_px: f64,
    dy_px: f64,
    ncc_aligned: f64,
}

/// A folder of crops.
pub(super) struct Crops {
    folder: PathBuf,
    rows: Vec<PairRow>,
}

impl Crops {
    /// Reads which pairs there are.
    pub fn open(folder: &Path) -> Result<Self, SimulateError> {
        let path = folder.join("pairs.csv");
        let bad = |what: String| SimulateError::Material { path: path.clone(), what };
        let mut reader = csv::Reader::from_path(&path).map_err(|e| bad(e.to_string()))?;
        let rows = reader.deserialize().collect::<Result<_, csv::Error>>().map_err(|e| bad(e.to_string()))?;
        Ok(Self { folder: folder.into(), rows })
    }

    /// What is wrong with this folder.
    pub fn error(&self, what: String) -> SimulateError {
        SimulateError::Material { path: self.folder.clone(), what }
    }

    /// Shift, pixels, of each place of a city whose two years lie well on each other: a place of the second lies so much further right and
    /// down in it than in the first.
    pub fn pairs(&self, city: &str, year_a: &str, year_b: &str) -> BTreeMap<Place, (f64, f64)> {
        let good = |r: &&PairRow| {
            r.city == city
                && r.year_a == year_a
                && r.year_b == year_b
                && r.dx_px.hypot(r.dy_px) <= MOST_SHIFT_PX
                && r.ncc_aligned >= LEAST_CORRELATION
        };
        self.rows.iter().filter(good).map(|r| ((r.city.clone(), r.id), (r.dx_px, r.dy_px))).collect()
    }

    /// All places of a city with a crop of a year.
    pub fn places(&self, city: &str, year: &str) -> Result<Vec<Place>, SimulateError> {
        let failed = |source: std::io::Error| self.error(source.to_string());
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let number =
                name.strip_prefix(city).and_then(|n| n.strip_prefix('_')).and_then(|n| n.strip_suffix(&format!("_{year}.jpg")));
            found.extend(number.and_then(|n| n.parse().ok()).map(|id| (city.to_owned(), id)));
        }
        found.sort();
        Ok(found)
    }

    /// The crops of some places in a year, in their order.
    pub fn read(&self, places: &[Place], year: &str) -> Result<Vec<RgbImage>, SimulateError> {
        places
            .par_iter()
            .map(|(city, id)| {
                let path = self.folder.join(format!("{city}_{id:03}_{year}.jpg"));
                let image = imagery::read(&path)?;
                if image.dimensions() == (CROP_PX, CROP_PX) {
                    return Ok(image);
                }
                let what = format!("is {} x {} px; crops are {CROP_PX} x {CROP_PX} px", image.width(), image.height());
                Err(SimulateError::Material { path, what })
            })
            .collect()
    }
}
