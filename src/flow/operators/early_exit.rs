//! Matches a frame in the window that a confident prior predicts; what that settles skips the search.

use std::sync::Arc;

use super::Network;
use super::stage::stage;
use crate::flow::message::{Frames, Observed};
use crate::fuse::Odometry;
use crate::localize::Localizer;
use crate::types::{FrameMatch, SearchRoute};

/// `early_exit` of the graph.
pub trait EarlyExit {
    /// Ends the search for frames that an early exit settles; where `odometry` wants it, keeps what the next frame needs.
    fn early_exit(self, localizer: Arc<Localizer>, network: Network, odometry: Odometry) -> Self;
}

impl EarlyExit for Frames<'_, Observed> {
    fn early_exit(self, localizer: Arc<Localizer>, network: Network, odometry: Odometry) -> Self {
        stage(self, "early_exit", move |message| {
            let (mut view, mut route) = (None, message.route);
            let view_is_wanted = odometry.is_wanted(&message.frame.telemetry);
            let mut out = message.then_or_end(
                |t| &mut t.early_exit_ms,
                |_, observed| {
                    let Some(prior) = observed.early_exit else { return Ok(observed) };
                    route = Some(SearchRoute::Escalated);
                    let observation = &observed.observation;
                    let exit = network.with(|network| {
                        let exit = localizer.early_exit(observation, &prior, network);
                        if view_is_wanted {
                            let described = exit.as_ref().ok().map(|e| &e.view);
                            view = localizer.frame_view(observation, described, network).map(Arc::new);
                        }
                        exit
                    });
                    match exit.map(|exit| exit.settled) {
                        Ok(None) => Ok(observed),
                        Ok(Some(settled)) => {
                            route = Some(SearchRoute::EarlyExit);
                            Err(Box::new(settled))
                        }
                        Err(reason) => Err(Box::new(FrameMatch::abstained(reason))),
                    }
                },
            );
            out.view = view;
            out.route = route;
            out
        })
    }
}
