//! One frame in flight a worker, from the views to try to its fix.
//!
//! A worker runs one operator at a time. Frames that it led through the stages side by side would all be finished late, and with
//! them those of the other workers that wait for their priors.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use timely::scheduling::Activator;

/// Shared by the operators of a worker: `observe` acquires it, the last stage of a frame's search releases it.
#[derive(Clone, Default)]
pub struct FramePermit(Rc<Shared>);

#[derive(Default)]
struct Shared {
    acquired: Cell<bool>,
    waiting: RefCell<Option<Activator>>,
}

impl FramePermit {
    /// Sets the operator that runs again when the permit is released.
    pub fn wake(&self, operator: Activator) {
        *self.0.waiting.borrow_mut() = Some(operator);
    }

    /// Whether a frame is in flight.
    pub fn is_acquired(&self) -> bool {
        self.0.acquired.get()
    }

    /// A frame begins its search.
    pub fn acquire(&self) {
        self.0.acquired.set(true);
    }

    /// The frame has its fix, or has none.
    pub fn release(&self) {
        self.0.acquired.set(false);
        if let Some(operator) = &*self.0.waiting.borrow() {
            operator.activate();
        }
    }
}
