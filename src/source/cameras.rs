//! Cameras whose sensor and lens are known: a table (`cameras.csv`) by the maker and model that their EXIF states.
//!
//! EXIF rounds focal lengths, and its "35 mm equivalent" refers to other crops, so a camera of the table is known better than its EXIF says.

use std::sync::OnceLock;

use serde::Deserialize;

/// The table as it is kept.
const TABLE: &str = include_str!("cameras.csv");
/// A model of a shorter name is recognised together with its maker only: "2", "GR".
const TELLING_CHARACTERS: usize = 3;

/// A camera of the table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct KnownCamera {
    /// Maker, as EXIF begins.
    pub maker: String,
    /// Model, as EXIF has it.
    pub model: String,
    /// What it is called, or part of.
    pub name: String,
    /// Width of the part of the sensor behind a full-width photo, millimetres.
    pub sensor_width_mm: f64,
    /// Focal length, millimetres; none where the lens zooms or is exchanged, so that EXIF has to state it.
    pub focal_mm: Option<f64>,
    /// 1 sigma of the field of view that both make, percent; 0 where it is far below what any height is known to.
    pub sigma_percent: f64,
}

impl KnownCamera {
    /// Horizontal field of view of a full-width picture, radians; none where the lens is not known.
    pub fn field_of_view_rad(&self) -> Option<f64> {
        self.focal_mm.map(|focal| 2.0 * (self.sensor_width_mm / 2.0 / focal).atan())
    }
}

/// The table, in its order.
pub fn table() -> &'static [KnownCamera] {
    static ROWS: OnceLock<Vec<KnownCamera>> = OnceLock::new();
    // A test reads every row.
    ROWS.get_or_init(|| csv::Reader::from_reader(TABLE.as_bytes()).deserialize().filter_map(Result::ok).collect())
}

/// The camera of a model, and of a maker where that is known.
pub fn find(maker: Option<&str>, model: &str) -> Option<&'static KnownCamera> {
    let (model, maker) = (model.trim(), maker.map(|m| m.trim().to_ascii_lowercase()));
    let same_maker = |c: &&KnownCamera| maker.as_deref().is_some_and(|m| m.starts_with(&c.maker.to_ascii_lowercase()));
    let alike = || table().iter().filter(|c| c.model.eq_ignore_ascii_case(model));
    alike().find(same_maker).or_else(|| alike().find(|c| c.model.len() >= TELLING_CHARACTERS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_row_of_the_table_is_a_camera_and_none_is_there_twice() {
        let rows: Vec<KnownCamera> = csv::Reader::from_reader(TABLE.as_bytes()).deserialize().map(Result::unwrap).collect();
        assert_eq!(rows, table());
        assert!(rows.len() > 60);
        let mut seen = HashSet::new();
        for row in &rows {
            assert!(seen.insert((row.maker.to_lowercase(), row.model.to_lowercase())), "{} twice", row.model);
            assert!((2.0..=60.0).contains(&row.sensor_width_mm) && (0.0..=5.0).contains(&row.sigma_percent), "{row:?}");
            assert!(!row.maker.is_empty() && !row.name.is_empty(), "{row:?}");
            if let Some(field_of_view) = row.field_of_view_rad() {
                assert!((10.0..=100.0).contains(&field_of_view.to_degrees()), "{row:?}");
            }
            assert_eq!(find(Some(&row.maker), &row.model), Some(row));
        }
    }

    #[test]
    fn a_short_name_needs_its_maker_and_a_maker_may_be_written_longer() {
        assert_eq!(find(Some("Skydio"), "2").unwrap().name, "Skydio 2");
        assert_eq!(find(Some("RICOH IMAGING COMPANY, LTD."), "gr").unwrap().name, "GR");
        assert!(find(Some("Acme"), "2").is_none() && find(None, "GR").is_none());
        assert_eq!(find(Some("Autel Robotics"), "XT701").unwrap().maker, "Autel");
        assert_eq!(find(Some("Hasselblad"), "L1D-20c").unwrap().focal_mm, Some(10.26));
        assert_eq!(find(None, " FC7303 ").unwrap().focal_mm, Some(4.49));
        assert!(find(None, "").is_none());
    }
}
