//! A worker's copy of the tile catalogue, as of the frame in flight.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::retrieve::{CellId, MapIndex};

/// The cells that may be searched. Shared by the operators of a worker: one frame is in flight at a time.
#[derive(Clone, Default)]
pub struct ActiveCells(Rc<RefCell<Cells>>);

/// The rows of the catalogue at a frame.
#[derive(Default)]
pub struct Cells {
    /// Changes still to come, by frame.
    changes: BTreeMap<u64, Vec<(CellId, isize)>>,
    rows: BTreeMap<CellId, isize>,
    /// Rows of a catalogue that nobody edited.
    unedited: usize,
}

impl ActiveCells {
    /// The cells of an index; its catalogue is still to come.
    pub fn of(index: &MapIndex) -> Self {
        let cells = index.levels.iter().flat_map(|l| &l.cells);
        let unedited = cells.filter(|c| !index.is_patch(c.region)).count();
        Self(Rc::new(RefCell::new(Cells { unedited, ..Cells::default() })))
    }

    /// Takes a change of the catalogue from a frame on.
    pub fn change(&self, cell: CellId, at: u64, diff: isize) {
        self.0.borrow_mut().changes.entry(at).or_default().push((cell, diff));
    }

    /// Brings the rows up to a frame.
    pub fn advance(&self, to: u64) {
        let Cells { changes, rows, .. } = &mut *self.0.borrow_mut();
        while let Some(entry) = changes.first_entry().filter(|e| *e.key() <= to) {
            for (cell, diff) in entry.remove() {
                let count = rows.entry(cell).or_default();
                *count += diff;
                if *count == 0 {
                    rows.remove(&cell);
                }
            }
        }
    }

    /// The rows at the frame in flight.
    pub fn now(&self) -> Ref<'_, Cells> {
        self.0.borrow()
    }
}

impl Cells {
    /// Whether a cell may be searched.
    pub fn holds(&self, cell: CellId) -> bool {
        self.rows.get(&cell).is_some_and(|count| *count > 0)
    }

    /// Whether the catalogue differs from the map's own.
    pub fn is_edited(&self, index: &MapIndex) -> bool {
        // Regions of patches come after those of the map.
        let patched = self.rows.last_key_value().is_some_and(|(c, _)| index.is_patch(c.region));
        patched || self.rows.len() != self.unedited
    }
}
