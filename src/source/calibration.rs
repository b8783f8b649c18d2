//! Camera calibration files: OpenCV's YAML (`camera_matrix`, `distortion_coefficients`) and Kalibr's camchain (`cam0`).

use std::path::Path;

use yaml_rust2::{Yaml, YamlLoader};

use crate::files;
use crate::recording::FileError;
use crate::types::{Distortion, Intrinsics};

/// Longer files are no calibration, bytes.
const LONGEST: usize = 64 * 1024;

/// Reads a calibration file.
pub fn read(path: &Path) -> Result<(Intrinsics, Distortion), FileError> {
    let text = files::read_to_string(path).map_err(|source| FileError::Io { path: path.into(), source })?;
    parse(&text).map_err(|reason| FileError::Bad { path: path.into(), line: None, reason })
}

/// Whether a text nests deeper, or refers to itself, as no calibration does: parsers follow that with their stack and their memory.
fn is_convoluted(text: &str) -> bool {
    const DEEPEST: usize = 32;
    let mut open = 0usize;
    for line in text.lines() {
        let words = || line.split_whitespace();
        if words().take_while(|w| matches!(*w, "-" | "?" | ":")).count() > DEEPEST || words().any(|w| w.starts_with(['*', '&'])) {
            return true;
        }
        for c in line.chars() {
            match c {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEEPEST {
                return true;
            }
        }
    }
    false
}

fn parse(text: &str) -> Result<(Intrinsics, Distortion), String> {
    if text.len() > LONGEST || is_convoluted(text) {
        return Err("is no calibration: it is too long, nests too deep or refers to itself".into());
    }
    // OpenCV writes the directive with a colon and a tag, neither of which is YAML 1.2.
    let clean: String = text
        .lines()
        .filter(|line| !line.starts_with("%YAML"))
        .map(|line| line.replace("!!opencv-matrix", ""))
        .collect::<Vec<_>>()
        .join("\n");
    let documents = YamlLoader::load_from_str(&clean).map_err(|e| format!("not YAML: {e}"))?;
    let document = documents.first().ok_or("the file is empty")?;
    if !document["cam0"].is_badvalue() { kalibr(&document["cam0"]) } else { opencv(document) }
}

fn opencv(document: &Yaml) -> Result<(Intrinsics, Distortion), String> {
    let matrix = numbers(&document["camera_matrix"]["data"])
        .filter(|m| m.len() == 9)
        .ok_or("no camera_matrix with nine numbers (OpenCV), and no cam0 (Kalibr)")?;
    let coefficients = numbers(&document["distortion_coefficients"]["data"]).unwrap_or_default();
    let size = |name: &str| document[name].as_i64().and_then(|v| u32::try_from(v).ok());
    let (Some(width), Some(height)) = (size("image_width"), size("image_height")) else {
        return Err("image_width and image_height are missing".into());
    };
    build(width, height, [matrix[0], matrix[4], matrix[2], matrix[5]], &coefficients)
}

fn kalibr(camera: &Yaml) -> Result<(Intrinsics, Distortion), String> {
    let text = |name: &str| camera[name].as_str().unwrap_or_default().to_string();
    if text("camera_model") != "pinhole" {
        return Err(format!("camera_model is '{}', only pinhole is supported", text("camera_model")));
    }
    let model = text("distortion_model");
    if !["radtan", "none", ""].contains(&model.as_str()) {
        return Err(format!("distortion_model is '{model}', only radtan is supported"));
    }
    let intrinsics = numbers(&camera["intrinsics"]).filter(|v| v.len() == 4).ok_or("cam0 has no four intrinsics")?;
    let size = numbers(&camera["resolution"]).filter(|v| v.len() == 2).ok_or("cam0 has no resolution")?;
    let coefficients = numbers(&camera["distortion_coeffs"]).unwrap_or_default();
    let [fx, fy, cx, cy] = [intrinsics[0], intrinsics[1], intrinsics[2], intrinsics[3]];
    build(size[0] as u32, size[1] as u32, [fx, fy, cx, cy], &coefficients)
}

fn build(width: u32, height: u32, [fx, fy, cx, cy]: [f64; 4], d: &[f64]) -> Result<(Intrinsics, Distortion), String> {
    if d.len() > 5 && d[5..].iter().any(|v| *v != 0.0) {
        return Err(format!("{} distortion coefficients; only k1 k2 p1 p2 k3 are supported", d.len()));
    }
    // Both tools count pixels from the centre of the first one; here that centre is at 0.5.
    let intrinsics = Intrinsics { width_px: width, height_px: height, fx_px: fx, fy_px: fy, cx_px: cx + 0.5, cy_px: cy + 0.5 };
    if !intrinsics.is_valid() {
        return Err("sizes and focal lengths must be positive numbers".into());
    }
    let at = |i: usize| d.get(i).copied().unwrap_or(0.0);
    Ok((intrinsics, Distortion::from([at(0), at(1), at(2), at(3), at(4)])))
}

fn numbers(yaml: &Yaml) -> Option<Vec<f64>> {
    yaml.as_vec()?
        .iter()
        .map(|v| match v {
            Yaml::Integer(i) => Some(*i as f64),
            Yaml::Real(_) => v.as_f64(),
            _ => None,
        })
        .collect::<Option<Vec<f64>>>()
        .filter(|v| v.iter().all(|x| x.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn opencv_files_are_read() {
        let (i, d) = parse(
            "%YAML:1.0\n---\nimage_width: 640\nimage_height: 480\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: [ 466., 0., 319.5, 0., 467., 239.5, 0., 0., 1. ]\ndistortion_coefficients: !!opencv-matrix\n   rows: 5\n   cols: 1\n   dt: d\n   data: [ -0.1, 0.02, 0.001, 0, 0.003 ]\n",
        )
        .unwrap();
        assert_eq!((i.width_px, i.fy_px, i.cx_px), (640, 467.0, 320.0));
        assert_eq!(<[f64; 5]>::from(d), [-0.1, 0.02, 0.001, 0.0, 0.003]);
    }

    #[test]
    fn kalibr_files_are_read() {
        let (i, d) = parse(
            "cam0:\n  camera_model: pinhole\n  intrinsics: [458.6, 457.3, 367.2, 248.4]\n  distortion_model: radtan\n  distortion_coeffs: [-0.28, 0.07, 0.0002, 0.00002]\n  resolution: [752, 480]\n",
        )
        .unwrap();
        assert_eq!((i.width_px, i.fx_px), (752, 458.6));
        assert_eq!(d.radial[0], -0.28);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        assert!(parse("cam0:\n  camera_model: omni\n").unwrap_err().contains("omni"));
        assert!(parse("x: 1").is_err());
        assert!(parse("").is_err());
        for nested in ["- ".repeat(60_000), "- ".repeat(1_000), "[".repeat(1_000), "a: &a [1]\nb: [*a, *a]".to_owned()] {
            assert!(parse(&nested).unwrap_err().contains("nests"), "{}", nested.len());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_crash(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
