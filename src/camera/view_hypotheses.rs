//! What is not known of heading and height becomes views to try.

use nalgebra::UnitQuaternion;

use crate::geo::enu_from_body;
use crate::types::{AbstainReason, Camera, Estimate, Known, Mounting};

/// A template stands a rotation of about this much to either side, radians: at its rim, 16 cells from the middle of its part, that moves
/// the ground by two cells. (The features themselves would stand more.)
const ROTATION_TOLERANCE_RAD: f64 = 7.5 * std::f64::consts::PI / 180.0;
/// The same of a change of scale, as a logarithm.
const LOG_SCALE_TOLERANCE: f64 = 0.1;
/// How many sigmas of heading and height are covered.
const COVERED_SIGMAS: f64 = 2.0;
/// Heights searched when nothing is known, metres.
const UNKNOWN_HEIGHT_M: (f64, f64) = (40.0, 500.0);

/// One view to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewHypothesis {
    /// Heading of the body, radians clockwise from north.
    pub heading_rad: f64,
    /// Height above ground, metres.
    pub height_m: f64,
    /// The camera's attitude.
    pub enu_from_camera: UnitQuaternion<f64>,
}

/// Whether an unknown height may be searched for, or is a reason to abstain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownHeight {
    /// Abstain.
    Abstain,
    /// Try 40 to 500 m.
    Search,
}

/// The views to try, the most likely first.
pub fn view_hypotheses(camera: &Camera, known: &Known, unknown: UnknownHeight) -> Result<Vec<ViewHypothesis>, AbstainReason> {
    let headings = match known.heading_rad {
        Some(Estimate { value, sigma }) if sigma * COVERED_SIGMAS < std::f64::consts::PI => {
            spread(sigma * COVERED_SIGMAS, ROTATION_TOLERANCE_RAD).into_iter().map(|d| value + d).collect()
        }
        _ => full_circle(),
    };
    let heights: Vec<f64> = match (known.height_agl_m, unknown) {
        (Some(Estimate { value, sigma }), _) if value > 1.0 => {
            let relative = (COVERED_SIGMAS * sigma / value).min(0.9).ln_1p();
            spread(relative, LOG_SCALE_TOLERANCE).into_iter().map(|d| value * d.exp()).collect()
        }
        (None, UnknownHeight::Search) => {
            let (low, high) = (UNKNOWN_HEIGHT_M.0.ln(), UNKNOWN_HEIGHT_M.1.ln());
            spread((high - low) / 2.0, LOG_SCALE_TOLERANCE).into_iter().map(|d| ((low + high) / 2.0 + d).exp()).collect()
        }
        _ => return Err(AbstainReason::NoHeight),
    };
    let (pitch, roll) = match (camera.mounting, known.pitch_roll_rad) {
        (Mounting::Strapdown, Some(attitude)) => attitude,
        _ => (0.0, 0.0),
    };
    let mut out = Vec::with_capacity(headings.len() * heights.len());
    for height_m in heights {
        for heading_rad in &headings {
            out.push(ViewHypothesis {
                heading_rad: *heading_rad,
                height_m,
                enu_from_camera: camera.enu_from_camera(&enu_from_body(*heading_rad, pitch, roll)),
            });
        }
    }
    Ok(out)
}

/// Offsets that cover ±`reach` when each covers ±`tolerance`, the middle first; one when a single one nearly does.
fn spread(reach: f64, tolerance: f64) -> Vec<f64> {
    // A little beyond its tolerance a view still matches, only less surely.
    let each_side = ((reach / tolerance - 1.5) / 2.0).ceil().max(0.0) as i32;
    let mut offsets: Vec<f64> = (-each_side..=each_side).map(|i| f64::from(i) * 2.0 * tolerance).collect();
    offsets.sort_by(|a, b| a.abs().total_cmp(&b.abs()).then(a.total_cmp(b)));
    offsets
}

fn full_circle() -> Vec<f64> {
    let n = (std::f64::consts::PI / ROTATION_TOLERANCE_RAD).round() as i32;
    (0..n).map(|i| f64::from(i) * std::f64::consts::TAU / f64::from(n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Intrinsics;

    fn known(height_sigma: f64, heading_sigma_deg: f64) -> Known {
        Known {
            height_agl_m: Some(Estimate { value: 100.0, sigma: height_sigma }),
            heading_rad: Some(Estimate { value: 1.0, sigma: heading_sigma_deg.to_radians() }),
            pitch_roll_rad: None,
        }
    }

    #[test]
    fn what_is_known_well_is_one_view() {
        let camera = Camera::nadir(Intrinsics::centred(640, 480, 466.0));
        assert_eq!(view_hypotheses(&camera, &known(3.0, 5.0), UnknownHeight::Abstain).unwrap().len(), 1);
    }

    #[test]
    fn what_is_not_known_is_covered_without_gaps() {
        let camera = Camera::nadir(Intrinsics::centred(640, 480, 466.0));
        let views = view_hypotheses(&camera, &Known { heading_rad: None, ..known(11.5, 0.0) }, UnknownHeight::Abstain).unwrap();
        for heading in 0..360 {
            for height in [82.0, 90.0, 100.0, 110.0, 119.0f64] {
                let near = views.iter().any(|v| {
                    let d = (v.heading_rad - f64::from(heading).to_radians()).rem_euclid(std::f64::consts::TAU);
                    d.min(std::f64::consts::TAU - d) <= ROTATION_TOLERANCE_RAD + 1e-9
                        && (v.height_m / height).ln().abs() <= 1.5 * LOG_SCALE_TOLERANCE
                });
                assert!(near, "{heading} {height}");
            }
        }
    }

    #[test]
    fn no_height_is_an_abstention_unless_it_may_be_searched() {
        let camera = Camera::nadir(Intrinsics::centred(640, 480, 466.0));
        let none = Known { height_agl_m: None, ..known(1.0, 1.0) };
        assert_eq!(view_hypotheses(&camera, &none, UnknownHeight::Abstain), Err(AbstainReason::NoHeight));
        assert!(view_hypotheses(&camera, &none, UnknownHeight::Search).unwrap().len() > 10);
    }
}
