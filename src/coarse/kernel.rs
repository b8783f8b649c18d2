//! A template as a block's transform needs it: the spectra of its parts, column by column.
//!
//! A part is a few rows of a block that is zero everywhere else. Its rows are transformed once. Where one block is searched, each column is
//! then asked for once, and is made when it is: it stays in the first cache, as do the sums that it goes into.

use std::ops::Range;

use realfft::num_complex::Complex32;

use super::template::Template;
use crate::math::fft::BlockFft;

/// The spectra of some rows and columns of a template's planes, each where it lies in the template.
pub(super) struct Kernel<'a> {
    fft: &'a BlockFft,
    spectra: Vec<Spectrum>,
    /// Whether whole spectra are kept, for searches of more than one block.
    keeps: bool,
    column: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

struct Spectrum {
    /// Rows of the block that are not zero.
    rows: Range<usize>,
    /// These rows, transformed: for each column of the spectrum its values.
    columns: Vec<Complex32>,
    whole: Option<Vec<Complex32>>,
}

impl<'a> Kernel<'a> {
    pub fn new(fft: &'a BlockFft, keeps: bool) -> Self {
        let column = vec![Complex32::default(); fft.side()];
        Self { fft, spectra: Vec::new(), keeps, column, scratch: Vec::new() }
    }

    /// Adds the spectrum of a plane's rows and columns; the first added has the number 0.
    pub fn add(&mut self, template: &Template, plane: usize, rows: &Range<usize>, columns: &Range<usize>) {
        let cells = template.rows * template.columns;
        let values = &template.planes[plane * cells..(plane + 1) * cells];
        let fill = |r: usize, line: &mut [f32]| {
            let row = &values[r * template.columns..(r + 1) * template.columns];
            line[columns.clone()].copy_from_slice(&row[columns.clone()]);
        };
        let mut transformed = vec![Complex32::default(); self.fft.columns() * rows.len()];
        self.fft.forward_rows(rows.clone(), fill, &mut transformed, (rows.len(), rows.start));
        self.spectra.push(Spectrum { rows: rows.clone(), columns: transformed, whole: None });
    }

    /// Column `k` of a spectrum.
    pub fn column(&mut self, number: usize, k: usize) -> &[Complex32] {
        let Self { fft, spectra, keeps, column, scratch } = self;
        let (side, spectrum) = (fft.side(), &mut spectra[number]);
        if !*keeps {
            spectrum.transform(k, fft, column, scratch);
            return column;
        }
        if spectrum.whole.is_none() {
            let mut whole = vec![Complex32::default(); fft.spectrum_len()];
            whole.chunks_exact_mut(side).enumerate().for_each(|(k, column)| spectrum.transform(k, fft, column, scratch));
            spectrum.whole = Some(whole);
        }
        spectrum.whole.as_ref().map_or(&[], |whole| &whole[k * side..(k + 1) * side])
    }
}

impl Spectrum {
    fn transform(&self, k: usize, fft: &BlockFft, column: &mut [Complex32], scratch: &mut Vec<Complex32>) {
        let n = self.rows.len();
        column.fill(Complex32::default());
        column[self.rows.clone()].copy_from_slice(&self.columns[k * n..(k + 1) * n]);
        fft.forward_column(column, scratch);
    }
}
