//! Makes a position with its covariance, or says why there is none.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use crate::flow::message::{Confirmed, Decided, Frames};
use crate::localize::Localizer;

/// `fix` of the graph.
pub trait MakeFix<'scope> {
    /// Makes fixes.
    fn fix(self, localizer: Arc<Localizer>, network: Network) -> Frames<'scope, Decided>;
}

impl<'scope> MakeFix<'scope> for Frames<'scope, Confirmed> {
    fn fix(self, localizer: Arc<Localizer>, network: Network) -> Frames<'scope, Decided> {
        stage(self, "fix", move |message| {
            message.then(
                |t| &mut t.fix_ms,
                |_, (observation, retrieved, further, verified)| {
                    let decision = network.with(|network| Ok(localizer.fix(&observation, &retrieved, &verified, network)))?;
                    Ok((observation, retrieved, further, verified, decision))
                },
            )
        })
    }
}
