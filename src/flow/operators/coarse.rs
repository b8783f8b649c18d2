//! Finds the places that stand out most among the candidates.

use std::sync::Arc;

use super::stage::stage;
use crate::flow::message::{Candidates, Frames, Placed};
use crate::localize::Localizer;

/// `coarse` of the graph.
pub trait Coarse<'scope> {
    /// Finds places.
    fn coarse(self, localizer: Arc<Localizer>) -> Frames<'scope, Placed>;
}

impl<'scope> Coarse<'scope> for Frames<'scope, Candidates> {
    fn coarse(self, localizer: Arc<Localizer>) -> Frames<'scope, Placed> {
        stage(self, "coarse", move |message| {
            message.then(
                |t| &mut t.coarse_ms,
                |_, (observation, retrieved)| {
                    let places = localizer.coarse(&observation, &retrieved)?;
                    Ok((observation, retrieved, places))
                },
            )
        })
    }
}
