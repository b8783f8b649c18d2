//! Commands of GDAL that make of a file what is read here, as a whole line for a shell.

use std::path::{Path, PathBuf};

use crate::text::shell_word as word;

/// What makes a GeoTIFF of a file without changing what it shows.
pub(super) const PLAIN: &str = "gdal_translate -co COMPRESS=DEFLATE -co TILED=YES";

/// A name for what a file is made into, beside it, with another ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_file_name(format!("{}.{ending}.tif", path.file_stem().unwrap_or_default().to_string_lossy()))
}

/// What to do: a program with its options, on a file, for another beside it.
pub(super) fn convert(program: &str, path: &Path, ending: &str) -> String {
    format!("convert it with `{program} {} {}` and give that", word(path), word(&beside(path, ending)))
}

/// The same, told by a file which coordinate system it has: GDAL itself does not heed one beside a picture.
pub(super) fn convert_from(program: &str, system: &Path, path: &Path, ending: &str) -> String {
    convert(&format!("{program} {}", word(system)), path, ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_that_a_shell_understands() {
        assert_eq!(
            convert("gdal_translate -b 1", Path::new("/a/b.c.tif"), "x"),
            "convert it with `gdal_translate -b 1 /a/b.c.tif /a/b.c.x.tif` and give that"
        );
        assert_eq!(beside(Path::new("photos/DJI.JPG"), "wgs84"), Path::new("photos/DJI.wgs84.tif"));
    }
}
