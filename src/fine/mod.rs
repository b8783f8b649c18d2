//! Fine matching: keypoints of the frame found again in the map, and what they agree on.
//!
//! - `guided`: mutual nearest neighbours near where the coarse match says, to a fraction of a cell.
//! - `registration`: the way between two cameras whose views overlap.
//! - `pose`: the pose of the camera from the matches, with its covariance.
//! - `agreement`: how they agree, in number, over the frame and against other displacements.
//! - [`mod@consensus`]: the similarity that most matches agree on, within what is known of rotation and scale, then a homography.

mod agreement;
#[doc(hidden)]
pub mod consensus;
pub(crate) mod guided;
pub(crate) mod pose;
pub(crate) mod registration;
mod rim;

pub use agreement::agreement;
pub use consensus::{Consensus, consensus};
pub use guided::{GuidedMatch, ViewField, guided_matches};
pub use registration::{Registration, Unregistered, register};
