//! One frame of a worker at a time on the way from retrieval to its fix.
//!
//! A worker runs one operator at a time. Frames that it led through the stages side by side would all be finished late, and with
//! them those of the other workers that wait for their priors.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use timely::scheduling::Activator;

/// Shared by the operators of a worker: `retrieve` takes it, `fix` gives it back.
#[derive(Clone, Default)]
pub struct Turn(Rc<Shared>);

#[derive(Default)]
struct Shared {
    taken: Cell<bool>,
    waiting: RefCell<Option<Activator>>,
}

impl Turn {
    /// The operator that runs again when the turn is given back.
    pub fn awaited_by(&self, operator: Activator) {
        *self.0.waiting.borrow_mut() = Some(operator);
    }

    /// Whether a frame is under way.
    pub fn is_taken(&self) -> bool {
        self.0.taken.get()
    }

    /// A frame goes its way.
    pub fn take(&self) {
        self.0.taken.set(true);
    }

    /// The frame has its fix, or has none.
    pub fn give_back(&self) {
        self.0.taken.set(false);
        if let Some(operator) = &*self.0.waiting.borrow() {
            operator.activate();
        }
    }
}
