//! Mathematics that several rooms use.
//!
//! - [`fft`]: the real 2D transform.
//! - [`hex`](mod@hex): bytes as text.
//! - [`percentile`]: percentiles by nearest rank.
//! - [`similarity`]: similarities of the plane and their fit.
//! - [`sinkhorn`]: optimal transport by Sinkhorn's iterations.

pub(crate) mod fft;
pub(crate) mod hex;
pub(crate) mod percentile;
pub(crate) mod similarity;
pub(crate) mod sinkhorn;
