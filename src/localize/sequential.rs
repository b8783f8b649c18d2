//! The stages one after the other on one frame: what the graph must equal.

use std::sync::Arc;

use super::{FrameView, Localizer};
use crate::models::DenseExtractor;
use crate::retrieve::CellId;
use crate::types::{AbstainReason, Frame, FrameMatch, Prior};

/// Matches one frame.
pub fn match_frame(
    localizer: &Localizer,
    frame: &Frame,
    prior: Option<&Prior>,
    active: Option<&dyn Fn(CellId) -> bool>,
    network: &mut dyn DenseExtractor,
) -> FrameMatch {
    match_and_view(localizer, frame, prior, active, network).0
}

/// Matches one frame, and keeps the view that the next one is registered with.
pub fn match_and_view(
    localizer: &Localizer,
    frame: &Frame,
    prior: Option<&Prior>,
    active: Option<&dyn Fn(CellId) -> bool>,
    network: &mut dyn DenseExtractor,
) -> (FrameMatch, Option<FrameView>) {
    let mut frame_view = None;
    let mut run = || -> Result<FrameMatch, AbstainReason> {
        let decoded = Arc::new(localizer.rectify(frame)?);
        let observation = localizer.observe(&decoded, prior)?;
        let confident = localizer.early_exit_prior(&observation, prior).filter(|_| active.is_none());
        if let Some(prior) = &confident {
            let exit = localizer.early_exit(&observation, prior, network);
            frame_view = localizer.frame_view(&observation, exit.as_ref().ok().map(|e| &e.view), network);
            if let Some(settled) = exit?.settled {
                return Ok(settled);
            }
        }
        let retrieved = localizer.retrieve(&observation, prior, active, network);
        if confident.is_none() {
            let described = retrieved.as_ref().ok().and_then(|r| r.views.first());
            frame_view = localizer.frame_view(&observation, described, network);
        }
        let retrieved = retrieved?;
        let places = localizer.coarse(&observation, &retrieved)?;
        let verified = localizer.fine(&observation, &retrieved, &places.first, network)?;
        let decision = localizer.fix(&observation, &retrieved, &verified, network);
        Ok(localizer.fallback_search(&observation, &retrieved, &places.further, &verified, decision, network))
    };
    let matched = run().unwrap_or_else(FrameMatch::abstained);
    (matched, frame_view)
}
