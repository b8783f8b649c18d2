//! The stages one after the other on one frame: what the graph must equal.

use std::sync::Arc;

use super::stages::{Matched, Matcher, Seen};
use crate::models::DenseExtractor;
use crate::retrieve::CellId;
use crate::types::{AbstainReason, Frame, Prior};

/// Matches one frame.
pub fn match_frame(
    matcher: &Matcher,
    frame: &Frame,
    prior: Option<&Prior>,
    active: Option<&dyn Fn(CellId) -> bool>,
    network: &mut dyn DenseExtractor,
) -> Matched {
    match_and_see(matcher, frame, prior, active, network).0
}

/// Matches one frame, and keeps what the next one needs to tell its way.
pub fn match_and_see(
    matcher: &Matcher,
    frame: &Frame,
    prior: Option<&Prior>,
    active: Option<&dyn Fn(CellId) -> bool>,
    network: &mut dyn DenseExtractor,
) -> (Matched, Option<Seen>) {
    let mut seen = None;
    let mut run = || -> Result<Matched, AbstainReason> {
        let decoded = Arc::new(matcher.rectify(frame)?);
        let whole = matcher.observe(&decoded, prior)?;
        let observation = if active.is_some() { whole } else { matcher.at_a_glance(whole, prior) };
        let retrieved = matcher.retrieve(&observation, prior, active, network);
        seen = matcher.seen(&observation, retrieved.as_ref().ok(), network);
        let retrieved = retrieved?;
        let places = matcher.coarse(&observation, &retrieved)?;
        let verified = matcher.fine(&observation, &retrieved, &places, network)?;
        Ok(matcher.fix(&observation, &retrieved, &verified, network))
    };
    let matched = run().unwrap_or_else(Matched::abstained);
    (matched, seen)
}
