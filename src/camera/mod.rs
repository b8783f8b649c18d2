//! What a camera sees of level ground: the views of a frame to try, and the frame as such a view shows it.

mod artificial;
mod rectify;
pub(crate) mod view_hypotheses;

pub use rectify::{FramePyramid, RectifiedFrame, footprint, rectify, view_around_footprint};
pub use view_hypotheses::{UnknownHeight, ViewHypothesis, view_hypotheses};
