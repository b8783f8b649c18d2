//! Which codec the payloads of RTP packets are of: a stream of another codec than the one that is expected is never decoded, and no element
//! says why.

/// A codec of RTP video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpCodec {
    /// RFC 6184.
    H264,
    /// RFC 7798.
    H265,
}

impl RtpCodec {
    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        }
    }
}

/// Packets before anything is said.
const ENOUGH: u32 = 30;

/// Counts what packets look like.
pub(super) struct CodecWatch {
    expected: RtpCodec,
    as_expected: u32,
    other: u32,
}

impl CodecWatch {
    pub fn new(expected: RtpCodec) -> Self {
        Self { expected, as_expected: 0, other: 0 }
    }

    /// Takes a packet: the codec of the stream, once it is certain that it is not the one that is expected.
    pub fn take(&mut self, packet: &[u8]) -> Option<RtpCodec> {
        let (h264, h265) = payload(packet).map_or((false, false), |p| (is_h264(p), is_h265(p)));
        let (expected, other, name) = match self.expected {
            RtpCodec::H264 => (h264, h265, RtpCodec::H265),
            RtpCodec::H265 => (h265, h264, RtpCodec::H264),
        };
        self.as_expected += u32::from(expected);
        self.other += u32::from(other && !expected);
        (self.other >= ENOUGH && self.other > 3 * self.as_expected).then_some(name)
    }
}

/// What follows the header of a packet (RFC 3550).
fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first().filter(|b| **b >> 6 == 2)?;
    let mut at = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    packet.get(at..)
}

/// A slice, a parameter set, an SEI message, several of them in one packet, or a part of one.
fn is_h264(payload: &[u8]) -> bool {
    let Some(header) = payload.first().filter(|b| **b & 0x80 == 0) else { return false };
    let (importance, kind) = (header >> 5, header & 0x1f);
    match kind {
        1 | 24 | 28 => true,
        5 | 7 | 8 => importance > 0,
        6 | 9 => importance == 0,
        _ => false,
    }
}

/// The same of the base layer.
fn is_h265(payload: &[u8]) -> bool {
    let [first, second, ..] = *payload else { return false };
    let kind = first >> 1;
    first & 0x81 == 0 && (1..=7).contains(&second) && matches!(kind, 0..=9 | 16..=21 | 32..=40 | 48 | 49)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        [&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], payload].concat()
    }

    /// How a second of video begins: parameter sets, a key frame in parts, and other frames in parts.
    const H264: [&[u8]; 7] =
        [&[0x67, 0x64], &[0x68, 0xee], &[0x06, 0x05], &[0x7c, 0x85], &[0x7c, 0x05], &[0x5c, 0x81], &[0x41, 0x9a]];
    const H265: [&[u8]; 7] = [&[0x40, 1], &[0x42, 1], &[0x44, 1], &[0x4e, 1], &[0x62, 1], &[0x62, 1], &[0x02, 1]];

    fn told(expected: RtpCodec, sent: &[&[u8]]) -> Option<RtpCodec> {
        let mut watch = CodecWatch::new(expected);
        sent.iter().cycle().take(200).find_map(|payload| watch.take(&packet(payload)))
    }

    #[test]
    fn a_stream_of_the_other_codec_is_told_and_the_expected_one_is_not() {
        assert_eq!(told(RtpCodec::H264, &H265), Some(RtpCodec::H265));
        assert_eq!(told(RtpCodec::H265, &H264), Some(RtpCodec::H264));
        assert_eq!(told(RtpCodec::H264, &H264), None);
        assert_eq!(told(RtpCodec::H265, &H265), None);
    }

    #[test]
    fn a_header_with_sources_and_an_extension_is_passed_over() {
        let mut long = vec![0x92, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        long.extend([0; 8]);
        long.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4, 0x67]);
        assert_eq!(payload(&long), Some(&[0x67][..]));
    }

    proptest! {
        #[test]
        fn no_packet_is_a_crash(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            CodecWatch::new(RtpCodec::H264).take(&bytes);
        }
    }
}
