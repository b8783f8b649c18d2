//! XMP, wherever a file keeps it: names and values, whatever their namespaces' prefixes and whether they are attributes, elements or
//! parts of a structure.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::ImageDecoder;

/// Packets that are read of a file, and the longest of them, bytes.
const MAX_PACKETS: usize = 16;
const MAX_PACKET_BYTES: usize = 16 << 20;
/// Nodes of a packet; it holds a few hundred.
const MAX_NODES: u32 = 50_000;
/// Elements that lie within each other; a structure has a handful.
const MAX_DEPTH: usize = 64;
/// An extension of XMP in a JPEG: this name, a digest of 32 characters, the whole length and where the part lies in it, big-endian.
const EXTENSION: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
/// Elements that hold others without being part of a name.
const FRAMES: [&str; 8] = ["xmpmeta", "RDF", "Description", "li", "Seq", "Bag", "Alt", "value"];

/// Names with their values: local names, those of a structure's fields as `Structure_Field`. Of a name that occurs twice the first value.
#[derive(Debug, Default, PartialEq)]
pub struct Xmp {
    values: BTreeMap<String, String>,
}

impl Xmp {
    /// Everything in a file.
    pub fn of_file(bytes: &[u8]) -> Self {
        let mut out = Self::default();
        for packet in [bytes].into_iter().chain(hidden_packets(bytes).iter().map(Vec::as_slice)) {
            out.read_packets(packet);
        }
        out
    }

    fn read_packets(&mut self, bytes: &[u8]) {
        let mut from = 0;
        for _ in 0..MAX_PACKETS {
            let Some((start, end)) = next_packet(bytes, from) else { return };
            self.read(&String::from_utf8_lossy(&bytes[start..end]));
            from = end;
        }
    }

    /// Reads a packet; of one that is no XML what looks like it.
    fn read(&mut self, text: &str) {
        let options = roxmltree::ParsingOptions { nodes_limit: MAX_NODES, ..Default::default() };
        let parsed = if depth(text) > MAX_DEPTH { None } else { roxmltree::Document::parse_with_options(text, options).ok() };
        match parsed {
            Some(document) => self.read_document(&document),
            None => self.read_loosely(text),
        }
    }

    fn add(&mut self, name: String, value: &str) {
        let value = value.trim();
        if !value.is_empty() {
            self.values.entry(name).or_insert_with(|| value.to_owned());
        }
    }

    fn read_document(&mut self, document: &roxmltree::Document) {
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            let structure = structure_of(&node);
            let name = |local: &str| structure.map_or_else(|| local.to_owned(), |s| format!("{s}_{local}"));
            let own = node.tag_name().name();
            if !FRAMES.contains(&own)
                && let Some(text) = node.text()
            {
                self.add(name(own), text);
            }
            let inside = if FRAMES.contains(&own) { structure } else { Some(own) };
            for attribute in node.attributes() {
                let local = attribute.name();
                self.add(inside.map_or_else(|| local.to_owned(), |s| format!("{s}_{local}")), attribute.value());
            }
        }
    }

    /// `prefix:Name="value"` and `<prefix:Name>value<`, in a text that is cut off or lacks declarations.
    fn read_loosely(&mut self, text: &str) {
        for (at, mark) in text.match_indices(['=', '>']) {
            let before = text[..at].trim_end();
            let local = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).next().unwrap_or_default();
            let after = text[at + mark.len()..].trim_start();
            let value = match after.chars().next() {
                Some(quote @ ('"' | '\'')) if mark == "=" => after[1..].split_once(quote).map(|(value, _)| value),
                _ if mark == ">" => after.split_once('<').map(|(value, _)| value),
                _ => None,
            };
            if let Some(value) = value.filter(|_| !local.is_empty()) {
                self.add(local.to_owned(), value);
            }
        }
    }

    /// The value of a name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The first of some names that has a number.
    pub fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| number(self.text(name)?))
    }
}

