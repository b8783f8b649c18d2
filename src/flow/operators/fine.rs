//! Refines the places and verifies them by fine matching.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use crate::flow::message::{Confirmed, Frames, Placed};
use crate::localize::Localizer;

/// `fine` of the graph.
pub trait Fine<'scope> {
    /// Verifies places.
    fn fine(self, localizer: Arc<Localizer>, network: Network) -> Frames<'scope, Confirmed>;
}

impl<'scope> Fine<'scope> for Frames<'scope, Placed> {
    fn fine(self, localizer: Arc<Localizer>, network: Network) -> Frames<'scope, Confirmed> {
        stage(self, "fine", move |message| {
            message.then(
                |t| &mut t.fine_ms,
                |_, (observation, retrieved, places)| {
                    let verified = network.with(|network| localizer.fine(&observation, &retrieved, &places.first, network))?;
                    Ok((observation, retrieved, Arc::new(places.further), Arc::new(verified)))
                },
            )
        })
    }
}
