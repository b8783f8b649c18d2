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
        let whole = matcher.observe(&decoded, prior)?;
        let observation = if active.is_some() { whole } else { matcher.at_a_glance(whole, prior) };
        let retrieved = matcher.retrieve(&observation, prior, active, network)?;
        let places = matcher.coarse(&observation, &retrieved)?;
        let verified = matcher.fine(&observation, &retrieved, &places, network)?;
        Ok(matcher.fix(&observation, &retrieved, &verified, network))
    };
    run().unwrap_or_else(Matched::abstained)
}
