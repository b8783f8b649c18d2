//! Describes the views of a frame and ranks the map's cells for it.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use crate::flow::active_cells::ActiveCells;
use crate::flow::message::{Candidates, Frames, Observed};
use crate::fuse::Odometry;
use crate::localize::Localizer;
use crate::retrieve::CellId;
use crate::types::SearchRoute;

/// `retrieve` of the graph.
pub trait Retrieve<'scope> {
    /// Finds the candidates of each frame; where `odometry` wants it, keeps what the next frame needs.
    fn retrieve(
        self,
        localizer: Arc<Localizer>,
        network: Network,
        cells: ActiveCells,
        odometry: Odometry,
    ) -> Frames<'scope, Candidates>;
}

impl<'scope> Retrieve<'scope> for Frames<'scope, Observed> {
    fn retrieve(
        self,
        localizer: Arc<Localizer>,
        network: Network,
        cells: ActiveCells,
        odometry: Odometry,
    ) -> Frames<'scope, Candidates> {
        stage(self, "retrieve", move |message| {
            let (mut view, mut route) = (message.view.clone(), message.route);
            let view_is_wanted = view.is_none() && route.is_none() && odometry.is_wanted(&message.frame.telemetry);
            let now = cells.now();
            let active = |cell: CellId| now.holds(cell);
            let active: Option<&dyn Fn(CellId) -> bool> = if now.is_edited(&localizer.index) { Some(&active) } else { None };
            let mut out = message.then(
                |t| &mut t.retrieve_ms,
                |_, Observed { observation, prior, .. }| {
                    route = route.or(Some(SearchRoute::Full));
                    network.with(|network| {
                        let found = localizer.retrieve(&observation, prior.as_ref(), active, network);
                        if view_is_wanted {
                            let described = found.as_ref().ok().and_then(|r| r.views.first());
                            view = localizer.frame_view(&observation, described, network).map(Arc::new);
                        }
                        Ok((Arc::clone(&observation), Arc::new(found?)))
                    })
                },
            );
            out.view = view;
            out.route = route;
            out
        })
    }
}
