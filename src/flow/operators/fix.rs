//! Makes a position with its covariance, or says why there is none.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use crate::flow::message::{Confirmed, Frames};
use crate::flow::permit::FramePermit;
use crate::localize::Localizer;
use crate::types::FrameMatch;

/// `fix` of the graph.
pub trait MakeFix<'scope> {
    /// Makes fixes, and lets the next frame of the worker go its way.
    fn fix(self, localizer: Arc<Localizer>, network: Network, permit: FramePermit) -> Frames<'scope, FrameMatch>;
}

impl<'scope> MakeFix<'scope> for Frames<'scope, Confirmed> {
    fn fix(self, localizer: Arc<Localizer>, network: Network, permit: FramePermit) -> Frames<'scope, FrameMatch> {
        stage(self, "fix", move |message| {
            let out = message.then(
                |t| &mut t.fix_ms,
                |_, (observation, retrieved, verified)| {
                    network.with(|network| Ok(localizer.fix(&observation, &retrieved, &verified, network)))
                },
            );
            permit.release();
            out
        })
    }
}
