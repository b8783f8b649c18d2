//! Makes a position with its covariance, or says why there is none.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use crate::flow::Matcher;
use crate::flow::message::{Confirmed, Frames};
use crate::flow::stages::Matched;

/// `fix` of the graph.
pub trait MakeFix<'scope> {
    /// Makes fixes.
    fn fix(self, matcher: Arc<Matcher>, network: Network) -> Frames<'scope, Matched>;
}

impl<'scope> MakeFix<'scope> for Frames<'scope, Confirmed> {
    fn fix(self, matcher: Arc<Matcher>, network: Network) -> Frames<'scope, Matched> {
        stage(self, "fix", move |message| {
            message.then(
                |t| &mut t.fix_ms,
                |_, (observation, verified, candidates)| {
                    Ok(matcher.fix(&observation, &verified, candidates, network.borrow_mut().as_mut()))
                },
            )
        })
    }
}
