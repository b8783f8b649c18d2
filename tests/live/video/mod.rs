//! Video as it comes: clips that the tests make themselves, whole and broken, and what becomes of them.

mod files;
mod films;
mod flights;
mod live;
mod packets;
mod recorded;
