//! The tile catalogue: which cells of the map may be searched, as a differential collection versioned at frame ordinals.
//!
//! A withdrawn tile takes every cell that it touches out of the catalogue; a cell comes back when no withdrawn tile touches it any
//! more. Rows are identifiers only. A change of one tile changes the rows of the cells that it touches and no other.

use differential_dataflow::VecCollection;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use super::sinks::deliver;
use crate::flow::message::RetrievalInput;
use crate::geo::mercator::Tile;
use crate::retrieve::CellId;

/// The rows: `cells` less those that a tile of `withdrawn` touches, `touches` saying which do.
pub fn rows<'scope>(
    cells: VecCollection<'scope, u64, CellId>,
    touches: VecCollection<'scope, u64, (Tile, CellId)>,
    withdrawn: VecCollection<'scope, u64, Tile>,
) -> VecCollection<'scope, u64, CellId> {
    let gone = withdrawn.map(|tile| (tile, ())).join_map(touches, |_, (), cell| *cell).distinct();
    cells.concat(gone.negate()).consolidate()
}

/// The changes of the rows, a copy for each worker.
pub fn broadcast<'scope>(rows: VecCollection<'scope, u64, CellId>, workers: u64) -> StreamVec<'scope, u64, RetrievalInput> {
    let addressed = rows.inner.unary(Pipeline, "catalogue", move |_, _| {
        move |input, output| {
            input.for_each(|capability, messages| {
                let mut session = output.session(&capability);
                for (cell, time, diff) in messages.drain(..) {
                    for worker in 0..workers {
                        session.give((worker, RetrievalInput::Row(cell, time, diff)));
                    }
                }
            });
        }
    });
    deliver(addressed)
}
