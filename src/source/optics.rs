//! What a photo's metadata tell of its focal length: the table of cameras, EXIF's focal lengths, the sensor's pitch, the digital zoom.

use super::cameras;
use super::metadata::PhotoMetadata;
use crate::types::Standing;

/// Focal lengths that differ by less than this part are the same, rounded.
const SAME_PART: f64 = 0.02;
/// Two ways to the same field of view agree within this part: a "35 mm equivalent" is one of the width or of the diagonal, of another crop, and rounded.
const AGREES_PART: f64 = 0.15;
/// 1 sigma of a field of view that a "35 mm equivalent" tells, as a part.
const EQUIVALENT_SIGMA: f64 = 0.05;
/// 1 sigma of one that the pitch of the sensor's pixels tells, as a part: focal lengths are rounded.
const PITCH_SIGMA: f64 = 0.02;
/// Sensors of cameras, millimetres wide.
const SENSORS_MM: std::ops::RangeInclusive<f64> = 2.0..=60.0;
/// No camera that flies has a sensor this narrow behind a whole picture, millimetres.
const NARROWEST_MM: f64 = 3.5;
/// A full frame of film, millimetres wide.
const FILM_MM: f64 = 36.0;

/// The focal length of a photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Optics {
    /// Focal length as a part of the longer side of the photo.
    pub focal_part: f64,
    /// 1 sigma of it, as a part; 0 where it is far below what any height is known to.
    pub sigma_part: f64,
    /// Whether something contradicts it.
    pub standing: Standing,
    /// Where it comes from.
    pub words: String,
}

/// The focal length that a photo's metadata tell, of a photo so many pixels along its longer side.
///
/// # Errors
/// In words, why they do not tell it.
pub fn of(metadata: &PhotoMetadata, longer_px: u32) -> Result<Optics, String> {
    let told = Told {
        zoom: metadata.digital_zoom.filter(|z| *z > 1.0).unwrap_or(1.0),
        equivalent: metadata.focal_35mm_mm.map(|f| f / FILM_MM),
        focal_mm: metadata.focal_mm,
    };
    let known = metadata.model.as_deref().and_then(|model| cameras::find(metadata.maker.as_deref(), model));
    if let Some(camera) = known
        && let Some(optics) = told.by_table(camera)
    {
        return Ok(optics);
    }
    let called = metadata.model.as_deref().map_or_else(|| "no camera model is stated".into(), |m| format!("camera model {m}"));
    if metadata.maker.as_deref().is_some_and(|m| m.trim().eq_ignore_ascii_case("gopro")) {
        return Err(format!("{called}: its lens is a fisheye, which only a calibration describes"));
    }
    if let Some(optics) = told.by_pitch(metadata, longer_px, &called) {
        return Ok(optics);
    }
    told.by_equivalent(&called)
}

struct Told {
    /// Digital zoom, at least 1.
    zoom: f64,
    /// The "35 mm equivalent" as a part of the width; with or without the digital zoom, as the maker likes.
    equivalent: Option<f64>,
    focal_mm: Option<f64>,
}

fn agree(a: f64, b: f64) -> bool {
    (a / b).ln().abs() < AGREES_PART
}

impl Told {
    fn zoomed(&self, words: String) -> String {
        if self.zoom > 1.0 { format!("{words}, digital zoom {:.2}", self.zoom) } else { words }
    }

    fn by_table(&self, camera: &cameras::KnownCamera) -> Option<Optics> {
        let width = camera.sensor_width_mm;
        let stated = self.focal_mm.filter(|f| camera.focal_mm.is_none_or(|t| !same_focal(*f, t)));
        let focal = stated.or(camera.focal_mm)?;
        let part = focal / width;
        let of_table = match (camera.focal_mm, stated) {
            (Some(table), Some(stated)) => {
                format!(
                    "{}: EXIF's focal length of {stated} mm, not the {table} mm of the table, and its sensor of {width} mm",
                    camera.model
                )
            }
            (None, Some(stated)) => {
                format!("{}: EXIF's focal length of {stated} mm and the table's sensor of {width} mm", camera.model)
            }
            _ => format!("{}: {focal} mm and a sensor of {width} mm, by the table of cameras", camera.model),
        };
        let sigma_part = camera.sigma_percent / 100.0;
        if stated.is_some()
            && let Some(equivalent) = self.equivalent.filter(|e| !agree(*e, part) && !agree(*e, part * self.zoom))
        {
            // A second lens has a sensor of its own behind it.
            let words = format!(
                "{}: EXIF's focal length of {focal} mm and its 35 mm equivalent of {:.0} mm, a lens with another sensor than that of the table",
                camera.model,
                equivalent * FILM_MM
            );
            return Some(self.by_own_equivalent(words, equivalent));
        }
        let contradicts = camera.focal_mm.is_some() && stated.is_some();
        let standing = if contradicts { Standing::Contradicted } else { Standing::Taken };
        Some(Optics { focal_part: part * self.zoom, sigma_part, standing, words: self.zoomed(of_table) })
    }

