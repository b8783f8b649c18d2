//! MAVLink frames in a datagram, versions 1 and 2, signed or not.

use mavlink::dialects::common::MavMessage;
use mavlink::{MavlinkVersion, Message as _, calculate_crc};

const MAGIC_V1: u8 = 0xfe;
const MAGIC_V2: u8 = 0xfd;
const CRC_BYTES: usize = 2;
const SIGNATURE_BYTES: usize = 13;
/// Incompatibility flag of a signed frame; frames with any other are not understood.
const SIGNED: u8 = 1;

/// What a part of a datagram is.
pub(super) enum Part {
    /// A message whose checksum holds.
    Message { header: Header, message: Box<MavMessage> },
    /// A frame whose message is of another dialect or has contents the dialect does not allow: its checksum cannot be checked.
    Unknown(Header),
    /// Bytes that are no frame.
    Malformed,
}

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub sequence: u8,
    pub system: u8,
    pub component: u8,
}

/// The parts of a datagram; a run of bytes that are no frame is one part.
pub(super) fn parts(datagram: &[u8]) -> Vec<Part> {
    let mut out = Vec::new();
    let mut rest = datagram;
    let mut garbage = false;
    while let Some(byte) = rest.first() {
        let found = if [MAGIC_V1, MAGIC_V2].contains(byte) { frame(rest) } else { None };
        match found {
            Some((part, length)) => {
                out.push(part);
                rest = &rest[length..];
                garbage = false;
            }
            None => {
                if !std::mem::replace(&mut garbage, true) {
                    out.push(Part::Malformed);
                }
                rest = &rest[1..];
            }
        }
    }
    out
}

/// The frame that some bytes begin with, and its length.
fn frame(bytes: &[u8]) -> Option<(Part, usize)> {
    let payload_bytes = usize::from(*bytes.get(1)?);
    let (version, payload_at, header, id) = match *bytes.first()? {
        MAGIC_V1 => {
            let [_, _, sequence, system, component, id] = *bytes.first_chunk::<6>()?;
            (MavlinkVersion::V1, 6, Header { sequence, system, component }, u32::from(id))
        }
        _ => {
            let [_, _, incompatible, _, sequence, system, component, a, b, c] = *bytes.first_chunk::<10>()?;
            if incompatible & !SIGNED != 0 {
                return None;
            }
            (MavlinkVersion::V2, 10, Header { sequence, system, component }, u32::from_le_bytes([a, b, c, 0]))
        }
    };
    let signed = version == MavlinkVersion::V2 && bytes.get(2)? & SIGNED != 0;
    let end = payload_at + payload_bytes;
    let length = end + CRC_BYTES + if signed { SIGNATURE_BYTES } else { 0 };
    let frame = bytes.get(..length)?;
    let crc = u16::from_le_bytes([frame[end], frame[end + 1]]);
    if calculate_crc(&frame[1..end], MavMessage::extra_crc(id)) == crc {
        let message = MavMessage::parse(version, id, &frame[payload_at..end]);
        let part = message.map_or(Part::Unknown(header), |m| Part::Message { header, message: Box::new(m) });
        return Some((part, length));
    }
    // Not of this dialect, so its checksum has another seed; what stands behind it says whether it is a frame at all.
    let foreign = MavMessage::default_message_from_id(id).is_none();
    let ends_well = bytes.get(length).is_none_or(|next| [MAGIC_V1, MAGIC_V2].contains(next));
    (foreign && ends_well).then_some((Part::Unknown(header), length))
}
