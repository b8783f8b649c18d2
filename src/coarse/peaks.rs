//! Peaks of a score map, the moments that make them comparable, and the windows in which they count.

/// Peaks of one hypothesis closer than this are one, cells.
const PEAK_RADIUS: f64 = 3.0;

/// A rectangle of template positions (its north-west corner, in cells of the grid); half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First and past-the-last row.
    pub rows: (i64, i64),
    /// First and past-the-last column.
    pub columns: (i64, i64),
}

impl Window {
    /// Whether a position lies inside.
    pub fn contains(&self, row: i64, column: i64) -> bool {
        (self.rows.0..self.rows.1).contains(&row) && (self.columns.0..self.columns.1).contains(&column)
    }
}

/// A local maximum of the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Position of the template's north-west corner on the grid, cells; fractional by a parabola through the neighbours.
    pub row: f64,
    /// See `row`.
    pub column: f64,
    /// Raw score.
    pub score: f64,
}

/// The result of one template on one region.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Response {
    /// Best first.
    pub peaks: Vec<Peak>,
    /// Sum, sum of squares and number of all scores: their mean and spread normalise the peaks.
    pub moments: (f64, f64, f64),
}

impl Response {
    /// Mean and standard deviation of moments.
    pub fn mean_and_spread((sum, squares, n): (f64, f64, f64)) -> (f64, f64) {
        if n < 2.0 {
            return (0.0, 1.0);
        }
        let mean = sum / n;
        (mean, (squares / n - mean * mean).max(1e-12).sqrt())
    }
}

/// Offset, −0.5..0.5, of the top of the parabola through three equidistant values of which the middle is the largest.
pub fn parabola(before: f32, middle: f32, after: f32) -> f64 {
    let curvature = before + after - 2.0 * middle;
    if !curvature.is_finite() || curvature >= 0.0 {
        return 0.0;
    }
    f64::from(0.5 * (before - after) / curvature).clamp(-0.5, 0.5)
}

/// Keeps the best peaks that are not in the shadow of a better one.
pub(super) fn suppress(peaks: &mut Vec<Peak>, keep: usize) {
    peaks.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.total_cmp(&b.row)).then(a.column.total_cmp(&b.column)));
    let mut kept: Vec<Peak> = Vec::new();
    for p in peaks.iter() {
        if kept.len() == keep {
            break;
        }
        if kept.iter().all(|k| (k.row - p.row).hypot(k.column - p.column) > PEAK_RADIUS) {
            kept.push(*p);
        }
    }
    *peaks = kept;
}