    /// Where nothing but the equivalent is to be trusted; it includes the digital zoom, as EXIF has it, or there is none.
    fn by_own_equivalent(&self, words: String, equivalent: f64) -> Optics {
        Optics {
            focal_part: equivalent,
            sigma_part: EQUIVALENT_SIGMA,
            standing: Standing::Contradicted,
            words: self.zoomed(words),
        }
    }

    fn by_pitch(&self, metadata: &PhotoMetadata, longer_px: u32, called: &str) -> Option<Optics> {
        let (focal, pitch) = (self.focal_mm?, metadata.pixel_pitch_mm?);
        let recorded_px = metadata.recorded_longer_px.unwrap_or(longer_px);
        let width = pitch * f64::from(recorded_px);
        let part = focal / width;
        // Programs leave the resolution of a screen or of paper there.
        let fits = SENSORS_MM.contains(&width) && self.equivalent.is_none_or(|e| agree(e, part) || agree(e, part * self.zoom));
        let words =
            format!("{called}: EXIF's focal length of {focal} mm and a sensor of {width:.1} mm, by the pitch of its pixels");
        fits.then(|| Optics {
            focal_part: part * self.zoom,
            sigma_part: PITCH_SIGMA,
            standing: Standing::Taken,
            words: self.zoomed(words),
        })
    }

    fn by_equivalent(&self, called: &str) -> Result<Optics, String> {
        let Some(equivalent) = self.equivalent else {
            let stated =
                self.focal_mm.map_or_else(String::new, |f| format!(", and EXIF's focal length of {f} mm alone does not tell it"));
            return Err(format!("{called}, which is not in the table of cameras (`skyfix cameras`){stated}"));
        };
        let film = equivalent * FILM_MM;
        let width = self.focal_mm.map(|f| f / equivalent);
        if let Some(width) = width.filter(|w| !SENSORS_MM.contains(w)) {
            let focal = self.focal_mm.unwrap_or_default();
            return Err(format!(
                "{called}: EXIF's focal length of {focal} mm and 35 mm equivalent of {film:.0} mm contradict each other (a sensor of {width:.1} mm)"
            ));
        }
        // Narrower than any sensor: the equivalent has the digital zoom in it.
        let includes = width.is_some_and(|w| w < NARROWEST_MM);
        if self.zoom > 1.0 && !includes {
            return Err(format!(
                "{called}: a digital zoom of {:.2} and a 35 mm equivalent of {film:.0} mm, and nothing tells whether the one is in the other",
                self.zoom
            ));
        }
        let words = format!(
            "{called}, not in the table: EXIF's 35 mm equivalent of {film:.0} mm, good to {:.0} %",
            100.0 * EQUIVALENT_SIGMA
        );
        Ok(Optics { focal_part: equivalent, sigma_part: EQUIVALENT_SIGMA, standing: Standing::Taken, words: self.zoomed(words) })
    }
}

