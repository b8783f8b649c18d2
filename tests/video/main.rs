//! Video as it comes: clips that the tests make themselves, whole and broken, and what becomes of them.

#![cfg(feature = "gst")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

mod clips;
mod files;
mod flights;
mod live;
mod recorded;
mod senders;
