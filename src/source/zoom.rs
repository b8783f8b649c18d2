//! Zoom that subtitles state, as a factor on the focal length that was given for the camera.

use super::telemetry::srt::StatedOptics;

/// A focal length that was given and one that is stated agree within this part: one is of the width, the other of the diagonal, another crop.
const AGREES_PART: f64 = 0.2;
/// No lens of an aircraft that is stated so is wider than this, millimetres of a 36 mm wide picture: then the digital zoom is not in it.
const WIDEST_MM: f64 = 18.0;
/// A full frame of film, millimetres wide.
pub const FILM_MM: f64 = 36.0;

/// How the focal length differs from the one that was given, by the time in the video.
#[derive(Clone, Debug, PartialEq)]
pub struct Zoom {
    /// From when on, nanoseconds, and the factor.
    pub steps: Vec<(i64, f64)>,
    /// What was taken to be what, in words; none where nothing is zoomed.
    pub words: Option<String>,
    /// Whether the lens that is stated is another one than the one that was given.
    pub contradicts: bool,
}

impl Zoom {
    /// Of a camera whose given focal length is the equivalent of so many millimetres for a 36 mm wide picture.
    pub fn of(optics: &[(i64, StatedOptics)], given_mm: f64) -> Self {
        let zoom = |o: &StatedOptics| o.digital_zoom.unwrap_or(1.0);
        // The lens without its digital zoom, and with it.
        let native = |o: &StatedOptics| o.equivalent_mm.map(|mm| if mm / zoom(o) >= WIDEST_MM { mm / zoom(o) } else { mm });
        let shown = |o: &StatedOptics| native(o).map(|mm| mm * zoom(o));
        let agrees = |mm: f64| (mm / given_mm).ln().abs() < AGREES_PART;
        let Some((_, first)) = optics.first() else { return Self { steps: Vec::new(), words: None, contradicts: false } };
        let of_native = native(first).is_none_or(agrees);
        let of_shown = shown(first).is_some_and(agrees);
        let reference = if of_native || !of_shown { native(first) } else { shown(first) };
        let factor = |o: &StatedOptics| match (shown(o), reference) {
            (Some(mm), Some(reference)) => mm / reference,
            _ => zoom(o),
        };
        let mut steps: Vec<(i64, f64)> =
            optics.iter().map(|(at, o)| (*at, factor(o))).filter(|(_, f)| f.is_finite() && *f > 0.0).collect();
        steps.dedup_by_key(|(_, factor)| *factor);
        let contradicts = !of_native && !of_shown;
        let zoomed = steps.iter().any(|(_, f)| (f - 1.0).abs() > 0.01);
        let stated = |o: &StatedOptics| match (o.equivalent_mm, o.digital_zoom) {
            (Some(mm), Some(zoom)) => format!("{mm:.2} mm and a digital zoom of {zoom:.2}"),
            (Some(mm), None) => format!("{mm:.2} mm"),
            (None, zoom) => format!("a digital zoom of {:.2}", zoom.unwrap_or(1.0)),
        };
        let changes = if steps.len() > 1 { format!(", changing {} times", steps.len() - 1) } else { String::new() };
        let least = steps.iter().map(|(_, f)| *f).fold(f64::INFINITY, f64::min);
        let most = steps.iter().map(|(_, f)| *f).fold(0.0, f64::max);
        let range = if most - least > 0.01 { format!("{least:.2} to {most:.2}") } else { format!("{most:.2}") };
        let begins = format!("the subtitles state {}{changes}", stated(first));
        let words = if contradicts {
            Some(format!(
                "{begins}, which is another lens than the given one ({given_mm:.0} mm as they count): is `source.camera.hfov_deg` the field of view of this lens \
                 without digital zoom? The picture is taken to be {range} times narrower than that"
            ))
        } else if zoomed {
            let of = if of_native { "without zoom" } else { "as the video begins" };
            Some(format!(
                "{begins}: the field of view that was given is taken for that of the lens {of}, and narrowed by {range}"
            ))
        } else {
            None
        };
        Self { steps, words, contradicts }
    }

    /// The factor at a time.
    pub fn at(&self, stamp_ns: i64) -> f64 {
        let after = self.steps.partition_point(|(from, _)| *from <= stamp_ns);
        self.steps.get(after.saturating_sub(1)).map_or(1.0, |(_, factor)| *factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(optics: &[(f64, f64)], given_mm: f64) -> Zoom {
        let stated = |(mm, zoom): &(f64, f64)| StatedOptics { equivalent_mm: Some(*mm), digital_zoom: Some(*zoom) };
        Zoom::of(&optics.iter().enumerate().map(|(i, o)| (i as i64, stated(o))).collect::<Vec<_>>(), given_mm)
    }

    #[test]
    fn a_digital_zoom_narrows_the_field_of_view_of_the_lens() {
        // 69° are 26 mm by the width.
        let zoom = of(&[(48.0, 2.0)], 26.2);
        assert_eq!((zoom.at(5), zoom.contradicts), (2.0, false));
        assert!(zoom.words.unwrap().contains("narrowed by 2.00"));
        // Older subtitles leave the focal length as it is.
        assert_eq!(of(&[(24.0, 2.0)], 26.2).at(5), 2.0);
        assert_eq!(of(&[(24.0, 1.0)], 26.2), Zoom { steps: vec![(0, 1.0)], words: None, contradicts: false });
        let alone = Zoom::of(&[(0, StatedOptics { equivalent_mm: None, digital_zoom: Some(3.0) })], 26.2);
        assert_eq!(alone.at(0), 3.0);
    }

    #[test]
    fn a_field_of_view_that_is_that_of_the_zoomed_picture_is_not_narrowed_again() {
        let zoom = of(&[(48.0, 2.0), (24.0, 1.0)], 52.4);
        assert_eq!((zoom.at(0), zoom.at(1)), (1.0, 0.5));
    }

    #[test]
    fn changes_hold_from_their_time_on_and_an_optical_zoom_counts() {
        let zoom = of(&[(24.0, 1.0), (48.0, 1.0), (96.0, 2.0)], 26.2);
        assert_eq!([-1, 0, 1, 2, 9].map(|t| zoom.at(t)), [1.0, 1.0, 2.0, 4.0, 4.0]);
        assert!(zoom.words.unwrap().contains("1.00 to 4.00"));
    }

    #[test]
    fn another_lens_than_the_given_one_is_told() {
        let zoom = of(&[(284.8, 1.77)], 26.2);
        assert!(zoom.contradicts && zoom.words.as_ref().unwrap().contains("284.80 mm and a digital zoom of 1.77"), "{zoom:?}");
        assert!((zoom.at(0) - 1.77).abs() < 1e-9);
    }
}
