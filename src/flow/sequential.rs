//! The stages one after the other on one frame: what the graph must equal.

use std::sync::Arc;

use super::stages::{Matched, Matcher};
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
    let mut run = || -> Result<Matched, AbstainReason> {
        let decoded = Arc::new(matcher.rectify(frame)?);
        let observation = matcher.observe(&decoded, prior)?;
        let retrieved = matcher.retrieve(&observation, prior, active, network)?;
        let places = matcher.coarse(&observation, &retrieved)?;
        let verified = matcher.fine(&observation, &retrieved, &places, network)?;
        Ok(matcher.fix(&observation, &verified, retrieved.candidates, network))
    };
    run().unwrap_or_else(Matched::abstained)
}
