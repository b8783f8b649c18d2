//! The operators of the graph, one a file: glue between timely and the stages, no algorithm.

pub(crate) mod admit;
pub(crate) mod catalogue;
pub(crate) mod coarse;
pub(crate) mod early_exit;
pub(crate) mod fallback_search;
pub(crate) mod fine;
pub(crate) mod fix;
pub(crate) mod fuse;
pub(crate) mod observe;
pub(crate) mod rectify;
pub(crate) mod register;
pub(crate) mod retrieve;
pub(crate) mod sinks;
pub(super) mod stage;

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