/// `+118.40`, `118,4`, `11840/100`, `118.4 m`; nothing that is no finite number.
fn number(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches(['m', '°', ' ']);
    let plain = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    let value = match text.split_once('/') {
        Some((above, below)) => plain(above)? / plain(below)?,
        None if !text.contains('.') && text.matches(',').count() == 1 => plain(&text.replace(',', "."))?,
        None => plain(text)?,
    };
    value.is_finite().then_some(value)
}

/// The structure that an element is a field of.
fn structure_of<'a>(node: &roxmltree::Node<'a, '_>) -> Option<&'a str> {
    node.ancestors().skip(1).filter(roxmltree::Node::is_element).map(|n| n.tag_name().name()).find(|name| !FRAMES.contains(name))
}

/// How deep elements may lie in a text, at most.
fn depth(text: &str) -> usize {
    let (mut now, mut most) = (0usize, 0);
    for (at, _) in text.match_indices('<') {
        match text.as_bytes().get(at + 1) {
            Some(b'/') => now = now.saturating_sub(1),
            Some(b'!' | b'?') | None => {}
            _ => {
                let closes = text[at..].find('>').is_some_and(|end| text[..at + end].ends_with('/'));
                now += usize::from(!closes);
                most = most.max(now);
            }
        }
    }
    most
}

