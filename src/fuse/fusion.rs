//! From frames to the fused track.
