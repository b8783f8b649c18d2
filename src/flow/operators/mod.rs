//! The operators of the graph, one a file: glue between timely and the stages, no algorithm.

pub mod admit;
pub mod catalogue;
pub mod coarse;
pub mod fine;
pub mod fix;
pub mod fuse;
pub mod rectify;
pub mod retrieve;
pub mod sinks;
mod stage;

use std::cell::RefCell;
use std::rc::Rc;

use crate::models::DenseExtractor;

/// A worker's network, shared by its operators: a worker runs one of them at a time.
pub type Network = Rc<RefCell<Box<dyn DenseExtractor>>>;