/// Whether a focal length that EXIF states is one of the table, rounded.
fn same_focal(stated: f64, table: f64) -> bool {
    let steps = [(1.0, 0.5), (10.0, 0.05)];
    let rounding: f64 = steps.iter().find(|(scale, _)| (stated * scale).fract().abs() < 1e-9).map_or(0.005, |(_, half)| *half);
    (stated - table).abs() <= (rounding + 1e-9).max(SAME_PART * table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(model: &str, focal_mm: f64) -> PhotoMetadata {
        PhotoMetadata { model: Some(model.into()), focal_mm: Some(focal_mm), ..PhotoMetadata::default() }
    }

    #[test]
    fn a_rounded_focal_length_is_the_tables_and_another_one_is_not() {
        let part = |metadata: &PhotoMetadata| of(metadata, 4000).unwrap().focal_part;
        for rounded in [4.5, 4.49, 4.0] {
            assert_eq!(part(&photo("FC7303", rounded)), 4.49 / 6.17, "{rounded}");
        }
        let zoomed = of(&photo("FC2204", 8.6), 4000).unwrap();
        assert_eq!((zoomed.focal_part, zoomed.standing), (8.6 / 6.17, Standing::Contradicted));
        assert!(zoomed.words.contains("8.6 mm, not the 4.386 mm"), "{}", zoomed.words);
        assert_eq!(part(&photo("ZenmuseP1", 50.0)), 50.0 / 35.9);
        assert_eq!(part(&photo("ILCE-6000", 16.0)), 16.0 / 23.5);
        assert!(of(&PhotoMetadata { focal_mm: None, ..photo("ILCE-6000", 1.0) }, 6000).is_err());
    }

    #[test]
    fn a_second_lens_with_its_own_sensor_is_known_by_its_equivalent() {
        let tele = PhotoMetadata { focal_35mm_mm: Some(162.0), ..photo("M3E", 29.9) };
        let optics = of(&tele, 4000).unwrap();
        assert_eq!((optics.focal_part, optics.sigma_part), (162.0 / 36.0, EQUIVALENT_SIGMA));
        // Without it the table's sensor is all there is.
        assert_eq!(of(&photo("M3E", 29.9), 4000).unwrap().focal_part, 29.9 / 17.3);
    }

    #[test]
    fn a_digital_zoom_multiplies_whether_the_equivalent_has_it_or_not() {
        for equivalent in [24.0, 48.0] {
            let zoomed = PhotoMetadata { digital_zoom: Some(2.0), focal_35mm_mm: Some(equivalent), ..photo("FC7303", 4.5) };
            assert_eq!(of(&zoomed, 4000).unwrap().focal_part, 2.0 * 4.49 / 6.17);
        }
        for none in [0.0, 1.0] {
            let zoomed = PhotoMetadata { digital_zoom: Some(none), ..photo("FC7303", 4.5) };
            assert_eq!(of(&zoomed, 4000).unwrap().focal_part, 4.49 / 6.17);
        }
        // Of an unknown camera nothing tells it apart.
        let unknown = PhotoMetadata { digital_zoom: Some(2.0), focal_35mm_mm: Some(48.0), ..photo("X", 6.0) };
        assert!(of(&unknown, 4000).unwrap_err().contains("digital zoom of 2.00"));
    }

    #[test]
    fn an_unknown_camera_is_known_by_its_exif_where_that_is_consistent() {
        let equivalent = PhotoMetadata { focal_35mm_mm: Some(24.0), ..photo("X", 4.5) };
        let optics = of(&equivalent, 4000).unwrap();
        assert_eq!((optics.focal_part, optics.sigma_part), (24.0 / 36.0, EQUIVALENT_SIGMA));
        let pitch = PhotoMetadata { pixel_pitch_mm: Some(0.0024), recorded_longer_px: Some(5472), ..photo("X", 8.8) };
        let optics = of(&pitch, 1000).unwrap();
        assert!((optics.focal_part - 8.8 / 13.1328).abs() < 1e-9 && optics.sigma_part == PITCH_SIGMA);
        // 72 dots an inch are no sensor.
        assert!(of(&PhotoMetadata { pixel_pitch_mm: Some(25.4 / 72.0), ..photo("X", 8.8) }, 4000).is_err());
        assert!(of(&PhotoMetadata { focal_35mm_mm: Some(24.0), ..photo("X", 450.0) }, 4000).unwrap_err().contains("contradict"));
        assert!(of(&photo("X", 8.8), 4000).unwrap_err().contains("skyfix cameras"));
        let gopro = PhotoMetadata { maker: Some("GoPro".into()), focal_35mm_mm: Some(15.0), ..photo("HERO4 Black", 3.0) };
        assert!(of(&gopro, 4000).unwrap_err().contains("calibration"));
    }
}
