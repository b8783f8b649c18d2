//! Makes a position with its covariance, or says why there is none.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use super::turn::Turn;
use crate::flow::Matcher;
use crate::flow::message::{Confirmed, Frames};
use crate::flow::stages::Matched;

/// `fix` of the graph.
pub trait MakeFix<'scope> {
    /// Makes fixes, and lets the next frame of the worker go its way.
    fn fix(self, matcher: Arc<Matcher>, network: Network, turn: Turn) -> Frames<'scope, Matched>;
}

impl<'scope> MakeFix<'scope> for Frames<'scope, Confirmed> {
    fn fix(self, matcher: Arc<Matcher>, network: Network, turn: Turn) -> Frames<'scope, Matched> {
        stage(self, "fix", move |message| {
            let out = message.then(
                |t| &mut t.fix_ms,
                |_, (observation, retrieved, verified)| {
                    network.with(|network| Ok(matcher.fix(&observation, &retrieved, &verified, network)))
                },
            );
            turn.give_back();
            out
        })
    }
}
