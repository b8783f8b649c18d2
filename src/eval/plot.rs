//! Line charts as SVG: small, without a library, and readable as text.

use std::fmt::Write;

/// Size of a chart, pixels.
const SIZE: (f64, f64) = (860.0, 340.0);
/// Room for the axes: left, right, top, bottom, pixels.
const MARGIN: (f64, f64, f64, f64) = (64.0, 16.0, 34.0, 46.0);
/// Colours of lines that a colour-blind reader tells apart (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// A line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// Points in order; one that is not finite breaks the line.
    pub points: Vec<(f64, f64)>,
    /// Drawn in dashes, for bounds.
    pub dashed: bool,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What is above it.
    pub title: String,
    /// What the x axis tells, with its unit.
    pub x: &'static str,
    /// What the y axis tells, with its unit.
    pub y: &'static str,
    /// The lines.
    pub lines: Vec<Line>,
}

/// The least and the greatest finite number, a little apart.
fn span(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        numbers.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    match (low, high) {
        (low, high) if low < high => (low, high),
        (low, _) if low.is_finite() => (low - 0.5, low + 0.5),
        _ => (0.0, 1.0),
    }
}

/// Round numbers that divide a span in about five.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|v| *v <= high + 1e-9 * step).take(20).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Chart {
    /// The chart as an SVG file.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let (xs, ys) = (span(points().map(|p| p.0)), span(points().map(|p| p.1)));
        let (left, right, top, bottom) = MARGIN;
        let (width, height) = SIZE;
        let px = |x: f64| left + (x - xs.0) / (xs.1 - xs.0) * (width - left - right);
        let py = |y: f64| height - bottom - (y - ys.0) / (ys.1 - ys.0) * (height - top - bottom);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{left}\" y=\"18\" font-size=\"14\">{}</text>\n",
            escaped(&self.title)
        );
        for x in ticks(xs) {
            let at = px(x);
            let _ = writeln!(out, "<path d=\"M{at:.1} {top}V{:.1}\" stroke=\"#ddd\"/>", height - bottom);
            let _ = writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                height - bottom + 16.0,
                tidy(x)
            );
        }
        for y in ticks(ys) {
            let at = py(y);
            let _ = writeln!(out, "<path d=\"M{left} {at:.1}H{:.1}\" stroke=\"#ddd\"/>", width - right);
            let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", left - 6.0, at + 4.0, tidy(y));
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            width / 2.0,
            height - 8.0,
            escaped(self.x)
        );
        let _ = writeln!(
            out,
            "<text transform=\"translate(14 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            height / 2.0,
            escaped(self.y)
        );
        let mut legend = left + 8.0;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let dashes = if line.dashed { " stroke-dasharray=\"5 4\"" } else { "" };
            let mut path = String::new();
            let mut pen = 'M';
            for (x, y) in &line.points {
                if x.is_finite() && y.is_finite() {
                    let _ = write!(path, "{pen}{:.1} {:.1}", px(*x), py(*y));
                    pen = 'L';
                } else {
                    pen = 'M';
                }
            }
            let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"{dashes}/>");
            let _ =
                writeln!(out, "<text x=\"{legend:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>", top + 14.0, escaped(&line.name));
            legend += 7.0 * line.name.chars().count() as f64 + 24.0;
        }
        out.push_str("</svg>\n");
        out
    }
}

/// A number without needless digits.
fn tidy(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_well_formed_and_holds_its_lines_and_words() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)];
        let line = |name: &str| Line { name: name.into(), points: points.clone(), dashed: name == "b" };
        let chart = Chart { title: "a < b & c".into(), x: "time, s", y: "NEES", lines: vec![line("a"), line("b")] };
        let svg = chart.svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let texts: Vec<_> = document.descendants().filter_map(|n| n.text()).collect();
        for word in ["a < b & c", "time, s", "NEES", "a", "b"] {
            assert!(texts.contains(&word), "{word} in {texts:?}");
        }
        assert!(!svg.contains("NaN"));
        assert!(document.descendants().any(|n| n.attribute("stroke-dasharray").is_some()));
    }

    #[test]
    fn ticks_are_round_and_lie_inside() {
        assert_eq!(ticks((0.0, 10.0)), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((-0.3, 0.4)), [-0.2, 0.0, 0.2, 0.4]);
        assert!(!Chart { title: String::new(), x: "", y: "", lines: Vec::new() }.svg().contains("NaN"));
    }
}