/// Where the next packet lies at or after a byte: from `<x:RDF` to `</x:RDF>`, whatever the prefix; to the file's end where that is missing.
fn next_packet(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        at += find(bytes.get(at..)?, b":RDF")?;
        let start = bytes[..at].iter().rposition(|b| !(b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-'))?;
        if bytes[start] == b'<' && start >= from && at - start <= 32 {
            let most = bytes.len().min(start + MAX_PACKET_BYTES);
            let closing = [b"</", &bytes[start + 1..at], b":RDF>"].concat();
            let end = find(&bytes[at..most], &closing).map_or(most, |end| at + end + closing.len());
            return Some((start, end));
        }
        at += 4;
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

/// Packets that do not stand in a file as they are: in parts, or compressed.
fn hidden_packets(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.starts_with(&[0xff, 0xd8]) {
        extended(bytes)
    } else if bytes.starts_with(b"\x89PNG") {
        let decoder = image::codecs::png::PngDecoder::new(Cursor::new(bytes)).ok();
        decoder.and_then(|mut d| d.xmp_metadata().ok().flatten()).into_iter().collect()
    } else {
        Vec::new()
    }
}

/// XMP that a JPEG has in several segments.
fn extended(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut whole: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    for segment in segments(bytes) {
        let Some(rest) = segment.strip_prefix(EXTENSION) else { continue };
        let (Some(digest), Some(length), Some(offset)) = (rest.get(..32), number_at(rest, 32), number_at(rest, 36)) else {
            continue;
        };
        let part = &rest[40.min(rest.len())..];
        // The parts lie in the file, so the whole is no longer than that.
        if length > bytes.len().min(MAX_PACKET_BYTES) || offset + part.len() > length || whole.len() >= MAX_PACKETS {
            continue;
        }
        let buffer = whole.entry(digest).or_insert_with(|| vec![b' '; length]);
        if let Some(there) = buffer.get_mut(offset..offset + part.len()) {
            there.copy_from_slice(part);
        }
    }
    whole.into_values().collect()
}

fn number_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

/// What the first application's segments of a JPEG hold.
fn segments(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 2;
    std::iter::from_fn(move || {
        loop {
            let [0xff, marker] = *bytes.get(at..at + 2)? else { return None };
            if marker == 0xff {
                at += 1;
                continue;
            }
            // The picture itself begins.
            if marker == 0xda || marker == 0xd9 {
                return None;
            }
            let length = usize::from(u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?));
            let content = bytes.get(at + 4..at + 2 + length)?;
            at += 2 + length;
            if marker == 0xe1 {
                return Some(content);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(inside: &str) -> String {
        format!(
            "junk<q:xmpmeta xmlns:q=\"adobe:ns:meta/\"><r:RDF xmlns:r=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">{inside}</r:RDF></q:xmpmeta>junk"
        )
    }

    fn read(text: &str) -> Xmp {
        Xmp::of_file(text.as_bytes())
    }

    #[test]
    fn attributes_elements_and_structures_are_read_under_any_prefix() {
        let xmp = read(&packet(
            r#"<r:Description r:about="" xmlns:zz="http://maker/" zz:RelativeAltitude="+119.70" zz:Odd="nan"><zz:Above>120,5</zz:Above>
            <zz:Orientation r:parseType="Resource"><zz:Yaw>12.5</zz:Yaw></zz:Orientation><zz:Other zz:Yaw="-1"/>
            <zz:Third><r:Description zz:Yaw="7/2"/></zz:Third></r:Description>"#,
        ));
        assert_eq!(xmp.number(&["RelativeAltitude"]), Some(119.7));
        assert_eq!(xmp.number(&["Odd", "Above"]), Some(120.5));
        assert_eq!(xmp.number(&["Yaw"]), None);
        assert_eq!(
            [xmp.number(&["Orientation_Yaw"]), xmp.number(&["Other_Yaw"]), xmp.number(&["Third_Yaw"])],
            [Some(12.5), Some(-1.0), Some(3.5)]
        );
    }

    #[test]
    fn what_is_no_xml_is_read_as_far_as_it_looks_like_it() {
        let undeclared = read(&packet(r#"<r:Description d:Yaw="3" d:Pitch = '4'><d:Roll> 5 </d:Roll></r:Description>"#));
        assert_eq!(
            [undeclared.number(&["Yaw"]), undeclared.number(&["Pitch"]), undeclared.number(&["Roll"])],
            [Some(3.0), Some(4.0), Some(5.0)]
        );
        let cut = read("<rdf:RDF><rdf:Description d:Yaw=\"3\" d:Pitch=\"4");
        assert_eq!((cut.number(&["Yaw"]), cut.number(&["Pitch"])), (Some(3.0), None));
    }

    #[test]
    fn a_packet_in_several_segments_of_a_jpeg_is_put_together() {
        let text = packet(r#"<r:Description xmlns:d="d" d:RelativeAltitude="55"/>"#);
        let bytes = text.as_bytes();
        let mut jpeg = vec![0xff, 0xd8];
        for (offset, part) in [(0, &bytes[..100]), (100, &bytes[100..])] {
            let mut segment = [EXTENSION, &[b'A'; 32]].concat();
            segment.extend((bytes.len() as u32).to_be_bytes());
            segment.extend((offset as u32).to_be_bytes());
            segment.extend(part);
            jpeg.extend([0xff, 0xe1]);
            jpeg.extend((segment.len() as u16 + 2).to_be_bytes());
            jpeg.extend(segment);
        }
        assert_eq!(Xmp::of_file(&jpeg).number(&["RelativeAltitude"]), Some(55.0));
    }

    #[test]
    fn nesting_expansion_and_lengths_that_lie_cost_nothing() {
        let deep = packet(&format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000)));
        assert!(read(&deep).values.len() <= 1);
        let bomb = format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>{}", "b".repeat(1000), packet("<a>&a;</a>"));
        read(&bomb);
        let mut lying = [&[0xff, 0xd8, 0xff, 0xe1, 0, 120][..], EXTENSION, &[b'A'; 32], &[0xff; 8]].concat();
        lying.resize(200, b'x');
        assert_eq!(Xmp::of_file(&lying), Xmp::default());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_and_texts_are_no_crash(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,80}", tag in "[<>/:=\"'a-c&; ]{0,60}") {
            Xmp::of_file(&bytes);
            read(&packet(&text));
            read(&packet(&tag));
            Xmp::of_file(&[&[0xff, 0xd8, 0xff, 0xe1][..], &bytes].concat());
            Xmp::of_file(&[b"\x89PNG\r\n\x1a\n", bytes.as_slice()].concat());
        }
    }
}
