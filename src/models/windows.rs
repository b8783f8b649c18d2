//! Images of any size through a network of one size: overlapping windows, and each cell from the window whose middle is nearest.

use super::{DenseFeatures, ModelError};
use crate::types::ImageTensor;

/// Neighbouring windows share at least this many cells, so that no cell comes from the very rim of one.
const OVERLAP_CELLS: usize = 4;

/// First cells of windows of `side` cells that cover `length` cells, evenly spread; one at 0 where a single window is enough.
fn starts(length: usize, side: usize) -> Vec<usize> {
    if length <= side {
        return vec![0];
    }
    let overlap = OVERLAP_CELLS.min(side - 1);
    let last = (length - overlap).div_ceil(side - overlap) - 1;
    (0..=last).map(|i| (i * (length - side) + last / 2) / last).collect()
}

/// For each cell the window whose middle is nearest, the first of equals.
fn owners(length: usize, side: usize, starts: &[usize]) -> Vec<usize> {
    let off = |cell: usize, start: usize| (2 * cell + 1).abs_diff(2 * start + side);
    (0..length).map(|cell| (0..starts.len()).min_by_key(|w| off(cell, starts[*w])).unwrap_or(0)).collect()
}

/// A square part of an image; where it reaches beyond, it has the image's mean colour.
fn cut(image: &ImageTensor, (x0, y0): (usize, usize), side_px: usize) -> ImageTensor {
    let mut out = ImageTensor::zeros(side_px, side_px);
    let (width, height) = (side_px.min(image.width_px - x0), side_px.min(image.height_px - y0));
    let plane = image.width_px * image.height_px;
    for (to, from) in out.data.chunks_exact_mut(side_px * side_px).zip(image.data.chunks_exact(plane)) {
        if width < side_px || height < side_px {
            to.fill((from.iter().map(|v| f64::from(*v)).sum::<f64>() / plane as f64) as f32);
        }
        for row in 0..height {
            let at = (y0 + row) * image.width_px + x0;
            to[row * side_px..row * side_px + width].copy_from_slice(&from[at..at + width]);
        }
    }
    out
}

/// Runs `pass`, which takes squares of `side_px`, over an image of any size that is a multiple of `stride_px`.
pub fn in_windows(
    image: &ImageTensor,
    side_px: usize,
    stride_px: usize,
    mut pass: impl FnMut(&ImageTensor) -> Result<DenseFeatures, ModelError>,
) -> Result<DenseFeatures, ModelError> {
    let (rows, columns, side) = (image.height_px / stride_px, image.width_px / stride_px, side_px / stride_px);
    let (down, across) = (starts(rows, side), starts(columns, side));
    let (row_owners, column_owners) = (owners(rows, side, &down), owners(columns, side, &across));
    let cells = rows * columns;
    let mut out = DenseFeatures {
        rows,
        columns,
        channels: 0,
        stride_px,
        descriptors: Vec::new(),
        reliability: vec![0.0; cells],
        keypoints: vec![[0.0; 3]; cells],
    };
    for (i, row0) in down.iter().enumerate() {
        for (j, column0) in across.iter().enumerate() {
            let part = pass(&cut(image, (column0 * stride_px, row0 * stride_px), side_px))?;
            let channels = part.channels;
            out.channels = channels;
            out.descriptors.resize(cells * channels, 0.0);
            for row in (0..rows).filter(|r| row_owners[*r] == i) {
                for column in (0..columns).filter(|c| column_owners[*c] == j) {
                    let (to, from) = (row * columns + column, (row - row0) * part.columns + column - column0);
                    out.descriptors[to * channels..(to + 1) * channels]
                        .copy_from_slice(part.descriptor(row - row0, column - column0));
                    out.reliability[to] = part.reliability[from];
                    out.keypoints[to] = part.keypoints[from];
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A network of stride 14 that tells of each cell the mean of its red plane, and how far from the window's rim it lies.
    fn pass(image: &ImageTensor) -> Result<DenseFeatures, ModelError> {
        let side = image.width_px / 14;
        let mean = |row: usize, column: usize| {
            let pixels = (0..14 * 14).map(|p| image.data[(row * 14 + p / 14) * image.width_px + column * 14 + p % 14]);
            pixels.sum::<f32>() / (14.0 * 14.0)
        };
        let cells = (0..side * side).map(|cell| (cell / side, cell % side));
        let rim = |(row, column): (usize, usize)| [row, column, side - 1 - row, side - 1 - column].into_iter().min().unwrap();
        Ok(DenseFeatures {
            rows: side,
            columns: side,
            channels: 1,
            stride_px: 14,
            descriptors: cells.clone().map(|(r, c)| mean(r, c)).collect(),
            reliability: cells.map(|at| rim(at) as f32).collect(),
            keypoints: vec![[7.0, 7.0, 1.0]; side * side],
        })
    }

    fn image(rows: usize, columns: usize) -> ImageTensor {
        let mut image = ImageTensor::zeros(columns * 14, rows * 14);
        for (at, value) in image.data.iter_mut().enumerate() {
            *value = (at * 7_919 % 1_013) as f32 / 1_013.0;
        }
        image
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_cell_comes_from_its_own_pixels_and_not_from_a_rim_within(rows in 1usize..60, columns in 1usize..60) {
            let image = image(rows, columns);
            let found = in_windows(&image, 16 * 14, 14, pass).unwrap();
            prop_assert_eq!((found.rows, found.columns), (rows, columns));
            for row in 0..rows {
                for column in 0..columns {
                    let pixels = (0..196).map(|p| image.data[(row * 14 + p / 14) * image.width_px + column * 14 + p % 14]);
                    let wanted = pixels.sum::<f32>() / 196.0;
                    prop_assert!((found.descriptor(row, column)[0] - wanted).abs() < 1e-6);
                    let rim = [row, column, rows - 1 - row, columns - 1 - column].into_iter().min().unwrap();
                    let within = found.reliability[row * columns + column] as usize;
                    prop_assert!(within >= rim.min(OVERLAP_CELLS / 2 - 1), "{row} {column}: {within}");
                }
            }
        }
    }

    #[test]
    fn beyond_a_small_image_the_window_has_its_mean_colour() {
        let image = image(3, 5);
        let part = cut(&image, (0, 0), 8 * 14);
        let mean = image.data[..image.width_px * image.height_px].iter().sum::<f32>() / (image.width_px * image.height_px) as f32;
        assert!((part.data[8 * 14 * 8 * 14 - 1] - mean).abs() < 1e-5);
        assert_eq!(part.data[69], image.data[69]);
    }
}
