//! The operators of the graph, one a file: glue between timely and the stages, no algorithm.

pub mod admit;
pub mod catalogue;
pub mod coarse;
pub mod early_exit;
pub mod fallback_search;
pub mod fine;
pub mod fix;
pub mod fuse;
pub mod observe;
pub mod rectify;
pub mod register;
pub mod retrieve;
pub mod sinks;
mod stage;

use std::cell::RefCell;
use std::rc::Rc;

use crate::models::DenseExtractor;
use crate::types::AbstainReason;

/// A worker's network, shared by its operators: a worker runs one of them at a time. The coordinator has none.
#[derive(Clone)]
pub struct Network(Rc<RefCell<Option<Box<dyn DenseExtractor>>>>);

impl Network {
    /// Shares a network among operators.
    pub fn new(network: Option<Box<dyn DenseExtractor>>) -> Self {
        Self(Rc::new(RefCell::new(network)))
    }

    /// Does what needs the network.
    ///
    /// # Errors
    /// What `apply` returns, and [`AbstainReason::Failed`] on a worker without a network.
    pub fn with<T>(&self, apply: impl FnOnce(&mut dyn DenseExtractor) -> Result<T, AbstainReason>) -> Result<T, AbstainReason> {
        match &mut *self.0.borrow_mut() {
            Some(network) => apply(network.as_mut()),
            None => Err(AbstainReason::Failed),
        }
    }
}
