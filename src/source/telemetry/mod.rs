//! Telemetry readers, one file a format; what they have in common is the [`TelemetryBuffer`] they fill.

pub mod clock;
#[cfg(feature = "gst")]
pub(crate) mod foreign;
#[cfg(feature = "mavlink")]
pub mod mavlink;
#[cfg(feature = "gst")]
pub(crate) mod mp4;
pub mod srt;
mod srt_fields;

use super::buffer::TelemetryBuffer;

/// Telemetry that arrives while flying. A reader owns its thread and a bounded channel; what the channel cannot take is dropped and
/// counted, so that a slow consumer never holds the reader up.
pub trait TelemetryStream: Send {
    /// Moves what has arrived into the buffer; never waits.
    fn drain(&mut self, into: &mut TelemetryBuffer);

    /// What happened so far on the way from the link to the channel; what the buffer refused is in its own counters.
    fn counters(&self) -> StreamCounters;

    /// Coordinated universal time (since 1970) minus the samples' stamps, nanoseconds, where the sender knows it.
    fn utc_minus_stamp_ns(&self) -> Option<i64> {
        None
    }
}

/// What happened on a telemetry link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct StreamCounters {
    /// Datagrams or lines that arrived.
    pub datagrams: u64,
    /// Messages that were understood.
    pub messages: u64,
    /// Messages of kinds or contents that say nothing here.
    pub ignored: u64,
    /// Messages of systems that are not listened to.
    pub others: u64,
    /// Messages that bear the numbers of the system that is listened to, and came from another address.
    pub other_addresses: u64,
    /// Parts of datagrams that are no message: wrong checksum, cut off, not of this protocol.
    pub malformed: u64,
    /// Messages that never arrived, by the sender's sequence numbers.
    pub lost: u64,
    /// Messages that came twice, by the sender's sequence numbers.
    pub duplicates: u64,
    /// Messages that came after a later one, by the sender's sequence numbers.
    pub out_of_order: u64,
    /// Samples dropped because the channel was full.
    pub dropped: u64,
    /// Times the sender's clock was set anew: a reboot or a jump.
    pub clock_resets: u64,
    /// Failed reads of the link.
    pub read_errors: u64,
}
