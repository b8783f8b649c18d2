//! What speaks for a frame's best place, as numbers.

use crate::geo::Geodetic;

/// How the matches of a place agree.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Agreement {
    /// Keypoints of the view.
    pub keypoints: u32,
    /// Mutual matches.
    pub matches: u32,
    /// Matches that agree with the transform.
    pub inliers: u32,
    /// Blocks of the view with enough keypoints.
    pub blocks: u32,
    /// Blocks of which at least a quarter, at least half and at least three quarters of the keypoints agree.
    pub agreeing_blocks: [u32; 3],
    /// Natural logarithm of how many times more matches lie where the transform says than at the best other displacement.
    pub peak: f64,
    /// The same of the four quarters of the view, ascending; those with too few matches have 0.
    pub quarter_peaks: [f64; 4],
    /// Root mean square of the inliers' distances from the transform, cells.
    pub residual_cells: f64,
}

/// What speaks for a frame's best place, and how likely it is wrong all the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Where the place has the image centre.
    pub centre: Geodetic,
    /// Views that were tried.
    pub views: u32,
    /// Places that were verified.
    pub places: u32,
    /// How far the place stood out in the coarse search, standard deviations of its view's score map.
    pub coarse: f64,
    /// How far it led the next best place there; negative where it did not lead.
    pub coarse_lead: f64,
    /// Natural logarithm of how many times the support of any other place it has, at most that of 10.
    pub lead: f64,
    /// Support of the first, wide round of matches, 0..1.
    pub wide_support: f64,
    /// How its matches agree.
    pub wide: Agreement,
    /// Support of the second, narrow round of matches, 0..1.
    pub narrow_support: f64,
    /// How its matches agree.
    pub narrow: Agreement,
    /// Ground sampling distance at which it was matched, metres.
    pub ground_sampling_distance_m: f64,
    /// Probability that the place is wrong, before its geometry is judged.
    pub p_wrong: f64,
}
