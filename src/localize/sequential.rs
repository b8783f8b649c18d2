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
    match_and_see(localizer, frame, prior, active, network).0
}

/// Matches one frame, and keeps what the next one needs to tell its way.
pub fn match_and_see(
    localizer: &Localizer,
    frame: &Frame,
    prior: Option<&Prior>,
    active: Option<&dyn Fn(CellId) -> bool>,
    network: &mut dyn DenseExtractor,
) -> (FrameMatch, Option<FrameView>) {
    let mut seen = None;
    let mut run = || -> Result<FrameMatch, AbstainReason> {
        let decoded = Arc::new(localizer.rectify(frame)?);
        let whole = localizer.observe(&decoded, prior)?;
        let observation = if active.is_some() { whole } else { localizer.at_a_glance(whole, prior) };
        let retrieved = localizer.retrieve(&observation, prior, active, network);
        seen = localizer.seen(&observation, retrieved.as_ref().ok(), network);
        let retrieved = retrieved?;
        let places = localizer.coarse(&observation, &retrieved)?;
        let verified = localizer.fine(&observation, &retrieved, &places, network)?;
        Ok(localizer.fix(&observation, &retrieved, &verified, network))
    };
    let matched = run().unwrap_or_else(FrameMatch::abstained);
    (matched, seen)
}
