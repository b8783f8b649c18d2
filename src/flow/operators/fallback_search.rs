//! Searches again, at the level that refines, for frames whose fix is in doubt, and ends the search for each frame.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use crate::flow::message::{Decided, Frames};
use crate::flow::permit::FramePermit;
use crate::localize::Localizer;
use crate::types::{FrameMatch, SearchRoute};

/// `fallback_search` of the graph.
pub trait FallbackSearch<'scope> {
    /// Settles what is in doubt, and lets the next frame of the worker begin.
    fn fallback_search(self, localizer: Arc<Localizer>, network: Network, permit: FramePermit) -> Frames<'scope, FrameMatch>;
}

impl<'scope> FallbackSearch<'scope> for Frames<'scope, Decided> {
    fn fallback_search(self, localizer: Arc<Localizer>, network: Network, permit: FramePermit) -> Frames<'scope, FrameMatch> {
        stage(self, "fallback_search", move |message| {
            let mut route = message.route;
            let mut out = message.then(
                |t| &mut t.fallback_search_ms,
                |_, (observation, retrieved, further, verified, decision)| {
                    if localizer.needs_fallback(&observation, &decision) {
                        route = Some(SearchRoute::Fallback);
                    }
                    network.with(|network| {
                        Ok(localizer.fallback_search(&observation, &retrieved, &further, &verified, decision, network))
                    })
                },
            );
            out.route = route;
            permit.release();
            out
        })
    }
}
