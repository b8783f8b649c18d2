//! Coarse matching: where in the candidates' windows the frame lies, to about a cell.
//!
//! - [`correlation`]: the frame's features slid over the map's as one rigid template (FFT); scores comparable across hypotheses.
//!   Its parts: [`template`] (the view), `peaks` (what stands out).
//! - `field`: descriptors on a grid, compared by dot products.
//! - `refine`: the best places again with all channels on a finer level.
//! - `overlap`: one view on another.
//! - `sascm`: the paper's way: regions of frame and map matched by neighbourhood consensus. Its parts: [`tensor`] (4D
//!   correlation), `mutual` (soft mutual matching), [`conv4d`] and [`consensus`] (the network), `vote` (where the matches lie).

#[doc(hidden)]
pub mod consensus;
#[doc(hidden)]
pub mod conv4d;
#[doc(hidden)]
pub mod correlation;
pub(crate) mod field;
mod kernel;
pub(crate) mod mutual;
pub(crate) mod overlap;
pub(crate) mod peaks;
pub(crate) mod refine;
pub(crate) mod sascm;
#[doc(hidden)]
pub mod template;
#[doc(hidden)]
pub mod tensor;
pub(crate) mod vote;

/// A place where a view of the frame may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Region of the map.
    pub region: usize,
    /// Which hypothesis of heading and height.
    pub hypothesis: usize,
    /// The point below the camera, metres east and north in the region's plane.
    pub camera_m: [f64; 2],
    /// How far the score stands above that hypothesis' other places, in standard deviations of its score map.
    pub score: f64,
    /// How far the score lies above that of the best other place; negative where another is better.
    pub lead: f64,
}
