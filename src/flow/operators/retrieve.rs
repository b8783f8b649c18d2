//! Decides which views of a frame to try and ranks the map's cells for it, once the prior and the catalogue of that frame are complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use super::Network;
use crate::flow::message::{Candidates, Frames, InProcess, Knowledge};
use crate::flow::permit::FramePermit;
use crate::fuse::Odometry;
use crate::localize::{DecodedFrame, Localizer};
use crate::retrieve::CellId;
use crate::types::Prior;

/// `retrieve` of the graph.
pub trait Retrieve<'scope> {
    /// Finds the candidates of each frame, in order, one at a time until it has its fix; where `odometry` wants it, keeps what the next frame needs.
    fn retrieve(
        self,
        knowledge: StreamVec<'scope, u64, Knowledge>,
        localizer: Arc<Localizer>,
        network: Network,
        permit: FramePermit,
        odometry: Odometry,
    ) -> Frames<'scope, Candidates>;
}

/// A worker's copy of the catalogue as of the frame it is at.
#[derive(Default)]
struct Catalogue {
    /// Changes still to come, by frame.
    changes: BTreeMap<u64, Vec<(CellId, isize)>>,
    rows: BTreeMap<CellId, isize>,
}

impl Catalogue {
    fn advance(&mut self, to: u64) {
        while let Some(entry) = self.changes.first_entry().filter(|e| *e.key() <= to) {
            for (cell, diff) in entry.remove() {
                let count = self.rows.entry(cell).or_default();
                *count += diff;
                if *count == 0 {
                    self.rows.remove(&cell);
                }
            }
        }
    }

    fn holds(&self, cell: CellId) -> bool {
        self.rows.get(&cell).is_some_and(|count| *count > 0)
    }
}

impl<'scope> Retrieve<'scope> for Frames<'scope, Arc<DecodedFrame>> {
    fn retrieve(
        self,
        knowledge: StreamVec<'scope, u64, Knowledge>,
        localizer: Arc<Localizer>,
        network: Network,
        permit: FramePermit,
        odometry: Odometry,
    ) -> Frames<'scope, Candidates> {
        let cells = localizer.index.levels.iter().flat_map(|l| &l.cells);
        let all_rows = cells.filter(|c| !localizer.index.is_patch(c.region)).count();
        let scope = self.scope();
        self.binary_frontier(knowledge, Pipeline, Pipeline, "retrieve", move |_, operator| {
            permit.wake(scope.activator_for(operator.address));
            let mut waiting = BTreeMap::new();
            let mut priors: BTreeMap<u64, Option<Prior>> = BTreeMap::new();
            let mut catalogue = Catalogue::default();
            move |(frames, _), (knowledge, complete), output| {
                frames.for_each(|capability, messages| {
                    for InProcess(message) in messages.drain(..) {
                        if let Some(capability) = capability.retain_least(output.output_index()) {
                            waiting.insert(message.frame.ordinal, (capability, message));
                        }
                    }
                });
                knowledge.for_each(|_, messages| {
                    for item in messages.drain(..) {
                        match item {
                            Knowledge::Prior(ordinal, InProcess(prior)) => {
                                priors.insert(ordinal, prior);
                            }
                            Knowledge::Row(cell, at, diff) => catalogue.changes.entry(at).or_default().push((cell, diff)),
                        }
                    }
                });
                while let Some(entry) = waiting.first_entry().filter(|e| !permit.is_acquired() && !complete.less_equal(e.key())) {
                    permit.acquire();
                    let (time, (capability, message)) = entry.remove_entry();
                    catalogue.advance(time);
                    let prior = priors.get(&time).copied().flatten();
                    priors = priors.split_off(&time);
                    // Regions of patches come after those of the map.
                    let patched = catalogue.rows.last_key_value().is_some_and(|(c, _)| localizer.index.is_patch(c.region));
                    let edited = patched || catalogue.rows.len() != all_rows;
                    let active = |cell: CellId| catalogue.holds(cell);
                    let active: Option<&dyn Fn(CellId) -> bool> = if edited { Some(&active) } else { None };
                    let mut seen = None;
                    let way_is_wanted = odometry.is_wanted(&message.frame.telemetry);
                    let mut out = message.then(
                        |t| &mut t.retrieve_ms,
                        |_, decoded: Arc<DecodedFrame>| {
                            let whole = localizer.observe(&decoded, prior.as_ref())?;
                            let observation = Arc::new(if edited { whole } else { localizer.at_a_glance(whole, prior.as_ref()) });
                            network.with(|network| {
                                let found = localizer.retrieve(&observation, prior.as_ref(), active, network);
                                if way_is_wanted {
                                    seen = localizer.seen(&observation, found.as_ref().ok(), network).map(Arc::new);
                                }
                                Ok((Arc::clone(&observation), Arc::new(found?)))
                            })
                        },
                    );
                    out.seen = seen;
                    output.session(&capability).give(InProcess(out));
                }
            }
        })
    }
}
