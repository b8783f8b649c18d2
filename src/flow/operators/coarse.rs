//! Finds the places that stand out most among the candidates.

use std::sync::Arc;

use super::stage::stage;
use crate::flow::Matcher;
use crate::flow::message::{Candidates, Frames, Placed};

/// `coarse` of the graph.
pub trait Coarse<'scope> {
    /// Finds places.
    fn coarse(self, matcher: Arc<Matcher>) -> Frames<'scope, Placed>;
}

impl<'scope> Coarse<'scope> for Frames<'scope, Candidates> {
    fn coarse(self, matcher: Arc<Matcher>) -> Frames<'scope, Placed> {
        stage(self, "coarse", move |message| {
            message.then(
                |t| &mut t.coarse_ms,
                |_, (observation, retrieved)| {
                    let places = matcher.coarse(&observation, &retrieved)?;
                    Ok((observation, retrieved, places))
                },
            )
        })
    }
}
